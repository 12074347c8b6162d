//! The token as received, and what it *claims*: nothing here is proven.

use super::claims::{CLAIMS, from_members};
pub(super) use super::jws::malformed;
use super::{Claims, Jws, Key, Presented};
use crate::judge::Rejection;
use http::HeaderMap;
use std::sync::Arc;

/// A well-formed RS256 token with claims. `Debug` prints no secret part of it.
#[derive(Debug)]
pub struct Bearer {
    jws: Jws,
    claimed: Arc<Claimed>,
}

/// What a token says, without that by which it proves it.
#[derive(Debug, PartialEq)]
pub struct Claimed {
    /// The claims.
    pub claims: Claims,
    /// `kid` of its header.
    pub key_id: String,
}

impl Bearer {
    /// Reads the one `Authorization` header (AUTHENTICATION 0.1 rules 1 to 3).
    ///
    /// # Errors
    /// As [`Presented::in_headers`] and [`Bearer::parse`].
    pub fn from_headers(headers: &HeaderMap) -> Result<Self, Rejection> {
        Self::parse(Presented::in_headers(headers)?.text())
    }

    /// Reads a compact JWS whose payload is one object of claims.
    ///
    /// # Errors
    /// [`Reason::TokenMalformed`](crate::judge::Reason::TokenMalformed),
    /// [`Reason::TokenAlgorithmRefused`](crate::judge::Reason::TokenAlgorithmRefused).
    pub fn parse(token: &str) -> Result<Self, Rejection> {
        let jws = Jws::parse(token)?;
        let claims = from_members(&jws.claimed(&CLAIMS)?);
        let key_id = jws.key_id().to_owned();
        let claimed = Arc::new(Claimed { claims, key_id });
        Ok(Self { jws, claimed })
    }

    /// The claims, unverified.
    pub fn claimed(&self) -> &Claims {
        &self.claimed.claims
    }

    /// All that it says, unverified.
    pub(super) const fn says(&self) -> &Arc<Claimed> {
        &self.claimed
    }

    /// `kid`, unverified.
    pub fn key_id(&self) -> &str {
        self.jws.key_id()
    }

    /// Whether this key signed it. For `explain`: a [`Caller`](super::Caller) comes from
    /// [`Screened::verify`](super::Screened::verify) only, which asks more than that.
    pub fn is_signed_by(&self, key: &Key) -> bool {
        self.jws.is_signed_by(key)
    }
}
