//! `bots.backend`: the servers a bot runs on, as URLs and Unix sockets.

use super::Endpoint;
use super::file::Section;
use super::text::Text;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use url::{Host, Url};

/// What `backend` names, one or a list. Empty when something is wrong with it, which has been noted.
pub(super) fn read(bot: &Section<'_>, listen: &[SocketAddr]) -> Vec<Endpoint> {
    let is_list = bot.is_list("backend");
    let texts = if is_list {
        bot.list("backend")
    } else {
        bot.required("backend", EXAMPLE).into_iter().collect()
    };
    if is_list && bot.has_empty_list("backend") {
        bot.error("backend", "is empty", EXAMPLE);
    }
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for text in &texts {
        let Some(endpoint) = checked(text, bot.dir(), listen) else {
            continue;
        };
        if endpoints.iter().any(|other| other.name == endpoint.name) {
            text.error(
                format!("is on {}, which is there already", endpoint.name),
                "name each server of the bot once; its requests are spread over them",
            );
        } else {
            endpoints.push(endpoint);
        }
    }
    endpoints
}

const EXAMPLE: &str =
    "write where the bot listens, such as backend = \"http://127.0.0.1:3978/api/messages\"";
const UNIX: &str = "unix:";
const UNIX_EXAMPLE: &str =
    "write the socket and then the path of the request: \"unix:/run/bot.sock:/api/messages\"";

fn checked(text: &Text<'_>, dir: &Path, listen: &[SocketAddr]) -> Option<Endpoint> {
    match text.value.strip_prefix(UNIX) {
        Some(place) => unix(text, place, dir),
        None => url(text, listen).map(|url| Endpoint {
            name: name(&url),
            url,
            socket: None,
        }),
    }
}

/// `unix:SOCKET:/PATH`. The first `:/` ends the socket's name, as in other proxies.
fn unix(text: &Text<'_>, place: &str, dir: &Path) -> Option<Endpoint> {
    let wrong = |what: &str, hint: &str| {
        text.error(what, hint);
        None
    };
    let Some((socket, path)) = place.split_once(":/") else {
        return wrong("names no path of the request", UNIX_EXAMPLE);
    };
    if socket.is_empty() || socket.starts_with("//") {
        return wrong("names no Unix socket", UNIX_EXAMPLE);
    }
    let url = match Url::parse(&format!("http://localhost/{path}")) {
        Ok(url) if url.fragment().is_none() => url,
        Ok(_) => {
            return wrong(
                "holds a \"#\" and what follows it",
                "remove it; a fragment is never sent",
            );
        }
        Err(_) => return wrong("has a path that cannot be sent", UNIX_EXAMPLE),
    };
    let file: PathBuf = dir.join(socket);
    if file.as_os_str().as_bytes().len() > LONGEST_SOCKET {
        return wrong(
            "names a Unix socket whose path is longer than the system's 107 bytes",
            "put the socket into a directory with a shorter name, such as /run/bot.sock",
        );
    }
    Some(Endpoint {
        name: socket.to_owned(),
        url,
        socket: Some(file),
    })
}

/// `sun_path` of unix(7), without the NUL at its end.
const LONGEST_SOCKET: usize = 107;

fn url(text: &Text<'_>, listen: &[SocketAddr]) -> Option<Url> {
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

/// Host and port: a path or query in the URL is nobody's business.
fn name(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port_or_known_default()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
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
