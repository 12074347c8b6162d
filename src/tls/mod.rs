//! The certificates the gateway shows, where they come from, and how TLS is spoken.
//!
//! This room must not accept connections, and must not let a file that cannot serve replace anything that does.

mod acme;
mod certificate;
mod certificates;
mod disk;
mod files;
mod loading;
mod names;
mod protocol;
mod self_signed;
mod watch;

pub use acme::Proofs;
pub use certificate::Certificate;
pub use certificates::{Certificates, Reloaded, Task};
pub use files::load as load_files;
pub use loading::look_over;

use std::path::PathBuf;

/// Why there is no certificate to show: what is wrong, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsProblem {
    /// The file it is about, if it is about one.
    pub path: Option<PathBuf>,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub hint: String,
}

impl std::fmt::Display for TlsProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "{}: ", path.display())?;
        }
        write!(f, "{}; {}", self.what, self.hint)
    }
}

impl std::error::Error for TlsProblem {}

#[cfg(test)]
mod tests;
