//! `[server]` and `[admin]`.

use super::file::Section;
use super::text::Text;
use super::{Limits, Quota, Server, StartFlags, proxies, tls};
use crate::judge::{MAX_DEPTH, StrictLimits};
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
    let tls = tls::read(
        &server.table("tls"),
        &listen,
        &trusted_proxies,
        guests,
        flags,
    );
    Server {
        drain_timeout: server.duration("drain_timeout", seconds(20), MOMENT..=hours(1)),
        trusted_proxies,
        proxy_protocol,
        tls,
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
        // Tokens of agents with many claims reach several KiB.
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
