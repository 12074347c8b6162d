//! The bots' own projects under `tests/sdk-bots`, and installing what they need.

use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A bot's project, by the name of its directory.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Project {
    /// `package-lock.json` says what it needs.
    Npm(&'static str),
    /// `requirements.txt` says what it needs; it is installed into `.venv`.
    Python(&'static str),
}

impl Project {
    /// Its directory.
    pub(crate) fn directory(self) -> PathBuf {
        let (Self::Npm(name) | Self::Python(name)) = self;
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/sdk-bots")
            .join(name)
    }

    /// The program that runs it.
    pub(crate) fn runtime(self) -> PathBuf {
        match self {
            Self::Npm(_) => PathBuf::from("node"),
            Self::Python(_) => self.directory().join(".venv/bin/python"),
        }
    }

    /// Installs what it needs, unless that is there.
    ///
    /// # Errors
    /// What is missing, and what to run.
    pub(crate) fn prepare(self) -> Result<(), String> {
        if self.is_installed() {
            return Ok(());
        }
        let install = self.install_command();
        succeeds(
            Command::new("timeout")
                .args(["--signal=KILL", "300", "sh", "-c", &install])
                .current_dir(env!("CARGO_MANIFEST_DIR")),
        )
        .map_err(|why| format!("the bot's packages are missing ({why}): run `{install}`"))?;
        if self.is_installed() {
            Ok(())
        } else {
            Err(format!(
                "what is installed differs from what is locked: run `{install}`"
            ))
        }
    }

    /// A line for a shell in the repository's root.
    fn install_command(self) -> String {
        match self {
            // Install scripts are other people's code with this machine's rights; no package here needs one.
            Self::Npm(name) => {
                format!(
                    "npm ci --ignore-scripts --no-audit --no-fund --prefix tests/sdk-bots/{name}"
                )
            }
            Self::Python(name) => format!("sh tests/sdk-bots/install-python {name}"),
        }
    }

    fn is_installed(self) -> bool {
        match self {
            Self::Npm(_) => self.has_locked_packages(),
            // The script copies the file last of all, so a half-done install has no copy.
            Self::Python(_) => {
                let file = |name: &str| std::fs::read(self.directory().join(name)).ok();
                let wanted = file("requirements.txt").expect("requirements.txt");
                file(".venv/requirements.txt") == Some(wanted)
            }
        }
    }

    /// Whether `node_modules` holds what the lock file asks for.
    ///
    /// npm writes the list of what it installed last of all, so a half-done install has none.
    fn has_locked_packages(self) -> bool {
        let packages = |file: &str| -> Option<Map<String, Value>> {
            let lock = std::fs::read(self.directory().join(file)).ok()?;
            let mut lock: Value = serde_json::from_slice(&lock).ok()?;
            serde_json::from_value(lock["packages"].take()).ok()
        };
        let wanted = packages("package-lock.json").expect("package-lock.json");
        let Some(there) = packages("node_modules/.package-lock.json") else {
            return false;
        };
        let mut required = wanted
            .iter()
            .filter(|(path, package)| !path.is_empty() && package["optional"] != true);
        required.all(|(path, package)| {
            there
                .get(path)
                .is_some_and(|found| found["version"] == package["version"])
        })
    }
}

/// Runs `command` to its end; the error is one line for a person.
pub(crate) fn succeeds(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    match command.output() {
        Err(error) => Err(format!("{program}: {error}")),
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said
                .lines()
                .rfind(|line| !line.trim().is_empty())
                .unwrap_or_default();
            Err(format!("{program}: {}: {last}", output.status))
        }
    }
}
