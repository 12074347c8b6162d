//! Which addresses keep failing authentication, and how long what they send has to wait.
//!
//! Nobody is refused here. Behind an address that fails may also stand an honest channel, whose new token looks like any forged
//! one until it is verified: whoever refuses some of them refuses the honest one sooner or later. So a token waits, once, and
//! where there is no room to wait it is verified at once. What bounds the cost then is `requests_per_ip`, and that addresses
//! which did not fail wait for nothing.
//!
//! governor does not fit: it says that a budget is used up, and not by how much.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Failures that cost nothing: a bot that is set up, a key that was rolled over.
const BURST: u32 = 200;
/// How long one failure is held against an address. Ten signatures a second cost nothing; it is floods that have to wait.
const MEMORY: Duration = Duration::from_millis(100);
/// The first wait, by how much each further failure lengthens it, and the longest: within any channel's patience.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const STEP: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// More failures than this are not held against anybody: the wait is at its longest, and has to end some time.
const MOST_HELD: u32 = 245;

/// Requests of one address that wait at once.
const MOST_WAITING: usize = 512;
/// The same for all addresses: each holds a request head, and over HTTP/2 up to a window of its body,
/// 64 KiB: some tens of MiB.
const MOST_WAITING_IN_ALL: usize = 1024;

/// Failures of recent times, by the hash of the address. Bounded: where there is no room for another address, its failures
/// are not counted, and nobody waits for what others did.
#[derive(Debug)]
pub(super) struct Failures {
    shards: Box<[Shard]>,
    waiting: AtomicUsize,
    jitter: Jitter,
}

#[derive(Debug, Default)]
struct Shard {
    standings: Mutex<HashMap<u128, Standing>>,
    /// How many there are: so that nobody takes a lock while nobody has failed.
    count: AtomicUsize,
}

/// What is held against one address. Time is counted from any fixed moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Standing {
    /// When the last failure is forgotten.
    whole_at: Duration,
    /// Requests that wait.
    waiting: usize,
}

impl Standing {
    fn fail(&mut self, now: Duration) {
        let held = self.whole_at.saturating_sub(now).saturating_add(MEMORY);
        let held = held.min(MEMORY.saturating_mul(MOST_HELD));
        self.whole_at = now.saturating_add(held);
    }

    /// How long a token has to wait, where the budget is used up: one more failure would be one too many.
    fn wait(&self, now: Duration) -> Option<Duration> {
        let held = self.whole_at.saturating_sub(now);
        let over = held.checked_sub(MEMORY.saturating_mul(BURST.saturating_sub(1)))?;
        let failures = over.as_nanos().div_ceil(MEMORY.as_nanos());
        let steps = u32::try_from(failures).unwrap_or(u32::MAX).checked_sub(1)?;
        let wait = FIRST_WAIT.saturating_add(STEP.saturating_mul(steps));
        Some(wait.min(LONGEST_WAIT))
    }

    fn is_whole(&self, now: Duration) -> bool {
        self.waiting == 0 && self.whole_at <= now
    }
}

/// What an address that failed before has to do before one of its tokens is verified.
#[derive(Debug)]
pub enum Wait {
    /// Nothing: its budget is not used up.
    None,
    /// Wait.
    In(WaitingPlace),
    /// It would have to wait, and there is no place left: its token is verified at once.
    NoPlace,
}

/// One of the places in which requests wait. Dropping it makes room.
#[derive(Debug)]
pub struct WaitingPlace {
    failures: Arc<Failures>,
    hash: u128,
    wait: Duration,
}

impl WaitingPlace {
    /// How long to wait.
    pub const fn wait(&self) -> Duration {
        self.wait
    }
}

impl Drop for WaitingPlace {
    fn drop(&mut self) {
        self.failures.waiting.fetch_sub(1, Ordering::Relaxed);
        let Some(mut standings) = self.failures.standings(self.hash) else {
            return;
        };
        if let Some(standing) = standings.get_mut(&self.hash) {
            standing.waiting = standing.waiting.saturating_sub(1);
        }
    }
}

impl Failures {
    /// Nobody has failed yet.
    pub(super) fn new() -> Self {
        Self {
            shards: std::iter::repeat_with(Shard::default)
                .take(SHARDS)
                .collect(),
            waiting: AtomicUsize::new(0),
            jitter: Jitter::default(),
        }
    }

    /// Whether anything is held against an address.
    pub(super) fn has_failed(&self, hash: u128) -> bool {
        let has_any = self
            .shard(hash)
            .is_some_and(|shard| shard.count.load(Ordering::Relaxed) > 0);
        has_any
            && self
                .standings(hash)
                .is_some_and(|standings| standings.contains_key(&hash))
    }

    /// Counts a failure.
    pub(super) fn count(&self, hash: u128, now: Duration) {
        let (Some(shard), Some(mut standings)) = (self.shard(hash), self.standings(hash)) else {
            return;
        };
        if !standings.contains_key(&hash) && standings.len() >= ADDRESSES_PER_SHARD {
            // Full of addresses that have all failed within the minute.
            return;
        }
        standings.entry(hash).or_default().fail(now);
        shard.count.store(standings.len(), Ordering::Relaxed);
    }

    /// Forgets every failure: somebody at this address has proven who it is.
    pub(super) fn forget(&self, hash: u128) {
        let (Some(shard), Some(mut standings)) = (self.shard(hash), self.standings(hash)) else {
            return;
        };
        match standings.get_mut(&hash) {
            Some(standing) if standing.waiting > 0 => standing.whole_at = Duration::ZERO,
            Some(_) => {
                standings.remove(&hash);
            }
            None => {}
        }
        shard.count.store(standings.len(), Ordering::Relaxed);
    }

    /// Whether, and how long, a token of this address has to wait.
    pub(super) fn wait(self: &Arc<Self>, hash: u128, now: Duration) -> Wait {
        let Some(mut standings) = self.standings(hash) else {
            return Wait::None;
        };
        let Some(standing) = standings.get_mut(&hash) else {
            return Wait::None;
        };
        let Some(wait) = standing.wait(now) else {
            return Wait::None;
        };
        let has_room = standing.waiting < MOST_WAITING
            && self
                .waiting
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| {
                    (waiting < MOST_WAITING_IN_ALL).then(|| waiting.saturating_add(1))
                })
                .is_ok();
        if !has_room {
            return Wait::NoPlace;
        }
        standing.waiting = standing.waiting.saturating_add(1);
        Wait::In(WaitingPlace {
            failures: Arc::clone(self),
            hash,
            wait: self.jitter.of(wait),
        })
    }

    /// Forgets addresses against which nothing is held any more, and gives memory back.
    pub(super) fn sweep(&self, now: Duration) {
        for shard in &self.shards {
            if shard.count.load(Ordering::Relaxed) == 0 {
                continue;
            }
            let mut standings = lock(shard);
            standings.retain(|_, standing| !standing.is_whole(now));
            let enough = standings.len().saturating_mul(2);
            standings.shrink_to(enough);
            shard.count.store(standings.len(), Ordering::Relaxed);
        }
    }

    /// The shard of an address. `None` cannot happen: there is at least one.
    fn shard(&self, hash: u128) -> Option<&Shard> {
        let shards = u128::try_from(self.shards.len()).ok()?;
        let index = usize::try_from(hash.checked_rem(shards)?).ok()?;
        self.shards.get(index)
    }

    fn standings(&self, hash: u128) -> Option<MutexGuard<'_, HashMap<u128, Standing>>> {
        self.shard(hash).map(lock)
    }
}

/// Poison only says that another thread panicked; a standing has no broken state.
fn lock(shard: &Shard) -> MutexGuard<'_, HashMap<u128, Standing>> {
    shard
        .standings
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}

/// Shortens waits by up to a quarter, each by another part: what came together must not go on together.
#[derive(Debug, Default)]
struct Jitter {
    random: RandomState,
    drawn: AtomicU64,
}

impl Jitter {
    fn of(&self, wait: Duration) -> Duration {
        let drawn = self.drawn.fetch_add(1, Ordering::Relaxed);
        let part = self.random.hash_one(drawn).checked_rem(1024);
        let quarter = wait.as_micros().checked_div(4).unwrap_or_default();
        let quarter = u64::try_from(quarter).unwrap_or_default();
        let less = quarter
            .saturating_mul(part.unwrap_or_default())
            .checked_div(1024);
        wait.saturating_sub(Duration::from_micros(less.unwrap_or_default()))
    }
}

/// Few enough to be swept every second, and so many that addresses which did not fail seldom meet one that did.
const SHARDS: usize = 256;
/// Some 100,000 addresses in all, of about 60 bytes: who keeps them all full has to fail 200,000 times a second.
const ADDRESSES_PER_SHARD: usize = 400;

#[cfg(test)]
mod tests;
