//! `schema`: the JSON Schema of `gateway.toml`, for editors.

use crate::config;
use std::io::{self, Write};

/// Prints it.
///
/// # Errors
/// What `out` says.
pub(super) fn run(out: &mut dyn Write) -> io::Result<()> {
    // `{:#}` is pretty-printed JSON.
    writeln!(out, "{:#}", config::schema())
}
