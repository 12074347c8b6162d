//! A connection to a server of a bot, whatever it is made of.

use hyper_util::client::legacy::connect::{Connected, Connection};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection to a server of a bot.
///
/// It differs from the bare socket in two ways. It hands out [`AT_ONCE`] bytes at a time, so that an answer which nobody reads
/// costs little memory. And it takes what is written after the bot has stopped reading, to throw it away: a bot may answer
/// before it has read the request and close (RFC 9112 9.6), and the answer is there to be read although writing fails.
#[derive(Debug)]
pub struct Line {
    stream: Box<dyn Stream>,
    is_http2: bool,
    /// Why writing failed.
    write_failed: Option<io::ErrorKind>,
}

/// Below hyper's first buffer: a read that fills it would make it grow.
const AT_ONCE: usize = 8 * 1024 - 1;

trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin + std::fmt::Debug {}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin + std::fmt::Debug> Stream for S {}

impl Line {
    /// For HTTP/1.1.
    pub(super) fn plain(
        stream: impl AsyncRead + AsyncWrite + Send + Sync + Unpin + std::fmt::Debug + 'static,
    ) -> Self {
        Self {
            stream: Box::new(stream),
            is_http2: false,
            write_failed: None,
        }
    }

    /// For HTTP/2, as agreed in the TLS handshake.
    pub(super) fn http2(
        stream: impl AsyncRead + AsyncWrite + Send + Sync + Unpin + std::fmt::Debug + 'static,
    ) -> Self {
        Self {
            is_http2: true,
            ..Self::plain(stream)
        }
    }

    /// What became of a write: after a failure everything counts as written, until the answer has been read.
    fn written(
        &mut self,
        outcome: Poll<io::Result<usize>>,
        bytes: usize,
    ) -> Poll<io::Result<usize>> {
        match ready!(outcome) {
            Err(error) if !self.is_http2 && is_gone(&error) => {
                self.write_failed = Some(error.kind());
                Poll::Ready(Ok(bytes))
            }
            outcome => Poll::Ready(outcome),
        }
    }
}

fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(
        error.kind(),
        BrokenPipe | ConnectionAborted | ConnectionReset
    )
}

impl Connection for Line {
    fn connected(&self) -> Connected {
        let connected = Connected::new();
        if self.is_http2 {
            connected.negotiated_h2()
        } else {
            connected
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room = buffer.remaining().min(AT_ONCE);
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(room));
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut part))?;
        let read = part.filled().len();
        if let (0, Some(kind)) = (read, self.write_failed) {
            // The failed write has swallowed the reset. Without a length an end would count as the whole answer.
            return Poll::Ready(Err(kind.into()));
        }
        buffer.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.write_failed.is_some() {
            return Poll::Ready(Ok(bytes.len()));
        }
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(outcome, bytes.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bytes = pieces
            .iter()
            .fold(0_usize, |sum, piece| sum.saturating_add(piece.len()));
        if self.write_failed.is_some() {
            return Poll::Ready(Ok(bytes));
        }
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.written(outcome, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.write_failed.is_some() {
            return Poll::Ready(Ok(()));
        }
        // TLS writes what it holds only here.
        let outcome = Pin::new(&mut self.stream).poll_flush(cx);
        self.written(outcome.map_ok(|()| 0), 0).map_ok(|_| ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
