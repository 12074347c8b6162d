//! Report mode: softens what the operator wrote, and no binding of a token that names no service URL.

use super::{PARENTS_URL, STRANGER, World};
use crate::support::table::Expected::{Forwarded, Proven, Stranger, WouldReject};
use crate::support::table::{Row, row};
use crate::support::{FOREIGN_TENANT, TENANT};
use botgate::judge::Reason;
use serde_json::json;

pub(super) fn rows(world: &World) -> Vec<Row> {
    const EVIL: &str = "https://evil.example/";
    let evil_url = Proven(Reason::ServiceUrlNotAllowed);
    let evil_relation = json!({ "serviceUrl": EVIL });
    let at = |bot| {
        (
            world.emulator().to(bot),
            world.skill().to(bot),
            world.agent().to(bot),
        )
    };
    let (emulator, skill, agent) = at("reporting");
    let mut rows = vec![
        row(
            "report: a channel's service URL on another host",
            world.channel().with("/serviceUrl", EVIL).to("reporting"),
            WouldReject(Reason::ServiceUrlNotAllowed),
        ),
        row(
            "report: an Emulator elsewhere",
            emulator.with("/serviceUrl", EVIL),
            evil_url,
        ),
        row(
            "report: a skill's caller elsewhere",
            skill.with("/serviceUrl", EVIL),
            evil_url,
        ),
        row(
            "report: an agent elsewhere",
            agent.with("/serviceUrl", EVIL),
            evil_url,
        ),
    ];
    let (emulator, skill, agent) = at("reporting");
    for (kind, post) in [("emulator", emulator), ("skill", skill), ("agent", agent)] {
        rows.push(row(
            format!("report: a relation of kind {kind} elsewhere"),
            post.with("/relatesTo", evil_relation.clone()),
            evil_url,
        ));
    }
    let (emulator, skill, agent) = at("reporting");
    for (kind, post) in [("emulator", emulator), ("skill", skill), ("agent", agent)] {
        rows.push(row(
            format!("report: tid of kind {kind} foreign"),
            world.claiming(post, "tid", json!(FOREIGN_TENANT)),
            Stranger(Reason::TokenClaimsInvalid),
        ));
    }
    rows.extend([
        row(
            "report: an Emulator as Teams",
            world
                .emulator()
                .to("reporting")
                .with("/channelId", "msteams"),
            Proven(Reason::ChannelNotEndorsed),
        ),
        row(
            "report: an Emulator of a tenant that is not listed",
            world.issued_to(
                world.emulator().to("reporting"),
                FOREIGN_TENANT,
                crate::support::APP_ID,
            ),
            Stranger(Reason::TokenClaimsInvalid),
        ),
        row(
            "report: an agent of a tenant that is not listed",
            world.issued_to(
                world.agent().to("reporting"),
                FOREIGN_TENANT,
                super::PLATFORM,
            ),
            Stranger(Reason::TokenIssuerUnknown),
        ),
        row(
            "report: no platform",
            world.claiming(world.agent().to("reporting-agent"), "azp", json!(STRANGER)),
            Proven(Reason::CallerNotAllowed),
        ),
        row(
            "report: an agent that is a user",
            world
                .agent()
                .to("reporting-agent")
                .with("/recipient/role", "user"),
            Proven(Reason::CallerNotAllowed),
        ),
        row(
            "report: an agent of another tenant than the token's",
            world
                .agent()
                .to("reporting-agent")
                .with("/recipient/tenantId", FOREIGN_TENANT),
            Proven(Reason::TenantNotAllowed),
        ),
        row(
            "report: a guest of an agent",
            world
                .agent()
                .to("reporting-agent")
                .with("/conversation/tenantId", FOREIGN_TENANT),
            WouldReject(Reason::TenantNotAllowed),
        ),
        row(
            "report: a caller that is not listed",
            world.issued_to(world.skill().to("reporting"), TENANT, STRANGER),
            WouldReject(Reason::CallerNotAllowed),
        ),
        row(
            "report: a listed caller of a foreign tenant",
            world.issued_to(world.skill().to("reporting"), FOREIGN_TENANT, super::PARENT),
            WouldReject(Reason::TenantNotAllowed),
        ),
        row(
            "report: a user's token",
            world.claiming(world.skill().to("reporting"), "scp", json!("x")),
            Stranger(Reason::TokenClaimsInvalid),
        ),
        row(
            "report: all as it should be",
            world
                .skill()
                .to("reporting")
                .with("/serviceUrl", PARENTS_URL),
            Forwarded,
        ),
    ]);
    rows
}
