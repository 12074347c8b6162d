//! A connection as its client sees it.

#![allow(clippy::disallowed_methods, reason = "a task of a test ends with it")]

mod answers;
mod random;
mod times;

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
        // Others belong to what is before and around it.
        assert!(matches!(event, Event::TooSlow), "{event:?}");
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
            lingering: crate::net::lingering::Lingering::default(),
            is_late: false,
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
