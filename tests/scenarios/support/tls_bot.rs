//! A bot that speaks HTTPS with a certificate of a private authority.

use botgate::cli::demo::bot::MESSAGES_PATH;
use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

/// Answers every request with 200 and its own body. Dropping it closes the port.
pub(crate) struct TlsBot {
    address: SocketAddr,
    authority: String,
    seen: Arc<Mutex<Vec<(Version, Bytes)>>>,
    _task: AbortOnDropHandle<()>,
}

impl TlsBot {
    /// Starts it with a certificate for `name` only, offering these protocols by ALPN.
    pub(crate) async fn start(name: &str, protocols: &[&str]) -> Self {
        let (authority, config) = certificate(name);
        Self::serving(authority, config, protocols).await
    }

    /// Starts it so that it wants a certificate of its own authority from whoever comes. With it, such a certificate and its
    /// key, as PEM.
    pub(crate) async fn asking_for_a_certificate(
        name: &str,
        protocols: &[&str],
    ) -> (Self, String, String) {
        let (authority, issuer) = authority();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(authority.der().clone()).expect("a root");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .expect("there is a root");
        let config = server(name, &issuer, Some(verifier));
        let (leaf, key) = leaf("gateway.internal", &issuer);
        let bot = Self::serving(authority.pem(), config, protocols).await;
        (bot, leaf.pem(), key.serialize_pem())
    }

    async fn serving(authority: String, config: rustls::ServerConfig, protocols: &[&str]) -> Self {
        let mut config = config;
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let seen = Arc::new(Mutex::new(vec![]));
        let told = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, told) = (acceptor.clone(), Arc::clone(&told));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let service = service_fn(|request| echo(Arc::clone(&told), request));
                    let _ended = auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self {
            address,
            authority,
            seen,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// What `backend` is set to.
    pub(crate) fn messages_url(&self) -> String {
        format!("https://{}{MESSAGES_PATH}", self.address)
    }

    /// The certificate of its authority, as PEM.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// HTTP version and body of every request so far.
    pub(crate) fn seen(&self) -> Vec<(Version, Bytes)> {
        self.seen.lock().expect("nobody panicked").clone()
    }
}

async fn echo(
    seen: Arc<Mutex<Vec<(Version, Bytes)>>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let version = request.version();
    let body = request.into_body().collect().await?.to_bytes();
    seen.lock()
        .expect("nobody panicked")
        .push((version, body.clone()));
    Ok(Response::new(Full::new(body)))
}

/// A new authority as PEM, and a server with a certificate of it.
pub(super) fn certificate(name: &str) -> (String, rustls::ServerConfig) {
    let (authority, issuer) = authority();
    (authority.pem(), server(name, &issuer, None))
}

fn authority() -> (Certificate, Issuer<'static, KeyPair>) {
    let mut params = CertificateParams::new(vec![]).expect("no names are fine");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // Each a name of its own: who trusts one of them does not know the others.
    let own_name = uuid::Uuid::new_v4().to_string();
    params.distinguished_name.push(DnType::CommonName, own_name);
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate");
    (certificate, Issuer::new(params, key))
}

fn leaf(name: &str, issuer: &Issuer<'static, KeyPair>) -> (Certificate, KeyPair) {
    let key = KeyPair::generate().expect("a key");
    let leaf = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    let leaf = leaf.signed_by(&key, issuer).expect("a certificate");
    (leaf, key)
}

fn server(
    name: &str,
    issuer: &Issuer<'static, KeyPair>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
) -> rustls::ServerConfig {
    let (leaf, key) = leaf(name, issuer);
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("defaults are fine");
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(verifier) => builder.with_client_cert_verifier(verifier),
    };
    builder
        .with_single_cert(vec![leaf.der().clone()], key)
        .expect("key and certificate fit")
}
