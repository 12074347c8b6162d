//! The bots behind the gateway. Forwards what was admitted, and nothing else.

mod answer;
mod failure;
mod fleet;
mod forward;
mod from_bot;
mod head;
mod lane;
mod link;
mod pieces;
mod pool;
mod probe;
mod roster;
mod sent;
mod target;
mod told;

pub use answer::{Answer, READ_AHEAD};
pub use forward::is_event_stream;
pub use sent::Sent;

use crate::config::{Bot, Settings};
use crate::judge::{Admitted, Reason, Rejection};
use crate::net::client::ClientProblem;
use crate::net::fields::Fields;
use crate::net::tended::Tended;
use crate::observe::Observer;
use fleet::Fleet;
use http::Response;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The backends of all bots, with their connection pools.
#[derive(Debug)]
pub struct Upstreams {
    /// By the position of the bot.
    fleets: Vec<Arc<Tended<Fleet>>>,
}

impl Upstreams {
    /// Makes a pool per backend; connects to nothing yet.
    ///
    /// # Errors
    /// When the TLS settings of a backend cannot be used; names the bot.
    pub fn new(settings: &Settings, observer: &Arc<Observer>) -> Result<Self, ClientProblem> {
        let fleet = |bot: &Arc<Bot>| Fleet::new(bot, observer).map(Tended::new);
        Self::of(settings, fleet)
    }

    /// The backends of other settings. Where a backend is as before, its pool goes on as it is.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn renewed(
        &self,
        settings: &Settings,
        observer: &Arc<Observer>,
    ) -> Result<Self, ClientProblem> {
        let fleet = |bot: &Arc<Bot>| {
            let mut fleets = self.fleets.iter();
            match fleets.find(|fleet| fleet.bot.name == bot.name) {
                Some(fleet) if fleet.bot.backend == bot.backend => Ok(Arc::clone(fleet)),
                Some(fleet) => fleet.renewed(bot).map(Tended::new),
                None => Fleet::new(bot, observer).map(Tended::new),
            }
        };
        Self::of(settings, fleet)
    }

    fn of(
        settings: &Settings,
        fleet: impl Fn(&Arc<Bot>) -> Result<Arc<Tended<Fleet>>, ClientProblem>,
    ) -> Result<Self, ClientProblem> {
        let fleets = settings.bots.iter().map(|bot| {
            fleet(bot).map_err(|problem| ClientProblem(format!("bot {:?}: {problem}", bot.name)))
        });
        Ok(Self {
            fleets: fleets.collect::<Result<_, ClientProblem>>()?,
        })
    }

    /// Speaks for the backends from now on, in place of those `before`: what is still in flight there tells nothing any more.
    pub fn take_over(&self, before: &Self) {
        for fleet in &before.fleets {
            if !self.fleets.iter().any(|kept| Arc::ptr_eq(kept, fleet)) {
                fleet.retire();
            }
        }
        self.fleets.iter().for_each(|fleet| fleet.introduce());
    }

    /// Sends an admitted activity to the bot and waits for the head of its answer, and for the rest if that is short; `sent`
    /// tells how far the request has come, `ahead` how many bytes are short.
    ///
    /// # Errors
    /// [`Reason::UpstreamUnreachable`], [`Reason::UpstreamBroken`], [`Reason::UpstreamTimedOut`],
    /// [`Reason::UpstreamUnhealthy`].
    ///
    /// # Cancel safety
    /// Dropping it closes the connection to the bot.
    pub async fn forward(
        &self,
        bot: &Bot,
        admitted: Box<Admitted>,
        fields: Fields,
        query: Option<&str>,
        sent: &Sent,
        ahead: usize,
    ) -> Result<Response<Answer>, Rejection> {
        match self.fleets.get(bot.index) {
            Some(fleet) => fleet.forward(&admitted, &fields, query, sent, ahead).await,
            None => Err(Reason::UpstreamUnreachable.into()),
        }
    }

    /// Closes connections that have rested for long, and tells what it was too early for. To be called every second or so.
    pub fn sweep(&self) {
        self.fleets.iter().for_each(|fleet| fleet.sweep());
    }

    /// The names of the bots of which every backend fails its health check.
    pub fn unhealthy(&self) -> impl Iterator<Item = &str> {
        let fleets = self.fleets.iter().filter(|fleet| fleet.are_all_unwell());
        fleets.map(|fleet| fleet.bot.name.as_str())
    }

    /// What asks the backends how they are, for bots that have `health.path`, as far as nobody asks yet; each runs until `stop`, or
    /// until nobody holds the backends any more.
    pub fn probes(
        &self,
        stop: &CancellationToken,
    ) -> Vec<impl Future<Output = ()> + Send + 'static + use<>> {
        self.fleets
            .iter()
            .filter_map(|fleet| fleet.begin())
            .flat_map(|(fleet, ends)| probe::probes(&fleet, &[stop, &ends]))
            .collect()
    }
}
