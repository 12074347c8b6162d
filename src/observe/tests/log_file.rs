//! The log file: days, names, what is deleted, and a disk that fails.

use crate::observe::log_buffer::Output as _;
use crate::observe::log_file::{FileState, LogFile};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use time::OffsetDateTime;

/// 2026-01-31T23:59:50Z.
const EVENING: i64 = 1_769_903_990;

struct World {
    folder: TempDir,
    seconds: Arc<AtomicI64>,
    state: Arc<FileState>,
    file: Mutex<Option<LogFile>>,
}

impl World {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            seconds: Arc::new(AtomicI64::new(EVENING)),
            state: Arc::default(),
            file: Mutex::new(None),
        }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("logs/botgate.log")
    }

    fn open(&self) -> std::io::Result<()> {
        let seconds = Arc::clone(&self.seconds);
        let now =
            move || OffsetDateTime::from_unix_timestamp(seconds.load(Ordering::Relaxed)).unwrap();
        let file = LogFile::open(&self.path(), 7, Arc::clone(&self.state), Box::new(now))?;
        *self.file.lock().unwrap() = Some(file);
        Ok(())
    }

    fn put(&self, lines: &str) {
        let mut file = self.file.lock().unwrap();
        assert_eq!(file.as_mut().unwrap().put(lines.as_bytes()), 0);
    }

    fn pass(&self, seconds: i64) {
        self.seconds.fetch_add(seconds, Ordering::Relaxed);
    }

    /// Every file and what it holds, by name.
    fn files(&self) -> Vec<(String, String)> {
        let mut files: Vec<_> = fs::read_dir(self.path().parent().unwrap())
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                (name, fs::read_to_string(path).unwrap())
            })
            .collect();
        files.sort();
        files
    }
}

fn touch(path: &Path, seconds: i64) {
    let file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds.unsigned_abs());
    file.set_modified(at).unwrap();
}

fn named(files: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
    files.iter().map(own).collect()
}

#[test]
fn each_day_has_its_file_and_the_days_before_have_theirs() {
    let world = World::new();
    world.open().unwrap();
    world.put("saturday\n");
    world.pass(9);
    world.put("a second before midnight\n");
    world.pass(1);
    world.put("sunday\n");
    let wanted = named(&[
        ("botgate.log", "sunday\n"),
        (
            "botgate.log.2026-01-31",
            "saturday\na second before midnight\n",
        ),
    ]);
    assert_eq!(world.files(), wanted);
    assert_eq!((world.state.errors(), world.state.lost()), (0, 0));
}

#[test]
fn a_gateway_that_was_off_at_midnight_puts_the_old_day_aside_and_overwrites_nothing() {
    let world = World::new();
    world.open().unwrap();
    world.put("saturday\n");
    touch(&world.path(), EVENING);
    let aside = world.folder.path().join("logs/botgate.log.2026-01-31.gz");
    fs::write(aside, "packed").unwrap();
    world.pass(3600);
    world.open().unwrap();
    world.put("sunday\n");
    let wanted = named(&[
        ("botgate.log", "sunday\n"),
        ("botgate.log.2026-01-31.1", "saturday\n"),
        ("botgate.log.2026-01-31.gz", "packed"),
    ]);
    assert_eq!(world.files(), wanted);
}

#[test]
fn only_rotated_files_older_than_retain_days_are_deleted() {
    let world = World::new();
    fs::create_dir(world.folder.path().join("logs")).unwrap();
    let put = |name: &str| {
        fs::write(world.folder.path().join("logs").join(name), "").unwrap();
    };
    for name in [
        "botgate.log.2026-01-23",
        "botgate.log.2026-01-23.gz",
        "botgate.log.2026-01-23.12",
        "botgate.log.2026-01-23.1.gz",
        "botgate.log.2026-01-24",
        // Not ours, whatever they look like.
        "botgate.log.2026-01-01.bak",
        "botgate.log.2026-13-01",
        "botgate.log.1",
        "other.log.2026-01-01",
        "xbotgate.log.2026-01-01",
    ] {
        put(name);
    }
    let left = || {
        let files = world.files().into_iter();
        files.map(|(name, _)| name).collect::<Vec<_>>()
    };
    world.open().unwrap();
    let others = [
        "botgate.log",
        "botgate.log.1",
        "botgate.log.2026-01-01.bak",
        "botgate.log.2026-01-24",
        "botgate.log.2026-13-01",
        "other.log.2026-01-01",
        "xbotgate.log.2026-01-01",
    ];
    assert_eq!(left(), others, "at the start");
    world.put("x\n");
    world.pass(10);
    world.put("y\n");
    assert!(
        !left().contains(&"botgate.log.2026-01-24".to_owned()),
        "and at midnight"
    );
    assert!(left().contains(&"botgate.log.2026-01-31".to_owned()));
}

#[test]
fn who_rotates_by_himself_is_followed_when_he_asks_and_soon_when_he_does_not() {
    let world = World::new();
    world.open().unwrap();
    let aside = |name: &str| fs::rename(world.path(), world.folder.path().join(name)).unwrap();
    let read = |name: &str| fs::read_to_string(world.folder.path().join(name)).unwrap();
    world.put("one\n");
    aside("first");
    world.put("two, still there\n");
    world.state.ask_to_reopen();
    world.put("three\n");
    aside("second");
    world.pass(1);
    world.put("four\n");
    assert_eq!(read("first"), "one\ntwo, still there\n");
    assert_eq!(read("second"), "three\n");
    assert_eq!(world.files(), named(&[("botgate.log", "four\n")]));
}

#[test]
fn of_two_processes_one_turns_the_page_for_both() {
    let world = World::new();
    world.open().unwrap();
    let first = world.file.lock().unwrap().take();
    world.open().unwrap();
    world.put("of the second\n");
    world.pass(10);
    world.put("of the second, next day\n");
    *world.file.lock().unwrap() = first;
    world.put("of the first, next day\n");
    let wanted = named(&[
        (
            "botgate.log",
            "of the second, next day\nof the first, next day\n",
        ),
        ("botgate.log.2026-01-31", "of the second\n"),
    ]);
    assert_eq!(world.files(), wanted);
}

#[test]
fn a_directory_that_is_gone_is_counted_and_made_again() {
    let world = World::new();
    world.open().unwrap();
    world.put("one\n");
    let logs = world.folder.path().join("logs");
    fs::remove_dir_all(&logs).unwrap();
    fs::write(&logs, "in its place, something else").unwrap();
    world.pass(1);
    world.put("two\n");
    world.put("three\n");
    assert!(world.state.is_failing());
    assert_eq!(world.state.lost(), 2);
    assert_eq!(
        world.state.errors(),
        1,
        "it is not tried for every line, but once a second"
    );
    fs::remove_file(&logs).unwrap();
    world.pass(1);
    world.put("four\n");
    assert!(!world.state.is_failing());
    assert_eq!(world.files(), named(&[("botgate.log", "four\n")]));
}

#[test]
fn a_full_disk_ends_nothing() {
    let world = World::new();
    fs::create_dir(world.folder.path().join("logs")).unwrap();
    // Every write to this device fails as on a full disk.
    std::os::unix::fs::symlink("/dev/full", world.path()).unwrap();
    world.open().unwrap();
    world.put("one\n");
    world.put("two\nthree\nfour\n");
    assert!(world.state.is_failing());
    assert_eq!(
        (world.state.lost(), world.state.errors()),
        (4, 2),
        "each line is lost, each batch is one attempt"
    );
    fs::remove_file(world.path()).unwrap();
    world.pass(1);
    world.put("three\n");
    assert_eq!(world.files(), named(&[("botgate.log", "three\n")]));
    assert!(!world.state.is_failing());
}

#[test]
fn half_a_line_is_ended_before_the_next() {
    let world = World::new();
    fs::create_dir(world.folder.path().join("logs")).unwrap();
    fs::write(world.path(), "{\"half").unwrap();
    touch(&world.path(), EVENING);
    world.open().unwrap();
    world.put("whole\n");
    let wanted = named(&[("botgate.log", "{\"half\nwhole\n")]);
    assert_eq!(world.files(), wanted);
}

#[test]
fn a_file_that_cannot_be_opened_at_the_start_is_an_error() {
    let world = World::new();
    fs::write(world.folder.path().join("logs"), "no folder").unwrap();
    assert!(world.open().is_err());
}

#[test]
fn other_users_cannot_read_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new();
    world.open().unwrap();
    let mode = fs::metadata(world.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o007, 0, "{mode:o}");
}
