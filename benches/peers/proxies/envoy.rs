//! Envoy with what it can do of our rules without a script: the token's issuer, audience, times and signature, and one budget.
//! With and without its cache of tokens, which is off as it ships.

use super::super::material::APP_ID;
use super::super::process::{Process, on};
use super::{Setup, Stage, free_port};
use botgate::cli::demo::channel::ISSUER;
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

/// More than the tokens that come again, and no more memory than it must be.
const CACHED_TOKENS: u32 = 10_000;

pub(super) async fn start(
    setup: Setup,
    stage: &Stage,
    folder: &Path,
    caches: bool,
) -> Result<(Process, SocketAddr), String> {
    let address = free_port()?;
    let config = folder.join("envoy.json");
    let text = configuration(address, stage, caches).to_string();
    fs::write(&config, text).map_err(|error| error.to_string())?;
    let mut command = on(setup.cores, stage.installed("envoy"));
    command.args([
        "--concurrency",
        "1",
        "--disable-hot-restart",
        "--log-level",
        "warning",
    ]);
    command.arg("-c").arg(&config);
    let mut process = Process::start(command, folder)?;
    process.until_it_listens(address).await?;
    Ok((process, address))
}

/// Envoy's way to name what a block of its configuration is.
fn typed(name: &str, mut value: Value) -> Value {
    value["@type"] = format!("type.googleapis.com/{name}").into();
    value
}

fn socket(address: SocketAddr) -> Value {
    json!({ "socket_address": { "address": address.ip().to_string(), "port_value": address.port() } })
}

fn configuration(address: SocketAddr, stage: &Stage, caches: bool) -> Value {
    let tls = json!({
        "common_tls_context": {
            "tls_params": {
                "tls_minimum_protocol_version": "TLSv1_3",
                "tls_maximum_protocol_version": "TLSv1_3",
            },
            "tls_certificates": [{
                "certificate_chain": { "filename": stage.material.certificate() },
                "private_key": { "filename": stage.material.certificate_key() },
            }],
            "alpn_protocols": ["http/1.1"],
        },
    });
    let manager = json!({
        "stat_prefix": "channels",
        "codec_type": "HTTP1",
        "route_config": {
            "virtual_hosts": [{
                "name": "bot",
                "domains": ["*"],
                "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": "bot" } }],
            }],
        },
        "http_filters": [
            { "name": "rates", "typed_config": rates() },
            { "name": "tokens", "typed_config": tokens(stage, caches) },
            {
                "name": "router",
                "typed_config": typed("envoy.extensions.filters.http.router.v3.Router", json!({})),
            },
        ],
    });
    let context = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
    let connections =
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
    json!({
        "static_resources": {
            "listeners": [{
                "address": socket(address),
                "filter_chains": [{
                    "transport_socket": {
                        "name": "envoy.transport_sockets.tls",
                        "typed_config": typed(context, tls),
                    },
                    "filters": [{
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": typed(connections, manager),
                    }],
                }],
            }],
            "clusters": [{
                "name": "bot",
                "type": "STATIC",
                "connect_timeout": "2s",
                "load_assignment": {
                    "cluster_name": "bot",
                    "endpoints": [{
                        "lb_endpoints": [{ "endpoint": { "address": socket(stage.backend) } }],
                    }],
                },
            }],
        },
    })
}

fn rates() -> Value {
    let always = json!({ "default_value": { "numerator": 100, "denominator": "HUNDRED" } });
    let rates = json!({
        "stat_prefix": "rates",
        "token_bucket": { "max_tokens": 1_000_000, "tokens_per_fill": 1_000_000, "fill_interval": "1s" },
        "filter_enabled": always,
        "filter_enforced": always,
    });
    typed(
        "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        rates,
    )
}

fn tokens(stage: &Stage, caches: bool) -> Value {
    let mut provider = json!({
        "issuer": ISSUER,
        "audiences": [APP_ID],
        "forward": true,
        "clock_skew_seconds": 300,
        "local_jwks": { "filename": stage.material.folder.join("keys.json") },
    });
    if caches {
        provider["jwt_cache_config"] = json!({ "jwt_cache_size": CACHED_TOKENS });
    }
    let tokens = json!({
        "providers": { "connector": provider },
        "rules": [{ "match": { "prefix": "/" }, "requires": { "provider_name": "connector" } }],
    });
    typed(
        "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        tokens,
    )
}
