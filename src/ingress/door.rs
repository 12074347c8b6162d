//! The door's hinges: requests go to the sentence, and what ends before there is a request is counted and told.

use super::Ingress;
use crate::judge::Reason;
use crate::net::RequestBody;
use crate::net::listener::{Door, Event};
use crate::net::{Body, Peer};
use crate::observe;
use http::{Request, Response};
use std::net::IpAddr;
use std::sync::Arc;

impl Door for Ingress {
    fn answer(
        self: Arc<Self>,
        request: Request<RequestBody>,
        peer: Peer,
    ) -> impl Future<Output = Response<Body>> + Send {
        self.keep_books(request, peer)
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
                tracing::debug!(%address, "closed a connection: it is not one of server.trusted_proxies");
                self.warn_of_proxy(address, "only server.trusted_proxies may connect without TLS, or where server.proxy_protocol is true");
            }
            Event::NoProxyHeader(address, flaw) => {
                metrics.connection_refused(flaw.word());
                tracing::debug!(%address, %flaw, "closed a connection of a trusted proxy");
                self.warn_of_proxy(address.ip(), &flaw.to_string());
            }
            Event::ProxyHeaderBroken(address, error) => {
                metrics.connection_refused("proxy_header_broken");
                tracing::debug!(%address, %error, "closed a connection of a trusted proxy: no whole PROXY protocol header came");
                self.warn_of_proxy(address.ip(), "no whole PROXY protocol header came");
            }
            Event::TooSlow => metrics.cut_for_slowness(),
            Event::HandshakeDone(version) => metrics.handshake_done(version),
            Event::HandshakeFailed(address, error) => {
                metrics.handshake_failed(error);
                tracing::debug!(%address, %error, "TLS handshake failed");
            }
            Event::Http2Ended {
                address,
                why,
                malformed,
            } => {
                metrics.http2_ended(why, malformed);
                tracing::debug!(%address, why, malformed, "HTTP/2: the client broke the rules");
            }
            Event::AcceptFailed { error, why, is_due } => {
                metrics.accept_failed(observe::Door::Ingress, why.word());
                if is_due {
                    tracing::error!(
                        event = "accept_failed",
                        door = observe::Door::Ingress.word(),
                        why = why.word(),
                        %error,
                        "cannot accept connections; further failures of this minute are counted only"
                    );
                }
            }
        }
    }
}

impl Ingress {
    /// The first of a minute: proxies are few, and one that is set up wrongly is no attack.
    fn warn_of_proxy(&self, address: IpAddr, why: &str) {
        if self.proxy_warnings.is_due() {
            tracing::warn!(
                event = "proxy_refused",
                client_ip = %address.to_canonical(),
                why,
                "closed a connection of what is no trusted proxy, or does not speak like one; further ones of this minute are counted only"
            );
        }
    }
}
