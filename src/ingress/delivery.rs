//! Hands an admitted request to its bot, and waits for what the client is to be told.

use super::Ingress;
use super::redelivery::Claim;
use super::repeat::acknowledged;
use super::work::Work;
use crate::config::Bot;
use crate::judge::{Admitted, Content, Reason, Rejection};
use crate::limit::Slot;
use crate::net::clock;
use crate::net::fields::Fields;
use crate::observe::{BackendSpan, Watch};
use crate::upstream::{Answer, READ_AHEAD, Sent};
use http::{Method, Response};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Channels give up after 10 to 15 s (AUTHENTICATION 5.5): a bot this slow is worth a line of its own.
const SLOW: Duration = Duration::from_secs(10);

/// A request on its way to the bot.
pub(super) struct Delivery<'a> {
    pub(super) bot: &'a Arc<Bot>,
    pub(super) admitted: Box<Admitted>,
    pub(super) fields: Fields,
    pub(super) query: Option<&'a str>,
    /// The place at the bot, held until it is done.
    pub(super) slot: Arc<Slot>,
    /// For those who send the same while the bot is at work.
    pub(super) claim: Option<Claim>,
    pub(super) span: BackendSpan,
}

impl Ingress {
    /// What the bot answers; or 202, where it has the request and is slow, and the client need not wait for more.
    pub(super) async fn deliver(
        &self,
        delivery: Delivery<'_>,
        watch: &mut Watch,
    ) -> Result<Response<Answer>, Rejection> {
        let (bot, asked) = (delivery.bot, Instant::now());
        let answer = if delivery.claim.is_some() || acknowledge_after(&delivery).is_some() {
            Box::pin(self.have_done(delivery, watch)).await
        } else {
            self.ask(delivery).await
        };
        let waited = asked.elapsed();
        watch.line_mut().upstream = Some(waited);
        if waited > SLOW {
            let (request_id, seconds) = (watch.line().request_id(), waited.as_secs());
            tracing::warn!(
                event = "backend_slow",
                bot = bot.name,
                request_id,
                seconds,
                "the bot was slower than channels wait"
            );
        }
        answer
    }

    /// As long as the client waits, and no longer.
    async fn ask(&self, delivery: Delivery<'_>) -> Result<Response<Answer>, Rejection> {
        let Delivery {
            bot,
            admitted,
            fields,
            query,
            slot: _slot,
            claim: _,
            span,
        } = delivery;
        let sent = Sent::default();
        let method = method(&admitted);
        let outcome = self
            .upstreams
            .forward(bot, admitted, fields, query, &sent, READ_AHEAD)
            .await;
        end(span, bot, &method, &sent, &outcome);
        outcome
    }

    /// In a task of its own, that goes on when the client does not wait.
    async fn have_done(
        &self,
        delivery: Delivery<'_>,
        watch: &mut Watch,
    ) -> Result<Response<Answer>, Rejection> {
        let acknowledge_after = acknowledge_after(&delivery);
        let work = Work {
            upstreams: Arc::clone(&self.upstreams),
            observer: Arc::clone(&self.observer),
            bot: Arc::clone(delivery.bot),
            request_id: watch.line().request_id().to_owned(),
            arrived: watch.started(),
            acknowledge_at: acknowledge_after
                .map(|after| clock::deadline(after.saturating_sub(watch.elapsed()))),
            claim: delivery.claim,
            admitted: delivery.admitted,
            fields: delivery.fields,
            query: delivery.query.map(str::to_owned),
            slot: delivery.slot,
            span: delivery.span,
        };
        let (tell, told) = oneshot::channel();
        self.work.spawn(work.run(tell));
        match told.await {
            Ok(Ok(Some(answer))) => Ok(answer),
            Ok(Ok(None)) => Ok(acknowledged(watch)),
            Ok(Err(rejection)) => Err(rejection),
            Err(_) => Err(Rejection::from(Reason::UpstreamBroken).noting("the work was cut off")),
        }
    }
}

/// What the bot is asked with.
pub(super) fn method(admitted: &Admitted) -> Method {
    match admitted.content() {
        Content::Activity(_) => Method::POST,
        Content::Callback(callback) => callback.method.clone(),
    }
}

/// Ends the span of a call as the call ended.
pub(super) fn end(
    span: BackendSpan,
    bot: &Bot,
    method: &Method,
    sent: &Sent,
    outcome: &Result<Response<Answer>, Rejection>,
) {
    let server = sent.server();
    let server = server.and_then(|position| bot.backend.endpoints.get(position));
    span.end(method, server, outcome.as_ref().map(Response::status));
}

/// When the client is told 202, where it may be.
fn acknowledge_after(delivery: &Delivery<'_>) -> Option<Duration> {
    match delivery.admitted.content() {
        Content::Activity(activity) if activity.is_one_way() => {
            delivery.bot.backend.acknowledge_after
        }
        Content::Activity(_) | Content::Callback(_) => None,
    }
}
