#![allow(
    clippy::disallowed_methods,
    reason = "a task of a test ends with it, and bodies come from the test"
)]

use super::*;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

type Sender = SendRequest<Full<Bytes>>;
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// hyper's client on this stream, what is known of it, and the bot's end.
async fn connected() -> (Sender, AnswerState, DuplexStream) {
    let (ours, bot) = duplex(1024);
    let stream = AnswerStream::new(ours);
    let state = stream.state();
    let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    (sender, state, bot)
}

fn request(body_bytes: usize) -> Request<Full<Bytes>> {
    let request = Request::post("/api/messages").header("host", "bot");
    request.body(vec![b'x'; body_bytes].into()).unwrap()
}

async fn whole(response: Response<hyper::body::Incoming>) -> Result<(u16, Bytes), Failure> {
    let status = response.status().as_u16();
    Ok((status, response.into_body().collect().await?.to_bytes()))
}

async fn asked(sender: &mut Sender, body_bytes: usize) -> Result<(u16, Bytes), Failure> {
    sender.ready().await?;
    whole(sender.send_request(request(body_bytes)).await?).await
}

/// Reads a request of the test on the bot's side.
async fn taken(bot: &mut DuplexStream, body_bytes: usize) {
    let mut seen = vec![];
    while !seen.windows(4).any(|four| four == b"\r\n\r\n") {
        seen.push(bot.read_u8().await.unwrap());
    }
    bot.read_exact(&mut vec![0; body_bytes]).await.unwrap();
}

/// Asks a bot that answers with these bytes and closes, or does not.
async fn answered(answer: &str, closes: bool) -> (Result<(u16, Bytes), Failure>, AnswerState) {
    let (mut sender, state, mut bot) = connected().await;
    let bot_side = async {
        taken(&mut bot, 2).await;
        // The reader stops at the first flaw.
        let _ = bot.write_all(answer.as_bytes()).await;
        (!closes).then_some(bot)
    };
    let (answer, _bot) = tokio::join!(asked(&mut sender, 2), bot_side);
    (answer, state)
}

fn told(error: &Failure) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(this) = cause {
        text += &format!(": {this}");
        cause = this.source();
    }
    text
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn a_connection_serves_one_request_after_the_other() {
    let (mut sender, state, mut bot) = connected().await;
    for (body_bytes, answer) in [
        (0, OK),
        (500_000, OK),
        (
            3,
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\nx: y\r\n\r\n",
        ),
        (
            3,
            "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        ),
    ] {
        let bot_side = async {
            taken(&mut bot, body_bytes).await;
            assert!(state.has_written());
            for piece in answer.as_bytes().chunks(7) {
                bot.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let (answer, ()) = tokio::join!(asked(&mut sender, body_bytes), bot_side);
        assert_eq!(answer.unwrap(), (200, Bytes::from("ok")));
        assert!(!state.is_spent() && !state.has_written() && !state.has_surplus());
    }
}

#[tokio::test]
async fn what_is_wrong_with_an_answer_is_told() {
    let flood = "HTTP/1.1 102 Processing\r\n\r\n".repeat(11);
    let bytes = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(70_000));
    let fields = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(101));
    for (answer, what) in [
        (
            "garbage all the way\r\n",
            "the bot's answer has a version other than HTTP/1.0 and HTTP/1.1",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n",
            "the bot's answer has Content-Length beside Transfer-Encoding",
        ),
        (&flood, "the bot's answer has more than 10 interim answers"),
        (
            &bytes,
            "the bot's answer has more bytes than a head may have",
        ),
        (
            &fields,
            "the bot's answer has more fields than a head may have",
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\nz\r\n",
            "the bot's answer has a chunk without a size",
        ),
    ] {
        let (outcome, state) = answered(answer, false).await;
        let error = outcome.unwrap_err();
        assert!(told(&error).contains(what), "{what}: {}", told(&error));
        assert!(state.is_spent());
        assert!(!NothingSent::is_cause_of(error.as_ref()), "{what}");
    }
}

#[tokio::test]
async fn an_answer_that_ends_early_is_no_answer_and_one_without_length_ends_with_the_connection() {
    for cut in [
        "",
        "HTTP/1.1 200 OK\r\ncont",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nok",
    ] {
        let (outcome, state) = answered(cut, true).await;
        assert!(outcome.is_err() && state.is_spent(), "{cut:?}");
    }
    let (outcome, state) = answered("HTTP/1.1 200 OK\r\n\r\nok", true).await;
    assert_eq!(outcome.unwrap(), (200, Bytes::from("ok")));
    assert!(state.is_spent());
}

#[tokio::test]
async fn bytes_behind_an_answer_end_the_connection_and_are_read_by_nobody() {
    for surplus in [
        "\r\n",
        "x",
        OK,
        "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged",
    ] {
        let (mut sender, state, mut bot) = connected().await;
        let bot_side = async {
            taken(&mut bot, 2).await;
            bot.write_all(format!("{OK}{surplus}").as_bytes())
                .await
                .unwrap();
        };
        let (answer, ()) = tokio::join!(asked(&mut sender, 2), bot_side);
        assert_eq!(answer.unwrap(), (200, Bytes::from("ok")));
        assert!(state.is_spent() && state.has_surplus(), "{surplus:?}");
        assert!(asked(&mut sender, 2).await.is_err(), "no second request");
    }
}

#[tokio::test]
async fn bytes_that_come_while_nothing_is_asked_end_the_connection() {
    let (ours, mut bot) = duplex(1024);
    let mut stream = AnswerStream::new(ours);
    bot.write_all(OK.as_bytes()).await.unwrap();
    let error = stream
        .write_all(b"POST / HTTP/1.1\r\n\r\n")
        .await
        .unwrap_err();
    assert!(NothingSent::is_cause_of(&error));
    assert!(stream.state().has_surplus() && stream.state().is_spent());
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
}

#[tokio::test]
async fn on_a_connection_that_was_closed_nothing_is_sent() {
    let (ours, mut bot) = duplex(1024);
    let mut stream = AnswerStream::new(ours);
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    bot.write_all(OK.as_bytes()).await.unwrap();
    let mut answer = vec![0; OK.len()];
    stream.read_exact(&mut answer).await.unwrap();
    drop(bot);
    let error = stream
        .write_all(b"GET / HTTP/1.1\r\n\r\n")
        .await
        .unwrap_err();
    assert!(NothingSent::is_cause_of(&error));
    assert!(!stream.state().has_written());

    // The same through hyper: its own error has the cause inside, or it saw the end before.
    let (mut sender, _, mut bot) = connected().await;
    let bot_side = async {
        taken(&mut bot, 2).await;
        bot.write_all(OK.as_bytes()).await.unwrap();
    };
    let (answer, ()) = tokio::join!(asked(&mut sender, 2), bot_side);
    answer.unwrap();
    sender.ready().await.unwrap();
    drop(bot);
    let error = sender.send_request(request(2)).await.unwrap_err();
    assert!(
        error.is_canceled() || NothingSent::is_cause_of(&error),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_answer_before_the_whole_request_is_not_lost() {
    for closes in [true, false] {
        let (mut sender, state, mut bot) = connected().await;
        let bot_side = async {
            taken(&mut bot, 100).await;
            let early = "HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno";
            bot.write_all(early.as_bytes()).await.unwrap();
            (!closes).then_some(bot)
        };
        let exchange = async { tokio::join!(asked(&mut sender, 1_000_000), bot_side) };
        let (answer, _bot) = tokio::time::timeout(Duration::from_secs(30), exchange)
            .await
            .unwrap();
        assert_eq!(
            answer.unwrap(),
            (413, Bytes::from("no")),
            "closes: {closes}"
        );
        assert!(state.is_spent());
        assert!(asked(&mut sender, 2).await.is_err(), "no second request");
    }
}

#[tokio::test]
async fn a_task_that_has_done_its_share_still_sees_what_came_before_its_request() {
    let (ours, mut bot) = duplex(1024);
    let mut stream = AnswerStream::new(ours);
    bot.write_all(OK.as_bytes()).await.unwrap();
    let mut is_fresh = true;
    let outcome = std::future::poll_fn(|cx| {
        // Until tokio says that it is the turn of others.
        while is_fresh && tokio::task::coop::has_budget_remaining() {
            let proceeded = std::task::ready!(tokio::task::coop::poll_proceed(cx));
            proceeded.made_progress();
        }
        is_fresh = false;
        Pin::new(&mut stream).poll_write(cx, b"POST / HTTP/1.1\r\n\r\n")
    });
    assert!(NothingSent::is_cause_of(&outcome.await.unwrap_err()));
    assert!(stream.state().has_surplus());
}

/// Takes what is written, and fails to pass it on.
struct Unflushed(DuplexStream);

impl AsyncRead for Unflushed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Unflushed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn an_answer_is_not_lost_to_a_request_that_cannot_be_flushed() {
    for is_answered_before in [true, false] {
        let (ours, mut bot) = duplex(1024);
        let mut stream = AnswerStream::new(Unflushed(ours));
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        bot.write_all(OK.as_bytes()).await.unwrap();
        let mut first = 0;
        if is_answered_before {
            stream.read_exact(&mut vec![0; OK.len()]).await.unwrap();
            first = OK.len();
        }
        stream.flush().await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, OK[first..]);
        assert!(stream.state().is_spent());
    }
}
