//! The token as received, and what it *claims*: nothing here is proven.

use super::claims::{CLAIMS, from_members};
use super::jws::malformed;
use super::{Claims, Jws, Key};
use crate::judge::{Reason, Rejection};
use http::HeaderMap;
use http::header::AUTHORIZATION;

/// A well-formed RS256 token with claims. `Debug` prints no secret part of it.
#[derive(Debug)]
pub struct Bearer {
    jws: Jws,
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

    /// Reads a compact JWS whose payload is one object of claims.
    ///
    /// # Errors
    /// [`Reason::TokenMalformed`], [`Reason::TokenAlgorithmRefused`].
    pub fn parse(token: &str) -> Result<Self, Rejection> {
        let jws = Jws::parse(token)?;
        let claims = from_members(&jws.claimed(&CLAIMS)?);
        Ok(Self { jws, claims })
    }

    /// The claims, unverified.
    pub const fn claimed(&self) -> &Claims {
        &self.claims
    }

    /// `kid`, unverified.
    pub fn key_id(&self) -> &str {
        self.jws.key_id()
    }

    /// What is signed.
    pub(super) const fn jws(&self) -> &Jws {
        &self.jws
    }

    /// Whether this key signed it. For `explain`: a [`Caller`](super::Caller) comes from
    /// [`Screened::verify`](super::Screened::verify) only, which asks more than that.
    pub fn is_signed_by(&self, key: &Key) -> bool {
        self.jws.is_signed_by(key)
    }

    pub(super) fn into_claims(self) -> Claims {
        self.claims
    }
}
