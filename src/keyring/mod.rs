//! Hands out the key that signed a token, and keeps each issuer's keys fresh (AUTHENTICATION 2.4).
//!
//! One background task per cloud does all fetching, so that refreshes are single flight by construction. Requests only read the
//! current set, or wait a little for that task. This room must not judge tokens; it is asked only about screened ones.

mod cloud_keys;
mod fetch;
mod schedule;
mod store;

use crate::config::Settings;
use crate::judge::{Cloud, Key, Reason, Rejection, Screened};
use crate::net::client::{ClientProblem, Fetcher};
use crate::net::clock;
use crate::observe::Observer;
use cloud_keys::CloudKeys;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The keys of every cloud in use.
#[derive(Debug)]
pub struct Keyring {
    clouds: Vec<Arc<CloudKeys>>,
}

impl Keyring {
    /// A keyring that has read the disk cache and fetched nothing yet.
    ///
    /// # Errors
    /// When `keys.ca_file` cannot be used.
    pub fn new(settings: &Settings, observer: &Arc<Observer>) -> Result<Self, ClientProblem> {
        let extra_ca = match &settings.keys.ca_file {
            None => None,
            Some(path) => Some(
                std::fs::read(path)
                    .map_err(|e| ClientProblem(format!("keys.ca_file {}: {e}", path.display())))?,
            ),
        };
        let fetcher = Fetcher::new(extra_ca.as_deref(), settings.keys.fetch_timeout)?;
        let cloud = |cloud: &Arc<Cloud>| {
            Arc::new(CloudKeys::new(
                cloud,
                &settings.keys,
                fetcher.clone(),
                observer,
            ))
        };
        Ok(Self {
            clouds: settings.clouds.iter().map(cloud).collect(),
        })
    }

    /// One future per cloud that keeps its keys fresh until `stop`.
    pub fn refreshers(
        &self,
        stop: &CancellationToken,
    ) -> impl Iterator<Item = impl Future<Output = ()> + Send + 'static> {
        self.clouds
            .iter()
            .map(move |cloud| Arc::clone(cloud).keep_fresh(stop.clone()))
    }

    /// The key that a screened token names.
    ///
    /// # Errors
    /// [`Reason::TokenKeyUnknown`] when the keys are fresh and none has this id; [`Reason::KeysUnavailable`] when that cannot
    /// be told: no usable set, or the refresh that would tell fails.
    pub async fn key_for(&self, token: &Screened<'_>) -> Result<Arc<Key>, Rejection> {
        match self.clouds.get(token.root().cloud) {
            Some(cloud) => cloud.key(token.key_id()).await,
            None => {
                Err(Rejection::from(Reason::KeysUnavailable)
                    .noting("no keys are kept for this issuer"))
            }
        }
    }

    /// The clouds that have no usable keys, for readiness.
    pub fn missing(&self) -> Vec<String> {
        let now = clock::now();
        self.clouds
            .iter()
            .filter(|cloud| cloud.usable(now).is_none())
            .map(|cloud| cloud.name().to_owned())
            .collect()
    }

    /// Issuer and age of its keys in seconds, where there are any.
    pub fn ages(&self) -> Vec<(String, u64)> {
        let now = clock::now();
        let age =
            |cloud: &Arc<CloudKeys>| Some((cloud.issuer().to_owned(), cloud.age_seconds(now)?));
        self.clouds.iter().filter_map(age).collect()
    }
}
