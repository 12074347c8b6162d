//! One connection: its handshake, its protocol, and the requests on it.

use super::gate::Caps;
use super::listener::{Door, Event};
use super::paced::{Busy, Paced, Patience, Protocol, Serving};
use super::{Body, BodyError, Peer};
use crate::config::TlsVersion;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

pub(super) struct Connection<D> {
    pub(super) door: Arc<D>,
    pub(super) caps: Caps,
    pub(super) drain: CancellationToken,
    pub(super) address: SocketAddr,
}

impl<D: Door> Connection<D> {
    pub(super) async fn serve(self, stream: TcpStream, acceptor: Option<TlsAcceptor>) {
        // Answers are small and waited for; Nagle would only hold them back.
        let _ = stream.set_nodelay(true);
        let Some(acceptor) = acceptor else {
            let peer = Peer {
                address: self.address,
                tls_version: None,
                refused: None,
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
            refused: None,
        };
        if speaks_h2 {
            self.serve_http2(stream, peer).await
        } else {
            self.serve_http1(stream, peer).await
        }
    }

    pub(super) fn pace<S: AsyncRead + AsyncWrite + Unpin>(
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
}

pub(super) async fn answer<D: Door>(
    door: Arc<D>,
    request: Request<Incoming>,
    peer: Peer,
    mut serving: Serving,
) -> Result<Response<Body>, Infallible> {
    let peer = Peer {
        refused: serving.refused,
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
