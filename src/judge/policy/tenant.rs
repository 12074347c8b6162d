//! Which tenants may talk to the bot (AUTHENTICATION 4.6).

use super::service_url::Plain;
use super::{Evidence, Policy, TenantPolicy};
use crate::judge::{Activity, Claims, Reason, Rejection, TenantId};

/// Channels whose `channelData.tenant` the platform writes; on all others the client does, and it counts for nothing.
const PLATFORM_CHANNELS: &[&str] = &["msteams", "agents", "m365extensions", "outlook"];

/// Every tenant the activity names is allowed; none is denied or malformed; one is named where it must be.
pub(super) fn is_allowed(policy: &Policy, evidence: Evidence<'_>) -> Result<(), Rejection> {
    let rule = &policy.tenants;
    let named = named(evidence.claims, evidence.activity)?;
    let mut any = false;
    for (place, tenant) in named.into_iter().flatten() {
        any = true;
        is_listed(rule, place, tenant)?;
    }
    if !any && must_name_one(policy, evidence) {
        return Err(Rejection::from(Reason::TenantMissing).noting(format!(
            "no tenant in an activity of channel {:?}",
            evidence.activity.base_channel()
        )));
    }
    Ok(())
}

/// The tenant of the calling application is allowed, where there is no activity that could name others.
pub(super) fn is_callers_allowed(rule: &TenantPolicy, claims: &Claims) -> Result<(), Rejection> {
    match claims.tenant_id() {
        Some(tenant) => is_listed(rule, TOKEN, tenant),
        None => Err(Reason::TenantMissing.into()),
    }
}

fn is_listed(rule: &TenantPolicy, place: &str, tenant: TenantId) -> Result<(), Rejection> {
    let listed = rule.allow.is_empty() || rule.allow.contains(&tenant);
    if listed && !rule.deny.contains(&tenant) {
        return Ok(());
    }
    Err(Rejection::from(Reason::TenantNotAllowed).noting(format!("{place} is {tenant}")))
}

const TOKEN: &str = "token tid";

/// Whether a tenant has to be named at all.
pub(super) fn must_name_one(policy: &Policy, evidence: Evidence<'_>) -> bool {
    let rule = &policy.tenants;
    let list_needs_one = !rule.allow.is_empty() && evidence.activity.base_channel() == "msteams";
    rule.required || list_needs_one
}

/// The tenant to write down and to count by: what is signed wins over what is written in the body.
pub(crate) fn effective(claims: &Claims, activity: &Activity) -> Option<TenantId> {
    named(claims, activity)
        .ok()?
        .into_iter()
        .flatten()
        .next()
        .map(|(_, tenant)| tenant)
}

type Named = [Option<(&'static str, TenantId)>; 6];

/// All tenants of a request, the most trustworthy first.
fn named(claims: &Claims, activity: &Activity) -> Result<Named, Rejection> {
    let mut named = Named::default();
    for (slot, written) in named.iter_mut().zip(written(claims, activity)) {
        let Some((place, text)) = written else {
            continue;
        };
        let Some(tenant) = TenantId::parse(text) else {
            return Err(Rejection::from(Reason::TenantMalformed)
                .noting(format!("{place} is {:?}", shortened(text))));
        };
        *slot = Some((place, tenant));
    }
    Ok(named)
}

/// What stands at every place that counts, as written.
pub(super) fn written<'a>(
    claims: &'a Claims,
    activity: &'a Activity,
) -> [Option<(&'static str, &'a str)>; 6] {
    let tenants = &activity.tenants;
    let platform = PLATFORM_CHANNELS.contains(&activity.base_channel());
    let at = |place, text: Option<&'a str>| text.map(|text| (place, text));
    let signed = claims.service_url.as_deref().filter(|_| platform);
    let in_data = tenants.channel_data.as_deref().filter(|_| platform);
    [
        at(TOKEN, claims.tenant.as_deref()),
        at("the signed serviceurl", signed.and_then(in_service_url)),
        at("channelData.tenant.id", in_data),
        at("conversation.tenantId", tenants.conversation.as_deref()),
        at("from.tenantId", tenants.from.as_deref()),
        at("recipient.tenantId", tenants.recipient.as_deref()),
    ]
}

/// The last path segment of a Teams service URL, where it is a GUID (AUTHENTICATION 4.5).
fn in_service_url(url: &str) -> Option<&str> {
    Plain::read(url)?
        .segments()
        .next_back()
        .filter(|segment| TenantId::parse(segment).is_some())
}

fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}
