//! From a bearer token to a proven caller.
//!
//! Three steps, each taking the proof of the one before: [`Token`] (well formed), [`Screened`] (an accepted issuer, this
//! bot's audience, a valid time window, all still unproven), [`Caller`] (signature verified). Keys are looked up only for
//! what was screened, so that a stranger's token cannot make the gateway fetch anything.
//!
//! A token that was proven before need not be read again: its [`Proof`] holds what it says. It is screened like any other.

mod bearer;
mod claims;
mod entra;
mod jws;
mod keys;
mod presented;
mod roca;
mod roots;
mod rs256;

pub use bearer::{Bearer, Claimed};
pub(super) use claims::Moment;
pub use claims::{Claims, TextClaim};
pub use entra::EntraIssuer;
pub use jws::Jws;
#[cfg(test)]
pub(crate) use keys::tests::fit_key_set;
pub use keys::{Key, KeySet, KeySetProblem};
pub use presented::{Presented, Tag, TagKey};
pub use roots::{
    AgentRoot, ChannelRoot, EmulatorRoot, EntraRoots, Expect, KeySourceId, TokenKind, Trust,
};

use super::{Reason, Rejection};
use aws_lc_rs::digest::{Context, SHA256};
use std::sync::Arc;

/// Seconds since the Unix epoch, UTC. Time is always an argument here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixSeconds(pub u64);

/// A well-formed token: read now, or recalled.
#[derive(Debug)]
pub struct Token<'t> {
    text: Presented<'t>,
    tag: Tag,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Read(Bearer),
    Recalled(Proof),
}

impl<'t> Token<'t> {
    /// Reads a token, unless `known` is the proof of that very one.
    ///
    /// # Errors
    /// As [`Bearer::parse`].
    pub fn read(
        text: Presented<'t>,
        key: &TagKey,
        known: impl FnOnce(Tag) -> Option<Proof>,
    ) -> Result<Self, Rejection> {
        text.check_length()?;
        let tag = key.tag(text);
        let form = match known(tag).filter(|proof| proof.tag == tag) {
            Some(proof) => Form::Recalled(proof),
            None => Form::Read(Bearer::parse(text.text())?),
        };
        Ok(Self { text, tag, form })
    }

    /// What it says, unproven.
    pub const fn claimed(&self) -> &Arc<Claimed> {
        match &self.form {
            Form::Read(bearer) => bearer.says(),
            Form::Recalled(proof) => &proof.claimed,
        }
    }
}

/// A token whose claims are those of a request for this bot, if they are true. Not proven yet.
#[derive(Debug)]
pub struct Screened<'t> {
    token: Token<'t>,
    expect: &'t Expect,
    trust: Trust,
}

/// A sender whose token was verified. Only [`Screened::verify`] makes one.
#[derive(Debug)]
pub struct Caller {
    claimed: Arc<Claimed>,
    endorsements: Arc<[String]>,
    kind: TokenKind,
}

/// A SHA-256 digest.
pub type Digest = [u8; 32];

/// That one token was signed with one key, and what it says. Only [`Screened::verify`] makes one; it says nothing about time or
/// audience, and holds nothing with which anybody could call.
#[derive(Clone, Debug, PartialEq)]
pub struct Proof {
    tag: Tag,
    key: Digest,
    claimed: Arc<Claimed>,
}

impl Proof {
    /// Of which token.
    pub const fn tag(&self) -> Tag {
        self.tag
    }

    /// The fingerprint of the key that signed.
    pub const fn key(&self) -> &Digest {
        &self.key
    }
}

impl Caller {
    /// The verified claims.
    pub fn claims(&self) -> &Claims {
        &self.claimed.claims
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
    pub fn screen<'t>(
        &'t self,
        token: Token<'t>,
        now: UnixSeconds,
    ) -> Result<Screened<'t>, Rejection> {
        let claims = &token.claimed().claims;
        let trust = self.trust(claims)?;
        self.check_time(claims, now)?;
        self.check_audience(trust.kind, claims)?;
        self.check_claims(trust, claims)?;
        Ok(Screened {
            token,
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
        &self.token.claimed().key_id
    }

    /// Whether this very token was proven before. Says nothing about time, audience, or whether its key is still published.
    pub const fn is_recalled(&self) -> bool {
        matches!(self.token.form, Form::Recalled(_))
    }

    /// Proves the signature with the key that the header names; or recalls that it was proven, with this very key, before. A
    /// proof that is new is to be remembered.
    ///
    /// # Errors
    /// [`Reason::TokenSignatureInvalid`]; [`Reason::TokenClaimsInvalid`] when the key speaks for another issuer.
    pub fn verify(self, key: &Key) -> Result<(Caller, Option<Proof>), Rejection> {
        let is_new = match &self.token.form {
            Form::Recalled(proof) if proof.key == *key.fingerprint() => false,
            // Another key has the name of the one that signed it.
            Form::Recalled(_) => Jws::parse(self.token.text.text())?
                .is_signed_by(key)
                .then_some(true)
                .ok_or(Reason::TokenSignatureInvalid)?,
            Form::Read(bearer) => bearer
                .is_signed_by(key)
                .then_some(true)
                .ok_or(Reason::TokenSignatureInvalid)?,
        };
        self.expect.check_key(self.trust, key)?;
        let claimed = self.token.claimed();
        let proof = is_new.then(|| Proof {
            tag: self.token.tag,
            key: *key.fingerprint(),
            claimed: Arc::clone(claimed),
        });
        let caller = Caller {
            claimed: Arc::clone(claimed),
            endorsements: key.endorsements(),
            kind: self.trust.kind,
        };
        Ok((caller, proof))
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
