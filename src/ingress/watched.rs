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
}

impl Watched {
    pub(super) const fn new(answer: Answer, watch: Watch) -> Self {
        Self { answer, watch }
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        Pin::new(&mut this.answer).poll_frame(cx).map(|frame| {
            frame.map(|outcome| match outcome {
                Ok(frame) => {
                    let bytes = frame.data_ref().map_or(0, Bytes::len);
                    this.watch.add_bytes_out(u64::try_from(bytes).unwrap_or(u64::MAX));
                    Ok(frame)
                }
                Err(rejection) => {
                    this.watch.note_broken(rejection);
                    Err(BodyError::from("the answer ended early"))
                }
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.answer.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.answer.size_hint()
    }
}
