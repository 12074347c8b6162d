//! Where the bot is told to send its answers: only where the token says, and only to hosts of the cloud.

use super::World;
use crate::support::client::Post;
use crate::support::table::Expected::{Forwarded, Proven};
use crate::support::table::{Row, row};
use botgate::judge::Reason;
use serde_json::{Value, json};

const TEAMS: &str = "https://smba.trafficmanager.net/emea/";

pub(super) fn rows(world: &World) -> Vec<Row> {
    [binding(world), hosts(world), relates_to(world)]
        .into_iter()
        .flatten()
        .collect()
}

/// An activity with one service URL, and a token with another.
fn bound(world: &World, sent: &str, claimed: impl Into<Value>) -> Post {
    let claimed = claimed.into();
    world
        .teams()
        .with("/serviceUrl", sent)
        .token(move |t| t.claim("serviceurl", claimed))
}

fn binding(world: &World) -> Vec<Row> {
    let mismatch = Proven(Reason::ServiceUrlMismatch);
    let mut rows = vec![
        row(
            "no serviceurl claim",
            world.teams().token(|t| t.without_claim("serviceurl")),
            mismatch,
        ),
        row(
            "the claim in camel case only",
            bound(world, TEAMS, TEAMS)
                .token(|t| t.without_claim("serviceurl").claim("serviceUrl", TEAMS)),
            mismatch,
        ),
        row(
            "the claim is a list",
            bound(world, TEAMS, json!([TEAMS])),
            mismatch,
        ),
        row(
            "the claim is null",
            bound(world, TEAMS, json!(null)),
            mismatch,
        ),
        row("the claim is empty", bound(world, TEAMS, ""), mismatch),
        row(
            "without a tenant segment",
            bound(world, TEAMS, TEAMS),
            Forwarded,
        ),
    ];
    for (sent, claimed) in [
        (TEAMS, "https://smba.trafficmanager.net/emea"),
        ("https://smba.trafficmanager.net/emea", TEAMS),
        ("https://SMBA.TrafficManager.net/emea/", TEAMS),
        ("HTTPS://smba.trafficmanager.net/emea/", TEAMS),
        ("https://smba.trafficmanager.net:443/emea/", TEAMS),
        (
            "https://webchat.botframework.com",
            "https://webchat.botframework.com/",
        ),
    ] {
        let name = format!("serviceUrl {sent} with the claim {claimed}");
        rows.push(row(name, bound(world, sent, claimed), Forwarded));
    }
    for sent in [
        "https://evil.example/emea/",
        "https://webchat.botframework.com/emea/",
        "https://smba.trafficmanager.net/amer/",
        "https://smba.trafficmanager.net/EMEA/",
        "https://smba.trafficmanager.net/",
        "https://smba.trafficmanager.net/emea/more/",
        "https://smba.trafficmanager.net/emea//",
        "https://smba.trafficmanager.net//emea/",
        "https://smba.trafficmanager.net:444/emea/",
        "https://smba.trafficmanager.net:/emea/",
        "https://smba.trafficmanager.net:0443/emea/x",
        "http://smba.trafficmanager.net/emea/",
        "ftp://smba.trafficmanager.net/emea/",
        "https://user@smba.trafficmanager.net/emea/",
        "https://user:pw@smba.trafficmanager.net/emea/",
        "https://evil.example@smba.trafficmanager.net/emea/",
        "https://smba.trafficmanager.net@evil.example/emea/",
        "https://smba.trafficmanager.net\\emea\\",
        "https:\\\\smba.trafficmanager.net\\emea\\",
        "https://evil.example\\@smba.trafficmanager.net/emea/",
        "https://smba.trafficmanager.net/x/../emea/",
        "https://smba.trafficmanager.net/x/%2e%2e/emea/",
        "https://smba.trafficmanager.net/%65mea/",
        "https://smba.trafficmanager.net/emea%2f",
        "https://smba.trafficmanager.net/emea/?x",
        "https://smba.trafficmanager.net/emea/#x",
        "https://smba.trafficmanager.net./emea/",
        "https://smba.trafficmanager.net.evil.example/emea/",
        "https://\u{ff53}mba.trafficmanager.net/emea/",
        " https://smba.trafficmanager.net/emea/",
        "https://smba.trafficmanager.net/emea/ ",
    ] {
        let name = format!("serviceUrl {sent:?} with the claim of Teams");
        rows.push(row(name, bound(world, sent, TEAMS), mismatch));
        let name = format!("serviceUrl of Teams with the claim {sent:?}");
        rows.push(row(name, bound(world, TEAMS, sent), mismatch));
    }
    rows
}

/// Claim and activity agree; that is not enough.
fn hosts(world: &World) -> Vec<Row> {
    let mut rows = Vec::new();
    for url in [
        "https://smba.trafficmanager.net/emea/",
        "https://smba.infra.gcc.teams.microsoft.com/teams/",
        "https://europe.webchat.botframework.com/",
        "https://a.b.botframework.com/",
    ] {
        let name = format!("claim and serviceUrl {url}");
        rows.push(row(name, bound(world, url, url), Forwarded));
    }
    for url in [
        "https://evil.example/",
        "https://botframework.com/",
        "https://evilbotframework.com/",
        "https://botframework.com.evil.example/",
        "https://evil.trafficmanager.net/",
        "https://smba.trafficmanager.net.evil.example/",
        "https://smba.trafficmanager.net@evil.example/",
        "https://evil.example/smba.trafficmanager.net/",
        "https://evil.example#.botframework.com/",
        "https://evil.example?.botframework.com/",
        "https://evil.example\\.botframework.com/",
        "https://smba.trafficmanager.net./",
        "https://smba.trafficmanager.net:8443/",
        "https://smba.trafficmanager.net/a/../b",
        "https://smba.trafficmanager.net/a/%2e%2e/b",
        "https://smba.trafficmanager.net/a/%2E./b",
        "https://smba.trafficmanager.net/a%2fb",
        "https://smba.trafficmanager.net/a%5cb",
        "https://smba.trafficmanager.net/a//b",
        "https://smba.trafficmanager.net/a?b",
        "https://smba.trafficmanager.net/a#b",
        "https://user@smba.trafficmanager.net/",
        "http://smba.trafficmanager.net/",
        "http://webchat.botframework.com/",
        "https://127.0.0.1/",
        "http://127.0.0.1/",
        "http://localhost:3978/",
        "https://[::1]/",
        "https://169.254.169.254/metadata/",
        "https://2130706433/",
        "wss://webchat.botframework.com/",
        "urn:botframework:WebSocket:wss://webchat.botframework.com",
        "file:///etc/passwd",
    ] {
        rows.push(row(
            format!("claim and serviceUrl {url}"),
            bound(world, url, url),
            Proven(Reason::ServiceUrlNotAllowed),
        ));
    }
    rows
}

/// A bot that goes on with a conversation from `relatesTo` sends its token there.
fn relates_to(world: &World) -> Vec<Row> {
    let relating = |to: Value| {
        world
            .teams()
            .with("/relatesTo", json!({ "serviceUrl": to }))
    };
    vec![
        row(
            "relatesTo another host of the cloud",
            relating(json!("https://webchat.botframework.com/")),
            Forwarded,
        ),
        row(
            "relatesTo without a serviceUrl",
            relating(json!(null)),
            Forwarded,
        ),
        row(
            "relatesTo elsewhere",
            relating(json!("https://evil.example/")),
            Proven(Reason::ServiceUrlNotAllowed),
        ),
        row(
            "relatesTo a place that only some readers can read",
            relating(json!("https://evil.example\\.botframework.com/")),
            Proven(Reason::ServiceUrlNotAllowed),
        ),
    ]
}
