//! Metrics of connections.

use super::Metrics;
use super::describe::Describe;
use crate::config::TlsVersion;
use crate::observe::audit::tls_version;
use prometheus::{IntCounterVec, IntGauge};
use std::io;

#[derive(Debug)]
pub(super) struct Transport {
    /// `botgate_connections{state}`: connections of the public listener. state: open.
    open: IntGauge,
    /// `botgate_connections_refused_total{reason}`: connections closed unserved. reason: connection_limited,
    /// not_a_trusted_proxy.
    refused: IntCounterVec,
    /// `botgate_tls_handshakes_total{result,version}`. result: ok, failed, timed_out; version: 1.2, 1.3, empty unless ok.
    handshakes: IntCounterVec,
}

impl Transport {
    pub(super) fn new(describe: &Describe<'_>) -> Result<Self, prometheus::Error> {
        let connections =
            describe.gauges("botgate_connections", &["state"], "Connections by state.")?;
        let refused = "botgate_connections_refused_total";
        let handshakes = "botgate_tls_handshakes_total";
        let this = Self {
            open: connections.with_label_values(&["open"]),
            refused: describe.counters(refused, &["reason"], "Connections closed unserved.")?,
            handshakes: describe.counters(handshakes, &["result", "version"], "TLS handshakes.")?,
        };
        for labels in [
            ["ok", "1.2"],
            ["ok", "1.3"],
            ["failed", ""],
            ["timed_out", ""],
        ] {
            this.handshakes.with_label_values(&labels);
        }
        Ok(this)
    }
}

impl Metrics {
    /// A connection was accepted and is to be served.
    pub fn connection_opened(&self) {
        self.transport.open.inc();
    }

    /// A connection that was served ended.
    pub fn connection_closed(&self) {
        self.transport.open.dec();
    }

    /// A connection was closed unserved; a word of our own says why.
    pub fn connection_refused(&self, reason: &'static str) {
        self.transport.refused.with_label_values(&[reason]).inc();
    }

    /// A TLS handshake succeeded.
    pub fn handshake_done(&self, version: TlsVersion) {
        let labels = ["ok", tls_version(version)];
        self.transport.handshakes.with_label_values(&labels).inc();
    }

    /// A TLS handshake failed: by what the peer sent, or because it took too long.
    pub fn handshake_failed(&self, error: &io::Error) {
        let timed_out = error.kind() == io::ErrorKind::TimedOut;
        let labels = [if timed_out { "timed_out" } else { "failed" }, ""];
        self.transport.handshakes.with_label_values(&labels).inc();
    }
}
