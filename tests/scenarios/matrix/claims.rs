//! What the token says: who made it, for whom, and when.

use super::{SECOND_APP_ID, World};
use crate::support::client::Post;
use crate::support::table::Expected::{self, Forwarded, Stranger};
use crate::support::table::{Row, row, row_within_a_second};
use crate::support::{APP_ID, TENANT};
use botgate::cli::demo::channel::now;
use botgate::cli::demo::token::TokenSpec;
use botgate::judge::Reason;
use serde_json::{Value, json};

/// `keys.clock_skew` as it comes.
const SKEW: u64 = 300;
const DAY: u64 = 24 * 3600;

pub(super) fn rows(world: &World) -> Vec<Row> {
    [
        payload(world),
        issuer(world),
        audience(world),
        time(world),
        time_to_the_second(world),
    ]
    .into_iter()
    .flatten()
    .collect()
}

type Change = fn(TokenSpec) -> TokenSpec;

fn token(world: &World, change: Change) -> Post {
    world.teams().token(change)
}

/// With this member in front of all others of the payload, which are still there.
fn with_also(world: &World, member: &str) -> Post {
    with_text(world.teams(), member)
}

fn with_text(post: Post, member: &str) -> Post {
    let start = format!("{{{member},");
    post.token(move |mut t| {
        let payload = Value::Object(t.claims.clone()).to_string();
        t.payload_bytes = Some(payload.replacen('{', &start, 1).into_bytes());
        t
    })
}

/// The payload as JSON.
fn payload(world: &World) -> Vec<Row> {
    let mut rows = vec![row(
        "a claim that nobody knows",
        token(world, |t| t.claim("\u{fc}ber", json!({ "a": [1, null] }))),
        Forwarded,
    )];
    let other = "https://evil.example/";
    for (name, member) in [
        ("aud twice", format!(r#""aud":"{SECOND_APP_ID}""#)),
        ("aud twice, the same", format!(r#""aud":"{APP_ID}""#)),
        (
            "aud twice, once escaped",
            format!(r#""\u0061ud":"{APP_ID}""#),
        ),
        ("iss twice", format!(r#""iss":"{other}""#)),
        ("serviceurl twice", format!(r#""serviceurl":"{other}""#)),
        ("exp twice", r#""exp":1"#.to_owned()),
        ("iat 1e309", r#""iat":1e309"#.to_owned()),
        ("a lone surrogate", r#""x":"\ud800""#.to_owned()),
        ("NaN", r#""x":NaN"#.to_owned()),
    ] {
        rows.push(row(
            format!("payload with {name}"),
            with_also(world, &member),
            Stranger(Reason::TokenMalformed),
        ));
    }
    rows.push(row(
        "payload with exp 1e309",
        with_text(token(world, |t| t.without_claim("exp")), r#""exp":1e309"#),
        Stranger(Reason::TokenMalformed),
    ));
    for (name, bytes) in [
        ("a list", &b"[]"[..]),
        ("empty", b""),
        ("null", b"null"),
        ("no JSON", b"{"),
    ] {
        let post = world.teams().token(move |mut t| {
            t.payload_bytes = Some(bytes.to_vec());
            t
        });
        let malformed = Stranger(Reason::TokenMalformed);
        rows.push(row(format!("payload that is {name}"), post, malformed));
    }
    rows
}

fn issuer(world: &World) -> Vec<Row> {
    let unknown = Stranger(Reason::TokenIssuerUnknown);
    let other_kind = Stranger(Reason::TokenKindNotAccepted);
    let cases: Vec<(Value, Expected)> = vec![
        (json!("https://api.botframework.com/"), unknown),
        (json!("https://API.botframework.com"), unknown),
        (json!("http://api.botframework.com"), unknown),
        (json!(" https://api.botframework.com"), unknown),
        (json!("https://api.botframework.com.evil.example"), unknown),
        (json!("https://api.botframework.us"), unknown),
        (json!("https://api.botframework.azure.cn"), unknown),
        (json!("https://webchat.botframework.com/"), unknown),
        (json!(["https://api.botframework.com"]), unknown),
        (json!(""), unknown),
        (json!(null), unknown),
        (json!(1), unknown),
        (
            json!("https://login.microsoftonline.com/common/v2.0"),
            unknown,
        ),
        (
            json!(format!("https://sts.windows.net.evil.example/{TENANT}/")),
            unknown,
        ),
        // What the Emulator, a skill's parent or an agent brings.
        (
            json!(format!("https://sts.windows.net/{TENANT}/")),
            other_kind,
        ),
        (
            json!(format!("https://login.microsoftonline.com/{TENANT}/v2.0")),
            other_kind,
        ),
        (
            json!(format!("https://login.microsoftonline.us/{TENANT}/v2.0")),
            other_kind,
        ),
        (
            json!(format!("https://sts.chinacloudapi.cn/{TENANT}/")),
            other_kind,
        ),
    ];
    let mut rows = vec![row(
        "no iss",
        token(world, |t| t.without_claim("iss")),
        unknown,
    )];
    for (issuer, expected) in cases {
        let name = format!("iss is {issuer}");
        let post = world.teams().token(move |t| t.claim("iss", issuer));
        rows.push(row(name, post, expected));
    }
    // Nothing that the body says lets such a token in.
    for (name, pointer, value) in [
        ("an Emulator's", "/channelId", "emulator"),
        ("a parent bot's", "/recipient/role", "skill"),
        ("an agent's", "/recipient/role", "agenticUser"),
    ] {
        let post = world.teams().with(pointer, value).token(|t| {
            t.claim("iss", format!("https://sts.windows.net/{TENANT}/"))
                .claim("tid", TENANT)
                .claim("appid", APP_ID)
                .claim("azp", APP_ID)
                .claim("ver", "1.0")
        });
        let name = format!("{name} token with the body that goes with it");
        rows.push(row(name, post, other_kind));
    }
    rows
}

fn audience(world: &World) -> Vec<Row> {
    let mismatch = Stranger(Reason::TokenAudienceMismatch);
    let mut rows = vec![
        row("no aud", token(world, |t| t.without_claim("aud")), mismatch),
        row(
            "a second bot and its app id",
            world.teams().to("second").for_app(SECOND_APP_ID),
            Forwarded,
        ),
        row(
            "a second bot and the app id of the first",
            world.teams().to("second"),
            mismatch,
        ),
        row(
            "the first bot and the app id of the second",
            world.teams().for_app(SECOND_APP_ID),
            mismatch,
        ),
    ];
    for (audience, expected) in [
        (json!([APP_ID]), Forwarded),
        (json!(APP_ID.to_uppercase()), Forwarded),
        (json!([APP_ID, SECOND_APP_ID]), mismatch),
        (json!([SECOND_APP_ID, APP_ID]), mismatch),
        (json!([APP_ID, APP_ID]), mismatch),
        (json!([]), mismatch),
        (json!([[APP_ID]]), mismatch),
        (json!({ "0": APP_ID }), mismatch),
        (json!(""), mismatch),
        (json!(null), mismatch),
        (json!(format!(" {APP_ID}")), mismatch),
        (json!(format!("{APP_ID}\0")), mismatch),
        (json!(format!("{{{APP_ID}}}")), mismatch),
        (json!(APP_ID.replace('-', "")), mismatch),
        (json!(format!("api://{APP_ID}")), mismatch),
        (json!(format!("api://botid-{APP_ID}")), mismatch),
        (json!("https://api.botframework.com"), mismatch),
        (json!("*"), mismatch),
    ] {
        let name = format!("aud is {audience}");
        let post = world.teams().token(move |t| t.claim("aud", audience));
        rows.push(row(name, post, expected));
    }
    rows
}

fn time(world: &World) -> Vec<Row> {
    let absurd = Stranger(Reason::TokenLifetimeInvalid);
    let early = Stranger(Reason::TokenNotYetValid);
    let mut rows = vec![
        row("no exp", token(world, |t| t.without_claim("exp")), absurd),
        row("no nbf", token(world, |t| t.without_claim("nbf")), absurd),
        row("exp is nbf", lasting(world, 0, 0), absurd),
        row("exp before nbf", lasting(world, 100, 0), absurd),
        row("a life of a day", lasting(world, 0, DAY), Forwarded),
        row(
            "a life of a day and a second",
            lasting(world, 0, DAY + 1),
            absurd,
        ),
        row(
            "fractions of seconds",
            token(world, |t| {
                let (from, to) = (now() as f64 - 0.25, now() as f64 + 600.75);
                t.claim("nbf", from).claim("exp", to)
            }),
            Forwarded,
        ),
        row(
            "iat as a text",
            token(world, |t| t.claim("iat", "tomorrow")),
            Forwarded,
        ),
        row(
            "iat now",
            token(world, |t| t.claim("iat", now())),
            Forwarded,
        ),
        row(
            "iat in an hour",
            token(world, |t| t.claim("iat", now() + 3600)),
            early,
        ),
        row(
            "issued in milliseconds",
            token(world, |t| {
                t.claim("nbf", now() * 1000)
                    .claim("exp", now() * 1000 + 3600)
            }),
            early,
        ),
    ];
    for value in [
        json!("1795000000"),
        json!(true),
        json!(null),
        json!(-1),
        json!([]),
        json!(1e300),
    ] {
        for claim in ["exp", "nbf"] {
            let value = value.clone();
            let name = format!("{claim} is {value}");
            rows.push(row(
                name,
                world.teams().token(move |t| t.claim(claim, value)),
                absurd,
            ));
        }
    }
    rows
}

/// A token valid `from` seconds after now and `to` seconds after now.
fn lasting(world: &World, from: u64, to: u64) -> Post {
    world
        .teams()
        .token(move |t| t.claim("nbf", now() + from).claim("exp", now() + to))
}

/// The window's last second, and the first one outside it.
fn time_to_the_second(world: &World) -> Vec<Row> {
    let expired = Stranger(Reason::TokenExpired);
    let early = Stranger(Reason::TokenNotYetValid);
    let cases: [(&str, Change, Expected); 8] = [
        ("expired 299 s ago", |t| old(t, SKEW - 1), Forwarded),
        ("expired 300 s ago", |t| old(t, SKEW), expired),
        ("expired 301 s ago", |t| old(t, SKEW + 1), expired),
        (
            "valid in 299 s",
            |t| t.claim("nbf", now() + SKEW - 1),
            Forwarded,
        ),
        (
            "valid in 300 s",
            |t| t.claim("nbf", now() + SKEW),
            Forwarded,
        ),
        (
            "valid in 301 s",
            |t| t.claim("nbf", now() + SKEW + 1),
            early,
        ),
        (
            "issued in 300 s",
            |t| t.claim("iat", now() + SKEW),
            Forwarded,
        ),
        (
            "issued in 301 s",
            |t| t.claim("iat", now() + SKEW + 1),
            early,
        ),
    ];
    let gateway = &world.gateway;
    cases
        .into_iter()
        .map(|(name, change, expected)| {
            let gateway = gateway.clone();
            row_within_a_second(
                name,
                move || gateway.teams_message().token(change),
                expected,
            )
        })
        .collect()
}

fn old(token: TokenSpec, seconds: u64) -> TokenSpec {
    let expired = now() - seconds;
    token.claim("nbf", expired - 3600).claim("exp", expired)
}
