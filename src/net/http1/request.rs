//! The head of a request as what it says. Pure.
//!
//! It was read by [`wire`](crate::net::wire) before, which refuses all that has more than one reading: here it is only taken apart.

use crate::net::headers::has_option;
use crate::net::wire::Flaw;
use bytes::Bytes;
use http::header::{EXPECT, HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, Request, Uri, Version};

/// What answering a request needs to know of its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    /// The answer has no body, whatever its head says (RFC 9110 9.3.2).
    pub(super) is_head: bool,
    pub(super) is_http10: bool,
    /// Whether the connection may serve another request (RFC 9112 9.3).
    pub(super) keeps_alive: bool,
    /// The body comes once it was asked for (RFC 9110 10.1.1).
    pub(super) expects_continue: bool,
}

/// What cannot be, since it was read before, or what is longer than the libraries behind can hold.
const UNREADABLE: Flaw = Flaw::Malformed("a head that cannot be read");
const TOO_LONG: Flaw = Flaw::TooLarge("a target or a field name that is too long");

/// Takes a whole head apart, of which one knows how many fields it has.
///
/// # Errors
/// Targets of 64 KiB and more, and longer names of fields.
pub(super) fn read(head: &Bytes, fields: usize) -> Result<(Request<()>, Terms), Flaw> {
    let mut lines = Lines { head, at: 0 };
    let (start, end) = lines.next().ok_or(UNREADABLE)?;
    let first = head.get(start..end).ok_or(UNREADABLE)?;
    let method_end = memchr::memchr(b' ', first).ok_or(UNREADABLE)?;
    let target_end = memchr::memrchr(b' ', first).ok_or(UNREADABLE)?;
    let method = first.get(..method_end).ok_or(UNREADABLE)?;
    let is_http10 = first.ends_with(b"HTTP/1.0");
    let target = method_end.saturating_add(1)..target_end;
    let target = head.get(target.clone()).map(|_| head.slice(target));
    let target = PathAndQuery::from_maybe_shared(target.ok_or(UNREADABLE)?);

    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(method).map_err(|_| UNREADABLE)?;
    *request.uri_mut() = Uri::from(target.map_err(|_| TOO_LONG)?);
    *request.version_mut() = if is_http10 {
        Version::HTTP_10
    } else {
        Version::HTTP_11
    };
    let headers = request.headers_mut();
    *headers = HeaderMap::try_with_capacity(fields).map_err(|_| TOO_LONG)?;
    for (start, end) in lines {
        if start == end {
            break;
        }
        let line = head.get(start..end).ok_or(UNREADABLE)?;
        let colon = memchr::memchr(b':', line).ok_or(UNREADABLE)?;
        let name = line.get(..colon).ok_or(UNREADABLE)?;
        let name = HeaderName::from_bytes(name).map_err(|_| TOO_LONG)?;
        let value = value_of(head, start.saturating_add(colon).saturating_add(1), end);
        let value = HeaderValue::from_maybe_shared(value.ok_or(UNREADABLE)?);
        let value = value.map_err(|_| UNREADABLE)?;
        headers.try_append(name, value).map_err(|_| TOO_LONG)?;
    }
    let says_close = has_option(headers, "close");
    let terms = Terms {
        is_head: *request.method() == Method::HEAD,
        is_http10,
        keeps_alive: !says_close && (!is_http10 || has_option(request.headers(), "keep-alive")),
        expects_continue: !is_http10 && expects_continue(request.headers()),
    };
    Ok((request, terms))
}

fn expects_continue(headers: &HeaderMap) -> bool {
    let expected = headers.get(EXPECT);
    expected.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// What stands there, without white space around it.
fn value_of(head: &Bytes, start: usize, end: usize) -> Option<Bytes> {
    let value = head.get(start..end)?;
    let trimmed = value.trim_ascii_start();
    let start = start.saturating_add(value.len().saturating_sub(trimmed.len()));
    let end = start.saturating_add(trimmed.trim_ascii_end().len());
    Some(head.slice(start..end))
}

/// Where the lines of a head stand, without their CRLF.
struct Lines<'a> {
    head: &'a [u8],
    at: usize,
}

impl Iterator for Lines<'_> {
    type Item = (usize, usize);

    fn next(&mut self) -> Option<(usize, usize)> {
        let start = self.at;
        let feed = memchr::memchr(b'\n', self.head.get(start..)?)?;
        let end = start.saturating_add(feed);
        self.at = end.saturating_add(1);
        Some((start, end.saturating_sub(1)))
    }
}
