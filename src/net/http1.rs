//! Serves HTTP/1.1 on one connection.

use super::Peer;
use super::connection::{Connection, answer};
use super::listener::{Door, Event};
use super::paced::Protocol;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

impl<D: Door> Connection<D> {
    pub(super) async fn serve_http1<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        self,
        stream: S,
        peer: Peer,
        first: Instant,
    ) {
        let (io, busy) = self.pace(stream, Protocol::Http1, first);
        let door = Arc::clone(&self.door);
        let service =
            // Boxed, because hyper keeps room for a request on every connection that has none.
            service_fn(move |request| Box::pin(answer(Arc::clone(&door), request, peer, busy.serve())));
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            // A backstop: Paced is stricter.
            .header_read_timeout(self.caps.header_timeout.max(self.caps.keep_alive_timeout))
            .max_headers(self.caps.headers)
            .max_header_size(self.caps.header_bytes)
            .serve_connection(io, service);
        let mut connection = std::pin::pin!(connection);
        let outcome = tokio::select! {
            outcome = connection.as_mut() => outcome,
            () = self.closing.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = outcome
            && error.is_parse()
        {
            self.door.heard(Event::Unreadable(peer, &error));
        }
    }
}
