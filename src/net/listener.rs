//! Accepts, limits, handshakes within a deadline, serves, drains.

use super::gate::{Caps, Gate};
use super::paced::{Busy, Paced, Patience, Protocol, Serving};
use super::{Body, BodyError, Peer};
use crate::config::TlsVersion;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ServerConfig;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
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

struct Connection<D> {
    door: Arc<D>,
    caps: Caps,
    drain: CancellationToken,
    address: SocketAddr,
}

impl<D: Door> Connection<D> {
    async fn serve(self, stream: TcpStream, acceptor: Option<TlsAcceptor>) {
        // Answers are small and waited for; Nagle would only hold them back.
        let _ = stream.set_nodelay(true);
        let Some(acceptor) = acceptor else {
            let peer = Peer {
                address: self.address,
                tls_version: None,
                is_ambiguous: false,
            };
            return self.serve_http1(stream, peer).await;
        };
        let timed_out = || io::Error::new(io::ErrorKind::TimedOut, "handshake timed out");
        let handshake = tokio::time::timeout(self.caps.handshake_timeout, acceptor.accept(stream));
        let stream = match handshake.await.unwrap_or_else(|_| Err(timed_out())) {
            Ok(stream) => stream,
            Err(error) => {
                return self
                    .door
                    .heard(Event::HandshakeFailed(self.address, &error));
            }
        };
        let session = stream.get_ref().1;
        let version = match session.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => TlsVersion::V1_3,
            _ => TlsVersion::V1_2,
        };
        let speaks_h2 = session.alpn_protocol() == Some(b"h2");
        self.door.heard(Event::HandshakeDone(version));
        let peer = Peer {
            address: self.address,
            tls_version: Some(version),
            is_ambiguous: false,
        };
        if speaks_h2 {
            self.serve_http2(stream, peer).await
        } else {
            self.serve_http1(stream, peer).await
        }
    }

    fn pace<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        protocol: Protocol,
    ) -> (TokioIo<Paced<S>>, Busy) {
        let busy = Busy::default();
        let patience = Patience {
            head: self.caps.header_timeout,
            keep_alive: self.caps.keep_alive_timeout,
        };
        (
            TokioIo::new(Paced::new(stream, protocol, patience, busy.clone())),
            busy,
        )
    }

    async fn serve_http1<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        self,
        stream: S,
        peer: Peer,
    ) {
        let (io, busy) = self.pace(stream, Protocol::Http1);
        let door = Arc::clone(&self.door);
        let service =
            service_fn(move |request| answer(Arc::clone(&door), request, peer, busy.serve()));
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            // A backstop: Paced is stricter.
            .header_read_timeout(self.caps.header_timeout.max(self.caps.keep_alive_timeout))
            .max_headers(self.caps.headers)
            .max_header_size(self.caps.header_bytes)
            .serve_connection(io, service);
        let mut connection = std::pin::pin!(connection);
        let outcome = tokio::select! {
            outcome = connection.as_mut() => outcome,
            () = self.drain.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = outcome
            && error.is_parse()
        {
            self.door.heard(Event::Unreadable(peer, &error));
        }
    }

    async fn serve_http2<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        self,
        stream: S,
        peer: Peer,
    ) {
        let (io, busy) = self.pace(stream, Protocol::Http2);
        let door = Arc::clone(&self.door);
        let service =
            service_fn(move |request| answer(Arc::clone(&door), request, peer, busy.serve()));
        // A backstop for memory: what is beyond it, h2 answers with 431 and nobody hears of it. The door counts exactly.
        let head_bytes =
            u32::try_from(self.caps.header_bytes.saturating_mul(2)).unwrap_or(u32::MAX);
        let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_header_list_size(head_bytes)
            .max_concurrent_streams(100)
            .max_pending_accept_reset_streams(20)
            .max_local_error_reset_streams(100)
            .max_send_buf_size(64 * 1024)
            .serve_connection(io, service);
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            _ = connection.as_mut() => {}
            () = self.drain.cancelled() => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        }
    }
}

async fn answer<D: Door>(
    door: Arc<D>,
    request: Request<Incoming>,
    peer: Peer,
    mut serving: Serving,
) -> Result<Response<Body>, Infallible> {
    let peer = Peer {
        is_ambiguous: serving.is_ambiguous,
        ..peer
    };
    let response = door.answer(request, peer).await;
    serving.set_owed(true);
    Ok(response.map(|body| Held { body, serving }.boxed_unsync()))
}

/// A body that keeps its request counted as being served until it has ended.
struct Held {
    body: Body,
    serving: Serving,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        self.serving.set_owed(frame.is_ready());
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
