//! Where a request begins and ends: sizes, bodies, and HTTP that cannot be read in exactly one way.

use crate::support::Gateway;
use crate::support::client::{both, replaced};
use crate::support::wire::{Wire, send_raw};
use botgate::judge::Reason;

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
        .refused_before_proof(Reason::HeadersTooLarge)
        .await;
    // The line of a request in pieces, before its end is in sight.
    let mut wire = Wire::open(&gateway).await;
    let head = format!(
        "POST /api/messages HTTP/1.1\r\nhost: localhost\r\nx-padding: {}",
        "x".repeat(20_000)
    );
    wire.write(head.as_bytes()).await;
    let reply = wire.answer().await.unwrap();
    reply.refused_before_proof(Reason::HeadersTooLarge).await;
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
        .refused_before_proof(Reason::HeadersTooLarge)
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
    let reply = reply.refused_after_proof(Reason::BodyTooLarge).await;
    let line = reply.only_request_line().await;
    let read = line["bytes_in"].as_u64().unwrap();
    assert!(
        (65_537..3 << 20).contains(&read),
        "as far as it went: {line}"
    );
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
async fn what_stands_beside_chunks_is_no_part_of_the_body() {
    let gateway = Gateway::start().await;
    let [head, body] = gateway
        .teams_message()
        .into_pieces("trailer: x-botgate-tenant\r\ntransfer-encoding: chunked");
    let size = format!("{:x};name=\"value\"\r\n", body.len());
    let trailer = b"\r\n0\r\nx-botgate-tenant: forged\r\nauthorization: Bearer x\r\n\r\n";
    let bytes = [&head[..], size.as_bytes(), &body, trailer].concat();
    let reply = send_raw(&gateway, &bytes).await.expect("an answer");
    assert_eq!(reply.status, 200);
    let recorded = gateway.bot().seen().pop().unwrap();
    assert_eq!(recorded.body.as_deref(), Some(body.as_slice()));
    assert_eq!(recorded.header("x-botgate-tenant"), Vec::<String>::new());
    assert_eq!(recorded.header("authorization").len(), 1);
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
async fn a_refusal_does_not_wait_for_the_body_and_says_whether_it_reads_on() {
    let gateway = Gateway::with("[server.limits]\nbody_timeout = \"1h\"")
        .start()
        .await;
    let stranger = || gateway.teams_message().without_token();
    for framing in ["content-length: 2000", "transfer-encoding: chunked"] {
        let [head, _] = stranger().into_pieces(framing);
        let mut wire = Wire::open(&gateway).await;
        wire.write(&head).await;
        let reply = wire.answer().await.expect("an answer to the head alone");
        assert_eq!(reply.header("connection"), Some("close"));
        reply.refused_before_proof(Reason::TokenMissing).await;
        assert!(wire.until_closed().await.is_empty());
    }
    // A body that has come whole is no reason to close.
    let mut wire = Wire::open(&gateway).await;
    for _ in 0..2 {
        wire.write(&stranger().into_bytes()).await;
        let reply = wire.answer().await.expect("the connection is still open");
        assert_eq!(reply.header("connection"), None);
        reply.refused_before_proof(Reason::TokenMissing).await;
    }
}

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
    for (case, bytes) in cases {
        let reply = send_raw(&gateway, &bytes).await;
        let reply = reply.unwrap_or_else(|| panic!("{case}: no answer"));
        reply.refused_before_proof(Reason::RequestMalformed).await;
    }
}

#[tokio::test]
async fn a_body_with_two_ends_is_refused() {
    let gateway = Gateway::start().await;
    let length = gateway.teams_message().length();
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
async fn a_sender_that_stops_in_the_middle_of_its_body_is_not_told_that_it_was_handled() {
    let gateway = Gateway::start().await;
    let bytes = gateway.teams_message().into_bytes();
    let mut wire = Wire::open(&gateway).await;
    wire.write(&bytes[..bytes.len() - 1]).await;
    wire.stop_writing().await;
    if let Some(response) = wire.response().await {
        assert_eq!(response.status(), 400);
    }
    assert!(gateway.bot().seen().is_empty());
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_its_body_is_written_down_as_that() {
    let gateway = Gateway::start().await;
    for (id, framing, bytes_in) in [
        ("left-1", "content-length: 2000", 5),
        ("left-2", "transfer-encoding: chunked", 1),
    ] {
        let message = gateway.teams_message().header("x-request-id", id);
        let [head, _] = message.into_pieces(framing);
        let mut wire = Wire::open(&gateway).await;
        wire.write(&head).await;
        wire.write(b"64\r\n{").await;
        drop(wire);
        let line = gateway.request_line_for(id).await;
        assert_eq!(line["verdict"], "abandoned", "{line}");
        assert_eq!(line["bytes_in"], bytes_in, "{line}");
    }
    assert_eq!(gateway.bot().seen().len(), 0);
}

#[tokio::test]
async fn a_body_that_is_not_sent_is_not_counted() {
    let gateway = Gateway::start().await;
    let bytes = gateway.teams_message().header("x-request-id", "head");
    let bytes = [b"HEAD", &bytes.into_bytes()[4..]].concat();
    let mut wire = Wire::open(&gateway).await;
    wire.write(&bytes).await;
    let line = gateway.request_line_for("head").await;
    assert_eq!(line["reason"], Reason::MethodNotAllowed.code(), "{line}");
    assert_eq!(line["bytes_out"], 0, "{line}");
}

// Words

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
