//! Pebble, the ACME server that Let's Encrypt tests clients with, on a loopback address of its own.

use super::authority::Authority;
use super::{PATIENCE, eventually, own_address};
use botgate::cli::demo::client::{self, Protocol};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// Pebble must be told all its ports, and where it is to look for proofs, before anything listens; so that nobody else takes them,
/// each has an address of its own, out of the sixteen million that this machine has.
pub(crate) struct Pebble {
    ip: Ipv4Addr,
    folder: TempDir,
    names: Child,
    server: Option<Child>,
}

const DIRECTORY: u16 = 14000;
const MANAGEMENT: u16 = 15000;
const NAMES: u16 = 8053;
const NAMES_MANAGEMENT: u16 = 8055;
/// Where Pebble looks for proofs in handshakes, in place of port 443.
const HANDSHAKES: u16 = 5001;
/// Where Pebble looks for proofs over HTTP, in place of port 80.
const HTTP: u16 = 5002;

/// A name that this Pebble issues nothing for.
pub(crate) const BLOCKED: &str = "blocked.example.com";

impl Pebble {
    /// Nothing where it is not installed. That is no reason to fail on a developer's machine, but one where changes are judged.
    pub(crate) async fn start(lifetime_seconds: u64) -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let is_installed = std::env::split_paths(&path).any(|dir| dir.join("pebble").exists());
        if !is_installed {
            assert!(
                std::env::var_os("CI").is_none(),
                "pebble is to be installed"
            );
            #[expect(clippy::print_stderr, reason = "a test that did not run says so")]
            {
                eprintln!("skipped: pebble is not installed (Debian's package pebble)");
            }
            return None;
        }
        let ip = own_address();
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new("pebble's own TLS");
        let own = authority.sign(&["localhost", &ip.to_string()]);
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        file("ca.pem", &authority.pem());
        let config = serde_json::json!({ "pebble": {
            "listenAddress": format!("{ip}:{DIRECTORY}"),
            "managementListenAddress": format!("{ip}:{MANAGEMENT}"),
            "certificate": file("own.pem", &own.chain),
            "privateKey": file("own.key", &own.key),
            "httpPort": HTTP,
            "tlsPort": HANDSHAKES,
            "certificateValidityPeriod": lifetime_seconds,
            "domainBlocklist": [BLOCKED],
        }});
        file("pebble.json", &config.to_string());
        // Every name leads to this address.
        let names = Command::new("pebble-challtestsrv")
            .args(["-http01", "", "-https01", "", "-tlsalpn01", ""])
            .args(["-dns01", &format!("{ip}:{NAMES}")])
            .args(["-management", &format!("{ip}:{NAMES_MANAGEMENT}")])
            .args(["-defaultIPv4", &ip.to_string(), "-defaultIPv6", ""])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut pebble = Self {
            ip,
            folder,
            names,
            server: None,
        };
        listens(pebble.at(NAMES_MANAGEMENT)).await;
        pebble.come_back().await;
        Some(pebble)
    }

    /// Starts it, with a new root, and knowing nobody.
    pub(crate) async fn come_back(&mut self) {
        let log = File::create(self.folder.path().join("pebble.log")).unwrap();
        let server = Command::new("pebble")
            .args(["-dnsserver", &format!("{}:{NAMES}", self.ip), "-config"])
            .arg(self.folder.path().join("pebble.json"))
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_AUTHZREUSE", "0")
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        self.server = Some(server);
        listens(self.at(DIRECTORY)).await;
        listens(self.at(MANAGEMENT)).await;
    }

    /// Ends it.
    pub(crate) async fn fail(&mut self) {
        let mut server = self.server.take().expect("it runs");
        server.kill().await.unwrap();
    }

    /// Lets every name lead to another address from now on.
    pub(crate) async fn lead_astray(&self, ip: Ipv4Addr) {
        let body = serde_json::json!({ "ip": ip.to_string() }).to_string();
        let url = format!("http://{}/set-default-ipv4", self.at(NAMES_MANAGEMENT));
        assert_eq!(plain(Method::POST, &url, body).await, 200);
    }

    /// The root of what it issues since it was last started, as PEM.
    pub(crate) async fn root(&self) -> String {
        let client = client::Client::trusting(&self.ca_file(), self.at(MANAGEMENT)).unwrap();
        let request = Request::get("/roots/0")
            .header("host", "localhost")
            .body(Bytes::new())
            .unwrap();
        let response = client.send(Protocol::Http1, request).await.unwrap();
        assert_eq!(response.status(), 200);
        String::from_utf8(response.into_body().to_vec()).unwrap()
    }

    /// The authority of its own TLS.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Where it looks for proofs over HTTP.
    pub(crate) fn http(&self) -> SocketAddr {
        self.at(HTTP)
    }

    /// What makes a gateway order from it.
    pub(crate) fn orders(&self, challenge: &str, domains: &[&str]) -> String {
        let http = match challenge {
            "http-01" => format!("http_listen = \"{}\"", self.http()),
            _ => String::new(),
        };
        format!(
            "[server]\nlisten = [\"{listen}\"]\n[server.tls]\nsource = \"acme\"\n[server.tls.acme]\n\
             directory = \"https://{directory}/dir\"\ndomains = {domains:?}\ncontact = [\"mailto:ops@example.com\"]\n\
             storage = \"kept\"\nchallenge = \"{challenge}\"\nca_file = {ca:?}\n{http}",
            listen = self.at(HANDSHAKES),
            directory = self.at(DIRECTORY),
            ca = self.ca_file(),
        )
    }

    /// What it wrote since it was last started.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("pebble.log")).unwrap_or_default()
    }

    const fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(self.ip), port)
    }
}

/// Sends a plain HTTP request; the status of the answer.
pub(crate) async fn plain(method: Method, url: &str, body: impl Into<Bytes>) -> u16 {
    let request = Request::builder().method(method).uri(url);
    let request = request.body(Full::new(body.into())).unwrap();
    let client = Client::builder(TokioExecutor::new()).build_http();
    client.request(request).await.unwrap().status().as_u16()
}

/// The folder in which a gateway keeps what it has of the one authority it orders from.
pub(crate) fn kept_in(folder: &Path) -> PathBuf {
    let mut entries = fs::read_dir(folder.join("kept")).unwrap();
    let only = entries.next().expect("something is kept").unwrap().path();
    assert!(entries.next().is_none());
    only
}

async fn listens(address: SocketAddr) {
    let what = format!("something listens on {address} within {PATIENCE:?}");
    eventually(&what, async || TcpStream::connect(address).await.is_ok()).await;
}
