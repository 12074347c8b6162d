//! Certificates from files.

use super::*;
use aws_lc_rs::encoding::{AsDer, EcPrivateKeyRfc5915Der};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, IsCa, Issuer, RsaKeySize, SignatureAlgorithm};

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
    let sec1 = AsDer::<EcPrivateKeyRfc5915Der<'_>>::as_der(&pair.private_key()).unwrap();
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
            "server.pem: the PEM is damaged: the line -----END CERTIFICATE----- is missing",
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
    assert!(warned(
        NOW.0 - 60 * DAY,
        NOW.0 + 2 * DAY,
        "expires in 48 hours"
    ));
    assert!(!warned(NOW.0 - 60 * DAY, NOW.0 + 15 * DAY, "expires"));
    // Of a short life, days are much: a quarter is what has to be left.
    assert!(!warned(NOW.0 - 4 * DAY, NOW.0 + 2 * DAY, "expires"));
    assert!(warned(NOW.0 - 5 * DAY, NOW.0 + DAY, "expires in 24 hours"));
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
