//! Which headers cross the gateway, and what it says about the client. Pure.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

/// Headers between two neighbours, not between the ends (RFC 9110 7.6.1), and those the gateway writes anew.
const NOT_FORWARDED: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-authenticate",
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
    write_forwarding(&mut headers, received, origin);
    headers
}

/// The headers a client gets: end-to-end ones as the bot sent them, without what tells strangers what runs there.
pub fn to_client(received: &HeaderMap) -> HeaderMap {
    let listed = connection_options(received);
    let mut headers = HeaderMap::with_capacity(received.len());
    for (name, value) in received {
        // Content-Length is written anew from the body's own framing: beside Transfer-Encoding the bot's word for it is wrong.
        let dropped = NOT_FORWARDED.contains(&name.as_str())
            || *name == header::SERVER
            || name == "x-powered-by"
            || (listed.contains(name) && *name != header::CONTENT_TYPE);
        if !dropped {
            headers.append(name.clone(), value.clone());
        }
    }
    headers
}

/// The client's address: the neighbour's, or, behind trusted proxies, the right-most address they named that is none of them.
pub fn client_ip(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let mut client = peer.to_canonical();
    if !is_trusted(client, trusted) {
        return client;
    }
    let values = headers.get_all("x-forwarded-for").iter().rev();
    // Entry by entry: what a client wrote to the left must not hide what a proxy added to the right.
    for entry in values.flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b',')) {
        let Some(named) = std::str::from_utf8(entry)
            .ok()
            .and_then(|entry| address_of(entry.trim()))
        else {
            return client;
        };
        client = named.to_canonical();
        if !is_trusted(client, trusted) {
            return client;
        }
    }
    client
}

/// The address of an `X-Forwarded-For` entry; some proxies add the port.
fn address_of(entry: &str) -> Option<IpAddr> {
    let bare = entry
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(entry);
    bare.parse()
        .ok()
        .or_else(|| entry.parse::<SocketAddr>().ok().map(|address| address.ip()))
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
    let values = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
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
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        headers
    }

    fn origin(trusted: bool) -> Origin<'static> {
        Origin {
            peer: "192.0.2.7".parse().unwrap(),
            peer_is_trusted: trusted,
            scheme: "https",
            host: "bot.example",
        }
    }

    #[test]
    fn end_to_end_headers_pass_and_neighbour_headers_do_not() {
        let received = map(&[
            ("authorization", "Bearer x"),
            ("content-type", "application/json"),
            (
                "traceparent",
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            ),
            ("ms-cv", "a"),
            ("connection", "keep-alive, x-secret, Authorization"),
            ("x-secret", "1"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("host", "bot.example"),
            ("x-botgate-tenant", "forged"),
            ("x_botgate_tenant", "forged"),
            ("x-forwarded-for", "203.0.113.1"),
            ("x_forwarded_for", "203.0.113.1"),
            ("forwarded", "for=203.0.113.1"),
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-port", "1"),
            ("x-forwarded-prefix", "/x"),
            ("x-real-ip", "203.0.113.1"),
            ("x-original-url", "/x"),
            ("x_anything", "1"),
            ("proxy", "http://evil.example"),
            ("x-http-method-override", "GET"),
            ("x-ms-client-principal-name", "admin"),
            ("x-ms-conversation-id", "a:1"),
        ]);
        let sent = to_backend(&received, origin(false));
        assert_eq!(sent["authorization"], "Bearer x");
        assert_eq!(sent["content-type"], "application/json");
        assert_eq!(sent["ms-cv"], "a");
        assert!(sent.contains_key("traceparent") && sent.contains_key("x-ms-conversation-id"));
        for gone in [
            "connection",
            "x-secret",
            "te",
            "transfer-encoding",
            "host",
            "x-botgate-tenant",
            "x_botgate_tenant",
            "x_forwarded_for",
            "x-forwarded-port",
            "x-forwarded-prefix",
            "x-real-ip",
            "x-original-url",
            "x_anything",
            "proxy",
            "x-http-method-override",
            "x-ms-client-principal-name",
        ] {
            assert!(!sent.contains_key(gone), "{gone}");
        }
        assert_eq!(sent["x-forwarded-for"], "192.0.2.7");
        assert_eq!(sent["x-forwarded-proto"], "https");
        assert_eq!(sent["x-forwarded-host"], "bot.example");
        assert_eq!(
            sent["forwarded"],
            "for=192.0.2.7;host=\"bot.example\";proto=https"
        );
    }

    #[test]
    fn a_trusted_proxys_chain_is_continued() {
        let received = map(&[
            ("x-forwarded-for", "203.0.113.1"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "a.example"),
        ]);
        let sent = to_backend(&received, origin(true));
        assert_eq!(sent["x-forwarded-for"], "203.0.113.1, 192.0.2.7");
        assert_eq!(sent["x-forwarded-proto"], "http");
        assert_eq!(sent["x-forwarded-host"], "a.example");
    }

    #[test]
    fn the_bots_answer_does_not_say_what_runs_there() {
        let sent = to_client(&map(&[
            ("server", "Kestrel"),
            ("x-powered-by", "Express"),
            ("content-type", "text/event-stream"),
            ("content-length", "3"),
            ("connection", "close"),
            ("retry-after", "2"),
        ]));
        assert_eq!(sent.len(), 2);
        assert_eq!(sent["retry-after"], "2");
    }

    #[test]
    fn the_client_is_the_right_most_address_that_is_no_trusted_proxy() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        let ip = |peer: &str, header: &str| {
            client_ip(
                peer.parse().unwrap(),
                &map(&[("x-forwarded-for", header)]),
                &trusted,
            )
            .to_string()
        };
        assert_eq!(
            ip("10.0.0.1", "198.51.100.9, 203.0.113.5, 10.0.0.2"),
            "203.0.113.5"
        );
        assert_eq!(ip("192.0.2.1", "203.0.113.5"), "192.0.2.1");
        assert_eq!(ip("10.0.0.1", "203.0.113.9:51234"), "203.0.113.9");
        let mut hidden = HeaderMap::new();
        hidden.insert(
            "x-forwarded-for",
            HeaderValue::from_bytes(b"\xe9, 203.0.113.5").unwrap(),
        );
        assert_eq!(
            client_ip("10.0.0.1".parse().unwrap(), &hidden, &trusted).to_string(),
            "203.0.113.5"
        );
        assert_eq!(ip("10.0.0.1", "[2001:db8::1]:51234"), "2001:db8::1");
        assert_eq!(ip("10.0.0.1", "[2001:db8::1]"), "2001:db8::1");
        assert_eq!(ip("10.0.0.1", "garbage"), "10.0.0.1");
        assert_eq!(ip("10.0.0.1", "203.0.113.5, garbage"), "10.0.0.1");
        assert_eq!(ip("::ffff:10.0.0.1", "203.0.113.5"), "203.0.113.5");
    }

    #[test]
    fn only_harmless_request_ids_are_taken_over() {
        assert_eq!(
            request_id(&map(&[("x-request-id", "abc-123")])),
            Some("abc-123")
        );
        assert_eq!(request_id(&map(&[("x-request-id", "a b")])), None);
        assert_eq!(request_id(&map(&[("x-request-id", "")])), None);
        assert_eq!(
            request_id(&map(&[("x-request-id", &"a".repeat(129))])),
            None
        );
    }

    #[test]
    fn a_trace_id_is_read_from_a_valid_traceparent_only() {
        let id = |value: &str| trace_id(&map(&[("traceparent", value)])).map(str::to_owned);
        assert_eq!(
            id("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").as_deref(),
            Some("0af7651916cd43dd8448eb211c80319c")
        );
        assert_eq!(
            id("00-00000000000000000000000000000000-b7ad6b7169203331-01"),
            None
        );
        assert_eq!(
            id("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            None
        );
        assert_eq!(id("x"), None);
    }
}
