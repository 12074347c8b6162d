//! Accepts, limits, drains.

use super::connection::Connection;
use super::gate::Gate;
use super::{Body, Peer};
use crate::config::TlsVersion;
use http::{Request, Response};
use hyper::body::Incoming;
use rustls::ServerConfig;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
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
    pub tls: Option<Arc<ServerConfig>>,
    /// Only these neighbours may connect; nothing lets everyone.
    pub only_from: Option<Vec<ipnet::IpNet>>,
    /// Connection limits.
    pub gate: Arc<Gate>,
    /// Who answers.
    pub door: Arc<D>,
    /// Where connections are kept until they have ended.
    pub tasks: TaskTracker,
    /// Cancelled to stop accepting and to finish what is in flight.
    pub drain: CancellationToken,
}

impl<D: Door> Listener<D> {
    /// Accepts until `drain`, then lets go of the socket; connections end by themselves in `tasks`.
    pub async fn run(self) {
        let Self {
            socket,
            tls,
            only_from,
            gate,
            door,
            tasks,
            drain,
        } = self;
        let acceptor = tls.map(TlsAcceptor::from);
        loop {
            let accepted = tokio::select! {
                biased;
                () = drain.cancelled() => return,
                accepted = socket.accept() => accepted,
            };
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    door.heard(Event::AcceptFailed(&error));
                    pause_after(&error).await;
                    continue;
                }
            };
            let is_welcome = only_from
                .as_deref()
                .is_none_or(|nets| super::headers::is_trusted(address.ip(), nets));
            if !is_welcome {
                door.heard(Event::NotATrustedProxy(address.ip()));
                continue;
            }
            let Some(entered) = gate.enter(address.ip()) else {
                door.heard(Event::TooManyFromAddress(address.ip()));
                continue;
            };
            // At the cap this connection waits unserved, and the next ones in the kernel's queue.
            let permit = tokio::select! {
                biased;
                () = drain.cancelled() => return,
                permit = Arc::clone(&gate.open).acquire_owned() => permit,
            };
            let connection = Connection {
                door: Arc::clone(&door),
                caps: gate.caps,
                drain: drain.clone(),
                address,
            };
            let acceptor = acceptor.clone();
            tasks.spawn(async move {
                connection.door.heard(Event::Opened);
                let door = Arc::clone(&connection.door);
                connection.serve(stream, acceptor).await;
                drop((permit, entered));
                door.heard(Event::Closed);
            });
        }
    }
}

/// Errors of one connection are its own; running out of descriptors needs a pause, or the loop spins.
async fn pause_after(error: &io::Error) {
    let is_of_one_connection = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    );
    if !is_of_one_connection {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
