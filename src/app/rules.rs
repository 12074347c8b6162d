//! Who may connect, by the settings.

use super::descriptors;
use crate::config::{Settings, TlsSource};
use crate::net::gate::{Caps, Rules};

/// For the public listeners.
pub(super) fn public(settings: &Settings) -> Rules {
    Rules {
        caps: Caps {
            connections: descriptors::connections(settings),
            ..caps(settings)
        },
        only_from: only_from(settings),
        has_proxy_header: settings.server.proxy_protocol,
    }
}

pub(super) fn caps(settings: &Settings) -> Caps {
    let limits = &settings.server.limits;
    Caps {
        connections: limits.connections,
        connections_per_ip: limits.connections_per_ip,
        handshake_timeout: settings.server.tls.handshake_timeout,
        header_timeout: limits.header_timeout,
        keep_alive_timeout: limits.keep_alive_timeout,
        header_bytes: limits.header_bytes,
        headers: limits.headers,
    }
}

/// A plain listener that is not on loopback lets only the proxies in that terminate TLS before it; and where connections begin with a
/// header that names their client, nobody else may send one.
fn only_from(settings: &Settings) -> Option<Vec<ipnet::IpNet>> {
    let server = &settings.server;
    let is_plain = server.tls.source == TlsSource::Off;
    let is_restricted = server.proxy_protocol || (is_plain && !server.trusted_proxies.is_empty());
    is_restricted.then(|| server.trusted_proxies.clone())
}
