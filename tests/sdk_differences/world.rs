//! Everything one run consists of: Microsoft, four bots, a tap before each, and the gateway.

use crate::bot::Bot;
use crate::keys::Keys;
use crate::post::Door;
use crate::sdk::{SDKS, Sdk};
use crate::send::{Answer, send};
use crate::stage::certificates::Authority;
use crate::stage::microsoft::{APP_ID, Microsoft, TENANT};
use crate::stage::process::{PATIENCE, Running};
use crate::tap::Tap;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use rustls::pki_types::ServerName;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio_rustls::TlsConnector;

/// What all bots share.
pub(crate) struct World {
    pub(crate) microsoft: Arc<Microsoft>,
    pub(crate) gateway: Running,
    tls: TlsConnector,
}

/// Starts everything in `dir` and waits until it is ready.
pub(crate) async fn start(dir: &Path, keys: &Keys) -> (World, Vec<(Bot, Tap)>) {
    let authority = Authority::new();
    let authority_file = dir.join("authority.pem");
    authority.write(&authority_file);
    let hosts: Vec<_> = SDKS.iter().flat_map(Sdk::hosts).collect();
    let hosts: Vec<_> = hosts.iter().map(String::as_str).collect();
    authority.issue_files(&hosts, &dir.join("gateway.pem"), &dir.join("gateway.key"));
    let microsoft = Microsoft::start(&authority, keys.published()).await;

    let mut bots = Vec::new();
    for sdk in SDKS {
        let bot = Bot::start(sdk, &authority_file).await;
        let tap = Tap::before(bot.address()).await;
        bots.push((bot, tap));
    }
    let taps = SDKS.iter().zip(bots.iter().map(|(_, tap)| tap));
    let gateway = start_gateway(dir, &authority_file, &configuration(taps));
    wait_until_ready(&gateway).await;

    let tls = rustls::ClientConfig::builder()
        .with_root_certificates(authority.roots())
        .with_no_client_auth();
    let world = World {
        microsoft,
        gateway,
        tls: TlsConnector::from(Arc::new(tls)),
    };
    (world, bots)
}

impl World {
    /// Sends a request to the gateway, over a connection of its own.
    pub(crate) async fn send(&self, host: &str, request: Request<Full<Bytes>>) -> Answer {
        let socket = TcpStream::connect((Ipv4Addr::new(127, 0, 0, 2), 443))
            .await
            .unwrap();
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let stream = self.tls.connect(name, socket).await.unwrap();
        send(stream, request).await
    }
}

/// The host of the gateway's bot entry behind a door.
pub(crate) fn host(sdk: &Sdk, door: Door) -> String {
    let [everyone, one_tenant] = sdk.hosts();
    match door {
        Door::Everyone => everyone,
        Door::OneTenant => one_tenant,
    }
}

/// Limits apart, what an operator writes, with two entries for each bot.
fn configuration<'a>(taps: impl Iterator<Item = (&'a Sdk, &'a Tap)>) -> String {
    let mut config = String::from(
        r#"
[server]
listen = ["127.0.0.2:443"]

[server.tls]
source = "files"
cert = "gateway.pem"
key = "gateway.key"

[server.limits]
requests_per_ip = { rate = "100000/s", burst = 100000 }

[keys]
cache_dir = ""
"#,
    );
    for (sdk, tap) in taps {
        let [everyone, one_tenant] = sdk.hosts();
        let backend = tap.messages_url();
        for (host, tenants) in [
            (everyone, String::new()),
            (one_tenant, format!("tenants.allow = [\"{TENANT}\"]")),
        ] {
            config.push_str(&format!(
                r#"
[[bots]]
name = "{name}"
app_id = "{APP_ID}"
hosts = ["{host}"]
backend = "{backend}"
cloud = "public"
{tenants}
"#,
                name = host.replace(".example.com", "").replace('.', "-"),
            ));
        }
    }
    config
}

fn start_gateway(dir: &Path, authority_file: &Path, config: &str) -> Running {
    std::fs::write(dir.join("gateway.toml"), config).unwrap();
    let mut gateway = Command::new(env!("CARGO_BIN_EXE_botgate"));
    gateway
        .args(["run", "--config", "gateway.toml"])
        .current_dir(dir)
        .env_clear()
        .env("SSL_CERT_FILE", authority_file);
    Running::start("the gateway", &mut gateway)
}

async fn wait_until_ready(gateway: &Running) {
    let started = gateway
        .says("the gateway to start", |gateway| {
            gateway.events("started").pop()
        })
        .await;
    let admin = started["admin"].as_str().unwrap();
    let ready = async {
        loop {
            let request = Request::get("/readyz").header("host", admin);
            let socket = TcpStream::connect(admin).await.unwrap();
            let request = request.body(Full::default()).unwrap();
            if matches!(
                send(socket, request).await,
                Answer::Status { status: 200, .. }
            ) {
                return;
            }
            gateway.assert_runs();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, ready).await;
    assert!(in_time.is_ok(), "the gateway does not become ready");
}
