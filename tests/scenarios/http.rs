//! What the listener and the router promise: which requests are read at all, and whom they reach.

use crate::support::client::Post;
use crate::support::wire::{Wire, send_raw};
use crate::support::{Gateway, PATIENCE, eventually};
use botgate::cli::demo::bot::EchoBot;
use botgate::cli::demo::client::Protocol;
use botgate::judge::Reason;
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

// Routing

#[tokio::test]
async fn host_and_path_choose_the_bot_over_both_protocols() {
    let (second, third) = (
        EchoBot::start().await.unwrap(),
        EchoBot::start().await.unwrap(),
    );
    let gateway = Gateway::with("[bots]\nhosts = [\"localhost\"]")
        .another_bot("second", &second, "hosts = [\"second.example\"]")
        .another_bot(
            "third",
            &third,
            "hosts = [\"localhost\"]\npath = \"/third\"",
        )
        .start()
        .await;
    for (host, path, name) in [
        ("localhost", "/api/messages", "echo"),
        ("LOCALHOST:8443", "/api/messages", "echo"),
        ("second.example", "/api/messages", "second"),
        ("localhost", "/third", "third"),
    ] {
        for http2 in [false, true] {
            let seen = || [gateway.bot(), &second, &third].map(|bot| bot.seen().len());
            let before = seen();
            let post = gateway.teams_message().host(host).path(path);
            let reply = if http2 { post.over_http2() } else { post }.send().await;
            let line = reply.only_request_line().await;
            assert_eq!((reply.status, &line["bot"]), (200, &name.into()), "{line}");
            assert_eq!(
                line["http_version"],
                if http2 { "2" } else { "1.1" },
                "{line}"
            );
            let mut expected = before;
            let position = ["echo", "second", "third"]
                .iter()
                .position(|other| *other == name);
            expected[position.unwrap()] += 1;
            assert_eq!(seen(), expected, "{host} {path}");
        }
    }
}

#[tokio::test]
async fn a_host_that_no_bot_has_is_misdirected() {
    let gateway = Gateway::with("[bots]\nhosts = [\"localhost\", \"bot.example.com\"]")
        .start()
        .await;
    for host in [
        "example.com",
        "bot.example.com.evil.example",
        "evil-bot.example.com",
        "bot.example.com.",
        "xn--bot.example.com",
        "127.0.0.1",
        "[::1]:443",
    ] {
        for post in both(|| gateway.teams_message().host(host)) {
            post.send()
                .await
                .refused_before_proof(Reason::HostNotServed)
                .await;
        }
    }
}

#[tokio::test]
async fn only_the_exact_path_is_served() {
    let gateway = Gateway::start().await;
    for path in [
        "/",
        "/api/messages/",
        "/api/message",
        "/api/messagesx",
        "/API/messages",
        "/api/Messages",
        "/api//messages",
        "//api/messages",
        "/api/%6dessages",
        "/api%2fmessages",
        "/api/messages%00",
        "/api/messages%20",
        "/api/./messages",
        "/api/messages/.",
        "/x/../api/messages",
        "/api/messages/../messages",
        "/api/messages;v=1",
        "/api\\messages",
    ] {
        let bytes = gateway.teams_message().path(path).into_bytes();
        let reply = send_raw(&gateway, &bytes).await.expect("an answer");
        let reply = reply.refused_before_proof(Reason::PathNotFound).await;
        let line = reply.only_request_line().await;
        assert_eq!(line["path"], path, "the path is logged as it was sent");
    }
    for path in ["/api/messages/", "/api/%6dessages", "/x/../api/messages"] {
        let post = gateway.teams_message().over_http2().path(path);
        post.send()
            .await
            .refused_before_proof(Reason::PathNotFound)
            .await;
    }
    let reply = gateway.teams_message().path("/api/messages?a=1").send();
    reply.await.forwarded().await;
}

#[tokio::test]
async fn only_post_is_served() {
    let gateway = Gateway::start().await;
    for method in [
        "GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "post", "POSTS",
    ] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        for post in both(|| gateway.teams_message().method(method.clone())) {
            post.send()
                .await
                .refused_before_proof(Reason::MethodNotAllowed)
                .await;
        }
    }
    // An answer to HEAD has no body to look at.
    for post in both(|| gateway.teams_message().body("").method(Method::HEAD)) {
        let reply = post.send().await;
        assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")));
        let line = reply.only_request_line().await;
        assert_eq!(line["reason"], Reason::MethodNotAllowed.code());
    }
    assert_eq!(gateway.bot().seen().len(), 0);
}

#[tokio::test]
async fn upgrades_are_refused() {
    let gateway = Gateway::start().await;
    let websocket = || {
        gateway
            .teams_message()
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
    };
    for post in [
        websocket(),
        websocket().method(Method::GET).body(""),
        websocket().header("upgrade", "h2c, WebSocket"),
        websocket().header("upgrade", "h2c").method(Method::GET),
    ] {
        let reply = post.send().await;
        let reply = reply.refused_before_proof(Reason::UpgradeRefused).await;
        assert!(
            reply.header("upgrade").is_some(),
            "RFC 9110 15.5.22: 426 says what is spoken instead"
        );
    }
    // An upgrade that is only offered may be ignored, RFC 9110 7.8.
    let offered = gateway.teams_message().header("connection", "upgrade");
    let reply = offered.header("upgrade", "h2c").send().await;
    let recorded = reply.forwarded().await;
    assert_eq!(recorded.header("upgrade"), Vec::<String>::new());
}

// Host

#[tokio::test]
async fn a_request_names_exactly_one_host() {
    let gateway = Gateway::start().await;
    let message = || gateway.teams_message();
    for (case, bytes) in [
        ("no Host", message().without_header("host").into_bytes()),
        (
            "two Hosts",
            message().also_header("host", "localhost").into_bytes(),
        ),
        (
            "two Hosts that differ",
            message().also_header("host", "other.example").into_bytes(),
        ),
        ("an empty Host", message().host("").into_bytes()),
        ("a user", message().host("user@localhost").into_bytes()),
        ("no port", message().host("localhost:port").into_bytes()),
        ("a path", message().host("localhost/api").into_bytes()),
        (
            "a list",
            message().host("localhost, other.example").into_bytes(),
        ),
        (
            "absolute-form",
            message()
                .path("http://localhost/api/messages")
                .host("localhost")
                .into_bytes(),
        ),
        (
            "absolute-form for another host",
            message()
                .path("https://other.example/api/messages")
                .into_bytes(),
        ),
        (
            "authority-form",
            message()
                .method(Method::CONNECT)
                .path("localhost:443")
                .into_bytes(),
        ),
        (
            "HTTP/1.0 without Host",
            replaced(message().without_header("host"), "HTTP/1.1", "HTTP/1.0"),
        ),
    ] {
        let reply = send_raw(&gateway, &bytes).await.expect(case);
        let reply = reply.refused_before_proof(Reason::RequestMalformed).await;
        let closes = reply.header("connection") == Some("close");
        assert!(
            closes,
            "{case}: who sends this once is not believed a second time"
        );
    }
}

#[tokio::test]
async fn host_and_authority_must_agree() {
    let gateway = Gateway::start().await;
    let message = || {
        let request = gateway.teams_message().into_request();
        let (mut head, body) = request.into_parts();
        head.uri = "https://localhost/api/messages".parse().unwrap();
        Request::from_parts(head, body)
    };
    let agreeing = over_http2(&gateway, message()).await;
    assert_eq!(agreeing.status(), 200);
    let mut differing = message();
    let other = "other.example".parse().unwrap();
    differing.headers_mut().insert("host", other);
    let refused = over_http2(&gateway, differing).await;
    assert_eq!(refused.status(), 400);
    let id = refused.headers()["x-request-id"].to_str().unwrap();
    let line = gateway.request_line_for(id).await;
    assert_eq!(line["reason"], Reason::RequestMalformed.code(), "{line}");
    assert_eq!(gateway.bot().seen().len(), 1);
}

// Sizes and times

#[tokio::test]
async fn a_head_with_too_many_bytes_is_refused() {
    let gateway = Gateway::with("[server.limits]\nheader_bytes = \"16KiB\"")
        .start()
        .await;
    let message = |padding: usize| {
        let value = "x".repeat(padding);
        gateway.teams_message().header("x-padding", &value)
    };
    for post in both(|| message(10_000)) {
        post.send().await.forwarded().await;
    }
    let reply = send_raw(&gateway, &message(20_000).into_bytes()).await;
    reply
        .unwrap()
        .refused_unread(Reason::HeadersTooLarge, 3)
        .await;
    // The line of a request in pieces, before its end is in sight.
    let mut wire = Wire::open(&gateway).await;
    let head = format!(
        "POST /api/messages HTTP/1.1\r\nhost: localhost\r\nx-padding: {}",
        "x".repeat(20_000)
    );
    wire.write(head.as_bytes()).await;
    let reply = wire.answer().await.unwrap();
    reply.refused_unread(Reason::HeadersTooLarge, 4).await;
    let reply = message(20_000).over_http2().send().await;
    reply.refused_before_proof(Reason::HeadersTooLarge).await;
}

#[tokio::test]
async fn a_head_with_too_many_fields_is_refused() {
    let gateway = Gateway::with("[server.limits]\nheaders = 20").start().await;
    let message = |fields: usize| {
        (0..fields).fold(gateway.teams_message(), |post, number| {
            post.also_header("x-field", &number.to_string())
        })
    };
    for post in both(|| message(10)) {
        post.send().await.forwarded().await;
    }
    let reply = send_raw(&gateway, &message(20).into_bytes()).await;
    reply
        .unwrap()
        .refused_unread(Reason::HeadersTooLarge, 3)
        .await;
    let reply = message(20).over_http2().send().await;
    reply.refused_before_proof(Reason::HeadersTooLarge).await;
}

#[tokio::test]
async fn a_body_announced_too_large_is_refused_before_it_is_sent() {
    let gateway = Gateway::with("[server.limits]\nbody_bytes = \"4KiB\"")
        .start()
        .await;
    let [head, _] = gateway.teams_message().into_pieces("content-length: 4097");
    let mut wire = Wire::open(&gateway).await;
    wire.write(&head).await;
    let reply = wire.answer().await.expect("an answer to the head alone");
    reply.refused_before_proof(Reason::BodyTooLarge).await;
}

#[tokio::test]
async fn a_client_that_sends_a_large_body_gets_to_read_the_refusal() {
    let gateway = Gateway::with("[server.limits]\nbody_bytes = \"64KiB\"")
        .start()
        .await;
    let body = vec![b' '; 3 << 20];
    for post in both(|| gateway.teams_message().body(body.clone())) {
        post.send()
            .await
            .refused_before_proof(Reason::BodyTooLarge)
            .await;
    }
    // No length is announced: the gateway only knows once it has read too much, which it does for proven callers only.
    let [head, _] = gateway
        .teams_message()
        .into_pieces("transfer-encoding: chunked");
    let mut wire = Wire::open(&gateway).await;
    wire.write(&head).await;
    wire.write(&chunked(&body, 100_000)).await;
    let reply = wire.answer().await.expect("an answer");
    reply.refused_after_proof(Reason::BodyTooLarge).await;
    // The very size is still fine.
    let exact = gateway
        .teams_message()
        .text(|text| format!("{}{text}", " ".repeat(65536 - text.len())));
    exact.send().await.forwarded().await;
}

#[tokio::test]
async fn a_chunked_body_reaches_the_bot_whole() {
    let gateway = Gateway::start().await;
    let [head, body] = gateway
        .teams_message()
        .into_pieces("transfer-encoding: chunked");
    let mut wire = Wire::open(&gateway).await;
    wire.write(&head).await;
    wire.write(&chunked(&body, 100)).await;
    let reply = wire.answer().await.expect("an answer");
    assert_eq!(reply.status, 200);
    let recorded = gateway.bot().seen().pop().unwrap();
    assert_eq!(recorded.body.as_deref(), Some(body.as_slice()));
    assert_eq!(
        recorded.header("content-length"),
        [body.len().to_string()],
        "AUTHENTICATION 5.7 rule 8: a recomputed Content-Length"
    );
    assert_eq!(recorded.header("transfer-encoding"), Vec::<String>::new());
}

#[tokio::test]
async fn a_body_that_does_not_come_is_timed_out() {
    let gateway = Gateway::with("[server.limits]\nbody_timeout = \"300ms\"")
        .start()
        .await;
    for framing in ["content-length: 2000", "transfer-encoding: chunked"] {
        let [head, body] = gateway.teams_message().into_pieces(framing);
        let mut wire = Wire::open(&gateway).await;
        wire.write(&head).await;
        let part = if framing.starts_with("content") {
            body[..100].to_vec()
        } else {
            b"64\r\n".iter().chain(&body[..100]).copied().collect()
        };
        wire.write(&part).await;
        let reply = wire.answer().await.expect("an answer");
        reply.refused_after_proof(Reason::BodyTimedOut).await;
    }
}

#[tokio::test]
async fn a_head_that_comes_too_slowly_ends_the_connection() {
    let gateway = Gateway::with("[server.limits]\nheader_timeout = \"300ms\"")
        .start()
        .await;
    let bytes = gateway.teams_message().into_bytes();
    // Silence, a part, and drops that never end.
    assert_eq!(Wire::open(&gateway).await.until_closed().await, b"");
    let mut wire = Wire::open(&gateway).await;
    wire.write(&bytes[..30]).await;
    assert_eq!(wire.until_closed().await, b"");
    let mut wire = Wire::open(&gateway).await;
    let started = Instant::now();
    for byte in bytes.iter().take(200) {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if !wire.write(&[*byte]).await {
            break;
        }
    }
    assert!(
        started.elapsed() < Duration::from_millis(200 * 20),
        "a drop now and then kept the connection open"
    );
    let answered = gateway.teams_message().send().await;
    answered.forwarded().await;
}

#[tokio::test]
async fn an_idle_connection_has_its_own_timeout() {
    let gateway = Gateway::with(IDLE_LONGER_THAN_A_HEAD).start().await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let mut connection = gateway.client().connect(protocol).await.unwrap();
        let reply = gateway.teams_message().send_on(&mut connection).await;
        reply.forwarded().await;
        tokio::time::sleep(LONGER_THAN_A_HEAD).await;
        let reply = gateway.teams_message().send_on(&mut connection).await;
        reply.forwarded().await;
    }
    let mut wire = Wire::open(&gateway).await;
    wire.write(&gateway.teams_message().into_bytes()).await;
    let reply = wire.answer().await.unwrap();
    reply.forwarded().await;
    assert_eq!(wire.until_closed().await, b"", "idle too long");
}

#[tokio::test]
async fn a_ping_on_an_idle_http2_connection_does_not_begin_a_request() {
    let gateway = Gateway::with(IDLE_LONGER_THAN_A_HEAD).start().await;
    let stream = gateway.client().handshake(Protocol::Http2).await.unwrap();
    let handshake = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_millis(50))
        .keep_alive_while_idle(true)
        .handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    for wait in [Duration::ZERO, LONGER_THAN_A_HEAD] {
        tokio::time::sleep(wait).await;
        let mut request = gateway.teams_message().into_request();
        *request.uri_mut() = "https://localhost/api/messages".parse().unwrap();
        let response = sender.send_request(request.map(Full::new)).await;
        assert_eq!(response.expect("it is still open").status(), 200);
    }
}

/// What an idle connection is closed after, and what a head is: the promises are about these times.
const IDLE_LONGER_THAN_A_HEAD: &str =
    "[server.limits]\nheader_timeout = \"500ms\"\nkeep_alive_timeout = \"2500ms\"";
const LONGER_THAN_A_HEAD: Duration = Duration::from_millis(1000);

// HTTP that is no HTTP

#[tokio::test]
async fn http_that_cannot_be_read_is_refused_with_one_line() {
    let gateway = Gateway::start().await;
    let message = || gateway.teams_message();
    let framed = |framing: &str| {
        let [head, body] = message().into_pieces(framing);
        [head, body].concat()
    };
    let length = String::from_utf8(message().into_bytes())
        .unwrap()
        .split("content-length: ")
        .nth(1)
        .and_then(|rest| rest.split('\r').next().map(str::to_owned))
        .unwrap();
    let cases = [
        ("no HTTP", b"hello, is this a bot?\r\n\r\n".to_vec()),
        ("no version", b"POST /api/messages\r\n\r\n".to_vec()),
        (
            "an unknown version",
            replaced(message(), "HTTP/1.1", "HTTP/1.2"),
        ),
        (
            "an unknown major version",
            replaced(message(), "HTTP/1.1", "HTTP/3.0"),
        ),
        ("a space too many", replaced(message(), "POST ", "POST  ")),
        (
            "a space in the path",
            replaced(message(), "/api/messages", "/api/mess ages"),
        ),
        (
            "a header without a colon",
            framed(&format!("content-length: {length}\r\nhello")),
        ),
        (
            "a space before the colon",
            framed(&format!("content-length : {length}")),
        ),
        (
            "a folded header",
            framed(&format!("content-length: {length}\r\nx-a: b\r\n c")),
        ),
        (
            "a NUL in a header",
            framed(&format!("content-length: {length}\r\nx-a: b\0c")),
        ),
        (
            "a carriage return in a header",
            framed(&format!("content-length: {length}\r\nx-a: b\rc")),
        ),
        (
            "lengths that differ",
            framed(&format!("content-length: {length}\r\ncontent-length: 5")),
        ),
        (
            "a list of lengths",
            framed(&format!("content-length: {length}, {length}")),
        ),
        (
            "a length with a sign",
            framed(&format!("content-length: +{length}")),
        ),
        ("a negative length", framed("content-length: -1")),
        ("a length in hex", framed("content-length: 0x10")),
        (
            "a length beyond all numbers",
            framed("content-length: 99999999999999999999999"),
        ),
        (
            "an unknown transfer coding",
            framed("transfer-encoding: gzip"),
        ),
        (
            "a coding after chunked",
            framed("transfer-encoding: chunked, gzip"),
        ),
        (
            "chunks in HTTP/1.0",
            String::from_utf8(framed("transfer-encoding: chunked"))
                .unwrap()
                .replacen("HTTP/1.1", "HTTP/1.0", 1)
                .into_bytes(),
        ),
    ];
    for (number, (case, bytes)) in cases.into_iter().enumerate() {
        println!("{case}");
        let reply = send_raw(&gateway, &bytes).await;
        let reply = reply.unwrap_or_else(|| panic!("{case}: no answer"));
        reply
            .refused_unread(Reason::RequestMalformed, number + 1)
            .await;
    }
}

#[tokio::test]
async fn a_body_with_two_ends_is_refused() {
    let gateway = Gateway::start().await;
    let length = post_length(&gateway);
    for framing in [
        format!("content-length: {length}\r\ntransfer-encoding: chunked"),
        format!("transfer-encoding: chunked\r\ncontent-length: {length}"),
        format!("Transfer-Encoding: Chunked\r\nContent-Length: {length}"),
        "transfer-encoding: chunked\r\ncontent-length: 0".to_owned(),
    ] {
        let [head, body] = gateway.teams_message().into_pieces(&framing);
        let bytes = [head, chunked(&body, 100)].concat();
        let reply = send_raw(&gateway, &bytes).await.expect("an answer");
        reply.refused_before_proof(Reason::RequestMalformed).await;
    }
    // Twice the same is not two ends, but nobody who means well writes it.
    let twice = format!("content-length: {length}\r\ncontent-length: {length}");
    let bytes = gateway.teams_message().into_pieces(&twice).concat();
    let reply = send_raw(&gateway, &bytes).await.expect("an answer");
    reply.refused_before_proof(Reason::RequestMalformed).await;
}

#[tokio::test]
async fn a_body_with_broken_chunks_is_refused() {
    let gateway = Gateway::start().await;
    for chunks in [
        "zz\r\n{}\r\n0\r\n\r\n",
        "-2\r\n{}\r\n0\r\n\r\n",
        "0x2\r\n{}\r\n0\r\n\r\n",
        "2\r\n{}x\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\n{}\r\n0\r\n\r\n",
        "2 2\r\n{}\r\n0\r\n\r\n",
    ] {
        let [head, _] = gateway
            .teams_message()
            .into_pieces("transfer-encoding: chunked");
        let bytes = [head.as_slice(), chunks.as_bytes()].concat();
        let reply = send_raw(&gateway, &bytes).await;
        let reply = reply.unwrap_or_else(|| panic!("{chunks:?}: no answer"));
        reply.refused_after_proof(Reason::RequestMalformed).await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_its_body_is_written_down_as_that() {
    let gateway = Gateway::start().await;
    for (id, framing) in [
        ("left-1", "content-length: 2000"),
        ("left-2", "transfer-encoding: chunked"),
    ] {
        let message = gateway.teams_message().header("x-request-id", id);
        let [head, _] = message.into_pieces(framing);
        let mut wire = Wire::open(&gateway).await;
        wire.write(&head).await;
        wire.write(b"64\r\n{").await;
        drop(wire);
        let line = gateway.request_line_for(id).await;
        assert_eq!(line["verdict"], "abandoned", "{line}");
    }
    assert_eq!(gateway.bot().seen().len(), 0);
}

// Keep-alive

#[tokio::test]
async fn a_connection_serves_on_after_refusals() {
    let gateway = Gateway::with("[server.limits]\nbody_bytes = \"4KiB\"")
        .start()
        .await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let mut connection = gateway.client().connect(protocol).await.unwrap();
        for (post, reason) in [
            (
                gateway.teams_message().without_token(),
                Reason::TokenMissing,
            ),
            (
                gateway.teams_message().token(|t| t.with_a_bit_flipped()),
                Reason::TokenSignatureInvalid,
            ),
            (
                gateway.teams_message().method(Method::PUT),
                Reason::MethodNotAllowed,
            ),
            (gateway.teams_message().path("/"), Reason::PathNotFound),
            (
                gateway.teams_message().header("content-type", "text/plain"),
                Reason::ContentTypeUnsupported,
            ),
            (
                gateway.teams_message().body(vec![b' '; 5000]),
                Reason::BodyTooLarge,
            ),
        ] {
            let reply = post.send_on(&mut connection).await;
            reply.refused_before_proof(reason).await;
        }
        let reply = gateway.teams_message().body("{").send_on(&mut connection);
        reply
            .await
            .refused_after_proof(Reason::ActivityMalformed)
            .await;
        let reply = gateway.teams_message().send_on(&mut connection).await;
        reply.forwarded().await;
    }
    let handshakes = "botgate_tls_handshakes_total{result=\"ok\",version=\"1.3\"}";
    let opened = gateway.metric(handshakes).await;
    assert!((opened - 2.0).abs() < f64::EPSILON, "{opened} connections");
}

#[tokio::test]
async fn only_a_proven_caller_is_told_to_go_on_with_its_body() {
    let gateway = Gateway::start().await;
    let expecting = |post: Post| {
        let framing = "expect: 100-continue\r\ncontent-length: ";
        let length = post_length(&gateway);
        post.into_pieces(&format!("{framing}{length}"))
    };
    let [head, _] = expecting(gateway.teams_message().without_token());
    let mut wire = Wire::open(&gateway).await;
    wire.write(&head).await;
    let reply = wire.answer().await.expect("an answer to the head alone");
    reply.refused_before_proof(Reason::TokenMissing).await;

    let [head, body] = expecting(gateway.teams_message());
    let mut wire = Wire::open(&gateway).await;
    wire.write(&head).await;
    let interim = wire.response().await.expect("an answer");
    assert_eq!(interim.status(), 100);
    wire.write(&body).await;
    let reply = wire.answer().await.expect("an answer");
    let recorded = reply.forwarded().await;
    assert_eq!(recorded.header("expect"), Vec::<String>::new());
}

// TLS

#[tokio::test]
async fn tls_1_2_and_1_3_are_spoken_and_written_down() {
    let gateway = Gateway::start().await;
    for (version, name) in [
        (&rustls::version::TLS12, "1.2"),
        (&rustls::version::TLS13, "1.3"),
    ] {
        let client = gateway.client().speaking_only(version).unwrap();
        let mut connection = client.connect(Protocol::Http1).await.unwrap();
        let reply = gateway.teams_message().send_on(&mut connection).await;
        reply.forwarded().await;
        assert_eq!(reply.only_request_line().await["tls_version"], name);
    }
}

#[tokio::test]
async fn older_tls_is_refused() {
    let gateway = Gateway::start().await;
    for version in [[3, 2], [3, 1], [3, 0]] {
        let alert = answer_to_client_hello(&gateway, version).await;
        // RFC 5246 7.2: one alert (21) of two bytes, fatal (2), and nothing of a handshake.
        assert_eq!((alert[0], alert.len(), alert[5]), (21, 7, 2), "{alert:?}");
    }
    let failed = "botgate_tls_handshakes_total{result=\"failed\",version=\"\"}";
    eventually("counted", async || gateway.metric(failed).await >= 3.0).await;
}

#[tokio::test]
async fn tls_1_2_can_be_turned_off() {
    let gateway = Gateway::with("[server.tls]\nmin_version = \"1.3\"")
        .start()
        .await;
    let old = gateway.client().speaking_only(&rustls::version::TLS12);
    let refused = old.unwrap().handshake(Protocol::Http1).await;
    let why = refused.expect_err("TLS 1.2 is refused").to_string();
    assert!(why.contains("ProtocolVersion"), "{why}");
    gateway.teams_message().send().await.forwarded().await;
}

#[tokio::test]
async fn alpn_chooses_the_protocol() {
    let gateway = Gateway::start().await;
    for (offered, agreed) in [
        (&["h2", "http/1.1"][..], Some("h2")),
        (&["http/1.1", "h2"], Some("h2")),
        (&["http/1.1"], Some("http/1.1")),
        (&["spdy/3", "http/1.1"], Some("http/1.1")),
        (&[], None),
    ] {
        let stream = tls_connect(&gateway, offered).await.unwrap();
        let protocol = stream.get_ref().1.alpn_protocol();
        assert_eq!(protocol, agreed.map(str::as_bytes), "offered {offered:?}");
    }
    assert!(tls_connect(&gateway, &["spdy/3"]).await.is_err());
    // Without ALPN it is HTTP/1.1.
    let mut stream = tls_connect(&gateway, &[]).await.unwrap();
    let bytes = gateway.teams_message().into_bytes();
    stream.write_all(&bytes).await.unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 200");
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_cut() {
    let gateway = Gateway::with("[server.tls]\nhandshake_timeout = \"300ms\"")
        .start()
        .await;
    for start in [&[][..], &[22, 3, 1, 2, 0, 1]] {
        let mut stream = TcpStream::connect(gateway.client().address())
            .await
            .unwrap();
        stream.write_all(start).await.unwrap();
        let end = timeout(PATIENCE, stream.read(&mut [0; 64])).await;
        assert!(matches!(end.expect("it is closed"), Ok(0) | Err(_)));
    }
    let timed_out = "botgate_tls_handshakes_total{result=\"timed_out\",version=\"\"}";
    eventually("counted", async || gateway.metric(timed_out).await >= 2.0).await;
    gateway.teams_message().send().await.forwarded().await;
}

#[tokio::test]
async fn http_without_tls_is_not_answered() {
    let gateway = Gateway::start().await;
    let mut stream = TcpStream::connect(gateway.client().address())
        .await
        .unwrap();
    let bytes = gateway.teams_message().into_bytes();
    stream.write_all(&bytes).await.unwrap();
    let mut answer = Vec::new();
    let _end = timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .expect("it is closed");
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    assert_eq!(gateway.bot().seen().len(), 0);
}

// Words

/// The same request for either protocol.
fn both(post: impl Fn() -> Post) -> [Post; 2] {
    [post(), post().over_http2()]
}

/// The bytes of a request, in which the first `from` is `to`.
fn replaced(post: Post, from: &str, to: &str) -> Vec<u8> {
    let bytes = String::from_utf8(post.into_bytes()).unwrap();
    bytes.replacen(from, to, 1).into_bytes()
}

/// The length of the body of a Teams message.
fn post_length(gateway: &Gateway) -> usize {
    gateway.teams_message().into_pieces("")[1].len()
}

/// A body in chunks of at most `size` bytes.
fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for chunk in body.chunks(size) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

/// Sends a request over HTTP/2 as it is: `:authority` from its target, `Host` from its headers.
async fn over_http2(gateway: &Gateway, request: Request<Bytes>) -> Response<Bytes> {
    let stream = gateway.client().handshake(Protocol::Http2).await.unwrap();
    let handshake =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let response = sender.send_request(request.map(Full::new)).await.unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Response::from_parts(head, body)
}

async fn tls_connect(
    gateway: &Gateway,
    alpn: &[&str],
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let mut client = gateway.client().clone();
    let mut tls = client.tls_mut().clone();
    tls.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(client.address()).await?;
    tokio_rustls::TlsConnector::from(std::sync::Arc::new(tls))
        .connect("localhost".try_into().unwrap(), stream)
        .await
}

/// What the gateway answers to a ClientHello of an old version, which no library at hand writes any more.
async fn answer_to_client_hello(gateway: &Gateway, version: [u8; 2]) -> Vec<u8> {
    let suites = [0xc0, 0x14, 0xc0, 0x13, 0x00, 0x35, 0x00, 0x2f];
    let mut hello = version.to_vec();
    hello.extend([7; 32]); // random
    hello.push(0); // no session
    hello.extend([0, u8::try_from(suites.len()).unwrap()]);
    hello.extend(suites);
    hello.extend([1, 0]); // no compression
    hello.extend([0, 0]); // no extensions
    let length = u8::try_from(hello.len()).unwrap();
    let mut record = vec![22, 3, 1, 0, length + 4, 1, 0, 0, length];
    record.extend(hello);
    let mut stream = TcpStream::connect(gateway.client().address())
        .await
        .unwrap();
    stream.write_all(&record).await.unwrap();
    let mut answer = Vec::new();
    let _reset = timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .expect("it is closed");
    answer
}
