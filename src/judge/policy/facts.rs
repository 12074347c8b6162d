//! What each rule wants and what it found, in words: for `explain`, so that nobody has to read it out of a refusal.
//!
//! Nothing is decided here; a rule's `check` does that, and these are the values it compares.

use super::binding;
use super::{AllowedCallers, Evidence, HostList, Policy, TenantPolicy, agent, tenant};
use crate::judge::{Callback, Claims, TenantId, TokenKind};
use std::collections::HashSet;

/// What a rule wants and what it found. `None` where the request gives it nothing to look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// What would pass.
    pub expected: Option<String>,
    /// What there is.
    pub seen: Option<String>,
}

impl Facts {
    /// Both sides.
    pub fn of(expected: impl Into<String>, seen: impl Into<String>) -> Self {
        Self {
            expected: Some(expected.into()),
            seen: Some(seen.into()),
        }
    }
}

pub(super) fn endorsement(policy: &Policy, evidence: Evidence<'_>) -> Facts {
    let channel = evidence.activity.base_channel();
    match evidence.kind {
        TokenKind::Channel => {
            let unendorsed = match policy.channels.unendorsed.as_slice() {
                [] => String::new(),
                listed => format!(", or no endorsement at all and one of {}", words(listed)),
            };
            Facts::of(
                format!("{channel:?} among the endorsements of the signing key{unendorsed}"),
                match evidence.endorsements {
                    [] => "no endorsements".to_owned(),
                    some => words(some),
                },
            )
        }
        TokenKind::Emulator => Facts::of(
            format!("channel {:?}", binding::EMULATOR),
            format!("channel {channel:?}"),
        ),
        TokenKind::Skill | TokenKind::Agent => Facts::of(
            format!(
                "a channel other than {:?}, in any spelling",
                binding::APP_SERVICE_EXTENSION
            ),
            format!("channel {channel:?}"),
        ),
    }
}

pub(super) fn service_url_bound(_: &Policy, evidence: Evidence<'_>) -> Facts {
    let sent = format!(
        "activity's serviceUrl {:?}",
        evidence.activity.service_url()
    );
    match &evidence.claims.service_url {
        Some(claimed) => Facts::of(format!("the token's serviceurl {claimed:?}"), sent),
        None if evidence.kind.is_channel() => Facts::of("a serviceurl claim", "none"),
        None => Facts::of(
            "no serviceurl claim: tokens of this kind have none, and the list of hosts is the bound",
            sent,
        ),
    }
}

pub(super) fn service_url_secure(policy: &Policy, evidence: Evidence<'_>) -> Facts {
    let hosts = policy.service_urls.hosts_for(evidence.kind);
    Facts::of(secure(hosts), urls(evidence))
}

/// What makes a URL secure, where these hosts are listed.
fn secure(hosts: &HostList) -> String {
    let entries = hosts.entries();
    let plain: Vec<&str> = entries
        .iter()
        .map(String::as_str)
        .filter(|host| hosts.permits_plain(host))
        .collect();
    let mut wanted = "https on port 443, in plain form".to_owned();
    if !plain.is_empty() {
        wanted.push_str(&format!("; or http, or any port, on {}", plain.join(" ")));
    }
    wanted
}

pub(super) fn service_url_host(policy: &Policy, evidence: Evidence<'_>) -> Facts {
    let hosts = policy.service_urls.hosts_for(evidence.kind);
    Facts::of(entries(hosts), urls(evidence))
}

pub(super) fn relates_to(hosts: &HostList, url: Option<&str>) -> Facts {
    match url {
        None => Facts::default(),
        Some(url) => Facts::of(
            format!("{}; {}", secure(hosts), entries(hosts)),
            format!("relatesTo.serviceUrl {url:?}"),
        ),
    }
}

fn entries(hosts: &HostList) -> String {
    if *hosts == HostList::any() {
        return "any host".to_owned();
    }
    match hosts.entries().as_slice() {
        [] => "a host on the list, which is empty".to_owned(),
        entries => format!("a host of {}", entries.join(" ")),
    }
}

pub(super) fn agent_platform(policy: &Policy, kind: TokenKind, claims: &Claims) -> Facts {
    if kind != TokenKind::Agent {
        return Facts::default();
    }
    Facts::of(
        format!(
            "the calling application is {}",
            policy.callers.agent_platforms.join(" or ")
        ),
        optional(claims.caller_by_presence()),
    )
}

pub(super) fn agent_recipient(_: &Policy, evidence: Evidence<'_>) -> Facts {
    if evidence.kind != TokenKind::Agent {
        return Facts::default();
    }
    let activity = evidence.activity;
    let tenants = activity.tenants();
    Facts::of(
        format!(
            "recipient.role {}; recipient.tenantId, or where there is none conversation.tenantId, the token's tid {}",
            agent::AGENT_ROLES.join(" or "),
            optional(evidence.claims.tenant.as_deref())
        ),
        format!(
            "recipient.role {}; recipient.tenantId {}; conversation.tenantId {}",
            optional(activity.recipient_role()),
            optional(tenants.recipient.map(|named| named.text)),
            optional(tenants.conversation.map(|named| named.text))
        ),
    )
}

pub(super) fn caller(policy: &Policy, kind: TokenKind, claims: &Claims) -> Facts {
    if kind != TokenKind::Skill {
        return Facts::default();
    }
    let expected = match &policy.callers.allow {
        AllowedCallers::Any => "any application".to_owned(),
        AllowedCallers::Listed(ids) if ids.is_empty() => {
            "an application of bots.callers.allow, which is empty".to_owned()
        }
        AllowedCallers::Listed(ids) => {
            let mut ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            ids.sort_unstable();
            format!("an application of {}", ids.join(" "))
        }
    };
    Facts::of(expected, optional(claims.caller_by_version().ok()))
}

pub(super) fn channel(policy: &Policy, evidence: Evidence<'_>) -> Facts {
    let expected = match policy.channels.allow.as_slice() {
        [] => "any channel".to_owned(),
        listed => format!("a channel of {}", words(listed)),
    };
    Facts::of(expected, format!("{:?}", evidence.activity.base_channel()))
}

pub(super) fn tenants_of_callback(
    rule: &TenantPolicy,
    claims: &Claims,
    callback: &Callback,
) -> Facts {
    let mut seen = format!("token tid {}", optional(claims.tenant.as_deref()));
    for (place, text) in &callback.tenants {
        seen.push_str(&format!(", {place} {text:?}"));
    }
    Facts::of(allowed_tenants(rule), seen)
}

fn allowed_tenants(rule: &TenantPolicy) -> String {
    let sorted = |tenants: &HashSet<TenantId>| {
        let mut ids: Vec<String> = tenants.iter().map(ToString::to_string).collect();
        ids.sort_unstable();
        ids.join(" ")
    };
    let mut expected = if rule.allow.is_empty() {
        "any tenant".to_owned()
    } else {
        format!("every tenant named is of {}", sorted(&rule.allow))
    };
    if !rule.deny.is_empty() {
        expected.push_str(&format!(", and none of {}", sorted(&rule.deny)));
    }
    expected
}

pub(super) fn tenant(policy: &Policy, evidence: Evidence<'_>) -> Facts {
    let mut expected = allowed_tenants(&policy.tenants);
    if tenant::must_name_one(policy, evidence) {
        expected.push_str(", and one is named");
    }
    let seen: Vec<String> = tenant::written(evidence)
        .into_iter()
        .flatten()
        .map(|written| format!("{} {:?}", written.place, written.text))
        .collect();
    let seen = if seen.is_empty() {
        "no tenant".to_owned()
    } else {
        seen.join(", ")
    };
    Facts::of(expected, seen)
}

pub(super) fn activity_type(policy: &Policy, evidence: Evidence<'_>) -> Facts {
    let expected = match policy.activities.allow.as_slice() {
        [] => "any type".to_owned(),
        listed => format!("a type of {}", words(listed)),
    };
    Facts::of(expected, format!("{:?}", evidence.activity.kind()))
}

pub(super) fn invoke_name(policy: &Policy, evidence: Evidence<'_>) -> Facts {
    let activity = evidence.activity;
    if !activity.is_invoke() {
        return Facts::default();
    }
    let expected = match policy.activities.deny_invoke.as_slice() {
        [] => "any name".to_owned(),
        listed => format!("a name other than {}", words(listed)),
    };
    Facts::of(expected, optional(activity.name()))
}

pub(super) fn direct_line_user(policy: &Policy, evidence: Evidence<'_>) -> Facts {
    let rule = &policy.direct_line;
    if !rule.enhanced_authentication || !rule.require_dl_user_id {
        return Facts::default();
    }
    of_a_page("begins with \"dl_\"", evidence, |id| {
        let prefix: String = id.chars().take(3).collect();
        format!("from.id begins with {prefix:?}")
    })
}

pub(super) fn direct_line_issued(policy: &Policy, evidence: Evidence<'_>) -> Facts {
    let Some(brokers) = policy.direct_line.issued_by.as_deref() else {
        return Facts::default();
    };
    of_a_page(
        "is one that a broker of this gateway made",
        evidence,
        |id| {
            let seen = if brokers.iter().any(|broker| broker.has_issued(id)) {
                "from.id is such an id"
            } else if id.starts_with("dl_") {
                "from.id begins with \"dl_\", and is no such id"
            } else {
                "from.id is no such id"
            };
            seen.to_owned()
        },
    )
}

fn of_a_page(wanted: &str, evidence: Evidence<'_>, seen: impl Fn(&str) -> String) -> Facts {
    let activity = evidence.activity;
    if !super::direct_line::is_of_a_page(activity) {
        return Facts::default();
    }
    if super::direct_line::is_of_the_conversation(activity) {
        return Facts::of(
            format!(
                "from.id {wanted}, or is the conversation's, which tells of such members and nothing else"
            ),
            "a conversationUpdate whose from.id is conversation.id".to_owned(),
        );
    }
    let seen = activity
        .user()
        .map_or_else(|| "no from.id".to_owned(), seen);
    Facts::of(format!("from.id {wanted}"), seen)
}

fn urls(evidence: Evidence<'_>) -> String {
    let each = super::service_url::urls(evidence).map(|(place, url)| format!("{place} {url:?}"));
    each.collect::<Vec<_>>().join(", ")
}

fn words(items: &[String]) -> String {
    let quoted = items.iter().map(|item| format!("{item:?}"));
    quoted.collect::<Vec<_>>().join(" ")
}

fn optional(text: Option<&str>) -> String {
    text.map_or_else(|| "none".to_owned(), |text| format!("{text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_named_where_the_list_permits_it_and_only_there() {
        let secure = |hosts: &[&str]| secure(&HostList::parse(hosts.iter().copied()).unwrap());
        let public = ["smba.trafficmanager.net", "*.botframework.com"];
        assert_eq!(secure(&public), "https on port 443, in plain form");
        assert_eq!(
            secure(&["localhost", "127.0.0.1", "smba.trafficmanager.net"]),
            "https on port 443, in plain form; or http, or any port, on 127.0.0.1 localhost"
        );
    }
}
