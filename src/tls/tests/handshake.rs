//! The settings, tried by clients.

use super::*;
use crate::config::{Tls, TlsSource, TlsVersion};
use crate::net::clock;
use crate::tls::loading::Loaded;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, ServerConnection};
use std::sync::Arc;
use std::time::Duration;

/// Shakes hands in memory; the version and protocol both sides agree on.
fn handshake(
    server: &Loaded,
    trusted: &Path,
    name: &str,
    versions: &[&'static rustls::SupportedProtocolVersion],
    alpn: &[&str],
) -> Result<(ProtocolVersion, Option<Vec<u8>>), rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(trusted).unwrap())
        .unwrap();
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    let of_server = provider.cipher_suites.clone();
    provider.cipher_suites.reverse();
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut server = ServerConnection::new(Arc::clone(&server.config)).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        server.read_tls(&mut bytes.as_slice()).unwrap();
        server.process_new_packets()?;
        bytes.clear();
        server.write_tls(&mut bytes).unwrap();
        client.read_tls(&mut bytes.as_slice()).unwrap();
        client.process_new_packets()?;
    }
    let chosen = client.negotiated_cipher_suite().unwrap();
    let preferred = of_server
        .iter()
        .find(|suite| suite.version() == chosen.version() && usable_with_ecdsa(suite));
    assert_eq!(
        Some(chosen.suite()),
        preferred.map(|suite| suite.suite()),
        "the client likes the other end of the list, and the server decides"
    );
    Ok((
        client.protocol_version().unwrap(),
        client.alpn_protocol().map(<[u8]>::to_vec),
    ))
}

/// The test certificates are ECDSA.
fn usable_with_ecdsa(suite: &rustls::SupportedCipherSuite) -> bool {
    !format!("{:?}", suite.suite()).contains("_RSA_")
}

#[test]
fn clients_that_trust_the_certificate_get_the_version_and_protocol_they_want() {
    let dir = tempfile::tempdir().unwrap();
    let source = TlsSource::SelfSigned {
        dir: dir.path().to_owned(),
        names: names(&["localhost", "127.0.0.1"]),
    };
    let settings = |min_version| Tls {
        source: source.clone(),
        sni: Vec::new(),
        client_ca: None,
        min_version,
        handshake_timeout: Duration::ZERO,
    };
    let load = |min_version| Loaded::load(&settings(min_version), None, clock::now()).unwrap();
    let open = load(TlsVersion::V1_2);
    let strict = load(TlsVersion::V1_3);
    let trusted = dir.path().join("self-signed.pem");
    let shake = |server, name, versions: &[_], alpn: &[&str]| {
        handshake(server, &trusted, name, versions, alpn)
    };

    let both: &[_] = &[&TLS12, &TLS13];
    let h2 = Some(b"h2".to_vec());
    let h1 = Some(b"http/1.1".to_vec());
    assert_eq!(
        shake(&open, "localhost", both, &["http/1.1", "h2"]),
        Ok((ProtocolVersion::TLSv1_3, h2.clone()))
    );
    assert_eq!(
        shake(&open, "127.0.0.1", &[&TLS12], &["http/1.1"]),
        Ok((ProtocolVersion::TLSv1_2, h1))
    );
    assert_eq!(
        shake(&open, "localhost", both, &[]),
        Ok((ProtocolVersion::TLSv1_3, None))
    );
    assert_eq!(
        shake(&strict, "localhost", both, &["h2"]),
        Ok((ProtocolVersion::TLSv1_3, h2))
    );
    assert!(shake(&strict, "localhost", &[&TLS12], &["h2"]).is_err());
    assert!(shake(&open, "localhost", both, &["spdy/3"]).is_err());
    assert!(shake(&open, "other.example", both, &["h2"]).is_err());
    assert_eq!(open.default.unwrap().origin, "self-signed");
}
