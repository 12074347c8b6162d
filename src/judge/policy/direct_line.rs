//! Whether a Direct Line user id can be believed.

use super::{Evidence, Policy};
use crate::judge::{Reason, Rejection};

/// With enhanced authentication on, the user id comes from the Direct Line token and starts with `dl_`
/// (Microsoft Learn, "Direct Line enhanced authentication"); any other was chosen by the client.
///
/// Direct Line itself tells that a conversation began in the conversation's name: `from.id` is `conversation.id`
/// (BotFramework-WebChat pull request 1608). No user's words come with that.
pub(super) fn is_user_trusted(policy: &Policy, evidence: Evidence<'_>) -> Result<(), Rejection> {
    let rule = &policy.direct_line;
    let activity = evidence.activity;
    let applies = rule.enhanced_authentication
        && rule.require_dl_user_id
        && matches!(activity.base_channel(), "directline" | "webchat");
    let tells_of_itself =
        activity.kind() == "conversationUpdate" && activity.user() == Some(activity.conversation());
    if !applies || tells_of_itself || activity.user().is_some_and(|id| id.starts_with("dl_")) {
        return Ok(());
    }
    Err(Rejection::from(Reason::UserIdNotTrusted).noting("from.id does not start with \"dl_\""))
}
