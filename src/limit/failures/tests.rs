//! Tests of the failure budget. Time is an argument.

use super::*;

const START: Duration = Duration::from_secs(1_000);
/// An address, and another in the same shard.
const ADDRESS: u128 = 7;
const NEIGHBOUR: u128 = 7 + SHARDS as u128;

fn failures() -> Arc<Failures> {
    Arc::new(Failures::new())
}

fn fail(failures: &Failures, times: u32, now: Duration) {
    for _ in 0..times {
        failures.count(ADDRESS, now);
    }
}

/// How long a token would have to wait, before jitter.
fn wait(failures: &Failures, now: Duration) -> Option<Duration> {
    failures.standings(ADDRESS)?.get(&ADDRESS)?.wait(now)
}

fn must_wait(failures: &Arc<Failures>, hash: u128, now: Duration) -> bool {
    match failures.wait(hash, now) {
        Wait::None => false,
        Wait::In(_) | Wait::NoPlace => true,
    }
}

#[test]
fn the_first_failures_cost_nothing() {
    let failures = failures();
    assert!(!failures.has_failed(ADDRESS));
    fail(&failures, BURST - 1, START);
    assert!(failures.has_failed(ADDRESS));
    assert!(!must_wait(&failures, ADDRESS, START));
    fail(&failures, 1, START);
    assert!(must_wait(&failures, ADDRESS, START));
}

#[test]
fn nobody_waits_for_what_another_address_did() {
    let failures = failures();
    fail(&failures, 500, START);
    assert!(!failures.has_failed(NEIGHBOUR));
    assert!(!must_wait(&failures, NEIGHBOUR, START));
}

#[test]
fn the_wait_grows_from_a_tenth_of_a_second_to_a_second() {
    let failures = failures();
    fail(&failures, BURST, START);
    let mut waits = vec![];
    for _ in 0..60 {
        waits.push(wait(&failures, START).unwrap().as_millis());
        fail(&failures, 1, START);
    }
    assert_eq!(waits[..3], [100, 120, 140]);
    assert!(waits.is_sorted());
    assert_eq!(waits.last(), Some(&1000));
    assert_eq!(waits.iter().filter(|wait| **wait < 1000).count(), 45);
}

#[test]
fn ten_failures_a_second_are_forgotten() {
    let failures = failures();
    fail(&failures, BURST, START);
    assert!(wait(&failures, START + MEMORY - Duration::from_nanos(1)).is_some());
    assert_eq!(wait(&failures, START + MEMORY), None);
    // Whoever fails no faster than that never waits again.
    for number in 1..200 {
        let now = START + MEMORY * number;
        assert_eq!(wait(&failures, now), None);
        fail(&failures, 1, now);
    }
}

#[test]
fn however_long_it_failed_an_address_is_forgiven_within_a_minute() {
    let failures = failures();
    fail(&failures, 1_000_000, START);
    assert_eq!(wait(&failures, START), Some(LONGEST_WAIT));
    let over = START + MEMORY * (MOST_HELD - BURST + 1);
    assert!(wait(&failures, over - MEMORY).is_some());
    assert_eq!(wait(&failures, over), None);
    failures.sweep(over);
    assert!(failures.has_failed(ADDRESS));
    failures.sweep(START + MEMORY * MOST_HELD);
    assert!(!failures.has_failed(ADDRESS));
    assert!(MEMORY * MOST_HELD < Duration::from_secs(60));
}

#[test]
fn one_success_gives_the_whole_budget_back() {
    let failures = failures();
    fail(&failures, 1_000, START);
    failures.forget(ADDRESS);
    assert!(!failures.has_failed(ADDRESS));
    fail(&failures, BURST - 1, START);
    assert!(!must_wait(&failures, ADDRESS, START));
    // Also while others of the same address still wait.
    fail(&failures, 1, START);
    let waiting = failures.wait(ADDRESS, START);
    assert!(matches!(waiting, Wait::In(_)));
    failures.forget(ADDRESS);
    assert_eq!(wait(&failures, START), None);
    drop(waiting);
    failures.sweep(START);
    assert!(!failures.has_failed(ADDRESS));
}

#[test]
fn no_more_wait_than_there_are_places() {
    let failures = failures();
    let (mut places, mut hash) = (vec![], 0);
    while places.len() < MOST_WAITING_IN_ALL {
        hash += 1;
        for _ in 0..BURST {
            failures.count(hash, START);
        }
        for _ in 0..MOST_WAITING {
            match failures.wait(hash, START) {
                Wait::In(place) => places.push(place),
                other => panic!("{} wait, then {other:?}", places.len()),
            }
        }
        assert!(matches!(failures.wait(hash, START), Wait::NoPlace));
    }
    fail(&failures, BURST, START);
    assert!(matches!(failures.wait(ADDRESS, START), Wait::NoPlace));
    // The first to go makes room for anyone whose address has room.
    places.pop();
    let place = failures.wait(ADDRESS, START);
    assert!(matches!(place, Wait::In(_)));
    assert!(matches!(failures.wait(hash, START), Wait::NoPlace));
    drop((place, places));
    assert_eq!(failures.waiting.load(Ordering::Relaxed), 0);
    failures.sweep(START + MEMORY * MOST_HELD);
    let left = failures.shards.iter().map(|shard| lock(shard).len());
    assert_eq!(left.sum::<usize>(), 0);
}

#[test]
fn waits_that_begin_together_do_not_end_together() {
    let failures = failures();
    fail(&failures, 1_000, START);
    let mut waits: Vec<Duration> = (0..100)
        .map(|_| match failures.wait(ADDRESS, START) {
            Wait::In(place) => place.wait(),
            other => panic!("{other:?}"),
        })
        .collect();
    waits.sort();
    assert!(waits[0] >= LONGEST_WAIT * 3 / 4 && waits[99] <= LONGEST_WAIT);
    waits.dedup();
    assert!(waits.len() > 80, "{waits:?}");
}

#[test]
fn addresses_beyond_the_bound_are_not_remembered() {
    let failures = failures();
    let of_one_shard = |number: usize| (number * SHARDS) as u128;
    for number in 0..ADDRESSES_PER_SHARD + 5 {
        failures.count(of_one_shard(number), START);
    }
    assert!(failures.has_failed(of_one_shard(ADDRESSES_PER_SHARD - 1)));
    assert!(!failures.has_failed(of_one_shard(ADDRESSES_PER_SHARD)));
    failures.sweep(START + MEMORY);
    failures.count(of_one_shard(ADDRESSES_PER_SHARD), START + MEMORY);
    assert!(failures.has_failed(of_one_shard(ADDRESSES_PER_SHARD)));
}
