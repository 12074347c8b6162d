//! Tests of the store.

use super::*;
use governor::clock::FakeRelativeClock;
use governor::{Quota, RateLimiter};
use proptest::prelude::*;
use std::num::NonZeroU32;

const SECOND: Duration = Duration::from_secs(1);

type Limiter =
    RateLimiter<Access, Store, FakeRelativeClock, governor::middleware::NoOpMiddleware<Nanos>>;

fn limiter(keys: usize, interval: Duration, burst: u32) -> (Limiter, FakeRelativeClock) {
    let clock = FakeRelativeClock::default();
    let quota = Quota::with_period(interval)
        .unwrap()
        .allow_burst(NonZeroU32::new(burst).unwrap());
    (
        RateLimiter::new(quota, Store::new(keys, interval), clock.clone()),
        clock,
    )
}

/// Spreads keys over shards as the real hash does.
fn hash(key: u64) -> u128 {
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    u128::from(hasher.hash_one(key)) << 64 | u128::from(hasher.hash_one((key, 1)))
}

fn ask(limiter: &Limiter, key: u64, act: Act) -> bool {
    limiter
        .check_key(&Access {
            hash: hash(key),
            act,
        })
        .is_ok()
}

fn take(limiter: &Limiter, key: u64) -> bool {
    ask(limiter, key, Act::Take)
}

#[test]
fn an_exhausted_key_stays_exhausted_while_a_million_others_are_invented() {
    let (limiter, clock) = limiter(10_000, SECOND * 60, 5);
    assert_eq!((0..9).filter(|_| take(&limiter, 0)).count(), 5);
    for key in 1..=1_000_000 {
        take(&limiter, key);
        if key % 1000 == 0 {
            clock.advance(Duration::from_millis(10));
            assert!(!take(&limiter, 0), "after {key} others");
        }
    }
    assert!(
        limiter.len() <= 10_000 + SHARDS,
        "{} keys are kept",
        limiter.len()
    );
}

#[test]
fn keys_that_found_no_room_are_limited_too() {
    let (limiter, _) = limiter(SHARDS, SECOND * 60, 5);
    let allowed = (0..100_000).filter(|key| take(&limiter, *key)).count();
    let own = SHARDS;
    let shared = SHARDS * SHARED_PER_SHARD * 5;
    assert!(allowed <= own + shared, "{allowed} were let through");
}

#[test]
fn a_key_that_waited_for_room_wins_nothing() {
    let (limiter, clock) = limiter(1, SECOND, 2);
    assert!(take(&limiter, 1));
    // Key 2 finds no room, and uses up a shared counter. (One key means one shard, so any key meets any other.)
    assert_eq!((0..9).filter(|_| take(&limiter, 2)).count(), 2);
    clock.advance(SECOND);
    assert_eq!(
        (0..9).filter(|_| take(&limiter, 2)).count(),
        1,
        "one second earns one request, not a fresh burst"
    );
    assert_eq!(limiter.len(), 1, "key 1 was whole again and made room");
}

#[test]
fn sweeping_drops_only_what_is_whole_again_and_gives_memory_back() {
    let (limiter, clock) = limiter(100_000, SECOND, 3);
    for key in 0..50_000 {
        take(&limiter, key);
    }
    for _ in 0..3 {
        take(&limiter, 0);
    }
    clock.advance(SECOND * 2);
    limiter.retain_recent();
    limiter.shrink_to_fit();
    assert_eq!(limiter.len(), 1);
    assert!(
        ask(&limiter, 0, Act::Look) && take(&limiter, 0) && take(&limiter, 0) && !take(&limiter, 0)
    );
    let store = limiter.into_state_store();
    let capacity: usize = store
        .shards
        .iter()
        .map(|shard| lock(shard).tats.capacity())
        .sum();
    assert!(capacity < 1000, "room for {capacity} is still held");
}

#[test]
fn looking_takes_nothing_and_giving_back_undoes_a_take() {
    let (limiter, _) = limiter(100, SECOND, 2);
    assert!((0..100).all(|_| ask(&limiter, 1, Act::Look)));
    assert!(limiter.is_empty());
    assert!((0..100).all(|_| take(&limiter, 1) && ask(&limiter, 1, Act::GiveBack)));
    assert!(take(&limiter, 1) && take(&limiter, 1) && !ask(&limiter, 1, Act::Look));
    assert!(ask(&limiter, 7, Act::GiveBack), "nothing was taken");
    assert_eq!(
        (0..9).filter(|_| take(&limiter, 7)).count(),
        2,
        "and nothing was won"
    );
}

#[test]
fn many_threads_share_one_exact_budget() {
    let (limiter, _) = limiter(1000, SECOND, 500);
    let allowed: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| (0..1000).filter(|_| take(&limiter, 1)).count()))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert_eq!(allowed, 500);
}

/// The algorithm itself, one counter per key, for ever.
#[derive(Default)]
struct Model(HashMap<u64, u64>);

impl Model {
    fn has_room(&self, key: u64, now: u64, burst: u64) -> bool {
        self.0
            .get(&key)
            .copied()
            .unwrap_or(0)
            .saturating_sub(SECOND_NANOS * (burst - 1))
            <= now
    }

    fn take(&mut self, key: u64, now: u64) {
        let tat = self.0.entry(key).or_default();
        *tat = (*tat).max(now) + SECOND_NANOS;
    }
}

const SECOND_NANOS: u64 = 1_000_000_000;

proptest! {
    #[test]
    fn with_room_for_all_it_is_exact_and_without_it_is_never_more_generous(
        room in prop_oneof![Just(2_usize), Just(100_000)],
        burst in 1_u32..5,
        steps in prop::collection::vec((0_u64..40, 0_u64..400, 0_u8..20), 1..400),
    ) {
        let (limiter, clock) = limiter(room, SECOND, burst);
        let (mut model, mut now) = (Model::default(), 0);
        for (key, pause, sweep) in steps {
            clock.advance(Duration::from_millis(pause));
            now += pause * 1_000_000;
            if sweep == 0 {
                limiter.retain_recent();
            }
            let expected = model.has_room(key, now, burst.into());
            let allowed = take(&limiter, key);
            prop_assert!(expected || !allowed, "key {} was given more than its budget", key);
            if room > 40 {
                prop_assert_eq!(allowed, expected);
            }
            if allowed {
                model.take(key, now);
            }
            prop_assert!(limiter.len() <= room.max(SHARDS));
        }
    }
}
