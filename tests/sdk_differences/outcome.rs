//! What became of one request, as seen from outside the bot.

use crate::cases::Right;
use crate::send::Answer;
use std::fmt;

/// What a bot did with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Whether its turn handler ran.
    pub(crate) ran: bool,
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Status(u16),
    /// No answer on this connection.
    Dropped,
    /// No answer in good time.
    Hung,
    /// The process ended, whatever else happened.
    Exited,
}

/// A bot's behaviour beside what is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Difference {
    None,
    /// It accepts what is to be refused.
    Laxer,
    /// It refuses what is to be accepted.
    Stricter,
    /// It fails instead of answering yes or no.
    Crash,
}

impl Outcome {
    pub(crate) const fn of(answer: &Answer, turns: usize, exited: bool) -> Self {
        let end = match answer {
            _ if exited => End::Exited,
            Answer::Status { status, .. } => End::Status(*status),
            Answer::Ended => End::Dropped,
            Answer::Silence => End::Hung,
        };
        Self {
            ran: turns > 0,
            end,
        }
    }

    /// Whether the process ended over it.
    pub(crate) const fn ended(self) -> bool {
        matches!(self.end, End::Exited)
    }

    /// How it differs from what is right.
    pub(crate) const fn difference(self, right: Right) -> Difference {
        match (self.end, self.ran, right) {
            (End::Dropped | End::Hung | End::Exited, _, _) | (End::Status(500..), false, _) => {
                Difference::Crash
            }
            (End::Status(_), true, Right::Accept) | (End::Status(_), false, Right::Refuse(_)) => {
                Difference::None
            }
            (End::Status(_), true, Right::Refuse(_)) => Difference::Laxer,
            (End::Status(_), false, Right::Accept) => Difference::Stricter,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.end, self.ran) {
            (End::Status(status), true) => write!(f, "accepts, {status}"),
            (End::Status(status @ 500..), false) => write!(f, "fails, {status}"),
            (End::Status(status @ 400..), false) => write!(f, "refuses, {status}"),
            (End::Status(status), false) => write!(f, "does nothing, {status}"),
            (End::Dropped, _) => f.write_str("drops the connection"),
            (End::Hung, _) => f.write_str("does not answer"),
            (End::Exited, _) => f.write_str("the process ends"),
        }
    }
}
