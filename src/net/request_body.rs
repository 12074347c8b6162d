//! The body of a request, whatever protocol it comes over.

use super::wire::Flaw;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

/// See the module.
#[derive(Debug)]
pub struct RequestBody(Kind);

#[derive(Debug)]
enum Kind {
    /// All that is left of it.
    Here(Bytes),
    /// Its connection brings it.
    Coming(Pipe),
    Hyper(Incoming),
}

/// How a body breaks off.
#[derive(Debug)]
pub enum BrokenBody {
    /// It cannot be read in exactly one way.
    Flawed(Flaw),
    /// The client ended before it did.
    Left,
    /// As hyper says it.
    Hyper(hyper::Error),
}

impl RequestBody {
    /// All of it.
    pub(super) const fn here(bytes: Bytes) -> Self {
        Self(Kind::Here(bytes))
    }

    /// What will come through this pipe.
    pub(super) const fn coming(pipe: Pipe) -> Self {
        Self(Kind::Coming(pipe))
    }

    /// As hyper reads it: that of an HTTP/2 stream, or of a saved request.
    pub const fn of_hyper(incoming: Incoming) -> Self {
        Self(Kind::Hyper(incoming))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BrokenBody;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenBody>>> {
        match &mut self.0 {
            Kind::Here(bytes) if bytes.is_empty() => Poll::Ready(None),
            Kind::Here(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Kind::Coming(pipe) => pipe
                .poll_take(cx)
                .map(|piece| Some(piece?.map(Frame::data))),
            Kind::Hyper(incoming) => {
                let frame = ready!(Pin::new(incoming).poll_frame(cx));
                Poll::Ready(frame.map(|frame| frame.map_err(BrokenBody::Hyper)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Here(bytes) => bytes.is_empty(),
            Kind::Coming(pipe) => pipe.flow().is_over(),
            Kind::Hyper(incoming) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Here(bytes) => {
                SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
            }
            Kind::Coming(pipe) => match pipe.flow().left {
                Some(left) => SizeHint::with_exact(left),
                None => SizeHint::default(),
            },
            Kind::Hyper(incoming) => incoming.size_hint(),
        }
    }
}

/// Between an HTTP/1 connection, which reads a body, and whoever takes it: one piece at a time, and none before it is asked for.
#[derive(Clone, Debug)]
pub(super) struct Pipe(Arc<Mutex<Flow>>);

#[derive(Debug)]
struct Flow {
    piece: Option<Bytes>,
    /// After the piece: the end, or what went wrong.
    end: Option<Result<(), BrokenBody>>,
    /// What was not taken yet, bytes; nothing where that is not known.
    left: Option<u64>,
    is_wanted: bool,
    waiting: Option<Waker>,
    /// The connection, while it waits to be asked.
    bringing: Option<Waker>,
}

impl Flow {
    const fn is_over(&self) -> bool {
        self.piece.is_none() && matches!(self.end, Some(Ok(())))
    }
}

impl Pipe {
    /// For a body of this length, if it is known.
    pub(super) fn new(length: Option<u64>) -> Self {
        Self(Arc::new(Mutex::new(Flow {
            piece: None,
            end: None,
            left: length,
            is_wanted: false,
            waiting: None,
            bringing: None,
        })))
    }

    /// Whether there is no more to bring.
    pub(super) fn is_complete(&self) -> bool {
        self.flow().end.is_some()
    }

    /// Ready when the next piece is waited for.
    pub(super) fn poll_wanted(&self, cx: &Context<'_>) -> Poll<()> {
        let mut flow = self.flow();
        if flow.is_wanted {
            return Poll::Ready(());
        }
        flow.bringing = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The next piece, which is not empty.
    pub(super) fn give(&self, piece: Bytes) {
        self.flow().piece = Some(piece);
        self.wake();
    }

    /// There is no more.
    pub(super) fn end(&self, how: Result<(), BrokenBody>) {
        self.flow().end = Some(how);
        self.wake();
    }

    fn wake(&self) {
        let waiting = {
            let mut flow = self.flow();
            flow.is_wanted = false;
            flow.waiting.take()
        };
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }

    fn poll_take(&self, cx: &Context<'_>) -> Poll<Option<Result<Bytes, BrokenBody>>> {
        let mut flow = self.flow();
        if let Some(piece) = flow.piece.take() {
            let taken = u64::try_from(piece.len()).unwrap_or(u64::MAX);
            flow.left = flow.left.map(|left| left.saturating_sub(taken));
            return Poll::Ready(Some(Ok(piece)));
        }
        match flow.end.take() {
            Some(Ok(())) => {
                flow.end = Some(Ok(()));
                Poll::Ready(None)
            }
            Some(Err(broken)) => {
                // Told once; whoever asks again hears of no more than that.
                flow.end = Some(Err(BrokenBody::Left));
                Poll::Ready(Some(Err(broken)))
            }
            None => {
                flow.is_wanted = true;
                flow.waiting = Some(cx.waker().clone());
                let bringing = flow.bringing.take();
                drop(flow);
                // Mostly it is the same task, which looks by itself.
                if let Some(other) = bringing.filter(|other| !other.will_wake(cx.waker())) {
                    other.wake();
                }
                Poll::Pending
            }
        }
    }

    fn flow(&self) -> MutexGuard<'_, Flow> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "a test knows how long the body is"
)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;
    use std::future::poll_fn;

    #[tokio::test]
    async fn a_body_may_be_read_by_another_task_than_the_connections() {
        let pipe = Pipe::new(Some(4));
        let body = RequestBody::coming(pipe.clone());
        assert_eq!(body.size_hint().exact(), Some(4));
        let mut reading = tokio::task::JoinSet::new();
        reading.spawn(async move { body.collect().await.unwrap().to_bytes() });
        for piece in ["ab", "cd"] {
            poll_fn(|cx| pipe.poll_wanted(cx)).await;
            pipe.give(Bytes::from_static(piece.as_bytes()));
        }
        poll_fn(|cx| pipe.poll_wanted(cx)).await;
        pipe.end(Ok(()));
        assert_eq!(reading.join_next().await.unwrap().unwrap(), "abcd");
    }

    #[tokio::test]
    async fn a_body_that_breaks_says_so_behind_what_came() {
        let pipe = Pipe::new(None);
        let mut body = RequestBody::coming(pipe.clone());
        pipe.give(Bytes::from_static(b"ab"));
        pipe.end(Err(BrokenBody::Flawed(Flaw::Malformed("odd"))));
        assert!(pipe.is_complete() && !body.is_end_stream());
        assert!(body.frame().await.unwrap().is_ok());
        let broken = body.frame().await.unwrap().unwrap_err();
        assert!(matches!(broken, BrokenBody::Flawed(_)));
        let again = body.frame().await.unwrap().unwrap_err();
        assert!(matches!(again, BrokenBody::Left));
    }
}
