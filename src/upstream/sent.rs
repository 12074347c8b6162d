//! What is known of how far a request to the bot has come.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::sleep;

/// What the one who sends a request to the bot and the one who waits for the answer tell each other.
///
/// The sender says when the bot's side has taken the whole request: from then on the bot may be at work. That is what the
/// connection took, no less (not what only lies in the gateway's buffers) and no more: whether a program read it, nobody is told.
/// The one who waits may say that there is time.
#[derive(Clone, Debug, Default)]
pub struct Sent(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    is_complete: AtomicBool,
    completed: Notify,
    patience: OnceLock<Duration>,
    /// The position of the server that is asked, and 1.
    server: AtomicUsize,
}

impl Sent {
    /// Whether all of it was taken.
    pub fn is_complete(&self) -> bool {
        self.0.is_complete.load(Ordering::Acquire)
    }

    /// Returns once all of it was taken.
    pub async fn completed(&self) {
        loop {
            // Before the question, so that an answer in between is not missed.
            let told = self.0.completed.notified();
            if self.is_complete() {
                return;
            }
            told.await;
        }
    }

    /// From now on the answer may come this late after the beginning, in place of what `timeouts.response` says. The first word counts.
    pub fn allow(&self, patience: Duration) {
        let _ = self.0.patience.set(patience);
    }

    /// How long the answer may take: `usual`, or what was allowed so far.
    pub(super) fn patience(&self, usual: Duration) -> Duration {
        self.0
            .patience
            .get()
            .map_or(usual, |allowed| usual.max(*allowed))
    }

    /// Returns when the time for an answer is over: `usual`, or as long as was allowed meanwhile. Says how long that was.
    pub(super) async fn time_is_over(&self, usual: Duration) -> Duration {
        sleep(usual).await;
        let Some(allowed) = self.0.patience.get().copied() else {
            return usual;
        };
        sleep(allowed.saturating_sub(usual)).await;
        usual.max(allowed)
    }

    /// The bot's server at this position is asked.
    pub(super) fn goes_to(&self, position: usize) {
        self.0
            .server
            .store(position.saturating_add(1), Ordering::Relaxed);
    }

    /// The position of the server that was asked last.
    pub fn server(&self) -> Option<usize> {
        self.0.server.load(Ordering::Relaxed).checked_sub(1)
    }

    /// All of it was taken.
    pub(super) fn set(&self) {
        self.0.is_complete.store(true, Ordering::Release);
        self.0.completed.notify_waiters();
    }

    /// Nothing arrived after all: the connection turned out to be closed, and another one is tried.
    pub(super) fn clear(&self) {
        self.0.is_complete.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn the_usual_time_holds_unless_more_is_allowed_in_time() {
        let sent = Sent::default();
        assert_eq!(sent.time_is_over(USUAL).await, USUAL);
        let longer = USUAL * 3;
        let (waited, ()) = tokio::join!(sent.time_is_over(USUAL), async {
            tokio::time::sleep(USUAL / 2).await;
            sent.allow(longer);
        });
        assert_eq!(waited, longer);
    }
}
