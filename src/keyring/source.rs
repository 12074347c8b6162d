//! The keys of one issuer: the current set, the task that renews it, and what to say of a key it does not have.

mod renewed;

use super::attempts::{Attempt, Attempts};
use super::schedule::{Schedule, Standing};
use super::verified::Verified;
use super::{fetch, file, store, tell};
use crate::config::{KeyOrigin, KeySource, Keys};
use crate::judge::{Key, KeySet, Reason, Rejection, UnixSeconds};
use crate::net::client::Fetcher;
use crate::net::clock;
use crate::observe::Observer;
use arc_swap::ArcSwap;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a request waits for keys, in all.
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
    store: Option<Arc<store::Store>>,
    observer: Arc<Observer>,
    verified: Arc<Verified>,
    state: ArcSwap<State>,
    attempts: Attempts,
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
    /// What was last said in the log of its age.
    told: Standing,
}

impl DatedSet {
    fn new(keys: KeySet, fetched_at: UnixSeconds) -> Self {
        Self {
            keys: Arc::new(keys),
            fetched_at,
            told: Standing::Fresh,
        }
    }
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
            .and_then(|dir| store::Store::new(dir, source));
        let schedule = Schedule::new(keys);
        let cached = store
            .as_ref()
            .and_then(|store| store.load(schedule.max_stale, clock::now()));
        Self {
            source: Arc::clone(source),
            schedule,
            fetcher,
            store: store.map(Arc::new),
            observer: Arc::clone(observer),
            verified: Arc::clone(verified),
            state: ArcSwap::from_pointee(State {
                set: cached.map(|(keys, fetched_at)| DatedSet::new(keys, fetched_at)),
                ..State::default()
            }),
            attempts: Attempts::new(schedule.early_refresh_quota()),
        }
    }

    pub(super) fn is_of_a_site(&self) -> bool {
        self.source.is_of_a_site()
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

    pub(super) fn told(&self, now: UnixSeconds) -> super::SourceState {
        let state = self.state.load();
        super::SourceState {
            name: self.name().to_owned(),
            issuer: self.issuer().to_owned(),
            keys: state.set.as_ref().map_or(0, |set| set.keys.len()),
            age_seconds: self.age_seconds(now),
            is_usable: self.usable(now).is_some(),
            last_fetch_failed: state.last_attempt_failed,
        }
    }

    /// A key that is not there now: waits for those who fetch.
    pub(super) async fn find(&self, kid: &str) -> Result<Arc<Key>, Rejection> {
        let deadline = after(REQUEST_WAITS);
        if self.usable(clock::now()).is_none() {
            self.wait_for_keys(deadline).await?;
        }
        self.unknown_key(kid, deadline).await
    }

    /// A key of the current set.
    pub(super) fn current(&self, kid: &str) -> Option<Arc<Key>> {
        let state = self.state.load();
        let set = state.set.as_ref()?;
        let is_usable = self.schedule.is_usable(set.fetched_at, clock::now());
        set.keys.get(kid).filter(|_| is_usable)
    }

    /// No usable set: none was fetched yet, or the last good one has grown too old (a suspended machine, a clock that was set).
    async fn wait_for_keys(&self, deadline: Instant) -> Result<(), Rejection> {
        // After a failure the background task tries again by its own schedule; waiting for that would only hold the channel.
        if !self.state.load().last_attempt_failed
            && let Some(attempt) = self.attempts.coming().or_else(|| self.attempts.ask())
        {
            let _in_time = self.attempts.ends(attempt, deadline).await;
        }
        match self.usable(clock::now()) {
            Some(_) => Ok(()),
            None => Err(unavailable(format!(
                "no usable keys of {}",
                self.source.issuer
            ))),
        }
    }

    /// A key id never seen: the issuer may have rolled over, or a stranger made it up.
    async fn unknown_key(&self, kid: &str, deadline: Instant) -> Result<Arc<Key>, Rejection> {
        const KNOWN_TO_BE_UNKNOWN: &str = "as an early refresh found out";
        if let Some(attempt) = self.attempts.coming() {
            // It may bring the key. Where it does not, it may have begun before the key was published: that settles nothing.
            self.wait_for(attempt, kid, deadline).await?;
            if self.state.load().last_attempt_failed {
                return Err(self.verdict_on_unknown(kid, ""));
            }
        }
        if let Some(key) = self.current(kid) {
            return Ok(key);
        }
        if self.is_remembered_unknown(kid) {
            return Err(self.verdict_on_unknown(kid, KNOWN_TO_BE_UNKNOWN));
        }
        let Some(attempt) = self.attempts.ask() else {
            let why = "early refreshes are used up for now (keys.unknown_key_refresh); the next is made as soon as it may be";
            return self
                .current(kid)
                .ok_or_else(|| self.verdict_on_unknown(kid, why));
        };
        self.wait_for(attempt, kid, deadline).await?;
        self.current(kid).ok_or_else(|| {
            self.remember_unknown(kid);
            self.verdict_on_unknown(kid, KNOWN_TO_BE_UNKNOWN)
        })
    }

    async fn wait_for(
        &self,
        attempt: Attempt,
        kid: &str,
        deadline: Instant,
    ) -> Result<(), Rejection> {
        if self.attempts.ends(attempt, deadline).await {
            return Ok(());
        }
        Err(unavailable(format!(
            "kid {kid:?} is unknown and the refresh takes long"
        )))
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

    /// Fresh keys without it: the token is bad. Keys that may be out of date: that cannot be told.
    fn verdict_on_unknown(&self, kid: &str, why: &str) -> Rejection {
        if self.state.load().last_attempt_failed {
            return unavailable(format!(
                "kid {kid:?} is unknown and the last refresh failed"
            ));
        }
        Rejection::from(Reason::TokenKeyUnknown)
            .noting(format!("kid {kid:?} is not among the issuer's keys, {why}"))
    }

    /// Fetches now, by the schedule, and when requests ask for it, until `stop`.
    pub(super) async fn keep_fresh(self: Arc<Self>, stop: CancellationToken) {
        let _stopped = stop.run_until_cancelled(self.fetch_on()).await;
    }

    async fn fetch_on(&self) {
        let mut failures = 0_u32;
        loop {
            let seen = match &self.source.origin {
                KeyOrigin::File(path) => file::version(path).await,
                KeyOrigin::Connector { .. }
                | KeyOrigin::Entra { .. }
                | KeyOrigin::EntraTenant { .. }
                | KeyOrigin::KeySet(_) => None,
            };
            // Keys from the disk cache may be hours old: the first fetch is due at once either way.
            self.attempts.begin();
            let outcome = self.fetch().await;
            failures = if outcome.is_ok() {
                0
            } else {
                failures.saturating_add(1)
            };
            let saved = self.publish(outcome);
            self.attempts.end();
            if let Some((document, fetched_at)) = saved {
                self.save(document, fetched_at).await;
            }
            let changed = async {
                match &self.source.origin {
                    KeyOrigin::File(path) => file::changed(path, seen).await,
                    KeyOrigin::Connector { .. }
                    | KeyOrigin::Entra { .. }
                    | KeyOrigin::EntraTenant { .. }
                    | KeyOrigin::KeySet(_) => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.attempts.asked_for() => {}
                () = tokio::time::sleep(self.schedule.next(failures, jitter())) => {}
                () = changed => {}
            }
        }
    }

    /// In a task of its own: what no reader of documents should do, panic, would else end the refreshes for good, unseen.
    async fn fetch(&self) -> Result<fetch::Documents, String> {
        let (fetcher, source) = (self.fetcher.clone(), Arc::clone(&self.source));
        let mut fetching = JoinSet::new();
        fetching.spawn(async move { fetch::documents(&fetcher, &source.origin).await });
        match fetching.join_next().await {
            Some(Ok(outcome)) => outcome,
            Some(Err(error)) => Err(format!("the fetch did not end as it should: {error}")),
            None => Err("nothing was fetched".to_owned()),
        }
    }

    /// Makes the outcome what requests see. Says what is to be kept on disk.
    fn publish(&self, outcome: Result<fetch::Documents, String>) -> Option<(Bytes, UnixSeconds)> {
        let succeeded = outcome.is_ok();
        let kept = match outcome {
            Ok(documents) => Some(self.publish_keys(documents)),
            Err(why) => {
                self.publish_failure(&why);
                None
            }
        };
        self.observer
            .metrics()
            .key_fetch(&self.source.issuer, succeeded);
        kept
    }

    fn publish_keys(&self, documents: fetch::Documents) -> (Bytes, UnixSeconds) {
        let issuer = &self.source.issuer;
        let fetched_at = clock::now();
        tell::refreshed(issuer, &documents.keys);
        let set = DatedSet::new(documents.keys, fetched_at);
        let now = Arc::clone(&set.keys);
        let before = self.state.swap(Arc::new(State {
            set: Some(set),
            ..State::default()
        }));
        if let Some(before) = &before.set {
            self.verified.forget_removed(&before.keys, &now);
        }
        (documents.key_document, fetched_at)
    }

    fn publish_failure(&self, why: &str) {
        let now = clock::now();
        let issuer = &self.source.issuer;
        let mut set = self.state.load().set.clone();
        let standing = set
            .as_ref()
            .map(|set| self.schedule.standing(set.fetched_at, now));
        let age_seconds = self.age_seconds(now);
        let is_usable = matches!(standing, Some(Standing::Fresh | Standing::Stale));
        tell::refresh_failed(issuer, why, age_seconds, is_usable);
        if let (Some(set), Some(standing)) = (&mut set, standing)
            && set.told != standing
        {
            set.told = standing;
            tell::standing(issuer, standing, age_seconds, self.schedule.max_stale);
        }
        self.state.store(Arc::new(State {
            set,
            last_attempt_failed: true,
            ..State::default()
        }));
    }

    /// After publishing, and elsewhere: a slow disk keeps no request waiting.
    async fn save(&self, document: Bytes, fetched_at: UnixSeconds) {
        let Some(store) = self.store.clone() else {
            return;
        };
        let saving = tokio::task::spawn_blocking(move || store.save(&document, fetched_at));
        let problem = match self.fetcher.in_time(saving).await {
            Ok(Ok(Ok(()))) => return,
            Ok(Ok(Err(error))) => error.to_string(),
            Ok(Err(error)) => error.to_string(),
            Err(too_slow) => too_slow,
        };
        tell::not_kept(&self.source.issuer, &problem);
    }
}

fn after(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or(now)
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
