//! The bot's answer on its way to the client, watched to its end.

use crate::limit::Slot;
use crate::net::BodyError;
use crate::observe::Watch;
use crate::upstream::Answer;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Sleep;

/// Long for a task that only has to write, short for whoever waits.
const PAUSE: Duration = Duration::from_millis(50);

/// A body whose end writes the request line: when it is complete, when it breaks, or when the client leaves.
pub(super) struct Watched {
    answer: Answer,
    watch: Watch,
    /// Given back when the answer has ended, or nobody reads it any more.
    _slot: Option<Arc<Slot>>,
    /// Runs since the answer broke.
    broken: Option<Pin<Box<Sleep>>>,
    has_ended: bool,
}

impl Watched {
    pub(super) const fn new(answer: Answer, watch: Watch, slot: Option<Arc<Slot>>) -> Self {
        Self {
            answer,
            watch,
            _slot: slot,
            broken: None,
            has_ended: false,
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // Whoever knows the length asks for no end; and what broke has said so.
        let is_over = self.has_ended || self.broken.is_some() || self.answer.is_end_stream();
        if !is_over && self.answer.size_hint().exact() != Some(0) {
            self.watch.note_unfinished();
        }
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if let Some(pause) = &mut this.broken {
            return pause
                .as_mut()
                .poll(cx)
                .map(|()| Some(Err(BodyError::from("the answer ended early"))));
        }
        match Pin::new(&mut this.answer).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                this.watch
                    .add_bytes_out(u64::try_from(bytes).unwrap_or(u64::MAX));
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(rejection))) => {
                // h2 drops what it has not yet written when a body fails: a pause lets the connection's own task
                // write the head and what came before, so that the client sees an answer break off and not one that never began.
                this.watch.note_broken(rejection);
                let pause = this.broken.insert(Box::pin(tokio::time::sleep(PAUSE)));
                pause
                    .as_mut()
                    .poll(cx)
                    .map(|()| Some(Err(BodyError::from("the answer ended early"))))
            }
            Poll::Ready(None) => {
                this.has_ended = true;
                Poll::Ready(None)
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        // Of what broke there is nothing left, and yet it has not ended.
        self.broken.is_none() && self.answer.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.answer.size_hint()
    }
}
