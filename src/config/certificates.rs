//! What `[server.tls]` says, as values.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// `[server.tls]`.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Where the certificate comes from.
    pub source: TlsSource,
    /// `[[server.tls.sni]]`: certificates for names that clients ask for; for other names that of `source`.
    pub sni: Vec<NamedCertificate>,
    /// Clients must present a certificate that an authority of this PEM file signed; `None` asks for none.
    pub client_ca: Option<PathBuf>,
    /// Whether TLS 1.2 is offered beside 1.3.
    pub min_version: TlsVersion,
    /// From accept to a finished handshake.
    pub handshake_timeout: Duration,
}

/// Where the certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsSource {
    /// Plain HTTP behind something that terminates TLS.
    Off,
    /// A certificate made at first start and kept in `dir`, for trying it out.
    SelfSigned {
        /// Where `self-signed.pem` and `self-signed.key` are kept.
        dir: PathBuf,
        /// DNS names and IP addresses the certificate covers.
        names: Vec<String>,
    },
    /// PEM files.
    Files {
        /// Full chain.
        cert: PathBuf,
        /// Private key.
        key: PathBuf,
    },
    /// Ordered from a certificate authority, and renewed.
    Acme(Acme),
}

/// One of `[[server.tls.sni]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedCertificate {
    /// Server names in lower case, at least one; `*.` in front stands for exactly one label.
    pub names: Vec<String>,
    /// Full chain.
    pub cert: PathBuf,
    /// Private key.
    pub key: PathBuf,
}

/// `[server.tls.acme]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acme {
    /// URL of the authority's directory, https.
    pub directory: String,
    /// DNS names in lower case, at least one.
    pub domains: Vec<String>,
    /// `mailto:` addresses that the authority may write to.
    pub contact: Vec<String>,
    /// Folder of the account and the certificate.
    pub storage: PathBuf,
    /// How the authority is shown that the names are ours.
    pub challenge: AcmeChallenge,
    /// Authorities that the directory's own TLS may come from, beside the platform's.
    pub ca_file: Option<PathBuf>,
}

/// How a certificate authority is shown that the names are ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AcmeChallenge {
    /// In a TLS handshake on port 443 (RFC 8737), by the public listener.
    TlsAlpn01,
    /// By plain HTTP on port 80 (RFC 8555 section 8.3).
    Http01 {
        /// `http_listen`: what answers there, at least one.
        listen: Vec<SocketAddr>,
    },
}

/// The lowest TLS version spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// 1.2 and 1.3.
    V1_2,
    /// 1.3 only.
    V1_3,
}
