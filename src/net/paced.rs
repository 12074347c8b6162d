//! A stream that ends a connection whose client takes too long to say something.
//!
//! hyper counts its header timeout from the end of the previous answer, so that one value would have to serve for a slow head and
//! for an idle keep-alive connection. Here they are two: `keep_alive` until the first byte of a request, `head` from it to the
//! moment the request is served, and none while it is being served (bodies have their own deadline). HTTP/2 sends pings and
//! window updates between requests, so that there no byte tells where a head begins: after the first request only `keep_alive`
//! counts, and nothing but a request extends it.
//!
//! A client that does not read holds a connection just as one that does not write: a write that makes no progress for
//! [`STALL`], and an answer that HTTP/2 flow control holds back for as long, end the connection.

use super::clock;
use super::wire::Flaw;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How long a client may leave an answer unread.
pub(super) const STALL: Duration = Duration::from_secs(10);

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// From the first byte of a request to its whole head; also for a new connection's first byte.
    pub(super) head: Duration,
    /// From an answer's end to the next request's first byte.
    pub(super) keep_alive: Duration,
}

/// What stream and service of a connection tell each other.
#[derive(Clone, Debug, Default)]
pub(super) struct Busy(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Requests being served.
    serving: AtomicUsize,
    /// Of those, answers whose next step is the client's: it has to take what there is.
    owed: AtomicUsize,
    /// Whether an answer was taken further since the last look. Bytes on the wire would not do: a client that takes nothing can
    /// still have its pings answered.
    has_moved: AtomicBool,
    /// Requests that came into service so far.
    begun: AtomicUsize,
    /// A part of a head is held that is not yet whole.
    has_head_begun: AtomicBool,
    /// Why the next request is refused.
    refused: Mutex<Option<Flaw>>,
}

/// One request being served; dropped when its answer has ended.
#[derive(Debug)]
pub(super) struct Serving {
    busy: Busy,
    is_owed: bool,
    /// Why it is refused: what hyper read stands for a head that it did not get to read.
    pub(super) refused: Option<Flaw>,
}

impl Serving {
    /// Says whose step is next: the client's, to take what there is of the answer, or ours, to have more of it.
    pub(super) fn set_owed(&mut self, is_owed: bool) {
        self.busy.0.has_moved.store(true, Ordering::Release);
        if self.is_owed != is_owed {
            self.is_owed = is_owed;
            let owed = &self.busy.0.owed;
            if is_owed {
                owed.fetch_add(1, Ordering::AcqRel)
            } else {
                owed.fetch_sub(1, Ordering::AcqRel)
            };
        }
    }
}

impl Busy {
    pub(super) fn serve(&self) -> Serving {
        self.0.serving.fetch_add(1, Ordering::AcqRel);
        self.0.begun.fetch_add(1, Ordering::AcqRel);
        let refused = self.0.refused.lock();
        let refused = refused.unwrap_or_else(PoisonError::into_inner).take();
        Serving {
            refused,
            is_owed: false,
            busy: self.clone(),
        }
    }

    fn is_owed(&self) -> bool {
        self.0.owed.load(Ordering::Acquire) > 0
    }

    pub(super) fn is_idle(&self) -> bool {
        self.0.serving.load(Ordering::Acquire) == 0
    }

    /// How many requests came into service so far.
    pub(super) fn begun(&self) -> usize {
        self.0.begun.load(Ordering::Acquire)
    }

    /// Says whether a part of a head is held above this stream.
    pub(super) fn set_head_begun(&self, has_begun: bool) {
        self.0.has_head_begun.store(has_begun, Ordering::Release);
    }

    pub(super) fn has_head_begun(&self) -> bool {
        self.0.has_head_begun.load(Ordering::Acquire)
    }

    /// Says why the next request is refused.
    pub(super) fn refuse(&self, flaw: Flaw) {
        let refused = self.0.refused.lock();
        *refused.unwrap_or_else(PoisonError::into_inner) = Some(flaw);
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.set_owed(false);
        self.busy.0.serving.fetch_sub(1, Ordering::AcqRel);
    }
}

/// How the bytes of a connection are to be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// One request after another: a byte on an idle connection begins a head.
    Http1,
    /// Frames of all kinds come at any time, also between requests.
    Http2,
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
    protocol: Protocol,
    patience: Patience,
    busy: Busy,
    phase: Phase,
    /// How many requests had come into service at the last look.
    begun: usize,
    deadline: Pin<Box<Sleep>>,
    /// Set while a write makes no progress.
    write_deadline: Option<Pin<Box<Sleep>>>,
    /// Whether, at the last look, an answer was owed.
    was_owed: bool,
}

impl<S> Paced<S> {
    pub(super) fn new(stream: S, protocol: Protocol, patience: Patience, busy: Busy) -> Self {
        let deadline = Box::pin(tokio::time::sleep(patience.head));
        Self {
            stream,
            protocol,
            patience,
            busy,
            phase: Phase::Head,
            begun: 0,
            deadline,
            write_deadline: None,
            was_owed: false,
        }
    }

    /// Whether the client has left an answer unread since the last look.
    fn is_stalled(&mut self) -> bool {
        let is_owed = self.busy.is_owed();
        let has_moved = self.busy.0.has_moved.swap(false, Ordering::AcqRel);
        // In HTTP/1 a client that does not read is seen by the write that does not end.
        let is_stalled = self.protocol == Protocol::Http2 && is_owed && self.was_owed && !has_moved;
        self.was_owed = is_owed;
        is_stalled
    }

    /// Bounds how long a write may make no progress.
    fn bounded<T>(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.write_deadline = None;
            return outcome;
        }
        let deadline = self
            .write_deadline
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(STALL)));
        deadline
            .as_mut()
            .poll(cx)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Bytes came in while no request was being served.
    fn hear(&mut self, bytes: &[u8]) {
        if self.protocol == Protocol::Http2 || bytes.is_empty() {
            return;
        }
        if self.phase == Phase::Idle {
            self.enter(Phase::Head);
        }
    }

    /// An answer has ended. Of the next request a part may have come before that: its time begins now.
    fn rest(&mut self) {
        self.enter(if self.busy.has_head_begun() {
            Phase::Head
        } else {
            Phase::Idle
        });
    }

    fn enter(&mut self, phase: Phase) {
        let wait = match phase {
            Phase::Idle => self.patience.keep_alive,
            Phase::Head => self.patience.head,
            // Only the time to look again: nobody wakes this stream when an answer has ended.
            Phase::Serving => self.patience.keep_alive.min(STALL),
        };
        self.deadline.as_mut().reset(clock::deadline(wait));
        self.phase = phase;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let begun = this.busy.begun();
        // A request may have come and gone between two looks.
        let was_served = this.phase == Phase::Serving || this.begun != begun;
        this.begun = begun;
        match (this.busy.is_idle(), this.phase) {
            (false, Phase::Idle | Phase::Head) => this.enter(Phase::Serving),
            (true, _) if was_served => this.rest(),
            (false, Phase::Serving) | (true, _) => {}
        }
        let before = buf.filled().len();
        if let Poll::Ready(outcome) = Pin::new(&mut this.stream).poll_read(cx, buf) {
            if this.phase != Phase::Serving {
                this.hear(buf.filled().get(before..).unwrap_or_default());
            }
            return Poll::Ready(outcome);
        }
        loop {
            ready!(this.deadline.as_mut().poll(cx));
            match (this.busy.is_idle(), this.phase) {
                (true, Phase::Idle | Phase::Head) => {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                (true, Phase::Serving) => this.rest(),
                (false, Phase::Serving) if this.is_stalled() => {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                // A request may have come into service since the deadline was set; then it no longer counts.
                (false, _) => this.enter(Phase::Serving),
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.bounded(cx, outcome)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.bounded(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_flush(cx);
        this.bounded(cx, outcome)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_shutdown(cx);
        this.bounded(cx, outcome)
    }
}

#[cfg(test)]
mod tests;
