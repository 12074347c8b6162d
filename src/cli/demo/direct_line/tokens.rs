//! Tokens of the stand-in: what they say is in them, signed, as in the real ones. Nothing is kept.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

/// How long a token is good, as the documentation has it.
pub(super) const LIFETIME_SECONDS: u64 = 1800;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claims {
    /// The one conversation it is for.
    #[serde(rename = "conv")]
    pub(super) conversation: String,
    /// Who speaks, if that was said when the token was made. Web Chat reads the name of this claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user: Option<String>,
    /// The origins of pages that may use it; none for any.
    pub(super) origins: Vec<String>,
    /// Unix seconds.
    pub(super) exp: u64,
    /// Makes every token another one, also two of one second.
    pub(super) jti: String,
}

/// Why a token is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// It is over.
    Expired,
    /// It is none of ours.
    Foreign,
}

/// Makes and reads them.
pub(super) struct Tokens {
    key: hmac::Key,
    /// By how much the stand-in's clock is ahead, so that a test need not wait half an hour.
    ahead_seconds: AtomicU64,
    /// How long new tokens are good.
    lifetime_seconds: AtomicU64,
}

impl Tokens {
    pub(super) fn new() -> io::Result<Self> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        Ok(Self {
            key: key.map_err(io::Error::other)?,
            ahead_seconds: AtomicU64::new(0),
            lifetime_seconds: AtomicU64::new(LIFETIME_SECONDS),
        })
    }

    pub(super) fn advance(&self, seconds: u64) {
        self.ahead_seconds.fetch_add(seconds, Ordering::Relaxed);
    }

    pub(super) fn live_for(&self, seconds: u64) {
        self.lifetime_seconds.store(seconds, Ordering::Relaxed);
    }

    pub(super) fn lifetime_seconds(&self) -> u64 {
        self.lifetime_seconds.load(Ordering::Relaxed)
    }

    fn now(&self) -> u64 {
        let ahead = self.ahead_seconds.load(Ordering::Relaxed);
        super::super::channel::now().saturating_add(ahead)
    }

    /// A new token, good from now on.
    pub(super) fn issue(
        &self,
        conversation: &str,
        user: Option<String>,
        origins: Vec<String>,
    ) -> String {
        let claims = Claims {
            conversation: conversation.to_owned(),
            user,
            origins,
            exp: self.now().saturating_add(self.lifetime_seconds()),
            jti: uuid::Uuid::new_v4().simple().to_string(),
        };
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
        let claims = serde_json::to_vec(&claims).unwrap_or_default();
        let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
        let signature = hmac::sign(&self.key, message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    pub(super) fn read(&self, token: &str) -> Result<Claims, Flaw> {
        let (message, signature) = token.rsplit_once('.').ok_or(Flaw::Foreign)?;
        let (_, claims) = message.split_once('.').ok_or(Flaw::Foreign)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Flaw::Foreign);
        hmac::verify(&self.key, message.as_bytes(), &decode(signature)?)
            .map_err(|_| Flaw::Foreign)?;
        let claims: Claims = serde_json::from_slice(&decode(claims)?).map_err(|_| Flaw::Foreign)?;
        if claims.exp <= self.now() {
            return Err(Flaw::Expired);
        }
        Ok(claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_what_was_put_in_until_it_is_over() {
        let tokens = Tokens::new().unwrap();
        let origins = vec!["https://www.example.com".to_owned()];
        let token = tokens.issue("c1", Some("dl_a".to_owned()), origins.clone());
        let claims = tokens.read(&token).unwrap();
        assert_eq!(claims.user.as_deref(), Some("dl_a"));
        assert_eq!(
            (claims.conversation.as_str(), claims.origins),
            ("c1", origins)
        );
        assert_ne!(token, tokens.issue("c1", None, vec![]));
        tokens.advance(LIFETIME_SECONDS);
        assert_eq!(tokens.read(&token), Err(Flaw::Expired));
    }

    #[test]
    fn a_changed_or_foreign_token_is_none() {
        let (tokens, others) = (Tokens::new().unwrap(), Tokens::new().unwrap());
        let foreign = others.issue("c1", None, vec![]);
        let own = tokens.issue("c1", None, vec![]);
        let (own_start, _) = own.rsplit_once('.').unwrap();
        let (_, foreign_end) = foreign.rsplit_once('.').unwrap();
        let mixed = format!("{own_start}.{foreign_end}");
        for token in [foreign.as_str(), &mixed, "", "a.b.c", "abc"] {
            assert_eq!(tokens.read(token), Err(Flaw::Foreign), "{token}");
        }
    }
}
