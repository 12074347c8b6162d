//! The body of a request to the bot, and what is known of how far it has come.

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{SetOnce, watch};
use tokio::time::sleep;

/// What the one who sends a request to the bot and the one who waits for the answer tell each other.
///
/// The sender says when the bot's side has taken the whole request: from then on the bot may be at work. That is what the
/// connection took, no less (not what only lies in the gateway's buffers) and no more: whether a program read it, nobody is told.
/// The one who waits may say that there is time.
#[derive(Clone, Debug, Default)]
pub struct Sent(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    complete: watch::Sender<bool>,
    patience: SetOnce<Duration>,
    /// The position of the server that is asked, and 1.
    server: AtomicUsize,
}

impl Sent {
    /// Whether all of it was taken.
    pub fn is_complete(&self) -> bool {
        *self.0.complete.borrow()
    }

    /// Returns once all of it was taken.
    pub async fn completed(&self) {
        // Fails only once the sender is gone, which `self` holds.
        let _ = self.0.complete.subscribe().wait_for(|is| *is).await;
    }

    /// From now on the answer may come this late after the beginning, in place of what `timeouts.response` says. The first word counts.
    pub fn allow(&self, patience: Duration) {
        let _ = self.0.patience.set(patience);
    }

    /// How long the answer may take: `usual`, or what was allowed so far.
    pub(super) fn patience(&self, usual: Duration) -> Duration {
        self.0
            .patience
            .get()
            .map_or(usual, |allowed| usual.max(*allowed))
    }

    /// Returns when the time for an answer is over: `usual`, or as long as was allowed meanwhile. Says how long that was.
    pub(super) async fn time_is_over(&self, usual: Duration) -> Duration {
        sleep(usual).await;
        let Some(allowed) = self.0.patience.get().copied() else {
            return usual;
        };
        sleep(allowed.saturating_sub(usual)).await;
        usual.max(allowed)
    }

    /// The bot's server at this position is asked.
    pub(super) fn goes_to(&self, position: usize) {
        self.0
            .server
            .store(position.saturating_add(1), Ordering::Relaxed);
    }

    /// The position of the server that was asked last.
    pub fn server(&self) -> Option<usize> {
        self.0.server.load(Ordering::Relaxed).checked_sub(1)
    }

    fn set(&self) {
        self.0.complete.send_replace(true);
    }

    /// Nothing arrived after all: the connection turned out to be closed, and another one is tried.
    pub(super) fn clear(&self) {
        self.0.complete.send_replace(false);
    }
}

/// The body, in one piece.
#[derive(Debug)]
pub(super) struct Outgoing {
    body: Option<Bytes>,
    sent: Sent,
}

impl Outgoing {
    /// `sent` is told when it was.
    pub(super) fn new(body: Bytes, sent: Sent) -> Self {
        let body = Some(body).filter(|body| !body.is_empty());
        if body.is_none() {
            // Nobody asks for a body that is not there.
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
        assert_eq!(sent.time_is_over(USUAL).await, USUAL);
        let longer = USUAL * 3;
        let (waited, ()) = tokio::join!(sent.time_is_over(USUAL), async {
            tokio::time::sleep(USUAL / 2).await;
            sent.allow(longer);
        });
        assert_eq!(waited, longer);
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
