//! Connects to one server of a bot: DNS and TCP or a Unix socket, then TLS, all within one deadline. Over TLS the bot chooses between
//! HTTP/2 and HTTP/1.1; all else is HTTP/1.1.

use super::client::{ClientProblem, TlsTrust, tcp, tls_config};
use super::line::{Line, Stream};
use super::socket::Socket;
use crate::config::{Backend, BackendTls, Endpoint};
use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tower_service::Service;

/// Connects to one server of a bot, whatever host it is asked for.
#[derive(Clone, Debug)]
pub struct Dialer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    to: To,
    tls: Option<Tls>,
    within: Duration,
}

#[derive(Debug)]
enum To {
    Tcp(HttpConnector, Uri),
    Unix(PathBuf),
}

/// A connection, by what is spoken on it.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "the large one is the usual one, and is not boxed for the sake of the other"
)]
pub enum Dialed {
    /// HTTP/1.1, whose answers are read strictly.
    Http1(Line),
    /// HTTP/2.
    Http2(Box<dyn Stream>),
}

/// For hyper's client, which asks about health.
impl Connection for Dialed {
    fn connected(&self) -> Connected {
        match self {
            Self::Http1(line) => line.connected(),
            Self::Http2(_) => Connected::new().negotiated_h2(),
        }
    }
}

impl AsyncRead for Dialed {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Http1(line) => Pin::new(line).poll_read(cx, buffer),
            Self::Http2(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Dialed {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Http1(line) => Pin::new(line).poll_write(cx, bytes),
            Self::Http2(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Http1(line) => Pin::new(line).poll_flush(cx),
            Self::Http2(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Http1(line) => Pin::new(line).poll_shutdown(cx),
            Self::Http2(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Dialer {
    /// One for each server of a bot, in their order. Connects to nothing yet.
    ///
    /// # Errors
    /// When the TLS settings cannot be used.
    pub fn for_each(backend: &Backend) -> Result<Vec<Self>, ClientProblem> {
        let is_https = |endpoint: &Endpoint| endpoint.url.scheme() == "https";
        let config = if backend.endpoints.iter().any(is_https) {
            Some(Arc::new(client_config(&backend.tls)?))
        } else {
            None
        };
        let dialer = |endpoint: &Endpoint| {
            let config = config.as_ref().filter(|_| is_https(endpoint));
            Self::new(endpoint, backend, config)
        };
        backend.endpoints.iter().map(dialer).collect()
    }

    /// Whether the server may choose HTTP/2.
    pub fn may_speak_http2(&self) -> bool {
        self.0.tls.is_some()
    }

    fn new(
        endpoint: &Endpoint,
        backend: &Backend,
        config: Option<&Arc<ClientConfig>>,
    ) -> Result<Self, ClientProblem> {
        let to = match &endpoint.socket {
            Some(socket) => To::Unix(socket.clone()),
            None => {
                let uri = endpoint.url.as_str().parse();
                let uri = uri.map_err(|e| ClientProblem(format!("{}: {e}", endpoint.name)))?;
                To::Tcp(tcp(backend.connect_timeout), uri)
            }
        };
        let tls = match config {
            None => None,
            Some(config) => {
                let host = endpoint.url.host_str().unwrap_or_default();
                // An IPv6 address stands in brackets in a URL, and without them in a certificate.
                let host = host.trim_start_matches('[').trim_end_matches(']');
                let name = backend.tls.server_name.as_deref().unwrap_or(host);
                let name = ServerName::try_from(name.to_owned())
                    .map_err(|_| ClientProblem(format!("{name:?} is not a server name")))?;
                let config = Arc::clone(config);
                Some(Tls { config, name })
            }
        };
        Ok(Self(Arc::new(Inner {
            to,
            tls,
            within: backend.connect_timeout,
        })))
    }
}

/// Its name in ALPN.
const HTTP2: &[u8] = b"h2";

fn client_config(tls: &BackendTls) -> Result<ClientConfig, ClientProblem> {
    let identity = tls.client_identity.as_ref();
    let mut config = tls_config(&TlsTrust {
        only_ca: tls.ca.as_deref(),
        identity: identity.map(|(chain, key)| (chain.as_slice(), key.expose().as_slice())),
        ..TlsTrust::default()
    })?;
    config.alpn_protocols = vec![HTTP2.to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

impl Service<Uri> for Dialer {
    type Response = TokioIo<Dialed>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            match tokio::time::timeout(inner.within, inner.dial()).await {
                Ok(line) => Ok(TokioIo::new(line?)),
                Err(_) => Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("no connection within {:?}", inner.within),
                )),
            }
        })
    }
}

impl Inner {
    async fn dial(&self) -> io::Result<Dialed> {
        match &self.to {
            To::Unix(socket) => {
                let stream = UnixStream::connect(socket).await;
                let stream = stream.map_err(|error| explained("Unix socket", &error))?;
                Ok(Dialed::Http1(Line::new(Socket::new(stream))))
            }
            To::Tcp(connector, uri) => {
                let stream = connector.clone().call(uri.clone()).await;
                let stream = stream.map_err(io::Error::other)?.into_inner();
                match &self.tls {
                    None => Ok(Dialed::Http1(Line::new(Socket::new(stream)))),
                    Some(tls) => tls.handshake(stream).await,
                }
            }
        }
    }
}

impl Tls {
    async fn handshake(&self, stream: TcpStream) -> io::Result<Dialed> {
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let stream = connector
            .connect(self.name.clone(), Socket::new(stream))
            .await
            .map_err(|error| explained("TLS", &error))?;
        Ok(match stream.get_ref().1.alpn_protocol() {
            Some(HTTP2) => Dialed::Http2(Box::new(stream)),
            _ => Dialed::Http1(Line::new(stream)),
        })
    }
}

fn explained(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}
