//! What grows, and by what steps.

use super::super::job::Growth;
use super::super::process::Cores;
use super::super::proxies::Setup;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Axis {
    Body,
    Tenants,
    Bots,
    Connections,
    Keys,
}

impl Axis {
    pub(crate) const ALL: [Self; 5] = [
        Self::Body,
        Self::Tenants,
        Self::Bots,
        Self::Connections,
        Self::Keys,
    ];

    /// On the command line and in the file of numbers.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::Tenants => "tenants",
            Self::Bots => "bots",
            Self::Connections => "connections",
            Self::Keys => "keys",
        }
    }

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Body => "KB of body",
            Self::Tenants => "tenants on the list",
            Self::Bots => "bots",
            Self::Connections => "idle connections beside those that work",
            Self::Keys => "users before, each in a conversation of its own",
        }
    }

    pub(crate) const fn steps(self) -> &'static [usize] {
        match self {
            // The largest is below `server.limits.body_bytes`.
            Self::Body => &[1, 10, 100, 1_000],
            Self::Tenants => &[1, 100, 10_000],
            Self::Bots => &[1, 100, 1_000],
            Self::Connections => &[10, 1_000, 10_000],
            Self::Keys => &[1, 100_000, 1_000_000],
        }
    }

    pub(crate) fn setup(self, step: usize) -> Setup {
        let usual = Setup::on(Cores::First);
        match self {
            Self::Body => usual,
            Self::Keys => Setup {
                lasting: true,
                ..usual
            },
            Self::Tenants => Setup {
                tenants: step,
                ..usual
            },
            Self::Bots => Setup {
                bots: step,
                ..usual
            },
            Self::Connections => Setup {
                patient: true,
                ..usual
            },
        }
    }

    /// `fill_seconds`: how long it may take until enough users were seen.
    pub(crate) fn growth(self, step: usize, fill_seconds: f64) -> Growth {
        let none = Growth::default();
        match self {
            Self::Body => Growth {
                body_bytes: step * 1000,
                ..none
            },
            Self::Tenants | Self::Bots => none,
            Self::Connections => Growth { idle: step, ..none },
            Self::Keys if step == 1 => none,
            Self::Keys => Growth {
                strangers: true,
                before: step as u64,
                before_seconds: fill_seconds,
                ..none
            },
        }
    }
}
