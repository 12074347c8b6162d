//! The keys of one issuer: the current set, the task that renews it, and what to say of a key it does not have.

use super::schedule::Schedule;
use super::verified::Verified;
use super::{fetch, store};
use crate::config::{KeySource, Keys};
use crate::judge::{Key, KeySet, Reason, Rejection, UnixSeconds};
use crate::net::client::Fetcher;
use crate::net::clock;
use crate::observe::Observer;
use arc_swap::ArcSwap;
use governor::{DefaultDirectRateLimiter, RateLimiter};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a request waits for a refresh it depends on.
const REQUEST_WAITS: Duration = Duration::from_secs(3);
/// What `Retry-After` says when keys are missing: within the channel's patience, and longer than a fetch usually takes.
const RETRY_AFTER: Duration = Duration::from_secs(10);
/// Unknown key ids remembered at a time.
const MAX_UNKNOWN: usize = 1024;

#[derive(Debug)]
pub(super) struct Source {
    source: Arc<KeySource>,
    schedule: Schedule,
    fetcher: Fetcher,
    store: Option<store::Store>,
    observer: Arc<Observer>,
    verified: Arc<Verified>,
    state: ArcSwap<State>,
    early: Early,
    /// Counts finished fetches; a change wakes the requests that wait for one.
    attempts: watch::Sender<u64>,
}

/// Refreshes that requests ask for.
#[derive(Debug)]
struct Early {
    wanted: Notify,
    pending: AtomicBool,
    budget: DefaultDirectRateLimiter,
}

/// What is known after one fetch; replaced as a whole.
#[derive(Debug, Default)]
struct State {
    set: Option<DatedSet>,
    last_attempt_failed: bool,
    /// Key ids that this set does not have, and since when that is known, so that asking again costs nothing.
    unknown: Mutex<HashMap<String, Instant>>,
}

#[derive(Clone, Debug)]
struct DatedSet {
    keys: Arc<KeySet>,
    fetched_at: UnixSeconds,
}

impl Source {
    pub(super) fn new(
        source: &Arc<KeySource>,
        keys: &Keys,
        fetcher: Fetcher,
        observer: &Arc<Observer>,
        verified: &Arc<Verified>,
    ) -> Self {
        let store = keys
            .cache_dir
            .as_deref()
            .map(|dir| store::Store::new(dir, source));
        let schedule = Schedule::new(keys);
        let cached = store
            .as_ref()
            .and_then(|store| store.load(schedule.max_stale, clock::now()));
        let set = cached.map(|(keys, fetched_at)| DatedSet {
            keys: Arc::new(keys),
            fetched_at,
        });
        let quota = schedule.early_refresh_quota();
        Self {
            source: Arc::clone(source),
            schedule,
            fetcher,
            store,
            observer: Arc::clone(observer),
            verified: Arc::clone(verified),
            state: ArcSwap::from_pointee(State {
                set,
                ..State::default()
            }),
            early: Early {
                wanted: Notify::new(),
                pending: AtomicBool::new(false),
                budget: RateLimiter::direct(quota),
            },
            attempts: watch::channel(0).0,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.source.name
    }

    pub(super) fn issuer(&self) -> &str {
        &self.source.issuer
    }

    /// How old the keys are, if there are any.
    pub(super) fn age_seconds(&self, now: UnixSeconds) -> Option<u64> {
        let fetched = self.state.load().set.as_ref()?.fetched_at;
        Some(now.0.saturating_sub(fetched.0))
    }

    pub(super) fn usable(&self, now: UnixSeconds) -> Option<Arc<KeySet>> {
        let state = self.state.load();
        let set = state.set.as_ref()?;
        self.schedule
            .is_usable(set.fetched_at, now)
            .then(|| Arc::clone(&set.keys))
    }

    pub(super) async fn key(&self, kid: &str) -> Result<Arc<Key>, Rejection> {
        match self.usable(clock::now()) {
            Some(keys) => match keys.get(kid) {
                Some(key) => Ok(key),
                None => self.unknown_key(kid).await,
            },
            None => self.first_keys(kid).await,
        }
    }

    /// No usable set: none was fetched yet, or the last good one has grown too old (a suspended machine, a clock that was set).
    /// A request waits for the attempt that is under way, or asks for one.
    async fn first_keys(&self, kid: &str) -> Result<Arc<Key>, Rejection> {
        let mut attempts = self.attempts.subscribe();
        let state = self.state.load_full();
        // After a failure the background task tries again by its own schedule; waiting for that would only hold the channel.
        let is_first = state.set.is_none() && !state.last_attempt_failed;
        let is_outdated = state.set.is_some() && !state.last_attempt_failed;
        if is_first || (is_outdated && self.ask_for_refresh()) {
            let _ = tokio::time::timeout(REQUEST_WAITS, attempts.changed()).await;
        }
        match self.usable(clock::now()) {
            Some(keys) => keys.get(kid).ok_or_else(|| unknown(kid)),
            None => Err(unavailable(format!(
                "no usable keys of {}",
                self.source.issuer
            ))),
        }
    }

    /// A key id never seen: the issuer may have rolled over, or a stranger made it up.
    async fn unknown_key(&self, kid: &str) -> Result<Arc<Key>, Rejection> {
        let mut attempts = self.attempts.subscribe();
        let is_asked_for = !self.is_remembered_unknown(kid) && self.ask_for_refresh();
        if is_asked_for
            && tokio::time::timeout(REQUEST_WAITS, attempts.changed())
                .await
                .is_err()
        {
            return Err(unavailable(format!(
                "kid {kid:?} is unknown and the refresh takes long"
            )));
        }
        // Looked up again in any case: another request's refresh may have ended while this one was about to ask.
        if let Some(key) = self.usable(clock::now()).and_then(|keys| keys.get(kid)) {
            return Ok(key);
        }
        if is_asked_for {
            self.remember_unknown(kid);
        }
        Err(self.verdict_on_unknown(kid))
    }

    /// Whether a refresh is under way now, started or joined. The budget keeps made-up key ids from hammering the issuer.
    fn ask_for_refresh(&self) -> bool {
        if self.early.pending.swap(true, Ordering::AcqRel) {
            return true;
        }
        if self.early.budget.check().is_err() {
            self.early.pending.store(false, Ordering::Release);
            return false;
        }
        self.early.wanted.notify_one();
        true
    }

    /// Remembered for as long as another early refresh would have to wait: issuers that publish a key some time after they
    /// sign with it must not be shut out until the next full refresh.
    fn is_remembered_unknown(&self, kid: &str) -> bool {
        let state = self.state.load();
        let mut unknown = state.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        unknown.retain(|_, since| since.elapsed() < self.schedule.early);
        unknown.contains_key(kid)
    }

    fn remember_unknown(&self, kid: &str) {
        let state = self.state.load();
        let mut unknown = state.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        if unknown.len() < MAX_UNKNOWN {
            unknown.insert(kid.to_owned(), Instant::now());
        }
    }

    fn verdict_on_unknown(&self, kid: &str) -> Rejection {
        if self.state.load().last_attempt_failed {
            return unavailable(format!(
                "kid {kid:?} is unknown and the last refresh failed"
            ));
        }
        unknown(kid)
    }

    pub(super) async fn keep_fresh(self: Arc<Self>, stop: CancellationToken) {
        let mut failures = 0_u32;
        // Keys from the disk cache may be hours old: the first fetch is due at once either way.
        let mut wait = Duration::ZERO;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.early.wanted.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
            let outcome = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                outcome = fetch::documents(&self.fetcher, &self.source.origin) => outcome,
            };
            failures = if outcome.is_ok() {
                0
            } else {
                failures.saturating_add(1)
            };
            self.publish(outcome);
            wait = self.schedule.next(failures, jitter());
        }
    }

    fn publish(&self, outcome: Result<fetch::Documents, String>) {
        let issuer = &self.source.issuer;
        let before = self.state.load().set.clone();
        let succeeded = outcome.is_ok();
        match outcome {
            Ok(documents) => {
                let fetched_at = clock::now();
                for why in documents.keys.skipped() {
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
                    keys = documents.keys.len(),
                    "keys refreshed"
                );
                if let Some(store) = &self.store
                    && let Err(error) = store.save(&documents, fetched_at)
                {
                    tracing::warn!(event = "key_cache_failed", issuer, %error, "the keys could not be kept on disk");
                }
                if let Some(before) = &before {
                    self.verified.forget_removed(&before.keys, &documents.keys);
                }
                let set = Some(DatedSet {
                    keys: Arc::new(documents.keys),
                    fetched_at,
                });
                self.state.store(Arc::new(State {
                    set,
                    ..State::default()
                }));
            }
            Err(why) => {
                let usable = self.usable(clock::now()).is_some();
                let age_seconds = before
                    .as_ref()
                    .map(|set| clock::now().0.saturating_sub(set.fetched_at.0));
                if usable {
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
                        "key refresh failed and there are no usable keys; requests are answered 503"
                    );
                }
                self.state.store(Arc::new(State {
                    set: before,
                    last_attempt_failed: true,
                    ..State::default()
                }));
            }
        }
        self.observer.metrics().key_fetch(issuer, succeeded);
        self.early.pending.store(false, Ordering::Release);
        self.attempts
            .send_modify(|attempts| *attempts = attempts.wrapping_add(1));
    }
}

fn unknown(kid: &str) -> Rejection {
    Rejection::from(Reason::TokenKeyUnknown)
        .noting(format!("kid {kid:?} is not among the issuer's keys"))
}

fn unavailable(note: String) -> Rejection {
    Rejection::from(Reason::KeysUnavailable)
        .noting(note)
        .retry_after(RETRY_AFTER)
}

/// A number in 0..1 that differs between gateways, so that a fleet does not refresh in step.
fn jitter() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    let random = RandomState::new().hash_one(clock::now().0);
    f64::from(u32::try_from(random >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}
