//! What the parser asks of each key: written down while it reads, so that the schema cannot say anything else.

use super::file::{Section, joined, unindexed};
use std::collections::BTreeMap;

/// What may stand at a key, as whoever reads it asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// `true` or `false`.
    Flag {
        /// Where the key is not written.
        default: bool,
    },
    /// A whole number.
    Count {
        /// Where the key is not written.
        default: usize,
        /// The smallest.
        least: usize,
        /// The largest.
        most: usize,
    },
    /// A string of this form.
    Measure {
        /// Which form.
        unit: Unit,
        /// Where the key is not written, as it would be written.
        default: String,
        /// The smallest and the largest, as they would be written.
        range: [String; 2],
    },
    /// One of a few words.
    Word {
        /// Where the key is not written.
        default: Option<&'static str>,
        /// All of them.
        words: Vec<&'static str>,
    },
    /// Any string.
    Text,
    /// A file name, in which no `file:` is replaced.
    Path,
    /// A list of strings.
    List,
    /// A string, or a list of them.
    OneOrList,
    /// A rate and a burst.
    Quota,
}

/// The forms of strings that measure something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// `"10s"`.
    Duration,
    /// `"64KiB"`.
    Size,
}

/// What was asked so far, by the path of the key without positions: `bots.tenants.allow`.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    pub(super) wanted: BTreeMap<String, Wanted>,
    /// Keys that must be there.
    pub(super) required: Vec<String>,
}

impl Section<'_> {
    /// Writes down what is asked of a key. The first word counts, but for [`Wanted::Text`], which may be a look at what another reads.
    pub(super) fn ask(&self, key: &str, wanted: impl FnOnce() -> Wanted) {
        self.note_asked(
            |asked, path| {
                let known = asked.wanted.get(&path);
                if known.is_none_or(|known| *known == Wanted::Text) {
                    asked.wanted.insert(path, wanted());
                }
            },
            key,
        );
    }

    /// Writes down that a key must be there.
    pub(super) fn require(&self, key: &str) {
        self.note_asked(
            |asked, path| {
                if !asked.required.contains(&path) {
                    asked.required.push(path);
                }
            },
            key,
        );
    }

    fn note_asked(&self, note: impl FnOnce(&mut Asked, String), key: &str) {
        let mut asked = self.reading.asked.take();
        note(&mut asked, unindexed(&joined(self.at(), key)));
        self.reading.asked.set(asked);
    }
}
