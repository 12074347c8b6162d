//! Serves HTTP/2 on one connection.

use super::Peer;
use super::connection::{Connection, answer};
use super::listener::Door;
use super::paced::Protocol;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};

impl<D: Door> Connection<D> {
    pub(super) async fn serve_http2<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        self,
        stream: S,
        peer: Peer,
    ) {
        let (io, busy) = self.pace(stream, Protocol::Http2);
        let door = Arc::clone(&self.door);
        let service =
            service_fn(move |request| answer(Arc::clone(&door), request, peer, busy.serve()));
        // A backstop for memory: what is beyond it, h2 answers with 431 and nobody hears of it. The door counts exactly.
        let head_bytes =
            u32::try_from(self.caps.header_bytes.saturating_mul(2)).unwrap_or(u32::MAX);
        let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_header_list_size(head_bytes)
            .max_concurrent_streams(100)
            .max_pending_accept_reset_streams(20)
            .max_local_error_reset_streams(100)
            .max_send_buf_size(64 * 1024)
            .serve_connection(io, service);
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            _ = connection.as_mut() => {}
            () = self.drain.cancelled() => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        }
    }
}
