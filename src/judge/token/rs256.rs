//! The signature check itself: jsonwebtoken's verifier interface over aws-lc-rs, with the key built once. jsonwebtoken's own
//! verifier builds it anew from its numbers for each signature, which costs a tenth of the check.

use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use jsonwebtoken::crypto::JwtVerifier;
use jsonwebtoken::signature::{Error, Verifier};

/// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 3.3) under one public key.
pub(super) struct Rs256(ParsedPublicKey);

impl Rs256 {
    /// A verifier for the key of two big-endian numbers without leading zeros; nothing where they make no key.
    pub(super) fn new(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let numbers = RsaPublicKeyComponents {
            n: modulus,
            e: exponent,
        };
        let key = numbers.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256);
        key.ok().map(Self)
    }

    /// Whether the key made a signature, given in base64url without padding, over a message.
    pub(super) fn verifies(&self, message: &[u8], signature: &str) -> bool {
        URL_SAFE_NO_PAD
            .decode(signature)
            .is_ok_and(|signature| self.verify(message, &signature).is_ok())
    }
}

impl Verifier<Vec<u8>> for Rs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), Error> {
        self.0
            .verify_sig(message, signature)
            .map_err(|_| Error::new())
    }
}

impl JwtVerifier for Rs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::RS256
    }
}
