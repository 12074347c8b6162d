//! `gateway.toml` as written: its tables and values, each of which remembers its place, and the problems found in them.
//!
//! A value that cannot be used is noted as a [`Problem`] and read as its default (or as absent), so that reading goes on and
//! finds the other problems too. Whoever assembles the settings throws them away when any error was noted.

use super::text::{described, read_file};
use super::wanted::Asked;
use super::{Files, Problem, Severity};
use std::cell::Cell;
use std::io;
use std::path::Path;
use toml::de::{DeTable, DeValue};

/// Looks up an environment variable.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// One reading of one file: its text, its surroundings, and the problems found so far.
pub(super) struct Reading<'a> {
    text: &'a str,
    /// What relative file names start from.
    pub(super) dir: &'a Path,
    pub(super) environment: Environment<'a>,
    // A Cell that is emptied and refilled: a section can note a problem while others are borrowed, and nothing can panic.
    found: Cell<Vec<(usize, Problem)>>,
    files: Cell<Files>,
    /// What was asked of it.
    pub(super) asked: Cell<Asked>,
}

/// Where something stands: its key, and the byte offset of the nearest text that can be pointed at.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) at: String,
    pub(super) offset: Option<usize>,
}

/// One table of the file; one that is not there reads as empty.
#[derive(Clone)]
pub(super) struct Section<'a> {
    pub(super) reading: &'a Reading<'a>,
    table: Option<&'a DeTable<'a>>,
    place: Place,
}

impl<'a> Reading<'a> {
    pub(super) fn new(text: &'a str, dir: &'a Path, environment: Environment<'a>) -> Self {
        Self {
            text,
            dir,
            environment,
            found: Cell::default(),
            files: Cell::default(),
            asked: Cell::default(),
        }
    }

    /// Reads a file whose content becomes a part of the settings: when it changes, they do.
    pub(super) fn read_file(&self, path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
        let content = read_file(path, max_bytes);
        let mut files = self.files.take();
        files.note(path, content.as_deref());
        self.files.set(files);
        content
    }

    /// The files that were read so far.
    pub(super) fn files(&self) -> Files {
        let files = self.files.take();
        self.files.set(files.clone());
        files
    }

    pub(super) fn root(&'a self, table: &'a DeTable<'a>) -> Section<'a> {
        Section {
            reading: self,
            table: Some(table),
            place: Place {
                at: String::new(),
                offset: None,
            },
        }
    }

    /// The 1-based line of a byte offset.
    pub(super) fn line(&self, offset: usize) -> u32 {
        let before = self
            .text
            .as_bytes()
            .iter()
            .take(offset)
            .filter(|b| **b == b'\n')
            .count();
        u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1)
    }

    pub(super) fn note(
        &self,
        severity: Severity,
        place: &Place,
        what: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let line = place.offset.map(|offset| self.line(offset));
        let problem = Problem {
            severity,
            at: place.at.clone(),
            line,
            what: what.into(),
            hint: hint.into(),
        };
        let mut found = self.found.take();
        found.push((place.offset.unwrap_or(usize::MAX), problem));
        self.found.set(found);
    }

    pub(super) fn has_errors(&self) -> bool {
        let found = self.found.take();
        let has_errors = found.iter().any(|(_, problem)| problem.is_error());
        self.found.set(found);
        has_errors
    }

    /// Takes all problems in file order; those without a line come last.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut found = self.found.take();
        found.sort_by_key(|(offset, _)| *offset);
        found.dedup();
        found.into_iter().map(|(_, problem)| problem).collect()
    }
}

impl<'a> Section<'a> {
    /// The path of the table, such as `bots[0].tenants`; empty for the whole file.
    pub(super) fn at(&self) -> &str {
        &self.place.at
    }

    pub(super) fn is_written(&self) -> bool {
        self.table.is_some()
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.table
            .into_iter()
            .flat_map(|table| table.keys())
            .map(|key| key.get_ref().as_ref())
    }

    /// The place of a key; of one that is not there, the place of its table.
    pub(super) fn place(&self, key: &str) -> Place {
        let written = self.table.and_then(|table| table.get_key_value(key));
        let offset = written
            .map(|(key, _)| key.span().start)
            .or(self.place.offset);
        Place {
            at: joined(&self.place.at, key),
            offset,
        }
    }

    /// The line of a key; of one that is not there, the line of its table.
    pub(super) fn line(&self, key: &str) -> Option<u32> {
        self.place(key)
            .offset
            .map(|offset| self.reading.line(offset))
    }

    pub(super) fn error(&self, key: &str, what: impl Into<String>, hint: impl Into<String>) {
        self.reading
            .note(Severity::Error, &self.place(key), what, hint);
    }

    pub(super) fn warn(&self, key: &str, what: impl Into<String>, hint: impl Into<String>) {
        self.reading
            .note(Severity::Warning, &self.place(key), what, hint);
    }

    /// A table inside this one; one that is not there reads as empty and points to this one.
    pub(super) fn table(&self, key: &str) -> Section<'a> {
        let value = self.value(key);
        if let Some(value) = value
            && !value.get_ref().is_table()
        {
            let header = unindexed(&self.place(key).at);
            let hint = format!("write it as a table: [{header}], with its keys on the lines below");
            self.error(
                key,
                format!("is {}, wanted a table", described(value.get_ref())),
                hint,
            );
        }
        let table = value
            .filter(|value| value.get_ref().is_table())
            .and_then(|_| self.inside(key).into_iter().next());
        let place = Place {
            at: joined(&self.place.at, key),
            offset: self.place.offset,
        };
        table.unwrap_or(Section {
            reading: self.reading,
            table: None,
            place,
        })
    }

    /// The tables of `[[key]]`, in order. A single `[key]` is refused, and read all the same.
    pub(super) fn tables(&self, key: &str) -> Vec<Section<'a>> {
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        let wrong = match value.get_ref() {
            DeValue::Array(items) => items
                .iter()
                .map(toml::Spanned::get_ref)
                .find(|item| !item.is_table()),
            other => Some(other),
        };
        if let Some(wrong) = wrong {
            let hint = format!(
                "begin each entry with [[{}]], in two brackets",
                unindexed(&self.place(key).at)
            );
            self.error(
                key,
                format!("is {}, wanted a list of tables", described(wrong)),
                hint,
            );
        }
        self.inside(key)
    }

    /// The tables at a key, be it one or a list, whatever else stands there.
    pub(super) fn inside(&self, key: &str) -> Vec<Section<'a>> {
        let at = joined(&self.place.at, key);
        let section = |at: String, value: &'a toml::Spanned<DeValue<'a>>| {
            let place = Place {
                at,
                offset: Some(value.span().start),
            };
            value.get_ref().as_table().map(|table| Section {
                reading: self.reading,
                table: Some(table),
                place,
            })
        };
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        match value.get_ref().as_array() {
            Some(items) => {
                let indexed = items.iter().enumerate();
                indexed
                    .filter_map(|(index, item)| section(format!("{at}[{index}]"), item))
                    .collect()
            }
            None => section(at, value).into_iter().collect(),
        }
    }

    /// What relative file names start from.
    pub(super) const fn dir(&self) -> &'a Path {
        self.reading.dir
    }

    pub(super) fn value(&self, key: &str) -> Option<&'a toml::Spanned<DeValue<'a>>> {
        self.table.and_then(|table| table.get(key))
    }
}

/// The path of a key: `bots[0]` and `tenants` make `bots[0].tenants`.
pub(super) fn joined(at: &str, key: &str) -> String {
    let is_bare = !key.is_empty()
        && key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    let key = if is_bare {
        key.to_owned()
    } else {
        format!("{key:?}")
    };
    if at.is_empty() {
        key
    } else {
        format!("{at}.{key}")
    }
}

/// The path as it stands in a table header: `bots[0].tenants` is `[bots.tenants]`.
pub(super) fn unindexed(at: &str) -> String {
    let mut inside = false;
    at.chars()
        .filter(|c| match c {
            '[' => {
                inside = true;
                false
            }
            ']' => {
                inside = false;
                false
            }
            _ => !inside,
        })
        .collect()
}
