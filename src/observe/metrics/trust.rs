//! Metrics of what proves requests: signing keys, clocks, endorsements.

use super::describe::Describe;
use super::{Metrics, exact};
use crate::config::Settings;
use prometheus::{Gauge, GaugeVec, IntCounterVec};

#[derive(Debug)]
pub(super) struct Trust {
    /// `botgate_keys_age_seconds{issuer}`: since the keys in use were fetched. issuer: of the key sources in the settings.
    keys_age: GaugeVec,
    /// `botgate_key_fetches_total{issuer,result}`. issuer: of the key sources in the settings; result: ok, failed.
    key_fetches: IntCounterVec,
    /// `botgate_token_clock_offset_seconds`: `nbf` of the last proven token minus our clock.
    clock_offset: Gauge,
    /// `botgate_auth_delays_total{outcome}`: unknown tokens of addresses that failed too often. outcome: waited; no_place where
    /// too many were waiting already, and the token was verified at once.
    auth_delays: IntCounterVec,
    /// `botgate_endorsement_missing_total{channel}`: proven tokens whose key is not endorsed for the activity's channel.
    /// channel: [`KNOWN_CHANNELS`] or other.
    endorsement_missing: IntCounterVec,
}

impl Trust {
    pub(super) fn new(describe: &Describe<'_>) -> Result<Self, prometheus::Error> {
        let this = Self {
            keys_age: describe.float_gauges(
                "botgate_keys_age_seconds",
                &["issuer"],
                "Since the signing keys in use were fetched.",
            )?,
            key_fetches: describe.counters(
                "botgate_key_fetches_total",
                &["issuer", "result"],
                "Attempts to fetch signing keys.",
            )?,
            clock_offset: describe.gauge(
                "botgate_token_clock_offset_seconds",
                "Start of validity of the last proven token minus our clock.",
            )?,
            auth_delays: describe.counters(
                "botgate_auth_delays_total",
                &["outcome"],
                "Unknown tokens of addresses that failed too often.",
            )?,
            endorsement_missing: describe.counters(
                "botgate_endorsement_missing_total",
                &["channel"],
                "Proven tokens whose key is not endorsed for the activity's channel.",
            )?,
        };
        for outcome in [WAITED, NO_PLACE] {
            this.auth_delays.with_label_values(&[outcome]);
        }
        Ok(this)
    }

    /// Ages of keys that nobody keeps any more go; those that are kept are told anew with every page.
    pub(super) fn follow(&self, settings: &Settings) {
        self.keys_age.reset();
        for source in &settings.key_sources {
            for result in ["ok", "failed"] {
                self.key_fetches
                    .with_label_values(&[source.issuer.as_str(), result]);
            }
        }
    }
}

impl Metrics {
    /// The keys of an issuer are this old. To be told before [`render`](Self::render).
    pub fn keys_age(&self, issuer: &str, seconds: u64) {
        self.trust
            .keys_age
            .with_label_values(&[issuer])
            .set(exact(seconds));
    }

    /// An attempt to fetch the keys of an issuer ended.
    pub fn key_fetch(&self, issuer: &str, succeeded: bool) {
        let labels = [issuer, if succeeded { "ok" } else { "failed" }];
        self.trust.key_fetches.with_label_values(&labels).inc();
    }

    /// The `nbf` of a proven token minus our clock, in seconds.
    ///
    /// The last one is enough to see a wrong clock: Connector tokens live one hour, so this is between -3600 and 0 unless
    /// a clock is off.
    pub fn token_clock_offset(&self, seconds: f64) {
        self.trust.clock_offset.set(seconds);
    }

    /// An unknown token of an address that failed too often was made to wait, or there was no place left to wait in.
    pub fn auth_delayed(&self, has_waited: bool) {
        let outcome = if has_waited { WAITED } else { NO_PLACE };
        self.trust.auth_delays.with_label_values(&[outcome]).inc();
    }

    /// A proven token's key is not endorsed for this base channel.
    pub fn endorsement_missing(&self, base_channel: &str) {
        let known = KNOWN_CHANNELS
            .iter()
            .copied()
            .find(|known| *known == base_channel);
        self.trust
            .endorsement_missing
            .with_label_values(&[known.unwrap_or("other")])
            .inc();
    }
}

const WAITED: &str = "waited";
const NO_PLACE: &str = "no_place";

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
