//! Metrics of traces: what became of spans.

use super::Metrics;
use super::describe::Describe;
use prometheus::{IntCounter, IntCounterVec};

/// Counts spans. Clones count the same.
#[derive(Clone, Debug)]
pub(in crate::observe) struct SpanCounts {
    /// `botgate_spans_ended_total`: spans that were sampled and have ended. Those that are never exported, and did not fail, were
    /// dropped: the queue was full.
    ended: IntCounter,
    /// `botgate_spans_exported_total{result}`: spans that were sent to the collector. result: ok, failed.
    exported: IntCounterVec,
}

impl SpanCounts {
    pub(super) fn new(describe: &Describe<'_>) -> Result<Self, prometheus::Error> {
        let this = Self {
            ended: describe.counter("botgate_spans_ended_total", "Sampled spans that ended.")?,
            exported: describe.counters(
                "botgate_spans_exported_total",
                &["result"],
                "Spans sent to the collector.",
            )?,
        };
        for result in [OK, FAILED] {
            this.exported.with_label_values(&[result]);
        }
        Ok(this)
    }

    /// A sampled span ended.
    pub(in crate::observe) fn ended(&self) {
        self.ended.inc();
    }

    /// So many spans were sent, or could not be.
    pub(in crate::observe) fn exported(&self, spans: usize, succeeded: bool) {
        let result = if succeeded { OK } else { FAILED };
        let spans = u64::try_from(spans).unwrap_or(u64::MAX);
        self.exported.with_label_values(&[result]).inc_by(spans);
    }
}

impl Metrics {
    /// The counts of spans.
    pub(in crate::observe) fn span_counts(&self) -> SpanCounts {
        self.spans.clone()
    }
}

const OK: &str = "ok";
const FAILED: &str = "failed";
