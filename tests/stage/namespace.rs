//! Runs this test binary again in user, mount and network namespaces of its own, once everything it needs is there.

use super::microsoft;
use super::projects::{Project, succeeds};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// What a test finds inside.
pub(crate) struct Stage<'a> {
    /// The bots that run there.
    pub(crate) projects: &'a [Project],
    /// Names beside Microsoft's, and the loopback address of each. Microsoft's are 127.0.0.1.
    pub(crate) loopback: &'a [(&'a str, &'a str)],
}

/// The scratch directory, if this process is the one inside the namespaces.
pub(crate) fn entered() -> Option<PathBuf> {
    std::env::var_os(INSIDE).map(PathBuf::from)
}

/// Runs `test` inside and fails with all it said if it fails; fails or skips if something needed is missing.
pub(crate) fn run_inside(test: &str, deadline: Duration, stage: &Stage<'_>) {
    let scratch = tempfile::tempdir().unwrap();
    if let Err(missing) = prepare(scratch.path(), stage) {
        assert!(!in_ci(), "CI must run this test, and {missing}");
        // Not eprintln: the harness swallows what a passing test prints with it, and a skip must be seen.
        let mut uncaptured = std::io::stderr();
        writeln!(uncaptured, "skipped: {test}: {missing}").unwrap();
        return;
    }
    let output = unshared(scratch.path(), deadline + Duration::from_secs(10))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, scratch.path())
        // A broken promise says what to look at; its way through the async runtime would bury that.
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    let said =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(
        output.status.success(),
        "inside the namespaces: {}\n{}",
        output.status,
        said.concat()
    );
    // A renamed test would match nothing and pass.
    assert!(
        said[0].contains("1 passed"),
        "nothing ran inside the namespaces:\n{}",
        said.concat()
    );
    print!("{}", said[0]);
}

/// Checks and completes what the test needs.
///
/// # Errors
/// What is missing, and what to run.
fn prepare(scratch: &Path, stage: &Stage) -> Result<(), String> {
    write_name_service(scratch, stage.loopback);
    succeeds(Command::new("node").arg("--version")).map_err(|why| {
        format!("node does not run ({why}): install Node.js 20 or newer, with npm")
    })?;
    succeeds(unshared(scratch, Duration::from_secs(30)).arg("true")).map_err(|why| {
        format!(
            "namespaces cannot be entered ({why}): install util-linux, mount and iproute2, \
             and be root or allow unprivileged user namespaces"
        )
    })?;
    stage
        .projects
        .iter()
        .try_for_each(|project| project.prepare())
}

/// A command that enters the namespaces and there runs the arguments added to it, ended with all its group after `limit`.
fn unshared(scratch: &Path, limit: Duration) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--signal=KILL", &limit.as_secs().to_string()]);
    command
        .args([
            "unshare",
            "--user",
            "--map-root-user",
            "--mount",
            "--net",
            "sh",
            "-c",
            SET_UP,
        ])
        .arg(scratch);
    command
}

/// Writes the files that are laid over those of `/etc`.
fn write_name_service(scratch: &Path, others: &[(&str, &str)]) {
    let mut hosts = String::from("127.0.0.1 localhost\n::1 localhost\n");
    for name in microsoft::HOSTS {
        hosts.push_str(&format!("127.0.0.1 {name}\n"));
    }
    for (name, address) in others {
        hosts.push_str(&format!("{address} {name}\n"));
    }
    std::fs::write(scratch.join("hosts"), hosts).unwrap();
    std::fs::write(scratch.join("nsswitch.conf"), "hosts: files\n").unwrap();
}

fn in_ci() -> bool {
    std::env::var_os("CI")
        .is_some_and(|value| !value.is_empty() && value != "false" && value != "0")
}

/// Set inside the namespaces, to the scratch directory.
const INSIDE: &str = "BOTGATE_TEST_INSIDE";

/// Lays our name service over the machine's; `$0` is the scratch directory. A caching daemon would answer
/// through its socket in the file system, which a network namespace does not cut off: hence the hidden nscd, and an
/// nsswitch.conf that asks no other source than the hosts file.
const SET_UP: &str = r#"
set -e
ip link set lo up
for file in hosts nsswitch.conf; do
    if [ -e "/etc/$file" ]; then mount --bind "$0/$file" "/etc/$file"; fi
done
if [ -d /run/nscd ]; then mount -t tmpfs none /run/nscd; fi
exec "$@"
"#;
