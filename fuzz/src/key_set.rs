//! A key-set document: every key that is used stands there, is a public RSA key of a decent size, and signs nothing by itself.

use botgate::judge::KeySet;
use serde_json::Value;

pub fn check(document: &[u8]) -> bool {
    let Ok(keys) = KeySet::parse(document) else {
        return false;
    };
    // Beside `keys` an unpaired surrogate may stand, which no String can hold.
    let Ok(value) = serde_json::from_slice::<Value>(document) else {
        return true;
    };
    let entries = value["keys"].as_array().expect("a list of keys");
    assert!(!keys.is_empty());
    assert_eq!(keys.len() + keys.skipped().len(), entries.len());
    assert_eq!(keys.len(), keys.key_ids().count());
    for kid in keys.key_ids() {
        assert!((1..=256).contains(&kid.len()));
        let key = keys.get(kid).expect("a key that is listed");
        let stands_there = entries.iter().any(|entry| {
            let text = |name: &str| entry[name].as_str();
            let is_for_signing = text("kty") == Some("RSA")
                && entry.get("use").is_none_or(|purpose| purpose == "sig")
                && entry
                    .get("alg")
                    .is_none_or(|algorithm| algorithm == "RS256")
                && entry.get("d").is_none();
            // 2048 bits are 342 characters of base64url, 8192 bits 1366, padding and a zero byte aside.
            let size = text("n").map_or(0, str::len);
            let listed = |name: &str| {
                entry["endorsements"]
                    .as_array()
                    .is_some_and(|list| list.iter().any(|channel| channel == name))
            };
            text("kid") == Some(kid)
                && is_for_signing
                && size >= 342
                && entry
                    .get("issuer")
                    .is_none_or(|issuer| issuer.as_str() == key.issuer())
                && key.endorsements().iter().all(|channel| listed(channel))
        });
        assert!(stands_there, "key {kid:?}");
        assert!(!key.verifies(b"message", ""));
        assert!(!key.verifies(b"message", "AAAA"));
    }
    true
}
