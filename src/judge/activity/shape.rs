//! The members of an activity that decisions need, and those that nobody may imitate.

use crate::judge::strict_json::{Keep, Shape, number};

type Keeps = &'static [(&'static str, Keep)];

const KEEP_TENANT: Keeps = &[("id", Keep::Leaf)];
static TENANT: Shape = Shape::guarded(KEEP_TENANT);
const KEEP_CHANNEL_DATA: Keeps = &[("tenant", Keep::Inside(&TENANT))];
static CHANNEL_DATA: Shape = Shape::guarded(KEEP_CHANNEL_DATA);
const KEEP_CONVERSATION: Keeps = &[
    ("id", Keep::Leaf),
    ("tenantId", Keep::Leaf),
    ("conversationType", Keep::Name),
    ("isGroup", Keep::Name),
];
static CONVERSATION: Shape = Shape::guarded(KEEP_CONVERSATION);
const KEEP_PARTY: Keeps = &[
    ("id", Keep::Leaf),
    ("role", Keep::Leaf),
    ("tenantId", Keep::Leaf),
    ("aadObjectId", Keep::Name),
    ("agenticAppId", Keep::Name),
    ("agenticUserId", Keep::Name),
];
static PARTY: Shape = Shape::guarded(KEEP_PARTY);
const KEEP_RELATES_TO: Keeps = &[("serviceUrl", Keep::Leaf)];
static RELATES_TO: Shape = Shape::guarded(KEEP_RELATES_TO);
/// Of entities nothing is looked at, but no reader is to be given instructions in them (AUTHENTICATION 5.7 rule 5).
static ENTITY: Shape = Shape::guarded(&[]);
const KEEP_ENVELOPE: Keeps = &[
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
    ("callerId", Keep::Name),
    ("relatesTo", Keep::Inside(&RELATES_TO)),
    ("entities", Keep::Each(&ENTITY)),
    ("value", Keep::Name),
];
/// The whole of it. Its guarded names: AUTHENTICATION 5.7 rule 4.
pub(in crate::judge) static ENVELOPE: Shape = Shape::guarded(KEEP_ENVELOPE);

/// The members of the whole.
pub(in crate::judge) mod root {
    use super::{KEEP_ENVELOPE as KEEP, number};

    pub(in crate::judge) const TYPE: usize = number(KEEP, "type");
    pub(in crate::judge) const CHANNEL_ID: usize = number(KEEP, "channelId");
    pub(in crate::judge) const RELATES_TO: usize = number(KEEP, "relatesTo");
    pub(in crate::judge) const SERVICE_URL: usize = number(KEEP, "serviceUrl");
    pub(in crate::judge) const FROM: usize = number(KEEP, "from");
    pub(in crate::judge) const RECIPIENT: usize = number(KEEP, "recipient");
    pub(in crate::judge) const CONVERSATION: usize = number(KEEP, "conversation");
    pub(in crate::judge) const CHANNEL_DATA: usize = number(KEEP, "channelData");
    pub(in crate::judge) const DELIVERY_MODE: usize = number(KEEP, "deliveryMode");
    pub(in crate::judge) const NAME: usize = number(KEEP, "name");
    pub(in crate::judge) const ID: usize = number(KEEP, "id");
}

/// The members of `from` and `recipient`.
pub(in crate::judge) mod party {
    use super::{KEEP_PARTY as KEEP, number};

    pub(in crate::judge) const ID: usize = number(KEEP, "id");
    pub(in crate::judge) const ROLE: usize = number(KEEP, "role");
    pub(in crate::judge) const TENANT_ID: usize = number(KEEP, "tenantId");
}

/// The members of `conversation`.
pub(in crate::judge) mod conversation {
    use super::{KEEP_CONVERSATION as KEEP, number};

    pub(in crate::judge) const ID: usize = number(KEEP, "id");
    pub(in crate::judge) const TENANT_ID: usize = number(KEEP, "tenantId");
}

/// The member of `channelData`.
pub(in crate::judge) const DATA_TENANT: usize = number(KEEP_CHANNEL_DATA, "tenant");
/// The member of `channelData.tenant`.
pub(in crate::judge) const DATA_TENANT_ID: usize = number(KEEP_TENANT, "id");
/// The member of `relatesTo`.
pub(in crate::judge) const RELATES_TO_SERVICE_URL: usize = number(KEEP_RELATES_TO, "serviceUrl");
