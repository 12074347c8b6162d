//! The request's head: method, types, encodings, size; and the `Authorization` header.

use super::Right::{Accept, Refuse};
use super::{Case, Class, case};
use crate::keys::Keys;
use crate::post::Post;
use botgate::judge::Reason;

pub(super) fn cases(keys: &Keys) -> Vec<Case> {
    let mut cases = head(keys);
    cases.extend(authorization(keys));
    cases
}

fn head(keys: &Keys) -> Vec<Case> {
    let teams = || Post::teams(keys);
    let wrong_type = Refuse(Reason::ContentTypeUnsupported);
    let encoded = Refuse(Reason::ContentEncodingUnsupported);
    let upgrade = |post: Post| {
        post.method("GET")
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
    };
    let mut cases = vec![
        ("a message as the channel sends it", teams(), Accept),
        (
            "charset=UTF-8 in upper case",
            teams().header("content-type", "application/json; charset=UTF-8"),
            Accept,
        ),
        (
            "JSON without a charset",
            teams().header("content-type", "application/json"),
            Accept,
        ),
        (
            "Content-Encoding: identity",
            teams().header("content-encoding", "identity"),
            Accept,
        ),
        (
            "a body of 200 KB",
            teams().text(|text| padded(text, 200_000)),
            Accept,
        ),
        (
            "a body of more than 1 MiB",
            teams().text(|text| padded(text, 1024 * 1024 + 1)),
            Refuse(Reason::BodyTooLarge),
        ),
        (
            "a WebSocket upgrade with a valid token",
            upgrade(teams()).header("channelid", "msteams"),
            Refuse(Reason::UpgradeRefused),
        ),
        (
            "a WebSocket upgrade of a stranger",
            upgrade(teams().spelled(|_| Vec::<String>::new())),
            Refuse(Reason::UpgradeRefused),
        ),
        (
            "no Content-Type",
            teams().without_header("content-type"),
            wrong_type,
        ),
        (
            "two Content-Types",
            teams().also_header("content-type", "text/plain"),
            wrong_type,
        ),
        (
            "a body said to be plain text",
            teams().header("content-type", "text/plain"),
            wrong_type,
        ),
        (
            "a body said to be a form",
            teams().header("content-type", "application/x-www-form-urlencoded"),
            wrong_type,
        ),
        (
            "a form instead of JSON",
            teams()
                .header("content-type", "application/x-www-form-urlencoded")
                .text(|text| form(&text)),
            wrong_type,
        ),
        (
            "a body in UTF-16 that says so",
            teams()
                .header("content-type", "application/json; charset=utf-16")
                .bytes(|text| utf_16(&text)),
            wrong_type,
        ),
        (
            "a body in UTF-7 that says so",
            teams()
                .header("content-type", "application/json; charset=utf-7")
                .text(|text| text.replace("hello", "+AGgAZQBsAGwAbw-")),
            wrong_type,
        ),
        (
            "a body in Latin-1 that says so",
            teams()
                .header("content-type", "application/json; charset=iso-8859-1")
                .with("/text", "Gr\u{fc}\u{df}e")
                .bytes(|text| {
                    text.chars()
                        .map(|letter| u8::try_from(letter).unwrap())
                        .collect()
                }),
            wrong_type,
        ),
        (
            "a charset that nobody knows",
            teams().header("content-type", "application/json; charset=klingon"),
            wrong_type,
        ),
        (
            "a compressed body",
            teams()
                .header("content-encoding", "gzip")
                .bytes(|text| gzip(text.as_bytes())),
            encoded,
        ),
        (
            "a body said to be compressed that is not",
            teams().header("content-encoding", "gzip"),
            encoded,
        ),
        (
            "a content encoding that nobody knows",
            teams().header("content-encoding", "klingon"),
            encoded,
        ),
    ];
    for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
        let name = match method {
            "GET" => "GET instead of POST",
            "PUT" => "PUT instead of POST",
            "DELETE" => "DELETE instead of POST",
            _ => "OPTIONS instead of POST",
        };
        cases.push((
            name,
            teams().method(method),
            Refuse(Reason::MethodNotAllowed),
        ));
    }
    let cases = cases.into_iter();
    cases
        .map(|(name, post, right)| case(Class::Head, name, post, right))
        .collect()
}

fn authorization(keys: &Keys) -> Vec<Case> {
    let teams = || Post::teams(keys);
    let to = |spelling: fn(String) -> Vec<String>| teams().spelled(spelling);
    let repeated = Refuse(Reason::TokenRepeated);
    let scheme = Refuse(Reason::TokenSchemeUnsupported);
    let malformed = Refuse(Reason::TokenMalformed);
    let class = Class::Authorization;
    vec![
        case(
            class,
            "no Authorization header",
            to(|_| vec![]),
            Refuse(Reason::TokenMissing),
        ),
        case(
            class,
            "an empty Authorization header",
            to(|_| vec![String::new()]),
            scheme,
        ),
        case(
            class,
            "the token twice, in two headers",
            to(|t| vec![format!("Bearer {t}"); 2]),
            repeated,
        ),
        case(
            class,
            "two Authorization headers, the valid one last",
            to(|t| vec!["Basic eDp5".to_owned(), format!("Bearer {t}")]),
            repeated,
        ),
        case(
            class,
            "two Authorization headers, the valid one first",
            to(|t| vec![format!("Bearer {t}"), "Basic eDp5".to_owned()]),
            repeated,
        ),
        case(
            class,
            "two tokens in one header",
            to(|t| vec![format!("Bearer {t}, Bearer {t}")]),
            malformed,
        ),
        case(
            class,
            "Basic credentials",
            to(|_| vec!["Basic dXNlcjpwYXNzd29yZA==".to_owned()]),
            scheme,
        ),
        case(
            class,
            "the token as Basic credentials",
            to(|t| vec![format!("Basic {t}")]),
            scheme,
        ),
        case(class, "the token without a scheme", to(|t| vec![t]), scheme).rows(&[24]),
        case(
            class,
            "a tab between scheme and token",
            to(|t| vec![format!("Bearer\t{t}")]),
            scheme,
        ),
        case(
            class,
            "Bearer and no token",
            to(|_| vec!["Bearer".to_owned()]),
            malformed,
        ),
        case(
            class,
            "something behind the token",
            to(|t| vec![format!("Bearer {t} x")]),
            malformed,
        ),
        case(
            class,
            "bearer in lower case",
            to(|t| vec![format!("bearer {t}")]),
            Accept,
        )
        .rows(&[23]),
        case(
            class,
            "two blanks after Bearer",
            to(|t| vec![format!("Bearer  {t}")]),
            Accept,
        )
        .rows(&[23]),
    ]
}

fn padded(text: String, bytes: usize) -> String {
    let blanks = " ".repeat(bytes - text.len());
    text + &blanks
}

fn utf_16(text: &str) -> Vec<u8> {
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    units.flat_map(u16::to_le_bytes).collect()
}

/// The activity's texts as the members of a form; what is nested gets the brackets that form readers understand.
fn form(text: &str) -> String {
    let activity: serde_json::Value = serde_json::from_str(text).unwrap();
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in activity.as_object().unwrap() {
        match value {
            serde_json::Value::String(value) => drop(form.append_pair(name, value)),
            serde_json::Value::Object(members) => {
                for (inner, value) in members {
                    let value = value.as_str().unwrap_or_default();
                    form.append_pair(&format!("{name}[{inner}]"), value);
                }
            }
            _ => (),
        }
    }
    form.finish()
}

/// A gzip file with one stored block.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap();
    [
        &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1][..],
        &length.to_le_bytes(),
        &(!length).to_le_bytes(),
        bytes,
        &crc_32(bytes).to_le_bytes(),
        &u32::from(length).to_le_bytes(),
    ]
    .concat()
}

fn crc_32(bytes: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}
