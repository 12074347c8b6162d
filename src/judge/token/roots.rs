//! Which tokens one bot accepts: its trust roots, chosen by `iss` alone, and what each kind of token must claim.
//!
//! `iss` leads to the Connector or to Entra, and with Entra to a tenant. What kind an Entra token is, its own signed claims say
//! (who calls?), never the body that came with it: SDKs that let a body choose let strangers choose the weakest check.

use super::{Claims, EntraIssuer, Key, UnixSeconds, shortened};
use crate::judge::{Reason, Rejection, TenantId};
use std::collections::{HashMap, HashSet};

/// Real Connector tokens live one hour; a day is absurd (AUTHENTICATION 0.1 rule 6).
const MAX_CHANNEL_LIFETIME: u64 = 24 * 60 * 60;
/// Managed identities call with tokens of 24 hours that begin five minutes early, and continuous access evaluation allows 28 hours
/// (Microsoft Learn, "Configurable token lifetimes", "Continuous access evaluation").
const MAX_ENTRA_LIFETIME: u64 = 30 * 60 * 60;

/// The kinds of token a bot can accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// Issued by the Bot Connector for a channel.
    Channel,
    /// Issued by Entra to the bot itself, as the Bot Framework Emulator uses it.
    Emulator,
    /// Issued by Entra to another bot that calls this one as a skill, or to a skill that calls back.
    Skill,
    /// Issued by Entra to the platform that calls agents.
    Agent,
}

impl TokenKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Channel, Self::Emulator, Self::Skill, Self::Agent];

    /// The word in `gateway.toml` and in the request line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Channel => "channel",
            Self::Emulator => "emulator",
            Self::Skill => "skill",
            Self::Agent => "agent",
        }
    }

    /// Whether its tokens carry the `serviceurl` claim, and its keys endorsements.
    pub const fn is_channel(self) -> bool {
        matches!(self, Self::Channel)
    }
}

/// Which key set: a position in the settings' list of key sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeySourceId(pub usize);

/// Which tokens one bot accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expect {
    /// The bot's Microsoft App ID; the token's audience, compared without ASCII case.
    pub app_id: String,
    /// Tolerance for `exp`, `nbf` and `iat`, seconds.
    pub clock_skew: u64,
    /// The Connector of the bot's cloud.
    pub channel: ChannelRoot,
    /// Entra of the bot's cloud.
    pub entra: EntraRoots,
}

/// The Connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelRoot {
    /// `iss`, compared byte for byte.
    pub issuer: String,
    /// Its keys, where its tokens are accepted.
    pub keys: Option<KeySourceId>,
}

/// Entra, with the kinds of its tokens that are accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntraRoots {
    /// Its issuers.
    pub issuers: Vec<EntraIssuer>,
    /// App ids of the platform that calls agents, lower case. Known whether agents are accepted or not: what the platform
    /// sends is an agent's token and no other bot's.
    pub platforms: Vec<String>,
    /// Tokens issued to the bot itself.
    pub emulator: Option<EmulatorRoot>,
    /// Tokens issued to other bots: the keys.
    pub skill: Option<KeySourceId>,
    /// Tokens issued to the platform that calls agents.
    pub agent: Option<AgentRoot>,
}

/// Tokens issued to the bot itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmulatorRoot {
    /// The keys.
    pub keys: KeySourceId,
    /// The tenants whose tokens are taken; empty means any, since the token is issued to this bot in any case.
    pub tenants: HashSet<TenantId>,
}

/// Tokens issued to the platform that calls agents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentRoot {
    /// The keys of each tenant that may call. No other tenant's keys are ever fetched.
    pub keys: HashMap<TenantId, KeySourceId>,
}

/// What the issuer and the claims of a token lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trust {
    /// The kind of token.
    pub kind: TokenKind,
    /// The tenant that the issuer names; `None` for the Connector.
    pub tenant: Option<TenantId>,
    /// Whose keys may have signed it.
    pub keys: KeySourceId,
}

impl Expect {
    /// The kinds of token that are accepted.
    pub fn kinds(&self) -> impl Iterator<Item = TokenKind> {
        TokenKind::ALL.into_iter().filter(|kind| match kind {
            TokenKind::Channel => self.channel.keys.is_some(),
            TokenKind::Emulator => self.entra.emulator.is_some(),
            TokenKind::Skill => self.entra.skill.is_some(),
            TokenKind::Agent => self.entra.agent.is_some(),
        })
    }

    /// The trust root of a token, by its issuer (AUTHENTICATION 0.1 rule 4).
    ///
    /// # Errors
    /// [`Reason::TokenIssuerUnknown`], [`Reason::TokenKindNotAccepted`].
    pub fn trust(&self, claimed: &Claims) -> Result<Trust, Rejection> {
        let issuer = claimed.issuer.as_deref().unwrap_or_default();
        if issuer == self.channel.issuer {
            return match self.channel.keys {
                Some(keys) => Ok(Trust {
                    kind: TokenKind::Channel,
                    tenant: None,
                    keys,
                }),
                None => Err(not_accepted(TokenKind::Channel)),
            };
        }
        if let Some(tenant) = self.entra.tenant_of(issuer) {
            return self.entra_trust(claimed, tenant);
        }
        let accepts_entra = self.entra.accepts_any();
        let reason = if !accepts_entra && crate::judge::cloud::is_known_entra_issuer(issuer) {
            Reason::TokenKindNotAccepted
        } else {
            Reason::TokenIssuerUnknown
        };
        Err(Rejection::from(reason).noting(format!("iss is {:?}", shortened(issuer))))
    }

    fn entra_trust(&self, claimed: &Claims, tenant: TenantId) -> Result<Trust, Rejection> {
        let roots = &self.entra;
        let (kind, _) = self.entra_kind(claimed);
        let keys = match kind {
            TokenKind::Emulator => roots.emulator.as_ref().map(|root| root.keys),
            TokenKind::Skill => roots.skill,
            TokenKind::Agent => match &roots.agent {
                None => None,
                Some(agent) => Some(*agent.keys.get(&tenant).ok_or_else(|| {
                    Rejection::from(Reason::TokenIssuerUnknown).noting(format!(
                        "iss is of tenant {tenant}, which is not on bots.tenants.allow; agents are called by listed tenants only"
                    ))
                })?),
            },
            TokenKind::Channel => None,
        };
        Ok(Trust {
            kind,
            tenant: Some(tenant),
            keys: keys.ok_or_else(|| not_accepted(kind))?,
        })
    }

    /// The kind of an Entra token, and why it is of that kind.
    ///
    /// Who calls decides: the platform (an agent is called), the bot itself (the Emulator), or another bot. The first two are
    /// never another bot, accepted or not: a list of callers, or `"*"` in it, leads round nothing that their kinds ask for.
    pub fn entra_kind(&self, claimed: &Claims) -> (TokenKind, &'static str) {
        let roots = &self.entra;
        // Agents' tokens name the caller by azp, the others by what ver says. Where the two readings differ, either counts: the kind
        // is not to be chosen by which of them a check goes by.
        let callers = [claimed.caller_by_presence(), claimed.caller_app_id()];
        let is_called_by = |app_id: &str| {
            let mut callers = callers.iter().flatten();
            callers.any(|caller| caller.eq_ignore_ascii_case(app_id))
        };
        if roots.platforms.iter().any(|id| is_called_by(id)) {
            let why = "the calling application is the platform that calls agents";
            return (TokenKind::Agent, why);
        }
        if is_called_by(&self.app_id) {
            let why = "the calling application is this bot itself";
            return (TokenKind::Emulator, why);
        }
        let accepted = (
            roots.skill.is_some(),
            roots.agent.is_some(),
            roots.emulator.is_some(),
        );
        match accepted {
            (false, true, _) => (
                TokenKind::Agent,
                "the bot accepts agents' tokens and none of skills",
            ),
            (false, false, true) => (
                TokenKind::Emulator,
                "the bot accepts no other kind of Entra token",
            ),
            (true, _, _) | (false, false, false) => (
                TokenKind::Skill,
                "the calling application is another one than this bot",
            ),
        }
    }

    /// `exp`, `nbf` and `iat`.
    ///
    /// # Errors
    /// [`Reason::TokenLifetimeInvalid`], [`Reason::TokenExpired`], [`Reason::TokenNotYetValid`].
    pub fn check_time(&self, claimed: &Claims, now: UnixSeconds) -> Result<(), Rejection> {
        claimed.check_time(now, self.clock_skew, self.max_lifetime(claimed))
    }

    /// How long a token of this issuer may live, seconds.
    pub(in crate::judge) fn max_lifetime(&self, claimed: &Claims) -> u64 {
        let is_channels = claimed.issuer.as_deref() == Some(self.channel.issuer.as_str());
        if is_channels {
            MAX_CHANNEL_LIFETIME
        } else {
            MAX_ENTRA_LIFETIME
        }
    }

    /// `aud` is this bot; agents are also called by `api://` names (AUTHENTICATION 1.10).
    ///
    /// # Errors
    /// [`Reason::TokenAudienceMismatch`].
    pub fn check_audience(&self, kind: TokenKind, claimed: &Claims) -> Result<(), Rejection> {
        let no = |what: String| Err(Rejection::from(Reason::TokenAudienceMismatch).noting(what));
        let Some(audience) = claimed.audience.as_deref() else {
            return no("aud is missing, or is not one string".to_owned());
        };
        let bare = match kind {
            TokenKind::Agent => audience
                .strip_prefix("api://botid-")
                .or_else(|| audience.strip_prefix("api://"))
                .unwrap_or(audience),
            TokenKind::Channel | TokenKind::Emulator | TokenKind::Skill => audience,
        };
        if bare.eq_ignore_ascii_case(&self.app_id) {
            return Ok(());
        }
        no(format!(
            "aud is {:?}, this bot is {}",
            shortened(audience),
            self.app_id
        ))
    }

    /// What the kind of token must claim beyond issuer, time and audience (AUTHENTICATION 1.6, 1.7, 1.10).
    ///
    /// # Errors
    /// [`Reason::TokenClaimsInvalid`].
    pub fn check_claims(&self, trust: Trust, claimed: &Claims) -> Result<(), Rejection> {
        let no = |what: String| Err(Rejection::from(Reason::TokenClaimsInvalid).noting(what));
        let Some(tenant) = trust.tenant else {
            return Ok(());
        };
        match claimed.tenant.as_deref() {
            None => return no("tid is missing, or is not a string".to_owned()),
            Some(tid) if TenantId::parse(tid) != Some(tenant) => {
                return no(format!(
                    "tid is {:?}, the issuer's tenant is {tenant}",
                    shortened(tid)
                ));
            }
            Some(_) => {}
        }
        match trust.kind {
            TokenKind::Channel => Ok(()),
            TokenKind::Agent => match claimed.caller_by_presence() {
                Some(_) => Ok(()),
                None => no("azp is missing or not a string, and so is appid".to_owned()),
            },
            TokenKind::Skill => match claimed.caller_by_version() {
                Err(what) => no(what.to_owned()),
                Ok(_) if claimed.speaks_for_a_user => no(USER_TOKEN.to_owned()),
                Ok(_) => Ok(()),
            },
            TokenKind::Emulator => {
                let caller = match claimed.caller_by_version() {
                    Err(what) => return no(what.to_owned()),
                    Ok(caller) => caller,
                };
                if !caller.eq_ignore_ascii_case(&self.app_id) {
                    return no(format!(
                        "the calling application is {:?}, not this bot itself",
                        shortened(caller)
                    ));
                }
                if claimed.speaks_for_a_user {
                    return no(USER_TOKEN.to_owned());
                }
                let tenants = self.entra.emulator.as_ref().map(|root| &root.tenants);
                if tenants.is_some_and(|allowed| !allowed.is_empty() && !allowed.contains(&tenant))
                {
                    return no(format!("tenant {tenant} is not on bots.tenants.allow"));
                }
                Ok(())
            }
        }
    }

    /// A key that Entra publishes for one issuer speaks for no other; `{tenantid}` in it stands for any tenant. The two issuers
    /// of one tenant (version 1 and 2) share their keys.
    ///
    /// # Errors
    /// [`Reason::TokenClaimsInvalid`].
    pub fn check_key(&self, trust: Trust, key: &Key) -> Result<(), Rejection> {
        let (Some(tenant), Some(issuer)) = (trust.tenant, key.issuer()) else {
            return Ok(());
        };
        let named = issuer.replace("{tenantid}", &tenant.to_string());
        let issuer = shortened(issuer);
        let why = match self.entra.tenant_of(&named) {
            Some(other) if other == tenant => return Ok(()),
            Some(_) => format!("the token is of tenant {tenant}"),
            None => "which is no Entra issuer of this cloud".to_owned(),
        };
        Err(Rejection::from(Reason::TokenClaimsInvalid)
            .noting(format!("the key speaks for {issuer:?} only, {why}")))
    }
}

const USER_TOKEN: &str = "the token speaks for a user (scp, or an idtyp other than \"app\"); applications call with tokens of their own";

impl EntraRoots {
    /// The tenant whose issuer this is.
    pub fn tenant_of(&self, issuer: &str) -> Option<TenantId> {
        self.issuers
            .iter()
            .find_map(|template| template.tenant_of(issuer))
    }

    fn accepts_any(&self) -> bool {
        self.emulator.is_some() || self.skill.is_some() || self.agent.is_some()
    }
}

fn not_accepted(kind: TokenKind) -> Rejection {
    let what = match kind {
        TokenKind::Channel => "a token of the Bot Connector",
        TokenKind::Emulator => "an Entra token issued to this bot itself, as the Emulator uses",
        TokenKind::Skill => {
            "an Entra token issued to another application, as skills and their callers use"
        }
        TokenKind::Agent => "an Entra token issued to the platform that calls agents",
    };
    Rejection::from(Reason::TokenKindNotAccepted).noting(format!(
        "{what}; bots.accept does not name {:?}",
        kind.word()
    ))
}

#[cfg(test)]
mod tests;
