//! The release gateway as a child process: what it writes is counted and forgotten.

use super::net::{APP_ID, Net};
use botgate::cli::demo::channel::Channel;
use botgate::cli::demo::client::Client;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader,
};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// How long anything may take that must happen.
const PATIENCE: Duration = Duration::from_secs(60);
/// Words of a line that nobody wants to read.
const PANIC: &str = "panick";

/// What was read in the log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    /// Request lines by verdict.
    pub(crate) verdicts: BTreeMap<String, u64>,
    /// Request lines by client address, then verdict and status.
    pub(crate) by_client: BTreeMap<String, BTreeMap<(String, u16), u64>>,
    /// Request lines that `suppressed` lines stand for.
    pub(crate) suppressed: u64,
    /// Lines that speak of a panic, lines that are no JSON, and all of standard error; the first few.
    pub(crate) odd: Vec<String>,
    pub(crate) odd_count: u64,
    pub(crate) started: Option<Value>,
    /// How the process ended.
    pub(crate) status: String,
}

impl Log {
    /// Request lines of a client by status, whatever the verdict.
    pub(crate) fn statuses(&self, client: &str) -> BTreeMap<u16, u64> {
        let mut statuses = BTreeMap::new();
        for ((_, status), count) in self.by_client.get(client).into_iter().flatten() {
            *statuses.entry(*status).or_default() += count;
        }
        statuses
    }

    /// Request lines of a client.
    pub(crate) fn lines(&self, client: &str) -> u64 {
        self.statuses(client).values().sum()
    }

    fn take(&mut self, line: &str) {
        let Ok(line_value) = serde_json::from_str::<Value>(line) else {
            return self.note(line);
        };
        if line.contains(PANIC) {
            self.note(line);
        }
        let text = |name: &str| line_value[name].as_str().unwrap_or_default().to_owned();
        match line_value["event"].as_str() {
            Some("request") => {
                let status = line_value["status"].as_u64().unwrap_or_default();
                let status = u16::try_from(status).unwrap_or_default();
                *self.verdicts.entry(text("verdict")).or_default() += 1;
                let client = self.by_client.entry(text("client_ip")).or_default();
                *client.entry((text("verdict"), status)).or_default() += 1;
            }
            Some("suppressed") => self.suppressed += line_value["count"].as_u64().unwrap_or(0),
            Some("started") => self.started = Some(line_value),
            Some(_) | None => {}
        }
    }

    fn note(&mut self, line: &str) {
        self.odd_count += 1;
        if self.odd.len() < 20 {
            self.odd.push(line.to_owned());
        }
    }
}

/// A page of metrics.
pub(crate) struct Page(Vec<(String, f64)>);

impl Page {
    /// The sum over all series of a metric that carry these labels.
    pub(crate) fn sum(&self, metric: &str, labels: &[(&str, &str)]) -> f64 {
        let is_wanted = |series: &str| {
            let Some(rest) = series.strip_prefix(metric) else {
                return false;
            };
            (rest.is_empty() || rest.starts_with('{'))
                && labels
                    .iter()
                    .all(|(name, value)| rest.contains(&format!("{name}=\"{value}\"")))
        };
        let series = self.0.iter().filter(|(series, _)| is_wanted(series));
        series.fold(0.0, |sum, (_, value)| sum + value)
    }
}

pub(crate) struct Gateway {
    child: Child,
    id: u32,
    log: Arc<Mutex<Log>>,
    listen: SocketAddr,
    admin: SocketAddr,
    folder: tempfile::TempDir,
}

impl Gateway {
    pub(crate) async fn start(channel: &Channel, steady: &str, fragile: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("gateway.toml");
        std::fs::write(&config, configuration(channel, steady, fragile)).expect("a file");
        let mut child = Command::new(env!("CARGO_BIN_EXE_botgate"))
            .arg("run")
            .arg("--config")
            .arg(&config)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the gateway starts");
        let log = Arc::new(Mutex::new(Log::default()));
        let stdout = child.stdout.take().expect("a pipe");
        tokio::spawn(follow(stdout, Arc::clone(&log), Log::take));
        let stderr = child.stderr.take().expect("a pipe");
        tokio::spawn(follow(stderr, Arc::clone(&log), Log::note));
        let started = timeout(PATIENCE, async {
            loop {
                if let Some(started) = hold(&log).started.clone() {
                    return started;
                }
                sleep(Duration::from_millis(20)).await;
            }
        });
        let started = started.await.expect("the gateway says that it started");
        let address = |name: &str| started[name].as_str().and_then(|text| text.parse().ok());
        let gateway = Self {
            id: child.id().expect("an id"),
            child,
            log,
            listen: address("listen").expect("an address"),
            admin: address("admin").expect("an address"),
            folder,
        };
        let ready = async {
            while !gateway.admin("/readyz").await.starts_with("HTTP/1.1 200") {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, ready)
            .await
            .expect("the gateway gets ready");
        gateway
    }

    pub(crate) fn net(&self) -> Net {
        let certificate = self.folder.path().join("certs/self-signed.pem");
        let mut client = Client::trusting(&certificate, self.listen).expect("a certificate");
        Net {
            gateway: self.listen,
            tls: client.tls_mut().clone(),
        }
    }

    /// Resident memory, bytes.
    pub(crate) fn resident_bytes(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id));
        let status = status.expect("the gateway runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<f64>().ok());
        kib.expect("a number") * 1024.0
    }

    /// Open file descriptors.
    pub(crate) fn descriptors(&self) -> usize {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.id));
        open.expect("the gateway runs").count()
    }

    pub(crate) async fn metrics(&self) -> Page {
        let page = self.admin("/metrics").await;
        let sample = |line: &str| {
            let (series, value) = line.rsplit_once(' ')?;
            Some((series.to_owned(), value.parse().ok()?))
        };
        let lines = page.lines().filter(|line| line.starts_with("botgate_"));
        Page(lines.filter_map(sample).collect())
    }

    /// Waits until nothing is under way and everything is written down.
    pub(crate) async fn settle(&self, within: Duration) -> Page {
        let until = Instant::now() + within;
        loop {
            let page = self.metrics().await;
            let (open, inflight) = (
                page.sum("botgate_connections", &[]),
                page.sum("botgate_inflight_requests", &[]),
            );
            let written = {
                let log = hold(&self.log);
                log.verdicts.values().sum::<u64>() + log.suppressed
            };
            #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
            let is_written = written as f64 == page.sum("botgate_requests_total", &[]);
            if (open == 0.0 && inflight == 0.0 && is_written) || Instant::now() > until {
                return page;
            }
            sleep(Duration::from_millis(500)).await;
        }
    }

    /// Asks it to end, and gives what it wrote.
    pub(crate) async fn end(mut self) -> Log {
        let id = i32::try_from(self.id).expect("an id");
        let id = nix::unistd::Pid::from_raw(id);
        nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM).expect("it runs");
        let status = timeout(PATIENCE, self.child.wait()).await;
        let status = match status {
            Ok(Ok(status)) => status.to_string(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it does not end".to_owned(),
        };
        // Its last words are in the pipe.
        sleep(Duration::from_millis(500)).await;
        let mut log = hold(&self.log).clone();
        log.status = status;
        log
    }

    /// A GET of the admin listener, head and body.
    async fn admin(&self, path: &str) -> String {
        let asked = async {
            let mut stream = TcpStream::connect(self.admin).await?;
            let request =
                format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            std::io::Result::Ok(answer)
        };
        asked.await.expect("the admin listener answers")
    }
}

fn hold(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn follow(stream: impl AsyncRead + Unpin, log: Arc<Mutex<Log>>, take: fn(&mut Log, &str)) {
    let mut lines = BufReader::new(stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        take(&mut hold(&log), &line);
    }
}

fn configuration(channel: &Channel, steady: &str, fragile: &str) -> String {
    format!(
        r#"
[server]
listen = ["127.0.0.1:0"]
[server.tls]
source = "self-signed"
[server.limits]
header_timeout = "5s"
body_timeout = "5s"
[admin]
listen = "127.0.0.1:0"
[keys]
cache_dir = ""
unknown_key_refresh = "5s"
{cloud}
[[bots]]
name = "steady"
app_id = "{APP_ID}"
backend = "{steady}"
cloud = "soak"
[[bots]]
name = "fragile"
app_id = "{APP_ID}"
backend = "{fragile}"
path = "/fragile"
cloud = "soak"
"#,
        cloud = channel.cloud_toml("soak"),
    )
}
