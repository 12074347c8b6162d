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
}

impl Scenario {
    pub(crate) const ALL: [Self; 6] = [
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
        }
    }

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Repeats => "token repeats",
            Self::New => "every token new",
            Self::Connections => "new connection each, full handshake",
            Self::Resumed => "new connection each, resumed",
            Self::Forged => "forged signature",
            Self::Garbage => "no token",
        }
    }

    pub(crate) const fn token(self) -> Token {
        match self {
            Self::Repeats | Self::Connections | Self::Resumed => Token::Repeated,
            Self::New => Token::New,
            Self::Forged => Token::Forged,
            Self::Garbage => Token::None,
        }
    }

    pub(crate) const fn load(self) -> Load {
        match self {
            Self::Repeats | Self::New | Self::Forged | Self::Garbage => Load::KeepAlive,
            Self::Connections => Load::Connections { resume: false },
            Self::Resumed => Load::Connections { resume: true },
        }
    }

    /// The status of every answer: whoever checks tokens refuses, everyone else forwards what comes.
    pub(crate) const fn expected(self, proxy: Kind) -> u16 {
        match (self, proxy.checks_tokens()) {
            (Self::Forged | Self::Garbage, true) => 401,
            (Self::Forged | Self::Garbage, false)
            | (Self::Repeats | Self::New | Self::Connections | Self::Resumed, _) => 200,
        }
    }
}
