//! nginx, which can end TLS and forward, and of our rules knows none: checking a token is not in the free edition.

use super::super::process::{Process, on};
use super::{Setup, Stage, free_port};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

pub(super) async fn start(
    setup: Setup,
    stage: &Stage,
    folder: &Path,
) -> Result<(Process, SocketAddr), String> {
    let address = free_port()?;
    let config = folder.join("nginx.conf");
    let text = configuration(address, stage, folder);
    fs::write(&config, text).map_err(|error| error.to_string())?;
    let mut command = on(setup.cores, "nginx");
    command.arg("-p").arg(folder).arg("-c").arg(&config);
    command.arg("-e").arg(folder.join("error.log"));
    let mut process = Process::start(command, folder)?;
    process.until_it_listens(address).await?;
    Ok((process, address))
}

fn configuration(address: SocketAddr, stage: &Stage, folder: &Path) -> String {
    format!(
        r#"
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
events {{ worker_connections 15000; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_header_timeout 120s;
    keepalive_requests 1000000000;
    upstream bot {{
        server {backend};
        keepalive 256;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {address} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.3;
        location / {{
            proxy_pass http://bot;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
        }}
    }}
}}
"#,
        folder = folder.display(),
        backend = stage.backend,
        certificate = stage.material.certificate().display(),
        key = stage.material.certificate_key().display(),
    )
}
