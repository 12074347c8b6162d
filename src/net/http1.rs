//! Serves HTTP/1.1 on one connection.

use super::busy::Busy;
use super::connection::{Connection, answer};
use super::deadline::{Deadline, HeadTimer, Told};
use super::listener::{Door, Event};
use super::paced::Protocol;
use super::request_stream::RequestStream;
use super::wire::Limits;
use super::{Peer, clock};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What hyper may hold of an answer that the client does not take, the least it can be told. Larger only as heads may be larger:
/// hyper has one bound for both.
const BUFFER_BYTES: usize = 8 * 1024;

/// How often is asked whether a connection rests; it does when it did so twice.
const REST: Duration = Duration::from_secs(1);

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
        loop {
            // There is no hyper while there is nothing to read: its buffers are more than all else that a connection has.
            let is_over = tokio::select! {
                biased;
                outcome = stream.next_head() => match outcome {
                    Ok(is_there) => !is_there,
                    Err(_) => return,
                },
                () = may_close(&self.closing, &busy) => true,
            };
            if is_over {
                return stream.linger().await;
            }
            match self.serve_awhile(stream, peer, &busy).await {
                Some(at_rest) => stream = at_rest,
                None => return,
            }
        }
    }

    /// Serves requests until the connection ends, or rests: then it is given back.
    async fn serve_awhile<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        stream: RequestStream<S>,
        peer: Peer,
        busy: &Busy,
    ) -> Option<RequestStream<S>> {
        let (door, serving) = (Arc::clone(&self.door), busy.clone());
        let service =
            service_fn(move |request| answer(Arc::clone(&door), request, peer, serving.serve()));
        let backstop = self.caps.header_timeout.max(self.caps.keep_alive_timeout);
        let mut connection = hyper::server::conn::http1::Builder::new()
            .timer(HeadTimer::new(clock::deadline(backstop)))
            // A backstop: Paced is stricter. Without it hyper would not ask for bytes that are held until an answer has ended.
            .header_read_timeout(backstop)
            .max_headers(self.caps.headers)
            .max_header_size(self.caps.header_bytes)
            .max_buf_size(self.caps.header_bytes.max(BUFFER_BYTES))
            .serve_connection(TokioIo::new(stream), service);
        let outcome = tokio::select! {
            // In this order, so that whether a head has begun, or all is at rest, is asked after it was read on.
            biased;
            outcome = &mut connection => outcome,
            () = may_close(&self.closing, busy) => {
                std::pin::Pin::new(&mut connection).graceful_shutdown();
                (&mut connection).await
            }
            () = rests(busy) => return Some(connection.into_parts().io.into_inner()),
        };
        match outcome {
            Ok(()) => connection.into_parts().io.into_inner().linger().await,
            Err(error) if error.is_parse() => self.door.heard(Event::Unreadable(peer, &error)),
            Err(_) => {}
        }
        None
    }
}

/// Waits until nothing has been asked for a while, and everything that was is answered.
async fn rests(busy: &Busy) {
    let mut look = Deadline::at(clock::deadline(REST));
    let mut before = None;
    poll_fn(|cx| {
        loop {
            ready!(look.poll(cx));
            let now = busy.is_at_rest().then(|| busy.entered());
            if now.is_some() && now == before {
                return Poll::Ready(());
            }
            before = now;
            look.set(clock::deadline(REST));
        }
    })
    .await;
}

/// Waits for the end of the drain's grace, and then for a head that has begun to arrive: hyper does not see it before it is whole, and would take
/// the connection for an idle one. `Paced` bounds how long that takes.
async fn may_close(closing: &CancellationToken, busy: &Busy) {
    let mut cancelled = pin!(closing.cancelled());
    let mut told = Told::default();
    poll_fn(|cx| {
        if told.knows(cx) && !closing.is_cancelled() {
            return Poll::Pending;
        }
        told.tell(cx, |cx| cancelled.as_mut().poll(cx))
    })
    .await;
    poll_fn(|_| {
        if busy.has_head_begun() {
            // Polled again whenever the connection is: both are of one task.
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}
