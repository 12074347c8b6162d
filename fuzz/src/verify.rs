//! A token that this target signs itself, and then perhaps changes: only the very text that was signed with the key it names proves
//! anything.
//!
//! The first line says what to do: letters for how to sign (`g` with the published key, `o` with another, `n` not at all), then
//! `POSITION:XOR` for each byte of the finished token to change. Header and payload follow, a line each.

use super::token::{ALL_KINDS, NOW, TAG_KEY, halves, read};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use botgate::cli::demo::signing::{Algorithm, SigningKey};
use botgate::judge::{KeySet, Proof, Token};
use serde_json::json;
use std::sync::LazyLock;

const KID: &str = "key-1";
const ENDORSED: &[&str] = &["msteams", "webchat"];

struct Keys {
    good: SigningKey,
    other: SigningKey,
    published: KeySet,
    only_other: KeySet,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let key = || SigningKey::generate(KID).expect("randomness");
    let (good, other) = (key(), key());
    let set = |key: &SigningKey| {
        let mut jwk = key.jwk();
        jwk.insert("endorsements".to_owned(), json!(ENDORSED));
        KeySet::parse(json!({ "keys": [jwk] }).to_string().as_bytes()).expect("a key set")
    };
    Keys {
        published: set(&good),
        only_other: set(&other),
        good,
        other,
    }
});

pub fn check(input: &[u8]) -> bool {
    let (orders, parts) = halves(input, b'\n');
    let (header, payload) = halves(parts, b'\n');
    let orders = String::from_utf8_lossy(orders);
    let mut orders = orders.split(' ');
    let keys = &*KEYS;
    let message = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(payload)
    );
    let signer = match orders.next() {
        Some("g") => Some(&keys.good),
        Some("o") => Some(&keys.other),
        Some(_) | None => None,
    };
    // Signing is dear: nothing that is refused unsigned is signed.
    let unsigned = format!("{message}.AAAA");
    let Some(claimed) = read(&unsigned).and_then(|token| ALL_KINDS.screen(token, NOW).ok()) else {
        return false;
    };
    let (kind, names_the_key) = (claimed.kind(), claimed.key_id() == KID);
    let signature = signer.map(|key| {
        let signature = Algorithm::Rs256.sign(key, message.as_bytes());
        signature.expect("an RSA key signs")
    });
    let token = match &signature {
        Some(signature) => format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)),
        None => unsigned.clone(),
    };
    let Some(changed) = changed(&token, orders) else {
        return false;
    };
    let is_proven = |keys: &KeySet| {
        let screened = ALL_KINDS.screen(read(&changed)?, NOW).ok()?;
        let key = keys.get(screened.key_id())?;
        let (caller, proof) = screened.verify(&key).ok()?;
        let proof = proof.expect("it was not recalled");
        assert_eq!(caller.kind(), kind);
        assert_eq!(caller.endorsements(), ENDORSED);
        assert_eq!(proof.key(), key.fingerprint());
        // What was proven once is known again by the same token, and by no other.
        let same = again(&changed, &proof);
        let screened = ALL_KINDS.screen(same, NOW).expect("it was before");
        assert!(screened.is_recalled());
        let (recalled, news) = screened.verify(&key).expect("it is the same token");
        assert_eq!((recalled.claims(), news), (caller.claims(), None));
        let screened = ALL_KINDS.screen(again(&unsigned, &proof), NOW);
        let screened = screened.expect("it was before");
        assert!(!screened.is_recalled() && screened.verify(&key).is_err());
        // Nor does it prove anything by another key.
        let other = keys_of_another(keys).get(KID).expect("a key");
        let screened = ALL_KINDS.screen(again(&changed, &proof), NOW);
        assert!(screened.expect("it was before").verify(&other).is_err());
        Some(())
    };
    let is_untouched = changed == token && names_the_key;
    let signed_with =
        |key: &SigningKey| is_untouched && signer.is_some_and(|signer| signer.jwk() == key.jwk());
    let by_published = is_proven(&keys.published).is_some();
    let by_other = is_proven(&keys.only_other).is_some();
    assert_eq!(by_published, signed_with(&keys.good));
    assert_eq!(by_other, signed_with(&keys.other));
    by_published
}

/// A token, by somebody who holds this proof.
fn again<'t>(token: &'t str, proof: &Proof) -> Token<'t> {
    let token = Token::read(token.into(), &TAG_KEY, |_| Some(proof.clone()));
    token.expect("it was read before")
}

fn keys_of_another(keys: &KeySet) -> &'static KeySet {
    let fingerprint = |keys: &KeySet| keys.fingerprints().next().copied();
    if fingerprint(keys) == fingerprint(&KEYS.published) {
        &KEYS.only_other
    } else {
        &KEYS.published
    }
}

/// The token with some bytes changed; nothing where the orders cannot be read, or it is no text any more.
fn changed<'o>(token: &str, orders: impl Iterator<Item = &'o str>) -> Option<String> {
    let mut bytes = token.as_bytes().to_vec();
    for order in orders.take(8) {
        let (position, xor) = order.split_once(':')?;
        let position = position.parse::<usize>().ok()? % bytes.len();
        bytes[position] ^= xor.parse::<u8>().ok()?;
    }
    String::from_utf8(bytes).ok()
}
