//! Sockets that systemd passes, and what systemd is told.

use crate::support::gateway::Setup;
use crate::support::{Gateway, PATIENCE, eventually, new_channel};
use botgate::cli::demo::channel::Document;
use nix::sys::signal::Signal;
use nix::time::{ClockId, clock_gettime};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::UnixDatagram;

fn socket() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// A gateway whose configuration names the addresses of these sockets; nothing is passed to it yet.
fn configured(public: &TcpListener, admin: Option<&TcpListener>) -> Setup {
    let public = public.local_addr().unwrap();
    let admin = admin.map_or("127.0.0.1:0".to_owned(), |admin| {
        admin.local_addr().unwrap().to_string()
    });
    Gateway::with(&format!(
        "server.listen = ['{public}']\nadmin.listen = '{admin}'"
    ))
}

#[tokio::test]
async fn passed_sockets_are_served_and_the_others_bound() {
    let (public, admin) = (socket(), socket());
    let gateway = configured(&public, Some(&admin))
        .socket(&admin)
        .socket(&public)
        .variable("LISTEN_FDNAMES", "admin:botgate.socket")
        .start()
        .await;
    gateway.teams_message().send().await.forwarded().await;
    let named = |name: &'static str| move |line: &serde_json::Value| line["name"] == name;
    let told = gateway.event("socket_passed", named("admin")).await;
    assert_eq!(told["address"], admin.local_addr().unwrap().to_string());
    let told = gateway
        .event("socket_passed", named("botgate.socket"))
        .await;
    assert_eq!(told["address"], public.local_addr().unwrap().to_string());
    assert!(gateway.terminate().await.success());
    // It was lent, not given: what connects now waits for the next one.
    tokio::net::TcpStream::connect(public.local_addr().unwrap())
        .await
        .unwrap();

    // The admin listener is bound where only the public one is passed, which needs no name.
    let public = socket();
    let gateway = configured(&public, None).socket(&public).start().await;
    gateway.teams_message().send().await.forwarded().await;
}

#[tokio::test]
async fn sockets_that_the_configuration_does_not_name_are_refused() {
    let (public, other, unix) = (socket(), socket(), tempfile::tempdir().unwrap());
    let address = other.local_addr().unwrap();
    let path = unix.path().join("s");
    let unix = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let client = std::net::TcpStream::connect(address).unwrap();
    let no_listeners = [
        TcpListener::from(std::os::fd::OwnedFd::from(unix)),
        TcpListener::from(std::os::fd::OwnedFd::from(client)),
    ];
    let plain = || Gateway::with("");
    let cases = [
        // An address of nobody's, whatever its name.
        (
            configured(&public, None).socket(&public).socket(&other),
            "a:b",
            78,
            address.to_string(),
        ),
        (
            configured(&public, None).socket(&other),
            "admin",
            78,
            "admin.listen names no such address".to_owned(),
        ),
        // The admin's, without its name; and the public one's, with the admin's.
        (
            configured(&public, Some(&other)).socket(&other),
            "public",
            78,
            "FileDescriptorName=admin".to_owned(),
        ),
        (
            configured(&public, None).socket(&public),
            "admin",
            78,
            "only the socket of admin.listen".to_owned(),
        ),
        // No socket of TCP, and one that does not listen.
        (
            plain().socket(&no_listeners[0]),
            "",
            78,
            "ListenStream=".to_owned(),
        ),
        (
            plain().socket(&no_listeners[1]),
            "",
            78,
            "it does not listen".to_owned(),
        ),
        // Meant for another process: it is left alone, and the address is taken.
        (
            configured(&other, None)
                .socket(&other)
                .variable("LISTEN_PID", "1"),
            "",
            70,
            "another program listens there".to_owned(),
        ),
    ];
    for (setup, names, code, said) in cases {
        let setup = setup.variable("LISTEN_FDNAMES", names);
        let Err(failure) = setup.try_start().await else {
            panic!("it starts, and should have said {said:?}");
        };
        let status = failure.status.and_then(|status| status.code());
        assert_eq!(status, Some(code), "{said}: {failure}");
        assert!(failure.output.stderr.concat().contains(&said), "{failure}");
    }
}

/// systemd's end of `NOTIFY_SOCKET`.
struct Manager {
    socket: UnixDatagram,
    folder: TempDir,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        Self { socket, folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("notify")
    }

    /// The next message that has such a line; what was told before it is thrown away.
    async fn told(&self, line: &str) -> Vec<String> {
        let waiting = async {
            loop {
                let message = self.next().await;
                if message.iter().any(|told| told == line) {
                    return message;
                }
            }
        };
        let told = tokio::time::timeout(PATIENCE, waiting).await;
        told.unwrap_or_else(|_| panic!("systemd is not told {line}"))
    }

    async fn next(&self) -> Vec<String> {
        let mut message = vec![0; 4096];
        let length = self.socket.recv(&mut message).await.unwrap();
        let message = std::str::from_utf8(&message[..length]).unwrap();
        message.lines().map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn systemd_is_told_of_start_reload_and_end_and_that_it_lives() {
    let manager = Manager::new();
    let channel = new_channel().await;
    channel.serve_keys(Document::Hang);
    let gateway = Gateway::with("server.drain_timeout = '7s'")
        .channel(&channel)
        .variable("NOTIFY_SOCKET", manager.path().to_str().unwrap())
        .variable("WATCHDOG_USEC", "100000")
        .not_ready()
        .start()
        .await;
    // Not before it has keys; but alive.
    let first = loop {
        let message = manager.next().await;
        assert!(!message.contains(&"READY=1".to_owned()), "{message:?}");
        if let Some(status) = message.iter().find(|line| line.starts_with("STATUS=")) {
            break status.clone();
        }
    };
    assert_eq!(first, "STATUS=started; not ready yet: stand-in");
    manager.told("WATCHDOG=1").await;
    channel.serve_keys(Document::Faithful);
    let ready = manager.told("READY=1").await;
    assert!(
        ready.iter().any(|line| line.starts_with("STATUS=")),
        "{ready:?}"
    );
    for _ in 0..3 {
        manager.told("WATCHDOG=1").await;
    }

    let before = monotonic();
    gateway.signal(Signal::SIGHUP);
    let reloading = manager.told("RELOADING=1").await;
    let since = reloading
        .iter()
        .find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
    let since = Duration::from_micros(since.expect("when it began").parse().unwrap());
    assert!((before..=monotonic()).contains(&since), "{since:?}");
    manager.told("READY=1").await;

    gateway.signal(Signal::SIGTERM);
    let stopping = manager.told("STOPPING=1").await;
    assert!(stopping.contains(&"EXTEND_TIMEOUT_USEC=12000000".to_owned()));
    assert!(gateway.ended().await.success());
}

#[tokio::test]
async fn a_start_during_an_outage_of_the_keys_ends_nevertheless() {
    let manager = Manager::new();
    let channel = new_channel().await;
    channel.serve_keys(Document::Hang);
    let _gateway = Gateway::with("")
        .channel(&channel)
        .variable("NOTIFY_SOCKET", manager.path().to_str().unwrap())
        .not_ready()
        .start()
        .await;
    let ready = manager.told("READY=1").await;
    assert!(
        ready.contains(&"STATUS=started; not ready yet: stand-in".to_owned()),
        "{ready:?}"
    );
}

fn monotonic() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap().into()
}

/// systemd's own program. Without it this fails in CI, whose `.ci/run` installs it, and is skipped, saying so, elsewhere.
#[tokio::test]
#[expect(clippy::print_stdout, reason = "a skipped test says so")]
async fn systemd_passes_its_sockets_to_it() {
    const ACTIVATE: &str = "/usr/bin/systemd-socket-activate";
    if !Path::new(ACTIVATE).exists() {
        assert!(std::env::var_os("CI").is_none(), "{ACTIVATE} is missing");
        println!("skipped: {ACTIVATE} (package systemd) is missing");
        return;
    }
    let (public, admin) = (socket(), socket());
    // For its gateway.toml, and to be a client; it is another gateway, elsewhere.
    let address = public.local_addr().unwrap();
    let own = configured(&public, Some(&admin))
        .socket(&public)
        .socket(&admin)
        .variable("LISTEN_FDNAMES", "public:admin")
        .start()
        .await;
    assert!(own.terminate().await.success());
    let listens = [
        format!("--listen={address}"),
        format!("--listen={}", admin.local_addr().unwrap()),
    ];
    drop((public, admin));
    let mut child = tokio::process::Command::new(ACTIVATE)
        .args(listens)
        .arg("--fdname=public:admin")
        .arg(env!("CARGO_BIN_EXE_botgate"))
        .args(["run", "--config"])
        .arg(own.folder().join("gateway.toml"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The first connection starts it, and is the first that it serves.
    let mut started = None;
    while started.is_none() {
        started = own.client().connect(Default::default()).await.ok();
        tokio::task::yield_now().await;
        assert!(child.try_wait().unwrap().is_none(), "it listens");
    }
    let mut passed = 0;
    while passed < 2 {
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await;
        let line = line.expect("it says what it got").unwrap();
        passed += usize::from(
            line.expect("it runs")
                .contains("\"event\":\"socket_passed\""),
        );
    }
    // Its keys are still on their way, perhaps.
    eventually("it serves", async || {
        own.teams_message().send().await.status == 200
    })
    .await;
}
