//! Connections to bots that are read in small pieces.
//!
//! hyper reads ahead in pieces that double as long as the other side fills them, up to 400 KiB. Such a piece stays in memory for as
//! long as the client at the other end does not take it, so that a thousand clients who do not read would hold hundreds of
//! megabytes. hyper's own bound on that size bounds the head of an answer too, which may well be larger.

use http::Uri;
use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tower_service::Service;

/// Of one piece, bytes: less than the 8 KiB that hyper starts with and, once they are filled, doubles. Several of them are on their way
/// to a client at once.
const PIECE_BYTES: usize = 2048;

/// Makes connections that are read in small pieces.
#[derive(Clone, Debug)]
pub struct SmallReads<C>(pub C);

impl<C> Service<Uri> for SmallReads<C>
where
    C: Service<Uri>,
    C::Future: Send + 'static,
{
    type Response = SmallReadStream<C::Response>;
    type Error = C::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.0.call(uri);
        Box::pin(async {
            connecting
                .await
                .map(|stream| SmallReadStream(Box::new(stream)))
        })
    }
}

/// A connection that is read in small pieces. Boxed: hyper's futures keep room for it more than once.
#[derive(Debug)]
pub struct SmallReadStream<S>(Box<S>);

impl<S: Read + Unpin> Read for SmallReadStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut space = [0; PIECE_BYTES];
        let room = buf.remaining().min(PIECE_BYTES);
        let mut piece = ReadBuf::new(space.get_mut(..room).unwrap_or_default());
        let outcome = Pin::new(&mut *self.0).poll_read(cx, piece.unfilled());
        buf.put_slice(piece.filled());
        outcome
    }
}

impl<S: Write + Unpin> Write for SmallReadStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write_vectored(cx, bufs)
    }
}

impl<S: Connection> Connection for SmallReadStream<S> {
    fn connected(&self) -> Connected {
        self.0.connected()
    }
}
