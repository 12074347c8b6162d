//! The one place that reads the wall clock.

use crate::judge::UnixSeconds;
use std::time::Duration;
use tokio::time::Instant;

/// Now, in whole seconds. A clock before 1970 reads 0, at which no token is valid.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the clock"
)]
pub fn now() -> UnixSeconds {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    UnixSeconds(since.map_or(0, |since| since.as_secs()))
}

/// The moment `wait` from now; for waits so long that the clock cannot hold them, now: a deadline that fails closed.
pub fn deadline(wait: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(wait).unwrap_or(now)
}
