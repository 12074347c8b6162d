//! How sending a request to a server of a bot fails, and what may be done about it.

use super::link::Trouble;
use crate::judge::{Reason, Rejection};
use crate::net::answer_stream::NothingSent;
use crate::net::client::chain;
use std::error::Error as StdError;
use std::io;

/// Why one try to send a request came to nothing.
#[derive(Clone, Debug)]
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
    /// The connection was gone before the request was on it, or the bot says that it has not looked at it.
    NothingSent,
    /// The bot may have the request, or part of it.
    Sent,
}

impl Failure {
    /// No connection was made.
    pub(super) fn to_connect(error: &io::Error) -> Self {
        // A socket that a restarting bot has removed and not yet made again is as good as a closed port.
        let is_refused = causes(error).any(|cause| {
            let kind = cause.downcast_ref().map(io::Error::kind);
            matches!(
                kind,
                Some(io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound)
            )
        });
        Self {
            rejection: Rejection::from(Reason::UpstreamUnreachable).noting(chain(error)),
            stage: if is_refused {
                Stage::Refused
            } else {
                Stage::NotConnected
            },
        }
    }
}

impl From<&Trouble> for Failure {
    /// There was a connection.
    fn from(error: &Trouble) -> Self {
        if let Trouble::TooLate(waited) = error {
            let note = format!("no answer from the bot within {waited:?}");
            return Self {
                rejection: Rejection::from(Reason::UpstreamTimedOut).noting(note),
                stage: Stage::Sent,
            };
        }
        let is_unsent = matches!(error, Trouble::NotTaken(_)) || NothingSent::is_cause_of(error);
        Self {
            rejection: broken(error),
            stage: if is_unsent {
                Stage::NothingSent
            } else {
                Stage::Sent
            },
        }
    }
}

/// The error and what it came from. An I/O error made of another passes over that when asked for its source.
fn causes<'e>(
    error: &'e (dyn StdError + 'static),
) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
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
