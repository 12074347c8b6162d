//! A skill's callback: `METHOD PATH` on the first line, then the body. Its path leads where it seems to, and its body is read as
//! every reader reads it.

use super::activity::LIMITS;
use super::json::{READERS, Tree};
use super::token::halves;
use botgate::judge::{CALLBACK_API, Callback};
use bytes::Bytes;
use http::Method;

pub fn check(input: &[u8]) -> bool {
    let (line, body) = halves(input, b'\n');
    let Ok(line) = std::str::from_utf8(line) else {
        return false;
    };
    let (method, path) = line.split_once(' ').unwrap_or((line, ""));
    let Ok(method) = Method::from_bytes(method.as_bytes()) else {
        return false;
    };
    let raw = Bytes::copy_from_slice(body);
    let Ok(callback) = Callback::parse(&method, path, raw, LIMITS) else {
        return false;
    };
    assert_eq!(callback.raw(), body, "the bytes are kept as received");
    assert_eq!((&callback.method, callback.path.as_str()), (&method, path));
    if let Some(conversation) = &callback.conversation {
        names(path, conversation);
    }
    if !matches!(method, Method::POST | Method::PUT) {
        assert!(body.is_empty(), "{method} with a body");
        return true;
    }
    let tree = Tree::read(body).expect("what was accepted is JSON");
    assert!(matches!(tree, Tree::Object(_)) && !tree.repeats_a_name());
    for (path, seen) in [
        (&["type"][..], &callback.kind),
        (&["channelId"], &callback.channel),
        (
            &["relatesTo", "serviceUrl"],
            &callback.relates_to_service_url,
        ),
    ] {
        for reader in READERS {
            assert_eq!(&reader.text(&tree, path), seen, "{reader:?} at {path:?}");
        }
    }
    true
}

/// That a path names this conversation, decoded in the plainest way, and that no server resolves it to another path.
pub fn names(path: &str, conversation: &str) {
    let (_, rest) = path.split_once(CALLBACK_API).expect("a path of the API");
    let segment = rest.split('/').nth(1).expect("a conversation");
    assert_eq!(percent_decoded(segment), conversation.as_bytes());
    assert!(
        !conversation
            .chars()
            .any(|c| matches!(c, '/' | '\\' | '%') || c.is_ascii_control())
    );
    stays_where_it_is(path);
}

/// That resolving the part below the API as a browser or a server does (WHATWG URL) changes nothing.
pub fn stays_where_it_is(path: &str) {
    let at = path.find(CALLBACK_API).expect("a path of the API");
    let below = &path[at..];
    if !below.bytes().all(|byte| byte.is_ascii_graphic()) || below.contains(['?', '#']) {
        return;
    }
    let url = url::Url::parse(&format!("http://bot.example{below}")).expect("a URL");
    let escaped = |text: &str| percent_decoded(text);
    assert_eq!(
        escaped(url.path()),
        escaped(below),
        "the path is resolved to another"
    );
    let segments = |path: &str| path.split('/').count();
    assert_eq!(segments(url.path()), segments(below));
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let (mut decoded, mut at) = (vec![], 0);
    while at < bytes.len() {
        let hex = bytes
            .get(at + 1..at + 3)
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                at += 3;
            }
            (byte, _) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}
