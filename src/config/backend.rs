//! `bots.backend`, `[bots.backend_tls]`, `[bots.timeouts]`: the bot behind the gateway.

use super::file::Section;
use super::server::{MOMENT, hours, seconds, warn_if_readable};
use super::text::{Text, read_file};
use super::{Backend, BackendTls, values};
use crate::secret::Secret;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use url::{Host, Url};

/// Where and how a bot is reached.
pub(super) fn read(bot: &Section<'_>, listen: &[SocketAddr]) -> Option<Backend> {
    let timeouts = bot.table("timeouts");
    let connect_timeout = timeouts.duration("connect", seconds(2), MOMENT..=hours(1));
    let response_timeout = timeouts.duration("response", seconds(30), MOMENT..=hours(1));
    let acknowledge_after = acknowledge_after(&timeouts, response_timeout);
    let url = url(bot, listen);
    let tls = tls(&bot.table("backend_tls"), url.as_ref());
    Some(Backend {
        url: url?,
        connect_timeout,
        response_timeout,
        acknowledge_after,
        tls,
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

const EXAMPLE: &str =
    "write where the bot listens, such as backend = \"http://127.0.0.1:3978/api/messages\"";

fn url(bot: &Section<'_>, listen: &[SocketAddr]) -> Option<Url> {
    if !bot.is_list("backend") {
        return bot
            .required("backend", EXAMPLE)
            .and_then(|text| checked(&text, listen));
    }
    let texts = bot.list("backend");
    match texts.as_slice() {
        [] => {
            bot.error("backend", "is empty", EXAMPLE);
            None
        }
        [text] => checked(text, listen),
        [..] => {
            for text in &texts {
                checked(text, listen);
            }
            bot.not_yet(
                "backend",
                "several backends for one bot",
                "name one, such as a load balancer in front of them",
            );
            None
        }
    }
}

fn checked(text: &Text<'_>, listen: &[SocketAddr]) -> Option<Url> {
    if text.value.starts_with("unix:") {
        text.not_yet(
            "a Unix socket",
            "let the bot listen on 127.0.0.1, and write backend = \"http://127.0.0.1:3978/api/messages\"",
        );
        return None;
    }
    let Some((_, after_scheme)) = text.value.split_once("://") else {
        text.error("is not a URL", EXAMPLE);
        return None;
    };
    let url = match Url::parse(&text.value) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => url,
        Ok(_) => {
            text.error("is not an http or https URL", EXAMPLE);
            return None;
        }
        Err(error) => {
            text.error(format!("is not a URL ({error})"), EXAMPLE);
            return None;
        }
    };
    let wrong = if !url.username().is_empty() || url.password().is_some() {
        Some((
            "holds a user name or password",
            "remove them; the channel's own token is what the bot checks",
        ))
    } else if url.fragment().is_some() {
        Some((
            "holds a \"#\" and what follows it",
            "remove it; a fragment is never sent",
        ))
    } else if !after_scheme
        .trim_start_matches(|c| !matches!(c, '/' | '?'))
        .starts_with('/')
    {
        Some((
            "has no path",
            "add the path of the bot's messaging endpoint, usually /api/messages",
        ))
    } else if is_self(&url, listen) {
        Some((
            "is an address that this gateway itself listens on",
            "name the port the bot listens on",
        ))
    } else {
        None
    };
    if let Some((what, hint)) = wrong {
        text.error(what, hint);
        return None;
    }
    Some(url)
}

/// Whether requests would come back to the gateway and go round for ever.
fn is_self(url: &Url, listen: &[SocketAddr]) -> bool {
    let ip = match url.host() {
        Some(Host::Domain("localhost")) => IpAddr::from([127, 0, 0, 1]),
        Some(Host::Ipv4(ip)) => ip.into(),
        Some(Host::Ipv6(ip)) => ip.into(),
        Some(Host::Domain(_)) | None => return false,
    };
    let catches = |address: &SocketAddr| {
        address.ip() == ip || (address.ip().is_unspecified() && ip.is_loopback())
    };
    listen
        .iter()
        .any(|address| url.port_or_known_default() == Some(address.port()) && catches(address))
}

fn tls(section: &Section<'_>, url: Option<&Url>) -> BackendTls {
    let set = |key: &str| section.text(key).is_some_and(|text| !text.value.is_empty());
    let first = ["ca", "client_cert", "client_key", "server_name"]
        .into_iter()
        .find(|key| set(key));
    if let (Some(key), Some("http")) = (first, url.map(Url::scheme)) {
        section.error(
            key,
            "is set while the backend is plain http",
            "write the backend as https://..., or remove [bots.backend_tls]",
        );
    }
    let client_cert = pem(section, "client_cert", "CERTIFICATE-----");
    let client_key = pem(section, "client_key", "PRIVATE KEY-----");
    if let Some(path) = section.path("client_key") {
        warn_if_readable(section, "client_key", &path);
    }
    match (set("client_cert"), set("client_key")) {
        (true, false) => section.error(
            "client_cert",
            "has no client_key beside it",
            "set both, or neither",
        ),
        (false, true) => section.error(
            "client_key",
            "has no client_cert beside it",
            "set both, or neither",
        ),
        (true, true) | (false, false) => {}
    }
    BackendTls {
        ca: pem(section, "ca", "CERTIFICATE-----"),
        client_identity: client_cert.zip(client_key.map(Secret::new)),
        server_name: server_name(section),
    }
}

/// The content of a PEM file.
pub(super) fn pem(section: &Section<'_>, key: &str, marker: &str) -> Option<Vec<u8>> {
    const MAX_BYTES: u64 = 1024 * 1024;
    let path = section.path(key)?;
    let shown = section.shown(key).unwrap_or_default();
    match read_file(&path, MAX_BYTES) {
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
