//! Metrics of the gateway itself: configuration, certificates, backends, its own log.

use super::describe::Describe;
use super::{Metrics, exact};
use crate::config::Settings;
use crate::judge::{Reason, UnixSeconds};
use crate::observe::by_reason::ByReason;
use prometheus::{Gauge, GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// What came of an attempt to reload the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// In force.
    Applied,
    /// Nothing was different.
    Unchanged,
    /// In force, as far as it was different, but for what only a restart can apply.
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

    /// As the metric says it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
            Self::NeedsRestart => "needs_restart",
            Self::Refused => "refused",
        }
    }
}

#[derive(Debug)]
pub(super) struct Upkeep {
    /// `botgate_config_reloads_total{outcome}`. outcome: applied, unchanged, needs_restart, refused.
    config_reloads: IntCounterVec,
    /// `botgate_config_last_reload_success_timestamp_seconds`: when settings last came into force, Unix time.
    config_last_reload: Gauge,
    /// `botgate_certificate_expiry_timestamp_seconds{name}`: notAfter, Unix time. name: names the operator chose.
    certificate_expiry: GaugeVec,
    /// `botgate_backend_up{bot,backend}`: 1, or 0 while it is left out. bot: names of bots; backend: host and port, or the Unix
    /// socket, from the settings.
    backend_up: IntGaugeVec,
    /// The labels it has.
    backends: Mutex<HashSet<[String; 2]>>,
    /// `botgate_rate_limit_store_errors_total`: failed calls of the shared limit store.
    rate_limit_store_errors: IntCounter,
    /// `botgate_rate_limit_store_up`: 1, or 0 while it is away, or where there is none.
    rate_limit_store_up: IntGauge,
    /// `botgate_log_suppressed_total{reason}`: request lines counted instead of written. reason: codes of the table; empty for
    /// clients that left before their token was proven.
    log_suppressed: IntCounterVec,
    /// Its series: a flood is when they are counted in.
    suppressed_by_reason: ByReason<IntCounter>,
    suppressed_without: IntCounter,
    /// `botgate_log_lines_lost_total`: log lines dropped because whatever reads the log was too slow, or the file could not be written.
    log_lines_lost: IntCounter,
    /// `botgate_log_file_errors_total`: failed attempts to open, write, rename or delete log files.
    log_file_errors: IntCounter,
}

impl Upkeep {
    pub(super) fn new(describe: &Describe<'_>) -> Result<Self, prometheus::Error> {
        let log_suppressed = describe.counters(
            "botgate_log_suppressed_total",
            &["reason"],
            "Request lines counted instead of written.",
        )?;
        let this = Self {
            config_reloads: describe.counters(
                "botgate_config_reloads_total",
                &["outcome"],
                "Attempts to reload the configuration.",
            )?,
            config_last_reload: describe.gauge(
                "botgate_config_last_reload_success_timestamp_seconds",
                "When settings last came into force, Unix time.",
            )?,
            certificate_expiry: describe.float_gauges(
                "botgate_certificate_expiry_timestamp_seconds",
                &["name"],
                "When the certificate ends, Unix time.",
            )?,
            backend_up: describe.gauges(
                "botgate_backend_up",
                &["bot", "backend"],
                "Whether a backend is up.",
            )?,
            backends: Mutex::default(),
            rate_limit_store_errors: describe.counter(
                "botgate_rate_limit_store_errors_total",
                "Failed calls of the shared limit store.",
            )?,
            rate_limit_store_up: describe.int_gauge(
                "botgate_rate_limit_store_up",
                "Whether the shared limit store answers; 0 where there is none.",
            )?,
            suppressed_without: log_suppressed.with_label_values(&[""]),
            log_suppressed,
            suppressed_by_reason: ByReason::default(),
            log_lines_lost: describe.counter(
                "botgate_log_lines_lost_total",
                "Log lines lost because the log was read too slowly or its file could not be written.",
            )?,
            log_file_errors: describe.counter(
                "botgate_log_file_errors_total",
                "Failed attempts to open, write, rename or delete log files.",
            )?,
        };
        for outcome in Reload::ALL {
            this.config_reloads.with_label_values(&[outcome.word()]);
        }
        Ok(this)
    }

    /// A backend that is no longer among the settings is neither up nor down.
    pub(super) fn follow(&self, settings: &Settings) {
        let bots = settings.bots.iter();
        let wanted: HashSet<[String; 2]> = bots
            .flat_map(|bot| {
                let endpoints = bot.backend.endpoints.iter();
                endpoints.map(|endpoint| [bot.name.clone(), endpoint.name.clone()])
            })
            .collect();
        let mut backends = self.backends.lock().unwrap_or_else(PoisonError::into_inner);
        for [bot, backend] in backends.difference(&wanted) {
            // It fails only for labels that are not there.
            let _ = self.backend_up.remove_label_values(&[bot, backend]);
        }
        for [bot, backend] in wanted.difference(&backends) {
            self.backend_up.with_label_values(&[bot, backend]).set(1);
        }
        *backends = wanted;
    }
}

impl Metrics {
    /// Settings came into force at start.
    pub fn config_loaded(&self, now: UnixSeconds) {
        self.upkeep.config_last_reload.set(exact(now.0));
    }

    /// An attempt to reload the configuration ended.
    pub fn config_reloaded(&self, outcome: Reload, now: UnixSeconds) {
        self.upkeep
            .config_reloads
            .with_label_values(&[outcome.word()])
            .inc();
        match outcome {
            Reload::Applied | Reload::Unchanged | Reload::NeedsRestart => self.config_loaded(now),
            Reload::Refused => {}
        }
    }

    /// A certificate is in use until then. `name` is the operator's: a file or a configured server name.
    pub fn certificate_expires(&self, name: &str, at: UnixSeconds) {
        self.upkeep
            .certificate_expiry
            .with_label_values(&[name])
            .set(exact(at.0));
    }

    /// Whether a backend of a bot is up, by the names of both; nothing happens where the settings do not have it.
    pub fn backend_is_up(&self, bot: &str, backend: &str, is_up: bool) {
        let backends = &self.upkeep.backends;
        let backends = backends.lock().unwrap_or_else(PoisonError::into_inner);
        if backends.contains(&[bot.to_owned(), backend.to_owned()]) {
            let gauge = &self.upkeep.backend_up;
            gauge
                .with_label_values(&[bot, backend])
                .set(i64::from(is_up));
        }
    }

    /// A call of the shared limit store failed.
    pub fn rate_limit_store_failed(&self) {
        self.upkeep.rate_limit_store_errors.inc();
    }

    /// Whether the shared limit store answers.
    pub fn rate_limit_store_is_up(&self, is_up: bool) {
        self.upkeep.rate_limit_store_up.set(i64::from(is_up));
    }

    /// A request line was counted instead of written.
    pub(in crate::observe) fn log_suppressed(&self, reason: Option<Reason>) {
        let counters = &self.upkeep.log_suppressed;
        let Some(reason) = reason else {
            return self.upkeep.suppressed_without.inc();
        };
        let make = || counters.with_label_values(&[reason.code()]);
        if let Some(counter) = self.upkeep.suppressed_by_reason.get(reason, make) {
            counter.inc();
        }
    }

    /// So many lines were lost since the start; returns how many of them are new.
    pub(in crate::observe) fn log_lines_lost(&self, in_all: u64) -> u64 {
        let lost = &self.upkeep.log_lines_lost;
        let new = in_all.saturating_sub(lost.get());
        lost.inc_by(new);
        new
    }

    /// So many attempts with log files have failed since the start.
    pub(in crate::observe) fn log_file_errors(&self, in_all: u64) {
        let errors = &self.upkeep.log_file_errors;
        errors.inc_by(in_all.saturating_sub(errors.get()));
    }
}
