//! HTTP clients of the gateway: one for documents it fetches for itself, and the connector that backends use.

use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use std::time::Duration;

/// Which certificate authorities and client identity a connector uses.
#[derive(Debug, Default)]
pub struct TlsTrust<'a> {
    /// PEM of authorities trusted beside the platform's.
    pub extra_ca: Option<&'a [u8]>,
    /// PEM of authorities trusted instead of the platform's.
    pub only_ca: Option<&'a [u8]>,
    /// PEM of the client's chain and key.
    pub identity: Option<(&'a [u8], &'a [u8])>,
    /// Verify this name instead of the URL's host.
    pub server_name: Option<&'a str>,
}

/// What keeps a client from being made: a sentence for the operator.
#[derive(Debug)]
pub struct ClientProblem(pub String);

impl std::fmt::Display for ClientProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ClientProblem {}

/// A connector for `http` and `https` with ALPN for HTTP/2 and HTTP/1.1.
///
/// # Errors
/// When a PEM cannot be read.
pub fn connector(
    trust: &TlsTrust<'_>,
    connect_timeout: Duration,
) -> Result<HttpsConnector<HttpConnector>, ClientProblem> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(connect_timeout));
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(Duration::from_secs(60)));
    let builder = HttpsConnectorBuilder::new()
        .with_tls_config(tls_config(trust)?)
        .https_or_http();
    let builder = match trust.server_name {
        None => builder,
        Some(name) => {
            let name = ServerName::try_from(name.to_owned())
                .map_err(|_| ClientProblem(format!("{name:?} is not a server name")))?;
            builder.with_server_name_resolver(FixedServerNameResolver::new(name))
        }
    };
    Ok(builder.enable_http1().enable_http2().wrap_connector(tcp))
}

fn tls_config(trust: &TlsTrust<'_>) -> Result<ClientConfig, ClientProblem> {
    let mut roots = RootCertStore::empty();
    if trust.only_ca.is_none() {
        // Honours SSL_CERT_FILE and SSL_CERT_DIR. Some broken files in a store do not make the rest useless.
        let native = rustls_native_certs::load_native_certs();
        if native.certs.is_empty() {
            tracing::warn!(
                event = "no_platform_roots",
                "this machine has no certificate authorities: no https host can be trusted; install ca-certificates, or set SSL_CERT_FILE"
            );
        }
        roots.add_parsable_certificates(native.certs);
    }
    for pem in trust.only_ca.iter().chain(&trust.extra_ca) {
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<_, _>>()
            .map_err(|e| ClientProblem(format!("the CA file cannot be read: {e}")))?;
        if roots.add_parsable_certificates(certificates).0 == 0 {
            return Err(ClientProblem("the CA file holds no certificate".to_owned()));
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| ClientProblem(e.to_string()))?
        .with_root_certificates(roots);
    match trust.identity {
        None => Ok(builder.with_no_client_auth()),
        Some((chain, key)) => {
            let chain = CertificateDer::pem_slice_iter(chain)
                .collect::<Result<Vec<_>, _>>()
                .map_err(|e| {
                    ClientProblem(format!("the client certificate cannot be read: {e}"))
                })?;
            let key = PrivateKeyDer::from_pem_slice(key)
                .map_err(|e| ClientProblem(format!("the client key cannot be read: {e}")))?;
            builder.with_client_auth_cert(chain, key).map_err(|e| {
                ClientProblem(format!("the client certificate and key do not fit: {e}"))
            })
        }
    }
}

/// Fetches documents for the gateway itself: no redirects, a deadline for the whole, a size cap.
#[derive(Clone, Debug)]
pub struct Fetcher {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    within: Duration,
}

impl Fetcher {
    /// Connects within 3 s and finishes within `within` (AUTHENTICATION 2.4 rule 6).
    ///
    /// # Errors
    /// When the extra authorities cannot be read.
    pub fn new(extra_ca: Option<&[u8]>, within: Duration) -> Result<Self, ClientProblem> {
        let trust = TlsTrust {
            extra_ca,
            ..TlsTrust::default()
        };
        let connector = connector(&trust, Duration::from_secs(3))?;
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(0)
            .build(connector);
        Ok(Self { client, within })
    }

    /// One document.
    ///
    /// # Errors
    /// No connection, a status other than 200 (redirects are not followed), too large, too slow.
    pub async fn get(&self, url: &Uri, max_bytes: usize) -> Result<Bytes, FetchProblem> {
        match tokio::time::timeout(self.within, self.get_now(url, max_bytes)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(FetchProblem::Other(format!(
                "no complete answer within {:?}",
                self.within
            ))),
        }
    }

    async fn get_now(&self, url: &Uri, max_bytes: usize) -> Result<Bytes, FetchProblem> {
        let request = Request::get(url.clone())
            .header("accept", "application/json")
            .header("user-agent", concat!("botgate/", env!("CARGO_PKG_VERSION")))
            .body(Empty::new())
            .map_err(|e| FetchProblem::Other(e.to_string()))?;
        let response = self.client.request(request).await;
        let response = response.map_err(|e| FetchProblem::Other(chain(&e)))?;
        if response.status() != StatusCode::OK {
            return Err(FetchProblem::Status(response.status()));
        }
        #[expect(clippy::disallowed_methods, reason = "the body is limited")]
        let body = Limited::new(response.into_body(), max_bytes)
            .collect()
            .await;
        body.map(http_body_util::Collected::to_bytes)
            .map_err(|e| FetchProblem::Other(format!("the answer could not be read: {e}")))
    }
}

/// Why a document could not be fetched.
#[derive(Debug)]
pub enum FetchProblem {
    /// An answer with another status than 200.
    Status(StatusCode),
    /// No answer, or none that can be used: a sentence for the log.
    Other(String),
}

impl FetchProblem {
    /// Whether there is no such document.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Status(StatusCode::NOT_FOUND))
    }
}

impl std::fmt::Display for FetchProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status {}", status.as_u16()),
            Self::Other(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for FetchProblem {}

/// An error with all its causes.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
