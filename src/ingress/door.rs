//! The door's hinges: requests go to the sentence, and what ends before there is a request is counted and told.

use super::Ingress;
use crate::judge::{Reason, Rejection};
use crate::net::listener::{Door, Event};
use crate::net::{Body, Peer};
use crate::observe::{self, RequestLine, Verdict};
use http::{Request, Response};
use hyper::body::Incoming;
use std::net::IpAddr;
use std::sync::Arc;
use uuid::Uuid;

impl Door for Ingress {
    async fn answer(self: Arc<Self>, request: Request<Incoming>, peer: Peer) -> Response<Body> {
        self.keep_books(request, peer).await
    }

    fn heard(&self, event: Event<'_>) {
        let metrics = self.observer.metrics();
        match event {
            Event::Opened => metrics.connection_opened(),
            Event::Closed => metrics.connection_closed(),
            Event::TooManyFromAddress(address) => {
                metrics.connection_refused(Reason::ConnectionLimited.code());
                tracing::debug!(%address, "closed a connection: its address holds too many");
            }
            Event::NotATrustedProxy(address) => {
                metrics.connection_refused("not_a_trusted_proxy");
                tracing::debug!(%address, "closed a connection: only trusted proxies may connect without TLS");
            }
            Event::HandshakeDone(version) => metrics.handshake_done(version),
            Event::HandshakeFailed(address, error) => {
                metrics.handshake_failed(error);
                tracing::debug!(%address, %error, "TLS handshake failed");
            }
            Event::Unreadable(peer, error) => self.note_unreadable(peer, error),
            Event::Http2Ended {
                address,
                why,
                malformed,
            } => {
                metrics.http2_ended(why, malformed);
                tracing::debug!(%address, why, malformed, "HTTP/2: the client broke the rules");
            }
            Event::AcceptFailed(error) => tracing::error!(%error, "cannot accept connections"),
        }
    }
}

impl Ingress {
    /// hyper answered 400 or 431 by itself; the line is ours to write.
    fn note_unreadable(&self, peer: Peer, error: &hyper::Error) {
        let reason = if error.is_parse_too_large() {
            Reason::HeadersTooLarge
        } else {
            Reason::RequestMalformed
        };
        let client_ip: IpAddr = peer.address.ip().to_canonical();
        let request_id = Uuid::new_v4().simple().to_string();
        let line = RequestLine {
            tls_version: peer.tls_version,
            ..RequestLine::new(request_id, observe::Door::Ingress, client_ip)
        };
        let mut watch = self.observer.watch(line, None);
        let rejection = Rejection::from(reason).noting(crate::net::client::chain(error));
        watch.conclude(Verdict::Rejected {
            status: reason.status(),
            rejection,
        });
    }
}
