//! The certificate the gateway shows, and how TLS is spoken.
//!
//! This room must not accept connections, and must not let a file that cannot serve replace anything that does.

mod certificate;
mod files;
mod self_signed;

pub use certificate::Certificate;
pub use files::load as load_files;

use crate::config::{Tls, TlsSource, TlsVersion};
use crate::judge::UnixSeconds;
use crate::net::clock;
use rustls::ServerConfig;
use rustls::crypto;
use rustls::sign::SingleCertAndKey;
use rustls::version::{TLS12, TLS13};
use std::path::PathBuf;
use std::sync::Arc;

/// What a listener needs to speak TLS, and what an operator should know of the certificate.
#[derive(Debug)]
pub struct Loaded {
    /// For the listener.
    pub config: Arc<ServerConfig>,
    /// Where the certificate is from: a file name, or `self-signed`. Fit for a metric label.
    pub origin: String,
    /// The DNS names it is valid for.
    pub names: Vec<String>,
    /// When it ends.
    pub expires: UnixSeconds,
    /// Sentences for the log and for `botgate check`.
    pub warnings: Vec<String>,
}

/// Why there is no certificate to show: what is wrong, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsProblem {
    /// The file it is about, if it is about one.
    pub path: Option<PathBuf>,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub hint: String,
}

impl std::fmt::Display for TlsProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "{}: ", path.display())?;
        }
        write!(f, "{}; {}", self.what, self.hint)
    }
}

impl std::error::Error for TlsProblem {}

/// Loads the certificate and makes the TLS settings of the public listener; `None` where TLS is off.
///
/// A self-signed certificate is made, and kept in its directory, if there is none that can be used again.
///
/// # Errors
/// The first thing that keeps the certificate from being used.
pub fn server_config(tls: &Tls) -> Result<Option<Loaded>, TlsProblem> {
    let now = clock::now();
    let (origin, certificate) = match &tls.source {
        TlsSource::Off => return Ok(None),
        TlsSource::Files { cert, key } => {
            (cert.display().to_string(), files::load(cert, key, now)?)
        }
        TlsSource::SelfSigned { dir, names } => (
            "self-signed".to_owned(),
            self_signed::load_or_make(dir, names, now)?,
        ),
    };
    let Certificate {
        certified,
        names,
        expires,
        warnings,
        ..
    } = certificate;
    let resolver = Arc::new(SingleCertAndKey::from(certified));
    let config = protocol(tls.min_version, resolver).map_err(|error| TlsProblem {
        path: None,
        what: format!("TLS cannot be set up: {error}"),
        hint: "this is a fault of the program; please report it".to_owned(),
    })?;
    Ok(Some(Loaded {
        config: Arc::new(config),
        origin,
        names,
        expires,
        warnings,
    }))
}

fn protocol(
    min_version: TlsVersion,
    certificate: Arc<SingleCertAndKey>,
) -> Result<ServerConfig, rustls::Error> {
    let versions = match min_version {
        TlsVersion::V1_2 => &[&TLS13, &TLS12][..],
        TlsVersion::V1_3 => &[&TLS13],
    };
    // The provider is named, because a process-wide default would be global state, and absent in tests.
    let provider = Arc::new(crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Ours, where a client offers several: scanners ask for it, and no client's list is better than this one.
    config.ignore_client_order = true;
    // Tickets under keys that rotate every six hours; a resumed handshake costs no signature. Early data stays off
    // (`max_early_data_size` is 0): it can be replayed (RFC 8446 section 8).
    config.ticketer = crypto::aws_lc_rs::Ticketer::new()?;
    Ok(config)
}

#[cfg(test)]
mod tests;
