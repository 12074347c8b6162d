//! The keys to verify with: from a file, from the gateway's disk cache, or fetched now.

use super::{Options, read_file};
use crate::config::{KeyOrigin, Settings};
use crate::judge::KeySet;
use crate::judge::token::Trust;
use crate::keyring;
use crate::net::clock;
use std::path::Path;
use std::sync::Arc;

/// Keys, or why there are none; and where they are from.
pub(super) struct FoundKeys {
    pub(super) keys: Result<Arc<KeySet>, String>,
    /// `file`, `cache`, `live`, or `none`.
    pub(super) from: &'static str,
    /// The file or the issuer.
    pub(super) place: Option<String>,
    pub(super) age_seconds: Option<u64>,
}

impl FoundKeys {
    /// No key is asked for.
    pub(super) fn not_needed() -> Self {
        Self {
            keys: Err("no issuer, no keys".to_owned()),
            from: "none",
            place: None,
            age_seconds: None,
        }
    }

    fn in_file(path: &Path, keys: Result<KeySet, String>) -> Self {
        Self {
            keys: keys.map(Arc::new),
            from: "file",
            place: Some(path.display().to_string()),
            age_seconds: None,
        }
    }

    fn none(why: String) -> Self {
        Self {
            keys: Err(why),
            ..Self::not_needed()
        }
    }
}

const HINT: &str = "give a key set with --keys, or fetch it now with --live";

/// The key set of `--keys`.
///
/// # Errors
/// The file cannot be read, or holds no key set: the mistake of whoever asks, and not what the gateway would find.
pub(super) fn given(path: &Path) -> Result<FoundKeys, String> {
    let keys = parsed(path).map_err(|why| {
        format!(
            "{why}; --keys takes a key set (JWKS), which is what the metadata's jwks_uri leads to"
        )
    })?;
    Ok(FoundKeys::in_file(path, Ok(keys)))
}

fn parsed(path: &Path) -> Result<KeySet, String> {
    let text = read_file(path)?;
    KeySet::parse(&text).map_err(|why| format!("{}: {why}", path.display()))
}

/// The keys of the source that the token's issuer leads to.
pub(super) async fn find(options: &Options, settings: &Settings, trust: Trust) -> FoundKeys {
    let Some(source) = settings.key_sources.get(trust.keys.0) else {
        return FoundKeys::none("no keys are kept for this issuer".to_owned());
    };
    if let KeyOrigin::File(path) = &source.origin {
        return FoundKeys::in_file(path, parsed(path));
    }
    if options.live {
        return FoundKeys {
            keys: keyring::fetch_once(settings, source).await.map(Arc::new),
            from: "live",
            place: Some(source.issuer.clone()),
            age_seconds: Some(0),
        };
    }
    let now = clock::now();
    match keyring::saved(settings, source, now) {
        Err(why) => FoundKeys::none(format!("{why}; {HINT}")),
        Ok(saved) => {
            let age = now.0.saturating_sub(saved.fetched_at.0);
            FoundKeys {
                keys: if saved.is_usable {
                    Ok(Arc::new(saved.keys))
                } else {
                    Err(format!(
                        "the keys kept on disk are {} old, older than keys.max_stale; {HINT}",
                        age_text(age)
                    ))
                },
                from: "cache",
                place: settings
                    .keys
                    .cache_dir
                    .as_ref()
                    .map(|dir| dir.display().to_string()),
                age_seconds: Some(age),
            }
        }
    }
}

/// `5 minutes`.
pub(super) fn age_text(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} seconds"),
        120..7200 => format!("{} minutes", seconds / 60),
        7200..172_800 => format!("{} hours", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}
