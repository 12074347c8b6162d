//! Tests of certificates. Keys and certificates are made here: none is ever committed.

mod files;
mod handshake;
mod self_signed;

use super::{Certificate, TlsProblem};
use crate::judge::UnixSeconds;
use rcgen::{CertificateParams, KeyPair};
use std::fs;
use std::path::{Path, PathBuf};
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
        super::files::load(&self.cert(), &self.key(), NOW)
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

fn what(outcome: Result<Certificate, TlsProblem>) -> String {
    outcome.map(|_| ()).unwrap_err().to_string()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
