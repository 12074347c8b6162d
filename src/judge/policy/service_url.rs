//! Where the bot will send its answers, and with them its own access token.

use super::{Evidence, Policy};
use crate::judge::{Reason, Rejection};
use std::collections::HashSet;

/// Domains under which a cloud lets anyone have a name.
const SHARED_SUFFIXES: &[&str] = &[
    "azure.com",
    "azureedge.net",
    "azurefd.net",
    "azurewebsites.net",
    "cloudapp.azure.com",
    "cloudapp.net",
    "ngrok.io",
    "trafficmanager.net",
    "windows.net",
];

/// The hosts a service URL may have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostList {
    any: bool,
    exact: HashSet<String>,
    suffixes: Vec<String>,
}

impl HostList {
    /// Every https host.
    pub fn any() -> Self {
        Self {
            any: true,
            ..Self::default()
        }
    }

    /// Host names and `*.suffix` entries, in any case.
    ///
    /// # Errors
    /// The first entry that is neither, with what is wrong about it.
    pub fn parse<'a>(
        entries: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, (String, &'static str)> {
        let mut list = Self::default();
        for entry in entries {
            let lower = entry.to_ascii_lowercase();
            let name = lower.strip_prefix("*.").unwrap_or(&lower);
            if !is_host(name) {
                return Err((
                    entry.to_owned(),
                    "is not a host name; write a name such as \"smba.trafficmanager.net\" or \"*.botframework.com\"",
                ));
            }
            if lower.starts_with("*.") {
                // Anyone can register a name directly under a top-level domain, or under Azure's shared ones.
                if !name.contains('.') || SHARED_SUFFIXES.contains(&name) {
                    return Err((
                        entry.to_owned(),
                        "would let in hosts that anyone can register; name the hosts one by one",
                    ));
                }
                list.suffixes.push(format!(".{name}"));
            } else {
                list.exact.insert(lower);
            }
        }
        Ok(list)
    }

    /// Whether `host` (lower case) is on the list.
    pub fn contains(&self, host: &str) -> bool {
        self.any
            || self.exact.contains(host)
            || self
                .suffixes
                .iter()
                .any(|suffix| host.ends_with(suffix.as_str()))
    }

    /// The entries as written, in lower case and sorted; none where every host is allowed.
    pub fn entries(&self) -> Vec<String> {
        let suffixes = self.suffixes.iter().map(|suffix| format!("*{suffix}"));
        let mut entries: Vec<String> = self.exact.iter().cloned().chain(suffixes).collect();
        entries.sort_unstable();
        entries
    }

    /// Plain http and a port are for a stand-in channel on this very machine, and only where the list names it.
    pub(super) fn permits_plain(&self, host: &str) -> bool {
        is_loopback(host) && self.exact.contains(host)
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host == "[::1]"
        || host
            .parse::<std::net::Ipv4Addr>()
            .is_ok_and(|ip| ip.is_loopback())
}

/// A DNS name in lower case, or a loopback address.
fn is_host(name: &str) -> bool {
    let label = |l: &str| {
        !l.is_empty()
            && l.len() <= 63
            && l.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    is_loopback(name) || (name.len() <= 253 && name.split('.').all(label) && !is_address(name))
}

/// Whether some reader takes the name for an IPv4 address, in any of its spellings (`127.1`, `0x7f.1`, `2130706433`).
fn is_address(name: &str) -> bool {
    name.rsplit('.').next().is_some_and(|last| {
        last.bytes().all(|b| b.is_ascii_digit())
            || (last.starts_with("0x") && last.bytes().skip(2).all(|b| b.is_ascii_hexdigit()))
    })
}

/// A URL in the one form that RFC 3986 and WHATWG parsers read alike: scheme, host, port, path, nothing else.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plain<'a> {
    pub(super) secure: bool,
    pub(super) host: String,
    port: u16,
    path: &'a str,
}

impl<'a> Plain<'a> {
    /// Reads `url`, or nothing where two parsers could disagree about it (AUTHENTICATION 3.3 rules 1, 3, 4).
    pub(super) fn read(url: &'a str) -> Option<Self> {
        if url.len() > 2048
            || !url
                .bytes()
                .all(|b| b.is_ascii_graphic() && !matches!(b, b'\\' | b'?' | b'#' | b'@'))
        {
            return None;
        }
        let (scheme, rest) = url.split_once("://")?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let default_port = if secure { 443 } else { 80 };
        let (host, port) = match authority.strip_suffix(']') {
            Some(_) => (authority, default_port),
            None => match authority.rsplit_once(':') {
                Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => {
                    (host, port.parse().ok()?)
                }
                Some(_) => return None,
                None => (authority, default_port),
            },
        };
        let host = host.to_ascii_lowercase();
        let lower_path = path.to_ascii_lowercase();
        let odd_path = lower_path.contains("//")
            || lower_path.contains("%2e")
            || lower_path.contains("%2f")
            || lower_path.contains("%5c")
            || path.split('/').any(|segment| matches!(segment, "." | ".."));
        if !is_host(&host) || odd_path {
            return None;
        }
        Some(Self {
            secure,
            host,
            port,
            path,
        })
    }

    /// Same scheme, host, port, and path up to one trailing slash; the path's case counts.
    pub(super) fn is_same_place(&self, other: &Self) -> bool {
        let path = |path: &'a str| path.strip_suffix('/').unwrap_or(path);
        self.secure == other.secure
            && self.host == other.host
            && self.port == other.port
            && path(self.path) == other.path.strip_suffix('/').unwrap_or(other.path)
    }

    /// Path segments that are not empty.
    pub(super) fn segments(&self) -> impl DoubleEndedIterator<Item = &'a str> {
        self.path.split('/').filter(|segment| !segment.is_empty())
    }
}

/// The activity's service URL is https in plain form, so that the bot's token is neither sent in the clear nor anywhere unforeseen.
///
/// The same for `relatesTo.serviceUrl` where there is one: the token does not cover it, and a bot that continues a conversation
/// from it sends its own token there.
pub(super) fn is_secure(policy: &Policy, evidence: Evidence<'_>) -> Result<(), Rejection> {
    urls(evidence).try_for_each(|(place, url)| {
        match insecurity(policy.service_urls.hosts_for(evidence.kind), url) {
            None => Ok(()),
            Some(why) => Err(Rejection::from(Reason::ServiceUrlNotAllowed)
                .noting(format!("{place} {url:?} {why}"))),
        }
    })
}

fn insecurity(hosts: &HostList, url: &str) -> Option<&'static str> {
    let Some(plain) = Plain::read(url) else {
        return Some("is not a plain https URL");
    };
    if hosts.permits_plain(&plain.host) {
        return None;
    }
    match plain {
        Plain { secure: false, .. } => Some("is not https"),
        Plain { port, .. } if port != 443 => Some("names a port other than 443"),
        Plain { host, .. } if is_loopback(&host) => Some("is a loopback address"),
        _ => None,
    }
}

/// The hosts of those URLs are on the list.
pub(super) fn is_allowed(policy: &Policy, evidence: Evidence<'_>) -> Result<(), Rejection> {
    let hosts = policy.service_urls.hosts_for(evidence.kind);
    let is_listed = |url: &str| Plain::read(url).is_some_and(|plain| hosts.contains(&plain.host));
    match urls(evidence).find(|(_, url)| !is_listed(url)) {
        None => Ok(()),
        Some((place, url)) => Err(Rejection::from(Reason::ServiceUrlNotAllowed)
            .noting(format!("the host of {place} {url:?} is not on the list"))),
    }
}

/// The `relatesTo.serviceUrl` of a callback, where it has one, is secure and on the list.
pub(super) fn is_relation_allowed(hosts: &HostList, url: Option<&str>) -> Result<(), Rejection> {
    let Some(url) = url else {
        return Ok(());
    };
    let is_listed = Plain::read(url).is_some_and(|plain| hosts.contains(&plain.host));
    let why = insecurity(hosts, url).or_else(|| (!is_listed).then_some("is not on the list"));
    match why {
        None => Ok(()),
        Some(why) => Err(Rejection::from(Reason::ServiceUrlNotAllowed)
            .noting(format!("relatesTo.serviceUrl {url:?} {why}"))),
    }
}

/// Every URL of an activity that the bot may answer to.
pub(super) fn urls(evidence: Evidence<'_>) -> impl Iterator<Item = (&'static str, &str)> {
    let activity = evidence.activity;
    let relates_to = activity
        .relates_to_service_url
        .as_deref()
        .map(|url| ("relatesTo.serviceUrl", url));
    std::iter::once(("serviceUrl", activity.service_url.as_str())).chain(relates_to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_match_exactly_or_by_suffix_and_near_misses_do_not() {
        let list = HostList::parse(["smba.trafficmanager.net", "*.BotFramework.com"]).unwrap();
        for host in [
            "smba.trafficmanager.net",
            "webchat.botframework.com",
            "europe.directline.botframework.com",
        ] {
            assert!(list.contains(host), "{host}");
        }
        for host in [
            "evil.trafficmanager.net",
            "smba.trafficmanager.net.evil.example",
            "botframework.com",
            "evilbotframework.com",
            "botframework.com.evil.example",
            "smba.trafficmanager.net.",
        ] {
            assert!(!list.contains(host), "{host}");
        }
    }

    #[test]
    fn entries_that_anyone_could_register_under_are_refused() {
        for entry in [
            "*.trafficmanager.net",
            "*.windows.net",
            "*.cloudapp.azure.com",
            "*.com",
            "*",
            "",
            "https://x.example",
            "a.example/",
            "*.a.*",
            "10.0.0.1",
        ] {
            assert!(HostList::parse([entry]).is_err(), "{entry}");
        }
    }

    #[test]
    fn only_urls_that_all_parsers_read_alike_are_plain() {
        for url in [
            "https://smba.trafficmanager.net/emea/",
            "HTTPS://SMBA.trafficmanager.net:443/emea",
            "https://webchat.botframework.com",
            "http://127.0.0.1:8080/",
            "https://[::1]/x",
        ] {
            assert!(Plain::read(url).is_some(), "{url}");
        }
        for url in [
            "https://user@smba.trafficmanager.net/",
            "https://smba.trafficmanager.net\\@evil.example/",
            "https:\\\\smba.trafficmanager.net/",
            "https:/smba.trafficmanager.net/",
            "https:smba.trafficmanager.net/",
            "https://smba.trafficmanager.net/a/../b",
            "https://smba.trafficmanager.net/a/%2e%2E/b",
            "https://smba.trafficmanager.net/a%2fb",
            "https://smba.trafficmanager.net//a",
            "https://smba.trafficmanager.net/?x",
            "https://smba.trafficmanager.net/#x",
            "https://smba.trafficmanager.net./",
            "https://smba.trafficmanager.net:/",
            "https://smba.trafficmanager.net:99999/",
            "https://127.1/",
            "https://0x7f000001/",
            "https://2130706433/",
            "https://10.0.0.1/",
            "https://xn--\u{e9}.example/",
            "urn:botframework:WebSocket:wss://x",
            "ftp://smba.trafficmanager.net/",
            "//smba.trafficmanager.net/",
            "https://smba.trafficmanager.net/ ",
            "https://",
            "https:///x",
        ] {
            assert!(Plain::read(url).is_none(), "{url}");
        }
    }

    #[test]
    fn places_are_the_same_up_to_host_case_and_one_trailing_slash() {
        let same = |a: &str, b: &str| {
            Plain::read(a)
                .unwrap()
                .is_same_place(&Plain::read(b).unwrap())
        };
        assert!(same("https://a.example/x/", "https://A.example/x"));
        assert!(same("https://a.example", "https://a.example/"));
        assert!(same("https://a.example:443/x", "https://a.example/x"));
        assert!(!same("https://a.example/x", "https://a.example/X"));
        assert!(!same("https://a.example/x", "https://b.example/x"));
        assert!(!same("https://a.example:444/x", "https://a.example/x"));
        assert!(!same("http://a.example/x", "https://a.example/x"));
        assert!(!same("https://a.example/x/y", "https://a.example/x"));
    }
}
