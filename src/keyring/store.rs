//! The last good documents on disk, so that a restart during an outage still serves.
//!
//! Public keys are no secret, but whoever can change them can make tokens: the file is readable and writable by its owner only,
//! carries a checksum against torn writes, and counts no longer than keys in memory would.

use super::fetch::Documents;
use crate::config::{KeyOrigin, KeySource};
use crate::judge::{KeySet, UnixSeconds};
use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Debug)]
pub(super) struct Store {
    file: PathBuf,
    metadata: String,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    format: u32,
    metadata: String,
    fetched_at: u64,
    sha256: String,
    keys: String,
}

const FORMAT: u32 = 1;

impl Store {
    pub(super) fn new(dir: &Path, source: &KeySource) -> Self {
        let name: String = source
            .name
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.') {
                    c
                } else {
                    '_'
                }
            })
            .collect();
        let metadata = match &source.origin {
            KeyOrigin::Connector { metadata, .. } | KeyOrigin::Entra { metadata, .. } => {
                metadata.clone()
            }
            KeyOrigin::EntraTenant { keys, .. } => keys.clone(),
            KeyOrigin::File(path) => path.display().to_string(),
        };
        Self {
            file: dir.join(format!("{name}.json")),
            metadata,
        }
    }

    /// The saved keys and when they were fetched; nothing where there are none, or none that can be trusted.
    pub(super) fn load(
        &self,
        max_age: Duration,
        now: UnixSeconds,
    ) -> Option<(KeySet, UnixSeconds)> {
        let saved = match std::fs::read(&self.file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => return self.ignore(&error.to_string()),
            Ok(bytes) => serde_json::from_slice::<Saved>(&bytes),
        };
        let saved = match saved {
            Ok(saved) if saved.format == FORMAT && saved.metadata == self.metadata => saved,
            Ok(_) => return self.ignore("written for another metadata address or format"),
            Err(error) => return self.ignore(&error.to_string()),
        };
        if saved.sha256 != checksum(&saved) {
            return self.ignore("its checksum does not fit");
        }
        if saved.fetched_at > now.0 || now.0.saturating_sub(saved.fetched_at) >= max_age.as_secs() {
            return self.ignore("too old, or from the future");
        }
        match KeySet::parse(saved.keys.as_bytes()) {
            Ok(keys) => Some((keys, UnixSeconds(saved.fetched_at))),
            Err(problem) => self.ignore(&problem.to_string()),
        }
    }

    fn ignore<T>(&self, why: &str) -> Option<T> {
        tracing::warn!(event = "key_cache_ignored", file = %self.file.display(), why, "the saved keys are not used");
        None
    }

    /// Writes atomically: a reader sees the old file or the new one.
    pub(super) fn save(&self, documents: &Documents, fetched_at: UnixSeconds) -> io::Result<()> {
        let keys = String::from_utf8(documents.key_document.to_vec())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the key set is not UTF-8"))?;
        let mut saved = Saved {
            format: FORMAT,
            metadata: self.metadata.clone(),
            fetched_at: fetched_at.0,
            sha256: String::new(),
            keys,
        };
        saved.sha256 = checksum(&saved);
        if let Some(dir) = self.file.parent() {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(dir)?;
        }
        let temporary = self
            .file
            .with_extension(format!("{}.tmp", std::process::id()));
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(&serde_json::to_vec(&saved)?)?;
        file.sync_all()?;
        std::fs::rename(&temporary, &self.file)
    }
}

/// Over everything that counts, so that an age cannot be edited without the rest.
fn checksum(saved: &Saved) -> String {
    let covered = format!("{}\n{}\n{}", saved.metadata, saved.fetched_at, saved.keys);
    digest(&SHA256, covered.as_bytes())
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
