//! The body of an answer: what was read of it already, then what the bot still has to say.

use crate::judge::Rejection;
use crate::net::clock;
use crate::upstream::Answer;
use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::timeout_at;

/// The most of an answer that is read ahead, bytes.
pub(super) const WHOLE_BYTES: usize = 64 * 1024;

/// What a client is told.
#[derive(Debug, Default)]
pub(super) struct Told {
    read: Option<Bytes>,
    rest: Option<Answer>,
}

impl From<Answer> for Told {
    fn from(answer: Answer) -> Self {
        Self {
            read: None,
            rest: Some(answer),
        }
    }
}

impl From<Bytes> for Told {
    fn from(bytes: Bytes) -> Self {
        Self {
            read: Some(bytes).filter(|bytes| !bytes.is_empty()),
            rest: None,
        }
    }
}

impl Told {
    /// Reads an answer ahead: to its end, where that comes `within` this time and [`WHOLE_BYTES`]. Trailers are dropped.
    ///
    /// # Errors
    /// As [`Answer`].
    pub(super) async fn read(mut answer: Answer, within: Duration) -> Result<Self, Rejection> {
        let announced = usize::try_from(answer.size_hint().lower()).unwrap_or(usize::MAX);
        if announced > WHOLE_BYTES {
            return Ok(answer.into());
        }
        let deadline = clock::deadline(within);
        let mut read = BytesMut::with_capacity(announced);
        while read.len() <= WHOLE_BYTES {
            let Ok(frame) = timeout_at(deadline, answer.frame()).await else {
                break;
            };
            let Some(frame) = frame else {
                return Ok(read.freeze().into());
            };
            if let Ok(data) = frame?.into_data() {
                read.extend_from_slice(&data);
            }
        }
        Ok(Self {
            read: Some(read.freeze()).filter(|read| !read.is_empty()),
            rest: Some(answer),
        })
    }

    /// All of it, where all of it was read.
    pub(super) fn whole(&self) -> Option<&[u8]> {
        let is_whole = self.rest.is_none();
        is_whole.then(|| self.read.as_deref().unwrap_or_default())
    }

    /// Reads what is left and throws it away, up to a limit, so that the bot is not cut off in its words.
    ///
    /// # Errors
    /// As [`Answer`].
    pub(super) async fn discard(mut self) -> Result<(), Rejection> {
        const MAX_BYTES: usize = 4 * 1024 * 1024;
        let mut seen = 0_usize;
        while let Some(frame) = self.frame().await {
            seen = seen.saturating_add(frame?.data_ref().map_or(0, Bytes::len));
            if seen > MAX_BYTES {
                break;
            }
        }
        Ok(())
    }
}

impl Body for Told {
    type Data = Bytes;
    type Error = Rejection;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Rejection>>> {
        if let Some(read) = self.read.take() {
            return Poll::Ready(Some(Ok(Frame::data(read))));
        }
        match &mut self.rest {
            Some(rest) => Pin::new(rest).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.read.is_none() && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let read = self.read.as_ref().map_or(0, Bytes::len);
        let read = u64::try_from(read).unwrap_or(u64::MAX);
        let rest = self
            .rest
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint);
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(read));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(read));
        }
        hint
    }
}
