//! The envelope of a Bot Framework activity: the few fields decisions need. The bytes are kept as received.

mod fields;
mod shape;
mod texts;

pub(super) use fields::{member, object, refused, text};
pub(super) use shape::{
    DATA_TENANT, DATA_TENANT_ID, ENVELOPE, RELATES_TO_SERVICE_URL, conversation, party, root,
};

use super::plain_url::{Plain, PlainUrl};
use super::strict_json::{self, StrictLimits};
use super::{Rejection, TenantId, policy};
use bytes::Bytes;
use fields::{invalid, required};
use std::borrow::Cow;
use texts::{Span, Texts};
use url::Url;

/// An activity, parsed strictly. What was checked is what is forwarded: the bytes are never written anew.
#[derive(Clone, Debug)]
pub struct Activity {
    texts: Texts,
    kind: Span,
    channel: Span,
    base_channel: Span,
    service_url: Span,
    service_url_host: Option<Span>,
    plain_service_url: Option<PlainUrl>,
    relates_to_service_url: Option<Span>,
    id: Option<Span>,
    name: Option<Span>,
    delivery_mode: Option<Span>,
    conversation: Span,
    user: Option<Span>,
    recipient_role: Option<Span>,
    tenant_in_service_url: Option<KeptTenant>,
    tenant_in_channel_data: Option<KeptTenant>,
    tenant_of_conversation: Option<KeptTenant>,
    tenant_of_sender: Option<KeptTenant>,
    tenant_of_recipient: Option<KeptTenant>,
    is_invoke: bool,
    is_of_the_platform: bool,
    tenant_in_body: Option<Option<TenantId>>,
    raw: Bytes,
}

/// A tenant as some place of an activity names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedTenant<'a> {
    /// As sent.
    pub text: &'a str,
    /// What it says, where that is a tenant id.
    pub id: Option<TenantId>,
}

impl<'a> NamedTenant<'a> {
    /// Reads what some place says.
    pub(super) fn read(text: &'a str) -> Self {
        let id = TenantId::parse(text);
        Self { text, id }
    }

    /// The last path segment of a service URL, where it is a tenant id (AUTHENTICATION 4.5).
    pub(super) fn in_service_url(url: &Plain<'a>) -> Option<Self> {
        url.last_segment(TenantId::LENGTH)
            .map(Self::read)
            .filter(|named| named.id.is_some())
    }
}

/// Every place of an activity where a tenant can stand (AUTHENTICATION 4.1), as sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NamedTenants<'a> {
    /// `channelData.tenant.id`: client-controlled on channels that are not the platform's own.
    pub channel_data: Option<NamedTenant<'a>>,
    /// `conversation.tenantId`.
    pub conversation: Option<NamedTenant<'a>>,
    /// `from.tenantId`.
    pub from: Option<NamedTenant<'a>>,
    /// `recipient.tenantId`.
    pub recipient: Option<NamedTenant<'a>>,
}

type KeptTenant = (Span, Option<TenantId>);

const MAX_TYPE_BYTES: usize = 128;
const MAX_CHANNEL_BYTES: usize = 128;
const MAX_URL_BYTES: usize = 2048;

impl Activity {
    /// Parses an activity strictly (AUTHENTICATION 5.7) and checks the fields decisions need (5.1).
    ///
    /// # Errors
    /// [`Reason::ActivityMalformed`](super::Reason::ActivityMalformed),
    /// [`Reason::ActivityAmbiguous`](super::Reason::ActivityAmbiguous),
    /// [`Reason::ActivityTooComplex`](super::Reason::ActivityTooComplex),
    /// [`Reason::ActivityFieldInvalid`](super::Reason::ActivityFieldInvalid).
    pub fn parse(raw: Bytes, limits: StrictLimits) -> Result<Self, Rejection> {
        let read = strict_json::read(&raw, &ENVELOPE, limits).map_err(refused)?;
        let root = read.root();
        let inside = Some(root);
        let kind = required("type", text("type", root.get(root::TYPE))?, MAX_TYPE_BYTES)?;
        let channel = required(
            "channelId",
            text("channelId", root.get(root::CHANNEL_ID))?,
            MAX_CHANNEL_BYTES,
        )?;
        let base_channel = channel.split(':').next().unwrap_or_default();
        if base_channel.is_empty() {
            return Err(invalid("channelId names no base channel"));
        }
        let service_url = required(
            "serviceUrl",
            text("serviceUrl", root.get(root::SERVICE_URL))?,
            MAX_URL_BYTES,
        )?;
        let plain_service_url = PlainUrl::read(service_url);
        let service_url_host = host_of(service_url, plain_service_url)?;
        let conversation = object("conversation", inside, root::CONVERSATION)?;
        let from = object("from", inside, root::FROM)?;
        let recipient = object("recipient", inside, root::RECIPIENT)?;
        let channel_data = object("channelData", inside, root::CHANNEL_DATA)?;
        let data_tenant = object("channelData.tenant", channel_data, DATA_TENANT)?;
        let name = text("name", root.get(root::NAME))?;
        text("from.role", member(from, party::ROLE))?;
        let id = text("id", root.get(root::ID))?.filter(|id| !id.is_empty());
        let user = text("from.id", member(from, party::ID))?;
        if matches!(kind, "message" | "invoke") && user.is_none_or(str::is_empty) {
            return Err(invalid("from.id is missing"));
        }
        let is_invoke = is_invoke_like(kind);
        if is_invoke && name.is_none_or(str::is_empty) {
            return Err(invalid("name of an invoke is missing"));
        }
        let relates_to = object("relatesTo", inside, root::RELATES_TO)?;
        let relates_to_service_url = text(
            "relatesTo.serviceUrl",
            member(relates_to, RELATES_TO_SERVICE_URL),
        )?;
        let conversation_id = text("conversation.id", member(conversation, conversation::ID))?;
        let conversation_id = required("conversation.id", conversation_id, usize::MAX)?;
        let in_channel_data = text("channelData.tenant.id", member(data_tenant, DATA_TENANT_ID))?;
        let of_conversation = text(
            "conversation.tenantId",
            member(conversation, conversation::TENANT_ID),
        )?;
        let of_sender = text("from.tenantId", member(from, party::TENANT_ID))?;
        let of_recipient = text("recipient.tenantId", member(recipient, party::TENANT_ID))?;
        let recipient_role = text("recipient.role", member(recipient, party::ROLE))?;
        let delivery_mode = text("deliveryMode", root.get(root::DELIVERY_MODE))?;
        let in_service_url =
            plain_service_url.and_then(|plain| NamedTenant::in_service_url(&plain.of(service_url)));
        let is_of_the_platform = policy::is_platform(base_channel);
        let [in_channel_data, of_conversation, of_sender, of_recipient] =
            [in_channel_data, of_conversation, of_sender, of_recipient]
                .map(|text| text.map(NamedTenant::read));
        let tenant_in_body = first_of([
            in_channel_data.filter(|_| is_of_the_platform),
            of_conversation,
            of_sender,
            of_recipient,
        ]);

        let mut texts = Texts::with_room_for(raw.len());
        Ok(Self {
            kind: texts.keep(kind),
            channel: texts.keep(channel),
            base_channel: texts.keep(base_channel),
            service_url: texts.keep(service_url),
            service_url_host: service_url_host.map(|host| texts.keep(&host)),
            plain_service_url,
            relates_to_service_url: texts.keep_some(relates_to_service_url),
            id: texts.keep_some(id),
            name: texts.keep_some(name),
            delivery_mode: texts.keep_some(delivery_mode),
            conversation: texts.keep(conversation_id),
            user: texts.keep_some(user),
            recipient_role: texts.keep_some(recipient_role),
            tenant_in_service_url: texts.keep_tenant(in_service_url),
            tenant_in_channel_data: texts.keep_tenant(in_channel_data),
            tenant_of_conversation: texts.keep_tenant(of_conversation),
            tenant_of_sender: texts.keep_tenant(of_sender),
            tenant_of_recipient: texts.keep_tenant(of_recipient),
            is_invoke,
            is_of_the_platform,
            tenant_in_body,
            texts,
            raw,
        })
    }

    /// `type`.
    pub fn kind(&self) -> &str {
        self.texts.at(self.kind)
    }

    /// `channelId` as sent, such as `msteams:COPILOT`.
    pub fn channel(&self) -> &str {
        self.texts.at(self.channel)
    }

    /// The channel without its sub-channel: `msteams` of `msteams:COPILOT`.
    pub fn base_channel(&self) -> &str {
        self.texts.at(self.base_channel)
    }

    /// `serviceUrl` as sent.
    pub fn service_url(&self) -> &str {
        self.texts.at(self.service_url)
    }

    /// The host of `serviceUrl`, as the `url` crate (WHATWG) reads it.
    pub fn service_url_host(&self) -> Option<&str> {
        self.service_url_host.map(|host| self.texts.at(host))
    }

    /// Where the parts of `serviceUrl` stand, where all parsers agree about it.
    pub(super) const fn plain_service_url(&self) -> Option<PlainUrl> {
        self.plain_service_url
    }

    /// `relatesTo.serviceUrl`, where it is a string.
    pub fn relates_to_service_url(&self) -> Option<&str> {
        self.relates_to_service_url.map(|url| self.texts.at(url))
    }

    /// `id`; nothing where it is empty.
    pub fn id(&self) -> Option<&str> {
        self.id.map(|id| self.texts.at(id))
    }

    /// `name`.
    pub fn name(&self) -> Option<&str> {
        self.name.map(|name| self.texts.at(name))
    }

    /// `deliveryMode`.
    pub fn delivery_mode(&self) -> Option<&str> {
        self.delivery_mode.map(|mode| self.texts.at(mode))
    }

    /// `conversation.id`.
    pub fn conversation(&self) -> &str {
        self.texts.at(self.conversation)
    }

    /// `from.id`.
    pub fn user(&self) -> Option<&str> {
        self.user.map(|user| self.texts.at(user))
    }

    /// `recipient.role`.
    pub fn recipient_role(&self) -> Option<&str> {
        self.recipient_role.map(|role| self.texts.at(role))
    }

    /// Tenants by the place that names them.
    pub fn tenants(&self) -> NamedTenants<'_> {
        NamedTenants {
            channel_data: self.tenant(self.tenant_in_channel_data),
            conversation: self.tenant(self.tenant_of_conversation),
            from: self.tenant(self.tenant_of_sender),
            recipient: self.tenant(self.tenant_of_recipient),
        }
    }

    /// The last path segment of `serviceUrl`, where that is plain and the segment a tenant id (AUTHENTICATION 4.5).
    pub(super) fn tenant_in_service_url(&self) -> Option<NamedTenant<'_>> {
        self.tenant(self.tenant_in_service_url)
    }

    /// Whether the channel is one of the platform's own, which writes `channelData.tenant` itself.
    pub(super) const fn is_of_the_platform(&self) -> bool {
        self.is_of_the_platform
    }

    /// The first tenant that the body names at a place that counts, if any; nothing at all where one of them is no tenant id.
    #[expect(clippy::option_option, reason = "malformed, none, or one")]
    pub(super) const fn tenant_in_body(&self) -> Option<Option<TenantId>> {
        self.tenant_in_body
    }

    fn tenant(&self, kept: Option<KeptTenant>) -> Option<NamedTenant<'_>> {
        kept.map(|(text, id)| NamedTenant {
            text: self.texts.at(text),
            id,
        })
    }

    /// Whether the sender waits for an answer in the response, or some reader could think so.
    pub const fn is_invoke(&self) -> bool {
        self.is_invoke
    }

    /// Whether the bot's replies are expected in the response.
    pub fn expects_replies(&self) -> bool {
        self.delivery_mode() == Some("expectReplies")
    }

    /// Whether the bot's replies are expected in the response, one by one.
    pub fn expects_stream(&self) -> bool {
        self.delivery_mode()
            .is_some_and(|mode| mode.eq_ignore_ascii_case("stream"))
    }

    /// Whether its sender looks at nothing of the response but the status: replies go elsewhere. A mode that is not known is not
    /// believed to be so.
    pub fn is_one_way(&self) -> bool {
        let mode = self.delivery_mode().unwrap_or_default();
        !self.is_invoke() && matches!(mode, "" | "normal" | "notification")
    }

    /// The bytes as received.
    pub const fn raw(&self) -> &Bytes {
        &self.raw
    }
}

/// Types compare ordinally (Activity specification A2011), and yet a bot that does not must get no denied invoke as an "Invoke".
fn is_invoke_like(kind: &str) -> bool {
    let kind = kind.trim();
    // Beyond ASCII there are letters whose lower case is ASCII.
    let kind = if kind.is_ascii() {
        Cow::Borrowed(kind)
    } else {
        Cow::Owned(kind.to_lowercase())
    };
    let (word, rest) = kind.split_at_checked("invoke".len()).unwrap_or_default();
    // Some SDKs take `invoke/...` for an invoke too.
    word.eq_ignore_ascii_case("invoke") && (rest.is_empty() || rest.starts_with('/'))
}

/// The first of several tenants, where all that are named are tenant ids.
#[expect(clippy::option_option, reason = "malformed, none, or one")]
fn first_of(named: [Option<NamedTenant<'_>>; 4]) -> Option<Option<TenantId>> {
    let ids = || named.iter().flatten().map(|named| named.id);
    let are_ids = ids().all(|id| id.is_some());
    are_ids.then(|| ids().next().flatten())
}

/// The host of an absolute URL. The `url` crate is asked where it could differ from what we read.
fn host_of(url: &str, plain: Option<PlainUrl>) -> Result<Option<Cow<'_, str>>, Rejection> {
    if let Some(host) = plain.and_then(|plain| plain.usual_host(url)) {
        return Ok(Some(Cow::Borrowed(host)));
    }
    let parsed = Url::parse(url).map_err(|_| invalid("serviceUrl is not an absolute URL"))?;
    Ok(parsed.host_str().map(|host| Cow::Owned(host.to_owned())))
}

#[cfg(test)]
mod tests;
