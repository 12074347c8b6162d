//! A bot's work on one request, in a task of its own: neither a client that leaves nor an early 202 cuts it off.

use super::delivery;
use super::redelivery::Claim;
use super::remembered::WHOLE_BYTES;
use crate::config::Bot;
use crate::judge::{Admitted, Content, Reason, Rejection};
use crate::limit::Slot;
use crate::net::fields::Fields;
use crate::observe::{BackendSpan, Ending, Observer};
use crate::upstream::{Answer, Sent, Upstreams};
use http::{Response, StatusCode};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};

/// How long a bot may work on what was acknowledged, in all: nobody waits for it any more, but nothing is for ever.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// What the client is told: what the bot says, or nothing but that the bot has it.
pub(super) type Word = Result<Option<Response<Answer>>, Rejection>;

type Outcome = Result<Response<Answer>, Rejection>;

/// What a bot is to work on.
pub(super) struct Work {
    pub(super) upstreams: Arc<Upstreams>,
    pub(super) observer: Arc<Observer>,
    pub(super) bot: Arc<Bot>,
    pub(super) request_id: String,
    pub(super) arrived: Instant,
    /// When the client is told 202, if the bot has taken all of it and not answered.
    pub(super) acknowledge_at: Option<Instant>,
    /// For those who send the same meanwhile.
    pub(super) claim: Option<Claim>,
    pub(super) admitted: Box<Admitted>,
    pub(super) fields: Fields,
    pub(super) query: Option<String>,
    /// The place at the bot, held until it is done: also after its client was told 202, or left.
    pub(super) slot: Arc<Slot>,
    pub(super) span: BackendSpan,
}

impl Work {
    /// Has it done, and tells `client` once.
    pub(super) async fn run(self, client: oneshot::Sender<Word>) {
        let _held = self.slot;
        let sent = Sent::default();
        let later = |event| Later {
            event,
            observer: Arc::clone(&self.observer),
            bot: Arc::clone(&self.bot),
            request_id: self.request_id.clone(),
            arrived: self.arrived,
            is_told: false,
        };
        let is_invoke = is_invoke(&self.admitted);
        let method = delivery::method(&self.admitted);
        let end = |claim: Option<Claim>, outcome: &Outcome| {
            if let Some(claim) = claim {
                claim.end(outcome.as_ref(), is_invoke);
            }
        };
        let (upstreams, bot, query) = (&self.upstreams, &self.bot, self.query.as_deref());
        // More is read ahead than where the client waits, so that one that leaves in the middle of an answer does not cut it off.
        let answering =
            upstreams.forward(bot, self.admitted, self.fields, query, &sent, WHOLE_BYTES);
        let span = self.span;
        let answering = async {
            let outcome = answering.await;
            delivery::end(span, bot, &method, &sent, &outcome);
            outcome
        };
        let mut answering = std::pin::pin!(answering);
        let in_time = tokio::select! {
            biased;
            outcome = answering.as_mut() => Some(outcome),
            () = mark(self.acknowledge_at, &sent) => None,
        };
        if let Some(outcome) = in_time {
            end(self.claim, &outcome);
            match client.send(outcome.map(Some)) {
                Ok(()) | Err(Ok(None)) => {}
                Err(Ok(Some(response))) => later("abandoned_done").tell(Ok(response)).await,
                Err(Err(rejection)) => later("abandoned_done").tell(Err(rejection)).await,
            }
            return;
        }
        sent.allow(PATIENCE);
        if let Some(claim) = &self.claim {
            claim.acknowledge();
        }
        let later = later("acknowledged_done");
        self.observer.metrics().acknowledged(&self.bot.name);
        // A client that left by now is told nothing; its bot is as undisturbed.
        let _ = client.send(Ok(None));
        let outcome = answering.await;
        end(self.claim, &outcome);
        later.tell(outcome).await;
    }
}

fn is_invoke(admitted: &Admitted) -> bool {
    match admitted.content() {
        Content::Activity(activity) => activity.is_invoke(),
        Content::Callback(_) => false,
    }
}

/// When the client is told 202: not before the bot has taken the request, and for some requests never.
async fn mark(at: Option<Instant>, sent: &Sent) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
    sent.completed().await;
}

/// What is to be told of work that nobody waits for any more. Answer once, also when the work is cut off.
struct Later {
    event: &'static str,
    observer: Arc<Observer>,
    bot: Arc<Bot>,
    request_id: String,
    arrived: Instant,
    is_told: bool,
}

impl Later {
    /// Reads the answer to its end, for which nobody is left but the log.
    async fn tell(mut self, outcome: Outcome) {
        let outcome = match outcome {
            Err(rejection) => Err(rejection),
            Ok(response) => {
                let status = response.status();
                let left = PATIENCE.saturating_sub(self.arrived.elapsed());
                match timeout(left, response.into_body().discard()).await {
                    Ok(read) => read.map(|()| status),
                    Err(_) => Err(Rejection::from(Reason::UpstreamTimedOut)
                        .noting(format!("the answer did not end within {PATIENCE:?}"))),
                }
            }
        };
        self.write(Ending::of(&outcome), &outcome);
    }

    fn write(&mut self, ending: Ending, outcome: &Result<StatusCode, Rejection>) {
        self.is_told = true;
        if self.event == "acknowledged_done" {
            let metrics = self.observer.metrics();
            metrics.acknowledged_ended(&self.bot.name, ending);
        }
        let status = outcome.as_ref().ok().map(StatusCode::as_u16);
        let rejection = outcome.as_ref().err();
        macro_rules! write {
            ($level:ident) => {
                tracing::$level!(
                    event = self.event,
                    outcome = ending.word(),
                    status,
                    reason = rejection.map(|rejection| rejection.reason().code()),
                    note = rejection.and_then(Rejection::note),
                    bot = self.bot.name,
                    request_id = self.request_id,
                    seconds = rounded(self.arrived.elapsed()),
                    "the bot is done with what its client did not wait for"
                )
            };
        }
        match ending {
            Ending::Answered => write!(info),
            Ending::Failed | Ending::Broken | Ending::TimedOut | Ending::Cut => write!(warn),
        }
    }
}

impl Drop for Later {
    fn drop(&mut self) {
        if !self.is_told {
            let cut =
                Rejection::from(Reason::Draining).noting("the gateway ended before the bot did");
            self.write(Ending::Cut, &Err(cut));
        }
    }
}

/// Seconds with three digits after the point.
fn rounded(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}
