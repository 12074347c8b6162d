//! The body of a request on its way to a bot.

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::sync::Notify;

/// Whether the bot's side has taken the whole request: from then on it may be at work.
#[derive(Clone, Debug, Default)]
pub struct Sent(Arc<AtomicBool>);

impl Sent {
    /// Whether all of it was taken.
    pub fn is_complete(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Nothing arrived after all: the connection turned out to be closed, and another one is tried.
    pub(super) fn clear(&self) {
        self.0.store(false, Ordering::Release);
    }
}

/// The body of a request to the bot, which tells when it begins to be sent and when all of it has been taken.
#[derive(Debug)]
pub(super) struct Outgoing {
    body: Option<Bytes>,
    sent: Sent,
    begun: Arc<Notify>,
}

impl Outgoing {
    /// `begun` is notified when there is a connection and the request is on its way.
    pub(super) fn new(body: Bytes, sent: Sent, begun: Arc<Notify>) -> Self {
        let body = Some(body).filter(|body| !body.is_empty());
        if body.is_none() {
            // Nobody asks for a body that is not there.
            sent.set();
            begun.notify_one();
        }
        Self { body, sent, begun }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let body = self.body.take();
        self.sent.set();
        self.begun.notify_one();
        Poll::Ready(body.map(|body| Ok(Frame::data(body))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let bytes = self.body.as_ref().map_or(0, Bytes::len);
        SizeHint::with_exact(u64::try_from(bytes).unwrap_or(u64::MAX))
    }
}
