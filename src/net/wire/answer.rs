//! The answers of a bot on one connection, to requests that are sent one after the other.

use super::bytes;
use super::chunks::{Chunks, take};
use super::head::Head;
use super::{Flaw, Framing, Limits, Sender, Step, Version};

/// Interim answers before the final one.
const INTERIM_ANSWERS: usize = 10;

/// Says of the bytes of a connection what they are, as long as they are answers.
///
/// Made for requests other than HEAD and CONNECT, whose answers are delimited otherwise (RFC 9112 6.3). It keeps no bytes:
/// whoever calls holds those it could not yet say anything about.
#[derive(Clone, Debug)]
pub struct AnswerReader {
    limits: Limits,
    place: Place,
    interim_answers: usize,
    /// Of the interim answers' heads.
    head_bytes: usize,
    fields: usize,
}

#[derive(Clone, Debug)]
enum Place {
    /// Nothing was asked.
    Between,
    Head(Head, Option<StatusLine>),
    Length(u64),
    Chunks(Chunks),
    UntilClosed,
}

#[derive(Clone, Copy, Debug)]
struct StatusLine {
    version: Version,
    status: u16,
}

impl AnswerReader {
    /// On a new connection. The limits hold for an answer's head together with those of the interim answers before it.
    pub const fn new(limits: Limits) -> Self {
        Self {
            limits,
            place: Place::Between,
            interim_answers: 0,
            head_bytes: 0,
            fields: 0,
        }
    }

    /// A request is being sent: the next bytes are its answer.
    pub fn expect(&mut self) {
        self.place = head();
        (self.interim_answers, self.head_bytes, self.fields) = (0, 0, 0);
    }

    /// Whether no answer is due: there was no request, or its answer is complete.
    pub const fn is_between(&self) -> bool {
        matches!(self.place, Place::Between)
    }

    /// Whether the end of the connection is the end of the answer (RFC 9112 6.3 rule 8).
    pub const fn ends_with_connection(&self) -> bool {
        matches!(self.place, Place::UntilClosed)
    }

    /// Looks at what follows the bytes that were stepped over. Interim answers are left out.
    ///
    /// # Errors
    /// What is wrong with the answer, or that there are bytes that nobody asked for. Nothing after that can be read.
    pub fn step(&mut self, unread: &[u8]) -> Result<Step, Flaw> {
        match &mut self.place {
            Place::Between if unread.is_empty() => Ok(Step::More),
            Place::Between => Err(Flaw::Malformed("bytes that nobody asked for")),
            Place::Head(head, status_line) => {
                let limits = Limits {
                    head_bytes: self.limits.head_bytes.saturating_sub(self.head_bytes),
                    fields: self.limits.fields.saturating_sub(self.fields),
                };
                let first_line = |line: &[u8]| {
                    *status_line = Some(parse_status_line(line)?);
                    Ok(())
                };
                let read = head.read(unread, limits, first_line, |_| ())?;
                let (Some(length), Some(line)) = (read, *status_line) else {
                    return Ok(Step::More);
                };
                let framing = head.declared.framing(line.version)?;
                self.head_bytes = self.head_bytes.saturating_add(length);
                self.fields = self.fields.saturating_add(head.fields());
                self.after_head(line.status, framing, length)
            }
            Place::Length(left) => {
                let (count, left) = take(unread, *left);
                self.place = match left {
                    0 => Place::Between,
                    left => Place::Length(left),
                };
                Ok(match count {
                    0 => Step::More,
                    count => Step::Body(count),
                })
            }
            Place::Chunks(chunks) => {
                let step = chunks.step(unread, self.limits)?;
                if chunks.is_over() {
                    self.place = Place::Between;
                }
                Ok(step)
            }
            Place::UntilClosed => Ok(match unread.len() {
                0 => Step::More,
                count => Step::Body(count),
            }),
        }
    }

    /// RFC 9112 6.3.
    fn after_head(&mut self, status: u16, framing: Framing, length: usize) -> Result<Step, Flaw> {
        let has_body = matches!(framing, Framing::Chunked | Framing::Length(1..));
        let no_body = Flaw::Malformed("a body announced where none may be (RFC 9110 8.6)");
        match status {
            101 => Err(Flaw::Malformed(
                "101, although no other protocol was asked for",
            )),
            100..200 if has_body => Err(no_body),
            100..200 => {
                self.interim_answers = self.interim_answers.saturating_add(1);
                if self.interim_answers > INTERIM_ANSWERS {
                    return Err(Flaw::TooLarge("more than 10 interim answers"));
                }
                self.place = head();
                Ok(Step::Drop(length))
            }
            204 if has_body => Err(no_body),
            // A 304 says what the length would have been.
            204 | 304 if framing == Framing::Chunked => Err(no_body),
            204 | 304 => {
                self.place = Place::Between;
                Ok(Step::Head(length))
            }
            _ => {
                self.place = match framing {
                    Framing::Length(0) => Place::Between,
                    Framing::Length(length) => Place::Length(length),
                    Framing::Chunked => Place::Chunks(Chunks::new(Sender::Bot)),
                    Framing::Unsaid => Place::UntilClosed,
                };
                Ok(Step::Head(length))
            }
        }
    }
}

fn head() -> Place {
    Place::Head(Head::new(Sender::Bot), None)
}

/// `HTTP-version SP status [ SP reason ]` (RFC 9112 4). The reason may be empty, and some bots leave its space out.
fn parse_status_line(line: &[u8]) -> Result<StatusLine, Flaw> {
    let malformed = Flaw::Malformed("a first line that is not version and status");
    let (version, rest) = line.split_at_checked(8).ok_or(malformed)?;
    let version = Version::parse(version)?;
    let [b' ', digits @ ..] = rest else {
        return Err(malformed);
    };
    let (digits, reason) = digits.split_at_checked(3).ok_or(malformed)?;
    let status = std::str::from_utf8(digits)
        .ok()
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|digits| digits.parse().ok())
        .filter(|status| (100..600).contains(status))
        .ok_or(Flaw::Malformed(
            "a status that is not a number from 100 to 599",
        ))?;
    match reason {
        [] => {}
        [b' ', reason @ ..] if bytes::value_length(reason) == reason.len() => {}
        _ => return Err(malformed),
    }
    Ok(StatusLine { version, status })
}

#[cfg(test)]
mod tests;
