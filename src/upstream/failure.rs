//! How sending a request to a server of a bot fails, and what may be done about it.

use crate::judge::{Reason, Rejection};
use crate::net::answer_stream::NothingSent;
use crate::net::client::chain;
use hyper_util::client::legacy::Error;
use std::error::Error as StdError;
use std::io;

/// Why one try to send a request came to nothing.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) rejection: Rejection,
    pub(super) stage: Stage,
}

/// How far a failed request came. Only where nothing of it was sent may it be sent again: a POST may have been handled although
/// its answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nobody listens there: so it is for a moment when a bot restarts.
    Refused,
    /// No connection, for another reason.
    NotConnected,
    /// The connection was gone before the request was on it.
    NothingSent,
    /// The bot may have the request, or part of it.
    Sent,
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        let stage = stage(error);
        let reason = match stage {
            Stage::Refused | Stage::NotConnected => Reason::UpstreamUnreachable,
            Stage::NothingSent | Stage::Sent => Reason::UpstreamBroken,
        };
        Self {
            rejection: Rejection::from(reason).noting(chain(error)),
            stage,
        }
    }
}

fn stage(error: &Error) -> Stage {
    if error.is_connect() {
        // A socket that a restarting bot has removed and not yet made again is as good as a closed port.
        let is_refused = causes(error).any(|cause| {
            let kind = cause.downcast_ref().map(io::Error::kind);
            matches!(
                kind,
                Some(io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound)
            )
        });
        return if is_refused {
            Stage::Refused
        } else {
            Stage::NotConnected
        };
    }
    let is_unsent = NothingSent::is_cause_of(error)
        || causes(error).any(|cause| {
            let is_canceled = cause.downcast_ref().is_some_and(hyper::Error::is_canceled);
            // RFC 9113 8.7: a stream refused so has not been looked at.
            let is_refused_stream = cause.downcast_ref().is_some_and(|error: &h2::Error| {
                error.is_remote() && error.reason() == Some(h2::Reason::REFUSED_STREAM)
            });
            is_canceled || is_refused_stream
        });
    if is_unsent {
        Stage::NothingSent
    } else {
        Stage::Sent
    }
}

/// The error and what it came from. An I/O error made of another passes over that when asked for its source.
fn causes<'e>(error: &'e Error) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    let mut next: Option<&'e (dyn StdError + 'static)> = Some(error);
    std::iter::from_fn(move || {
        let this = next?;
        let inside = this.downcast_ref().and_then(io::Error::get_ref);
        next = match inside {
            Some(inside) => Some(inside),
            None => this.source(),
        };
        Some(this)
    })
}

/// An answer that is not HTTP, or not whole.
pub(super) fn broken(error: &(dyn StdError + 'static)) -> Rejection {
    Rejection::from(Reason::UpstreamBroken).noting(chain(error))
}
