//! From a bearer token to a proven caller.
//!
//! Three steps, each taking the proof of the one before: [`Bearer`] (well formed), [`Screened`] (an accepted issuer, this
//! bot's audience, a valid time window, all still unproven), [`Caller`] (signature verified). Keys are looked up only for
//! what was screened, so that a stranger's token cannot make the gateway fetch anything.

mod bearer;
mod claims;
mod entra;
mod jws;
mod keys;
mod roca;
mod roots;

pub use bearer::Bearer;
pub(super) use claims::Moment;
pub use claims::{Claims, TextClaim};
pub use entra::EntraIssuer;
pub use jws::Jws;
#[cfg(test)]
pub(crate) use keys::tests::fit_key_set;
pub use keys::{Key, KeySet, KeySetProblem};
pub use roots::{
    AgentRoot, ChannelRoot, EmulatorRoot, EntraRoots, Expect, KeySourceId, TokenKind, Trust,
};

use super::{Reason, Rejection};
use aws_lc_rs::digest::{Context, SHA256};
use std::sync::Arc;

/// Seconds since the Unix epoch, UTC. Time is always an argument here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixSeconds(pub u64);

/// A token whose claims are those of a request for this bot, if they are true. Not proven yet.
#[derive(Debug)]
pub struct Screened<'e> {
    bearer: Bearer,
    expect: &'e Expect,
    trust: Trust,
    digest: Digest,
}

/// A sender whose token was verified. Only [`Screened::verify`] makes one, and [`Screened::recognise`] from its [`Proof`].
#[derive(Debug)]
pub struct Caller {
    claims: Claims,
    endorsements: Arc<[String]>,
    kind: TokenKind,
}

/// A SHA-256 digest.
pub type Digest = [u8; 32];

/// That one token was signed with one key. Only [`Screened::verify`] makes one; it says nothing about time or audience.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    token: Digest,
    key: Digest,
}

impl Proof {
    /// The fingerprint of the key that signed.
    pub const fn key(&self) -> &Digest {
        &self.key
    }
}

impl Caller {
    /// The verified claims.
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The endorsements of the key that signed the token.
    pub fn endorsements(&self) -> &[String] {
        &self.endorsements
    }

    /// The kind of token.
    pub const fn kind(&self) -> TokenKind {
        self.kind
    }
}

impl Expect {
    /// Checks everything about a token that needs no key, in the order of AUTHENTICATION 1.11. What the kind of token must claim
    /// comes here too: nothing is fetched for a token that could not pass.
    ///
    /// # Errors
    /// [`Reason::TokenIssuerUnknown`], [`Reason::TokenKindNotAccepted`], [`Reason::TokenLifetimeInvalid`],
    /// [`Reason::TokenExpired`], [`Reason::TokenNotYetValid`], [`Reason::TokenAudienceMismatch`], [`Reason::TokenClaimsInvalid`].
    pub fn screen(&self, bearer: Bearer, now: UnixSeconds) -> Result<Screened<'_>, Rejection> {
        let trust = self.trust(bearer.claimed())?;
        self.check_time(bearer.claimed(), now)?;
        self.check_audience(trust.kind, bearer.claimed())?;
        self.check_claims(trust, bearer.claimed())?;
        Ok(Screened {
            digest: bearer.jws().digest(),
            bearer,
            expect: self,
            trust,
        })
    }
}

impl Screened<'_> {
    /// The kind of token it claims to be.
    pub const fn kind(&self) -> TokenKind {
        self.trust.kind
    }

    /// Whose keys may have signed it.
    pub const fn keys(&self) -> KeySourceId {
        self.trust.keys
    }

    /// The key id its header names.
    pub fn key_id(&self) -> &str {
        self.bearer.key_id()
    }

    /// The digest of the whole token: what a proof is remembered by.
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Proves the signature with the key that the header names.
    ///
    /// # Errors
    /// [`Reason::TokenSignatureInvalid`]; [`Reason::TokenClaimsInvalid`] when the key speaks for another issuer.
    pub fn verify(self, key: &Key) -> Result<(Caller, Proof), Rejection> {
        if !self.bearer.jws().is_signed_by(key) {
            return Err(Reason::TokenSignatureInvalid.into());
        }
        self.expect.check_key(self.trust, key)?;
        let proof = Proof {
            token: self.digest,
            key: *key.fingerprint(),
        };
        Ok((self.into_caller(key), proof))
    }

    /// What [`verify`](Self::verify) would say, where it said so before of this very token and key; else the token back.
    ///
    /// # Errors
    /// The token itself, unproven as it was: the proof is about another token or another key.
    pub fn recognise(self, key: &Key, proof: &Proof) -> Result<Caller, Box<Self>> {
        let is_same = proof.token == self.digest && proof.key == *key.fingerprint();
        if !is_same || self.expect.check_key(self.trust, key).is_err() {
            return Err(Box::new(self));
        }
        Ok(self.into_caller(key))
    }

    fn into_caller(self, key: &Key) -> Caller {
        Caller {
            claims: self.bearer.into_claims(),
            endorsements: key.endorsements(),
            kind: self.trust.kind,
        }
    }
}

fn sha256(parts: &[&[u8]]) -> Digest {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut out = Digest::default();
    out.copy_from_slice(context.finish().as_ref());
    out
}

/// At most 128 characters of something a stranger sent, for a note.
fn shortened(text: &str) -> String {
    text.chars().take(128).collect()
}
