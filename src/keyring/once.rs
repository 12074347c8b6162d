//! One look at the keys of a source, without a running gateway: for `explain` and `check --online`.

use super::{fetch, store};
use crate::config::{KeyOrigin, KeySource, Settings};
use crate::judge::{KeySet, UnixSeconds};
use crate::net::client::Fetcher;
use std::time::Duration;

/// Keys that an earlier run of the gateway kept on disk.
#[derive(Debug)]
pub struct Saved {
    /// The keys.
    pub keys: KeySet,
    /// When they were fetched.
    pub fetched_at: UnixSeconds,
    /// Whether the gateway would still verify with them (`keys.max_stale`).
    pub is_usable: bool,
}

/// The keys of a source in `keys.cache_dir`, however old.
///
/// # Errors
/// A sentence: there is no such directory, or no file in it that can be trusted.
pub fn saved(settings: &Settings, source: &KeySource, now: UnixSeconds) -> Result<Saved, String> {
    let Some(dir) = &settings.keys.cache_dir else {
        return Err("keys.cache_dir is \"\", so no keys are kept on disk".to_owned());
    };
    let store = store::Store::new(dir, source);
    let found = store.and_then(|store| store.load(Duration::MAX, now));
    let Some((keys, fetched_at)) = found else {
        return Err(format!(
            "no keys of {} are kept in {}",
            source.issuer,
            dir.display()
        ));
    };
    let age = now.0.saturating_sub(fetched_at.0);
    Ok(Saved {
        keys,
        fetched_at,
        is_usable: age < settings.keys.max_stale.as_secs(),
    })
}

/// Fetches the keys of a source as the gateway would, once, and keeps them nowhere.
///
/// # Errors
/// A sentence with the address.
pub async fn fetch_once(settings: &Settings, source: &KeySource) -> Result<KeySet, String> {
    let fetcher = Fetcher::for_keys(&settings.keys).map_err(|problem| problem.to_string())?;
    let documents = fetch::documents(&fetcher, &source.origin).await?;
    Ok(documents.keys)
}

/// The first document of a source; nothing where its keys are on this machine.
pub fn first_address(source: &KeySource) -> Option<&str> {
    match &source.origin {
        KeyOrigin::Connector { metadata, .. } | KeyOrigin::Entra { metadata, .. } => Some(metadata),
        KeyOrigin::EntraTenant { keys, .. } => keys.first().map(String::as_str),
        KeyOrigin::KeySet(address) => Some(address),
        KeyOrigin::File(_) => None,
    }
}

/// The `Date` on the answer of a source's first document; nothing where its keys are on this machine, or none is sent.
///
/// # Errors
/// A sentence with the address.
pub async fn date_of(settings: &Settings, source: &KeySource) -> Result<Option<String>, String> {
    let Some(address) = first_address(source) else {
        return Ok(None);
    };
    let wrong = |why: &dyn std::fmt::Display| format!("{address}: {why}");
    let uri = address.parse().map_err(|error| wrong(&error))?;
    let fetcher = Fetcher::for_keys(&settings.keys).map_err(|problem| problem.to_string())?;
    fetcher.date(&uri).await.map_err(|problem| wrong(&problem))
}
