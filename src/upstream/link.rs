//! One connection to a server of a bot over which HTTP/1.1 is spoken, driven by the request that is on it.
//!
//! HTTP clients are made for bodies of any kind in both directions, and for requests that do not wait for a connection: channels,
//! tasks and locks between the two ends of each. Here a request is two pieces of memory, and whoever waits for its answer moves the
//! connection himself. What is read was judged below ([`AnswerStream`](crate::net::answer_stream::AnswerStream)), and has one
//! reading. Nobody moves a connection that rests: that it was closed shows when the next request is to be written, and then nothing
//! of that was sent (see [`NothingSent`]).

use super::head::{AnswerHead, Framing, RequestHead, Unreadable};
use super::pool::Made;
use super::sent::Sent;
use crate::net::answer_stream::{AnswerState, NothingSent};
use crate::net::deadline::Deadline;
use crate::net::line::Line;
use crate::net::wire::{ChunkStep, Unchunked};
use bytes::{Buf as _, Bytes, BytesMut};
use http::Response;
use http_body::SizeHint;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWrite as _};
use tokio::time::Instant;

/// So much is read at once.
const PIECE: usize = 2 * 1024;
/// A longer head of a request is not kept room for.
const USUAL_HEAD: usize = 8 * 1024;

/// See the module.
pub(super) struct Link {
    line: Line,
    made: Made,
    state: AnswerState,
    writing: Writing,
    /// What was read and not yet taken.
    input: BytesMut,
    reading: Reading,
    keeps_alive: bool,
    /// Of the present request. One for all requests, because setting a timer takes a lock.
    deadline: Option<Deadline>,
}

/// The request, as far as it was written.
#[derive(Default)]
struct Writing {
    head: Vec<u8>,
    /// Of the head.
    written: usize,
    /// What is left of it.
    body: Bytes,
    /// Told when all was taken; nothing once that is so, and nothing is left in buffers either.
    sent: Option<Sent>,
}

/// How long the head of an answer may take.
struct Patience {
    /// Since when it is waited for.
    since: Instant,
    /// In any case, from then on.
    usual: Duration,
    /// Knows whether more was allowed.
    sent: Sent,
}

/// Without the request, which has a token in it, and without what was read.
impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("state", &self.state)
            .field("reading", &self.reading)
            .finish_non_exhaustive()
    }
}

/// What comes next of the answer.
#[derive(Debug)]
enum Reading {
    Head,
    Length(u64),
    Chunks(Unchunked),
    UntilClosed,
    Over,
}

/// How a request on a connection fails.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The connection ended before an answer.
    Ended,
    Writing(io::Error),
    Reading(io::Error),
    /// Reading, behind the head.
    Body(io::Error),
    /// There was no head of an answer in so much time.
    TooLate(Duration),
    /// The bot says that it has not looked at the request, which is only said over HTTP/2.
    NotTaken(h2::Error),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ended => "connection closed before message completed",
            Self::Writing(_) => "error writing a body to connection",
            Self::Reading(_) => "connection error",
            Self::Body(_) => "error reading a body from connection",
            Self::TooLate(_) => "no answer in time",
            Self::NotTaken(_) => "the bot did not take the request",
        })
    }
}

impl std::error::Error for Trouble {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Ended | Self::TooLate(_) => None,
            Self::Writing(error) | Self::Reading(error) | Self::Body(error) => Some(error),
            Self::NotTaken(error) => Some(error),
        }
    }
}

impl Writing {
    fn head_left(&self) -> &[u8] {
        self.head.get(self.written..).unwrap_or_default()
    }

    fn is_written(&self) -> bool {
        self.head_left().is_empty() && self.body.is_empty()
    }

    fn advance(&mut self, count: usize) {
        let of_head = count.min(self.head_left().len());
        self.written = self.written.saturating_add(of_head);
        let of_body = count.saturating_sub(of_head).min(self.body.len());
        self.body.advance(of_body);
        if self.body.is_empty() {
            // Even with nothing left it would hold the memory, for as long as the answer comes and the connection rests.
            self.body = Bytes::new();
        }
    }
}

impl Patience {
    /// For waits so long that the clock cannot hold them, at once: a deadline that fails closed.
    fn until(&self, wait: Duration) -> Instant {
        self.since.checked_add(wait).unwrap_or(self.since)
    }
}

impl Link {
    /// Around a connected stream.
    pub(super) fn new(line: Line, made: Made) -> Self {
        Self {
            state: line.state(),
            line,
            made,
            writing: Writing::default(),
            input: BytesMut::new(),
            reading: Reading::Over,
            keeps_alive: true,
            deadline: None,
        }
    }

    /// When it began to be made, and what it belongs to.
    pub(super) const fn made(&self) -> Made {
        self.made
    }

    /// Sends a request and waits for the head of its answer, `within` so much time, or what `sent` allows meanwhile.
    ///
    /// # Cancel safety
    /// Dropping it leaves the link in the middle of a request: it is to be dropped, too.
    pub(super) fn ask(
        &mut self,
        head: RequestHead<'_>,
        body: Bytes,
        sent: Sent,
        within: Duration,
    ) -> impl Future<Output = Result<Response<()>, Trouble>> {
        let writing = &mut self.writing;
        writing.head.clear();
        head.write(body.len(), &mut writing.head);
        writing.written = 0;
        self.line.announce(writing.head.len(), body.len());
        writing.body = body;
        writing.sent = Some(sent.clone());
        self.reading = Reading::Head;
        let since = Instant::now();
        let patience = Patience {
            since,
            usual: within,
            sent,
        };
        let due = patience.until(within);
        match &mut self.deadline {
            Some(deadline) => deadline.set(due),
            None => self.deadline = Some(Deadline::at(due)),
        }
        poll_fn(move |cx| {
            if let Poll::Ready(outcome) = self.poll_head(cx) {
                return Poll::Ready(outcome);
            }
            let waited = ready!(self.poll_patience(cx, &patience));
            Poll::Ready(Err(Trouble::TooLate(waited)))
        })
    }

    /// Ready when the time for an answer is over. Says how long that was.
    fn poll_patience(&mut self, cx: &mut Context<'_>, patience: &Patience) -> Poll<Duration> {
        let Some(deadline) = &mut self.deadline else {
            return Poll::Pending;
        };
        loop {
            ready!(deadline.poll(cx));
            let allowed = patience.sent.patience(patience.usual);
            let until = patience.until(allowed);
            if deadline.due() >= until {
                return Poll::Ready(allowed);
            }
            deadline.set(until);
        }
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<()>, Trouble>> {
        self.write(cx)?;
        loop {
            let read = AnswerHead::read(&self.input);
            if let Some((head, length)) = read.map_err(|Unreadable| unreadable())? {
                self.input.advance(length);
                return Poll::Ready(Ok(self.begin(head)));
            }
            match ready!(self.poll_read(cx)) {
                Ok(0) if self.state.has_written() => return Poll::Ready(Err(Trouble::Ended)),
                Ok(0) => return Poll::Ready(Err(Trouble::Reading(NothingSent::error()))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(Trouble::Reading(error))),
            }
        }
    }

    fn begin(&mut self, head: AnswerHead) -> Response<()> {
        self.keeps_alive = head.keeps_alive;
        self.reading = match head.framing {
            Framing::Length(0) => Reading::Over,
            Framing::Length(length) => Reading::Length(length),
            Framing::Chunked => Reading::Chunks(Unchunked::default()),
            Framing::UntilClosed => Reading::UntilClosed,
        };
        let mut response = Response::new(());
        *response.status_mut() = head.status;
        *response.headers_mut() = head.headers;
        response
    }

    /// Writes as much of the request as the bot takes.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<(), Trouble> {
        let writing = &mut self.writing;
        if writing.sent.is_none() {
            return Ok(());
        }
        let mut line = Pin::new(&mut self.line);
        while !writing.is_written() {
            let pieces = [writing.head_left(), &writing.body].map(IoSlice::new);
            match line.as_mut().poll_write_vectored(cx, &pieces) {
                Poll::Ready(Ok(0)) => {
                    return Err(Trouble::Writing(io::ErrorKind::WriteZero.into()));
                }
                Poll::Ready(Ok(count)) => writing.advance(count),
                Poll::Ready(Err(error)) => return Err(Trouble::Writing(error)),
                Poll::Pending => return Ok(()),
            }
        }
        // What the connection refuses is thrown away there: then the bot has not taken it.
        if !line.refuses() {
            writing.sent.iter().for_each(Sent::set);
        }
        match line.poll_flush(cx) {
            Poll::Ready(outcome) => {
                writing.sent = None;
                outcome.map_err(Trouble::Writing)
            }
            Poll::Pending => Ok(()),
        }
    }

    /// Reads more; nothing where the bot has ended.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.input.reserve(PIECE);
        pin!(self.line.read_buf(&mut self.input)).poll(cx)
    }

    pub(super) fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Trouble>>> {
        // Some bots answer before they have the whole request.
        if let Err(trouble) = self.write(cx) {
            return Poll::Ready(Some(Err(trouble)));
        }
        loop {
            match self.take_piece() {
                Ok(Some(piece)) => return Poll::Ready(Some(Ok(piece))),
                Ok(None) if self.is_over() => return Poll::Ready(None),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Some(Err(Trouble::Body(error)))),
            }
            match ready!(self.poll_read(cx)) {
                Ok(0) => {
                    let how = match std::mem::replace(&mut self.reading, Reading::Over) {
                        Reading::UntilClosed => return Poll::Ready(None),
                        Reading::Chunks(chunks) if !chunks.is_in_data() => {
                            "unexpected EOF during chunk size line"
                        }
                        _ => "end of file before message length reached",
                    };
                    let error = io::Error::new(io::ErrorKind::UnexpectedEof, how);
                    return Poll::Ready(Some(Err(Trouble::Body(error))));
                }
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(Trouble::Body(error)))),
            }
        }
    }

    /// What there is of the body.
    fn take_piece(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            let count = match &mut self.reading {
                Reading::Length(left) => {
                    let count = usize::try_from(*left).unwrap_or(usize::MAX);
                    let count = count.min(self.input.len());
                    *left = left.saturating_sub(u64::try_from(count).unwrap_or(u64::MAX));
                    if *left == 0 {
                        self.reading = Reading::Over;
                    }
                    count
                }
                Reading::Chunks(chunks) => match chunks.step(&self.input) {
                    Ok(ChunkStep::Data(count)) => count,
                    Ok(ChunkStep::Framing(count)) => {
                        self.input.advance(count);
                        continue;
                    }
                    Ok(ChunkStep::More) => 0,
                    Ok(ChunkStep::End) => {
                        self.reading = Reading::Over;
                        0
                    }
                    Err(flaw) => return Err(io::Error::new(io::ErrorKind::InvalidData, flaw)),
                },
                Reading::UntilClosed => self.input.len(),
                Reading::Head | Reading::Over => 0,
            };
            let piece = self.input.get(..count).filter(|piece| !piece.is_empty());
            // Of its own: else it would keep the buffer it was read into, which is larger.
            let piece = piece.map(Bytes::copy_from_slice);
            self.input.advance(count);
            return Ok(piece);
        }
    }

    pub(super) const fn is_over(&self) -> bool {
        matches!(self.reading, Reading::Over)
    }

    /// How much is to come of the answer.
    pub(super) fn size_hint(&self) -> SizeHint {
        match &self.reading {
            Reading::Length(left) => SizeHint::with_exact(*left),
            Reading::Head | Reading::Chunks(_) | Reading::UntilClosed => SizeHint::default(),
            Reading::Over => SizeHint::with_exact(0),
        }
    }

    /// Whether it may carry another request. To be asked once an answer has been read to its end.
    pub(super) fn is_reusable(&self) -> bool {
        self.is_over()
            && self.keeps_alive
            && self.writing.sent.is_none()
            && self.input.is_empty()
            && !self.state.is_spent()
    }

    /// Gives back what a request took that was larger than most.
    pub(super) fn rest(&mut self) {
        if self.writing.head.capacity() > USUAL_HEAD {
            self.writing.head = Vec::new();
        }
        if self.input.capacity() > PIECE {
            self.input = BytesMut::new();
        }
    }
}

fn unreadable() -> Trouble {
    let what = "a head that cannot be read";
    Trouble::Reading(io::Error::new(io::ErrorKind::InvalidData, what))
}

#[cfg(test)]
mod tests;
