//! Sends an admitted request and streams the answer back.

use super::outgoing::Outgoing;
use super::{Backend, Sent};
use crate::judge::{Admitted, Content, Reason, Rejection};
use crate::net::client::chain;
use crate::net::{clock, headers};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Response, Uri, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper_util::client::legacy::Error;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Sleep;

/// A bot that restarts refuses connections for a moment.
const SECOND_TRY_AFTER: Duration = Duration::from_millis(250);
/// Longest silence within an event stream, which has no other end.
const STREAM_IDLE: Duration = Duration::from_secs(120);

impl Backend {
    pub(super) async fn forward(
        &self,
        admitted: Admitted,
        headers: HeaderMap,
        query: Option<&str>,
        sent: &Sent,
    ) -> Result<Response<Answer>, Rejection> {
        let (method, uri) = match admitted.content() {
            Content::Activity(_) => (Method::POST, self.target(None, query)),
            Content::Callback(callback) => (
                callback.method.clone(),
                self.target(Some(&callback.path), query),
            ),
        };
        let sending = self.send(method, uri, headers, admitted.body().clone(), sent);
        let response = match sent.within(self.response_timeout, sending).await {
            Ok(outcome) => outcome?,
            Err(waited) => {
                let note = format!("no answer from the bot within {waited:?}");
                return Err(Rejection::from(Reason::UpstreamTimedOut).noting(note));
            }
        };
        if response.status().is_informational() {
            // Nobody asked for an upgrade, and the client would take what follows for another protocol.
            let note = format!("the bot answered {}", response.status().as_u16());
            return Err(Rejection::from(Reason::UpstreamBroken).noting(note));
        }
        let (mut head, body) = response.into_parts();
        if head.status.is_informational() {
            // No upgrade was asked for, so there is none to switch to.
            return Err(Rejection::from(Reason::UpstreamBroken)
                .noting(format!("the bot answered {}", head.status)));
        }
        let idle = if is_event_stream(&head.headers) {
            STREAM_IDLE
        } else {
            self.response_timeout
        };
        head.headers = headers::to_client(&head.headers);
        head.extensions.clear();
        // Between bot and gateway; the client's connection has its own.
        head.version = Version::HTTP_11;
        Ok(Response::from_parts(head, Answer::new(body, idle)))
    }

    /// The backend's address, or another path on the same host, with the query of the request where the address has none.
    fn target(&self, path: Option<&str>, query: Option<&str>) -> Uri {
        let query = query.filter(|_| path.is_some() || self.uri.query().is_none());
        let path_and_query = match (path.unwrap_or(self.uri.path()), query) {
            (_, None) if path.is_none() => return self.uri.clone(),
            (path, None) => path.to_owned(),
            (path, Some(query)) => format!("{path}?{query}"),
        };
        let mut parts = self.uri.clone().into_parts();
        parts.path_and_query = path_and_query.parse::<PathAndQuery>().ok();
        Uri::from_parts(parts).unwrap_or_else(|_| self.uri.clone())
    }

    /// One try, and one more where the connection was refused. Once bytes were sent there is no second: a POST may have been
    /// handled although its answer was lost.
    async fn send(
        &self,
        method: Method,
        uri: Uri,
        headers: HeaderMap,
        body: Bytes,
        sent: &Sent,
    ) -> Result<Response<Incoming>, Rejection> {
        let request = || {
            let mut request = Request::builder()
                .method(method.clone())
                .uri(uri.clone())
                .body(Outgoing::new(body.clone(), sent.clone()))
                .map_err(|e| broken(&e))?;
            *request.headers_mut() = headers.clone();
            Ok::<_, Rejection>(request)
        };
        let first = match self.client.request(request()?).await {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        if !is_refused(&first) {
            return Err(failed(&first));
        }
        tokio::time::sleep(SECOND_TRY_AFTER).await;
        self.client
            .request(request()?)
            .await
            .map_err(|error| failed(&error))
    }
}

/// Whether nobody listens there: a bot that restarts does so for a moment, and nothing was sent.
fn is_refused(error: &Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut causes = std::iter::from_fn(|| {
        let this = cause?;
        cause = this.source();
        Some(this)
    });
    error.is_connect()
        && causes.any(|cause| {
            cause
                .downcast_ref::<std::io::Error>()
                .is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused)
        })
}

fn failed(error: &Error) -> Rejection {
    if error.is_connect() {
        return Rejection::from(Reason::UpstreamUnreachable).noting(chain(error));
    }
    broken(error)
}

fn broken(error: &(dyn std::error::Error + 'static)) -> Rejection {
    Rejection::from(Reason::UpstreamBroken).noting(chain(error))
}

/// Whether an answer is a stream of server-sent events, which may go on for ever.
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

/// The body of an answer: passed on as it comes, ended when the bot falls silent.
#[derive(Debug)]
pub struct Answer {
    body: Incoming,
    idle: Duration,
    deadline: Pin<Box<Sleep>>,
}

impl Answer {
    fn new(body: Incoming, idle: Duration) -> Self {
        Self {
            body,
            idle,
            deadline: Box::pin(tokio::time::sleep(idle)),
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Rejection;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Rejection>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.deadline.as_mut().reset(clock::deadline(this.idle));
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(broken(&error)))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending if this.deadline.as_mut().poll(cx).is_ready() => {
                let note = format!(
                    "the bot fell silent for {:?} in the middle of its answer",
                    this.idle
                );
                Poll::Ready(Some(Err(
                    Rejection::from(Reason::UpstreamTimedOut).noting(note)
                )))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
