//! The policies of a bot in force, for people to read.

use crate::config::{Bot, Quota};
use crate::judge::{AllowedCallers, HostList, Mode, OnReject, TenantId, TokenKind};
use serde::Serialize;
use std::collections::HashSet;
use std::time::Duration;

/// One policy of a bot.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(super) struct InForce {
    policy: &'static str,
    /// `enforce` or `report`.
    mode: &'static str,
    /// A phrase.
    says: String,
    /// What is let in by name; empty where the phrase says who.
    allow: Vec<String>,
    /// What is kept out by name.
    deny: Vec<String>,
}

/// Every policy of a bot, also those that let everything in: that is what somebody may be looking for.
pub(super) fn of(bot: &Bot) -> Vec<InForce> {
    let mut policies = vec![
        tenants(bot),
        channels(bot),
        activities(bot),
        service_urls(bot),
    ];
    if bot.expect.kinds().any(|kind| kind == TokenKind::Skill) {
        policies.push(callers(bot));
    }
    policies.extend([direct_line(bot), rate_limits(bot)]);
    policies
}

fn tenants(bot: &Bot) -> InForce {
    let policy = &bot.policy.tenants;
    let mut says = match policy.allow.len() {
        0 => "every tenant".to_owned(),
        1 => "this tenant only".to_owned(),
        many => format!("these {many} tenants only"),
    };
    if policy.required {
        says.push_str("; every activity must name one");
    }
    match policy.on_reject {
        OnReject::Refuse => {}
        OnReject::Swallow => says.push_str("; refused ones are answered 200"),
    }
    InForce {
        allow: sorted(&policy.allow),
        deny: sorted(&policy.deny),
        ..InForce::new("tenants", policy.mode, says)
    }
}

fn channels(bot: &Bot) -> InForce {
    let policy = &bot.policy.channels;
    let mut says = if policy.allow.is_empty() {
        "every channel the signing key is endorsed for".to_owned()
    } else {
        "these channels only".to_owned()
    };
    if !policy.unendorsed.is_empty() {
        let names = policy.unendorsed.join(", ");
        says.push_str(&format!("; without any endorsement: {names}"));
    }
    InForce {
        allow: policy.allow.clone(),
        ..InForce::new("channels", policy.mode, says)
    }
}

fn activities(bot: &Bot) -> InForce {
    let policy = &bot.policy.activities;
    let says = if policy.allow.is_empty() {
        "every type"
    } else {
        "these types only"
    };
    let invokes = policy.deny_invoke.iter();
    InForce {
        allow: policy.allow.clone(),
        deny: invokes.map(|name| format!("invoke {name}")).collect(),
        ..InForce::new("activities", policy.mode, says)
    }
}

fn service_urls(bot: &Bot) -> InForce {
    let policy = &bot.policy.service_urls;
    let (says, allow) = if policy.hosts == HostList::any() {
        ("any host that the token names", vec![])
    } else {
        ("these hosts only", policy.hosts.entries())
    };
    InForce {
        allow,
        ..InForce::new("service URLs", policy.mode, says)
    }
}

fn callers(bot: &Bot) -> InForce {
    let policy = &bot.policy.callers;
    let (says, allow) = match &policy.allow {
        AllowedCallers::Any => ("any application", vec![]),
        AllowedCallers::Listed(listed) => {
            let mut ids: Vec<String> = listed.iter().cloned().collect();
            ids.sort();
            ("these applications only", ids)
        }
    };
    InForce {
        allow,
        ..InForce::new("callers", policy.mode, says)
    }
}

fn direct_line(bot: &Bot) -> InForce {
    let policy = &bot.policy.direct_line;
    let says = match (policy.enhanced_authentication, policy.require_dl_user_id) {
        (true, _) if policy.issued_by.is_some() => {
            "enhanced authentication; user ids must be ones that a broker of this gateway made"
        }
        _ if policy.issued_by.is_some() => {
            "user ids must be ones that a broker of this gateway made"
        }
        (true, true) => "enhanced authentication; user ids must begin with dl_",
        (true, false) => "enhanced authentication; user ids are not checked",
        (false, true | false) => "user ids are not checked",
    };
    InForce::new("Direct Line", policy.mode, says)
}

fn rate_limits(bot: &Bot) -> InForce {
    let limits = &bot.rate_limits;
    let each = [
        ("bot", limits.per_bot),
        ("tenant", limits.per_tenant),
        ("conversation", limits.per_conversation),
        ("user", limits.per_user),
    ];
    let mut set: Vec<String> = each
        .into_iter()
        .filter_map(|(of, limit)| Some(format!("{} per {of}", rate(limit?))))
        .collect();
    set.push(format!("{} requests at once", bot.in_flight));
    InForce::new("limits", limits.mode, set.join(", "))
}

impl InForce {
    fn new(policy: &'static str, mode: Mode, says: impl Into<String>) -> Self {
        Self {
            policy,
            mode: match mode {
                Mode::Enforce => "enforce",
                Mode::Report => "report",
            },
            says: says.into(),
            allow: vec![],
            deny: vec![],
        }
    }
}

fn sorted(tenants: &HashSet<TenantId>) -> Vec<String> {
    let mut ids: Vec<String> = tenants.iter().map(ToString::to_string).collect();
    ids.sort();
    ids
}

/// In the smallest unit that makes it a whole number: 5 ms is `200/s`, 6 s is `10/m`.
pub(super) fn rate(quota: Quota) -> String {
    let units = [("s", 1), ("m", 60), ("h", 3600)];
    let per =
        |seconds: u64| Duration::from_secs(seconds).as_secs_f64() / quota.interval.as_secs_f64();
    let (unit, rate) = units
        .into_iter()
        .map(|(unit, seconds)| (unit, per(seconds)))
        .find(|(_, rate)| *rate >= 1.0 && (rate - rate.round()).abs() < 0.001 * rate)
        .unwrap_or(("h", per(3600)));
    format!("{rate:.0}/{unit} (burst {})", quota.burst)
}
