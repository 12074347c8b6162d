//! `botgate demo --web`, as a person would use it.

use crate::browser::Browser;
use crate::stage::process::PATIENCE;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// The demo. Dropping it asks it to end, which it does with its gateway; killed, it would leave that behind.
struct Demo(Child);

impl Demo {
    fn ask_to_end(&self) {
        if let Some(id) = self.0.id().and_then(|id| i32::try_from(id).ok()) {
            // It may be gone already.
            let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.ask_to_end();
    }
}

pub(crate) async fn chat() {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_botgate"))
        .args(["demo", "--web"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map(Demo)
        .unwrap();
    let mut lines = BufReader::new(demo.0.stdout.take().unwrap()).lines();
    let page = async {
        loop {
            let line = lines.next_line().await.unwrap();
            let line = line.expect("the demo says where its page is");
            if let Some(page) = line.trim().strip_prefix("page ") {
                return page.trim().to_owned();
            }
        }
    };
    let page = tokio::time::timeout(PATIENCE, page).await.unwrap();
    let home = tempfile::tempdir().unwrap();
    let browser = Browser::start(home.path());
    browser.open("person", &page).await;
    browser.say("person", "Hello, demo").await;
    browser.see("person", "echo: Hello, demo").await;
    browser.picture("person", "demo.png").await;
    demo.ask_to_end();
    let status = tokio::time::timeout(PATIENCE, demo.0.wait()).await.unwrap();
    assert!(status.unwrap().success());
}
