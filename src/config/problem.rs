//! One mistake in `gateway.toml`: where, what, what to do.

use std::fmt;

/// Whether the gateway starts all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// Legal, but weak or surprising.
    Warning,
}

/// One mistake.
///
/// [`what`](Self::what) reads on after [`at`](Self::at): `bots[0].app_id` + `is empty`. Neither it nor the hint ever holds a value
/// that came from the environment or from a `file:`; they quote what stands in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Error or warning.
    pub severity: Severity,
    /// The key, such as `bots[1].tenants.allow[0]`; empty when it is the whole file.
    pub at: String,
    /// 1-based line in the file, where one can be named.
    pub line: Option<u32>,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub hint: String,
}

impl Severity {
    /// The word printed between the line and the key.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

impl Problem {
    /// Whether the file cannot be used because of it.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The problem for a person: `gateway.toml:12: error: bots[0].app_id is empty`, and the hint on a line of its own.
    pub fn in_file<'a>(&'a self, file: &'a str) -> impl fmt::Display + 'a {
        InFile {
            problem: self,
            file,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.in_file("gateway.toml").fmt(f)
    }
}

struct InFile<'a> {
    problem: &'a Problem,
    file: &'a str,
}

impl fmt::Display for InFile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem {
            severity,
            at,
            line,
            what,
            hint,
        } = self.problem;
        f.write_str(self.file)?;
        if let Some(line) = line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}: ", severity.word())?;
        if !at.is_empty() {
            write!(f, "{at} ")?;
        }
        f.write_str(what)?;
        if !hint.is_empty() {
            write!(f, "\n    hint: {hint}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_where_what_and_what_to_do() {
        let mut problem = Problem {
            severity: Severity::Error,
            at: "bots[0].app_id".to_owned(),
            line: Some(12),
            what: "is empty".to_owned(),
            hint: "copy it from the Azure Bot resource".to_owned(),
        };
        assert_eq!(
            problem.to_string(),
            "gateway.toml:12: error: bots[0].app_id is empty\n    hint: copy it from the Azure Bot resource"
        );
        problem.severity = Severity::Warning;
        problem.at.clear();
        problem.line = None;
        problem.hint.clear();
        assert_eq!(
            problem.in_file("a/b.toml").to_string(),
            "a/b.toml: warning: is empty"
        );
    }
}
