//! A socket of which two things are known that the bare one does not tell.
//!
//! Whether the other side has closed it is asked of the system itself before anything is written after a read: tokio learns of
//! it only when its poller comes round, and a request that is written meanwhile is lost with the connection, while one that was
//! not yet written can be sent on another. And an end that follows a failed write is that failure: the write has taken the
//! reset away, and an answer without a length would count as whole.

use socket2::SockRef;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// See the module.
#[derive(Debug)]
pub(super) struct Socket<S> {
    stream: S,
    has_read: bool,
    write_failed: Option<io::ErrorKind>,
}

impl<S: AsFd> Socket<S> {
    pub(super) const fn new(stream: S) -> Self {
        Self {
            stream,
            has_read: false,
            write_failed: None,
        }
    }

    fn check_open(&mut self) -> io::Result<()> {
        if !std::mem::take(&mut self.has_read) {
            return Ok(());
        }
        let socket = SockRef::from(&self.stream);
        match socket.peek(&mut [MaybeUninit::uninit()]) {
            Ok(0) => Err(io::ErrorKind::NotConnected.into()),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn written(&mut self, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Err(error)) = &outcome {
            self.write_failed = Some(error.kind());
        }
        outcome
    }
}

impl<S: AsyncRead + AsFd + Unpin> AsyncRead for Socket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.has_read = true;
        match self.write_failed {
            Some(kind) if buffer.filled().len() == before => Poll::Ready(Err(kind.into())),
            Some(_) | None => Poll::Ready(Ok(())),
        }
    }
}

impl<S: AsyncWrite + AsFd + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check_open()?;
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check_open()?;
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.written(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    async fn pair() -> (Socket<TcpStream>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        (Socket::new(client.unwrap()), accepted.unwrap().0)
    }

    #[tokio::test]
    async fn nothing_is_written_to_a_connection_that_was_closed_after_a_read() {
        let (mut socket, mut other) = pair().await;
        socket.write_all(b"x").await.unwrap();
        assert_eq!(other.read_u8().await.unwrap(), b'x');
        other.write_all(b"1").await.unwrap();
        assert_eq!(socket.read_u8().await.unwrap(), b'1');
        // The bare socket would take it: its poller has not come round to hear of the end.
        drop(other);
        let error = socket.write_all(b"two").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotConnected);
    }

    #[tokio::test]
    async fn an_open_connection_is_written_to() {
        let (mut socket, mut other) = pair().await;
        // More than is read at once: what is left is not an end.
        other.write_all(b"111").await.unwrap();
        for _ in 0..3 {
            assert_eq!(socket.read_u8().await.unwrap(), b'1');
            socket.write_all(b"x").await.unwrap();
            assert_eq!(other.read_u8().await.unwrap(), b'x');
        }
    }

    #[tokio::test]
    async fn the_end_after_a_failed_write_is_an_error() {
        let (mut socket, other) = pair().await;
        other.set_zero_linger().unwrap();
        drop(other);
        let failed = async {
            while socket.write_all(b"x").await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        failed.await;
        assert!(
            socket
                .read_u8()
                .await
                .is_err_and(|error| { error.kind() != io::ErrorKind::UnexpectedEof })
        );
    }
}
