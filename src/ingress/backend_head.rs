//! The head of a request to the bot: what the channel sent, and what the gateway says about it.

use super::Ingress;
use crate::config::Bot;
use crate::judge::Admitted;
use crate::net::headers::{self, Origin};
use crate::net::{Peer, reply};
use http::header::{HOST, HeaderName};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};

impl Ingress {
    pub(super) fn headers_for(
        &self,
        bot: &Bot,
        head: &Parts,
        peer: Peer,
        admitted: &Admitted,
        request_id: &str,
    ) -> HeaderMap {
        let host = head.headers.get(HOST).and_then(|value| value.to_str().ok());
        let origin = Origin {
            peer: peer.address.ip(),
            peer_is_trusted: headers::is_trusted(
                peer.address.ip(),
                &self.settings.server.trusted_proxies,
            ),
            scheme: if peer.tls_version.is_some() {
                "https"
            } else {
                "http"
            },
            host: host
                .or_else(|| head.uri.authority().map(http::uri::Authority::as_str))
                .unwrap_or_default(),
        };
        let mut sent = headers::to_backend(&head.headers, origin);
        let mut say = |name: HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                sent.insert(name, value);
            }
        };
        say(reply::X_REQUEST_ID, request_id);
        if bot.identity_headers {
            say(HeaderName::from_static("x-botgate-request-id"), request_id);
            say(
                HeaderName::from_static("x-botgate-app-id"),
                &bot.expect.app_id,
            );
            if let Some(channel) = admitted.base_channel() {
                say(HeaderName::from_static("x-botgate-channel"), channel);
            }
            if let Some(tenant) = admitted.tenant() {
                say(
                    HeaderName::from_static("x-botgate-tenant"),
                    &tenant.to_string(),
                );
            }
        }
        sent
    }
}
