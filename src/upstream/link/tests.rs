#![allow(clippy::disallowed_methods, reason = "bodies come from the test")]

use super::*;
use crate::net::client::chain;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method};
use http_body_util::BodyExt as _;
use tokio::io::{AsyncWriteExt as _, DuplexStream, duplex};

/// A link, and the bot's end of it, between which so many bytes may be on their way.
fn connected(room: usize) -> (Box<Link>, DuplexStream) {
    let (ours, bot) = duplex(room);
    (Box::new(Link::new(Line::new(ours))), bot)
}

const BODY: &[u8] = b"{}";
const REQUEST: &[u8] = b"POST /api HTTP/1.1\r\nx-a: b\r\nhost: bot\r\ncontent-length: 2\r\n\r\n{}";

/// The answer, and the link where it may be used again. What went wrong is told as an operator reads it.
async fn asked(
    mut link: Box<Link>,
    body: Bytes,
) -> (Result<(u16, Bytes), String>, Option<Box<Link>>) {
    let (target, host) = (
        PathAndQuery::from_static("/api"),
        HeaderValue::from_static("bot"),
    );
    let headers = HeaderMap::from_iter([(
        http::header::HeaderName::from_static("x-a"),
        HeaderValue::from_static("b"),
    )]);
    let head = RequestHead {
        method: &Method::POST,
        target: &target,
        host: &host,
        headers: &headers,
    };
    let sent = Sent::default();
    let pool = Arc::new(Pool::default());
    let response = match link.ask(head, body, sent.clone()).await {
        Ok(response) => response,
        Err(trouble) => return (Err(chain(&trouble)), None),
    };
    let status = response.status().as_u16();
    let body = FromBot::new(link, Arc::clone(&pool)).collect().await;
    let answer = body.map(|body| (status, body.to_bytes()));
    (answer.map_err(|trouble| chain(&trouble)), pool.take())
}

/// What comes of an answer, written in pieces of so many bytes, after which the bot closes or does not.
async fn answered(
    answer: &str,
    piece: usize,
    closes: bool,
) -> (Result<(u16, Bytes), String>, Option<Box<Link>>) {
    let (link, mut bot) = connected(1024);
    let bot_side = async move {
        let mut request = vec![0; REQUEST.len()];
        bot.read_exact(&mut request).await.unwrap();
        assert_eq!(request, REQUEST);
        for piece in answer.as_bytes().chunks(piece) {
            bot.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        (!closes).then_some(bot)
    };
    let (outcome, _bot) = tokio::join!(asked(link, Bytes::from_static(BODY)), bot_side);
    outcome
}

#[tokio::test]
async fn an_answer_is_the_same_however_it_comes_and_leaves_the_link_to_the_next() {
    for (answer, status, body) in [
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
            200,
            "hello",
        ),
        ("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", 404, ""),
        ("HTTP/1.1 204\r\nx: y\r\n\r\n", 204, ""),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx",
            200,
            "x",
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nx-trailer: 1\r\n\r\n",
            200,
            "hello!",
        ),
        (
            "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok",
            200,
            "ok",
        ),
    ] {
        for piece in [1, 3, answer.len()] {
            let (outcome, link) = answered(answer, piece, false).await;
            assert_eq!(outcome, Ok((status, Bytes::from(body))), "{answer:?}");
            assert!(link.is_some(), "{answer:?}, {piece}");
        }
    }
}

#[tokio::test]
async fn a_link_that_is_of_no_more_use_is_not_kept() {
    for (answer, closes) in [
        (
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
            false,
        ),
        ("HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", false),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n",
            false,
        ),
        ("HTTP/1.1 200 OK\r\n\r\nok", true),
    ] {
        let (outcome, link) = answered(answer, answer.len(), closes).await;
        assert_eq!(outcome, Ok((200, Bytes::from_static(b"ok"))), "{answer:?}");
        assert!(link.is_none(), "{answer:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_whole_or_not_http_is_none() {
    let length = "error reading a body from connection: end of file before message length reached";
    for (answer, told) in [
        ("", "connection closed before message completed"),
        (
            "HTTP/1.1 200 OK\r\n",
            "connection closed before message completed",
        ),
        ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok", length),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel",
            length,
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n",
            "error reading a body from connection: unexpected EOF during chunk size line",
        ),
        (
            "HTTP/1.1 200 OK\nx: y\r\n\r\n",
            "connection error: the bot's answer has a line that ends in LF without CR",
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n",
            "error reading a body from connection: the bot's answer has a chunk without a size",
        ),
    ] {
        let (outcome, link) = answered(answer, usize::MAX, true).await;
        assert_eq!(outcome.unwrap_err(), told, "{answer:?}");
        assert!(link.is_none());
    }
}

#[tokio::test]
async fn an_answer_may_come_before_the_whole_request_and_ends_the_link() {
    let (link, mut bot) = connected(256);
    let bot_side = async move {
        bot.read_exact(&mut [0; 100]).await.unwrap();
        let answer = b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno";
        bot.write_all(answer).await.unwrap();
        bot
    };
    let body = Bytes::from(vec![b'x'; 10_000]);
    let ((outcome, link), _bot) = tokio::join!(asked(link, body), bot_side);
    assert_eq!(outcome, Ok((413, Bytes::from_static(b"no"))));
    assert!(link.is_none());
}

#[tokio::test]
async fn a_request_on_a_link_that_was_closed_was_not_sent() {
    let (link, bot) = connected(1024);
    drop(bot);
    let (outcome, link) = asked(link, Bytes::from_static(BODY)).await;
    let told = outcome.unwrap_err();
    assert!(
        told.ends_with("the bot closed the connection before the request was sent"),
        "{told}"
    );
    assert!(link.is_none());
}

#[tokio::test]
async fn a_request_is_sent_when_its_last_byte_was_taken() {
    let (mut link, mut bot) = connected(64);
    let (target, host) = (
        PathAndQuery::from_static("/"),
        HeaderValue::from_static("bot"),
    );
    let head = RequestHead {
        method: &Method::POST,
        target: &target,
        host: &host,
        headers: &HeaderMap::new(),
    };
    let sent = Sent::default();
    let mut asking = pin!(link.ask(head, Bytes::from(vec![b'x'; 100]), sent.clone()));
    let mut is_pending =
        async || poll_fn(|cx| Poll::Ready(asking.as_mut().poll(cx).is_pending())).await;
    let mut taken = 0;
    while !sent.is_complete() {
        assert!(is_pending().await);
        if !sent.is_complete() {
            taken += bot.read(&mut [0; 16]).await.unwrap();
        }
    }
    // The rest lies in the pipe, which is the bot's side.
    let whole = "POST / HTTP/1.1\r\nhost: bot\r\ncontent-length: 100\r\n\r\n".len() + 100;
    assert_eq!(taken.div_ceil(16) * 16 + 64, whole.div_ceil(16) * 16);
}
