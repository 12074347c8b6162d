//! Decides whether a request may pass. Pure: no socket, no file, no clock, no log.

#![deny(
    clippy::wildcard_enum_match_arm,
    reason = "a new variant must be decided about, not fall through"
)]

mod activity;
mod cloud;
mod head;
mod policy;
mod reason;
mod route;
mod strict_json;
mod tenant_id;
pub mod token;

pub use activity::{Activity, NamedTenants};
pub use cloud::{AGENT_PLATFORM, BUILT_IN, BuiltIn, Cloud};
pub use head::{check_head, check_size};
pub use policy::{
    ActivityPolicy, AllowedCallers, Answer, CallerPolicy, ChannelPolicy, DirectLinePolicy,
    Evidence, HostList, Mode, OnReject, Policy, RULES, Rule, ServiceUrlPolicy, TenantPolicy,
};
pub use reason::{Fault, Reason, Rejection};
pub use route::{Route, Routes, host_of};
pub use strict_json::{MAX_DEPTH, StrictLimits};
pub use tenant_id::TenantId;
pub use token::{
    AgentRoot, Bearer, Caller, ChannelRoot, Claims, EmulatorRoot, EntraIssuer, EntraRoots, Expect,
    Jws, Key, KeySet, KeySourceId, Proof, Screened, TokenKind, UnixSeconds,
};

/// A request that passed every check.
///
/// Only [`Policy::admit`] can make one, so holding it is the proof, and `upstream` forwards nothing else.
///
/// ```compile_fail,E0451
/// fn forge(caller: botgate::judge::Caller, activity: botgate::judge::Activity) {
///     let _ = botgate::judge::Admitted { caller, activity, would_reject: None };
/// }
/// ```
#[derive(Debug)]
pub struct Admitted {
    caller: Caller,
    activity: Activity,
    would_reject: Option<Rejection>,
}

impl Admitted {
    /// Who sent it.
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// What was sent.
    pub const fn activity(&self) -> &Activity {
        &self.activity
    }

    /// What a policy in report mode would have refused it for.
    pub const fn would_reject(&self) -> Option<&Rejection> {
        self.would_reject.as_ref()
    }

    /// Notes that a policy in report mode would have refused it; the first such note stays.
    pub fn note_would_reject(&mut self, rejection: Rejection) {
        self.would_reject.get_or_insert(rejection);
    }

    /// The tenant to write down and to count by.
    pub fn tenant(&self) -> Option<TenantId> {
        tenant_of(self.caller.claims(), &self.activity)
    }
}

/// The tenant to write down and to count by: signed values win (AUTHENTICATION 4.6 rule 4).
pub fn tenant_of(claims: &Claims, activity: &Activity) -> Option<TenantId> {
    policy::effective_tenant(claims, activity)
}
