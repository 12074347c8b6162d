//! Knows whether the store answers, and finds the way back to it.

use super::link::{Link, told};
use super::names::Tag;
use super::question::Question;
use super::{Away, Shared};
use crate::config::{Quota, SharedStore};
use redis::Script;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Between attempts to reach it: the first after it was lost, twice as long each time, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// One that is lost again before this was not back: the pauses go on growing.
const PROBATION: Duration = Duration::from_secs(5);
/// Without requests nobody would notice that it is away, and `/readyz` would not know.
const LOOK: Duration = Duration::from_secs(1);
/// One that comes and goes fills no log.
const TOLD_EVERY: Duration = Duration::from_secs(10);
/// For the first answer on a new connection, to which the scripts are sent.
const FIRST_ANSWER: Duration = Duration::from_secs(1);

/// How a store is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether it answers.
    pub is_up: bool,
    /// What is wrong, where it does not.
    pub why: Option<String>,
    /// The log has been told that it is away, and not yet that it is back.
    is_told: bool,
    told_at: Option<Instant>,
}

impl Shared {
    /// Tries to reach the store once, so that a gateway that starts counts with the others from its first request on.
    pub async fn meet(&self) {
        match reach(&self.settings, &self.ask, &self.probe).await {
            Ok(link) => self.found(link),
            Err(why) => self.away(&why),
        }
    }

    /// Looks after the store until `stop`, or until it is no longer in use.
    pub async fn keep(self: Arc<Self>, stop: CancellationToken) {
        let ended = self.ended.clone();
        tokio::select! {
            () = stop.cancelled() => {}
            () = ended.cancelled() => {}
            () = self.keep_on() => {}
        }
    }

    async fn keep_on(&self) {
        let (mut pause, mut found) = (FIRST_PAUSE, Instant::now());
        loop {
            if self.link.load().is_none() {
                if found.elapsed() > PROBATION {
                    pause = FIRST_PAUSE;
                }
                sleep(jittered(pause)).await;
                pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
                self.meet().await;
                if self.link.load().is_some() {
                    found = Instant::now();
                }
                continue;
            }
            // Whoever loses it leaves a permit, also between these lines.
            if timeout(LOOK, self.lost.notified()).await.is_err() {
                let _: Result<_, Away> = self.ask(&asks(&self.probe)).await;
            }
        }
    }

    fn found(&self, link: Link) {
        self.link.store(Some(Arc::new(link)));
        self.observer.metrics().rate_limit_store_is_up(true);
        let mut standing = self.standing_mut();
        standing.is_up = true;
        standing.why = None;
        if std::mem::take(&mut standing.is_told) {
            tracing::info!(
                event = "store_back",
                "the shared store is back: gateways count together again"
            );
        }
    }

    /// A request met that the store is away: nobody else asks over this connection. Of those that meet it at once, one tells.
    pub(super) fn lose(&self, link: &Arc<Link>, why: &str) -> Away {
        self.observer.metrics().rate_limit_store_failed();
        let was = self.link.compare_and_swap(link, None);
        if was.as_ref().is_some_and(|was| Arc::ptr_eq(was, link)) {
            self.tell_away(why);
            self.lost.notify_one();
        }
        Away
    }

    /// An attempt to reach it failed.
    fn away(&self, why: &str) {
        self.observer.metrics().rate_limit_store_failed();
        self.tell_away(why);
    }

    fn tell_away(&self, why: &str) {
        self.observer.metrics().rate_limit_store_is_up(false);
        let mut standing = self.standing_mut();
        standing.is_up = false;
        standing.why = Some(why.to_owned());
        let is_due = standing.told_at.is_none_or(|at| at.elapsed() > TOLD_EVERY);
        if !standing.is_told && is_due {
            standing.is_told = true;
            standing.told_at = Some(Instant::now());
            let until_then = self.without();
            tracing::error!(
                event = "store_lost",
                error = why,
                on_store_failure = until_then,
                "the shared store is away: {}",
                if self.denies_without() {
                    "requests are refused"
                } else {
                    "this gateway counts by itself"
                }
            );
        }
    }

    /// `state.on_store_failure`.
    pub const fn without(&self) -> &'static str {
        if self.denies_without() {
            "deny"
        } else {
            "local"
        }
    }

    fn standing_mut(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection over which the store has just done what it will be asked for: it may be reached and yet be too slow, full, a
/// replica, or closed to this user.
pub(super) async fn reach(
    settings: &SharedStore,
    ask: &Script,
    probe: &(String, Quota),
) -> Result<Link, String> {
    let link = Link::open(settings).await?;
    let first = FIRST_ANSWER.max(settings.timeout);
    for within in [first, settings.timeout] {
        let mut connection = link.connection();
        let (question, script) = (asks(probe), ask);
        let call = question.on(script);
        let answer = call.invoke_async::<redis::Value>(&mut connection);
        match timeout(within, answer).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(told(&error)),
            Err(_) => return Err(format!("no answer within {within:?}")),
        }
    }
    Ok(link)
}

/// What nobody needs to know the answer to, and what writes.
pub(super) fn probe(settings: &SharedStore) -> (String, Quota) {
    let tag = Tag::of(settings, "", None);
    let always = Quota {
        interval: Duration::from_micros(1),
        burst: NonZeroU32::MAX,
    };
    (tag.key(&settings.key_prefix, 'p', &["probe"]), always)
}

fn asks(probe: &(String, Quota)) -> Question<'_> {
    Question {
        mark: None,
        budgets: std::slice::from_ref(probe),
        ending: 1,
    }
}

/// Half of it at least: gateways that lost it together do not come back together.
fn jittered(pause: Duration) -> Duration {
    let random = u32::try_from(RandomState::new().hash_one(()) & 0xffff).unwrap_or_default();
    let half = pause.div_f64(2.0);
    half.saturating_add(half.mul_f64(f64::from(random) / 65_536.0))
}
