//! The connections to one server of a bot that rest until the next request, and those that take several at once.
//!
//! A bot that ends takes no more connections, and ends with the last one it has: so nothing is kept of what it had, whether it
//! rests here or is on its way back, once it is known that nobody listens. Such an end begins another *generation*.
//!
//! While as many connections are there as are needed, none is made, and nobody would learn that: so now and then one is not kept
//! although it could be.

use super::lane::{Lane, Ride};
use super::link::Link;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Node and several Python servers close an idle connection after 5 s; leaving first avoids sending a request into a closing one.
const IDLE: Duration = Duration::from_secs(4);
const MOST_IDLE: usize = 256;
/// How old a connection has to be to be closed for the sake of a new one. What ends bots gives them 10 s mostly.
const OLD: Duration = Duration::from_secs(4);

/// See the module. The connection that was used last is used next, so that those which a peak has left over end soon.
#[derive(Debug, Default)]
pub(super) struct Pool(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    resting: Vec<Resting>,
    lanes: Vec<Arc<Lane>>,
    generation: Generation,
    /// The next old connection that comes back is closed, so that another one is made.
    renews_one: bool,
}

/// Counts how often the server was known to have gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Generation(u64);

/// When a connection began to be made, and what it belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Made {
    pub(super) generation: Generation,
    pub(super) at: Instant,
}

#[derive(Debug)]
struct Resting {
    since: Instant,
    link: Box<Link>,
}

impl Pool {
    /// A connection that rests, if there is one.
    pub(super) fn take(&self, now: Instant) -> Option<Box<Link>> {
        let resting = self.kept().resting.pop()?;
        if now.saturating_duration_since(resting.since) >= IDLE {
            // All others rest for longer.
            self.clear();
            return None;
        }
        Some(resting.link)
    }

    /// Keeps a connection for the next request, unless it is of an older generation.
    pub(super) fn put(&self, link: Box<Link>) {
        let since = Instant::now();
        let made = link.made();
        let mut kept = self.kept();
        if kept.renews_one && since.saturating_duration_since(made.at) >= OLD {
            kept.renews_one = false;
            drop(kept);
            return;
        }
        if kept.resting.len() < MOST_IDLE && made.generation == kept.generation {
            kept.resting.push(Resting { since, link });
        }
    }

    /// A place on a connection over which HTTP/2 is spoken, if there is one.
    pub(super) fn ride(&self) -> Option<Ride> {
        let mut kept = self.kept();
        // Those that go have nothing to do here, and end with the last request on them.
        kept.lanes.retain(|lane| !lane.is_closed());
        kept.lanes.iter().find_map(Lane::ride)
    }

    /// Keeps a connection over which HTTP/2 is spoken, unless it is of an older generation.
    pub(super) fn share(&self, lane: &Arc<Lane>) {
        let mut kept = self.kept();
        if lane.made().generation == kept.generation {
            kept.lanes.push(Arc::clone(lane));
        }
    }

    /// What a connection that is made from now on belongs to.
    pub(super) fn making(&self) -> Made {
        let generation = self.kept().generation;
        let at = Instant::now();
        Made { generation, at }
    }

    /// Nobody listens there, or the server is left out: what there is of connections ends, now or with the request that is on it.
    pub(super) fn retire(&self) {
        let mut kept = self.kept();
        let next = kept.generation.0.wrapping_add(1);
        kept.generation = Generation(next);
        let all = (
            std::mem::take(&mut kept.resting),
            std::mem::take(&mut kept.lanes),
        );
        drop(kept);
        drop(all);
    }

    /// Closes the connections that have rested for long, and lets one of those at work be made anew. To be called every second or so.
    pub(super) fn sweep(&self) {
        let old = {
            let mut kept = self.kept();
            kept.renews_one = true;
            let resting = &mut kept.resting;
            let young = resting.partition_point(|one| one.since.elapsed() >= IDLE);
            let old: Vec<_> = resting.drain(..young).collect();
            if resting.is_empty() {
                *resting = Vec::new();
            }
            // Not every bot that ends says GOAWAY.
            let old_lane = kept
                .lanes
                .iter()
                .find(|lane| !lane.is_closed() && lane.made().at.elapsed() >= OLD);
            old_lane.inspect(|lane| lane.close());
            let has_gone = |lane: &Arc<Lane>| lane.is_closed() || lane.has_rested_for(IDLE);
            let gone: Vec<_> = kept.lanes.extract_if(.., |lane| has_gone(lane)).collect();
            (old, gone)
        };
        drop(old);
    }

    /// Closes all of them: one turned out to have been closed by the bot, which then has most likely closed the others, too.
    pub(super) fn clear(&self) {
        let all = std::mem::take(&mut self.kept().resting);
        drop(all);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Poison only says that another thread panicked; a list of connections has no broken state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::line::Line;
    use tokio::io::duplex;
    use tokio::time::advance;

    fn link(pool: &Pool) -> Box<Link> {
        let (ours, _) = duplex(1);
        Box::new(Link::new(Line::new(ours), pool.making()))
    }

    #[tokio::test(start_paused = true)]
    async fn of_those_at_work_one_that_is_old_is_made_anew_after_each_sweep() {
        let pool = Pool::default();
        let mut links: Vec<_> = (0..3).map(|_| link(&pool)).collect();
        let comes_back = |link: Box<Link>| {
            pool.put(link);
            pool.take(Instant::now())
        };
        for (waited, kept) in [(0, 3), (3, 3), (1, 2), (1, 1), (1, 0)] {
            advance(Duration::from_secs(waited)).await;
            pool.sweep();
            links = links.into_iter().filter_map(comes_back).collect();
            assert_eq!(links.len(), kept, "{waited}");
        }
        // A young one stays.
        pool.sweep();
        assert!(comes_back(link(&pool)).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_belongs_to_a_server_that_has_gone_does_not_come_back() {
        let pool = Pool::default();
        let [resting, at_work] = [(); 2].map(|()| link(&pool));
        pool.put(resting);
        pool.retire();
        assert!(pool.take(Instant::now()).is_none());
        pool.put(at_work);
        assert!(pool.take(Instant::now()).is_none());
        pool.put(link(&pool));
        assert!(pool.take(Instant::now()).is_some());
    }
}
