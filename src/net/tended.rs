//! What has work in the background for as long as anybody holds it.
//!
//! Settings come and go while the gateway runs, and what they name goes with the last request that was judged by them: holding it
//! keeps its work going, letting go ends it. Nobody has to remember to.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_util::sync::CancellationToken;

/// A thing, and when the work for it ends. The work itself holds the thing, never this.
#[derive(Debug)]
pub struct Tended<T> {
    thing: Arc<T>,
    ends: CancellationToken,
    is_begun: AtomicBool,
}

impl<T> Tended<T> {
    /// Nobody works on it yet.
    pub fn new(thing: T) -> Arc<Self> {
        Arc::new(Self {
            thing: Arc::new(thing),
            ends: CancellationToken::new(),
            is_begun: AtomicBool::new(false),
        })
    }

    /// The thing and the end of its work, for whoever begins it; nothing where it has begun before.
    pub fn begin(&self) -> Option<(Arc<T>, CancellationToken)> {
        let is_first = !self.is_begun.swap(true, Ordering::Relaxed);
        is_first.then(|| (Arc::clone(&self.thing), self.ends.clone()))
    }
}

impl<T> Deref for Tended<T> {
    type Target = Arc<T>;

    fn deref(&self) -> &Arc<T> {
        &self.thing
    }
}

impl<T> Drop for Tended<T> {
    fn drop(&mut self) {
        self.ends.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_begins_once_and_ends_with_the_last_holder() {
        let tended = Tended::new("bot");
        let (thing, ends) = tended.begin().unwrap();
        assert_eq!(*thing, "bot");
        assert!(tended.begin().is_none());
        let another = Arc::clone(&tended);
        drop(tended);
        assert!(!ends.is_cancelled());
        drop(another);
        assert!(ends.is_cancelled());
    }
}
