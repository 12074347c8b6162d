//! A child process whose every line is kept, and waiting with a deadline.

use serde_json::Value;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

/// A running child; killed, by its id, when this value is dropped.
pub(crate) struct Running {
    name: &'static str,
    child: Mutex<Child>,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Running {
    /// Starts `command`, whose environment the caller has cleared: of ours it gets `PATH` only, because the machine's
    /// proxies and settings for Node must not reach it.
    pub(crate) fn start(name: &'static str, command: &mut Command) -> Self {
        let mut child = command
            .env("PATH", std::env::var_os("PATH").unwrap())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let lines = Arc::default();
        keep_lines(child.stdout.take().unwrap(), Arc::clone(&lines));
        keep_lines(child.stderr.take().unwrap(), Arc::clone(&lines));
        Self {
            name,
            child: Mutex::new(child),
            lines,
        }
    }

    /// Everything it has said, in order, standard error included.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// The JSON lines that are about this `event`.
    pub(crate) fn events(&self, event: &str) -> Vec<Value> {
        let parsed = self
            .lines()
            .into_iter()
            .filter_map(|line| serde_json::from_str::<Value>(&line).ok());
        parsed.filter(|line| line["event"] == event).collect()
    }

    /// Whether it has ended, as far as this machine knows by now.
    pub(crate) fn has_ended(&self) -> bool {
        self.child.lock().unwrap().try_wait().unwrap().is_some()
    }

    /// Ends it, if it has not ended.
    pub(crate) async fn end(&self) {
        // It may end by itself meanwhile, which is as good.
        let _ = self.child.lock().unwrap().start_kill();
        until("a killed process to end", || self.has_ended().then_some(())).await;
    }

    /// Fails if it has ended.
    pub(crate) fn assert_runs(&self) {
        if let Some(status) = self.child.lock().unwrap().try_wait().unwrap() {
            panic!("{} ended: {status}", self.name);
        }
    }

    /// Waits until `look` finds something in what it has said; fails early if it ends.
    pub(crate) async fn says<T>(&self, what: &str, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        until(what, || {
            let found = look(self);
            if found.is_none() {
                self.assert_runs();
            }
            found
        })
        .await
    }

    /// Prints everything it has said.
    pub(crate) fn print(&self) {
        println!("---- {} said:", self.name);
        for line in self.lines() {
            println!("{line}");
        }
    }
}

/// Waits until `look` finds something, and fails if it does not in good time.
pub(crate) async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = look() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    match tokio::time::timeout(PATIENCE, found).await {
        Ok(found) => found,
        Err(_) => panic!("waited {PATIENCE:?} in vain for {what}"),
    }
}

fn keep_lines(stream: impl AsyncRead + Send + Unpin + 'static, lines: Arc<Mutex<Vec<String>>>) {
    tokio::spawn(async move {
        let mut stream = BufReader::new(stream).lines();
        while let Ok(Some(line)) = stream.next_line().await {
            lines.lock().unwrap().push(line);
        }
    });
}

/// Far longer than anything here takes, short enough that a failing run ends.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
