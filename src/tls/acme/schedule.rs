//! When to renew, and how long to wait after a failure. Pure.

use super::Failure;
use crate::judge::UnixSeconds;
use std::time::Duration;

/// When a certificate is renewed: when two thirds of its life are over, or up to a 24th of it earlier, so that many gateways do
/// not order at once. `jitter` is in 0..1.
pub(super) fn renew_at(starts: UnixSeconds, expires: UnixSeconds, jitter: f64) -> UnixSeconds {
    let life = Duration::from_secs(expires.0.saturating_sub(starts.0));
    let earlier = life.mul_f64(jitter.clamp(0.0, 1.0) / 24.0);
    let after = life.mul_f64(2.0 / 3.0).saturating_sub(earlier);
    UnixSeconds(starts.0.saturating_add(after.as_secs()))
}

/// The same for a certificate just issued: not before a third of what is left of it is over. An authority that issues what is old
/// already, or a clock far ahead, would otherwise make one order follow the other.
pub(super) fn renew_new_at(
    starts: UnixSeconds,
    expires: UnixSeconds,
    now: UnixSeconds,
    jitter: f64,
) -> UnixSeconds {
    let left = Duration::from_secs(expires.0.saturating_sub(now.0));
    let third = left.mul_f64(1.0 / 3.0).as_secs().max(1);
    UnixSeconds(now.0.saturating_add(third)).max(renew_at(starts, expires, jitter))
}

/// The pause after so many failures in a row, at least one, the last of which was this; give or take a tenth. `jitter` is in 0..1.
///
/// An authority that said no will say it again, and counts: Let's Encrypt lets a name fail five times an hour. One that cannot be
/// reached is asked again sooner.
pub(super) fn pause(failure: &Failure, failures: u32, jitter: f64) -> Duration {
    let (first, factor, longest) = match failure {
        Failure::Unreachable(_) => (2, 2_u64, 15 * 60),
        Failure::Refused(_) => (60, 3, 60 * 60),
    };
    let grown = factor.saturating_pow(failures.saturating_sub(1));
    let seconds = grown.saturating_mul(first).min(longest);
    Duration::from_secs(seconds).mul_f64(0.9 + 0.2 * jitter.clamp(0.0, 1.0))
}

/// A number in 0..1 that differs between gateways and between calls.
pub(super) fn jitter() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    let random = RandomState::new().hash_one(0_u8);
    f64::from(u32::try_from(random >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 3600;

    #[test]
    fn two_thirds_of_the_life_pass_before_a_renewal_or_a_little_less() {
        let (starts, expires) = (UnixSeconds(1_000), UnixSeconds(1_000 + 90 * DAY));
        assert_eq!(renew_at(starts, expires, 0.0).0, 1_000 + 60 * DAY);
        let earliest = renew_at(starts, expires, 1.0).0;
        assert_eq!(earliest, 1_000 + 60 * DAY - 90 * DAY / 24);
        assert_eq!(renew_at(expires, starts, 0.5), expires, "no life at all");
    }

    #[test]
    fn one_order_does_not_follow_the_other() {
        let (starts, expires) = (UnixSeconds(0), UnixSeconds(90 * DAY));
        let at = |now| renew_new_at(starts, expires, UnixSeconds(now), 0.0).0;
        assert_eq!(at(0), 60 * DAY);
        assert_eq!(at(60 * DAY), 70 * DAY, "it was old when it came");
        assert_eq!(at(90 * DAY), 90 * DAY + 1);
    }

    #[test]
    fn pauses_grow_up_to_a_bound() {
        let refused = Failure::Refused(String::new());
        let unreachable = Failure::Unreachable(String::new());
        let of = |failure| [1, 2, 3, 4, 5, 99].map(|n| pause(failure, n, 0.5).as_secs());
        assert_eq!(of(&refused), [60, 180, 540, 1620, 3600, 3600]);
        assert_eq!(of(&unreachable), [2, 4, 8, 16, 32, 900]);
        let within_an_hour = (1..).scan(0, |at, n| {
            *at += pause(&refused, n, 0.0).as_secs();
            Some(*at)
        });
        let again = within_an_hour.take_while(|at| *at < 3600).count();
        assert!(
            again < 5,
            "the first and what Let's Encrypt allows, {again}"
        );
    }

    #[test]
    fn jitter_is_a_share() {
        assert!((0..100).all(|_| (0.0..=1.0).contains(&jitter())));
    }
}
