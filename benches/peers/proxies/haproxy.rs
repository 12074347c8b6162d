//! HAProxy 2.6 with what it can do of our rules without a script: the token's algorithm, issuer, audience, times and signature by
//! one key, and a budget per address.

use super::super::material::APP_ID;
use super::super::process::{Process, on};
use super::{Setup, Stage, free_port};
use botgate::cli::demo::channel::ISSUER;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

pub(super) async fn start(
    setup: Setup,
    stage: &Stage,
    folder: &Path,
) -> Result<(Process, SocketAddr), String> {
    let address = free_port()?;
    let config = folder.join("haproxy.cfg");
    let text = configuration(address, stage);
    fs::write(&config, text).map_err(|error| error.to_string())?;
    let mut command = on(setup.cores, "haproxy");
    command.arg("-db").arg("-f").arg(&config);
    let mut process = Process::start(command, folder)?;
    process.until_it_listens(address).await?;
    Ok((process, address))
}

fn configuration(address: SocketAddr, stage: &Stage) -> String {
    format!(
        r#"
global
    nbthread 1
    maxconn 10500
    no strict-limits

defaults
    mode http
    timeout connect 2s
    timeout client 120s
    timeout server 30s
    timeout http-request 120s
    timeout http-keep-alive 75s

backend addresses
    stick-table type ip size 100k expire 10s store http_req_rate(1s)

frontend channels
    bind {address} ssl crt {both} alpn http/1.1 ssl-min-ver TLSv1.3
    http-request track-sc0 src table addresses
    http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt 1000000 }}
    http-request deny deny_status 401 unless {{ http_auth_bearer -m found }}
    http-request set-var(txn.alg) http_auth_bearer,jwt_header_query('$.alg')
    http-request set-var(txn.late) date(-300)
    http-request set-var(txn.early) date(300)
    http-request set-var(txn.until) http_auth_bearer,jwt_payload_query('$.exp','int')
    http-request set-var(txn.from) http_auth_bearer,jwt_payload_query('$.nbf','int')
    http-request deny deny_status 401 unless {{ var(txn.alg) -m str RS256 }}
    http-request deny deny_status 401 unless {{ http_auth_bearer,jwt_payload_query('$.iss') -m str {ISSUER} }}
    http-request deny deny_status 401 unless {{ http_auth_bearer,jwt_payload_query('$.aud') -m str {APP_ID} }}
    http-request deny deny_status 401 unless {{ var(txn.until),sub(txn.late) -m int gt 0 }}
    http-request deny deny_status 401 unless {{ var(txn.early),sub(txn.from) -m int gt 0 }}
    http-request deny deny_status 401 unless {{ http_auth_bearer,jwt_verify(txn.alg,"{key}") -m int 1 }}
    default_backend bot

backend bot
    http-reuse always
    server bot {backend}
"#,
        both = stage.material.folder.join("both.pem").display(),
        key = stage.material.folder.join("signing.pem").display(),
        backend = stage.backend,
    )
}
