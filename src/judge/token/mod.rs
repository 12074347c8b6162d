//! From a bearer token to a proven caller.
//!
//! Three steps, each taking the proof of the one before: [`Bearer`] (well formed), [`Screened`] (an accepted issuer, this
//! bot's audience, a valid time window, all still unproven), [`Caller`] (signature verified). Keys are looked up only for
//! what was screened, so that a stranger's token cannot make the gateway fetch anything.

mod bearer;
mod claims;
mod jws;
mod keys;
mod roca;

pub use bearer::Bearer;
pub use claims::Claims;
pub use jws::Jws;
pub use keys::{Key, KeySet, KeySetProblem};

use super::{Reason, Rejection};

/// Seconds since the Unix epoch, UTC. Time is always an argument here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixSeconds(pub u64);

/// The kinds of token a bot can accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// Issued by the Bot Connector for a channel.
    Channel,
}

impl TokenKind {
    /// The word in `gateway.toml` and in the request line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Channel => "channel",
        }
    }
}

/// One accepted trust root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// Its kind of token.
    pub kind: TokenKind,
    /// `iss`, compared byte for byte.
    pub issuer: String,
    /// Which key set: the position of its cloud in the settings.
    pub cloud: usize,
}

/// Which tokens one bot accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expect {
    /// The bot's Microsoft App ID; the token's audience, compared without ASCII case.
    pub app_id: String,
    /// Trust roots, chosen by `iss` alone, never by the body.
    pub roots: Vec<Root>,
    /// Tolerance for `exp`, `nbf` and `iat`, seconds.
    pub clock_skew: u64,
}

/// Real Connector tokens live one hour; a day is absurd (AUTHENTICATION 0.1 rule 6).
const MAX_LIFETIME_SECONDS: u64 = 24 * 60 * 60;

/// A token whose claims are those of a request for this bot, if they are true. Not proven yet.
#[derive(Debug)]
pub struct Screened<'e> {
    bearer: Bearer,
    root: &'e Root,
}

/// A sender whose token was verified. Only [`Screened::verify`] makes one.
#[derive(Debug)]
pub struct Caller {
    claims: Claims,
    endorsements: std::sync::Arc<[String]>,
    kind: TokenKind,
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
    /// Checks everything about a token that needs no key, in the order of AUTHENTICATION 1.11.
    ///
    /// # Errors
    /// [`Reason::TokenIssuerUnknown`], [`Reason::TokenKindNotAccepted`], [`Reason::TokenLifetimeInvalid`],
    /// [`Reason::TokenExpired`], [`Reason::TokenNotYetValid`], [`Reason::TokenAudienceMismatch`].
    pub fn screen(&self, bearer: Bearer, now: UnixSeconds) -> Result<Screened<'_>, Rejection> {
        let root = self.root_of(bearer.claimed())?;
        bearer
            .claimed()
            .check_time(now, self.clock_skew, MAX_LIFETIME_SECONDS)?;
        self.check_audience(bearer.claimed())?;
        Ok(Screened { bearer, root })
    }

    fn root_of(&self, claimed: &Claims) -> Result<&Root, Rejection> {
        let issuer = claimed.issuer.as_deref().unwrap_or_default();
        if let Some(root) = self.roots.iter().find(|root| root.issuer == issuer) {
            return Ok(root);
        }
        let reason = if super::cloud::is_known_entra_issuer(issuer) {
            Reason::TokenKindNotAccepted
        } else {
            Reason::TokenIssuerUnknown
        };
        Err(Rejection::from(reason).noting(format!("iss is {:?}", shortened(issuer))))
    }

    fn check_audience(&self, claimed: &Claims) -> Result<(), Rejection> {
        match claimed.audience.as_deref() {
            Some(audience) if audience.eq_ignore_ascii_case(&self.app_id) => Ok(()),
            Some(other) => Err(
                Rejection::from(Reason::TokenAudienceMismatch).noting(format!(
                    "aud is {:?}, this bot is {}",
                    shortened(other),
                    self.app_id
                )),
            ),
            None => Err(Rejection::from(Reason::TokenAudienceMismatch)
                .noting("aud is missing, or is not one string")),
        }
    }
}

impl<'e> Screened<'e> {
    /// The root whose keys may have signed it.
    pub const fn root(&self) -> &'e Root {
        self.root
    }

    /// The key id its header names.
    pub fn key_id(&self) -> &str {
        self.bearer.key_id()
    }

    /// Proves the signature with the key that the header names.
    ///
    /// # Errors
    /// [`Reason::TokenSignatureInvalid`].
    pub fn verify(self, key: &Key) -> Result<Caller, Rejection> {
        if !self.bearer.jws().is_signed_by(key) {
            return Err(Reason::TokenSignatureInvalid.into());
        }
        Ok(Caller {
            claims: self.bearer.into_claims(),
            endorsements: key.endorsements(),
            kind: self.root.kind,
        })
    }
}

/// At most 128 characters of something a stranger sent, for a note.
fn shortened(text: &str) -> String {
    text.chars().take(128).collect()
}
