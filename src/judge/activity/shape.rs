//! The members of an activity that decisions need, and those that nobody may imitate.

use crate::judge::strict_json::{Keep, Names, Shape};

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
/// The whole of it. Its guarded names: AUTHENTICATION 5.7 rule 4.
pub(in crate::judge) static ENVELOPE: Shape = Shape {
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
