//! One field line, and what the fields of a head say about its body.

use super::bytes::{self, is_token, is_value};
use super::{Flaw, Framing, Sender, Version};

/// As [`split`], of a line in which there is no byte but such as may stand in a value: then only the name is to be looked at.
pub(super) fn split_clean(line: &[u8], sender: Sender) -> Result<(&[u8], &[u8]), Flaw> {
    let class = match sender {
        Sender::Client => bytes::CLIENT_NAME,
        Sender::Bot => bytes::TOKEN,
    };
    let end = line.iter().position(|byte| !bytes::is_of(class, *byte));
    let parts = end.and_then(|end| line.split_at_checked(end));
    match parts {
        Some((name @ [_, ..], [b':', value @ ..])) => Ok((name, trim(value))),
        // What is wrong, and whether anything is, the careful reader says.
        Some(_) | None => split(line, sender),
    }
}

/// A field line without its CRLF, as name and value (RFC 9112 5).
pub(super) fn split(line: &[u8], sender: Sender) -> Result<(&[u8], &[u8]), Flaw> {
    let malformed = |what| Err(Flaw::Malformed(what));
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return malformed("a folded field, or white space before a field name");
    }
    let Some(colon) = memchr::memchr(b':', line) else {
        return malformed("a field line without a colon");
    };
    let (name, value) = line.split_at_checked(colon).unwrap_or_default();
    let value = value.get(1..).unwrap_or_default();
    if name.is_empty() {
        return malformed("a field without a name");
    }
    if !name.iter().all(|byte| is_token(*byte)) {
        return malformed(match name.last() {
            Some(b' ' | b'\t') => "white space between a field name and its colon",
            _ => "a field name with a character that may not stand there",
        });
    }
    // RFC 9110 5.1 allows it, and servers with CGI in their ancestry read it as `-`: Transfer_Encoding is Transfer-Encoding to
    // them. judge::check_fields says the same of HTTP/2; here it is said before a byte of the body is believed. Whoever reads a
    // bot's answers has no such ancestry.
    if sender == Sender::Client && name.contains(&b'_') {
        return malformed("a field name with _, which some servers read as -");
    }
    if !value.iter().all(|byte| is_value(*byte)) {
        return malformed("a field value with a control character");
    }
    Ok((name, trim(value)))
}

/// Without the optional white space around it (RFC 9112 5: OWS is SP and HTAB, nothing else).
pub(super) fn trim(value: &[u8]) -> &[u8] {
    let is_text = |byte: &u8| !matches!(byte, b' ' | b'\t');
    let start = value.iter().position(is_text).unwrap_or(value.len());
    let end = value
        .iter()
        .rposition(is_text)
        .map_or(start, |last| last.saturating_add(1));
    value.get(start..end).unwrap_or_default()
}

/// What the fields read so far say about the body.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Declared {
    length: Option<u64>,
    is_chunked: bool,
}

impl Declared {
    pub(super) fn take(&mut self, name: &[u8], value: &[u8]) -> Result<(), Flaw> {
        if name.eq_ignore_ascii_case(b"content-length") {
            if self.length.is_some() {
                return Err(Flaw::Malformed("more than one Content-Length"));
            }
            self.length = Some(length(value)?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if self.is_chunked {
                return Err(Flaw::Malformed("more than one Transfer-Encoding"));
            }
            // `gzip, chunked` is HTTP, too; nobody who talks to a bot writes it, and readers of lists differ.
            if !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Flaw::Malformed("a Transfer-Encoding other than chunked"));
            }
            self.is_chunked = true;
        }
        Ok(())
    }

    /// RFC 9112 6.3, where a server may refuse what it calls ambiguous, and 6.1 for HTTP/1.0.
    pub(super) const fn framing(self, version: Version) -> Result<Framing, Flaw> {
        match (self.length, self.is_chunked, version) {
            (Some(_), true, _) => Err(Flaw::Malformed("Content-Length beside Transfer-Encoding")),
            (None, true, Version::V1_0) => Err(Flaw::Malformed("Transfer-Encoding in HTTP/1.0")),
            (None, true, Version::V1_1) => Ok(Framing::Chunked),
            (Some(length), false, _) => Ok(Framing::Length(length)),
            (None, false, _) => Ok(Framing::Unsaid),
        }
    }
}

/// 1*DIGIT (RFC 9110 8.6), in the one way to write a number: some readers take `010` for 8.
fn length(value: &[u8]) -> Result<u64, Flaw> {
    const MAX_DIGITS: usize = 19;
    let is_plain = (1..=MAX_DIGITS).contains(&value.len())
        && value.iter().all(u8::is_ascii_digit)
        && (value.len() == 1 || value.first() != Some(&b'0'));
    let number = std::str::from_utf8(value).ok().filter(|_| is_plain);
    number
        .and_then(|digits| digits.parse().ok())
        .ok_or(Flaw::Malformed(
            "a Content-Length that is not one plain number",
        ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_a_token_a_colon_and_a_trimmed_value() {
        for (line, name, value) in [
            ("a:b", "a", "b"),
            ("a:", "a", ""),
            ("a: \t ", "a", ""),
            ("a:\t b c \t", "a", "b c"),
            ("A-1!#$%&'*+.^`|~: :", "A-1!#$%&'*+.^`|~", ":"),
        ] {
            let expected = Ok((name.as_bytes(), value.as_bytes()));
            assert_eq!(split(line.as_bytes(), Sender::Client), expected, "{line:?}");
        }
        let obs_text = split(b"a: \x80\xff", Sender::Client);
        assert_eq!(obs_text, Ok((&b"a"[..], &b"\x80\xff"[..])));
        assert_eq!(split(b"a_b: c", Sender::Bot), Ok((&b"a_b"[..], &b"c"[..])));
    }

    #[test]
    fn anything_else_is_refused() {
        for line in [
            &b"a"[..],
            b":b",
            b" a:b",
            b"\ta:b",
            b"a :b",
            b"a\t:b",
            b"a b:c",
            b"a\0:b",
            b"a\x80:b",
            b"a\x7f:b",
            b"a_b:c",
            b"\"a\":b",
            b"(a):b",
            b"a/b:c",
            b"a:b\0",
            b"a:\x01",
            b"a:b\rc",
            b"a:b\x0b",
            b"a:\x7f",
            b"a:\x1f",
        ] {
            let outcome = split(line, Sender::Client);
            assert!(outcome.is_err(), "{}", line.escape_ascii());
        }
    }

    #[test]
    fn a_length_is_written_in_one_way() {
        for (value, number) in [
            ("0", 0),
            ("5", 5),
            ("1234567890123456789", 1_234_567_890_123_456_789),
        ] {
            assert_eq!(length(value.as_bytes()), Ok(number), "{value}");
        }
        for value in [
            "",
            "+5",
            "-5",
            "0x5",
            "5 5",
            "5,5",
            "5, 5",
            "5;",
            "\"5\"",
            "05",
            "00",
            "5.0",
            "5e0",
            "1_0",
            "\u{b2}",
            "五",
            "12345678901234567890",
            "99999999999999999999",
        ] {
            assert!(length(value.as_bytes()).is_err(), "{value}");
        }
    }
}
