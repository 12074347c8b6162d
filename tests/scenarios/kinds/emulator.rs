//! The Emulator's tokens: issued to the bot itself, so that every leaked one could command it (AUTHENTICATION 1.6).

use super::{PARENT, PARENTS_URL, STRANGER, World, v1};
use crate::support::client::Post;
use crate::support::table::Expected::{self, Forwarded, Proven, Stranger};
use crate::support::table::{Row, row};
use crate::support::{APP_ID, FOREIGN_TENANT};
use botgate::cli::demo::channel::TEAMS_SERVICE_URL;
use botgate::judge::Reason;
use serde_json::{Value, json};

const INVALID: Expected = Stranger(Reason::TokenClaimsInvalid);

pub(super) fn rows(world: &World) -> Vec<Row> {
    let post = || world.emulator().to("emulator");
    let foreign = |bot| world.issued_to(world.emulator().to(bot), FOREIGN_TENANT, APP_ID);
    let mut rows = vec![
        row(
            "emulator: a token that speaks for an application in so many words",
            world.claiming(post(), "idtyp", json!("app")),
            Forwarded,
        ),
        row(
            "emulator: another application's token",
            world.issued_to(post(), crate::support::TENANT, STRANGER),
            INVALID,
        ),
        row(
            "emulator: the bot's app id in upper case",
            world.claiming(post(), "azp", json!(APP_ID.to_uppercase())),
            Forwarded,
        ),
        row(
            "emulator: a tenant that is not listed",
            foreign("emulator"),
            INVALID,
        ),
        row(
            "emulator: any tenant where none is listed",
            foreign("emulator-anywhere").lacking("/channelData"),
            Forwarded,
        ),
        row(
            "emulator: a listed caller's token where skills are accepted, too",
            world.issued_to(
                world.emulator().with("/serviceUrl", PARENTS_URL).to("all"),
                crate::support::TENANT,
                PARENT,
            ),
            Forwarded,
        ),
        row(
            "emulator: an id token, which names no caller",
            post().token(|t| {
                t.without_claim("azp")
                    .without_claim("azpacr")
                    .claim("nonce", "n-0S6_WzA2Mj")
                    .claim("preferred_username", "user@contoso.example")
            }),
            INVALID,
        ),
    ];
    rows.extend(user_tokens("emulator", &post));
    rows.extend(versions("emulator", APP_ID, &post));
    for channel in ["msteams", "directline", "Emulator", "emulator2", "test"] {
        rows.push(row(
            format!("emulator: channelId {channel}"),
            post().with("/channelId", channel),
            Proven(Reason::ChannelNotEndorsed),
        ));
    }
    for (url, expected) in [
        ("http://localhost:3978", Forwarded),
        ("http://127.0.0.1:51234/", Forwarded),
        ("https://localhost/", Forwarded),
        ("http://[::1]:51234/", Forwarded),
        ("http://[::2]:51234/", Proven(Reason::ServiceUrlNotAllowed)),
        (
            "http://127.0.0.2:51234/",
            Proven(Reason::ServiceUrlNotAllowed),
        ),
        (
            "http://localhost.evil.example/",
            Proven(Reason::ServiceUrlNotAllowed),
        ),
        (
            "http://localhost@evil.example/",
            Proven(Reason::ServiceUrlNotAllowed),
        ),
        (
            "https://evil.example/",
            Proven(Reason::ServiceUrlNotAllowed),
        ),
        (TEAMS_SERVICE_URL, Proven(Reason::ServiceUrlNotAllowed)),
        (PARENTS_URL, Proven(Reason::ServiceUrlNotAllowed)),
    ] {
        let post = post().with("/serviceUrl", url);
        rows.push(row(format!("emulator: answered at {url}"), post, expected));
    }
    rows.push(row(
        "emulator: relatesTo leads elsewhere",
        post().with(
            "/relatesTo",
            json!({ "serviceUrl": "https://evil.example/" }),
        ),
        Proven(Reason::ServiceUrlNotAllowed),
    ));
    rows.push(row(
        "emulator: answered anywhere, where any host is allowed to channels",
        world
            .emulator()
            .to("any-host")
            .with("/serviceUrl", "https://evil.example/"),
        Proven(Reason::ServiceUrlNotAllowed),
    ));
    rows
}

/// Tokens behind which somebody else than the application stands.
pub(super) fn user_tokens(kind: &str, post: &dyn Fn() -> Post) -> Vec<Row> {
    let cases: [(&'static str, Value); 7] = [
        ("scp", json!("user_impersonation")),
        ("scp", json!("")),
        ("scp", json!(null)),
        ("idtyp", json!("user")),
        ("idtyp", json!("device")),
        ("idtyp", json!("App")),
        ("idtyp", json!(["app"])),
    ];
    cases
        .into_iter()
        .map(|(claim, value)| {
            let name = format!("{kind}: {claim} is {value}");
            row(name, post().token(move |t| t.claim(claim, value)), INVALID)
        })
        .collect()
}

/// `ver`, and the claim that names the caller in that version.
pub(super) fn versions(kind: &str, caller: &'static str, post: &dyn Fn() -> Post) -> Vec<Row> {
    let mut rows = vec![
        row(
            format!("{kind}: no ver"),
            post().token(|t| t.without_claim("ver")),
            INVALID,
        ),
        row(
            format!("{kind}: version 2 with appid in place of azp"),
            post().token(move |t| t.without_claim("azp").claim("appid", caller)),
            INVALID,
        ),
        row(
            format!("{kind}: version 1 with azp in place of appid"),
            post().token(move |t| v1(t).without_claim("appid").claim("azp", caller)),
            INVALID,
        ),
        row(
            format!("{kind}: version 2 with the issuer of version 1"),
            post().token(move |t| {
                v1(t)
                    .claim("ver", "2.0")
                    .without_claim("appid")
                    .claim("azp", caller)
            }),
            Forwarded,
        ),
    ];
    for blank in ["", " "] {
        rows.push(row(
            format!("{kind}: ver is {blank:?}, and appid"),
            post().token(move |t| v1(t).claim("ver", blank)),
            Forwarded,
        ));
    }
    for version in [
        json!("1"),
        json!("2"),
        json!("3.0"),
        json!("2.0 "),
        json!(2.0),
        json!(null),
        json!(["2.0"]),
    ] {
        let name = format!("{kind}: ver is {version}, with appid and azp");
        let post = post().token(move |t| t.claim("ver", version).claim("appid", caller));
        rows.push(row(name, post, INVALID));
    }
    for azp in [json!(""), json!(null), json!(1), json!([caller])] {
        let name = format!("{kind}: azp is {azp}, beside an appid");
        let post = post().token(move |t| t.claim("azp", azp).claim("appid", caller));
        rows.push(row(name, post, INVALID));
    }
    rows
}
