//! The head of a request as what it says. Pure.
//!
//! It was read by [`wire`](crate::net::wire) before, which refuses all that has more than one reading: here it is only taken apart.

use crate::net::headers::has_option;
use crate::net::wire::{FieldPlace, Flaw};
use bytes::Bytes;
use http::header::{CONNECTION, EXPECT, HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, Request, Uri, Version};
use std::ops::Range;

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

/// Takes a whole head apart, whose fields stand in these places.
///
/// # Errors
/// Targets of 64 KiB and more, and longer names of fields.
pub(super) fn read(head: &Bytes, fields: &[FieldPlace]) -> Result<(Request<()>, Terms), Flaw> {
    let line_end = memchr::memchr(b'\r', head).ok_or(UNREADABLE)?;
    let line = head.get(..line_end).ok_or(UNREADABLE)?;
    let method_end = memchr::memchr(b' ', line).ok_or(UNREADABLE)?;
    let target_end = memchr::memrchr(b' ', line).ok_or(UNREADABLE)?;
    let method = line.get(..method_end).ok_or(UNREADABLE)?;
    let is_http10 = line.ends_with(b"HTTP/1.0");
    let target = piece(head, method_end.saturating_add(1)..target_end)?;
    let target = PathAndQuery::from_maybe_shared(target);

    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(method).map_err(|_| UNREADABLE)?;
    *request.uri_mut() = Uri::from(target.map_err(|_| TOO_LONG)?);
    *request.version_mut() = if is_http10 {
        Version::HTTP_10
    } else {
        Version::HTTP_11
    };
    let headers = request.headers_mut();
    *headers = HeaderMap::try_with_capacity(fields.len()).map_err(|_| TOO_LONG)?;
    let (mut has_options, mut expects_continue) = (false, false);
    for place in fields {
        let name = head.get(place.name.clone()).ok_or(UNREADABLE)?;
        let name = HeaderName::from_bytes(name).map_err(|_| TOO_LONG)?;
        let value = HeaderValue::from_maybe_shared(piece(head, place.value.clone())?);
        let value = value.map_err(|_| UNREADABLE)?;
        has_options |= name == CONNECTION;
        expects_continue |= name == EXPECT && is_continue(&value);
        headers.try_append(name, value).map_err(|_| TOO_LONG)?;
    }
    let lists = |option| has_options && has_option(headers, option);
    let keeps_alive = !lists("close") && (!is_http10 || lists("keep-alive"));
    let terms = Terms {
        is_head: *request.method() == Method::HEAD,
        is_http10,
        keeps_alive,
        expects_continue: expects_continue && !is_http10,
    };
    Ok((request, terms))
}

/// The same memory, not a copy.
fn piece(head: &Bytes, place: Range<usize>) -> Result<Bytes, Flaw> {
    // Outside of it a slice would panic.
    if head.get(place.clone()).is_none() {
        return Err(UNREADABLE);
    }
    Ok(head.slice(place))
}

/// Also among other expectations, which nobody knows, and which are ignored (RFC 9110 10.1.1 lets a server do so): whoever waits for
/// 100 would else send no body.
fn is_continue(expected: &HeaderValue) -> bool {
    let mut expected = expected.as_bytes().split(|byte| *byte == b',');
    expected.any(|one| one.trim_ascii().eq_ignore_ascii_case(b"100-continue"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::http1::input::{Input, Next};
    use crate::net::wire::Limits;
    use proptest::collection::vec;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits {
        head_bytes: 70 * 1024,
        fields: 100,
    };

    fn taken_apart(head: &[u8]) -> Option<Result<(Request<()>, Terms), Flaw>> {
        let mut input = Input::new(LIMITS);
        input.bytes.extend_from_slice(head);
        match input.next()? {
            Next::Head(head) => Some(read(&head, input.fields())),
            Next::Flawed(flaw) => Some(Err(flaw)),
        }
    }

    #[test]
    fn what_is_longer_than_can_be_held_is_too_large() {
        let long = "a".repeat(65 * 1024);
        for head in [
            format!("GET /{long} HTTP/1.1\r\n\r\n"),
            format!("GET / HTTP/1.1\r\n{long}: b\r\n\r\n"),
        ] {
            let outcome = taken_apart(head.as_bytes()).unwrap();
            assert!(matches!(outcome, Err(Flaw::TooLarge(_))), "{outcome:?}");
        }
    }

    #[test]
    fn a_client_may_expect_more_than_one_thing() {
        for (expected, is_told) in [
            ("100-continue", true),
            ("100-Continue, foo", true),
            ("foo=\"a\" ,\t100-CONTINUE", true),
            ("foo", false),
            ("100-continue-not", false),
            ("100-continue foo", false),
            ("", false),
        ] {
            let head = format!("POST / HTTP/1.1\r\nexpect: {expected}\r\n\r\n");
            let (_, terms) = taken_apart(head.as_bytes()).unwrap().unwrap();
            assert_eq!(terms.expects_continue, is_told, "{expected}");
        }
    }

    #[test]
    fn values_are_pieces_of_what_was_read() {
        let head = Bytes::from_static(b"GET / HTTP/1.1\r\nhost: \t here \t\r\n\r\n");
        let mut input = Input::new(LIMITS);
        input.bytes.extend_from_slice(&head);
        let Some(Next::Head(_)) = input.next() else {
            panic!("it is whole");
        };
        let (request, _) = read(&head, input.fields()).unwrap();
        let value = request.headers().get("host").unwrap().as_bytes();
        assert_eq!(value, b"here");
        assert!(head.as_ptr_range().contains(&value.as_ptr()));
    }

    proptest! {
        /// Two readers of one head: what the first lets pass, a reader that knows nothing of it reads alike.
        #[test]
        fn what_was_judged_is_what_others_read(
            method in "(GET|POST|HEAD|[A-Z]{1,3})",
            target in "/[a-z0-9/?=&%.~-]{0,12}",
            version in "HTTP/1\\.[01]",
            fields in vec(field(), 0..8),
            body in "[ -~\r\n]{0,20}",
        ) {
            let fields: String = fields.iter().map(|line| format!("{line}\r\n")).collect();
            let bytes = format!("{method} {target} {version}\r\n{fields}\r\n{body}");
            let Some(Ok((request, terms))) = taken_apart(bytes.as_bytes()) else {
                return Ok(());
            };
            let mut others = [httparse::EMPTY_HEADER; 16];
            let mut other = httparse::Request::new(&mut others);
            let parsed = other.parse(bytes.as_bytes()).unwrap();
            prop_assert!(parsed.is_complete());
            prop_assert_eq!(other.method, Some(request.method().as_str()));
            prop_assert_eq!(other.path, request.uri().path_and_query().map(PathAndQuery::as_str));
            prop_assert_eq!(other.version == Some(0), terms.is_http10);
            let mut count = 0;
            for theirs in other.headers.iter() {
                let ours: Vec<_> = request.headers().get_all(theirs.name).iter().collect();
                prop_assert!(ours.iter().any(|ours| ours.as_bytes() == theirs.value));
                count += 1;
            }
            prop_assert_eq!(request.headers().len(), count);
        }
    }

    fn field() -> impl Strategy<Value = String> {
        prop_oneof![
            "[!#$%&'*+.^`|~0-9A-Za-z-]{1,5}:[ \t]{0,2}[ -~\t\u{80}-\u{ff}]{0,6}",
            "[Hh]ost:[ \t]{0,2}[a-z]{1,3}[ \t]?",
            "[Cc]ontent-[Ll]ength:[ \t]{0,2}[0-9]{1,3}[ \t]?",
            "[Cc]onnection: ?(close|[Kk]eep-[Aa]live|,|x)[ \t]?(, ?close)?",
            "[ -~]{0,6}",
        ]
    }
}
