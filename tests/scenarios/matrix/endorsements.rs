//! Which channels a key may speak for.

use super::World;
use crate::support::TENANT;
use crate::support::client::Post;
use crate::support::table::Expected::{Forwarded, Proven};
use crate::support::table::{Row, row};
use botgate::cli::demo::signing::SigningKey;
use botgate::judge::Reason;
use serde_json::json;

pub(super) fn rows(world: &World) -> Vec<Row> {
    let not_endorsed = Proven(Reason::ChannelNotEndorsed);
    let keys = &world.keys;
    let file = |name| world.gateway.post(name);
    let mut rows = vec![
        row("Teams, personal", world.teams(), Forwarded),
        row(
            "Teams, group chat",
            file("teams-group-message.json"),
            Forwarded,
        ),
        row(
            "Teams, channel",
            world
                .teams()
                .with("/conversation/conversationType", "channel")
                .with("/conversation/isGroup", true)
                .with("/channelData/team", json!({ "id": "19:t@thread.tacv2" })),
            Forwarded,
        ),
        row("Teams, invoke", file("teams-invoke.json"), Forwarded),
        row(
            "Teams, conversation update",
            file("teams-conversation-update.json"),
            Forwarded,
        ),
        row(
            "Teams, from Copilot",
            world
                .teams()
                .with(
                    "/entities",
                    json!([{ "type": "ProductInfo", "id": "COPILOT" }]),
                )
                .with("/channelData/productContext", "COPILOT"),
            Forwarded,
        ),
        row("Direct Line", file("direct-line-message.json"), Forwarded),
        row("Web Chat", file("webchat-message.json"), Forwarded),
        row("Email", file("email-message.json"), Forwarded),
        row(
            "Direct Line by a key for it alone",
            signed_by(file("direct-line-message.json"), &keys.direct_line_only),
            Forwarded,
        ),
        row(
            "a Direct Line client that says it is Teams, and of an allowed tenant",
            signed_by(
                file("direct-line-message.json")
                    .with("/channelId", "msteams")
                    .with("/channelData/tenant/id", TENANT)
                    .with("/conversation/tenantId", TENANT)
                    .to("one-tenant"),
                &keys.direct_line_only,
            ),
            not_endorsed,
        ),
        row(
            "a key without endorsements",
            signed_by(world.teams(), &keys.without_endorsements),
            not_endorsed,
        ),
        row(
            "a key with an empty list of endorsements",
            signed_by(world.teams(), &keys.with_no_endorsement),
            not_endorsed,
        ),
        row(
            "AseChannel by a key endorsed for it",
            signed_by(
                world.teams().with("/channelId", "AseChannel"),
                &keys.for_the_app_service_extension,
            ),
            not_endorsed,
        ),
        row(
            "Teams by that key",
            signed_by(world.teams(), &keys.for_the_app_service_extension),
            Forwarded,
        ),
    ];
    for sub_channel in ["msteams:COPILOT", "msteams:", "msteams::", "msteams:slack"] {
        rows.push(row(
            format!("channelId is {sub_channel}"),
            world.teams().with("/channelId", sub_channel),
            Forwarded,
        ));
    }
    for channel in [
        "Msteams",
        "MSTEAMS",
        "msteam",
        "msteams2",
        " msteams",
        "msteams ",
        "slack",
        "slack:msteams",
        "emulator",
        "AseChannel",
        "msteams,webchat",
        "\u{ff4d}steams",
    ] {
        rows.push(row(
            format!("channelId is {channel:?}"),
            world.teams().with("/channelId", channel),
            not_endorsed,
        ));
    }
    rows
}

fn signed_by(post: Post, key: &SigningKey) -> Post {
    let key = key.clone();
    post.token(move |t| t.signed_by(&key))
}
