//! `server.trusted_proxies` and `server.proxy_protocol`: who stands before the gateway.

use super::file::Section;
use ipnet::IpNet;
use std::net::IpAddr;

/// `trusted_proxies`.
pub(super) fn trusted(server: &Section<'_>) -> Vec<IpNet> {
    let proxies = networks(server, "trusted_proxies");
    for text in server.list("trusted_proxies") {
        let is_everybody = |network: IpNet| network.prefix_len() == 0;
        if text.value.parse().is_ok_and(is_everybody) {
            let what = format!(
                "is {}: everyone can make up the client address",
                text.shown()
            );
            text.warn(what, "name only the networks of your own proxies");
        }
    }
    proxies
}

/// A list of networks and addresses.
pub(super) fn networks(section: &Section<'_>, key: &str) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for text in section.list(key) {
        let network = text
            .value
            .parse()
            .or_else(|_| text.value.parse::<IpAddr>().map(IpNet::from));
        match network {
            Ok(network) => networks.push(network),
            Err(_) => text.error(
                format!("is {}, wanted a network", text.shown()),
                "write an address or a network, such as \"10.0.0.0/8\" or \"192.0.2.7\"",
            ),
        }
    }
    networks
}

/// `proxy_protocol`.
pub(super) fn protocol(server: &Section<'_>) -> bool {
    let is_on = server.flag("proxy_protocol", false);
    let written = server.value("trusted_proxies");
    let names_nobody = written
        .and_then(|list| list.get_ref().as_array())
        .is_none_or(|list| list.is_empty());
    if is_on && names_nobody {
        server.error(
            "proxy_protocol",
            "is true while server.trusted_proxies is empty: nobody could connect",
            "name in server.trusted_proxies the addresses of whoever sends the header",
        );
    }
    is_on
}
