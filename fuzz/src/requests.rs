//! The bytes that a client sends on an HTTP/1 connection: what passes the reader, `httparse` reads the same way, so does who serves
//! it, and where the network cuts the bytes changes nothing.

use super::wire::{Heard, LIMITS, Plain, body, cuts, fields};
use botgate::net::requests_in;
use botgate::net::wire::{Flaw, RequestReader, Step};
use bytes::Bytes;
use http::{Request, Version};

pub fn check(bytes: &[u8]) -> bool {
    let whole = read(bytes, &[bytes.len()]);
    for cuts in cuts(bytes) {
        assert_eq!(read(bytes, &cuts), whole, "cut at {cuts:?}");
    }
    // What passed has no second reading: read again, it passes as it is.
    let again = read(&whole.passed, &[whole.passed.len()]);
    assert_eq!(again.passed, whole.passed, "read again");
    assert_eq!(again.messages, whole.messages, "read again");
    let (served, flaw) = requests_in(bytes, LIMITS);
    assert_eq!(flaw.is_some(), whole.is_flawed);
    assert_eq!(served.len(), whole.messages.len());
    let mut rest = &whole.passed[..];
    for (length, served) in whole.messages.iter().zip(&served) {
        let (message, others) = rest.split_at(*length);
        one(message, served);
        rest = others;
    }
    !whole.messages.is_empty()
}

/// A whole request, its chunk extensions and the like included.
fn one(message: &[u8], served: &Request<Bytes>) {
    let mut store = [httparse::EMPTY_HEADER; LIMITS.fields];
    let mut request = httparse::Request::new(&mut store);
    let Ok(httparse::Status::Complete(head)) = request.parse(message) else {
        panic!(
            "httparse does not read {:?}",
            message.escape_ascii().to_string()
        );
    };
    let plain = Plain::of(&message[..head]);
    assert_eq!(plain.first.split(' ').count(), 3);
    let target = request.path.expect("a target");
    let mut words = plain.first.split(' ');
    assert_eq!(words.next(), request.method);
    assert_eq!(words.next(), Some(target));
    let version = request.version.expect("a version");
    assert_eq!(words.next(), Some(format!("HTTP/1.{version}").as_str()));
    assert!(target.starts_with('/') || target == "*", "{target}");
    assert!(!target.contains('#'));
    let fields = fields(request.headers);
    assert_eq!(fields, plain.fields, "the same fields");
    assert!(!fields.iter().any(|(name, _)| name.contains('_')));
    let (length, data) = body(&fields, &message[head..], version, 0);
    assert_eq!(length, message.len() - head);

    assert_eq!(
        served.method().as_str(),
        plain.first.split(' ').next().expect("a method")
    );
    let path = served.uri().path_and_query().expect("a path");
    assert_eq!(path.as_str(), target);
    assert_eq!(served.version() == Version::HTTP_10, version == 0);
    assert_eq!(served.body(), &data);
    assert_eq!(served.headers().len(), fields.len());
    for name in served.headers().keys() {
        let ours = served.headers().get_all(name).iter();
        let theirs = fields.iter().filter(|(other, _)| other == name.as_str());
        assert!(
            ours.map(|value| value.as_bytes())
                .eq(theirs.map(|(_, value)| &value[..]))
        );
    }
}

fn read(bytes: &[u8], cuts: &[usize]) -> Heard {
    let mut reader = RequestReader::new(LIMITS);
    let mut heard = Heard::default();
    let mut began = 0;
    let mut seen = 0;
    for cut in cuts {
        loop {
            let step: Result<Step, Flaw> = reader.step(&bytes[seen..*cut]);
            let Some(count) = heard.take(step, &bytes[seen..*cut]) else {
                break;
            };
            seen += count;
            if reader.is_between() && heard.passed.len() > began {
                heard.messages.push(heard.passed.len() - began);
                began = heard.passed.len();
            }
        }
        if heard.is_flawed {
            return heard;
        }
    }
    heard.left = bytes.len() - seen;
    heard
}
