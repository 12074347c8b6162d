//! Reads HTTP/1 messages as RFC 9112 writes them, and refuses all else. Pure: bytes in, findings out.
//!
//! Common parsers repair what servers of old let pass: they take a bare LF for a line's end, keep one of two framings, cut white
//! space off. Alone on a machine that is kindness; between a client and a bot it is the ground on which request smuggling grows,
//! since the two readers may repair differently. So every byte of a connection comes through here first, and `net::http1`, or on the
//! bot's side `upstream::link`, only sees what has one reading. `docs/http.md` lists what is refused.

mod answer;
mod bytes;
mod chunks;
mod field;
mod head;
mod request;

pub use answer::AnswerReader;
pub use chunks::{ChunkStep, Unchunked};
pub use head::FieldPlace;
pub use request::{RequestReader, check_request, request_length};

use crate::judge::{Reason, Rejection};

/// What is wrong with a message: for the operator, never for its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It cannot be read in exactly one way.
    Malformed(&'static str),
    /// Its head has more bytes or fields than allowed.
    TooLarge(&'static str),
}

impl Flaw {
    /// What is wrong, in a few words.
    pub const fn what(self) -> &'static str {
        match self {
            Self::Malformed(what) | Self::TooLarge(what) => what,
        }
    }
}

impl std::fmt::Display for Flaw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.what())
    }
}

impl std::error::Error for Flaw {}

impl From<Flaw> for Rejection {
    fn from(flaw: Flaw) -> Self {
        let reason = match flaw {
            Flaw::Malformed(_) => Reason::RequestMalformed,
            Flaw::TooLarge(_) => Reason::HeadersTooLarge,
        };
        Self::from(reason).noting(flaw.what())
    }
}

/// How large a head may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the first byte of the first line to the empty line, inclusive.
    pub head_bytes: usize,
    /// Number of fields. The same counts for a trailer section.
    pub fields: usize,
}

/// What to do with the next bytes. Counts are never 0, and never more than the bytes that were shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// These are a whole head, and may be passed on.
    Head(usize),
    /// These belong to the body and its framing, and may be passed on.
    Body(usize),
    /// These are harmless and of no use to anybody: leave them out.
    Drop(usize),
    /// Nothing can be said about these before there are more: show them again, with what comes after them.
    More,
}

/// How a message's body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// By its length in bytes, which may be 0.
    Length(u64),
    Chunked,
    /// Nothing is said.
    Unsaid,
}

/// Whose message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    Client,
    Bot,
}

/// HTTP/1.0 or HTTP/1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V1_0,
    V1_1,
}

impl Version {
    /// RFC 9112 2.3 writes it in exactly these bytes; a server may refuse other minor versions (RFC 9110 15.6.6).
    fn parse(text: &[u8]) -> Result<Self, Flaw> {
        match text {
            b"HTTP/1.1" => Ok(Self::V1_1),
            b"HTTP/1.0" => Ok(Self::V1_0),
            _ => Err(Flaw::Malformed(
                "a version other than HTTP/1.0 and HTTP/1.1",
            )),
        }
    }
}
