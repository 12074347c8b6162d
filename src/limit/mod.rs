//! How often and how much at once: budgets and failures per address before proof; per user, conversation, tenant and bot after it.
//!
//! This room must not know how a refusal is answered, and must not keep more in memory than its caps allow.

mod brokers;
mod budget;
mod failures;
mod in_flight;
mod store;
mod together;

pub use brokers::BrokerLimits;
pub use failures::{Wait, WaitingPlace};
pub use in_flight::{BodyRoom, Slot};
pub use together::Together;

use crate::config::{self, Quota, RateLimits, Settings};
use crate::judge::{Admitted, Mode, Reason, Rejection, TenantId};
use crate::net::Network;
use budget::Budget;
use failures::Failures;
use governor::clock::{Clock, MonotonicClock};
use in_flight::InFlight;
use siphasher::sip128::{Hasher128 as _, SipHasher13};
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// All budgets of one gateway.
///
/// On the monotonic clock of the system, not on governor's default: that one counts processor cycles, which a virtual
/// machine that is moved or paused can make jump, and saves some ten nanoseconds.
pub struct Limiter<C: Clock = MonotonicClock> {
    hasher: Arc<Hasher>,
    per_ip: Arc<Budget<C>>,
    requests_per_ip: Quota,
    bots: Vec<BotBudgets<C>>,
    in_flight: InFlight,
    failures: Arc<Failures>,
    started: Instant,
}

struct BotBudgets<C: Clock> {
    user: Option<Arc<Budget<C>>>,
    conversation: Option<Arc<Budget<C>>>,
    tenant: Option<Arc<Budget<C>>>,
    bot: Option<Arc<Budget<C>>>,
}

impl Limiter {
    /// Full budgets for every bot of `settings`.
    pub fn new(settings: &Settings) -> Self {
        Self::with_clock(
            settings.server.limits.requests_per_ip,
            settings.bots.iter().map(|bot| &bot.rate_limits),
            InFlight::new(settings),
            &MonotonicClock,
        )
    }

    /// The budgets of other settings. A budget whose rate and burst are as before goes on as it is; any other is full.
    #[must_use]
    pub fn renewed(&self, before: &Settings, now: &Settings) -> Self {
        let (was, is) = (&before.server.limits, &now.server.limits);
        let per_ip = if was.requests_per_ip == is.requests_per_ip {
            Arc::clone(&self.per_ip)
        } else {
            Arc::new(per_ip(is.requests_per_ip, &MonotonicClock))
        };
        let bots = now.bots.iter().map(|bot| {
            let fresh = BotBudgets::new(&bot.rate_limits, &MonotonicClock);
            let position = before.position(&bot.name);
            let old = position.and_then(|position| self.bots.get(position));
            let was = position.and_then(|position| before.bots.get(position));
            match (old, was) {
                (Some(old), Some(was)) => old.renewed(&was.rate_limits, &bot.rate_limits, fresh),
                (None, _) | (_, None) => fresh,
            }
        });
        Self {
            hasher: Arc::clone(&self.hasher),
            per_ip,
            requests_per_ip: is.requests_per_ip,
            bots: bots.collect(),
            in_flight: self.in_flight.renewed(before, now),
            failures: Arc::clone(&self.failures),
            started: self.started,
        }
    }
}

fn per_ip<C: Clock + Clone>(quota: Quota, clock: &C) -> Budget<C> {
    Budget::new(
        "requests_per_ip",
        quota,
        Reason::RateLimitedIp,
        MAX_ADDRESSES,
        clock.clone(),
    )
}

impl<C: Clock + Clone> Limiter<C> {
    fn with_clock<'a>(
        requests_per_ip: Quota,
        bots: impl Iterator<Item = &'a RateLimits>,
        in_flight: InFlight,
        clock: &C,
    ) -> Self {
        Self {
            hasher: Arc::default(),
            per_ip: Arc::new(per_ip(requests_per_ip, clock)),
            requests_per_ip,
            bots: bots.map(|limits| BotBudgets::new(limits, clock)).collect(),
            in_flight,
            failures: Arc::new(Failures::new()),
            started: Instant::now(),
        }
    }

    /// Counts a request of an address, before anything else is known of it.
    ///
    /// # Errors
    /// [`Reason::RateLimitedIp`].
    pub fn take_arrival(&self, address: IpAddr) -> Result<(), Rejection> {
        self.per_ip
            .take(self.address(address))
            .map_err(|wait| self.per_ip.refusal(wait))
    }

    /// Counts a request of an address that failed authentication.
    pub fn count_failure(&self, address: IpAddr) {
        self.failures.count(self.address(address), self.now());
    }

    /// Whether an address failed lately. Costs nothing while hardly anybody does.
    pub fn has_failed(&self, address: IpAddr) -> bool {
        self.failures.has_failed(self.address(address))
    }

    /// Whether a token of an address that failed has to wait before any cryptography.
    pub fn wait(&self, address: IpAddr) -> Wait {
        self.failures.wait(self.address(address), self.now())
    }

    /// Forgets the failures of an address: a token that was not known before has been verified.
    pub fn forget_failures(&self, address: IpAddr) {
        self.failures.forget(self.address(address));
    }

    /// Whether a bot has a place for one more request, as far as can be told before the request is proven. Takes none.
    ///
    /// # Errors
    /// [`Reason::Overloaded`].
    pub fn check_room(&self, bot: &config::Bot) -> Result<(), Rejection> {
        self.in_flight.check_room(bot.index)
    }

    /// Room for a body that is about to be read: of a proven caller, since it is for all bodies together.
    pub fn body_room(&self) -> BodyRoom {
        self.in_flight.body_room()
    }

    /// Takes a place at a bot for an admitted request, with its body.
    ///
    /// # Errors
    /// [`Reason::Overloaded`].
    pub fn enter(&self, bot: &config::Bot, body: BodyRoom) -> Result<Slot, Rejection> {
        self.in_flight.enter(bot.index, body)
    }

    fn address(&self, address: IpAddr) -> u128 {
        self.hasher.of(Network::of(address))
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Counts an admitted activity against every budget of its bot, or against none.
    ///
    /// In report mode a refusal is noted in `admitted`, and nothing is counted, just as if it had been refused.
    ///
    /// # Errors
    /// [`Reason::RateLimitedUser`], [`Reason::RateLimitedConversation`], [`Reason::RateLimitedTenant`],
    /// [`Reason::RateLimitedBot`].
    pub fn take(&self, bot: &config::Bot, admitted: &mut Admitted) -> Result<(), Rejection> {
        let outcome = self.take_for(
            bot.index,
            &Sender {
                channel: admitted.base_channel().unwrap_or_default(),
                tenant: admitted.tenant(),
                conversation: admitted.conversation(),
                user: admitted.user().filter(|user| !user.is_empty()),
            },
        );
        match (outcome, bot.rate_limits.mode) {
            (Err(rejection), Mode::Report) => {
                admitted.note_would_reject(rejection);
                Ok(())
            }
            (outcome, Mode::Report | Mode::Enforce) => outcome,
        }
    }

    /// The narrowest budget first: a user who is over its own must not use up the bot's. All or nothing: a request that
    /// the tenant's budget refuses costs its user nothing, or waiting as told would not be enough.
    fn take_for(&self, bot: usize, sender: &Sender<'_>) -> Result<(), Rejection> {
        let Some(budgets) = self.bots.get(bot) else {
            return Ok(());
        };
        let &Sender {
            channel,
            tenant,
            conversation,
            user,
        } = sender;
        let hash = &self.hasher;
        let asked = [
            budgets
                .user
                .as_ref()
                .and_then(|budget| Some((budget, hash.of((channel, tenant, user?))))),
            budgets
                .conversation
                .as_ref()
                .and_then(|budget| Some((budget, hash.of((channel, conversation?))))),
            budgets
                .tenant
                .as_ref()
                .and_then(|budget| Some((budget, hash.of(tenant?)))),
            budgets.bot.as_ref().map(|budget| (budget, hash.of(()))),
        ];
        let asked = || asked.iter().flatten();
        for (taken, (budget, hash)) in asked().enumerate() {
            let Err(wait) = budget.take(*hash) else {
                continue;
            };
            asked()
                .take(taken)
                .for_each(|(budget, hash)| budget.give_back(*hash));
            // The wider budgets may have to be waited for longer.
            let waits = asked()
                .skip(taken)
                .filter_map(|(budget, hash)| budget.look(*hash).err());
            return Err(budget.refusal(waits.fold(wait, Ord::max)));
        }
        Ok(())
    }

    /// Forgets counters that mean nothing any more. To be called every few seconds.
    pub fn sweep(&self) {
        self.per_ip.sweep();
        self.failures.sweep(self.now());
        for bot in &self.bots {
            [&bot.user, &bot.conversation, &bot.tenant, &bot.bot]
                .into_iter()
                .flatten()
                .for_each(|budget| budget.sweep());
        }
    }
}

impl<C: Clock + Clone> BotBudgets<C> {
    fn new(limits: &RateLimits, clock: &C) -> Self {
        let budget = |name: &str, quota: Option<Quota>, reason: Reason, keys: usize| {
            quota.map(|quota| Arc::new(Budget::new(name, quota, reason, keys, clock.clone())))
        };
        Self {
            user: budget(
                "per_user",
                limits.per_user,
                Reason::RateLimitedUser,
                MAX_SENDERS,
            ),
            conversation: budget(
                "per_conversation",
                limits.per_conversation,
                Reason::RateLimitedConversation,
                MAX_SENDERS,
            ),
            tenant: budget(
                "per_tenant",
                limits.per_tenant,
                Reason::RateLimitedTenant,
                MAX_TENANTS,
            ),
            bot: budget("per_bot", limits.per_bot, Reason::RateLimitedBot, 1),
        }
    }

    /// Of these budgets those that are as they were, of `fresh` the others.
    fn renewed(&self, was: &RateLimits, is: &RateLimits, fresh: Self) -> Self {
        let keep = |is_same: bool, old: &Option<Arc<Budget<C>>>, fresh| {
            if is_same { old.clone() } else { fresh }
        };
        Self {
            user: keep(was.per_user == is.per_user, &self.user, fresh.user),
            conversation: keep(
                was.per_conversation == is.per_conversation,
                &self.conversation,
                fresh.conversation,
            ),
            tenant: keep(was.per_tenant == is.per_tenant, &self.tenant, fresh.tenant),
            bot: keep(was.per_bot == is.per_bot, &self.bot, fresh.bot),
        }
    }
}

/// Whom an activity is counted for. Where a value is missing, its budget does not count.
struct Sender<'a> {
    channel: &'a str,
    tenant: Option<TenantId>,
    conversation: Option<&'a str>,
    user: Option<&'a str>,
}

/// 128 bits of SipHash under a key that no client knows: nobody can choose two keys that meet, or fill one shard.
struct Hasher(SipHasher13);

impl Default for Hasher {
    fn default() -> Self {
        // The standard library's source of random keys.
        let random = || RandomState::new().hash_one(());
        Self(SipHasher13::new_with_keys(random(), random()))
    }
}

impl Hasher {
    fn of(&self, key: impl Hash) -> u128 {
        let mut hasher = self.0;
        key.hash(&mut hasher);
        hasher.finish128().as_u128()
    }
}

/// What `Retry-After` says where places become free all the time.
const SOON: Duration = Duration::from_secs(1);
/// Some nine megabytes, should all be active at once.
const MAX_ADDRESSES: usize = 200_000;
/// Users, and conversations, of one bot.
const MAX_SENDERS: usize = 200_000;
/// Tenants of one bot. An Entra tenant cannot be invented.
const MAX_TENANTS: usize = 50_000;

#[cfg(test)]
mod tests;
