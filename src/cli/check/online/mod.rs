//! `check --online`: tries out what the file only names. Keys are fetched, the certificate's chain is built as a channel builds it,
//! this clock is compared, every bot is asked whether it is there, and the shared store and Direct Line whether they do as they are asked.

mod backend;
mod certificate;
mod direct_line;
mod sources;
mod store;

use crate::config::{Lines, Problem, Settings, Severity};
use std::io::{self, Write};

/// What was found out: what is so, and what is not.
#[derive(Debug, Default)]
pub(super) struct Findings {
    good: Vec<(&'static str, String)>,
    problems: Vec<Problem>,
}

/// Where the settings are that a finding is about.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) lines: Lines,
    pub(super) certificate_line: Option<u32>,
}

impl Findings {
    fn good(&mut self, name: &'static str, what: impl Into<String>) {
        self.good.push((name, what.into()));
    }

    fn note(&mut self, severity: Severity, at: &Place<'_>, what: String, hint: &str) {
        self.problems.push(Problem {
            severity,
            at: at.key.to_owned(),
            line: at.line,
            what,
            hint: hint.to_owned(),
        });
    }

    /// What is not so.
    pub(super) fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// What is so.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "online")?;
        for (name, what) in &self.good {
            writeln!(out, "  {name:<13} {what}")?;
        }
        Ok(())
    }
}

/// One setting.
struct Place<'a> {
    key: &'a str,
    line: Option<u32>,
}

/// Tries everything out, each within its own deadline.
///
/// # Errors
/// When there is no runtime to be had.
pub(super) fn try_out(settings: &Settings, places: &Places) -> io::Result<Findings> {
    let mut findings = Findings::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        sources::try_out(settings, places, &mut findings).await;
        certificate::try_out(settings, places, &mut findings);
        backend::try_out(settings, places, &mut findings).await;
        store::try_out(settings, places, &mut findings).await;
        direct_line::try_out(settings, places, &mut findings).await;
    });
    Ok(findings)
}
