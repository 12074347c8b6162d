//! A roster told what happened, in made-up time.

use super::*;

const MOMENT: Duration = Duration::from_millis(1);

fn after(start: Instant, milliseconds: u64) -> Instant {
    start + Duration::from_millis(milliseconds)
}

/// The position of the server for a request, as nobody cares here what else is known of its place.
fn next(roster: &mut Roster, tried: &[usize], now: Instant) -> Result<usize, Nobody> {
    roster.choose(tried, now).map(|place| place.position)
}

/// A place on a server that is no trial.
const fn at(position: usize) -> Place {
    Place {
        position,
        trial_of: None,
    }
}

/// Ejects a server by three failures at `now`.
fn eject(roster: &mut Roster, position: usize, now: Instant) {
    let changes: Vec<_> = (0..3).map(|_| roster.failed(position, now)).collect();
    assert_eq!(changes, [None, None, Some(Change::Down)]);
}

#[test]
fn the_server_with_the_fewest_requests_is_next_and_equals_take_turns() {
    let (mut roster, now) = (Roster::new(3), Instant::now());
    let next = |roster: &mut Roster| next(roster, &[], now).unwrap();
    let first: Vec<_> = (0..3).map(|_| next(&mut roster)).collect();
    assert_eq!(first, [0, 1, 2]);
    roster.left(at(1));
    assert_eq!(next(&mut roster), 1, "it has none in flight");
    for position in 0..3 {
        roster.left(at(position));
    }
    // One after the other, as a bot with little to do gets them.
    let mut order = vec![];
    for _ in 0..6 {
        let chosen = next(&mut roster);
        roster.left(at(chosen));
        order.push(chosen);
    }
    assert_eq!(order, [2, 0, 1, 2, 0, 1]);
}

#[test]
fn a_request_does_not_come_back_to_where_it_was() {
    let (mut roster, now) = (Roster::new(2), Instant::now());
    assert_eq!(next(&mut roster, &[0], now), Ok(1));
    assert_eq!(next(&mut roster, &[0, 1], now), Err(Nobody::IsLeft));
}

#[test]
fn three_failures_in_a_row_eject_for_a_time_that_doubles() {
    let (mut roster, start) = (Roster::new(2), Instant::now());
    assert_eq!(roster.failed(0, start), None);
    assert_eq!(roster.failed(0, start), None);
    assert_eq!(roster.succeeded(at(0), None), None, "the row is broken");
    eject(&mut roster, 0, start);
    for _ in 0..4 {
        assert_eq!(next(&mut roster, &[], start), Ok(1));
    }
    let mut ejected = start;
    for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
        let over = ejected + Duration::from_secs(seconds);
        assert_eq!(next(&mut roster, &[], over - MOMENT), Ok(1), "{seconds}");
        assert_eq!(next(&mut roster, &[], over), Ok(0), "one trial, {seconds}");
        assert_eq!(next(&mut roster, &[], over), Ok(1), "one only, {seconds}");
        assert_eq!(roster.failed(0, over), None, "it was down before");
        roster.left(at(0));
        ejected = over;
    }
    let over = ejected + Duration::from_secs(60);
    let trial = roster.choose(&[], over).unwrap();
    assert_eq!(roster.succeeded(trial, None), Some(Change::Up));
    roster.left(trial);
    assert_eq!(next(&mut roster, &[], over), Ok(0), "it is back at once");
    eject(&mut roster, 0, over);
    assert_eq!(
        next(&mut roster, &[], after(over, 1000)),
        Ok(0),
        "the time begins anew"
    );
}

#[test]
fn failures_that_were_on_their_way_do_not_prolong_an_ejection() {
    let (mut roster, start) = (Roster::new(2), Instant::now());
    eject(&mut roster, 0, start);
    for _ in 0..10 {
        assert_eq!(roster.failed(0, after(start, 500)), None);
    }
    let over = after(start, 1000);
    roster.choose(&[], start).unwrap();
    assert_eq!(next(&mut roster, &[], over), Ok(0));
}

#[test]
fn a_trial_that_nobody_waited_for_is_made_again() {
    let (mut roster, start) = (Roster::new(2), Instant::now());
    eject(&mut roster, 0, start);
    roster.choose(&[], start).unwrap();
    let over = after(start, 1000);
    let trial = roster.choose(&[], over).unwrap();
    assert_eq!(trial.position, 0);
    roster.left(at(0));
    assert_eq!(next(&mut roster, &[], over), Ok(1), "that was another one");
    roster.left(trial);
    assert_eq!(next(&mut roster, &[], over), Ok(0));
}

#[test]
fn only_the_trial_or_a_connection_made_since_ends_an_ejection() {
    let (mut roster, start) = (Roster::new(1), Instant::now());
    let ejected = after(start, 100);
    let before = roster.choose(&[], start).unwrap();
    eject(&mut roster, 0, ejected);
    for made in [None, Some(start), Some(ejected - MOMENT)] {
        assert_eq!(roster.succeeded(before, made), None, "it was there before");
    }
    assert_eq!(roster.succeeded(before, Some(ejected)), Some(Change::Up));
    eject(&mut roster, 0, ejected);
    // Before its time is over, too, since there is nobody else.
    let trial = roster.choose(&[], ejected).unwrap();
    assert_eq!(roster.succeeded(trial, Some(start)), Some(Change::Up));
    eject(&mut roster, 0, after(start, 200));
    assert_eq!(roster.succeeded(trial, Some(start)), None, "of another one");
    assert_eq!(roster.failed(0, after(start, 1100)), None);
    assert!(!roster.is_up(0));
}

#[test]
fn when_all_are_ejected_the_nearest_to_its_end_serves() {
    let (mut roster, start) = (Roster::new(2), Instant::now());
    eject(&mut roster, 1, start);
    eject(&mut roster, 0, after(start, 10));
    for _ in 0..3 {
        assert_eq!(next(&mut roster, &[], after(start, 20)), Ok(1));
    }
    assert_eq!(next(&mut roster, &[1], after(start, 20)), Ok(0));
    assert!(!roster.are_all_unwell());
}

#[test]
fn two_failed_checks_are_down_and_one_good_one_is_up() {
    let (mut roster, now) = (Roster::new(2), Instant::now());
    assert_eq!(roster.checked(0, false), None);
    assert_eq!(roster.checked(0, true), None);
    assert_eq!(roster.checked(0, false), None);
    assert_eq!(roster.checked(0, false), Some(Change::Down));
    assert_eq!(roster.checked(0, false), None, "once per change");
    for _ in 0..3 {
        assert_eq!(next(&mut roster, &[], now), Ok(1));
    }
    assert_eq!(next(&mut roster, &[1], now), Err(Nobody::IsLeft));
    assert!(!roster.are_all_unwell());
    roster.checked(1, false);
    assert_eq!(roster.checked(1, false), Some(Change::Down));
    assert!(roster.are_all_unwell());
    assert_eq!(next(&mut roster, &[], now), Err(Nobody::IsWell));
    assert_eq!(roster.checked(0, true), Some(Change::Up));
    assert_eq!(next(&mut roster, &[], now), Ok(0));
}

#[test]
fn an_ejected_server_that_passes_its_checks_is_still_down() {
    let (mut roster, now) = (Roster::new(1), Instant::now());
    eject(&mut roster, 0, now);
    roster.checked(0, false);
    assert_eq!(roster.checked(0, false), None, "it is down already");
    assert_eq!(roster.checked(0, true), None);
    assert_eq!(roster.succeeded(at(0), Some(now)), Some(Change::Up));
}

#[test]
fn a_bot_is_waited_for_while_it_is_not_known_to_be_long_gone() {
    let (mut roster, start) = (Roster::new(2), Instant::now());
    let patience = Duration::from_secs(2);
    roster.failed(0, start);
    assert!(
        !roster.have_all_failed_for(patience, after(start, 2000)),
        "the other one has not"
    );
    roster.failed(1, after(start, 500));
    assert!(!roster.have_all_failed_for(patience, after(start, 2499)));
    assert!(roster.have_all_failed_for(patience, after(start, 2500)));
    // An hour later it may have been back, and gone again, and nobody would know.
    let later = start + Duration::from_secs(3600);
    assert!(!roster.have_all_failed_for(patience, later));
    roster.failed(0, later);
    assert!(!roster.have_all_failed_for(Duration::ZERO, later));
    roster.failed(1, later);
    assert!(roster.have_all_failed_for(Duration::ZERO, later));
}

#[test]
fn servers_that_stay_are_known_under_other_settings() {
    let (mut roster, now) = (Roster::new(3), Instant::now());
    eject(&mut roster, 0, now);
    for _ in 0..2 {
        roster.checked(1, false);
    }
    // The last one goes, another one comes first.
    let same = [None, Some(0), Some(1)];
    let mut renewed = roster.renewed(&same, true);
    assert_eq!(
        [0, 1, 2].map(|position| renewed.is_up(position)),
        [true, false, false]
    );
    for _ in 0..3 {
        assert_eq!(next(&mut renewed, &[], now), Ok(0));
    }
    assert_eq!(renewed.checked(2, true), Some(Change::Up));
    // Where nobody asks any more, nobody could say that it is well again.
    let renewed = roster.renewed(&same, false);
    assert_eq!(
        [1, 2].map(|position| renewed.is_up(position)),
        [false, true]
    );
}
