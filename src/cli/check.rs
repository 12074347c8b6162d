//! `check`: every problem of `gateway.toml`, with place and hint, and what is enforced when there is no error.

mod guidelines;
mod online;
mod posture;

pub(super) use posture::{quota, rate_limits};

use super::Exit;
use crate::config::{self, Problem, Severity, StartFlags, Tls};
use crate::net::clock;
use crate::tls::look_over;
use std::io::{self, Write};
use std::path::Path;

/// Whether what the file names is also tried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Only the file is read, and the files it names.
    Offline,
    /// Keys are fetched, the certificate's chain is built, bots are asked.
    Online,
}

/// Checks a file and tells about it: [`Exit::Good`] if the gateway would start with it, else [`Exit::Configuration`];
/// [`Exit::NotSo`] if it would start, but something that was tried out is not so.
///
/// # Errors
/// What `out` says.
pub fn run(path: &Path, flags: StartFlags, reach: Reach, out: &mut dyn Write) -> io::Result<Exit> {
    let file = path.display().to_string();
    let (checked, problems) = match config::load(path, flags) {
        Ok(loaded) => {
            let mut problems = loaded.warnings;
            problems.extend(of_certificates(
                &loaded.settings.server.tls,
                loaded.certificate_line,
            ));
            problems.extend(crate::app::descriptors::too_few(&loaded.settings));
            let places = online::Places {
                lines: loaded.lines,
                certificate_line: loaded.certificate_line,
            };
            (Some((loaded.settings, places)), problems)
        }
        Err(problems) => (None, problems),
    };
    write_problems(&problems, &file, out)?;
    let Some((settings, places)) = checked.filter(|_| !problems.iter().any(Problem::is_error))
    else {
        writeln!(
            out,
            "{file}: {}; botgate does not start with it",
            counted(&problems)
        )?;
        return Ok(Exit::Configuration);
    };
    posture::write(&settings, out)?;
    if reach == Reach::Offline {
        writeln!(out, "{file}: {}", counted(&problems))?;
        return Ok(Exit::Good);
    }
    // The answers take a while, and whoever waits may already read.
    out.flush()?;
    let found = online::try_out(&settings, &places)?;
    found.write(out)?;
    writeln!(out)?;
    write_problems(found.problems(), &file, out)?;
    writeln!(
        out,
        "{file}: {}; online: {}",
        counted(&problems),
        counted(found.problems())
    )?;
    Ok(if found.problems().iter().any(Problem::is_error) {
        Exit::NotSo
    } else {
        Exit::Good
    })
}

/// What is wrong inside the certificates' files. Nothing is made or written: a check has no effects.
fn of_certificates(tls: &Tls, line: Option<u32>) -> Vec<Problem> {
    let problem = |severity, at: &str, what: String, hint: String| Problem {
        severity,
        at: at.to_owned(),
        line,
        what,
        hint,
    };
    let mut problems = Vec::new();
    for (at, found) in look_over(tls, clock::now()) {
        match found {
            Ok(warnings) => problems.extend(warnings.into_iter().map(|warning| {
                let what = format!("certificate: {warning}");
                problem(Severity::Warning, &at, what, String::new())
            })),
            Err(wrong) => {
                let file = wrong
                    .path
                    .map(|path| format!("{}: ", path.display()))
                    .unwrap_or_default();
                let what = format!("{file}{}", wrong.what);
                problems.push(problem(Severity::Error, &at, what, wrong.hint));
            }
        }
    }
    problems
}

fn write_problems(problems: &[Problem], file: &str, out: &mut dyn Write) -> io::Result<()> {
    for problem in problems {
        writeln!(out, "{}", problem.in_file(file))?;
    }
    if problems.is_empty() {
        Ok(())
    } else {
        writeln!(out)
    }
}

/// `2 errors, 1 warning`.
pub(super) fn counted(problems: &[Problem]) -> String {
    let count = |severity: Severity| {
        let number = problems
            .iter()
            .filter(|problem| problem.severity == severity)
            .count();
        match number {
            0 => format!("no {}s", severity.word()),
            1 => format!("1 {}", severity.word()),
            _ => format!("{number} {}s", severity.word()),
        }
    };
    format!("{}, {}", count(Severity::Error), count(Severity::Warning))
}

#[cfg(test)]
mod tests;
