//! Tests of certificates. Keys and certificates are made here: none is ever committed.

use super::*;
use crate::tls::{files, self_signed};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, RsaKeySize, SignatureAlgorithm,
};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, ServerConnection};
use std::fs;
use std::path::Path;
use tempfile::TempDir;
use time::OffsetDateTime;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
const DAY: u64 = 24 * 3600;

/// Two files that belong together, in a directory of their own.
struct Pair {
    dir: TempDir,
}

impl Pair {
    fn new(cert: &str, key: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pair = Self { dir };
        fs::write(pair.cert(), cert).unwrap();
        fs::write(pair.key(), key).unwrap();
        restrict(&pair.key(), 0o600);
        pair
    }

    fn cert(&self) -> PathBuf {
        self.dir.path().join("server.pem")
    }

    fn key(&self) -> PathBuf {
        self.dir.path().join("server.key")
    }

    fn load(&self) -> Result<Certificate, TlsProblem> {
        files::load(&self.cert(), &self.key(), NOW)
    }
}

fn restrict(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn moment(seconds: u64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).unwrap()).unwrap()
}

fn params(from: u64, until: u64) -> CertificateParams {
    let mut params =
        CertificateParams::new(["bot.example.com".to_owned(), "192.0.2.1".to_owned()]).unwrap();
    params.not_before = moment(from);
    params.not_after = moment(until);
    params
}

fn key() -> KeyPair {
    KeyPair::generate().unwrap()
}

/// A certificate for `key`, valid from a day ago for a hundred days.
fn certificate_for(key: &KeyPair) -> String {
    params(NOW.0 - DAY, NOW.0 + 100 * DAY)
        .self_signed(key)
        .unwrap()
        .pem()
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

/// The RSAPrivateKey of PKCS#1 is what stands in the OCTET STRING at the end of PKCS#8 (RFC 5208 section 5, RFC 8017
/// appendix A.1.2). For RSA keys of 2048 bits, 26 bytes stand before it.
fn pkcs1(pkcs8: &[u8]) -> &[u8] {
    assert_eq!(pkcs8[22..24], [0x04, 0x82]);
    &pkcs8[26..]
}

fn what(outcome: Result<Certificate, TlsProblem>) -> String {
    outcome.map(|_| ()).unwrap_err().to_string()
}

#[test]
fn every_key_format_is_read() {
    let algorithms: [&'static SignatureAlgorithm; 3] = [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ED25519,
    ];
    for algorithm in algorithms {
        let key = KeyPair::generate_for(algorithm).unwrap();
        Pair::new(&certificate_for(&key), &key.serialize_pem())
            .load()
            .unwrap();
    }
    let rsa = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let certificate = certificate_for(&rsa);
    Pair::new(&certificate, &pem("PRIVATE KEY", rsa.serialized_der()))
        .load()
        .unwrap();
    Pair::new(
        &certificate,
        &pem("RSA PRIVATE KEY", pkcs1(rsa.serialized_der())),
    )
    .load()
    .unwrap();

    let ec = key();
    let pair =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, ec.serialized_der()).unwrap();
    let sec1 =
        AsDer::<aws_lc_rs::encoding::EcPrivateKeyRfc5915Der<'_>>::as_der(&pair.private_key())
            .unwrap();
    Pair::new(&certificate_for(&ec), &pem("EC PRIVATE KEY", sec1.as_ref()))
        .load()
        .unwrap();
}

#[test]
fn what_is_known_of_the_certificate_is_true() {
    let key = key();
    let certificate = Pair::new(&certificate_for(&key), &key.serialize_pem())
        .load()
        .unwrap();
    assert_eq!(certificate.names, ["bot.example.com"]);
    assert_eq!(certificate.expires, UnixSeconds(NOW.0 + 100 * DAY));
    assert_eq!(certificate.warnings.len(), 1, "{:?}", certificate.warnings);
    assert!(certificate.warnings[0].contains("self-signed"));
}

#[test]
fn one_file_may_hold_both() {
    let key = key();
    let both = format!("{}{}", certificate_for(&key), key.serialize_pem());
    Pair::new(&both, &both).load().unwrap();
}

#[test]
fn every_mistake_is_told_by_its_name() {
    let (one, other) = (key(), key());
    let (cert, private) = (certificate_for(&one), one.serialize_pem());
    let legacy = private.replace(
        "KEY-----\n",
        "KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n",
    );
    for (cert, key, message) in [
        (private.as_str(), cert.as_str(), "swap cert and key"),
        (
            private.as_str(),
            private.as_str(),
            "server.pem: there is a private key in this file, but no certificate",
        ),
        (
            "hello",
            private.as_str(),
            "server.pem: there is no certificate in this file",
        ),
        ("", "", "server.pem: there is no certificate in this file"),
        ("0\u{82}", private.as_str(), "no certificate in this file"),
        (
            cert.as_str(),
            cert.as_str(),
            "server.key: there is a certificate in this file, but no private key",
        ),
        (
            cert.as_str(),
            "hello",
            "server.key: there is no private key in this file",
        ),
        (
            cert.as_str(),
            &other.serialize_pem(),
            "server.pem: the private key is not the key of this certificate",
        ),
        (
            cert.as_str(),
            &pem("ENCRYPTED PRIVATE KEY", b"0000"),
            "server.key: the private key is encrypted",
        ),
        (
            cert.as_str(),
            &legacy,
            "server.key: the private key is encrypted",
        ),
        (
            cert.as_str(),
            &pem("OPENSSH PRIVATE KEY", b"0000"),
            "server.key: this is a key for SSH",
        ),
        (
            cert.as_str(),
            &pem("PRIVATE KEY", b"0000"),
            "the private key for it cannot be used",
        ),
        (
            cert.as_str(),
            "-----BEGIN PRIVATE KEY-----\n!!\n-----END PRIVATE KEY-----\n",
            "server.key: the PEM is damaged",
        ),
        (
            &cert[..cert.len() - 30],
            private.as_str(),
            "server.pem: the PEM is damaged",
        ),
        (
            &pem("CERTIFICATE", b"0000"),
            private.as_str(),
            "server.pem: the certificate cannot be read",
        ),
    ] {
        let told = what(Pair::new(cert, key).load());
        assert!(told.contains(message), "{told:?} should say {message:?}");
        assert!(
            !told.contains("BEGIN PRIVATE KEY-----\n"),
            "{told} shows the key"
        );
    }
}

#[test]
fn a_missing_file_is_told_with_a_way_out() {
    let pair = Pair::new("", "");
    fs::remove_file(pair.cert()).unwrap();
    let told = what(pair.load());
    assert!(
        told.contains("server.pem: the certificate cannot be read"),
        "{told}"
    );
    assert!(told.contains("self-signed"), "{told}");
}

#[test]
fn a_certificate_is_used_only_while_it_is_valid() {
    let key = key();
    let load = |from, until| {
        let certificate = params(from, until).self_signed(&key).unwrap().pem();
        Pair::new(&certificate, &key.serialize_pem()).load()
    };
    let told = what(load(NOW.0 - 100 * DAY, NOW.0 - 3 * DAY));
    assert!(told.contains("expired 3 days ago"), "{told}");
    assert!(
        load(NOW.0 - DAY, NOW.0).is_ok(),
        "the last second counts (RFC 5280 section 4.1.2.5)"
    );
    assert!(load(NOW.0 - DAY, NOW.0 - 1).is_err());
    let warned = |from, until, what: &str| {
        load(from, until)
            .unwrap()
            .warnings
            .iter()
            .any(|one| one.contains(what))
    };
    assert!(warned(
        NOW.0 + 3 * DAY,
        NOW.0 + 90 * DAY,
        "valid only in 3 days"
    ));
    assert!(warned(NOW.0 - DAY, NOW.0 + 2 * DAY, "expires in 48 hours"));
    assert!(!warned(NOW.0 - DAY, NOW.0 + 15 * DAY, "expires"));
    // Beyond 2049 the date is written in another form (RFC 5280 section 4.1.2.5.2).
    assert_eq!(
        load(0, 4_000_000_000).unwrap().expires,
        UnixSeconds(4_000_000_000)
    );
}

#[test]
fn a_chain_is_looked_at_in_its_order() {
    let (root_key, leaf_key) = (key(), key());
    let mut root = params(NOW.0 - DAY, NOW.0 + 100 * DAY);
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.distinguished_name
        .push(rcgen::DnType::CommonName, "a root");
    let root_pem = root.self_signed(&root_key).unwrap().pem();
    let leaf = params(NOW.0 - DAY, NOW.0 + 100 * DAY);
    let leaf_pem = leaf
        .signed_by(&leaf_key, &Issuer::from_params(&root, &root_key))
        .unwrap()
        .pem();
    let load = |chain: &[&str]| Pair::new(&chain.concat(), &leaf_key.serialize_pem()).load();

    assert_eq!(load(&[&leaf_pem, &root_pem]).unwrap().warnings, [""; 0]);
    assert!(load(&[&leaf_pem]).unwrap().warnings[0].contains("no intermediate certificates"));
    assert!(load(&[&leaf_pem, &leaf_pem]).unwrap().warnings[0].contains("not in order"));
    let told = what(load(&[&root_pem, &leaf_pem]));
    assert!(told.contains("belongs to a later certificate"), "{told}");
}

#[test]
fn a_key_that_others_can_read_is_warned_about() {
    let key = key();
    let pair = Pair::new(&certificate_for(&key), &key.serialize_pem());
    restrict(&pair.key(), 0o640);
    let warnings = pair.load().unwrap().warnings;
    assert!(
        warnings
            .iter()
            .any(|one| one.contains("mode 640") && one.contains("chmod 600")),
        "{warnings:?}"
    );
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_self_signed_certificate_is_made_once_and_then_kept() {
    let dir = tempfile::tempdir().unwrap();
    let certs = dir.path().join("certs");
    let wanted = names(&["localhost", "127.0.0.1", "::1"]);
    let make = |names: &[String], now| self_signed::load_or_make(&certs, names, now).unwrap();
    let chain = |certificate: &Certificate| certificate.certified.cert.clone();

    let first = make(&wanted, NOW);
    assert_eq!(first.names, wanted);
    let mode = {
        use std::os::unix::fs::PermissionsExt;
        fs::metadata(certs.join("self-signed.key"))
            .unwrap()
            .permissions()
            .mode()
    };
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(chain(&make(&wanted, NOW)), chain(&first), "kept");
    let reordered = names(&["::1", "localhost", "127.0.0.1"]);
    assert_eq!(
        chain(&make(&reordered, NOW)),
        chain(&first),
        "the order of names means nothing"
    );

    let almost_over = UnixSeconds(first.expires.0 - DAY);
    assert_ne!(
        chain(&make(&wanted, almost_over)),
        chain(&first),
        "made anew in time"
    );
    let second = make(&wanted, NOW);
    let others = make(&names(&["localhost"]), NOW);
    assert_ne!(chain(&others), chain(&second), "made for other names");
    fs::write(certs.join("self-signed.key"), "damaged").unwrap();
    assert_ne!(
        chain(&make(&names(&["localhost"]), NOW)),
        chain(&others),
        "made anew where the key is damaged"
    );
}

#[test]
fn a_directory_that_cannot_be_written_is_only_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let certificate =
        self_signed::load_or_make(&file.join("certs"), &names(&["localhost"]), NOW).unwrap();
    assert!(
        certificate
            .warnings
            .iter()
            .any(|one| one.contains("cannot be kept")),
        "{:?}",
        certificate.warnings
    );
    let told = what(self_signed::load_or_make(
        dir.path(),
        &names(&["bücher.example"]),
        NOW,
    ));
    assert!(told.contains("bücher.example"), "{told}");
}

/// Shakes hands in memory; the version and protocol both sides agree on.
fn handshake(
    server: &Loaded,
    trusted: &Path,
    name: &str,
    versions: &[&'static rustls::SupportedProtocolVersion],
    alpn: &[&str],
) -> Result<(ProtocolVersion, Option<Vec<u8>>), rustls::Error> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(trusted).unwrap())
        .unwrap();
    let provider = Arc::new(aws_lc_rs_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
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
    Ok((
        client.protocol_version().unwrap(),
        client.alpn_protocol().map(<[u8]>::to_vec),
    ))
}

fn aws_lc_rs_provider() -> rustls::crypto::CryptoProvider {
    rustls::crypto::aws_lc_rs::default_provider()
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
        min_version,
        handshake_timeout: std::time::Duration::ZERO,
    };
    let open = server_config(&settings(TlsVersion::V1_2)).unwrap().unwrap();
    let strict = server_config(&settings(TlsVersion::V1_3)).unwrap().unwrap();
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
    assert_eq!(open.origin, "self-signed");
}

#[test]
fn off_is_off() {
    let tls = Tls {
        source: TlsSource::Off,
        min_version: TlsVersion::V1_2,
        handshake_timeout: std::time::Duration::ZERO,
    };
    assert!(server_config(&tls).unwrap().is_none());
}
