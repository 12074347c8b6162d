//! The members of an activity that decisions need, and those that nobody may imitate.

use crate::judge::strict_json::{Keep, Shape};

static TENANT: Shape = Shape::guarded(&[("id", Keep::Leaf)]);
static CHANNEL_DATA: Shape = Shape::guarded(&[("tenant", Keep::Inside(&TENANT))]);
static CONVERSATION: Shape = Shape::guarded(&[
    ("id", Keep::Leaf),
    ("tenantId", Keep::Leaf),
    ("conversationType", Keep::Name),
    ("isGroup", Keep::Name),
]);
static PARTY: Shape = Shape::guarded(&[
    ("id", Keep::Leaf),
    ("role", Keep::Leaf),
    ("tenantId", Keep::Leaf),
    ("aadObjectId", Keep::Name),
    ("agenticAppId", Keep::Name),
    ("agenticUserId", Keep::Name),
]);
static RELATES_TO: Shape = Shape::guarded(&[("serviceUrl", Keep::Leaf)]);
/// The whole of it. Its guarded names: AUTHENTICATION 5.7 rule 4.
pub(in crate::judge) static ENVELOPE: Shape = Shape::guarded(&[
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
    ("entities", Keep::Name),
    ("value", Keep::Name),
]);
