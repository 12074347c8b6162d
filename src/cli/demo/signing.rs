//! Signing keys of the stand-in channel, and the algorithms it can be told to sign with.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaEncoding,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// An RSA key of the channel, under the name that tokens refer to it by. Clones share the key.
#[derive(Clone, Debug)]
pub struct SigningKey {
    kid: String,
    pair: Arc<KeyPair>,
}

impl SigningKey {
    /// Makes a new RSA-2048 key.
    ///
    /// # Errors
    /// When the machine has no randomness to give.
    pub fn generate(kid: &str) -> Result<Self, Unspecified> {
        Ok(Self {
            kid: kid.to_owned(),
            pair: Arc::new(KeyPair::generate(KeySize::Rsa2048)?),
        })
    }

    /// The same key under another name.
    #[must_use]
    pub fn named(&self, kid: &str) -> Self {
        Self {
            kid: kid.to_owned(),
            pair: Arc::clone(&self.pair),
        }
    }

    /// Its name, `kid`.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public half as an entry of a key set, without endorsements.
    pub fn jwk(&self) -> Map<String, Value> {
        let public = self.pair.public_key();
        let n = URL_SAFE_NO_PAD.encode(public.modulus().big_endian_without_leading_zero());
        let e = URL_SAFE_NO_PAD.encode(public.exponent().big_endian_without_leading_zero());
        object(
            json!({ "kty": "RSA", "use": "sig", "kid": self.kid, "x5t": self.kid, "n": n, "e": e }),
        )
    }

    /// The public half as DER (`SubjectPublicKeyInfo`): what a confused verifier would take for an HMAC secret.
    ///
    /// # Errors
    /// When the key cannot be written as DER.
    pub fn public_der(&self) -> Result<Vec<u8>, Unspecified> {
        let der: PublicKeyX509Der<'_> = self.pair.public_key().as_der()?;
        Ok(der.as_ref().to_vec())
    }

    /// The public half as PEM, with the final newline most tools write.
    ///
    /// # Errors
    /// When the key cannot be written as DER.
    pub fn public_pem(&self) -> Result<Vec<u8>, Unspecified> {
        let text = STANDARD.encode(self.public_der()?);
        let lines: Vec<_> = text
            .as_bytes()
            .chunks(64)
            .map(String::from_utf8_lossy)
            .collect();
        Ok(format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            lines.join("\n")
        )
        .into_bytes())
    }

    fn rsa(
        &self,
        encoding: &'static dyn RsaEncoding,
        message: &[u8],
    ) -> Result<Vec<u8>, Unspecified> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(encoding, &SystemRandom::new(), message, &mut signature)?;
        Ok(signature)
    }
}

/// How a token is signed. Only [`Rs256`](Algorithm::Rs256) is what a channel does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA on P-256, with a key made for this one token.
    Es256,
    /// HMAC whose secret is the public key as PEM.
    Hs256WithPem,
    /// HMAC whose secret is the public key as DER.
    Hs256WithDer,
    /// No signature: the third segment is empty.
    None,
}

impl Algorithm {
    /// Its name in a token's header.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::Hs256WithPem | Self::Hs256WithDer => "HS256",
            Self::None => "none",
        }
    }

    /// The signature of `message`.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn sign(self, key: &SigningKey, message: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let hmac = |secret: Vec<u8>| {
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), message)
                .as_ref()
                .to_vec()
        };
        match self {
            Self::Rs256 => key.rsa(&RSA_PKCS1_SHA256, message),
            Self::Rs384 => key.rsa(&RSA_PKCS1_SHA384, message),
            Self::Rs512 => key.rsa(&RSA_PKCS1_SHA512, message),
            Self::Ps256 => key.rsa(&RSA_PSS_SHA256, message),
            Self::Es256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
                Ok(pair.sign(&SystemRandom::new(), message)?.as_ref().to_vec())
            }
            Self::Hs256WithPem => Ok(hmac(key.public_pem()?)),
            Self::Hs256WithDer => Ok(hmac(key.public_der()?)),
            Self::None => Ok(vec![]),
        }
    }
}

/// The members of a `json!({..})` literal.
pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    }
}
