//! Serves HTTP/1.1 on one connection: a request is read, answered by the door, and only then is the next one looked at.
//!
//! No HTTP library stands here. What [`wire`](super::wire) has judged is read once, by the same bytes, and nobody else can find
//! another request in them. Whoever waits for the door's answer moves the connection himself: there is one task, and no channel
//! in it.

mod answer;
mod client;
mod input;
mod output;
mod request;

use super::connection::Connection;
use super::listener::{Door, Event};
use super::request_body::{BrokenBody, Pipe, RequestBody};
use super::wire::{Flaw, Limits};
use super::{Body, Peer, clock};
use answer::{DateText, Framing, Saying, begin_chunk};
use bytes::{Bytes, BytesMut};
use client::{Client, Turn};
use http::header::{CONNECTION, CONTENT_LENGTH, HOST};
use http::{HeaderValue, Method, Request, Response};
use http_body::Body as _;
use input::{Input, Next, Piece};
use output::Output;
use request::Terms;
use std::future::poll_fn;
use std::io;
use std::ops::ControlFlow;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_util::sync::WaitForCancellationFuture;

/// A request, and what its connection has to do for it.
struct Asked {
    request: Request<RequestBody>,
    /// Where its body is brought, if all of it is not here.
    pipe: Option<Pipe>,
    terms: Terms,
    refused: Option<Flaw>,
}

impl<D: Door> Connection<D> {
    pub(super) async fn serve_http1<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        self,
        stream: S,
        peer: Peer,
        first: Instant,
    ) {
        let mut client = Client::new(stream, self.caps, first, self.crowd.clone());
        let mut closing = pin!(self.closing.cancelled());
        // From here on the end wakes this task, whatever it waits for: what is asked here may want to know.
        poll_fn(|cx| Poll::Ready(closing.as_mut().poll(cx).is_ready())).await;
        let mut turn = next_turn(&mut client, closing.as_mut()).await;
        loop {
            turn = match turn {
                Some(Turn::Asks(next)) => {
                    // The door's future is many kilobytes large. There is room for one while requests come, and none at rest.
                    let serving = self.serve_awhile(next, peer, &mut client, closing.as_mut());
                    match Box::pin(serving).await {
                        ControlFlow::Continue(turn) => turn,
                        ControlFlow::Break(()) => return,
                    }
                }
                Some(Turn::Rests) => next_turn(&mut client, closing.as_mut()).await,
                Some(Turn::Ends) => return self.linger(&mut client).await,
                Some(Turn::Breaks) => return,
                // Where TLS is between, the client hears that this is the end (RFC 8446 6.1).
                Some(Turn::Expires) | None => {
                    client.close().await;
                    return;
                }
            }
        }
    }

    /// Nothing more is to be answered.
    async fn linger<S: AsyncRead + AsyncWrite + Unpin>(&self, client: &mut Client<S>) {
        let _lingers = self.lingering.enter();
        client.linger().await;
    }

    /// Answers requests as long as one follows the other. Says what the client does then, unless the connection has ended.
    async fn serve_awhile<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        mut next: Next,
        peer: Peer,
        client: &mut Client<S>,
        mut closing: Pin<&mut WaitForCancellationFuture<'_>>,
    ) -> ControlFlow<(), Option<Turn>> {
        let mut date = DateText::new();
        loop {
            let Asked {
                request,
                pipe,
                terms,
                refused,
            } = asked(next, &mut client.input);
            let peer = Peer { refused, ..peer };
            let mut waits_for_continue = terms.expects_continue;
            let answered = {
                let mut answering = pin!(Arc::clone(&self.door).answer(request, peer));
                let waits = &mut waits_for_continue;
                let bring = pipe.as_ref();
                poll_fn(|cx| poll_answer(answering.as_mut(), client, bring, waits, cx)).await
            };
            drop(pipe);
            let Some(response) = answered else {
                self.linger(client).await;
                return ControlFlow::Break(());
            };
            if !waits_for_continue {
                client.skip_body().await;
            }
            let saying = Saying {
                terms,
                length: response.body().size_hint().exact(),
                is_last: refused.is_some()
                    || !terms.keeps_alive
                    || !client.can_go_on()
                    || self.is_late
                    || self.drain.is_cancelled(),
                date: date.at(clock::now()),
            };
            match send(response, saying, client).await {
                Ok(false) => client.answered(),
                Ok(true) => {
                    self.linger(client).await;
                    return ControlFlow::Break(());
                }
                Err(error) => {
                    if error.kind() == io::ErrorKind::TimedOut {
                        self.door.heard(Event::TooSlow);
                    }
                    return ControlFlow::Break(());
                }
            }
            if client.has_begun() {
                // Whoever sends requests without waiting for answers shares the processor with all others.
                tokio::task::coop::consume_budget().await;
            }
            next = match next_turn(client, closing.as_mut()).await {
                Some(Turn::Asks(next)) => next,
                turn => return ControlFlow::Continue(turn),
            };
        }
    }
}

/// What a client does next; nothing where the gateway is to end before it has begun to ask.
async fn next_turn<S: AsyncRead + Unpin>(
    client: &mut Client<S>,
    mut closing: Pin<&mut WaitForCancellationFuture<'_>>,
) -> Option<Turn> {
    poll_fn(|cx| match client.poll_next(cx) {
        Poll::Ready(turn) => Poll::Ready(Some(turn)),
        // What has begun is waited for, in its time.
        Poll::Pending if client.has_begun() => Poll::Pending,
        Poll::Pending => closing.as_mut().poll(cx).map(|()| None),
    })
    .await
}

/// The request that a client sent, or what stands for one that is refused.
fn asked(next: Next, input: &mut Input) -> Asked {
    let head = match next {
        Next::Head(head) => head,
        Next::Flawed(flaw) => return refused(flaw),
    };
    let (request, terms) = match request::read(&head, input.fields()) {
        Ok(read) => read,
        Err(flaw) => return refused(flaw),
    };
    let length = input.body_left();
    let (body, pipe) = match (length, input.piece()) {
        (_, Some(Piece::End)) => (RequestBody::here(Bytes::new()), None),
        // Mostly all of it came with its head.
        (Some(length), Some(Piece::Data(data))) if is_all(&data, length) => {
            (RequestBody::here(data), None)
        }
        (length, piece) => {
            let pipe = Pipe::new(length);
            if let Some(piece) = piece {
                bring(&pipe, piece);
            }
            (RequestBody::coming(pipe.clone()), Some(pipe))
        }
    };
    Asked {
        request: request.map(|()| body),
        pipe,
        terms,
        refused: None,
    }
}

/// The whole requests in these bytes with their bodies, as a connection takes them one after the other, and the flaw that ends
/// them, if one does. For whoever checks that reading against another one.
pub fn requests_in(bytes: &[u8], limits: Limits) -> (Vec<Request<Bytes>>, Option<Flaw>) {
    let mut input = Input::new(limits);
    input.bytes.extend_from_slice(bytes);
    let mut requests = Vec::new();
    while let Some(next) = input.next() {
        let head = match next {
            Next::Head(head) => head,
            Next::Flawed(flaw) => return (requests, Some(flaw)),
        };
        let (request, _) = match request::read(&head, input.fields()) {
            Ok(read) => read,
            Err(flaw) => return (requests, Some(flaw)),
        };
        let mut body = BytesMut::new();
        loop {
            match input.piece() {
                Some(Piece::Data(data)) => body.extend_from_slice(&data),
                Some(Piece::End) => break,
                Some(Piece::Flawed(flaw)) => return (requests, Some(flaw)),
                Some(Piece::Left) | None => return (requests, None),
            }
        }
        requests.push(request.map(|()| body.freeze()));
    }
    (requests, None)
}

fn is_all(data: &[u8], length: u64) -> bool {
    u64::try_from(data.len()) == Ok(length)
}

/// What stands for a request that is refused. Its method, target and fields mean nothing.
fn refused(flaw: Flaw) -> Asked {
    let mut request = Request::new(RequestBody::here(Bytes::new()));
    *request.method_mut() = Method::POST;
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_static("refused"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    Asked {
        request,
        pipe: None,
        terms: Terms {
            is_head: false,
            is_http10: false,
            keeps_alive: false,
            expects_continue: false,
        },
        refused: Some(flaw),
    }
}

fn bring(pipe: &Pipe, piece: Piece) {
    match piece {
        Piece::Data(data) => pipe.give(data),
        Piece::End => pipe.end(Ok(())),
        Piece::Flawed(flaw) => pipe.end(Err(BrokenBody::Flawed(flaw))),
        Piece::Left => pipe.end(Err(BrokenBody::Left)),
    }
}

/// Waits for the door's answer, and brings it the body meanwhile; nothing where the client has left before.
fn poll_answer<S: AsyncRead + AsyncWrite + Unpin>(
    mut answering: Pin<&mut impl Future<Output = Response<Body>>>,
    client: &mut Client<S>,
    pipe: Option<&Pipe>,
    waits_for_continue: &mut bool,
    cx: &mut Context<'_>,
) -> Poll<Option<Response<Body>>> {
    for _ in 0..PIECES_AT_ONCE {
        // First: also a request that came together with its client's end is looked at, and gets its line.
        if let Poll::Ready(response) = answering.as_mut().poll(cx) {
            return Poll::Ready(Some(response));
        }
        let Some(pipe) = pipe.filter(|pipe| !pipe.is_complete()) else {
            return client.poll_left(cx).map(|()| None);
        };
        ready!(pipe.poll_wanted(cx));
        if std::mem::take(waits_for_continue) {
            client.output.text().extend_from_slice(CONTINUE);
        }
        if client.output.is_unsent() && ready!(client.poll_send(cx)).is_err() {
            return Poll::Ready(None);
        }
        bring(pipe, ready!(client.poll_piece(cx)));
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}

/// Of a body, before others have their turn on this processor.
const PIECES_AT_ONCE: usize = 8;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Sends an answer. Says whether the connection ends with it.
///
/// # Errors
/// When the connection or the answer breaks off, or the client does not take it.
async fn send<S: AsyncRead + AsyncWrite + Unpin>(
    response: Response<Body>,
    saying: Saying<'_>,
    client: &mut Client<S>,
) -> io::Result<bool> {
    let (head, body) = response.into_parts();
    let (framing, is_last) = saying.write(&head, client.output.text());
    let mut body = Outgoing {
        left: match framing {
            Framing::Length(length) => Some(length),
            Framing::Bodiless | Framing::Chunked | Framing::UntilClosed => None,
        },
        is_chunked: framing == Framing::Chunked,
        body: Some(body).filter(|_| framing != Framing::Bodiless),
    };
    // What is there goes with the head; after that a piece is asked for when the one before was taken.
    let mut asks = true;
    poll_fn(|cx| {
        loop {
            if asks && body.poll_into(&mut client.output, cx)?.is_pending() {
                if client.output.is_unsent() {
                    ready!(client.poll_send(cx))?;
                }
                if !client.has_ended() && client.poll_left(cx).is_ready() {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
                }
                return Poll::Pending;
            }
            asks = false;
            ready!(client.poll_send(cx))?;
            if body.is_over() {
                return Poll::Ready(Ok(is_last));
            }
            asks = true;
        }
    })
    .await
}

/// The body of an answer, as far as it was not sent.
struct Outgoing {
    /// Nothing once it is over.
    body: Option<Body>,
    /// How many bytes the head promises that were not sent, if it does.
    left: Option<u64>,
    is_chunked: bool,
}

impl Outgoing {
    const fn is_over(&self) -> bool {
        self.body.is_none()
    }

    /// Adds the next piece to what is sent, if there is one, and the end, if that is known.
    fn poll_into(&mut self, output: &mut Output, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(Ok(()));
        };
        let mut data = Bytes::new();
        while data.is_empty() && self.left != Some(0) && !body.is_end_stream() {
            match ready!(Pin::new(&mut *body).poll_frame(cx)) {
                // Trailers are for neighbours that agreed on them.
                Some(Ok(frame)) => data = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => break,
            }
        }
        let has_ended = data.is_empty() || body.is_end_stream();
        let is_short = self.take(&mut data);
        let ends = has_ended || self.left == Some(0);
        if ends && is_short {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        if ends {
            self.body = None;
        }
        let tail: &[u8] = match (self.is_chunked, data.is_empty(), ends) {
            (false, ..) => b"",
            (true, true, _) => b"0\r\n\r\n",
            (true, false, true) => b"\r\n0\r\n\r\n",
            (true, false, false) => b"\r\n",
        };
        if self.is_chunked && !data.is_empty() {
            begin_chunk(data.len(), output.text());
        }
        output.add(data, tail);
        Poll::Ready(Ok(()))
    }

    /// Counts a piece, without what is beyond the promised length. Says whether that is not reached.
    fn take(&mut self, data: &mut Bytes) -> bool {
        let Some(left) = &mut self.left else {
            return false;
        };
        data.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
        *left = left.saturating_sub(u64::try_from(data.len()).unwrap_or(u64::MAX));
        *left > 0
    }
}

#[cfg(test)]
mod tests;
