//! The servers of one bot: the roster with a lock around it, and whoever is told of its changes.

use super::roster::{Change, Nobody, Roster};
use super::target::Target;
use crate::config::Bot;
use crate::judge::Rejection;
use crate::net::client::ClientProblem;
use crate::net::dial::Dialer;
use crate::observe::Observer;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The servers of one bot.
pub(super) struct Fleet {
    pub(super) bot: Arc<Bot>,
    targets: Vec<Arc<Target>>,
    roster: Mutex<Roster>,
    observer: Arc<Observer>,
    /// Another one has taken over, and speaks for the servers.
    is_retired: AtomicBool,
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fleet")
            .field("bot", &self.bot.name)
            .field("roster", &self.roster)
            .finish_non_exhaustive()
    }
}

impl Fleet {
    pub(super) fn new(bot: &Arc<Bot>, observer: &Arc<Observer>) -> Result<Self, ClientProblem> {
        let dialers = Dialer::for_each(&bot.backend)?;
        let endpoints = bot.backend.endpoints.iter();
        let targets: Vec<_> = endpoints
            .zip(&dialers)
            .map(|(endpoint, dialer)| Target::new(endpoint, dialer).map(Arc::new))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            bot: Arc::clone(bot),
            roster: Mutex::new(Roster::new(targets.len())),
            targets,
            observer: Arc::clone(observer),
            is_retired: AtomicBool::new(false),
        })
    }

    /// The servers of the bot as it is now. Those that are reached as before keep their connections, and what is known of them.
    pub(super) fn renewed(&self, bot: &Arc<Bot>) -> Result<Self, ClientProblem> {
        let mut fleet = Self::new(bot, &self.observer)?;
        let (was, is) = (&self.bot.backend, &bot.backend);
        let is_reached_alike = was.connect_timeout == is.connect_timeout && was.tls == is.tls;
        let position = |endpoint| was.endpoints.iter().position(|other| other == endpoint);
        let same: Vec<Option<usize>> = is.endpoints.iter().map(position).collect();
        for (target, same) in fleet.targets.iter_mut().zip(&same) {
            if let Some(old) = same.and_then(|position| self.targets.get(position))
                && is_reached_alike
            {
                *target = Arc::clone(old);
            }
        }
        let roster = self.roster().renewed(&same, was.health == is.health);
        fleet.roster = Mutex::new(roster);
        Ok(fleet)
    }

    /// Tells nothing any more.
    pub(super) fn retire(&self) {
        self.is_retired.store(true, Ordering::Relaxed);
    }

    /// Tells how every server is.
    pub(super) fn introduce(&self) {
        let metrics = self.observer.metrics();
        for (position, target) in self.targets.iter().enumerate() {
            let is_up = self.roster().is_up(position);
            metrics.backend_is_up(&self.bot.name, &target.name, is_up);
        }
    }

    pub(super) fn targets(&self) -> &[Arc<Target>] {
        &self.targets
    }

    /// The next server, and the place of a request on it.
    pub(super) fn choose(
        self: &Arc<Self>,
        tried: &[usize],
        now: Instant,
    ) -> Result<(&Target, Lease), Nobody> {
        let position = self.roster().choose(tried, now)?;
        let lease = Lease {
            fleet: Arc::clone(self),
            position,
        };
        let target = self.targets.get(position).ok_or(Nobody::IsLeft)?;
        Ok((target, lease))
    }

    /// Whether a server that comes back soon is not worth waiting for.
    pub(super) fn have_all_failed_for(&self, this_long: Duration, now: Instant) -> bool {
        self.roster().have_all_failed_for(this_long, now)
    }

    pub(super) fn are_all_unwell(&self) -> bool {
        self.roster().are_all_unwell()
    }

    /// A health check ended.
    pub(super) fn checked(&self, position: usize, outcome: Result<(), &str>) {
        let change = self.roster().checked(position, outcome.is_ok());
        let why = outcome.map_or_else(|why| why, |()| "its health check succeeds");
        self.tell(position, change, why);
    }

    fn tell(&self, position: usize, change: Option<Change>, why: &str) {
        let (Some(change), Some(target)) = (change, self.targets.get(position)) else {
            return;
        };
        if self.is_retired.load(Ordering::Relaxed) {
            return;
        }
        let (bot, backend) = (self.bot.name.as_str(), target.name.as_str());
        let metrics = self.observer.metrics();
        match change {
            Change::Up => {
                metrics.backend_is_up(bot, backend, true);
                tracing::info!(
                    event = "backend_up",
                    bot,
                    backend,
                    why,
                    "the backend is back"
                );
            }
            Change::Down => {
                metrics.backend_is_up(bot, backend, false);
                tracing::warn!(
                    event = "backend_down",
                    bot,
                    backend,
                    why,
                    "the backend is down: requests go to others, if there are any"
                );
            }
        }
    }

    fn roster(&self) -> MutexGuard<'_, Roster> {
        // Poison only says that another thread panicked; counts have no broken state.
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of a request on a server, given up when dropped.
#[derive(Debug)]
pub(super) struct Lease {
    fleet: Arc<Fleet>,
    position: usize,
}

impl Lease {
    /// Which server.
    pub(super) const fn position(&self) -> usize {
        self.position
    }

    /// It answered.
    pub(super) fn succeeded(&self) {
        let change = self.fleet.roster().succeeded(self.position);
        self.fleet.tell(self.position, change, "it has answered");
    }

    /// It did not, or not well.
    pub(super) fn failed(&self, why: &Rejection) {
        let change = self.fleet.roster().failed(self.position, Instant::now());
        let why = why.note().unwrap_or_else(|| why.reason().code());
        self.fleet.tell(self.position, change, why);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.fleet.roster().left(self.position);
    }
}
