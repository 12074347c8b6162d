//! Header lines, and what crosses the gateway of them. The first line holds the peer's address; `10.` and `::1` are trusted.

use super::token::halves;
use botgate::net::headers::{
    Answered, Origin, client_ip, is_trusted, request_id, to_backend, trace_id,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

/// RFC 9110 7.6.1, and what gateways must not let through.
const HOP_BY_HOP: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-authentication-info",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length",
];

const ONLY_OURS: &[&str] = &[
    "x-real-ip",
    "true-client-ip",
    "x-client-ip",
    "proxy",
    "host",
];
const FORWARDING: &[&str] = &[
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
];

pub fn check(input: &[u8]) -> bool {
    let (peer, lines) = halves(input, b'\n');
    let peer = std::str::from_utf8(peer)
        .ok()
        .and_then(|peer| peer.parse().ok());
    let peer: IpAddr = peer.unwrap_or(IpAddr::from([203, 0, 113, 7]));
    let headers = headers(lines);
    let trusted: [IpNet; 2] = ["10.0.0.0/8", "::1/128"].map(|net| net.parse().expect("a network"));
    let peer_is_trusted = is_trusted(peer, &trusted);

    clients(peer, &headers, &trusted, peer_is_trusted);
    let origin = Origin {
        peer,
        peer_is_trusted,
        scheme: "https",
        host: "bot.example",
    };
    backends(&headers, origin);
    answers(&headers);
    if let Some(id) = request_id(&headers) {
        assert!((1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()));
        assert!(!id.contains(['"', '\\', '<', '>', '{', '}', '$', ' ']));
    }
    if let Some(id) = trace_id(&headers) {
        assert!(id.len() == 32 && u128::from_str_radix(id, 16).expect("hex") != 0);
    }
    true
}

/// Header lines as they stand in a request; what cannot be a header is left out.
pub fn headers(lines: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n').take(64) {
        let (name, value) = halves(line, b':');
        let value = value.trim_ascii();
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            headers.append(name, value);
        }
    }
    headers
}

/// The fields of a head that the gateway wrote, as a backend reads them.
fn as_read(text: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r\n").expect("a whole line");
        let (name, value) = halves(line, b':');
        let value = value.strip_prefix(b" ").expect("a space before the value");
        headers.append(
            HeaderName::from_bytes(name).expect("a name"),
            HeaderValue::from_bytes(value).expect("a value"),
        );
    }
    headers
}

/// The client is the peer, or, where that is trusted, an address that a proxy wrote.
fn clients(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet], peer_is_trusted: bool) {
    let client = client_ip(peer, headers, trusted);
    let neighbour = peer.to_canonical();
    if !peer_is_trusted || client == neighbour {
        assert!(peer_is_trusted || client == neighbour);
        return;
    }
    // Where both are there, only a client that both lead to, or one of them and the other nowhere beyond the proxies.
    let [x, forwarded] = ["x-forwarded-for", "forwarded"].map(|name| {
        let mut alone = HeaderMap::new();
        for value in headers.get_all(name) {
            alone.append(HeaderName::from_static(name), value.clone());
        }
        (!alone.is_empty()).then(|| client_ip(peer, &alone, trusted))
    });
    assert!([x, forwarded].contains(&Some(client)));
    for other in [x, forwarded].into_iter().flatten() {
        assert!(other == client || is_trusted(other, trusted));
    }
    if forwarded.is_some() {
        return;
    }
    let named: Vec<IpAddr> = headers
        .get_all("x-forwarded-for")
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|entry| std::str::from_utf8(entry).ok())
        .filter_map(|entry| {
            let entry = entry.trim();
            let bare = entry.trim_start_matches('[').trim_end_matches(']');
            let with_port = || entry.parse::<SocketAddr>().ok().map(|address| address.ip());
            bare.parse().ok().or_else(with_port)
        })
        .map(|address: IpAddr| address.to_canonical())
        .collect();
    assert!(named.contains(&client));
    // Every address to the right of the client's is a trusted proxy.
    let mut right_of = named.iter().rev().take_while(|address| **address != client);
    assert!(right_of.all(|address| is_trusted(*address, trusted)));
}

fn backends(headers: &HeaderMap, origin: Origin<'_>) {
    let sent = as_read(to_backend(headers, origin, "id").as_bytes());
    assert_eq!(values(&sent, "x-request-id"), [b"id"]);
    for name in sent.keys() {
        let name = name.as_str();
        assert!(
            !HOP_BY_HOP.contains(&name) && !ONLY_OURS.contains(&name),
            "{name}"
        );
        assert!(!name.contains('_'), "{name}");
        assert!(
            !name.starts_with("x-botgate-") && !name.starts_with("x-original-"),
            "{name}"
        );
        assert!(
            !name.starts_with("x-forwarded-") || FORWARDING.contains(&name),
            "{name}"
        );
        if !FORWARDING.contains(&name) && name != "x-request-id" {
            assert_eq!(values(headers, name), values(&sent, name), "{name}");
        }
    }
    for name in listed(headers) {
        let stays = matches!(
            name.as_str(),
            "authorization" | "content-type" | "x-request-id"
        ) || FORWARDING.contains(&name.as_str());
        assert!(stays || !sent.contains_key(name.as_str()), "{name}");
    }
    for name in ["authorization", "content-type"] {
        assert_eq!(values(headers, name), values(&sent, name), "{name}");
    }
    for name in FORWARDING {
        let said = values(&sent, name);
        assert_eq!(said.len(), 1, "{name}");
        if !origin.peer_is_trusted {
            let peer = origin.peer.to_canonical().to_string();
            let own = match *name {
                "x-forwarded-for" => said[0] == peer.as_bytes(),
                "x-forwarded-host" => said[0] == origin.host.as_bytes(),
                "x-forwarded-proto" => said[0] == origin.scheme.as_bytes(),
                _ => !said[0].contains(&b',') && said[0].starts_with(b"for="),
            };
            assert!(own, "{name}");
        }
    }
}

fn answers(headers: &HeaderMap) {
    let mut answered = Answered::with_room_for(headers.len());
    for (name, value) in headers {
        answered.add(name.clone(), value.as_bytes());
    }
    let sent = answered.to_client().expect("fields of a map");
    for name in sent.keys() {
        let name = name.as_str();
        assert!(!HOP_BY_HOP.contains(&name), "{name}");
        assert!(!matches!(name, "server" | "x-powered-by"), "{name}");
        assert_eq!(values(headers, name), values(&sent, name), "{name}");
    }
    for name in listed(headers) {
        assert!(
            name == "content-type" || !sent.contains_key(name.as_str()),
            "{name}"
        );
    }
}

/// What the `Connection` headers list.
fn listed(headers: &HeaderMap) -> Vec<String> {
    values(headers, "connection")
        .into_iter()
        .flat_map(|value| value.split(|byte| *byte == b','))
        .filter_map(|name| std::str::from_utf8(name.trim_ascii()).ok())
        .filter(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()))
        .map(str::to_ascii_lowercase)
        .collect()
}

fn values<'h>(headers: &'h HeaderMap, name: &str) -> Vec<&'h [u8]> {
    let values = headers.get_all(name).iter();
    values.map(HeaderValue::as_bytes).collect()
}
