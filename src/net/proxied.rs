//! Takes the PROXY protocol header off a connection, and nothing behind it.

use super::proxy_header::{self, Flaw, Progress};
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Why a connection of a proxy is not served.
#[derive(Debug)]
pub(super) enum Unmet {
    /// It ended without a byte, as probes of load balancers do.
    Left,
    /// What came is no header.
    Flawed(Flaw),
    /// It ended, or failed, within the header.
    Broken(io::Error),
}

/// The client of a connection that this proxy opened: whom the header names, or else the proxy.
pub(super) async fn client_of<S: AsyncRead + Unpin>(
    stream: &mut S,
    proxy: SocketAddr,
) -> Result<SocketAddr, Unmet> {
    let mut header = Vec::new();
    loop {
        let more = match proxy_header::read(&header).map_err(Unmet::Flawed)? {
            Progress::Done { client, .. } => return Ok(client.unwrap_or(proxy)),
            Progress::More(more) => more,
        };
        let there = header.len();
        // As it comes: what is no header is to be known as that before all that a header would have is there.
        let more = u64::try_from(more).unwrap_or(u64::MAX);
        match (&mut *stream).take(more).read_buf(&mut header).await {
            Ok(0) if there == 0 => return Err(Unmet::Left),
            Ok(0) => return Err(Unmet::Broken(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => {}
            Err(error) if there == 0 && error.kind() == io::ErrorKind::ConnectionReset => {
                return Err(Unmet::Left);
            }
            Err(error) => return Err(Unmet::Broken(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt as _;

    const PROXY: &str = "10.0.0.9:4000";

    async fn outcome(sent: &[u8], then_ends: bool) -> (Result<SocketAddr, Unmet>, Vec<u8>) {
        let (mut ours, mut theirs) = tokio::io::duplex(8192);
        theirs.write_all(sent).await.unwrap();
        let _open = if then_ends {
            drop(theirs);
            None
        } else {
            Some(theirs)
        };
        let client = client_of(&mut ours, PROXY.parse().unwrap()).await;
        drop(_open);
        let mut rest = vec![];
        ours.read_to_end(&mut rest).await.unwrap();
        (client, rest)
    }

    #[tokio::test]
    async fn what_follows_the_header_is_left_for_the_client_to_be_served() {
        for (header, client) in [
            (
                &b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n"[..],
                "192.0.2.1:56324",
            ),
            (b"PROXY UNKNOWN\r\n", PROXY),
            (b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x03abc", PROXY),
        ] {
            let sent = [header, b"\x16\x03\x01 hello"].concat();
            let (found, rest) = outcome(&sent, false).await;
            assert_eq!(found.unwrap(), client.parse().unwrap());
            assert_eq!(rest, b"\x16\x03\x01 hello");
        }
    }

    #[tokio::test]
    async fn who_says_nothing_is_no_attacker_and_who_stops_halfway_is_told_of() {
        assert!(matches!(outcome(b"", true).await.0, Err(Unmet::Left)));
        let cut = outcome(b"PROXY TCP4 192.0", true).await.0;
        assert!(matches!(cut, Err(Unmet::Broken(_))), "{cut:?}");
        // Not waited for: five bytes say enough.
        let tls = outcome(b"\x16\x03\x01\x00\x05", false).await.0;
        assert!(matches!(tls, Err(Unmet::Flawed(Flaw::Missing))), "{tls:?}");
    }
}
