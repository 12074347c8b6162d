//! The token as received, and what it *claims*: nothing here is proven.

use super::Claims;
use super::claims::{CLAIMS, from_members};
use crate::judge::strict_json::{self, Keep, Members, Names, Shape, StrictLimits, Value};
use crate::judge::{Reason, Rejection};
use crate::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::AUTHORIZATION;

const MAX_TOKEN_BYTES: usize = 16 * 1024;
const MAX_KEY_ID_BYTES: usize = 256;
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

/// A well-formed RS256 token. `Debug` prints no part of it.
#[derive(Debug)]
pub struct Bearer {
    token: Secret<String>,
    key_id: String,
    claims: Claims,
}

impl Bearer {
    /// Reads the one `Authorization` header (AUTHENTICATION 0.1 rules 1 to 3).
    ///
    /// # Errors
    /// [`Reason::TokenMissing`], [`Reason::TokenRepeated`], [`Reason::TokenSchemeUnsupported`],
    /// [`Reason::TokenMalformed`], [`Reason::TokenAlgorithmRefused`].
    pub fn from_headers(headers: &HeaderMap) -> Result<Self, Rejection> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let value = values.next().ok_or(Reason::TokenMissing)?;
        if values.next().is_some() {
            return Err(Reason::TokenRepeated.into());
        }
        let value = value.to_str().map_err(|_| malformed("not ASCII"))?;
        let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
        if !scheme.eq_ignore_ascii_case("Bearer") {
            return Err(Reason::TokenSchemeUnsupported.into());
        }
        Self::parse(rest.trim_start_matches(' '))
    }

    /// Reads a compact JWS.
    ///
    /// # Errors
    /// [`Reason::TokenMalformed`], [`Reason::TokenAlgorithmRefused`].
    pub fn parse(token: &str) -> Result<Self, Rejection> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(malformed("longer than 16 KiB"));
        }
        let mut segments = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) = (
            segments.next(),
            segments.next(),
            segments.next(),
            segments.next(),
        ) else {
            return Err(malformed("not three segments"));
        };
        let header = decode(header, "header")?;
        let header = object(&header, &JOSE_HEADER, "header")?;
        match header.get("alg") {
            Some(Value::Text(alg)) if alg == "RS256" => {}
            Some(Value::Text(alg)) => {
                let alg: String = alg.chars().take(16).collect();
                return Err(Rejection::from(Reason::TokenAlgorithmRefused)
                    .noting(format!("alg is {alg:?}")));
            }
            _ => {
                return Err(
                    Rejection::from(Reason::TokenAlgorithmRefused).noting("alg is not a string")
                );
            }
        }
        // RFC 7515 4.1.11: whoever does not understand crit must refuse; RFC 7797 b64 is only understood through it.
        if header.get("crit").is_some() || header.get("b64").is_some() {
            return Err(malformed("crit or b64 in the header"));
        }
        let key_id = match header.get("kid") {
            Some(Value::Text(kid)) if !kid.is_empty() && kid.len() <= MAX_KEY_ID_BYTES => {
                kid.clone().into_owned()
            }
            _ => return Err(malformed("kid is missing, empty, too long or not a string")),
        };
        let payload = decode(payload, "payload")?;
        let claims = from_members(&object(&payload, &CLAIMS, "payload")?);
        decode(signature, "signature")?;
        Ok(Self {
            token: Secret::new(token.to_owned()),
            key_id,
            claims,
        })
    }

    /// The claims, unverified.
    pub const fn claimed(&self) -> &Claims {
        &self.claims
    }

    /// `kid`, unverified.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    pub(super) fn into_claims(self) -> Claims {
        self.claims
    }

    /// The whole token.
    pub(super) fn expose(&self) -> &str {
        self.token.expose()
    }

    /// What is signed, and the signature as it stands in the token.
    pub(super) fn signed_parts(&self) -> Option<(&str, &str)> {
        self.token.expose().rsplit_once('.')
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
    strict_json::read(bytes, shape, TOKEN_LIMITS)
        .map_err(|_| malformed(format!("{name} is not one strict JSON object")))
}

fn malformed(what: impl Into<String>) -> Rejection {
    Rejection::from(Reason::TokenMalformed).noting(what)
}
