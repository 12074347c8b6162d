//! Headless Chromium, driven over WebDriver (<https://www.w3.org/TR/webdriver2/>).
//!
//! A dozen JSON commands over HTTP: the crates that wrap them bring a second HTTP stack and a second Unicode library with them.

use super::{PATIENCE, plain};
use base64::Engine as _;
use http::{Method, Request};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// A browser with one window. Dropping it ends it.
pub(crate) struct Browser {
    driver: Child,
    address: String,
    session: String,
    _home: TempDir,
}

impl Browser {
    /// Starts it; nothing where it is not installed, which is told, and is a failure where `CI` is `true`.
    pub(crate) async fn start() -> Option<Self> {
        let (Some(driver), Some(browser)) = (program("chromedriver"), program("chromium")) else {
            let is_ci = std::env::var("CI").is_ok_and(|value| value == "true");
            assert!(!is_ci, "CI needs chromium and chromium-driver");
            // Past the test harness, which keeps what passing tests print to itself.
            let told = "skipped: chromium and chromedriver are not installed";
            let _ = writeln!(std::io::stderr(), "{told}");
            return None;
        };
        let home = tempfile::tempdir().unwrap();
        let mut driver = Command::new(driver)
            .arg("--port=0")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", home.path())
            .env("LANG", "C.UTF-8")
            .env("TZ", "UTC")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // So that the browser, which is its child, ends with it.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let started = async {
            loop {
                let line = lines.next_line().await.unwrap();
                let line = line.expect("chromedriver says its port");
                if let Some((_, port)) = line.split_once("successfully on port ") {
                    return port.trim_end_matches('.').to_owned();
                }
            }
        };
        let port = tokio::time::timeout(PATIENCE, started).await;
        let mut this = Self {
            driver,
            address: format!("127.0.0.1:{}", port.expect("chromedriver starts")),
            session: String::new(),
            _home: home,
        };
        let profile = this._home.path().join("profile");
        let capabilities = json!({
            "browserName": "chrome",
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": {
                "binary": browser,
                "args": [
                    "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-proxy-server",
                    "--disable-background-networking", "--disable-component-update", "--no-first-run", "--hide-scrollbars",
                    format!("--user-data-dir={}", profile.display()),
                ],
            },
        });
        let wanted = json!({ "capabilities": { "alwaysMatch": capabilities } });
        let session = this.send(Method::POST, "/session", &wanted).await;
        this.session = session["sessionId"].as_str().unwrap().to_owned();
        Some(this)
    }

    /// Opens an address and waits until it has loaded.
    pub(crate) async fn open(&self, url: &str) {
        self.command("url", &json!({ "url": url })).await;
    }

    /// What a script returns.
    pub(crate) async fn script(&self, script: &str) -> Value {
        let script = json!({ "script": script, "args": [] });
        self.command("execute/sync", &script).await
    }

    /// Types into the element, as a person would.
    pub(crate) async fn type_into(&self, css: &str, text: &str) {
        let find = json!({ "using": "css selector", "value": css });
        let found = self.command("element", &find).await;
        let id = found.as_object().unwrap().values().next().unwrap();
        let path = format!("element/{}/value", id.as_str().unwrap());
        self.command(&path, &json!({ "text": text })).await;
    }

    /// Clicks the element, as a person would.
    pub(crate) async fn click(&self, css: &str) {
        let find = json!({ "using": "css selector", "value": css });
        let found = self.command("element", &find).await;
        let id = found.as_object().unwrap().values().next().unwrap();
        let path = format!("element/{}/click", id.as_str().unwrap());
        self.command(&path, &json!({})).await;
    }

    /// A window of that width, and the user's wishes.
    pub(crate) async fn look(&self, width: u32, scheme: &str) {
        let size =
            json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", &size)
            .await;
        let wishes = json!({ "features": [
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ] });
        self.devtools("Emulation.setEmulatedMedia", &wishes).await;
    }

    /// A picture of the whole page.
    pub(crate) async fn picture(&self, path: &Path) {
        self.script("window.scrollTo(0, 0)").await;
        let wanted = json!({ "captureBeyondViewport": true });
        let picture = self.devtools("Page.captureScreenshot", &wanted).await;
        let picture = base64::engine::general_purpose::STANDARD
            .decode(picture["data"].as_str().unwrap())
            .unwrap();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, picture).unwrap();
    }

    /// What the console said since it was last asked.
    pub(crate) async fn console(&self) -> Vec<String> {
        let entries = self.command("se/log", &json!({ "type": "browser" })).await;
        let entries = entries.as_array().unwrap().iter();
        entries.map(|entry| entry["message"].to_string()).collect()
    }

    pub(crate) async fn devtools(&self, command: &str, params: &Value) -> Value {
        let command = json!({ "cmd": command, "params": params });
        self.command("goog/cdp/execute", &command).await
    }

    async fn command(&self, path: &str, content: &Value) -> Value {
        let path = format!("/session/{}/{path}", self.session);
        self.send(Method::POST, &path, content).await
    }

    async fn send(&self, method: Method, path: &str, content: &Value) -> Value {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json")
            .body(content.to_string())
            .unwrap();
        let answer = plain::ask(&self.address, request).await;
        let mut value: Value = serde_json::from_slice(answer.body()).unwrap();
        assert!(answer.status().is_success(), "{path}: {value}");
        value["value"].take()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(id) = self.driver.id().and_then(|id| i32::try_from(id).ok()) {
            // The whole group that was made for it, of which nothing else is part; it may be gone already.
            let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
        }
    }
}

fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}
