//! Serves HTTP/1.1 on one connection.

use super::Peer;
use super::busy::Busy;
use super::connection::{Connection, answer};
use super::listener::{Door, Event};
use super::paced::Protocol;
use super::request_stream::RequestStream;
use super::wire::Limits;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::sync::Arc;
use std::task::Poll;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What hyper may hold of an answer that the client does not take, the least it can be told. Larger only as heads may be larger:
/// hyper has one bound for both.
const BUFFER_BYTES: usize = 8 * 1024;

impl<D: Door> Connection<D> {
    pub(super) async fn serve_http1<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        self,
        stream: S,
        peer: Peer,
        first: Instant,
    ) {
        let (paced, busy) = self.pace(stream, Protocol::Http1, first);
        let limits = Limits {
            head_bytes: self.caps.header_bytes,
            fields: self.caps.headers,
        };
        let mut stream = RequestStream::new(paced.into_inner(), limits, busy.clone());
        if stream.first_head().await.is_err() {
            return;
        }
        let io = TokioIo::new(stream);
        let door = Arc::clone(&self.door);
        let serving = busy.clone();
        let service =
            // Boxed, because hyper keeps room for a request on every connection that has none.
            service_fn(move |request| Box::pin(answer(Arc::clone(&door), request, peer, serving.serve())));
        let mut connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            // A backstop: Paced is stricter. Without it hyper would not ask for bytes that are held until an answer has ended.
            .header_read_timeout(self.caps.header_timeout.max(self.caps.keep_alive_timeout))
            .max_headers(self.caps.headers)
            .max_header_size(self.caps.header_bytes)
            .max_buf_size(self.caps.header_bytes.max(BUFFER_BYTES))
            .serve_connection(io, service);
        let outcome = tokio::select! {
            // In this order, so that whether a head has begun is asked after it was read on.
            biased;
            outcome = &mut connection => outcome,
            () = may_close(&self.closing, &busy) => {
                std::pin::Pin::new(&mut connection).graceful_shutdown();
                (&mut connection).await
            }
        };
        match outcome {
            Ok(()) => connection.into_parts().io.into_inner().linger().await,
            Err(error) if error.is_parse() => self.door.heard(Event::Unreadable(peer, &error)),
            Err(_) => {}
        }
    }
}

/// Waits for the end of the drain's grace, and then for a head that has begun to arrive: hyper does not see it before it is whole, and would take
/// the connection for an idle one. `Paced` bounds how long that takes.
async fn may_close(closing: &CancellationToken, busy: &Busy) {
    closing.cancelled().await;
    std::future::poll_fn(|_| {
        if busy.has_head_begun() {
            // Polled again whenever the connection is: both are of one task.
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}
