//! Metrics of connections.

use super::Metrics;
use super::describe::Describe;
use crate::config::TlsVersion;
use crate::observe::Door;
use crate::observe::audit::tls_version;
use prometheus::{IntCounter, IntCounterVec, IntGauge};
use std::io;

#[derive(Debug)]
pub(super) struct Transport {
    /// `botgate_connections{state}`: connections of the public listener. state: open.
    open: IntGauge,
    /// `botgate_connections_refused_total{reason}`: connections closed unserved. reason: connection_limited,
    /// not_a_trusted_proxy; of trusted ones proxy_header_missing, proxy_header_malformed, proxy_header_too_long,
    /// proxy_header_broken (no whole header came).
    refused: IntCounterVec,
    /// `botgate_accept_errors_total{door,reason}`: times that a connection could not be accepted. door: ingress, admin; reason:
    /// no_descriptors, no_memory, gone (before it was accepted), other.
    accept_errors: IntCounterVec,
    /// `botgate_tls_handshakes_total{result,version}`. result: ok, failed, timed_out,
    /// no_client_certificate (none, or none that counts); version: 1.2, 1.3, empty unless ok.
    handshakes: IntCounterVec,
    /// `botgate_slow_readers_cut_total`: connections ended because the client took its answers too slowly.
    slow_readers: IntCounter,
    /// `botgate_http2_connections_broken_total{reason}`: HTTP/2 connections ended for what the client sent. reason:
    /// rapid_reset, reset_flood, settings_flood, ping_flood, priority_flood, data_flood, window_update_flood, frame_flood,
    /// header_block, pseudo_trailers; or the error code of RFC 9113 7: protocol_error, flow_control_error, frame_size_error,
    /// compression_error, stream_closed, enhance_your_calm; or other.
    http2_broken: IntCounterVec,
    /// `botgate_http2_requests_malformed_total`: requests reset before they were requests (RFC 9113 8.1.1). Counted when their
    /// connection ends.
    http2_malformed: IntCounter,
}

impl Transport {
    pub(super) fn new(describe: &Describe<'_>) -> Result<Self, prometheus::Error> {
        let connections =
            describe.gauges("botgate_connections", &["state"], "Connections by state.")?;
        let refused = "botgate_connections_refused_total";
        let handshakes = "botgate_tls_handshakes_total";
        let broken = "botgate_http2_connections_broken_total";
        let this = Self {
            open: connections.with_label_values(&["open"]),
            refused: describe.counters(refused, &["reason"], "Connections closed unserved.")?,
            accept_errors: describe.counters(
                "botgate_accept_errors_total",
                &["door", "reason"],
                "Times that a connection could not be accepted.",
            )?,
            handshakes: describe.counters(handshakes, &["result", "version"], "TLS handshakes.")?,
            slow_readers: describe.counter(
                "botgate_slow_readers_cut_total",
                "Connections ended because the client took its answers too slowly.",
            )?,
            http2_broken: describe.counters(
                broken,
                &["reason"],
                "HTTP/2 connections ended for what the client sent.",
            )?,
            http2_malformed: describe.counter(
                "botgate_http2_requests_malformed_total",
                "HTTP/2 requests reset because they were malformed.",
            )?,
        };
        for door in [Door::Ingress, Door::Admin] {
            let labels = [door.word(), "no_descriptors"];
            this.accept_errors.with_label_values(&labels);
        }
        for labels in [
            ["ok", "1.2"],
            ["ok", "1.3"],
            ["failed", ""],
            ["timed_out", ""],
            ["no_client_certificate", ""],
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

    /// A connection was ended because its client took its answers too slowly.
    pub fn cut_for_slowness(&self) {
        self.transport.slow_readers.inc();
    }

    /// A connection could not be accepted; a word of our own says why.
    pub fn accept_failed(&self, door: Door, why: &'static str) {
        let errors = &self.transport.accept_errors;
        errors.with_label_values(&[door.word(), why]).inc();
    }

    /// An HTTP/2 connection ended: for this, if the client broke the rules, and after so many malformed requests.
    pub fn http2_ended(&self, why: Option<&'static str>, malformed: u64) {
        if let Some(why) = why {
            self.transport.http2_broken.with_label_values(&[why]).inc();
        }
        self.transport.http2_malformed.inc_by(malformed);
    }

    /// A TLS handshake succeeded.
    pub fn handshake_done(&self, version: TlsVersion) {
        let labels = ["ok", tls_version(version)];
        self.transport.handshakes.with_label_values(&labels).inc();
    }

    /// A TLS handshake failed: by what the peer sent, or because it took too long.
    pub fn handshake_failed(&self, error: &io::Error) {
        let result = if error.kind() == io::ErrorKind::TimedOut {
            "timed_out"
        } else if lacks_client_certificate(error) {
            "no_client_certificate"
        } else {
            "failed"
        };
        self.transport
            .handshakes
            .with_label_values(&[result, ""])
            .inc();
    }
}

/// Whether a handshake failed for the client's certificate: it showed none, or none that counts.
pub fn lacks_client_certificate(error: &io::Error) -> bool {
    let inside = error.get_ref().and_then(|inside| inside.downcast_ref());
    matches!(
        inside,
        Some(rustls::Error::NoCertificatesPresented | rustls::Error::InvalidCertificate(_))
    )
}
