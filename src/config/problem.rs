//! One mistake in `gateway.toml`: where, what, what to do.

/// Whether the gateway starts all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// Legal, but weak or surprising.
    Warning,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Error or warning.
    pub severity: Severity,
    /// The key, such as `bots[1].tenants.allow[0]`.
    pub at: String,
    /// 1-based line in the file, where one can be named.
    pub line: Option<u32>,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub hint: String,
}
