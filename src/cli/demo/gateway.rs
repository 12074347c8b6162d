//! The real gateway as a child process, and everything it wrote.

use super::loopback::ask;
use bytes::Bytes;
use http::{Method, Response};
use serde_json::Value;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, watch};

/// A running `botgate run`. Dropping it kills the process.
#[derive(Debug)]
pub struct GatewayProcess {
    child: Mutex<Child>,
    id: u32,
    output: watch::Sender<Output>,
    listen: Vec<SocketAddr>,
    admin: Option<SocketAddr>,
}

/// What the gateway wrote so far, line by line.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// Standard output: the log as it was written.
    pub stdout: Vec<String>,
    /// Its lines that are JSON, which is all of them if the gateway keeps its word.
    pub log: Vec<Value>,
    /// Standard error.
    pub stderr: Vec<String>,
    /// Whether standard output is closed, which is so once the gateway has ended.
    pub ended: bool,
}

impl Output {
    /// The request lines.
    pub fn request_lines(&self) -> impl Iterator<Item = &Value> {
        self.log
            .iter()
            .filter(|line| text(line, "event") == "request")
    }

    fn take_stdout(&mut self, line: String) {
        // Read once, here: whoever waits for a line looks at all of them each time another arrives.
        self.log.extend(serde_json::from_str::<Value>(&line));
        self.stdout.push(line);
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, lines) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            writeln!(f, "--- {name} of the gateway, {} lines", lines.len())?;
            lines.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        }
        Ok(())
    }
}

/// The gateway did not become ready.
#[derive(Debug)]
pub struct StartFailure {
    /// What it was doing last.
    pub what: String,
    /// Its exit status, if it ended by itself.
    pub status: Option<ExitStatus>,
    /// What it wrote.
    pub output: Output,
}

impl fmt::Display for StartFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the gateway did not start: {}", self.what)?;
        if let Some(status) = self.status {
            write!(f, " ({status})")?;
        }
        write!(f, "\n{}", self.output)
    }
}

impl std::error::Error for StartFailure {}

impl GatewayProcess {
    /// The command `program run --config FILE`, to which arguments and variables can be added.
    pub fn command(program: &Path, config: &Path) -> Command {
        let mut command = Command::new(program);
        command.arg("run").arg("--config").arg(config);
        command
    }

    /// Runs the command until the gateway says it has started.
    ///
    /// # Errors
    /// When it ends by itself or says nothing within `within`.
    pub async fn start(mut command: Command, within: Duration) -> Result<Self, StartFailure> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| StartFailure {
            what: format!("{command:?} cannot be run: {error}"),
            status: None,
            output: Output::default(),
        })?;
        let output = watch::Sender::new(Output::default());
        if let Some(stdout) = child.stdout.take() {
            tokio::spawn(follow(stdout, output.clone(), Output::take_stdout, true));
        }
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(follow(
                stderr,
                output.clone(),
                |output, line| output.stderr.push(line),
                false,
            ));
        }
        let id = child.id().unwrap_or_default();
        let mut gateway = Self {
            child: Mutex::new(child),
            id,
            output,
            listen: vec![],
            admin: None,
        };
        match gateway
            .wait_for_line(|line| text(line, "event") == "started", within)
            .await
        {
            Some(started) => gateway.read_addresses(&started),
            None => {
                return Err(gateway
                    .failure("no line with \"event\":\"started\" was written")
                    .await);
            }
        }
        if gateway.listen.is_empty() {
            return Err(gateway
                .failure("the `started` line names no address in `listen`")
                .await);
        }
        Ok(gateway)
    }

    /// Waits until `/readyz` says 200.
    ///
    /// # Errors
    /// When it has not done so within `within`.
    pub async fn until_ready(self, within: Duration) -> Result<Self, StartFailure> {
        // Readiness is asked for, not announced: the listener is a promise to load balancers, which poll it too.
        const PAUSE: Duration = Duration::from_millis(20);
        let asked = async {
            loop {
                match self.ask_admin("/readyz").await {
                    Ok(response) if response.status() == 200 => return,
                    _ => tokio::time::sleep(PAUSE).await,
                }
            }
        };
        if tokio::time::timeout(within, asked).await.is_ok() {
            return Ok(self);
        }
        let missing = match self.ask_admin("/readyz").await {
            Ok(response) => format!(
                "{} {}",
                response.status(),
                String::from_utf8_lossy(response.body())
            ),
            Err(error) => error.to_string(),
        };
        Err(self
            .failure(&format!("/readyz never said 200, last: {missing}"))
            .await)
    }

    /// The addresses of the public listener.
    pub fn listen(&self) -> &[SocketAddr] {
        &self.listen
    }

    /// The address of the admin listener, if it is on.
    pub const fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// The process id. It stays taken until [`wait`](Self::wait) has seen the end of the process.
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// GETs a path of the admin listener.
    ///
    /// # Errors
    /// When it is off or does not answer.
    pub async fn ask_admin(&self, path: &str) -> io::Result<Response<Bytes>> {
        let admin = self
            .admin
            .ok_or_else(|| io::Error::other("the admin listener is off"))?;
        ask(Method::GET, &format!("http://{admin}{path}"), Bytes::new()).await
    }

    /// What it wrote so far.
    pub fn output(&self) -> Output {
        self.output.borrow().clone()
    }

    /// Looks at what it wrote so far, without a copy of it all.
    pub fn look<T>(&self, at: impl FnOnce(&Output) -> T) -> T {
        at(&self.output.borrow())
    }

    /// Waits until `enough` agrees to what it wrote, and says whether that came about in time and before its end.
    pub async fn wait_until(
        &self,
        mut enough: impl FnMut(&Output) -> bool,
        within: Duration,
    ) -> bool {
        let mut output = self.output.subscribe();
        let mut was_enough = false;
        let waiting = output.wait_for(|output| {
            was_enough = enough(output);
            was_enough || output.ended
        });
        let _in_time = tokio::time::timeout(within, waiting).await.is_ok();
        was_enough
    }

    /// Waits for a log line; `None` if time is up or the gateway ended without one.
    pub async fn wait_for_line(
        &self,
        wanted: impl Fn(&Value) -> bool,
        within: Duration,
    ) -> Option<Value> {
        let mut found = None;
        let look = |output: &Output| {
            found = output.log.iter().find(|line| wanted(line)).cloned();
            found.is_some()
        };
        self.wait_until(look, within).await;
        found
    }

    /// Waits for the request line of one request.
    pub async fn request_line(&self, request_id: &str, within: Duration) -> Option<Value> {
        let wanted = |line: &Value| {
            text(line, "event") == "request" && text(line, "request_id") == request_id
        };
        self.wait_for_line(wanted, within).await
    }

    /// Waits for the process to end by itself.
    pub async fn wait(&self, within: Duration) -> Option<ExitStatus> {
        let mut child = self.child.lock().await;
        tokio::time::timeout(within, child.wait()).await.ok()?.ok()
    }

    fn read_addresses(&mut self, started: &Value) {
        let addresses = text(started, "listen").split(',');
        self.listen = addresses
            .filter_map(|address| address.trim().parse().ok())
            .collect();
        self.admin = text(started, "admin").parse().ok();
    }

    async fn failure(&self, what: &str) -> StartFailure {
        // If it ended, its last words are still on their way; if it hangs, they are never coming.
        let status = self.wait(Duration::from_secs(1)).await;
        StartFailure {
            what: what.to_owned(),
            status,
            output: self.output(),
        }
    }
}

/// A text member of a log line, or nothing.
pub fn text<'a>(line: &'a Value, name: &str) -> &'a str {
    line.get(name).and_then(Value::as_str).unwrap_or_default()
}

async fn follow(
    stream: impl AsyncRead + Unpin,
    output: watch::Sender<Output>,
    take: fn(&mut Output, String),
    ends: bool,
) {
    let mut lines = BufReader::new(stream).lines();
    // A line that is no UTF-8 ends the reading, and the test that waits for it says so.
    while let Ok(Some(line)) = lines.next_line().await {
        output.send_modify(|output| take(output, line));
    }
    output.send_modify(|output| output.ended |= ends);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    const SOON: Duration = Duration::from_secs(10);

    /// A program that says what a gateway would say.
    async fn start(script: &str) -> Result<GatewayProcess, StartFailure> {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("gateway");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        GatewayProcess::start(
            GatewayProcess::command(&program, Path::new("gateway.toml")),
            SOON,
        )
        .await
    }

    #[tokio::test]
    async fn addresses_and_request_lines_are_read_from_the_log() {
        let gateway = start(
            r#"echo '{"event":"started","listen":"127.0.0.1:1,[::1]:2","admin":"127.0.0.1:3"}'
            echo '{"event":"request","request_id":"a","verdict":"forwarded"}'
            echo "$@" >&2
            exec sleep 60"#,
        )
        .await
        .unwrap();
        assert_eq!(
            gateway.listen(),
            ["127.0.0.1:1".parse().unwrap(), "[::1]:2".parse().unwrap()]
        );
        assert_eq!(gateway.admin(), Some("127.0.0.1:3".parse().unwrap()));
        assert_eq!(
            gateway.request_line("a", SOON).await.unwrap()["verdict"],
            "forwarded"
        );
        assert_eq!(
            gateway.request_line("b", Duration::from_millis(1)).await,
            None
        );
    }

    #[tokio::test]
    async fn a_gateway_that_ends_early_is_reported_with_its_last_words() {
        let failure = start("echo 'gateway.toml:3: no such key' >&2\nexit 78")
            .await
            .unwrap_err();
        assert_eq!(failure.status.unwrap().code(), Some(78));
        assert!(
            failure.to_string().contains("gateway.toml:3: no such key"),
            "{failure}"
        );
    }
}
