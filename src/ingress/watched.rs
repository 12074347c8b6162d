//! The bot's answer on its way to the client, watched to its end.

use crate::net::BodyError;
use crate::observe::Watch;
use crate::upstream::Answer;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

/// A body whose end writes the request line: when it is complete, when it breaks, or when the client leaves.
pub(super) struct Watched {
    answer: Answer,
    watch: Watch,
    has_broken: bool,
}

impl Watched {
    pub(super) const fn new(answer: Answer, watch: Watch) -> Self {
        Self {
            answer,
            watch,
            has_broken: false,
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
        if this.has_broken {
            return Poll::Ready(Some(Err(BodyError::from("the answer ended early"))));
        }
        match Pin::new(&mut this.answer).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                this.watch
                    .add_bytes_out(u64::try_from(bytes).unwrap_or(u64::MAX));
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(rejection))) => {
                // hyper drops what it has not yet written when a body fails: a pause lets it write the head and what came
                // before, so that the client sees an answer break off and not a connection that never answered.
                this.watch.note_broken(rejection);
                this.has_broken = true;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.answer.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.answer.size_hint()
    }
}
