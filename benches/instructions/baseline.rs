//! The counts that were written down, one a line.

use super::callgrind::said_by;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

const ABOUT: &str = "# Instructions of one round of each step of the judge under callgrind. Written by `bench/instructions --renew`.";
const MADE_WITH: &str = "# Made with ";

pub(crate) struct Baseline {
    /// Compiler, C library and valgrind: with others the same code counts otherwise.
    pub(crate) made_with: String,
    counts: Vec<(String, u64)>,
}

impl Baseline {
    /// Of here and now, without counts yet.
    pub(crate) fn here(valgrind: &str) -> Self {
        let compiler = said_by(Command::new("rustc").arg("--version"));
        let library = said_by(Command::new("getconf").arg("GNU_LIBC_VERSION"));
        Self {
            made_with: format!("{compiler}, {library}, {valgrind}"),
            counts: vec![],
        }
    }

    /// What was written down; nothing where nothing was yet.
    pub(crate) fn read() -> Self {
        let text = std::fs::read_to_string(path()).unwrap_or_default();
        let made_with = text.lines().find_map(|line| line.strip_prefix(MADE_WITH));
        let counts = text.lines().filter_map(|line| {
            let (name, count) = line.split_once(' ')?;
            Some((name.to_owned(), count.trim().parse().ok()?))
        });
        Self {
            made_with: made_with.unwrap_or("nothing").to_owned(),
            counts: counts.collect(),
        }
    }

    pub(crate) fn write(&self) {
        let mut text = format!("{ABOUT}\n{MADE_WITH}{}\n", self.made_with);
        for (name, count) in &self.counts {
            writeln!(text, "{name:<24} {count:>12}").expect("memory");
        }
        std::fs::write(path(), text).expect("a file that can be written");
    }

    pub(crate) fn add(&mut self, name: &str, count: u64) {
        self.counts.push((name.to_owned(), count));
    }

    pub(crate) fn count(&self, name: &str) -> Option<u64> {
        let mut counts = self.counts.iter();
        counts
            .find(|(known, _)| known == name)
            .map(|(_, count)| *count)
    }
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.txt")
}
