//! What the readers of both directions have in common, and a second reading of heads and bodies in the plainest way.

use botgate::net::wire::{Flaw, Limits, Step};

pub const LIMITS: Limits = Limits {
    head_bytes: 1024,
    fields: 16,
};

/// What a reader said of all the bytes.
#[derive(Debug, Default, PartialEq)]
pub struct Heard {
    /// The bytes that may pass.
    pub passed: Vec<u8>,
    /// The lengths of the whole messages among them.
    pub messages: Vec<usize>,
    pub is_flawed: bool,
    /// Bytes that nothing could be said about.
    pub left: usize,
}

impl Heard {
    /// How many bytes were stepped over; nothing where there are no further steps.
    pub fn take(&mut self, step: Result<Step, Flaw>, unread: &[u8]) -> Option<usize> {
        let count = match step {
            Err(flaw) => {
                assert!(!flaw.what().is_empty());
                self.is_flawed = true;
                return None;
            }
            Ok(Step::More) => return None,
            Ok(Step::Head(count) | Step::Body(count)) => {
                self.passed.extend_from_slice(&unread[..count]);
                count
            }
            Ok(Step::Drop(count)) => count,
        };
        assert!((1..=unread.len()).contains(&count), "{count} bytes");
        Some(count)
    }
}

/// Ways in which a network may cut the bytes: each alone, and two ways of which the bytes themselves decide.
pub fn cuts(bytes: &[u8]) -> [Vec<usize>; 3] {
    let each: Vec<usize> = (1..=bytes.len()).collect();
    let some = |salt: usize| {
        let weigh = |at: &usize| bytes[at - 1].wrapping_mul(31) as usize + at * salt;
        let mut cuts: Vec<usize> = each
            .iter()
            .copied()
            .filter(|at| weigh(at) % 5 == 0)
            .collect();
        cuts.push(bytes.len());
        cuts
    };
    [some(1), some(7), each]
}

pub type Fields = Vec<(String, Vec<u8>)>;

/// A head as its lines, divided by CRLF and nothing else.
pub struct Plain {
    pub first: String,
    pub fields: Fields,
}

impl Plain {
    pub fn of(head: &[u8]) -> Self {
        let text: String = head.iter().copied().map(char::from).collect();
        assert!(text.ends_with("\r\n\r\n"), "a head ends with an empty line");
        let bare = text.replace("\r\n", "");
        let is_plain = |c: char| c == '\t' || !c.is_control() || !c.is_ascii();
        assert!(
            bare.chars().all(is_plain),
            "a control character in {text:?}"
        );
        let mut lines = text
            .trim_end_matches("\r\n")
            .split("\r\n")
            .map(str::to_owned);
        let first = lines.next().expect("a first line");
        let field = |line: String| {
            let (name, value) = line.split_once(':').expect("a colon");
            let value = value.trim_matches([' ', '\t']);
            let latin1 = value.chars().map(|c| u8::try_from(c).expect("a byte"));
            (name.to_ascii_lowercase(), latin1.collect())
        };
        Self {
            first,
            fields: lines.map(field).collect(),
        }
    }
}

/// The fields that `httparse` found.
pub fn fields(headers: &[httparse::Header<'_>]) -> Fields {
    let field = |header: &httparse::Header<'_>| {
        let value: String = header.value.iter().copied().map(char::from).collect();
        let value = value.trim_matches([' ', '\t']).chars();
        let latin1 = value.map(|c| u8::try_from(c).expect("a byte"));
        (header.name.to_ascii_lowercase(), latin1.collect())
    };
    headers.iter().map(field).collect()
}

/// The length of a body by RFC 9112 6.3, chunks read by `httparse`. `status` is 0 for a request.
pub fn body_length(fields: &Fields, rest: &[u8], version: u8, status: u16) -> usize {
    body(fields, rest, version, status).0
}

/// The same, and the data in it.
pub fn body(fields: &Fields, rest: &[u8], version: u8, status: u16) -> (usize, Vec<u8>) {
    let plain = |length: usize| (length, rest[..length].to_vec());
    let of = |name: &str| {
        let values: Vec<&[u8]> = fields
            .iter()
            .filter(|(other, _)| other == name)
            .map(|(_, value)| value.as_slice())
            .collect();
        assert!(values.len() <= 1, "{name} more than once");
        values.first().copied()
    };
    let (length, encoding) = (of("content-length"), of("transfer-encoding"));
    assert!(length.is_none() || encoding.is_none(), "two framings");
    if matches!(status, 204 | 304) {
        return plain(0);
    }
    match (length, encoding) {
        (Some(length), _) => {
            let digits = std::str::from_utf8(length).expect("digits");
            let length: usize = digits.parse().expect("a number");
            assert_eq!(length.to_string(), digits, "written in one way");
            plain(length)
        }
        (None, Some(encoding)) => {
            assert!(encoding.eq_ignore_ascii_case(b"chunked") && version == 1);
            chunked(rest)
        }
        // RFC 9112 6.3 rules 7 and 8.
        (None, None) if status == 0 => plain(0),
        (None, None) => plain(rest.len()),
    }
}

/// The length of a chunked body without trailers, and its data.
fn chunked(rest: &[u8]) -> (usize, Vec<u8>) {
    let mut at = 0;
    let mut data = vec![];
    loop {
        let Ok(httparse::Status::Complete((line, size))) = httparse::parse_chunk_size(&rest[at..])
        else {
            panic!("httparse reads no chunk at {at}");
        };
        let size = usize::try_from(size).expect("a chunk that is here");
        data.extend_from_slice(&rest[at + line..at + line + size]);
        at += line + size;
        assert_eq!(&rest[at..at + 2], b"\r\n", "a chunk ends where it says");
        at += 2;
        if size == 0 {
            return (at, data);
        }
    }
}
