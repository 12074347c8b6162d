//! Every metric of the gateway (OPERATIONS section 3), counted and rendered as Prometheus text.
//!
//! Label values come from closed sets: names the operator wrote, and words of our own enums. Nothing a client sends
//! becomes a label, or clients could fill the memory of whoever collects them.

mod bot;

pub(super) use bot::BotMetrics;

use crate::config::{Settings, TlsVersion};
use crate::judge::{Reason, UnixSeconds};
use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Encoder, Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How a TLS handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeFailure {
    /// The peer spoke something else, wanted what we do not offer, or left.
    Failed,
    /// It was not done within `handshake_timeout`.
    TimedOut,
}

/// Why a connection was closed before it could ask anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionRefusal {
    /// Its address holds too many already.
    TooManyFromAddress,
    /// A plain listener serves trusted proxies only.
    NotATrustedProxy,
}

/// What came of an attempt to reload the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// In force.
    Applied,
    /// Nothing was different.
    Unchanged,
    /// A change that only a restart can apply.
    NeedsRestart,
    /// The file has problems; the old settings stay.
    Refused,
}

impl Reload {
    const ALL: [Self; 4] = [
        Self::Applied,
        Self::Unchanged,
        Self::NeedsRestart,
        Self::Refused,
    ];

    const fn word(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
            Self::NeedsRestart => "needs_restart",
            Self::Refused => "refused",
        }
    }
}

/// Counts a connection as open while it lives.
#[derive(Debug)]
#[must_use = "the connection counts as closed when this is dropped"]
pub struct OpenConnection(IntGauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// All metrics of one gateway, in a registry of its own.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    bots: Vec<BotMetrics>,
    no_bot: BotMetrics,
    /// `botgate_connections{state}`: open connections of the public listener. state: open.
    connections: IntGauge,
    /// `botgate_connections_refused_total{reason}`: connections closed unserved. reason: codes of the reasons table.
    connections_refused: IntCounterVec,
    /// `botgate_tls_handshakes_total{result,version}`. result: ok, failed, timed_out; version: 1.2, 1.3, empty unless ok.
    tls_handshakes: IntCounterVec,
    /// `botgate_keys_age_seconds{issuer}`: since the keys in use were fetched. issuer: Connector issuers of the clouds in use.
    keys_age: GaugeVec,
    /// `botgate_key_fetches_total{issuer,result}`. issuer: Connector issuers of the clouds in use; result: ok, failed.
    key_fetches: IntCounterVec,
    /// `botgate_token_clock_offset_seconds`: `nbf` of the last verified token minus our clock.
    token_clock_offset: Gauge,
    /// `botgate_endorsement_missing_total{channel}`: proven tokens whose key is not endorsed for the activity's channel.
    /// channel: [`KNOWN_CHANNELS`] or other.
    endorsement_missing: IntCounterVec,
    /// `botgate_rate_limit_store_errors_total`: failed calls of the shared limit store.
    rate_limit_store_errors: IntCounter,
    /// `botgate_config_reloads_total{outcome}`. outcome: applied, unchanged, needs_restart, refused.
    config_reloads: IntCounterVec,
    /// `botgate_config_last_reload_success_timestamp_seconds`: when settings last came into force, Unix time.
    config_last_reload: Gauge,
    /// `botgate_certificate_expiry_timestamp_seconds{name}`: notAfter, Unix time. name: names the operator chose.
    certificate_expiry: GaugeVec,
    /// `botgate_backend_up{bot,backend}`: 1 or 0. bot: names of bots; backend: host and port from the settings.
    backend_up: IntGaugeVec,
    /// `botgate_log_suppressed_total{reason}`: request lines counted instead of written. reason: codes of the table.
    log_suppressed: IntCounterVec,
    /// `botgate_log_lines_lost_total`: log lines dropped because whatever reads the log was too slow.
    log_lines_lost: IntCounter,
    clouds: Vec<String>,
    backends: Vec<(String, String)>,
    keys_ages: Mutex<Vec<Option<Age>>>,
}

/// An age, and when it was that.
#[derive(Clone, Copy, Debug)]
struct Age {
    then: Duration,
    at: Instant,
}

impl Metrics {
    /// The media type of what [`render`](Self::render) returns.
    pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

    /// Describes and registers every metric, with the bots and clouds of `settings`.
    ///
    /// # Errors
    /// None, unless a metric is described wrongly in this file.
    pub fn new(settings: &Settings) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let describe = Describe(&registry);
        let per_bot = bot::Families::new(&describe)?;
        let connections =
            describe.gauges("botgate_connections", "Connections by state.", &["state"])?;
        describe.build_info()?;
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let metrics = Self {
            bots: settings
                .bots
                .iter()
                .map(|bot| per_bot.of(&bot.name))
                .collect(),
            no_bot: per_bot.of(""),
            connections: connections.with_label_values(&["open"]),
            connections_refused: describe.counters(
                "botgate_connections_refused_total",
                "Connections closed unserved.",
                &["reason"],
            )?,
            tls_handshakes: describe.counters(
                "botgate_tls_handshakes_total",
                "TLS handshakes.",
                &["result", "version"],
            )?,
            keys_age: describe.float_gauges(
                "botgate_keys_age_seconds",
                "Seconds since the signing keys in use were fetched.",
                &["issuer"],
            )?,
            key_fetches: describe.counters(
                "botgate_key_fetches_total",
                "Attempts to fetch signing keys.",
                &["issuer", "result"],
            )?,
            token_clock_offset: describe.keep(Gauge::new(
                "botgate_token_clock_offset_seconds",
                "Our clock minus the issue time of the last token verified.",
            )?)?,
            endorsement_missing: describe.counters(
                "botgate_endorsement_missing_total",
                "Proven tokens whose key is not endorsed for the channel.",
                &["channel"],
            )?,
            rate_limit_store_errors: describe.keep(IntCounter::new(
                "botgate_rate_limit_store_errors_total",
                "Failed calls of the shared limit store.",
            )?)?,
            config_reloads: describe.counters(
                "botgate_config_reloads_total",
                "Attempts to reload the configuration.",
                &["outcome"],
            )?,
            config_last_reload: describe.keep(Gauge::new(
                "botgate_config_last_reload_success_timestamp_seconds",
                "When settings last came into force, Unix time.",
            )?)?,
            certificate_expiry: describe.float_gauges(
                "botgate_certificate_expiry_timestamp_seconds",
                "When the certificate ends, Unix time.",
                &["name"],
            )?,
            backend_up: describe.gauges(
                "botgate_backend_up",
                "Whether a backend is up: 1 or 0.",
                &["bot", "backend"],
            )?,
            log_suppressed: describe.counters(
                "botgate_log_suppressed_total",
                "Request lines counted instead of written.",
                &["reason"],
            )?,
            log_lines_lost: describe.keep(IntCounter::new(
                "botgate_log_lines_lost_total",
                "Log lines lost because the log was read too slowly.",
            )?)?,
            clouds: settings
                .clouds
                .iter()
                .map(|cloud| cloud.name.clone())
                .collect(),
            backends: settings
                .bots
                .iter()
                .map(|bot| (bot.name.clone(), bot::backend_label(bot)))
                .collect(),
            keys_ages: Mutex::new(vec![None; settings.clouds.len()]),
            registry,
        };
        metrics.show_zeroes();
        Ok(metrics)
    }

    /// A counter that appears only with its first event shows no increase to `rate()`.
    fn show_zeroes(&self) {
        for version in [TlsVersion::V1_2, TlsVersion::V1_3] {
            self.tls_handshakes
                .with_label_values(&["ok", super::audit::tls_version(version)]);
        }
        for result in ["failed", "timed_out"] {
            self.tls_handshakes.with_label_values(&[result, ""]);
        }
        for cloud in &self.clouds {
            self.key_fetches.with_label_values(&[cloud.as_str(), "ok"]);
            self.key_fetches
                .with_label_values(&[cloud.as_str(), "failed"]);
        }
        for outcome in Reload::ALL {
            self.config_reloads.with_label_values(&[outcome.word()]);
        }
    }

    /// The metrics of a bot; those of "no bot" if none was found.
    pub(super) fn bot(&self, index: Option<usize>) -> &BotMetrics {
        index
            .and_then(|index| self.bots.get(index))
            .unwrap_or(&self.no_bot)
    }

    /// A connection was accepted and is to be served.
    pub fn connection_opened(&self) -> OpenConnection {
        self.connections.inc();
        OpenConnection(self.connections.clone())
    }

    /// A connection was closed unserved.
    pub fn connection_refused(&self, why: ConnectionRefusal) {
        let reason = match why {
            ConnectionRefusal::TooManyFromAddress => Reason::ConnectionLimited.code(),
            ConnectionRefusal::NotATrustedProxy => "not_a_trusted_proxy",
        };
        self.connections_refused.with_label_values(&[reason]).inc();
    }

    /// A TLS handshake ended.
    pub fn tls_handshake(&self, outcome: Result<TlsVersion, HandshakeFailure>) {
        let labels = match outcome {
            Ok(version) => ["ok", super::audit::tls_version(version)],
            Err(HandshakeFailure::Failed) => ["failed", ""],
            Err(HandshakeFailure::TimedOut) => ["timed_out", ""],
        };
        self.tls_handshakes.with_label_values(&labels).inc();
    }

    /// The keys of a cloud (its position in [`Settings::clouds`]) are this old now; they grow older by themselves.
    pub fn keys_are(&self, cloud: usize, age: Duration) {
        let mut ages = self
            .keys_ages
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = ages.get_mut(cloud) {
            *slot = Some(Age {
                then: age,
                at: Instant::now(),
            });
        }
    }

    /// An attempt to fetch the keys of a cloud ended.
    pub fn keys_fetched(&self, cloud: usize, is_ok: bool) {
        if let Some(name) = self.clouds.get(cloud) {
            self.key_fetches
                .with_label_values(&[name.as_str(), if is_ok { "ok" } else { "failed" }])
                .inc();
        }
    }

    /// A token was verified: its `nbf` lies this many seconds ahead of our clock (AUTHENTICATION 1.11).
    ///
    /// A gauge of the last one is enough to see a clock that is wrong: Connector tokens are up to an hour old when they
    /// come, so only a positive value, or one that never rises above minus an hour, means anything.
    pub fn token_clock_offset(&self, seconds: f64) {
        self.token_clock_offset.set(seconds);
    }

    /// A proven token's key is not endorsed for this base channel.
    pub fn endorsement_missing(&self, base_channel: &str) {
        let known = KNOWN_CHANNELS.iter().find(|known| **known == base_channel);
        self.endorsement_missing
            .with_label_values(&[*known.unwrap_or(&"other")])
            .inc();
    }

    /// A call of the shared limit store failed.
    pub fn rate_limit_store_failed(&self) {
        self.rate_limit_store_errors.inc();
    }

    /// Settings came into force at start.
    pub fn config_loaded(&self, now: UnixSeconds) {
        self.config_last_reload.set(now.0 as f64);
    }

    /// An attempt to reload the configuration ended.
    pub fn config_reloaded(&self, outcome: Reload, now: UnixSeconds) {
        self.config_reloads
            .with_label_values(&[outcome.word()])
            .inc();
        match outcome {
            Reload::Applied | Reload::Unchanged => self.config_loaded(now),
            Reload::NeedsRestart | Reload::Refused => {}
        }
    }

    /// A certificate is in use until then. `name` is the operator's: a file or configured server name.
    pub fn certificate_ends(&self, name: &str, at: UnixSeconds) {
        self.certificate_expiry
            .with_label_values(&[name])
            .set(at.0 as f64);
    }

    /// Whether the backend of a bot (its position in [`Settings::bots`]) is up.
    pub fn backend_is_up(&self, bot: usize, is_up: bool) {
        if let Some((name, backend)) = self.backends.get(bot) {
            self.backend_up
                .with_label_values(&[name.as_str(), backend.as_str()])
                .set(i64::from(is_up));
        }
    }

    /// A request line was counted instead of written.
    pub(super) fn log_suppressed(&self, reason: Reason) {
        self.log_suppressed
            .with_label_values(&[reason.code()])
            .inc();
    }

    /// So many lines were lost since the start; returns how many of them are new.
    pub(super) fn log_lines_lost(&self, in_all: u64) -> u64 {
        let new = in_all.saturating_sub(self.log_lines_lost.get());
        self.log_lines_lost.inc_by(new);
        new
    }

    /// Everything in the Prometheus text format 0.0.4; see [`MEDIA_TYPE`](Self::MEDIA_TYPE).
    pub fn render(&self) -> String {
        let ages = self
            .keys_ages
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for (cloud, age) in self.clouds.iter().zip(ages) {
            if let Some(age) = age {
                let seconds = age.then.saturating_add(age.at.elapsed()).as_secs_f64();
                self.keys_age
                    .with_label_values(&[cloud.as_str()])
                    .set(seconds);
            }
        }
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

/// Makes metrics and registers them.
struct Describe<'a>(&'a Registry);

impl Describe<'_> {
    fn keep<M: Collector + Clone + 'static>(&self, metric: M) -> Result<M, prometheus::Error> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntCounterVec, prometheus::Error> {
        self.keep(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn gauges(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntGaugeVec, prometheus::Error> {
        self.keep(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn float_gauges(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<GaugeVec, prometheus::Error> {
        self.keep(GaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn histograms(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<HistogramVec, prometheus::Error> {
        self.keep(HistogramVec::new(
            HistogramOpts::new(name, help).buckets(BUCKETS.to_vec()),
            labels,
        )?)
    }

    /// `botgate_build_info{version,revision}`: always 1. revision: the commit, where the build was told it.
    fn build_info(&self) -> Result<(), prometheus::Error> {
        let info = self.gauges(
            "botgate_build_info",
            "The version that runs; always 1.",
            &["version", "revision"],
        )?;
        let revision = option_env!("BOTGATE_REVISION").unwrap_or("unknown");
        info.with_label_values(&[env!("CARGO_PKG_VERSION"), revision])
            .set(1);
        Ok(())
    }
}

/// The gateway itself takes tenths of milliseconds; a channel gives up after 10 to 15 s; `timeouts.response` is 30 s.
const BUCKETS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 15.0, 30.0,
];

/// Base channel ids of the Bot Framework and Agents SDKs (AUTHENTICATION 1.1.6).
const KNOWN_CHANNELS: &[&str] = &[
    "AseChannel",
    "a2a",
    "agents",
    "alexa",
    "console",
    "cortana",
    "directline",
    "directlinespeech",
    "email",
    "emulator",
    "enterprisechannel",
    "facebook",
    "groupme",
    "kaizala",
    "kik",
    "line",
    "m365extensions",
    "mcp",
    "msteams",
    "omnichannel",
    "outlook",
    "pva-studio",
    "skype",
    "skypeforbusiness",
    "slack",
    "sms",
    "telegram",
    "telephony",
    "test",
    "twilio-sms",
    "webchat",
];
