//! One kind of budget: governor with a bounded store, generic over its clock.

use super::store::{Access, Act, Store};
use crate::config;
use crate::judge::{Reason, Rejection};
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::{Quota, RateLimiter};
use std::num::NonZeroU32;
use std::time::Duration;

/// A rate with a burst for every key of one kind.
pub(super) struct Budget<C: Clock> {
    limiter: RateLimiter<Access, Store, C, NoOpMiddleware<C::Instant>>,
    reason: Reason,
    note: String,
}

impl<C: Clock> Budget<C> {
    /// `name` is the key in `gateway.toml`; `keys` is how many counters are kept.
    pub(super) fn new(
        name: &str,
        quota: config::Quota,
        reason: Reason,
        keys: usize,
        clock: C,
    ) -> Self {
        let interval = quota.interval.clamp(Duration::from_nanos(1), LONGEST);
        let limiter = RateLimiter::new(
            governor_quota(interval, quota.burst),
            Store::new(keys, interval),
            clock,
        );
        let note = format!("{name}: one per {interval:?}, burst {}", quota.burst);
        Self {
            limiter,
            reason,
            note,
        }
    }

    /// Counts one request.
    ///
    /// # Errors
    /// How long until there is room for it, if there is none. Nothing is counted then.
    pub(super) fn take(&self, hash: u128) -> Result<(), Duration> {
        self.ask(hash, Act::Take)
    }

    /// Says what [`take`](Self::take) would say.
    pub(super) fn look(&self, hash: u128) -> Result<(), Duration> {
        self.ask(hash, Act::Look)
    }

    /// Undoes a [`take`](Self::take) that succeeded.
    pub(super) fn give_back(&self, hash: u128) {
        // Never refuses: it asks as a key never seen.
        let _ = self.ask(hash, Act::GiveBack);
    }

    fn ask(&self, hash: u128, act: Act) -> Result<(), Duration> {
        let refused = self.limiter.check_key(&Access { hash, act });
        refused.map_err(|not_until| not_until.wait_time_from(self.limiter.clock().now()))
    }

    /// The refusal.
    pub(super) fn refusal(&self, wait: Duration) -> Rejection {
        Rejection::from(self.reason)
            .noting(self.note.as_str())
            .retry_after(wait)
    }

    /// Forgets counters that mean nothing any more, and gives memory back.
    pub(super) fn sweep(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }
}

/// governor counts in nanoseconds of 64 bits and multiplies unchecked: a burst that takes decades to come back is cut to
/// one that takes [`LONGEST`], which nobody lives to see.
fn governor_quota(interval: Duration, burst: NonZeroU32) -> Quota {
    let most = LONGEST
        .as_nanos()
        .checked_div(interval.as_nanos())
        .unwrap_or(1);
    let most = u32::try_from(most)
        .ok()
        .and_then(NonZeroU32::new)
        .unwrap_or(NonZeroU32::MAX);
    // `with_period` is None only for a period of zero, which `interval` is not.
    let quota = Quota::with_period(interval).unwrap_or_else(|| Quota::per_second(NonZeroU32::MIN));
    quota.allow_burst(burst.min(most))
}

const LONGEST: Duration = Duration::from_secs(50 * 365 * 24 * 3600);
