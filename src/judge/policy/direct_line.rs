//! Whether a Direct Line user id can be believed.

use super::{Evidence, Policy};
use crate::judge::{Activity, Reason, Rejection};

/// With enhanced authentication on, the user id comes from the Direct Line token and starts with `dl_`
/// (Microsoft Learn, "Direct Line enhanced authentication"); any other was chosen by the client.
///
/// Direct Line itself tells that a conversation began in the conversation's name: `from.id` is `conversation.id`
/// (BotFramework-WebChat pull request 1608). No user's words come with that.
pub(super) fn is_user_trusted(policy: &Policy, evidence: Evidence<'_>) -> Result<(), Rejection> {
    let rule = &policy.direct_line;
    let activity = evidence.activity;
    let applies =
        rule.enhanced_authentication && rule.require_dl_user_id && says_who_a_page_is(activity);
    if !applies || activity.user().is_some_and(|id| id.starts_with("dl_")) {
        return Ok(());
    }
    Err(Rejection::from(Reason::UserIdNotTrusted).noting("from.id does not start with \"dl_\""))
}

/// Where only ids of this gateway's own brokers count, an id that somebody made up is known by its missing proof, and that without a
/// memory of those that were made.
pub(super) fn is_user_issued(policy: &Policy, evidence: Evidence<'_>) -> Result<(), Rejection> {
    let activity = evidence.activity;
    let Some(brokers) = policy.direct_line.issued_by.as_deref() else {
        return Ok(());
    };
    let is_issued = |id: &str| brokers.iter().any(|broker| broker.has_issued(id));
    if !says_who_a_page_is(activity) || activity.user().is_some_and(is_issued) {
        return Ok(());
    }
    Err(Rejection::from(Reason::UserIdNotTrusted)
        .noting("from.id was not made by a broker of this gateway"))
}

/// Whether an activity speaks for the user of a web page.
pub(super) fn says_who_a_page_is(activity: &Activity) -> bool {
    let tells_of_itself =
        activity.kind() == "conversationUpdate" && activity.user() == Some(activity.conversation());
    matches!(activity.base_channel(), "directline" | "webchat") && !tells_of_itself
}
