//! The last moment: new requests are refused, and what is idle is closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_util::sync::CancellationToken;

/// Whether that moment has come, for those who are to know and for those who wait for it.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    token: CancellationToken,
    has_come: Arc<AtomicBool>,
}

impl Ending {
    /// It comes. From then on every request is refused.
    pub fn come(&self) {
        self.has_come.store(true, Ordering::Release);
        self.token.cancel();
    }

    /// Whether it has come. Every request asks: so this is read by all processors at once, where a token takes a lock.
    pub fn has_come(&self) -> bool {
        self.has_come.load(Ordering::Acquire)
    }

    /// Cancelled when it has come.
    pub const fn token(&self) -> &CancellationToken {
        &self.token
    }
}
