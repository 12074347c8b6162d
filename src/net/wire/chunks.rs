//! A chunked body (RFC 9112 7.1), with nothing around its numbers that its grammar does not have.

use super::head::{check_unfinished, without_cr};
use super::{Flaw, Limits, Sender, Step, bytes, field};

/// Extensions of one chunk, bytes. Nobody uses them; what is long is meant to hurt.
const EXTENSION_BYTES: usize = 256;
/// Extensions of all chunks of a body, bytes.
const ALL_EXTENSION_BYTES: usize = 4 * 1024;
/// All trailer fields, bytes.
const TRAILER_BYTES: usize = 8 * 1024;
/// A u64 in hexadecimal.
const SIZE_DIGITS: usize = 16;

/// What would change the reading of a message that has begun, had it stood in its head (RFC 9110 6.5.1). Other trailer fields are
/// dropped, as a gateway may that does not know what they mean.
const NOT_IN_TRAILERS: &[&[u8]] = &[
    b"connection",
    b"content-encoding",
    b"content-length",
    b"content-range",
    b"content-type",
    b"expect",
    b"host",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Size,
    Data(u64),
    DataEnd,
    Trailers,
    Over,
}

/// How far a chunked body was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunks {
    sender: Sender,
    place: Place,
    extension_bytes: usize,
    trailer_bytes: usize,
    trailers: usize,
}

impl Chunks {
    pub(super) const fn new(sender: Sender) -> Self {
        Self {
            sender,
            place: Place::Size,
            extension_bytes: 0,
            trailer_bytes: 0,
            trailers: 0,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.place == Place::Over
    }

    /// Whether the next byte is one of data.
    pub(super) const fn is_in_data(&self) -> bool {
        matches!(self.place, Place::Data(_))
    }

    pub(super) fn step(&mut self, unread: &[u8], limits: Limits) -> Result<Step, Flaw> {
        match self.place {
            Place::Size => self.size(unread),
            Place::Data(left) => Ok(self.data(unread, left)),
            Place::DataEnd => match unread {
                [b'\r', b'\n', ..] => {
                    self.place = Place::Size;
                    Ok(Step::Body(2))
                }
                [] | [b'\r'] => Ok(Step::More),
                _ => Err(Flaw::Malformed("a chunk that is longer than its size")),
            },
            Place::Trailers => self.trailer(unread, limits.fields),
            Place::Over => Ok(Step::More),
        }
    }

    fn size(&mut self, unread: &[u8]) -> Result<Step, Flaw> {
        let digits = unread.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        if digits > SIZE_DIGITS {
            return Err(Flaw::Malformed("a chunk size of more than 16 digits"));
        }
        let (number, rest) = unread.split_at_checked(digits).unwrap_or_default();
        if rest.is_empty() {
            return Ok(Step::More);
        }
        let size = std::str::from_utf8(number)
            .ok()
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .ok_or(Flaw::Malformed("a chunk without a size"))?;
        let Some(extensions) = extensions(rest)? else {
            return Ok(Step::More);
        };
        self.extension_bytes = self.extension_bytes.saturating_add(extensions);
        if self.extension_bytes > ALL_EXTENSION_BYTES {
            return Err(Flaw::Malformed("too many chunk extensions"));
        }
        self.place = match size {
            0 => Place::Trailers,
            size => Place::Data(size),
        };
        Ok(Step::Body(
            digits.saturating_add(extensions).saturating_add(2),
        ))
    }

    fn data(&mut self, unread: &[u8], left: u64) -> Step {
        let (count, left) = take(unread, left);
        self.place = match left {
            0 => Place::DataEnd,
            left => Place::Data(left),
        };
        match count {
            0 => Step::More,
            count => Step::Body(count),
        }
    }

    fn trailer(&mut self, unread: &[u8], max_fields: usize) -> Result<Step, Flaw> {
        match unread {
            [b'\r', b'\n', ..] => {
                self.place = Place::Over;
                return Ok(Step::Body(2));
            }
            [] | [b'\r'] => return Ok(Step::More),
            _ => {}
        }
        let feed = memchr::memchr(b'\n', unread);
        let so_far = feed.map_or(unread.len(), |feed| feed.saturating_add(1));
        if self.trailer_bytes.saturating_add(so_far) > TRAILER_BYTES || self.trailers >= max_fields
        {
            return Err(Flaw::Malformed("too large a trailer section"));
        }
        let Some(feed) = feed else {
            check_unfinished(unread)?;
            return Ok(Step::More);
        };
        let line = without_cr(unread.get(..feed).unwrap_or_default())?;
        let (name, _) = field::split(line, self.sender)?;
        if NOT_IN_TRAILERS
            .iter()
            .any(|field| name.eq_ignore_ascii_case(field))
        {
            return Err(Flaw::Malformed("a trailer field that belongs in a head"));
        }
        self.trailer_bytes = self.trailer_bytes.saturating_add(so_far);
        self.trailers = self.trailers.saturating_add(1);
        Ok(Step::Drop(so_far))
    }
}

/// Takes the data of a bot's chunked body out of its framing. What comes here was read before, and so all of it passes.
#[derive(Clone, Debug)]
pub struct Unchunked(Chunks);

/// What the next bytes of a chunked body are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkStep {
    /// So many bytes of data.
    Data(usize),
    /// So many bytes between them.
    Framing(usize),
    /// Nothing can be said before there are more.
    More,
    /// The body has ended.
    End,
}

impl Default for Unchunked {
    fn default() -> Self {
        Self(Chunks::new(Sender::Bot))
    }
}

impl Unchunked {
    /// Whether the next byte is one of data.
    pub const fn is_in_data(&self) -> bool {
        self.0.is_in_data()
    }

    /// Looks at what follows the bytes that were stepped over.
    ///
    /// # Errors
    /// What is wrong with the body.
    pub fn step(&mut self, unread: &[u8]) -> Result<ChunkStep, Flaw> {
        // Trailers are left out before they come here.
        const LIMITS: Limits = Limits {
            head_bytes: TRAILER_BYTES,
            fields: 0,
        };
        if self.0.is_over() {
            return Ok(ChunkStep::End);
        }
        let is_data = self.is_in_data();
        Ok(match self.0.step(unread, LIMITS)? {
            Step::Body(count) if is_data => ChunkStep::Data(count),
            Step::Head(count) | Step::Body(count) | Step::Drop(count) => ChunkStep::Framing(count),
            Step::More => ChunkStep::More,
        })
    }
}

/// How many of these bytes are among the `left` ones, and how many are left then.
pub(super) fn take(unread: &[u8], left: u64) -> (usize, u64) {
    let count = usize::try_from(left)
        .unwrap_or(usize::MAX)
        .min(unread.len());
    let taken = u64::try_from(count).unwrap_or(u64::MAX);
    (count, left.saturating_sub(taken))
}

/// The length of what stands between a chunk's size and its CRLF; nothing while that is not there.
///
/// RFC 9112 7.1.1: `*( ";" name [ "=" value ] )`, name a token and value a token or a quoted string. The white space that it lets
/// old senders write around `;` and `=` is refused.
fn extensions(bytes: &[u8]) -> Result<Option<usize>, Flaw> {
    let mut rest = bytes;
    loop {
        let length = bytes.len().saturating_sub(rest.len());
        if length > EXTENSION_BYTES {
            return Err(Flaw::Malformed("too long a chunk extension"));
        }
        match rest {
            [b'\r', b'\n', ..] => return Ok(Some(length)),
            [] | [b'\r'] => return Ok(None),
            [b';', after @ ..] => {
                let Some(after) = extension(after)? else {
                    if bytes.len() > EXTENSION_BYTES {
                        return Err(Flaw::Malformed("too long a chunk extension"));
                    }
                    return Ok(None);
                };
                rest = after;
            }
            _ => {
                return Err(Flaw::Malformed(
                    "a chunk size that is not a hexadecimal number",
                ));
            }
        }
    }
}

/// What follows one extension; nothing while it may go on.
fn extension(bytes: &[u8]) -> Result<Option<&[u8]>, Flaw> {
    let malformed = Flaw::Malformed("a malformed chunk extension");
    let Some(after_name) = token(bytes, malformed)? else {
        return Ok(None);
    };
    match after_name {
        [b'=', b'"', quoted @ ..] => quoted_string(quoted),
        [b'='] => Ok(None),
        [b'=', value @ ..] => token(value, malformed),
        other => Ok(Some(other)),
    }
}

/// What follows a token, which is not empty; nothing while it may go on.
fn token(bytes: &[u8], malformed: Flaw) -> Result<Option<&[u8]>, Flaw> {
    let length = bytes
        .iter()
        .take_while(|byte| bytes::is_token(**byte))
        .count();
    match bytes.get(length..) {
        None | Some([]) => Ok(None),
        Some(_) if length == 0 => Err(malformed),
        Some(rest) => Ok(Some(rest)),
    }
}

/// What follows the closing quote (RFC 9110 5.6.4).
fn quoted_string(mut bytes: &[u8]) -> Result<Option<&[u8]>, Flaw> {
    loop {
        match bytes {
            [] | [b'\\'] => return Ok(None),
            [b'"', rest @ ..] => return Ok(Some(rest)),
            [b'\\', escaped, rest @ ..] if bytes::is_value(*escaped) => bytes = rest,
            [plain, rest @ ..] if bytes::is_value(*plain) && *plain != b'\\' => bytes = rest,
            _ => return Err(Flaw::Malformed("a malformed chunk extension")),
        }
    }
}

#[cfg(test)]
mod tests;
