//! Describes metrics and registers them.

use prometheus::core::Collector;
use prometheus::{Gauge, GaugeVec, HistogramOpts, HistogramVec};
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// Registers what it describes.
pub(super) struct Describe<'a>(pub(super) &'a Registry);

type Described<M> = Result<M, prometheus::Error>;

impl Describe<'_> {
    pub(super) fn counter(&self, name: &str, help: &str) -> Described<IntCounter> {
        self.keep(IntCounter::new(name, help)?)
    }

    pub(super) fn gauge(&self, name: &str, help: &str) -> Described<Gauge> {
        self.keep(Gauge::new(name, help)?)
    }

    pub(super) fn int_gauge(&self, name: &str, help: &str) -> Described<IntGauge> {
        self.keep(IntGauge::new(name, help)?)
    }

    pub(super) fn counters(
        &self,
        name: &str,
        labels: &[&str],
        help: &str,
    ) -> Described<IntCounterVec> {
        self.keep(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    pub(super) fn gauges(&self, name: &str, labels: &[&str], help: &str) -> Described<IntGaugeVec> {
        self.keep(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    pub(super) fn float_gauges(
        &self,
        name: &str,
        labels: &[&str],
        help: &str,
    ) -> Described<GaugeVec> {
        self.keep(GaugeVec::new(Opts::new(name, help), labels)?)
    }

    pub(super) fn histograms(
        &self,
        name: &str,
        labels: &[&str],
        help: &str,
    ) -> Described<HistogramVec> {
        let options = HistogramOpts::new(name, help).buckets(BUCKETS.to_vec());
        self.keep(HistogramVec::new(options, labels)?)
    }

    fn keep<M: Collector + Clone + 'static>(&self, metric: M) -> Described<M> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }
}

/// Seconds. The gateway itself takes tenths of milliseconds; a channel gives up after 10 to 15 s; `timeouts.response` is
/// 30 s unless set.
const BUCKETS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 15.0, 30.0,
];
