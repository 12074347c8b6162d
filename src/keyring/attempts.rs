//! Who may make a source fetch early, and who waits for which fetch. Fetches are numbered; one is under way at most.
//!
//! A request that misses a key needs a fetch that begins after the request came: one that is under way may have read the key
//! set before the key was published. So requests hold the number of the fetch they wait for, and that one was asked for is a
//! state which the fetching task reads, not a signal that could get lost.

use governor::clock::Clock as _;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::watch;
use tokio::time::Instant;

#[derive(Debug)]
pub(super) struct Attempts {
    counts: watch::Sender<Counts>,
    /// Keeps made-up key ids from hammering the issuer (AUTHENTICATION 2.4 rule 3).
    budget: DefaultDirectRateLimiter,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    started: u64,
    finished: u64,
    /// A request asked for one that has not started yet.
    is_asked_for: bool,
    /// When what the budget did not allow becomes allowed.
    due: Option<Instant>,
}

/// The number of a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attempt(u64);

impl Attempts {
    pub(super) fn new(early: Quota) -> Self {
        Self {
            counts: watch::Sender::default(),
            budget: RateLimiter::direct(early),
        }
    }

    /// The fetch that is under way, or the first, which comes by itself.
    pub(super) fn coming(&self) -> Option<Attempt> {
        let counts = *self.counts.borrow();
        if counts.started == 0 {
            Some(Attempt(1))
        } else {
            (counts.started > counts.finished).then_some(Attempt(counts.started))
        }
    }

    /// A fetch that has not begun yet, asked for now or before. `None` when the budget is used up: then one is made as soon as
    /// the budget allows it, although nobody waits so long.
    pub(super) fn ask(&self) -> Option<Attempt> {
        let mut next = None;
        self.counts.send_if_modified(|counts| {
            let was_asked_for = counts.is_asked_for;
            if !was_asked_for {
                match self.budget.check() {
                    Ok(()) => counts.is_asked_for = true,
                    Err(not_until) if counts.due.is_none() => {
                        let wait = not_until.wait_time_from(self.budget.clock().now());
                        counts.due = Instant::now().checked_add(wait);
                        return true;
                    }
                    Err(_) => return false,
                }
            }
            next = Some(Attempt(counts.started.saturating_add(1)));
            !was_asked_for
        });
        next
    }

    /// Whether a fetch ends before the deadline.
    pub(super) async fn ends(&self, attempt: Attempt, deadline: Instant) -> bool {
        let mut counts = self.counts.subscribe();
        let ended = counts.wait_for(|counts| counts.finished >= attempt.0);
        let in_time = tokio::time::timeout_at(deadline, ended).await;
        in_time.is_ok_and(|ended| ended.is_ok())
    }

    /// Waits until a fetch is asked for.
    pub(super) async fn asked_for(&self) {
        let mut counts = self.counts.subscribe();
        loop {
            let Counts {
                is_asked_for, due, ..
            } = *counts.borrow_and_update();
            if is_asked_for {
                return;
            }
            let until_due = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // The sender is a part of self: it is not gone.
                _changed = counts.changed() => {}
                () = until_due => {
                    self.counts.send_modify(|counts| counts.due = None);
                    // Others may have used the budget meanwhile; then there is another due time.
                    let _asked = self.ask();
                }
            }
        }
    }

    /// A fetch begins: what was asked for until now is served by it.
    pub(super) fn begin(&self) {
        self.counts.send_modify(|counts| {
            counts.started = counts.started.saturating_add(1);
            counts.is_asked_for = false;
            counts.due = None;
        });
    }

    /// It ended, one way or the other.
    pub(super) fn end(&self) {
        self.counts
            .send_modify(|counts| counts.finished = counts.started);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;
    use std::time::Duration;

    const HOUR: Duration = Duration::from_secs(3600);

    fn attempts(period: Duration) -> Attempts {
        let two = NonZeroU32::new(2).unwrap();
        Attempts::new(Quota::with_period(period).unwrap().allow_burst(two))
    }

    fn now() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_request_waits_for_a_fetch_that_begins_after_it_came() {
        let attempts = attempts(HOUR);
        assert_eq!(attempts.coming(), Some(Attempt(1)), "the first comes");
        attempts.begin();
        assert_eq!(attempts.coming(), Some(Attempt(1)), "it is under way");
        assert_eq!(attempts.ask(), Some(Attempt(2)));
        assert_eq!(attempts.ask(), Some(Attempt(2)), "shared, and free");
        attempts.end();
        assert_eq!(attempts.coming(), None);
        assert_eq!(attempts.ask(), Some(Attempt(2)), "still to come");
        attempts.begin();
        attempts.end();
        assert_eq!(attempts.ask(), Some(Attempt(3)), "the second of the burst");
        attempts.begin();
        attempts.end();
        assert_eq!(attempts.ask(), None, "the budget is used up");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_hears_of_that_fetch_and_of_no_earlier_one() {
        let attempts = attempts(HOUR);
        attempts.begin();
        let next = attempts.ask().unwrap();
        attempts.end();
        let soon = now() + Duration::from_secs(3);
        assert!(attempts.ends(Attempt(1), soon).await);
        assert!(!attempts.ends(next, soon).await, "it has not even begun");
        attempts.begin();
        attempts.end();
        assert!(attempts.ends(next, now()).await);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_asked_for_during_a_fetch_is_not_forgotten() {
        let attempts = attempts(HOUR);
        attempts.begin();
        attempts.ask().unwrap();
        attempts.end();
        attempts.asked_for().await;
        attempts.begin();
        let asked = tokio::time::timeout(HOUR, attempts.asked_for()).await;
        assert!(asked.is_err(), "one fetch serves all who asked before it");
    }

    /// In real time: the budget's clock cannot be paused.
    #[tokio::test]
    async fn what_the_budget_did_not_allow_is_done_when_it_does() {
        let attempts = attempts(Duration::from_millis(50));
        while attempts.ask().is_some() {
            attempts.asked_for().await;
            attempts.begin();
            attempts.end();
        }
        let asked = tokio::time::timeout(Duration::from_secs(30), attempts.asked_for()).await;
        assert!(asked.is_ok());
    }
}
