//! A key-set document, with the endorsements of each key.

use super::jws::MAX_KEY_ID_BYTES;
use super::roca;
use super::rs256::Rs256;
use super::{Digest, sha256};
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The signing keys of one issuer.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    keys: BTreeMap<String, Arc<Key>>,
    skipped: Vec<String>,
}

/// One RSA public key that may sign tokens.
#[derive(Clone)]
pub struct Key {
    verifier: Arc<Rs256>,
    endorsements: Arc<[String]>,
    issuer: Option<String>,
    fingerprint: Digest,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key")
            .field("endorsements", &self.endorsements)
            .finish_non_exhaustive()
    }
}

/// Why a key-set document cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySetProblem {
    /// Not a JSON object with an array `keys`.
    NotAKeySet(String),
    /// No key in it can be used; the reasons per key.
    NoUsableKey(Vec<String>),
}

impl std::fmt::Display for KeySetProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotAKeySet(why) => write!(f, "not a key set: {why}"),
            Self::NoUsableKey(why) if why.is_empty() => f.write_str("the key set is empty"),
            Self::NoUsableKey(why) => write!(f, "no usable key: {}", why.join("; ")),
        }
    }
}

impl std::error::Error for KeySetProblem {}

const MIN_MODULUS_BITS: usize = 2048;
const MAX_MODULUS_BITS: usize = 8192;
/// Far more than any issuer publishes: the live set is about 1 MB, and the certificate of one key takes 2 KB of it.
const MAX_KEYS: usize = 4000;

impl KeySet {
    /// Reads a JWKS (RFC 7517). A key that cannot be used is skipped and does not drop the set (AUTHENTICATION 2.1).
    ///
    /// # Errors
    /// When the document is no key set, or no key in it can be used.
    pub fn parse(document: &[u8]) -> Result<Self, KeySetProblem> {
        #[derive(serde::Deserialize)]
        struct Document {
            keys: Vec<serde_json::Value>,
        }
        let document: Document = serde_json::from_slice(document)
            .map_err(|e| KeySetProblem::NotAKeySet(e.to_string()))?;
        let mut set = Self::default();
        for (position, jwk) in document.keys.iter().take(MAX_KEYS).enumerate() {
            match read_key(jwk) {
                Err(why) => set.skipped.push(format!("key {position}: {why}")),
                Ok((kid, _)) if set.keys.contains_key(&kid) => {
                    set.skipped.push(format!(
                        "key {position}: kid {kid:?} stands there twice, the first counts"
                    ));
                }
                Ok((kid, key)) => {
                    set.keys.insert(kid, Arc::new(key));
                }
            }
        }
        let beyond = document.keys.len().saturating_sub(MAX_KEYS);
        if beyond > 0 {
            let why = format!("{beyond} more keys than {MAX_KEYS}, not read");
            set.skipped.push(why);
        }
        if set.keys.is_empty() {
            return Err(KeySetProblem::NoUsableKey(set.skipped));
        }
        Ok(set)
    }

    /// The key of an id.
    pub fn get(&self, kid: &str) -> Option<Arc<Key>> {
        self.keys.get(kid).map(Arc::clone)
    }

    /// The fingerprints of all keys.
    pub fn fingerprints(&self) -> impl Iterator<Item = &Digest> {
        self.keys.values().map(|key| key.fingerprint())
    }

    /// The ids of all keys.
    pub fn key_ids(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().map(String::as_str)
    }

    /// How many keys can be used.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no key. Never true of a set that was parsed.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Keys that were left out, and why.
    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }
}

impl Key {
    /// The channels this key may speak for.
    pub fn endorsements(&self) -> Arc<[String]> {
        Arc::clone(&self.endorsements)
    }

    /// The issuer it speaks for, where the key set says so, as Entra's do; `{tenantid}` in it stands for any tenant.
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// SHA-256 over its numbers: equal for equal keys, whatever else is said of them.
    pub const fn fingerprint(&self) -> &Digest {
        &self.fingerprint
    }

    /// Whether this key made a signature, given in base64url, over a message: RSASSA-PKCS1-v1_5 with SHA-256. The algorithm is
    /// ours, never the header's.
    pub fn verifies(&self, message: &[u8], signature: &str) -> bool {
        self.verifier.verifies(message, signature)
    }
}

fn read_key(jwk: &serde_json::Value) -> Result<(String, Key), String> {
    let text = |name: &str| jwk.get(name).and_then(serde_json::Value::as_str);
    let must_be = |name: &str, wanted: &str| match jwk.get(name) {
        None => Ok(()),
        Some(value) if value.as_str() == Some(wanted) => Ok(()),
        Some(_) => Err(format!("{name} is not {wanted}")),
    };
    if text("kty") != Some("RSA") {
        return Err("kty is not RSA".to_owned());
    }
    must_be("use", "sig")?;
    must_be("alg", "RS256")?;
    if let Some(operations) = jwk.get("key_ops") {
        let verifies = operations
            .as_array()
            .is_some_and(|list| list.iter().any(|op| op.as_str() == Some("verify")));
        if !verifies {
            return Err("key_ops does not contain verify".to_owned());
        }
    }
    if ["d", "p", "q", "dp", "dq", "qi"]
        .iter()
        .any(|name| jwk.get(name).is_some())
    {
        return Err("its private part is published".to_owned());
    }
    let kid = text("kid")
        .filter(|kid| !kid.is_empty() && kid.len() <= MAX_KEY_ID_BYTES)
        .ok_or("kid is missing, empty or longer than 256 bytes")?;
    let modulus = number(text("n").ok_or("n is missing")?).ok_or("n is not base64url")?;
    let exponent = number(text("e").ok_or("e is missing")?).ok_or("e is not base64url")?;
    let bits = bit_length(&modulus);
    if !(MIN_MODULUS_BITS..=MAX_MODULUS_BITS).contains(&bits) {
        return Err(format!(
            "the modulus has {bits} bits, not {MIN_MODULUS_BITS} to {MAX_MODULUS_BITS}"
        ));
    }
    if let Some(factor) = roca::small_factor(&modulus) {
        return Err(format!("the modulus is divisible by {factor}"));
    }
    if roca::has_fingerprint(&modulus) {
        return Err("the modulus is that of a ROCA key (CVE-2017-15361)".to_owned());
    }
    let exponent_is_fit = exponent.last().is_some_and(|last| last & 1 == 1)
        && (2..=33).contains(&bit_length(&exponent));
    if !exponent_is_fit {
        return Err("the exponent is even, 1 or larger than 33 bits".to_owned());
    }
    let endorsements = match jwk.get("endorsements") {
        None | Some(serde_json::Value::Null) => Vec::new(),
        Some(serde_json::Value::Array(list)) => list
            .iter()
            .filter_map(|e| e.as_str().map(str::to_owned))
            .collect(),
        Some(_) => return Err("endorsements is not an array".to_owned()),
    };
    let issuer = match jwk.get("issuer") {
        None | Some(serde_json::Value::Null) => None,
        Some(serde_json::Value::String(issuer)) => Some(issuer.clone()),
        Some(_) => return Err("issuer is not a string".to_owned()),
    };
    let fingerprint = sha256(&[&modulus, b"/", &exponent]);
    let verifier = Rs256::new(&modulus, &exponent).ok_or("no RSA public key can be made of it")?;
    Ok((
        kid.to_owned(),
        Key {
            verifier: Arc::new(verifier),
            endorsements: endorsements.into(),
            issuer,
            fingerprint,
        },
    ))
}

/// A big-endian number without leading zeros. Padding and a leading zero are tolerated in keys, never in tokens.
fn number(text: &str) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &alphabet::URL_SAFE,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let bytes = LENIENT.decode(text).ok()?;
    Some(bytes.into_iter().skip_while(|byte| *byte == 0).collect())
}

fn bit_length(number: &[u8]) -> usize {
    number.first().map_or(0, |first| {
        let unused = usize::try_from(first.leading_zeros()).unwrap_or(0);
        number.len().saturating_mul(8).saturating_sub(unused)
    })
}

#[cfg(test)]
pub(super) mod tests;
