//! A bot that says bytes, whether or not they are HTTP, and notices what becomes of its connections.

use super::PATIENCE;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// What the bot does on a connection once it has been asked.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Says these bytes.
    Say(Vec<u8>),
    /// Says these bytes over and over, until nobody takes them.
    Flood(Vec<u8>),
    /// Says these bytes one at a time, over and over, until nobody takes them.
    Drip(Vec<u8>),
    /// Takes so long to think.
    Think(Duration),
    /// Says nothing until the gateway has closed the connection.
    Hang,
    /// Closes its sending half, and reads on until the gateway has closed its own.
    HalfClose,
    /// Closes the connection.
    Close,
    /// Resets the connection.
    Reset,
}

/// How much of a request the bot reads before it acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reads {
    Nothing,
    Head,
    All,
}

/// What the bot does with each request.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) reads: Reads,
    pub(crate) acts: Vec<Act>,
}

impl Script {
    pub(crate) fn new(acts: impl Into<Vec<Act>>) -> Self {
        Self {
            reads: Reads::All,
            acts: acts.into(),
        }
    }

    /// A good answer on a connection that stays open.
    pub(crate) fn good() -> Self {
        Self::new([say("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngood")])
    }
}

pub(crate) fn say(bytes: impl AsRef<[u8]>) -> Act {
    Act::Say(bytes.as_ref().to_vec())
}

/// What the bot has seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// The number of its connection, for each request.
    pub(crate) requests: Vec<usize>,
    pub(crate) connections: usize,
    /// How many connections the gateway has not yet closed.
    pub(crate) open: usize,
}

/// The bot. Dropping it closes the port.
pub(crate) struct RawBot {
    pub(crate) url: String,
    script: Arc<Mutex<Script>>,
    seen: watch::Sender<Seen>,
    task: AbortOnDropHandle<()>,
}

impl RawBot {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address: SocketAddr = listener.local_addr().expect("it is bound");
        let (script, seen) = (
            Arc::new(Mutex::new(Script::good())),
            watch::Sender::default(),
        );
        let (scripts, tells) = (Arc::clone(&script), seen.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&scripts), tells.clone()));
            }
        });
        Self {
            url: format!("http://{address}/api/messages"),
            script,
            seen,
            task: AbortOnDropHandle::new(task),
        }
    }

    /// One behind a Unix socket.
    pub(crate) fn on_socket(path: &Path) -> Self {
        let listener = UnixListener::bind(path).expect("a socket");
        let (script, seen) = (
            Arc::new(Mutex::new(Script::good())),
            watch::Sender::default(),
        );
        let (scripts, tells) = (Arc::clone(&script), seen.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&scripts), tells.clone()));
            }
        });
        Self {
            url: format!("unix:{}:/api/messages", path.display()),
            script,
            seen,
            task: AbortOnDropHandle::new(task),
        }
    }

    /// What it does with every request from now on.
    pub(crate) fn play(&self, script: Script) {
        *self.script.lock().expect("nobody panicked") = script;
    }

    /// Takes no more connections, and goes on with those that it has.
    pub(crate) fn stop_listening(&self) {
        self.task.abort();
    }

    pub(crate) fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// Waits until at most `open` connections are open.
    pub(crate) async fn wait_until_closed(&self, open: usize) -> bool {
        let mut seen = self.seen.subscribe();
        let closed = seen.wait_for(|seen| seen.open <= open);
        tokio::time::timeout(PATIENCE, closed).await.is_ok()
    }
}

/// What a connection can do beside reading and writing.
trait Line: AsyncRead + AsyncWrite + Unpin {
    fn reset_when_dropped(&self);
}

impl Line for TcpStream {
    fn reset_when_dropped(&self) {
        self.set_zero_linger().expect("the socket is there");
    }
}

impl Line for tokio::net::UnixStream {
    fn reset_when_dropped(&self) {}
}

async fn serve(mut line: impl Line, script: Arc<Mutex<Script>>, seen: watch::Sender<Seen>) {
    let mut number = 0;
    seen.send_modify(|seen| {
        number = seen.connections;
        seen.connections += 1;
        seen.open += 1;
    });
    converse(&mut line, number, &script, &seen).await;
    drop(line);
    seen.send_modify(|seen| seen.open -= 1);
}

async fn converse(
    line: &mut impl Line,
    number: usize,
    script: &Mutex<Script>,
    seen: &watch::Sender<Seen>,
) {
    let mut unread = Vec::new();
    loop {
        let mut now = script.lock().expect("nobody panicked").clone();
        if now.reads != Reads::Nothing {
            if read_request(line, &mut unread, script).await.is_none() {
                return;
            }
            // It may have been told otherwise since the connection was made.
            now = script.lock().expect("nobody panicked").clone();
        }
        seen.send_modify(|seen| seen.requests.push(number));
        for act in now.acts {
            if !play(line, act).await {
                return;
            }
        }
    }
}

/// Reads one request, of which the body has a Content-Length; nothing if the gateway closes instead.
async fn read_request(
    line: &mut impl Line,
    unread: &mut Vec<u8>,
    script: &Mutex<Script>,
) -> Option<()> {
    let head_end = loop {
        if let Some(at) = unread.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        read_more(line, unread).await?;
    };
    let head = String::from_utf8_lossy(&unread[..head_end]).to_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.map_or(0, |length| length.trim().parse().expect("a number"));
    if script.lock().expect("nobody panicked").reads == Reads::Head {
        unread.drain(..head_end);
        return Some(());
    }
    while unread.len() < head_end + length {
        read_more(line, unread).await?;
    }
    unread.drain(..head_end + length);
    Some(())
}

async fn read_more(line: &mut impl Line, into: &mut Vec<u8>) -> Option<()> {
    let read = line.read_buf(into).await.ok()?;
    (read > 0).then_some(())
}

/// Says whether the connection is still there.
async fn play(line: &mut impl Line, act: Act) -> bool {
    const PAUSE: Duration = Duration::from_millis(10);
    match act {
        Act::Say(bytes) => line.write_all(&bytes).await.is_ok(),
        Act::Think(time) => {
            tokio::time::sleep(time).await;
            true
        }
        Act::Flood(bytes) => {
            while line.write_all(&bytes).await.is_ok() {}
            false
        }
        Act::Drip(bytes) => {
            for byte in bytes.into_iter().cycle() {
                if line.write_all(&[byte]).await.is_err() {
                    break;
                }
                tokio::time::sleep(PAUSE).await;
            }
            false
        }
        Act::Hang => {
            let mut ignored = Vec::new();
            while read_more(line, &mut ignored).await.is_some() {}
            false
        }
        Act::HalfClose => {
            let _closed = line.shutdown().await;
            let mut ignored = Vec::new();
            while read_more(line, &mut ignored).await.is_some() {}
            false
        }
        Act::Close => false,
        Act::Reset => {
            line.reset_when_dropped();
            false
        }
    }
}
