//! A real Redis, or several, on loopback addresses of their own.

use super::{eventually, own_address};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use redis::{Client, Cmd, FromRedisValue, RedisResult, cmd};
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::Path;
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// A server: `redis-server`, or the same as a sentinel. It is killed when dropped.
pub(crate) struct Redis {
    ip: Ipv4Addr,
    port: u16,
    folder: TempDir,
    arguments: Vec<String>,
    login: Option<String>,
    process: Option<Child>,
}

pub(crate) const PORT: u16 = 6379;
pub(crate) const TLS_PORT: u16 = 6380;

/// Whether it is installed. That it is not is no reason to fail on a developer's machine, but one where changes are judged.
pub(crate) fn is_installed() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_installed = std::env::split_paths(&path).any(|dir| dir.join("redis-server").exists());
    if !is_installed {
        assert!(
            std::env::var_os("CI").is_none(),
            "redis-server is to be installed"
        );
        #[expect(clippy::print_stderr, reason = "a test that did not run says so")]
        {
            eprintln!("skipped: redis-server is not installed (Debian's package redis-server)");
        }
    }
    is_installed
}

impl Redis {
    /// One that anybody may use, and that keeps nothing.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// One with these lines in its configuration.
    pub(crate) async fn start_with(lines: &[&str]) -> Self {
        let mut redis = Self::new(PORT, &[]);
        let ip = redis.ip;
        let mut config = format!(
            "bind {ip}\nport {PORT}\nsave \"\"\nappendonly no\nprotected-mode no\nrepl-diskless-sync-delay 0\nreplica-announce-ip {ip}\ncluster-announce-ip {ip}\n"
        );
        config.extend(lines.iter().flat_map(|line| [line, "\n"]));
        fs::write(redis.folder.path().join("redis.conf"), config).unwrap();
        redis.come_back().await;
        redis
    }

    /// A sentinel that watches `master`, and takes a server for dead after a second.
    pub(crate) async fn sentinel_of(master: &Self, password: Option<&str>) -> Self {
        const SENTINEL: u16 = 26379;
        let mut sentinel = Self::new(SENTINEL, &["--sentinel"]);
        let ip = sentinel.ip;
        let mut config = format!(
            "bind {ip}\nport {SENTINEL}\nprotected-mode no\nsentinel monitor fleet {} {PORT} 1\n\
             sentinel down-after-milliseconds fleet 1000\nsentinel failover-timeout fleet 3000\n",
            master.ip
        );
        if let Some(password) = password {
            config.push_str(&format!("requirepass {password}\n"));
            sentinel.login = Some(format!(":{password}@"));
        }
        fs::write(sentinel.folder.path().join("redis.conf"), config).unwrap();
        sentinel.come_back().await;
        sentinel
    }

    fn new(port: u16, arguments: &[&str]) -> Self {
        Self {
            ip: own_address(),
            port,
            folder: tempfile::tempdir().unwrap(),
            arguments: arguments.iter().map(ToString::to_string).collect(),
            login: None,
            process: None,
        }
    }

    /// From now on whoever runs the scenario has to log in like this: `user:password@`.
    pub(crate) fn login(mut self, login: &str) -> Self {
        self.login = Some(login.to_owned());
        self
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts it again, empty.
    pub(crate) async fn come_back(&mut self) {
        let log = File::create(self.folder.path().join("redis.log")).unwrap();
        let process = Command::new("redis-server")
            .arg(self.folder.path().join("redis.conf"))
            .args(&self.arguments)
            .current_dir(self.folder.path())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        self.process = Some(process);
        let address = (self.ip, self.port);
        let listens = async || tokio::net::TcpStream::connect(address).await.is_ok();
        eventually(&format!("Redis listens on {address:?}"), listens).await;
    }

    /// Kills it.
    pub(crate) async fn fail(&mut self) {
        self.process.take().expect("it runs").kill().await.unwrap();
    }

    /// Stops it, so that it hangs: connections are taken by the kernel, and nobody answers.
    pub(crate) fn hang(&self) {
        self.signal(Signal::SIGSTOP);
    }

    pub(crate) fn go_on(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        let id = self.process.as_ref().and_then(Child::id).expect("it runs");
        kill(Pid::from_raw(i32::try_from(id).unwrap()), signal).unwrap();
    }

    pub(crate) fn address(&self) -> String {
        self.at(self.port)
    }

    pub(crate) fn at(&self, port: u16) -> String {
        format!("{}:{port}", self.ip)
    }

    pub(crate) const fn ip(&self) -> Ipv4Addr {
        self.ip
    }

    /// What makes a gateway use it.
    pub(crate) fn state(&self) -> String {
        format!(
            "[state]\nstore = \"redis\"\nredis = \"redis://{}\"\n",
            self.address()
        )
    }

    /// Has a command done.
    pub(crate) async fn tell(&self, words: &[&str]) {
        self.ask::<()>(words).await;
    }

    /// The answer to a command.
    pub(crate) async fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_ask(words).await.unwrap()
    }

    pub(crate) async fn try_ask<T: FromRedisValue>(&self, words: &[&str]) -> RedisResult<T> {
        let login = self.login.as_deref().unwrap_or_default();
        let client = Client::open(format!("redis://{login}{}/", self.address()))?;
        let mut command: Cmd = cmd(words[0]);
        for word in &words[1..] {
            command.arg(*word);
        }
        let mut connection = client.get_multiplexed_async_connection().await?;
        command.query_async(&mut connection).await
    }

    /// How often a command was called, also by scripts.
    pub(crate) async fn calls(&self, command: &str) -> u64 {
        let stats: String = self.ask(&["INFO", "commandstats"]).await;
        let start = format!("cmdstat_{command}:calls=");
        let calls = stats
            .lines()
            .find_map(|line| line.strip_prefix(&start)?.split(',').next());
        calls.map_or(0, |calls| calls.parse().unwrap())
    }

    /// Every key, and its time to live in milliseconds.
    pub(crate) async fn keys(&self) -> Vec<(String, i64)> {
        let names: Vec<String> = self.ask(&["KEYS", "*"]).await;
        let mut keys = vec![];
        for name in names {
            let left: i64 = self.ask(&["PTTL", &name]).await;
            // Some end in between.
            if left != -2 {
                keys.push((name, left));
            }
        }
        keys
    }

    /// The time by its clock, in seconds.
    pub(crate) async fn now(&self) -> f64 {
        let (seconds, micros): (f64, f64) = self.ask(&["TIME"]).await;
        seconds + micros / 1e6
    }
}

/// Three servers that are a cluster.
pub(crate) async fn cluster() -> [Redis; 3] {
    let lines = ["cluster-enabled yes", "cluster-node-timeout 2000"];
    let nodes = [
        Redis::start_with(&lines).await,
        Redis::start_with(&lines).await,
        Redis::start_with(&lines).await,
    ];
    const SLOTS: [[&str; 2]; 3] = [["0", "5460"], ["5461", "10922"], ["10923", "16383"]];
    for (node, [first, last]) in nodes.iter().zip(SLOTS) {
        node.tell(&["CLUSTER", "ADDSLOTSRANGE", first, last]).await;
    }
    for other in &nodes[1..] {
        let (ip, port) = (other.ip.to_string(), PORT.to_string());
        nodes[0].tell(&["CLUSTER", "MEET", &ip, &port]).await;
    }
    for node in &nodes {
        eventually("every node knows the whole cluster", async || {
            let info: String = node.ask(&["CLUSTER", "INFO"]).await;
            info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
        })
        .await;
    }
    nodes
}
