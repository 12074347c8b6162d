//! What HTTP clients of the gateway have in common: whom TLS trusts, and how errors read. [`Fetcher`] fetches documents for the
//! gateway itself; bots are reached by [`dial`](super::dial).

pub use super::fetcher::{FetchProblem, Fetcher, PostProblem};

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::error::Error as _;
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
    let tcp = tcp(connect_timeout);
    Ok(HttpsConnectorBuilder::new()
        .with_tls_config(tls_config(trust)?)
        .https_or_http()
        .enable_http1()
        .enable_http2()
        .wrap_connector(tcp))
}

/// Connects to any scheme's host; TLS is for whoever wraps it.
pub(super) fn tcp(connect_timeout: Duration) -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(connect_timeout));
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(Duration::from_secs(60)));
    tcp
}

pub(super) fn tls_config(trust: &TlsTrust<'_>) -> Result<ClientConfig, ClientProblem> {
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

/// An error with all its causes. What an HTTP client only wraps its causes in, "client error (Connect)", tells nobody anything.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let wrapped = error.downcast_ref::<hyper_util::client::legacy::Error>();
    let error = wrapped.and_then(|e| e.source()).unwrap_or(error);
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
