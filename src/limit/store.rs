//! Where counters are kept: as many as fit, and never more.
//!
//! governor's own stores grow with every key an attacker invents. This one is bounded, and full is not the same as
//! forgetful: only counters that mean nothing any more are dropped, and whoever finds no room shares a counter with others.

use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::ShrinkableKeyedStateStore;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What to do to a counter. The hash stands for the key: long keys cost what short ones do.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Access {
    pub(super) hash: u128,
    pub(super) act: Act,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Act {
    /// Count one more, if there is room for it.
    Take,
    /// Ask whether there is room for one more.
    Look,
    /// Undo a take.
    GiveBack,
}

/// Counters of one budget, as the generic cell rate algorithm keeps them: per key the theoretical arrival time ("tat", the
/// moment at which the budget is whole again). A tat in the past says the same as no entry.
pub(super) struct Store {
    shards: Box<[Mutex<Shard>]>,
    keys_per_shard: usize,
    interval: Nanos,
}

#[derive(Default)]
struct Shard {
    tats: HashMap<u128, Nanos, BuildHasherDefault<HashedAlready>>,
    /// Counters shared by keys that found no room. A key that finds room later starts from its shared counter, so that
    /// waiting for room wins nothing.
    shared: [Nanos; SHARED_PER_SHARD],
    /// Nothing is looked for before this: a full shard must not be searched with every request.
    next_purge: Nanos,
}

/// Keys are keyed hashes already: no need to hash them once more.
#[derive(Default)]
struct HashedAlready(u64);

impl Hasher for HashedAlready {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, hash: u128) {
        // Not the bits that chose the shard, which are alike for all keys of one.
        self.0 = u64::try_from(hash >> 64).unwrap_or_default();
    }
}

impl Store {
    /// Holds about `keys` keys (rounded up to whole shards) of budgets that give one request per `interval`.
    pub(super) fn new(keys: usize, interval: Duration) -> Self {
        Self {
            shards: std::iter::repeat_with(Mutex::default)
                .take(SHARDS.min(keys).max(1))
                .collect(),
            keys_per_shard: keys.div_ceil(SHARDS).max(1),
            interval: interval.into(),
        }
    }

    /// The shard of a key. `None` cannot happen: there is at least one.
    fn shard(&self, hash: u128) -> Option<MutexGuard<'_, Shard>> {
        // A remainder of 64 bits is much cheaper than one of 128.
        let low = usize::try_from(hash & 0xffff_ffff).ok()?;
        let index = low.checked_rem(self.shards.len())?;
        self.shards.get(index).map(lock)
    }
}

impl StateStore for Store {
    type Key = Access;

    fn measure_and_replace<T, F, E>(&self, access: &Access, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let Some(mut shard) = self.shard(access.hash) else {
            return decide(None).map(|(answer, _)| answer);
        };
        match access.act {
            Act::Look => decide(Some(shard.tat(access.hash))).map(|(answer, _)| answer),
            Act::Take => {
                let (answer, tat) = decide(Some(shard.tat(access.hash)))?;
                // For a key never seen, the algorithm answers "now plus one interval": that is how a store learns the time.
                let (_, fresh) = decide(None)?;
                shard.put(
                    access.hash,
                    tat,
                    fresh.saturating_sub(self.interval),
                    self.keys_per_shard,
                );
                Ok(answer)
            }
            Act::GiveBack => {
                // Only where the key still has its own counter. One that was shared or dropped keeps what was taken: the
                // error is on the strict side.
                if let Some(tat) = shard.tats.get_mut(&access.hash) {
                    *tat = tat.saturating_sub(self.interval);
                }
                decide(None).map(|(answer, _)| answer)
            }
        }
    }
}

impl Shard {
    fn tat(&self, hash: u128) -> Nanos {
        let shared = || self.shared.get(shared_index(hash)).copied();
        self.tats
            .get(&hash)
            .copied()
            .or_else(shared)
            .unwrap_or_default()
    }

    fn put(&mut self, hash: u128, tat: Nanos, now: Nanos, room: usize) {
        if let Some(own) = self.tats.get_mut(&hash) {
            *own = tat;
            return;
        }
        if self.tats.len() >= room && self.next_purge <= now {
            self.purge(now);
        }
        if self.tats.len() < room {
            self.tats.insert(hash, tat);
        } else if let Some(shared) = self.shared.get_mut(shared_index(hash)) {
            *shared = tat;
        }
    }
}

impl Shard {
    /// Nothing can be found before the first of those that stay means nothing any more; and where little was found, looking again
    /// soon would find little.
    fn purge(&mut self, now: Nanos) {
        let before = self.tats.len();
        let mut first = u64::MAX;
        self.tats.retain(|_, tat| {
            let stays = *tat > now;
            if stays {
                first = first.min(tat.as_u64());
            }
            stays
        });
        let found = before.saturating_sub(self.tats.len());
        let pause = if found.saturating_mul(FEW) < before {
            LONG_PURGE_PAUSE_NANOS
        } else {
            PURGE_PAUSE_NANOS
        };
        let at = now.as_u64().saturating_add(pause);
        // A counter that is given back ends before `first`: what is far away is looked at again after all.
        self.next_purge =
            Nanos::new(at.max(first.min(now.as_u64().saturating_add(LONGEST_PURGE_PAUSE_NANOS))));
    }
}

impl ShrinkableKeyedStateStore<Access> for Store {
    fn retain_recent(&self, drop_below: Nanos) {
        for shard in &self.shards {
            let mut shard = lock(shard);
            shard.tats.retain(|_, tat| *tat > drop_below);
        }
    }

    fn shrink_to_fit(&self) {
        for shard in &self.shards {
            let mut shard = lock(shard);
            // Room for twice as many stays, or every sweep of a busy gateway would make the next requests pay for growing.
            let enough = shard.tats.len().saturating_mul(2);
            shard.tats.shrink_to(enough);
        }
    }

    fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).tats.len()).sum()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Poison only says that another thread panicked; a counter has no broken state.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From other bits than the shard is chosen by.
fn shared_index(hash: u128) -> usize {
    let high = (hash >> 64).checked_rem(SHARED_PER_SHARD as u128);
    high.and_then(|index| usize::try_from(index).ok())
        .unwrap_or_default()
}

/// Requests of different callers seldom wait for each other.
const SHARDS: usize = 64;
const SHARED_PER_SHARD: usize = 8;
/// Searching a full shard takes some tens of microseconds, and there are 64 of them.
const PURGE_PAUSE_NANOS: u64 = 5_000_000;
/// After a search that found little.
const LONG_PURGE_PAUSE_NANOS: u64 = 100_000_000;
/// The sweep of every second looks at everything anyway.
const LONGEST_PURGE_PAUSE_NANOS: u64 = 1_000_000_000;
/// Less than one in so many is little.
const FEW: usize = 16;

#[cfg(test)]
mod tests;
