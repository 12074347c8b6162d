//! `[bots.backend_tls]`, `[bots.timeouts]`, `[bots.health]`: how the bot behind the gateway is reached.

use super::file::Section;
use super::server::{MOMENT, hours, seconds, warn_if_readable};
use super::{Backend, BackendTls, Endpoint, Health, endpoint, values};
use crate::secret::Secret;
use std::net::SocketAddr;
use std::time::Duration;
use url::{Host, Url};

/// Where and how a bot is reached.
pub(super) fn read(bot: &Section<'_>, listen: &[SocketAddr]) -> Option<Backend> {
    let timeouts = bot.table("timeouts");
    let connect_timeout = timeouts.duration("connect", seconds(2), MOMENT..=hours(1));
    let response_timeout = timeouts.duration("response", seconds(30), MOMENT..=hours(1));
    let acknowledge_after = acknowledge_after(&timeouts, response_timeout);
    let endpoints = endpoint::read(bot, listen);
    let tls = tls(&bot.table("backend_tls"), &endpoints);
    let health = health(&bot.table("health"));
    (!endpoints.is_empty()).then_some(Backend {
        endpoints,
        connect_timeout,
        response_timeout,
        acknowledge_after,
        tls,
        health,
    })
}

/// Nothing where it is not wanted: `""`.
fn acknowledge_after(timeouts: &Section<'_>, response_timeout: Duration) -> Option<Duration> {
    const HINT: &str = "write less than timeouts.response, such as \"8s\"; \"\" for never";
    /// Channels give up after 10 to 15 s (AUTHENTICATION 5.5).
    const TOO_LATE: Duration = seconds(14);
    let text = timeouts
        .text("acknowledge_after")
        .filter(|text| !text.value.is_empty())?;
    let mark = match values::duration(&text.value) {
        Ok(mark) => mark,
        Err(hint) => {
            text.error(format!("is {}, wanted a duration", text.shown()), hint);
            return None;
        }
    };
    if mark < MOMENT {
        text.error("leaves the bot no time", HINT);
    } else if mark >= response_timeout {
        let response = values::duration_text(response_timeout);
        let what = format!(
            "is {}, not shorter than timeouts.response, \"{response}\", when the bot is given up",
            text.shown()
        );
        text.error(what, HINT);
    } else if mark > TOO_LATE {
        let what = format!("is {}, when channels have given up", text.shown());
        text.warn(what, "they wait 10 to 15 s: write less, such as \"8s\"");
    }
    Some(mark)
}

fn health(section: &Section<'_>) -> Option<Health> {
    const HINT: &str =
        "write the path that says whether the bot is well, such as path = \"/healthz\"";
    let every = section.duration("every", seconds(5), MOMENT..=hours(1));
    let path = section.text("path").filter(|path| !path.value.is_empty());
    let Some(path) = path else {
        if section.has("every") && !section.has("path") {
            section.warn("every", "has no effect without a path to ask for", HINT);
        }
        return None;
    };
    let url = Url::parse("http://localhost").and_then(|base| base.join(&path.value));
    match url {
        Ok(url)
            if path.value.starts_with('/')
                && url.fragment().is_none()
                && !path.value.starts_with("//") =>
        {
            Some(Health {
                path_and_query: url[url::Position::BeforePath..].to_owned(),
                every,
            })
        }
        Ok(_) | Err(_) => {
            path.error(format!("is {}, which is not a path", path.shown()), HINT);
            None
        }
    }
}

fn tls(section: &Section<'_>, endpoints: &[Endpoint]) -> BackendTls {
    let set = |key: &str| section.text(key).is_some_and(|text| !text.value.is_empty());
    let first = ["ca", "client_cert", "client_key", "server_name"]
        .into_iter()
        .find(|key| set(key));
    let is_https = |endpoint: &Endpoint| endpoint.url.scheme() == "https";
    if let Some(key) = first
        && !endpoints.is_empty()
        && !endpoints.iter().any(is_https)
    {
        section.error(
            key,
            "is set while the backend is plain http",
            "write the backend as https://..., or remove [bots.backend_tls]",
        );
    }
    BackendTls {
        ca: pem(section, "ca", "CERTIFICATE-----"),
        client_identity: client_identity(section),
        server_name: server_name(section),
    }
}

/// `client_cert` and `client_key`: what is shown where the other side asks for a certificate.
pub(super) fn client_identity(section: &Section<'_>) -> Option<(Vec<u8>, Secret<Vec<u8>>)> {
    const BOTH: &str = "set both, or neither";
    let set = |key: &str| section.text(key).is_some_and(|text| !text.value.is_empty());
    let cert = pem(section, "client_cert", "CERTIFICATE-----");
    let key = pem(section, "client_key", "PRIVATE KEY-----");
    if let Some(path) = section.path("client_key") {
        warn_if_readable(section, "client_key", &path);
    }
    match (set("client_cert"), set("client_key")) {
        (true, false) => section.error("client_cert", "has no client_key beside it", BOTH),
        (false, true) => section.error("client_key", "has no client_cert beside it", BOTH),
        (true, true) | (false, false) => {}
    }
    cert.zip(key.map(Secret::new))
}

/// The content of a PEM file.
pub(super) fn pem(section: &Section<'_>, key: &str, marker: &str) -> Option<Vec<u8>> {
    const MAX_BYTES: u64 = 1024 * 1024;
    let path = section.path(key)?;
    let shown = section.shown(key).unwrap_or_default();
    match section.reading.read_file(&path, MAX_BYTES) {
        Ok(pem) if String::from_utf8_lossy(&pem).contains(marker) => return Some(pem),
        Ok(_) => section.error(key, format!("is {shown}, in which \"{marker}\" does not occur"), "name a PEM file"),
        Err(error) => section.error(
            key,
            format!("is {shown}, which cannot be read: {error}"),
            "create it, or remove the key; relative names start from the directory of this configuration file",
        ),
    }
    None
}

fn server_name(section: &Section<'_>) -> Option<String> {
    let text = section
        .text("server_name")
        .filter(|text| !text.value.is_empty())?;
    if Host::parse(&text.value).is_err() || text.value.contains(':') {
        text.error(
            format!("is {}, which is not a host name", text.shown()),
            "write the name in the backend's certificate",
        );
        return None;
    }
    Some(text.value)
}
