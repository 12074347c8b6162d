//! What tells one bot from another: its name, its hosts, its path.

use super::clouds::{NAME_HINT, is_name};
use super::file::Section;
use super::text::Text;
use crate::judge::{CALLBACK_API, Route};

/// A bot's name, and where it is served.
pub(super) struct Identity {
    /// Absent when it is missing or unusable, which is noted.
    pub(super) name: Option<String>,
    pub(super) route: Route,
}

/// `name`, `hosts` and `path`.
pub(super) fn read(section: &Section<'_>) -> Identity {
    Identity {
        name: name(section),
        route: route(section),
    }
}

/// Two bots that a request, or a reader of the log, could not tell apart.
pub(super) fn refuse_twins(sections: &[Section<'_>], bots: &[Identity]) {
    let numbered = || sections.iter().zip(bots);
    for (index, (section, bot)) in numbered().enumerate() {
        for (other_section, other) in numbered().take(index) {
            let line = |key: &str| other_section.line(key).unwrap_or_default();
            if bot.name.is_some() && bot.name == other.name {
                let what = format!(
                    "is also the name of {} (line {})",
                    other_section.at(),
                    line("name")
                );
                section.error("name", what, "give each bot a name of its own");
            }
            let any_host = bot.route.hosts.is_empty() && other.route.hosts.is_empty();
            let same_host = bot
                .route
                .hosts
                .iter()
                .find(|host| other.route.hosts.contains(host));
            let is_shared = any_host || same_host.is_some();
            let host = same_host.map_or("any host", String::as_str);
            if bot.route.callback.is_some()
                && bot.route.callback == other.route.callback
                && is_shared
            {
                let what = format!(
                    "is served at {host} and the same path as that of {} (line {})",
                    other_section.at(),
                    other_section
                        .table("callers")
                        .line("callback_path")
                        .unwrap_or_default()
                );
                section.table("callers").error(
                    "callback_path",
                    what,
                    "give each bot its own path, or hosts of its own",
                );
            }
            if bot.route.path == other.route.path && is_shared {
                let what = format!(
                    "is served at {host} and the same path as {} (line {})",
                    other_section.at(),
                    line("path")
                );
                section.error(
                    "path",
                    what,
                    "give each bot its own path, or hosts of its own",
                );
            }
        }
    }
}

fn name(section: &Section<'_>) -> Option<String> {
    let text = section.required(
        "name",
        "write name = \"helpdesk\": it appears in logs and metrics",
    )?;
    if !is_name(&text.value) {
        text.error(
            format!("is {}, which is not a usable name", text.shown()),
            NAME_HINT,
        );
        return None;
    }
    Some(text.value)
}

fn route(section: &Section<'_>) -> Route {
    let hosts = hosts(section);
    let path = section
        .text("path")
        .filter(is_path)
        .map_or_else(|| "/api/messages".to_owned(), |text| text.value);
    let callback = section
        .table("callers")
        .text("callback_path")
        .filter(|text| !text.value.is_empty())
        .and_then(|text| callback(&text));
    Route {
        hosts,
        path,
        callback,
    }
}

/// `hosts`, each once.
pub(super) fn hosts(section: &Section<'_>) -> Vec<String> {
    let mut hosts: Vec<String> = Vec::new();
    for text in section.list("hosts") {
        let host = host(&text).filter(|host| !hosts.contains(host));
        hosts.extend(host);
    }
    hosts
}

/// What precedes the API's own path, without a slash at its end.
fn callback(text: &Text<'_>) -> Option<String> {
    let prefix = text.value.strip_suffix('/').unwrap_or(&text.value);
    if let Some(before) = prefix.strip_suffix(CALLBACK_API) {
        let what = format!("holds \"{CALLBACK_API}\", which follows by itself");
        let hint = format!("write \"{}\"", if before.is_empty() { "/" } else { before });
        text.error(what, hint);
        return None;
    }
    is_path(text).then(|| prefix.to_owned())
}

/// The form in which requests name it: lower case, no port, IPv6 in brackets.
fn host(text: &Text<'_>) -> Option<String> {
    let lower = text.value.to_ascii_lowercase();
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    let bare = lower.trim_start_matches('[').trim_end_matches(']');
    if bare.parse::<std::net::Ipv6Addr>().is_ok() {
        return Some(format!("[{bare}]"));
    }
    if lower.len() <= 253 && lower.split('.').all(label) {
        return Some(lower);
    }
    let hint = if lower.contains('*') {
        "name each host by itself; an empty list serves every host"
    } else if lower.contains(':') || lower.contains('/') {
        "write only the name, without scheme, port and path, such as \"bot.example.com\""
    } else {
        "write a name such as \"bot.example.com\" (international names in their xn-- form)"
    };
    text.error(
        format!("is {}, which is not a host name", text.shown()),
        hint,
    );
    None
}

pub(super) fn is_path(text: &Text<'_>) -> bool {
    let is_plain = text.value.starts_with('/')
        && text
            .value
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#'));
    if !is_plain {
        let hint = "write the exact path, such as \"/api/messages\": a leading \"/\", no query, nothing but ASCII";
        text.error(format!("is {}, which is not a path", text.shown()), hint);
    }
    is_plain
}
