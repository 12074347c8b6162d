//! `[server]` and `[admin]`.

use super::file::Section;
use super::text::{Text, read_file};
use super::{Limits, Quota, Server, StartFlags, Tls, TlsSource, TlsVersion, proxies};
use crate::judge::{MAX_DEPTH, StrictLimits};
use ipnet::IpNet;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

/// What the bots of the file mean for how the gateway may listen.
pub(super) struct Guests {
    /// Host names the bots are served under.
    pub(super) hosts: Vec<String>,
    /// Whether one of them is reached from a public cloud.
    pub(super) any_public: bool,
}

/// `server.listen`.
pub(super) fn listen(server: &Section<'_>) -> Vec<SocketAddr> {
    let mut listen: Vec<SocketAddr> = Vec::new();
    let texts = server.one_or_list("listen");
    for text in &texts {
        match text.value.parse() {
            Ok(address) if listen.contains(&address) && address.port() != 0 => {
                text.error(
                    format!("is {} for the second time", text.shown()),
                    "leave one of them out",
                );
            }
            Ok(address) => listen.push(address),
            Err(_) => not_an_address(text),
        }
    }
    if !server.has("listen") {
        listen.push(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8443)));
    } else if texts.is_empty() && server.is_list("listen") {
        server.error("listen", "is empty", "write listen = [\"0.0.0.0:8443\"]");
    }
    listen
}

/// `[server]`, given its [`listen`] addresses.
pub(super) fn read(
    server: &Section<'_>,
    listen: Vec<SocketAddr>,
    guests: &Guests,
    flags: StartFlags,
) -> Server {
    let trusted_proxies = proxies::trusted(server);
    let proxy_protocol = proxies::protocol(server);
    let tls = server.table("tls");
    let source = tls_source(&tls, &listen, guests);
    match source {
        TlsSource::Off => refuse_plain_in_public(&tls, &listen, &trusted_proxies),
        TlsSource::SelfSigned { .. } => refuse_self_signed_in_public(&tls, &listen, guests, flags),
        TlsSource::Files { .. } => {}
    }
    let choices = [("1.2", TlsVersion::V1_2), ("1.3", TlsVersion::V1_3)];
    Server {
        drain_timeout: server.duration("drain_timeout", seconds(20), MOMENT..=hours(1)),
        trusted_proxies,
        proxy_protocol,
        tls: Tls {
            source,
            min_version: tls.one_of("min_version", TlsVersion::V1_2, &choices),
            handshake_timeout: tls.duration("handshake_timeout", seconds(5), MOMENT..=hours(1)),
        },
        limits: limits(&server.table("limits")),
        listen,
    }
}

/// `admin.listen`; `None` turns the admin listener off.
pub(super) fn admin(admin: &Section<'_>, public: &[SocketAddr]) -> Option<SocketAddr> {
    let Some(text) = admin.text("listen") else {
        return Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 9090)));
    };
    if text.value.is_empty() {
        return None;
    }
    let Ok(address) = text.value.parse::<SocketAddr>() else {
        not_an_address(&text);
        return None;
    };
    let collides = |other: &SocketAddr| {
        let overlap = other.ip() == address.ip()
            || other.ip().is_unspecified()
            || address.ip().is_unspecified();
        overlap && other.port() == address.port() && address.port() != 0
    };
    if public.iter().any(collides) {
        text.error(
            format!("is {}, which server.listen takes", text.shown()),
            "give the admin listener a port of its own, such as \"127.0.0.1:9090\"; it must never be reachable from outside",
        );
    } else if !address.ip().is_loopback() {
        text.warn(
            format!("is {}, which other machines can reach", text.shown()),
            "it has no login and tells about your bots; use \"127.0.0.1:9090\", or let a firewall guard it",
        );
    }
    Some(address)
}

fn not_an_address(text: &Text<'_>) {
    let hint = "write an IP address and a port, such as \"0.0.0.0:8443\", \"127.0.0.1:8443\" or \"[::]:8443\"";
    text.error(
        format!("is {}, wanted an address to listen on", text.shown()),
        hint,
    );
}

/// The words of `server.tls.source`.
#[derive(Clone, Copy, PartialEq)]
enum Source {
    Files,
    Acme,
    SelfSigned,
    Off,
}

fn tls_source(tls: &Section<'_>, listen: &[SocketAddr], guests: &Guests) -> TlsSource {
    let choices = [
        ("files", Source::Files),
        ("self-signed", Source::SelfSigned),
        ("off", Source::Off),
        ("acme", Source::Acme),
    ];
    let source = tls.one_of("source", Source::Files, &choices);
    let cert = tls
        .path("cert")
        .unwrap_or_else(|| tls.reading.dir.join("certs/server.pem"));
    let key = tls
        .path("key")
        .unwrap_or_else(|| tls.reading.dir.join("certs/server.key"));
    refuse_later_tls(tls);
    match source {
        Source::Files => {
            check_certificate(tls, &cert, &key);
            TlsSource::Files { cert, key }
        }
        Source::Acme => {
            let instead = "use source = \"files\" with a certificate from your ACME client (certbot, lego, ...)";
            tls.not_yet("source", "certificates by ACME", instead);
            TlsSource::Files { cert, key }
        }
        Source::SelfSigned => {
            let dir = cert.parent().map(Path::to_path_buf).unwrap_or_default();
            TlsSource::SelfSigned {
                dir,
                names: names(listen, guests),
            }
        }
        Source::Off => TlsSource::Off,
    }
}

/// What a self-signed certificate covers: this machine, and every name and address the gateway is told to serve.
fn names(listen: &[SocketAddr], guests: &Guests) -> Vec<String> {
    let own = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let hosts = guests
        .hosts
        .iter()
        .map(|host| host.trim_matches(['[', ']']).to_owned());
    let addresses = listen
        .iter()
        .map(SocketAddr::ip)
        .filter(|ip| !ip.is_unspecified())
        .map(|ip| ip.to_string());
    let mut names: Vec<String> = Vec::new();
    for name in own.into_iter().chain(hosts).chain(addresses) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn refuse_later_tls(tls: &Section<'_>) {
    if tls.path("client_ca").is_some() {
        tls.not_yet(
            "client_ca",
            "client certificates",
            "remove it, or set it to \"\"",
        );
    }
    for sni in tls.tables("sni") {
        let _ = (sni.list("names"), sni.path("cert"), sni.path("key"));
        sni.not_yet_here(
            "a certificate per server name",
            "remove this table; one certificate can cover many names",
        );
    }
    let acme = tls.table("acme");
    if acme.is_written() {
        let _ = (
            acme.text("directory"),
            acme.list("domains"),
            acme.list("contact"),
            acme.path("storage"),
        );
        let _ = (
            acme.path("ca_file"),
            acme.one_of("challenge", (), &[("tls-alpn-01", ()), ("http-01", ())]),
        );
        acme.not_yet_here(
            "certificates by ACME",
            "remove this table; use source = \"files\" with a certificate from your ACME client",
        );
    }
}

fn check_certificate(tls: &Section<'_>, cert: &Path, key: &Path) {
    const MAX_BYTES: u64 = 1024 * 1024;
    const HINT: &str = "put it there (relative names start from the directory of this file), or set source = \"self-signed\" \
                        to try botgate out without";
    for (name, path, default) in [
        ("cert", cert, "certs/server.pem"),
        ("key", key, "certs/server.key"),
    ] {
        let shown = tls.shown(name).unwrap_or_else(|| format!("{default:?}"));
        if shown == "\"\"" {
            tls.error(
                name,
                "is empty",
                "name a file, or leave the key out for the default",
            );
        } else if let Err(error) = read_file(path, MAX_BYTES) {
            tls.error(
                name,
                format!("is {shown}, which cannot be read: {error}"),
                HINT,
            );
        }
    }
    warn_if_readable(tls, "key", key);
}

/// Warns about a private key that others than its owner can read.
pub(super) fn warn_if_readable(section: &Section<'_>, name: &str, key: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let Ok(metadata) = key.metadata() else { return };
    if metadata.is_file() && metadata.permissions().mode() & 0o044 != 0 {
        section.warn(
            name,
            "names a private key that other users of this machine can read",
            "chmod 600 that file",
        );
    }
}

fn refuse_plain_in_public(tls: &Section<'_>, listen: &[SocketAddr], trusted_proxies: &[IpNet]) {
    if trusted_proxies.is_empty() && !listen.iter().all(|address| address.ip().is_loopback()) {
        tls.error(
            "source",
            "is \"off\" while other machines can connect: tokens would travel in the clear",
            "listen on 127.0.0.1 only, or name in server.trusted_proxies who terminates TLS, or use source = \"files\"",
        );
    }
}

fn refuse_self_signed_in_public(
    tls: &Section<'_>,
    listen: &[SocketAddr],
    guests: &Guests,
    flags: StartFlags,
) {
    let all_local = listen.iter().all(|address| address.ip().is_loopback());
    if guests.any_public && !all_local && !flags.allow_self_signed {
        tls.error(
            "source",
            "is \"self-signed\" while other machines can connect and a bot belongs to a public cloud, whose channels refuse such certificates",
            "use source = \"files\" with a certificate from a public authority, listen on 127.0.0.1 only, or start with --allow-self-signed",
        );
    }
}

fn limits(limits: &Section<'_>) -> Limits {
    let defaults = StrictLimits {
        depth: 64,
        members: 20_000,
    };
    let default_rate = Quota {
        interval: Duration::from_millis(5),
        burst: NonZeroU32::MIN.saturating_add(399),
    };
    let body_bytes = limits.size("body_bytes", 1 << 20, (1 << 10)..=(16 << 20));
    Limits {
        connections: limits.count("connections", 10_000, 1..=1_000_000),
        connections_per_ip: limits.count("connections_per_ip", 1_000, 1..=1_000_000),
        header_timeout: limits.duration("header_timeout", seconds(10), MOMENT..=hours(1)),
        body_timeout: limits.duration("body_timeout", seconds(10), MOMENT..=hours(1)),
        keep_alive_timeout: limits.duration("keep_alive_timeout", seconds(75), MOMENT..=hours(24)),
        // Tokens of agents with many claims reach several KiB, and hyper refuses buffers below 8 KiB.
        header_bytes: limits.size("header_bytes", 32 << 10, (8 << 10)..=(1 << 20)),
        headers: limits.count("headers", 100, 10..=1_000),
        body_bytes,
        body_bytes_total: limits.size("body_bytes_total", 256 << 20, body_bytes..=(64 << 30)),
        json: StrictLimits {
            depth: limits.count("json_depth", defaults.depth, 1..=MAX_DEPTH),
            members: limits.count("json_members", defaults.members, 1..=1_000_000),
        },
        requests_per_ip: limits.quota("requests_per_ip").unwrap_or(default_rate),
    }
}

/// The shortest duration that is not none.
pub(super) const MOMENT: Duration = Duration::from_millis(1);

pub(super) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) const fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours.saturating_mul(3600))
}
