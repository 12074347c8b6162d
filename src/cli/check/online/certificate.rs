//! The server certificate as a channel sees it: does its chain lead from what is sent to a root that everyone has, for these names?

use super::{Findings, Place, Places};
use crate::config::{Settings, Severity, TlsSource};
use crate::judge::UnixSeconds;
use crate::net::clock;
use crate::tls::load_files;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use std::time::Duration;
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer as _;

pub(super) fn try_out(settings: &Settings, places: &Places, findings: &mut Findings) {
    let place = Place {
        key: "server.tls",
        line: places.certificate_line,
    };
    let (cert, key) = match &settings.server.tls.source {
        TlsSource::Off => {
            let what = "not looked at: TLS ends elsewhere (server.tls.source is \"off\")";
            return findings.good("certificate", what);
        }
        TlsSource::SelfSigned { .. } => {
            let what = "shows a self-signed certificate".to_owned();
            let hint = "good for trying out; no channel accepts it: set source = \"files\" before going public";
            return findings.note(Severity::Warning, &place, what, hint);
        }
        TlsSource::Acme(_) => {
            let what = "not looked at: the authority's chain comes with each certificate it issues";
            return findings.good("certificate", what);
        }
        TlsSource::Files { cert, key } => (cert, key),
    };
    let now = clock::now();
    // What cannot be loaded was told before anything was tried out.
    let Ok(loaded) = load_files(cert, key, now) else {
        return;
    };
    let roots = rustls_native_certs::load_native_certs().certs;
    if roots.is_empty() {
        let what = "cannot be verified: this machine has no certificate authorities".to_owned();
        let hint = "install ca-certificates, or set SSL_CERT_FILE";
        findings.note(Severity::Error, &place, what, hint);
        return;
    }
    let chain = loaded.certified.cert.as_slice();
    match look_over(chain, &roots, now) {
        Err(why) => findings.note(Severity::Error, &place, why, "export it again, as PEM"),
        Ok(seen) => {
            if seen.wrong.is_empty() {
                findings.good("certificate", seen.summary);
            }
            for Wrong {
                severity,
                what,
                hint,
            } in seen.wrong
            {
                findings.note(severity, &place, what, &hint);
            }
        }
    }
    names(settings, places, chain, &loaded.names, findings);
}

/// Whether it is for the names that channels call.
fn names(
    settings: &Settings,
    places: &Places,
    chain: &[CertificateDer<'_>],
    covered: &[String],
    findings: &mut Findings,
) {
    let Some(Ok(leaf)) = chain.first().map(EndEntityCert::try_from) else {
        return;
    };
    let list = if covered.is_empty() {
        "no DNS name".to_owned()
    } else {
        covered.join(", ")
    };
    for bot in &settings.bots {
        if bot.route.hosts.is_empty() {
            findings.good(
                "names",
                format!(
                    "{}: hosts is empty, so names cannot be checked; the certificate is for {list}",
                    bot.name
                ),
            );
        }
        let is_for = |host: &String| {
            ServerName::try_from(host.as_str())
                .is_ok_and(|name| leaf.verify_is_valid_for_subject_name(&name).is_ok())
        };
        let (good, bad): (Vec<_>, Vec<_>) = bot.route.hosts.iter().partition(|host| is_for(host));
        for host in good {
            findings.good("names", format!("{}: {host} is covered", bot.name));
        }
        for host in bad {
            let key = format!("bots[{}].hosts", bot.index);
            let place = Place {
                key: &key,
                line: places.lines.hosts.get(bot.index).copied().flatten(),
            };
            let what = format!("names {host}, which the certificate is not for: it covers {list}");
            let hint = "get a certificate for this name too, or correct the name";
            findings.note(Severity::Error, &place, what, hint);
        }
    }
}

struct Seen {
    summary: String,
    wrong: Vec<Wrong>,
}

struct Wrong {
    severity: Severity,
    what: String,
    hint: String,
}

fn error(what: String, hint: impl Into<String>) -> Wrong {
    Wrong {
        severity: Severity::Error,
        what,
        hint: hint.into(),
    }
}

/// Verifies the chain with what is sent and with nothing else, and says what exactly is missing.
fn look_over(
    chain: &[CertificateDer<'_>],
    roots: &[CertificateDer<'_>],
    now: UnixSeconds,
) -> Result<Seen, String> {
    let parsed = chain
        .iter()
        .map(|der| X509Certificate::from_der(der).map(|(_, certificate)| certificate))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("holds a certificate that cannot be read: {error}"))?;
    let (Some(leaf), Some(first)) = (parsed.first(), chain.first()) else {
        return Err("holds no certificate".to_owned());
    };
    let mut wrong = weaknesses(&parsed);
    let anchors: Vec<TrustAnchor<'_>> = roots
        .iter()
        .filter_map(|root| webpki::anchor_from_trusted_cert(root).ok())
        .collect();
    let intermediates = chain.get(1..).unwrap_or_default();
    let verified = EndEntityCert::try_from(first).and_then(|leaf| {
        leaf.verify_for_usage(
            aws_lc_rs::default_provider()
                .signature_verification_algorithms
                .all,
            &anchors,
            intermediates,
            UnixTime::since_unix_epoch(Duration::from_secs(now.0)),
            KeyUsage::server_auth(),
            None,
            None,
        )
        .map(|_| ())
    });
    match verified {
        Ok(()) => wrong.extend(disorder(&parsed)),
        // A weak signature is no signature; that was said.
        Err(_) if !wrong.is_empty() => {}
        Err(why) => wrong.push(diagnosis(&parsed, roots, now, &why)),
    }
    let summary = format!(
        "{}, by {}, until {}: the chain of {} leads to a root of this machine's {}",
        leaf.subject(),
        leaf.issuer(),
        leaf.validity().not_after,
        chain.len(),
        roots.len()
    );
    Ok(Seen { summary, wrong })
}

/// Why a chain leads to no root.
fn diagnosis(
    chain: &[X509Certificate<'_>],
    roots: &[CertificateDer<'_>],
    now: UnixSeconds,
    why: &webpki::Error,
) -> Wrong {
    let Some(leaf) = chain.first() else {
        return error("holds no certificate".to_owned(), "");
    };
    if is_own_issuer(leaf) {
        return error(
            format!(
                "shows {}, which is self-signed: no channel accepts it",
                leaf.subject()
            ),
            "get a certificate of a public authority",
        );
    }
    let now = i64::try_from(now.0).unwrap_or(i64::MAX);
    let outdated = chain.iter().find(|certificate| {
        let validity = certificate.validity();
        now < validity.not_before.timestamp() || now > validity.not_after.timestamp()
    });
    if let Some(certificate) = outdated {
        return error(
            format!(
                "holds {}, which is valid from {} to {} only",
                certificate.subject(),
                certificate.validity().not_before,
                certificate.validity().not_after
            ),
            "renew the whole chain; and check this machine's clock",
        );
    }
    let top = top_of(chain);
    let issuer = top.issuer();
    if is_own_issuer(top) {
        return error(
            format!(
                "leads to {}, which is in the file but not among this machine's {} roots: a private authority",
                top.subject(),
                roots.len()
            ),
            "channels trust public authorities only: get a certificate of one",
        );
    }
    let is_root = roots.iter().any(|root| {
        X509Certificate::from_der(root)
            .is_ok_and(|(_, root)| root.subject().as_raw() == issuer.as_raw())
    });
    if is_root {
        return error(
            format!("leads to {issuer}, a root, but cannot be verified: {why}"),
            "export the full chain again, as your authority gives it",
        );
    }
    let at = match where_issuer_is(top) {
        Some(url) => format!(" (it is at {url})"),
        None => String::new(),
    };
    error(
        format!(
            "misses an intermediate: {} is signed by {issuer}, which is neither in the file nor a root of this machine",
            top.subject()
        ),
        format!(
            "put that certificate{at} behind the server's own in the file: authorities call the whole a full chain; browsers find it by themselves, channels do not. If it is an authority of your own, no channel trusts it"
        ),
    )
}

/// The certificate that the file leads to from the first.
fn top_of<'c, 'a>(chain: &'c [X509Certificate<'a>]) -> &'c X509Certificate<'a> {
    let mut rest: Vec<&X509Certificate<'_>> = chain.iter().collect();
    let mut top = rest.remove(0);
    while let Some(at) = rest
        .iter()
        .position(|next| next.subject().as_raw() == top.issuer().as_raw())
    {
        top = rest.remove(at);
    }
    top
}

fn is_own_issuer(certificate: &X509Certificate<'_>) -> bool {
    certificate.issuer().as_raw() == certificate.subject().as_raw()
}

/// A chain that leads to a root only if its certificates are sorted first.
fn disorder(chain: &[X509Certificate<'_>]) -> Option<Wrong> {
    let broken = chain
        .iter()
        .zip(chain.iter().skip(1))
        .find(|(one, next)| one.issuer().as_raw() != next.subject().as_raw())?;
    Some(Wrong {
        severity: Severity::Warning,
        what: format!(
            "is in the wrong order: {} is followed by {}, which did not sign it",
            broken.0.subject(),
            broken.1.subject()
        ),
        hint: "put the server's own certificate first, then each one's issuer (RFC 5246 7.4.2); take out what is not of the chain".to_owned(),
    })
}

/// Signatures and keys that nobody accepts any more. A root's own signature counts for nothing.
fn weaknesses(chain: &[X509Certificate<'_>]) -> Vec<Wrong> {
    const MIN_RSA_BITS: usize = 2048;
    // MD5 and SHA-1 with RSA, SHA-1 with DSA and ECDSA.
    const WEAK: &[&str] = &[
        "1.2.840.113549.1.1.4",
        "1.2.840.113549.1.1.5",
        "1.2.840.10040.4.3",
        "1.2.840.10045.4.1",
    ];
    let mut wrong = Vec::new();
    for certificate in chain {
        let subject = certificate.subject();
        let algorithm = certificate.signature_algorithm.algorithm.to_id_string();
        if !is_own_issuer(certificate) && WEAK.contains(&algorithm.as_str()) {
            wrong.push(error(
                format!("holds {subject}, whose signature is made with SHA-1 or MD5"),
                "get a certificate signed with SHA-256",
            ));
        }
        if let Ok(x509_parser::public_key::PublicKey::RSA(key)) = certificate.public_key().parsed()
            && key.key_size() < MIN_RSA_BITS
        {
            wrong.push(error(
                format!("holds {subject}, whose RSA key has {} bits", key.key_size()),
                "get a certificate for a key of at least 2048 bits",
            ));
        }
    }
    wrong
}

/// Where a certificate says its issuer's can be had (RFC 5280 4.2.2.1).
fn where_issuer_is<'a>(certificate: &X509Certificate<'a>) -> Option<&'a str> {
    const CA_ISSUERS: &str = "1.3.6.1.5.5.7.48.2";
    certificate.extensions().iter().find_map(|extension| {
        let ParsedExtension::AuthorityInfoAccess(access) = extension.parsed_extension() else {
            return None;
        };
        access.iter().find_map(|entry| match entry.access_location {
            GeneralName::URI(url) if entry.access_method.to_id_string() == CA_ISSUERS => Some(url),
            _ => None,
        })
    })
}

#[cfg(test)]
mod tests;
