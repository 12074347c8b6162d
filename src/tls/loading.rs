//! Everything that `[server.tls]` names, loaded together or not at all.

use super::certificate::is_ending;
use super::names::ByName;
use super::protocol::{self, ClientVerifier};
use super::{Certificate, TlsProblem, acme, files, self_signed};
use crate::config::{NamedCertificate, Tls, TlsSource, lacks_descriptors};
use crate::judge::UnixSeconds;
use aws_lc_rs::digest::{Context, SHA256};
use rustls::ServerConfig;
use rustls::sign::CertifiedKey;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use webpki::EndEntityCert;

/// What a listener needs to speak TLS, and what an operator should know of the certificates.
#[derive(Debug)]
pub(super) struct Loaded {
    /// For the listener.
    pub(super) config: Arc<ServerConfig>,
    /// For names that no other is for. Nothing only before the first one was ordered.
    pub(super) default: Option<Shown>,
    named: Vec<(Vec<String>, Shown)>,
    clients: Option<ClientVerifier>,
}

/// A certificate that clients are shown.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    certified: Arc<CertifiedKey>,
    /// Where it is from: a file name, `self-signed` or `acme`. Fit for a metric label.
    pub(super) origin: String,
    /// The DNS names it is valid for.
    pub(super) names: Vec<String>,
    pub(super) starts: UnixSeconds,
    pub(super) expires: UnixSeconds,
    /// Sentences for the log and for `botgate check`.
    pub(super) warnings: Vec<String>,
}

impl Shown {
    pub(super) fn new(origin: String, certificate: Certificate) -> Self {
        Self {
            origin,
            certified: Arc::new(certificate.certified),
            names: certificate.names,
            starts: certificate.starts,
            expires: certificate.expires,
            warnings: certificate.warnings,
        }
    }

    pub(super) fn is_ending(&self, now: UnixSeconds) -> bool {
        is_ending(self.starts, self.expires, now)
    }
}

impl Loaded {
    /// Loads every file. What was ordered is not read again while the gateway runs: `ordered` is it.
    ///
    /// # Errors
    /// The first thing that keeps any of them from being used.
    pub(super) fn load(
        tls: &Tls,
        ordered: Option<Shown>,
        now: UnixSeconds,
    ) -> Result<Self, TlsProblem> {
        let default = match &tls.source {
            TlsSource::Off => None,
            TlsSource::Files { cert, key } => {
                let origin = cert.display().to_string();
                Some(Shown::new(origin, files::load(cert, key, now)?))
            }
            TlsSource::SelfSigned { dir, names } => {
                let certificate = self_signed::load_or_make(dir, names, now)?;
                Some(Shown::new("self-signed".to_owned(), certificate))
            }
            TlsSource::Acme(_) => ordered,
        };
        let named = tls
            .sni
            .iter()
            .map(|sni| Ok((sni.names.clone(), of_names(sni, now)?)))
            .collect::<Result<_, TlsProblem>>()?;
        let clients = tls
            .client_ca
            .as_deref()
            .map(protocol::client_verifier)
            .transpose()?;
        Self::of_parts(tls, default, named, clients)
    }

    /// The same with another default.
    pub(super) fn with_default(&self, tls: &Tls, default: Shown) -> Result<Self, TlsProblem> {
        Self::of_parts(tls, Some(default), self.named.clone(), self.clients.clone())
    }

    fn of_parts(
        tls: &Tls,
        default: Option<Shown>,
        named: Vec<(Vec<String>, Shown)>,
        clients: Option<ClientVerifier>,
    ) -> Result<Self, TlsProblem> {
        let of_default = default.as_ref().map(|shown| Arc::clone(&shown.certified));
        let mut by_name = ByName::new(of_default);
        for (names, shown) in &named {
            for name in names {
                by_name.add(name, &shown.certified);
            }
        }
        let config = protocol::for_clients(tls.min_version, Arc::new(by_name), clients.clone())?;
        Ok(Self {
            config: Arc::new(config),
            default,
            named,
            clients,
        })
    }

    /// All of them, the default first.
    pub(super) fn shown(&self) -> impl Iterator<Item = &Shown> {
        let named = self.named.iter().map(|(_, shown)| shown);
        self.default.iter().chain(named)
    }
}

/// One of `[[server.tls.sni]]`.
fn of_names(sni: &NamedCertificate, now: UnixSeconds) -> Result<Shown, TlsProblem> {
    let mut certificate = files::load(&sni.cert, &sni.key, now)?;
    let uncovered: Vec<&str> = sni
        .names
        .iter()
        .map(String::as_str)
        .filter(|name| !covers(&certificate, name))
        .collect();
    if !uncovered.is_empty() {
        certificate.warnings.push(format!(
            "{}: clients that ask for {} are shown this certificate, which is not for that name: they refuse it",
            sni.cert.display(),
            uncovered.join(", ")
        ));
    }
    Ok(Shown::new(sni.cert.display().to_string(), certificate))
}

/// Whether a certificate is for a name, or for every name that a wildcard stands for.
fn covers(certificate: &Certificate, name: &str) -> bool {
    let asked = name.replacen("*.", "any.", 1);
    if asked != name {
        // Only a wildcard covers what any label stands before; an exact name could be that label by chance.
        return certificate
            .names
            .iter()
            .any(|own| own.eq_ignore_ascii_case(name));
    }
    let leaf = certificate.certified.cert.first();
    let leaf = leaf.map(EndEntityCert::try_from);
    let name = rustls::pki_types::ServerName::try_from(name);
    match (leaf, name) {
        (Some(Ok(leaf)), Ok(name)) => leaf.verify_is_valid_for_subject_name(&name).is_ok(),
        (Some(Ok(_) | Err(_)) | None, Ok(_) | Err(_)) => false,
    }
}

/// What is in the files, in short: equal as long as nothing in them changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of everything that an operator puts there, following links to where they lead now; nothing where no file descriptor is left
    /// to look with.
    pub(super) fn of(tls: &Tls) -> Option<Self> {
        let mut digest = Context::new(&SHA256);
        for path in files_of(tls) {
            // What cannot be read is different from what can; how it fails may differ each time.
            match files::read_whole(&path) {
                Ok(content) => {
                    digest.update(&content.len().to_be_bytes());
                    digest.update(&content);
                }
                Err(error) if lacks_descriptors(&error) => return None,
                Err(_) => digest.update(&usize::MAX.to_be_bytes()),
            }
        }
        let mut short = [0; 32];
        short.copy_from_slice(digest.finish().as_ref());
        Some(Self(short))
    }
}

fn files_of(tls: &Tls) -> Vec<PathBuf> {
    let mut files = match &tls.source {
        TlsSource::Files { cert, key } => vec![cert.clone(), key.clone()],
        // These are the gateway's own to write.
        TlsSource::Off | TlsSource::SelfSigned { .. } | TlsSource::Acme(_) => Vec::new(),
    };
    for sni in &tls.sni {
        files.extend([sni.cert.clone(), sni.key.clone()]);
    }
    files.extend(tls.client_ca.clone());
    files
}

/// What is to be said of each certificate that is there, by the key that names it: warnings, or why it cannot be used. Nothing is
/// made or written.
pub fn look_over(tls: &Tls, now: UnixSeconds) -> Vec<(String, Result<Vec<String>, TlsProblem>)> {
    let mut found = Vec::new();
    let load = |cert: &Path, key: &Path| files::load(cert, key, now).map(|it| it.warnings);
    match &tls.source {
        TlsSource::Off | TlsSource::SelfSigned { .. } => {}
        TlsSource::Files { cert, key } => found.push(("server.tls".to_owned(), load(cert, key))),
        TlsSource::Acme(acme) => {
            // What is kept and cannot serve is replaced by an order; it keeps nothing from starting.
            let kept = acme::kept(acme, now).map(|kept| match kept {
                Ok(certificate) => certificate.warnings,
                Err(problem) => vec![problem.to_string()],
            });
            found.extend(kept.map(|warnings| ("server.tls.acme".to_owned(), Ok(warnings))));
        }
    }
    for (index, sni) in tls.sni.iter().enumerate() {
        let warnings = of_names(sni, now).map(|shown| shown.warnings);
        found.push((format!("server.tls.sni[{index}]"), warnings));
    }
    if let Some(path) = &tls.client_ca {
        let warnings = protocol::client_verifier(path).map(|_| Vec::new());
        found.push(("server.tls.client_ca".to_owned(), warnings));
    }
    found
}
