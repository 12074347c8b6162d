//! Bounds the log while requests are refused by the thousand, or left by clients that have proven nothing: after so many equal lines a second, the rest are counted.

use crate::judge::Reason;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;
use tokio::time::Instant;

/// Lines that were counted instead of written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Suppressed {
    /// Whose; `None` for many addresses together.
    pub(super) client_ip: Option<IpAddr>,
    /// Of which reason; `None` where clients left that had proven nothing.
    pub(super) reason: Option<Reason>,
    /// How many.
    pub(super) count: u64,
}

/// Counts the lines of refused requests of the current second, and of those that strangers did not wait for.
///
/// Two budgets: one for equal lines (same address, same reason or none), and one for all, because an attacker with many addresses
/// would otherwise have many budgets. Memory is bounded too: pairs beyond [`MAX_PAIRS`] share one budget.
pub(super) struct Flood {
    second_began: Instant,
    pairs: HashMap<(IpAddr, Option<Reason>), Lines>,
    other_pairs: Lines,
    /// Suppressed for the overall budget or among [`Self::other_pairs`]: told by reason only, or the lines that tell of a
    /// flood would be one.
    unattributed: HashMap<Option<Reason>, u64>,
    written: u64,
}

#[derive(Clone, Copy, Default)]
struct Lines {
    written: u64,
    suppressed: u64,
}

impl Flood {
    /// Starts with an empty second.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            second_began: now,
            pairs: HashMap::new(),
            other_pairs: Lines::default(),
            unattributed: HashMap::new(),
            written: 0,
        }
    }

    /// Whether this line is to be written; and, if a second ended, what was suppressed in it.
    pub(super) fn take(
        &mut self,
        client_ip: IpAddr,
        reason: Option<Reason>,
        now: Instant,
    ) -> (bool, Vec<Suppressed>) {
        let closed = self.tick(now);
        let pair = (client_ip, reason);
        let has_room = self.pairs.len() < MAX_PAIRS;
        // In a flood the pair is nearly always there: one lookup.
        let tracked = match self.pairs.get_mut(&pair) {
            None if has_room => Some(self.pairs.entry(pair).or_default()),
            found => found,
        };
        let is_tracked = tracked.is_some();
        let lines = tracked.unwrap_or(&mut self.other_pairs);
        let is_written = lines.written < LINES_PER_PAIR && self.written < LINES_IN_ALL;
        if is_written {
            lines.written = lines.written.saturating_add(1);
            self.written = self.written.saturating_add(1);
        } else if is_tracked && lines.written >= LINES_PER_PAIR {
            lines.suppressed = lines.suppressed.saturating_add(1);
        } else {
            let count = self.unattributed.entry(reason).or_default();
            *count = count.saturating_add(1);
        }
        (is_written, closed)
    }

    /// Ends the second if it is over.
    pub(super) fn tick(&mut self, now: Instant) -> Vec<Suppressed> {
        if now.saturating_duration_since(self.second_began) < SECOND {
            return Vec::new();
        }
        self.flush(now)
    }

    /// Ends the second, over or not.
    pub(super) fn flush(&mut self, now: Instant) -> Vec<Suppressed> {
        self.second_began = now;
        self.written = 0;
        self.other_pairs = Lines::default();
        let attributed = self
            .pairs
            .drain()
            .filter(|(_, lines)| lines.suppressed > 0)
            .map(|((ip, reason), lines)| Suppressed {
                client_ip: Some(ip),
                reason,
                count: lines.suppressed,
            });
        let unattributed = self.unattributed.drain().map(|(reason, count)| Suppressed {
            client_ip: None,
            reason,
            count,
        });
        attributed.chain(unattributed).collect()
    }
}

const SECOND: Duration = Duration::from_secs(1);
/// Equal lines written per second.
const LINES_PER_PAIR: u64 = 250;
/// Lines written per second, of all addresses.
const LINES_IN_ALL: u64 = 5_000;
/// Pairs of address and reason told apart.
const MAX_PAIRS: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn ip(n: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + n))
    }

    #[test]
    fn the_lines_after_the_budget_are_counted_and_told_when_the_second_ends() {
        let start = Instant::now();
        let mut flood = Flood::new(start);
        let written = (0..1000)
            .filter(|_| flood.take(ip(1), Some(Reason::TokenMissing), start).0)
            .count();
        assert_eq!(written, 250);
        assert!(
            flood.take(ip(1), Some(Reason::TokenExpired), start).0,
            "another reason has its own budget"
        );
        assert!(
            flood.take(ip(1), None, start).0,
            "so have requests that it did not wait for"
        );
        assert!(
            flood.take(ip(2), Some(Reason::TokenMissing), start).0,
            "another address has its own budget"
        );
        assert_eq!(flood.tick(start + Duration::from_millis(999)), []);
        let told = Suppressed {
            client_ip: Some(ip(1)),
            reason: Some(Reason::TokenMissing),
            count: 750,
        };
        assert_eq!(flood.tick(start + SECOND), [told]);
        assert_eq!(flood.tick(start + SECOND * 2), [], "told once");
    }

    #[test]
    fn the_next_request_ends_the_second_too() {
        let start = Instant::now();
        let mut flood = Flood::new(start);
        for _ in 0..251 {
            flood.take(ip(1), Some(Reason::TokenMissing), start);
        }
        let (is_written, closed) = flood.take(ip(1), Some(Reason::TokenMissing), start + SECOND);
        assert!(is_written);
        assert_eq!(
            closed,
            [Suppressed {
                client_ip: Some(ip(1)),
                reason: Some(Reason::TokenMissing),
                count: 1
            }]
        );
    }

    #[test]
    fn many_addresses_share_an_overall_budget_and_are_told_together() {
        let start = Instant::now();
        let mut flood = Flood::new(start);
        let written = (0..8000)
            .filter(|n| flood.take(ip(*n), Some(Reason::TokenMissing), start).0)
            .count();
        assert_eq!(written, 5000);
        let told = Suppressed {
            client_ip: None,
            reason: Some(Reason::TokenMissing),
            count: 3000,
        };
        assert_eq!(flood.tick(start + SECOND), [told]);
    }

    #[test]
    fn no_request_is_lost_from_the_count_and_memory_is_bounded() {
        let start = Instant::now();
        let mut flood = Flood::new(start);
        let mut written = 0;
        for n in 0..30_000 {
            written += u64::from(flood.take(ip(n), Some(Reason::TokenMissing), start).0);
            written += u64::from(flood.take(ip(n % 7), Some(Reason::TokenExpired), start).0);
        }
        assert!(flood.pairs.len() <= MAX_PAIRS);
        let told: u64 = flood.flush(start).iter().map(|one| one.count).sum();
        assert_eq!(written + told, 60_000);
    }
}
