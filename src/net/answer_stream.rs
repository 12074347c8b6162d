//! The stream between an HTTP/1 client (that of `upstream::link`; hyper's, for health checks) and a bot: what the client reads
//! from it are whole heads and bodies with one reading.
//!
//! It also knows whether anything of a request was written yet, so that it may be sent again on another connection, and whether a
//! connection may be used again. The client sends one request at a time; requests other than HEAD and CONNECT are assumed.

mod state;

pub use state::{AnswerState, BrokenAnswer, NothingSent};

use super::held::{Held, Judged};
use super::wire::{self, AnswerReader, Flaw, Limits, Step};
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop::unconstrained;

/// What a bot's answer may have as a head, with the interim answers before it. hyper's client has room for 100 fields.
const LIMITS: Limits = Limits {
    head_bytes: 64 * 1024,
    fields: 100,
};

/// See the module.
#[derive(Debug)]
pub struct AnswerStream<S> {
    stream: S,
    held: Held,
    reading: Reading,
    writing: Writing,
    /// The length of the next request, where whoever writes it has said so.
    announced: Option<u64>,
}

#[derive(Debug)]
struct Reading {
    reader: AnswerReader,
    state: AnswerState,
    end: Option<End>,
}

/// Why nothing more is read.
#[derive(Clone, Copy, Debug)]
enum End {
    /// The bot has nothing more to say, or nothing that anybody wants to hear.
    Closed,
    Broken(Flaw),
}

/// How far the present request was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writing {
    /// The next byte begins one.
    Between,
    /// These many bytes of it are left; nothing where its length is not known.
    Request(Option<u64>),
    /// The bot takes no more. What is left is thrown away, so that its answer can still be read.
    Refused,
}

impl<S> AnswerStream<S> {
    /// Around a connected stream, over which HTTP/1 is spoken.
    pub fn new(stream: S) -> Self {
        let state = AnswerState::default();
        Self {
            stream,
            held: Held::default(),
            reading: Reading {
                reader: AnswerReader::new(LIMITS),
                state,
                end: None,
            },
            writing: Writing::Between,
            announced: None,
        }
    }

    /// How long the request is that is written next: then it need not be read for that.
    pub fn announce(&mut self, head: usize, body: usize) {
        self.announced = u64::try_from(head.saturating_add(body)).ok();
    }

    /// Whether what is written is thrown away, since the bot takes no more of the present request.
    pub fn refuses(&self) -> bool {
        self.writing == Writing::Refused
    }

    /// What is known of this connection, now and later.
    pub fn state(&self) -> AnswerState {
        self.reading.state.clone()
    }

    /// The stream within.
    pub const fn get_ref(&self) -> &S {
        &self.stream
    }

    /// The answer is complete: the request should be, too.
    fn note_complete(&mut self) {
        if !self.reading.reader.is_between() || self.writing == Writing::Between {
            return;
        }
        let state = &self.reading.state;
        match self.writing {
            Writing::Between | Writing::Request(Some(0)) => self.writing = Writing::Between,
            Writing::Request(Some(_) | None) | Writing::Refused => {
                // What the bot makes of the rest of the request nobody knows.
                state.spend();
                self.writing = Writing::Refused;
            }
        }
        state.set_written(false);
    }

    fn count_written(&mut self, count: usize) {
        if count == 0 {
            return;
        }
        self.reading.state.set_written(true);
        if let Writing::Request(Some(left)) = &mut self.writing {
            *left = left.saturating_sub(u64::try_from(count).unwrap_or(u64::MAX));
        }
    }

    /// What a write means: so many bytes, or nothing where it failed.
    fn written(&mut self, count: Option<usize>, offered: usize) -> io::Result<usize> {
        match count {
            Some(count) => {
                self.count_written(count);
                Ok(count)
            }
            None if self.reading.state.has_written() => {
                // The bot may have answered before it closed; that answer still lies in the socket.
                self.reading.state.spend();
                self.writing = Writing::Refused;
                Ok(offered)
            }
            None => {
                self.reading.state.spend();
                Err(NothingSent::error())
            }
        }
    }
}

impl Reading {
    fn judge(&mut self, bytes: &[u8]) -> Judged {
        let mut judged = Judged::default();
        loop {
            let unread = bytes.get(judged.end()..).unwrap_or_default();
            if unread.is_empty() || judged.dropped > 0 {
                return judged;
            }
            if self.reader.is_between() {
                self.state.note_surplus();
                self.end = Some(End::Closed);
                return judged;
            }
            match self.reader.step(unread) {
                Ok(Step::Head(count) | Step::Body(count)) => {
                    judged.passed = judged.passed.saturating_add(count);
                }
                Ok(Step::Drop(count)) => judged.dropped = count,
                Ok(Step::More) => return judged,
                Err(flaw) => {
                    self.state.spend();
                    self.end = Some(End::Broken(flaw));
                    return judged;
                }
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AnswerStream<S> {
    /// Before the first byte of a request: whether there is still somebody to read it.
    fn begin(&mut self, cx: &mut Context<'_>, first: &[u8]) -> io::Result<()> {
        let mut byte = [0];
        let mut buf = ReadBuf::new(&mut byte);
        // In any case: a task that has done its share for now is told `Pending` whatever there is to read.
        let read = poll_fn(|cx| Pin::new(&mut self.stream).poll_read(cx, &mut buf));
        let is_silent = pin!(unconstrained(read)).poll(cx).is_pending();
        if !is_silent || self.reading.end.is_some() || self.reading.state.is_spent() {
            if !buf.filled().is_empty() {
                self.reading.state.note_surplus();
            }
            self.reading.state.spend();
            self.reading.end.get_or_insert(End::Closed);
            return Err(NothingSent::error());
        }
        let length = self.announced.take();
        let length = length.or_else(|| wire::request_length(first));
        self.writing = Writing::Request(length);
        self.reading.reader.expect();
        Ok(())
    }

    fn poll_any_write(
        &mut self,
        cx: &mut Context<'_>,
        first: &[u8],
        offered: usize,
        write: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if self.writing == Writing::Between && offered > 0 {
            self.begin(cx, first)?;
        }
        if self.writing == Writing::Refused {
            return Poll::Ready(Ok(offered));
        }
        let outcome = ready!(write(Pin::new(&mut self.stream), cx));
        Poll::Ready(self.written(outcome.ok(), offered))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for AnswerStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.held.has_passed() {
                this.held.hand_over(buf);
                return Poll::Ready(Ok(()));
            }
            match this.reading.end {
                Some(End::Closed) => return Poll::Ready(Ok(())),
                Some(End::Broken(flaw)) => {
                    let broken = BrokenAnswer(flaw);
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, broken)));
                }
                None if this.writing == Writing::Refused && this.reading.reader.is_between() => {
                    return Poll::Ready(Ok(()));
                }
                None => {}
            }
            if !this.held.is_empty() {
                let is_new = this.held.judge(|bytes| this.reading.judge(bytes));
                this.note_complete();
                if is_new || this.reading.end.is_some() {
                    continue;
                }
            }
            let before = buf.filled().len();
            if let Err(error) = ready!(Pin::new(&mut this.stream).poll_read(cx, buf)) {
                this.reading.state.spend();
                return Poll::Ready(Err(error));
            }
            if buf.filled().len() == before {
                this.reading.state.spend();
                this.reading.end = Some(End::Closed);
                return Poll::Ready(Ok(()));
            }
            let judge = |bytes: &[u8]| this.reading.judge(bytes);
            let has_passed = this.held.judge_read(buf, before, judge);
            if this.reading.reader.ends_with_connection() {
                this.reading.state.spend();
            }
            this.note_complete();
            if has_passed {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for AnswerStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.poll_any_write(cx, buf, buf.len(), |stream, cx| stream.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let first = bufs.iter().find(|buf| !buf.is_empty());
        let first = first.map_or(&[][..], |first| first);
        let offered = bufs
            .iter()
            .map(|buf| buf.len())
            .fold(0, usize::saturating_add);
        this.poll_any_write(cx, first, offered, |stream, cx| {
            stream.poll_write_vectored(cx, bufs)
        })
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.writing == Writing::Refused {
            return Poll::Ready(Ok(()));
        }
        let outcome = ready!(Pin::new(&mut this.stream).poll_flush(cx));
        Poll::Ready(outcome.or_else(|error| {
            // With nothing written there is nothing to flush: this is of the present request, or of one that the bot answered
            // before it had its end.
            let is_before_answer = this.writing != Writing::Between;
            if is_before_answer && !this.reading.state.has_written() {
                return Err(error);
            }
            this.reading.state.spend();
            this.writing = Writing::Refused;
            Ok(())
        }))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
