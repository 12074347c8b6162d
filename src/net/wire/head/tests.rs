//! The reader of heads against one that goes byte by byte, line by line, and takes no short way.

use super::*;
use crate::net::wire::bytes::is_value;
use proptest::prelude::*;

const LIMITS: Limits = Limits {
    head_bytes: 200,
    fields: 4,
};

/// A head's length, its number of fields and what they declare, or what is wrong.
type Reading = Result<Option<(usize, usize, Declared)>, Flaw>;

fn plain(bytes: &[u8], sender: Sender) -> Reading {
    let (mut start, mut lines, mut fields) = (0, 0, 0);
    let mut declared = Declared::default();
    while let Some(feed) = bytes[start..].iter().position(|byte| *byte == b'\n') {
        let end = start + feed + 1;
        if end > LIMITS.head_bytes {
            return Err(Flaw::TooLarge("more bytes than a head may have"));
        }
        let line = without_cr(&bytes[start..end - 1])?;
        start = end;
        lines += 1;
        match (lines, line) {
            (1, _) => first_line(line)?,
            (_, []) => return Ok(Some((end, fields, declared))),
            (_, line) => {
                fields += 1;
                if fields > LIMITS.fields {
                    return Err(Flaw::TooLarge("more fields than a head may have"));
                }
                let (name, value) = field::split(line, sender)?;
                declared.take(name, value)?;
            }
        }
    }
    let rest = &bytes[start..];
    let complete = rest.strip_suffix(b"\r").unwrap_or(rest);
    if complete.contains(&b'\r') {
        return Err(Flaw::Malformed("a CR without LF"));
    }
    if !complete.iter().all(|byte| is_value(*byte)) {
        return Err(Flaw::Malformed("a control character"));
    }
    if bytes.len() > LIMITS.head_bytes {
        return Err(Flaw::TooLarge("more bytes than a head may have"));
    }
    Ok(None)
}

/// As those of requests and answers, it has no control characters.
fn first_line(line: &[u8]) -> Result<(), Flaw> {
    if line.first() == Some(&b'!') || !line.iter().all(|byte| is_value(*byte)) {
        return Err(Flaw::Malformed("a first line that is refused"));
    }
    Ok(())
}

/// Shown so many bytes more each time.
fn read(bytes: &[u8], sender: Sender, piece: usize) -> Reading {
    let mut head = Head::new(sender);
    let mut shown = 0;
    loop {
        shown = (shown + piece).min(bytes.len());
        if let Some(end) = head.read(&bytes[..shown], LIMITS, first_line, |_| ())? {
            return Ok(Some((end, head.fields(), head.declared)));
        }
        if shown == bytes.len() {
            return Ok(None);
        }
    }
}

fn compare(bytes: &[u8]) {
    for sender in [Sender::Client, Sender::Bot] {
        let plain = plain(bytes, sender);
        let at_once = read(bytes, sender, bytes.len().max(1));
        let shown = bytes.escape_ascii();
        assert_eq!(format!("{at_once:?}"), format!("{plain:?}"), "{shown}");
        for piece in [1, 3, 40] {
            // In pieces a mistake may be found before another one that stands earlier is whole.
            let in_pieces = read(bytes, sender, piece);
            match (&in_pieces, &plain) {
                (Err(_), Err(_)) => {}
                _ => assert_eq!(format!("{in_pieces:?}"), format!("{plain:?}"), "{shown}"),
            }
        }
    }
}

/// What heads are made of, and what they are broken with.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        &b"\r\n"[..],
        b"\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b":",
        b": ",
        b" ",
        b"\t",
        b"a",
        b"A-1",
        b"_",
        b"!",
        b"\0",
        b"\x7f",
        b"\x80",
        b"content-length: 5\r\n",
        b"Content-Length:",
        b"transfer-encoding: chunked\r\n",
        b"Transfer-Encoding: \t",
        b"X-Long: 0123456789012345678901234567890123456789012345678901234567890123456789\r\n",
        b"GET / HTTP/1.1\r\n",
    ]);
    prop_oneof![
        9 => known.prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_short_way_ends_where_the_long_one_does(
        pieces in prop::collection::vec(piece(), 0..14),
        ends in any::<bool>(),
    ) {
        let mut bytes = pieces.concat();
        if ends {
            bytes.extend_from_slice(b"\r\n\r\n");
        }
        compare(&bytes);
    }
}

#[test]
fn every_byte_at_every_place_of_a_head_is_judged_alike() {
    let head =
        b"GET / HTTP/1.1\r\nHost: a\r\nX-A:\tbcdefghijklmnopqrstuvwxyz0123456789\r\nB: \r\n\r\n";
    for place in 0..head.len() {
        for byte in 0..=u8::MAX {
            let mut bytes = head.to_vec();
            bytes[place] = byte;
            for sender in [Sender::Client, Sender::Bot] {
                let at_once = read(&bytes, sender, bytes.len());
                let plain = plain(&bytes, sender);
                assert_eq!(
                    format!("{at_once:?}"),
                    format!("{plain:?}"),
                    "{byte:x} at {place}"
                );
            }
        }
    }
}
