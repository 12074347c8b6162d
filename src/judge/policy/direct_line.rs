//! Whether a Direct Line user id can be believed.

use super::{Evidence, Policy};
use crate::judge::{Reason, Rejection};

/// With enhanced authentication on, the user id comes from the Direct Line token and starts with `dl_`
/// (Microsoft Learn, "Direct Line enhanced authentication"); any other was chosen by the client.
pub(super) fn is_user_trusted(policy: &Policy, evidence: Evidence<'_>) -> Result<(), Rejection> {
    let rule = &policy.direct_line;
    let applies = rule.enhanced_authentication
        && rule.require_dl_user_id
        && matches!(evidence.activity.base_channel(), "directline" | "webchat");
    if !applies || evidence.activity.user.as_deref().is_some_and(|id| id.starts_with("dl_")) {
        return Ok(());
    }
    Err(Rejection::from(Reason::UserIdNotTrusted).noting("from.id does not start with \"dl_\""))
}
