//! Why connections cannot be accepted: counted each time, and told once a minute, since it happens ten times a second.

use super::seldom::Seldom;
use crate::config::lacks_descriptors;
use nix::errno::Errno;
use std::io;

/// Why a connection could not be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptError {
    /// It was gone before it was accepted: its own matter.
    Gone,
    /// No file descriptor is left.
    NoDescriptors,
    /// The machine has no memory for it.
    NoMemory,
    /// Something else.
    Other,
}

impl AcceptError {
    pub(super) fn of(error: &io::Error) -> Self {
        use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
        match (error.kind(), error.raw_os_error().map(Errno::from_raw)) {
            (ConnectionAborted | ConnectionReset | ConnectionRefused, _) => Self::Gone,
            _ if lacks_descriptors(error) => Self::NoDescriptors,
            (_, Some(Errno::ENOBUFS | Errno::ENOMEM)) => Self::NoMemory,
            _ => Self::Other,
        }
    }

    /// As the log and the metric say it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::NoDescriptors => "no_descriptors",
            Self::NoMemory => "no_memory",
            Self::Other => "other",
        }
    }
}

/// When each was last told.
#[derive(Debug, Default)]
pub(super) struct Told {
    descriptors: Seldom,
    memory: Seldom,
    other: Seldom,
}

impl Told {
    /// Whether this is to be told now.
    pub(super) fn is_due(&self, error: AcceptError) -> bool {
        match error {
            // Clients can bring that about as often as they like, and nobody has to act.
            AcceptError::Gone => false,
            AcceptError::NoDescriptors => self.descriptors.is_due(),
            AcceptError::NoMemory => self.memory.is_due(),
            AcceptError::Other => self.other.is_due(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_kind_is_told_once_a_minute_and_those_of_clients_never() {
        let told = Told::default();
        let due = |code: Errno| {
            let error = AcceptError::of(&code.into());
            (error.word(), told.is_due(error))
        };
        for _ in 0..2 {
            assert_eq!(due(Errno::EMFILE), ("no_descriptors", true));
            assert_eq!(due(Errno::ENFILE), ("no_descriptors", false));
            assert_eq!(due(Errno::ENOMEM), ("no_memory", true));
            assert_eq!(due(Errno::ENOBUFS), ("no_memory", false));
            assert_eq!(due(Errno::EPERM), ("other", true));
            assert_eq!(due(Errno::ECONNABORTED), ("gone", false));
            tokio::time::advance(std::time::Duration::from_secs(60)).await;
        }
    }
}
