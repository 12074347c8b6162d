//! The bots behind the gateway. Forwards what was admitted, and nothing else.

mod answer;
mod failure;
mod fleet;
mod forward;
mod outgoing;
mod probe;
mod roster;
mod target;

pub use answer::{Answer, READ_AHEAD};
pub use forward::is_event_stream;
pub use outgoing::Sent;

use crate::config::{Bot, Settings};
use crate::judge::{Admitted, Reason, Rejection};
use crate::net::client::ClientProblem;
use crate::observe::Observer;
use fleet::Fleet;
use http::{HeaderMap, Response};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The backends of all bots, with their connection pools.
#[derive(Debug)]
pub struct Upstreams {
    fleets: Vec<Arc<Fleet>>,
}

impl Upstreams {
    /// Makes a pool per backend; connects to nothing yet.
    ///
    /// # Errors
    /// When the TLS settings of a backend cannot be used; names the bot.
    pub fn new(settings: &Settings, observer: &Arc<Observer>) -> Result<Self, ClientProblem> {
        let fleet = |bot: &Arc<Bot>| {
            let fleet = Fleet::new(bot, observer);
            let fleet =
                fleet.map_err(|problem| ClientProblem(format!("bot {:?}: {problem}", bot.name)))?;
            Ok(Arc::new(fleet))
        };
        Ok(Self {
            fleets: settings
                .bots
                .iter()
                .map(fleet)
                .collect::<Result<_, ClientProblem>>()?,
        })
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
        admitted: Admitted,
        headers: HeaderMap,
        query: Option<&str>,
        sent: &Sent,
        ahead: usize,
    ) -> Result<Response<Answer>, Rejection> {
        match self.fleets.get(bot.index) {
            Some(fleet) => fleet.forward(&admitted, &headers, query, sent, ahead).await,
            None => Err(Reason::UpstreamUnreachable.into()),
        }
    }

    /// The names of the bots of which every backend fails its health check.
    pub fn unhealthy(&self) -> impl Iterator<Item = &str> {
        let fleets = self.fleets.iter().filter(|fleet| fleet.are_all_unwell());
        fleets.map(|fleet| fleet.bot.name.as_str())
    }

    /// What asks the backends how they are, for bots that have `health.path`; each runs until `stop`.
    pub fn probes(
        &self,
        stop: &CancellationToken,
    ) -> Vec<impl Future<Output = ()> + Send + 'static + use<>> {
        self.fleets
            .iter()
            .flat_map(|fleet| probe::probes(fleet, stop))
            .collect()
    }
}
