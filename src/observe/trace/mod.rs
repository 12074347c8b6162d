//! A span per request, and one per call of a bot, where somebody collects them (OpenTelemetry).
//!
//! Names are those of the HTTP semantic conventions (<https://opentelemetry.io/docs/specs/semconv/http/http-spans/>), and
//! `botgate.*` for what only a gateway knows. A span says less than the request line: no token, no query, no id of a user, a
//! conversation or a tenant.

mod context;
mod export;
mod span;

pub use span::BackendSpan;
pub(super) use span::RequestSpan;

use super::Metrics;
use super::metrics::SpanCounts;
use http::{HeaderMap, HeaderName};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::trace::{Span as _, SpanBuilder, SpanKind, TraceContextExt, Tracer as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, SpanExporter};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Makes spans, and has them exported in the background: by a thread of the SDK's own, from a queue that drops what does not fit.
#[derive(Debug)]
pub(super) struct Tracing {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    counts: SpanCounts,
}

impl Tracing {
    /// Sampler, queue and resource are what the environment says (`OTEL_TRACES_SAMPLER`, `OTEL_BSP_*`, `OTEL_RESOURCE_ATTRIBUTES`,
    /// `OTEL_SERVICE_NAME`).
    pub(super) fn new(exporter: impl SpanExporter + 'static, metrics: &Metrics) -> Self {
        let counts = metrics.span_counts();
        let exporter = export::Told {
            exporter,
            counts: counts.clone(),
            is_failing: AtomicBool::new(false),
        };
        let provider = SdkTracerProvider::builder()
            .with_resource(resource())
            .with_batch_exporter(exporter)
            .build();
        let tracer = provider.tracer("botgate");
        Self {
            provider,
            tracer,
            counts,
        }
    }

    /// The span of a request with these headers.
    pub(super) fn request(&self, headers: &HeaderMap) -> RequestSpan {
        let parent = match context::parent(headers) {
            Some(parent) => Context::new().with_remote_span_context(parent),
            None => Context::new(),
        };
        let builder = SpanBuilder::from_name("HTTP").with_kind(SpanKind::Server);
        RequestSpan {
            span: self.tracer.build_with_context(builder, &parent),
            tracer: self.tracer.clone(),
            counts: self.counts.clone(),
            route: None,
        }
    }

    /// Sends what is still in the queue, and ends. Blocks, for as long as `within`.
    pub(super) fn finish(&self, within: Duration) {
        if let Err(error) = self.provider.shutdown_with_timeout(within) {
            tracing::warn!(
                event = "trace_flush_failed",
                %error,
                "the last spans did not reach their collector"
            );
        }
    }
}

impl RequestSpan {
    /// The span of the call that hands this request to its bot; what names it as the sender is told.
    pub(super) fn call(&self, tell: impl FnMut(&HeaderName, Option<&str>)) -> BackendSpan {
        let parent = self.span.span_context().clone();
        let parent = Context::new().with_remote_span_context(parent);
        let builder = SpanBuilder::from_name("POST").with_kind(SpanKind::Client);
        let span = self.tracer.build_with_context(builder, &parent);
        context::name_sender(span.span_context(), tell);
        BackendSpan::of(span, self.counts.clone())
    }
}

/// Who makes these spans: "botgate", unless the environment names it otherwise.
fn resource() -> Resource {
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let found = Resource::builder().with_attribute(version).build();
    let named = found.get(&"service.name".into());
    let is_named = named.is_some_and(|name| !name.as_str().starts_with("unknown_service"));
    if is_named {
        return found;
    }
    Resource::builder()
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_service_name("botgate")
        .build()
}
