//! From file to `Settings`, gathering every problem before returning.
use super::{Problem, Settings};
use std::path::Path;

/// What the command line adds to the file.
#[derive(Clone, Copy, Debug, Default)]
pub struct StartFlags {
    /// `--allow-self-signed`.
    pub allow_self_signed: bool,
}

/// Settings and the warnings that came with them.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Warnings, in file order.
    pub warnings: Vec<Problem>,
}

/// Reads and checks a file.
///
/// # Errors
/// Every problem of the file (errors and warnings), in file order.
pub fn load(_path: &Path, _flags: StartFlags) -> Result<Loaded, Vec<Problem>> {
    Err(Vec::new())
}

/// Checks a text; `dir` is what relative paths start from.
///
/// # Errors
/// As [`load`].
pub fn parse(_text: &str, _dir: &Path, _flags: StartFlags) -> Result<Loaded, Vec<Problem>> {
    Err(Vec::new())
}
