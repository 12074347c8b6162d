//! Tells whether spans reach their collector: counted, and logged when that changes.

use super::super::metrics::SpanCounts;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// An exporter whose failures are told: the SDK keeps them to itself.
#[derive(Debug)]
pub(super) struct Told<E> {
    pub(super) exporter: E,
    pub(super) counts: SpanCounts,
    pub(super) is_failing: AtomicBool,
}

impl<E: SpanExporter> SpanExporter for Told<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let outcome = self.exporter.export(batch).await;
        self.counts.exported(spans, outcome.is_ok());
        let was_failing = self.is_failing.swap(outcome.is_err(), Ordering::Relaxed);
        match &outcome {
            Err(error) if !was_failing => tracing::warn!(
                event = "trace_export_failed",
                spans,
                %error,
                "spans do not reach their collector; requests are served all the same"
            ),
            Ok(()) if was_failing => tracing::info!(
                event = "trace_export_resumed",
                spans,
                "spans reach their collector again"
            ),
            Ok(()) | Err(_) => {}
        }
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
