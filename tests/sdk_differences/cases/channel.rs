//! Which channel an activity comes from, and whether its key may speak for it.

use super::Right::{Accept, Refuse};
use super::{Case, Class, case};
use crate::keys::Keys;
use crate::post::Post;
use crate::stage::microsoft::{APP_ID, TENANT};
use botgate::judge::Reason;
use serde_json::json;

pub(super) fn cases(keys: &Keys) -> Vec<Case> {
    let class = Class::Channel;
    let teams = || Post::teams(keys);
    let not_endorsed = Refuse(Reason::ChannelNotEndorsed);
    let invalid = Refuse(Reason::ActivityFieldInvalid);
    let of = |name: &str, channel: &str| {
        case(
            class,
            name,
            teams().with("/channelId", channel),
            not_endorsed,
        )
    };
    vec![
        case(
            class,
            "Teams, group chat",
            teams()
                .with("/conversation/conversationType", "groupChat")
                .with("/conversation/isGroup", true),
            Accept,
        ),
        case(
            class,
            "Teams, channel",
            teams()
                .with("/conversation/conversationType", "channel")
                .with("/conversation/isGroup", true)
                .with("/channelData/team", json!({"id": "19:t@thread.tacv2"})),
            Accept,
        ),
        case(
            class,
            "Teams, a bot is added to a team",
            teams()
                .with("/type", "conversationUpdate")
                .lacking("/text")
                .lacking("/conversation/tenantId")
                .with("/membersAdded", json!([{"id": format!("28:{APP_ID}")}])),
            Accept,
        ),
        case(
            class,
            "Teams, an invoke",
            teams()
                .with("/type", "invoke")
                .lacking("/text")
                .with("/name", "made-up/invoke")
                .with("/value", json!({"a": [1, null]})),
            Accept,
        ),
        case(
            class,
            "Teams, the replies expected in the answer",
            teams().with("/deliveryMode", "expectReplies"),
            Accept,
        ),
        case(
            class,
            "Teams, from Copilot",
            teams().with(
                "/entities",
                json!([{"type": "ProductInfo", "id": "COPILOT"}]),
            ),
            Accept,
        ),
        case(class, "Direct Line", Post::direct_line(keys), Accept),
        case(
            class,
            "Web Chat",
            Post::direct_line(keys)
                .with("/channelId", "webchat")
                .with("/serviceUrl", "https://webchat.botframework.com/")
                .claim("serviceurl", "https://webchat.botframework.com/"),
            Accept,
        ),
        case(
            class,
            "Direct Line by a key for it alone",
            Post::direct_line(keys).signed_by(&keys.direct_line_only),
            Accept,
        ),
        case(
            class,
            "the sub-channel COPILOT within channelId",
            teams().with("/channelId", "msteams:COPILOT"),
            Accept,
        )
        .rows(&[32]),
        case(
            class,
            "Teams by a key endorsed for Direct Line only",
            teams().signed_by(&keys.direct_line_only),
            not_endorsed,
        )
        .rows(&[2]),
        case(
            class,
            "a Direct Line client that says it is Teams, of an allowed tenant",
            Post::direct_line(keys)
                .signed_by(&keys.direct_line_only)
                .with("/channelId", "msteams")
                .with("/channelData/tenant/id", TENANT)
                .with("/conversation/tenantId", TENANT)
                .for_one_tenant(),
            not_endorsed,
        )
        .rows(&[2]),
        case(
            class,
            "a key without endorsements",
            teams().signed_by(&keys.without_endorsements),
            not_endorsed,
        )
        .rows(&[3]),
        case(
            class,
            "a key with an empty list of endorsements",
            teams().signed_by(&keys.with_no_endorsement),
            not_endorsed,
        )
        .rows(&[3]),
        case(
            class,
            "the App Service Extension's channel by a key endorsed for it",
            teams()
                .with("/channelId", "AseChannel")
                .signed_by(&keys.for_the_app_service_extension),
            not_endorsed,
        )
        .rows(&[21]),
        of("the App Service Extension's channel", "AseChannel").rows(&[21]),
        of("channelId in other letters", "Msteams"),
        of("channelId with a blank", "msteams "),
        of("a channel that is not endorsed", "slack").rows(&[2]),
        of("the channel emulator", "emulator"),
        of(
            "another channel with the endorsed one as sub-channel",
            "slack:msteams",
        ),
        case(
            class,
            "no channelId",
            teams().lacking("/channelId"),
            invalid,
        )
        .rows(&[1]),
        case(
            class,
            "channelId empty",
            teams().with("/channelId", ""),
            invalid,
        )
        .rows(&[1]),
        case(
            class,
            "channelId null",
            teams().with("/channelId", json!(null)),
            invalid,
        )
        .rows(&[1]),
        case(
            class,
            "channelId a blank",
            teams().with("/channelId", " "),
            not_endorsed,
        )
        .rows(&[1]),
        case(
            class,
            "channelId a list",
            teams().with("/channelId", json!(["msteams"])),
            invalid,
        ),
        case(
            class,
            "channelId a number",
            teams().with("/channelId", 7),
            invalid,
        ),
    ]
}
