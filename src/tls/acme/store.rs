//! What is kept on disk between runs: the account at an authority, and the certificate with its key. A folder for each
//! directory URL: who tries out a staging directory first does not go on with its certificate.

use super::super::disk::replace;
use super::super::{Certificate, TlsProblem, files};
use crate::config::Acme;
use crate::judge::UnixSeconds;
use aws_lc_rs::digest::{SHA256, digest};
use instant_acme::AccountCredentials;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use url::Url;

#[derive(Debug)]
pub(super) struct Store {
    dir: PathBuf,
}

impl Store {
    pub(super) fn of(acme: &Acme) -> Self {
        let url = Url::parse(&acme.directory).ok();
        let host = url.as_ref().and_then(Url::host_str).unwrap_or("directory");
        let host: String = host
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') {
                    c
                } else {
                    '_'
                }
            })
            .collect();
        // A host may have several directories.
        let hash = digest(&SHA256, acme.directory.as_bytes());
        let short: String = hash
            .as_ref()
            .iter()
            .take(4)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self {
            dir: acme.storage.join(format!("{host}-{short}")),
        }
    }

    /// Makes the folder, for its owner only, and sees that it can be written: an account that cannot be kept is made anew at each
    /// start, until the authority has enough of it.
    ///
    /// # Errors
    /// It cannot.
    pub(super) fn prepare(&self) -> Result<(), TlsProblem> {
        let probe = self.dir.join("probe");
        let prepared = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.dir)
            .and_then(|()| replace(&probe, b"", 0o600))
            .and_then(|()| fs::remove_file(&probe));
        prepared.map_err(|error| TlsProblem {
            path: Some(self.dir.clone()),
            what: format!("account and certificate cannot be kept here: {error}"),
            hint: "let the user that botgate runs as write there, or name another folder in server.tls.acme.storage".to_owned(),
        })
    }

    /// The account; nothing where there is none yet.
    ///
    /// # Errors
    /// What is there cannot be read.
    pub(super) fn account(&self) -> Result<Option<AccountCredentials>, String> {
        let path = self.dir.join(ACCOUNT);
        match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("{}: {error}", path.display())),
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| {
                format!(
                    "{}: {error}; remove it, and an account is made anew",
                    path.display()
                )
            }),
        }
    }

    pub(super) fn keep_account(&self, account: &AccountCredentials) -> io::Result<()> {
        replace(
            &self.dir.join(ACCOUNT),
            &serde_json::to_vec(account)?,
            0o600,
        )
    }

    /// The certificate; nothing where there is none yet.
    pub(super) fn certificate(&self, now: UnixSeconds) -> Option<Result<Certificate, TlsProblem>> {
        let path = self.path();
        match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Ok(_) | Err(_) => Some(files::load(&path, &path, now)),
        }
    }

    /// Key and chain in one file, so that there is no moment in which they do not belong together.
    pub(super) fn keep_certificate(&self, key: &str, chain: &str) -> io::Result<()> {
        replace(&self.path(), format!("{key}{chain}").as_bytes(), 0o600)
    }

    pub(super) fn path(&self) -> PathBuf {
        self.dir.join("certificate.pem")
    }
}

const ACCOUNT: &str = "account.json";
