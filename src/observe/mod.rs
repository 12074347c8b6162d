//! Tells what happened: one verdict and one line per request, metrics, the log.
//!
//! This room must not decide about a request, and must not open sockets.

#![deny(
    clippy::wildcard_enum_match_arm,
    reason = "a new variant must be decided about, not fall through"
)]

mod audit;
mod by_reason;
mod escape;
mod flood;
mod history;
mod identifiers;
mod json_line;
mod log;
mod log_buffer;
mod log_file;
mod metrics;
mod proof;
mod recent;
mod redact;
mod stamp;
mod texts;
mod trace;
mod whole_lines;

pub use audit::{Door, RequestLine};
pub use history::{Second, Traffic};
pub use log::{LogGuard, start};
pub use metrics::{
    CertificateReload, Ending, Metrics, Order, Reload, Repeat, Sample, TokenGiven,
    lacks_client_certificate,
};
pub use proof::Proof;
pub use texts::Text;
pub use trace::BackendSpan;

use flood::{Flood, Suppressed};
pub use recent::Refused;
use trace::{RequestSpan, Tracing};

use history::History;
use identifiers::IdentifierWriter;
use log::WatchedLog;
use recent::Recent;

use crate::config::Settings;
use crate::judge::{Reason, Rejection};
use aws_lc_rs::rand::SystemRandom;
use http::{HeaderMap, HeaderName};
use opentelemetry_sdk::trace::SpanExporter;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::time::Instant;

/// Said of a request whose client was told nothing.
const CUT_OFF: &str =
    "cut off without an answer: the gateway ended, by server.drain_timeout or a second signal";

/// Said of an answer that its client did not get to its end.
const LEFT_EARLY: &str = "the client left, or took it too slowly, before the end of the answer";
const CUT_SHORT: &str = "cut short: the gateway ended before the answer did, by server.drain_timeout or a second signal";

/// How a request ended. Every request ends in exactly one verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The client went away before there was an answer.
    Abandoned,
    /// The bot answered with this status.
    Forwarded {
        /// What the client got.
        status: u16,
    },
    /// The bot answered, and a policy in report mode would have refused.
    WouldReject {
        /// What the client got.
        status: u16,
        /// What it would have been refused for.
        rejection: Rejection,
    },
    /// The gateway refused.
    Rejected {
        /// What the client got; 200 where a refusal is answered as if handled.
        status: u16,
        /// Why.
        rejection: Rejection,
    },
}

impl Verdict {
    /// The word in the request line and in `requests_total`.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Abandoned => "abandoned",
            Self::Forwarded { .. } => "forwarded",
            Self::WouldReject { .. } => "would_reject",
            Self::Rejected { .. } => "rejected",
        }
    }

    /// The status the client got, if it got one.
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Abandoned => None,
            Self::Forwarded { status }
            | Self::WouldReject { status, .. }
            | Self::Rejected { status, .. } => Some(*status),
        }
    }

    /// The refusal, if there is one.
    pub const fn rejection(&self) -> Option<&Rejection> {
        match self {
            Self::Abandoned | Self::Forwarded { .. } => None,
            Self::WouldReject { rejection, .. } | Self::Rejected { rejection, .. } => {
                Some(rejection)
            }
        }
    }
}

/// Why an [`Observer`] could not be made. Neither happens on a working machine.
#[derive(Debug)]
pub enum ObserverProblem {
    /// A metric was described wrongly.
    Metrics(prometheus::Error),
    /// The system gave no random numbers for the key that hashes identifiers.
    Random,
}

impl std::fmt::Display for ObserverProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Metrics(error) => write!(f, "metrics: {error}"),
            Self::Random => f.write_str("the system gave no random numbers"),
        }
    }
}

impl std::error::Error for ObserverProblem {}

/// Watches requests: what it is told becomes request lines and metrics.
pub struct Observer {
    identifiers: IdentifierWriter,
    metrics: Metrics,
    flood: Mutex<Flood>,
    tracing: OnceLock<Tracing>,
    log: OnceLock<WatchedLog>,
    history: History,
    recent: Mutex<Recent>,
    /// Whether the gateway ends what has not ended by itself.
    cuts_off: AtomicBool,
}

impl Observer {
    /// Makes the observer of one gateway: own metrics, own key for hashing identifiers.
    ///
    /// # Errors
    /// See [`ObserverProblem`].
    pub fn new(settings: &Settings) -> Result<Arc<Self>, ObserverProblem> {
        let identifiers = IdentifierWriter::new(settings.log.identifiers, &SystemRandom::new())
            .map_err(|_| ObserverProblem::Random)?;
        Ok(Arc::new(Self {
            identifiers,
            metrics: Metrics::new(settings).map_err(ObserverProblem::Metrics)?,
            flood: Mutex::new(Flood::new(Instant::now())),
            tracing: OnceLock::new(),
            log: OnceLock::new(),
            history: History::new(),
            recent: Mutex::new(Recent::default()),
            cuts_off: AtomicBool::new(false),
        }))
    }

    /// The metrics.
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Starts watching a request; `bot` is the name of its bot, if already known.
    pub fn watch(self: &Arc<Self>, line: RequestLine, bot: Option<&str>) -> Watch {
        let bot = self.metrics.bot(bot);
        bot.request_started();
        Watch {
            observer: Arc::clone(self),
            line,
            bot,
            verdict: None,
            broken: None,
            proof: Proof::Wanting,
            is_unfinished: false,
            span: None,
            bytes_out: 0,
            started: Instant::now(),
        }
    }

    /// From now on request lines go straight to this log, and [`tick`](Self::tick) warns about lines that it lost.
    pub fn watch_log(&self, log: &LogGuard) {
        // A second log writer does not exist in one process; should one be given, the first stays.
        let _ = self.log.set(WatchedLog::of(log));
    }

    /// What came in the last minutes.
    pub fn traffic(&self) -> Traffic {
        self.history.traffic()
    }

    /// The requests that were refused last, the latest first.
    pub fn recently_refused(&self) -> Vec<Refused> {
        self.recent().latest_first()
    }

    /// From now on requests have spans, which go to `exporter` in the background. Should it be told twice, the first one stays.
    pub fn trace(&self, exporter: impl SpanExporter + 'static) {
        self.tracing
            .get_or_init(|| Tracing::new(exporter, &self.metrics));
    }

    /// Has the spans exported that are still waiting for it. Blocks, for as long as `within`. To be called once, at the end.
    pub fn flush_traces(&self, within: std::time::Duration) {
        if let Some(tracing) = self.tracing.get() {
            tracing.finish(within);
        }
    }

    /// Does what must happen although no request comes: closes the second of suppressed lines, reports lost lines.
    ///
    /// To be called once a second.
    pub fn tick(&self) {
        self.write_suppressed(self.flood().tick(Instant::now()));
        self.history.tick();
        if let Some(log) = self.log.get() {
            log.tell_of_lost_lines(&self.metrics);
        }
    }

    /// Writes every count of suppressed lines that is still open. To be called once, at the end.
    pub fn flush(&self) {
        self.write_suppressed(self.flood().flush(Instant::now()));
    }

    /// From now on what ends without an answer was cut off by this gateway, and not left by its client.
    pub fn cut_off(&self) {
        self.cuts_off.store(true, Ordering::Release);
    }

    fn cuts_off(&self) -> bool {
        self.cuts_off.load(Ordering::Acquire)
    }

    /// The verdict of a request that ends without one.
    fn unanswered(&self) -> Verdict {
        if !self.cuts_off() {
            return Verdict::Abandoned;
        }
        let rejection = Rejection::from(Reason::Draining).noting(CUT_OFF);
        Verdict::Rejected {
            status: rejection.reason().status(),
            rejection,
        }
    }

    /// Writes the line of a request that ended, and counts it.
    fn conclude(&self, ended: &Watch, span: Option<RequestSpan>) {
        let now = Instant::now();
        let unanswered;
        let (verdict, concluded) = match &ended.verdict {
            Some(concluded) => concluded,
            None => {
                unanswered = (self.unanswered(), now);
                &unanswered
            }
        };
        let entry = audit::Entry {
            line: &ended.line,
            bot: ended.bot.name(),
            verdict,
            rejection: verdict.rejection().or(ended.broken.as_ref()),
            remark: ended.remark(verdict),
            bytes_out: ended.bytes_out,
            until_verdict: concluded.saturating_duration_since(ended.started),
            duration: now.saturating_duration_since(ended.started),
        };
        ended.bot.request_ended(&entry);
        if let Some(span) = span {
            span.end(&entry);
        }
        self.history.count(verdict);
        // What the end cuts off is not many, and comes at once.
        let is_cut = ended.verdict.is_none() && self.cuts_off();
        if let Some(reason) = ended.proof.bounded(verdict).filter(|_| !is_cut) {
            let (is_written, closed) = self.flood().take(ended.line.client_ip, reason, now);
            self.write_suppressed(closed);
            if !is_written {
                self.metrics.log_suppressed(reason);
                return;
            }
        }
        if verdict.rejection().is_some() {
            // Behind the budget of the log, so that a flood neither costs more here nor is all there is to see.
            self.recent().keep(entry.refused());
        }
        match self.log.get().and_then(WatchedLog::json_lines) {
            Some(lines) => entry.write_json(&self.identifiers, lines),
            None => entry.write_event(&self.identifiers),
        }
    }

    fn write_suppressed(&self, closed: Vec<Suppressed>) {
        for one in closed {
            audit::write_suppressed(&one);
        }
    }

    fn recent(&self) -> std::sync::MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn flood(&self) -> std::sync::MutexGuard<'_, Flood> {
        // Poison only says that another thread panicked; counters have no broken state.
        self.flood.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Observer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Neither the hash key nor the metrics belong in anybody's debug output.
        f.debug_struct("Observer").finish_non_exhaustive()
    }
}

/// Watches one request. However it ends, exactly one line is written and every metric counts once: when this is dropped.
#[must_use = "dropping it writes the request line"]
pub struct Watch {
    observer: Arc<Observer>,
    line: RequestLine,
    bot: Arc<metrics::BotMetrics>,
    verdict: Option<(Verdict, Instant)>,
    broken: Option<Rejection>,
    proof: Proof,
    is_unfinished: bool,
    /// Boxed, because it is seldom wanted.
    span: Option<Box<RequestSpan>>,
    bytes_out: u64,
    started: Instant,
}

impl Watch {
    /// What is known so far.
    pub const fn line(&self) -> &RequestLine {
        &self.line
    }

    /// To add what was learned.
    pub const fn line_mut(&mut self) -> &mut RequestLine {
        &mut self.line
    }

    /// Gives the request a span, where traces are wanted: in the trace that its headers name, or in one of its own.
    pub fn trace(&mut self, headers: &HeaderMap) {
        if let Some(tracing) = self.observer.tracing.get() {
            let span = tracing.request(headers);
            self.line.note(Text::TraceId, span.trace_id().as_str());
            self.span = Some(Box::new(span));
        }
    }

    /// The configured path that the request is for.
    pub fn set_route(&mut self, route: &str) {
        if let Some(span) = &mut self.span {
            span.set_route(route);
        }
    }

    /// The span of the call that hands the request to its bot. `tell` learns what names it as the sender, one after the other: a
    /// header and its value, or nothing where the header is to be taken away.
    pub fn call(&self, tell: impl FnMut(&HeaderName, Option<&str>)) -> BackendSpan {
        self.span
            .as_ref()
            .map(|span| span.call(tell))
            .unwrap_or_default()
    }

    /// The bot was found; its name.
    pub fn set_bot(&mut self, name: &str) {
        self.bot.request_moved();
        self.bot = self.observer.metrics.bot(Some(name));
        self.bot.request_started();
    }

    /// How far the client's token is.
    pub const fn set_proof(&mut self, proof: Proof) {
        self.proof = proof;
    }

    /// Whether the client's token was verified.
    pub fn is_proven(&self) -> bool {
        self.proof == Proof::Given
    }

    /// Sets the verdict. To be called once, before the answer is streamed; the first verdict stays.
    pub fn conclude(&mut self, verdict: Verdict) {
        self.verdict
            .get_or_insert_with(|| (verdict, Instant::now()));
    }

    /// The bot's answer broke after its head was passed on: the verdict stays, and the line says why.
    pub fn note_broken(&mut self, rejection: Rejection) {
        self.broken.get_or_insert(rejection);
    }

    /// Nobody took the bot's answer to its end: the verdict stays, and the line says so.
    pub const fn note_unfinished(&mut self) {
        self.is_unfinished = true;
    }

    /// Counts bytes of the answer's body.
    pub const fn add_bytes_out(&mut self, bytes: u64) {
        self.bytes_out = self.bytes_out.saturating_add(bytes);
    }

    /// When the request was first seen.
    pub const fn started(&self) -> Instant {
        self.started
    }

    /// Since the request was first seen.
    pub fn elapsed(&self) -> std::time::Duration {
        self.started.elapsed()
    }

    fn remark(&self, verdict: &Verdict) -> Option<&'static str> {
        match (verdict, self.line.door) {
            (Verdict::Abandoned, Door::Ingress) => self.proof.missing(),
            (Verdict::Forwarded { .. } | Verdict::WouldReject { .. }, _) if self.is_unfinished => {
                let is_cut = self.observer.cuts_off();
                Some(if is_cut { CUT_SHORT } else { LEFT_EARLY })
            }
            (
                Verdict::Abandoned
                | Verdict::Forwarded { .. }
                | Verdict::WouldReject { .. }
                | Verdict::Rejected { .. },
                _,
            ) => None,
        }
    }

    /// The request is over: writes the line. Dropping does the same; this only says it aloud.
    pub fn finish(self) {
        drop(self);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let span = self.span.take();
        self.observer.conclude(self, span.map(|span| *span));
    }
}

#[cfg(test)]
mod tests;
