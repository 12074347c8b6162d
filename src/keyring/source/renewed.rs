//! A source by other settings.

use super::Source;
use crate::config::{KeySource, Keys};
use crate::keyring::attempts::Attempts;
use crate::keyring::schedule::Schedule;
use crate::keyring::store::Store;
use crate::net::client::Fetcher;
use arc_swap::ArcSwap;
use std::sync::Arc;

impl Source {
    /// The same source, fetched by other settings: with the keys it has.
    pub(in crate::keyring) fn renewed(&self, keys: &Keys, fetcher: Fetcher) -> Self {
        let store = keys.cache_dir.as_deref();
        let store = store.and_then(|dir| Store::new(dir, &self.source));
        let schedule = Schedule::new(keys);
        Self {
            source: Arc::clone(&self.source),
            schedule,
            fetcher,
            store: store.map(Arc::new),
            observer: Arc::clone(&self.observer),
            verified: Arc::clone(&self.verified),
            state: ArcSwap::new(self.state.load_full()),
            attempts: Attempts::new(schedule.early_refresh_quota()),
        }
    }

    /// What it is the source of.
    pub(in crate::keyring) fn is_of(&self, source: &KeySource) -> bool {
        *self.source == *source
    }
}
