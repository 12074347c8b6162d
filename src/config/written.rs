//! A version of `gateway.toml` as it was written, and how it differs from another one.

use super::file::joined;
use crate::secret::Secret;
use std::collections::BTreeMap;
use std::fmt;
use toml::{Table, Value};

/// What was written. `Debug` says nothing of it: passwords may stand in it.
#[derive(Clone, Debug)]
pub struct Written(Secret<Table>);

/// One key whose value is another one than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key, such as `bots["helpdesk"].tenants.allow`.
    pub at: String,
    before: Shown,
    after: Shown,
}

/// A value for a person to see.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Shown {
    /// Not written, so that the default counts.
    Default,
    /// As TOML.
    Value(String),
    /// It is compared, and never shown.
    Hidden(Secret<String>),
    /// A whole table of a list of them, whose keys count one by one while it is there.
    Table,
}

/// What is taken once, at start: sockets, the certificate, the log's way out. A table stands for all that is in it.
const NEEDS_RESTART: &[&str] = &["server.listen", "server.tls", "admin", "log"];
/// Keys whose values are, or hold, passwords; in `state.redis` one may stand by mistake while it is not in use.
const SECRETS: &[&str] = &[
    "keys.proxy",
    "state.redis",
    "state.password",
    "state.sentinel_password",
    "direct_line.secret",
    "direct_line.id_key",
];

impl Written {
    pub(super) const fn new(table: Table) -> Self {
        Self(Secret::new(table))
    }

    /// Every key that `now` sets to something else, in the order of their names.
    pub fn changes(&self, now: &Self) -> Vec<Change> {
        let (before, after) = (self.leaves(), now.leaves());
        let value = |leaves: &BTreeMap<String, Shown>, at: &str| {
            leaves.get(at).cloned().unwrap_or(Shown::Default)
        };
        let mut changes: Vec<Change> = Vec::new();
        let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
        keys.sort();
        keys.dedup();
        for at in keys {
            let (before, after) = (value(&before, at), value(&after, at));
            let is_in_a_table_that_came_or_went = changes.iter().any(|change| {
                change.is_of_table()
                    && at
                        .strip_prefix(&change.at)
                        .is_some_and(|rest| rest.starts_with('.'))
            });
            if before != after && !is_in_a_table_that_came_or_went {
                changes.push(Change {
                    at: at.clone(),
                    before,
                    after,
                });
            }
        }
        changes
    }

    /// This version, with what needs a restart as it is in `running`; as TOML, to be read as any other file.
    pub fn with_restart_keys_of(&self, running: &Self) -> Secret<String> {
        let mut table = self.0.expose().clone();
        for key in NEEDS_RESTART {
            let value = value_at(running.0.expose(), key).cloned();
            set(&mut table, key, value);
        }
        Secret::new(table.to_string())
    }

    fn leaves(&self) -> BTreeMap<String, Shown> {
        let mut leaves = BTreeMap::new();
        collect("", self.0.expose(), &mut leaves);
        leaves
    }
}

impl Change {
    /// Whether only a restart can bring it into force.
    pub fn needs_restart(&self) -> bool {
        NEEDS_RESTART.iter().any(|key| {
            let rest = self.at.strip_prefix(key);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }

    fn is_of_table(&self) -> bool {
        [&self.before, &self.after].contains(&&Shown::Table)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, before, after } = self;
        match (before, after) {
            (Shown::Table, _) => write!(f, "{at}: removed"),
            (_, Shown::Table) => write!(f, "{at}: added"),
            (before, after) => write!(f, "{at}: {before} -> {after}"),
        }
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("(default)"),
            Self::Value(value) => f.write_str(value),
            Self::Hidden(_) => f.write_str("(secret)"),
            Self::Table => f.write_str("(a table)"),
        }
    }
}

fn collect(at: &str, table: &Table, leaves: &mut BTreeMap<String, Shown>) {
    for (key, value) in table {
        let at = joined(at, key);
        match value {
            Value::Table(inner) => collect(&at, inner, leaves),
            Value::Array(list) if list.iter().any(Value::is_table) => {
                for (position, element) in list.iter().enumerate() {
                    collect_element(&at, position, element, list, leaves);
                }
            }
            Value::String(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_)
            | Value::Array(_) => {
                leaves.insert(at.clone(), shown(&at, value));
            }
        }
    }
}

/// One table of a list of them: by its name, so that it is the same one wherever it stands.
fn collect_element(
    at: &str,
    position: usize,
    element: &Value,
    list: &[Value],
    leaves: &mut BTreeMap<String, Shown>,
) {
    let name_of = |element: &Value| Some(element.get("name")?.as_str()?.to_owned());
    let name = name_of(element).filter(|name| {
        let same = |other: &&Value| name_of(other).as_ref() == Some(name);
        list.iter().filter(same).count() == 1
    });
    let at = match name {
        Some(name) => format!("{at}[{name:?}]"),
        None => format!("{at}[{position}]"),
    };
    if let Some(table) = element.as_table() {
        collect(&at, table, leaves);
    }
    leaves.insert(at, Shown::Table);
}

fn shown(at: &str, value: &Value) -> Shown {
    let text = value.to_string();
    // Wherever a URL or a path stands: what is before an @ may be a password, and what is behind a ? a key.
    let names_a_user = text.contains("://") && text.contains('@');
    let has_query = text.contains('?');
    if SECRETS.contains(&super::file::unindexed(at).as_str()) || names_a_user || has_query {
        return Shown::Hidden(Secret::new(text));
    }
    Shown::Value(text)
}

fn value_at<'t>(table: &'t Table, key: &str) -> Option<&'t Value> {
    match key.split_once('.') {
        None => table.get(key),
        Some((first, rest)) => value_at(table.get(first)?.as_table()?, rest),
    }
}

fn set(table: &mut Table, key: &str, value: Option<Value>) {
    match (key.split_once('.'), value) {
        (None, Some(value)) => {
            table.insert(key.to_owned(), value);
        }
        (None, None) => {
            table.remove(key);
        }
        (Some((first, rest)), value) => {
            let inner = table
                .entry(first)
                .or_insert_with(|| Value::Table(Table::new()));
            if let Some(inner) = inner.as_table_mut() {
                set(inner, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Written {
        Written::new(text.parse().unwrap())
    }

    fn changes(before: &str, after: &str) -> Vec<String> {
        let changes = written(before).changes(&written(after));
        changes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_change_says_which_key_and_what_it_was_and_is() {
        assert_eq!(
            changes(
                "[server]\ndrain_timeout = '20s'\n[server.limits]\nheaders = 100\nrequests_per_ip = { rate = '1/s', burst = 2 }",
                "[server]\ntrusted_proxies = ['10.0.0.0/8']\n[server.limits]\nheaders = 100\nrequests_per_ip = { rate = '2/s', burst = 2 }",
            ),
            [
                "server.drain_timeout: \"20s\" -> (default)",
                "server.limits.requests_per_ip.rate: \"1/s\" -> \"2/s\"",
                "server.trusted_proxies: (default) -> [\"10.0.0.0/8\"]",
            ]
        );
        // Another way to write the same, and another order, is no change.
        let same = [
            "server.limits.headers = 1\n[log]\nlevel = 'info'",
            "[log]\nlevel = \"info\" # as ever\n[server]\nlimits = { headers = 1 }",
        ];
        assert!(changes(same[0], same[1]).is_empty());
    }

    #[test]
    fn what_stands_in_a_query_is_not_told() {
        let bot = |query: &str| {
            format!(
                "[[bots]]\nname = 'a'\nbackend = 'https://a/x?code={query}'\n[bots.health]\npath = '/h?key={query}'"
            )
        };
        let told = changes(&bot("first"), &bot("second"));
        assert_eq!(
            told,
            [
                "bots[\"a\"].backend: (secret) -> (secret)",
                "bots[\"a\"].health.path: (secret) -> (secret)",
            ]
        );
    }

    #[test]
    fn bots_are_known_by_name_wherever_they_stand() {
        let bot = |name: &str, path: &str| format!("[[bots]]\nname = '{name}'\npath = '{path}'\n");
        let before = [bot("a", "/a"), bot("b", "/b")].concat();
        let after = [bot("c", "/c"), bot("b", "/new")].concat();
        assert_eq!(
            changes(&before, &after),
            [
                "bots[\"a\"]: removed",
                "bots[\"b\"].path: \"/b\" -> \"/new\"",
                "bots[\"c\"]: added",
            ]
        );
    }

    #[test]
    fn secrets_are_compared_and_not_shown() {
        let told = changes(
            "[keys]\nproxy = 'http://p:1'\n[[direct_line]]\nname = 'site'\nsecret = 'hunter1'\n[[bots]]\nname = 'b'\nbackend = 'http://a:hunter2@h/'",
            "[keys]\nproxy = 'http://u:hunter3@p:1'\n[[direct_line]]\nname = 'site'\nsecret = 'hunter4'\n[[bots]]\nname = 'b'\nbackend = 'http://h/'",
        );
        assert_eq!(
            told,
            [
                "bots[\"b\"].backend: (secret) -> \"http://h/\"",
                "direct_line[\"site\"].secret: (secret) -> (secret)",
                "keys.proxy: (secret) -> (secret)",
            ]
        );
        assert_eq!(
            changes(
                "[state]\npassword = 'hunter1'\nsentinel_password = 'hunter2'\nuser = 'a'",
                "[state]\npassword = 'hunter3'\nredis = 'redis://:hunter4'\nuser = 'b'",
            ),
            [
                "state.password: (secret) -> (secret)",
                "state.redis: (default) -> (secret)",
                "state.sentinel_password: (secret) -> (default)",
                "state.user: \"a\" -> \"b\"",
            ]
        );
        let both = [written("keys.proxy = 'hunter5'"), written("a = 1")];
        let all = format!("{both:?} {:?}", both[0].changes(&both[1]));
        assert!(!all.contains("hunter"), "{all}");
    }

    #[test]
    fn what_needs_a_restart_is_named_and_stays_as_it_is() {
        let running =
            written("[server]\nlisten = 'a'\n[server.tls]\ncert = 'a.pem'\n[log]\nlevel = 'warn'");
        let now = written(
            "[server]\nlisten = 'b'\ndrain_timeout = '1s'\n[server.limits]\nheaders = 7\n[admin]\nlisten = 'c'\n[state]\nstore = 'redis'\ntls.ca = 'a.pem'",
        );
        let changes = running.changes(&now);
        let (restart, live): (Vec<_>, Vec<_>) =
            changes.iter().partition(|change| change.needs_restart());
        let at = |changes: &[&Change]| -> Vec<String> {
            changes.iter().map(|change| change.at.clone()).collect()
        };
        assert_eq!(
            at(&restart),
            [
                "admin.listen",
                "log.level",
                "server.listen",
                "server.tls.cert"
            ]
        );
        assert_eq!(
            at(&live),
            [
                "server.drain_timeout",
                "server.limits.headers",
                "state.store",
                "state.tls.ca"
            ]
        );
        let effective = written(now.with_restart_keys_of(&running).expose());
        assert_eq!(
            at(&running.changes(&effective).iter().collect::<Vec<_>>()),
            at(&live)
        );
    }
}
