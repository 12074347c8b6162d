//! Metrics of the brokers of Direct Line tokens.

use super::Metrics;
use super::describe::Describe;
use prometheus::IntCounterVec;

/// Why a page was given a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenGiven {
    /// A conversation begins.
    New,
    /// In the place of another one.
    Renewed,
}

impl TokenGiven {
    const ALL: [Self; 2] = [Self::New, Self::Renewed];

    const fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Renewed => "renewed",
        }
    }
}

#[derive(Debug)]
pub(super) struct Brokers {
    /// `botgate_direct_line_tokens_total{broker,kind}`: tokens that pages were given. broker: names of brokers. kind: new, renewed.
    tokens: IntCounterVec,
}

impl Brokers {
    pub(super) fn new(describe: &Describe<'_>) -> Result<Self, prometheus::Error> {
        let tokens = describe.counters(
            "botgate_direct_line_tokens_total",
            &["broker", "kind"],
            "Direct Line tokens that pages were given.",
        )?;
        Ok(Self { tokens })
    }

    /// Every series of a broker is there from its beginning on.
    pub(super) fn begin(&self, broker: &str) {
        for kind in TokenGiven::ALL {
            self.tokens.with_label_values(&[broker, kind.word()]);
        }
    }
}

impl Metrics {
    /// A page was given a token by the broker of this name.
    pub fn gave_token(&self, broker: &str, kind: TokenGiven) {
        let labels = [broker, kind.word()];
        self.brokers.tokens.with_label_values(&labels).inc();
    }
}
