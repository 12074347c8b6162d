//! The header of the PROXY protocol, versions 1 and 2, with which a proxy begins a connection to say whose it is. Pure.
//!
//! From <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>. What follows the header is the client's and must not be
//! read with it, so that this says after each piece how many bytes of the header there are at least still to come.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What the bytes so far are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The beginning of a header, of which at least so many bytes are missing.
    More(usize),
    /// A header, and perhaps more.
    Done {
        /// The client's address; nothing where the proxy speaks for itself, or does not know.
        client: Option<SocketAddr>,
        /// How many bytes the header has.
        length: usize,
    },
}

/// Why bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// They begin like none.
    Missing,
    /// They begin like one.
    Malformed,
    /// It is, or says that it is, longer than headers may be.
    TooLong,
}

impl Flaw {
    /// In a word fit for a metric label.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Missing => "proxy_header_missing",
            Self::Malformed => "proxy_header_malformed",
            Self::TooLong => "proxy_header_too_long",
        }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the connection does not begin with a PROXY protocol header",
            Self::Malformed => "the PROXY protocol header is malformed",
            Self::TooLong => "the PROXY protocol header is too long",
        })
    }
}

/// The longest header of version 1 (section 2.1).
pub const MAX_V1: usize = 107;
/// The longest header of version 2 that is taken. Addresses are 36 bytes; what proxies add (ids of private endpoints, names out of
/// TLS) has a few hundred; nginx takes as many.
pub const MAX_V2: usize = 4096;

const BEGINNING_OF_V1: &[u8] = b"PROXY ";
const SIGNATURE_OF_V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// `PROXY UNKNOWN` and the end of its line. A header of version 2 is longer.
const SHORTEST: usize = 15;
/// Signature, command, family, length.
const FIXED_OF_V2: usize = 16;

/// Reads what there is of a header.
///
/// # Errors
/// See [`Flaw`]. Bytes that were found flawed stay so, whatever follows them.
pub fn read(bytes: &[u8]) -> Result<Progress, Flaw> {
    let begins_like = |header: &[u8]| {
        let both = bytes.iter().zip(header);
        both.clone().count() > 0 && both.clone().all(|(is, wanted)| is == wanted)
    };
    if bytes.is_empty() {
        Ok(Progress::More(SHORTEST))
    } else if begins_like(SIGNATURE_OF_V2) {
        read_v2(bytes)
    } else if begins_like(BEGINNING_OF_V1) {
        read_v1(bytes)
    } else {
        Err(Flaw::Missing)
    }
}

fn read_v1(bytes: &[u8]) -> Result<Progress, Flaw> {
    const END: &[u8] = b"\r\n";
    let line = bytes.get(..MAX_V1).unwrap_or(bytes);
    let Some(end) = line.windows(END.len()).position(|pair| pair == END) else {
        if line.len() == MAX_V1 {
            return Err(Flaw::TooLong);
        }
        let has_cr = line.last() == Some(&b'\r');
        let to_the_end = if has_cr { 1 } else { END.len() };
        let to_the_shortest = SHORTEST.saturating_sub(line.len());
        return Ok(Progress::More(to_the_end.max(to_the_shortest)));
    };
    let text = line.get(BEGINNING_OF_V1.len()..end);
    let text = text.and_then(|text| std::str::from_utf8(text).ok());
    let text = text.ok_or(Flaw::Malformed)?;
    let length = end.saturating_add(END.len());
    // What stands behind UNKNOWN is to be ignored.
    if text == "UNKNOWN" || text.starts_with("UNKNOWN ") {
        let client = None;
        return Ok(Progress::Done { client, length });
    }
    let client = Some(client_of_v1(text).ok_or(Flaw::Malformed)?);
    Ok(Progress::Done { client, length })
}

/// `TCP4 192.0.2.1 192.0.2.2 56324 443`.
fn client_of_v1(text: &str) -> Option<SocketAddr> {
    let mut fields = text.split(' ');
    let mut next = || fields.next();
    let (family, client, server) = (next()?, next()?, next()?);
    let (client_port, server_port) = (port(next()?)?, port(next()?)?);
    let (client, server): (IpAddr, IpAddr) = (client.parse().ok()?, server.parse().ok()?);
    let is_of_family = match family {
        "TCP4" => client.is_ipv4() && server.is_ipv4(),
        "TCP6" => client.is_ipv6() && server.is_ipv6(),
        _ => false,
    };
    let _ = server_port;
    (is_of_family && next().is_none()).then(|| SocketAddr::new(client, client_port))
}

/// Decimal, and written in one way.
fn port(text: &str) -> Option<u16> {
    let is_canonical =
        text == "0" || (!text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit()));
    is_canonical.then(|| text.parse().ok()).flatten()
}

fn read_v2(bytes: &[u8]) -> Result<Progress, Flaw> {
    let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED_OF_V2>() else {
        if bytes
            .get(SIGNATURE_OF_V2.len())
            .is_some_and(|byte| command(*byte).is_none())
        {
            return Err(Flaw::Malformed);
        }
        let missing = FIXED_OF_V2.saturating_sub(bytes.len());
        return Ok(Progress::More(missing));
    };
    let [.., command_byte, family, high, low] = *fixed;
    let command = command(command_byte).ok_or(Flaw::Malformed)?;
    let announced = usize::from(u16::from_be_bytes([high, low]));
    let length = FIXED_OF_V2.saturating_add(announced);
    if length > MAX_V2 {
        return Err(Flaw::TooLong);
    }
    let Some(block) = rest.get(..announced) else {
        return Ok(Progress::More(length.saturating_sub(bytes.len())));
    };
    let client = match command {
        // A health check of the proxy's own; what else stands there is to be ignored.
        Command::Local => None,
        Command::Proxy => client_of_v2(family, block)?,
    };
    Ok(Progress::Done { client, length })
}

#[derive(Clone, Copy)]
enum Command {
    Local,
    Proxy,
}

fn command(byte: u8) -> Option<Command> {
    match byte {
        0x20 => Some(Command::Local),
        0x21 => Some(Command::Proxy),
        _ => None,
    }
}

/// Address and port of the client, for TCP over IPv4 and IPv6. What follows the addresses (TLVs) is not for us.
fn client_of_v2(family: u8, block: &[u8]) -> Result<Option<SocketAddr>, Flaw> {
    match family {
        // Unspecified, and Unix sockets: no address.
        0x00 | 0x31 => Ok(None),
        0x11 => match *block {
            [a, b, c, d, _, _, _, _, high, low, _, _, ..] => {
                let port = u16::from_be_bytes([high, low]);
                Ok(Some((Ipv4Addr::new(a, b, c, d), port).into()))
            }
            _ => Err(Flaw::Malformed),
        },
        0x21 => {
            let (client, rest) = block.split_first_chunk::<16>().ok_or(Flaw::Malformed)?;
            let (_server, rest) = rest.split_first_chunk::<16>().ok_or(Flaw::Malformed)?;
            match *rest {
                [high, low, _, _, ..] => {
                    let port = u16::from_be_bytes([high, low]);
                    Ok(Some((Ipv6Addr::from(*client), port).into()))
                }
                _ => Err(Flaw::Malformed),
            }
        }
        // Datagrams do not come over a TCP connection; the rest means nothing.
        _ => Err(Flaw::Malformed),
    }
}

#[cfg(test)]
mod tests;
