//! The body of an answer with what it comes over.

use super::lane::Streamed;
use super::link::{Link, Trouble};
use super::pool::Pool;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// The body of an answer with the connection that it comes over, which is free for another request once it has ended.
#[derive(Debug)]
pub(super) struct FromBot {
    over: Over,
    pool: Arc<Pool>,
}

#[derive(Debug)]
enum Over {
    Link(Box<Link>),
    Lane(Box<Streamed>),
    /// The body has ended.
    Nothing,
}

impl FromBot {
    pub(super) const fn of_link(link: Box<Link>, pool: Arc<Pool>) -> Self {
        let over = Over::Link(link);
        Self { over, pool }
    }

    pub(super) const fn of_lane(streamed: Box<Streamed>, pool: Arc<Pool>) -> Self {
        let over = Over::Lane(streamed);
        Self { over, pool }
    }

    fn give_back(&mut self) {
        if let Over::Link(mut link) = std::mem::replace(&mut self.over, Over::Nothing)
            && link.is_reusable()
        {
            link.rest();
            self.pool.put(link);
        }
    }
}

impl Body for FromBot {
    type Data = Bytes;
    type Error = Trouble;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Trouble>>> {
        let this = self.get_mut();
        let (piece, is_over) = match &mut this.over {
            Over::Link(link) => (ready!(link.poll_piece(cx)), link.is_over()),
            Over::Lane(lane) => (ready!(lane.poll_piece(cx)), lane.is_over()),
            Over::Nothing => return Poll::Ready(None),
        };
        if matches!(piece, Some(Err(_))) {
            this.over = Over::Nothing;
        } else if is_over {
            this.give_back();
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.over {
            Over::Link(link) => link.is_over(),
            Over::Lane(lane) => lane.is_over(),
            Over::Nothing => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.over {
            Over::Link(link) => link.size_hint(),
            Over::Lane(lane) => lane.size_hint(),
            Over::Nothing => SizeHint::with_exact(0),
        }
    }
}
