//! Ends a connection whose client takes what it is given too slowly.

use super::clock;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Sleep;

/// How long a client may leave an answer unread. Two of these, the time to notice and the time to wait, are less than 10 s.
pub(super) const STALL: Duration = Duration::from_secs(3);

/// What it has to take in that time, so that a few bytes now and then do not hold a connection: 4 KiB a second.
pub(super) const MIN_BYTES: usize = 12 * 1024;

/// How fast an answer is taken while it is the client who holds it up.
#[derive(Debug, Default)]
pub(super) struct Pressure {
    /// Runs while the client holds something up.
    deadline: Option<Pin<Box<Sleep>>>,
    /// Taken since it began to run.
    bytes: usize,
}

impl Pressure {
    /// The client took so many bytes.
    pub(super) const fn relieve(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Ready when the client is too slow. `is_held_up` says whether it is the client's turn; whenever it is not, time starts anew.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, is_held_up: bool) -> Poll<()> {
        if !is_held_up {
            self.deadline = None;
            return Poll::Pending;
        }
        let deadline = self.deadline.get_or_insert_with(|| {
            self.bytes = 0;
            Box::pin(tokio::time::sleep(STALL))
        });
        while deadline.as_mut().poll(cx).is_ready() {
            if self.bytes < MIN_BYTES {
                return Poll::Ready(());
            }
            self.bytes = 0;
            deadline.as_mut().reset(clock::deadline(STALL));
        }
        Poll::Pending
    }
}
