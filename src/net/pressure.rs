//! Ends a connection whose client takes what it is given too slowly.

use super::clock;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// How long a client may leave an answer unread. Two of these, the time to notice and the time to wait, are less than 10 s.
pub(super) const STALL: Duration = Duration::from_secs(3);

/// What it has to take in that time, so that a few bytes now and then do not hold a connection: 4 KiB a second.
pub(super) const MIN_BYTES: usize = 12 * 1024;

/// From so many on who hold an answer up at once, all have less time, and the less the more there are: it is an attack then, or the
/// network between has failed, and what all of them together cost matters more than any one of them.
const CROWD: u32 = 64;
/// But never less than this: an acknowledgement goes round the world in it.
const LEAST_STALL: Duration = Duration::from_millis(250);
/// A second look after that, in which what only waited for a processor is written.
const SECOND_LOOK: Duration = Duration::from_millis(50);

/// How many clients hold an answer up, on all connections together.
#[derive(Clone, Debug, Default)]
pub(super) struct Crowd(Arc<AtomicU32>);

impl Crowd {
    fn join(&self) -> Member {
        self.0.fetch_add(1, Ordering::Relaxed);
        Member(self.clone())
    }

    /// How long a client may leave an answer unread now.
    fn patience(&self) -> Duration {
        let count = self.0.load(Ordering::Relaxed).max(CROWD);
        let shared = STALL.saturating_mul(CROWD).checked_div(count);
        shared.unwrap_or(STALL).max(LEAST_STALL)
    }
}

/// What a client has to take in this time, bytes.
const fn least(patience: Duration) -> usize {
    let share = patience.as_millis().saturating_mul(MIN_BYTES as u128);
    share.div_ceil(STALL.as_millis()) as usize
}

/// One who holds an answer up.
#[derive(Debug)]
struct Member(Crowd);

impl Drop for Member {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How fast an answer is taken while it is the client who holds it up.
#[derive(Debug)]
pub(super) struct Pressure {
    crowd: Crowd,
    /// There while the client holds something up.
    held_up: Option<HeldUp>,
    /// Taken since its time began to run.
    bytes: usize,
}

#[derive(Debug)]
struct HeldUp {
    since: Instant,
    next_look: Pin<Box<Sleep>>,
    /// Its time is over, and this is the second look.
    is_late: bool,
    _member: Member,
}

impl Pressure {
    pub(super) const fn new(crowd: Crowd) -> Self {
        Self {
            crowd,
            held_up: None,
            bytes: 0,
        }
    }

    /// How long a client may leave an answer unread now.
    pub(super) fn patience(&self) -> Duration {
        self.crowd.patience()
    }

    /// The client took so many bytes.
    pub(super) const fn relieve(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Ready when the client is too slow. `is_held_up` says whether it is the client's turn; whenever it is not, time starts anew.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, is_held_up: bool) -> Poll<()> {
        if !is_held_up {
            self.held_up = None;
            return Poll::Pending;
        }
        let held_up = self.held_up.get_or_insert_with(|| {
            self.bytes = 0;
            HeldUp {
                since: Instant::now(),
                next_look: Box::pin(tokio::time::sleep(LEAST_STALL)),
                is_late: false,
                _member: self.crowd.join(),
            }
        });
        while held_up.next_look.as_mut().poll(cx).is_ready() {
            // Asked at every look, because the crowd grows and shrinks meanwhile.
            let patience = self.crowd.patience();
            let left = patience.saturating_sub(held_up.since.elapsed());
            let next = if !left.is_zero() {
                left.min(LEAST_STALL)
            } else if self.bytes >= least(patience) {
                self.bytes = 0;
                held_up.since = Instant::now();
                held_up.is_late = false;
                LEAST_STALL
            } else if held_up.is_late {
                return Poll::Ready(());
            } else {
                held_up.is_late = true;
                SECOND_LOOK
            };
            held_up.next_look.as_mut().reset(clock::deadline(next));
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;
    use tokio::time::advance;

    fn is_too_slow(pressure: &mut Pressure) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        pressure.poll(&mut cx, true).is_ready()
    }

    /// After how long it is cut, to a hundredth of a second.
    async fn cut_after(pressure: &mut Pressure) -> Duration {
        const STEP: Duration = Duration::from_millis(10);
        let start = Instant::now();
        while !is_too_slow(pressure) {
            advance(STEP).await;
        }
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn the_more_hold_an_answer_up_the_less_time_each_has() {
        for (others, patience) in [(0, 3000), (63, 3000), (127, 1500), (255, 750), (999, 250)] {
            let crowd = Crowd::default();
            let members: Vec<_> = (0..others).map(|_| crowd.join()).collect();
            let mut pressure = Pressure::new(crowd.clone());
            let expected = Duration::from_millis(patience).saturating_add(SECOND_LOOK);
            let late = cut_after(&mut pressure).await.checked_sub(expected);
            assert!(late.is_some_and(|late| late < Duration::from_millis(50)));
            drop((members, pressure));
            assert_eq!(crowd.patience(), STALL);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_that_grows_shortens_the_time_of_all() {
        let crowd = Crowd::default();
        let mut first = Pressure::new(crowd.clone());
        assert!(!is_too_slow(&mut first));
        advance(Duration::from_millis(200)).await;
        let _others: Vec<_> = (0..999).map(|_| crowd.join()).collect();
        assert!(cut_after(&mut first).await < Duration::from_millis(200));
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_enough_is_not_cut_and_a_crowd_owes_no_more_a_second() {
        for others in [0, 127, 999] {
            let crowd = Crowd::default();
            let _others: Vec<_> = (0..others).map(|_| crowd.join()).collect();
            let mut pressure = Pressure::new(crowd);
            let a_tenth = MIN_BYTES.div_ceil(30);
            for _ in 0..100 {
                assert!(!is_too_slow(&mut pressure), "{others} others");
                pressure.relieve(a_tenth);
                advance(Duration::from_millis(100)).await;
            }
            assert!(cut_after(&mut pressure).await < STALL.saturating_mul(2));
        }
    }
}
