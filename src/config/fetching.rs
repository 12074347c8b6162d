//! `[keys]`: how signing keys are fetched, by which way, and how long they are kept.

use super::file::{Environment, Section};
use super::server::{MOMENT, hours, seconds};
use super::{KeyOrigin, KeySource, Keys, Proxy, backend};
use crate::secret::Secret;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// The whole table.
pub(super) fn read(section: &Section<'_>) -> Keys {
    let proxy = proxy(section);
    backend::pem(section, "ca_file", "CERTIFICATE-----");
    let cache_dir = if section.has("cache_dir") {
        section.path("cache_dir")
    } else {
        Some(section.reading.dir.join("var/keys"))
    };
    let refresh = section.duration("refresh", hours(6), MOMENT..=hours(24));
    let max_stale = section.duration("max_stale", hours(72), MOMENT..=hours(24 * 365));
    if max_stale < refresh {
        let what = "is shorter than keys.refresh: keys would expire before they are fetched again";
        section.warn(
            "max_stale",
            what,
            "make it longer than refresh, such as \"72h\"",
        );
    }
    Keys {
        refresh,
        unknown_key_refresh: section.duration(
            "unknown_key_refresh",
            seconds(60),
            MOMENT..=hours(24),
        ),
        max_stale,
        cache_dir,
        fetch_timeout: section.duration("fetch_timeout", seconds(10), MOMENT..=hours(1)),
        ca_file: section.path("ca_file"),
        proxy,
        clock_skew: section.duration("clock_skew", seconds(300), Duration::ZERO..=seconds(600)),
    }
}

/// `keys.proxy`, or else what the environment says. May hold a password, so it is never shown.
fn proxy(section: &Section<'_>) -> Option<Proxy> {
    let environment = section.reading.environment;
    let written = section.text("proxy").filter(|text| !text.value.is_empty());
    let url = match written {
        None => match of_environment(environment) {
            Some((_, url)) => url?,
            None => return None,
        },
        Some(text) => match address(&text.value) {
            Some(url) => url,
            None => {
                text.error(
                    "is not the address of a proxy",
                    "write keys.proxy = \"http://proxy.example:3128\", or https:// where the proxy itself speaks TLS; a user name and password can stand in it, best as \"${NAME}\"",
                );
                return None;
            }
        },
    };
    let not_for = first(environment, &["NO_PROXY", "no_proxy"]);
    Some(Proxy {
        url: Secret::new(url),
        not_for: not_for.map(|(_, hosts)| hosts).unwrap_or_default(),
    })
}

/// An environment that names a proxy which cannot be used: going past it would fail for reasons that nobody understands, or
/// succeed where that is not wanted.
pub(super) fn check_environment(section: &Section<'_>, sources: &[Arc<KeySource>]) {
    let is_used = sources.iter().any(|source| match &source.origin {
        KeyOrigin::Connector { metadata, .. } | KeyOrigin::Entra { metadata, .. } => {
            is_https(metadata)
        }
        KeyOrigin::EntraTenant { keys, metadata, .. } => {
            keys.iter().any(|keys| is_https(keys)) || is_https(metadata)
        }
        KeyOrigin::KeySet(address) => is_https(address),
        KeyOrigin::File(_) => false,
    });
    let is_written = section.has("proxy")
        && section
            .text("proxy")
            .is_none_or(|text| !text.value.is_empty());
    if let (true, false, Some((name, None))) = (
        is_used,
        is_written,
        of_environment(section.reading.environment),
    ) {
        section.error(
            "proxy",
            format!("is not set, and the environment's {name} is not the address of an http or https proxy"),
            format!("write keys.proxy = \"http://proxy.example:3128\", correct {name}, or remove it where botgate starts (SOCKS is not spoken)"),
        );
    }
}

/// The variable that names a proxy for https, and the proxy if it can be used. `HTTP_PROXY` is for plain http, which is not
/// fetched from elsewhere.
fn of_environment(environment: Environment<'_>) -> Option<(&'static str, Option<Url>)> {
    const NAMES: &[&str] = &["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let (name, value) = first(environment, NAMES)?;
    // As curl reads it.
    let value = if value.contains("://") {
        value
    } else {
        format!("http://{value}")
    };
    Some((name, address(&value)))
}

/// The first variable that is set to something.
fn first(environment: Environment<'_>, names: &[&'static str]) -> Option<(&'static str, String)> {
    names.iter().find_map(|&name| {
        let value = environment(name)?;
        let value = value.trim();
        (!value.is_empty()).then(|| (name, value.to_owned()))
    })
}

fn address(url: &str) -> Option<Url> {
    Url::parse(url)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

fn is_https(url: &str) -> bool {
    url.starts_with("https://")
}
