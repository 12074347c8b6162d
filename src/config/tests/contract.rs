//! The documented defaults are the defaults.

use super::*;
use crate::config::keys::{Fields, Node, ROOT};

/// Every key of the contract at its default; what has none, or is not to be had yet, is left out or off.
pub(super) const EVERY_DEFAULT: &str = r#"
[server]
listen = ["0.0.0.0:8443"]
drain_timeout = "20s"
trusted_proxies = []
proxy_protocol = false

[server.tls]
source = "files"
cert = "certs/server.pem"
key = "certs/server.key"
min_version = "1.2"
client_ca = ""
handshake_timeout = "5s"

[server.limits]
connections = 10000
connections_per_ip = 1000
header_timeout = "10s"
body_timeout = "10s"
keep_alive_timeout = "75s"
header_bytes = "32KiB"
headers = 100
body_bytes = "1MiB"
body_bytes_total = "256MiB"
json_depth = 64
json_members = 20000
requests_per_ip = { rate = "200/s", burst = 400 }

[admin]
listen = "127.0.0.1:9090"

[log]
format = "json"
level = "info"
identifiers = "hashed"
file = ""
retain_days = 30

[keys]
refresh = "6h"
unknown_key_refresh = "1m"
max_stale = "72h"
cache_dir = "var/keys"
fetch_timeout = "10s"
proxy = ""
ca_file = ""
clock_skew = "5m"

[clouds.lab]
channel_metadata = "http://127.0.0.1:9999/v1/.well-known/openidconfiguration"
channel_issuer = "https://api.botframework.com"
entra_metadata = "http://127.0.0.1:9999/entra/v2.0/.well-known/openid-configuration"
entra_issuers = ["https://sts.windows.net/{tenant}/", "https://login.microsoftonline.com/{tenant}/v2.0"]
agent_platforms = ["5a807f24-c9de-44ee-a3a7-329e88a00ffc"]
service_url_hosts = ["127.0.0.1", "localhost"]

[state]
store = "memory"
redis = ""
user = ""
password = ""
sentinel_user = ""
sentinel_password = ""
on_store_failure = "local"
key_prefix = "botgate"
timeout = "20ms"

[state.tls]
ca = ""
client_cert = ""
client_key = ""

[[bots]]
name = "helpdesk"
app_id = "00000000-0000-0000-0000-000000000000"
hosts = []
path = "/api/messages"
backend = "http://127.0.0.1:3978/api/messages"
cloud = "public"
accept = ["channel"]
mode = "enforce"
in_flight = 1000

[bots.backend_tls]
ca = ""
client_cert = ""
client_key = ""
server_name = ""

[bots.timeouts]
connect = "2s"
response = "30s"
acknowledge_after = ""

[bots.health]
path = ""
every = "5s"

[bots.tenants]
mode = "enforce"
allow = []
deny = []
required = false
on_reject = "403"

[bots.channels]
mode = "enforce"
allow = []
unendorsed = []

[bots.activities]
mode = "enforce"
allow = []
deny_invoke = []

[bots.service_urls]
mode = "enforce"
allow_hosts = "cloud"
extra_hosts = []

[bots.callers]
mode = "enforce"
allow = []
callback_path = ""

[bots.direct_line]
require_dl_user_id = true
enhanced_authentication = false
issued_ids_only = false

[bots.rate_limits]
mode = "enforce"
per_bot = { rate = "500/s", burst = 1000 }
per_tenant = { rate = "50/s", burst = 100 }
per_conversation = { rate = "5/s", burst = 20 }
per_user = { rate = "2/s", burst = 10 }

[bots.redelivery]
window = "0s"

[bots.identity_headers]
enabled = false
"#;

#[test]
fn a_file_that_spells_out_every_default_is_good() {
    let loaded = good(EVERY_DEFAULT);
    let warned: Vec<&str> = loaded
        .warnings
        .iter()
        .map(|problem| problem.at.as_str())
        .collect();
    assert_eq!(
        warned,
        ["bots[0].app_id", "bots[0].tenants.allow"],
        "{}",
        listed(&loaded.warnings)
    );
}

#[test]
fn every_key_is_spelled_out_there_but_those_without_an_off_value() {
    let document: toml::Table = EVERY_DEFAULT.parse().unwrap();
    let mut absent = Vec::new();
    collect_absent(&document, ROOT, "", &mut absent);
    assert_eq!(absent, ["server.tls.sni", "server.tls.acme", "direct_line"]);
}

fn collect_absent(table: &toml::Table, fields: Fields, at: &str, absent: &mut Vec<String>) {
    for (name, node) in fields {
        let path = if at.is_empty() {
            (*name).to_owned()
        } else {
            format!("{at}.{name}")
        };
        match (table.get(*name), node) {
            (None, _) => absent.push(path),
            (Some(_), Node::Value) => {}
            (Some(value), Node::Table(inner)) => {
                collect_absent(value.as_table().unwrap(), inner, &path, absent)
            }
            (Some(value), Node::Tables(inner)) => {
                collect_absent(value[0].as_table().unwrap(), inner, &path, absent)
            }
            (Some(value), Node::Named(inner)) => {
                collect_absent(
                    value
                        .as_table()
                        .unwrap()
                        .values()
                        .next()
                        .unwrap()
                        .as_table()
                        .unwrap(),
                    inner,
                    &path,
                    absent,
                );
            }
        }
    }
}

#[test]
fn leaving_a_key_out_is_the_same_as_writing_its_default() {
    let dir = directory();
    let spelled: Vec<&str> = EVERY_DEFAULT
        .lines()
        .filter(|line| !line.starts_with("per_"))
        .collect();
    let required = EVERY_DEFAULT.lines().filter(|line| {
        ["[[bots]]", "name =", "app_id =", "backend ="]
            .iter()
            .any(|start| line.starts_with(start))
    });
    let required: Vec<&str> = required.collect();
    assert_eq!(required.len(), 4);
    let lines = |text: &[&str]| {
        // Sets print in any order, so that lines are compared as a whole, whatever their order.
        let settings = parse_at(dir.path(), &text.join("\n")).unwrap().settings;
        let mut lines: Vec<String> = format!("{settings:#?}")
            .lines()
            .map(str::to_owned)
            .collect();
        lines.sort();
        lines
    };
    assert_eq!(lines(&spelled), lines(&required));
}
