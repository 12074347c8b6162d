//! What was promised, and whether it is kept.

use super::proxies::Kind::{Bare, Botgate, Haproxy};
use super::rounds::Results;
use super::runs::IDLE;
use super::scenario::Scenario::{
    Connections, Cores, Forged, Garbage, Latency, Memory, New, Repeats,
};
use super::table::{added, mebibytes_at_rest, median, per_connection, scaling};

pub(crate) struct Target {
    pub(crate) what: &'static str,
    pub(crate) unit: &'static str,
    /// `None`: not measured this time.
    pub(crate) is: Option<f64>,
    pub(crate) limit: Option<f64>,
    pub(crate) at_least: bool,
}

impl Target {
    pub(crate) fn is_met(&self) -> Option<bool> {
        let (is, limit) = (self.is?, self.limit?);
        Some(if self.at_least {
            is >= limit
        } else {
            is <= limit
        })
    }
}

pub(crate) fn all(results: &Results) -> Vec<Target> {
    let micros = |scenario, proxy| results.micros(scenario, proxy);
    let times = |factor: f64, value: Option<f64>| value.map(|value| value * factor);
    let verify = median(results.verify.clone());
    let most = |what, unit, is, limit| Target {
        what,
        unit,
        is,
        limit,
        at_least: false,
    };
    let latency = |part| results.of(Latency, Botgate, |run| Some(added(run)?[part] / 1e3));
    let repeats = micros(Repeats, Botgate);
    let forged = micros(Forged, Botgate);
    vec![
        most(
            "token repeats: 1.35 × bare",
            "µs",
            repeats,
            times(1.35, micros(Repeats, Bare)),
        ),
        most(
            "token repeats: 0.4 × HAProxy",
            "µs",
            repeats,
            times(0.4, micros(Repeats, Haproxy)),
        ),
        most(
            "token is new: bare + 1.2 × one RSA verification",
            "µs",
            micros(New, Botgate),
            micros(New, Bare)
                .zip(verify)
                .map(|(bare, verify)| bare + 1.2 * verify),
        ),
        most(
            "connection is new: 1.15 × bare",
            "µs",
            micros(Connections, Botgate),
            times(1.15, micros(Connections, Bare)),
        ),
        most(
            "forged: no more than a new token",
            "µs",
            forged,
            micros(New, Botgate),
        ),
        most(
            "forged: 0.15 × HAProxy",
            "µs",
            forged,
            times(0.15, micros(Forged, Haproxy)),
        ),
        most(
            "no token: 0.7 × bare's token repeats",
            "µs",
            micros(Garbage, Botgate),
            times(0.7, micros(Repeats, Bare)),
        ),
        most("added latency, p50", "ms", latency(0), Some(0.15)),
        most("added latency, p99", "ms", latency(1), Some(1.0)),
        most(
            "memory at rest",
            "MiB",
            results.of(Memory, Botgate, mebibytes_at_rest),
            Some(15.0),
        ),
        most(
            "memory per idle connection, of 1,000",
            "KiB",
            results.of(Memory, Botgate, |run| per_connection(run, IDLE[0])),
            Some(16.0),
        ),
        most(
            "memory per idle connection, of 10,000",
            "KiB",
            results.of(Memory, Botgate, |run| per_connection(run, IDLE[1])),
            Some(16.0),
        ),
        Target {
            what: "two cores: 1.8 × one",
            unit: "×",
            is: results.of(Cores, Botgate, scaling),
            limit: Some(1.8),
            at_least: true,
        },
    ]
}
