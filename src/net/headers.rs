//! Which headers cross the gateway, and what it says about the client. Pure.

mod answer;
mod client;

pub use answer::{Answered, NoFields};
pub use client::client_ip;

use super::fields::Fields;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use std::net::IpAddr;

/// The client's or the gateway's word for one request.
const X_REQUEST_ID: HeaderName = super::reply::X_REQUEST_ID;
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Headers between two neighbours, not between the ends (RFC 9110 7.6.1, 11.7), and those the gateway writes anew.
fn is_for_neighbours(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authentication-info"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
            | "content-length"
            | "expect"
            | "host"
    )
}

/// What else would tell a backend where a request came from or went to. Said by the gateway alone (the `X-Forwarded-` family and
/// `Forwarded`), or by nobody.
fn claims_origin(name: &str) -> bool {
    matches!(
        name,
        "forwarded" | "x-real-ip" | "x-client-ip" | "true-client-ip" | "x-rewrite-url"
    )
}

/// Families of headers that do not pass: hop-by-hop ones, claims of origin, ours, what makes some servers read another method or
/// a proxy of the client's choice (CVE-2016-5385), and App Service's word for who is signed in.
fn is_of_a_family(name: &str) -> bool {
    const AFTER_X: &[&str] = &[
        "forwarded-",
        "original-",
        "botgate-",
        "http-method",
        "method-override",
        "ms-client-principal",
    ];
    match name.strip_prefix("x-") {
        Some(rest) => AFTER_X.iter().any(|family| rest.starts_with(family)),
        None => name.starts_with("proxy"),
    }
}

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

/// The headers a backend gets: end-to-end ones as received, forwarding ones written fresh, and the request's id.
pub fn to_backend(received: &HeaderMap, origin: Origin<'_>, request_id: &str) -> Fields {
    let listed = received.get_all(header::CONNECTION).iter();
    let listed = Options::of(listed.map(HeaderValue::as_bytes));
    let mut sent = Fields::with_room_for(room_for(received, origin));
    let (mut is_named, mut is_in_cookies) = (false, false);
    for (name, value) in received {
        // CGI-like servers read `_` as `-`: a name with `_` could pass for any of those below.
        let text = name.as_str();
        let dropped = is_for_neighbours(text)
            || claims_origin(text)
            || is_of_a_family(text)
            || text.as_bytes().contains(&b'_')
            || (listed.contain(text) && !NOT_STRIPPED.contains(name));
        if dropped {
            continue;
        }
        // All values of a name come one after the other.
        if *name == X_REQUEST_ID {
            if !is_named {
                sent.append_text(name, request_id.as_bytes());
            }
            is_named = true;
        } else if *name == header::COOKIE && is_in_cookies {
            // HTTP/2 may send cookies one by one; the bot speaks HTTP/1, where they stand in one field (RFC 9113 8.2.3).
            sent.join_to_last(value);
        } else {
            is_in_cookies = *name == header::COOKIE;
            sent.append(name, value);
        }
    }
    write_forwarding(&mut sent, received, origin);
    if !is_named {
        sent.append_text(&X_REQUEST_ID, request_id.as_bytes());
    }
    sent
}

/// Bytes enough for what a backend usually gets of these.
fn room_for(received: &HeaderMap, origin: Origin<'_>) -> usize {
    const AROUND_EACH: usize = 4;
    const WRITTEN_FRESH: usize = 384;
    let of_host = origin.host.len().saturating_mul(2);
    received
        .iter()
        .map(|(name, value)| name.as_str().len().saturating_add(value.len()))
        .map(|bytes| bytes.saturating_add(AROUND_EACH))
        .fold(WRITTEN_FRESH.saturating_add(of_host), usize::saturating_add)
}

/// What of a bot's answer tells strangers what runs there, or where else it could be reached.
fn is_not_for_strangers(name: &str) -> bool {
    matches!(
        name,
        "server" | "via" | "x-powered-by" | "x-aspnet-version" | "x-aspnetmvc-version" | "alt-svc"
    )
}

/// Whether an address is one of the trusted proxies.
pub fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    let address = address.to_canonical();
    trusted.iter().any(|net| net.contains(&address))
}

/// The request id to use: the client's where it is well formed and short, so that it cannot forge a log line.
pub fn request_id(headers: &HeaderMap) -> Option<&str> {
    let id = headers.get(X_REQUEST_ID)?.to_str().ok()?;
    let fits = (1..=128).contains(&id.len())
        && id.bytes().all(|b| {
            b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'/' | b'+' | b'=')
        });
    fits.then_some(id)
}

/// The trace id of a W3C `traceparent` (Trace Context 3.2.2).
pub fn trace_id(headers: &HeaderMap) -> Option<&str> {
    let mut fields = headers.get(TRACEPARENT)?.to_str().ok()?.split('-');
    let (version, id) = (fields.next()?, fields.next()?);
    let hex = |text: &str, len: usize| {
        text.len() == len && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    (hex(version, 2) && version != "ff" && hex(id, 32) && id.bytes().any(|b| b != b'0'))
        .then_some(id)
}

/// Whether `Connection` lists this option, in whatever case (RFC 9110 7.6.1).
pub fn has_option(headers: &HeaderMap, option: &str) -> bool {
    let values = headers.get_all(header::CONNECTION).iter();
    Options::of(values.map(HeaderValue::as_bytes)).contain(option)
}

/// What `Connection` lists (RFC 9110 7.6.1). Byte by byte: an entry that is no text hides none of the others.
struct Options<'h> {
    /// Mostly the only one. Empty where there is none, which is nobody's name.
    first: &'h [u8],
    others: Vec<&'h [u8]>,
}

impl<'h> Options<'h> {
    fn of(values: impl Iterator<Item = &'h [u8]>) -> Self {
        let mut options = values
            .flat_map(|value| value.split(|byte| *byte == b','))
            .map(<[u8]>::trim_ascii);
        Self {
            first: options.next().unwrap_or_default(),
            others: options.collect(),
        }
    }

    fn contain(&self, name: &str) -> bool {
        let is_it = |option: &[u8]| option.eq_ignore_ascii_case(name.as_bytes());
        is_it(self.first) || self.others.iter().any(|option| is_it(option))
    }
}

fn write_forwarding(sent: &mut Fields, received: &HeaderMap, origin: Origin<'_>) {
    let believed = Some(received).filter(|_| origin.peer_is_trusted);
    let mut chain = |name: HeaderName, own: &dyn Fn(&mut Vec<u8>)| {
        let before = believed.into_iter().flat_map(|all| all.get_all(&name));
        sent.append_written(&name, |text| {
            for entry in before {
                text.extend_from_slice(entry.as_bytes());
                text.extend_from_slice(b", ");
            }
            own(text);
        });
    };
    let peer = origin.peer.to_canonical();
    chain(X_FORWARDED_FOR, &|text| write_address(text, peer));
    chain(header::FORWARDED, &|text| {
        text.extend_from_slice(b"for=");
        match peer {
            IpAddr::V4(_) => write_address(text, peer),
            // RFC 7239 6: an IPv6 address stands in brackets and quotes.
            IpAddr::V6(_) => {
                text.extend_from_slice(b"\"[");
                write_address(text, peer);
                text.extend_from_slice(b"]\"");
            }
        }
        for piece in [";host=\"", origin.host, "\";proto=", origin.scheme] {
            text.extend_from_slice(piece.as_bytes());
        }
    });
    for (name, own) in [
        (X_FORWARDED_PROTO, origin.scheme),
        (X_FORWARDED_HOST, origin.host),
    ] {
        match believed.and_then(|all| all.get(&name)) {
            Some(named_before) => sent.append(&name, named_before),
            None => sent.append_text(&name, own.as_bytes()),
        }
    }
}

/// An address as text. Written for each request, so that those of IPv4 do not go the long way through a formatter.
fn write_address(text: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => {
            for (position, octet) in v4.octets().into_iter().enumerate() {
                if position > 0 {
                    text.push(b'.');
                }
                text.extend_from_slice(itoa::Buffer::new().format(octet).as_bytes());
            }
        }
        IpAddr::V6(v6) => text.extend_from_slice(v6.to_string().as_bytes()),
    }
}

#[cfg(test)]
mod tests;
