//! The bytes that a bot sends on an HTTP/1 connection, each final answer followed by another request: what passes the reader,
//! `httparse` reads the same way, and where the network cuts the bytes changes nothing.

use super::wire::{Heard, LIMITS, Plain, body_length, cuts, fields};
use botgate::net::wire::AnswerReader;

pub fn check(bytes: &[u8]) -> bool {
    let whole = read(bytes, &[bytes.len()]);
    for cuts in cuts(bytes) {
        assert_eq!(read(bytes, &cuts), whole, "cut at {cuts:?}");
    }
    let again = read(&whole.passed, &[whole.passed.len()]);
    assert_eq!(again.passed, whole.passed, "read again");
    assert_eq!(again.messages, whole.messages, "read again");
    let mut rest = &whole.passed[..];
    for length in &whole.messages {
        let (message, others) = rest.split_at(*length);
        one(message);
        rest = others;
    }
    !whole.messages.is_empty()
}

/// A whole answer; interim ones were left out.
fn one(message: &[u8]) {
    let mut store = [httparse::EMPTY_HEADER; LIMITS.fields];
    let mut answer = httparse::Response::new(&mut store);
    let Ok(httparse::Status::Complete(head)) = answer.parse(message) else {
        panic!(
            "httparse does not read {:?}",
            message.escape_ascii().to_string()
        );
    };
    let plain = Plain::of(&message[..head]);
    let status = answer.code.expect("a status");
    let version = answer.version.expect("a version");
    assert!((200..600).contains(&status), "{status}");
    assert!(
        plain
            .first
            .starts_with(&format!("HTTP/1.{version} {status}"))
    );
    let fields = fields(answer.headers);
    assert_eq!(fields, plain.fields, "the same fields");
    let body = message.len() - head;
    assert_eq!(
        body_length(&fields, &message[head..], version, status),
        body
    );
}

fn read(bytes: &[u8], cuts: &[usize]) -> Heard {
    let mut reader = AnswerReader::new(LIMITS);
    reader.expect();
    let mut heard = Heard::default();
    let mut began = 0;
    let mut seen = 0;
    for cut in cuts {
        loop {
            let step = reader.step(&bytes[seen..*cut]);
            let Some(count) = heard.take(step, &bytes[seen..*cut]) else {
                break;
            };
            seen += count;
            if reader.is_between() {
                heard.messages.push(heard.passed.len() - began);
                began = heard.passed.len();
                reader.expect();
            }
        }
        if heard.is_flawed {
            return heard;
        }
    }
    // An answer that ends with the connection is whole there.
    if reader.ends_with_connection() {
        heard.messages.push(heard.passed.len() - began);
    }
    heard.left = bytes.len() - seen;
    heard
}
