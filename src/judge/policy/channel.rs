//! Which channels may reach the bot.

use super::{Evidence, Policy};
use crate::judge::{Reason, Rejection};

/// The base channel is on the operator's list, or there is no list. Case counts: channel ids are lower case.
pub(super) fn is_allowed(policy: &Policy, evidence: Evidence<'_>) -> Result<(), Rejection> {
    let allow = &policy.channels.allow;
    let channel = evidence.activity.base_channel();
    if allow.is_empty() || allow.iter().any(|listed| listed == channel) {
        return Ok(());
    }
    Err(Rejection::from(Reason::ChannelNotAllowed)
        .noting(format!("channel {channel:?} is not on bots.channels.allow")))
}
