//! The operators' door: health, readiness, metrics. It has an address of its own and no authentication.

use crate::config::Settings;
use crate::keyring::Keyring;
use crate::net::listener::{Door, Event};
use crate::net::{Body, Peer, body};
use crate::observe::{Metrics, Observer};
use crate::tls::Certificates;
use crate::upstream::Upstreams;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::json;
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
    /// For readiness; nothing where TLS is off.
    pub certificates: Option<Arc<Certificates>>,
    /// For metrics.
    pub observer: Arc<Observer>,
    /// Cancelled when the gateway drains; then it is not ready.
    pub draining: CancellationToken,
}

/// One route: its path, and who answers.
struct Route {
    path: &'static str,
    answer: fn(&Admin) -> Response<Body>,
}

/// Every route, for GET and HEAD, for whoever reaches the admin address.
const ROUTES: &[Route] = &[
    Route {
        path: "/healthz",
        answer: |_| text("ok\n"),
    },
    Route {
        path: "/readyz",
        answer: Admin::readiness,
    },
    Route {
        path: "/metrics",
        answer: Admin::metrics,
    },
];

impl Admin {
    fn readiness(&self) -> Response<Body> {
        let mut missing: Vec<String> = self
            .keyring
            .missing()
            .into_iter()
            .map(|set| format!("keys {set:?}"))
            .collect();
        // Only what health checks say: a bot that requests met with as down would stay so if no more requests came.
        missing.extend(self.upstreams.unhealthy().map(|bot| format!("bot {bot:?}")));
        if self.certificates.as_ref().is_some_and(|it| it.is_missing()) {
            missing.push("certificate".to_owned());
        }
        if self.draining.is_cancelled() {
            missing.push("draining".to_owned());
        }
        let status = if missing.is_empty() {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        let mut response = text(format!(
            "{}\n",
            json!({ "ready": missing.is_empty(), "missing": missing })
        ));
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *response.status_mut() = status;
        response
    }

    fn metrics(&self) -> Response<Body> {
        let metrics = self.observer.metrics();
        for (issuer, seconds) in self.keyring.ages() {
            metrics.keys_age(&issuer, seconds);
        }
        let mut response = text(metrics.render());
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(Metrics::MEDIA_TYPE));
        response
    }
}

impl Door for Admin {
    async fn answer(self: Arc<Self>, request: Request<Incoming>, _peer: Peer) -> Response<Body> {
        let Some(route) = ROUTES
            .iter()
            .find(|route| route.path == request.uri().path())
        else {
            let mut response = text("not found: there are /healthz, /readyz and /metrics\n");
            *response.status_mut() = StatusCode::NOT_FOUND;
            return response;
        };
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = text("only GET\n");
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        (route.answer)(&self)
    }

    fn heard(&self, event: Event<'_>) {
        if let Event::AcceptFailed(error) = event {
            tracing::error!(%error, "cannot accept admin connections");
        }
    }
}

fn text(content: impl Into<bytes::Bytes>) -> Response<Body> {
    let mut response = Response::new(body::full(content));
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
