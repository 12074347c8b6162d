//! The envelope of a Bot Framework activity: the few fields decisions need. The bytes are kept as received.

use super::strict_json::{self, Keep, Members, Names, Refusal, Shape, StrictLimits, Value};
use super::{Reason, Rejection};
use bytes::Bytes;
use url::Url;

/// An activity, parsed strictly. What was checked is what is forwarded: the bytes are never written anew.
#[derive(Clone, Debug)]
pub struct Activity {
    /// `type`.
    pub kind: String,
    /// `channelId` as sent, such as `msteams:COPILOT`.
    pub channel: String,
    /// `serviceUrl` as sent.
    pub service_url: String,
    /// `serviceUrl`, parsed.
    pub service_url_parsed: Url,
    /// `relatesTo.serviceUrl`, where it is a string.
    pub relates_to_service_url: Option<String>,
    /// `id`; nothing where it is empty.
    pub id: Option<String>,
    /// `name`.
    pub name: Option<String>,
    /// `deliveryMode`.
    pub delivery_mode: Option<String>,
    /// `conversation.id`.
    pub conversation: String,
    /// `from.id`.
    pub user: Option<String>,
    /// `recipient.role`.
    pub recipient_role: Option<String>,
    /// Tenants by the place that names them.
    pub tenants: NamedTenants,
    raw: Bytes,
}

/// Every place of an activity where a tenant can stand (AUTHENTICATION 4.1), as sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamedTenants {
    /// `channelData.tenant.id`: client-controlled on channels that are not the platform's own.
    pub channel_data: Option<String>,
    /// `conversation.tenantId`.
    pub conversation: Option<String>,
    /// `from.tenantId`.
    pub from: Option<String>,
    /// `recipient.tenantId`.
    pub recipient: Option<String>,
}

// Guarded names: AUTHENTICATION 5.7 rule 4.
static TENANT: Shape = Shape {
    keep: &[("id", Keep::Leaf)],
    names: Names::Guarded,
};
static CHANNEL_DATA: Shape = Shape {
    keep: &[("tenant", Keep::Inside(&TENANT))],
    names: Names::Guarded,
};
static CONVERSATION: Shape = Shape {
    keep: &[
        ("id", Keep::Leaf),
        ("tenantId", Keep::Leaf),
        ("conversationType", Keep::Leaf),
        ("isGroup", Keep::Leaf),
    ],
    names: Names::Guarded,
};
static PARTY: Shape = Shape {
    keep: &[
        ("id", Keep::Leaf),
        ("role", Keep::Leaf),
        ("tenantId", Keep::Leaf),
        ("aadObjectId", Keep::Leaf),
        ("agenticAppId", Keep::Leaf),
        ("agenticUserId", Keep::Leaf),
    ],
    names: Names::Guarded,
};
static RELATES_TO: Shape = Shape {
    keep: &[("serviceUrl", Keep::Leaf)],
    names: Names::Guarded,
};
pub(super) static ENVELOPE: Shape = Shape {
    keep: &[
        ("type", Keep::Leaf),
        ("channelId", Keep::Leaf),
        ("serviceUrl", Keep::Leaf),
        ("from", Keep::Inside(&PARTY)),
        ("recipient", Keep::Inside(&PARTY)),
        ("conversation", Keep::Inside(&CONVERSATION)),
        ("channelData", Keep::Inside(&CHANNEL_DATA)),
        ("deliveryMode", Keep::Leaf),
        ("name", Keep::Leaf),
        ("id", Keep::Leaf),
        ("callerId", Keep::Leaf),
        ("relatesTo", Keep::Inside(&RELATES_TO)),
        ("entities", Keep::Leaf),
        ("value", Keep::Leaf),
    ],
    names: Names::Guarded,
};

const MAX_TYPE_BYTES: usize = 128;
const MAX_CHANNEL_BYTES: usize = 128;
const MAX_URL_BYTES: usize = 2048;

impl Activity {
    /// Parses an activity strictly (AUTHENTICATION 5.7) and checks the fields decisions need (5.1).
    ///
    /// # Errors
    /// [`Reason::ActivityMalformed`], [`Reason::ActivityAmbiguous`], [`Reason::ActivityTooComplex`],
    /// [`Reason::ActivityFieldInvalid`].
    pub fn parse(raw: Bytes, limits: StrictLimits) -> Result<Self, Rejection> {
        let root = strict_json::read(&raw, &ENVELOPE, limits).map_err(refused)?;
        let kind = required("type", text("type", root.get("type"))?, MAX_TYPE_BYTES)?;
        let channel = required(
            "channelId",
            text("channelId", root.get("channelId"))?,
            MAX_CHANNEL_BYTES,
        )?;
        if channel.starts_with(':') {
            return Err(invalid("channelId names no base channel"));
        }
        let service_url = required(
            "serviceUrl",
            text("serviceUrl", root.get("serviceUrl"))?,
            MAX_URL_BYTES,
        )?;
        let service_url_parsed =
            Url::parse(&service_url).map_err(|_| invalid("serviceUrl is not an absolute URL"))?;
        let conversation = object("conversation", root.get("conversation"))?;
        let from = object("from", root.get("from"))?;
        let recipient = object("recipient", root.get("recipient"))?;
        let channel_data = object("channelData", root.get("channelData"))?;
        let data_tenant = object("channelData.tenant", member(channel_data, "tenant"))?;
        let name = text("name", root.get("name"))?;
        text("from.role", member(from, "role"))?;
        let id = text("id", root.get("id"))?.filter(|id| !id.is_empty());
        let user = text("from.id", member(from, "id"))?;
        if matches!(kind.as_str(), "message" | "invoke")
            && user.as_deref().is_none_or(str::is_empty)
        {
            return Err(invalid("from.id is missing"));
        }
        if is_invoke_like(&kind) && name.as_deref().is_none_or(str::is_empty) {
            return Err(invalid("name of an invoke is missing"));
        }
        let relates_to = object("relatesTo", root.get("relatesTo"))?;
        let relates_to_service_url =
            text("relatesTo.serviceUrl", member(relates_to, "serviceUrl"))?;
        let conversation_id = text("conversation.id", member(conversation, "id"))?;
        Ok(Self {
            conversation: required("conversation.id", conversation_id, usize::MAX)?,
            tenants: NamedTenants {
                channel_data: text("channelData.tenant.id", member(data_tenant, "id"))?,
                conversation: text("conversation.tenantId", member(conversation, "tenantId"))?,
                from: text("from.tenantId", member(from, "tenantId"))?,
                recipient: text("recipient.tenantId", member(recipient, "tenantId"))?,
            },
            recipient_role: text("recipient.role", member(recipient, "role"))?,
            delivery_mode: text("deliveryMode", root.get("deliveryMode"))?,
            kind,
            channel,
            service_url,
            service_url_parsed,
            relates_to_service_url,
            id,
            name,
            user,
            raw,
        })
    }

    /// The channel without its sub-channel: `msteams` of `msteams:COPILOT`.
    pub fn base_channel(&self) -> &str {
        self.channel.split(':').next().unwrap_or_default()
    }

    /// Whether the sender waits for an answer in the response, or some reader could think so.
    pub fn is_invoke(&self) -> bool {
        is_invoke_like(&self.kind)
    }

    /// Whether the bot's replies are expected in the response.
    pub fn expects_replies(&self) -> bool {
        self.delivery_mode.as_deref() == Some("expectReplies")
    }

    /// Whether the bot's replies are expected in the response, one by one.
    pub fn expects_stream(&self) -> bool {
        self.delivery_mode
            .as_deref()
            .is_some_and(|mode| mode.eq_ignore_ascii_case("stream"))
    }

    /// Whether its sender looks at nothing of the response but the status: replies go elsewhere. A mode that is not known is not
    /// believed to be so.
    pub fn is_one_way(&self) -> bool {
        let mode = self.delivery_mode.as_deref().unwrap_or_default();
        !self.is_invoke() && matches!(mode, "" | "normal" | "notification")
    }

    /// The bytes as received.
    pub const fn raw(&self) -> &Bytes {
        &self.raw
    }
}

/// Types compare ordinally (Activity specification A2011), and yet a bot that does not must get no denied invoke as an "Invoke".
fn is_invoke_like(kind: &str) -> bool {
    let kind = kind.trim().to_lowercase();
    // Some SDKs take `invoke/...` for an invoke too.
    kind == "invoke" || kind.starts_with("invoke/")
}

/// How a body that cannot be read is refused.
pub(super) fn refused(refusal: Refusal) -> Rejection {
    match refusal {
        Refusal::Malformed(what) => Rejection::from(Reason::ActivityMalformed).noting(what),
        Refusal::Ambiguous(what) => Rejection::from(Reason::ActivityAmbiguous).noting(what),
        Refusal::TooComplex(what) => Rejection::from(Reason::ActivityTooComplex).noting(what),
    }
}

fn invalid(what: impl Into<String>) -> Rejection {
    Rejection::from(Reason::ActivityFieldInvalid).noting(what)
}

pub(super) fn member<'v, 'a>(object: Option<&'v Members<'a>>, name: &str) -> Option<&'v Value<'a>> {
    object.and_then(|members| members.get(name))
}

/// An object, or nothing where the member is absent or null.
pub(super) fn object<'v, 'a>(
    place: &str,
    value: Option<&'v Value<'a>>,
) -> Result<Option<&'v Members<'a>>, Rejection> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(members)) => Ok(Some(members)),
        Some(Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::List(_)) => {
            Err(invalid(format!("{place} is not an object")))
        }
    }
}

/// A string without control characters, or nothing where the member is absent or null.
pub(super) fn text(place: &str, value: Option<&Value<'_>>) -> Result<Option<String>, Rejection> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Text(text)) if text.chars().any(char::is_control) => {
            Err(invalid(format!("{place} holds a control character")))
        }
        Some(Value::Text(text)) => Ok(Some(text.clone().into_owned())),
        Some(Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Object(_)) => {
            Err(invalid(format!("{place} is not a string")))
        }
    }
}

fn required(place: &str, text: Option<String>, max_bytes: usize) -> Result<String, Rejection> {
    match text {
        None => Err(invalid(format!("{place} is missing"))),
        Some(text) if text.is_empty() => Err(invalid(format!("{place} is empty"))),
        Some(text) if text.len() > max_bytes => {
            Err(invalid(format!("{place} is longer than {max_bytes} bytes")))
        }
        Some(text) => Ok(text),
    }
}

#[cfg(test)]
mod tests;
