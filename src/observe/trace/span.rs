//! What spans say.

use super::super::audit::{Entry, http_version};
use super::super::metrics::SpanCounts;
use super::super::redact::capped;
use super::super::texts::Text;
use crate::config::Endpoint;
use crate::judge::Rejection;
use http::{Method, StatusCode};
use opentelemetry::trace::{Span as _, Status};
use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::trace::{SdkTracer, Span};

/// The span of one request, ended with its line.
#[derive(Debug)]
pub(in crate::observe) struct RequestSpan {
    pub(super) span: Span,
    pub(super) tracer: SdkTracer,
    pub(super) counts: SpanCounts,
    /// The configured path that the request was for.
    pub(super) route: Option<String>,
}

impl RequestSpan {
    /// 32 hex digits.
    pub(in crate::observe) fn trace_id(&self) -> String {
        self.span.span_context().trace_id().to_string()
    }

    pub(in crate::observe) fn set_route(&mut self, route: &str) {
        if self.span.is_recording() {
            self.route = Some(route.to_owned());
        }
    }

    /// Says what became of the request, and ends.
    pub(in crate::observe) fn end(mut self, entry: &Entry<'_>) {
        if !self.span.is_recording() {
            return;
        }
        let line = entry.line;
        let (method, original) = method(line.text(Text::Method));
        self.span.update_name(match &self.route {
            Some(route) => format!("{method} {route}"),
            None => method.to_owned(),
        });
        let status = entry.verdict.status();
        let reason = entry.rejection.map(|rejection| rejection.reason().code());
        let is_failed = status.is_some_and(|status| status >= 500) || is_cut(entry);
        self.set("http.request.method", Some(method));
        self.set("http.request.method_original", original);
        self.set("http.route", self.route.clone());
        self.set("http.response.status_code", status.map(i64::from));
        self.set(
            "url.scheme",
            Some(if line.tls_version.is_some() {
                "https"
            } else {
                "http"
            }),
        );
        // The path of a skill's callback holds a conversation's id, and that of a stranger anything: a configured one is all that is told.
        self.set("url.path", self.route.clone());
        self.set("client.address", Some(line.client_ip.to_string()));
        self.set("network.protocol.name", Some("http"));
        self.set(
            "network.protocol.version",
            line.http_version.and_then(http_version),
        );
        self.set("botgate.verdict", Some(entry.verdict.word()));
        self.set("botgate.reason", reason);
        self.set(
            "botgate.bot",
            Some(entry.bot.to_owned()).filter(|bot| !bot.is_empty()),
        );
        self.set("botgate.door", Some(line.door.word()));
        self.set(
            "botgate.request_id",
            Some(capped(line.request_id(), MAX_CHARS).into_owned()),
        );
        self.set(
            "botgate.acknowledged",
            Some(true).filter(|_| line.acknowledged),
        );
        // A server's span has failed where the server did: 4xx is the client's fault, and no error of ours.
        if is_failed {
            let kind = reason.map_or_else(|| status.unwrap_or_default().to_string(), str::to_owned);
            self.set("error.type", Some(kind));
            self.span.set_status(Status::error(""));
        }
        self.span.end();
        self.counts.ended();
    }

    fn set<V: Into<Value>>(&mut self, key: &'static str, value: Option<V>) {
        if let Some(value) = value {
            self.span.set_attribute(KeyValue::new(key, value));
        }
    }
}

/// The bot's answer broke after its head was passed on.
fn is_cut(entry: &Entry<'_>) -> bool {
    entry.verdict.rejection().is_none() && entry.rejection.is_some()
}

/// The span of one call of a bot. One that is dropped was cut off.
#[derive(Debug, Default)]
pub struct BackendSpan(Option<Box<(Span, SpanCounts)>>);

impl BackendSpan {
    pub(super) fn of(span: Span, counts: SpanCounts) -> Self {
        // Boxed, because it is seldom wanted, and every request would carry room for it.
        Self(Some(Box::new((span, counts))))
    }

    /// Says how the bot answered, with which of its servers, and ends. The status is the one that the bot gave.
    pub fn end(
        mut self,
        method: &Method,
        server: Option<&Endpoint>,
        outcome: Result<StatusCode, &Rejection>,
    ) {
        let Some((span, _)) = self.0.as_deref_mut() else {
            return;
        };
        let mut set = |key: &'static str, value: Value| {
            span.set_attribute(KeyValue::new(key, value));
        };
        set("http.request.method", method.as_str().to_owned().into());
        if let Some(server) = server {
            let url = &server.url;
            set("url.scheme", url.scheme().to_owned().into());
            set("botgate.backend", server.name.clone().into());
            match (&server.socket, url.host_str()) {
                (Some(socket), _) => set("server.address", socket.display().to_string().into()),
                (None, host) => {
                    set("server.address", host.unwrap_or_default().to_owned().into());
                    let port = i64::from(url.port_or_known_default().unwrap_or_default());
                    set("server.port", port.into());
                }
            }
        }
        let failure = match outcome {
            Ok(status) => {
                set(
                    "http.response.status_code",
                    i64::from(status.as_u16()).into(),
                );
                let is_failed = status.is_client_error() || status.is_server_error();
                is_failed.then(|| status.as_u16().to_string())
            }
            Err(rejection) => Some(rejection.reason().code().to_owned()),
        };
        if let Some(kind) = failure {
            set("error.type", kind.into());
            span.set_status(Status::error(""));
        }
        span.update_name(method.as_str().to_owned());
    }
}

impl Drop for BackendSpan {
    fn drop(&mut self) {
        if let Some((span, counts)) = self.0.as_deref_mut()
            && span.is_recording()
        {
            span.end();
            counts.ended();
        }
    }
}

/// The method, or `_OTHER` and the word that was sent: what clients make up does not become a name.
fn method(sent: Option<&str>) -> (&'static str, Option<String>) {
    const KNOWN: &[&str] = &[
        "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
    ];
    let Some(sent) = sent else {
        return ("_OTHER", None);
    };
    match KNOWN.iter().find(|known| **known == sent) {
        Some(known) => (known, None),
        None => ("_OTHER", Some(capped(sent, MAX_CHARS).into_owned())),
    }
}

const MAX_CHARS: usize = 256;
