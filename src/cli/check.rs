//! `check`: every problem of `gateway.toml`, with place and hint, and what is enforced when there is no error.

use crate::config::{self, Bot, Problem, Quota, Settings, Severity, StartFlags, TlsSource};
use crate::judge::{HostList, Mode, OnReject, TenantId};
use std::collections::HashSet;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// What `check` found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The gateway would start with this file.
    Usable,
    /// It would not.
    Refused,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Usable => Self::SUCCESS,
            // EX_CONFIG of sysexits.h: something was found in an unconfigured or misconfigured state.
            Outcome::Refused => Self::from(78),
        }
    }
}

/// Checks a file and tells about it.
///
/// # Errors
/// What `out` says.
pub fn run(path: &Path, flags: StartFlags, out: &mut dyn Write) -> io::Result<Outcome> {
    let file = path.display().to_string();
    match config::load(path, flags) {
        Ok(loaded) => {
            write_problems(&loaded.warnings, &file, out)?;
            write_posture(&loaded.settings, out)?;
            writeln!(out, "{file}: {}", counted(&loaded.warnings))?;
            Ok(Outcome::Usable)
        }
        Err(problems) => {
            write_problems(&problems, &file, out)?;
            writeln!(out, "{file}: {}; botgate does not start with it", counted(&problems))?;
            Ok(Outcome::Refused)
        }
    }
}

fn write_problems(problems: &[Problem], file: &str, out: &mut dyn Write) -> io::Result<()> {
    for problem in problems {
        writeln!(out, "{}", problem.in_file(file))?;
    }
    if problems.is_empty() { Ok(()) } else { writeln!(out) }
}

/// `2 errors, 1 warning`.
fn counted(problems: &[Problem]) -> String {
    let count = |severity: Severity| {
        let number = problems.iter().filter(|problem| problem.severity == severity).count();
        match number {
            0 => format!("no {}s", severity.word()),
            1 => format!("1 {}", severity.word()),
            _ => format!("{number} {}s", severity.word()),
        }
    };
    format!("{}, {}", count(Severity::Error), count(Severity::Warning))
}

fn write_posture(settings: &Settings, out: &mut dyn Write) -> io::Result<()> {
    let server = &settings.server;
    let listen: Vec<String> = server.listen.iter().map(ToString::to_string).collect();
    let tls = match &server.tls.source {
        TlsSource::Off => "no TLS here".to_owned(),
        TlsSource::SelfSigned { dir, .. } => format!("self-signed certificate in {}", dir.display()),
        TlsSource::Files { cert, .. } => format!("certificate {}", cert.display()),
    };
    let limits = &server.limits;
    writeln!(out, "gateway")?;
    row(out, "listens on", &format!("{}, {tls}", listen.join(", ")))?;
    row(out, "admin", &settings.admin.map_or_else(|| "off".to_owned(), |address| address.to_string()))?;
    let arrival = quota(&limits.requests_per_ip);
    row(
        out,
        "limits",
        &format!("{arrival} per address, body {} bytes, JSON depth {}", limits.body_bytes, limits.json.depth),
    )?;
    for bot in &settings.bots {
        writeln!(out, "bot {}", bot.name)?;
        for (name, value) in posture(settings, bot) {
            row(out, name, &value)?;
        }
    }
    writeln!(out)
}

fn row(out: &mut dyn Write, name: &str, value: &str) -> io::Result<()> {
    writeln!(out, "  {name:<13} {value}")
}

/// What is enforced for one bot, a line each.
fn posture(settings: &Settings, bot: &Bot) -> Vec<(&'static str, String)> {
    let policy = &bot.policy;
    let clouds = bot.expect.roots.iter().filter_map(|root| settings.clouds.get(root.cloud).map(|cloud| (root, cloud)));
    let tokens: Vec<String> =
        clouds.map(|(root, cloud)| format!("{} tokens of cloud {}", root.kind.word(), cloud.name)).collect();
    let hosts = if bot.route.hosts.is_empty() { "any host".to_owned() } else { bot.route.hosts.join(", ") };
    let on_reject = match policy.tenants.on_reject {
        OnReject::Refuse => "",
        OnReject::Swallow => ", refused ones answered 200",
    };
    let activities = listed(&policy.activities.allow, "every type");
    let denied = match policy.activities.deny_invoke.as_slice() {
        [] => String::new(),
        names => format!(", but not invoke {}", names.join(", ")),
    };
    vec![
        ("app id", format!("{}, {}", bot.expect.app_id, tokens.join(", "))),
        ("served at", format!("{hosts} {}", bot.route.path)),
        ("backend", backend(bot)),
        ("tenants", format!("{}{on_reject}{}", tenants(bot), softened(policy.tenants.mode))),
        ("channels", format!("{}{}", channels(bot), softened(policy.channels.mode))),
        ("activities", format!("{activities}{denied}{}", softened(policy.activities.mode))),
        ("service URLs", format!("{}{}", service_urls(settings, bot), softened(policy.service_urls.mode))),
        ("rate limits", format!("{}{}", rate_limits(bot), softened(bot.rate_limits.mode))),
    ]
}

/// The URL without its query, which may hold a key.
fn backend(bot: &Bot) -> String {
    let mut url = bot.backend.url.clone();
    if url.query().is_some() {
        url.set_query(Some("..."));
    }
    url.to_string()
}

fn softened(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "",
        Mode::Report => " (report only)",
    }
}

fn listed(items: &[String], none: &str) -> String {
    if items.is_empty() { none.to_owned() } else { items.join(", ") }
}

fn tenants(bot: &Bot) -> String {
    let sorted = |tenants: &HashSet<TenantId>| {
        let mut ids: Vec<String> = tenants.iter().map(ToString::to_string).collect();
        ids.sort();
        ids
    };
    let policy = &bot.policy.tenants;
    let mut text = listed(&sorted(&policy.allow), "every tenant");
    if !policy.deny.is_empty() {
        text.push_str(&format!(", but not {}", sorted(&policy.deny).join(", ")));
    }
    if policy.required {
        text.push_str(", one must be named");
    }
    text
}

fn channels(bot: &Bot) -> String {
    let policy = &bot.policy.channels;
    let mut text = listed(&policy.allow, "every channel the key is endorsed for");
    if !policy.unendorsed.is_empty() {
        text.push_str(&format!("; without any endorsement: {}", policy.unendorsed.join(", ")));
    }
    text
}

fn service_urls(settings: &Settings, bot: &Bot) -> String {
    let hosts = &bot.policy.service_urls.hosts;
    let of_cloud = bot.expect.roots.iter().filter_map(|root| settings.clouds.get(root.cloud)).find(|cloud| {
        HostList::parse(cloud.service_url_hosts.iter().map(String::as_str)).is_ok_and(|list| list == *hosts)
    });
    match of_cloud {
        _ if *hosts == HostList::any() => "as the token says, any host".to_owned(),
        Some(cloud) => format!("as the token says, on hosts of cloud {}", cloud.name),
        None => "as the token says, on hosts listed in the file".to_owned(),
    }
}

fn rate_limits(bot: &Bot) -> String {
    let limits = &bot.rate_limits;
    let each = [
        ("bot", &limits.per_bot),
        ("tenant", &limits.per_tenant),
        ("conversation", &limits.per_conversation),
        ("user", &limits.per_user),
    ];
    let set: Vec<String> = each
        .into_iter()
        .filter_map(|(name, limit)| limit.map(|limit| format!("{} per {name}", quota(&limit))))
        .collect();
    listed(&set, "none")
}

/// A quota as a rate in the largest unit that keeps it a whole number.
fn quota(quota: &Quota) -> String {
    let units = [("s", 1), ("m", 60), ("h", 3600)];
    let per = |seconds: u64| Duration::from_secs(seconds).as_secs_f64() / quota.interval.as_secs_f64();
    let (unit, rate) = units
        .into_iter()
        .map(|(unit, seconds)| (unit, per(seconds)))
        .find(|(_, rate)| *rate >= 1.0 && (rate - rate.round()).abs() < 0.001 * rate)
        .unwrap_or(("h", per(3600)));
    format!("{rate:.0}/{unit} (burst {})", quota.burst)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> (Outcome, String) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gateway.toml");
        std::fs::write(&path, text).unwrap();
        let mut out = Vec::new();
        let outcome = run(&path, StartFlags::default(), &mut out).unwrap();
        (outcome, String::from_utf8(out).unwrap().replace(dir.path().to_str().unwrap(), "DIR"))
    }

    const GOOD: &str = r#"
[server]
listen = "127.0.0.1:8443"
[server.tls]
source = "self-signed"
[[bots]]
name = "helpdesk"
app_id = "5f1c8a5e-7f0b-4f3e-9d55-6f2b1b0a9c11"
hosts = ["bot.example.com"]
backend = "http://127.0.0.1:3978/api/messages?code=hunter2"
[bots.tenants]
allow = ["72f988bf-86f1-41af-91ab-2d7cd011db47"]
mode = "report"
[bots.channels]
allow = ["msteams"]
[bots.rate_limits]
per_user = { rate = "10/m", burst = 3 }
"#;

    #[test]
    fn a_usable_file_is_told_with_what_it_enforces() {
        let (outcome, said) = checked(GOOD);
        assert_eq!(outcome, Outcome::Usable, "{said}");
        for words in [
            "DIR/gateway.toml:13: warning: bots[0].tenants.mode is \"report\"",
            "DIR/gateway.toml: no errors, 1 warning\n",
            "listens on    127.0.0.1:8443, self-signed certificate in DIR/certs",
            "limits        200/s (burst 400) per address, body 1048576 bytes, JSON depth 64",
            "bot helpdesk\n",
            "app id        5f1c8a5e-7f0b-4f3e-9d55-6f2b1b0a9c11, channel tokens of cloud public",
            "served at     bot.example.com /api/messages",
            "backend       http://127.0.0.1:3978/api/messages?...\n",
            "tenants       72f988bf-86f1-41af-91ab-2d7cd011db47 (report only)",
            "channels      msteams\n",
            "activities    every type\n",
            "service URLs  as the token says, on hosts of cloud public\n",
            "rate limits   10/m (burst 3) per user\n",
        ] {
            assert!(said.contains(words), "{words:?} is missing in\n{said}");
        }
    }

    #[test]
    fn a_refused_file_is_told_with_every_problem_and_no_posture() {
        let (outcome, said) = checked(&GOOD.replace("listen =", "lisen =").replace("backend =", "# backend ="));
        assert_eq!(outcome, Outcome::Refused);
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines.first(), Some(&"DIR/gateway.toml:3: error: server.lisen is not a key that botgate knows"));
        assert_eq!(lines.get(1), Some(&"    hint: did you mean \"listen\"?"));
        assert!(said.ends_with("DIR/gateway.toml: 3 errors, 1 warning; botgate does not start with it\n"), "{said}");
        assert!(!said.contains("bot helpdesk\n"), "{said}");
    }

    #[test]
    fn a_file_that_is_not_there_is_a_problem_of_its_own() {
        let mut out = Vec::new();
        let outcome = run(Path::new("no/such/gateway.toml"), StartFlags::default(), &mut out).unwrap();
        assert_eq!(outcome, Outcome::Refused);
        assert!(String::from_utf8(out).unwrap().starts_with("no/such/gateway.toml: error: cannot be read"));
    }

    #[test]
    fn the_shipped_file_is_usable_as_it_is() {
        let mut out = Vec::new();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("gateway.toml");
        let outcome = run(&path, StartFlags::default(), &mut out).unwrap();
        let said = String::from_utf8(out).unwrap();
        assert_eq!(outcome, Outcome::Usable, "{said}");
        assert!(said.ends_with("gateway.toml: no errors, 2 warnings\n"), "{said}");
    }

    #[test]
    fn quotas_are_written_in_the_unit_that_keeps_them_whole() {
        for text in ["200/s", "1/s", "10/m", "600/h", "7/h", "90/m", "1000000/s"] {
            let rate = format!(
                "[server]\nlisten = \"127.0.0.1:1\"\nlimits.requests_per_ip = {{ rate = \"{text}\", burst = 5 }}\n"
            );
            let (_, said) = checked(&GOOD.replace("[server]\nlisten = \"127.0.0.1:8443\"\n", &rate));
            let shown = if text == "600/h" { "10/m" } else { text };
            assert!(said.contains(&format!("{shown} (burst 5) per address")), "{text}\n{said}");
        }
    }
}
