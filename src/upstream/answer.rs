//! The body of a bot's answer: a short one is read whole before anything of it is passed on, so that it can still become an
//! error; a long one is passed on as it comes.

use super::failure::broken;
use super::fleet::Lease;
use super::from_bot::FromBot;
use super::pieces::Pieces;
use super::sent::Sent;
use crate::judge::{Reason, Rejection};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// So much of an answer is read before its head is passed on, bytes.
pub const READ_AHEAD: usize = 16 * 1024;
/// Nothing a channel knows what to do with is this long; without an end of its own an answer ends here.
const LONGEST: u64 = 64 * 1024 * 1024;
/// Longest silence within an event stream, which has no other end.
const STREAM_IDLE: Duration = Duration::from_secs(120);

/// What an answer is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind<'a> {
    /// Something with an end, all of which comes within this.
    Document {
        /// From the head on, not counting the time in which the client does not take what there is.
        within: Duration,
        /// May allow more than that.
        sent: &'a Sent,
    },
    /// Events as they happen, such as `text/event-stream`: nothing of it is held back.
    Stream,
}

/// The body of an answer. The default is an empty one.
#[derive(Debug, Default)]
pub struct Answer {
    /// What was read ahead.
    early: Bytes,
    /// What is still to come.
    rest: Option<Rest>,
}

#[derive(Debug)]
struct Rest {
    body: FromBot,
    clock: Clock,
    lease: Lease,
    /// Bytes that may still come; streams have no limit.
    room: Option<u64>,
}

impl Answer {
    /// Reads ahead an answer that is at most `ahead` bytes long, and of one without a length as much.
    ///
    /// # Errors
    /// [`Reason::UpstreamBroken`], [`Reason::UpstreamTimedOut`].
    pub(super) async fn receive(
        body: FromBot,
        kind: Kind<'_>,
        lease: Lease,
        ahead: usize,
    ) -> Result<Self, Rejection> {
        match kind {
            Kind::Stream => {
                lease.succeeded();
                Ok(Self {
                    early: Bytes::new(),
                    rest: Some(Rest {
                        body,
                        clock: Clock::silence(STREAM_IDLE),
                        lease,
                        room: None,
                    }),
                })
            }
            Kind::Document { within, sent } => {
                let document = Self::read_ahead(body, within, sent, ahead).await;
                document
                    .inspect_err(|rejection| lease.failed(rejection))
                    .map(|document| document.with(lease))
            }
        }
    }

    async fn read_ahead(
        mut body: FromBot,
        within: Duration,
        sent: &Sent,
        ahead: usize,
    ) -> Result<Early, Rejection> {
        // The clock runs from the first moment in which there is nothing to read.
        let started = OnceLock::new();
        let mut time_is_over = std::pin::pin!(async {
            started.get_or_init(Instant::now);
            sent.time_is_over(within).await
        });
        let announced = body.size_hint().lower();
        if announced > LONGEST {
            return Err(too_long());
        }
        let announced = usize::try_from(announced).unwrap_or(usize::MAX);
        let mut early = Pieces::of(announced.min(ahead));
        // What is longer cannot be read whole in any case.
        let ahead = if announced > ahead { 1 } else { ahead };
        while early.len() < ahead {
            let frame = tokio::select! {
                biased;
                frame = body.frame() => frame,
                waited = &mut time_is_over => return Err(too_slow(waited)),
            };
            let Some(frame) = frame else {
                return Ok(Early::Whole(early.joined()));
            };
            // Trailers are not passed on: nothing in them is known to be meant for the client (RFC 9110 6.5.1).
            if let Ok(data) = frame.map_err(|error| broken(&error))?.into_data() {
                early.add(data);
            }
        }
        if body.is_end_stream() {
            return Ok(Early::Whole(early.joined()));
        }
        let within = sent.patience(within);
        let waited = started.get().map(Instant::elapsed);
        let left = within.saturating_sub(waited.unwrap_or_default());
        Ok(Early::Part(
            early.joined(),
            body,
            Clock::whole(within, left),
        ))
    }
}

impl From<Bytes> for Answer {
    fn from(early: Bytes) -> Self {
        Self { early, rest: None }
    }
}

impl Answer {
    /// All of it, where all of it was read ahead.
    pub fn whole(&self) -> Option<&[u8]> {
        self.rest.is_none().then_some(&self.early)
    }

    /// Reads what is left and throws it away, up to a limit, so that the bot is not cut off in its words.
    ///
    /// # Errors
    /// [`Reason::UpstreamBroken`], [`Reason::UpstreamTimedOut`].
    pub async fn discard(mut self) -> Result<(), Rejection> {
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

/// What was read ahead of a document.
enum Early {
    Whole(Bytes),
    Part(Bytes, FromBot, Clock),
}

impl Early {
    fn with(self, lease: Lease) -> Answer {
        match self {
            Self::Whole(early) => {
                lease.succeeded();
                Answer { early, rest: None }
            }
            Self::Part(early, body, clock) => {
                let room = Some(LONGEST.saturating_sub(length(&early)));
                Answer {
                    early,
                    rest: Some(Rest {
                        body,
                        clock,
                        lease,
                        room,
                    }),
                }
            }
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
        if !self.early.is_empty() {
            let early = std::mem::take(&mut self.early);
            return Poll::Ready(Some(Ok(Frame::data(early))));
        }
        let Some(rest) = &mut self.rest else {
            return Poll::Ready(None);
        };
        let piece = ready!(rest.poll_piece(cx));
        if !matches!(piece, Some(Ok(_))) {
            // The connection, and the place on the server, are free from here on.
            self.rest = None;
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.early.is_empty()
            && self
                .rest
                .as_ref()
                .is_none_or(|rest| rest.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let early = length(&self.early);
        let Some(rest) = &self.rest else {
            return SizeHint::with_exact(early);
        };
        let rest = rest.body.size_hint();
        let mut all = SizeHint::new();
        all.set_lower(rest.lower().saturating_add(early));
        if let Some(upper) = rest.upper() {
            all.set_upper(upper.saturating_add(early));
        }
        all
    }
}

impl Rest {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Rejection>>> {
        let piece = ready!(self.poll_taken(cx));
        match &piece {
            None => self.lease.succeeded(),
            Some(Ok(_)) => {}
            Some(Err(rejection)) => self.lease.failed(rejection),
        }
        Poll::Ready(piece)
    }

    fn poll_taken(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Rejection>>> {
        loop {
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
                return self.clock.poll_out(cx).map(|late| Some(Err(late)));
            };
            let Some(frame) = frame else {
                return Poll::Ready(None);
            };
            let frame = match frame {
                Ok(frame) => frame,
                Err(error) => return Poll::Ready(Some(Err(broken(&error)))),
            };
            self.clock.heard();
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if let Some(room) = &mut self.room {
                let Some(left) = room.checked_sub(length(&data)) else {
                    return Poll::Ready(Some(Err(too_long())));
                };
                *room = left;
            }
            return Poll::Ready(Some(Ok(data)));
        }
    }
}

/// How long the bot may take. It runs only while the bot is waited for: what a slow client does not take is not the bot's fault.
#[derive(Debug)]
struct Clock {
    allowed: Duration,
    left: Duration,
    /// Whether a word of the bot's winds it up again.
    is_per_piece: bool,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Clock {
    const fn silence(allowed: Duration) -> Self {
        Self {
            allowed,
            left: allowed,
            is_per_piece: true,
            waiting: None,
        }
    }

    const fn whole(allowed: Duration, left: Duration) -> Self {
        Self {
            allowed,
            left,
            is_per_piece: false,
            waiting: None,
        }
    }

    /// There is nothing of the bot's just now. Ready when that has been so for too long.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<Rejection> {
        let left = self.left;
        let (_, sleep) = self.waiting.get_or_insert_with(|| {
            let sleep = tokio::time::sleep(left);
            (Instant::now(), Box::pin(sleep))
        });
        ready!(sleep.as_mut().poll(cx));
        if self.is_per_piece {
            let note = format!(
                "the bot fell silent for {:?} in the middle of its answer",
                self.allowed
            );
            return Poll::Ready(Rejection::from(Reason::UpstreamTimedOut).noting(note));
        }
        Poll::Ready(too_slow(self.allowed))
    }

    fn heard(&mut self) {
        if let Some((since, _)) = self.waiting.take()
            && !self.is_per_piece
        {
            self.left = self.left.saturating_sub(since.elapsed());
        }
    }
}

fn too_slow(within: Duration) -> Rejection {
    let note = format!("the bot's answer was not complete {within:?} after it began");
    Rejection::from(Reason::UpstreamTimedOut).noting(note)
}

fn too_long() -> Rejection {
    let note = format!("the bot's answer is longer than {LONGEST} bytes");
    Rejection::from(Reason::UpstreamBroken).noting(note)
}

fn length(bytes: &Bytes) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;
    use tokio::time::advance;

    fn is_out(clock: &mut Clock) -> bool {
        clock
            .poll_out(&mut Context::from_waker(Waker::noop()))
            .is_ready()
    }

    #[tokio::test(start_paused = true)]
    async fn a_drip_does_not_prolong_an_answer() {
        let mut clock = Clock::whole(Duration::from_secs(1), Duration::from_secs(1));
        for _ in 0..9 {
            assert!(!is_out(&mut clock));
            advance(Duration::from_millis(100)).await;
            clock.heard();
        }
        assert!(!is_out(&mut clock));
        advance(Duration::from_millis(101)).await;
        assert!(is_out(&mut clock));
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_nobody_asks_for_more_is_not_the_bots() {
        let mut clock = Clock::whole(Duration::from_secs(1), Duration::from_secs(1));
        for _ in 0..5 {
            assert!(!is_out(&mut clock));
            advance(Duration::from_millis(100)).await;
            clock.heard();
            // The client does not take it.
            advance(Duration::from_secs(60)).await;
        }
        assert!(!is_out(&mut clock));
        advance(Duration::from_millis(501)).await;
        assert!(is_out(&mut clock));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_may_go_on_for_ever_and_not_fall_silent() {
        let mut clock = Clock::silence(Duration::from_secs(1));
        for _ in 0..100 {
            assert!(!is_out(&mut clock));
            advance(Duration::from_millis(900)).await;
            clock.heard();
        }
        assert!(!is_out(&mut clock));
        advance(Duration::from_millis(1001)).await;
        assert!(is_out(&mut clock));
    }
}
