//! The last good documents on disk, so that a restart during an outage still serves.
//!
//! Public keys are no secret, but whoever can change them can make tokens: the file is readable and writable by its owner only,
//! is used only if it still is and the owner is this process, carries a checksum against torn writes, and counts no longer than
//! keys in memory would.

use crate::config::{KeyOrigin, KeySource};
use crate::judge::{KeySet, UnixSeconds};
use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use uuid::Uuid;

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
/// A key set of 8 MiB, escaped as a JSON string.
const MAX_BYTES: u64 = 32 * 1024 * 1024;

impl Store {
    /// The place of a source's documents; keys from a local file need none.
    pub(super) fn new(dir: &Path, source: &KeySource) -> Option<Self> {
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
            KeyOrigin::EntraTenant { keys, .. } => keys.first()?.clone(),
            KeyOrigin::KeySet(address) => address.clone(),
            KeyOrigin::File(_) => return None,
        };
        Some(Self {
            file: dir.join(format!("{name}.json")),
            metadata,
        })
    }

    /// The saved keys and when they were fetched; nothing where there are none, or none that can be trusted.
    pub(super) fn load(
        &self,
        max_age: Duration,
        now: UnixSeconds,
    ) -> Option<(KeySet, UnixSeconds)> {
        let saved = match self.read() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => return self.ignore(&error.to_string()),
            Ok(bytes) => serde_json::from_slice::<Saved>(&bytes),
        };
        let saved =
            match saved {
                Ok(saved) if saved.format == FORMAT && saved.metadata == self.metadata => saved,
                Ok(_) => return self.ignore(
                    "written for another metadata address or format; the next fetch replaces it",
                ),
                Err(error) => return self.ignore(&error.to_string()),
            };
        if saved.sha256 != checksum(&saved) {
            return self.ignore("its checksum does not fit; it was changed or cut, delete it and look at who can write there");
        }
        if saved.fetched_at > now.0 || now.0.saturating_sub(saved.fetched_at) >= max_age.as_secs() {
            return self.ignore("older than keys.max_stale, or from the future: if the clock is right, keys come from the network only");
        }
        match KeySet::parse(saved.keys.as_bytes()) {
            Ok(keys) => Some((keys, UnixSeconds(saved.fetched_at))),
            Err(problem) => self.ignore(&problem.to_string()),
        }
    }

    /// Reads the file if nobody else can have written it. The open file is asked, not its name, which could lead elsewhere by then.
    fn read(&self) -> io::Result<Vec<u8>> {
        // A pipe is refused before it is opened, which could take for ever.
        if !fs::metadata(&self.file)?.is_file() {
            return Err(io::Error::other("it is not a regular file; remove it"));
        }
        let file = File::open(&self.file)?;
        let state = file.metadata()?;
        let own = nix::unistd::geteuid().as_raw();
        if state.uid() != own {
            return Err(io::Error::other(format!(
                "it belongs to user {}, botgate runs as user {own}; remove it, or chown it to that user if nobody else could write it",
                state.uid()
            )));
        }
        if state.mode() & 0o022 != 0 {
            return Err(io::Error::other(format!(
                "others can write it (mode {:03o}), and whoever does can make tokens; remove it, or chmod 600 it if you trust its content",
                state.mode() & 0o777
            )));
        }
        if state.len() > MAX_BYTES {
            return Err(io::Error::other(
                "it is larger than any that botgate writes; remove it",
            ));
        }
        let mut bytes = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn ignore<T>(&self, why: &str) -> Option<T> {
        tracing::warn!(event = "key_cache_ignored", file = %self.file.display(), why, "the saved keys are not used");
        None
    }

    /// Writes atomically: a reader sees the old file or the new one.
    pub(super) fn save(&self, key_document: &[u8], fetched_at: UnixSeconds) -> io::Result<()> {
        let keys = str::from_utf8(key_document)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the key set is not UTF-8"))?;
        let mut saved = Saved {
            format: FORMAT,
            metadata: self.metadata.clone(),
            fetched_at: fetched_at.0,
            sha256: String::new(),
            keys: keys.to_owned(),
        };
        saved.sha256 = checksum(&saved);
        let content = serde_json::to_vec(&saved)?;
        let dir = self.file.parent().unwrap_or(Path::new("."));
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)?;
        // A name that nobody can foresee, and that must be new: nothing that stands there already is followed or written into.
        let temporary = self.file.with_extension(format!("{}.tmp", Uuid::new_v4()));
        let replaced =
            write_new(&temporary, &content).and_then(|()| fs::rename(&temporary, &self.file));
        if replaced.is_err() {
            // It may not even be there; what counts is why the file was not replaced.
            let _removed = fs::remove_file(&temporary);
        }
        replaced?;
        // So that the new name, too, outlives a power cut.
        File::open(dir)?.sync_all()
    }
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)?;
    file.sync_all()
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    const FETCHED: UnixSeconds = UnixSeconds(1_000_000);
    const NOW: UnixSeconds = UnixSeconds(1_000_060);
    const MAX_AGE: Duration = Duration::from_secs(3600);

    fn store(dir: &Path, metadata: &str) -> Store {
        let source = KeySource {
            name: "lab".to_owned(),
            issuer: "https://api.botframework.com".to_owned(),
            origin: KeyOrigin::Entra {
                metadata: metadata.to_owned(),
                key_hosts: vec![],
            },
        };
        Store::new(dir, &source).unwrap()
    }

    fn key_set() -> String {
        crate::judge::token::fit_key_set("one")
    }

    /// A store that holds keys, and the directory it is in.
    fn filled() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir.path().join("var/keys"), "https://one.example");
        store.save(key_set().as_bytes(), FETCHED).unwrap();
        (dir, store)
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name();
        entries
            .map(|entry| name(entry).into_string().unwrap())
            .collect()
    }

    #[test]
    fn what_was_saved_is_loaded_and_only_the_owner_can_touch_it() {
        let (_dir, store) = filled();
        let (keys, fetched_at) = store.load(MAX_AGE, NOW).unwrap();
        assert_eq!((keys.len(), fetched_at), (1, FETCHED));
        let dir = store.file.parent().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(&store.file), mode(dir)), (0o600, 0o700));
        assert_eq!(names(dir), ["lab.json"], "nothing temporary is left");
    }

    #[test]
    fn age_counts_as_it_does_in_memory() {
        let (_dir, store) = filled();
        let at = |seconds| UnixSeconds(FETCHED.0 + seconds);
        assert!(store.load(MAX_AGE, at(3599)).is_some());
        assert!(store.load(MAX_AGE, at(3600)).is_none());
        assert!(store.load(MAX_AGE, UnixSeconds(FETCHED.0 - 1)).is_none());
    }

    #[test]
    fn a_file_that_others_can_write_is_not_used() {
        let (_dir, store) = filled();
        for (mode, is_used) in [
            (0o620, false),
            (0o602, false),
            (0o666, false),
            (0o644, true),
            (0o400, true),
        ] {
            fs::set_permissions(&store.file, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(store.load(MAX_AGE, NOW).is_some(), is_used, "{mode:o}");
        }
        fs::set_permissions(&store.file, fs::Permissions::from_mode(0o620)).unwrap();
        let why = store.read().unwrap_err().to_string();
        assert!(
            why.contains("mode 620") && why.contains("chmod 600"),
            "{why}"
        );
    }

    #[test]
    fn a_file_of_another_user_is_not_used() {
        let (_dir, store) = filled();
        if !nix::unistd::geteuid().is_root() {
            return; // Only root can give files away.
        }
        std::os::unix::fs::chown(&store.file, Some(65_534), None).unwrap();
        let why = store.read().unwrap_err().to_string();
        assert!(why.contains("user 65534") && why.contains("chown"), "{why}");
        assert!(store.load(MAX_AGE, NOW).is_none());
    }

    #[test]
    fn damage_of_any_kind_is_noticed() {
        let (_dir, store) = filled();
        let good = fs::read_to_string(&store.file).unwrap();
        for damaged in [
            good.replace("\"fetched_at\":1000000", "\"fetched_at\":1000001"),
            good.replace("one.example", "two.example"),
            good.replace("\"format\":1", "\"format\":2"),
            good.replace("AQAB", "AQAC"),
            good[..good.len() / 2].to_owned(),
            String::new(),
        ] {
            assert_ne!(damaged, good);
            fs::write(&store.file, damaged).unwrap();
            assert!(store.load(MAX_AGE, NOW).is_none());
        }
        fs::write(&store.file, good).unwrap();
        assert!(store.load(MAX_AGE, NOW).is_some());
        let elsewhere = self::store(store.file.parent().unwrap(), "https://two.example");
        assert!(elsewhere.load(MAX_AGE, NOW).is_none());
    }

    #[test]
    fn links_are_neither_written_through_nor_left_in_the_way() {
        let (dir, store) = filled();
        let victim = dir.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        fs::remove_file(&store.file).unwrap();
        symlink(&victim, &store.file).unwrap();
        store.save(key_set().as_bytes(), FETCHED).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        assert!(fs::symlink_metadata(&store.file).unwrap().is_file());
        assert!(store.load(MAX_AGE, NOW).is_some());
        assert!(write_new(&store.file, b"").is_err(), "it must be new");
    }

    #[test]
    fn what_cannot_be_saved_leaves_the_old_file_and_no_rubbish() {
        let (_dir, store) = filled();
        assert!(store.save(b"\xff", NOW).is_err());
        let dir = store.file.parent().unwrap();
        assert_eq!(names(dir), ["lab.json"]);
        fs::remove_file(&store.file).unwrap();
        fs::create_dir_all(store.file.join("in the way")).unwrap();
        assert!(store.save(key_set().as_bytes(), NOW).is_err());
        assert_eq!(names(dir), ["lab.json"]);
        assert!(store.load(MAX_AGE, NOW).is_none(), "a directory is no file");
    }
}
