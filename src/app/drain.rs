//! The end: no new requests, those in flight finish, and a deadline.

use super::{Drained, Running, TICK, service_manager};
use crate::net::clock;
use std::sync::Arc;
use std::time::Duration;

/// How long, from the start of a drain, idle connections are kept for requests that are already on their way.
const LINGER: Duration = Duration::from_secs(1);
/// How long before the drain deadline those are answered who would get no answer: for writing it.
const LAST_CALL: Duration = Duration::from_millis(500);
/// For the last spans to reach their collector.
const FLUSH_WITHIN: Duration = Duration::from_secs(3);

impl Running {
    /// Stops accepting, lets clients learn of that and requests in flight finish until the drain deadline, then ends everything.
    ///
    /// Dropping the future ends nothing by itself: see [`cutting_off`](Self::cutting_off).
    pub async fn drain(self) -> Drained {
        let drain_timeout = self.reloader.settings().server.drain_timeout;
        tracing::info!(
            event = "draining",
            timeout_seconds = drain_timeout.as_secs(),
            "draining: no new requests, finishing those in flight"
        );
        service_manager::stopping(drain_timeout);
        self.drain.cancel();
        self.requests.close();
        self.work.close();
        let deadline = clock::deadline(drain_timeout);
        // A client whose connection is idle does not know yet, and its next request may be on the way: it is served, and its
        // answer says that it was the last one. Without connections this takes no time.
        let linger = LINGER.min(drain_timeout.div_f32(2.0));
        if tokio::time::timeout(linger, self.requests.wait())
            .await
            .is_err()
        {
            let connections = self.requests.len();
            // Before it is told: whoever reads that new requests are refused may rely on it.
            self.closing.come();
            tracing::info!(
                event = "drain_closing",
                connections,
                "closing idle connections, refusing new requests"
            );
        }
        self.closing.come();
        let finished = async {
            self.requests.wait().await;
            // Only requests start work, so there is no more to come.
            self.work.wait().await;
        };
        let mut finished = std::pin::pin!(finished);
        let last_call = LAST_CALL.min(drain_timeout.div_f32(4.0));
        let last_call = deadline.checked_sub(last_call).unwrap_or(deadline);
        let mut has_finished = tokio::time::timeout_at(last_call, finished.as_mut()).await;
        if has_finished.is_err() {
            self.closing.call_last();
            has_finished = tokio::time::timeout_at(deadline, finished).await;
        }
        let outcome = match has_finished {
            Ok(()) => Drained::Clean,
            // A client that only has to read its last answer is no request that has not finished.
            Err(_) if self.unfinished() == 0 && self.work.is_empty() => Drained::Clean,
            Err(_) => {
                self.observer.cut_off();
                tracing::warn!(
                    event = "drain_cut_off",
                    connections = self.unfinished(),
                    work = self.work.len(),
                    "the drain deadline came before every request had finished"
                );
                Drained::CutOff
            }
        };
        self.flush_traces().await;
        self.stop.cancel();
        self.background.close();
        // The admin listener's own connections need no grace: whoever reads metrics reads them again elsewhere.
        let _ = tokio::time::timeout(TICK, self.background.wait()).await;
        self.observer.flush();
        let (connections_cut, work_cut) = (self.unfinished(), self.work.len());
        tracing::info!(event = "stopped", connections_cut, work_cut, "stopped");
        outcome
    }

    /// To be called if the drain is not waited for: requests that are dropped then are told as cut off.
    pub fn cutting_off(&self) -> impl Fn() + use<> {
        let observer = Arc::clone(&self.observer);
        move || observer.cut_off()
    }

    /// Connections, without those whose last answer was written.
    fn unfinished(&self) -> usize {
        let lingering = self.reloader.gate.lingering.count();
        self.requests.len().saturating_sub(lingering)
    }

    /// Sends the last spans. Theirs is a deadline of their own, since a drain that was cut off has none left.
    async fn flush_traces(&self) {
        let observer = Arc::clone(&self.observer);
        // It blocks: the SDK waits for its thread.
        let flushed = tokio::task::spawn_blocking(move || observer.flush_traces(FLUSH_WITHIN));
        let _ = flushed.await;
    }
}
