//! What the stand-in bot says: any status and body, at once, late, piece by piece, broken or never.

use super::loopback::{Outcome, whole};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use serde_json::Value;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::mpsc;

/// What the bot says to one request.
#[derive(Debug)]
pub struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    content: Content,
    delay: Duration,
}

#[derive(Debug)]
enum Content {
    Whole(Bytes),
    Stream(mpsc::UnboundedReceiver<io::Result<Bytes>>),
    Raw(Bytes),
    Never,
}

impl Answer {
    /// An answer without a body.
    pub fn status(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            content: Content::Whole(Bytes::new()),
            delay: Duration::ZERO,
        }
    }

    /// 200 with a JSON body.
    pub fn json(body: &Value) -> Self {
        Self::status(StatusCode::OK)
            .header(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json; charset=utf-8"),
            )
            .body(body.to_string())
    }

    /// 200 with a body that is sent piece by piece, as server-sent events are; the handle says when.
    pub fn stream(content_type: &'static str) -> (Self, Pieces) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut answer = Self::status(StatusCode::OK)
            .header(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        answer.content = Content::Stream(receiver);
        (answer, Pieces(sender))
    }

    /// These bytes in place of an HTTP answer, then the connection is closed. No bytes: just closed.
    pub fn raw(bytes: impl Into<Bytes>) -> Self {
        Self {
            content: Content::Raw(bytes.into()),
            ..Self::status(StatusCode::OK)
        }
    }

    /// No answer, ever, on a connection that stays open.
    pub fn hang() -> Self {
        Self {
            content: Content::Never,
            ..Self::status(StatusCode::OK)
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.content = Content::Whole(body.into());
        self
    }

    /// Sets the status.
    #[must_use]
    pub const fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Waits this long before the first byte.
    #[must_use]
    pub const fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// What the server makes of it.
    pub(super) async fn outcome(self) -> Outcome {
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        let body = match self.content {
            Content::Whole(bytes) => whole(bytes),
            Content::Stream(receiver) => Streamed(receiver).boxed_unsync(),
            Content::Raw(bytes) => return Outcome::Raw(bytes),
            Content::Never => std::future::pending().await,
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        Outcome::Answer(response)
    }
}

/// Releases the pieces of a streamed answer. Dropping it ends the answer as it should end.
#[derive(Debug)]
pub struct Pieces(mpsc::UnboundedSender<io::Result<Bytes>>);

impl Pieces {
    /// Sends the next piece; false if nobody listens any more.
    pub fn send(&self, piece: impl Into<Bytes>) -> bool {
        self.0.send(Ok(piece.into())).is_ok()
    }

    /// Breaks the connection off in the middle of the answer.
    pub fn break_off(self) {
        let _nobody_listens = self
            .0
            .send(Err(io::Error::from(io::ErrorKind::ConnectionAborted)));
    }

    /// Waits until the other side went away, or time is up; says whether it did.
    pub async fn wait_until_abandoned(&self, within: Duration) -> bool {
        tokio::time::timeout(within, self.0.closed()).await.is_ok()
    }
}

struct Streamed(mpsc::UnboundedReceiver<io::Result<Bytes>>);

impl hyper::body::Body for Streamed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Ready(ready!(self.0.poll_recv(context)).map(|piece| piece.map(Frame::data)))
    }
}
