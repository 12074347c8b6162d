//! `[server]`, `[admin]`, `[log]`, `[keys]`: what weakens the gateway is refused or pointed out.

use super::*;
use crate::config::{Settings, TlsSource, TlsVersion};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

#[test]
fn listen_addresses_are_ip_and_port() {
    let listen = |value: &str| {
        good(&with_server(&format!("[server]\nlisten = {value}")))
            .settings
            .server
            .listen
    };
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    assert_eq!(
        listen("[\"0.0.0.0:443\", \"[::]:443\"]"),
        [address("0.0.0.0:443"), address("[::]:443")]
    );
    assert_eq!(listen("\"127.0.0.1:0\""), [address("127.0.0.1:0")]);
    assert_eq!(
        listen("[\"127.0.0.1:0\", \"127.0.0.1:0\"]").len(),
        2,
        "port 0 is a new port each time"
    );
    for (at, value, says) in [
        (
            "server.listen",
            "\"localhost:8443\"",
            "wanted an address to listen on",
        ),
        ("server.listen[0]", "[\":8443\"]", "\"0.0.0.0:8443\""),
        (
            "server.listen[0]",
            "[\"0.0.0.0\"]",
            "an IP address and a port",
        ),
        (
            "server.listen[1]",
            "[\"0.0.0.0:443\", \"0.0.0.0:443\"]",
            "for the second time",
        ),
        ("server.listen", "[]", "is empty"),
        ("server.listen", "8443", "is the number 8443"),
    ] {
        assert_problem(
            &with_server(&format!("[server]\nlisten = {value} {MARK}")),
            at,
            &["error", says],
        );
    }
}

#[test]
fn the_admin_listener_has_a_place_of_its_own() {
    let admin = |value: &str| {
        good(&with_server(&format!("[admin]\nlisten = {value}")))
            .settings
            .admin
    };
    assert_eq!(admin("\"\""), None);
    assert_eq!(
        admin("\"127.0.0.1:0\""),
        Some("127.0.0.1:0".parse().unwrap())
    );
    for (listen, admin, severity) in [
        ("127.0.0.1:9090", "127.0.0.1:9090", "error"),
        ("0.0.0.0:9090", "127.0.0.1:9090", "error"),
        ("127.0.0.1:9090", "0.0.0.0:9090", "error"),
        ("127.0.0.1:8443", "0.0.0.0:9090", "warning"),
        ("127.0.0.1:8443", "192.0.2.1:9090", "warning"),
        ("127.0.0.1:8443", "nowhere", "error"),
    ] {
        let text = with_server(&format!(
            "[server]\nlisten = \"{listen}\"\n[admin]\nlisten = \"{admin}\" {MARK}"
        ));
        assert_problem(&text, "admin.listen", &[severity]);
    }
    good(&with_server(
        "[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"",
    ));
}

#[test]
fn trusted_proxies_are_networks() {
    let settings = good(&with_server(
        "[server]\ntrusted_proxies = [\"10.0.0.0/8\", \"192.0.2.7\", \"fd00::/8\"]",
    ))
    .settings;
    let shown: Vec<String> = settings
        .server
        .trusted_proxies
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(shown, ["10.0.0.0/8", "192.0.2.7/32", "fd00::/8"]);
    for (value, severity) in [
        ("10.0.0.0/33", "error"),
        ("proxy.example", "error"),
        ("", "error"),
        ("0.0.0.0/0", "warning"),
    ] {
        let text = with_server(&format!("[server]\ntrusted_proxies = [\"{value}\"] {MARK}"));
        assert_problem(&text, "server.trusted_proxies[0]", &[severity]);
    }
}

#[test]
fn certificate_files_must_be_there_and_the_key_should_be_private() {
    let dir = directory();
    let tables = "[server.tls]\ncert = \"certs/server.pem\"\nkey = \"certs/server.key\"";
    let source = parse_at(dir.path(), &with_server(tables))
        .unwrap()
        .settings
        .server
        .tls
        .source;
    let path = |name: &str| dir.path().join(name);
    assert_eq!(
        source,
        TlsSource::Files {
            cert: path("certs/server.pem"),
            key: path("certs/server.key")
        }
    );

    for (mode, warns) in [
        (0o600, false),
        (0o400, false),
        (0o640, true),
        (0o604, true),
        (0o644, true),
    ] {
        fs::set_permissions(path("certs/server.key"), fs::Permissions::from_mode(mode)).unwrap();
        let warnings = parse_at(dir.path(), &with_server(tables)).unwrap().warnings;
        assert_eq!(warnings.len(), usize::from(warns), "{mode:o}");
        for warning in warnings {
            assert_eq!(
                (warning.line, warning.at.as_str()),
                (Some(3), "server.tls.key")
            );
            assert!(warning.hint.contains("chmod 600"), "{warning}");
        }
    }

    assert_problem(
        &with_server("[server.tls]\ncert = \"certs/none.pem\" #<-"),
        "server.tls.cert",
        &[
            "error",
            "\"certs/none.pem\", which cannot be read",
            "source = \"self-signed\"",
        ],
    );
    assert_problem(
        &with_server("[server.tls]\ncert = \"\" #<-"),
        "server.tls.cert",
        &["error", "is empty"],
    );
    assert_problem(
        &with_server("[server.tls]\nkey = \"certs\" #<-"),
        "server.tls.key",
        &["error", "cannot be read"],
    );
    let empty = tempfile::tempdir().unwrap();
    let found = parse_at(empty.path(), &with_server("[server.tls]")).unwrap_err();
    let told: Vec<_> = found
        .iter()
        .map(|problem| (problem.line, problem.at.as_str()))
        .collect();
    assert_eq!(
        told,
        [(Some(1), "server.tls.cert"), (Some(1), "server.tls.key")],
        "a default points to its table"
    );
}

#[test]
fn a_self_signed_certificate_covers_what_is_served() {
    let text = with_server(
        "[server]\nlisten = [\"127.0.0.1:1\", \"127.0.0.2:1\"]\ntls.source = \"self-signed\"\ntls.cert = \"own/x.pem\"",
    );
    let text = format!("{text}\nhosts = [\"Bot.example.com\", \"[::1]\"]\n");
    let dir = directory();
    let source = parse_at(dir.path(), &text)
        .unwrap()
        .settings
        .server
        .tls
        .source;
    let names = [
        "localhost",
        "127.0.0.1",
        "::1",
        "bot.example.com",
        "127.0.0.2",
    ]
    .map(str::to_owned)
    .to_vec();
    assert_eq!(
        source,
        TlsSource::SelfSigned {
            dir: dir.path().join("own"),
            names
        }
    );
}

const LAB: &str = "[clouds.lab]\nchannel_metadata = \"http://localhost:1/x\"\nchannel_issuer = \"i\"\nservice_url_hosts = [\"localhost\"]\n";

#[test]
fn a_self_signed_certificate_in_public_is_refused_unless_allowed() {
    let public = with_server(
        "[server]\nlisten = \"0.0.0.0:8443\"\n[server.tls]\nsource = \"self-signed\" #<-",
    );
    assert_problem(
        &public,
        "server.tls.source",
        &["error", "--allow-self-signed", "127.0.0.1"],
    );
    let allowed = StartFlags {
        allow_self_signed: true,
        ..StartFlags::default()
    };
    assert!(parse_in(&public, directory().path(), allowed, &environment).is_ok());
    good(&public.replace("0.0.0.0", "127.0.0.1"));
    good(&format!("{LAB}{public}\ncloud = \"lab\""));
}

#[test]
fn plain_http_is_for_this_machine_or_behind_a_proxy() {
    let plain = with_server(
        "[server]\nlisten = [\"127.0.0.1:1\", \"0.0.0.0:8080\"]\n[server.tls]\nsource = \"off\" #<-",
    );
    assert_problem(
        &plain,
        "server.tls.source",
        &["error", "in the clear", "trusted_proxies"],
    );
    let loopback = good(&plain.replace("0.0.0.0", "[::1]")).settings;
    assert_eq!(loopback.server.tls.source, TlsSource::Off);
    good(&plain.replace(
        "[server.tls]",
        "trusted_proxies = [\"10.0.0.0/8\"]\n[server.tls]",
    ));
}

#[test]
fn values_reach_the_settings() {
    let tables = r#"
[server]
drain_timeout = "3s"
[server.tls]
min_version = "1.3"
handshake_timeout = "250ms"
[server.limits]
connections = 1_000
headers = 0x40
body_bytes = "64KiB"
body_bytes_total = "64KiB"
json_depth = 120
requests_per_ip = { rate = "600/m", burst = 7 }
[log]
format = "text"
level = "debug"
identifiers = "omitted"
[keys]
refresh = "1h"
cache_dir = ""
ca_file = "certs/server.pem"
clock_skew = "0s"
"#;
    let Settings {
        server,
        log,
        keys,
        bots,
        ..
    } = good(&with_server(tables)).settings;
    assert_eq!(server.drain_timeout, Duration::from_secs(3));
    assert_eq!(
        (server.tls.min_version, server.tls.handshake_timeout),
        (TlsVersion::V1_3, Duration::from_millis(250))
    );
    assert_eq!(
        (server.limits.connections, server.limits.headers),
        (1_000, 64)
    );
    assert_eq!(
        (server.limits.body_bytes, server.limits.json.depth),
        (65_536, 120)
    );
    assert_eq!(
        (server.limits.body_bytes_total, bots[0].in_flight),
        (65_536, 1_000)
    );
    let quota = server.limits.requests_per_ip;
    assert_eq!(
        (quota.interval, quota.burst.get()),
        (Duration::from_millis(100), 7)
    );
    assert_eq!(
        format!("{log:?}"),
        "Log { format: Text, level: LevelFilter::DEBUG, identifiers: Omitted, file: None, retain_days: 30 }"
    );
    assert_eq!(
        (keys.refresh, keys.cache_dir),
        (Duration::from_secs(3600), None)
    );
    assert!(
        keys.ca_file
            .is_some_and(|path: PathBuf| path.ends_with("certs/server.pem"))
    );
    assert_eq!(
        (keys.clock_skew, bots[0].expect.clock_skew),
        (Duration::ZERO, 0)
    );
}

#[test]
fn weak_settings_are_pointed_out() {
    for (at, tables) in [
        ("log.identifiers", "[log]\nidentifiers = \"plain\" #<-"),
        ("keys.max_stale", "[keys]\nmax_stale = \"1h\" #<-"),
    ] {
        assert_problem(&with_server(tables), at, &["warning"]);
    }
    assert_problem(
        &with_server("[keys]\nca_file = \"none.pem\" #<-"),
        "keys.ca_file",
        &["error", "cannot be read"],
    );
    assert_problem(
        &with_server("[keys]\nca_file = \"certs/server.key\" #<-"),
        "keys.ca_file",
        &["error", "CERTIFICATE"],
    );
}

#[test]
fn the_proxy_protocol_needs_somebody_to_speak_it() {
    let on =
        |proxies: &str| with_server(&format!("[server]\n{proxies}\nproxy_protocol = true #<-"));
    for proxies in ["", "trusted_proxies = []"] {
        assert_problem(
            &on(proxies),
            "server.proxy_protocol",
            &["error", "nobody could connect"],
        );
    }
    let settings = good(&on("trusted_proxies = [\"10.0.0.0/8\"]")).settings;
    assert!(settings.server.proxy_protocol);
    assert!(!good(&with_server("")).settings.server.proxy_protocol);
}

#[test]
fn the_log_file_is_a_file_beside_this_one_or_elsewhere() {
    let log = |keys: &str| good(&with_server(&format!("[log]\n{keys}"))).settings.log;
    assert_eq!(log("").file, None);
    let set = log("file = \"var/botgate.log\"\nretain_days = 7");
    let file = set.file.unwrap();
    assert!(
        file.is_absolute() && file.ends_with("var/botgate.log"),
        "{file:?}"
    );
    assert_eq!(set.retain_days, 7);
    for (keys, says) in [
        ("file = \"/dev/null\"", &["error", "no file"]),
        ("file = \".\"", &["error", "no file"]),
    ] {
        assert_problem(
            &with_server(&format!("[log]\n{keys} {MARK}")),
            "log.file",
            says,
        );
    }
    assert_problem(
        &with_server(&format!("[log]\nretain_days = 7 {MARK}")),
        "log.retain_days",
        &["warning", "no effect without log.file"],
    );
}
