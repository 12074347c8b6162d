//! Every metric of the gateway (OPERATIONS section 3), counted and rendered as Prometheus text.
//!
//! Label values come from closed sets: names the operator wrote, and words of our own enums. Nothing a client sends
//! becomes a label, or clients could fill the memory of whoever collects them.

mod bot;
mod describe;
mod read;
mod slow;
mod transport;
mod trust;
mod upkeep;

pub(super) use bot::BotMetrics;
pub use read::Sample;
pub use slow::{Ending, Repeat};
pub use upkeep::Reload;

use crate::config::Settings;
use describe::Describe;
use prometheus::process_collector::ProcessCollector;
use prometheus::{Encoder, Registry, TextEncoder};

/// All metrics of one gateway, in a registry of its own.
///
/// Beside those described in this folder: `botgate_build_info{version,revision}`, always 1, where revision is what the
/// variable `BOTGATE_REVISION` said at build time; and `process_*`, which the operating system knows.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    bots: Vec<BotMetrics>,
    no_bot: BotMetrics,
    slow: slow::Slow,
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
        Ok(Self {
            bots: settings
                .bots
                .iter()
                .map(|bot| per_bot.of(&bot.name))
                .collect(),
            no_bot: per_bot.of(""),
            slow: slow::Slow::new(&describe, settings)?,
            transport: transport::Transport::new(&describe)?,
            trust: trust::Trust::new(&describe, settings)?,
            upkeep: upkeep::Upkeep::new(&describe, settings)?,
            registry,
        })
    }

    /// The metrics of a bot; those of "no bot" if none was found.
    pub(super) fn bot(&self, index: Option<usize>) -> &BotMetrics {
        index
            .and_then(|index| self.bots.get(index))
            .unwrap_or(&self.no_bot)
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
