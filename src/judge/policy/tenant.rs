//! Which tenants may talk to the bot (AUTHENTICATION 4.6).

use super::{Evidence, Policy, TenantPolicy};
use crate::judge::cloud;
use crate::judge::plain_url::Plain;
use crate::judge::{
    Activity, Callback, Claims, NamedTenant, Reason, Rejection, TenantId, TokenKind,
};

/// Channels whose `channelData.tenant` the platform writes; on all others the client does, and it counts for nothing.
const PLATFORM_CHANNELS: &[&str] = &["msteams", "agents", "m365extensions", "outlook"];

/// Every tenant the activity names is allowed; none is denied or malformed; one is named where it must be.
pub(super) fn is_allowed(policy: &Policy, evidence: Evidence<'_>) -> Result<(), Rejection> {
    let rule = &policy.tenants;
    let named = written(evidence);
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

/// The tenant of the skill that calls back is allowed, and so is every one that its callback names: those are only as good as the
/// skill's word (AUTHENTICATION 4.7), but a listed skill that works for others is not to bring theirs.
pub(super) fn are_callbacks_allowed(
    rule: &TenantPolicy,
    claims: &Claims,
    callback: &Callback,
) -> Result<(), Rejection> {
    let proven = claims.tenant_id().ok_or(Reason::TenantMissing)?;
    let mut tenants = vec![(TOKEN, proven)];
    for (place, text) in &callback.tenants {
        let NamedTenant { text, id } = NamedTenant::read(text);
        let written = Written { place, text, id };
        tenants.push((place, written.tenant()?));
    }
    let mut answers = tenants
        .into_iter()
        .map(|(place, tenant)| is_listed(rule, place, tenant));
    answers.try_for_each(|answer| answer)
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
pub(crate) fn effective(kind: TokenKind, claims: &Claims, activity: &Activity) -> Option<TenantId> {
    let in_body = activity.tenant_in_body()?;
    if let Some(proven) = proven(kind, claims) {
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
pub(super) fn written<'a>(evidence: Evidence<'a>) -> [Option<Written<'a>>; 6] {
    let Evidence {
        kind,
        claims,
        activity,
        ..
    } = evidence;
    let tenants = activity.tenants();
    let at = |place, named: Option<NamedTenant<'a>>| {
        named.map(|NamedTenant { text, id }| Written { place, text, id })
    };
    let proven = proven(kind, claims).map(NamedTenant::read);
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

/// The `tid` of an Entra token. The Connector's tokens are issued to no tenant: what some of them carry is Microsoft's own.
fn proven(kind: TokenKind, claims: &Claims) -> Option<&str> {
    claims.tenant.as_deref().filter(|_| !kind.is_channel())
}

/// The tenant that the signed service URL names, if it is one of Teams (AUTHENTICATION 4.5): whatever channel the activity says
/// it is of, or it could choose one on which its tenant does not count.
fn in_signed_url<'a>(claims: &'a Claims, activity: &'a Activity) -> Option<NamedTenant<'a>> {
    let url = claims.service_url.as_deref()?;
    // Mostly the activity says the same, and that was read already.
    let same = (url == activity.service_url()).then(|| activity.tenant_in_service_url());
    let (named, host) = match same {
        Some(named) => (named?, activity.service_url_host()?.into()),
        None => {
            let url = Plain::read(url)?;
            (NamedTenant::in_service_url(&url)?, url.host)
        }
    };
    (activity.is_of_the_platform() || cloud::is_of_teams(&host)).then_some(named)
}

fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}
