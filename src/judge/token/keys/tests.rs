use super::*;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// A 2048-bit modulus (RFC 7520 3.3), a real one.
const MODULUS: &str = "n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw";

fn modulus() -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(MODULUS).unwrap()
}

fn fit(kid: &str) -> Value {
    json!({ "kty": "RSA", "kid": kid, "n": MODULUS, "e": "AQAB", "endorsements": ["msteams"] })
}

/// A key set that can be used, for tests elsewhere.
pub(crate) fn fit_key_set(kid: &str) -> String {
    json!({ "keys": [fit(kid)] }).to_string()
}

/// A fit key with one member changed.
fn but(name: &str, value: Value) -> Value {
    let mut jwk = fit("a");
    jwk[name] = value;
    jwk
}

fn parse(keys: &[Value]) -> Result<KeySet, KeySetProblem> {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes())
}

/// Why a key that stands beside a fit one is skipped, or nothing where it is not.
fn why_skipped(jwk: Value) -> Option<String> {
    let set = parse(&[jwk, fit("fit")]).unwrap();
    assert!(set.get("fit").is_some(), "one bad key dropped the set");
    assert_eq!(set.len() + set.skipped().len(), 2);
    set.skipped().first().cloned()
}

#[track_caller]
fn is_skipped(jwk: Value, because: &str) {
    let why = why_skipped(jwk).expect("the key was taken");
    assert!(why.contains(because), "{why}");
}

#[test]
fn a_weak_modulus_is_skipped() {
    let with = |n: &[u8]| but("n", json!(URL_SAFE_NO_PAD.encode(n)));
    let changed = |at: usize, byte: u8| {
        let mut n = modulus();
        n[at] = byte;
        with(&n)
    };
    is_skipped(with(&modulus()[..128]), "1024 bits");
    is_skipped(changed(0, 0x7f), "2047 bits");
    is_skipped(with(&[0xff; 1025]), "8200 bits");
    is_skipped(changed(255, 0xce), "divisible by 2");
    is_skipped(with(&[0xff; 256]), "divisible by 3");
    is_skipped(but("n", json!("")), "0 bits");
}

#[test]
fn a_weak_exponent_is_skipped() {
    // None, 0, 1, 65536, and 2^33 + 1, which has 34 bits.
    for e in ["", "AA", "AQ", "AQAA", "AgAAAAE"] {
        is_skipped(but("e", json!(e)), "even, 1 or larger than 33 bits");
    }
    assert_eq!(why_skipped(but("e", json!("Aw"))), None, "3 is odd");
}

#[test]
fn a_key_for_something_else_is_skipped() {
    is_skipped(but("kty", json!("EC")), "kty");
    is_skipped(but("use", json!("enc")), "use");
    is_skipped(but("alg", json!("PS256")), "alg");
    is_skipped(but("key_ops", json!(["encrypt"])), "key_ops");
    is_skipped(but("key_ops", json!("verify")), "key_ops");
    assert_eq!(why_skipped(but("use", json!("sig"))), None);
    assert_eq!(why_skipped(but("alg", json!("RS256"))), None);
    assert_eq!(why_skipped(but("key_ops", json!(["sign", "verify"]))), None);
}

#[test]
fn a_key_whose_private_part_is_published_is_skipped() {
    for name in ["d", "p", "q", "dp", "dq", "qi"] {
        is_skipped(but(name, json!("AQAB")), "private");
    }
}

#[test]
fn a_key_id_is_at_most_as_long_as_a_token_may_name() {
    assert_eq!(why_skipped(fit(&"k".repeat(256))), None);
    is_skipped(fit(&"k".repeat(257)), "kid");
    is_skipped(fit(""), "kid");
    is_skipped(but("kid", json!(7)), "kid");
}

#[test]
fn anything_may_stand_where_a_key_should() {
    for odd in [json!(null), json!(7), json!("RSA"), json!([]), json!({})] {
        is_skipped(odd, "kty");
    }
    is_skipped(but("n", json!("not base64url!")), "n is not base64url");
    is_skipped(but("n", json!(null)), "n is missing");
    is_skipped(but("endorsements", json!("msteams")), "endorsements");
}

#[test]
fn the_first_of_two_keys_with_one_id_counts() {
    let mut second = fit("a");
    second["endorsements"] = json!(["other"]);
    let set = parse(&[fit("a"), second]).unwrap();
    assert_eq!(*set.get("a").unwrap().endorsements(), ["msteams"]);
    assert!(set.skipped()[0].contains("stands there twice"));
}

#[test]
fn keys_are_read_leniently() {
    let zero_first = [vec![0], modulus()].concat();
    for n in [
        URL_SAFE.encode(modulus()),
        URL_SAFE_NO_PAD.encode(&zero_first),
        URL_SAFE.encode(&zero_first),
    ] {
        assert_eq!(why_skipped(but("n", json!(n))), None);
    }
    assert_eq!(why_skipped(but("e", json!("AAEAAQ=="))), None);
    assert_eq!(why_skipped(but("x5c", json!(["not a certificate"]))), None);
    assert_eq!(why_skipped(but("unknown", json!({ "a": [1] }))), None);
    assert_eq!(why_skipped(but("endorsements", Value::Null)), None);
}

#[test]
fn keys_beyond_the_bound_are_not_read() {
    let mut keys = vec![json!({}); MAX_KEYS - 1];
    keys.extend([fit("last"), fit("beyond"), fit("further")]);
    let set = parse(&keys).unwrap();
    assert!(set.get("last").is_some() && set.get("beyond").is_none());
    let said = set.skipped().last().unwrap();
    assert_eq!(said, "2 more keys than 4000, not read");
}

#[test]
fn a_set_without_a_fit_key_says_why() {
    assert!(matches!(
        KeySet::parse(b"[]"),
        Err(KeySetProblem::NotAKeySet(_))
    ));
    let nothing = parse(&[but("use", json!("enc"))]).unwrap_err();
    assert_eq!(nothing.to_string(), "no usable key: key 0: use is not sig");
}
