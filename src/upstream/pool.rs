//! The connections to one server of a bot that rest until the next request.

use super::link::Link;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Node and several Python servers close an idle connection after 5 s; leaving first avoids sending a request into a closing one.
const IDLE: Duration = Duration::from_secs(4);
const MOST_IDLE: usize = 256;

/// See the module. The connection that was used last is used next, so that those which a peak has left over end soon.
#[derive(Debug, Default)]
pub(super) struct Pool(Mutex<Vec<Resting>>);

#[derive(Debug)]
struct Resting {
    since: Instant,
    link: Box<Link>,
}

impl Pool {
    /// A connection that rests, if there is one.
    pub(super) fn take(&self, now: Instant) -> Option<Box<Link>> {
        let resting = self.resting().pop()?;
        if now.saturating_duration_since(resting.since) >= IDLE {
            // All others rest for longer.
            self.clear();
            return None;
        }
        Some(resting.link)
    }

    /// Keeps a connection for the next request.
    pub(super) fn put(&self, link: Box<Link>) {
        let since = Instant::now();
        let mut resting = self.resting();
        if resting.len() < MOST_IDLE {
            resting.push(Resting { since, link });
        }
    }

    /// Closes the connections that have rested for long. To be called every second or so.
    pub(super) fn sweep(&self) {
        let old = {
            let mut resting = self.resting();
            let young = resting.partition_point(|one| one.since.elapsed() >= IDLE);
            let old: Vec<_> = resting.drain(..young).collect();
            if resting.is_empty() {
                *resting = Vec::new();
            }
            old
        };
        drop(old);
    }

    /// Closes all of them: one turned out to have been closed by the bot, which then has most likely closed the others, too.
    pub(super) fn clear(&self) {
        let all = std::mem::take(&mut *self.resting());
        drop(all);
    }

    fn resting(&self) -> MutexGuard<'_, Vec<Resting>> {
        // Poison only says that another thread panicked; a list of connections has no broken state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
