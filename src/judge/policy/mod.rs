//! The rules of one bot, in the order they are asked.

mod activity_type;
mod agent;
mod binding;
mod callback;
mod caller;
mod channel;
mod direct_line;
mod facts;
mod service_url;
mod tenant;
#[cfg(test)]
mod tests;

pub use caller::AllowedCallers;
pub use facts::Facts;
pub use service_url::HostList;
pub(crate) use tenant::{effective as effective_tenant, is_platform};

use super::{Activity, Admitted, Caller, Claims, Content, Reason, Rejection, TokenKind};
use crate::judge::direct_line::Issuer;
use std::collections::HashSet;
use std::sync::Arc;

/// What the rules look at. Holds claims, not a [`Caller`], so that `explain` can ask the rules about an expired or
/// unsigned token without any way to make an [`Admitted`].
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The kind of token.
    pub kind: TokenKind,
    /// What the token says.
    pub claims: &'a Claims,
    /// The channels its signing key is endorsed for.
    pub endorsements: &'a [String],
    /// What was sent.
    pub activity: &'a Activity,
}

/// Whether a policy refuses, or forwards and says what it would have refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Mode {
    /// Refuse.
    #[default]
    Enforce,
    /// Forward, and log `would_reject`.
    Report,
}

/// One question asked of every request.
#[derive(Debug)]
pub struct Rule {
    /// The name in `explain` and in notes.
    pub name: &'static str,
    /// Who may soften it: `None` for what the protocol demands, else the operator's mode for this policy.
    pub mode: fn(&Policy, TokenKind) -> Option<Mode>,
    /// Answers it.
    pub check: fn(&Policy, Evidence<'_>) -> Result<(), Rejection>,
    /// What it compares, for `explain`.
    pub facts: fn(&Policy, Evidence<'_>) -> Facts,
}

/// One question asked of a caller that is proven, whatever it sends.
#[derive(Debug)]
pub struct CallerRule {
    /// As [`Rule::name`].
    pub name: &'static str,
    /// As [`Rule::mode`].
    pub mode: fn(&Policy) -> Option<Mode>,
    /// Answers it.
    pub check: fn(&Policy, TokenKind, &Claims) -> Result<(), Rejection>,
    /// As [`Rule::facts`].
    pub facts: fn(&Policy, TokenKind, &Claims) -> Facts,
}

/// The rules about callers, in order. They are asked before a body is read: a stranger's bot, whose token Entra signs for whoever
/// asks, is not to make us read one (AUTHENTICATION 1.11).
pub const CALLER_RULES: &[CallerRule] = &[
    CallerRule {
        name: "agent_platform",
        mode: |_| None,
        check: agent::is_platform,
        facts: facts::agent_platform,
    },
    CallerRule {
        name: "caller",
        mode: |p| Some(p.callers.mode),
        check: caller::is_allowed,
        facts: facts::caller,
    },
];

/// The one rule that needs the signing key itself, not only what the token says.
pub(super) const CHANNEL_ENDORSED: &str = "channel_endorsed";

/// The rules about what was sent, in order: first what the protocol demands, then what the operator wrote.
pub const RULES: &[Rule] = &[
    Rule {
        name: CHANNEL_ENDORSED,
        mode: |_, _| None,
        check: binding::channel_is_endorsed,
        facts: facts::endorsement,
    },
    Rule {
        name: "service_url_bound",
        mode: |_, _| None,
        check: binding::service_url_is_bound,
        facts: facts::service_url_bound,
    },
    Rule {
        name: "service_url_secure",
        mode: |_, _| None,
        check: service_url::is_secure,
        facts: facts::service_url_secure,
    },
    Rule {
        name: "agent_recipient",
        mode: |_, _| None,
        check: agent::is_recipient,
        facts: facts::agent_recipient,
    },
    Rule {
        name: "service_url_host",
        // Only the list binds the service URL of tokens that carry no serviceurl claim.
        mode: |p, kind| kind.is_channel().then_some(p.service_urls.mode),
        check: service_url::is_allowed,
        facts: facts::service_url_host,
    },
    Rule {
        name: "channel",
        mode: |p, _| Some(p.channels.mode),
        check: channel::is_allowed,
        facts: facts::channel,
    },
    Rule {
        name: "tenant",
        mode: |p, _| Some(p.tenants.mode),
        check: tenant::is_allowed,
        facts: facts::tenant,
    },
    Rule {
        name: "activity_type",
        mode: |p, _| Some(p.activities.mode),
        check: activity_type::is_allowed,
        facts: facts::activity_type,
    },
    Rule {
        name: "invoke_name",
        mode: |p, _| Some(p.activities.mode),
        check: activity_type::is_invoke_allowed,
        facts: facts::invoke_name,
    },
    Rule {
        name: "direct_line_user",
        mode: |p, _| Some(p.direct_line.mode),
        check: direct_line::is_user_trusted,
        facts: facts::direct_line_user,
    },
    Rule {
        name: "direct_line_issued",
        mode: |p, _| Some(p.direct_line.mode),
        check: direct_line::is_user_issued,
        facts: facts::direct_line_issued,
    },
];

/// What one bot accepts from a proven caller.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// `[bots.channels]`.
    pub channels: ChannelPolicy,
    /// `[bots.service_urls]`.
    pub service_urls: ServiceUrlPolicy,
    /// `[bots.tenants]`.
    pub tenants: TenantPolicy,
    /// `[bots.activities]`.
    pub activities: ActivityPolicy,
    /// `[bots.direct_line]`.
    pub direct_line: DirectLinePolicy,
    /// `[bots.callers]`.
    pub callers: CallerPolicy,
}

/// Which applications may call with tokens of their own.
#[derive(Clone, Debug, Default)]
pub struct CallerPolicy {
    /// Enforce or report.
    pub mode: Mode,
    /// Bots that may call this one as a skill, or call it back.
    pub allow: AllowedCallers,
    /// App ids of the platform that calls agents in the bot's cloud, lower case.
    pub agent_platforms: Vec<String>,
}

/// Which channels may reach the bot.
#[derive(Clone, Debug, Default)]
pub struct ChannelPolicy {
    /// Enforce or report.
    pub mode: Mode,
    /// Base channel ids; empty means every endorsed one.
    pub allow: Vec<String>,
    /// Base channel ids let through when the key carries no endorsements at all.
    pub unendorsed: Vec<String>,
}

/// Which hosts a service URL may have.
#[derive(Clone, Debug, Default)]
pub struct ServiceUrlPolicy {
    /// Enforce or report.
    pub mode: Mode,
    /// For tokens of the Connector, which carry the service URL themselves.
    pub hosts: HostList,
    /// For tokens that carry none: the same hosts, but never any host at all.
    pub unbound: HostList,
    /// For tokens of the Emulator: this machine, and what the operator named.
    pub emulator: HostList,
}

impl ServiceUrlPolicy {
    /// The hosts for one kind of token.
    pub const fn hosts_for(&self, kind: TokenKind) -> &HostList {
        match kind {
            TokenKind::Channel => &self.hosts,
            TokenKind::Skill | TokenKind::Agent => &self.unbound,
            TokenKind::Emulator => &self.emulator,
        }
    }
}

/// Which Entra tenants may reach the bot.
#[derive(Clone, Debug, Default)]
pub struct TenantPolicy {
    /// Enforce or report.
    pub mode: Mode,
    /// Tenants let in; empty means every tenant.
    pub allow: HashSet<super::TenantId>,
    /// Tenants kept out, whatever `allow` says.
    pub deny: HashSet<super::TenantId>,
    /// Whether an activity of any channel must name a tenant.
    pub required: bool,
    /// Whether a refusal by this policy is answered as if handled.
    pub on_reject: OnReject,
}

/// How a tenant refusal looks from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnReject {
    /// 403.
    #[default]
    Refuse,
    /// 200, for channels that retry or show errors. Never for an invoke: its client waits for an answer.
    Swallow,
}

/// Which activity types and invoke names may reach the bot.
#[derive(Clone, Debug, Default)]
pub struct ActivityPolicy {
    /// Enforce or report.
    pub mode: Mode,
    /// Activity types; empty means all.
    pub allow: Vec<String>,
    /// Invoke names kept out.
    pub deny_invoke: Vec<String>,
}

/// What is asked of Direct Line and Web Chat user ids.
#[derive(Clone, Debug, Default)]
pub struct DirectLinePolicy {
    /// Enforce or report.
    pub mode: Mode,
    /// Whether `from.id` must start with `dl_` (only when enhanced authentication is on).
    pub require_dl_user_id: bool,
    /// Whether the channel is configured with enhanced authentication.
    pub enhanced_authentication: bool,
    /// Whose ids alone are taken: those of every broker of this gateway. `None` takes any.
    pub issued_by: Option<Arc<[Arc<Issuer>]>>,
}

impl TenantPolicy {
    /// Whether a refusal for `reason` is answered 200, as if handled.
    pub fn swallows(&self, reason: Reason) -> bool {
        matches!(
            reason,
            Reason::TenantMissing | Reason::TenantMalformed | Reason::TenantNotAllowed
        ) && self.on_reject == OnReject::Swallow
    }
}

impl Policy {
    /// Asks the rules about the caller; the first refusal that no mode softens wins.
    ///
    /// # Errors
    /// [`Reason::CallerNotAllowed`].
    pub fn welcome(&self, caller: Caller) -> Result<Welcome, Rejection> {
        let answers = CALLER_RULES.iter().map(|rule| {
            let answer = (rule.check)(self, caller.kind(), caller.claims());
            (answer, (rule.mode)(self))
        });
        let would_reject = first_refusal(answers)?;
        Ok(Welcome {
            caller,
            would_reject,
        })
    }

    /// Asks every rule about what was sent; the first refusal that no mode softens wins.
    ///
    /// # Errors
    /// The refusal of the first rule that says no.
    pub fn admit(&self, welcome: Welcome, activity: Activity) -> Result<Admitted, Rejection> {
        let caller = welcome.caller;
        let evidence = Evidence {
            kind: caller.kind(),
            claims: caller.claims(),
            endorsements: caller.endorsements(),
            activity: &activity,
        };
        let answers = RULES.iter().map(|rule| {
            let answer = (rule.check)(self, evidence);
            (answer, (rule.mode)(self, evidence.kind))
        });
        let would_reject = first_refusal(answers)?;
        Ok(Admitted {
            caller,
            content: Content::Activity(Box::new(activity)),
            would_reject: welcome.would_reject.or(would_reject),
        })
    }

    /// Asks every rule about the caller and reports every answer. Welcomes nobody.
    pub fn explain_caller(&self, kind: TokenKind, claims: &Claims) -> Vec<Answer> {
        let rules = CALLER_RULES.iter().map(|rule| Answer {
            rule: rule.name,
            mode: (rule.mode)(self),
            outcome: (rule.check)(self, kind, claims),
            facts: (rule.facts)(self, kind, claims),
        });
        rules.collect()
    }

    /// Asks every rule about what was sent and reports every answer. Admits nothing.
    pub fn explain(&self, evidence: Evidence<'_>) -> Vec<Answer> {
        RULES
            .iter()
            .map(|rule| Answer {
                rule: rule.name,
                mode: (rule.mode)(self, evidence.kind),
                outcome: (rule.check)(self, evidence),
                facts: (rule.facts)(self, evidence),
            })
            .collect()
    }
}

/// A proven caller that may send something. Only [`Policy::welcome`] makes one.
#[derive(Debug)]
pub struct Welcome {
    caller: Caller,
    would_reject: Option<Rejection>,
}

impl Welcome {
    /// Who it is.
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }
}

/// The refusal that counts: the first of a rule that no mode softens; otherwise what the first of the others would refuse.
fn first_refusal(
    answers: impl Iterator<Item = (Result<(), Rejection>, Option<Mode>)>,
) -> Result<Option<Rejection>, Rejection> {
    let mut would_reject = None;
    for (answer, mode) in answers {
        match (answer, mode) {
            (Ok(()), _) => {}
            (Err(rejection), Some(Mode::Report)) => would_reject = would_reject.or(Some(rejection)),
            (Err(rejection), Some(Mode::Enforce) | None) => return Err(rejection),
        }
    }
    Ok(would_reject)
}

/// What one rule says.
#[derive(Debug)]
pub struct Answer {
    /// The rule's name.
    pub rule: &'static str,
    /// Who may soften it; see [`Rule::mode`].
    pub mode: Option<Mode>,
    /// What it says.
    pub outcome: Result<(), Rejection>,
    /// What it compared.
    pub facts: Facts,
}
