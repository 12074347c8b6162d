//! The body of a request to the bot, and what is known of how far it has come.

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::SetOnce;

/// What the one who sends a request to the bot and the one who waits for the answer tell each other.
///
/// The sender says when the bot's side has taken the whole request: from then on the bot may be at work. That is what the
/// connection took, no less (not what only lies in the gateway's buffers) and no more: whether a program read it, nobody is told.
/// The one who waits may say that there is time.
#[derive(Clone, Debug, Default)]
pub struct Sent(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    complete: SetOnce<()>,
    patience: SetOnce<Duration>,
}

impl Sent {
    /// Whether all of it was taken.
    pub fn is_complete(&self) -> bool {
        self.0.complete.initialized()
    }

    /// Returns once all of it was taken.
    pub async fn completed(&self) {
        self.0.complete.wait().await;
    }

    /// From now on the answer may come this late after the beginning, in place of what `timeouts.response` says. The first word counts.
    pub fn allow(&self, patience: Duration) {
        let _ = self.0.patience.set(patience);
    }

    /// What comes of `answering` in `usual`, or in as long as was allowed meanwhile.
    ///
    /// # Errors
    /// How long was waited in vain.
    pub(super) async fn within<T>(
        &self,
        usual: Duration,
        answering: impl Future<Output = T>,
    ) -> Result<T, Duration> {
        let late = async {
            tokio::time::sleep(usual).await;
            let Some(allowed) = self.0.patience.get().copied() else {
                return usual;
            };
            tokio::time::sleep(allowed.saturating_sub(usual)).await;
            usual.max(allowed)
        };
        tokio::select! {
            biased;
            outcome = answering => Ok(outcome),
            waited = late => Err(waited),
        }
    }

    fn set(&self) {
        let _ = self.0.complete.set(());
    }
}

/// The body, in one piece.
#[derive(Debug)]
pub(super) struct Outgoing {
    body: Option<Bytes>,
    sent: Sent,
}

impl Outgoing {
    pub(super) fn new(body: Bytes, sent: Sent) -> Self {
        let body = Some(body).filter(|body| !body.is_empty());
        if body.is_none() {
            sent.set();
        }
        Self { body, sent }
    }
}

impl Body for Outgoing {
    type Data = Piece;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, Infallible>>> {
        let piece = self.body.take().map(|bytes| Piece {
            bytes,
            sent: self.sent.clone(),
        });
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let bytes = self.body.as_ref().map_or(0, Bytes::len);
        SizeHint::with_exact(u64::try_from(bytes).unwrap_or(u64::MAX))
    }
}

/// Bytes that tell when the last of them was written. The body itself would tell too early: hyper takes a piece from it to keep
/// it in a buffer of its own until the connection takes it.
#[derive(Debug)]
pub(super) struct Piece {
    bytes: Bytes,
    sent: Sent,
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        if self.bytes.is_empty() {
            self.sent.set();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn the_usual_time_holds_unless_more_is_allowed_in_time() {
        let sent = Sent::default();
        let never = || std::future::pending::<()>();
        assert_eq!(sent.within(USUAL, never()).await, Err(USUAL));
        let longer = USUAL * 3;
        let (outcome, ()) = tokio::join!(sent.within(USUAL, never()), async {
            tokio::time::sleep(USUAL / 2).await;
            sent.allow(longer);
        });
        assert_eq!(outcome, Err(longer));
        let late = async {
            tokio::time::sleep(USUAL * 2).await;
            "done"
        };
        assert_eq!(sent.within(USUAL, late).await, Ok("done"));
    }

    #[test]
    fn a_body_is_sent_when_its_last_byte_was_written_and_not_when_it_was_taken() {
        let sent = Sent::default();
        let mut body = Outgoing::new(Bytes::from_static(b"hello"), sent.clone());
        let mut context = Context::from_waker(std::task::Waker::noop());
        let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body).poll_frame(&mut context) else {
            panic!("it is there");
        };
        let mut piece = frame.into_data().unwrap();
        piece.advance(4);
        assert!(!sent.is_complete());
        piece.advance(1);
        assert!(sent.is_complete());
    }
}
