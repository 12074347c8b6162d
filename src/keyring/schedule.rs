//! When to refresh, when an unknown key may trigger a fetch, how stale is too stale. Pure.

use crate::config::Keys;
use crate::judge::UnixSeconds;
use governor::Quota;
use std::num::NonZeroU32;
use std::time::Duration;

/// Early refreshes that may follow each other at once.
const EARLY_BURST: NonZeroU32 = NonZeroU32::MIN.saturating_add(1);
/// The longest pause between attempts while refreshes fail.
const MAX_BACKOFF: Duration = Duration::from_secs(60);

/// The longest time between two refreshes, and how old keys are when something must be wrong (AUTHENTICATION 2.4 rules 2 and 4).
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What the age of keys means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// As it should be.
    Fresh,
    /// No fetch succeeded for a day.
    Stale,
    /// They serve no longer.
    Expired,
}

/// The timing of one issuer's refreshes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    refresh: Duration,
    pub(super) early: Duration,
    pub(super) max_stale: Duration,
}

impl Schedule {
    pub(super) const fn new(keys: &Keys) -> Self {
        Self {
            refresh: keys.refresh,
            early: keys.unknown_key_refresh,
            max_stale: keys.max_stale,
        }
    }

    /// At most one early refresh per `keys.unknown_key_refresh`, two at once.
    pub(super) fn early_refresh_quota(&self) -> Quota {
        Quota::with_period(self.early)
            .unwrap_or_else(|| Quota::per_minute(NonZeroU32::MIN))
            .allow_burst(EARLY_BURST)
    }

    /// Whether keys of that age still serve: a revoked key must not live for ever.
    pub(super) fn is_usable(&self, fetched_at: UnixSeconds, now: UnixSeconds) -> bool {
        now.0.saturating_sub(fetched_at.0) < self.max_stale.as_secs()
    }

    /// What their age means. They may expire before they are a day old; then they were never stale.
    pub(super) fn standing(&self, fetched_at: UnixSeconds, now: UnixSeconds) -> Standing {
        if !self.is_usable(fetched_at, now) {
            Standing::Expired
        } else if now.0.saturating_sub(fetched_at.0) >= DAY.as_secs() {
            Standing::Stale
        } else {
            Standing::Fresh
        }
    }

    /// The pause before the next attempt: the refresh period give or take a tenth, or 1, 2, 4 ... 60 s while attempts fail.
    /// `jitter` is in 0..1.
    pub(super) fn next(&self, failures: u32, jitter: f64) -> Duration {
        let base = match failures.checked_sub(1) {
            None => self.refresh,
            Some(doublings) => Duration::from_secs(1_u64 << doublings.min(6))
                .min(MAX_BACKOFF)
                .min(self.refresh),
        };
        base.mul_f64(0.9 + 0.2 * jitter.clamp(0.0, 1.0)).min(DAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEDULE: Schedule = Schedule {
        refresh: Duration::from_secs(6 * 3600),
        early: Duration::from_secs(60),
        max_stale: Duration::from_secs(72 * 3600),
    };

    #[test]
    fn refreshes_spread_by_a_tenth_and_failures_back_off_to_a_minute() {
        assert_eq!(SCHEDULE.next(0, 0.5), Duration::from_secs(6 * 3600));
        assert_eq!(SCHEDULE.next(0, 0.0), Duration::from_secs_f64(5.4 * 3600.0));
        assert_eq!(SCHEDULE.next(1, 0.5), Duration::from_secs(1));
        assert_eq!(SCHEDULE.next(4, 0.5), Duration::from_secs(8));
        assert_eq!(SCHEDULE.next(u32::MAX, 0.5), Duration::from_secs(60));
    }

    #[test]
    fn no_refresh_is_more_than_a_day_away() {
        let daily = Schedule {
            refresh: DAY,
            ..SCHEDULE
        };
        assert_eq!(daily.next(0, 1.0), DAY);
        assert_eq!(daily.next(0, 0.0), Duration::from_secs_f64(21.6 * 3600.0));
    }

    #[test]
    fn keys_are_fresh_then_stale_then_expired() {
        const HOUR: u64 = 3600;
        let fetched = UnixSeconds(1_000_000);
        for (age, standing) in [
            (0, Standing::Fresh),
            (24 * HOUR - 1, Standing::Fresh),
            (24 * HOUR, Standing::Stale),
            (72 * HOUR - 1, Standing::Stale),
            (72 * HOUR, Standing::Expired),
        ] {
            let now = UnixSeconds(fetched.0 + age);
            assert_eq!(SCHEDULE.standing(fetched, now), standing, "{age}");
        }
        let brief = Schedule {
            max_stale: Duration::from_secs(HOUR),
            ..SCHEDULE
        };
        let now = UnixSeconds(fetched.0 + HOUR);
        assert_eq!(brief.standing(fetched, now), Standing::Expired);
    }

    #[test]
    fn keys_serve_up_to_the_hard_limit() {
        let fetched = UnixSeconds(1_000_000);
        assert!(SCHEDULE.is_usable(fetched, UnixSeconds(1_000_000 + 72 * 3600 - 1)));
        assert!(!SCHEDULE.is_usable(fetched, UnixSeconds(1_000_000 + 72 * 3600)));
        assert!(
            SCHEDULE.is_usable(fetched, UnixSeconds(0)),
            "a clock set back does not lock everyone out"
        );
    }
}
