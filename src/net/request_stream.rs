//! The stream between a client and hyper: what hyper reads from it are whole requests with one reading, one at a time.
//!
//! Bytes of a next request are held until the answer to the present one has ended, and are judged then as if they came alone. In
//! place of a head that is refused hyper gets [`REFUSED`], and the service the reason: the refusal is answered, counted and
//! written down like any other, and nothing of the hostile bytes is read by anybody else. After that nothing more is read.

use super::busy::Busy;
use super::held::{Held, Judged};
use super::wire::{Flaw, Limits, RequestReader, Step};
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};

/// What hyper reads instead of a head that is refused. Its method and target mean nothing.
const REFUSED: &[u8] =
    b"POST / HTTP/1.1\r\nhost: refused\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// See the module.
#[derive(Debug)]
pub(super) struct RequestStream<S> {
    stream: S,
    held: Held,
    turn: Turn,
    /// Whether a head is waited for of which there is nothing yet.
    is_idle: bool,
}

/// Whose turn it is, and what may pass.
#[derive(Debug)]
struct Turn {
    busy: Busy,
    reader: RequestReader,
    /// How many heads hyper was given.
    heads: usize,
    end: Option<End>,
}

/// Why nothing more is read.
#[derive(Clone, Copy, Debug)]
enum End {
    /// The client said that it has nothing more to say; hyper does not know yet.
    OfClient,
    /// It was told: it drops what is being served.
    Told,
    /// A head is to be refused, once what came before it is read.
    Head(Flaw),
    /// It was.
    Refused,
    Body(Flaw),
}

impl Turn {
    /// Whether the next byte begins a request, and its turn has not come: the service has not been given the one before, or has
    /// not done with it.
    fn must_wait(&self) -> bool {
        let is_free = self.busy.is_idle() && self.busy.entered() == self.heads;
        self.reader.is_between() && !is_free
    }

    /// Finds out how many of these bytes, which follow what was judged before, hyper may read.
    fn judge(&mut self, bytes: &[u8]) -> Judged {
        let mut judged = Judged::default();
        loop {
            let unread = bytes.get(judged.end()..).unwrap_or_default();
            // A dropped piece is followed by nothing, so that what may be passed is in one piece.
            if unread.is_empty() || judged.dropped > 0 || self.must_wait() {
                return judged;
            }
            let is_head = self.reader.is_before_body();
            match self.reader.step(unread) {
                Ok(Step::Head(count)) => {
                    self.heads = self.heads.saturating_add(1);
                    judged.passed = judged.passed.saturating_add(count);
                }
                Ok(Step::Body(count)) => judged.passed = judged.passed.saturating_add(count),
                Ok(Step::Drop(count)) => judged.dropped = count,
                Ok(Step::More) => return judged,
                Err(flaw) if is_head => {
                    self.end = Some(End::Head(flaw));
                    return judged;
                }
                Err(flaw) => {
                    self.end = Some(End::Body(flaw));
                    return judged;
                }
            }
        }
    }
}

impl<S> RequestStream<S> {
    pub(super) fn new(stream: S, limits: Limits, busy: Busy) -> Self {
        Self {
            stream,
            held: Held::default(),
            turn: Turn {
                busy,
                reader: RequestReader::new(limits),
                heads: 0,
                end: None,
            },
            is_idle: false,
        }
    }

    fn set_idle(&mut self, is_idle: bool) {
        if self.is_idle != is_idle {
            self.is_idle = is_idle;
            self.turn.busy.set_unasked(is_idle);
        }
    }

    /// Tells the stream below, and the drain, whether a part of a head is here.
    fn tell(&self) {
        let has_begun = self.turn.reader.is_before_body() && !self.held.is_empty();
        self.turn.busy.set_head_begun(has_begun);
    }
}

impl<S: AsyncRead + Unpin> RequestStream<S> {
    /// Waits for a head, or what makes it one to be refused. Says whether there is one: the client may end instead.
    ///
    /// # Errors
    /// Those of the stream below.
    pub(super) async fn next_head(&mut self) -> io::Result<bool> {
        poll_fn(|cx| self.poll_next_head(cx)).await?;
        Ok(!matches!(self.turn.end, Some(End::OfClient)) || self.held.has_passed())
    }

    fn poll_next_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.has_passed() && self.turn.end.is_none() {
            // What is dropped may be followed by what is not.
            if self.held.judge(|bytes| self.turn.judge(bytes)) || self.turn.end.is_some() {
                continue;
            }
            self.tell();
            self.set_idle(self.held.is_empty());
            // As much as hyper would read.
            let mut space = [MaybeUninit::uninit(); 8 * 1024];
            let mut buf = ReadBuf::uninit(&mut space);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))?;
            if buf.filled().is_empty() {
                self.turn.end = Some(End::OfClient);
            }
            self.held.keep(buf.filled());
        }
        self.tell();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for RequestStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.set_idle(false);
        loop {
            if this.held.has_passed() {
                this.held.hand_over(buf);
                this.tell();
                return Poll::Ready(Ok(()));
            }
            match this.turn.end {
                None => {}
                Some(End::OfClient | End::Told) => {
                    this.turn.end = Some(End::Told);
                    return Poll::Ready(Ok(()));
                }
                Some(End::Head(flaw)) => {
                    this.turn.busy.refuse(flaw);
                    this.held.replace(REFUSED);
                    this.turn.end = Some(End::Refused);
                    continue;
                }
                // The answer is on its way, and with it the connection ends; nobody needs to be woken for more.
                Some(End::Refused) => return Poll::Pending,
                Some(End::Body(flaw)) => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, flaw)));
                }
            }
            if !this.held.is_empty() {
                if this.turn.must_wait() {
                    // hyper asks again when the answer has ended: `State::idle` of its h1 connection sets `notify_read`
                    // wherever a header timeout is set.
                    return Poll::Pending;
                }
                let is_new = this.held.judge(|bytes| this.turn.judge(bytes));
                if is_new || this.turn.end.is_some() {
                    continue;
                }
            }
            this.tell();
            let before = buf.filled().len();
            if Pin::new(&mut this.stream).poll_read(cx, buf)?.is_pending() {
                let is_between = this.turn.reader.is_between() && !this.turn.must_wait();
                this.set_idle(is_between && this.held.is_empty());
                return Poll::Pending;
            }
            if buf.filled().len() == before {
                this.turn.end = Some(End::OfClient);
                if this.turn.busy.is_idle() {
                    continue;
                }
                // A request that came together with the end is looked at once before hyper drops it, so that it gets its line.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let judge = |bytes: &[u8]| this.turn.judge(bytes);
            if this.held.judge_read(buf, before, judge) {
                this.tell();
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for RequestStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> RequestStream<S> {
    /// Ends a connection so that the client gets to read its last answer: closing a socket with unread bytes resets it, and the
    /// answer is lost on the way (RFC 9112 9.6). What the client still sends is thrown away, within bounds.
    pub(super) async fn linger(mut self) {
        const MAX_BYTES: usize = 4 * 1024 * 1024;
        const WITHIN: Duration = Duration::from_secs(2);
        if self.stream.shutdown().await.is_err()
            || self.is_idle
            || matches!(self.turn.end, Some(End::OfClient | End::Told))
        {
            return;
        }
        self.held.clear();
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

#[cfg(test)]
mod tests;
