//! Whose a request is, by what the proxies before the gateway wrote: `X-Forwarded-For` and `Forwarded` (RFC 7239). Pure.
//!
//! Both grow to the right, and only what trusted proxies wrote is believed: the walk goes from the right, from one trusted address to
//! the next, and ends at the first that is none. What a client wrote stands further left, and cannot hide what was added.

use super::is_trusted;
use http::HeaderMap;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Where a walk along one header ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// At an address that is no trusted proxy.
    Client(IpAddr),
    /// At the beginning: this trusted proxy is the farthest.
    Proxy(IpAddr),
    /// At something that is no address, which this trusted proxy passed on.
    Obscure(IpAddr),
}

/// The client's address: the neighbour's, or, behind trusted proxies, the right-most address they named that is none of them.
///
/// A proxy that writes one of the two headers passes the other one on as the client wrote it. So where both are there, they have to
/// name the same client, or one of them nobody but trusted proxies; else the neighbour is all that is known.
pub fn client_ip(neighbour: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let neighbour = neighbour.to_canonical();
    if !is_trusted(neighbour, trusted) {
        return neighbour;
    }
    let along = |name: &str, nodes: fn(&[u8]) -> Vec<Option<IpAddr>>| {
        let lines = headers.get_all(name).iter().rev();
        let nodes = lines.flat_map(|line| nodes(line.as_bytes()));
        let is_there = headers.contains_key(name);
        is_there.then(|| walk(neighbour, nodes, trusted))
    };
    match (
        along("x-forwarded-for", x_forwarded_for),
        along("forwarded", forwarded),
    ) {
        (None, None) => neighbour,
        (Some(end), None) | (None, Some(end)) => end.address(),
        (Some(one), Some(other)) if one == other => one.address(),
        (Some(End::Client(client)), Some(End::Proxy(_)))
        | (Some(End::Proxy(_)), Some(End::Client(client))) => client,
        (Some(_), Some(_)) => neighbour,
    }
}

impl End {
    const fn address(self) -> IpAddr {
        match self {
            Self::Client(address) | Self::Proxy(address) | Self::Obscure(address) => address,
        }
    }
}

fn walk(from: IpAddr, nodes: impl Iterator<Item = Option<IpAddr>>, trusted: &[IpNet]) -> End {
    let mut at = from;
    for node in nodes {
        let Some(address) = node else {
            return End::Obscure(at);
        };
        at = address.to_canonical();
        if !is_trusted(at, trusted) {
            return End::Client(at);
        }
    }
    End::Proxy(at)
}

/// The addresses of one line, from the right; nothing for what is none.
fn x_forwarded_for(line: &[u8]) -> Vec<Option<IpAddr>> {
    let entries = line.rsplit(|byte| *byte == b',');
    entries
        .map(|entry| {
            let entry = std::str::from_utf8(entry).ok()?.trim_matches([' ', '\t']);
            // Some proxies add the port.
            let with_port = || Some(entry.parse::<SocketAddr>().ok()?.ip());
            entry
                .parse()
                .ok()
                .or_else(|| in_brackets(entry))
                .or_else(with_port)
        })
        .collect()
}

fn in_brackets(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[')?.strip_suffix(']')?;
    Some(bare.parse::<Ipv6Addr>().ok()?.into())
}

/// As [`x_forwarded_for`], of `for=192.0.2.60;proto=https, for="[2001:db8::1]:4711"`.
fn forwarded(line: &[u8]) -> Vec<Option<IpAddr>> {
    // From the right, since a quotation mark that a client left open must not swallow what a proxy wrote behind it.
    let mut elements = Vec::new();
    let mut rest = line;
    loop {
        let comma = last_outside_quotes(rest, b',');
        let (before, element) = match comma {
            Some(comma) => (rest.get(..comma), rest.get(comma.saturating_add(1)..)),
            None => (None, Some(rest)),
        };
        elements.push(element.and_then(node_of));
        match before {
            Some(before) => rest = before,
            None => return elements,
        }
    }
}

/// The last such byte that does not stand in a quoted string, as seen from the right.
fn last_outside_quotes(text: &[u8], wanted: u8) -> Option<usize> {
    let mut is_quoted = false;
    for (position, byte) in text.iter().enumerate().rev() {
        let backslashes = || {
            let before = text.get(..position).unwrap_or_default();
            before.iter().rev().take_while(|b| **b == b'\\').count()
        };
        match byte {
            b'"' if !is_quoted => is_quoted = true,
            // Within a quoted string, an odd number of backslashes makes it a part of that.
            b'"' if backslashes() & 1 == 0 => is_quoted = false,
            byte if *byte == wanted && !is_quoted => return Some(position),
            _ => {}
        }
    }
    None
}

/// The address that one element is `for`.
fn node_of(element: &[u8]) -> Option<IpAddr> {
    let mut found = None;
    let mut rest = element;
    loop {
        let semicolon = last_outside_quotes(rest, b';');
        let pair = match semicolon {
            Some(semicolon) => rest.get(semicolon.saturating_add(1)..)?,
            None => rest,
        };
        let pair = std::str::from_utf8(pair).ok()?.trim_matches([' ', '\t']);
        let (name, value) = pair.split_once('=')?;
        if name.eq_ignore_ascii_case("for") {
            // Each parameter stands once (RFC 7239 4); of two, readers differ in which one counts.
            if found.is_some() {
                return None;
            }
            found = Some(node(&unquoted(value)?)?);
        }
        match semicolon {
            Some(semicolon) => rest = rest.get(..semicolon)?,
            None => return found,
        }
    }
}

/// The content of a quoted string (RFC 9110 5.6.4), or the text itself where no quotation mark stands in it.
fn unquoted(value: &str) -> Option<String> {
    if !value.contains('"') {
        return Some(value.to_owned());
    }
    let inner = value.strip_prefix('"')?.strip_suffix('"')?;
    let mut text = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => text.push(characters.next()?),
            '"' => return None,
            character => text.push(character),
        }
    }
    Some(text)
}

/// `192.0.2.43`, `[2001:db8::17]`, each perhaps with a port, which may be obfuscated (RFC 7239 6). `unknown` and `_hidden` are none.
fn node(text: &str) -> Option<IpAddr> {
    let (address, port) = match text.rfind(']') {
        Some(bracket) => text.split_at_checked(bracket.saturating_add(1))?,
        None => text.split_at_checked(text.find(':').unwrap_or(text.len()))?,
    };
    if !port.is_empty() {
        let port = port.strip_prefix(':')?;
        let is_obfuscated = port.strip_prefix('_').is_some_and(|rest| {
            let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
            !rest.is_empty() && rest.bytes().all(fits)
        });
        let is_number = port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok();
        if !(is_obfuscated || is_number) {
            return None;
        }
    }
    in_brackets(address).or_else(|| Some(address.parse::<std::net::Ipv4Addr>().ok()?.into()))
}

#[cfg(test)]
mod tests;
