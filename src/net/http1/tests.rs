#![allow(clippy::disallowed_methods, reason = "a task of a test ends with it")]

use super::*;
use crate::net::gate::Caps;
use crate::net::listener::Event;
use crate::net::pressure::{Crowd, MIN_BYTES, STALL};
use crate::net::{BodyError, body};
use http::StatusCode;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use std::sync::Mutex;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const CAPS: Caps = Caps {
    connections: 10,
    connections_per_ip: 10,
    handshake_timeout: Duration::from_secs(10),
    header_timeout: Duration::from_secs(10),
    keep_alive_timeout: Duration::from_secs(75),
    header_bytes: 1024,
    headers: 20,
};

type Piece = Result<Frame<Bytes>, BodyError>;

/// What the door was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    line: String,
    body: Result<String, String>,
    refused: Option<Flaw>,
}

/// Answers what it is told to, by the path.
struct Stub {
    seen: Mutex<Vec<Seen>>,
    /// Pieces of the answer to `/stream`; the channel's end is its end.
    pieces: Mutex<Option<mpsc::Receiver<Piece>>>,
    /// How many requests are being answered.
    answering: watch::Sender<usize>,
}

struct Answering<'a>(&'a watch::Sender<usize>);

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Door for Stub {
    async fn answer(self: Arc<Self>, request: Request<RequestBody>, peer: Peer) -> Response<Body> {
        self.answering.send_modify(|count| *count += 1);
        let _answering = Answering(&self.answering);
        let (head, body) = request.into_parts();
        let path = head.uri.path().to_owned();
        let mut seen = Seen {
            line: format!("{} {} {:?}", head.method, head.uri, head.version),
            body: Ok(String::new()),
            refused: peer.refused,
        };
        if path == "/unread" {
            self.seen.lock().unwrap().push(seen);
            return Response::new(body::full("unread"));
        }
        if path == "/wait" {
            self.seen.lock().unwrap().push(seen);
            return std::future::pending().await;
        }
        let read = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes);
        seen.body = match &read {
            Ok(bytes) => Ok(String::from_utf8_lossy(bytes).into_owned()),
            Err(BrokenBody::Flawed(flaw)) => Err(flaw.to_string()),
            Err(BrokenBody::Left) => Err("left".to_owned()),
            Err(BrokenBody::Hyper(error)) => panic!("{error}"),
        };
        self.seen.lock().unwrap().push(seen);
        let mut response = match path.as_str() {
            "/stream" => {
                let mut pieces = self.pieces.lock().unwrap().take().expect("once");
                let stream = futures_util::stream::poll_fn(move |cx| pieces.poll_recv(cx));
                Response::new(StreamBody::new(stream).boxed_unsync())
            }
            "/long" => Response::new(body::full("x".repeat(1024 * 1024))),
            "/empty" => Response::new(body::empty()),
            _ => Response::new(body::full(read.unwrap_or_default())),
        };
        match (peer.refused, path.as_str()) {
            (Some(_), _) => *response.status_mut() = StatusCode::BAD_REQUEST,
            (None, "/nothing") => *response.status_mut() = StatusCode::NO_CONTENT,
            (None, "/short") => {
                // More is promised than comes.
                let (sender, pieces) = mpsc::channel(1);
                sender
                    .try_send(Ok(Frame::data(Bytes::from_static(b"ab"))))
                    .unwrap();
                let stream = ReceiverBody(pieces, 5);
                response = Response::new(stream.boxed_unsync());
            }
            _ => {}
        }
        response
    }

    fn heard(&self, event: Event<'_>) {
        panic!("{event:?}");
    }
}

/// A body that promises a length.
struct ReceiverBody(mpsc::Receiver<Piece>, u64);

impl http_body::Body for ReceiverBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.0.poll_recv(cx)
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.1)
    }
}

/// A connection that is being served, from its client's side.
struct Pair {
    client: DuplexStream,
    door: Arc<Stub>,
    pieces: Option<mpsc::Sender<Piece>>,
    drain: CancellationToken,
    closing: CancellationToken,
    served: JoinHandle<()>,
}

impl Pair {
    fn new() -> Self {
        Self::over(64 * 1024)
    }

    fn over(bytes: usize) -> Self {
        let (client, server) = duplex(bytes);
        let (sender, receiver) = mpsc::channel(1);
        let door = Arc::new(Stub {
            seen: Mutex::default(),
            pieces: Mutex::new(Some(receiver)),
            answering: watch::Sender::new(0),
        });
        let (drain, closing) = (CancellationToken::new(), CancellationToken::new());
        let address = ([127, 0, 0, 1], 1).into();
        let connection = Connection {
            door: Arc::clone(&door),
            caps: CAPS,
            drain: drain.clone(),
            closing: closing.clone(),
            address,
            crowd: Crowd::default(),
        };
        let peer = Peer {
            address,
            tls_version: None,
            refused: None,
        };
        let first = clock::deadline(CAPS.header_timeout);
        let served = tokio::spawn(connection.serve_http1(server, peer, first));
        Self {
            client,
            door,
            pieces: Some(sender),
            drain,
            closing,
            served,
        }
    }

    async fn write(&mut self, text: &str) {
        self.client.write_all(text.as_bytes()).await.unwrap();
    }

    /// All that comes until there is nothing for a while, in which no time is over.
    async fn read(&mut self) -> String {
        let mut all = vec![];
        let mut piece = [0; 4096];
        while let Ok(count) = timeout(Duration::from_millis(1), self.client.read(&mut piece)).await
        {
            match count.unwrap() {
                0 => break,
                count => all.extend_from_slice(&piece[..count]),
            }
        }
        String::from_utf8(all).unwrap()
    }

    /// An answer without its date.
    async fn answer(&mut self) -> String {
        let text = self.read().await;
        let lines = text.split_inclusive("\r\n");
        lines.filter(|line| !line.starts_with("date: ")).collect()
    }

    fn seen(&self) -> Vec<Seen> {
        self.door.seen.lock().unwrap().clone()
    }

    /// Waits until so many requests are being answered.
    async fn answering(&self, count: usize) {
        let mut answering = self.door.answering.subscribe();
        answering.wait_for(|now| *now == count).await.unwrap();
    }

    /// When the connection has ended, in seconds from now.
    async fn end(self) -> u64 {
        let start = Instant::now();
        self.served.await.unwrap();
        start.elapsed().as_secs()
    }
}

fn seen(line: &str, body: &str) -> Seen {
    Seen {
        line: line.to_owned(),
        body: Ok(body.to_owned()),
        refused: None,
    }
}

const POST: &str = "POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc";
const GET: &str = "GET /b?c HTTP/1.1\r\nhost: a\r\n\r\n";
const CHUNKED: &str = "POST /c HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nx: y\r\n\r\n";

fn answer(body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}")
}

#[tokio::test(start_paused = true)]
async fn a_request_is_the_same_however_it_comes() {
    for size in [1, 7, 50, 4096] {
        let mut pair = Pair::new();
        for (request, expected) in [
            (POST, seen("POST /a HTTP/1.1", "abc")),
            (GET, seen("GET /b?c HTTP/1.1", "")),
            (CHUNKED, seen("POST /c HTTP/1.1", "abc0123456789abcdef")),
        ] {
            let mut answered = String::new();
            for piece in request.as_bytes().chunks(size) {
                pair.write(std::str::from_utf8(piece).unwrap()).await;
                answered += &pair.answer().await;
            }
            assert_eq!(answered, answer(expected.body.as_ref().unwrap()));
            assert_eq!(pair.seen().pop(), Some(expected), "in pieces of {size}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_come_together_are_answered_one_after_the_other() {
    let mut pair = Pair::new();
    pair.write(&format!(
        "{POST}\r\n{GET}{CHUNKED}GET /wait HTTP/1.1\r\nhost: a\r\n\r\n{GET}"
    ))
    .await;
    let all = [answer("abc"), answer(""), answer("abc0123456789abcdef")];
    assert_eq!(pair.answer().await, all.concat());
    // The fifth is not looked at before the fourth is answered.
    assert_eq!(pair.seen().len(), 4);
    pair.answering(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_head_is_answered_and_nothing_behind_it_is_read() {
    let long = format!("GET / HTTP/1.1\r\nx: {}", "y".repeat(2000));
    for (bad, is_too_large) in [
        ("GET / HTTP/1.1\nx: y\r\n\r\n", false),
        ("garbage\r\n", false),
        ("GET /\0", false),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", false),
        (
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\nx",
            false,
        ),
        (long.as_str(), true),
    ] {
        let mut pair = Pair::new();
        pair.write(&format!("{POST}{bad}{GET}")).await;
        let text = pair.answer().await;
        let refusal = text.strip_prefix(&answer("abc")).unwrap();
        let expected = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(refusal, expected, "{bad:?}");
        let refused = pair.seen().pop().unwrap().refused;
        assert!(matches!(refused, Some(Flaw::TooLarge(_))) == is_too_large && refused.is_some());
        assert_eq!(pair.seen().len(), 2, "{bad:?}");
        pair.write(GET).await;
        assert_eq!(pair.end().await, 2, "it lingers");
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_body_is_told_behind_what_came_before_it_and_ends_the_connection() {
    let mut pair = Pair::new();
    pair.write("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
        .await;
    assert_eq!(pair.answer().await, "");
    pair.write("z\r\n").await;
    assert!(pair.answer().await.contains("connection: close\r\n"));
    let body = pair.seen().pop().unwrap().body;
    assert_eq!(body, Err("a chunk without a size".to_owned()));
    drop(pair.client);
    pair.served.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_is_not_worked_for() {
    let mut pair = Pair::new();
    pair.write("GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await;
    pair.answering(1).await;
    pair.client.shutdown().await.unwrap();
    pair.answering(0).await;
    assert_eq!(pair.end().await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_comes_with_the_end_is_looked_at() {
    let mut pair = Pair::new();
    pair.write(POST).await;
    pair.client.shutdown().await.unwrap();
    assert_eq!(pair.answer().await, answer("abc"));
    assert_eq!(pair.end().await, 0);
    let mut pair = Pair::new();
    pair.write("GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await;
    pair.client.shutdown().await.unwrap();
    let door = Arc::clone(&pair.door);
    assert_eq!(pair.end().await, 0);
    assert_eq!(door.seen.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_is_told_and_answered() {
    let mut pair = Pair::new();
    pair.write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nabc")
        .await;
    assert_eq!(pair.answer().await, "");
    pair.client.shutdown().await.unwrap();
    assert!(pair.answer().await.contains("connection: close\r\n"));
    assert_eq!(pair.seen().pop().unwrap().body, Err("left".to_owned()));
    assert_eq!(pair.end().await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_nobody_reads_ends_the_connection_unless_it_is_here() {
    let head = "POST /unread HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n";
    let mut pair = Pair::new();
    pair.write(&format!("{head}012345678{GET}")).await;
    assert_eq!(pair.answer().await, answer("unread") + &answer(""));
    pair.write(&format!("{head}0123")).await;
    let text = pair.answer().await;
    assert!(text.contains("connection: close\r\n"), "{text}");
    assert_eq!(pair.end().await, 2, "it lingers");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_waits_to_be_asked_for_is_asked_for_when_it_is_read() {
    let head = |path| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\nexpect: 100-Continue\r\ncontent-length: 3\r\n\r\n"
        )
    };
    let mut pair = Pair::new();
    pair.write(&head("/")).await;
    assert_eq!(pair.answer().await, "HTTP/1.1 100 Continue\r\n\r\n");
    pair.write("abc").await;
    assert_eq!(pair.answer().await, answer("abc"));
    pair.write(&head("/unread")).await;
    let text = pair.answer().await;
    assert!(
        text.starts_with("HTTP/1.1 200 OK\r\nconnection: close\r\n"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_has_its_time_and_no_more() {
    assert_eq!(Pair::new().end().await, 10, "it says nothing");

    let mut pair = Pair::new();
    tokio::time::sleep(Duration::from_secs(6)).await;
    pair.write("P").await;
    assert_eq!(pair.end().await, 4, "a head that drips");

    let mut pair = Pair::new();
    pair.write(POST).await;
    assert_eq!(pair.answer().await, answer("abc"));
    tokio::time::sleep(Duration::from_secs(60)).await;
    pair.write("P").await;
    assert_eq!(pair.end().await, 10, "another head, late");

    let mut pair = Pair::new();
    pair.write(POST).await;
    assert_eq!(pair.answer().await, answer("abc"));
    assert!((74..=75).contains(&pair.end().await), "no other request");

    let mut pair = Pair::new();
    pair.write("GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let waited = timeout(Duration::from_secs(600), pair.served).await;
    assert!(waited.is_err(), "no time runs while it waits for an answer");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_came_in_part_meanwhile_has_its_time_from_the_answer() {
    let mut pair = Pair::new();
    pair.write(&format!(
        "GET /stream HTTP/1.1\r\nhost: a\r\n\r\n{}",
        "GET /"
    ))
    .await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    pair.pieces = None;
    assert_eq!(pair.end().await, 10);
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_unknown_length_comes_piece_by_piece() {
    let mut pair = Pair::new();
    pair.write("GET /stream HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    assert_eq!(pair.answer().await, head, "before there is a piece");
    let pieces = pair.pieces.take().unwrap();
    for (piece, chunk) in [
        ("abc", "3\r\nabc\r\n"),
        ("", ""),
        (&"x".repeat(3000), "bb8\r\n"),
    ] {
        let data = Bytes::copy_from_slice(piece.as_bytes());
        pieces.send(Ok(Frame::data(data))).await.unwrap();
        let text = pair.answer().await;
        assert!(text.starts_with(chunk) && text.contains(piece), "{text}");
    }
    drop(pieces);
    assert_eq!(pair.answer().await, "0\r\n\r\n");
    pair.write(POST).await;
    assert_eq!(pair.answer().await, answer("abc"));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_breaks_is_not_ended_as_if_it_were_whole() {
    let mut pair = Pair::new();
    pair.write("GET /stream HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let pieces = pair.pieces.take().unwrap();
    pieces
        .send(Ok(Frame::data(Bytes::from_static(b"abc"))))
        .await
        .unwrap();
    assert!(pair.answer().await.ends_with("\r\n\r\n3\r\nabc\r\n"));
    pieces.send(Err("broken".into())).await.unwrap();
    assert_eq!(pair.answer().await, "");
    assert_eq!(pair.end().await, 0);

    let mut pair = Pair::new();
    pair.write("GET /short HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let text = pair.answer().await;
    assert!(text.ends_with("content-length: 5\r\n\r\nab"), "{text}");
    assert_eq!(pair.end().await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_while_the_bot_is_silent_is_noticed() {
    let mut pair = Pair::new();
    pair.write("GET /stream HTTP/1.1\r\nhost: a\r\n\r\n").await;
    pair.read().await;
    pair.client.shutdown().await.unwrap();
    let pieces = pair.pieces.take().unwrap();
    pieces.closed().await;
    assert_eq!(pair.end().await, 0);
}

#[tokio::test(start_paused = true)]
async fn heads_and_statuses_without_a_body_have_none() {
    let mut pair = Pair::new();
    for (request, expected) in [
        (
            "HEAD /long HTTP/1.1\r\nhost: a\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 1048576\r\n\r\n",
        ),
        (
            "POST /nothing HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\na",
            "HTTP/1.1 204 No Content\r\n\r\n",
        ),
        (
            "GET /empty HTTP/1.1\r\nhost: a\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        ),
    ] {
        pair.write(request).await;
        assert_eq!(pair.answer().await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_goes_on_as_version_and_options_say() {
    for (version, option, goes_on, said) in [
        ("1.1", "", true, ""),
        (
            "1.1",
            "connection: x, Close\r\n",
            false,
            "connection: close\r\n",
        ),
        ("1.0", "", false, "connection: close\r\n"),
        (
            "1.0",
            "connection: Keep-Alive\r\n",
            true,
            "connection: keep-alive\r\n",
        ),
        (
            "1.0",
            "connection: keep-alive, close\r\n",
            false,
            "connection: close\r\n",
        ),
    ] {
        let mut pair = Pair::new();
        pair.write(&format!("GET / HTTP/{version}\r\nhost: a\r\n{option}\r\n"))
            .await;
        let expected = format!("HTTP/{version} 200 OK\r\n{said}content-length: 0\r\n\r\n");
        assert_eq!(pair.answer().await, expected);
        pair.write(POST).await;
        assert_eq!(!pair.read().await.is_empty(), goes_on, "{version} {option}");
    }
    let mut pair = Pair::new();
    pair.write("GET /stream HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n")
        .await;
    pair.pieces = None;
    let expected = "HTTP/1.0 200 OK\r\nconnection: close\r\n\r\n";
    assert_eq!(
        pair.answer().await,
        expected,
        "its end is that of the connection"
    );
    drop(pair.client);
    pair.served.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_drain_ends_a_connection_with_its_next_answer_and_the_closing_an_idle_one() {
    let mut pair = Pair::new();
    pair.write(POST).await;
    assert_eq!(pair.answer().await, answer("abc"));
    pair.drain.cancel();
    pair.write(POST).await;
    assert!(pair.answer().await.contains("connection: close\r\n"));

    let mut pair = Pair::new();
    pair.write(POST).await;
    assert_eq!(pair.answer().await, answer("abc"));
    pair.closing.cancel();
    assert_eq!(pair.end().await, 0);

    let mut pair = Pair::new();
    let (half, rest) = POST.split_at(20);
    pair.write(half).await;
    tokio::task::yield_now().await;
    pair.drain.cancel();
    pair.closing.cancel();
    assert_eq!(pair.answer().await, "");
    pair.write(rest).await;
    let text = pair.answer().await;
    assert!(
        text.contains("connection: close\r\n") && text.ends_with("abc"),
        "what has begun is waited for"
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_the_client_does_not_take_ends_the_connection() {
    let mut pair = Pair::over(1024);
    pair.write("GET /long HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let after = pair.end().await;
    assert!((1..=2 * STALL.as_secs()).contains(&after), "{after}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_a_few_bytes_now_and_then_is_cut() {
    for (per_second, is_cut) in [(100, true), (MIN_BYTES, false)] {
        let mut pair = Pair::over(1024);
        pair.write("GET /long HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut taken = 0;
        for _ in 0..30 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let mut piece = vec![0; per_second];
            taken += usize::from(pair.client.read_exact(&mut piece).await.is_ok());
        }
        assert_eq!(taken < 30, is_cut, "{per_second} a second");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_refused_client_still_sends_is_thrown_away_within_bounds() {
    let mut pair = Pair::new();
    pair.write("garbage\r\n").await;
    pair.read().await;
    let more = vec![b'x'; 64 * 1024];
    let mut sent = 0_usize;
    while pair.client.write_all(&more).await.is_ok() {
        sent += more.len();
        assert!(sent < 5 * 1024 * 1024);
    }
    assert!(sent >= 4 * 1024 * 1024 - more.len(), "{sent}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_at_rest_holds_no_memory_for_requests() {
    let (mut peer, server) = duplex(64 * 1024);
    let first = clock::deadline(CAPS.header_timeout);
    let mut client = Client::new(server, CAPS, first, Crowd::default());
    peer.write_all(GET.as_bytes()).await.unwrap();
    let turn = poll_fn(|cx| client.poll_next(cx)).await;
    assert!(matches!(turn, Turn::Asks(Next::Head(_))));
    drop(turn);
    client.answered();
    for (milliseconds, rests, is_held) in [
        (500, false, true),
        (1000, true, false),
        (1000, false, false),
    ] {
        let turn = poll_fn(|cx| client.poll_next(cx));
        let turn = timeout(Duration::from_millis(milliseconds), turn).await;
        assert_eq!(matches!(turn, Ok(Turn::Rests)), rests);
        assert_eq!(turn.is_ok(), rests);
        assert_eq!(client.input.bytes.capacity() > 0, is_held);
    }
}
