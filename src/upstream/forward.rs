//! Sends an admitted request to a server of its bot, and to another one where nothing was sent.

use super::answer::{Answer, Kind};
use super::failure::{Failure, Stage};
use super::fleet::{Fleet, Lease};
use super::from_bot::FromBot;
use super::head::RequestHead;
use super::roster::Nobody;
use super::sent::Sent;
use super::target::{Target, Way};
use crate::judge::{Admitted, Content, Reason, Rejection};
use crate::net::fields::Fields;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Response};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Between two tries to connect to a bot that restarts.
const PAUSE: Duration = Duration::from_millis(150);
/// Connections in a row that may turn out to be closed already, as all that a restarted bot had.
const MOST_STALE: usize = 8;

/// What is sent, as often as it must be.
struct Message<'a> {
    method: Method,
    /// Of a skill's callback; an activity goes to the backend's own path.
    path: Option<&'a str>,
    query: Option<&'a str>,
    fields: &'a Fields,
    body: &'a Bytes,
    sent: &'a Sent,
}

/// The tries of one request so far.
#[derive(Default)]
struct Tries {
    /// Servers of this round.
    round: Vec<usize>,
    /// Servers whose failure was told to the roster: one request tells it once, however often it tries.
    told: Vec<usize>,
    stale: usize,
    last: Option<Failure>,
}

impl Fleet {
    pub(super) async fn forward(
        self: &Arc<Self>,
        admitted: &Admitted,
        fields: &Fields,
        query: Option<&str>,
        sent: &Sent,
        ahead: usize,
    ) -> Result<Response<Answer>, Rejection> {
        let (method, path, is_streamed) = match admitted.content() {
            Content::Activity(activity) => {
                let is_streamed = activity.delivery_mode() == Some("stream");
                (Method::POST, None, is_streamed)
            }
            Content::Callback(callback) => {
                (callback.method.clone(), Some(callback.path.as_str()), false)
            }
        };
        let message = Message {
            method,
            path,
            query,
            fields,
            body: admitted.body(),
            sent,
        };
        let (response, lease) = self.deliver(&message).await?;
        self.receive(response, lease, is_streamed, sent, ahead)
            .await
    }

    /// Tries one server after the other, and then those that refused a connection again, for as long as a connection may take:
    /// so a restart costs nothing. Once anything was sent there is no second try: a POST may have been handled although its
    /// answer was lost.
    async fn deliver(
        self: &Arc<Self>,
        message: &Message<'_>,
    ) -> Result<(Response<FromBot>, Lease), Rejection> {
        let patience = self.bot.backend.connect_timeout;
        let started = Instant::now();
        let is_worth_waiting = !self.have_all_failed_for(patience, started);
        let mut tries = Tries::default();
        let mut now = started;
        loop {
            match self.choose(&tries.round, now) {
                Ok((target, mut lease)) => {
                    message.sent.goes_to(lease.position());
                    match self.try_once(target, message, &mut lease, now).await {
                        Ok(response) => return Ok((response, lease)),
                        Err(failure) => tries.note(failure, &lease, message.sent)?,
                    }
                }
                Err(Nobody::IsWell) => return Err(tries.give_up(|| self.unhealthy())),
                Err(Nobody::IsLeft) => {
                    let is_restart = tries.last_was(Stage::Refused);
                    if !(is_restart && is_worth_waiting && started.elapsed() < patience) {
                        return Err(tries.give_up(|| self.unhealthy()));
                    }
                    sleep(PAUSE).await;
                    tries.round.clear();
                }
            }
            now = Instant::now();
        }
    }

    /// Sends it once and waits for the head of the answer.
    async fn try_once(
        &self,
        target: &Target,
        message: &Message<'_>,
        lease: &mut Lease,
        now: Instant,
    ) -> Result<Response<FromBot>, Failure> {
        let way = target.connect(now).await?;
        lease.goes_over(way.made().at);
        let request_target = target.target(message.path, message.query);
        let head = RequestHead {
            method: &message.method,
            target: &request_target,
            host: &target.host,
            fields: message.fields,
        };
        let within = self.bot.backend.response_timeout;
        let (body, sent) = (message.body.clone(), message.sent.clone());
        let mut link = match way {
            Way::Link(link) => link,
            Way::Lane(ride) => {
                // Boxed, so that requests over HTTP/1.1 carry no room for it.
                let answer = Box::pin(ride.ask(head, body, sent, within)).await;
                let answer = answer.map_err(|error| Failure::from(&error))?;
                return Ok(answer.map(|body| FromBot::of_lane(body, Arc::clone(&target.pool))));
            }
        };
        match link.ask(head, body, sent, within).await {
            Ok(response) => Ok(response.map(|()| FromBot::of_link(link, Arc::clone(&target.pool)))),
            Err(error) => {
                let failure = Failure::from(&error);
                if failure.stage == Stage::NothingSent {
                    target.pool.clear();
                }
                Err(failure)
            }
        }
    }

    /// Makes the client's answer of the bot's. What is wrong with the head of one never comes here: see [`crate::net::wire`].
    async fn receive(
        &self,
        response: Response<FromBot>,
        lease: Lease,
        is_streamed: bool,
        sent: &Sent,
        ahead: usize,
    ) -> Result<Response<Answer>, Rejection> {
        let (head, body) = response.into_parts();
        let kind = if is_streamed || is_event_stream(&head.headers) {
            Kind::Stream
        } else {
            Kind::Document {
                within: self.bot.backend.response_timeout,
                sent,
            }
        };
        let answer = Answer::receive(body, kind, lease, ahead).await?;
        Ok(Response::from_parts(head, answer))
    }

    fn unhealthy(&self) -> Rejection {
        let every = self.bot.backend.health.as_ref().map(|health| health.every);
        Rejection::from(Reason::UpstreamUnhealthy)
            .noting("every backend fails its health check")
            .retry_after(every.unwrap_or_default())
    }
}

impl Tries {
    /// What comes next after a failure.
    ///
    /// # Errors
    /// When nothing may.
    fn note(&mut self, failure: Failure, lease: &Lease, sent: &Sent) -> Result<(), Rejection> {
        let position = lease.position();
        let is_stale = failure.stage == Stage::NothingSent && self.stale < MOST_STALE;
        if !is_stale && !self.told.contains(&position) {
            lease.failed(&failure.rejection);
            self.told.push(position);
        }
        match failure.stage {
            Stage::Sent => return Err(failure.rejection),
            Stage::NothingSent if is_stale => self.stale = self.stale.saturating_add(1),
            Stage::Refused | Stage::NotConnected | Stage::NothingSent => self.round.push(position),
        }
        sent.clear();
        self.last = Some(failure);
        Ok(())
    }

    fn last_was(&self, stage: Stage) -> bool {
        self.last
            .as_ref()
            .is_some_and(|failure| failure.stage == stage)
    }

    fn give_up(self, otherwise: impl FnOnce() -> Rejection) -> Rejection {
        self.last
            .map_or_else(otherwise, |failure| failure.rejection)
    }
}

/// Whether an answer is a stream of events, which comes piece by piece and has no end that is to be waited for.
pub fn is_event_stream(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| {
        let media = value
            .as_bytes()
            .split(|b| *b == b';')
            .next()
            .unwrap_or_default();
        media
            .trim_ascii()
            .eq_ignore_ascii_case(b"text/event-stream")
    })
}
