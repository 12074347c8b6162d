//! Every metric of the gateway (OPERATIONS section 3), counted and rendered as Prometheus text.
//!
//! Label values come from closed sets: names the operator wrote, and words of our own enums. Nothing a client sends
//! becomes a label, or clients could fill the memory of whoever collects them.

mod bot;
mod brokers;
mod certificates;
mod describe;
mod read;
mod slow;
mod spans;
mod transport;
mod trust;
mod upkeep;

pub(super) use bot::BotMetrics;
pub use brokers::TokenGiven;
pub use certificates::{CertificateReload, Order};
pub use read::Sample;
pub use slow::{Ending, Repeat};
pub(super) use spans::SpanCounts;
pub use transport::lacks_client_certificate;
pub use upkeep::Reload;

use crate::config::Settings;
use arc_swap::ArcSwap;
use describe::Describe;
use prometheus::process_collector::ProcessCollector;
use prometheus::{Encoder, Registry, TextEncoder};
use std::collections::BTreeMap;
use std::sync::Arc;

/// All metrics of one gateway, in a registry of its own.
///
/// Beside those described in this folder: `botgate_build_info{version,revision}`, always 1, where revision is what the
/// variable `BOTGATE_REVISION` said at build time; and `process_*`, which the operating system knows.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    per_bot: bot::Families,
    /// By name: there are few, and a request asks twice, so no name is hashed. A bot that left the settings stays: what it counted is true, and its last requests still count.
    bots: ArcSwap<BTreeMap<String, Arc<BotMetrics>>>,
    no_bot: Arc<BotMetrics>,
    certificates: certificates::Certificates,
    slow: slow::Slow,
    brokers: brokers::Brokers,
    spans: SpanCounts,
    transport: transport::Transport,
    trust: trust::Trust,
    upkeep: upkeep::Upkeep,
}

impl Metrics {
    /// The media type of what [`render`](Self::render) returns.
    pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

    /// Describes and registers every metric, with the bots and clouds of `settings`.
    ///
    /// # Errors
    /// None, unless a metric is described wrongly in this folder.
    pub fn new(settings: &Settings) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let describe = Describe(&registry);
        let per_bot = bot::Families::new(&describe)?;
        let info = "botgate_build_info";
        describe
            .gauges(
                info,
                &["version", "revision"],
                "The version that runs; always 1.",
            )?
            .with_label_values(&[
                env!("CARGO_PKG_VERSION"),
                option_env!("BOTGATE_REVISION").unwrap_or("unknown"),
            ])
            .set(1);
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let this = Self {
            bots: ArcSwap::default(),
            no_bot: Arc::new(per_bot.of("")),
            per_bot,
            slow: slow::Slow::new(&describe)?,
            brokers: brokers::Brokers::new(&describe)?,
            spans: SpanCounts::new(&describe)?,
            certificates: certificates::Certificates::new(&describe)?,
            transport: transport::Transport::new(&describe)?,
            trust: trust::Trust::new(&describe)?,
            upkeep: upkeep::Upkeep::new(&describe)?,
            registry,
        };
        this.follow(settings);
        Ok(this)
    }

    /// Makes room for the bots and issuers of these settings, before requests are judged by them. What only the settings before
    /// named is no longer told of where it says how something is (a gauge); counters stay as they are.
    pub fn follow(&self, settings: &Settings) {
        let mut bots = BTreeMap::clone(&self.bots.load());
        for bot in &settings.bots {
            bots.entry(bot.name.clone())
                .or_insert_with(|| Arc::new(self.per_bot.of(&bot.name)));
            self.slow.begin(&bot.name);
        }
        for broker in &settings.direct_lines {
            self.brokers.begin(&broker.name);
        }
        self.bots.store(Arc::new(bots));
        self.trust.follow(settings);
        self.upkeep.follow(settings);
    }

    /// The metrics of a bot by its name; those of "no bot" if none was found.
    pub(super) fn bot(&self, name: Option<&str>) -> Arc<BotMetrics> {
        let bots = self.bots.load();
        let found = name.and_then(|name| bots.get(name));
        Arc::clone(found.unwrap_or(&self.no_bot))
    }

    /// Everything in the Prometheus text format 0.0.4; see [`MEDIA_TYPE`](Self::MEDIA_TYPE).
    pub fn render(&self) -> String {
        let mut text = Vec::new();
        for family in self.registry.gather() {
            // One family that cannot be written must not hide the others.
            if let Err(error) = TextEncoder::new().encode(std::slice::from_ref(&family), &mut text)
            {
                tracing::error!(%error, "a metric cannot be written");
            }
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// Seconds as Prometheus counts them.
#[expect(
    clippy::cast_precision_loss,
    reason = "seconds since 1970 are far below 2^53"
)]
const fn exact(seconds: u64) -> f64 {
    seconds as f64
}
