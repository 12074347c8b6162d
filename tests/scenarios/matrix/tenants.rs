//! Whose users are let in. Every tenant that a request names has to be.

use super::World;
use crate::support::client::Post;
use crate::support::table::Expected::{Forwarded, Proven};
use crate::support::table::{Row, row};
use crate::support::{FOREIGN_TENANT, TENANT};
use botgate::judge::Reason;
use serde_json::json;

pub(super) fn rows(world: &World) -> Vec<Row> {
    let foreign = Proven(Reason::TenantNotAllowed);
    let missing = Proven(Reason::TenantMissing);
    let teams = || world.teams().to("one-tenant");
    let signed = |tenant: &str| {
        let url = format!("https://smba.trafficmanager.net/emea/{tenant}/");
        teams().with("/serviceUrl", url)
    };
    let file = |name| world.gateway.post(name).to("one-tenant");
    let mut rows = vec![
        row("the tenant that is allowed", teams(), Forwarded),
        row(
            "all tenants foreign",
            everywhere(signed(FOREIGN_TENANT), FOREIGN_TENANT),
            foreign,
        ),
        row(
            "the tenant in upper case",
            everywhere(signed(&TENANT.to_uppercase()), &TENANT.to_uppercase()),
            Forwarded,
        ),
        row(
            "only the signed segment foreign",
            signed(FOREIGN_TENANT),
            foreign,
        ),
        row(
            "a foreign tid in a token of the Connector, which is of no tenant",
            teams().token(|t| t.claim("tid", FOREIGN_TENANT)),
            Forwarded,
        ),
        row(
            "a tid that is no tenant in a token of the Connector",
            teams().token(|t| t.claim("tid", "x")),
            Forwarded,
        ),
        row(
            "no tenant but a tid in a token of the Connector",
            nameless(teams()).token(|t| t.claim("tid", TENANT)),
            missing,
        ),
        row("no tenant at all", nameless(teams()), missing),
        row(
            "a tenant in channelData alone",
            nameless(teams()).with("/channelData", json!({ "tenant": { "id": TENANT } })),
            Forwarded,
        ),
        row(
            "a tenant in the conversation alone",
            nameless(teams()).with("/conversation/tenantId", TENANT),
            Forwarded,
        ),
        row(
            "a tenant in the signed segment alone",
            nameless(teams()).with(
                "/serviceUrl",
                format!("https://smba.trafficmanager.net/emea/{TENANT}/"),
            ),
            Forwarded,
        ),
        row(
            "a conversation update, with channelData alone",
            file("teams-conversation-update.json"),
            Forwarded,
        ),
        row(
            "Direct Line, which names no tenant",
            file("direct-line-message.json"),
            Forwarded,
        ),
        row(
            "Direct Line whose client writes a foreign tenant into channelData",
            file("direct-line-message.json").with("/channelData/tenant/id", FOREIGN_TENANT),
            Forwarded,
        ),
        row(
            "Direct Line whose client writes a tenant where one is required",
            world
                .gateway
                .post("direct-line-message.json")
                .to("any-tenant")
                .with("/channelData/tenant/id", TENANT),
            missing,
        ),
        row(
            "any tenant where one is required",
            world.teams().to("any-tenant"),
            Forwarded,
        ),
        row(
            "none where one is required",
            nameless(world.teams().to("any-tenant")),
            missing,
        ),
        row(
            "none where none is asked for",
            nameless(world.teams()),
            Forwarded,
        ),
    ];
    // What is signed counts on every channel: the body is not to choose one on which its tenant does not.
    for channel in ["webchat", "directline", "email"] {
        let says = |tenant: &str| {
            let url = format!("https://smba.trafficmanager.net/emea/{tenant}/");
            nameless(teams())
                .with("/channelId", channel)
                .with("/from/id", "dl_1")
                .with("/serviceUrl", url)
        };
        rows.push(row(
            format!("{channel} with a foreign tenant in Teams' signed segment"),
            says(FOREIGN_TENANT),
            foreign,
        ));
        rows.push(row(
            format!("{channel} with the tenant in Teams' signed segment"),
            says(TENANT),
            Forwarded,
        ));
        rows.push(row(
            format!("{channel} with a segment that is no tenant of Teams"),
            says(TENANT).with(
                "/serviceUrl",
                format!("https://{channel}.botframework.com/{FOREIGN_TENANT}/"),
            ),
            Forwarded,
        ));
    }
    for place in PLACES {
        let post = teams().with(place, FOREIGN_TENANT);
        rows.push(row(format!("only {place} foreign"), post, foreign));
        for text in [
            "contoso.example",
            "",
            "{8c1f2e3d-4b5a-4968-8776-5a4b3c2d1e0f}",
        ] {
            rows.push(row(
                format!("{place} is {text:?}"),
                world.teams().with(place, text),
                Proven(Reason::TenantMalformed),
            ));
        }
        rows.push(row(
            format!("{place} is a number"),
            world.teams().with(place, 1),
            Proven(Reason::ActivityFieldInvalid),
        ));
    }
    rows
}

/// Where an activity can name a tenant.
const PLACES: [&str; 4] = [
    "/channelData/tenant/id",
    "/conversation/tenantId",
    "/from/tenantId",
    "/recipient/tenantId",
];

fn everywhere(post: Post, tenant: &str) -> Post {
    PLACES
        .into_iter()
        .fold(post, |post, place| post.with(place, tenant))
}

fn nameless(post: Post) -> Post {
    post.with("/serviceUrl", "https://smba.trafficmanager.net/emea/")
        .lacking("/conversation/tenantId")
        .lacking("/channelData")
}
