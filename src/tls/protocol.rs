//! How TLS is spoken, whichever certificate is shown.

use super::TlsProblem;
use crate::config::TlsVersion;
use crate::net::handshake::ACME_TLS;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, crypto};
use std::path::Path;
use std::sync::Arc;

/// Who may sign the certificates of clients.
pub(super) type ClientVerifier = Arc<dyn ClientCertVerifier>;

/// For clients of the gateway.
pub(super) fn for_clients(
    min_version: TlsVersion,
    certificates: Arc<dyn ResolvesServerCert>,
    clients: Option<ClientVerifier>,
) -> Result<ServerConfig, TlsProblem> {
    let versions = match min_version {
        TlsVersion::V1_2 => &[&TLS13, &TLS12][..],
        TlsVersion::V1_3 => &[&TLS13],
    };
    // The provider is named, because a process-wide default would be global state, and absent in tests.
    let provider = Arc::new(crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .map_err(|error| fault(&error))?;
    let knows_clients = clients.is_some();
    let mut config = match clients {
        None => builder.with_no_client_auth(),
        Some(verifier) => builder.with_client_cert_verifier(verifier),
    }
    .with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Ours, where a client offers several: scanners ask for it, and no client's list is better than this one.
    config.ignore_client_order = true;
    if knows_clients {
        // A resumed handshake shows no certificate: one that has ended, or whose authority was taken away, would go on.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    } else {
        // Tickets under keys that rotate every six hours; a resumed handshake costs no signature. Early data stays off
        // (`max_early_data_size` is 0): it can be replayed (RFC 8446 section 8).
        config.ticketer = crypto::aws_lc_rs::Ticketer::new().map_err(|error| fault(&error))?;
        // Each costs a part of the handshake, and who resumes gets another one.
        config.send_tls13_tickets = 1;
    }
    Ok(config)
}

/// For a certificate authority that looks for its proof: anybody may ask, and there is nothing but the handshake.
pub(super) fn for_proofs(proofs: Arc<dyn ResolvesServerCert>) -> Result<ServerConfig, TlsProblem> {
    let mut config = for_clients(TlsVersion::V1_2, proofs, None)?;
    config.alpn_protocols = vec![ACME_TLS.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// Reads the authorities of `server.tls.client_ca`.
///
/// # Errors
/// The file cannot be read, or holds no authority.
pub(super) fn client_verifier(path: &Path) -> Result<ClientVerifier, TlsProblem> {
    let problem = |what: String| TlsProblem {
        path: Some(path.to_owned()),
        what,
        hint: "give the authority's own certificate in PEM: server.tls.client_ca names it"
            .to_owned(),
    };
    let text = super::files::read_whole(path)
        .map_err(|error| problem(format!("the authority of clients cannot be read: {error}")))?;
    let certificates = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| problem(format!("the PEM is damaged: {error}")))?;
    if certificates.is_empty() {
        return Err(problem("there is no certificate in this file".to_owned()));
    }
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        // Not half of them: a client whose authority was left out could not know why it is refused.
        roots
            .add(certificate)
            .map_err(|error| problem(format!("a certificate in it cannot be read: {error}")))?;
    }
    let provider = Arc::new(crypto::aws_lc_rs::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| problem(error.to_string()))
}

fn fault(error: &rustls::Error) -> TlsProblem {
    TlsProblem {
        path: None,
        what: format!("TLS cannot be set up: {error}"),
        hint: "this is a fault of the program; please report it".to_owned(),
    }
}
