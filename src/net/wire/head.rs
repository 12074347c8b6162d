//! The lines of a head, one after the other: a first line, fields, an empty line.

use super::bytes::value_length;
use super::field::{self, Declared};
use super::{Flaw, Limits, Sender};
use std::ops::Range;

/// How far a head was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    sender: Sender,
    /// Where the first line begins that has not ended yet.
    line: usize,
    /// Up to where there is no line end beyond that.
    seen: usize,
    has_first_line: bool,
    fields: usize,
    pub(super) declared: Declared,
}

impl Head {
    pub(super) fn new(sender: Sender) -> Self {
        Self {
            sender,
            line: 0,
            seen: 0,
            has_first_line: false,
            fields: 0,
            declared: Declared::default(),
        }
    }

    /// How many fields there were so far.
    pub(super) const fn fields(&self) -> usize {
        self.fields
    }

    /// Reads on. `bytes` begin with the head's first byte, each time; what was read is not read again.
    ///
    /// Gives the head's length once it is whole. A mistake is found as soon as its line is there, and a character that may
    /// stand nowhere at once: whoever sends garbage is not waited for. `found` hears of each field.
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        limits: Limits,
        mut first_line: impl FnMut(&[u8]) -> Result<(), Flaw>,
        mut found: impl FnMut(FieldPlace),
    ) -> Result<Option<usize>, Flaw> {
        let too_large = Flaw::TooLarge("more bytes than a head may have");
        while let Some(line) = self.next_line(bytes) {
            let end = match line {
                Line::Clean(_, end) | Line::Unread(_, end) => end,
            };
            if end > limits.head_bytes {
                return Err(too_large);
            }
            let (line, is_clean) = match line {
                Line::Clean(line, _) => (line, true),
                Line::Unread(line, _) => (without_cr(line)?, false),
            };
            let start = self.line;
            (self.line, self.seen) = (end, end);
            if !self.has_first_line {
                first_line(line)?;
                self.has_first_line = true;
            } else if line.is_empty() {
                return Ok(Some(end));
            } else {
                self.fields = self.fields.saturating_add(1);
                if self.fields > limits.fields {
                    return Err(Flaw::TooLarge("more fields than a head may have"));
                }
                let (name, value) = if is_clean {
                    field::split_clean(line, self.sender)?
                } else {
                    field::split(line, self.sender)?
                };
                self.declared.take(name, value)?;
                found(FieldPlace::of(line, name, value, start));
            }
        }
        // The last byte before may have been a CR that was waiting for its LF.
        let news = self.seen.saturating_sub(1).max(self.line);
        check_unfinished(bytes.get(news..).unwrap_or_default())?;
        self.seen = bytes.len();
        if bytes.len() > limits.head_bytes {
            return Err(too_large);
        }
        Ok(None)
    }

    /// The line that has not ended yet, if its end is there now.
    fn next_line<'a>(&self, bytes: &'a [u8]) -> Option<Line<'a>> {
        let news = bytes.get(self.seen..).unwrap_or_default();
        if self.seen == self.line {
            // Where a line is there at once and has nothing odd in it, finding its end is all that there is to do.
            let (line, after) = news.split_at_checked(value_length(news))?;
            if let [b'\r', b'\n', ..] = after {
                let end = self.line.saturating_add(line.len()).saturating_add(2);
                return Some(Line::Clean(line, end));
            }
        }
        let feed = self.seen.saturating_add(memchr::memchr(b'\n', news)?);
        let line = bytes.get(self.line..feed).unwrap_or_default();
        Some(Line::Unread(line, feed.saturating_add(1)))
    }
}

/// Where a field stands, in bytes from the beginning of its head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPlace {
    /// Its name.
    pub name: Range<usize>,
    /// Its value, without white space around it.
    pub value: Range<usize>,
}

impl FieldPlace {
    /// Of a line that begins at `start`, and of what was found in it.
    fn of(line: &[u8], name: &[u8], value: &[u8], start: usize) -> Self {
        let name_end = start.saturating_add(name.len());
        let behind_colon = line.iter().skip(name.len().saturating_add(1));
        let spaces = behind_colon.take_while(|byte| matches!(byte, b' ' | b'\t'));
        let value_start = name_end.saturating_add(1).saturating_add(spaces.count());
        Self {
            name: start..name_end,
            value: value_start..value_start.saturating_add(value.len()),
        }
    }
}

/// A line, and where the next one begins.
enum Line<'a> {
    /// Without its CRLF. No byte in it that may not stand in a value.
    Clean(&'a [u8], usize),
    /// Without its LF. Not looked at.
    Unread(&'a [u8], usize),
}

/// A line without its CR. RFC 9112 2.2 allows to take a bare LF for a line's end; then a LF within a value divides two fields for
/// one reader and none for the next.
pub(super) fn without_cr(line: &[u8]) -> Result<&[u8], Flaw> {
    let line = line
        .strip_suffix(b"\r")
        .ok_or(Flaw::Malformed("a line that ends in LF without CR"))?;
    if memchr::memchr(b'\r', line).is_some() {
        return Err(Flaw::Malformed("a CR without LF"));
    }
    Ok(line)
}

/// What has come of a line, or a piece of it, has no character that cannot stand in any line.
pub(super) fn check_unfinished(piece: &[u8]) -> Result<(), Flaw> {
    let (complete, last) = match piece.split_last() {
        Some((b'\r', before)) => (before, true),
        Some(_) | None => (piece, false),
    };
    if memchr::memchr(b'\r', complete).is_some() || (last && complete.last() == Some(&b'\r')) {
        return Err(Flaw::Malformed("a CR without LF"));
    }
    if value_length(complete) < complete.len() {
        return Err(Flaw::Malformed("a control character"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
