//! The stream between a client and hyper: what hyper reads from it are whole requests with one reading, one at a time.
//!
//! Bytes of a next request are held until the answer to the present one has ended, and are judged then as if they came alone. In
//! place of a head that is refused hyper gets [`REFUSED`], and the service the reason: the refusal is answered, counted and
//! written down like any other, and nothing of the hostile bytes is read by anybody else. After that nothing more is read.

use super::paced::Busy;
use super::wire::{Flaw, Limits, RequestReader, Step};
use bytes::{Buf, BytesMut};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};

/// What hyper reads instead of a head that is refused. Its method and target mean nothing.
const REFUSED: &[u8] =
    b"POST / HTTP/1.1\r\nhost: refused\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// See the module.
#[derive(Debug)]
pub(super) struct RequestStream<S> {
    stream: S,
    busy: Busy,
    reader: RequestReader,
    /// Read from the client, not yet by hyper. Empty and without memory while a connection is idle.
    held: BytesMut,
    /// How many of these hyper may read.
    passed: usize,
    /// How many after those are left out.
    dropped: usize,
    /// How many heads hyper was given.
    heads: usize,
    end: Option<End>,
    /// Whether hyper waits for a head of which there is nothing yet.
    is_idle: bool,
}

/// Why nothing more is read.
#[derive(Clone, Copy, Debug)]
enum End {
    /// The client said that it has nothing more to say.
    OfClient,
    /// A head is to be refused, once what came before it is read.
    Head(Flaw),
    /// It was.
    Refused,
    Body(Flaw),
}

impl<S> RequestStream<S> {
    pub(super) fn new(stream: S, limits: Limits, busy: Busy) -> Self {
        Self {
            stream,
            busy,
            reader: RequestReader::new(limits),
            held: BytesMut::new(),
            passed: 0,
            dropped: 0,
            heads: 0,
            end: None,
            is_idle: true,
        }
    }

    /// Whether the next request may be judged: the service has been given the one before, and has done with it.
    fn is_free(&self) -> bool {
        self.busy.is_idle() && self.busy.begun() == self.heads
    }

    /// Finds out how many of these bytes, which follow what was judged before, hyper may read.
    fn judge(&mut self, bytes: &[u8]) -> Judged {
        let mut judged = Judged::default();
        loop {
            let unread = bytes.get(judged.end()..).unwrap_or_default();
            // A dropped piece is followed by nothing, so that what may be passed is in one piece.
            if unread.is_empty() || judged.dropped > 0 {
                return judged;
            }
            if self.reader.is_between() && !self.is_free() {
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
                Err(flaw) => {
                    self.end = Some(if is_head {
                        End::Head(flaw)
                    } else {
                        End::Body(flaw)
                    });
                    return judged;
                }
            }
        }
    }

    /// Judges what is held.
    fn judge_held(&mut self) {
        let held = std::mem::take(&mut self.held);
        let judged = self.judge(&held);
        self.held = held;
        (self.passed, self.dropped) = (judged.passed, judged.dropped);
    }

    /// Judges what was just read into `buf` behind `before`, while nothing is held: in most cases it stays there.
    fn judge_read(&mut self, buf: &mut ReadBuf<'_>, before: usize) {
        let judged = self.judge(buf.filled().get(before..).unwrap_or_default());
        let kept = before.saturating_add(judged.passed);
        let rest = before.saturating_add(judged.end());
        self.held
            .extend_from_slice(buf.filled().get(rest..).unwrap_or_default());
        buf.set_filled(kept);
    }

    /// Leaves out what is dropped and gives memory back that is not needed.
    fn settle(&mut self) {
        if self.passed == 0 {
            self.held.advance(self.dropped.min(self.held.len()));
            self.dropped = 0;
        }
        if self.held.is_empty() {
            self.held = BytesMut::new();
        }
        self.busy
            .set_head_begun(self.reader.is_before_body() && !self.held.is_empty());
    }

    fn hand_over(&mut self, buf: &mut ReadBuf<'_>) {
        let count = self.passed.min(buf.remaining());
        buf.put_slice(self.held.get(..count).unwrap_or_default());
        self.held.advance(count);
        self.passed = self.passed.saturating_sub(count);
        self.settle();
    }
}

/// What is known of some bytes: these many may be passed on, and as many after them are to be left out.
#[derive(Default)]
struct Judged {
    passed: usize,
    dropped: usize,
}

impl Judged {
    const fn end(&self) -> usize {
        self.passed.saturating_add(self.dropped)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for RequestStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.is_idle = false;
        loop {
            if this.passed > 0 {
                this.hand_over(buf);
                return Poll::Ready(Ok(()));
            }
            match this.end {
                None => {}
                Some(End::OfClient) => return Poll::Ready(Ok(())),
                Some(End::Head(flaw)) => {
                    this.busy.refuse(flaw);
                    this.held = BytesMut::from(REFUSED);
                    this.passed = REFUSED.len();
                    this.end = Some(End::Refused);
                    continue;
                }
                // The answer is on its way, and with it the connection ends; nobody needs to be woken for more.
                Some(End::Refused) => return Poll::Pending,
                Some(End::Body(flaw)) => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, flaw)));
                }
            }
            if !this.held.is_empty() {
                if this.reader.is_between() && !this.is_free() {
                    // hyper asks again when the answer has ended: `State::idle` of its h1 connection sets `notify_read`
                    // wherever a header timeout is set.
                    return Poll::Pending;
                }
                this.judge_held();
                if this.passed > 0 || this.dropped > 0 || this.end.is_some() {
                    this.settle();
                    continue;
                }
            }
            this.settle();
            let before = buf.filled().len();
            if Pin::new(&mut this.stream).poll_read(cx, buf)?.is_pending() {
                this.is_idle = this.held.is_empty() && this.reader.is_between() && this.is_free();
                return Poll::Pending;
            }
            if buf.filled().len() == before {
                this.end = Some(End::OfClient);
                return Poll::Ready(Ok(()));
            }
            if this.held.is_empty() {
                this.judge_read(buf, before);
                this.settle();
                if buf.filled().len() > before {
                    return Poll::Ready(Ok(()));
                }
            } else {
                this.held
                    .extend_from_slice(buf.filled().get(before..).unwrap_or_default());
                buf.set_filled(before);
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
            || matches!(self.end, Some(End::OfClient))
        {
            return;
        }
        self.held = BytesMut::new();
        let mut thrown_away = 0_usize;
        let throwing_away = async {
            let mut piece = vec![0; 16 * 1024];
            while let Ok(count @ 1..) = self.stream.read(&mut piece).await {
                thrown_away = thrown_away.saturating_add(count);
                if thrown_away > MAX_BYTES {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(WITHIN, throwing_away).await;
    }
}
