//! Public HTTP/1 vectors (http-garden, llhttp, smuggler): the gateway gives none of them a second reading.
//!
//! They are read from the folder that `BOTGATE_VECTORS` names (default: the security corpora beside the checkout), never committed.
//! With `CI=true` they must be there; elsewhere their absence is said and the test passes. Each is sent as it is, which no token
//! admits; and grafted onto a valid, signed message, so that a reader who took its framing for good would bring it to the bot. Which
//! grafts are good HTTP is told by [`is_good`], which is written without a look at the gateway's reader.

#![allow(clippy::print_stderr, reason = "a test says what it skips")]

use crate::support::Gateway;
use crate::support::hostile::{IMPATIENT, sent};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

struct Vector {
    id: String,
    bytes: Vec<u8>,
    /// How many messages its origin sees in it, where it says so.
    messages: Option<usize>,
}

#[tokio::test]
async fn vectors_as_they_are_reach_nobody() {
    let vectors = [
        of_file("http_garden_payloads.json"),
        of_file("llhttp_requests.json"),
    ];
    let gateway = Gateway::with(IMPATIENT).start().await;
    let vectors: Vec<_> = vectors.into_iter().flatten().collect();
    let most: HashMap<_, _> = vectors
        .iter()
        .map(|vector| (vector.id.clone(), most_answers(vector)))
        .collect();
    let sendable = vectors.into_iter().map(|vector| (vector.id, vector.bytes));
    for outcome in sent(&gateway, sendable.collect()).await {
        let most = most[&outcome.name];
        let (name, text) = (&outcome.name, &outcome.text);
        assert!(outcome.statuses.len() <= most, "{name}: {text}");
        // Whatever was refused as unreadable is the last that was read.
        let refused = outcome
            .statuses
            .iter()
            .position(|status| [400, 431].contains(status));
        if let Some(refused) = refused {
            assert_eq!(refused + 1, outcome.statuses.len(), "{name}: {text}");
            assert!(text.contains("\r\nconnection: close\r\n"), "{name}: {text}");
        }
        assert!(
            outcome
                .statuses
                .iter()
                .all(|status| (400..500).contains(status)),
            "{name}: {text}"
        );
    }
    assert_eq!(gateway.bot().count(), 0);
    gateway.teams_message().send().await.forwarded().await;
}

#[tokio::test]
async fn vectors_grafted_onto_a_valid_message_are_refused_or_pass_in_clean_form() {
    let vectors = [
        of_file("http_garden_payloads.json"),
        of_file("llhttp_requests.json"),
    ];
    let grafts: Vec<_> = vectors
        .into_iter()
        .flatten()
        .map(|vector| (vector.id, Graft::Head(vector.bytes)))
        .collect();
    are_refused_or_pass_clean(grafts).await;
}

#[tokio::test]
async fn mutated_transfer_encodings_beside_a_content_length_are_refused_or_pass_in_clean_form() {
    let lines = of_file("smuggler_te_gadgets.json");
    let grafts = lines.into_iter().flat_map(|vector| {
        let Vector { id, bytes, .. } = vector;
        [
            (
                format!("{id}, before"),
                Graft::Line(bytes.clone(), Side::Before),
            ),
            (format!("{id}, after"), Graft::Line(bytes, Side::After)),
        ]
    });
    are_refused_or_pass_clean(grafts.collect()).await;
}

enum Graft {
    /// A request whose first line is made ours, and whose fields stand beside ours.
    Head(Vec<u8>),
    /// A field line beside our Content-Length.
    Line(Vec<u8>, Side),
}

enum Side {
    Before,
    After,
}

async fn are_refused_or_pass_clean(grafts: Vec<(String, Graft)>) {
    let gateway = Gateway::with(IMPATIENT).start().await;
    let mut bodies = vec![];
    let mut sendable = vec![];
    for (number, (id, graft)) in grafts.into_iter().enumerate() {
        // A text of its own tells whose message the bot got.
        let name = format!("{number} {id}");
        let message = gateway.teams_message().with("/text", name.as_str());
        let [head, body] = message.into_pieces("x-end: 1");
        let bytes = grafted(&graft, &head, &body);
        bodies.push((name.clone(), is_good(&bytes, &body), body));
        sendable.push((name, bytes));
    }
    let outcomes = sent(&gateway, sendable.clone()).await;
    for outcome in outcomes {
        let (_, is_good, body) = bodies
            .iter()
            .find(|(name, ..)| *name == outcome.name)
            .unwrap();
        let (_, bytes) = sendable
            .iter()
            .find(|(name, _)| *name == outcome.name)
            .unwrap();
        let evidence = format!(
            "{}: {}\n{}",
            outcome.name,
            bytes.escape_ascii(),
            outcome.text
        );
        let seen: Vec<_> = gateway
            .bot()
            .seen()
            .into_iter()
            .filter(|recorded| recorded.body.as_deref() == Some(body))
            .collect();
        if *is_good {
            assert_eq!(
                outcome.statuses,
                [200],
                "good HTTP is forwarded: {evidence}"
            );
            assert_eq!(seen.len(), 1, "{evidence}");
            assert_eq!(
                seen[0].header("content-length"),
                [body.len().to_string()],
                "{evidence}"
            );
            assert_eq!(
                seen[0].header("transfer-encoding"),
                Vec::<String>::new(),
                "{evidence}"
            );
        } else {
            let [status] = outcome.statuses[..] else {
                // What is not whole is waited for, and no answer is due.
                assert!(outcome.statuses.is_empty() && seen.is_empty(), "{evidence}");
                continue;
            };
            assert!((400..500).contains(&status), "{evidence}");
            // 415 and 426 have one reading, and a rule against it.
            let says_close = outcome.text.contains("\r\nconnection: close\r\n");
            assert!(says_close || [415, 426].contains(&status), "{evidence}");
            assert!(seen.is_empty(), "{evidence}");
        }
    }
    // No body that is not one of these, and none twice.
    assert_eq!(
        gateway.bot().count(),
        bodies.iter().filter(|(_, is_good, _)| *is_good).count()
    );
    gateway.teams_message().send().await.forwarded().await;
}

/// The signed message with what is to be grafted.
fn grafted(graft: &Graft, head: &[u8], body: &[u8]) -> Vec<u8> {
    let ours = std::str::from_utf8(head)
        .unwrap()
        .split_once("\r\n")
        .unwrap()
        .1;
    let ours = ours.strip_suffix("x-end: 1\r\n\r\n").unwrap();
    let length = format!("content-length: {}\r\n", body.len());
    match graft {
        Graft::Line(line, side) => {
            let line = [line, &b"\r\n"[..]].concat();
            let framing = match side {
                Side::Before => [&line, length.as_bytes()].concat(),
                Side::After => [length.as_bytes(), &line].concat(),
            };
            let first = format!("POST /api/messages HTTP/1.1\r\n{ours}");
            [first.as_bytes(), &framing, b"\r\n", body].concat()
        }
        Graft::Head(vector) => {
            let (first, fields) = divided(vector);
            // Its Host would only be a second one.
            let is_host = |line: &&[u8]| line.to_ascii_lowercase().starts_with(b"host:");
            let fields: Vec<u8> = fields
                .split_inclusive(|b| *b == b'\n')
                .filter(|line| !is_host(line))
                .collect::<Vec<_>>()
                .concat();
            let fields = with_length(&fields, body.len());
            let lower = fields.to_ascii_lowercase();
            let has = |word: &[u8]| lower.windows(word.len()).any(|part| part == word);
            let body = if has(b"chunked") {
                let size = format!("{:x}\r\n", body.len());
                [size.as_bytes(), body, b"\r\n0\r\n\r\n"].concat()
            } else {
                body.to_vec()
            };
            let framing = if has(b"content-length") || has(b"transfer-encoding") {
                ""
            } else {
                length.as_str()
            };
            let start = [&first, ours.as_bytes(), framing.as_bytes()].concat();
            [start, fields, body].concat()
        }
    }
}

/// The first line, with method and path made ours where they were some, and all up to the end of the head.
fn divided(vector: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let start = usize::from(vector.starts_with(b"\r\n")) * 2;
    let line_end = vector[start..]
        .iter()
        .position(|b| *b == b'\n')
        .map_or(vector.len(), |at| start + at + 1);
    let line = String::from_utf8_lossy(&vector[start..line_end]).into_owned();
    let words: Vec<&str> = line.splitn(3, ' ').collect();
    let line = match words[..] {
        [method, target, version]
            if method.bytes().all(|b| b.is_ascii_uppercase()) && target.starts_with('/') =>
        {
            format!("POST /api/messages {version}").into_bytes()
        }
        _ => vector[start..line_end].to_vec(),
    };
    let rest = &vector[line_end..];
    let crlf = rest
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .map(|at| at + 4);
    let end = if rest.starts_with(b"\r\n") {
        Some(2)
    } else {
        crlf
    };
    let fields = end.map_or_else(|| [rest, b"\r\n"].concat(), |end| rest[..end].to_vec());
    ([&vector[..start], &line].concat(), fields)
}

/// Where a Content-Length is a number, ours: else the message would only be cut.
fn with_length(fields: &[u8], length: usize) -> Vec<u8> {
    let mut out = vec![];
    for line in fields.split_inclusive(|b| *b == b'\n') {
        let text = String::from_utf8_lossy(line);
        let number = text
            .split_once(':')
            .filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map(|(_, value)| value.trim_matches([' ', '\t', '\r', '\n']))
            .filter(|value| {
                !value.is_empty()
                    && (value == &"0" || !value.starts_with('0'))
                    && value.bytes().all(|b| b.is_ascii_digit())
            });
        match number {
            Some(number) => {
                out.extend_from_slice(text.replacen(number, &length.to_string(), 1).as_bytes())
            }
            None => out.extend_from_slice(line),
        }
    }
    out
}

/// Whether this is one message that every reader of RFC 9112 reads alike, with this body.
fn is_good(bytes: &[u8], body: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\r\n").unwrap_or(bytes);
    let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else {
        return false;
    };
    let (head, rest) = (&bytes[..end], &bytes[end + 4..]);
    let text: String = head.iter().map(|b| char::from(*b)).collect();
    let mut lines = text.split("\r\n");
    let has_chunks = match lines.next() {
        Some("POST /api/messages HTTP/1.1") => true,
        Some("POST /api/messages HTTP/1.0") => false,
        _ => return false,
    };
    let mut framings = vec![];
    let (mut content_types, mut tokens) = (0, 0);
    for line in lines {
        let Some((name, value)) = line.split_once(':') else {
            return false;
        };
        let is_name = !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^`|~".contains(c));
        let is_value = value
            .chars()
            .all(|c| c == '\t' || (c >= ' ' && c != '\u{7f}'));
        if !is_name || !is_value {
            return false;
        }
        let value = value.trim_matches([' ', '\t']).to_ascii_lowercase();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => framings.push((value == body.len().to_string()) && rest == body),
            "transfer-encoding" => {
                framings.push(has_chunks && value == "chunked" && rest.ends_with(b"\r\n0\r\n\r\n"))
            }
            // Refused by rules of their own: see `http`.
            "content-encoding" if value != "identity" => return false,
            "upgrade" if value.contains("websocket") => return false,
            "content-type" => content_types += 1,
            "authorization" => tokens += 1,
            _ => {}
        }
    }
    framings == [true] && content_types == 1 && tokens == 1
}

/// As many as its origin counts, or where it does not count as there are first lines; and one for what cannot be read.
fn most_answers(vector: &Vector) -> usize {
    let versions = vector
        .bytes
        .windows(5)
        .filter(|w| w.eq_ignore_ascii_case(b"HTTP/"))
        .count();
    vector.messages.unwrap_or(versions) + 1
}

fn of_file(name: &str) -> Vec<Vector> {
    let Some(folder) = folder() else {
        return vec![];
    };
    let text = std::fs::read_to_string(folder.join(name)).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    let cases = document["cases"].as_array().unwrap();
    assert!(cases.len() > 70, "{name}: only {} vectors", cases.len());
    let vectors = cases.iter().enumerate().map(|(number, case)| {
        let bytes = case["bytes_b64"]
            .as_str()
            .or_else(|| case["te_line_b64"].as_str())
            .unwrap();
        Vector {
            id: format!("{name} {number} {}", case["id"].as_str().unwrap()),
            bytes: STANDARD.decode(bytes).unwrap(),
            messages: case["messages"]
                .as_u64()
                .map(|count| usize::try_from(count).unwrap()),
        }
    });
    vectors.collect()
}

/// The vectors' folder, or nothing where it may be absent.
fn folder() -> Option<PathBuf> {
    let base = std::env::var_os("BOTGATE_VECTORS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/security-corpora"),
        PathBuf::from,
    );
    // The variable may name all corpora, or the HTTP one.
    for folder in [base.join("http_corpus"), base.clone()] {
        if folder.join("llhttp_requests.json").is_file() {
            return Some(folder);
        }
    }
    let base = base.display();
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "CI needs the vectors: none in {base}; set BOTGATE_VECTORS"
    );
    // Past the test harness, which shows nothing of a test that passes.
    let skipped = format!("skipped: no vectors in {base} (set BOTGATE_VECTORS)\n");
    std::io::Write::write_all(&mut std::io::stderr(), skipped.as_bytes()).unwrap();
    None
}
