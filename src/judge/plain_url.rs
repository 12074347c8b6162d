//! URLs in the one form that RFC 3986 and WHATWG parsers read alike: scheme, host, port, path, nothing else.

use std::borrow::Cow;
use url::{Host, Url};

/// The longest URL that is looked at, bytes. Places in it fit in a `u16`.
const MAX_URL_BYTES: usize = 2048;

/// Where the parts of a plain URL stand in its text. Found once, looked at by every rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PlainUrl {
    secure: bool,
    is_loopback: bool,
    has_capitals: bool,
    /// Whether every parser that there is writes the host in these very letters.
    host_is_usual: bool,
    port: u16,
    host_at: u16,
    host_end: u16,
    path_at: u16,
}

/// A plain URL in parts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plain<'a> {
    pub(super) secure: bool,
    /// In lower case.
    pub(super) host: Cow<'a, str>,
    pub(super) is_loopback: bool,
    pub(super) port: u16,
    path: &'a str,
}

impl PlainUrl {
    /// Reads `url`, or nothing where two parsers could disagree about it (AUTHENTICATION 3.3 rules 1, 3, 4).
    pub(super) fn read(url: &str) -> Option<Self> {
        if url.len() > MAX_URL_BYTES || !is_plain_text(url) {
            return None;
        }
        let begins_with = |scheme: &str| {
            url.get(..scheme.len())
                .is_some_and(|begin| begin.eq_ignore_ascii_case(scheme))
        };
        let (secure, host_at, default_port) = if begins_with("https://") {
            (true, "https://".len(), 443)
        } else if begins_with("http://") {
            (false, "http://".len(), 80)
        } else {
            return None;
        };
        let rest = url.get(host_at..)?;
        let authority_length = rest.bytes().position(|byte| byte == b'/');
        let (authority, path) = rest.split_at_checked(authority_length.unwrap_or(rest.len()))?;
        if is_odd(path) {
            return None;
        }
        let host_is_usual = is_usual_name(authority);
        let (host, port, is_loopback, has_capitals) = if host_is_usual {
            (authority, default_port, false, false)
        } else {
            let (host, port) = host_and_port(authority, default_port)?;
            let lower = host.to_ascii_lowercase();
            let is_loopback = is_loopback(&lower);
            if !is_loopback && !is_name(&lower) {
                return None;
            }
            (host, port, is_loopback, lower != host)
        };
        Some(Self {
            secure,
            is_loopback,
            has_capitals,
            host_is_usual,
            port,
            host_at: u16::try_from(host_at).ok()?,
            host_end: u16::try_from(host_at.checked_add(host.len())?).ok()?,
            path_at: u16::try_from(host_at.checked_add(authority.len())?).ok()?,
        })
    }

    /// Its parts. `url` is the text that it was read from.
    pub(super) fn of(self, url: &str) -> Plain<'_> {
        let host = url.get(usize::from(self.host_at)..usize::from(self.host_end));
        let host = host.unwrap_or_default();
        Plain {
            secure: self.secure,
            host: if self.has_capitals {
                Cow::Owned(host.to_ascii_lowercase())
            } else {
                Cow::Borrowed(host)
            },
            is_loopback: self.is_loopback,
            port: self.port,
            path: url.get(usize::from(self.path_at)..).unwrap_or_default(),
        }
    }

    /// The host, where the `url` crate would read the very same text: it writes addresses its own way, lowers capitals, and refuses
    /// some names with `--` (punycode that means nothing).
    pub(super) fn usual_host(self, url: &str) -> Option<&str> {
        let host = url.get(usize::from(self.host_at)..usize::from(self.host_end))?;
        self.host_is_usual.then_some(host)
    }
}

impl<'a> Plain<'a> {
    /// Reads `url`, as [`PlainUrl::read`] does.
    pub(super) fn read(url: &'a str) -> Option<Self> {
        Some(PlainUrl::read(url)?.of(url))
    }

    /// Same scheme, host, port, and path up to one trailing slash; the path's case counts.
    pub(super) fn is_same_place(&self, other: &Self) -> bool {
        let path = |path: &'a str| path.strip_suffix('/').unwrap_or(path);
        self.secure == other.secure
            && self.host == other.host
            && self.port == other.port
            && path(self.path) == path(other.path)
    }

    /// The last path segment that is not empty, where it has so many bytes.
    pub(super) fn last_segment(&self, length: usize) -> Option<&'a str> {
        let path = self.path.strip_suffix('/').unwrap_or(self.path);
        let at = path.len().checked_sub(length)?;
        let (before, segment) = path.split_at_checked(at)?;
        (before.ends_with('/') && !segment.contains('/')).then_some(segment)
    }
}

/// Host and port of an authority.
fn host_and_port(authority: &str, default_port: u16) -> Option<(&str, u16)> {
    if authority.ends_with(']') {
        return Some((authority, default_port));
    }
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => {
            Some((host, port.parse().ok()?))
        }
        Some(_) => None,
        None => Some((authority, default_port)),
    }
}

/// Whether this is a name as names mostly are, seen in one pass: lower case, no `--`, and neither this machine nor an address.
/// What it says no to may still be one.
fn is_usual_name(host: &str) -> bool {
    let bytes = host.as_bytes();
    let is_label = |begin: usize, end: usize| {
        let length = end.wrapping_sub(begin);
        (1..=63).contains(&length) && bytes.get(end.wrapping_sub(1)) != Some(&b'-')
    };
    let mut label = 0_usize;
    for (at, byte) in host.bytes().enumerate() {
        let is_fine = match byte {
            b'a'..=b'z' | b'0'..=b'9' => true,
            b'-' => at > label && bytes.get(at.wrapping_sub(1)) != Some(&b'-'),
            b'.' => is_label(std::mem::replace(&mut label, at.wrapping_add(1)), at),
            _ => false,
        };
        if !is_fine {
            return false;
        }
    }
    // An address ends in a number, and so its last label begins with a digit.
    let is_no_address = bytes.get(label).is_some_and(u8::is_ascii_lowercase);
    is_no_address && is_label(label, host.len()) && host.len() <= 253 && host != "localhost"
}

/// Whether every character is visible ASCII and none of those that parsers part at or repair.
fn is_plain_text(url: &str) -> bool {
    // Without a way out of the loop the compiler looks at many bytes at once.
    url.bytes().fold(true, |plain, b| {
        plain & b.is_ascii_graphic() & (b != b'\\') & (b != b'?') & (b != b'#') & (b != b'@')
    })
}

/// Whether the path is one that some reader resolves to another.
fn is_odd(path: &str) -> bool {
    let bytes = path.as_bytes();
    let next = bytes.get(1..).unwrap_or_default();
    let is_worth_a_look = bytes.iter().zip(next).fold(false, |odd, (one, other)| {
        odd | (*one == b'%') | ((*one == b'/') & ((*other == b'/') | (*other == b'.')))
    });
    is_worth_a_look && {
        let lower = path.to_ascii_lowercase();
        ["//", "%2e", "%2f", "%5c"]
            .iter()
            .any(|odd| lower.contains(odd))
            || path.split('/').any(|segment| matches!(segment, "." | ".."))
    }
}

/// Whether a URL's host is the very machine that asks: what is said to it by plain http, nobody else hears.
pub fn is_on_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// A host that is this very machine.
pub(super) fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host == "[::1]"
        // No address begins with anything but a digit.
        || host.starts_with(|first: char| first.is_ascii_digit())
            && host
                .parse::<std::net::Ipv4Addr>()
                .is_ok_and(|ip| ip.is_loopback())
}

/// A DNS name in lower case, or a loopback address.
pub(super) fn is_host(name: &str) -> bool {
    is_loopback(name) || is_name(name)
}

/// A DNS name in lower case that no reader takes for an address.
fn is_name(name: &str) -> bool {
    let label = |l: &[u8]| {
        !l.is_empty()
            && l.len() <= 63
            && l.iter()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
            && l.first() != Some(&b'-')
            && l.last() != Some(&b'-')
    };
    name.len() <= 253 && name.as_bytes().split(|byte| *byte == b'.').all(label) && !is_address(name)
}

/// Whether some reader takes the name for an IPv4 address, in any of its spellings (`127.1`, `0x7f.1`, `2130706433`).
fn is_address(name: &str) -> bool {
    let last = name.as_bytes().rsplit(|byte| *byte == b'.').next();
    last.is_some_and(|last| {
        last.iter().all(u8::is_ascii_digit)
            || last
                .strip_prefix(b"0x")
                .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

#[cfg(test)]
mod tests;
