//! Which bots may call this one as a skill.

use super::Policy;
use crate::judge::{Claims, Reason, Rejection, TokenKind};
use std::collections::HashSet;

/// App ids, compared without ASCII case, or every one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedCallers {
    /// `"*"`.
    Any,
    /// These, in lower case.
    Listed(HashSet<String>),
}

impl Default for AllowedCallers {
    fn default() -> Self {
        Self::Listed(HashSet::new())
    }
}

/// The calling application of a skill's token is on the operator's list (AUTHENTICATION 1.7).
pub(super) fn is_allowed(
    policy: &Policy,
    kind: TokenKind,
    claims: &Claims,
) -> Result<(), Rejection> {
    match kind {
        TokenKind::Channel | TokenKind::Emulator | TokenKind::Agent => return Ok(()),
        TokenKind::Skill => {}
    }
    let caller = claims.caller_by_version().unwrap_or_default();
    let is_allowed = match &policy.callers.allow {
        AllowedCallers::Any => !caller.is_empty(),
        AllowedCallers::Listed(listed) => listed.contains(&caller.to_ascii_lowercase()),
    };
    if is_allowed {
        return Ok(());
    }
    let caller: String = caller.chars().take(64).collect();
    Err(Rejection::from(Reason::CallerNotAllowed).noting(format!(
        "application {caller:?} is not on bots.callers.allow"
    )))
}
