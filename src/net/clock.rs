//! The one place that reads the wall clock.

use crate::judge::UnixSeconds;

/// Now, in whole seconds. A clock before 1970 reads 0, at which no token is valid.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
pub fn now() -> UnixSeconds {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    UnixSeconds(since.map_or(0, |since| since.as_secs()))
}
