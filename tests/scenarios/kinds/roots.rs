//! Which kind a token is, and where it is accepted.

use super::{Kind, PARENT, PLATFORM, STRANGER, World};
use crate::support::table::Expected::{self, Forwarded, Proven, Stranger};
use crate::support::table::{Row, row};
use crate::support::{APP_ID, TENANT};
use botgate::judge::Reason;
use serde_json::json;

const NOT_ACCEPTED: Expected = Stranger(Reason::TokenKindNotAccepted);

pub(super) fn rows(world: &World) -> Vec<Row> {
    [crossed(world), body_tricks(world), claims_tricks(world)]
        .into_iter()
        .flatten()
        .collect()
}

/// Every kind at a bot that accepts it alone, at one that accepts all, and at those that accept another.
fn crossed(world: &World) -> Vec<Row> {
    let kinds: [Kind; 4] = [
        ("channel", World::channel),
        ("emulator", World::emulator),
        ("skill", World::skill),
        ("agent", World::agent),
    ];
    let mut rows = vec![];
    for (kind, post) in kinds {
        for bot in ["api/messages", "emulator", "skill", "agent", "all"] {
            let accepted = if bot == "api/messages" {
                "channel"
            } else {
                bot
            };
            let expected = match (kind, accepted) {
                (_, "all") => Forwarded,
                _ if kind == accepted => Forwarded,
                // Its claims do not fit the one kind of Entra token that is accepted there.
                ("skill", "emulator") => Stranger(Reason::TokenClaimsInvalid),
                ("skill", "agent") => Proven(Reason::CallerNotAllowed),
                _ => NOT_ACCEPTED,
            };
            let name = format!("a token of kind {kind} where {accepted} is accepted");
            rows.push(row(name, post(world).to(bot), expected));
        }
    }
    rows
}

/// What a body says picks no root.
fn body_tricks(world: &World) -> Vec<Row> {
    let mut rows = vec![];
    for role in ["skill", "agenticUser", "agenticAppInstance", "user"] {
        rows.push(row(
            format!("a channel's token with recipient.role {role}"),
            world.channel().with("/recipient/role", role).to("all"),
            Forwarded,
        ));
        rows.push(row(
            format!("an Entra token of a stranger with recipient.role {role}"),
            world.issued_to(
                world.skill().with("/recipient/role", role).to("all"),
                TENANT,
                STRANGER,
            ),
            Proven(Reason::CallerNotAllowed),
        ));
    }
    for channel in ["emulator", "AseChannel", "asechannel", "AseChannel:x"] {
        rows.push(row(
            format!("a channel's token with channelId {channel}"),
            world.channel().with("/channelId", channel).to("all"),
            Proven(Reason::ChannelNotEndorsed),
        ));
    }
    for (kind, post) in [
        ("emulator", world.emulator()),
        ("skill", world.skill()),
        ("agent", world.agent()),
    ] {
        rows.push(row(
            format!("a token of kind {kind} with channelId AseChannel"),
            post.with("/channelId", "AseChannel").to("all"),
            Proven(Reason::ChannelNotEndorsed),
        ));
    }
    rows.push(row(
        "an Emulator's token with the body of a channel",
        world.issued_to(world.channel().to("all"), TENANT, APP_ID),
        Proven(Reason::ChannelNotEndorsed),
    ));
    rows.push(row(
        "an agent platform's token with the body of a channel",
        world.issued_to(world.channel().to("all"), TENANT, PLATFORM),
        Proven(Reason::CallerNotAllowed),
    ));
    rows.push(row(
        "a skill's token with the body of the Emulator",
        world.issued_to(world.emulator().to("all"), TENANT, PARENT),
        Proven(Reason::ServiceUrlNotAllowed),
    ));
    rows
}

/// Nor do claims that a kind does not read.
fn claims_tricks(world: &World) -> Vec<Row> {
    let mut rows = vec![];
    for caller in [APP_ID, PLATFORM] {
        for (name, post) in [
            ("azp", world.skill()),
            ("appid", world.skill().token(super::v1)),
        ] {
            rows.push(row(
                format!("{caller} in {name}, where anyone may call as a skill"),
                world.claiming(post.to("skill-of-anyone"), name, json!(caller)),
                NOT_ACCEPTED,
            ));
        }
        // In version 1 appid calls; whoever wants to be taken for another kind may add azp.
        for azp in [json!(PARENT), json!(null), json!(["x"])] {
            let name =
                format!("{caller} in appid with azp {azp}, where anyone may call as a skill");
            let post = world.skill().token(super::v1).to("skill-of-anyone");
            let post = post.token(move |t| t.claim("appid", caller).claim("azp", azp));
            rows.push(row(name, post, NOT_ACCEPTED));
        }
    }
    rows
}
