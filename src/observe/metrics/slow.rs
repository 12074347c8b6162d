//! Metrics of slow bots: what they were at work on when the channel was told 202, and what was sent again.

use super::Metrics;
use super::describe::Describe;
use crate::judge::{Reason, Rejection};
use http::StatusCode;
use prometheus::IntCounterVec;

/// How a bot's work ended that no client waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The bot answered, with a status below 500.
    Answered,
    /// The bot answered that it failed: 500 and above.
    Failed,
    /// The connection broke, or what came is no answer.
    Broken,
    /// The bot did not answer in the time it had.
    TimedOut,
    /// The gateway ended first.
    Cut,
}

impl Ending {
    const ALL: [Self; 5] = [
        Self::Answered,
        Self::Failed,
        Self::Broken,
        Self::TimedOut,
        Self::Cut,
    ];

    /// How it ended, from the status the bot gave, or from what went wrong.
    pub fn of(outcome: &Result<StatusCode, Rejection>) -> Self {
        match outcome {
            Ok(status) if status.is_server_error() => Self::Failed,
            Ok(_) => Self::Answered,
            Err(rejection) if rejection.reason() == Reason::UpstreamTimedOut => Self::TimedOut,
            Err(_) => Self::Broken,
        }
    }

    /// The word in the log and in `acknowledged_outcomes_total`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::Broken => "broken",
            Self::TimedOut => "timed_out",
            Self::Cut => "cut",
        }
    }
}

/// What became of an activity that was sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// It waited for the first one, and was told the same.
    InFlight,
    /// It was told what the first one had been told.
    Answered,
    /// It waited, and then reached the bot: the first answer was too large to be kept, or a stream.
    Passed,
    /// It was refused: too many were waiting already.
    Refused,
}

impl Repeat {
    const ALL: [Self; 4] = [Self::InFlight, Self::Answered, Self::Passed, Self::Refused];

    const fn word(self) -> &'static str {
        match self {
            Self::InFlight => "in_flight",
            Self::Answered => "answered",
            Self::Passed => "passed",
            Self::Refused => "refused",
        }
    }
}

#[derive(Debug)]
pub(super) struct Slow {
    /// `botgate_acknowledged_total{bot}`: requests that the bot was still at work on at `acknowledge_after`, answered 202. bot: names of bots.
    acknowledged: IntCounterVec,
    /// `botgate_acknowledged_outcomes_total{bot,outcome}`: what came of them. outcome: answered, failed (500 and above), broken,
    /// timed_out, cut (the gateway ended first).
    outcomes: IntCounterVec,
    /// `botgate_redeliveries_total{bot,state}`: activities that were sent again within `bots.redelivery.window`. state: in_flight
    /// (waited for the first one's answer), answered (got it later), passed (waited, and reached the bot: the answer was not kept),
    /// refused (too many were waiting).
    redeliveries: IntCounterVec,
}

impl Slow {
    pub(super) fn new(describe: &Describe<'_>) -> Result<Self, prometheus::Error> {
        let acknowledged = describe.counters(
            "botgate_acknowledged_total",
            &["bot"],
            "Requests answered 202 while the bot was at work.",
        )?;
        let outcomes = describe.counters(
            "botgate_acknowledged_outcomes_total",
            &["bot", "outcome"],
            "What came of acknowledged requests.",
        )?;
        let redeliveries = describe.counters(
            "botgate_redeliveries_total",
            &["bot", "state"],
            "Activities that were sent again.",
        )?;
        Ok(Self {
            acknowledged,
            outcomes,
            redeliveries,
        })
    }

    /// Every series of a bot is there from its beginning on.
    pub(super) fn begin(&self, bot: &str) {
        self.acknowledged.with_label_values(&[bot]);
        for ending in Ending::ALL {
            self.outcomes.with_label_values(&[bot, ending.word()]);
        }
        for repeat in Repeat::ALL {
            self.redeliveries.with_label_values(&[bot, repeat.word()]);
        }
    }
}

impl Metrics {
    /// A request for the bot of this name was answered 202 while the bot was at work.
    pub fn acknowledged(&self, bot: &str) {
        self.slow.acknowledged.with_label_values(&[bot]).inc();
    }

    /// An activity for this bot was sent again.
    pub fn repeated(&self, bot: &str, repeat: Repeat) {
        let labels = [bot, repeat.word()];
        self.slow.redeliveries.with_label_values(&labels).inc();
    }

    /// The bot is done with an acknowledged request, or was cut off.
    pub fn acknowledged_ended(&self, bot: &str, ending: Ending) {
        let labels = [bot, ending.word()];
        self.slow.outcomes.with_label_values(&labels).inc();
    }
}
