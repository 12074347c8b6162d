//! A certificate chain with its key: that they belong together, for how long, for which names.

use super::TlsProblem;
use crate::judge::UnixSeconds;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::sign::CertifiedKey;
use std::path::Path;
use std::time::Duration;
use webpki::{EndEntityCert, KeyUsage};

/// A certificate that can be shown to clients, and what is known of it.
#[derive(Debug)]
pub struct Certificate {
    /// Chain and key, checked to belong together.
    pub certified: CertifiedKey,
    /// The DNS names it is valid for.
    pub names: Vec<String>,
    /// When it begins to be valid.
    pub starts: UnixSeconds,
    /// When it ends.
    pub expires: UnixSeconds,
    /// Sentences for the log and for `botgate check`.
    pub warnings: Vec<String>,
}

impl Certificate {
    /// Checks a chain, its own certificate first, and its key. `path` is the file of the chain, for messages.
    ///
    /// # Errors
    /// The certificate cannot be read or has expired, or the key is not its key.
    pub(super) fn check(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        path: &Path,
        now: UnixSeconds,
    ) -> Result<Self, TlsProblem> {
        let problem = |what: String, hint: &str| TlsProblem {
            path: Some(path.to_owned()),
            what,
            hint: hint.to_owned(),
        };
        let signing_key = aws_lc_rs::default_provider().key_provider.load_private_key(key).map_err(|error| {
            problem(format!("the private key for it cannot be used: {error}"), "use an RSA key of 2048 to 8192 bits, or ECDSA P-256, P-384 or P-521, or Ed25519")
        })?;
        let certified = CertifiedKey::new(chain, signing_key);
        let facts = Facts::read(&certified.cert).map_err(|what| {
            problem(what, "put an X.509 version 3 certificate for this server first, as your certificate authority gave it to you")
        })?;
        if let Err(error) = certified.keys_match() {
            return Err(mismatch(&certified, path, &error));
        }
        if facts.expires < now {
            let what = format!("the certificate expired {}", ago(now, facts.expires));
            return Err(problem(what, "renew it; and check this machine's clock"));
        }
        let warnings = facts.warnings(path, now);
        Ok(Self {
            certified,
            names: facts.names,
            starts: facts.valid_from,
            expires: facts.expires,
            warnings,
        })
    }
}

/// The common ways for key and certificate not to belong together.
fn mismatch(certified: &CertifiedKey, path: &Path, error: &rustls::Error) -> TlsProblem {
    let is_for_other = (1..certified.cert.len()).any(|skipped| {
        let rest = certified.cert.iter().skip(skipped).cloned().collect();
        CertifiedKey::new(rest, certified.key.clone())
            .keys_match()
            .is_ok()
    });
    let (what, hint) = if is_for_other {
        (
            "the key belongs to a later certificate of this file",
            "put the server's own certificate first, then the others, each signed by the next",
        )
    } else if matches!(error, rustls::Error::InconsistentKeys(_)) {
        (
            "the private key is not the key of this certificate",
            "use the key that the certificate was requested with, or request a new certificate",
        )
    } else {
        ("the certificate cannot be read", "export it again as PEM")
    };
    TlsProblem {
        path: Some(path.to_owned()),
        what: what.to_owned(),
        hint: hint.to_owned(),
    }
}

/// What stands in a certificate.
struct Facts {
    names: Vec<String>,
    valid_from: UnixSeconds,
    expires: UnixSeconds,
    chain: Chain,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Chain {
    /// Its own issuer.
    SelfSigned,
    /// One certificate that another has signed, which is not here.
    Alone,
    /// A certificate is followed by one that did not sign it.
    Broken,
    Connected,
}

impl Facts {
    fn read(chain: &[CertificateDer<'_>]) -> Result<Self, String> {
        let unreadable = |error: webpki::Error| format!("the certificate cannot be read: {error}");
        let first = chain.first().ok_or("there is no certificate")?;
        let certificate = EndEntityCert::try_from(first).map_err(unreadable)?;
        let (valid_from, expires) = validity(&certificate).map_err(unreadable)?;
        let names = certificate.valid_dns_names().map(str::to_owned).collect();
        Ok(Self {
            names,
            valid_from,
            expires,
            chain: connection(chain).map_err(unreadable)?,
        })
    }

    fn warnings(&self, path: &Path, now: UnixSeconds) -> Vec<String> {
        let path = path.display();
        let mut warnings = Vec::new();
        if now < self.valid_from {
            let when = ago(self.valid_from, now).replace(" ago", "");
            warnings.push(format!(
                "{path}: the certificate is valid only in {when}; check this machine's clock"
            ));
        }
        if is_ending(self.valid_from, self.expires, now) {
            let left = self.expires.0.saturating_sub(now.0);
            warnings.push(format!(
                "{path}: the certificate expires in {} hours; renew it",
                left / 3600
            ));
        }
        match self.chain {
            Chain::SelfSigned => warnings.push(format!("{path}: the certificate is self-signed; no channel accepts it")),
            Chain::Alone => warnings.push(format!("{path}: the file holds no intermediate certificates; unless a public root signed this one directly, channels cannot verify it: use the full chain")),
            Chain::Broken => warnings.push(format!("{path}: the certificates are not in order; put the server's own first, then each one's issuer")),
            Chain::Connected => {}
        }
        warnings
    }
}

/// When a certificate begins and ends to be valid.
///
/// webpki tells neither directly, but checks both first of all and says what it compared with. That saves a second parser
/// for certificates, and is the reading that rustls clients go by. Tests hold it to this.
fn validity(certificate: &EndEntityCert<'_>) -> Result<(UnixSeconds, UnixSeconds), webpki::Error> {
    let at = |seconds: u64| {
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        certificate
            .verify_for_usage(&[], &[], &[], time, KeyUsage::server_auth(), None, None)
            .map(|_| ())
    };
    let valid_from = match at(0) {
        Err(webpki::Error::CertNotValidYet { not_before, .. }) => not_before.as_secs(),
        // Valid since before 1970.
        Err(webpki::Error::UnknownIssuer) | Ok(()) => 0,
        Err(error) => return Err(error),
    };
    match at(u64::MAX) {
        Err(webpki::Error::CertExpired { not_after, .. }) => {
            Ok((UnixSeconds(valid_from), UnixSeconds(not_after.as_secs())))
        }
        Err(error) => Err(error),
        Ok(()) => Ok((UnixSeconds(valid_from), UnixSeconds(u64::MAX))),
    }
}

/// Whether each certificate is followed by its issuer, by name.
fn connection(chain: &[CertificateDer<'_>]) -> Result<Chain, webpki::Error> {
    let certificates = chain
        .iter()
        .map(EndEntityCert::try_from)
        .collect::<Result<Vec<_>, _>>()?;
    Ok(match certificates.as_slice() {
        [only] if only.issuer() == only.subject() => Chain::SelfSigned,
        [_] => Chain::Alone,
        several => {
            let pairs = several.iter().zip(several.iter().skip(1));
            let connected = pairs.fold(true, |connected, (one, next)| {
                connected && one.issuer() == next.subject()
            });
            if connected {
                Chain::Connected
            } else {
                Chain::Broken
            }
        }
    })
}

/// Roughly how long before `later` something was.
fn ago(later: UnixSeconds, earlier: UnixSeconds) -> String {
    let hours = later.0.saturating_sub(earlier.0) / 3600;
    if hours < 48 {
        format!("{hours} hours ago")
    } else {
        format!("{} days ago", hours / 24)
    }
}

/// Whether something seems to be stuck: what is renewed by itself is renewed when a third of its life is left, or a month before
/// the end; less than a quarter and less than two weeks are left only when that did not happen.
pub(super) fn is_ending(starts: UnixSeconds, expires: UnixSeconds, now: UnixSeconds) -> bool {
    let life = expires.0.saturating_sub(starts.0);
    expires.0.saturating_sub(now.0) < (life / 4).min(EXPIRES_SOON.as_secs())
}

const EXPIRES_SOON: Duration = Duration::from_secs(14 * 24 * 3600);
