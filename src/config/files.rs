//! The files that one reading of `gateway.toml` read, and whether they have changed since.

use super::text::read_file;
use aws_lc_rs::digest::{SHA256, digest};
use nix::errno::Errno;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Contents are compared, not times: a Kubernetes volume is exchanged as a whole, by a link, and its files may look older than before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files(BTreeMap<PathBuf, Content>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    /// Its digest. Never shown: of a short secret it is as good as the secret.
    Digest(Box<[u8]>),
    Unreadable,
    /// This process had no file descriptor left to look with: nothing is known of it.
    Unseen,
    /// No regular file: reading it a second time would wait, or take away what somebody else is to read.
    Stream,
}

/// More than any reading takes of a file.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

impl Files {
    /// A file was read.
    pub(super) fn note(&mut self, path: &Path, content: Result<&[u8], &io::Error>) {
        let content = match content {
            _ if is_stream(path) => Content::Stream,
            Ok(content) => Content::Digest(digest(&SHA256, content).as_ref().into()),
            Err(error) if lacks_descriptors(error) => Content::Unseen,
            Err(_) => Content::Unreadable,
        };
        self.0.insert(path.to_owned(), content);
    }

    /// These files too.
    pub(super) fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// The same files as they are now. Blocks for as long as reading them takes.
    #[must_use]
    pub fn now(&self) -> Self {
        let mut now = Self::default();
        for path in self.0.keys() {
            if is_stream(path) {
                now.0.insert(path.clone(), Content::Stream);
            } else {
                now.note(path, read_file(path, MAX_BYTES).as_deref());
            }
        }
        now
    }

    /// Whether each of them was looked at: one that could not be, for want of a file descriptor, may be as it was.
    pub fn are_seen(&self) -> bool {
        self.0.values().all(|content| *content != Content::Unseen)
    }

    /// One of the files that can be read only once, such as a pipe: it may keep whoever reads it again waiting for ever.
    pub fn stream(&self) -> Option<&Path> {
        let mut paths = self.0.keys().map(std::path::PathBuf::as_path);
        paths.find(|path| is_stream(path))
    }

    /// The files that both name, whose content is another one there.
    pub fn differing<'f>(&'f self, other: &'f Self) -> impl Iterator<Item = &'f Path> {
        self.0.iter().filter_map(|(path, content)| {
            let differs = other.0.get(path).is_some_and(|other| other != content);
            differs.then_some(path.as_path())
        })
    }
}

/// Whether this process, or the machine, has no file descriptor left: that says nothing about the file that was to be opened.
pub fn lacks_descriptors(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw);
    matches!(code, Some(Errno::EMFILE | Errno::ENFILE))
}

fn is_stream(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| !metadata.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn noted(path: &Path) -> Files {
        let mut files = Files::default();
        files.note(path, fs::read(path).as_deref());
        files
    }

    #[test]
    fn what_there_was_no_descriptor_for_is_not_seen() {
        let mut files = noted(Path::new("/dev/null/a"));
        assert!(files.are_seen(), "it is known that it cannot be read");
        for code in [Errno::EMFILE, Errno::ENFILE] {
            let error = io::Error::from(code);
            files.note(Path::new("gateway.toml"), Err(&error));
            assert!(!files.are_seen());
        }
        files.note(Path::new("gateway.toml"), Ok(b"[server]"));
        assert!(files.are_seen());
    }

    #[test]
    fn another_content_is_a_change_whatever_the_times_say() {
        let folder = tempfile::tempdir().unwrap();
        let (path, target) = (folder.path().join("a"), folder.path().join("data"));
        fs::write(&target, "one").unwrap();
        std::os::unix::fs::symlink(&target, &path).unwrap();
        let files = noted(&path);
        assert_eq!(files.now(), files);
        fs::write(&target, "one").unwrap();
        assert_eq!(files.now(), files, "written again, the same");
        let newer = folder.path().join("newer");
        fs::write(&newer, "two").unwrap();
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&newer, &path).unwrap();
        assert_ne!(files.now(), files, "the link leads elsewhere");
        assert_eq!(files.differing(&files.now()).next(), Some(path.as_path()));
        fs::remove_file(&newer).unwrap();
        assert_ne!(files.now(), files, "it is gone");
        assert_eq!(files.now(), files.now());
    }

    #[test]
    fn what_can_be_read_once_only_is_not_read_again() {
        let files = noted(Path::new("/dev/null"));
        assert_eq!(files.now(), files);
        assert!(matches!(files.0.values().next().unwrap(), Content::Stream));
    }
}
