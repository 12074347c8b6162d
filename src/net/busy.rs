//! What stream and service of a connection tell each other.

use super::frame_watch::Flood;
use super::wire::Flaw;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio_util::sync::CancellationToken;

/// Shared by a connection's stream and the requests on it.
#[derive(Clone, Debug, Default)]
pub(super) struct Busy(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Requests being served.
    serving: AtomicUsize,
    /// Of those, answers whose next step is the bot's: it has to have more.
    waiting: AtomicUsize,
    /// Bytes of an HTTP/1 answer that hyper has and the connection has not; and who waits for their way.
    unwritten: Mutex<Unwritten>,
    /// Answers that have begun and not ended on an HTTP/2 connection, whoever has them.
    begun: AtomicUsize,
    /// Requests that came into service so far.
    entered: AtomicUsize,
    /// A part of a head is held that is not yet whole.
    has_head_begun: AtomicBool,
    /// An HTTP/1 request is waited for of which there is nothing yet.
    is_unasked: AtomicBool,
    /// Something of an answer waits for the client.
    is_blocked: AtomicBool,
    /// Why the next request is refused.
    refused: Mutex<Option<Flaw>>,
    /// What ended the connection.
    flood: OnceLock<Flood>,
    /// Requests that h2 refused by itself.
    malformed: AtomicU64,
    /// Cancelled when the gateway is about to end.
    drain: CancellationToken,
}

#[derive(Debug, Default)]
struct Unwritten {
    bytes: usize,
    waiting: Option<Waker>,
}

/// One request being served; dropped when its answer has ended.
#[derive(Debug)]
pub(super) struct Serving {
    busy: Busy,
    is_waiting: bool,
    /// Why it is refused: what hyper read stands for a head that it did not get to read.
    pub(super) refused: Option<Flaw>,
}

impl Serving {
    /// Whether the client is to be told that this connection ends.
    pub(super) fn is_last(&self) -> bool {
        self.busy.0.drain.is_cancelled()
    }

    /// Ready when what hyper has of the answer was written. hyper would take 400 KiB of it ahead, or as much as it may have of a
    /// head.
    pub(super) fn poll_written(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut unwritten = self.busy.unwritten();
        if unwritten.bytes == 0 {
            return Poll::Ready(());
        }
        unwritten.waiting = Some(cx.waker().clone());
        Poll::Pending
    }

    /// hyper was given so many bytes of the answer.
    pub(super) fn gave(&self, bytes: usize) {
        let mut unwritten = self.busy.unwritten();
        unwritten.bytes = unwritten.bytes.saturating_add(bytes);
    }

    /// Says whose step is next once the answer has begun: the bot's, to have more of it, or the client's, to take what there is.
    pub(super) fn set_waiting(&mut self, is_waiting: bool) {
        if self.is_waiting != is_waiting {
            self.is_waiting = is_waiting;
            let waiting = &self.busy.0.waiting;
            if is_waiting {
                waiting.fetch_add(1, Ordering::AcqRel)
            } else {
                waiting.fetch_sub(1, Ordering::AcqRel)
            };
        }
    }
}

impl Busy {
    /// For one connection; `drain` is cancelled when the gateway is about to end.
    pub(super) fn new(drain: CancellationToken) -> Self {
        Self(Arc::new(Shared {
            drain,
            ..Shared::default()
        }))
    }

    pub(super) fn serve(&self) -> Serving {
        self.0.serving.fetch_add(1, Ordering::AcqRel);
        self.0.entered.fetch_add(1, Ordering::AcqRel);
        // What of the last answer was not written belongs to nobody any more; in HTTP/2 nothing is counted here.
        *self.unwritten() = Unwritten::default();
        let refused = self.0.refused.lock();
        let refused = refused.unwrap_or_else(PoisonError::into_inner).take();
        Serving {
            refused,
            is_waiting: false,
            busy: self.clone(),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.0.serving.load(Ordering::Acquire) == 0
    }

    /// Whether nothing is asked on an HTTP/2 connection, and every answer is on the wire.
    pub(super) fn has_answered(&self) -> bool {
        self.is_idle() && self.0.begun.load(Ordering::Acquire) == 0
    }

    pub(super) fn set_begun(&self, count: usize) {
        self.0.begun.store(count, Ordering::Release);
    }

    /// So many bytes were written.
    pub(super) fn wrote(&self, bytes: usize) {
        let mut unwritten = self.unwritten();
        unwritten.bytes = unwritten.bytes.saturating_sub(bytes);
        if unwritten.bytes == 0
            && let Some(waiting) = unwritten.waiting.take()
        {
            waiting.wake();
        }
    }

    fn unwritten(&self) -> MutexGuard<'_, Unwritten> {
        let unwritten = self.0.unwritten.lock();
        unwritten.unwrap_or_else(PoisonError::into_inner)
    }

    /// How many answers have to wait for the bot.
    pub(super) fn waiting(&self) -> usize {
        self.0.waiting.load(Ordering::Acquire)
    }

    /// How many requests came into service so far.
    pub(super) fn entered(&self) -> usize {
        self.0.entered.load(Ordering::Acquire)
    }

    /// Says whether a part of a head is held above this stream.
    pub(super) fn set_head_begun(&self, has_begun: bool) {
        self.0.has_head_begun.store(has_begun, Ordering::Release);
    }

    /// Says whether a request is waited for of which there is nothing yet.
    pub(super) fn set_unasked(&self, is_unasked: bool) {
        self.0.is_unasked.store(is_unasked, Ordering::Release);
    }

    /// Says whether something that is to be written waits for the client.
    pub(super) fn set_blocked(&self, is_blocked: bool) {
        self.0.is_blocked.store(is_blocked, Ordering::Release);
    }

    /// Whether nothing is asked on an HTTP/1 connection, nothing has begun to be, and every answer is written.
    pub(super) fn is_at_rest(&self) -> bool {
        self.is_idle()
            && self.0.is_unasked.load(Ordering::Acquire)
            && !self.0.is_blocked.load(Ordering::Acquire)
    }

    pub(super) fn has_head_begun(&self) -> bool {
        self.0.has_head_begun.load(Ordering::Acquire)
    }

    /// Says why the next request is refused.
    pub(super) fn refuse(&self, flaw: Flaw) {
        let refused = self.0.refused.lock();
        *refused.unwrap_or_else(PoisonError::into_inner) = Some(flaw);
    }

    /// The client flooded the connection: nothing on it is served any more.
    pub(super) fn set_flood(&self, flood: Flood) {
        let _first_one_counts = self.0.flood.set(flood);
    }

    /// Whether the client flooded the connection, and with what.
    pub(super) fn flood(&self) -> Option<Flood> {
        self.0.flood.get().copied()
    }

    pub(super) fn set_malformed(&self, count: u64) {
        self.0.malformed.store(count, Ordering::Release);
    }

    /// How many requests on the connection never got here, because they were malformed.
    pub(super) fn malformed(&self) -> u64 {
        self.0.malformed.load(Ordering::Acquire)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.set_waiting(false);
        self.busy.0.serving.fetch_sub(1, Ordering::AcqRel);
    }
}
