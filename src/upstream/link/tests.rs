#![allow(clippy::disallowed_methods, reason = "bodies come from the test")]

use super::super::from_bot::FromBot;
use super::super::pool::Pool;
use super::*;
use crate::net::client::chain;
use crate::net::fields::Fields;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use std::sync::Arc;
use tokio::io::{AsyncWriteExt as _, DuplexStream, duplex};

/// A link, and the bot's end of it, between which so many bytes may be on their way.
fn connected(room: usize) -> (Box<Link>, DuplexStream) {
    let (ours, bot) = duplex(room);
    let made = Pool::default().making();
    (Box::new(Link::new(Line::new(ours), made)), bot)
}

const WITHIN: Duration = Duration::from_secs(30);
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
    let mut fields = Fields::default();
    fields.append_text(&http::HeaderName::from_static("x-a"), b"b");
    let head = RequestHead {
        method: &Method::POST,
        target: &target,
        host: &host,
        fields: &fields,
    };
    let sent = Sent::default();
    let pool = Arc::new(Pool::default());
    let response = match link.ask(head, body, sent.clone(), WITHIN).await {
        Ok(response) => response,
        Err(trouble) => return (Err(chain(&trouble)), None),
    };
    let status = response.status().as_u16();
    let body = FromBot::of_link(link, Arc::clone(&pool)).collect().await;
    let answer = body.map(|body| (status, body.to_bytes()));
    (
        answer.map_err(|trouble| chain(&trouble)),
        pool.take(Instant::now()),
    )
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
        fields: &Fields::default(),
    };
    let sent = Sent::default();
    let mut asking = pin!(link.ask(head, Bytes::from(vec![b'x'; 100]), sent.clone(), WITHIN));
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

/// Asks with this body, and reads the answer's head.
async fn begun(link: &mut Link, body: Bytes, sent: &Sent) -> Result<Response<()>, Trouble> {
    let (target, host) = (
        PathAndQuery::from_static("/"),
        HeaderValue::from_static("bot"),
    );
    let mut fields = Fields::default();
    fields.append_text(&http::header::AUTHORIZATION, b"Bearer secret");
    let head = RequestHead {
        method: &Method::POST,
        target: &target,
        host: &host,
        fields: &fields,
    };
    link.ask(head, body, sent.clone(), WITHIN).await
}

#[tokio::test]
async fn a_link_carries_one_request_after_the_other_and_nothing_of_the_one_before() {
    let (mut link, mut bot) = connected(64);
    for body_bytes in [100_000, 2, 0, 3] {
        let body = Bytes::from(vec![b'x'; body_bytes]);
        let length = match body_bytes {
            0 => String::new(),
            bytes => format!("content-length: {bytes}\r\n"),
        };
        let head = format!("POST /api HTTP/1.1\r\nx-a: b\r\nhost: bot\r\n{length}\r\n");
        let bot_side = async {
            let mut request = vec![0; head.len() + body_bytes];
            bot.read_exact(&mut request).await.unwrap();
            assert_eq!(request, [head.as_bytes(), &body].concat());
            let answer = format!(
                "HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 0\r\n\r\n",
                "y".repeat(64_800)
            );
            bot.write_all(answer.as_bytes()).await.unwrap();
        };
        let ((outcome, free), ()) = tokio::join!(asked(link, body.clone()), bot_side);
        assert_eq!(outcome, Ok((200, Bytes::new())));
        link = free.unwrap();
        assert!(link.input.capacity() <= PIECE, "{}", link.input.capacity());
    }
}

#[tokio::test]
async fn a_link_whose_answer_was_not_read_to_its_end_is_not_kept() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n",
        "HTTP/1.1 200 OK\r\n\r\nok",
    ] {
        let (mut link, mut bot) = connected(1024);
        bot_answers_after_a_request(&mut link, &mut bot, answer).await;
        let pool = Arc::new(Pool::default());
        let mut body = FromBot::of_link(link, Arc::clone(&pool));
        let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(piece, "ok");
        assert!(!body.is_end_stream());
        let more = tokio::time::timeout(std::time::Duration::from_millis(5), body.frame()).await;
        assert!(more.is_err(), "{answer:?}");
        drop(body);
        assert!(pool.take(Instant::now()).is_none(), "{answer:?}");
        assert_eq!(bot.read(&mut [0; 8]).await.unwrap(), 0, "it is closed");
    }
}

async fn bot_answers_after_a_request(link: &mut Link, bot: &mut DuplexStream, answer: &str) {
    let sent = Sent::default();
    let bot_side = async {
        let mut seen = vec![];
        while !seen.ends_with(b"\r\n\r\n{}") {
            seen.push(bot.read_u8().await.unwrap());
        }
        bot.write_all(answer.as_bytes()).await.unwrap();
    };
    let (response, ()) = tokio::join!(begun(link, Bytes::from_static(BODY), &sent), bot_side);
    assert_eq!(response.unwrap().status(), 200);
    assert!(sent.is_complete());
}

#[tokio::test]
async fn a_bot_may_write_all_of_a_long_answer_before_it_reads_on() {
    let (link, mut bot) = connected(256);
    let (asked_with, answered_with) = (100_000, 200_000);
    let bot_side = async {
        let mut first = [0; 100];
        bot.read_exact(&mut first).await.unwrap();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {answered_with}\r\n\r\n");
        bot.write_all(head.as_bytes()).await.unwrap();
        bot.write_all(&vec![b'y'; answered_with - 1]).await.unwrap();
        let head = "POST /api HTTP/1.1\r\nx-a: b\r\nhost: bot\r\ncontent-length: 100000\r\n\r\n";
        let mut rest = vec![0; head.len() + asked_with - first.len()];
        bot.read_exact(&mut rest).await.unwrap();
        bot.write_all(b"y").await.unwrap();
    };
    let exchange =
        async { tokio::join!(asked(link, Bytes::from(vec![b'x'; asked_with])), bot_side) };
    let within = std::time::Duration::from_secs(30);
    let ((outcome, link), ()) = tokio::time::timeout(within, exchange).await.unwrap();
    let (status, answer) = outcome.unwrap();
    assert_eq!((status, answer.len()), (200, answered_with));
    assert!(link.is_some(), "the bot had all of the request");
}

#[tokio::test]
async fn what_was_sent_holds_no_memory_while_the_answer_comes() {
    let (mut link, mut bot) = connected(1024);
    let (body, sent) = (Bytes::from(vec![b'x'; 100]), Sent::default());
    let bot_side = async {
        bot.read_exact(&mut [0; 100]).await.unwrap();
        bot.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n")
            .await
            .unwrap();
    };
    let (response, ()) = tokio::join!(begun(&mut link, body.clone(), &sent), bot_side);
    assert_eq!(response.unwrap().status(), 200);
    assert!(body.is_unique());
}

#[tokio::test]
async fn a_link_shows_no_token() {
    let (mut link, mut bot) = connected(1024);
    bot_answers_after_a_request(&mut link, &mut bot, "HTTP/1.1 200 OK\r\n\r\n").await;
    assert!(link.writing.head.windows(6).any(|six| six == b"secret"));
    let shown = format!("{link:?}");
    let as_numbers = format!("{:?}", b"secret");
    assert!(
        !shown.contains("secret") && !shown.contains(as_numbers.trim_matches(['[', ']'])),
        "{shown}"
    );
}

#[tokio::test]
async fn a_request_of_which_the_bot_refused_the_rest_was_not_sent() {
    for answer in ["", "HTTP/1.1 413 No\r\ncontent-length: 2\r\n\r\nno"] {
        let (mut link, mut bot) = connected(256);
        let sent = Sent::default();
        let bot_side = async move {
            bot.read_exact(&mut [0; 100]).await.unwrap();
            bot.write_all(answer.as_bytes()).await.unwrap();
        };
        let body = Bytes::from(vec![b'x'; 10_000]);
        let (outcome, ()) = tokio::join!(begun(&mut link, body, &sent), bot_side);
        assert_eq!(outcome.is_ok(), !answer.is_empty());
        if outcome.is_ok() {
            let pool = Arc::new(Pool::default());
            let body = FromBot::of_link(link, Arc::clone(&pool)).collect().await;
            assert_eq!(body.unwrap().to_bytes(), "no");
            assert!(pool.take(Instant::now()).is_none());
        }
        assert!(!sent.is_complete(), "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_usual_time_holds_for_each_answer_unless_more_is_allowed_in_time() {
    const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let (mut link, mut bot) = connected(1024);
    // Answered in time again and again, for longer than one answer may take.
    for _ in 0..5 {
        let (sent, mut request) = (Sent::default(), [0; 1024]);
        let (outcome, ()) = tokio::join!(begun(&mut link, Bytes::new(), &sent), async {
            let _ = bot.read(&mut request).await.unwrap();
            tokio::time::sleep(WITHIN / 2).await;
            bot.write_all(OK).await.unwrap();
        });
        assert!(outcome.is_ok());
    }
    let start = Instant::now();
    let longer = WITHIN * 3;
    let sent = Sent::default();
    let (outcome, ()) = tokio::join!(begun(&mut link, Bytes::new(), &sent), async {
        tokio::time::sleep(WITHIN / 2).await;
        sent.allow(longer);
    });
    assert!(matches!(outcome, Err(Trouble::TooLate(waited)) if waited == longer));
    assert_eq!(start.elapsed(), longer);

    let (mut link, _bot) = connected(1024);
    let start = Instant::now();
    let outcome = begun(&mut link, Bytes::new(), &Sent::default()).await;
    assert!(matches!(outcome, Err(Trouble::TooLate(WITHIN))));
    assert_eq!(start.elapsed(), WITHIN);
}
