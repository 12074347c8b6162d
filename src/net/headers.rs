//! Which headers cross the gateway, and what it says about the client. Pure.

mod client;

pub use client::client_ip;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use std::net::IpAddr;

/// Headers between two neighbours, not between the ends (RFC 9110 7.6.1, 11.7), and those the gateway writes anew.
const NOT_FORWARDED: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "content-length",
    "expect",
    "host",
];

/// What else would tell a backend where a request came from or went to. Said by the gateway alone (the `X-Forwarded-` family and
/// `Forwarded`), or by nobody.
const ORIGIN_CLAIMS: &[&str] = &[
    "forwarded",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
    "x-rewrite-url",
];

/// Families of headers that do not pass: hop-by-hop ones, claims of origin, ours, what makes some servers read another method or
/// a proxy of the client's choice (CVE-2016-5385), and App Service's word for who is signed in.
const FAMILIES: &[&str] = &[
    "proxy",
    "x-forwarded-",
    "x-original-",
    "x-botgate-",
    "x-http-method",
    "x-method-override",
    "x-ms-client-principal",
];

/// What no `Connection` header can take away: the bot verifies the token again, and reads the body by its type.
const NOT_STRIPPED: &[HeaderName] = &[header::AUTHORIZATION, header::CONTENT_TYPE];

/// What the gateway knows about the client of a request.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The neighbour on the socket.
    pub peer: IpAddr,
    /// Whether the neighbour's own forwarding headers are believed.
    pub peer_is_trusted: bool,
    /// `https` or `http`, as spoken with the neighbour.
    pub scheme: &'static str,
    /// `Host` or `:authority` as received.
    pub host: &'a str,
}

/// The headers a backend gets: end-to-end ones as received, forwarding ones written fresh.
pub fn to_backend(received: &HeaderMap, origin: Origin<'_>) -> HeaderMap {
    let listed = connection_options(received);
    let mut headers = HeaderMap::with_capacity(received.len().saturating_add(4));
    for (name, value) in received {
        // CGI-like servers read `_` as `-`: a name with `_` could pass for any of those below.
        let dropped = name.as_str().contains('_')
            || NOT_FORWARDED.contains(&name.as_str())
            || ORIGIN_CLAIMS.contains(&name.as_str())
            || FAMILIES
                .iter()
                .any(|family| name.as_str().starts_with(family))
            || (listed.contains(name) && !NOT_STRIPPED.contains(name));
        if !dropped {
            headers.append(name.clone(), value.clone());
        }
    }
    join_cookies(&mut headers);
    write_forwarding(&mut headers, received, origin);
    headers
}

/// What of a bot's answer tells strangers what runs there, or where else it could be reached.
const NOT_FOR_STRANGERS: &[&str] = &[
    "server",
    "via",
    "x-powered-by",
    "x-aspnet-version",
    "x-aspnetmvc-version",
    "alt-svc",
];

/// HTTP/2 may send cookies one by one; the bot speaks HTTP/1, where they stand in one field (RFC 9113 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<_> = headers
        .get_all(header::COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if crumbs.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
    {
        headers.insert(header::COOKIE, joined);
    }
}

/// The headers a client gets: end-to-end ones as the bot sent them, without what tells strangers what runs there.
pub fn to_client(received: &HeaderMap) -> HeaderMap {
    let listed = connection_options(received);
    let mut headers = HeaderMap::with_capacity(received.len());
    for (name, value) in received {
        // Content-Length is written anew from the body's own framing: beside Transfer-Encoding the bot's word for it is wrong.
        let dropped = NOT_FORWARDED.contains(&name.as_str())
            || NOT_FOR_STRANGERS.contains(&name.as_str())
            || name.as_str().starts_with("proxy-")
            || (listed.contains(name) && *name != header::CONTENT_TYPE);
        if !dropped {
            headers.append(name.clone(), value.clone());
        }
    }
    headers
}

/// Whether an address is one of the trusted proxies.
pub fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    let address = address.to_canonical();
    trusted.iter().any(|net| net.contains(&address))
}

/// The request id to use: the client's where it is well formed and short, so that it cannot forge a log line.
pub fn request_id(headers: &HeaderMap) -> Option<&str> {
    let id = headers.get("x-request-id")?.to_str().ok()?;
    let fits = (1..=128).contains(&id.len())
        && id.bytes().all(|b| {
            b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'/' | b'+' | b'=')
        });
    fits.then_some(id)
}

/// The trace id of a W3C `traceparent` (Trace Context 3.2.2).
pub fn trace_id(headers: &HeaderMap) -> Option<&str> {
    let mut fields = headers.get("traceparent")?.to_str().ok()?.split('-');
    let (version, id) = (fields.next()?, fields.next()?);
    let hex = |text: &str, len: usize| {
        text.len() == len && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    (hex(version, 2) && version != "ff" && hex(id, 32) && id.bytes().any(|b| b != b'0'))
        .then_some(id)
}

fn connection_options(headers: &HeaderMap) -> Vec<HeaderName> {
    // Byte by byte: an entry that is no text hides none of the others.
    let values = headers.get_all(header::CONNECTION).iter();
    values
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .collect()
}

fn write_forwarding(headers: &mut HeaderMap, received: &HeaderMap, origin: Origin<'_>) {
    let peer = origin.peer.to_canonical();
    let node = match peer {
        IpAddr::V4(v4) => v4.to_string(),
        // RFC 7239 6: an IPv6 address stands in brackets and quotes.
        IpAddr::V6(v6) => format!("\"[{v6}]\""),
    };
    let mut chain = |name: &'static str, own: String| {
        let name = HeaderName::from_static(name);
        let before = received
            .get_all(&name)
            .iter()
            .filter(|_| origin.peer_is_trusted);
        let entries: Vec<&[u8]> = before
            .map(HeaderValue::as_bytes)
            .chain([own.as_bytes()])
            .collect();
        if let Ok(value) = HeaderValue::from_bytes(&entries.join(&b", "[..])) {
            headers.insert(name, value);
        }
    };
    chain("x-forwarded-for", peer.to_string());
    chain(
        "forwarded",
        format!(
            "for={node};host=\"{}\";proto={}",
            origin.host, origin.scheme
        ),
    );
    let mut once = |name: &'static str, own: &str| {
        let name = HeaderName::from_static(name);
        let named_before = received
            .get(&name)
            .filter(|_| origin.peer_is_trusted)
            .cloned();
        if let Some(value) = named_before.or_else(|| HeaderValue::from_str(own).ok()) {
            headers.insert(name, value);
        }
    };
    once("x-forwarded-proto", origin.scheme);
    once("x-forwarded-host", origin.host);
}

#[cfg(test)]
mod tests;
