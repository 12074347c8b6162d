//! The beginning of a connection, and whose it says that the connection is.

use botgate::net::proxy_header::{Flaw, MAX_V1, MAX_V2, Progress, read};
use std::net::{IpAddr, SocketAddr};

pub fn check(input: &[u8]) -> bool {
    let input = &input[..input.len().min(MAX_V2 + 16)];
    let whole = read(input);
    let mut needed = 0;
    for there in 0..=input.len() {
        match read(&input[..there]) {
            Ok(Progress::More(more)) => {
                assert!(there < MAX_V2 && more > 0);
                needed = needed.max(there + more);
            }
            // What is known stays so, whatever follows.
            known => assert_eq!(known, whole, "with {there} bytes"),
        }
    }
    match whole {
        Ok(Progress::Done { client, length }) => {
            // Nothing was asked for that is the client's.
            assert!(needed <= length && length <= input.len());
            let header = &input[..length];
            assert_eq!(client, plainly(header));
            true
        }
        Ok(Progress::More(_)) => false,
        Err(Flaw::TooLong) => {
            assert!(needed <= MAX_V2);
            false
        }
        Err(Flaw::Missing | Flaw::Malformed) => false,
    }
}

/// Whom a whole header names, read in the plainest way.
fn plainly(header: &[u8]) -> Option<SocketAddr> {
    if header[0] == b'P' {
        assert!(header.len() <= MAX_V1 && header.ends_with(b"\r\n"));
        let text = std::str::from_utf8(header).expect("text");
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        if words[1] == "UNKNOWN" {
            return None;
        }
        // Written anew, it is the same header: there was one way to read it.
        let addresses: Vec<IpAddr> = words[2..4]
            .iter()
            .map(|word| word.parse().expect("an address"))
            .collect();
        let ports: Vec<u16> = words[4..]
            .iter()
            .map(|word| word.parse().expect("a port"))
            .collect();
        let family = if addresses[0].is_ipv4() {
            "TCP4"
        } else {
            "TCP6"
        };
        let [client_word, server_word] = [words[2], words[3]];
        let again = format!(
            "PROXY {family} {client_word} {server_word} {} {}\r\n",
            ports[0], ports[1]
        );
        assert_eq!(again, text);
        assert_eq!(addresses[0].is_ipv4(), addresses[1].is_ipv4());
        return Some(SocketAddr::new(addresses[0], ports[0]));
    }
    let announced = usize::from(header[14]) * 256 + usize::from(header[15]);
    assert_eq!(header.len(), 16 + announced);
    let port = |at: usize| u16::from(header[at]) * 256 + u16::from(header[at + 1]);
    match (header[12], header[13]) {
        (0x21, 0x11) => {
            let ip: [u8; 4] = header[16..20].try_into().expect("four bytes");
            Some(SocketAddr::new(IpAddr::from(ip), port(24)))
        }
        (0x21, 0x21) => {
            let ip: [u8; 16] = header[16..32].try_into().expect("sixteen bytes");
            Some(SocketAddr::new(IpAddr::from(ip), port(48)))
        }
        (0x20, _) | (0x21, 0x00 | 0x31) => None,
        other => panic!("accepted {other:x?}"),
    }
}
