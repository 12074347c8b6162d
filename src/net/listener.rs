//! Accepts, limits, drains.

use super::connection::Connection;
use super::gate::Gate;
use super::handshake::Handshakes;
use super::{Body, Peer};
use crate::config::TlsVersion;
use http::{Request, Response};
use hyper::body::Incoming;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What stands behind a listener.
pub trait Door: Send + Sync + 'static {
    /// Answers one request.
    fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: Peer,
    ) -> impl Future<Output = Response<Body>> + Send;

    /// Hears of what ended before there was a request.
    fn heard(&self, event: Event<'_>);
}

/// What happens on connections beside requests.
#[derive(Debug)]
pub enum Event<'a> {
    /// A connection was opened.
    Opened,
    /// A connection ended.
    Closed,
    /// A connection was closed at once: its address holds too many.
    TooManyFromAddress(IpAddr),
    /// A connection was closed at once: only trusted proxies may connect to a plain listener.
    NotATrustedProxy(IpAddr),
    /// A TLS handshake succeeded, with this version.
    HandshakeDone(TlsVersion),
    /// A TLS handshake failed or took too long.
    HandshakeFailed(SocketAddr, &'a io::Error),
    /// hyper refused to read a request and answered by itself.
    Unreadable(Peer, &'a hyper::Error),
    /// What a client of HTTP/2 did wrong on a connection that has ended.
    Http2Ended {
        /// The client's.
        address: IpAddr,
        /// What ended the connection, in a word fit for a metric label; nothing if it was not the client's fault.
        why: Option<&'static str>,
        /// How many requests were reset because they were malformed.
        malformed: u64,
    },
    /// `accept` failed; it is tried again after a pause.
    AcceptFailed(&'a io::Error),
}

/// One listening socket and what it serves.
pub struct Listener<D> {
    /// The bound socket.
    pub socket: TcpListener,
    /// Nothing for plain HTTP.
    pub tls: Option<Arc<dyn Handshakes>>,
    /// Only these neighbours may connect; nothing lets everyone.
    pub only_from: Option<Vec<ipnet::IpNet>>,
    /// Connection limits.
    pub gate: Arc<Gate>,
    /// Who answers.
    pub door: Arc<D>,
    /// Where connections are kept until they have ended.
    pub tasks: TaskTracker,
    /// Cancelled to stop accepting, and to tell clients that their connection is about to end.
    pub drain: CancellationToken,
    /// Cancelled a moment later, when clients have had time to learn of it: idle connections are closed.
    pub closing: CancellationToken,
}

impl<D: Door> Listener<D> {
    /// Accepts until `drain`, takes what the kernel has accepted by then, and lets go of the socket; connections end by themselves
    /// in `tasks`.
    pub async fn run(self) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.drain.cancelled() => break,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => self.admit(stream, address).await,
                Err(error) => {
                    self.door.heard(Event::AcceptFailed(&error));
                    pause_after(&error).await;
                }
            }
        }
        self.empty_queue().await;
    }

    /// Closing the socket would reset connections whose clients believe that they are open, and may have sent a request.
    async fn empty_queue(self) {
        // Readiness, as tokio knows it, lags behind; the socket itself is asked.
        let Ok(queue) = self
            .socket
            .as_fd()
            .try_clone_to_owned()
            .map(std::net::TcpListener::from)
        else {
            return;
        };
        loop {
            let (stream, address) = match queue.accept() {
                Ok(accepted) => accepted,
                Err(error) if is_of_one_connection(&error) => continue,
                Err(_empty) => return,
            };
            let stream = stream
                .set_nonblocking(true)
                .and_then(|()| TcpStream::from_std(stream));
            if let Ok(stream) = stream {
                self.admit(stream, address).await;
            }
        }
    }

    /// Serves a connection, if it is welcome, once there is room for it.
    async fn admit(&self, stream: TcpStream, address: SocketAddr) {
        let is_welcome = self
            .only_from
            .as_deref()
            .is_none_or(|nets| super::headers::is_trusted(address.ip(), nets));
        if !is_welcome {
            return self.door.heard(Event::NotATrustedProxy(address.ip()));
        }
        let Some(entered) = self.gate.enter(address.ip()) else {
            return self.door.heard(Event::TooManyFromAddress(address.ip()));
        };
        // At the cap this connection waits unserved, and the next ones in the kernel's queue.
        let permit = tokio::select! {
            biased;
            () = self.closing.cancelled() => return,
            permit = Arc::clone(&self.gate.open).acquire_owned() => permit,
        };
        let connection = Connection {
            door: Arc::clone(&self.door),
            caps: self.gate.caps,
            drain: self.drain.clone(),
            closing: self.closing.clone(),
            address,
            crowd: self.gate.crowd.clone(),
        };
        let tls = self.tls.clone();
        self.tasks.spawn(async move {
            connection.door.heard(Event::Opened);
            let door = Arc::clone(&connection.door);
            connection.serve(stream, tls).await;
            drop((permit, entered));
            door.heard(Event::Closed);
        });
    }
}

/// Errors of one connection are its own; running out of descriptors needs a pause, or the loop spins.
async fn pause_after(error: &io::Error) {
    if !is_of_one_connection(error) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}
