//! The servers of one bot: the roster with a lock around it, and whoever is told of its changes.

use super::roster::{Change, Nobody, Roster};
use super::target::Target;
use crate::config::Bot;
use crate::judge::Rejection;
use crate::net::client::ClientProblem;
use crate::net::dial::Dialer;
use crate::observe::Observer;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The servers of one bot.
pub(super) struct Fleet {
    pub(super) bot: Arc<Bot>,
    targets: Vec<Target>,
    roster: Mutex<Roster>,
    observer: Arc<Observer>,
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
        let targets: Vec<Target> = endpoints
            .zip(&dialers)
            .map(|(endpoint, dialer)| Target::new(endpoint, dialer))
            .collect::<Result<_, _>>()?;
        for position in 0..targets.len() {
            observer.metrics().backend_is_up(bot.index, position, true);
        }
        Ok(Self {
            bot: Arc::clone(bot),
            roster: Mutex::new(Roster::new(targets.len())),
            targets,
            observer: Arc::clone(observer),
        })
    }

    pub(super) fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// The next server, and the place of a request on it.
    pub(super) fn choose(self: &Arc<Self>, tried: &[usize]) -> Result<(&Target, Lease), Nobody> {
        let position = self.roster().choose(tried, Instant::now())?;
        let lease = Lease {
            fleet: Arc::clone(self),
            position,
        };
        let target = self.targets.get(position).ok_or(Nobody::IsLeft)?;
        Ok((target, lease))
    }

    /// Whether a server that comes back soon is not worth waiting for.
    pub(super) fn have_all_failed_for(&self, this_long: Duration) -> bool {
        self.roster().have_all_failed_for(this_long, Instant::now())
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
        let (bot, backend) = (self.bot.name.as_str(), target.name.as_str());
        let metrics = self.observer.metrics();
        match change {
            Change::Up => {
                metrics.backend_is_up(self.bot.index, position, true);
                tracing::info!(
                    event = "backend_up",
                    bot,
                    backend,
                    why,
                    "the backend is back"
                );
            }
            Change::Down => {
                metrics.backend_is_up(self.bot.index, position, false);
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
