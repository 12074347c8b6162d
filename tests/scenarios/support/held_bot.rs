//! A bot that does nothing by itself: the scenario holds each request, and says when and how it is answered.

use super::PATIENCE;
use super::wire::head_end;
use bytes::Bytes;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

/// Hands out every request that comes. Dropping it closes the port.
pub(crate) struct HeldBot {
    backend: String,
    requests: mpsc::UnboundedReceiver<Held>,
    connections: mpsc::UnboundedReceiver<TcpStream>,
    count: Arc<AtomicUsize>,
    _task: AbortOnDropHandle<()>,
}

/// A request that the bot has, on a connection of its own. Dropping it closes the connection.
pub(crate) struct Held {
    pub(crate) body: Bytes,
    stream: TcpStream,
}

/// What a [`HeldBot`] does with a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reads {
    /// Reads one request, and hands it out.
    Requests,
    /// Reads nothing: the connection is handed out as it is, with little room for what is not read.
    Nothing,
}

impl HeldBot {
    pub(crate) async fn start() -> Self {
        Self::that_reads(Reads::Requests).await
    }

    pub(crate) async fn that_reads(reads: Reads) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        if reads == Reads::Nothing {
            socket.set_recv_buffer_size(4096).expect("it is set");
        }
        socket.bind(([127, 0, 0, 1], 0).into()).expect("a port");
        let listener = socket.listen(1024).expect("it listens");
        let address = listener.local_addr().expect("it is bound");
        let (to_requests, requests) = mpsc::unbounded_channel();
        let (to_connections, connections) = mpsc::unbounded_channel();
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if reads == Reads::Nothing {
                    let _nobody_wants_it = to_connections.send(stream);
                    continue;
                }
                let (requests, counted) = (to_requests.clone(), Arc::clone(&counted));
                tokio::spawn(async move {
                    if let Ok(held) = Held::read(stream).await {
                        counted.fetch_add(1, Ordering::AcqRel);
                        let _nobody_wants_it = requests.send(held);
                    }
                });
            }
        });
        Self {
            backend: format!("[bots]\nbackend = \"http://{address}/api/messages\""),
            requests,
            connections,
            count,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// What a configuration says to have this bot.
    pub(crate) fn config(&self, more: &str) -> String {
        format!("{}\n{more}", self.backend)
    }

    /// The next request, waiting until it has come.
    pub(crate) async fn next(&mut self) -> Held {
        let next = timeout(PATIENCE, self.requests.recv()).await;
        next.expect("a request in time").expect("the bot runs")
    }

    /// The next connection of a bot that reads nothing.
    pub(crate) async fn next_connection(&mut self) -> TcpStream {
        let next = timeout(PATIENCE, self.connections.recv()).await;
        next.expect("a connection in time").expect("the bot runs")
    }

    /// How many requests came so far.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }
}

impl Held {
    /// Reads one request of a connection.
    pub(crate) async fn read(mut stream: TcpStream) -> io::Result<Self> {
        let mut bytes = vec![];
        loop {
            if let Some(end) = head_end(&bytes) {
                let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
                let length = head
                    .split("\r\n")
                    .find_map(|line| line.strip_prefix("content-length:"))
                    .map_or(0, |length| length.trim().parse().expect("a number"));
                if bytes.len() >= end + 4 + length {
                    let body = Bytes::from(bytes.split_off(end + 4));
                    return Ok(Self { body, stream });
                }
            }
            if stream.read_buf(&mut bytes).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Whether the gateway still waits: its connection is open, and says nothing.
    pub(crate) fn is_undisturbed(&self) -> bool {
        let seen = self.stream.try_read(&mut [0]);
        seen.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Waits until the gateway closes the connection.
    pub(crate) async fn until_left(mut self) {
        let end = timeout(PATIENCE, self.stream.read(&mut [0])).await;
        assert!(matches!(end.expect("it leaves"), Ok(0) | Err(_)));
    }

    /// Answers with a status and a JSON body, and sees that the gateway reads it.
    pub(crate) async fn answer(self, status: u16, body: &str) {
        self.answer_with(status, "content-type: application/json", body)
            .await;
    }

    /// Answers with a status, header lines and a body.
    pub(crate) async fn answer_with(self, status: u16, headers: &str, body: &str) {
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status} Any\r\n{headers}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        self.write(answer.as_bytes()).await;
    }

    /// Sends a part of the answer.
    pub(crate) async fn begin(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("it is taken");
    }

    /// Answers with these bytes, and closes.
    pub(crate) async fn write(mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("it is taken");
        self.stream.shutdown().await.expect("it is taken");
    }
}
