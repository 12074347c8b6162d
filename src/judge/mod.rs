//! Decides whether a request may pass. Pure: no socket, no file, no clock, no log.

#![deny(
    clippy::wildcard_enum_match_arm,
    reason = "a new variant must be decided about, not fall through"
)]

mod activity;
mod callback;
mod cloud;
pub mod direct_line;
pub mod explain;
mod head;
mod plain_url;
mod policy;
mod reason;
mod route;
mod strict_json;
mod target;
mod tenant_id;
pub mod token;

pub use activity::{Activity, NamedTenant, NamedTenants};
pub use callback::{API as CALLBACK_API, Callback, Place};
pub use cloud::{AGENT_PLATFORM, BUILT_IN, BuiltIn, Cloud};
pub use head::{
    check_callback_head, check_fields, check_head, check_http2, check_page_head, check_size,
};
pub use plain_url::is_on_this_machine;
pub use policy::{
    ActivityPolicy, AllowedCallers, Answer, CALLER_RULES, CallerPolicy, CallerRule, ChannelPolicy,
    DirectLinePolicy, Evidence, Facts, HostList, Mode, OnReject, Policy, RULES, Rule,
    ServiceUrlPolicy, TenantPolicy, Welcome,
};
pub use reason::{Fault, Reason, Rejection};
pub use route::{Route, Routes, host_of};
pub use strict_json::{MAX_DEPTH, StrictLimits};
pub use target::check_target;
pub use tenant_id::TenantId;
pub use token::{
    AgentRoot, Bearer, Caller, ChannelRoot, Claimed, Claims, EmulatorRoot, EntraIssuer, EntraRoots,
    Expect, Jws, Key, KeySet, KeySourceId, Presented, Proof, Screened, Tag, TagKey, Token,
    TokenKind, UnixSeconds,
};

/// A request that passed every check.
///
/// Only [`Policy::admit`] and [`Policy::admit_callback`] can make one, so holding it is the proof, and `upstream` forwards
/// nothing else.
///
/// ```compile_fail,E0451
/// fn forge(caller: botgate::judge::Caller, content: botgate::judge::Content) {
///     let _ = botgate::judge::Admitted { caller, content, would_reject: None };
/// }
/// ```
#[derive(Debug)]
pub struct Admitted {
    caller: Caller,
    content: Content,
    would_reject: Option<Rejection>,
}

/// What was admitted.
#[derive(Debug)]
pub enum Content {
    /// An activity for the messaging endpoint.
    Activity(Box<Activity>),
    /// A skill's callback.
    Callback(Callback),
}

impl Admitted {
    /// Who sent it.
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// What was sent.
    pub const fn content(&self) -> &Content {
        &self.content
    }

    /// The body, byte for byte as it was judged.
    pub const fn body(&self) -> &bytes::Bytes {
        match &self.content {
            Content::Activity(activity) => activity.raw(),
            Content::Callback(callback) => callback.raw(),
        }
    }

    /// What a policy in report mode would have refused it for.
    pub const fn would_reject(&self) -> Option<&Rejection> {
        self.would_reject.as_ref()
    }

    /// Notes that a policy in report mode would have refused it; the first such note stays.
    pub fn note_would_reject(&mut self, rejection: Rejection) {
        self.would_reject.get_or_insert(rejection);
    }

    /// The base channel; a callback comes from none.
    pub fn base_channel(&self) -> Option<&str> {
        match &self.content {
            Content::Activity(activity) => Some(activity.base_channel()),
            Content::Callback(_) => None,
        }
    }

    /// The conversation to count by.
    pub fn conversation(&self) -> Option<&str> {
        match &self.content {
            Content::Activity(activity) => Some(activity.conversation()),
            Content::Callback(callback) => callback.conversation.as_deref(),
        }
    }

    /// The user to count by.
    pub fn user(&self) -> Option<&str> {
        match &self.content {
            Content::Activity(activity) => activity.user(),
            Content::Callback(_) => None,
        }
    }

    /// The tenant to write down and to count by.
    pub fn tenant(&self) -> Option<TenantId> {
        match &self.content {
            Content::Activity(activity) => {
                tenant_of(self.caller.kind(), self.caller.claims(), activity)
            }
            Content::Callback(_) => self.caller.claims().tenant_id(),
        }
    }
}

/// The tenant to write down and to count by: signed values win (AUTHENTICATION 4.6 rule 4).
pub fn tenant_of(kind: TokenKind, claims: &Claims, activity: &Activity) -> Option<TenantId> {
    policy::effective_tenant(kind, claims, activity)
}
