//! A client of the gateway that speaks real TLS and trusts one certificate only.

use bytes::Bytes;
use http::{Request, Response, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, DEFAULT_VERSIONS, RootCertStore, SupportedProtocolVersion};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::task::AbortOnDropHandle;

/// The name the client asks for and verifies.
pub const SERVER_NAME: &str = "localhost";

/// The HTTP version to agree on by ALPN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2.
    Http2,
}

impl Protocol {
    const fn alpn(self) -> &'static [u8] {
        match self {
            Self::Http1 => b"http/1.1",
            Self::Http2 => b"h2",
        }
    }
}

/// A client of one gateway.
#[derive(Clone, Debug)]
pub struct Client {
    address: SocketAddr,
    roots: Arc<RootCertStore>,
    tls: ClientConfig,
}

impl Client {
    /// A client that trusts what a PEM file holds: an authority, or the server's own certificate.
    ///
    /// # Errors
    /// When the file holds no certificate that can be trusted.
    pub fn trusting(certificates: &Path, address: SocketAddr) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(certificates).map_err(io::Error::other)? {
            roots
                .add(certificate.map_err(io::Error::other)?)
                .map_err(io::Error::other)?;
        }
        let roots = Arc::new(roots);
        let tls = tls_settings(&roots, DEFAULT_VERSIONS)?;
        Ok(Self {
            address,
            roots,
            tls,
        })
    }

    /// The same client, speaking only one version of TLS.
    ///
    /// # Errors
    /// When that version cannot be spoken.
    pub fn speaking_only(&self, version: &'static SupportedProtocolVersion) -> io::Result<Self> {
        let tls = tls_settings(&self.roots, &[version])?;
        Ok(Self {
            tls,
            ..self.clone()
        })
    }

    /// Where it connects to.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its TLS settings, to be changed. ALPN is set by each connection.
    pub const fn tls_mut(&mut self) -> &mut ClientConfig {
        &mut self.tls
    }

    /// Opens a TLS connection and says nothing on it yet.
    ///
    /// # Errors
    /// When the connection is refused or the handshake fails.
    pub async fn handshake(&self, protocol: Protocol) -> io::Result<TlsStream<TcpStream>> {
        let mut tls = self.tls.clone();
        tls.alpn_protocols = vec![protocol.alpn().to_vec()];
        let name = ServerName::try_from(SERVER_NAME).map_err(io::Error::other)?;
        let stream = TcpStream::connect(self.address).await?;
        // Small requests, and a test that waits for each answer: Nagle would only add delay.
        stream.set_nodelay(true)?;
        TlsConnector::from(Arc::new(tls))
            .connect(name, stream)
            .await
    }

    /// Opens a connection for requests.
    ///
    /// # Errors
    /// When the connection is refused, the handshake fails, or the server does not agree on the protocol.
    pub async fn connect(&self, protocol: Protocol) -> io::Result<Connection> {
        let stream = self.handshake(protocol).await?;
        if stream.get_ref().1.alpn_protocol() != Some(protocol.alpn()) {
            return Err(io::Error::other("the server did not agree on the protocol"));
        }
        let stream = TokioIo::new(stream);
        Ok(match protocol {
            Protocol::Http1 => {
                let (sender, driver) = http1::handshake(stream).await.map_err(io::Error::other)?;
                let driver =
                    AbortOnDropHandle::new(tokio::spawn(async move { drop(driver.await) }));
                Connection {
                    sender: Sender::Http1(sender),
                    _driver: driver,
                }
            }
            Protocol::Http2 => {
                let handshake = http2::handshake(TokioExecutor::new(), stream);
                let (sender, driver) = handshake.await.map_err(io::Error::other)?;
                let driver =
                    AbortOnDropHandle::new(tokio::spawn(async move { drop(driver.await) }));
                Connection {
                    sender: Sender::Http2(sender),
                    _driver: driver,
                }
            }
        })
    }

    /// Sends one request on a connection of its own and reads the whole answer.
    ///
    /// # Errors
    /// As [`connect`](Self::connect), and when no whole answer comes.
    pub async fn send(
        &self,
        protocol: Protocol,
        request: Request<Bytes>,
    ) -> io::Result<Response<Bytes>> {
        let mut connection = self.connect(protocol).await?;
        let (head, body) = connection.send(request).await?.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        Ok(Response::from_parts(head, body))
    }
}

fn tls_settings(
    roots: &Arc<RootCertStore>,
    versions: &[&'static SupportedProtocolVersion],
) -> io::Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .map_err(io::Error::other)?
        .with_root_certificates(Arc::clone(roots))
        .with_no_client_auth())
}

/// An open connection. Dropping it closes it.
#[derive(Debug)]
pub struct Connection {
    sender: Sender,
    _driver: AbortOnDropHandle<()>,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Connection {
    /// Sends a request whose target is a path and which has a `Host` header, in the form the protocol wants; the body
    /// of the answer is still to be read.
    ///
    /// # Errors
    /// When the connection ends before the head of an answer arrives.
    pub async fn send(&mut self, request: Request<Bytes>) -> io::Result<Response<Incoming>> {
        let mut request = request.map(Full::new);
        match &mut self.sender {
            Sender::Http1(sender) => {
                sender.ready().await.map_err(io::Error::other)?;
                sender.send_request(request).await.map_err(io::Error::other)
            }
            Sender::Http2(sender) => {
                let host = request.headers_mut().remove(header::HOST);
                let authority = host
                    .as_ref()
                    .and_then(|host| host.to_str().ok())
                    .unwrap_or(SERVER_NAME);
                let path = request
                    .uri()
                    .path_and_query()
                    .map_or("/", |path| path.as_str());
                let uri = Uri::builder()
                    .scheme("https")
                    .authority(authority)
                    .path_and_query(path);
                *request.uri_mut() = uri.build().map_err(io::Error::other)?;
                sender.ready().await.map_err(io::Error::other)?;
                sender.send_request(request).await.map_err(io::Error::other)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::service::service_fn;
    use hyper_util::server::conn::auto;
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    /// A TLS server with a certificate of its own that answers with the method, host and version of each request.
    async fn server(folder: &Path) -> (SocketAddr, AbortOnDropHandle<()>) {
        let signed = rcgen::generate_simple_self_signed([SERVER_NAME.to_owned()]).unwrap();
        std::fs::write(folder.join("server.pem"), signed.cert.pem()).unwrap();
        let key =
            rustls::pki_types::PrivateKeyDer::try_from(signed.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![signed.cert.der().clone()], key)
            .unwrap();
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(stream) = acceptor.accept(stream).await else {
                    continue;
                };
                let service = service_fn(async |request: Request<Incoming>| {
                    let host = request
                        .headers()
                        .get(header::HOST)
                        .map(|host| host.to_str().unwrap().to_owned());
                    let host = host.or_else(|| request.uri().authority().map(ToString::to_string));
                    let said = format!(
                        "{} {} {:?}",
                        request.method(),
                        host.unwrap(),
                        request.version()
                    );
                    Ok::<_, io::Error>(Response::new(Full::new(Bytes::from(said))))
                });
                let _served = auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            }
        });
        (address, AbortOnDropHandle::new(task))
    }

    #[tokio::test]
    async fn it_speaks_both_protocols_over_tls_and_trusts_one_certificate_only() {
        let folder = tempfile::tempdir().unwrap();
        let (address, _server) = server(folder.path()).await;
        let client = Client::trusting(&folder.path().join("server.pem"), address).unwrap();
        for (protocol, said) in [
            (Protocol::Http1, "POST bot.example HTTP/1.1"),
            (Protocol::Http2, "POST bot.example HTTP/2.0"),
        ] {
            let request = Request::post("/api/messages")
                .header(header::HOST, "bot.example")
                .body(Bytes::new());
            let answer = client.send(protocol, request.unwrap()).await.unwrap();
            assert_eq!(answer.body(), said);
        }
        let tls12 = client.speaking_only(&rustls::version::TLS12).unwrap();
        let stream = tls12.handshake(Protocol::Http2).await.unwrap();
        assert_eq!(
            stream.get_ref().1.protocol_version(),
            Some(rustls::ProtocolVersion::TLSv1_2)
        );
        let other = rcgen::generate_simple_self_signed([SERVER_NAME.to_owned()]).unwrap();
        std::fs::write(folder.path().join("other.pem"), other.cert.pem()).unwrap();
        let stranger = Client::trusting(&folder.path().join("other.pem"), address).unwrap();
        assert!(stranger.handshake(Protocol::Http1).await.is_err());
    }
}
