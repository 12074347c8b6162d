//! Tokens of the stand-in channel: well-formed ones, and every malformed one a test asks for.

use super::signing::{Algorithm, SigningKey, object};
use aws_lc_rs::error::Unspecified;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

/// A token to be made: a valid one to begin with, of which any part can be changed.
#[derive(Clone, Debug)]
pub struct TokenSpec {
    /// The header's members.
    pub header: Map<String, Value>,
    /// The payload's members.
    pub claims: Map<String, Value>,
    /// Written in place of `header`, as they are: for duplicate members and bytes that are no JSON.
    pub header_bytes: Option<Vec<u8>>,
    /// Written in place of `claims`, as they are.
    pub payload_bytes: Option<Vec<u8>>,
    /// The key that signs. Changing it leaves the header's `kid` alone.
    pub key: SigningKey,
    /// How it signs. Changing it leaves the header's `alg` alone; [`signed_as`](Self::signed_as) changes both.
    pub algorithm: Algorithm,
    /// Whether one bit of the signature is turned over at the end.
    pub flip_signature_bit: bool,
}

impl TokenSpec {
    /// A token as the Connector issues it, valid from `now` (Unix seconds) for one hour.
    pub fn new(
        key: &SigningKey,
        issuer: &str,
        audience: &str,
        service_url: &str,
        now: u64,
    ) -> Self {
        const LIFETIME_SECONDS: u64 = 3600;
        let header = json!({ "alg": "RS256", "kid": key.kid(), "typ": "JWT", "x5t": key.kid() });
        // Exactly these five: a live Connector token has no iat, no jti and no tenant.
        let claims = json!({
            "serviceurl": service_url,
            "nbf": now,
            "exp": now.saturating_add(LIFETIME_SECONDS),
            "iss": issuer,
            "aud": audience,
        });
        Self {
            header: object(header),
            claims: object(claims),
            header_bytes: None,
            payload_bytes: None,
            key: key.clone(),
            algorithm: Algorithm::Rs256,
            flip_signature_bit: false,
        }
    }

    /// A token as Entra issues it to the application `caller` (version 2, client credentials), valid from `now` for 65 minutes.
    pub fn of_entra(
        key: &SigningKey,
        tenant: &str,
        audience: &str,
        caller: &str,
        now: u64,
    ) -> Self {
        const LIFETIME_SECONDS: u64 = 3900;
        let claims = json!({
            "aud": audience,
            "iss": format!("https://login.microsoftonline.com/{tenant}/v2.0"),
            "iat": now,
            "nbf": now,
            "exp": now.saturating_add(LIFETIME_SECONDS),
            "azp": caller,
            "azpacr": "1",
            "tid": tenant,
            "ver": "2.0",
        });
        let mut spec = Self::new(key, "", audience, "", now);
        spec.claims = object(claims);
        spec
    }

    /// An Entra token in version 1: another issuer, and `appid` in place of `azp`.
    #[must_use]
    pub fn in_version_1(mut self) -> Self {
        let tenant = self.claims.get("tid").and_then(Value::as_str);
        let issuer = format!("https://sts.windows.net/{}/", tenant.unwrap_or_default());
        let caller = self.claims.remove("azp").unwrap_or_default();
        self.claims.remove("azpacr");
        self.claim("iss", issuer)
            .claim("appid", caller)
            .claim("appidacr", "1")
            .claim("ver", "1.0")
    }

    /// Sets a member of the payload.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    /// Removes a member of the payload.
    #[must_use]
    pub fn without_claim(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// Sets a member of the header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.insert(name.to_owned(), value.into());
        self
    }

    /// Removes a member of the header.
    #[must_use]
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.remove(name);
        self
    }

    /// Signs with another algorithm and says so in the header.
    #[must_use]
    pub fn signed_as(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self.header("alg", algorithm.name())
    }

    /// Signs with another key and names it in the header.
    #[must_use]
    pub fn signed_by(mut self, key: &SigningKey) -> Self {
        self.key = key.clone();
        self.header("kid", key.kid()).header("x5t", key.kid())
    }

    /// Signs with another key under the name of the first: a forgery.
    #[must_use]
    pub fn forged_by(mut self, key: &SigningKey) -> Self {
        self.key = key.clone();
        self
    }

    /// Turns over one bit of the signature.
    #[must_use]
    pub const fn with_a_bit_flipped(mut self) -> Self {
        self.flip_signature_bit = true;
        self
    }

    /// The token in its compact form.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn sign(&self) -> Result<String, Unspecified> {
        let segment = |raw: &Option<Vec<u8>>, members: &Map<String, Value>| match raw {
            Some(bytes) => URL_SAFE_NO_PAD.encode(bytes),
            None => URL_SAFE_NO_PAD.encode(Value::Object(members.clone()).to_string()),
        };
        let message = format!(
            "{}.{}",
            segment(&self.header_bytes, &self.header),
            segment(&self.payload_bytes, &self.claims)
        );
        let mut signature = self.algorithm.sign(&self.key, message.as_bytes())?;
        if self.flip_signature_bit
            && let Some(byte) = signature.first_mut()
        {
            *byte ^= 1;
        }
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};

    fn spec() -> TokenSpec {
        let key = SigningKey::generate("key-1").unwrap();
        TokenSpec::new(
            &key,
            "https://api.botframework.com",
            "app",
            "https://smba.trafficmanager.net/emea/",
            1_000,
        )
    }

    fn decode(segment: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(segment).unwrap()
    }

    /// Verifies with nothing but what the key set publishes.
    fn verifies(token: &str, jwk: &Map<String, Value>) -> bool {
        let (message, signature) = token.rsplit_once('.').unwrap();
        let member = |name: &str| decode(jwk[name].as_str().unwrap());
        RsaPublicKeyComponents {
            n: member("n"),
            e: member("e"),
        }
        .verify(
            &RSA_PKCS1_2048_8192_SHA256,
            message.as_bytes(),
            &decode(signature),
        )
        .is_ok()
    }

    #[test]
    fn a_token_verifies_with_the_published_key_and_carries_the_five_claims() {
        let spec = spec();
        let token = spec.sign().unwrap();
        assert!(verifies(&token, &spec.key.jwk()));
        let payload: Map<String, Value> =
            serde_json::from_slice(&decode(token.split('.').nth(1).unwrap())).unwrap();
        let names: Vec<_> = payload.keys().map(String::as_str).collect();
        assert_eq!(names, ["aud", "exp", "iss", "nbf", "serviceurl"]);
        assert_eq!(payload["exp"], 4_600);
    }

    #[test]
    fn forgeries_do_not_verify() {
        let spec = spec();
        let other = SigningKey::generate("key-2").unwrap();
        for forged in [
            spec.clone().forged_by(&other),
            spec.clone().with_a_bit_flipped(),
            spec.clone().signed_as(Algorithm::None),
            spec.clone().signed_as(Algorithm::Rs384),
            spec.clone().signed_as(Algorithm::Rs512),
            spec.clone().signed_as(Algorithm::Ps256),
            spec.clone().signed_as(Algorithm::Es256),
            spec.clone().signed_as(Algorithm::Hs256WithPem),
            spec.clone().signed_as(Algorithm::Hs256WithDer),
        ] {
            assert!(
                !verifies(&forged.sign().unwrap(), &spec.key.jwk()),
                "{:?}",
                forged.algorithm
            );
        }
    }

    #[test]
    fn raw_bytes_are_signed_as_they_are() {
        let mut spec = spec();
        spec.payload_bytes = Some(br#"{"aud":"a","aud":"b"}"#.to_vec());
        let token = spec.sign().unwrap();
        assert_eq!(
            decode(token.split('.').nth(1).unwrap()),
            br#"{"aud":"a","aud":"b"}"#
        );
        assert!(verifies(&token, &spec.key.jwk()));
    }
}
