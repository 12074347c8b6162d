//! The servers of one bot: the roster with a lock around it, and whoever is told of its changes.

use super::roster::{Change, Nobody, Place, Roster};
use super::target::Target;
use super::told::Told;
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
    /// Of each server. Taken before the roster, where both are.
    told: Mutex<Vec<Told>>,
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
            told: Mutex::new(vec![Told::default(); targets.len()]),
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
        let told = {
            let before = self.told();
            let told = |same: &Option<usize>| same.and_then(|position| before.get(position));
            same.iter()
                .map(|same| told(same).cloned().unwrap_or_default())
                .collect()
        };
        fleet.told = Mutex::new(told);
        Ok(fleet)
    }

    /// Tells nothing any more.
    pub(super) fn retire(&self) {
        self.is_retired.store(true, Ordering::Relaxed);
    }

    /// Tells how every server is.
    pub(super) fn introduce(&self) {
        let metrics = self.observer.metrics();
        // So that no change comes between the question and the gauge.
        let _told = self.told();
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
        let place = self.roster().choose(tried, now)?;
        let lease = Lease {
            fleet: Arc::clone(self),
            place,
            made: None,
        };
        let target = self.targets.get(place.position).ok_or(Nobody::IsLeft)?;
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

    /// Closes connections that have rested for long, and tells what it was too early for. To be called every second or so.
    pub(super) fn sweep(&self) {
        for (position, target) in self.targets.iter().enumerate() {
            target.pool.sweep();
            let mut told = self.told();
            let owed = told.get_mut(position);
            if let Some(why) = owed.and_then(|told| told.owed(Instant::now())) {
                self.tell_down(target, &why);
            }
        }
    }

    fn tell(&self, position: usize, change: Option<Change>, why: &str) {
        let (Some(change), Some(target)) = (change, self.targets.get(position)) else {
            return;
        };
        let mut told = self.told();
        let Some(told) = told.get_mut(position) else {
            return;
        };
        let is_up = self.roster().is_up(position);
        // Else it has changed again meanwhile, and whoever met with that tells it.
        if is_up != (change == Change::Up) || self.is_retired.load(Ordering::Relaxed) {
            return;
        }
        let (bot, backend) = (self.bot.name.as_str(), target.name.as_str());
        self.observer.metrics().backend_is_up(bot, backend, is_up);
        match change {
            Change::Up if told.is_back() => {
                tracing::info!(
                    event = "backend_up",
                    bot,
                    backend,
                    why,
                    "the backend is back"
                );
            }
            Change::Down if told.has_gone(why, Instant::now()) => self.tell_down(target, why),
            Change::Up | Change::Down => {}
        }
    }

    fn tell_down(&self, target: &Target, why: &str) {
        tracing::warn!(
            event = "backend_down",
            bot = self.bot.name.as_str(),
            backend = target.name.as_str(),
            why,
            "the backend is down: requests go to others, if there are any"
        );
    }

    fn told(&self) -> MutexGuard<'_, Vec<Told>> {
        // As below.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
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
    place: Place,
    /// When the connection that it goes over began to be made.
    made: Option<Instant>,
}

impl Lease {
    /// Which server.
    pub(super) const fn position(&self) -> usize {
        self.place.position
    }

    /// It goes over a connection that began to be made then.
    pub(super) const fn goes_over(&mut self, made: Instant) {
        self.made = Some(made);
    }

    /// It answered.
    pub(super) fn succeeded(&self) {
        let change = self.fleet.roster().succeeded(self.place, self.made);
        self.fleet.tell(self.position(), change, "it has answered");
    }

    /// It did not, or not well.
    pub(super) fn failed(&self, why: &Rejection) {
        let position = self.position();
        let change = self.fleet.roster().failed(position, Instant::now());
        if change == Some(Change::Down)
            && let Some(target) = self.fleet.targets.get(position)
        {
            // What it had of connections is not to be what shows that it is back.
            target.pool.retire();
        }
        let why = why.note().unwrap_or_else(|| why.reason().code());
        self.fleet.tell(position, change, why);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.fleet.roster().left(self.place);
    }
}
