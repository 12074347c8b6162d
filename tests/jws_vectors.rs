//! Project Wycheproof's vectors (`jws_corpus` in `BOTGATE_VECTORS`) through the real verifier: none wrongly accepted, none wrongly refused.
//!
//! A token goes through `KeySet::parse`, `Jws::parse`, `KeySet::get` and `Jws::is_signed_by`: all that the gateway asks before it
//! believes a signature. Wycheproof signs payloads such as `foo`, which are no claims: `Bearer::parse` refuses every one of
//! them, so it is asked separately, and what the vectors are about is asked of the layer below it.
//!
//! Every vector ends in one of three ways:
//! *accepted*: valid, RS256, with a key that is fit;
//! *refused*: invalid, and some rule of ours refused it;
//! *out of scope*: valid, but made for another algorithm; refused by a rule in [`OUT_OF_SCOPE`], with its key and without.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    reason = "a test may fail by panicking, and says what it counted"
)]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use botgate::judge::{Bearer, Jws, KeySet, Reason};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

const SIGNATURES: &str = "json_web_signature_test.json";
const KEYS: &str = "json_web_key_test.json";
const RSA: &str = "rsa_signature_2048_sha256_test.json";

/// The only rules that may refuse a valid vector, and why they do.
const OUT_OF_SCOPE: &[(&str, &str)] = &[
    (
        "key: kty is not RSA",
        "a channel signs with RSA; a shared or elliptic key is not even loaded",
    ),
    (
        "key: alg is not RS256",
        "the key says that it is for RS384, RS512 or PS*, which no channel uses",
    ),
];

/// How a vector ended, and how often.
type Tally = BTreeMap<(Ending, String), usize>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Ending {
    Accepted,
    Refused,
    OutOfScope,
}

struct Vector<'v> {
    id: u64,
    comment: &'v str,
    result: &'v str,
    token: &'v str,
    /// The key set that the verifier is given.
    key_set: Value,
}

/// The tokens of a file. A group without a public key has a shared one, which stands under `private`.
fn tokens(file: &Value) -> Vec<Vector<'_>> {
    let mut found = vec![];
    for group in file["testGroups"].as_array().unwrap() {
        let key = group.get("public").unwrap_or(&group["private"]);
        let key_set = match key.get("keys") {
            Some(_) => key.clone(),
            None => json!({ "keys": [key] }),
        };
        for test in group["tests"].as_array().unwrap() {
            found.push(Vector {
                id: test["tcId"].as_u64().unwrap(),
                comment: test["comment"].as_str().unwrap(),
                result: test["result"].as_str().unwrap(),
                token: test["jws"].as_str().unwrap(),
                key_set: key_set.clone(),
            });
        }
    }
    assert_eq!(found.len(), file["numberOfTests"], "a vector was missed");
    found
}

/// A file of vectors, or nothing where they may be absent: they are read where they lie, and not part of this repository.
fn read(file: &str) -> Option<Value> {
    let base = std::env::var_os("BOTGATE_VECTORS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/security-corpora"),
        PathBuf::from,
    );
    // The variable may name all corpora, or the JWS one.
    let folders = [base.join("jws_corpus"), base.clone()];
    let found = folders.map(|folder| folder.join(file));
    if let Some(path) = found.iter().find(|path| path.is_file()) {
        return Some(serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap());
    }
    let base = base.display();
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "CI needs the vectors: none in {base}; set BOTGATE_VECTORS"
    );
    // Past the test harness, which shows nothing of a test that passes.
    let skipped = format!("skipped: no vectors in {base} (set BOTGATE_VECTORS)\n");
    std::io::stderr().write_all(skipped.as_bytes()).unwrap();
    None
}

fn load(key_set: &Value) -> Result<KeySet, String> {
    KeySet::parse(key_set.to_string().as_bytes()).map_err(|why| {
        let why = why.to_string();
        // All that the rule says of the first key.
        let why = why.strip_prefix("no usable key: key 0: ").unwrap_or(&why);
        format!("key: {}", why.split(';').next().unwrap())
    })
}

/// What the gateway says of a token, short of its claims; where it refuses, the rule that did.
fn verify(token: &str, key_set: &Value) -> Result<(), String> {
    let keys = load(key_set)?;
    let jws = Jws::parse(token).map_err(|rejection| {
        let note = rejection.note().unwrap_or_default();
        format!("token: {}: {note}", rejection.reason().code())
    })?;
    let key = keys.get(jws.key_id()).ok_or("token: the kid is unknown")?;
    if jws.is_signed_by(&key) {
        Ok(())
    } else {
        Err("signature".to_owned())
    }
}

/// Runs a file's tokens; every wrong ending is one line of the failure.
fn run(name: &str, file: &Value) -> Tally {
    let (mut tally, mut wrong) = (Tally::new(), vec![]);
    for vector in tokens(file) {
        let said = verify(vector.token, &vector.key_set);
        let ending = match (vector.result, &said) {
            ("valid", Ok(())) => Ending::Accepted,
            ("invalid", Err(_)) => Ending::Refused,
            ("valid", Err(rule)) if is_out_of_scope(&vector, rule) => Ending::OutOfScope,
            (result, said) => {
                let Vector { id, comment, .. } = vector;
                wrong.push(format!("{name} {id} ({comment}): {result}, and {said:?}"));
                continue;
            }
        };
        *tally
            .entry((ending, said.err().unwrap_or_default()))
            .or_default() += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("{name}: 0 wrongly accepted, 0 wrongly refused");
    for ((ending, rule), count) in &tally {
        println!("{count:5} {ending:?} {rule}");
    }
    tally
}

/// The rule is one of those, the vector itself says that it is not RS256, and the token is refused before any key is seen.
fn is_out_of_scope(vector: &Vector<'_>, rule: &str) -> bool {
    let keys = vector.key_set["keys"].as_array().unwrap();
    OUT_OF_SCOPE.iter().any(|(known, _)| *known == rule)
        && keys.iter().all(|key| key["alg"] != "RS256")
        && Jws::parse(vector.token).is_err()
}

fn counted(tally: &Tally, ending: Ending) -> usize {
    tally
        .iter()
        .filter(|((other, _), _)| *other == ending)
        .map(|(_, count)| count)
        .sum()
}

fn counts(tally: &Tally) -> [usize; 3] {
    [Ending::Accepted, Ending::Refused, Ending::OutOfScope].map(|ending| counted(tally, ending))
}

#[test]
fn signed_tokens_are_judged_as_wycheproof_does() {
    let Some(signatures) = read(SIGNATURES) else {
        return;
    };
    let tally = run("JWS", &signatures);
    assert_eq!(counts(&tally), [8, 355, 38]);
    let by_rule = |rule: &str| tally.get(&(Ending::Refused, rule.to_owned())).copied();
    // If the keys or the headers were refused, no signature would have been looked at.
    assert_eq!(by_rule("signature"), Some(217));
    assert_eq!(by_rule("key: use is not sig"), Some(1));
    assert_eq!(by_rule("key: key_ops does not contain verify"), Some(1));
}

#[test]
fn key_sets_are_judged_as_wycheproof_does() {
    let Some(keys) = read(KEYS) else {
        return;
    };
    let tally = run("JWK", &keys);
    assert_eq!(counts(&tally), [1, 21, 4]);
    for rule in [
        "key: use is not sig",
        "key: the modulus is that of a ROCA key (CVE-2017-15361)",
        "key: the modulus has 1024 bits, not 2048 to 8192",
        "key: the exponent is even, 1 or larger than 33 bits",
    ] {
        let count = tally.get(&(Ending::Refused, rule.to_owned()));
        assert_eq!(count, Some(&1), "{rule}");
    }
}

#[test]
fn rsa_signatures_are_judged_as_wycheproof_does() {
    let Some(file) = read(RSA) else {
        return;
    };
    let (mut accepted, mut refused, mut wrong) = (0, 0, vec![]);
    for group in file["testGroups"].as_array().unwrap() {
        let keys = load(&json!({ "keys": [group["keyJwk"]] })).unwrap();
        let key = keys.get("none").unwrap();
        for test in group["tests"].as_array().unwrap() {
            let signature = URL_SAFE_NO_PAD.encode(bytes(&test["sig"]));
            let verifies = key.verifies(&bytes(&test["msg"]), &signature);
            // "acceptable" is a signature without the NULL that RFC 8017 A.2.4 asks for: one signature has one spelling.
            if verifies != (test["result"] == "valid") {
                let (id, comment) = (&test["tcId"], &test["comment"]);
                wrong.push(format!("{id} ({comment}): {verifies}"));
            }
            *if verifies {
                &mut accepted
            } else {
                &mut refused
            } += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(accepted + refused, file["numberOfTests"].as_u64().unwrap());
    println!(
        "RSA: 0 wrongly accepted, 0 wrongly refused\n{accepted:5} Accepted\n{refused:5} Refused"
    );
    assert_eq!((accepted, refused), (9, 250));
}

/// None is a bot's token: whether it is signed well or not, its payload is no object of claims.
#[test]
fn no_vector_is_a_bot_token() {
    let Some((signatures, keys)) = read(SIGNATURES).zip(read(KEYS)) else {
        return;
    };
    let mut signed = 0;
    for vector in tokens(&signatures).into_iter().chain(tokens(&keys)) {
        let rejection = Bearer::parse(vector.token).unwrap_err();
        if verify(vector.token, &vector.key_set).is_ok() {
            assert_eq!(rejection.reason(), Reason::TokenMalformed);
            assert_eq!(
                rejection.note(),
                Some("payload is not one strict JSON object")
            );
            signed += 1;
        }
    }
    println!("{signed} signed well and refused for a payload that is no claims");
    assert_eq!(signed, 9);
}

/// The rule for keys is what refuses them: without the member it looks at, the token passes.
#[test]
fn a_key_for_something_else_is_refused_for_that_alone() {
    let Some((signatures, keys)) = read(SIGNATURES).zip(read(KEYS)) else {
        return;
    };
    let chosen = tokens(&signatures)
        .into_iter()
        .filter(|vector| [353, 355].contains(&vector.id))
        .chain(tokens(&keys).into_iter().filter(|vector| vector.id == 6));
    let mut seen = 0;
    for mut vector in chosen {
        assert!(verify(vector.token, &vector.key_set).is_err());
        let key = vector.key_set["keys"][0].as_object_mut().unwrap();
        key.retain(|name, _| !["use", "key_ops", "alg"].contains(&name.as_str()));
        let said = verify(vector.token, &vector.key_set);
        assert_eq!(said, Ok(()), "{} {}", vector.id, vector.comment);
        seen += 1;
    }
    assert_eq!(seen, 3);
}

/// Before any key is looked for: `none`, a shared secret, an elliptic key, another hash or padding, five segments or two.
#[test]
fn only_three_segments_of_rs256_reach_a_key() {
    let Some((signatures, keys)) = read(SIGNATURES).zip(read(KEYS)) else {
        return;
    };
    let mut tally = BTreeMap::new();
    for vector in tokens(&signatures).into_iter().chain(tokens(&keys)) {
        let said = match Jws::parse(vector.token) {
            Ok(_) => {
                let segments: Vec<_> = vector.token.split('.').collect();
                let header = URL_SAFE_NO_PAD.decode(segments[0]).unwrap();
                let header: Value = serde_json::from_slice(&header).unwrap();
                assert_eq!((&header["alg"], segments.len()), (&json!("RS256"), 3));
                "read"
            }
            Err(rejection) => rejection.reason().code(),
        };
        *tally.entry(said).or_insert(0) += 1;
    }
    println!("without a key: {tally:?}");
    let refused = [("token_algorithm_refused", 166), ("token_malformed", 27)];
    let all = refused.into_iter().chain([("read", 234)]);
    assert_eq!(tally, all.collect());
}

/// A key that does not say what it is for opens no way for another algorithm.
#[test]
fn another_algorithm_is_refused_though_the_key_allows_it() {
    let Some(file) = read(SIGNATURES) else {
        return;
    };
    let mut seen = 0;
    for mut vector in tokens(&file) {
        let key = vector.key_set["keys"][0].as_object_mut().unwrap();
        if key["kty"] != "RSA" || key.get("alg").is_none_or(|alg| alg == "RS256") {
            continue;
        }
        key.remove("alg");
        let said = verify(vector.token, &vector.key_set);
        let (message, signature) = vector.token.rsplit_once('.').unwrap();
        let keys = load(&vector.key_set).unwrap();
        let kid = vector.key_set["keys"][0]["kid"].as_str().unwrap();
        let verifies = keys
            .get(kid)
            .unwrap()
            .verifies(message.as_bytes(), signature);
        // Two vectors do hold a true RS256 signature; the header of one says so, and nothing is wrong with it any more.
        assert_eq!(verifies, vector.comment == "UsingRS256", "{}", vector.id);
        match said {
            Ok(()) => assert_eq!(vector.id, 332),
            Err(rule) => assert!(rule.starts_with("token: token_algorithm_refused"), "{rule}"),
        }
        seen += 1;
    }
    assert_eq!(seen, 83);
}

/// Whoever reads the set could sign with such a key.
#[test]
fn a_published_private_key_is_refused() {
    let mut seen = 0;
    let Some((signatures, keys)) = read(SIGNATURES).zip(read(KEYS)) else {
        return;
    };
    for file in [signatures, keys] {
        for group in file["testGroups"].as_array().unwrap() {
            let mut key = match group["private"].get("keys") {
                Some(keys) => keys[0].clone(),
                None => group["private"].clone(),
            };
            if key["kty"] != "RSA" {
                continue;
            }
            let key = key.as_object_mut().unwrap();
            key.retain(|name, _| !["use", "key_ops", "alg"].contains(&name.as_str()));
            let why = load(&json!({ "keys": [key] })).unwrap_err();
            assert_eq!(why, "key: its private part is published");
            seen += 1;
        }
    }
    assert_eq!(seen, 19);
}

fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap();
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}
