//! One connection: its handshake, its protocol, and the requests on it.

use super::busy::{Busy, Serving};
use super::gate::Caps;
use super::handshake::{self, ACME_TLS, Handshakes};
use super::lingering::Lingering;
use super::listener::{Door, Event};
use super::paced::{Paced, Patience};
use super::pressure::{Crowd, STALL};
use super::request_body::RequestBody;
use super::{Body, BodyError, Peer, clock};
use crate::config::TlsVersion;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What TLS may hold that the client does not take, bytes: more would only wait twice.
const TLS_BYTES: usize = 2 * 1024;
/// What the kernel may hold beside what is on its way, bytes: enough that a fast connection does not run dry.
#[cfg(target_os = "linux")]
const UNSENT_BYTES: u32 = 32 * 1024;

pub(super) struct Connection<D> {
    pub(super) door: Arc<D>,
    pub(super) caps: Caps,
    /// Cancelled when the gateway is about to end: what is answered from then on says so.
    pub(super) drain: CancellationToken,
    /// Cancelled a moment later: what is idle by then is closed.
    pub(super) closing: CancellationToken,
    /// Taken when idle connections were closed already: one answer is all it gets.
    pub(super) is_late: bool,
    pub(super) address: SocketAddr,
    /// Of all connections.
    pub(super) crowd: Crowd,
    /// Of all connections, too.
    pub(super) lingering: Lingering,
}

impl<D: Door> Connection<D> {
    pub(super) async fn serve(self, stream: TcpStream, tls: Option<Arc<dyn Handshakes>>) {
        // Answers are small and waited for; Nagle would only hold them back.
        let _ = stream.set_nodelay(true);
        // Beyond what is on the wire the kernel takes little: what it has taken, nobody knows whether the client reads.
        #[cfg(target_os = "linux")]
        let _ = socket2::SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT_BYTES);
        let Some(tls) = tls else {
            let peer = Peer {
                address: self.address,
                tls_version: None,
                refused: None,
            };
            let first = clock::deadline(self.caps.header_timeout);
            let heard = async { stream.readable().await.is_ok() };
            if self.hears(heard, first).await {
                Box::pin(self.serve_http1(stream, peer, first)).await;
            }
            return;
        };
        let handshake = handshake::accept(stream, &*tls, self.caps.handshake_timeout);
        let mut stream = match handshake.await {
            Ok(stream) => stream,
            Err(error) => {
                tls.failed(self.address, &error);
                return self
                    .door
                    .heard(Event::HandshakeFailed(self.address, &error));
            }
        };
        let session = stream.get_mut().1;
        session.set_buffer_limit(Some(TLS_BYTES));
        let version = match session.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => TlsVersion::V1_3,
            _ => TlsVersion::V1_2,
        };
        let speaks_h2 = session.alpn_protocol() == Some(b"h2");
        let is_asked_for_proof = session.alpn_protocol() == Some(ACME_TLS);
        self.door.heard(Event::HandshakeDone(version));
        if is_asked_for_proof {
            // The certificate was the answer; nothing may follow (RFC 8737 section 4).
            let _ = tokio::time::timeout(STALL, stream.shutdown()).await;
            return;
        }
        let peer = Peer {
            address: self.address,
            tls_version: Some(version),
            refused: None,
        };
        let first = clock::deadline(self.caps.header_timeout);
        let heard = async { matches!(stream.fill_buf().await, Ok([_, ..])) };
        if !self.hears(heard, first).await {
            let _ = tokio::time::timeout(STALL, stream.shutdown()).await;
        } else if speaks_h2 {
            Box::pin(self.serve_http2(stream, peer, first)).await;
        } else {
            Box::pin(self.serve_http1(stream, peer, first)).await;
        }
    }

    /// Waits for a client's first byte. Until then a connection needs none of the room that is made for requests, which is
    /// more than all the rest.
    async fn hears(&self, heard: impl Future<Output = bool>, by: Instant) -> bool {
        tokio::select! {
            biased;
            () = self.closing.cancelled() => false,
            heard = tokio::time::timeout_at(by, heard) => heard.unwrap_or(false),
        }
    }

    pub(super) fn pace<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        first: Instant,
    ) -> (TokioIo<Paced<S>>, Busy) {
        let busy = Busy::default();
        let patience = Patience {
            head: self.caps.header_timeout,
            keep_alive: self.caps.keep_alive_timeout,
        };
        (
            TokioIo::new(Paced::new(
                stream,
                patience,
                first,
                busy.clone(),
                self.crowd.clone(),
            )),
            busy,
        )
    }
}

/// Answers a request that came over HTTP/2. The door's future is many kilobytes large, and is moved whenever what holds it is: so it
/// is put in its place at once, and h2 holds a pointer.
pub(super) fn answer<D: Door>(
    door: Arc<D>,
    request: Request<RequestBody>,
    peer: Peer,
    serving: Serving,
) -> impl Future<Output = Result<Response<Body>, Infallible>> {
    let mut answering = Box::pin(door.answer(request, peer));
    let mut serving = Some(serving);
    std::future::poll_fn(move |cx| {
        let response = ready!(answering.as_mut().poll(cx));
        // It is there until the answer is, and then this is not polled again.
        Poll::Ready(Ok(match serving.take() {
            Some(serving) => response.map(|body| Held { body, serving }.boxed_unsync()),
            None => response,
        }))
    })
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
        self.serving.set_waiting(frame.is_pending());
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
