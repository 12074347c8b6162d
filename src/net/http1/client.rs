//! The client at the other end of an HTTP/1 connection: what it sends, piece by piece and in time, and what it takes.
//!
//! Bytes of a next request are held until the answer to the present one has ended, and are judged then as if they came alone.

use super::input::{Input, Next, Piece};
use super::output::Output;
use crate::net::clock;
use crate::net::deadline::Deadline;
use crate::net::gate::Caps;
use crate::net::pressure::{Crowd, Pressure};
use crate::net::wire::Limits;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::Instant;

/// Room for what is read at once: heads, mostly with all of their bodies; and bodies that are longer.
const HEAD_PIECE: usize = 8 * 1024;
const BODY_PIECE: usize = 16 * 1024;
/// While so much is free, no more room is made.
const ROOM: usize = 2 * 1024;
/// A connection on which nothing was asked for so long gives back the memory that requests need.
const REST: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Client<S> {
    stream: S,
    /// What was read and not yet taken.
    pub(super) input: Input,
    pub(super) output: Output,
    /// How long it may take what it is given.
    pressure: Pressure,
    wait: Wait,
    header_timeout: Duration,
    keep_alive_timeout: Duration,
    deadline: Deadline,
    /// It said that it has nothing more to say.
    has_ended: bool,
}

/// For what a client has how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// For a head, from its first byte on.
    Head,
    /// For the first byte of one: until then, if that is known. Otherwise it is counted from the next look on.
    Idle(Option<Instant>),
}

/// What a client does while it may ask for something.
pub(super) enum Turn {
    /// It asks.
    Asks(Next),
    /// Nothing for a while. Told once.
    Rests,
    /// It ended.
    Ends,
    /// The client's time is over.
    Expires,
    /// The connection broke.
    Breaks,
}

impl<S> Client<S> {
    /// `first` is when the head of the first request is to be there.
    pub(super) fn new(stream: S, caps: Caps, first: Instant, crowd: Crowd) -> Self {
        let limits = Limits {
            head_bytes: caps.header_bytes,
            fields: caps.headers,
        };
        Self {
            stream,
            input: Input::new(limits),
            output: Output::default(),
            pressure: Pressure::new(crowd),
            wait: Wait::Head,
            header_timeout: caps.header_timeout,
            keep_alive_timeout: caps.keep_alive_timeout,
            deadline: Deadline::at(first),
            has_ended: false,
        }
    }

    /// Whether a part of a head is here.
    pub(super) fn has_begun(&self) -> bool {
        !self.input.bytes.is_empty()
    }

    /// Whether the connection can serve another request once this one is answered: all of its body was taken.
    pub(super) fn can_go_on(&self) -> bool {
        self.input.is_between() && !self.has_ended
    }

    /// Whether it said that it has nothing more to say.
    pub(super) const fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// The request is answered: the next one has its time from now on.
    pub(super) fn answered(&mut self) {
        self.wait = Wait::Idle(None);
    }

    /// Gives back the memory that requests need.
    fn rest(&mut self) {
        self.input.rest();
        self.output = Output::default();
    }
}

impl<S: AsyncRead + Unpin> Client<S> {
    /// Waits for a head, or what makes it one to be refused, or the end.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        loop {
            if let Some(next) = self.input.next() {
                return Poll::Ready(Turn::Asks(next));
            }
            match self.poll_head_bytes(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Turn::Ends),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Turn::Breaks),
                Poll::Pending => return self.poll_time(cx),
            }
        }
    }

    /// What becomes of a client that sends nothing.
    fn poll_time(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        match self.wait {
            Wait::Idle(_) if self.has_begun() => {
                self.deadline.set(clock::deadline(self.header_timeout));
                self.wait = Wait::Head;
            }
            Wait::Idle(None) => {
                let until = clock::deadline(self.keep_alive_timeout);
                let after_rest = self.keep_alive_timeout.saturating_sub(REST);
                self.deadline
                    .set(until.checked_sub(after_rest).unwrap_or(until));
                self.wait = Wait::Idle(Some(until));
            }
            Wait::Idle(Some(_)) | Wait::Head => {}
        }
        ready!(self.deadline.poll(cx));
        Poll::Ready(match self.wait {
            Wait::Idle(Some(until)) if self.deadline.due() < until => {
                self.rest();
                self.deadline.set(until);
                Turn::Rests
            }
            Wait::Idle(_) | Wait::Head => Turn::Expires,
        })
    }

    /// Waits for the next piece of the body.
    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Piece> {
        loop {
            if let Some(piece) = self.input.piece() {
                return Poll::Ready(piece);
            }
            self.make_room(BODY_PIECE);
            if let Ok(0) | Err(_) = ready!(self.poll_read(cx)) {
                return Poll::Ready(Piece::Left);
            }
        }
    }

    /// Throws away what is here of a body that nobody wants, and waits for no more of it.
    pub(super) async fn skip_body(&mut self) {
        /// A client that sends for ever would always have something here.
        const MOST: usize = 64 * 1024;
        let mut skipped = 0_usize;
        poll_fn(|cx| {
            while skipped < MOST
                && let Poll::Ready(Piece::Data(data)) = self.poll_piece(cx)
            {
                skipped = skipped.saturating_add(data.len());
            }
            Poll::Ready(())
        })
        .await;
    }

    /// Ready when the client has left. What it sends of a next request meanwhile is held: behind that its end is not seen.
    pub(super) fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.input.is_between() {
            // Its body is not read ahead.
            return Poll::Pending;
        }
        loop {
            self.input.drop_empty_line();
            if !self.input.bytes.is_empty() {
                return Poll::Pending;
            }
            if let Ok(0) | Err(_) = ready!(self.poll_read(cx)) {
                return Poll::Ready(());
            }
        }
    }

    /// Reads more of a head. While nothing comes, no memory is held for it.
    fn poll_head_bytes(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.input.bytes.capacity() > 0 {
            self.make_room(HEAD_PIECE);
            return self.poll_read(cx);
        }
        let mut space = [MaybeUninit::uninit(); HEAD_PIECE];
        let mut buf = ReadBuf::uninit(&mut space);
        if !self.has_ended {
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))?;
        }
        let read = buf.filled();
        self.has_ended = read.is_empty();
        if !read.is_empty() {
            self.input.bytes.reserve(HEAD_PIECE);
            self.input.bytes.extend_from_slice(read);
        }
        Poll::Ready(Ok(read.len()))
    }

    /// As long as nothing holds what was read before, this is the same memory again.
    fn make_room(&mut self, piece: usize) {
        let held = self.input.bytes.len();
        if self.input.bytes.capacity().saturating_sub(held) < ROOM {
            self.input
                .bytes
                .reserve(piece.saturating_sub(held).max(ROOM));
        }
    }

    /// Reads more; nothing where the client has ended.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.has_ended {
            return Poll::Ready(Ok(0));
        }
        let read = ready!(pin!(self.stream.read_buf(&mut self.input.bytes)).poll(cx));
        self.has_ended = !matches!(read, Ok(1..));
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> Client<S> {
    /// Writes what is in [`output`](Self::output), to its end.
    ///
    /// # Errors
    /// Those of the stream; [`TimedOut`](io::ErrorKind::TimedOut) when the client does not take it.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.output.is_written() {
            let pieces = self.output.left();
            let written = Pin::new(&mut self.stream).poll_write_vectored(cx, &pieces);
            match written? {
                Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(count) => {
                    self.pressure.relieve(count);
                    self.output.advance(count);
                }
                Poll::Pending => return self.poll_pressure(cx),
            }
        }
        if Pin::new(&mut self.stream).poll_flush(cx)?.is_pending() {
            return self.poll_pressure(cx);
        }
        self.output.sent();
        // It has taken all: its time starts anew.
        let _ = self.pressure.poll(cx, false);
        Poll::Ready(Ok(()))
    }

    fn poll_pressure(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.pressure.poll(cx, true));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// Ends a connection on which nothing is asked.
    pub(super) async fn close(&mut self) -> bool {
        let shut = tokio::time::timeout(self.pressure.patience(), self.stream.shutdown()).await;
        matches!(shut, Ok(Ok(())))
    }

    /// Ends a connection so that the client gets to read its last answer: closing a socket with unread bytes resets it, and the
    /// answer is lost on the way (RFC 9112 9.6). What the client still sends is thrown away, within bounds.
    pub(super) async fn linger(&mut self) {
        const MAX_BYTES: usize = 4 * 1024 * 1024;
        const WITHIN: Duration = Duration::from_secs(2);
        if !self.close().await || self.has_ended {
            return;
        }
        self.rest();
        let mut thrown_away = 0_usize;
        let throwing_away = async {
            let mut piece = Vec::with_capacity(16 * 1024);
            while let Ok(count @ 1..) = self.stream.read_buf(&mut piece).await {
                piece.clear();
                thrown_away = thrown_away.saturating_add(count);
                if thrown_away > MAX_BYTES {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(WITHIN, throwing_away).await;
    }
}
