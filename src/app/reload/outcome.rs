//! What came of a reload, and what the log says of it.

use crate::config::Problem;
use crate::observe::Reload;
use std::path::Path;

/// What is told one by one, of changes and of problems.
const TOLD: usize = 20;
/// Characters of one of them.
const LONGEST: usize = 300;

/// Why to reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::app) enum Why {
    /// By SIGHUP.
    Asked,
    /// A file is another one than before.
    FileChanged,
}

impl Why {
    const fn word(self) -> &'static str {
        match self {
            Self::Asked => "sighup",
            Self::FileChanged => "file",
        }
    }
}

/// What came of a reload.
pub(super) enum Outcome {
    /// All of it, but for what needs a restart.
    InForce {
        changes: Vec<String>,
        needs_restart: Vec<String>,
        warnings: Vec<Problem>,
    },
    /// The file is wrong.
    Refused(Vec<Problem>),
    /// What it names cannot be used.
    Unusable(String),
    /// Not all of it could be looked at, for want of a file descriptor. It is looked at again.
    PutOff,
}

impl Outcome {
    /// Nothing where there was none yet.
    pub(super) const fn word(&self) -> Option<Reload> {
        Some(match self {
            Self::InForce {
                changes,
                needs_restart,
                ..
            } => match (changes.is_empty(), needs_restart.is_empty()) {
                (_, false) => Reload::NeedsRestart,
                (false, true) => Reload::Applied,
                (true, true) => Reload::Unchanged,
            },
            Self::Refused(_) | Self::Unusable(_) => Reload::Refused,
            Self::PutOff => return None,
        })
    }

    pub(super) fn tell(&self, path: &Path, why: Why) {
        let (file, why) = (path.display().to_string(), why.word());
        let refused = |problems: usize, first: &str| {
            tracing::error!(
                event = "config_refused",
                why,
                file,
                problems,
                first,
                "the new configuration is refused; the gateway goes on with the one it has"
            );
        };
        match self {
            Self::Refused(problems) => {
                let errors = problems.iter().filter(|problem| problem.is_error());
                let first: Vec<String> = errors
                    .map(|problem| {
                        // `botgate check` has the hints.
                        let hint = String::new();
                        let problem = Problem {
                            hint,
                            ..problem.clone()
                        };
                        problem.in_file(&file).to_string()
                    })
                    .collect();
                refused(first.len(), &listed(first.iter()));
            }
            Self::PutOff => {
                tracing::debug!(file, "no file descriptor is left to look at files with");
            }
            Self::Unusable(problem) => refused(1, &listed([format!("{file}: {problem}")].iter())),
            Self::InForce {
                changes,
                needs_restart,
                warnings,
            } => {
                for warning in warnings {
                    tracing::warn!(
                        event = "config_warning",
                        line = warning.line,
                        hint = warning.hint,
                        "{} {}",
                        warning.at,
                        warning.what
                    );
                }
                let changed = listed(changes.iter());
                if needs_restart.is_empty() {
                    let what = if changes.is_empty() {
                        "nothing has changed in the configuration"
                    } else {
                        "the new configuration is in force"
                    };
                    tracing::info!(event = "config_reloaded", why, file, changed, "{what}");
                } else {
                    let needs_restart = listed(needs_restart.iter());
                    tracing::warn!(
                        event = "config_reloaded",
                        why,
                        file,
                        changed,
                        needs_restart,
                        "the new configuration is in force, but for what needs a restart and stays as it was"
                    );
                }
            }
        }
    }
}

/// On one line, with an end.
fn listed<'s>(texts: impl ExactSizeIterator<Item = &'s String>) -> String {
    let more = texts.len().saturating_sub(TOLD);
    let mut list: Vec<String> = texts.take(TOLD).map(|text| on_one_line(text)).collect();
    if more > 0 {
        list.push(format!("and {more} more"));
    }
    list.join("; ")
}

fn on_one_line(text: &str) -> String {
    let mut line = String::new();
    for (position, character) in text.chars().enumerate() {
        if position == LONGEST {
            line.push_str("...");
            break;
        }
        if character == '\n' {
            line.push(' ');
        } else if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}
