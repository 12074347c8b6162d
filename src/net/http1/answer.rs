//! The head of an answer as bytes, and how its body is delimited (RFC 9112 6). Pure.

use super::request::Terms;
use crate::judge::UnixSeconds;
use crate::net::headers::has_option;
use http::StatusCode;
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderMap, HeaderName, TRANSFER_ENCODING};
use http::response::Parts;
use std::time::{Duration, UNIX_EPOCH};

/// How the client learns where the body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none.
    Bodiless,
    /// So many bytes.
    Length(u64),
    Chunked,
    UntilClosed,
}

/// What is to be said beside what the answer says itself.
pub(super) struct Saying<'a> {
    pub(super) terms: Terms,
    /// How long the body is, where that is known before it has ended.
    pub(super) length: Option<u64>,
    /// The connection ends with this answer.
    pub(super) is_last: bool,
    /// As a `Date` has it.
    pub(super) date: &'a str,
}

impl Saying<'_> {
    /// Writes the head. Says how the body is delimited, and whether the connection ends behind it.
    pub(super) fn write(&self, head: &Parts, out: &mut Vec<u8>) -> (Framing, bool) {
        let framing = self.framing(head.status);
        self.write_first_line(head.status, out);
        let (mut says_date, mut has_options) = (false, false);
        for (name, value) in &head.headers {
            // These are said below.
            if *name == CONNECTION {
                has_options = true;
            } else if *name != CONTENT_LENGTH && *name != TRANSFER_ENCODING {
                says_date |= *name == DATE;
                field(out, name, value.as_bytes());
            }
        }
        let is_last = self.is_last
            || framing == Framing::UntilClosed
            || (has_options && has_option(&head.headers, "close"));
        if is_last || has_options || self.terms.is_http10 {
            self.write_connection(&head.headers, is_last, out);
        }
        let mut digits = itoa::Buffer::new();
        match framing {
            Framing::Bodiless => self.write_length_of_no_body(head, out),
            Framing::Length(length) => {
                field(out, &CONTENT_LENGTH, digits.format(length).as_bytes());
            }
            Framing::Chunked => field(out, &TRANSFER_ENCODING, b"chunked"),
            Framing::UntilClosed => {}
        }
        if !says_date {
            field(out, &DATE, self.date.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        (framing, is_last)
    }

    const fn framing(&self, status: StatusCode) -> Framing {
        if self.terms.is_head || matches!(status.as_u16(), 100..=199 | 204 | 304) {
            return Framing::Bodiless;
        }
        match self.length {
            Some(length) => Framing::Length(length),
            None if self.terms.is_http10 => Framing::UntilClosed,
            None => Framing::Chunked,
        }
    }

    fn write_first_line(&self, status: StatusCode, out: &mut Vec<u8>) {
        if status == StatusCode::OK && !self.terms.is_http10 {
            out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
            return;
        }
        let version = if self.terms.is_http10 {
            "HTTP/1.0 "
        } else {
            "HTTP/1.1 "
        };
        // Some clients want a reason for any status.
        let reason = status.canonical_reason().unwrap_or("Unknown");
        for piece in [version, status.as_str(), " ", reason, "\r\n"] {
            out.extend_from_slice(piece.as_bytes());
        }
    }

    /// What the answer says of the connection, and what it has to say (RFC 9112 9.3).
    fn write_connection(&self, headers: &HeaderMap, is_last: bool, out: &mut Vec<u8>) {
        let needed = match (is_last, self.terms.is_http10) {
            (true, _) => Some("close").filter(|close| !has_option(headers, close)),
            (false, true) => Some("keep-alive").filter(|keep| !has_option(headers, keep)),
            (false, false) => None,
        };
        let said = headers.get_all(CONNECTION).iter();
        let said = said.map(http::HeaderValue::as_bytes);
        let mut is_first = true;
        for option in said.chain(needed.map(str::as_bytes)) {
            out.extend_from_slice(if is_first { b"connection: " } else { b", " });
            out.extend_from_slice(option);
            is_first = false;
        }
        if !is_first {
            out.extend_from_slice(b"\r\n");
        }
    }

    /// How long the body would be that an answer to HEAD leaves out (RFC 9110 8.6).
    fn write_length_of_no_body(&self, head: &Parts, out: &mut Vec<u8>) {
        if !self.terms.is_head || matches!(head.status.as_u16(), 100..=199 | 204 | 304) {
            return;
        }
        let mut digits = itoa::Buffer::new();
        let said = head.headers.get(CONTENT_LENGTH);
        let known = self.length.filter(|length| *length > 0);
        if let Some(said) = said {
            field(out, &CONTENT_LENGTH, said.as_bytes());
        } else if let Some(length) = known {
            field(out, &CONTENT_LENGTH, digits.format(length).as_bytes());
        }
    }
}

fn field(out: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// What stands before the data of a chunk (RFC 9112 7.1).
pub(super) fn begin_chunk(bytes: usize, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = usize::BITS
        .saturating_sub(bytes.leading_zeros())
        .div_ceil(4);
    for place in (0..digits.max(1)).rev() {
        let digit = bytes.checked_shr(place.saturating_mul(4)).unwrap_or(0) & 15;
        out.extend(DIGITS.get(digit));
    }
    out.extend_from_slice(b"\r\n");
}

/// The last second that was written out.
#[derive(Debug)]
pub(super) struct DateText {
    second: UnixSeconds,
    text: String,
}

impl DateText {
    pub(super) const fn new() -> Self {
        Self {
            second: UnixSeconds(0),
            text: String::new(),
        }
    }

    /// As a `Date` has it (RFC 9110 5.6.7), which has no year after 9999.
    pub(super) fn at(&mut self, now: UnixSeconds) -> &str {
        const LAST: u64 = 253_402_300_799;
        if self.second != now || self.text.is_empty() {
            let moment = UNIX_EPOCH.checked_add(Duration::from_secs(now.0.min(LAST)));
            self.text = httpdate::fmt_http_date(moment.unwrap_or(UNIX_EPOCH));
            self.second = now;
        }
        &self.text
    }
}
