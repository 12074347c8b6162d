//! Direct Line itself: makes tokens for the secret, and others in their place (AUTHENTICATION 7.1).

use crate::config::{DirectLine, Keys};
use crate::judge::direct_line::{UserId, is_token};
use crate::judge::{Reason, Rejection};
use crate::net::client::{ClientProblem, Fetcher, PostProblem};
use crate::net::seldom::Seldom;
use crate::secret::Secret;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderValue, Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Requests at once: each waits for some hundred milliseconds.
const MOST_AT_ONCE: usize = 256;
/// Real answers have about one KiB.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// Real ids have some tens.
const MAX_CONVERSATION_BYTES: usize = 256;
/// Real tokens live for half an hour or one.
const LONGEST_LIFE: u64 = 7 * 24 * 60 * 60;

/// The service of one broker.
pub(super) struct Service {
    broker: Arc<DirectLine>,
    fetcher: Fetcher,
    /// What keeps each secret from being reported with every token.
    told: Vec<Seldom>,
    places: Semaphore,
}

/// What Direct Line gave.
pub(super) struct Given {
    pub(super) token: Secret<String>,
    pub(super) conversation: String,
    /// Seconds.
    pub(super) expires_in: u64,
}

#[derive(Deserialize)]
struct Answer {
    token: String,
    #[serde(rename = "conversationId")]
    conversation: String,
    expires_in: u64,
}

#[derive(Deserialize)]
struct Refusal {
    error: RefusalCode,
}

#[derive(Deserialize)]
struct RefusalCode {
    code: String,
}

impl Service {
    /// # Errors
    /// When the authorities or the proxy cannot be used.
    pub(super) fn new(broker: &Arc<DirectLine>, keys: &Keys) -> Result<Self, ClientProblem> {
        let fetcher = Fetcher::for_service(keys, broker.ca.as_deref(), broker.timeout)
            .map_err(|problem| ClientProblem(format!("{}: {problem}", broker.name)))?;
        Ok(Self {
            broker: Arc::clone(broker),
            fetcher,
            told: broker.secrets.iter().map(|_| Seldom::default()).collect(),
            places: Semaphore::new(MOST_AT_ONCE),
        })
    }

    /// Room for one more request. One broker whose service hangs takes none of another's.
    ///
    /// # Errors
    /// [`Reason::Overloaded`].
    pub(super) fn place(&self) -> Result<SemaphorePermit<'_>, Rejection> {
        self.places.try_acquire().map_err(|_| {
            Rejection::from(Reason::Overloaded)
                .noting(format!("{MOST_AT_ONCE} requests wait for Direct Line"))
                .retry_after(Duration::from_secs(1))
        })
    }

    /// Asks for a token by each secret, and says of each whether it is taken.
    pub(super) async fn try_each(&self, user: &UserId) -> Vec<Result<(), Rejection>> {
        let body = self.wanted(user);
        let mut found = Vec::with_capacity(self.broker.secrets.len());
        for secret in &self.broker.secrets {
            let asked = async {
                let answer = self.post("generate", secret, body.clone()).await?;
                self.read(&answer)
            };
            found.push(self.in_time(asked).await.map(drop));
        }
        found
    }

    /// What a token is to be good for.
    fn wanted(&self, user: &UserId) -> Bytes {
        let body = json!({
            "user": { "id": user.to_string() },
            "trustedOrigins": self.broker.origins.as_slice(),
        });
        Bytes::from(body.to_string())
    }

    /// A token for this user, by the first secret that the service takes. All of it within the one deadline.
    ///
    /// # Errors
    /// [`Reason::DirectLineRefused`], [`Reason::DirectLineUnreachable`].
    pub(super) async fn generate(&self, user: &UserId) -> Result<Given, Rejection> {
        let body = self.wanted(user);
        let asked = async {
            let mut refused = None;
            for ((secret, told), number) in self.broker.secrets.iter().zip(&self.told).zip(1..) {
                let answer = self.post("generate", secret, body.clone()).await?;
                let status = answer.status();
                if status != StatusCode::UNAUTHORIZED && status != StatusCode::FORBIDDEN {
                    return self.read(&answer);
                }
                if told.is_due() {
                    self.tell_refused(number, status);
                }
                refused = Some(refusal(&answer));
            }
            Err(refused.unwrap_or_else(|| Reason::DirectLineRefused.into()))
        };
        self.in_time(asked).await
    }

    /// Another token in the place of one that is still alive.
    ///
    /// # Errors
    /// As [`generate`](Self::generate); [`Reason::TokenExpired`] where the service says so.
    pub(super) async fn refresh(&self, token: &Secret<String>) -> Result<Given, Rejection> {
        let asked = async {
            let answer = self.post("refresh", token, Bytes::new()).await?;
            let is_refused = matches!(
                answer.status(),
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
            );
            if is_refused && code(&answer).as_deref() == Some("TokenExpired") {
                return Err(Rejection::from(Reason::TokenExpired)
                    .noting("Direct Line says that the token has expired"));
            }
            self.read(&answer)
        };
        self.in_time(asked).await
    }

    async fn in_time(
        &self,
        asked: impl Future<Output = Result<Given, Rejection>>,
    ) -> Result<Given, Rejection> {
        let outcome = self.fetcher.in_time(asked).await;
        outcome.unwrap_or_else(|too_slow| {
            Err(Rejection::from(Reason::DirectLineUnreachable).noting(too_slow))
        })
    }

    async fn post(
        &self,
        what: &str,
        bearer: &Secret<String>,
        body: Bytes,
    ) -> Result<Response<Bytes>, Rejection> {
        let unusable = |why: &dyn std::fmt::Display| {
            Rejection::from(Reason::DirectLineRefused).noting(format!("cannot be asked: {why}"))
        };
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", bearer.expose()))
            .map_err(|error| unusable(&error))?;
        authorization.set_sensitive(true);
        let request = Request::post(format!(
            "{}/v3/directline/tokens/{what}",
            self.broker.endpoint
        ))
        .header(AUTHORIZATION, authorization)
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "application/json")
        .header(USER_AGENT, concat!("botgate/", env!("CARGO_PKG_VERSION")))
        .body(body)
        .map_err(|error| unusable(&error))?;
        let answer = self.fetcher.post(request, MAX_ANSWER_BYTES).await;
        answer.map_err(|problem| match problem {
            PostProblem::Unreachable(why) => {
                Rejection::from(Reason::DirectLineUnreachable).noting(why)
            }
            PostProblem::Unreadable(why) => Rejection::from(Reason::DirectLineRefused).noting(why),
        })
    }

    /// What is not exactly what was asked for is passed on to nobody.
    fn read(&self, answer: &Response<Bytes>) -> Result<Given, Rejection> {
        if !matches!(answer.status(), StatusCode::OK | StatusCode::CREATED) {
            return Err(refusal(answer));
        }
        let nonsense = |what: &str| Rejection::from(Reason::DirectLineRefused).noting(what);
        // What serde_json says of a broken document may quote it.
        let said: Answer = serde_json::from_slice(answer.body()).map_err(|_| {
            nonsense("the answer is not one with token, conversationId and expires_in")
        })?;
        if !is_token(&said.token) {
            return Err(nonsense(
                "the answer's token is empty, too long, or not visible ASCII",
            ));
        }
        let is_id = (1..=MAX_CONVERSATION_BYTES).contains(&said.conversation.len())
            && said.conversation.bytes().all(|b| b.is_ascii_graphic());
        if !is_id {
            return Err(nonsense(
                "the answer's conversationId is empty, too long, or not visible ASCII",
            ));
        }
        if !(1..=LONGEST_LIFE).contains(&said.expires_in) {
            return Err(nonsense(
                "the answer's expires_in is 0, or more than a week",
            ));
        }
        // Whatever it is that answers there: the page must not have the secret from it.
        let mut secrets = self.broker.secrets.iter().map(Secret::expose);
        if secrets.any(|secret| said.token.contains(secret) || said.conversation.contains(secret)) {
            return Err(nonsense("the answer holds the secret itself"));
        }
        Ok(Given {
            token: Secret::new(said.token),
            conversation: said.conversation,
            expires_in: said.expires_in,
        })
    }

    fn tell_refused(&self, number: usize, status: StatusCode) {
        let secrets = self.broker.secrets.len();
        let then = if number < secrets {
            "the next one is tried"
        } else {
            "there is no other one: pages get no token"
        };
        tracing::warn!(
            event = "direct_line_secret_refused",
            broker = self.broker.name,
            secret = number,
            secrets,
            status = status.as_u16(),
            "Direct Line does not take a secret; {then}"
        );
    }
}

/// The service's own word for why, where it is one. Its messages are for its own people.
fn code(answer: &Response<Bytes>) -> Option<String> {
    let said: Refusal = serde_json::from_slice(answer.body()).ok()?;
    let code = said.error.code;
    let is_word = (1..=64).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric());
    is_word.then_some(code)
}

fn refusal(answer: &Response<Bytes>) -> Rejection {
    let status = answer.status().as_u16();
    let note = match code(answer) {
        Some(code) => format!("Direct Line answered {status} {code}"),
        None => format!("Direct Line answered {status}"),
    };
    let refused = Rejection::from(Reason::DirectLineRefused).noting(note);
    match wait(answer) {
        Some(wait) => refused.retry_after(wait),
        None => refused,
    }
}

/// For how long it wants to be left alone: of a request that it has no time for now. Dates are for documents, and not sent by it.
fn wait(answer: &Response<Bytes>) -> Option<Duration> {
    const LONGEST: u64 = 3600;
    let is_busy = matches!(
        answer.status(),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    );
    let said = answer.headers().get(RETRY_AFTER).filter(|_| is_busy)?;
    let seconds: u64 = said.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds.min(LONGEST)))
}
