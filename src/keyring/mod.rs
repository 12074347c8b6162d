//! Hands out the key that signed a token, and keeps each issuer's keys fresh (AUTHENTICATION 2.4).
//!
//! One background task per key source does all fetching, so that refreshes are single flight by construction. Requests only read the
//! current set, or wait a little for that task (`attempts`). This room must not judge tokens; it is asked only about screened ones.

mod attempts;
mod fetch;
mod file;
mod once;
mod schedule;
mod source;
mod store;
mod tell;
mod verified;

pub use fetch::keys_address;
pub use once::{Saved, date_of, fetch_once, first_address, saved};

use crate::config::{KeySource, Keys, Settings};
use crate::judge::{Caller, Key, KeySourceId, Presented, Reason, Rejection, Screened, Token};
use crate::net::client::{ClientProblem, Fetcher};
use crate::net::clock;
use crate::net::tended::Tended;
use crate::observe::Observer;
use source::Source;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use verified::Verified;

/// The keys of every issuer that a bot accepts, and the tokens that were verified with them.
#[derive(Debug)]
pub struct Keyring {
    /// By their [`KeySourceId`].
    sources: Vec<Arc<Tended<Source>>>,
    verified: Arc<Verified>,
    settings: Keys,
    fetcher: Fetcher,
    /// What `keys.ca_file` held.
    authorities: Option<Vec<u8>>,
}

/// How one source of keys stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceState {
    /// As in readiness.
    pub name: String,
    /// Whose keys.
    pub issuer: String,
    /// How many, where there are any.
    pub keys: usize,
    /// Since they were fetched.
    pub age_seconds: Option<u64>,
    /// Whether there are keys that are not too old.
    pub is_usable: bool,
    /// Whether the last fetch brought none.
    pub last_fetch_failed: bool,
}

impl Keyring {
    /// A keyring that has read the disk cache and fetched nothing yet.
    ///
    /// # Errors
    /// When `keys.ca_file` or `keys.proxy` cannot be used, or the system gives no random numbers.
    pub fn new(settings: &Settings, observer: &Arc<Observer>) -> Result<Self, ClientProblem> {
        let fetcher = Fetcher::for_keys(&settings.keys)?;
        let verified = Verified::new();
        let verified = verified.map_err(|_| ClientProblem(NO_RANDOM_NUMBERS.to_owned()))?;
        let verified = Arc::new(verified);
        let source = |source| {
            let (keys, fetcher) = (&settings.keys, fetcher.clone());
            Tended::new(Source::new(source, keys, fetcher, observer, &verified))
        };
        Ok(Self {
            sources: settings.key_sources.iter().map(source).collect(),
            verified,
            settings: settings.keys.clone(),
            authorities: authorities(&settings.keys),
            fetcher,
        })
    }

    /// The keyring of other settings: it has the keys of every source that was there before, and remembers the tokens.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn renewed(
        &self,
        settings: &Settings,
        observer: &Arc<Observer>,
    ) -> Result<Self, ClientProblem> {
        let authorities = authorities(&settings.keys);
        let is_same = self.settings == settings.keys && self.authorities == authorities;
        let fetcher = if is_same {
            self.fetcher.clone()
        } else {
            Fetcher::for_keys(&settings.keys)?
        };
        let source = |source: &Arc<KeySource>| {
            let (keys, fetcher) = (&settings.keys, fetcher.clone());
            match self.sources.iter().find(|old| old.is_of(source)) {
                Some(old) if is_same => Arc::clone(old),
                Some(old) => Tended::new(old.renewed(keys, fetcher)),
                None => Tended::new(Source::new(source, keys, fetcher, observer, &self.verified)),
            }
        };
        Ok(Self {
            sources: settings.key_sources.iter().map(source).collect(),
            verified: Arc::clone(&self.verified),
            settings: settings.keys.clone(),
            fetcher: fetcher.clone(),
            authorities,
        })
    }

    /// One future per source that keeps its keys fresh, as far as nobody does so yet; each runs until `stop`, or until nobody holds
    /// the source any more.
    pub fn refreshers(
        &self,
        stop: &CancellationToken,
    ) -> impl Iterator<Item = impl Future<Output = ()> + Send + 'static> {
        let begun = self.sources.iter().filter_map(|source| source.begin());
        begun.map(move |(source, ends)| {
            let stop = stop.clone();
            async move {
                // Whether it was stopped or let go of, it is over.
                let _over = ends.run_until_cancelled(source.keep_fresh(stop)).await;
            }
        })
    }

    /// The key that a screened token names.
    ///
    /// # Errors
    /// [`Reason::TokenKeyUnknown`] when the keys are fresh and none has this id; [`Reason::KeysUnavailable`] when that cannot
    /// be told: no usable set, or the refresh that would tell fails.
    pub async fn key_for(&self, token: &Screened<'_>) -> Result<Arc<Key>, Rejection> {
        self.key_of(token.keys(), token.key_id()).await
    }

    /// The key of this id, in that source.
    ///
    /// # Errors
    /// As [`key_for`](Self::key_for).
    pub async fn key_of(&self, source: KeySourceId, key_id: &str) -> Result<Arc<Key>, Rejection> {
        match self.sources.get(source.0) {
            Some(source) => match source.current(key_id) {
                Some(key) => Ok(key),
                // Boxed, because it is seldom needed, and every request would carry room for it.
                None => Box::pin(source.find(key_id)).await,
            },
            None => {
                Err(Rejection::from(Reason::KeysUnavailable)
                    .noting("no keys are kept for this issuer"))
            }
        }
    }

    /// Reads a token, or recalls what it says, where this very one was proven before.
    ///
    /// # Errors
    /// As [`Token::read`].
    pub fn read<'t>(&self, text: Presented<'t>) -> Result<Token<'t>, Rejection> {
        self.verified.read(text)
    }

    /// Proves a token's signature with that key, or recalls that it was proven before.
    ///
    /// # Errors
    /// As [`Screened::verify`].
    pub fn verify(&self, token: Screened<'_>, key: &Key) -> Result<Caller, Rejection> {
        self.verified.verify(token, key)
    }

    /// The sources that have no usable keys, for readiness. Those of sites are left out: a site whose keys are away keeps its own pages
    /// from tokens, and no bot from its channels.
    pub fn missing(&self) -> Vec<String> {
        let now = clock::now();
        self.sources
            .iter()
            .filter(|source| !source.is_of_a_site() && source.usable(now).is_none())
            .map(|source| source.name().to_owned())
            .collect()
    }

    /// Every source as it stands, for the status page.
    pub fn states(&self) -> Vec<SourceState> {
        let now = clock::now();
        self.sources.iter().map(|one| one.told(now)).collect()
    }

    /// Issuer and age of its keys in seconds, where there are any.
    pub fn ages(&self) -> Vec<(String, u64)> {
        let now = clock::now();
        let age = |source: &Arc<Tended<Source>>| {
            Some((source.issuer().to_owned(), source.age_seconds(now)?))
        };
        self.sources.iter().filter_map(age).collect()
    }
}

const NO_RANDOM_NUMBERS: &str = "the system gave no random numbers";

/// The content of `keys.ca_file`, to find out whether it changed; whether it can be read and used is found out elsewhere.
fn authorities(keys: &Keys) -> Option<Vec<u8>> {
    keys.ca_file
        .as_deref()
        .and_then(|path| std::fs::read(path).ok())
}
