//! A connection to a server of a bot, whatever it is made of.

use super::answer_stream::{AnswerState, AnswerStream};
use hyper_util::client::legacy::connect::{Connected, Connection};
use std::fmt::Debug;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf, Take};

/// A connection to a server of a bot.
///
/// HTTP/1.1 is spoken on it, and nothing else (for HTTP/2 see [`http2_line`](super::http2_line)): what a bot may answer is read strictly there, and one answer is on a connection at a
/// time. It hands out `AT_ONCE` bytes at a time, so that an answer which nobody reads costs little memory.
#[derive(Debug)]
pub struct Line(Take<AnswerStream<Box<dyn Stream>>>);

/// For an answer that nobody reads this is what lies here.
const AT_ONCE: u64 = 2 * 1024;

/// A socket, or TLS on one.
pub trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin + Debug {}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin + Debug> Stream for S {}

impl Line {
    /// Around a connected stream.
    pub fn new(stream: impl Stream + 'static) -> Self {
        let stream: Box<dyn Stream> = Box::new(stream);
        Self(AnswerStream::new(stream).take(AT_ONCE))
    }
}

impl Line {
    /// How long the request is that is written next, in bytes: its head, and its body.
    pub fn announce(&mut self, head: usize, body: usize) {
        self.0.get_mut().announce(head, body);
    }

    /// Whether what is written is thrown away, since the bot takes no more of the present request.
    pub fn refuses(&self) -> bool {
        self.0.get_ref().refuses()
    }

    /// What is known of this connection, now and later.
    pub fn state(&self) -> AnswerState {
        self.0.get_ref().state()
    }
}

impl Connection for Line {
    fn connected(&self) -> Connected {
        Connected::new().extra(self.0.get_ref().state())
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Anew for each read: this bounds how much is read at once, and not the connection.
        self.0.set_limit(AT_ONCE);
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.0.get_mut()).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.0.get_mut()).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.get_ref().is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.0.get_mut()).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.0.get_mut()).poll_shutdown(cx)
    }
}
