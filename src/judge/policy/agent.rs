//! What ties an agent's token to the activity it came with (AUTHENTICATION 1.10). No mode softens these.

use super::{Evidence, Policy};
use crate::judge::{Claims, Reason, Rejection, TenantId, TokenKind};

/// The roles of a recipient that is an agent.
pub(super) const AGENT_ROLES: &[&str] = &["agenticAppInstance", "agenticUser"];

/// The calling application is the platform that calls agents in this cloud.
pub(super) fn is_platform(
    policy: &Policy,
    kind: TokenKind,
    claims: &Claims,
) -> Result<(), Rejection> {
    if kind != TokenKind::Agent {
        return Ok(());
    }
    let caller = claims.caller_by_presence().unwrap_or_default();
    let platforms = &policy.callers.agent_platforms;
    if platforms
        .iter()
        .any(|platform| platform.eq_ignore_ascii_case(caller))
    {
        return Ok(());
    }
    let caller: String = caller.chars().take(64).collect();
    Err(Rejection::from(Reason::CallerNotAllowed).noting(format!(
        "application {caller:?} calls; agents of this cloud are called by {}",
        platforms.join(" or ")
    )))
}

/// The activity is addressed to an agent, of the tenant that the token proves.
pub(super) fn is_recipient(_: &Policy, evidence: Evidence<'_>) -> Result<(), Rejection> {
    if evidence.kind != TokenKind::Agent {
        return Ok(());
    }
    let activity = evidence.activity;
    let role = activity.recipient_role();
    if !role.is_some_and(|role| AGENT_ROLES.contains(&role)) {
        let role = match role {
            None => "missing".to_owned(),
            Some(role) => format!("{:?}", role.chars().take(64).collect::<String>()),
        };
        return Err(Rejection::from(Reason::CallerNotAllowed).noting(format!(
            "recipient.role is {role}; an agent's token is for {}",
            AGENT_ROLES.join(" or ")
        )));
    }
    // Where the recipient names no tenant, the Agents SDKs act in the conversation's.
    let tenants = activity.tenants();
    let (place, named) = match (tenants.recipient, tenants.conversation) {
        (Some(named), _) => ("recipient.tenantId", named),
        (None, Some(named)) => (
            "there is no recipient.tenantId, conversation.tenantId",
            named,
        ),
        (None, None) => return Ok(()),
    };
    let proven = evidence.claims.tenant.as_deref().and_then(TenantId::parse);
    let reason = match named.id {
        None => Reason::TenantMalformed,
        tenant if tenant == proven => return Ok(()),
        Some(_) => Reason::TenantNotAllowed,
    };
    let named: String = named.text.chars().take(64).collect();
    Err(Rejection::from(reason).noting(format!(
        "{place} is {named:?}, the token is of tenant {}",
        evidence.claims.tenant.as_deref().unwrap_or_default()
    )))
}
