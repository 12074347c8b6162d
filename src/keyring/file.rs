//! A key set in a local file, read again when it changes.

use bytes::Bytes;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;

/// How often is looked whether the file changed. Asking for its state costs next to nothing, and works on every file system,
/// which notifications do not.
const EVERY: Duration = Duration::from_secs(2);

/// What differs between two versions of a file: also when it is replaced by another of the same age and length, as links to
/// mounted configuration are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version {
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// The version of a file as it is now; `None` if there is none that could be read.
pub(super) async fn version(path: &Path) -> Option<Version> {
    let state = tokio::fs::metadata(path).await.ok()?;
    Some(Version {
        inode: state.ino(),
        length: state.len(),
        modified: (state.mtime(), state.mtime_nsec()),
        changed: (state.ctime(), state.ctime_nsec()),
    })
}

/// Waits until the file is another than this one.
pub(super) async fn changed(path: &Path, since: Option<Version>) {
    loop {
        tokio::time::sleep(EVERY).await;
        if version(path).await != since {
            return;
        }
    }
}

/// Reads the file whole.
///
/// # Errors
/// A sentence for the log: not there, no regular file (reading a pipe would never end), too large.
pub(super) async fn read(path: &Path, max_bytes: usize) -> Result<Bytes, String> {
    let problem = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let read = async {
        if !tokio::fs::metadata(path).await?.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        let at_most = u64::try_from(max_bytes).unwrap_or(u64::MAX);
        let mut document = Vec::new();
        let file = tokio::fs::File::open(path).await?;
        file.take(at_most.saturating_add(1))
            .read_to_end(&mut document)
            .await?;
        Ok(document)
    };
    let document = read.await.map_err(|error| problem(&error))?;
    if document.len() > max_bytes {
        return Err(problem(&format!("larger than {max_bytes} bytes")));
    }
    Ok(document.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn every_kind_of_change_is_noticed_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.json");
        let other = dir.path().join("other.json");
        let unchanged = |since| {
            let path = path.clone();
            async move {
                let long = Duration::from_secs(60);
                tokio::time::timeout(long, changed(&path, since))
                    .await
                    .is_err()
            }
        };
        assert!(unchanged(None).await, "there is still none");
        std::fs::write(&path, "one").unwrap();
        changed(&path, None).await;
        let first = version(&path).await;
        assert!(unchanged(first).await);
        std::fs::write(&path, "three").unwrap();
        changed(&path, first).await;
        let second = version(&path).await;
        std::fs::write(&other, "three").unwrap();
        std::fs::rename(&other, &path).unwrap();
        changed(&path, second).await;
        let third = version(&path).await;
        std::fs::remove_file(&path).unwrap();
        changed(&path, third).await;
    }

    #[tokio::test]
    async fn what_cannot_be_read_whole_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.json");
        assert!(read(&path, 3).await.is_err());
        assert!(read(dir.path(), 3).await.is_err());
        std::fs::write(&path, "one").unwrap();
        assert_eq!(read(&path, 3).await.unwrap(), "one");
        let larger = read(&path, 2).await.unwrap_err();
        assert!(
            larger.ends_with("keys.json: larger than 2 bytes"),
            "{larger}"
        );
    }
}
