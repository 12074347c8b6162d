//! Under which names the status page is there.
//!
//! A page of another site can let its own name point to this machine, and the browser then takes our answers for that page's own
//! (DNS rebinding). It cannot do so with an address, nor with `localhost`: names under it belong to the machine itself (RFC 6761 6.3).

use crate::judge::host_of;
use http::request::Parts;
use std::net::{Ipv4Addr, Ipv6Addr};

/// What is said to whoever asks under another name.
pub(super) const HINT: &str = "the status page answers to an IP address or localhost only; \
                               open it as http://127.0.0.1:9090/, with your own port, through a tunnel if it is far away\n";

/// Whether a request names the gateway in a way that no other site can have arranged.
pub(super) fn is_safe(head: &Parts) -> bool {
    let Ok(host) = host_of(head) else {
        return false;
    };
    let bracketed = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    match bracketed {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => host == "localhost" || host.parse::<Ipv4Addr>().is_ok(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_addresses_and_localhost_are_safe() {
        let is_safe = |host: &str| {
            let request = http::Request::get("/").header("host", host);
            super::is_safe(&request.body(()).unwrap().into_parts().0)
        };
        for host in [
            "127.0.0.1:9090",
            "10.1.2.3",
            "[::1]:9090",
            "localhost:9090",
            "LocalHost",
        ] {
            assert!(is_safe(host), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example:9090",
            "127.0.0.1.evil.example",
            "evil.localhost",
            "2130706433",
            "127.1",
            "[::1].evil.example",
            "",
        ] {
            assert!(!is_safe(host), "{host}");
        }
        let nameless = http::Request::get("/").body(()).unwrap().into_parts().0;
        assert!(!super::is_safe(&nameless));
    }
}
