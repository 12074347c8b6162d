//! Headless Chromium, by the script beside Web Chat.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Mutex;

/// The browser. It ends when this is dropped.
pub(crate) struct Browser {
    /// One command at a time, each with its answer.
    pipes: Mutex<(ChildStdin, Lines<BufReader<ChildStdout>>)>,
    _script: Child,
}

impl Browser {
    pub(crate) fn start(home: &Path) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/web-chat");
        let mut script = Command::new("node")
            .arg("browser.js")
            .current_dir(folder)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", home)
            .env("LANG", "C.UTF-8")
            .env("TZ", "UTC")
            .env("CHROMIUM", program("chromium").unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let output = BufReader::new(script.stdout.take().unwrap()).lines();
        Self {
            pipes: Mutex::new((script.stdin.take().unwrap(), output)),
            _script: script,
        }
    }

    pub(crate) async fn open(&self, session: &str, url: &str) {
        self.command(json!({ "do": "open", "session": session, "url": url }))
            .await;
    }

    /// What a function with this body returns in the page.
    pub(crate) async fn run(&self, session: &str, script: &str) -> Value {
        self.command(json!({ "do": "run", "session": session, "script": script }))
            .await
    }

    pub(crate) async fn say(&self, session: &str, text: &str) {
        self.command(json!({ "do": "say", "session": session, "text": text }))
            .await;
    }

    /// Waits until the text stands on the page; fails if it does not come.
    pub(crate) async fn see(&self, session: &str, text: &str) {
        self.command(json!({ "do": "see", "session": session, "text": text }))
            .await;
    }

    pub(crate) async fn picture(&self, session: &str, name: &str) {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("web-chat");
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(name);
        self.command(json!({ "do": "picture", "session": session, "path": path }))
            .await;
        println!("picture: {}", path.display());
    }

    /// Everything that came into the session, or lies in it.
    pub(crate) async fn everything(&self, session: &str) -> String {
        let text = self
            .command(json!({ "do": "everything", "session": session }))
            .await;
        text.as_str().unwrap().to_owned()
    }

    async fn command(&self, command: Value) -> Value {
        let mut pipes = self.pipes.lock().await;
        let (input, output) = &mut *pipes;
        input
            .write_all(format!("{command}\n").as_bytes())
            .await
            .unwrap();
        let answer = tokio::time::timeout(PATIENCE, output.next_line()).await;
        let answer = answer.unwrap_or_else(|_| panic!("no answer to {command}"));
        let answer = answer.unwrap().expect("the browser's script ended");
        let mut answer: Value = serde_json::from_str(&answer).unwrap();
        assert!(answer.get("error").is_none(), "{command}: {answer}");
        answer["value"].take()
    }
}

/// Where a program is.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}

/// More than the script's own, which says what it waited for; the first command also waits for the browser.
const PATIENCE: Duration = Duration::from_secs(60);
