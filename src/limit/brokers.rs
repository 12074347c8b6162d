//! Budgets of the brokers of Direct Line tokens.

use super::budget::Budget;
use super::{Hasher, MAX_ADDRESSES, MAX_SENDERS};
use crate::config::{DirectLine, Quota, Settings};
use crate::judge::direct_line::SessionId;
use crate::judge::{Reason, Rejection};
use crate::net::Network;
use governor::clock::MonotonicClock;
use std::net::IpAddr;
use std::sync::Arc;

/// What addresses and sessions may ask of each broker.
pub struct BrokerLimits {
    hasher: Arc<Hasher>,
    /// By the position of the broker.
    brokers: Vec<Budgets>,
}

#[derive(Clone)]
struct Budgets {
    address: Arc<Budget<MonotonicClock>>,
    session: Arc<Budget<MonotonicClock>>,
}

impl Budgets {
    fn new(broker: &DirectLine) -> Self {
        let budget = |name: &str, quota: Quota, reason: Reason, keys: usize| {
            Arc::new(Budget::new(name, quota, reason, keys, MonotonicClock))
        };
        Self {
            address: budget(
                "direct_line.per_ip",
                broker.per_ip,
                Reason::RateLimitedIp,
                MAX_ADDRESSES,
            ),
            session: budget(
                "direct_line.per_session",
                broker.per_session,
                Reason::RateLimitedUser,
                MAX_SENDERS,
            ),
        }
    }
}

impl BrokerLimits {
    /// Full budgets for every broker of `settings`.
    pub fn new(settings: &Settings) -> Self {
        let brokers = settings.direct_lines.iter();
        Self {
            hasher: Arc::default(),
            brokers: brokers.map(|broker| Budgets::new(broker)).collect(),
        }
    }

    /// The budgets of other settings. One whose rate and burst are as before goes on as it is, found by the broker's name.
    #[must_use]
    pub fn renewed(&self, before: &Settings, now: &Settings) -> Self {
        let renewed = |broker: &Arc<DirectLine>| {
            let mut fresh = Budgets::new(broker);
            let named = |(was, _): &(&Arc<DirectLine>, &Budgets)| was.name == broker.name;
            if let Some((was, old)) = before.direct_lines.iter().zip(&self.brokers).find(named) {
                if was.per_ip == broker.per_ip {
                    fresh.address = Arc::clone(&old.address);
                }
                if was.per_session == broker.per_session {
                    fresh.session = Arc::clone(&old.session);
                }
            }
            fresh
        };
        Self {
            hasher: Arc::clone(&self.hasher),
            brokers: now.direct_lines.iter().map(renewed).collect(),
        }
    }

    /// Counts a request of an address.
    ///
    /// # Errors
    /// [`Reason::RateLimitedIp`].
    pub fn take_address(&self, broker: usize, address: IpAddr) -> Result<(), Rejection> {
        let hash = self.hasher.of(Network::of(address));
        self.take(broker, |budgets| &budgets.address, hash)
    }

    /// Counts a request of a session.
    ///
    /// # Errors
    /// [`Reason::RateLimitedUser`].
    pub fn take_session(&self, broker: usize, session: SessionId) -> Result<(), Rejection> {
        self.take(broker, |budgets| &budgets.session, self.hasher.of(session))
    }

    fn take(
        &self,
        broker: usize,
        which: impl Fn(&Budgets) -> &Arc<Budget<MonotonicClock>>,
        hash: u128,
    ) -> Result<(), Rejection> {
        let Some(budgets) = self.brokers.get(broker) else {
            return Ok(());
        };
        let budget = which(budgets);
        budget.take(hash).map_err(|wait| budget.refusal(wait))
    }

    /// Forgets counters that mean nothing any more. To be called every few seconds.
    pub fn sweep(&self) {
        for budgets in &self.brokers {
            budgets.address.sweep();
            budgets.session.sweep();
        }
    }
}
