//! A skill's call to the Connector API of the bot that called it: `/v3/conversations/...` below the bot's callback path.
//!
//! The paths and methods are those of the Bot Framework's Connector REST API v3, which a parent bot serves to its skills
//! (`ChannelServiceController` and `SkillHandler` of the SDKs). What the bodies mean is the bot's business; that all readers
//! read them alike is ours.

use super::activity::{
    DATA_TENANT, DATA_TENANT_ID, ENVELOPE, RELATES_TO_SERVICE_URL, conversation, member, object,
    party, refused, root, text,
};
use super::policy;
use super::strict_json::{self, StrictLimits};
use super::{Reason, Rejection, TokenKind};
use bytes::Bytes;
use http::Method;

/// What follows a callback path.
pub const API: &str = "/v3/conversations";

/// Where on a bot a request is addressed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The messaging endpoint.
    Messages,
    /// The Connector API that skills call back.
    Callback,
}

impl Place {
    /// Whether tokens of a kind have business there: only skills call back.
    ///
    /// # Errors
    /// [`Reason::TokenKindNotAccepted`].
    pub fn check_kind(self, kind: TokenKind) -> Result<(), Rejection> {
        match (self, kind) {
            (Self::Messages, _) | (Self::Callback, TokenKind::Skill) => Ok(()),
            (Self::Callback, TokenKind::Channel | TokenKind::Emulator | TokenKind::Agent) => Err(
                Rejection::from(Reason::TokenKindNotAccepted).noting(format!(
                    "a token of kind {:?} on a callback path; only skills call back",
                    kind.word()
                )),
            ),
        }
    }
}

/// A callback, read strictly. Its bytes are kept as received.
#[derive(Clone, Debug)]
pub struct Callback {
    /// GET, POST, PUT or DELETE.
    pub method: Method,
    /// The path, as received.
    pub path: String,
    /// The conversation that the path names, decoded: however it is spelled, it is one.
    pub conversation: Option<String>,
    /// `type` of the body, where it is a string.
    pub kind: Option<String>,
    /// `channelId` of the body, where it is a string.
    pub channel: Option<String>,
    /// `relatesTo.serviceUrl` of the body, which a bot may continue a conversation at.
    pub relates_to_service_url: Option<String>,
    /// The tenants that the body names where an activity can name one that counts (AUTHENTICATION 4.6), each with its place.
    pub tenants: Vec<(&'static str, String)>,
    raw: Bytes,
}

impl Callback {
    /// Reads the body of a callback; one without a body is a GET or DELETE.
    ///
    /// # Errors
    /// [`Reason::RequestMalformed`], [`Reason::ActivityMalformed`], [`Reason::ActivityAmbiguous`],
    /// [`Reason::ActivityTooComplex`], [`Reason::ActivityFieldInvalid`].
    pub fn parse(
        method: &Method,
        path: &str,
        raw: Bytes,
        limits: StrictLimits,
    ) -> Result<Self, Rejection> {
        let mut callback = Self {
            method: method.clone(),
            path: path.to_owned(),
            conversation: conversation_of(path),
            kind: None,
            channel: None,
            relates_to_service_url: None,
            tenants: Vec::new(),
            raw,
        };
        if !has_body(method) {
            if !callback.raw.is_empty() {
                return Err(Rejection::from(Reason::RequestMalformed)
                    .noting(format!("{method} with a body")));
            }
            return Ok(callback);
        }
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let raw = callback.raw.clone();
        let read = strict_json::read(&raw, &ENVELOPE, limits).map_err(refused)?;
        let inside = Some(read.root());
        callback.kind = owned(text("type", member(inside, root::TYPE))?);
        callback.channel = owned(text("channelId", member(inside, root::CHANNEL_ID))?);
        let relates_to = object("relatesTo", inside, root::RELATES_TO)?;
        let url = text(
            "relatesTo.serviceUrl",
            member(relates_to, RELATES_TO_SERVICE_URL),
        )?;
        callback.relates_to_service_url = owned(url);
        let conversation = object("conversation", inside, root::CONVERSATION)?;
        let from = object("from", inside, root::FROM)?;
        let recipient = object("recipient", inside, root::RECIPIENT)?;
        let channel_data = object("channelData", inside, root::CHANNEL_DATA)?;
        let data_tenant = object("channelData.tenant", channel_data, DATA_TENANT)?;
        let base_channel = callback.channel.as_deref().unwrap_or_default();
        let base_channel = base_channel.split(':').next().unwrap_or_default();
        let data_tenant = data_tenant.filter(|_| policy::is_platform(base_channel));
        for (place, parent, number) in [
            ("channelData.tenant.id", data_tenant, DATA_TENANT_ID),
            (
                "conversation.tenantId",
                conversation,
                conversation::TENANT_ID,
            ),
            ("from.tenantId", from, party::TENANT_ID),
            ("recipient.tenantId", recipient, party::TENANT_ID),
        ] {
            let named = owned(text(place, member(parent, number))?);
            callback.tenants.extend(named.map(|text| (place, text)));
        }
        Ok(callback)
    }

    /// The body as received.
    pub const fn raw(&self) -> &Bytes {
        &self.raw
    }
}

/// Whether a method of the API carries a body.
pub(super) fn has_body(method: &Method) -> bool {
    *method == Method::POST || *method == Method::PUT
}

/// Splits a path into what precedes the API and the rest; nothing where it is no path of the API, or one that a server behind
/// could resolve to another (dot segments, encoded slashes, empty segments) or decode otherwise than the next.
pub(super) fn split(path: &str) -> Option<(&str, &str)> {
    let at = path.find(API)?;
    let (prefix, rest) = path.split_at(at);
    let mut below = rest.strip_prefix(API)?.split('/');
    let is_api = below.next() == Some("");
    (is_api && below.all(|segment| decoded(segment).is_some())).then_some((prefix, rest))
}

/// What every server decodes a segment to; nothing where they differ. What does not decode to text some leave as it is, some
/// replace and some refuse; what decodes to `/`, `\`, `%` or a control character is another path to whoever decodes first.
fn decoded(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        let byte = match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                u8::try_from(high.checked_mul(16)?.checked_add(low)?).ok()?
            }
            b';' => return None,
            other => other,
        };
        let is_plain = !byte.is_ascii_control() && !matches!(byte, b'/' | b'\\' | b'%');
        bytes.push(is_plain.then_some(byte)?);
    }
    let text = String::from_utf8(bytes).ok()?;
    // Some servers cut parameters off a segment (`..;x`), and blanks at its end.
    let name = text.split(';').next().unwrap_or_default().trim();
    (!matches!(name, "" | "." | "..")).then_some(text)
}

fn conversation_of(path: &str) -> Option<String> {
    let (_, rest) = split(path)?;
    decoded(rest.strip_prefix(API)?.split('/').nth(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: StrictLimits = StrictLimits {
        depth: 16,
        members: 100,
    };

    fn parse(method: &Method, body: &str) -> Result<Callback, Reason> {
        let path = "/api/skills/v3/conversations/a%3A1/activities/7";
        Callback::parse(method, path, Bytes::from(body.to_owned()), LIMITS)
            .map_err(|rejection| rejection.reason())
    }

    #[test]
    fn paths_of_the_api_are_told_from_those_that_only_look_so() {
        for (path, prefix) in [
            ("/api/skills/v3/conversations", "/api/skills"),
            (
                "/api/skills/v3/conversations/a%3A1/activities",
                "/api/skills",
            ),
            ("/v3/conversations/19:x@thread.tacv2", ""),
        ] {
            assert_eq!(
                split(path).map(|(prefix, _)| prefix),
                Some(prefix),
                "{path}"
            );
        }
        for path in [
            "/api/messages",
            "/api/skills/v3/conversationsx",
            "/api/skills/v3/conversations/",
            "/api/skills/v3/conversations/../../admin",
            "/api/skills/v3/conversations/%2e%2E/admin",
            "/api/skills/v3/conversations/a%2Fb",
            "/api/skills/v3/conversations/a%5cb",
            "/api/skills/v3/conversations/a%252fb",
            "/api/skills/v3/conversations//a",
            "/api/skills/v3/conversations/a;x=1/activities",
            "/api/skills/V3/conversations/a",
            "/api/skills/v3/conversations%2Fa",
            "/api/skills/v3/conversations/a/",
        ] {
            assert_eq!(split(path), None, "{path}");
        }
    }

    #[test]
    fn escapes_that_servers_decode_differently_are_no_path_of_the_api() {
        for tail in [
            "%",
            "%2",
            "%zz",
            "%+5",
            "%u002e%u002e",
            "%%32%65",
            "%c0%ae%c0%ae",
            "%e9",
            "%ed%a0%80",
            "%0d%0a",
            "%09",
            "%7f",
            "..%3b",
            "..%3bx=1",
            ".%3B",
            "..%20",
            "%20",
            "%3bx",
            "%C2%A0",
        ] {
            let path = format!("/api/skills/v3/conversations/{tail}/activities");
            assert_eq!(split(&path), None, "{path}");
        }
        for tail in [
            "19%3Ax%40thread.tacv2%3Bmessageid%3D17-skill-msteams-skillconvo",
            "%E4%BD%A0%E5%A5%BD",
            "a%7C0000001",
            "...",
            "..x",
        ] {
            let path = format!("/api/skills/v3/conversations/{tail}/activities");
            assert!(split(&path).is_some(), "{path}");
        }
    }

    #[test]
    fn a_conversation_is_the_same_one_in_every_spelling() {
        for spelling in ["a:1", "a%3A1", "a%3a1", "%61%3A%31"] {
            let path = format!("/api/skills/v3/conversations/{spelling}/activities");
            let callback = Callback::parse(&Method::GET, &path, Bytes::new(), LIMITS).unwrap();
            assert_eq!(callback.conversation.as_deref(), Some("a:1"), "{path}");
        }
    }

    #[test]
    fn bodies_are_read_in_one_way_or_refused() {
        let activity = r#"{"type":"message","channelId":"msteams","relatesTo":{"serviceUrl":"https://a.example"}}"#;
        let callback = parse(&Method::PUT, activity).unwrap();
        assert_eq!(callback.conversation.as_deref(), Some("a:1"));
        assert_eq!(callback.kind.as_deref(), Some("message"));
        assert_eq!(
            callback.relates_to_service_url.as_deref(),
            Some("https://a.example")
        );
        assert_eq!(callback.raw(), activity);
        assert!(parse(&Method::POST, r#"{"activities":[]}"#).is_ok());
        assert!(parse(&Method::GET, "").is_ok() && parse(&Method::DELETE, "").is_ok());
        for (method, body, reason) in [
            (&Method::DELETE, "{}", Reason::RequestMalformed),
            (&Method::GET, "x", Reason::RequestMalformed),
            (&Method::POST, "", Reason::ActivityMalformed),
            (&Method::POST, "[]", Reason::ActivityMalformed),
            (&Method::PUT, r#"{"type":1}"#, Reason::ActivityFieldInvalid),
            (
                &Method::POST,
                r#"{"serviceUrl":"a","service_url":"b"}"#,
                Reason::ActivityAmbiguous,
            ),
        ] {
            assert_eq!(parse(method, body).unwrap_err(), reason, "{body}");
        }
    }

    #[test]
    fn only_skills_callback() {
        assert!(Place::Callback.check_kind(TokenKind::Skill).is_ok());
        for kind in [TokenKind::Channel, TokenKind::Emulator, TokenKind::Agent] {
            let refused = Place::Callback.check_kind(kind).unwrap_err();
            assert_eq!(refused.reason(), Reason::TokenKindNotAccepted);
            assert!(Place::Messages.check_kind(kind).is_ok());
        }
    }
}
