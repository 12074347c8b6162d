//! The gateway as it ships: every rule on, every limit counted though none is reached, one JSON line per request into a file.

use super::super::material::{APP_ID, TENANT};
use super::super::process::{PATIENCE, Process, on};
use super::{Setup, Stage};
use botgate::cli::demo::gateway::text;
use serde_json::Value;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

/// No limit is reached.
const PLENTY: &str = r#"{ rate = "1000000/s", burst = 1000000 }"#;
/// Nor is this one, and what it counts stays for an hour.
const LASTING: &str = r#"{ rate = "1/h", burst = 1000000 }"#;

pub(super) async fn start(
    setup: Setup,
    stage: &Stage,
    folder: &Path,
) -> Result<(Process, SocketAddr), String> {
    let config = folder.join("gateway.toml");
    fs::write(&config, configuration(setup, stage)).map_err(|error| error.to_string())?;
    let program = std::env::var_os("BOTGATE");
    let program = program.unwrap_or_else(|| env!("CARGO_BIN_EXE_botgate").into());
    let mut command = on(setup.cores, program);
    command
        .arg("run")
        .arg("--config")
        .arg(&config)
        .current_dir(folder);
    let mut process = Process::start(command, folder)?;
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some((listen, admin)) = addresses(&process.wrote("stdout").await)
            && is_ready(admin).await
        {
            return Ok((process, listen));
        }
        if Instant::now() > until || process.has_ended() {
            return Err(process.last_words().await);
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// Where it listens, once it has said so: for clients and for operators.
fn addresses(log: &str) -> Option<(SocketAddr, SocketAddr)> {
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let started = lines
        .into_iter()
        .find(|line| text(line, "event") == "started")?;
    let address = |name: &str| text(&started, name).parse().ok();
    Some((address("listen")?, address("admin")?))
}

async fn is_ready(admin: SocketAddr) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(admin).await?;
        let request = "GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    asked
        .await
        .is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

fn configuration(setup: Setup, stage: &Stage) -> String {
    let proxies = if setup.many_addresses {
        "\"127.0.0.1\""
    } else {
        ""
    };
    let patience = if setup.patient { "5m" } else { "10s" };
    format!(
        r#"
        [server]
        listen = ["127.0.0.1:0"]
        trusted_proxies = [{proxies}]
        [server.tls]
        source = "files"
        cert = {cert:?}
        key = {key:?}
        [server.limits]
        requests_per_ip = {PLENTY}
        connections = 20000
        connections_per_ip = 20000
        header_timeout = "{patience}"
        [admin]
        listen = "127.0.0.1:0"
        [keys]
        cache_dir = ""
        {cloud}
        {state}
        {bots}
        "#,
        state = std::env::var("BOTGATE_STATE").unwrap_or_default(),
        cert = stage.material.certificate(),
        key = stage.material.certificate_key(),
        cloud = stage.channel.cloud_toml("stand-in"),
        bots = bots(setup, stage),
    )
}

/// All bots. The one that is asked is in the middle of the others.
fn bots(setup: Setup, stage: &Stage) -> String {
    let own = if setup.lasting { LASTING } else { PLENTY };
    let asked = setup.bots / 2;
    let tenants = tenants(setup.tenants);
    let bots = (0..setup.bots).map(|number| {
        let (name, app_id, path) = if number == asked {
            let path = "/api/messages".to_owned();
            ("helpdesk".to_owned(), APP_ID.to_owned(), path)
        } else {
            let path = format!("/bots/{number}/messages");
            (format!("bot-{number}"), unlike(APP_ID, number), path)
        };
        format!(
            r#"
        [[bots]]
        name = "{name}"
        app_id = "{app_id}"
        path = "{path}"
        backend = "http://{backend}/api/messages"
        cloud = "stand-in"
        [bots.tenants]
        allow = [{tenants}]
        [bots.rate_limits]
        per_bot = {PLENTY}
        per_tenant = {PLENTY}
        per_conversation = {own}
        per_user = {own}
        "#,
            backend = stage.backend,
        )
    });
    bots.collect()
}

/// A list of them with the one that asks in its middle.
fn tenants(count: usize) -> String {
    let asks = count / 2;
    let tenants = (0..count).map(|number| match number {
        number if number == asks => format!("{TENANT:?}"),
        number => format!("{:?}", unlike(TENANT, number)),
    });
    tenants.collect::<Vec<_>>().join(", ")
}

/// Another id of this kind, of which only the first digits differ.
fn unlike(id: &str, number: usize) -> String {
    format!("{number:08x}{}", &id[8..])
}
