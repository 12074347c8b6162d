//! Connections whose last answer was written, and whose clients get the time to read it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many of all connections there are.
#[derive(Clone, Debug, Default)]
pub struct Lingering(Arc<AtomicUsize>);

/// One of them.
#[derive(Debug)]
pub(super) struct Lingers(Lingering);

impl Lingering {
    pub(super) fn enter(&self) -> Lingers {
        self.0.fetch_add(1, Ordering::AcqRel);
        Lingers(self.clone())
    }

    /// How many there are now.
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

impl Drop for Lingers {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}
