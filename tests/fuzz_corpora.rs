//! Replays the corpora of `fuzz/` through the very functions that the fuzz targets call: `fuzz/seeds`, and `fuzz/regressions`, where
//! each input stays that once broke a promise. What the promises are stands in `fuzz/src`.
//!
//! The public vectors that `BOTGATE_VECTORS` names (default: the security corpora beside the checkout) go through them, too. With
//! `CI=true` they must be there; elsewhere their absence is said and the test passes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::arithmetic_side_effects,
    unreachable_pub,
    reason = "a test may fail by panicking, and says what it skips"
)]

#[path = "../fuzz/src/lib.rs"]
mod targets;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::collections::BTreeSet;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use targets::{Check, TARGETS};

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// The files of a folder; none where there is no folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn names(folder: &Path) -> BTreeSet<String> {
    let name = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    files(folder).into_iter().map(name).collect()
}

/// Whether the bytes were accepted; a broken promise names the input.
fn run(check: Check, input: &[u8], name: &str) -> bool {
    catch_unwind(|| check(input)).unwrap_or_else(|_| panic!("{name} breaks a promise (see above)"))
}

fn check_of(target: &str) -> Check {
    let found = TARGETS.iter().find(|(name, _)| *name == target);
    found.expect("a target").1
}

#[test]
fn every_promise_holds_for_every_file_of_the_corpora() {
    for (target, check) in TARGETS {
        let seeds = files(&fuzz().join("seeds").join(target));
        let regressions = files(&fuzz().join("regressions").join(target));
        let accepted = seeds.iter().chain(&regressions).filter(|path| {
            let input = std::fs::read(path).unwrap();
            run(*check, &input, &path.display().to_string())
        });
        let accepted = accepted.count();
        // A corpus of which nothing is accepted proves nothing about what is.
        assert!(
            accepted >= 3,
            "{target}: {accepted} of {} seeds are accepted",
            seeds.len()
        );
    }
}

#[test]
fn every_target_is_built_has_seeds_and_is_replayed() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&fuzz().join("targets")), targets);
    assert_eq!(names(&fuzz().join("seeds")), targets);
    for folder in ["regressions", "dictionaries"] {
        let named = names(&fuzz().join(folder));
        assert!(named.is_subset(&targets), "{folder}: {named:?}");
    }
    let manifest: toml::Table = std::fs::read_to_string(fuzz().join("Cargo.toml"))
        .unwrap()
        .parse()
        .unwrap();
    let built = manifest["bin"].as_array().unwrap().iter();
    let built: BTreeSet<String> = built
        .map(|bin| bin["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(built, targets);
}

#[test]
fn the_corpora_stay_small() {
    let bytes: u64 = TARGETS
        .iter()
        .flat_map(|(target, _)| files(&fuzz().join("seeds").join(target)))
        .map(|path| path.metadata().unwrap().len())
        .sum();
    assert!(bytes < 1 << 20, "{bytes} bytes of seeds");
}

/// The public vectors' folder, or nothing where it may be absent.
fn vectors() -> Option<PathBuf> {
    let folder = std::env::var_os("BOTGATE_VECTORS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/security-corpora"),
        PathBuf::from,
    );
    if folder.join("json_corpus").is_dir() {
        return Some(folder);
    }
    let folder = folder.display();
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "CI needs the vectors: none in {folder}; set BOTGATE_VECTORS"
    );
    // Past the test harness, which shows nothing of a test that passes.
    let skipped = format!("skipped: no vectors in {folder} (set BOTGATE_VECTORS)\n");
    std::io::Write::write_all(&mut std::io::stderr(), skipped.as_bytes()).unwrap();
    None
}

#[test]
fn every_promise_holds_for_public_json() {
    let Some(folder) = vectors() else { return };
    let mut inputs = 0;
    for part in ["test_parsing", "test_transform"] {
        for path in files(&folder.join("json_corpus").join(part)) {
            let (input, name) = (std::fs::read(&path).unwrap(), path.display().to_string());
            for target in ["activity", "key_set", "metadata"] {
                run(check_of(target), &input, &name);
            }
            for (target, before) in [
                ("token", &b"{\"alg\":\"RS256\",\"kid\":\"k\"}\n"[..]),
                ("callback", b"POST /v3/conversations/a\n"),
            ] {
                run(check_of(target), &[before, &input].concat(), &name);
            }
            inputs += 1;
        }
    }
    assert!(inputs > 300, "only {inputs} vectors");
}

#[test]
fn every_promise_holds_for_public_requests() {
    const BEFORE: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n";
    const BEHIND: &[u8] = b"\r\n\r\n0\r\n\r\n";
    let Some(folder) = vectors() else { return };
    let mut inputs = 0;
    for path in files(&folder.join("http_corpus")) {
        let document: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        for case in document["cases"].as_array().unwrap() {
            let bytes = |name: &str| Some(STANDARD.decode(case[name].as_str()?).unwrap());
            let request = match (bytes("bytes_b64"), bytes("te_line_b64")) {
                (Some(request), _) => request,
                (None, Some(line)) => [BEFORE, &line, BEHIND].concat(),
                (None, None) => panic!("{case} holds no request"),
            };
            for target in ["saved_request", "requests"] {
                run(check_of(target), &request, &case["id"].to_string());
            }
            inputs += 1;
        }
    }
    assert!(inputs > 300, "only {inputs} vectors");
}
