//! What backends and clients get, against the same made as a `HeaderMap`, which is slower and was so before.

use super::super::*;
use super::to_client;
use http::HeaderValue;
use proptest::collection::vec;
use proptest::prelude::*;

/// As it was before.
fn made_as_map(received: &HeaderMap, origin: Origin<'_>, request_id: &str) -> HeaderMap {
    let values = received.get_all(header::CONNECTION).iter();
    let listed: Vec<&[u8]> = values
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .collect();
    let is_listed = |name: &str| {
        let mut options = listed.iter();
        options.any(|option| option.eq_ignore_ascii_case(name.as_bytes()))
    };
    let mut headers = HeaderMap::new();
    for (name, value) in received {
        let text = name.as_str();
        let dropped = is_for_neighbours(text)
            || claims_origin(text)
            || is_of_a_family(text)
            || text.contains('_')
            || (is_listed(text) && !NOT_STRIPPED.contains(name));
        if !dropped {
            headers.append(name.clone(), value.clone());
        }
    }
    let cookies = headers.get_all(header::COOKIE).iter();
    let crumbs: Vec<_> = cookies.map(HeaderValue::as_bytes).collect();
    if crumbs.len() > 1 {
        let joined = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])).unwrap();
        headers.insert(header::COOKIE, joined);
    }
    let peer = origin.peer.to_canonical();
    let quoted = match peer {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("\"[{v6}]\""),
    };
    let (host, scheme) = (origin.host, origin.scheme);
    let believed = Some(received).filter(|_| origin.peer_is_trusted);
    for (name, own) in [
        (X_FORWARDED_FOR, peer.to_string()),
        (
            header::FORWARDED,
            format!("for={quoted};host=\"{host}\";proto={scheme}"),
        ),
    ] {
        let before = believed.into_iter().flat_map(|all| all.get_all(&name));
        let mut entries: Vec<_> = before.map(HeaderValue::as_bytes).collect();
        entries.push(own.as_bytes());
        if let Ok(value) = HeaderValue::from_bytes(&entries.join(&b", "[..])) {
            headers.insert(name, value);
        }
    }
    for (name, own) in [(X_FORWARDED_PROTO, scheme), (X_FORWARDED_HOST, host)] {
        let before = believed.and_then(|all| all.get(&name)).cloned();
        if let Some(value) = before.or_else(|| HeaderValue::from_str(own).ok()) {
            headers.insert(name, value);
        }
    }
    if let Ok(value) = HeaderValue::from_str(request_id) {
        headers.insert(X_REQUEST_ID, value);
    }
    headers
}

/// As it was before.
fn left_of_map(headers: &HeaderMap) -> HeaderMap {
    let values = headers.get_all(header::CONNECTION).iter();
    let listed: Vec<&[u8]> = values
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .collect();
    let is_dropped = |name: &HeaderName| {
        let text = name.as_str();
        let mut options = listed.iter();
        is_for_neighbours(text)
            || is_not_for_strangers(text)
            || text.starts_with("proxy-")
            || (options.any(|option| option.eq_ignore_ascii_case(text.as_bytes()))
                && *name != header::CONTENT_TYPE)
    };
    let mut left = HeaderMap::new();
    for (name, value) in headers {
        if !is_dropped(name) {
            left.append(name.clone(), value.clone());
        }
    }
    left
}

fn text_of(map: &HeaderMap) -> Vec<u8> {
    let mut text = Vec::new();
    for (name, value) in map {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    text
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "authorization",
        "connection",
        "content-type",
        "content-length",
        "cookie",
        "forwarded",
        "host",
        "keep-alive",
        "proxy-a",
        "server",
        "set-cookie",
        "traceparent",
        "tracestate",
        "x-a",
        "x-b",
        "x-botgate-tenant",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-request-id",
        "x_a",
    ])
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~\t\u{e9}]{0,4}",
        vec(name(), 0..3).prop_map(|names| names.join(", ")),
    ]
}

proptest! {
    /// To the byte, and in the same order.
    #[test]
    fn a_backend_gets_what_it_would_of_a_map(
        lines in vec((name(), value()), 0..12),
        peer: IpAddr,
        peer_is_trusted: bool,
        host in "[a-z\u{e9}\n:]{0,4}",
        request_id in "[a-z]{1,3}",
    ) {
        let mut received = HeaderMap::new();
        for (name, value) in &lines {
            received.append(*name, value.parse().unwrap());
        }
        let origin = Origin { peer, peer_is_trusted, scheme: "https", host: &host };
        let expected = text_of(&made_as_map(&received, origin, &request_id));
        let sent = to_backend(&received, origin, &request_id);
        prop_assert_eq!(sent.as_bytes(), expected);
    }

    /// In the order of the bot, too.
    #[test]
    fn a_client_gets_what_is_left_of_a_map(lines in vec((name(), value()), 0..14)) {
        let mut answered = HeaderMap::new();
        let mut as_read = Answered::with_room_for(0);
        for (name, value) in &lines {
            answered.append(*name, value.parse().unwrap());
            as_read.add(HeaderName::from_static(name), value.as_bytes());
        }
        let expected = text_of(&left_of_map(&answered));
        prop_assert_eq!(text_of(&as_read.to_client().unwrap()), expected.clone());
        prop_assert_eq!(text_of(&to_client(&answered)), expected);
    }
}
