use super::*;

mod as_map;

fn map(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    headers
}

/// What a backend gets, as it reads it.
fn sent_to_backend(received: &HeaderMap, origin: Origin<'_>) -> HeaderMap {
    as_read(&to_backend(received, origin, "id"))
}

/// What a client gets of an answer.
fn to_client(headers: &HeaderMap) -> HeaderMap {
    let mut answered = Answered::with_room_for(0);
    for (name, value) in headers {
        answered.add(name.clone(), value.as_bytes());
    }
    answered.to_client().unwrap()
}

fn as_read(fields: &Fields) -> HeaderMap {
    let text = fields.as_bytes().split_inclusive(|byte| *byte == b'\n');
    let field = |line: &[u8]| {
        let line = line.strip_suffix(b"\r\n").unwrap();
        let colon = line.windows(2).position(|two| two == b": ").unwrap();
        let name: HeaderName = line[..colon].try_into().unwrap();
        (name, HeaderValue::from_bytes(&line[colon + 2..]).unwrap())
    };
    let mut headers = HeaderMap::new();
    text.map(field).for_each(|(name, value)| {
        headers.append(name, value);
    });
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

/// Found by fuzzing: one entry that is no text made the whole `Connection` header count for nothing.
#[test]
fn what_connection_lists_is_taken_away_though_another_entry_is_no_text() {
    let mut received = map(&[("x-secret", "1"), ("x-other", "2")]);
    for listed in [&b"close, \xe9, x-secret"[..], b"\xff,X-Other"] {
        received.append("connection", HeaderValue::from_bytes(listed).unwrap());
    }
    for sent in [
        sent_to_backend(&received, origin(false)),
        to_client(&received),
    ] {
        assert!(!sent.contains_key("x-secret") && !sent.contains_key("x-other"));
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
    let sent = sent_to_backend(&received, origin(false));
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
    let sent = sent_to_backend(&received, origin(true));
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
        ("proxy-authentication-info", "nextnonce=1"),
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

/// The names that stay here, as lists that are gone through from one end to the other.
mod lists {
    pub(super) const NEIGHBOURS: &[&str] = &[
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
    pub(super) const CLAIMS: &[&str] = &[
        "forwarded",
        "x-real-ip",
        "x-client-ip",
        "true-client-ip",
        "x-rewrite-url",
    ];
    pub(super) const FAMILIES: &[&str] = &[
        "proxy",
        "x-forwarded-",
        "x-original-",
        "x-botgate-",
        "x-http-method",
        "x-method-override",
        "x-ms-client-principal",
    ];
    pub(super) const NOT_FOR_STRANGERS: &[&str] = &[
        "server",
        "via",
        "x-powered-by",
        "x-aspnet-version",
        "x-aspnetmvc-version",
        "alt-svc",
    ];
}

#[test]
fn the_names_that_stay_here_are_those_of_the_lists() {
    use lists::{CLAIMS, FAMILIES, NEIGHBOURS, NOT_FOR_STRANGERS};
    let known = [NEIGHBOURS, CLAIMS, FAMILIES, NOT_FOR_STRANGERS].concat();
    let more = [
        "x-",
        "x",
        "proxi",
        "x-request-id",
        "x-forwarded",
        "a",
        "x-x-forwarded-for",
    ];
    for word in known.into_iter().chain(more) {
        let shorter = &word[..word.len() - 1];
        let names = [
            word,
            shorter,
            &format!("{word}a"),
            &format!("{word}-a"),
            &format!("x-{word}"),
        ]
        .map(str::to_owned);
        for name in names
            .iter()
            .map(String::as_str)
            .filter(|name| !name.is_empty())
        {
            assert_eq!(
                is_for_neighbours(name),
                NEIGHBOURS.contains(&name),
                "{name}"
            );
            assert_eq!(claims_origin(name), CLAIMS.contains(&name), "{name}");
            let of_a_family = FAMILIES.iter().any(|family| name.starts_with(family));
            assert_eq!(is_of_a_family(name), of_a_family, "{name}");
            assert_eq!(
                is_not_for_strangers(name),
                NOT_FOR_STRANGERS.contains(&name),
                "{name}"
            );
        }
    }
}

#[test]
fn addresses_are_written_as_everybody_writes_them() {
    let written = |address: IpAddr| {
        let mut text = vec![];
        write_address(&mut text, address);
        String::from_utf8(text).unwrap()
    };
    for octet in 0..=u8::MAX {
        let address = IpAddr::from([octet, 255 - octet, 0, octet]);
        assert_eq!(written(address), address.to_string());
    }
    let address: IpAddr = "2001:db8::7".parse().unwrap();
    assert_eq!(written(address), "2001:db8::7");
    let origin = Origin {
        peer: address,
        ..origin(false)
    };
    let sent = sent_to_backend(&HeaderMap::new(), origin);
    assert_eq!(sent["x-forwarded-for"], "2001:db8::7");
    assert_eq!(
        sent["forwarded"],
        "for=\"[2001:db8::7]\";host=\"bot.example\";proto=https"
    );
}
