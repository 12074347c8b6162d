//! A certificate for trying the gateway out: made at first start, kept for the next.

use super::disk::replace;
use super::{Certificate, TlsProblem, files};
use crate::judge::UnixSeconds;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use time::OffsetDateTime;

/// The kept certificate, if it is for these names and good for another day; else a new one.
///
/// # Errors
/// A name is neither a DNS name nor an IP address.
pub(super) fn load_or_make(
    dir: &Path,
    names: &[String],
    now: UnixSeconds,
) -> Result<Certificate, TlsProblem> {
    let kept = Kept::within(dir);
    let mut certificate = match kept.load(names, now) {
        Some(certificate) => certificate,
        None => {
            let made = Made::new(names, now).map_err(|error| TlsProblem {
                path: None,
                what: format!(
                    "no self-signed certificate can be made for {}: {error}",
                    names.join(", ")
                ),
                hint: "name only DNS names and IP addresses".to_owned(),
            })?;
            let mut certificate = made.certificate(&kept.cert, now)?;
            if let Err(error) = kept.save(&made, names) {
                certificate.warnings.push(format!(
                    "{}: the self-signed certificate cannot be kept ({error}); the next start makes another",
                    dir.display()
                ));
            }
            certificate
        }
    };
    certificate.names = names.to_vec();
    Ok(certificate)
}

/// Where the certificate is kept.
struct Kept {
    cert: PathBuf,
    key: PathBuf,
}

impl Kept {
    fn within(dir: &Path) -> Self {
        Self {
            cert: dir.join("self-signed.pem"),
            key: dir.join("self-signed.key"),
        }
    }

    /// Whatever is wrong with what is kept, a new one is as good.
    fn load(&self, names: &[String], now: UnixSeconds) -> Option<Certificate> {
        let text = fs::read_to_string(&self.cert).ok()?;
        if !text.lines().any(|line| line == names_line(names)) {
            return None;
        }
        let certificate = files::load(&self.cert, &self.key, now).ok()?;
        let left = certificate.expires.0.saturating_sub(now.0);
        (left > ONE_DAY.as_secs()).then_some(certificate)
    }

    fn save(&self, made: &Made, names: &[String]) -> io::Result<()> {
        if let Some(dir) = self.cert.parent() {
            fs::create_dir_all(dir)?;
        }
        // Text around the blocks is allowed (RFC 7468 section 2), and tells a person what this is.
        let text = format!(
            "Made by botgate to be tried out with. No channel accepts it.\n{}\n{}",
            names_line(names),
            made.cert_pem
        );
        // A start that is cut off between the two leaves files that do not match, which the next start replaces.
        replace(&self.key, made.key_pem.as_bytes(), 0o600)?;
        replace(&self.cert, text.as_bytes(), 0o644)
    }
}

/// A certificate just made.
struct Made {
    cert_pem: String,
    key_pem: String,
    cert: rustls::pki_types::CertificateDer<'static>,
}

impl Made {
    fn new(names: &[String], now: UnixSeconds) -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, "botgate self-signed");
        // A day back, for clients whose clock is behind.
        params.not_before = moment(now.0.saturating_sub(ONE_DAY.as_secs()));
        params.not_after = moment(now.0.saturating_add(LIFETIME.as_secs()));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.self_signed(&key)?;
        Ok(Self {
            cert_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            cert: certificate.der().clone(),
        })
    }

    fn certificate(&self, path: &Path, now: UnixSeconds) -> Result<Certificate, TlsProblem> {
        let key =
            PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes()).map_err(|error| TlsProblem {
                path: None,
                what: format!("the key just made cannot be read: {error}"),
                hint: "this is a fault of the program; please report it".to_owned(),
            })?;
        Certificate::check(vec![self.cert.clone()], key, path, now)
    }
}

/// The line by which a kept certificate is known to be for the wanted names.
fn names_line(names: &[String]) -> String {
    let mut names = names.to_vec();
    names.sort_unstable();
    names.dedup();
    format!("Names: {}", names.join(", "))
}

fn moment(seconds: u64) -> OffsetDateTime {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

const ONE_DAY: Duration = Duration::from_secs(24 * 3600);
const LIFETIME: Duration = Duration::from_secs(365 * 24 * 3600);
