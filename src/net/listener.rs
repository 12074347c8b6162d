//! Accepts, limits, drains.

use super::accept_errors::{AcceptError, Told};
use super::connection::Connection;
use super::gate::{Gate, Place};
use super::handshake::Handshakes;
use super::proxied::{self, Unmet};
use super::proxy_header::Flaw;
use super::request_body::RequestBody;
use super::{Body, Peer};
use crate::config::TlsVersion;
use http::{Request, Response};
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
        request: Request<RequestBody>,
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
    /// A connection was closed at once: only trusted proxies may connect, to a plain listener or where each begins with a PROXY
    /// protocol header.
    NotATrustedProxy(IpAddr),
    /// A connection of a trusted proxy was closed: what it began with is no PROXY protocol header.
    NoProxyHeader(SocketAddr, Flaw),
    /// The same: none came, or not all of one, before the connection broke or the time was up.
    ProxyHeaderBroken(SocketAddr, &'a io::Error),
    /// A TLS handshake succeeded, with this version.
    HandshakeDone(TlsVersion),
    /// A TLS handshake failed or took too long.
    HandshakeFailed(SocketAddr, &'a io::Error),
    /// A connection was ended because its client took what it was given too slowly.
    TooSlow,
    /// What a client of HTTP/2 did wrong on a connection that has ended.
    Http2Ended {
        /// The client's.
        address: IpAddr,
        /// What ended the connection, in a word fit for a metric label; nothing if it was not the client's fault.
        why: Option<&'static str>,
        /// How many requests were reset because they were malformed.
        malformed: u64,
    },
    /// `accept` failed; it is tried again, after a pause where that is not the connection's own matter.
    AcceptFailed {
        /// What the system said.
        error: &'a io::Error,
        /// Why, in short.
        why: AcceptError,
        /// Whether it is worth a line: the first one of a minute.
        is_due: bool,
    },
}

/// One listening socket and what it serves.
pub struct Listener<D> {
    /// The bound socket.
    pub socket: TcpListener,
    /// Nothing for plain HTTP.
    pub tls: Option<Arc<dyn Handshakes>>,
    /// Who may connect, and connection limits.
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
        let told = Told::default();
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.drain.cancelled() => break,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => self.admit(stream, address).await,
                Err(error) => {
                    let why = AcceptError::of(&error);
                    self.door.heard(Event::AcceptFailed {
                        error: &error,
                        why,
                        is_due: told.is_due(why),
                    });
                    pause_after(why).await;
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
                Err(error) if AcceptError::of(&error) == AcceptError::Gone => continue,
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
        let rules = self.gate.rules();
        if !rules.is_welcome(address.ip()) {
            return self.door.heard(Event::NotATrustedProxy(address.ip()));
        }
        // Whose the connection is, its header will tell.
        let entered = if rules.has_proxy_header {
            None
        } else {
            let Some(entered) = self.gate.enter(address.ip(), rules.caps) else {
                return self.door.heard(Event::TooManyFromAddress(address.ip()));
            };
            Some(entered)
        };
        // At the cap this connection waits unserved, and the next ones in the kernel's queue. At the end they wait no longer: each
        // may have sent a request, which is refused then.
        let place = tokio::select! {
            biased;
            () = self.closing.cancelled() => None,
            place = self.gate.place() => Some(place),
        };
        let is_late = place.is_none();
        // Those of a late one are cancelled when it has had the time to ask.
        let [drain, closing] = [&self.drain, &self.closing].map(|token| match is_late {
            false => token.child_token(),
            true => CancellationToken::new(),
        });
        let end = is_late.then(|| end_later([drain.clone(), closing.clone()]));
        let connection = Connection {
            door: Arc::clone(&self.door),
            caps: rules.caps,
            // Its own, as the next one.
            drain,
            // Its own: it is looked at whenever anything happens here, and looking takes a lock.
            closing,
            is_late,
            address,
            crowd: self.gate.crowd.clone(),
            lingering: self.gate.lingering.clone(),
        };
        let tls = self.tls.clone();
        let gate = Arc::clone(&self.gate);
        let serving = async move {
            connection.door.heard(Event::Opened);
            let door = Arc::clone(&connection.door);
            match entered {
                Some(entered) => {
                    connection.serve(stream, tls).await;
                    drop((place, entered));
                }
                None => serve_proxied(connection, stream, tls, (gate, place)).await,
            }
            door.heard(Event::Closed);
        };
        match end {
            None => self.tasks.spawn(serving),
            Some(end) => self.tasks.spawn(async move {
                tokio::select! {
                    () = Box::pin(serving) => {}
                    () = end => {}
                }
            }),
        };
    }
}

/// Lets a connection that was taken at the end know of it, when it has had the time to ask. Never ready.
async fn end_later(tokens: [CancellationToken; 2]) {
    tokio::time::sleep(LATE).await;
    tokens.iter().for_each(CancellationToken::cancel);
    std::future::pending().await
}

/// How long a connection has to ask that is taken when the gateway closes idle ones: for a handshake and a head, which mostly wait in
/// it already.
const LATE: Duration = Duration::from_secs(1);

/// Serves a connection for the client that its PROXY protocol header names, and counts it for that one.
async fn serve_proxied<D: Door>(
    mut connection: Connection<D>,
    mut stream: TcpStream,
    tls: Option<Arc<dyn Handshakes>>,
    (gate, _place): (Arc<Gate>, Option<Place>),
) {
    let (proxy, caps) = (connection.address, connection.caps);
    // The time for a handshake, which this is.
    let header = proxied::client_of(&mut stream, proxy);
    let header = tokio::time::timeout(caps.handshake_timeout, header);
    let header = tokio::select! {
        biased;
        () = connection.closing.cancelled() => return,
        header = header => header,
    };
    let timed_out = |_| Err(Unmet::Broken(io::ErrorKind::TimedOut.into()));
    let door = Arc::clone(&connection.door);
    let client = match header.unwrap_or_else(timed_out) {
        Ok(client) => client,
        Err(Unmet::Left) => return,
        Err(Unmet::Flawed(flaw)) => return door.heard(Event::NoProxyHeader(proxy, flaw)),
        Err(Unmet::Broken(error)) => return door.heard(Event::ProxyHeaderBroken(proxy, &error)),
    };
    let Some(_entered) = gate.enter(client.ip(), caps) else {
        return door.heard(Event::TooManyFromAddress(client.ip()));
    };
    connection.address = client;
    connection.serve(stream, tls).await;
}

/// Errors of one connection are its own; running out of descriptors needs a pause, or the loop spins.
async fn pause_after(why: AcceptError) {
    if why != AcceptError::Gone {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
