//! How far a client has come in proving who it is: what is said of one that left, and how often.

use super::Verdict;
use crate::judge::Reason;

/// How far the token of a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Not verified, or not yet.
    Wanting,
    /// The same, and it waits, because authentication keeps failing from its address.
    Waiting,
    /// Verified.
    Given,
}

impl Proof {
    /// Whether lines of such an ending are written within a budget only, and by which reason they are counted: refusals by theirs,
    /// and by none what a stranger did not wait for. Whoever does not wait to be refused would else fill the log.
    pub(super) fn bounded(self, verdict: &Verdict) -> Option<Option<Reason>> {
        match verdict {
            Verdict::Rejected { rejection, .. } => Some(Some(rejection.reason())),
            Verdict::Abandoned if self != Self::Given => Some(None),
            Verdict::Abandoned | Verdict::Forwarded { .. } | Verdict::WouldReject { .. } => None,
        }
    }

    /// What is said of a client that left.
    pub(super) const fn missing(self) -> Option<&'static str> {
        match self {
            Self::Wanting => Some("the client left before its token was proven"),
            Self::Waiting => Some(
                "the client left before its token was proven, while it waited: authentication keeps failing from this address",
            ),
            Self::Given => None,
        }
    }
}
