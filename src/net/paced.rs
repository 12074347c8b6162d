//! The stream below HTTP/2. It ends a connection whose client takes too long to ask for something, or to take what it is given.
//!
//! HTTP/2 sends pings and window updates between requests, so that no byte tells where a head begins: the first request has `head`,
//! after it only `keep_alive` counts, and nothing but a request extends it; see [`Http2Side`] for what there is beside that. No time
//! runs while a request is being served (bodies have their own deadline).
//!
//! A client that does not read holds a connection just as one that does not write: see [`Pressure`].

use super::busy::Busy;
use super::clock;
use super::deadline::Deadline;
use super::http2_side::Http2Side;
use super::pressure::{Crowd, Pressure, STALL};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// From the first byte of a request to its whole head; also for a new connection's first byte.
    pub(super) head: Duration,
    /// From an answer's end to the next request's first byte.
    pub(super) keep_alive: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Head,
    Serving,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Paced<S> {
    stream: S,
    patience: Patience,
    busy: Busy,
    phase: Phase,
    /// How many requests had come into service at the last look.
    entered: usize,
    deadline: Deadline,
    /// On writes.
    pressure: Pressure,
    /// A write did not end, and since then not everything was written.
    is_blocked: bool,
    http2: Box<Http2Side>,
}

impl<S> Paced<S> {
    /// `first` is when the head of the first request is to be there.
    pub(super) fn new(
        stream: S,
        patience: Patience,
        first: Instant,
        busy: Busy,
        crowd: Crowd,
    ) -> Self {
        let http2 = Http2Side::new(busy.clone(), patience.head, crowd.clone());
        Self {
            stream,
            patience,
            busy,
            phase: Phase::Head,
            entered: 0,
            deadline: Deadline::at(first),
            pressure: Pressure::new(crowd),
            is_blocked: false,
            http2: Box::new(http2),
        }
    }

    /// Whether the next step is the client's, and it is to ask for something.
    fn is_idle(&self) -> bool {
        self.busy.is_idle() && !self.is_blocked && self.http2.answers_begun() == 0
    }

    /// Bounds how long the client may hold up what is to be written.
    fn press<T>(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        self.is_blocked |= outcome.is_pending();
        let is_too_slow = self.pressure.poll(cx, self.is_blocked).is_ready()
            || self.http2.poll_too_slow(cx).is_ready();
        if is_too_slow && !matches!(outcome, Poll::Ready(Err(_))) {
            self.busy.set_too_slow();
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        outcome
    }

    /// Ends a connection whose client's time is over: it hears so, where that takes no waiting (RFC 8446 6.1). h2 would let go of the
    /// stream without a word.
    fn expire(&mut self, cx: &mut Context<'_>) -> io::Error
    where
        S: AsyncWrite + Unpin,
    {
        let _ = Pin::new(&mut self.stream).poll_shutdown(cx);
        io::ErrorKind::TimedOut.into()
    }

    fn enter(&mut self, phase: Phase) {
        let wait = match phase {
            Phase::Idle => self.patience.keep_alive,
            Phase::Head => self.patience.head,
            // Only the time to look again: nobody wakes this stream when an answer has ended.
            Phase::Serving => self.patience.keep_alive.min(STALL),
        };
        self.deadline.set(clock::deadline(wait));
        self.phase = phase;
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let entered = this.busy.entered();
        // A request may have come and gone between two looks.
        let was_served = this.phase == Phase::Serving || this.entered != entered;
        this.entered = entered;
        match (this.is_idle(), this.phase) {
            (false, Phase::Idle | Phase::Head) => this.enter(Phase::Serving),
            (true, _) if was_served => this.enter(Phase::Idle),
            (false, Phase::Serving) | (true, _) => {}
        }
        if this.http2.read_last_words(buf) {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        if let Poll::Ready(outcome) = Pin::new(&mut this.stream).poll_read(cx, buf) {
            this.http2.note_read(buf, before);
            return Poll::Ready(outcome);
        }
        if this.http2.poll_too_slow(cx).is_ready() {
            this.busy.set_too_slow();
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if this.http2.poll_block(cx).is_ready() {
            return Poll::Ready(Err(this.expire(cx)));
        }
        loop {
            ready!(this.deadline.poll(cx));
            match (this.is_idle(), this.phase) {
                (true, Phase::Idle | Phase::Head) => return Poll::Ready(Err(this.expire(cx))),
                (true, Phase::Serving) => this.enter(Phase::Idle),
                // A request may have come into service since the deadline was set; then it no longer counts.
                (false, _) => this.enter(Phase::Serving),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = match bufs {
            [buf] => Pin::new(&mut this.stream).poll_write(cx, buf),
            bufs => Pin::new(&mut this.stream).poll_write_vectored(cx, bufs),
        };
        if let Poll::Ready(Ok(bytes)) = outcome {
            this.pressure.relieve(bytes);
            this.http2.note_written(bufs, bytes);
        }
        this.press(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_flush(cx);
        this.is_blocked &= outcome.is_pending();
        this.press(cx, outcome)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = if this.http2.is_lingering() {
            Poll::Ready(Ok(()))
        } else {
            Pin::new(&mut this.stream).poll_shutdown(cx)
        };
        ready!(this.press(cx, outcome))?;
        this.http2.poll_linger(cx, &mut this.stream).map(Ok)
    }
}

#[cfg(test)]
mod tests;
