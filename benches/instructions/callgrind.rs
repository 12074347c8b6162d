//! Runs this program again in callgrind, a step at a time.

use super::steps::ROUNDS;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tempfile::TempDir;

pub(crate) struct Callgrind {
    valgrind: PathBuf,
    folder: TempDir,
}

impl Callgrind {
    /// Nothing where valgrind is not installed.
    pub(crate) fn find() -> Option<Self> {
        let path = std::env::var_os("PATH")?;
        let mut programs = std::env::split_paths(&path).map(|folder| folder.join("valgrind"));
        Some(Self {
            valgrind: programs.find(|program| program.is_file())?,
            folder: tempfile::tempdir().expect("a folder"),
        })
    }

    /// `valgrind-3.19.0`.
    pub(crate) fn version(&self) -> String {
        said_by(Command::new(&self.valgrind).arg("--version"))
    }

    /// Instructions of one round of a step.
    pub(crate) fn count(&self, name: &str) -> u64 {
        let out = self.folder.path().join(name);
        let status = Command::new(&self.valgrind)
            .args(["-q", "--tool=callgrind", "--vgdb=no"])
            .arg("--toggle-collect=*counted_by_callgrind*")
            .arg(format!("--callgrind-out-file={}", out.display()))
            .arg(std::env::current_exe().expect("a path"))
            .args(["--count", name])
            // The length of the environment moves the stack, and with it what is aligned.
            .env_clear()
            .stdout(Stdio::null())
            .status();
        assert!(status.expect("valgrind starts").success(), "{name}");
        let told = std::fs::read_to_string(out).expect("what callgrind writes");
        let total = told.lines().find_map(|line| line.strip_prefix("totals: "));
        let total: u64 = total.expect("a total").trim().parse().expect("a number");
        assert!(total > 0, "{name}: callgrind did not see the function");
        total / u64::from(ROUNDS)
    }
}

/// What a program says, on one line; nothing where it is not there.
pub(crate) fn said_by(command: &mut Command) -> String {
    let output = command.output().map(|output| output.stdout);
    let said = String::from_utf8_lossy(&output.unwrap_or_default()).into_owned();
    said.trim().to_owned()
}
