//! Caddy as people put it before a bot: it ends TLS and forwards.

use super::super::process::{Process, on};
use super::{Setup, Stage, free_port};
use serde_json::json;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

pub(super) async fn start(
    setup: Setup,
    stage: &Stage,
    folder: &Path,
) -> Result<(Process, SocketAddr), String> {
    let address = free_port()?;
    let config = folder.join("caddy.json");
    let text = configuration(address, stage).to_string();
    fs::write(&config, text).map_err(|error| error.to_string())?;
    let mut command = on(setup.cores, stage.installed("caddy"));
    command.arg("run").arg("--config").arg(&config);
    command.env("GOMAXPROCS", "1").env("HOME", folder);
    command
        .env("XDG_CONFIG_HOME", folder)
        .env("XDG_DATA_HOME", folder);
    let mut process = Process::start(command, folder)?;
    process.until_it_listens(address).await?;
    Ok((process, address))
}

fn configuration(address: SocketAddr, stage: &Stage) -> serde_json::Value {
    json!({
        "admin": { "disabled": true, "config": { "persist": false } },
        "logging": { "logs": { "default": { "level": "ERROR" } } },
        "apps": {
            "tls": {
                "certificates": {
                    "load_files": [{
                        "certificate": stage.material.certificate(),
                        "key": stage.material.certificate_key(),
                    }],
                },
            },
            "http": {
                "servers": {
                    "bot": {
                        "listen": [address.to_string()],
                        "protocols": ["h1"],
                        "automatic_https": { "disable": true },
                        "tls_connection_policies": [{ "protocol_min": "tls1.3" }],
                        "routes": [{
                            "handle": [{
                                "handler": "reverse_proxy",
                                "upstreams": [{ "dial": stage.backend.to_string() }],
                                "transport": {
                                    "protocol": "http",
                                    "keep_alive": { "max_idle_conns_per_host": 256 },
                                },
                            }],
                        }],
                    },
                },
            },
        },
    })
}
