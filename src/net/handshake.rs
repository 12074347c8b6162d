//! How a TLS connection begins: who chooses the certificate, and what ends with the handshake.

use rustls::ServerConfig;
use rustls::server::{Acceptor, ClientHello};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

/// The protocol by which a certificate authority looks for its proof, and nothing else (RFC 8737 section 4).
pub const ACME_TLS: &[u8] = b"acme-tls/1";

/// Who knows the certificates. Asked for every connection anew, so that they can be replaced while others go on.
pub trait Handshakes: Send + Sync + std::fmt::Debug + 'static {
    /// How TLS is spoken with a client that greets like this.
    fn choose(&self, hello: &ClientHello<'_>) -> Arc<ServerConfig>;

    /// Hears of a handshake that failed.
    fn failed(&self, client: SocketAddr, error: &io::Error);
}

/// The handshake of one connection.
///
/// # Errors
/// What the client sent cannot be agreed with, or took longer than `within`.
pub(super) async fn accept(
    stream: TcpStream,
    handshakes: &dyn Handshakes,
    within: Duration,
) -> io::Result<Box<TlsStream<TcpStream>>> {
    // Boxed, as what follows is: a connection is to keep no room for what it is done with, or does not do yet.
    let handshake = Box::pin(async {
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let config = handshakes.choose(&start.client_hello());
        start.into_stream(config).await.map(Box::new)
    });
    let timed_out = |_| io::Error::new(io::ErrorKind::TimedOut, "handshake timed out");
    tokio::time::timeout(within, handshake)
        .await
        .map_err(timed_out)?
}
