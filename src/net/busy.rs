//! What stream and service of an HTTP/2 connection tell each other.

use super::frame_watch::Flood;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// Shared by a connection's stream and the requests on it.
#[derive(Clone, Debug, Default)]
pub(super) struct Busy(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Requests being served.
    serving: AtomicUsize,
    /// Of those, answers whose next step is the bot's: it has to have more.
    waiting: AtomicUsize,
    /// Answers that have begun and not ended on an HTTP/2 connection, whoever has them.
    begun: AtomicUsize,
    /// Requests that came into service so far.
    entered: AtomicUsize,
    /// What ended the connection.
    flood: OnceLock<Flood>,
    /// The client took what it was given too slowly.
    is_too_slow: AtomicBool,
    /// Requests that h2 refused by itself.
    malformed: AtomicU64,
}

/// One request being served; dropped when its answer has ended.
#[derive(Debug)]
pub(super) struct Serving {
    busy: Busy,
    is_waiting: bool,
}

impl Serving {
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
    pub(super) fn serve(&self) -> Serving {
        self.0.serving.fetch_add(1, Ordering::AcqRel);
        self.0.entered.fetch_add(1, Ordering::AcqRel);
        Serving {
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

    /// How many answers have to wait for the bot.
    pub(super) fn waiting(&self) -> usize {
        self.0.waiting.load(Ordering::Acquire)
    }

    /// How many requests came into service so far.
    pub(super) fn entered(&self) -> usize {
        self.0.entered.load(Ordering::Acquire)
    }

    /// The client flooded the connection: nothing on it is served any more.
    pub(super) fn set_flood(&self, flood: Flood) {
        let _first_one_counts = self.0.flood.set(flood);
    }

    /// Whether the client flooded the connection, and with what.
    pub(super) fn flood(&self) -> Option<Flood> {
        self.0.flood.get().copied()
    }

    pub(super) fn set_too_slow(&self) {
        self.0.is_too_slow.store(true, Ordering::Release);
    }

    /// Whether the connection was ended because the client took what it was given too slowly.
    pub(super) fn is_too_slow(&self) -> bool {
        self.0.is_too_slow.load(Ordering::Acquire)
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
