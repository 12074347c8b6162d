//! A deadline that moves on more often than it comes.
//!
//! Setting a timer takes a lock that all connections share, and a connection sets a deadline or more for each request. So a timer that
//! would go off too early is left alone: when it does, it is set anew, and nobody hears of it.

use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use tokio::time::{Instant, Sleep};

/// Whom something will wake. A task that waits for a socket looks at all else that it waits for each time; what knows the task
/// already, and has nothing to say, need not be asked again.
#[derive(Debug, Default)]
pub(super) struct Told(Option<Waker>);

impl Told {
    pub(super) fn knows(&self, cx: &Context<'_>) -> bool {
        let told = self.0.as_ref();
        told.is_some_and(|told| told.will_wake(cx.waker()))
    }

    /// Tells it whom to wake, by asking it.
    pub(super) fn tell(
        &mut self,
        cx: &mut Context<'_>,
        ask: impl FnOnce(&mut Context<'_>) -> Poll<()>,
    ) -> Poll<()> {
        // A task that has done enough for now is woken at once and told nothing: then nobody has heard of it.
        let does_hear = tokio::task::coop::has_budget_remaining();
        if ask(cx).is_ready() {
            self.0 = None;
            return Poll::Ready(());
        }
        if !does_hear {
            self.0 = None;
        } else if !self.knows(cx) {
            self.0 = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

/// See the module.
#[derive(Debug)]
pub struct Deadline {
    due: Instant,
    /// Goes off when it is due, or earlier.
    timer: Pin<Box<Sleep>>,
    /// By the timer, as it is set.
    told: Told,
}

impl Deadline {
    /// One that is due then.
    pub fn at(due: Instant) -> Self {
        Self {
            due,
            timer: Box::pin(tokio::time::sleep_until(due)),
            told: Told::default(),
        }
    }

    /// When it is due.
    pub const fn due(&self) -> Instant {
        self.due
    }

    /// Makes it due then, and not when it was.
    pub fn set(&mut self, due: Instant) {
        self.due = due;
        if due < self.timer.deadline() {
            self.set_timer();
        }
    }

    fn set_timer(&mut self) {
        self.timer.as_mut().reset(self.due);
        self.told = Told::default();
    }

    /// Ready when it is due.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.told.knows(cx) && !self.timer.is_elapsed() {
            return Poll::Pending;
        }
        loop {
            let timer = self.timer.as_mut();
            ready!(self.told.tell(cx, |cx| timer.poll(cx)));
            if self.timer.deadline() >= self.due {
                return Poll::Ready(());
            }
            self.set_timer();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::time::Duration;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn it_comes_when_it_was_last_set_to_and_not_before() {
        let start = Instant::now();
        let mut deadline = Deadline::at(start + 5 * SECOND);
        for seconds in [9, 2, 3, 30, 4, 7] {
            deadline.set(start + seconds * SECOND);
        }
        poll_fn(|cx| deadline.poll(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 7);
        // It stays over until it is set anew.
        poll_fn(|cx| deadline.poll(cx)).await;
        deadline.set(start + 8 * SECOND);
        poll_fn(|cx| deadline.poll(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 8);
    }

    /// A task that is out of budget is not heard by a timer, and has to ask again.
    #[tokio::test]
    async fn a_task_that_was_not_heard_asks_again() {
        let mut deadline = Deadline::at(Instant::now() + Duration::from_millis(50));
        let mut polls = 0;
        let waiting = poll_fn(|cx| {
            polls += 1;
            if polls == 1 {
                while tokio::task::coop::has_budget_remaining() {
                    let spend = std::pin::pin!(tokio::task::coop::consume_budget());
                    assert!(spend.poll(cx).is_ready());
                }
            }
            deadline.poll(cx)
        });
        tokio::time::timeout(Duration::from_secs(10), waiting)
            .await
            .unwrap();
    }
}
