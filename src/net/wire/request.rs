//! The requests of a connection, one after the other.

use super::bytes::is_token;
use super::chunks::{Chunks, take};
use super::field::{Declared, trim};
use super::head::{FieldPlace, Head};
use super::{Flaw, Framing, Limits, Sender, Step, Version};
use crate::judge::check_target;

/// Says of the bytes of a connection what they are, as long as they are requests.
///
/// It keeps no bytes: whoever calls holds those it could not yet say anything about.
#[derive(Clone, Debug)]
pub struct RequestReader {
    limits: Limits,
    place: Place,
    /// Of the last head.
    fields: Vec<FieldPlace>,
}

#[derive(Clone, Debug)]
enum Place {
    /// Before a head, with at most one empty line behind it.
    Between {
        has_empty_line: bool,
    },
    Head(Head, Option<Version>),
    Length(u64),
    Chunks(Chunks),
}

impl RequestReader {
    /// At the beginning of a connection.
    pub const fn new(limits: Limits) -> Self {
        Self {
            limits,
            place: BETWEEN,
            fields: Vec::new(),
        }
    }

    /// Whether the next byte begins a request.
    pub const fn is_between(&self) -> bool {
        matches!(self.place, Place::Between { .. })
    }

    /// Whether the next byte is one of a body, and not of what delimits it.
    pub const fn is_in_data(&self) -> bool {
        match &self.place {
            Place::Length(_) => true,
            Place::Chunks(chunks) => chunks.is_in_data(),
            Place::Between { .. } | Place::Head(..) => false,
        }
    }

    /// How many bytes of a body are to come; nothing where that is not known.
    pub const fn body_left(&self) -> Option<u64> {
        match self.place {
            Place::Length(left) => Some(left),
            Place::Chunks(_) => None,
            Place::Between { .. } | Place::Head(..) => Some(0),
        }
    }

    /// Where the fields of the last head stand.
    pub fn fields(&self) -> &[FieldPlace] {
        &self.fields
    }

    /// Forgets the fields of the last head, and gives their memory back.
    pub fn rest(&mut self) {
        self.fields = Vec::new();
    }

    /// Looks at what follows the bytes that were stepped over.
    ///
    /// # Errors
    /// What is wrong with the request. Nothing after that can be read.
    pub fn step(&mut self, unread: &[u8]) -> Result<Step, Flaw> {
        match &mut self.place {
            Place::Between { has_empty_line } => match unread {
                [] | [b'\r'] => Ok(Step::More),
                // RFC 9112 2.2: some old clients end a body with an empty line that they do not count.
                [b'\r', b'\n', ..] if !*has_empty_line => {
                    *has_empty_line = true;
                    Ok(Step::Drop(2))
                }
                [b'\r' | b'\n', ..] => Err(Flaw::Malformed("empty lines before a request")),
                _ => {
                    self.fields.clear();
                    self.place = Place::Head(Head::new(Sender::Client), None);
                    self.step(unread)
                }
            },
            Place::Head(head, version) => {
                let fields = &mut self.fields;
                let first_line = |line: &[u8]| {
                    *version = Some(request_line(line)?);
                    Ok(())
                };
                let read =
                    head.read(unread, self.limits, first_line, |place| fields.push(place))?;
                let Some(length) = read else {
                    if version.is_none() {
                        check_beginning(unread)?;
                    }
                    return Ok(Step::More);
                };
                let framing = head.declared.framing(version.unwrap_or(Version::V1_0))?;
                self.place = match framing {
                    Framing::Chunked => Place::Chunks(Chunks::new(Sender::Client)),
                    Framing::Length(length) if length > 0 => Place::Length(length),
                    Framing::Length(_) | Framing::Unsaid => BETWEEN,
                };
                Ok(Step::Head(length))
            }
            Place::Length(left) => {
                let (count, left) = take(unread, *left);
                self.place = if left == 0 {
                    BETWEEN
                } else {
                    Place::Length(left)
                };
                Ok(if count == 0 {
                    Step::More
                } else {
                    Step::Body(count)
                })
            }
            Place::Chunks(chunks) => {
                let step = chunks.step(unread, self.limits)?;
                if chunks.is_over() {
                    self.place = BETWEEN;
                }
                Ok(step)
            }
        }
    }
}

const BETWEEN: Place = Place::Between {
    has_empty_line: false,
};

/// Whether this may become a first line: a body that was longer than its head said is not waited for to become one.
fn check_beginning(bytes: &[u8]) -> Result<(), Flaw> {
    const LONGEST_METHOD: usize = 32;
    let mut method = bytes
        .iter()
        .take(LONGEST_METHOD)
        .take_while(|byte| **byte != b' ');
    if bytes.first() == Some(&b' ') || !method.all(|byte| is_token(*byte) || *byte == b'\r') {
        return Err(Flaw::Malformed("a method that is not a token"));
    }
    Ok(())
}

/// `method SP origin-form SP HTTP-version`, with single spaces and nothing around (RFC 9112 3).
fn request_line(line: &[u8]) -> Result<Version, Flaw> {
    let mut words = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Flaw::Malformed(
            "a first line that is not method, target and version with single spaces",
        ));
    };
    if method.is_empty() || !method.iter().all(|byte| is_token(*byte)) {
        return Err(Flaw::Malformed("a method that is not a token"));
    }
    // First, so that an HTTP/2 preface is called what it is.
    let version = Version::parse(version)?;
    check_target(target).map_err(Flaw::Malformed)?;
    Ok(version)
}

/// What is wrong with the first request in these bytes, in its head or in its body; an unfinished one has nothing wrong yet.
///
/// # Errors
/// The first flaw, and whether it stands in the head.
pub fn check_request(bytes: &[u8], limits: Limits) -> Result<(), (Flaw, bool)> {
    let mut reader = RequestReader::new(limits);
    let mut unread = bytes;
    let mut has_head = false;
    loop {
        let step = reader.step(unread).map_err(|flaw| (flaw, !has_head))?;
        let count = match step {
            Step::Head(count) => {
                has_head = true;
                count
            }
            Step::Body(count) | Step::Drop(count) => count,
            Step::More => return Ok(()),
        };
        unread = unread.get(count..).unwrap_or_default();
        if has_head && reader.is_between() {
            return Ok(());
        }
    }
}

/// The length of a request that this gateway sends, from its head on, bytes; nothing where these do not hold its whole head, or
/// where its body is chunked.
///
/// It was written from fields that have been judged, so that only what frames it is looked at.
pub fn request_length(start: &[u8]) -> Option<u64> {
    let (_, mut rest) = split_line(start)?;
    let mut declared = Declared::default();
    loop {
        let (field, after) = split_line(rest)?;
        rest = after;
        match field {
            [] => break,
            field @ [b'c' | b'C' | b't' | b'T', ..] => {
                let (name, value) = field.split_at_checked(memchr::memchr(b':', field)?)?;
                declared.take(name, trim(value.get(1..)?)).ok()?;
            }
            _ => {}
        }
    }
    let length = u64::try_from(start.len().saturating_sub(rest.len())).ok()?;
    match declared.framing(Version::V1_1).ok()? {
        Framing::Length(body) => length.checked_add(body),
        Framing::Unsaid => Some(length),
        Framing::Chunked => None,
    }
}

/// The first line without its CRLF, and what follows it.
fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (line, after) = bytes.split_at_checked(memchr::memchr(b'\n', bytes)?)?;
    Some((line.strip_suffix(b"\r")?, after.get(1..)?))
}

#[cfg(test)]
mod tests;
