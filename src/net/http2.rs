//! Serves HTTP/2 on one connection.
//!
//! Every limit is said here, and none is left to a default that a new version of h2 might change.

use super::busy::Busy;
use super::connection::{Connection, answer};
use super::frame_watch::MAX_BLOCK_BYTES;
use super::listener::{Door, Event};
use super::{Peer, RequestBody, body};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

/// Requests at once on one connection. RFC 9113 6.5.2 advises against fewer.
const CONCURRENT_STREAMS: u32 = 100;
/// How much a client may send of one body, and of all, before it is read, bytes. An activity is smaller than the first; what
/// comes on a connection before its callers are proven is bounded by the second.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;
/// The least that may be said (RFC 9113 6.5.2).
const FRAME_BYTES: u32 = 16 * 1024;
/// Names and values that both sides remember: RFC 9113's own default, said so that it stays.
const HEADER_TABLE_BYTES: u32 = 4096;
/// How much of one answer h2 holds for the client, bytes.
const SEND_BYTES: usize = 8 * 1024;
/// Streams reset before anybody looked at them: h2's own bound on rapid resets, behind ours.
const PENDING_RESETS: usize = 20;
/// Malformed requests, and ones beyond [`CONCURRENT_STREAMS`], in the life of a connection.
const STREAM_ERRORS: usize = 100;
/// A client that is gone without a word is found out by a ping.
const PING_EVERY: Duration = Duration::from_secs(30);
const PONG_WITHIN: Duration = Duration::from_secs(20);
/// During the drain: how soon the end of the last answer is noticed.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

impl<D: Door> Connection<D> {
    pub(super) async fn serve_http2<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        self,
        stream: S,
        peer: Peer,
        first: Instant,
    ) {
        let (io, busy) = self.pace(stream, first);
        let (door, requests) = (Arc::clone(&self.door), busy.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let (door, is_flooded) = (Arc::clone(&door), requests.flood().is_some());
            // Here and not in the task: the stream is to see at its next read that there is a request.
            let serving = requests.serve();
            async move {
                if is_flooded {
                    // Nobody will read this: the connection is about to end.
                    return Ok(Response::new(body::empty()));
                }
                answer(door, request.map(RequestBody::of_hyper), peer, serving).await
            }
        });
        let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_header_list_size(header_list_bytes(self.caps.header_bytes))
            .header_table_size(HEADER_TABLE_BYTES)
            .max_frame_size(FRAME_BYTES)
            .adaptive_window(false)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_concurrent_streams(CONCURRENT_STREAMS)
            .max_pending_accept_reset_streams(PENDING_RESETS)
            .max_local_error_reset_streams(STREAM_ERRORS)
            .max_send_buf_size(SEND_BYTES)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PONG_WITHIN)
            .serve_connection(io, service);
        let mut connection = std::pin::pin!(connection);
        let outcome = tokio::select! {
            outcome = connection.as_mut() => outcome,
            () = self.drain.cancelled() => {
                // GOAWAY: what the client sent before it learns of that is served (RFC 9113 6.8).
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    outcome = connection => outcome,
                    () = self.abandoned(&busy) => Ok(()),
                }
            }
        };
        self.tell(&busy, outcome.err());
    }

    /// Ends when the gateway is closing and there is nothing left to do here. h2 closes by itself once the client has answered its
    /// ping; this is for clients that do not.
    async fn abandoned(&self, busy: &Busy) {
        self.closing.cancelled().await;
        while !busy.has_answered() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// What ended the connection, if it was the client's fault, and what h2 refused on it without a word to anybody.
    fn tell(&self, busy: &Busy, error: Option<hyper::Error>) {
        if busy.is_too_slow() && busy.flood().is_none() {
            self.door.heard(Event::TooSlow);
        }
        let why = match busy.flood() {
            Some(flood) => Some(flood.as_str()),
            None => error.and_then(|error| broken_rule(&error)),
        };
        let malformed = busy.malformed();
        if why.is_some() || malformed > 0 {
            self.door.heard(Event::Http2Ended {
                address: self.address.ip(),
                why,
                malformed,
            });
        }
    }
}

/// A backstop for memory: what unpacks to more, h2 answers with 431 and nobody hears of it. The door counts exactly.
fn header_list_bytes(header_bytes: usize) -> u32 {
    u32::try_from(header_bytes.saturating_mul(2))
        .unwrap_or(u32::MAX)
        .min(MAX_BLOCK_BYTES)
}

/// The code of RFC 9113 7 with which h2 ended the connection, if it did so.
fn broken_rule(error: &hyper::Error) -> Option<&'static str> {
    let error = error.source()?.downcast_ref::<h2::Error>()?;
    if error.is_io() || error.is_remote() {
        return None;
    }
    Some(match error.reason()? {
        h2::Reason::NO_ERROR => return None,
        h2::Reason::PROTOCOL_ERROR => "protocol_error",
        h2::Reason::FLOW_CONTROL_ERROR => "flow_control_error",
        h2::Reason::FRAME_SIZE_ERROR => "frame_size_error",
        h2::Reason::COMPRESSION_ERROR => "compression_error",
        h2::Reason::STREAM_CLOSED => "stream_closed",
        h2::Reason::ENHANCE_YOUR_CALM => "enhance_your_calm",
        _ => "other",
    })
}
