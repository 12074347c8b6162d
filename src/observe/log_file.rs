//! The log in a file of its own: a new one each day (UTC), old ones deleted. A disk that fails stops nothing.
//!
//! The usual rolling writers would not do: they have no file of a constant name to follow or to hand to logrotate, count files where
//! `log.retain_days` counts days, cannot be told to reopen, and drop what they cannot write without a word.

use super::log_buffer::Output;
use super::whole_lines::{Unwritten, WholeLines, count};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Date, Duration, OffsetDateTime};

/// What the rest of the gateway knows of the log file, and asks of it.
#[derive(Debug, Default)]
pub(super) struct FileState {
    reopen: AtomicBool,
    is_failing: AtomicBool,
    errors: AtomicU64,
    lost: AtomicU64,
}

impl FileState {
    /// Lets the next lines go to a newly opened file.
    pub(super) fn ask_to_reopen(&self) {
        self.reopen.store(true, Ordering::Release);
    }

    /// Whether the last lines could not be written.
    pub(super) fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Acquire)
    }

    /// Attempts that failed: to open, write, rename or delete.
    pub(super) fn errors(&self) -> u64 {
        self.errors.load(Ordering::Acquire)
    }

    /// Lines that were not written.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Acquire)
    }
}

/// The file, as the log's own thread writes it. Writing never fails: what cannot be written is counted and told on stderr.
pub(super) struct LogFile {
    path: PathBuf,
    retain: Duration,
    clock: Clock,
    state: Arc<FileState>,
    open: Option<Open>,
    /// After a failure to open, the second before which it is not tried again.
    retry_from: i64,
    /// The second in which stderr was last told of a failure.
    told_at: Option<i64>,
}

/// Tells the time; tests have one of their own.
pub(super) type Clock = Box<dyn FnMut() -> OffsetDateTime + Send>;

struct Open {
    file: WholeLines<File>,
    /// Whose lines it holds.
    day: Date,
    /// The second in which it was last seen to be the one that has the name.
    seen: i64,
}

impl LogFile {
    /// Opens the file, and deletes what is older than `retain_days`.
    ///
    /// # Errors
    /// When it cannot be opened: at the start that is a mistake of the configuration, and the only time somebody looks.
    pub(super) fn open(
        path: &Path,
        retain_days: u16,
        state: Arc<FileState>,
        clock: Clock,
    ) -> io::Result<Self> {
        let mut this = Self {
            path: path.to_owned(),
            retain: Duration::days(i64::from(retain_days)),
            clock,
            state,
            open: None,
            retry_from: i64::MIN,
            told_at: None,
        };
        let now = (this.clock)();
        this.open = Some(this.open_for(now)?);
        Ok(this)
    }

    fn try_put(&mut self, lines: &[u8], now: OffsetDateTime) -> Result<(), Failure> {
        if self.state.reopen.swap(false, Ordering::AcqRel) {
            self.open = None;
            self.retry_from = i64::MIN;
        }
        self.look(now);
        if self.open.is_none() {
            if now.unix_timestamp() < self.retry_from {
                return Err(Failure::NotTried);
            }
            self.retry_from = now.unix_timestamp().saturating_add(1);
            self.open = Some(self.open_for(now).map_err(Failure::Open)?);
        }
        match &mut self.open {
            Some(open) => open.file.write(lines).map_err(Failure::Write),
            None => Err(Failure::NotTried),
        }
    }

    /// Once a second: whether the day is over, and whether the file still has its name (logrotate, a directory that is gone).
    fn look(&mut self, now: OffsetDateTime) {
        let Some(open) = &mut self.open else { return };
        if open.seen == now.unix_timestamp() {
            return;
        }
        open.seen = now.unix_timestamp();
        let has_name = match (open.file.output().metadata(), fs::metadata(&self.path)) {
            (Ok(ours), Ok(named)) => (ours.dev(), ours.ino()) == (named.dev(), named.ino()),
            _ => false,
        };
        let day = open.day;
        if !has_name {
            // Another process of the same gateway may have turned the page before us.
            self.open = None;
        } else if day < now.date() {
            match self.put_aside(day) {
                Ok(()) => self.open = None,
                Err(error) => {
                    self.told(
                        now,
                        &format!("cannot be renamed at the end of the day: {error}"),
                    );
                    if let Some(open) = &mut self.open {
                        open.day = now.date();
                    }
                }
            }
        }
    }

    fn open_for(&mut self, now: OffsetDateTime) -> io::Result<Open> {
        if let Some(folder) = self.folder() {
            fs::create_dir_all(folder)?;
        }
        // A gateway that was off at midnight finds the file of an earlier day.
        if let Ok(found) = fs::metadata(&self.path)
            && found.is_file()
            && found.len() > 0
            && let Ok(modified) = found.modified().map(OffsetDateTime::from)
            && modified.date() < now.date()
            && let Err(error) = self.put_aside(modified.date())
        {
            self.told(
                now,
                &format!("of an earlier day cannot be renamed: {error}"),
            );
        }
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(OWNER_AND_GROUP)
            .open(&self.path)?;
        let is_cut = ends_within_a_line(&mut file);
        self.delete_old(now);
        Ok(Open {
            file: WholeLines::new(file, is_cut),
            day: now.date(),
            seen: now.unix_timestamp(),
        })
    }

    /// Renames the file to that of a day, beside what may be there already.
    fn put_aside(&self, day: Date) -> io::Result<()> {
        let day = day.format(DAY).map_err(io::Error::other)?;
        let named = |number: u32| {
            let mut name = OsString::from(&self.path);
            name.push(format!(".{day}"));
            if number > 0 {
                name.push(format!(".{number}"));
            }
            PathBuf::from(name)
        };
        let is_free = |path: &PathBuf| {
            let mut packed = OsString::from(path);
            packed.push(".gz");
            !path.exists() && !Path::new(&packed).exists()
        };
        let free = (0..MOST_OF_A_DAY).map(named).find(is_free);
        let free = free.ok_or_else(|| io::Error::from(io::ErrorKind::AlreadyExists))?;
        fs::rename(&self.path, free)
    }

    fn delete_old(&mut self, now: OffsetDateTime) {
        let Some(oldest) = now.date().checked_sub(self.retain) else {
            return;
        };
        let (Some(folder), Some(name)) = (self.folder(), self.path.file_name()) else {
            return;
        };
        let prefix = format!("{}.", name.to_string_lossy());
        let Ok(entries) = fs::read_dir(folder) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let day = name.to_str().and_then(|name| day_of(name, &prefix));
            if day.is_some_and(|day| day < oldest)
                && let Err(error) = fs::remove_file(entry.path())
            {
                self.told(now, &format!("of a past day cannot be deleted: {error}"));
            }
        }
    }

    fn folder(&self) -> Option<&Path> {
        let folder = self.path.parent()?;
        Some(if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        })
    }

    /// Counts a failure, and says so on stderr: at most once a minute, or a disk that is full would fill that, too.
    fn told(&mut self, now: OffsetDateTime, what: &str) {
        self.state.errors.fetch_add(1, Ordering::AcqRel);
        let second = now.unix_timestamp();
        if self
            .told_at
            .is_none_or(|at| second.saturating_sub(at) >= 60)
        {
            self.told_at = Some(second);
            say(&format!("log.file {} {what}", self.path.display()));
        }
    }
}

impl Output for LogFile {
    /// What is lost is counted in the [`FileState`]: to the buffer, these lines are written.
    fn put(&mut self, lines: &[u8]) -> u64 {
        let now = (self.clock)();
        match self.try_put(lines, now) {
            Ok(()) => {
                if self.state.is_failing.swap(false, Ordering::AcqRel) {
                    let lost = self.state.lost();
                    say(&format!(
                        "log.file {} is written again; lines lost since the start: {lost}",
                        self.path.display()
                    ));
                }
            }
            Err(failure) => {
                let lost = match &failure {
                    Failure::NotTried | Failure::Open(_) => count(lines),
                    Failure::Write(left) => left.lines,
                };
                self.state.lost.fetch_add(lost, Ordering::AcqRel);
                self.state.is_failing.store(true, Ordering::Release);
                match failure {
                    Failure::NotTried => {}
                    Failure::Open(error) => {
                        self.told(now, &format!("cannot be opened, lines are lost: {error}"));
                    }
                    Failure::Write(left) => {
                        let error = left.error;
                        self.told(now, &format!("cannot be written, lines are lost: {error}"));
                    }
                }
            }
        }
        0
    }
}

enum Failure {
    NotTried,
    Open(io::Error),
    Write(Unwritten),
}

/// A gateway that was killed on a full disk leaves half a line.
fn ends_within_a_line(file: &mut File) -> bool {
    let mut last = [0];
    let read = file
        .seek(SeekFrom::End(-1))
        .and_then(|_| file.read_exact(&mut last));
    read.is_ok() && last != *b"\n"
}

/// The day of a rotated file: `botgate.log.2026-01-31`, perhaps with a number, perhaps packed.
fn day_of(name: &str, prefix: &str) -> Option<Date> {
    let (day, more) = name.strip_prefix(prefix)?.split_at_checked(10)?;
    let more = more.strip_suffix(".gz").unwrap_or(more);
    let is_ours = more.is_empty()
        || more.strip_prefix('.').is_some_and(|number| {
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        });
    is_ours.then(|| Date::parse(day, DAY).ok()).flatten()
}

fn say(what: &str) {
    // Where stderr is gone, too, nobody is left to tell.
    let _ = io::stderr().write_all(format!("botgate: {what}\n").as_bytes());
}

const DAY: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");
/// The log tells who talks to the bots: nothing for every user of the machine.
const OWNER_AND_GROUP: u32 = 0o640;
/// Files of one day, where the gateway is made to rotate more often.
const MOST_OF_A_DAY: u32 = 1_000;
