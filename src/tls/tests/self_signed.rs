//! Certificates made here.

use super::*;
use crate::tls::self_signed;

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
