//! Reads a certificate and its key from PEM files.

use super::{Certificate, TlsProblem};
use crate::judge::UnixSeconds;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io::Read as _;
use std::path::Path;

/// Loads a chain and its key: PKCS#8, PKCS#1 or SEC1, each in PEM.
///
/// # Errors
/// A file is missing, holds something else, or does not belong to the other.
pub fn load(cert: &Path, key: &Path, now: UnixSeconds) -> Result<Certificate, TlsProblem> {
    let cert_text = read(cert, "certificate")?;
    let key_text = read(key, "private key")?;
    let is_swapped = holds_key(&cert_text) && !holds_key(&key_text) && holds_certificate(&key_text);
    if is_swapped {
        return Err(problem(
            cert,
            "this is the private key, and the other file is the certificate",
            "swap cert and key in [server.tls]",
        ));
    }
    let chain = chain(cert, &cert_text)?;
    Certificate::check(chain, private_key(key, &key_text)?, cert, now)
}

/// The same of text that is not in a file yet, but in `path` soon.
///
/// # Errors
/// As [`load`].
pub(super) fn of_text(
    path: &Path,
    cert: &[u8],
    key: &[u8],
    now: UnixSeconds,
) -> Result<Certificate, TlsProblem> {
    Certificate::check(chain(path, cert)?, private_key(path, key)?, path, now)
}

fn chain(path: &Path, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsProblem> {
    let chain = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| broken(path, &error))?;
    if !chain.is_empty() {
        return Ok(chain);
    }
    let what = if holds_key(text) {
        "there is a private key in this file, but no certificate"
    } else if is_der(text) {
        "this is not a PEM file, but perhaps a certificate in DER or PKCS#12"
    } else {
        "there is no certificate in this file"
    };
    Err(problem(
        path,
        what,
        "give the full chain in PEM: blocks that begin with -----BEGIN CERTIFICATE-----",
    ))
}

fn private_key(path: &Path, text: &[u8]) -> Result<PrivateKeyDer<'static>, TlsProblem> {
    let encrypted = || {
        let hint = "the gateway cannot ask for a passphrase; remove it with: openssl pkey -in OLD.key -out NEW.key";
        problem(path, "the private key is encrypted", hint)
    };
    // PKCS#8 says so in the marker, the older forms in a header (RFC 1421 section 4.6.1.1).
    if contains(text, b"ENCRYPTED PRIVATE KEY-----") || contains(text, b"Proc-Type: 4,ENCRYPTED") {
        return Err(encrypted());
    }
    match PrivateKeyDer::from_pem_slice(text) {
        Ok(key) => Ok(key),
        Err(PemError::NoItemsFound) => {
            let what = if holds_certificate(text) {
                "there is a certificate in this file, but no private key"
            } else if contains(text, b"BEGIN OPENSSH PRIVATE KEY") {
                "this is a key for SSH"
            } else if is_der(text) {
                "this is not a PEM file, but perhaps a key in DER or PKCS#12"
            } else {
                "there is no private key in this file"
            };
            let hint = "give the key in PEM: a block that begins with -----BEGIN PRIVATE KEY-----, RSA PRIVATE KEY or EC PRIVATE KEY";
            Err(problem(path, what, hint))
        }
        Err(error) => Err(broken(path, &error)),
    }
}

/// Reads what is a file, and no larger than any certificate or key: who waits for a pipe waits for ever.
pub(super) fn read_whole(path: &Path) -> std::io::Result<Vec<u8>> {
    const MAX_BYTES: u64 = 1024 * 1024;
    let metadata = path.metadata()?;
    if !metadata.is_file() {
        return Err(std::io::Error::other("it is no regular file"));
    }
    if metadata.len() > MAX_BYTES {
        return Err(std::io::Error::other(format!(
            "it is larger than {MAX_BYTES} bytes"
        )));
    }
    let mut content = Vec::new();
    std::fs::File::open(path)?
        .take(MAX_BYTES)
        .read_to_end(&mut content)?;
    Ok(content)
}

fn read(path: &Path, content: &str) -> Result<Vec<u8>, TlsProblem> {
    read_whole(path).map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::NotFound => "put the file there, or set server.tls.cert and server.tls.key; to try botgate out, source = \"self-signed\" needs no files",
            std::io::ErrorKind::PermissionDenied => "let the user that botgate runs as read it",
            _ => "check the path",
        };
        problem(path, &format!("the {content} cannot be read: {error}"), hint)
    })
}

fn holds_certificate(text: &[u8]) -> bool {
    contains(text, b"-----BEGIN CERTIFICATE-----")
}

fn holds_key(text: &[u8]) -> bool {
    contains(text, b"PRIVATE KEY-----")
}

/// DER of a certificate, a key or a PKCS#12 file begins with a SEQUENCE of two length bytes.
fn is_der(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x30, 0x82])
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn broken(path: &Path, error: &PemError) -> TlsProblem {
    // The library shows the lines as lists of numbers.
    let what = match error {
        PemError::MissingSectionEnd { end_marker } => {
            let end = String::from_utf8_lossy(end_marker);
            format!("the line -----END {end}----- is missing")
        }
        PemError::IllegalSectionStart { .. } => {
            "a line that begins with -----BEGIN does not end with -----".to_owned()
        }
        other => other.to_string(),
    };
    problem(
        path,
        &format!("the PEM is damaged: {what}"),
        "copy the file again, whole",
    )
}

fn problem(path: &Path, what: &str, hint: &str) -> TlsProblem {
    TlsProblem {
        path: Some(path.to_owned()),
        what: what.to_owned(),
        hint: hint.to_owned(),
    }
}
