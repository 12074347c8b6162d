//! Marks come and go.

use super::*;
use bytes::Bytes;

const WINDOW: Duration = Duration::from_secs(60);
const BOUNDS: Bounds = Bounds {
    marks: 4,
    bytes: 100,
    waiting: 3,
};

fn marks() -> Arc<Marks> {
    Marks::new(WINDOW, BOUNDS)
}

fn key(number: u8) -> Digest {
    [number; 32]
}

fn first(marks: &Arc<Marks>, number: u8) -> Claim {
    match marks.turn(key(number), &format!("r-{number}")) {
        Turn::First(claim) => claim,
        other => panic!("{number} is not the first, but {other:?}"),
    }
}

fn waits(marks: &Arc<Marks>, number: u8) -> Waiting {
    match marks.turn(key(number), "later") {
        Turn::Waits(waiting) => waiting,
        other => panic!("{number} does not wait, but {other:?}"),
    }
}

fn response(status: u16, bytes: usize) -> Response<Answer> {
    let body = Answer::from(Bytes::from(vec![b'x'; bytes]));
    Response::builder().status(status).body(body).unwrap()
}

/// Has an activity answered with so many bytes.
fn answer(marks: &Arc<Marks>, number: u8, bytes: usize) {
    first(marks, number).end(Ok(&response(200, bytes)), false);
}

fn is_answered(marks: &Arc<Marks>, number: u8) -> bool {
    let shelf = marks.shelf();
    matches!(shelf.marks.get(&key(number)), Some(Mark::Answered(_)))
}

#[tokio::test(start_paused = true)]
async fn one_is_the_first_and_all_others_hear_what_it_hears() {
    let marks = marks();
    let claim = first(&marks, 1);
    let waiting = [waits(&marks, 1), waits(&marks, 1)];
    claim.end(Ok(&response(201, 2)), false);
    for waiting in waiting {
        assert_eq!(&*waiting.first, "r-1");
        let News::Answered(answer) = waiting.news().await else {
            panic!("it was answered");
        };
        assert_eq!(answer.response().status(), 201);
    }
    match marks.turn(key(1), "later") {
        Turn::Answered(answer) => assert_eq!(&*answer.first, "r-1"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn of_many_at_once_exactly_one_is_the_first() {
    let marks = Marks::new(WINDOW, Bounds::default());
    for round in 0..50 {
        let turns: Vec<Turn> = std::thread::scope(|scope| {
            let turn = || marks.turn(key(round), "r");
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(turn)).collect();
            let turns = threads.into_iter().map(|thread| thread.join().unwrap());
            turns.collect()
        });
        let count = |is_it: fn(&Turn) -> bool| turns.iter().filter(|turn| is_it(turn)).count();
        let firsts = count(|turn| matches!(turn, Turn::First(_)));
        assert_eq!(count(|turn| matches!(turn, Turn::Waits(_))), 7);
        assert_eq!(firsts, 1, "round {round}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_remembered_for_the_window_and_no_longer() {
    let marks = marks();
    // At work for longer than the window: it counts from the answer.
    let claim = first(&marks, 1);
    tokio::time::advance(WINDOW * 2).await;
    drop(waits(&marks, 1));
    claim.end(Ok(&response(200, 10)), false);
    tokio::time::advance(WINDOW - Duration::from_millis(1)).await;
    assert!(matches!(marks.turn(key(1), "r"), Turn::Answered(_)));
    tokio::time::advance(Duration::from_millis(1)).await;
    drop(first(&marks, 1));
    // And not only when someone asks.
    answer(&marks, 2, 10);
    tokio::time::advance(WINDOW).await;
    marks.sweep();
    let shelf = marks.shelf();
    assert_eq!(
        (shelf.marks.len(), shelf.answered.len(), shelf.bytes),
        (0, 0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn what_failed_is_told_to_those_who_wait_and_then_forgotten() {
    let marks = marks();
    let claim = first(&marks, 1);
    let waiting = waits(&marks, 1);
    claim.end(Err(&Rejection::from(Reason::UpstreamTimedOut)), false);
    assert!(
        matches!(waiting.news().await, News::Failed(why) if why.reason() == Reason::UpstreamTimedOut)
    );
    // A failure in the bot's own words is one, too.
    let claim = first(&marks, 1);
    let waiting = waits(&marks, 1);
    claim.end(Ok(&response(500, 0)), false);
    assert!(
        matches!(waiting.news().await, News::Answered(answer) if answer.response().status() == 500)
    );
    let claim = first(&marks, 1);
    let waiting = waits(&marks, 1);
    Claim::refuse(Some(claim), &Rejection::from(Reason::RateLimitedUser));
    assert!(
        matches!(waiting.news().await, News::Failed(why) if why.reason() == Reason::RateLimitedUser)
    );
    drop(first(&marks, 1));
}

#[tokio::test(start_paused = true)]
async fn nobody_hangs_when_the_work_is_dropped_or_panics() {
    let marks = marks();
    let claim = first(&marks, 1);
    let waiting = waits(&marks, 1);
    drop(claim);
    assert!(matches!(waiting.news().await, News::Failed(_)));
    let claim = first(&marks, 1);
    let waiting = waits(&marks, 1);
    let panicked = std::thread::spawn(move || {
        let _claim = claim;
        panic!("as a bug would");
    });
    assert!(panicked.join().is_err());
    assert!(matches!(waiting.news().await, News::Failed(_)));
    drop(first(&marks, 1));
}

#[tokio::test(start_paused = true)]
async fn after_the_mark_everyone_is_told_202_until_the_bot_is_done() {
    let marks = marks();
    let claim = first(&marks, 1);
    let before = waits(&marks, 1);
    claim.acknowledge();
    assert!(matches!(before.news().await, News::Acknowledged));
    assert!(matches!(waits(&marks, 1).news().await, News::Acknowledged));
    claim.end(Ok(&response(200, 0)), false);
    assert!(is_answered(&marks, 1));
}

#[test]
fn a_few_may_wait_and_no_more() {
    let marks = marks();
    let _claim = first(&marks, 1);
    let mut waiting: Vec<_> = (0..3).map(|_| waits(&marks, 1)).collect();
    assert!(matches!(marks.turn(key(1), "r"), Turn::Crowded));
    // Who leaves makes room.
    waiting.pop();
    drop(waits(&marks, 1));
}

#[tokio::test(start_paused = true)]
async fn memory_is_bounded_and_the_oldest_answers_go_first() {
    let marks = marks();
    for number in 1..=4 {
        answer(&marks, number, 20);
    }
    // By number.
    answer(&marks, 5, 20);
    let left = [1, 2, 3, 4, 5].map(|number| is_answered(&marks, number));
    assert_eq!(left, [false, true, true, true, true]);
    // By bytes.
    answer(&marks, 6, 70);
    let left = [2, 3, 4, 5, 6].map(|number| is_answered(&marks, number));
    assert_eq!(left, [false, false, false, true, true]);
    assert_eq!(marks.shelf().bytes, 90);
    // By itself too large.
    answer(&marks, 7, 101);
    let shelf = marks.shelf();
    assert_eq!(
        (shelf.marks.len(), shelf.answered.len(), shelf.bytes),
        (0, 0, 0)
    );
}

#[test]
fn what_is_at_work_is_never_forgotten_for_lack_of_room() {
    let marks = marks();
    let claims: Vec<_> = (1..=4).map(|number| first(&marks, number)).collect();
    assert!(matches!(marks.turn(key(5), "r"), Turn::Unmarked));
    for number in 1..=4 {
        drop(waits(&marks, number));
    }
    drop(claims);
    drop(first(&marks, 5));
}
