//! The head of a request to a bot as bytes, and that of its answer as what it says. Pure.
//!
//! An answer's head was read by [`wire`](crate::net::wire) before, which refuses all that has more than one reading: here it is
//! only taken apart.

use crate::net::fields::Fields;
use crate::net::headers::{Answered, NoFields};
use http::header::TRANSFER_ENCODING;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, StatusCode};

/// What a request is called, and where it goes. Not to be shown: there is a token among the fields.
#[derive(Clone, Copy)]
pub(super) struct RequestHead<'a> {
    pub(super) method: &'a Method,
    pub(super) target: &'a PathAndQuery,
    pub(super) host: &'a HeaderValue,
    /// Without what is said here: host and framing.
    pub(super) fields: &'a Fields,
}

impl RequestHead<'_> {
    /// Writes it, for a body of so many bytes.
    pub(super) fn write(&self, body_bytes: usize, out: &mut Vec<u8>) {
        for piece in [self.method.as_str(), " ", self.target.as_str()] {
            out.extend_from_slice(piece.as_bytes());
        }
        out.extend_from_slice(b" HTTP/1.1\r\n");
        out.extend_from_slice(self.fields.as_bytes());
        field(out, &HOST, self.host.as_bytes());
        if body_bytes > 0 {
            let mut digits = itoa::Buffer::new();
            field(out, &CONTENT_LENGTH, digits.format(body_bytes).as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }
}

fn field(out: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// The head of an answer.
#[derive(Debug)]
pub(super) struct AnswerHead {
    pub(super) status: StatusCode,
    /// What the client gets of them.
    pub(super) headers: HeaderMap,
    pub(super) framing: Framing,
    /// Whether the connection may carry another request once the answer is complete (RFC 9112 9.3).
    pub(super) keeps_alive: bool,
}

/// How the body of an answer is delimited (RFC 9112 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Length(u64),
    Chunked,
    UntilClosed,
}

/// What cannot be, since it was read before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unreadable;

impl AnswerHead {
    /// Reads it from the bytes that begin with it, and says how many those are; nothing as long as it is not whole.
    pub(super) fn read(bytes: &[u8]) -> Result<Option<(Self, usize)>, Unreadable> {
        let Some((first, mut rest)) = line(bytes) else {
            return Ok(None);
        };
        let (version, status) = first.split_at_checked(9).ok_or(Unreadable)?;
        let status = status.get(..3).ok_or(Unreadable)?;
        let status = StatusCode::from_bytes(status).map_err(|_| Unreadable)?;
        let mut fields = Answered::with_room_for(USUAL_FIELDS);
        loop {
            let Some((text, behind)) = line(rest) else {
                return Ok(None);
            };
            rest = behind;
            if text.is_empty() {
                break;
            }
            let colon = memchr::memchr(b':', text).ok_or(Unreadable)?;
            let (name, value) = text.split_at_checked(colon).ok_or(Unreadable)?;
            let name = HeaderName::from_bytes(name).map_err(|_| Unreadable)?;
            fields.add(name, value.get(1..).unwrap_or_default().trim_ascii());
        }
        let says = |option: &str| has_option(&fields, option);
        let keeps_alive = if version == b"HTTP/1.0 " {
            says("keep-alive") && !says("close")
        } else {
            !says("close")
        };
        let head = Self {
            status,
            framing: framing(status, &fields)?,
            keeps_alive,
            headers: fields.to_client().map_err(|NoFields| Unreadable)?,
        };
        Ok(Some((head, bytes.len().saturating_sub(rest.len()))))
    }
}

/// Most bots send no more; for one more the memory grows.
const USUAL_FIELDS: usize = 8;

/// The first line without its CRLF, and what follows; nothing where it has not ended.
fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (line, rest) = bytes.split_at_checked(memchr::memchr(b'\n', bytes)?)?;
    Some((line.strip_suffix(b"\r").unwrap_or(line), rest.get(1..)?))
}

fn has_option(fields: &Answered<'_>, option: &str) -> bool {
    let mut options = fields
        .values(&CONNECTION)
        .flat_map(|value| value.split(|byte| *byte == b','));
    options.any(|one| one.trim_ascii().eq_ignore_ascii_case(option.as_bytes()))
}

fn framing(status: StatusCode, fields: &Answered<'_>) -> Result<Framing, Unreadable> {
    if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Ok(Framing::Length(0));
    }
    // It is `chunked`, and there is no length beside it: all else was refused.
    if fields.values(&TRANSFER_ENCODING).next().is_some() {
        return Ok(Framing::Chunked);
    }
    let Some(length) = fields.values(&CONTENT_LENGTH).next() else {
        return Ok(Framing::UntilClosed);
    };
    let length = std::str::from_utf8(length).ok();
    let length = length.and_then(|digits| digits.parse().ok());
    length.map(Framing::Length).ok_or(Unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::wire::{AnswerReader, Limits, Step};
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn read(head: &str) -> AnswerHead {
        let (read, length) = AnswerHead::read(head.as_bytes()).unwrap().unwrap();
        assert_eq!(length, head.len(), "{head:?}");
        read
    }

    #[test]
    fn a_request_is_written_with_our_host_and_length_and_the_fields_as_they_are() {
        let mut fields = Fields::default();
        fields.append_text(&HeaderName::from_static("x-a"), b"1");
        fields.append_text(&HeaderName::from_static("x-a"), b"2");
        let head = RequestHead {
            method: &Method::POST,
            target: &PathAndQuery::from_static("/api/messages?a=b"),
            host: &HeaderValue::from_static("bot:3978"),
            fields: &fields,
        };
        let written = |body_bytes| {
            let mut out = Vec::new();
            head.write(body_bytes, &mut out);
            String::from_utf8(out).unwrap()
        };
        let common = "POST /api/messages?a=b HTTP/1.1\r\nx-a: 1\r\nx-a: 2\r\nhost: bot:3978\r\n";
        assert_eq!(written(12), format!("{common}content-length: 12\r\n\r\n"));
        assert_eq!(written(0), format!("{common}\r\n"));
    }

    #[test]
    fn an_answer_is_read_when_it_is_whole_and_not_beyond_its_end() {
        let head = "HTTP/1.1 200 OK\r\nA: b\r\na:c\r\nContent-Length:\t5 \r\n\r\n";
        for end in 0..head.len() {
            let part = head.get(..end).unwrap().as_bytes();
            assert!(AnswerHead::read(part).unwrap().is_none(), "{end}");
        }
        let with_body = format!("{head}hello");
        let (read, length) = AnswerHead::read(with_body.as_bytes()).unwrap().unwrap();
        assert_eq!((read.status.as_u16(), length), (200, head.len()));
        assert_eq!(read.framing, Framing::Length(5));
        assert!(read.keeps_alive);
        let values: Vec<_> = read.headers.get_all("a").iter().collect();
        assert_eq!(values, ["b", "c"]);
    }

    #[test]
    fn the_end_of_a_body_is_where_rfc_9112_has_it() {
        for (head, framing) in [
            ("HTTP/1.1 204\r\n\r\n", Framing::Length(0)),
            (
                "HTTP/1.1 304 \r\ncontent-length: 7\r\n\r\n",
                Framing::Length(0),
            ),
            ("HTTP/1.1 200 OK\r\n\r\n", Framing::UntilClosed),
            (
                "HTTP/1.1 500 Oh no\r\nTransfer-Encoding: Chunked\r\n\r\n",
                Framing::Chunked,
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
                Framing::Length(0),
            ),
        ] {
            assert_eq!(read(head).framing, framing, "{head:?}");
        }
    }

    #[test]
    fn a_connection_stays_unless_version_or_option_say_otherwise() {
        for (head, keeps_alive) in [
            ("HTTP/1.1 200 OK\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nconnection: a, Close\r\n\r\n", false),
            (
                "HTTP/1.1 200 OK\r\nconnection: a\r\nConnection: close\r\n\r\n",
                false,
            ),
            ("HTTP/1.0 200 OK\r\n\r\n", false),
            ("HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\n\r\n", true),
            (
                "HTTP/1.0 200 OK\r\nconnection: keep-alive, close\r\n\r\n",
                false,
            ),
        ] {
            assert_eq!(read(head).keeps_alive, keeps_alive, "{head:?}");
        }
    }

    #[test]
    fn what_may_stand_in_a_value_is_written_as_it_is_and_no_more_can_be_in_one() {
        let mut fields = Fields::default();
        fields.append_text(&HeaderName::from_static("x"), b"\t a\x80\xff ");
        let head = RequestHead {
            method: &Method::GET,
            target: &PathAndQuery::from_static("/"),
            host: &HeaderValue::from_static("bot"),
            fields: &fields,
        };
        let mut out = Vec::new();
        head.write(0, &mut out);
        assert_eq!(
            out,
            b"GET / HTTP/1.1\r\nx: \t a\x80\xff \r\nhost: bot\r\n\r\n"
        );
        for byte in (0..b' ').chain([0x7f]).filter(|byte| *byte != b'\t') {
            assert!(HeaderValue::from_bytes(&[b'a', byte]).is_err(), "{byte:x}");
            let target = format!("/a{}b", char::from(byte));
            // A target of the configuration, or one that was checked; this is what is left if it was not.
            let target = target.parse::<PathAndQuery>();
            assert!(byte == 0x7f || target.is_err(), "{byte:x}");
        }
    }

    proptest! {
        /// Two readers of one head: what the first lets pass, the second reads, up to the same byte and with the same body behind it.
        #[test]
        fn what_was_read_before_is_read_alike(
            version in "HTTP/1\\.[01]",
            status in "(100|103|200|204|205|304|404|599|000|600| 20)",
            reason in "( [ -~\t]{0,8})?",
            fields in vec(field(), 0..6),
            body in "[ -~\r\n]{0,20}",
        ) {
            let fields: String = fields.iter().map(|line| format!("{line}\r\n")).collect();
            let bytes = format!("{version} {status}{reason}\r\n{fields}\r\n{body}");
            let bytes = bytes.as_bytes();
            let mut reader = AnswerReader::new(Limits { head_bytes: 1024, fields: 100 });
            reader.expect();
            let Ok(Step::Head(length)) = reader.step(bytes) else {
                return Ok(());
            };
            let (head, read) = AnswerHead::read(bytes).unwrap().unwrap();
            prop_assert_eq!(read, length);
            prop_assert_eq!(reader.is_between(), head.framing == Framing::Length(0));
            let is_until_closed = head.framing == Framing::UntilClosed;
            prop_assert_eq!(reader.ends_with_connection(), is_until_closed);
            if let Framing::Length(length @ 1..) = head.framing {
                let unread = vec![b'x'; usize::try_from(length).unwrap()];
                prop_assert_eq!(reader.step(&unread), Ok(Step::Body(unread.len())));
                prop_assert!(reader.is_between());
            }
        }
    }

    fn field() -> impl Strategy<Value = String> {
        prop_oneof![
            "[!#$%&'*+.^`|~0-9A-Za-z_-]{1,5}:[ \t]{0,2}[ -~\t\u{80}-\u{ff}]{0,6}",
            "[Cc]ontent-[Ll]ength:[ \t]{0,2}[0-9]{1,3}[ \t]?",
            "[Tt]ransfer-[Ee]ncoding: ?([Cc]hunked|gzip)[ \t]?",
            "[Cc]onnection: ?(close|[Kk]eep-[Aa]live|,|x)[ \t]?(, ?close)?",
            "[ -~]{0,6}",
        ]
    }
}
