//! The metrics of one bot, looked up once: a request then costs a few atomic additions.

use super::describe::Describe;
use crate::judge::{Fault, Reason, Rejection};
use crate::observe::audit::Entry;
use crate::observe::by_reason::ByReason;
use crate::observe::{Door, Verdict};
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

/// The metrics that have a `bot` label.
#[derive(Debug)]
pub(super) struct Families {
    /// `botgate_requests_total{bot,door,verdict,reason}`: requests that ended. bot: names of bots, empty if none was found;
    /// door: ingress, directline, egress, admin; verdict: forwarded, rejected, would_reject, abandoned; reason: codes of
    /// the reasons table, empty if there is none.
    requests: IntCounterVec,
    /// `botgate_request_duration_seconds{bot}`: from the request's head to the end of the answer.
    request_duration: HistogramVec,
    /// `botgate_gate_duration_seconds{bot}`: from the request's head to the verdict, without the wait for the bot: what the
    /// gateway itself added, and the time the client took to send its body. Left out where the wait is not known: the
    /// client went away, or the bot did not answer.
    gate_duration: HistogramVec,
    /// `botgate_upstream_duration_seconds{bot}`: the wait for the bot.
    upstream_duration: HistogramVec,
    /// `botgate_inflight_requests{bot}`: requests that have not ended, also those not proven yet: more than `bots.in_flight` caps.
    inflight: IntGaugeVec,
}

impl Families {
    pub(super) fn new(describe: &Describe<'_>) -> Result<Self, prometheus::Error> {
        let labels = &["bot", "door", "verdict", "reason"];
        let [requests, whole, gate, upstream, inflight] = [
            "botgate_requests_total",
            "botgate_request_duration_seconds",
            "botgate_gate_duration_seconds",
            "botgate_upstream_duration_seconds",
            "botgate_inflight_requests",
        ];
        Ok(Self {
            requests: describe.counters(requests, labels, "Requests by how they ended.")?,
            request_duration: describe.histograms(whole, &["bot"], "Whole requests.")?,
            gate_duration: describe.histograms(
                gate,
                &["bot"],
                "Until the verdict, without the wait for the bot.",
            )?,
            upstream_duration: describe.histograms(upstream, &["bot"], "The wait for the bot.")?,
            inflight: describe.gauges(inflight, &["bot"], "Requests that have not ended.")?,
        })
    }

    /// The metrics of one bot; an empty name stands for requests that found none.
    pub(super) fn of(&self, name: &str) -> BotMetrics {
        let forwarded = Verdict::Forwarded { status: 200 }.word();
        BotMetrics {
            name: name.to_owned(),
            requests: self.requests.clone(),
            rejected: ByReason::default(),
            would_reject: ByReason::default(),
            forwarded: self.requests.with_label_values(&[
                name,
                Door::Ingress.word(),
                forwarded,
                "",
            ]),
            request_duration: self.request_duration.with_label_values(&[name]),
            gate_duration: self.gate_duration.with_label_values(&[name]),
            upstream_duration: self.upstream_duration.with_label_values(&[name]),
            inflight: self.inflight.with_label_values(&[name]),
        }
    }
}

/// See [`Families`].
#[derive(Debug)]
pub(in crate::observe) struct BotMetrics {
    name: String,
    requests: IntCounterVec,
    /// The one series of `requests` that busy gateways count in.
    forwarded: IntCounter,
    /// Those that a gateway under attack counts in, and those of a policy in report mode: at the ingress, made with their first request.
    rejected: ByReason<IntCounter>,
    would_reject: ByReason<IntCounter>,
    request_duration: Histogram,
    gate_duration: Histogram,
    upstream_duration: Histogram,
    inflight: IntGauge,
}

impl BotMetrics {
    /// The bot's name, empty for none.
    pub(in crate::observe) fn name(&self) -> &str {
        &self.name
    }

    /// A request came.
    pub(in crate::observe) fn request_started(&self) {
        self.inflight.inc();
    }

    /// A request turned out to belong elsewhere.
    pub(in crate::observe) fn request_moved(&self) {
        self.inflight.dec();
    }

    /// A request ended.
    pub(in crate::observe) fn request_ended(&self, entry: &Entry<'_>) {
        self.inflight.dec();
        self.count(entry);
        self.request_duration.observe(entry.duration.as_secs_f64());
        let upstream = entry.line.upstream;
        if let Some(upstream) = upstream {
            self.upstream_duration.observe(upstream.as_secs_f64());
        }
        if is_gate_time_known(entry) {
            let gate = entry
                .until_verdict
                .saturating_sub(upstream.unwrap_or_default());
            self.gate_duration.observe(gate.as_secs_f64());
        }
    }

    fn count(&self, entry: &Entry<'_>) {
        let reason = entry.rejection.map(Rejection::reason);
        let series = || {
            self.requests.with_label_values(&[
                self.name.as_str(),
                entry.line.door.word(),
                entry.verdict.word(),
                reason.map_or("", Reason::code),
            ])
        };
        let known = match (entry.verdict, reason, entry.line.door) {
            (Verdict::Forwarded { .. }, None, Door::Ingress) => Some(&self.forwarded),
            (Verdict::Rejected { .. }, Some(reason), Door::Ingress) => {
                self.rejected.get(reason, series)
            }
            (Verdict::WouldReject { .. }, Some(reason), Door::Ingress) => {
                self.would_reject.get(reason, series)
            }
            _ => None,
        };
        match known {
            Some(counter) => counter.inc(),
            None => series().inc(),
        }
    }
}

fn is_gate_time_known(entry: &Entry<'_>) -> bool {
    match entry.verdict {
        Verdict::Abandoned => false,
        Verdict::Forwarded { .. } | Verdict::WouldReject { .. } => true,
        Verdict::Rejected { rejection, .. } => match rejection.reason().fault() {
            Fault::Caller | Fault::Gateway => true,
            Fault::Upstream => entry.line.upstream.is_some(),
        },
    }
}
