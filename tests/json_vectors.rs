//! Public JSON vectors (nst/JSONTestSuite): everything RFC 8259 refuses is refused, and nothing panics.
//!
//! The vectors are read from the folder that `BOTGATE_VECTORS` names (default: the security corpora beside the checkout), never
//! committed. With `CI=true` they must be there; elsewhere their absence is said and the test passes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test may fail by panicking, and says what it skips"
)]

use botgate::judge::{Activity, Reason, StrictLimits};
use bytes::Bytes;
use std::path::{Path, PathBuf};

const LIMITS: StrictLimits = StrictLimits {
    depth: 64,
    members: 20_000,
};

/// Vectors that RFC 8259 accepts and the strict reader refuses, with the reason why.
const STRICTER: &[(&str, Reason)] = &[
    // Readers disagree on which of two members counts.
    ("y_object_duplicated_key.json", Reason::ActivityAmbiguous),
    (
        "y_object_duplicated_key_and_value.json",
        Reason::ActivityAmbiguous,
    ),
];

/// The vectors' folder, or nothing where it may be absent.
fn folder() -> Option<PathBuf> {
    let base = std::env::var_os("BOTGATE_VECTORS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/security-corpora"),
        PathBuf::from,
    );
    // The variable may name all corpora, or the JSON one.
    for folder in [
        base.join("json_corpus/test_parsing"),
        base.join("test_parsing"),
    ] {
        if folder.is_dir() {
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

fn vectors() -> Vec<(String, Vec<u8>)> {
    let Some(folder) = folder() else {
        return vec![];
    };
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            (
                path.file_name().unwrap().to_str().unwrap().to_owned(),
                std::fs::read(&path).unwrap(),
            )
        })
        .collect();
    found.sort();
    assert!(found.len() > 300, "only {} vectors", found.len());
    found
}

/// A valid activity whose `value` is the vector: the vectors are mostly arrays, which no activity is.
fn as_value(vector: &[u8]) -> Bytes {
    let mut text = br#"{"type":"message","channelId":"msteams","serviceUrl":"https://smba.trafficmanager.net/emea/","from":{"id":"29:1"},"conversation":{"id":"a:1"},"value":"#.to_vec();
    text.extend_from_slice(vector);
    text.push(b'}');
    Bytes::from(text)
}

fn outcome(body: Bytes) -> Result<(), Reason> {
    Activity::parse(body, LIMITS)
        .map(|_| ())
        .map_err(|rejection| rejection.reason())
}

#[test]
fn everything_rfc_8259_refuses_is_refused() {
    for (name, vector) in vectors() {
        let bare = outcome(Bytes::from(vector.clone()));
        assert!(bare.is_err(), "{name} is no activity");
        let embedded = outcome(as_value(&vector));
        match name.as_bytes().first() {
            Some(b'n') => assert!(embedded.is_err(), "{name} is not JSON and was read"),
            Some(b'y') => {
                let expected = STRICTER
                    .iter()
                    .find(|(stricter, _)| *stricter == name)
                    .map_or(Ok(()), |(_, reason)| Err(*reason));
                assert_eq!(embedded, expected, "{name}");
            }
            // RFC 8259 leaves these open. What could be read in two ways is refused; the rest is the parser's business.
            Some(b'i') => {}
            _ => panic!("unexpected vector {name}"),
        }
    }
}

#[test]
fn what_rfc_8259_leaves_open_is_refused_where_readers_disagree() {
    for (name, vector) in vectors() {
        let open_to_misreading =
            name.starts_with("i_string_") || name.starts_with("i_object_") || name.contains("BOM");
        if name.starts_with("i_") && open_to_misreading {
            assert!(
                outcome(as_value(&vector)).is_err(),
                "{name} was read, and other readers read it differently"
            );
        }
    }
}

#[test]
fn transformations_that_readers_perform_do_not_reach_guarded_fields() {
    let Some(folder) = folder() else { return };
    for entry in std::fs::read_dir(folder.with_file_name("test_transform")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let outcome = outcome(as_value(&std::fs::read(&path).unwrap()));
        if name.contains("same_key") || name.contains("escaped_invalid_codepoint") {
            assert!(outcome.is_err(), "{name}: {outcome:?}");
        }
    }
}
