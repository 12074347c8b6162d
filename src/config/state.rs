//! `[state]`: where several gateways count together, and who they are there.

use super::file::Section;
use super::server::{MOMENT, seconds};
use super::{SharedStore, StoreLogin, StoreServers, StoreTls, backend};
use crate::secret::Secret;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;
use url::Host;

/// The whole table; `None` where each gateway counts for itself.
pub(super) fn read(section: &Section<'_>) -> Option<SharedStore> {
    let is_shared = section.one_of("store", false, &[("memory", false), ("redis", true)]);
    let denies_without = section.one_of(
        "on_store_failure",
        false,
        &[("local", false), ("deny", true)],
    );
    let timeout = section.duration("timeout", TIMEOUT, MOMENT..=seconds(5));
    let key_prefix = key_prefix(section);
    let login = login_with(section, USER, PASSWORD);
    let of_sentinels = login_with(section, SENTINEL_USER, SENTINEL_PASSWORD);
    let redis = section.secret("redis");
    if !is_shared {
        let set = |key: &'static str| (key, is_set(section, key));
        warn_in_memory(
            section,
            &[
                set("redis"),
                set(USER),
                set(PASSWORD),
                set(SENTINEL_USER),
                set(SENTINEL_PASSWORD),
                ("on_store_failure", denies_without),
                ("timeout", timeout != TIMEOUT),
                ("key_prefix", key_prefix != KEY_PREFIX),
            ],
        );
        return None;
    }
    check_login(section, &login, USER, PASSWORD);
    let address = match &redis {
        Some(text) if text.value.is_empty() => {
            text.error("is empty", EXAMPLE);
            None
        }
        Some(text) => address(&text.value, &of_sentinels)
            .map_err(|(what, hint)| text.error(what, hint))
            .ok(),
        None if section.has("redis") => None,
        None => {
            section.error("redis", "is missing", EXAMPLE);
            None
        }
    };
    // Where the address is wrong, the rest is read as if it were needed: all problems are told at once.
    let is_tls = address.as_ref().is_none_or(|address| address.is_tls);
    let tls = tls(&section.table("tls"), is_tls);
    let Address {
        servers,
        login: in_address,
        ..
    } = address?;
    let login = match (in_address, redis) {
        (Some(in_address), Some(text)) => {
            if [USER, PASSWORD].iter().any(|key| is_set(section, key)) {
                text.error(
                    "holds a user name or password, and state.user or state.password is set, too",
                    "write them in one of the two places",
                );
            } else if !text.written.starts_with("file:") && !text.written.contains("${") {
                text.warn(
                    "holds a password, and whoever reads this file has it",
                    "write it as password = \"file:PATH\", or the whole address as \"file:PATH\"",
                );
            }
            in_address
        }
        (Some(_) | None, _) => login,
    };
    if matches!(servers, StoreServers::Sentinel { .. }) {
        check_login(section, &of_sentinels, SENTINEL_USER, SENTINEL_PASSWORD);
    } else {
        warn_without_sentinels(section);
    }
    Some(SharedStore {
        servers,
        tls,
        login,
        key_prefix,
        timeout,
        denies_without,
    })
}

impl SharedStore {
    /// The servers that the file names. A cluster has others beside them, and sentinels lead to a server that is named nowhere.
    pub fn named_servers(&self) -> &[(String, u16)] {
        match &self.servers {
            StoreServers::One { address, .. } => std::slice::from_ref(address),
            StoreServers::Cluster(nodes) => nodes,
            StoreServers::Sentinel { sentinels, .. } => sentinels,
        }
    }

    /// Whether others can read on the way what it is told: no TLS, and it is not on this machine.
    pub fn is_in_the_clear(&self) -> bool {
        let is_here = |(host, _): &(String, u16)| match host.parse::<IpAddr>() {
            Ok(ip) => ip.is_loopback(),
            Err(_) => host == "localhost",
        };
        self.tls.is_none() && !self.named_servers().iter().all(is_here)
    }
}

const USER: &str = "user";
const PASSWORD: &str = "password";
const SENTINEL_USER: &str = "sentinel_user";
const SENTINEL_PASSWORD: &str = "sentinel_password";
const TLS_KEYS: [&str; 3] = ["ca", "client_cert", "client_key"];

const TIMEOUT: Duration = Duration::from_millis(20);
const KEY_PREFIX: &str = "botgate";

const REDIS_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

const EXAMPLE: &str = "write where Redis or Valkey is: redis = \"rediss://HOST:6379/0\" (redis:// without TLS), \
                       \"rediss+cluster://HOST:6379,HOST:6379\" or \"rediss+sentinel://HOST:26379,HOST:26379/MASTER/0\"";
const SERVERS: &str = "write HOST or HOST:PORT, an IPv6 address in brackets: \"[::1]:6379\"";

/// What differs from its default and changes nothing. No error: whoever goes back to memory for a while may leave the rest as it is.
fn warn_in_memory(section: &Section<'_>, keys: &[(&str, bool)]) {
    const WHAT: &str = "has no effect: state.store is \"memory\"";
    const HINT: &str = "set store = \"redis\" in [state], or remove it";
    for (key, _) in keys.iter().filter(|(_, differs)| *differs) {
        section.warn(key, WHAT, HINT);
    }
    warn_of_tls(&section.table("tls"), WHAT, HINT);
}

fn warn_without_sentinels(section: &Section<'_>) {
    for key in [SENTINEL_USER, SENTINEL_PASSWORD] {
        if is_set(section, key) {
            section.warn(
                key,
                "has no effect: state.redis names no sentinels",
                "remove it, or write redis = \"redis+sentinel://HOST:26379/MASTER\"",
            );
        }
    }
}

/// Written, and not as nothing.
fn is_set(section: &Section<'_>, key: &str) -> bool {
    let written = section
        .value(key)
        .and_then(|value| value.get_ref().as_str());
    written.is_some_and(|written| !written.is_empty())
}

fn key_prefix(section: &Section<'_>) -> String {
    const MAX: usize = 64;
    let usual = || KEY_PREFIX.to_owned();
    let Some(text) = section.text("key_prefix") else {
        return usual();
    };
    // Of a key with braces, a cluster hashes only what stands between them.
    let is_good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'-');
    if !(1..=MAX).contains(&text.value.len()) || !text.value.bytes().all(is_good) {
        let what = format!(
            "is {}, wanted 1 to {MAX} letters, digits, \"_\", \".\", \":\" or \"-\"",
            text.shown()
        );
        text.error(what, "write such as key_prefix = \"botgate:production\"");
        return usual();
    }
    text.value
}

fn login_with(section: &Section<'_>, user: &str, password: &str) -> StoreLogin {
    let user = section.text(user).map(|text| text.value);
    let password = section.secret(password);
    if let Some(text) = &password
        && text.value.is_empty()
        && !text.written.is_empty()
    {
        text.error(
            "is empty, in the file or variable that it is taken from",
            "put the password there, or write \"\" here for a store that wants none",
        );
    }
    StoreLogin {
        user: user.filter(|user| !user.is_empty()),
        password: password
            .map(|text| text.value)
            .filter(|password| !password.is_empty())
            .map(Secret::new),
    }
}

/// A name alone is nothing that a store can be told.
fn check_login(section: &Section<'_>, login: &StoreLogin, user: &str, password: &str) {
    if login.user.is_some() && !is_set(section, password) {
        section.error(
            user,
            format!("has no {password} beside it"),
            format!("set {password} = \"file:PATH\", too, or remove both"),
        );
    }
}

fn tls(section: &Section<'_>, is_tls: bool) -> Option<StoreTls> {
    if !is_tls {
        warn_of_tls(
            section,
            "has no effect: state.redis is without TLS",
            "write redis = \"rediss://...\", or remove it",
        );
        return None;
    }
    Some(StoreTls {
        ca: backend::pem(section, "ca", "CERTIFICATE-----"),
        client_identity: backend::client_identity(section),
    })
}

fn warn_of_tls(section: &Section<'_>, what: &str, hint: &str) {
    for key in TLS_KEYS {
        if section.path(key).is_some() {
            section.warn(key, what, hint);
        }
    }
}

/// What is wrong with an address, and what to do. Not a word of the address is in it: a password may stand anywhere there.
type Wrong = (String, &'static str);

fn wrong<T>(what: &str, hint: &'static str) -> Result<T, Wrong> {
    Err((what.to_owned(), hint))
}

/// What an address says.
struct Address {
    servers: StoreServers,
    is_tls: bool,
    /// What stands before the "@", if anything.
    login: Option<StoreLogin>,
}

/// Reads an address. `url` does not: lists of hosts are no URLs.
fn address(url: &str, of_sentinels: &StoreLogin) -> Result<Address, Wrong> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return wrong("is not a URL", EXAMPLE);
    };
    let scheme = scheme.to_ascii_lowercase();
    let (store, kind) = scheme.split_once('+').unwrap_or((&scheme, ""));
    let is_tls = match store {
        "redis" | "valkey" => false,
        "rediss" | "valkeys" => true,
        _ => return wrong("is not a redis or rediss URL", EXAMPLE),
    };
    if rest.contains(['?', '#']) {
        return wrong(
            "holds a \"?\" or \"#\" and what follows it",
            "remove it; what can be set has a key of its own in [state]",
        );
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if path.contains('@') {
        return wrong(
            "has an \"@\" behind a \"/\"",
            "write \"/\" and \"@\" of a password as %2F and %40, or take it out: password = \"file:PATH\"",
        );
    }
    let (login, hosts) = match authority.rsplit_once('@') {
        Some((login, hosts)) => (Some(login_of(login)?), hosts),
        None => (None, authority),
    };
    let servers = match kind {
        "" if hosts.contains(',') => {
            return wrong(
                "names several servers",
                "write redis+cluster:// for nodes of a cluster, redis+sentinel://.../MASTER for sentinels, or one server",
            );
        }
        "" => StoreServers::One {
            address: server(hosts, REDIS_PORT).map_err(|what| (format!("has {what}"), SERVERS))?,
            database: database(path)?,
        },
        "cluster" if !path.is_empty() => {
            return wrong(
                "names a database, and a cluster has one only",
                "end the address with the last server",
            );
        }
        "cluster" => StoreServers::Cluster(servers(hosts, REDIS_PORT)?),
        "sentinel" => {
            let (master, number) = path.split_once('/').unwrap_or((path, ""));
            StoreServers::Sentinel {
                sentinels: servers(hosts, SENTINEL_PORT)?,
                login: of_sentinels.clone(),
                master: master_name(master)?,
                database: database(number)?,
            }
        }
        _ => {
            return wrong(
                "is neither of one server, nor +cluster, nor +sentinel",
                EXAMPLE,
            );
        }
    };
    Ok(Address {
        servers,
        is_tls,
        login,
    })
}

/// What stands before the "@" of an address: `user:password` or `:password`, percent-encoded (RFC 3986 3.2.1).
fn login_of(text: &str) -> Result<StoreLogin, Wrong> {
    const HINT: &str = "write user:password@ or :password@ before the servers, or better keys of their own: user = \"...\", password = \"file:PATH\"";
    let decoded = |text: &str| {
        let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
        decoded.map(|text| text.into_owned())
    };
    let Some((user, password)) = text.split_once(':').filter(|(_, it)| !it.is_empty()) else {
        return wrong("has no password before its \"@\"", HINT);
    };
    let (Ok(user), Ok(password)) = (decoded(user), decoded(password)) else {
        return wrong("has a user name or password that is not UTF-8", HINT);
    };
    Ok(StoreLogin {
        user: Some(user).filter(|user| !user.is_empty()),
        password: Some(Secret::new(password)),
    })
}

/// A list of servers, each once.
fn servers(list: &str, usual_port: u16) -> Result<Vec<(String, u16)>, Wrong> {
    let count = list.split(',').count();
    let mut known: Vec<(String, u16)> = Vec::new();
    for (text, place) in list.split(',').zip(1_usize..) {
        let which = format!("(server {place} of {count})");
        let address =
            server(text, usual_port).map_err(|what| (format!("has {what} {which}"), SERVERS))?;
        if known.contains(&address) {
            let what = format!("names a server for the second time {which}");
            return Err((what, "leave one of them out"));
        }
        known.push(address);
    }
    Ok(known)
}

/// Host and port; what is wrong reads on after "has".
fn server(text: &str, usual_port: u16) -> Result<(String, u16), &'static str> {
    const BRACKETS: &str = "brackets that hold no IPv6 address";
    const PORT: &str = "a port that is no number from 1 to 65535";
    let (host, port) = match text.strip_prefix('[') {
        Some(inside) => {
            let (ip, behind) = inside.split_once(']').ok_or(BRACKETS)?;
            let ip: Ipv6Addr = ip.parse().map_err(|_| BRACKETS)?;
            let port = match behind {
                "" => None,
                _ => Some(behind.strip_prefix(':').ok_or(PORT)?),
            };
            (ip.to_string(), port)
        }
        None => {
            let (host, port) = match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            };
            if host.is_empty() {
                return Err("no host");
            }
            if port.is_some_and(|port| port.contains(':')) {
                return Err("more than one colon, as an IPv6 address without brackets");
            }
            let host = Host::parse(host).map_err(|_| "a host that is neither name nor address")?;
            (host.to_string(), port)
        }
    };
    let port = match port {
        None => usual_port,
        Some(port) => number(port).filter(|port| *port != 0).ok_or(PORT)?,
    };
    Ok((host, port))
}

/// The number of a database; none is the first.
fn database(text: &str) -> Result<u16, Wrong> {
    if text.is_empty() {
        return Ok(0);
    }
    let what = "has a database that is no number from 0 to 65535";
    let hint = "write its number behind the last \"/\", or nothing there for database 0";
    number(text).ok_or_else(|| (what.to_owned(), hint))
}

/// The name by which sentinels know the servers.
fn master_name(name: &str) -> Result<String, Wrong> {
    const HINT: &str = "write the name that stands behind \"sentinel monitor\" in sentinel.conf: redis+sentinel://HOST:26379/MASTER";
    // What sentinel.conf allows.
    let is_good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if name.is_empty() {
        return wrong("names no master", HINT);
    }
    if !name.bytes().all(is_good) {
        return wrong("names a master as no sentinel can", HINT);
    }
    Ok(name.to_owned())
}

/// Digits only: `parse` takes a sign, too.
fn number(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}
