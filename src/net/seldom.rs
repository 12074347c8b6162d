//! What is worth a warning once a minute, however often it happens: a flood must not fill the log, and a proxy that is set up wrongly
//! must not stay unseen.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

const PAUSE: Duration = Duration::from_secs(60);

/// When it was last told.
#[derive(Debug, Default)]
pub struct Seldom(Mutex<Option<Instant>>);

impl Seldom {
    /// Whether it is to be told now; then not again for a minute.
    pub fn is_due(&self) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = told.is_none_or(|told| told.elapsed() >= PAUSE);
        if is_due {
            *told = Some(Instant::now());
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_due_once_a_minute() {
        let seldom = Seldom::default();
        assert!(seldom.is_due() && !seldom.is_due());
        tokio::time::advance(PAUSE - Duration::from_millis(1)).await;
        assert!(!seldom.is_due());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(seldom.is_due() && !seldom.is_due());
    }
}
