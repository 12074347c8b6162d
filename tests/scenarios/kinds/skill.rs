//! Calls by other bots: an allow-list of callers, hosts they are answered at, and no more trust in the body than in any (AUTHENTICATION 1.7).

use super::emulator::{user_tokens, versions};
use super::{PARENT, PARENTS_URL, STRANGER, World};
use crate::support::table::Expected::{Forwarded, Proven, Stranger};
use crate::support::table::{Row, row};
use crate::support::{APP_ID, FOREIGN_TENANT, TENANT};
use botgate::cli::demo::channel::TEAMS_SERVICE_URL;
use botgate::judge::Reason;
use serde_json::{Value, json};

pub(super) fn rows(world: &World) -> Vec<Row> {
    let post = || world.skill().to("skill");
    let denied = Proven(Reason::CallerNotAllowed);
    let mut rows = user_tokens("skill", &post);
    rows.extend(versions("skill", PARENT, &post));
    rows.extend(callers(world));
    rows.extend(tenants(world));
    for (url, expected) in [
        ("https://PARENT.contoso.example/api/skills", Forwarded),
        ("https://parent.contoso.example:443/", Forwarded),
        // Channels call this bot as well, and the cloud's hosts are where they are answered.
        (TEAMS_SERVICE_URL, Forwarded),
        (
            "http://parent.contoso.example/api/skills/",
            Proven(Reason::ServiceUrlNotAllowed),
        ),
        (
            "https://parent.contoso.example:8443/",
            Proven(Reason::ServiceUrlNotAllowed),
        ),
        (
            "https://parent.contoso.example.evil.example/",
            Proven(Reason::ServiceUrlNotAllowed),
        ),
        (
            "https://x.parent.contoso.example/",
            Proven(Reason::ServiceUrlNotAllowed),
        ),
        (
            "https://evil.example/",
            Proven(Reason::ServiceUrlNotAllowed),
        ),
        (
            "http://localhost:3978/",
            Proven(Reason::ServiceUrlNotAllowed),
        ),
    ] {
        let post = post().with("/serviceUrl", url);
        rows.push(row(format!("skill: answered at {url}"), post, expected));
    }
    for (name, post, expected) in [
        (
            "relatesTo leads elsewhere",
            post().with(
                "/relatesTo",
                json!({ "serviceUrl": "https://evil.example/" }),
            ),
            Proven(Reason::ServiceUrlNotAllowed),
        ),
        (
            "answered anywhere, where any host is allowed to channels",
            world
                .skill()
                .to("any-host")
                .with("/serviceUrl", "https://evil.example/"),
            Proven(Reason::ServiceUrlNotAllowed),
        ),
        (
            "the parent's host in a channel's token",
            world.channel().with("/serviceUrl", PARENTS_URL).to("all"),
            Forwarded,
        ),
        (
            "a serviceurl claim that is the activity's",
            world.claiming(post(), "serviceurl", json!(PARENTS_URL)),
            Forwarded,
        ),
        (
            "a serviceurl claim that is not",
            world.claiming(post(), "serviceurl", json!(TEAMS_SERVICE_URL)),
            Proven(Reason::ServiceUrlMismatch),
        ),
        (
            "an id token, which names no caller",
            post().token(|t| t.without_claim("azp").claim("nonce", "n-0S6_WzA2Mj")),
            Stranger(Reason::TokenClaimsInvalid),
        ),
        (
            "where no caller is listed",
            world
                .skill()
                .to("skill-of-nobody")
                .with("/serviceUrl", TEAMS_SERVICE_URL),
            denied,
        ),
    ] {
        rows.push(row(format!("skill: {name}"), post, expected));
    }
    rows
}

fn callers(world: &World) -> Vec<Row> {
    let denied = Proven(Reason::CallerNotAllowed);
    let by = |azp: Value| world.claiming(world.skill().to("skill"), "azp", azp);
    let mut rows = vec![
        row(
            "skill: the caller in upper case",
            by(json!(PARENT.to_uppercase())),
            Forwarded,
        ),
        row(
            "skill: a stranger where anyone may call",
            world.issued_to(world.skill().to("skill-of-anyone"), TENANT, STRANGER),
            Forwarded,
        ),
        row(
            "skill: a stranger of another tenant where anyone may call",
            world.issued_to(
                world.skill().to("skill-of-anyone"),
                FOREIGN_TENANT,
                STRANGER,
            ),
            Forwarded,
        ),
        row(
            "skill: the caller that is listed is in appid, and version 2 asks for azp",
            world
                .issued_to(world.skill().to("skill"), TENANT, STRANGER)
                .token(|t| t.claim("appid", PARENT)),
            denied,
        ),
        row(
            "skill: the bot that is called is no caller",
            world.issued_to(world.skill().to("skill"), TENANT, APP_ID),
            Stranger(Reason::TokenKindNotAccepted),
        ),
        // Nobody reads what it sends.
        row(
            "skill: garbage of a stranger",
            world
                .issued_to(world.skill().to("skill"), TENANT, STRANGER)
                .body("garbage"),
            denied,
        ),
        row(
            "skill: a stranger that is answered elsewhere",
            world
                .issued_to(world.skill().to("skill"), TENANT, STRANGER)
                .with("/serviceUrl", "https://evil.example/"),
            denied,
        ),
    ];
    for azp in [
        json!(STRANGER),
        json!("*"),
        json!(format!("{PARENT} ")),
        json!(format!("{{{PARENT}}}")),
        json!(PARENT.replace('-', "")),
    ] {
        rows.push(row(format!("skill: called by {azp}"), by(azp), denied));
    }
    rows
}

fn tenants(world: &World) -> Vec<Row> {
    let foreign = Proven(Reason::TenantNotAllowed);
    let by_foreign = |bot| world.issued_to(world.skill().to(bot), FOREIGN_TENANT, PARENT);
    let mut rows = vec![
        row(
            "skill: a listed caller of a foreign tenant with a body that names the listed one",
            by_foreign("skill"),
            foreign,
        ),
        row(
            "skill: a listed caller of a foreign tenant with a body that names none",
            by_foreign("skill")
                .lacking("/conversation/tenantId")
                .lacking("/channelData"),
            foreign,
        ),
        row(
            "skill: a body that names no tenant, beside a token that does",
            world
                .skill()
                .to("skill")
                .lacking("/conversation/tenantId")
                .lacking("/channelData"),
            Forwarded,
        ),
    ];
    for place in [
        "/channelData/tenant/id",
        "/conversation/tenantId",
        "/from/tenantId",
        "/recipient/tenantId",
    ] {
        rows.push(row(
            format!("skill: {place} foreign"),
            world.skill().to("skill").with(place, FOREIGN_TENANT),
            foreign,
        ));
    }
    rows
}
