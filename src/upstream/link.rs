//! One connection to a server of a bot, driven by the request that is on it.
//!
//! hyper-util's pooled client hands each connection to a task of its own, and each request then wakes that task, and the task the
//! request: two switches, two queues and their locks for every answer. Here whoever waits for the answer moves the connection
//! himself. Nobody moves one that rests: that it was closed shows when the next request is to be written, and then nothing of
//! that was sent (see [`NothingSent`](crate::net::answer_stream::NothingSent)).

use super::outgoing::Outgoing;
use super::pool::Pool;
use crate::net::answer_stream::AnswerState;
use crate::net::line::Line;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::task::coop::unconstrained;

/// For the head of an answer.
const HEAD_BYTES: usize = 64 * 1024;
const HEADERS: usize = 100;

/// See the module.
pub(super) struct Link {
    sender: SendRequest<Outgoing>,
    connection: Moving,
    state: AnswerState,
}

/// Nothing once it has ended: hyper tells whoever waits for an answer that there is none when the connection is dropped.
type Moving = Option<Pin<Box<Connection<TokioIo<Line>, Outgoing>>>>;

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("state", &self.state)
            .field("is_over", &self.connection.is_none())
            .finish_non_exhaustive()
    }
}

impl Link {
    /// Around a connected stream.
    pub(super) async fn new(line: TokioIo<Line>) -> hyper::Result<Self> {
        let state = line.inner().state();
        let (sender, connection) = Builder::new()
            .max_buf_size(HEAD_BYTES)
            .max_headers(HEADERS)
            .handshake(line)
            .await?;
        Ok(Self {
            sender,
            connection: Some(Box::pin(connection)),
            state,
        })
    }

    /// Sends a request and waits for the head of its answer.
    ///
    /// # Cancel safety
    /// Dropping it leaves the link in the middle of a request: it is to be dropped, too.
    pub(super) fn ask(
        &mut self,
        request: Request<Outgoing>,
    ) -> impl Future<Output = hyper::Result<Response<Incoming>>> {
        let Self {
            sender, connection, ..
        } = self;
        // Boxed, because it has room for the request, which is on its way already.
        let mut answer = Box::pin(unconstrained(sender.send_request(request)));
        poll_fn(move |cx| {
            drive(connection, cx);
            // The connection alone can make it ready, and was moved just now: woken by it, this task would only look twice.
            answer.as_mut().poll(&mut asleep())
        })
    }

    /// Whether it may carry another request. To be asked once an answer has been read to its end.
    fn is_reusable(&mut self) -> bool {
        // Woken for nobody: whoever used it goes on with other things.
        drive(&mut self.connection, &mut asleep());
        self.connection.is_some() && !self.state.is_spent() && self.sender.is_ready()
    }
}

/// Moves the connection as far as it goes. How it ends, whoever waits for the answer is told through that.
fn drive(connection: &mut Moving, cx: &mut Context<'_>) {
    if let Some(moving) = connection
        && moving.as_mut().poll(cx).is_ready()
    {
        *connection = None;
    }
}

const fn asleep() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// The body of an answer with the connection that it comes over, which is free for another request once it has ended.
#[derive(Debug)]
pub(super) struct FromBot {
    body: Incoming,
    link: Option<Link>,
    pool: Arc<Pool>,
}

impl FromBot {
    pub(super) const fn new(body: Incoming, link: Link, pool: Arc<Pool>) -> Self {
        Self {
            body,
            link: Some(link),
            pool,
        }
    }

    fn give_back(&mut self) {
        if let Some(mut link) = self.link.take()
            && link.is_reusable()
        {
            self.pool.put(link);
        }
    }
}

impl Body for FromBot {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        // First, because the connection reads on only when somebody wants to have it.
        let mut polled = Pin::new(&mut this.body).poll_frame(&mut asleep());
        if let (Poll::Pending, Some(link)) = (&polled, &mut this.link) {
            drive(&mut link.connection, cx);
            polled = Pin::new(&mut this.body).poll_frame(&mut asleep());
        }
        match &polled {
            Poll::Ready(None) => this.give_back(),
            Poll::Ready(Some(Ok(_))) if this.body.is_end_stream() => this.give_back(),
            Poll::Ready(Some(Err(_))) => this.link = None,
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
