//! Which activity types and invoke names may reach the bot.

use super::{Evidence, Policy};
use crate::judge::{Reason, Rejection};

/// The type is on the operator's list, or there is no list. Types compare ordinally (Activity specification A2011).
pub(super) fn is_allowed(policy: &Policy, evidence: Evidence<'_>) -> Result<(), Rejection> {
    let allow = &policy.activities.allow;
    let kind = evidence.activity.kind();
    if allow.is_empty() || allow.iter().any(|listed| listed == kind) {
        return Ok(());
    }
    Err(Rejection::from(Reason::ActivityTypeNotAllowed)
        .noting(format!("type {kind:?} is not on bots.activities.allow")))
}

/// The name of an invoke is not on the operator's deny list.
///
/// Compared without case: bots commonly do so too, and a denied name must not come back in other letters.
pub(super) fn is_invoke_allowed(policy: &Policy, evidence: Evidence<'_>) -> Result<(), Rejection> {
    let activity = evidence.activity;
    let Some(name) = activity.name().filter(|_| activity.is_invoke()) else {
        return Ok(());
    };
    if policy
        .activities
        .deny_invoke
        .iter()
        .any(|denied| denied.eq_ignore_ascii_case(name.trim()))
    {
        return Err(Rejection::from(Reason::InvokeNotAllowed)
            .noting(format!("{name:?} is on bots.activities.deny_invoke")));
    }
    Ok(())
}
