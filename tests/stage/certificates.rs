//! A certificate authority for one run, and what it signs. No key outlives the scratch directory.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The authority that bot, gateway and test client are told to trust.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "botgate test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    /// Writes the authority's own certificate.
    pub(crate) fn write(&self, file: &Path) {
        std::fs::write(file, self.certificate.pem()).unwrap();
    }

    /// What the test client trusts.
    pub(crate) fn roots(&self) -> rustls::RootCertStore {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        roots
    }

    /// A certificate for `names`, for use in this process.
    pub(crate) fn issue(
        &self,
        names: &[&str],
    ) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let (certificate, key) = self.sign(names);
        (
            certificate.der().clone(),
            PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
    }

    /// A certificate for `names` as the two files an operator would have.
    pub(crate) fn issue_files(&self, names: &[&str], certificate_file: &Path, key_file: &Path) {
        let (certificate, key) = self.sign(names);
        std::fs::write(certificate_file, certificate.pem()).unwrap();
        let owner_only = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(key_file);
        std::io::Write::write_all(&mut owner_only.unwrap(), key.serialize_pem().as_bytes())
            .unwrap();
    }

    fn sign(&self, names: &[&str]) -> (rcgen::Certificate, KeyPair) {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let key = KeyPair::generate().unwrap();
        (
            CertificateParams::new(names)
                .unwrap()
                .signed_by(&key, &self.issuer)
                .unwrap(),
            key,
        )
    }
}
