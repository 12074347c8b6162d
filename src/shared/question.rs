//! What is asked of the store for one request.

use crate::config::Quota;
use redis::{Script, ScriptInvocation};
use std::time::Duration;

/// So much of a budget that takes longer to come back than anybody lives would not fit the store's numbers.
const LONGEST: Duration = Duration::from_secs(50 * 365 * 24 * 3600);

/// What is asked for one request: its mark, if it has one, and its budgets, narrowest first.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// Where repeats are recognised.
    pub mark: Option<Mark<'a>>,
    /// Names and quotas.
    pub budgets: &'a [(String, Quota)],
    /// How many of these, from the first, end a request that they have no room for. The ones behind them only tell: the request goes
    /// on, and its mark counts.
    pub ending: usize,
}

/// The mark of an activity.
#[derive(Clone, Copy, Debug)]
pub struct Mark<'a> {
    /// Of its key.
    pub name: &'a str,
    /// Who is at work on it, if it is nobody else: unique.
    pub owner: &'a str,
    /// Request id of the first one.
    pub first: &'a str,
    /// For how long the work is believed to go on without another word.
    pub lease: Duration,
}

impl Question<'_> {
    pub(super) fn on<'s>(&self, script: &'s Script) -> ScriptInvocation<'s> {
        let mut call = script.prepare_invoke();
        match &self.mark {
            Some(mark) => {
                call.key(mark.name);
                call.arg(mark.owner).arg(mark.first);
                call.arg(millis(mark.lease));
            }
            None => {
                call.arg("").arg("").arg(0);
            }
        }
        call.arg(self.ending);
        for (name, quota) in self.budgets {
            let (interval, burst) = measure(*quota);
            call.key(name.as_str()).arg(interval).arg(burst);
        }
        call
    }
}

/// The interval in microseconds, as a decimal fraction, and the burst.
fn measure(quota: Quota) -> (String, u32) {
    let nanos = quota.interval.min(LONGEST).as_nanos().max(1);
    let most = LONGEST.as_nanos().checked_div(nanos).unwrap_or(1).max(1);
    let most = u32::try_from(most).unwrap_or(u32::MAX);
    let micros = nanos.checked_div(1000).unwrap_or_default();
    let rest = nanos.checked_rem(1000).unwrap_or_default();
    (format!("{micros}.{rest:03}"), quota.burst.get().min(most))
}

/// At least one: the store refuses a time to live of zero.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis())
        .unwrap_or(u64::MAX)
        .clamp(1, 1 << 48)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    fn measured(interval: Duration, burst: u32) -> (String, u32) {
        let burst = NonZeroU32::new(burst).unwrap();
        measure(Quota { interval, burst })
    }

    #[test]
    fn quotas_keep_their_nanoseconds_and_fit_the_numbers_of_the_store() {
        let third = Duration::from_secs(1) / 3;
        assert_eq!(measured(third, 3), ("333333.333".to_owned(), 3));
        assert_eq!(
            measured(Duration::from_nanos(50), 9),
            ("0.050".to_owned(), 9)
        );
        let year = Duration::from_secs(365 * 24 * 3600);
        assert_eq!(measured(year, 10_000_000).1, 50);
        let (interval, burst) = measured(year * 80, 7);
        assert_eq!((interval.as_str(), burst), ("1576800000000000.000", 1));
    }
}
