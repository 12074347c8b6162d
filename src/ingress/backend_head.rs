//! The head of a request to the bot: what the channel sent, and what the gateway says about it.

use super::Ingress;
use crate::config::Bot;
use crate::judge::Admitted;
use crate::net::Peer;
use crate::net::fields::Fields;
use crate::net::headers::{self, Origin};
use crate::observe::{BackendSpan, Watch};
use http::header::{HOST, HeaderName};
use http::request::Parts;

impl Ingress {
    pub(super) fn fields_for(
        &self,
        bot: &Bot,
        head: &Parts,
        peer: Peer,
        admitted: &Admitted,
        request_id: &str,
    ) -> Fields {
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
        let mut sent = headers::to_backend(&head.headers, origin, request_id);
        if bot.identity_headers {
            // A client's own of these names do not pass.
            let mut say = |name: &'static str, value: &str| {
                sent.append_text(&HeaderName::from_static(name), value.as_bytes());
            };
            say("x-botgate-request-id", request_id);
            say("x-botgate-app-id", &bot.expect.app_id);
            if let Some(channel) = admitted.base_channel() {
                say("x-botgate-channel", channel);
            }
            if let Some(tenant) = admitted.tenant() {
                say("x-botgate-tenant", &tenant.to_string());
            }
        }
        sent
    }
}

/// The span of the call that hands the request to its bot; these fields name it as their sender.
pub(super) fn name_sender(fields: &mut Fields, watch: &Watch) -> BackendSpan {
    watch.call(|name, value| match value {
        Some(value) => fields.set(name, value.as_bytes()),
        None => fields.remove(name),
    })
}
