//! Whether a Direct Line user id can be believed.

use super::{Evidence, Policy};
use crate::judge::{Activity, Reason, Rejection};
use serde_json::{Map, Value};

/// With enhanced authentication on, the user id comes from the Direct Line token and starts with `dl_`
/// (Microsoft Learn, "Direct Line enhanced authentication"); any other was chosen by the client.
pub(super) fn is_user_trusted(policy: &Policy, evidence: Evidence<'_>) -> Result<(), Rejection> {
    let rule = &policy.direct_line;
    if !rule.enhanced_authentication || !rule.require_dl_user_id {
        return Ok(());
    }
    let is_trusted = |id: &str| id.starts_with("dl_");
    names_only(evidence.activity, is_trusted, "does not start with \"dl_\"")
}

/// Where only ids of this gateway's own brokers count, an id that somebody made up is known by its missing proof, and that without a
/// memory of those that were made.
pub(super) fn is_user_issued(policy: &Policy, evidence: Evidence<'_>) -> Result<(), Rejection> {
    let Some(brokers) = policy.direct_line.issued_by.as_deref() else {
        return Ok(());
    };
    let is_issued = |id: &str| brokers.iter().any(|broker| broker.has_issued(id));
    names_only(
        evidence.activity,
        is_issued,
        "was not made by a broker of this gateway",
    )
}

/// Whether an activity speaks of users of web pages, as those of other channels do not.
pub(super) fn is_of_a_page(activity: &Activity) -> bool {
    matches!(activity.base_channel(), "directline" | "webchat")
}

/// Whether Direct Line itself tells, in the conversation's name, who came and went: `from.id` is `conversation.id` then
/// (BotFramework-WebChat pull request 1608). No user's words come with that.
pub(super) fn is_of_the_conversation(activity: &Activity) -> bool {
    activity.kind() == "conversationUpdate" && activity.user() == Some(activity.conversation())
}

fn names_only(
    activity: &Activity,
    is_good: impl Fn(&str) -> bool,
    flaw: &str,
) -> Result<(), Rejection> {
    if !is_of_a_page(activity) || activity.user().is_some_and(&is_good) {
        return Ok(());
    }
    let refused = |what: &str| Err(Rejection::from(Reason::UserIdNotTrusted).noting(what));
    if !is_of_the_conversation(activity) {
        return refused(&format!("from.id {flaw}"));
    }
    match Told::of(activity) {
        None => refused("from.id is conversation.id, and more is said than who came and went"),
        Some(told)
            if told
                .members
                .iter()
                .all(|id| told.is_nobody(id) || is_good(id)) =>
        {
            Ok(())
        }
        Some(_) => refused(&format!("the id of a member who came or went {flaw}")),
    }
}

/// What an activity tells in the name of its conversation.
struct Told<'a> {
    conversation: &'a str,
    bot: String,
    members: Vec<String>,
}

impl<'a> Told<'a> {
    /// Whether an id is no user's: the bot's, or the conversation's own.
    fn is_nobody(&self, id: &str) -> bool {
        id == self.bot || id == self.conversation
    }

    /// Reads it; nothing where it is of another form, or tells more. It is seldom, and so read by itself; the body was read strictly,
    /// so that it has one reading.
    fn of(activity: &'a Activity) -> Option<Self> {
        let body: Map<String, Value> = serde_json::from_slice(activity.raw()).ok()?;
        let mut told = Self {
            conversation: activity.conversation(),
            bot: String::new(),
            members: vec![],
        };
        for (name, value) in &body {
            if is_nothing(value) || SAYS_NOTHING.contains(&name.as_str()) {
                continue;
            }
            match name.as_str() {
                "membersAdded" | "membersRemoved" => {
                    for member in value.as_array()? {
                        told.members.push(id_alone(member, PARTY)?);
                    }
                }
                "recipient" => {
                    told.bot = id_alone(value, PARTY)?;
                    // Nobody makes a user the bot.
                    if told.bot.starts_with("dl_") {
                        return None;
                    }
                }
                "from" => {
                    id_alone(value, PARTY)?;
                }
                "conversation" => {
                    id_alone(value, CONVERSATION)?;
                }
                _ => return None,
            }
        }
        Some(told)
    }
}

/// Members of the whole that say nothing of anybody.
const SAYS_NOTHING: &[&str] = &[
    "type",
    "id",
    "timestamp",
    "localTimestamp",
    "localTimezone",
    "channelId",
    "serviceUrl",
    "locale",
    "textFormat",
    "historyDisclosed",
];
/// What may be said of bot and users.
const PARTY: &[&str] = &["id", "name", "role"];
/// What may be said of the conversation. Its tenant is asked about by the rule for tenants.
const CONVERSATION: &[&str] = &["id", "name", "isGroup", "conversationType", "tenantId"];

/// The id of what says nothing but these of itself.
fn id_alone(one: &Value, names: &[&str]) -> Option<String> {
    let mut said = one.as_object()?.iter().filter(|(_, it)| !is_nothing(it));
    if !said.all(|(name, _)| names.contains(&name.as_str())) {
        return None;
    }
    one.get("id")?.as_str().map(str::to_owned)
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}
