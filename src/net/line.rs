//! A connection to a server of a bot, whatever it is made of.

use super::answer_stream::AnswerStream;
use hyper_util::client::legacy::connect::{Connected, Connection};
use std::fmt::Debug;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection to a server of a bot.
///
/// It hands out [`AT_ONCE`] bytes at a time, so that an answer which nobody reads costs little memory.
#[derive(Debug)]
pub struct Line(Protocol);

/// What is spoken, and how it is read.
#[derive(Debug)]
enum Protocol {
    Http1(AnswerStream<Box<dyn Stream>>),
    Http2(Box<dyn Stream>),
}

/// Below hyper's first buffer: a read that fills it would make it grow.
const AT_ONCE: usize = 8 * 1024 - 1;

/// A socket, or TLS on one.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin + Debug {}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin + Debug> Stream for S {}

impl Line {
    pub(super) fn http1(stream: impl Stream + 'static) -> Self {
        Self(Protocol::Http1(AnswerStream::new(Box::new(stream))))
    }

    /// As agreed in the TLS handshake.
    pub(super) fn http2(stream: impl Stream + 'static) -> Self {
        Self(Protocol::Http2(Box::new(stream)))
    }

    fn stream(&mut self) -> &mut dyn Stream {
        match &mut self.0 {
            Protocol::Http1(stream) => stream,
            Protocol::Http2(stream) => stream,
        }
    }
}

impl Connection for Line {
    fn connected(&self) -> Connected {
        match &self.0 {
            Protocol::Http1(stream) => Connected::new().extra(stream.state()),
            Protocol::Http2(_) => Connected::new().negotiated_h2(),
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
        ready!(Pin::new(self.stream()).poll_read(cx, &mut part))?;
        let read = part.filled().len();
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
        Pin::new(self.stream()).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.stream()).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.0 {
            Protocol::Http1(stream) => stream.is_write_vectored(),
            Protocol::Http2(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream()).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream()).poll_shutdown(cx)
    }
}
