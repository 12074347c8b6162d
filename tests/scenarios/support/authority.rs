//! A certificate authority of a scenario's own, and what it signs.

use super::PATIENCE;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use time::{Duration, OffsetDateTime};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

/// A certificate and its key.
#[derive(Clone)]
pub(crate) struct Signed {
    /// PEM, with the authority's own behind it.
    pub(crate) chain: String,
    /// PEM.
    pub(crate) key: String,
    pub(crate) der: CertificateDer<'static>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    pub(crate) fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// A certificate good for a month.
    pub(crate) fn sign(&self, names: &[&str]) -> Signed {
        self.sign_until(names, Duration::days(30))
    }

    /// One that began a month ago and ends so long from now.
    pub(crate) fn sign_until(&self, names: &[&str], left: Duration) -> Signed {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        let now = OffsetDateTime::now_utc();
        params.not_before = now - Duration::days(30);
        params.not_after = now + left;
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Signed {
            chain: certificate.pem() + &self.pem(),
            key: key.serialize_pem(),
            der: certificate.der().clone(),
        }
    }
}

impl Signed {
    /// To be shown by a client.
    pub(crate) fn for_client(&self) -> Arc<dyn ResolvesClientCert> {
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
        let chain = vec![self.der.clone()];
        Arc::new(SingleCertAndKey::from(rustls::sign::CertifiedKey::new(
            chain, key,
        )))
    }
}

/// Opens a TLS connection that asks for `name` and trusts only this authority.
pub(crate) async fn greet(
    address: SocketAddr,
    name: &str,
    authority_pem: &str,
    alpn: &str,
) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority_pem.as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let shaken = async {
        let stream = TcpStream::connect(address).await?;
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
    };
    timeout(PATIENCE, shaken).await.expect("an end in time")
}

/// The certificate that a client is shown who asks for `name`.
pub(crate) async fn shown(
    address: SocketAddr,
    name: &str,
    authority_pem: &str,
) -> io::Result<CertificateDer<'static>> {
    let stream = greet(address, name, authority_pem, "http/1.1").await?;
    let chain = stream.get_ref().1.peer_certificates();
    Ok(chain.expect("a server shows one")[0].clone().into_owned())
}
