//! Connections to the gateway from an address of one's choice, and tokens.

use super::ledger::{Client, Ledger};
use botgate::cli::demo::channel::{Channel, ISSUER, TEAMS_SERVICE_URL, now};
use botgate::cli::demo::client::SERVER_NAME;
use botgate::cli::demo::signing::SigningKey;
use botgate::cli::demo::token::TokenSpec;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(crate) const APP_ID: &str = "11111111-2222-4333-8444-555555555555";

pub(crate) struct Net {
    pub(crate) gateway: SocketAddr,
    pub(crate) tls: ClientConfig,
}

impl Net {
    /// A TCP connection from the client's own address.
    pub(crate) async fn tcp(&self, ledger: &Ledger, client: Client<'_>) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((client.address, 0).into())?;
        let stream = socket.connect(self.gateway).await?;
        ledger.connected();
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    pub(crate) async fn tls(
        &self,
        ledger: &Ledger,
        client: Client<'_>,
        alpn: &[u8],
    ) -> io::Result<TlsStream<TcpStream>> {
        let mut tls = self.tls.clone();
        tls.alpn_protocols = vec![alpn.to_vec()];
        let name = ServerName::try_from(SERVER_NAME).expect("a name");
        let stream = self.tcp(ledger, client).await?;
        TlsConnector::from(Arc::new(tls))
            .connect(name, stream)
            .await
    }

    pub(crate) async fn http1(
        &self,
        ledger: &Ledger,
        client: Client<'_>,
    ) -> io::Result<http1::SendRequest<Full<Bytes>>> {
        let stream = TokioIo::new(self.tls(ledger, client, b"http/1.1").await?);
        let (sender, driver) = http1::handshake(stream).await.map_err(io::Error::other)?;
        tokio::spawn(driver);
        Ok(sender)
    }

    pub(crate) async fn http2(
        &self,
        ledger: &Ledger,
        client: Client<'_>,
    ) -> io::Result<http2::SendRequest<Full<Bytes>>> {
        let stream = TokioIo::new(self.tls(ledger, client, b"h2").await?);
        let handshake = http2::handshake(TokioExecutor::new(), stream);
        let (sender, driver) = handshake.await.map_err(io::Error::other)?;
        tokio::spawn(driver);
        Ok(sender)
    }
}

/// The token that valid requests carry, and what it takes to make bad ones.
pub(crate) struct Tokens {
    /// Renewed whenever the key is.
    good: RwLock<(SigningKey, Arc<str>)>,
    /// Of a key that nobody publishes, under the name of the one that is.
    forger: SigningKey,
}

impl Tokens {
    pub(crate) fn new(channel: &Channel) -> Self {
        let key = channel.first_key().clone();
        let token = sign(&spec(&key, now()));
        Self {
            good: RwLock::new((key, token)),
            forger: SigningKey::generate("forger").expect("randomness"),
        }
    }

    pub(crate) fn sign_with(&self, key: &SigningKey) {
        let token = sign(&spec(key, now()));
        *self.good.write().unwrap_or_else(PoisonError::into_inner) = (key.clone(), token);
    }

    fn key(&self) -> SigningKey {
        let good = self.good.read().unwrap_or_else(PoisonError::into_inner);
        good.0.clone()
    }

    pub(crate) fn good(&self) -> Arc<str> {
        let good = self.good.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&good.1)
    }

    pub(crate) fn forged(&self) -> Arc<str> {
        let good = spec(&self.key(), now()).forged_by(&self.forger);
        sign(&good)
    }

    pub(crate) fn expired(&self) -> Arc<str> {
        sign(&spec(&self.key(), now() - 7200))
    }
}

fn spec(key: &SigningKey, from: u64) -> TokenSpec {
    TokenSpec::new(key, ISSUER, APP_ID, TEAMS_SERVICE_URL, from)
}

fn sign(spec: &TokenSpec) -> Arc<str> {
    spec.sign().expect("a key that signs").into()
}

pub(crate) const MESSAGE: &str = r#"{"type":"message","id":"1","channelId":"msteams","serviceUrl":"https://smba.trafficmanager.net/emea/","from":{"id":"29:soak"},"conversation":{"id":"a:soak"},"text":"hello"}"#;
pub(crate) const INVOKE: &str = r#"{"type":"invoke","name":"task/fetch","id":"1","channelId":"msteams","serviceUrl":"https://smba.trafficmanager.net/emea/","from":{"id":"29:soak"},"conversation":{"id":"a:soak"},"value":{}}"#;

/// A request as the Connector sends it.
pub(crate) fn request(
    path: &str,
    client: &str,
    token: &str,
    body: &'static str,
) -> http::request::Builder {
    let builder = Request::post(path)
        .header("host", SERVER_NAME)
        .header("content-type", "application/json")
        .header("content-length", body.len())
        .header(super::bot::NAME, client);
    if token.is_empty() {
        builder
    } else {
        builder.header("authorization", format!("Bearer {token}"))
    }
}
