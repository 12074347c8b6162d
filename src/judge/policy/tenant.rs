//! Which tenants may talk to the bot (AUTHENTICATION 4.6).

use super::{Evidence, Policy, TenantPolicy};
use crate::judge::plain_url::Plain;
use crate::judge::{Activity, Claims, NamedTenant, Reason, Rejection, TenantId};

/// Channels whose `channelData.tenant` the platform writes; on all others the client does, and it counts for nothing.
const PLATFORM_CHANNELS: &[&str] = &["msteams", "agents", "m365extensions", "outlook"];

/// Every tenant the activity names is allowed; none is denied or malformed; one is named where it must be.
pub(super) fn is_allowed(policy: &Policy, evidence: Evidence<'_>) -> Result<(), Rejection> {
    let rule = &policy.tenants;
    let named = written(evidence.claims, evidence.activity);
    // What is malformed is told before what is not on a list.
    for written in named.iter().flatten() {
        written.tenant()?;
    }
    let mut last = None;
    for written in named.iter().flatten() {
        let tenant = written.tenant()?;
        // Mostly all places name the same one.
        if last != Some(tenant) {
            is_listed(rule, written.place, tenant)?;
        }
        last = Some(tenant);
    }
    if last.is_none() && must_name_one(policy, evidence) {
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

/// Whether the platform writes `channelData.tenant` there.
pub(crate) fn is_platform(base_channel: &str) -> bool {
    PLATFORM_CHANNELS.contains(&base_channel)
}

/// The tenant to write down and to count by: what is signed wins over what is written in the body. None where any is malformed.
pub(crate) fn effective(claims: &Claims, activity: &Activity) -> Option<TenantId> {
    let in_body = activity.tenant_in_body()?;
    if let Some(proven) = claims.tenant.as_deref() {
        return TenantId::parse(proven);
    }
    let signed = in_signed_url(claims, activity).and_then(|named| named.id);
    signed.or(in_body)
}

/// What stands at one place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written<'a> {
    /// The place, for a note.
    pub(super) place: &'static str,
    /// As written.
    pub(super) text: &'a str,
    /// What it says, where that is a tenant id.
    id: Option<TenantId>,
}

impl Written<'_> {
    fn tenant(&self) -> Result<TenantId, Rejection> {
        self.id.ok_or_else(|| {
            Rejection::from(Reason::TenantMalformed).noting(format!(
                "{} is {:?}",
                self.place,
                shortened(self.text)
            ))
        })
    }
}

/// What stands at every place that counts, the most trustworthy first.
pub(super) fn written<'a>(claims: &'a Claims, activity: &'a Activity) -> [Option<Written<'a>>; 6] {
    let tenants = activity.tenants();
    let at = |place, named: Option<NamedTenant<'a>>| {
        named.map(|NamedTenant { text, id }| Written { place, text, id })
    };
    let proven = claims.tenant.as_deref().map(NamedTenant::read);
    let in_data = tenants
        .channel_data
        .filter(|_| activity.is_of_the_platform());
    [
        at(TOKEN, proven),
        at("the signed serviceurl", in_signed_url(claims, activity)),
        at("channelData.tenant.id", in_data),
        at("conversation.tenantId", tenants.conversation),
        at("from.tenantId", tenants.from),
        at("recipient.tenantId", tenants.recipient),
    ]
}

/// The tenant that the signed service URL names, on a channel of the platform (AUTHENTICATION 4.5).
fn in_signed_url<'a>(claims: &'a Claims, activity: &'a Activity) -> Option<NamedTenant<'a>> {
    let url = claims.service_url.as_deref()?;
    if !activity.is_of_the_platform() {
        return None;
    }
    // Mostly the activity says the same, and that was read already.
    if url == activity.service_url() {
        return activity.tenant_in_service_url();
    }
    NamedTenant::in_service_url(&Plain::read(url)?)
}

fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}
