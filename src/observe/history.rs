//! What came in the last minutes, second by second, for the charts of the status page. Costs a request two additions.

use super::Verdict;
use super::by_reason::place;
use crate::judge::Reason;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Requests that ended within one tick of [`Observer::tick`](super::Observer::tick), which is a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Second {
    /// The bot answered, and no policy had a word to say.
    pub forwarded: u64,
    /// The bot answered, and a policy in report mode would have refused.
    pub would_reject: u64,
    /// The gateway refused.
    pub rejected: u64,
    /// The client went away.
    pub abandoned: u64,
}

/// The last minutes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// The latest last; at most [`SECONDS`](Self::SECONDS).
    pub seconds: Vec<Second>,
    /// Refusals in those seconds by reason, policies in report mode included; the most frequent first.
    pub reasons: Vec<(Reason, u64)>,
}

impl Traffic {
    /// How far back it goes: five minutes.
    pub const SECONDS: usize = 300;
}

/// Counts, and remembers what the counts were.
#[derive(Debug)]
pub(super) struct History {
    now: Counts,
    past: Mutex<Past>,
}

/// Since the start.
#[derive(Debug, Default)]
struct Counts {
    forwarded: AtomicU64,
    would_reject: AtomicU64,
    rejected: AtomicU64,
    abandoned: AtomicU64,
    /// By position in [`Reason::ALL`].
    reasons: Vec<AtomicU64>,
}

/// What the counts stood at when each second ended: differences are taken when somebody looks.
#[derive(Debug, Default)]
struct Past {
    ends: VecDeque<Stand>,
}

#[derive(Clone, Debug, Default)]
struct Stand {
    in_all: Second,
    reasons: Vec<u64>,
}

impl History {
    pub(super) fn new() -> Self {
        let now = Counts {
            reasons: Reason::ALL.iter().map(|_| AtomicU64::new(0)).collect(),
            ..Counts::default()
        };
        let ends = VecDeque::from([now.stand()]);
        Self {
            now,
            past: Mutex::new(Past { ends }),
        }
    }

    /// A request ended.
    pub(super) fn count(&self, verdict: &Verdict) {
        let counter = match verdict {
            Verdict::Forwarded { .. } => &self.now.forwarded,
            Verdict::WouldReject { .. } => &self.now.would_reject,
            Verdict::Rejected { .. } => &self.now.rejected,
            Verdict::Abandoned => &self.now.abandoned,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let reason = verdict.rejection().map(|one| place(one.reason()));
        if let Some(counter) = reason.and_then(|place| self.now.reasons.get(place)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A second ended.
    pub(super) fn tick(&self) {
        let stand = self.now.stand();
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        past.ends.push_back(stand);
        if past.ends.len() > Traffic::SECONDS.saturating_add(1) {
            past.ends.pop_front();
        }
    }

    pub(super) fn traffic(&self) -> Traffic {
        let past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        let pairs = past.ends.iter().zip(past.ends.iter().skip(1));
        let seconds = pairs.map(|(before, after)| after.in_all.since(before.in_all));
        let seconds = seconds.collect();
        let (Some(first), Some(last)) = (past.ends.front(), past.ends.back()) else {
            return Traffic::default();
        };
        let counts = first.reasons.iter().zip(&last.reasons);
        let mut reasons: Vec<(Reason, u64)> = Reason::ALL
            .iter()
            .zip(counts)
            .map(|(reason, (before, after))| (*reason, after.saturating_sub(*before)))
            .filter(|(_, count)| *count > 0)
            .collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        Traffic { seconds, reasons }
    }
}

impl Counts {
    fn stand(&self) -> Stand {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stand {
            in_all: Second {
                forwarded: read(&self.forwarded),
                would_reject: read(&self.would_reject),
                rejected: read(&self.rejected),
                abandoned: read(&self.abandoned),
            },
            reasons: self.reasons.iter().map(read).collect(),
        }
    }
}

impl Second {
    const fn since(self, before: Self) -> Self {
        Self {
            forwarded: self.forwarded.saturating_sub(before.forwarded),
            would_reject: self.would_reject.saturating_sub(before.would_reject),
            rejected: self.rejected.saturating_sub(before.rejected),
            abandoned: self.abandoned.saturating_sub(before.abandoned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::Rejection;

    fn rejected(reason: Reason) -> Verdict {
        Verdict::Rejected {
            status: reason.status(),
            rejection: Rejection::from(reason),
        }
    }

    #[test]
    fn each_second_has_what_ended_in_it() {
        let history = History::new();
        history.count(&Verdict::Forwarded { status: 200 });
        history.count(&rejected(Reason::TokenMissing));
        history.tick();
        history.tick();
        history.count(&rejected(Reason::TenantNotAllowed));
        history.count(&rejected(Reason::TenantNotAllowed));
        history.count(&Verdict::Abandoned);
        assert_eq!(history.traffic().seconds.len(), 2, "the third is not over");
        history.tick();
        let first = Second {
            forwarded: 1,
            rejected: 1,
            ..Second::default()
        };
        let third = Second {
            rejected: 2,
            abandoned: 1,
            ..Second::default()
        };
        let traffic = history.traffic();
        assert_eq!(traffic.seconds, [first, Second::default(), third]);
        let reasons = [(Reason::TenantNotAllowed, 2), (Reason::TokenMissing, 1)];
        assert_eq!(traffic.reasons, reasons);
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let history = History::new();
        history.count(&rejected(Reason::TokenMissing));
        for _ in 0..=Traffic::SECONDS {
            history.tick();
        }
        let traffic = history.traffic();
        assert_eq!(traffic.seconds.len(), Traffic::SECONDS);
        assert_eq!(traffic.reasons, [], "{traffic:?}");
    }
}
