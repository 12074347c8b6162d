//! The operators' door: health, readiness, metrics, the status page. It has an address of its own and no authentication.
//!
//! This room must not change anything: it answers GET and HEAD, and shows nothing that is secret.

mod host;
mod page;
mod policies;
mod readiness;
mod status;

use crate::config::Settings;
use crate::keyring::Keyring;
use crate::net::RequestBody;
use crate::net::listener::{Door, Event};
use crate::net::{Body, Peer, body};
use crate::observe::{self, Metrics, Observer};
use crate::shared::Shared;
use crate::tls::Certificates;
use crate::upstream::Upstreams;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The operators' door.
pub struct Admin {
    /// What runs.
    pub settings: Arc<Settings>,
    /// For readiness and the keys' age.
    pub keyring: Arc<Keyring>,
    /// For readiness.
    pub upstreams: Arc<Upstreams>,
    /// For readiness; nothing where each gateway counts by itself.
    pub shared: Option<Arc<Shared>>,
    /// For readiness; nothing where TLS is off.
    pub certificates: Option<Arc<Certificates>>,
    /// For metrics.
    pub observer: Arc<Observer>,
    /// Cancelled when the gateway drains; then it is not ready.
    pub draining: CancellationToken,
}

/// One route: its path, under which names it is there, and who answers.
struct Route {
    path: &'static str,
    hosts: Hosts,
    answer: fn(&Admin, &Parts) -> Response<Body>,
}

/// Under which `Host` a route is there.
enum Hosts {
    /// Any: probes and collectors use whatever name a cluster has for them.
    Any,
    /// What no page of another site can stand for; see [`host::is_safe`].
    Safe,
}

/// Every route, for GET and HEAD, for whoever reaches the admin address.
const ROUTES: &[Route] = &[
    Route {
        path: "/healthz",
        hosts: Hosts::Any,
        answer: |_, _| text("ok\n"),
    },
    Route {
        path: "/readyz",
        hosts: Hosts::Any,
        answer: |admin, _| readiness::answer(admin),
    },
    Route {
        path: "/metrics",
        hosts: Hosts::Any,
        answer: |admin, _| admin.metrics(),
    },
    Route {
        path: "/",
        hosts: Hosts::Safe,
        answer: status::answer,
    },
    Route {
        path: page::STYLE.path,
        hosts: Hosts::Safe,
        answer: |_, _| page::answer(&page::STYLE),
    },
    Route {
        path: page::SCRIPT.path,
        hosts: Hosts::Safe,
        answer: |_, _| page::answer(&page::SCRIPT),
    },
    Route {
        path: page::ICON.path,
        hosts: Hosts::Safe,
        answer: |_, _| page::answer(&page::ICON),
    },
];

impl Admin {
    fn metrics(&self) -> Response<Body> {
        let metrics = self.observer.metrics();
        for (issuer, seconds) in self.keyring.ages() {
            metrics.keys_age(&issuer, seconds);
        }
        typed(metrics.render(), Metrics::MEDIA_TYPE)
    }
}

impl Door for Admin {
    async fn answer(self: Arc<Self>, request: Request<RequestBody>, peer: Peer) -> Response<Body> {
        if peer.refused.is_some() {
            // What stands in its place has a path, too, which nobody asked for.
            return refusal(StatusCode::BAD_REQUEST, "not HTTP with one reading\n");
        }
        let (head, _) = request.into_parts();
        let Some(route) = ROUTES.iter().find(|route| route.path == head.uri.path()) else {
            return refusal(
                StatusCode::NOT_FOUND,
                "not found: there are /, /healthz, /readyz and /metrics\n",
            );
        };
        if !matches!(head.method, Method::GET | Method::HEAD) {
            let mut response = refusal(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match route.hosts {
            Hosts::Safe if !host::is_safe(&head) => {
                refusal(StatusCode::MISDIRECTED_REQUEST, host::HINT)
            }
            Hosts::Safe | Hosts::Any => (route.answer)(&self, &head),
        }
    }

    fn heard(&self, event: Event<'_>) {
        if let Event::AcceptFailed { error, why, is_due } = event {
            let metrics = self.observer.metrics();
            metrics.accept_failed(observe::Door::Admin, why.word());
            if is_due {
                tracing::error!(
                    event = "accept_failed",
                    door = observe::Door::Admin.word(),
                    why = why.word(),
                    %error,
                    "cannot accept connections of operators; further failures of this minute are counted only"
                );
            }
        }
    }
}

fn refusal(status: StatusCode, why: &'static str) -> Response<Body> {
    let mut response = text(why);
    *response.status_mut() = status;
    response
}

fn text(content: impl Into<bytes::Bytes>) -> Response<Body> {
    typed(content, "text/plain; charset=utf-8")
}

fn typed(content: impl Into<bytes::Bytes>, media_type: &'static str) -> Response<Body> {
    let mut response = Response::new(body::full(content));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
