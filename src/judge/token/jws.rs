//! A compact JWS as received: its spelling, its header, and whether a key signed it. What its payload means is not asked here.

use super::{Key, Presented};
use crate::judge::strict_json::{self, Keep, Members, Names, Shape, StrictLimits, Value};
use crate::judge::{Reason, Rejection};
use crate::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A well-formed RS256 token whose payload may be anything. `Debug` prints no secret part of it.
#[derive(Debug)]
pub struct Jws {
    /// The first two segments, as they stand in the token: what is signed.
    message: Secret<String>,
    /// The third segment, as it stands in the token.
    signature: Secret<String>,
    payload: Secret<Vec<u8>>,
    key_id: String,
}

impl Jws {
    /// Reads the three segments and the header (AUTHENTICATION 0.1 rules 2 and 3).
    ///
    /// # Errors
    /// [`Reason::TokenMalformed`], [`Reason::TokenAlgorithmRefused`].
    pub fn parse(token: &str) -> Result<Self, Rejection> {
        Presented::from(token).check_length()?;
        let three = token
            .rsplit_once('.')
            .and_then(|(message, signature)| Some((message, message.split_once('.')?, signature)))
            .filter(|(_, (_, payload), _)| !payload.contains('.'));
        let Some((message, (header, payload), signature)) = three else {
            return Err(malformed("not three segments"));
        };
        let key_id = key_id_of(&decode(header, "header")?)?;
        let payload = decode(payload, "payload")?;
        decode(signature, "signature")?;
        Ok(Self {
            message: Secret::new(message.to_owned()),
            signature: Secret::new(signature.to_owned()),
            payload: Secret::new(payload),
            key_id,
        })
    }

    /// `kid`, unverified.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Whether this key made the signature (RFC 7515 5.2).
    pub fn is_signed_by(&self, key: &Key) -> bool {
        key.verifies(self.message.expose().as_bytes(), self.signature.expose())
    }

    /// The payload as it was signed, unverified.
    pub(in crate::judge) fn payload(&self) -> &[u8] {
        self.payload.expose()
    }

    /// The payload as one strict JSON object, unverified.
    pub(in crate::judge) fn claimed(
        &self,
        shape: &'static Shape,
    ) -> Result<Members<'_>, Rejection> {
        object(self.payload.expose(), shape, "payload")
    }
}

/// Checks a header and names its key. The algorithm is fixed here, before any key is seen.
fn key_id_of(header: &[u8]) -> Result<String, Rejection> {
    let header = object(header, &JOSE_HEADER, "header")?;
    let refused = |note| Err(Rejection::from(Reason::TokenAlgorithmRefused).noting(note));
    match header.get("alg") {
        Some(Value::Text(alg)) if alg == "RS256" => {}
        Some(Value::Text(alg)) => {
            let alg: String = alg.chars().take(16).collect();
            return refused(format!("alg is {alg:?}"));
        }
        _ => return refused("alg is not a string".to_owned()),
    }
    // RFC 7515 4.1.11: whoever does not understand crit must refuse; RFC 7797 b64 is only understood through it.
    if header.get("crit").is_some() || header.get("b64").is_some() {
        return Err(malformed("crit or b64 in the header"));
    }
    match header.get("kid") {
        Some(Value::Text(kid)) if !kid.is_empty() && kid.len() <= MAX_KEY_ID_BYTES => {
            Ok(kid.clone().into_owned())
        }
        _ => Err(malformed("kid is missing, empty, too long or not a string")),
    }
}

/// Canonical base64url only, no padding, no stray trailing bits: one token has one spelling.
fn decode(segment: &str, name: &str) -> Result<Vec<u8>, Rejection> {
    URL_SAFE_NO_PAD
        .decode(segment)
        .map_err(|_| malformed(format!("{name} is not canonical base64url")))
}

fn object<'a>(
    bytes: &'a [u8],
    shape: &'static Shape,
    name: &str,
) -> Result<Members<'a>, Rejection> {
    strict_json::read_or_none(bytes, shape, TOKEN_LIMITS)
        .ok_or_else(|| malformed(format!("{name} is not one strict JSON object")))
}

pub(super) fn malformed(what: impl Into<String>) -> Rejection {
    Rejection::from(Reason::TokenMalformed).noting(what)
}

/// Of a token's header and of a key.
pub(super) const MAX_KEY_ID_BYTES: usize = 256;
/// Header and claims of a real token are flat and have fewer than ten members.
const TOKEN_LIMITS: StrictLimits = StrictLimits {
    depth: 8,
    members: 200,
};

// jwk, jku, x5u and x5c are not among them: a token does not say where its key is.
static JOSE_HEADER: Shape = Shape {
    keep: &[
        ("alg", Keep::Leaf),
        ("kid", Keep::Leaf),
        ("crit", Keep::Leaf),
        ("b64", Keep::Leaf),
    ],
    names: Names::Exact,
};
