//! Which server of a bot gets the next request. Pure: what happened and when is told to it.
//!
//! A server is left out while it is *ejected*, after three failures in a row and for a time that doubles, and while it is
//! *unwell*, after two failed health checks in a row. Ejection is a guess from what requests met with, so it never refuses a
//! request; health checks are what the operator asked for, so they do. What ends an ejection is an answer that shows that the server
//! is there again: to the trial, or over a connection that was made since. One that was still at work before shows nothing.

use std::time::Duration;
use tokio::time::Instant;

/// Failures in a row until a server is ejected.
const FAILURES: u32 = 3;
/// Failed health checks in a row until a server counts as down.
const FAILED_CHECKS: u32 = 2;
const FIRST_EJECTION: Duration = Duration::from_secs(1);
const LONGEST_EJECTION: Duration = Duration::from_secs(60);
/// After this long without a try nothing is known any more.
const FORGOTTEN_AFTER: Duration = LONGEST_EJECTION;

/// Every server of a bot, and what is known of it. A server is named by its position.
#[derive(Debug)]
pub(super) struct Roster {
    servers: Vec<Server>,
    /// Who comes first among equals.
    turn: usize,
}

#[derive(Debug, Default)]
struct Server {
    in_flight: usize,
    row: Option<Row>,
    ejection: Option<Ejection>,
    failed_checks: u32,
    is_unwell: bool,
}

/// Failures without a success between them.
#[derive(Clone, Copy, Debug)]
struct Row {
    count: u32,
    first: Instant,
    last: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Ejection {
    since: Instant,
    until: Instant,
    lasts: Duration,
    /// The one request that finds out whether it is over is on its way.
    is_on_trial: bool,
}

/// A request's place on a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) position: usize,
    /// When the ejection began of which this request finds out whether it is over.
    trial_of: Option<Instant>,
}

/// What a change of a server's state is to those who watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It gets requests again.
    Up,
    /// It gets none, unless nobody else can.
    Down,
}

/// Why there is no server for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nobody {
    /// All fail their health checks.
    IsWell,
    /// All that could were tried.
    IsLeft,
}

impl Roster {
    pub(super) fn new(servers: usize) -> Self {
        Self {
            servers: std::iter::repeat_with(Server::default)
                .take(servers)
                .collect(),
            turn: 0,
        }
    }

    /// The servers of other settings: each as that one of these stands whose position is given, if it is the same server.
    pub(super) fn renewed(&self, same: &[Option<usize>], are_checked_alike: bool) -> Self {
        let server = |same: &Option<usize>| {
            let old = same.and_then(|position| self.servers.get(position));
            old.map(|old| old.renewed(are_checked_alike))
                .unwrap_or_default()
        };
        Self {
            servers: same.iter().map(server).collect(),
            turn: 0,
        }
    }

    /// Whether a server gets requests while others do.
    pub(super) fn is_up(&self, position: usize) -> bool {
        self.servers.get(position).is_some_and(Server::is_up)
    }

    /// The server for a request, which is in flight there from now on: the one with the fewest, in turn among equals. When all
    /// are ejected, the one whose time is over first. `tried` are those that the request was at already.
    pub(super) fn choose(&mut self, tried: &[usize], now: Instant) -> Result<Place, Nobody> {
        if self.servers.iter().all(|server| server.is_unwell) {
            return Err(Nobody::IsWell);
        }
        let turn = self.turn;
        let after_turn = |position: usize| (position < turn, position);
        let candidates = || {
            let servers = self.servers.iter().enumerate();
            servers.filter(|(position, server)| !server.is_unwell && !tried.contains(position))
        };
        let chosen = candidates()
            .filter(|(_, server)| server.may_serve(now))
            .min_by_key(|(position, server)| (server.in_flight, after_turn(*position)))
            .or_else(|| {
                candidates()
                    .min_by_key(|(_, server)| server.ejection.map(|ejection| ejection.until))
            })
            .map(|(position, _)| position)
            .ok_or(Nobody::IsLeft)?;
        self.turn = chosen.saturating_add(1);
        let mut place = Place {
            position: chosen,
            trial_of: None,
        };
        if let Some(server) = self.servers.get_mut(chosen) {
            server.in_flight = server.in_flight.saturating_add(1);
            if let Some(ejection) = &mut server.ejection {
                ejection.is_on_trial = true;
                place.trial_of = Some(ejection.since);
            }
        }
        Ok(place)
    }

    /// A request is no longer in flight, whatever came of it.
    pub(super) fn left(&mut self, place: Place) {
        if let Some(server) = self.servers.get_mut(place.position) {
            server.in_flight = server.in_flight.saturating_sub(1);
            if let Some(ejection) = &mut server.ejection
                && place.trial_of == Some(ejection.since)
            {
                ejection.is_on_trial = false;
            }
        }
    }

    /// A request was answered as HTTP wants it, with whatever status, over a connection that began to be made then.
    pub(super) fn succeeded(&mut self, place: Place, made: Option<Instant>) -> Option<Change> {
        self.changed(place.position, |server| {
            let shows_nothing = server.ejection.is_some_and(|ejection| {
                let is_trial = place.trial_of == Some(ejection.since);
                !is_trial && made.is_none_or(|made| made < ejection.since)
            });
            if !shows_nothing {
                server.row = None;
                server.ejection = None;
            }
        })
    }

    /// No connection, a broken answer, or none in time.
    pub(super) fn failed(&mut self, position: usize, now: Instant) -> Option<Change> {
        self.changed(position, |server| server.failed(now))
    }

    /// A health check ended.
    pub(super) fn checked(&mut self, position: usize, is_well: bool) -> Option<Change> {
        self.changed(position, |server| {
            if is_well {
                server.failed_checks = 0;
                server.is_unwell = false;
            } else {
                server.failed_checks = server.failed_checks.saturating_add(1);
                server.is_unwell |= server.failed_checks >= FAILED_CHECKS;
            }
        })
    }

    /// Whether every server has been failing for at least `this_long`: then it is no moment's restart that is worth waiting for.
    pub(super) fn have_all_failed_for(&self, this_long: Duration, now: Instant) -> bool {
        self.servers
            .iter()
            .all(|server| server.is_unwell || server.has_failed_for(this_long, now))
    }

    /// Whether every server fails its health checks.
    pub(super) fn are_all_unwell(&self) -> bool {
        self.servers.iter().all(|server| server.is_unwell)
    }

    fn changed(&mut self, position: usize, what: impl FnOnce(&mut Server)) -> Option<Change> {
        let server = self.servers.get_mut(position)?;
        let before = server.is_up();
        what(server);
        match (before, server.is_up()) {
            (true, false) => Some(Change::Down),
            (false, true) => Some(Change::Up),
            (true, true) | (false, false) => None,
        }
    }
}

impl Server {
    /// Without the requests that are in flight: they leave where they entered. What a health check said holds only where the next
    /// one asks the same.
    fn renewed(&self, is_checked_alike: bool) -> Self {
        Self {
            in_flight: 0,
            row: self.row,
            ejection: self.ejection.map(|ejection| Ejection {
                is_on_trial: false,
                ..ejection
            }),
            failed_checks: if is_checked_alike {
                self.failed_checks
            } else {
                0
            },
            is_unwell: self.is_unwell && is_checked_alike,
        }
    }

    const fn is_up(&self) -> bool {
        self.ejection.is_none() && !self.is_unwell
    }

    /// Not ejected, or due for its one trial.
    fn may_serve(&self, now: Instant) -> bool {
        self.ejection
            .is_none_or(|ejection| ejection.until <= now && !ejection.is_on_trial)
    }

    fn failed(&mut self, now: Instant) {
        let row = match self.row {
            Some(row) if !row.is_forgotten(now) || self.ejection.is_some() => Row {
                count: row.count.saturating_add(1),
                last: now,
                ..row
            },
            Some(_) | None => Row {
                count: 1,
                first: now,
                last: now,
            },
        };
        self.row = Some(row);
        self.ejection = match self.ejection {
            // Those that were on their way when it was ejected say nothing new.
            Some(ejection) if now < ejection.until => Some(ejection),
            Some(ejection) => {
                let lasts = ejection.lasts.saturating_mul(2).min(LONGEST_EJECTION);
                Some(Ejection::new(lasts, now))
            }
            None if row.count >= FAILURES => Some(Ejection::new(FIRST_EJECTION, now)),
            None => None,
        };
    }

    fn has_failed_for(&self, this_long: Duration, now: Instant) -> bool {
        self.row.is_some_and(|row| {
            !row.is_forgotten(now) && now.saturating_duration_since(row.first) >= this_long
        })
    }
}

impl Row {
    fn is_forgotten(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) > FORGOTTEN_AFTER
    }
}

impl Ejection {
    fn new(lasts: Duration, now: Instant) -> Self {
        Self {
            since: now,
            until: now.checked_add(lasts).unwrap_or(now),
            lasts,
            is_on_trial: false,
        }
    }
}

#[cfg(test)]
mod tests;
