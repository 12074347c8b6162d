//! What the log says of fetches and of keys that grow old.

use super::schedule::Standing;
use crate::judge::KeySet;
use std::time::Duration;

/// A fetch brought a usable set.
pub(super) fn refreshed(issuer: &str, keys: &KeySet) {
    for why in keys.skipped() {
        tracing::warn!(
            event = "key_skipped",
            issuer,
            why,
            "a key of the key set cannot be used"
        );
    }
    tracing::info!(
        event = "keys_refreshed",
        issuer,
        keys = keys.len(),
        "keys refreshed"
    );
}

/// A fetch brought none; whether older keys are usable decides how bad that is.
pub(super) fn refresh_failed(issuer: &str, why: &str, age_seconds: Option<u64>, is_usable: bool) {
    if is_usable {
        tracing::warn!(
            event = "keys_refresh_failed",
            issuer,
            error = why,
            age_seconds,
            "key refresh failed; the last good keys go on serving"
        );
    } else {
        tracing::error!(
            event = "keys_refresh_failed",
            issuer,
            error = why,
            age_seconds,
            "key refresh failed and there are no usable keys; requests that need them are answered 503"
        );
    }
}

/// To be told once for each time the keys come to stand so.
pub(super) fn standing(
    issuer: &str,
    standing: Standing,
    age_seconds: Option<u64>,
    max_stale: Duration,
) {
    let max_stale_seconds = max_stale.as_secs();
    match standing {
        Standing::Fresh => {}
        Standing::Stale => tracing::warn!(
            event = "keys_stale",
            issuer,
            age_seconds,
            max_stale_seconds,
            "no key refresh has succeeded for a day; the keys stop serving when they are as old as keys.max_stale"
        ),
        Standing::Expired => tracing::error!(
            event = "keys_expired",
            issuer,
            age_seconds,
            max_stale_seconds,
            "the keys are older than keys.max_stale and serve no longer; requests that need them are answered 503 until a refresh succeeds"
        ),
    }
}

/// The keys serve, but a restart in an outage would be without them.
pub(super) fn not_kept(issuer: &str, error: &str) {
    tracing::warn!(
        event = "key_cache_failed",
        issuer,
        error,
        "the keys could not be kept on disk"
    );
}
