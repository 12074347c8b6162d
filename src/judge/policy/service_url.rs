//! Where the bot will send its answers, and with them its own access token.

use super::{Evidence, Policy};
use crate::judge::plain_url::{Plain, is_host, is_loopback};
use crate::judge::{Reason, Rejection};
use std::borrow::Cow;
use std::collections::BTreeSet;

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
    exact: BTreeSet<String>,
    /// With the dot they begin with.
    suffixes: BTreeSet<String>,
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
                list.suffixes.insert(format!(".{name}"));
            } else {
                list.exact.insert(lower);
            }
        }
        Ok(list)
    }

    /// Whether `host` (lower case) is on the list. Costs little however long the list is.
    pub fn contains(&self, host: &str) -> bool {
        self.any || self.exact.contains(host) || self.has_suffix_of(host)
    }

    fn has_suffix_of(&self, host: &str) -> bool {
        let mut dots = host.match_indices('.');
        !self.suffixes.is_empty()
            && dots.any(|(at, _)| {
                host.get(at..)
                    .is_some_and(|suffix| self.suffixes.contains(suffix))
            })
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

/// The activity's service URL is https in plain form, so that the bot's token is neither sent in the clear nor anywhere unforeseen.
///
/// The same for `relatesTo.serviceUrl` where there is one: the token does not cover it, and a bot that continues a conversation
/// from it sends its own token there.
pub(super) fn is_secure(policy: &Policy, evidence: Evidence<'_>) -> Result<(), Rejection> {
    let hosts = policy.service_urls.hosts_for(evidence.kind);
    read(evidence).try_for_each(|(place, url, plain)| match insecurity(hosts, plain) {
        None => Ok(()),
        Some(why) => Err(Rejection::from(Reason::ServiceUrlNotAllowed)
            .noting(format!("{place} {:?} {why}", shown(url)))),
    })
}

fn insecurity(hosts: &HostList, plain: Option<Plain<'_>>) -> Option<&'static str> {
    let Some(plain) = plain else {
        return Some("is not a plain https URL");
    };
    if plain.is_loopback && hosts.permits_plain(&plain.host) {
        return None;
    }
    match plain {
        Plain { secure: false, .. } => Some("is not https"),
        Plain { port, .. } if port != 443 => Some("names a port other than 443"),
        Plain {
            is_loopback: true, ..
        } => Some("is a loopback address"),
        _ => None,
    }
}

/// The hosts of those URLs are on the list.
pub(super) fn is_allowed(policy: &Policy, evidence: Evidence<'_>) -> Result<(), Rejection> {
    let hosts = policy.service_urls.hosts_for(evidence.kind);
    let is_listed = |plain: &Option<Plain<'_>>| {
        let plain = plain.as_ref();
        plain.is_some_and(|plain| hosts.contains(&plain.host))
    };
    match read(evidence).find(|(_, _, plain)| !is_listed(plain)) {
        None => Ok(()),
        Some((place, url, _)) => Err(Rejection::from(Reason::ServiceUrlNotAllowed).noting(
            format!("the host of {place} {:?} is not on the list", shown(url)),
        )),
    }
}

/// The `relatesTo.serviceUrl` of a callback, where it has one, is secure and on the list.
pub(super) fn is_relation_allowed(hosts: &HostList, url: Option<&str>) -> Result<(), Rejection> {
    let Some(url) = url else {
        return Ok(());
    };
    let plain = Plain::read(url);
    let is_listed = plain
        .as_ref()
        .is_some_and(|plain| hosts.contains(&plain.host));
    let why = insecurity(hosts, plain).or_else(|| (!is_listed).then_some("is not on the list"));
    match why {
        None => Ok(()),
        Some(why) => Err(Rejection::from(Reason::ServiceUrlNotAllowed)
            .noting(format!("relatesTo.serviceUrl {:?} {why}", shown(url)))),
    }
}

/// A URL as it may stand in a note: without user, password, query and fragment, where secrets are (OPERATIONS section 2).
pub(super) fn shown(url: &str) -> Cow<'_, str> {
    let after_scheme = url.find("//").map_or(0, |at| at.saturating_add(2));
    let (scheme, rest) = url.split_at_checked(after_scheme).unwrap_or(("", url));
    let end = rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at_checked(end).unwrap_or((rest, ""));
    let host = authority.rsplit('@').next().unwrap_or_default();
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    if host.len() == authority.len() && path.len() == rest.len() {
        return Cow::Borrowed(url);
    }
    let user = if host.len() == authority.len() {
        ""
    } else {
        "...@"
    };
    let query = if path.len() == rest.len() { "" } else { "?..." };
    Cow::Owned(format!("{scheme}{user}{host}{path}{query}"))
}

/// Every URL of an activity that the bot may answer to.
pub(super) fn urls(evidence: Evidence<'_>) -> impl Iterator<Item = (&'static str, &str)> {
    let activity = evidence.activity;
    let relates_to = activity
        .relates_to_service_url()
        .map(|url| ("relatesTo.serviceUrl", url));
    std::iter::once(("serviceUrl", activity.service_url())).chain(relates_to)
}

/// The same URLs in parts, where they are plain.
fn read(evidence: Evidence<'_>) -> impl Iterator<Item = (&'static str, &str, Option<Plain<'_>>)> {
    let own = evidence.activity.plain_service_url();
    urls(evidence)
        .enumerate()
        .map(move |(at, (place, url))| match at {
            0 => (place, url, own.map(|plain| plain.of(url))),
            _ => (place, url, Plain::read(url)),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_shows_of_a_url_what_is_no_secret() {
        for (url, as_shown) in [
            ("https://a.example/b", "https://a.example/b"),
            ("https://a.example/b?token=s", "https://a.example/b?..."),
            ("https://a.example#s", "https://a.example?..."),
            (
                "https://u:s@a.example:1/b@c?s",
                "https://...@a.example:1/b@c?...",
            ),
            ("//u:s@t@a.example", "//...@a.example"),
            ("u:s@a.example?s", "...@a.example?..."),
            ("http:\\\\a.example\\u@b", "http:\\\\a.example\\u@b"),
            ("", ""),
            ("\u{fc}//\u{fc}@?", "\u{fc}//...@?..."),
        ] {
            assert_eq!(shown(url), as_shown, "{url}");
        }
    }

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
}
