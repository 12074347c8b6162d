//! What is sent, and what has to come back.

use super::job::{Load, Token};
use super::proxies::Kind;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scenario {
    Repeats,
    New,
    Connections,
    Resumed,
    Forged,
    Garbage,
    Latency,
    Memory,
    Cores,
}

impl Scenario {
    pub(crate) const ALL: [Self; 9] = [
        Self::Repeats,
        Self::New,
        Self::Connections,
        Self::Resumed,
        Self::Forged,
        Self::Garbage,
        Self::Latency,
        Self::Memory,
        Self::Cores,
    ];

    /// Those whose figure is CPU time per request, in the order of the table.
    pub(crate) const COSTS: [Self; 6] = [
        Self::Repeats,
        Self::New,
        Self::Connections,
        Self::Resumed,
        Self::Forged,
        Self::Garbage,
    ];

    /// On the command line and in the file of numbers.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Repeats => "repeats",
            Self::New => "new",
            Self::Connections => "connections",
            Self::Resumed => "resumed",
            Self::Forged => "forged",
            Self::Garbage => "garbage",
            Self::Latency => "latency",
            Self::Memory => "memory",
            Self::Cores => "cores",
        }
    }

    /// The head of its column.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Repeats => "token repeats",
            Self::New => "token is new",
            Self::Connections => "connection is new",
            Self::Resumed => "the same, resumed",
            Self::Forged => "forged signature",
            Self::Garbage => "no token",
            Self::Latency => "latency",
            Self::Memory => "memory",
            Self::Cores => "two cores",
        }
    }

    pub(crate) const fn token(self) -> Token {
        match self {
            Self::New => Token::New,
            Self::Forged => Token::Forged,
            Self::Garbage => Token::None,
            Self::Repeats
            | Self::Connections
            | Self::Resumed
            | Self::Latency
            | Self::Memory
            | Self::Cores => Token::Repeated,
        }
    }

    /// How it is sent, where no other figure decides.
    pub(crate) const fn load(self) -> Load {
        match self {
            Self::Connections => Load::Connections { resume: false },
            Self::Resumed => Load::Connections { resume: true },
            Self::Repeats
            | Self::New
            | Self::Forged
            | Self::Garbage
            | Self::Latency
            | Self::Memory
            | Self::Cores => Load::KeepAlive,
        }
    }

    /// The status of every answer: whoever checks tokens refuses, everyone else forwards what comes.
    pub(crate) fn expected(self, proxy: Kind) -> u16 {
        let is_bad = matches!(self, Self::Forged | Self::Garbage);
        if is_bad && proxy.checks_tokens() {
            401
        } else {
            200
        }
    }

    /// Whether a connection may end without an answer. A signature that does not verify leaves an error behind in HAProxy 2.6, for
    /// which it then ends whatever connection it reads from next, whoever's that is (haproxy/haproxy issue 2643).
    pub(crate) fn may_close(self, proxy: Kind) -> bool {
        self == Self::Forged && proxy == Kind::Haproxy
    }

    /// Whether it is measured with this proxy: what two cores bring is a question about our own.
    pub(crate) fn concerns(self, proxy: Kind) -> bool {
        self != Self::Cores || matches!(proxy, Kind::Botgate | Kind::Bare)
    }
}
