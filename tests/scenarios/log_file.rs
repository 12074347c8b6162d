//! The log in a file: rotated, pruned, reopened when asked, and never in the way.

use crate::support::{APP_ID, PATIENCE, eventually, new_channel, plain};
use botgate::cli::demo::channel::Channel;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// A gateway whose log nobody but its file has. `Gateway` reads addresses from the log on standard output.
struct Logging {
    child: Child,
    folder: TempDir,
    _channel: Channel,
}

impl Logging {
    async fn start(log: &str, prepare: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let channel = new_channel().await;
        let config = format!(
            r#"
            [server]
            listen = ["127.0.0.1:0"]
            tls.source = "self-signed"
            [admin]
            listen = "127.0.0.1:0"
            [log]
            {log}
            [keys]
            cache_dir = ""
            {cloud}
            [[bots]]
            name = "echo"
            app_id = "{APP_ID}"
            backend = "http://127.0.0.1:9/api/messages"
            cloud = "stand-in"
            "#,
            cloud = channel.cloud_toml("stand-in"),
        );
        std::fs::write(folder.path().join("gateway.toml"), config).unwrap();
        prepare(folder.path());
        let child = Command::new(env!("CARGO_BIN_EXE_botgate"))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self {
            child,
            folder,
            _channel: channel,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn events(&self, file: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path(file)).unwrap_or_default();
        // The last line may be half written.
        let whole = text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        whole
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    async fn event(&self, file: &str, event: &str) -> Value {
        let found = || {
            let mut events = self.events(file).into_iter();
            events.find(|line| line["event"] == event)
        };
        eventually(&format!("{event} is in {file}"), async || found().is_some()).await;
        found().unwrap()
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id().unwrap()).unwrap();
        kill(Pid::from_raw(id), signal).unwrap();
    }

    /// Ends it; what comes back is its status and what it wrote elsewhere.
    async fn end(self) -> (Output, TempDir) {
        self.signal(Signal::SIGTERM);
        let output = tokio::time::timeout(PATIENCE, self.child.wait_with_output());
        let output = output.await.expect("it ends").unwrap();
        (output, self.folder)
    }
}

async fn metric(admin: &str, name: &str) -> f64 {
    let (_, text) = plain::get(admin, "/metrics").await;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.map_or(0.0, |value| value.parse().unwrap())
}

#[tokio::test]
async fn the_log_goes_to_its_file_and_files_too_old_are_deleted_at_the_start() {
    let old = "var/botgate.log.2020-02-29.gz";
    let gateway = Logging::start("file = \"var/botgate.log\"\nretain_days = 7", |folder| {
        std::fs::create_dir(folder.join("var")).unwrap();
        std::fs::write(folder.join(old), "").unwrap();
    })
    .await;
    gateway.event("var/botgate.log", "started").await;
    assert!(!gateway.path(old).exists());
    let (output, folder) = gateway.end().await;
    assert!(output.status.success(), "{output:?}");
    assert!(
        output.stdout.is_empty() && output.stderr.is_empty(),
        "{output:?}"
    );
    let log = std::fs::read_to_string(folder.path().join("var/botgate.log")).unwrap();
    let last: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!(last["event"], "stopped", "the end is in it, too");
}

#[tokio::test]
async fn a_file_that_was_moved_is_opened_anew_on_sigusr1() {
    let gateway = Logging::start("file = \"botgate.log\"", |_| {}).await;
    gateway.event("botgate.log", "started").await;
    std::fs::rename(gateway.path("botgate.log"), gateway.path("moved")).unwrap();
    gateway.signal(Signal::SIGUSR1);
    gateway.event("botgate.log", "log_reopened").await;
    let (output, folder) = gateway.end().await;
    assert!(output.status.success(), "{output:?}");
    let moved = std::fs::read_to_string(folder.path().join("moved")).unwrap();
    let log = std::fs::read_to_string(folder.path().join("botgate.log")).unwrap();
    assert!(moved.contains("\"started\"") && !moved.contains("log_reopened"));
    assert!(log.contains("\"stopped\""), "{log}");
}

#[tokio::test]
async fn a_disk_that_is_full_is_told_and_counted_and_stops_nothing() {
    let gateway = Logging::start("file = \"botgate.log\"", |_| {}).await;
    let started = gateway.event("botgate.log", "started").await;
    let admin = started["admin"].as_str().unwrap();
    std::fs::remove_file(gateway.path("botgate.log")).unwrap();
    // Every write to this device fails as on a full disk.
    std::os::unix::fs::symlink("/dev/full", gateway.path("botgate.log")).unwrap();
    eventually("failures are counted", async || {
        // Asking for it is what makes it write a line.
        gateway.signal(Signal::SIGUSR1);
        metric(admin, "botgate_log_file_errors_total").await >= 1.0
            && metric(admin, "botgate_log_lines_lost_total").await >= 1.0
    })
    .await;
    let (status, _) = plain::get(admin, "/healthz").await;
    assert_eq!(status, 200);
    std::fs::remove_file(gateway.path("botgate.log")).unwrap();
    gateway.signal(Signal::SIGUSR1);
    let told = gateway.event("botgate.log", "log_lines_lost").await;
    assert!(told["count"].as_u64().unwrap() >= 1, "{told}");
    let (output, _folder) = gateway.end().await;
    assert!(output.status.success(), "{output:?}");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains("cannot be written, lines are lost: No space left on device"),
        "{told}"
    );
    assert!(told.contains("is written again"), "{told}");
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_at_the_start_is_a_mistake_of_the_configuration() {
    let gateway = Logging::start("file = \"var/botgate.log\"", |folder| {
        std::fs::write(folder.join("var"), "no folder").unwrap();
    })
    .await;
    let output = tokio::time::timeout(PATIENCE, gateway.child.wait_with_output());
    let output = output.await.expect("it ends").unwrap();
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("log.file cannot be opened"), "{told}");
}
