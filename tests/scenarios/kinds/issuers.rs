//! Which issuer, which tenant, which version, which audience: what all kinds of Entra token are asked.

use super::{Kind, STRANGER, World, v1};
use crate::support::client::Post;
use crate::support::table::Expected::{self, Forwarded, Stranger};
use crate::support::table::{Row, row};
use crate::support::{APP_ID, FOREIGN_TENANT, TENANT};
use botgate::cli::demo::channel::now;
use botgate::judge::Reason;
use serde_json::{Value, json};

const INVALID: Expected = Stranger(Reason::TokenClaimsInvalid);
const UNKNOWN: Expected = Stranger(Reason::TokenIssuerUnknown);
const MISMATCH: Expected = Stranger(Reason::TokenAudienceMismatch);

pub(super) fn rows(world: &World) -> Vec<Row> {
    let kinds: [Kind; 3] = [
        ("emulator", World::emulator),
        ("skill", World::skill),
        ("agent", World::agent),
    ];
    let mut rows = vec![];
    for (kind, post) in kinds {
        let post = || post(world).to("all");
        rows.extend(issuers(world, kind, &post));
        rows.extend(tenants(world, kind, &post));
        rows.extend(audiences(world, kind, &post));
        rows.extend(times(kind, &post));
    }
    rows
}

fn issuers(world: &World, kind: &str, post: &dyn Fn() -> Post) -> Vec<Row> {
    let mut rows = vec![
        row(format!("{kind}: version 1"), post().token(v1), Forwarded),
        row(
            format!("{kind}: no iss"),
            post().token(|t| t.without_claim("iss")),
            UNKNOWN,
        ),
    ];
    for issuer in [
        json!("https://login.microsoftonline.com/common/v2.0"),
        json!("https://login.microsoftonline.com/organizations/v2.0"),
        json!("https://login.microsoftonline.com/{tenantid}/v2.0"),
        json!(format!("https://login.microsoftonline.com/{TENANT}")),
        json!(format!("https://login.microsoftonline.com/{TENANT}/v2.0/")),
        json!(format!(
            "https://login.microsoftonline.com/{}/v2.0",
            TENANT.to_uppercase()
        )),
        json!(format!(
            "https://login.microsoftonline.com/common/{TENANT}/v2.0"
        )),
        json!(format!(
            "https://login.microsoftonline.com.evil.example/{TENANT}/v2.0"
        )),
        json!(format!(
            "https://login.microsoftonline.com@evil.example/{TENANT}/v2.0"
        )),
        json!(format!("http://login.microsoftonline.com/{TENANT}/v2.0")),
        json!(format!("https://sts.windows.net/{TENANT}")),
        json!(format!("https://sts.windows.net.evil.example/{TENANT}/")),
        // Of other clouds.
        json!(format!("https://login.microsoftonline.us/{TENANT}/v2.0")),
        json!(format!("https://login.microsoftonline.us/{TENANT}/")),
        json!(format!(
            "https://login.partner.microsoftonline.cn/{TENANT}/v2.0"
        )),
        json!(format!("https://sts.chinacloudapi.cn/{TENANT}/")),
        json!([format!("https://sts.windows.net/{TENANT}/")]),
        json!(null),
    ] {
        let name = format!("{kind}: iss is {issuer}");
        rows.push(row(name, world.claiming(post(), "iss", issuer), UNKNOWN));
    }
    // The Connector's issuer makes it the Connector's token, and the Connector did not sign it.
    rows.push(row(
        format!("{kind}: the Connector's iss"),
        world.claiming(post(), "iss", json!("https://api.botframework.com")),
        Stranger(Reason::TokenKeyUnknown),
    ));
    rows
}

fn tenants(world: &World, kind: &str, post: &dyn Fn() -> Post) -> Vec<Row> {
    let mut rows = vec![
        row(
            format!("{kind}: no tid"),
            post().token(|t| t.without_claim("tid")),
            INVALID,
        ),
        row(
            format!("{kind}: tid in upper case"),
            world.claiming(post(), "tid", json!(TENANT.to_uppercase())),
            Forwarded,
        ),
    ];
    for tid in [
        json!(FOREIGN_TENANT),
        json!("common"),
        json!("contoso.onmicrosoft.com"),
        json!(""),
        json!(format!("{{{TENANT}}}")),
        json!(TENANT.replace('-', "")),
        json!(null),
        json!([TENANT]),
        json!(1),
    ] {
        let name = format!("{kind}: tid is {tid}");
        rows.push(row(name, world.claiming(post(), "tid", tid), INVALID));
    }
    rows
}

fn audiences(world: &World, kind: &str, post: &dyn Fn() -> Post) -> Vec<Row> {
    let by_api_name = if kind == "agent" { Forwarded } else { MISMATCH };
    let cases: Vec<(Value, Expected)> = vec![
        (json!(APP_ID.to_uppercase()), Forwarded),
        (json!([APP_ID]), Forwarded),
        (json!([APP_ID, APP_ID]), MISMATCH),
        (json!([APP_ID, "https://graph.microsoft.com"]), MISMATCH),
        (json!([]), MISMATCH),
        (json!(null), MISMATCH),
        (json!(STRANGER), MISMATCH),
        // What the bot itself sends elsewhere, as the Emulator's token in the eyes of SDKs that ask for no audience.
        (json!("https://api.botframework.com"), MISMATCH),
        (json!("https://graph.microsoft.com"), MISMATCH),
        (json!(format!("api://{APP_ID}")), by_api_name),
        (json!(format!("api://botid-{APP_ID}")), by_api_name),
        (json!(format!("api://{APP_ID}/")), MISMATCH),
        (json!(format!("api://api://{APP_ID}")), MISMATCH),
        (json!(format!("API://{APP_ID}")), MISMATCH),
        (json!(format!("api://botid-{STRANGER}")), MISMATCH),
        (json!(format!("botid-{APP_ID}")), MISMATCH),
    ];
    cases
        .into_iter()
        .map(|(audience, expected)| {
            let name = format!("{kind}: aud is {audience}");
            row(name, world.claiming(post(), "aud", audience), expected)
        })
        .collect()
}

fn times(kind: &str, post: &dyn Fn() -> Post) -> Vec<Row> {
    const DAY: u64 = 24 * 3600;
    vec![
        row(
            format!("{kind}: no exp"),
            post().token(|t| t.without_claim("exp")),
            Stranger(Reason::TokenLifetimeInvalid),
        ),
        row(
            format!("{kind}: expired"),
            post().token(|t| t.claim("nbf", now() - 7200).claim("exp", now() - 3600)),
            Stranger(Reason::TokenExpired),
        ),
        row(
            format!("{kind}: from tomorrow on"),
            post().token(|t| t.claim("nbf", now() + DAY).claim("exp", now() + DAY + 3600)),
            Stranger(Reason::TokenNotYetValid),
        ),
        // What a managed identity calls with.
        row(
            format!("{kind}: a life of a day and five minutes"),
            post().token(|t| t.claim("nbf", now() - 300).claim("exp", now() + DAY)),
            Forwarded,
        ),
        row(
            format!("{kind}: a life of two days"),
            post().token(|t| t.claim("nbf", now()).claim("exp", now() + 2 * DAY)),
            Stranger(Reason::TokenLifetimeInvalid),
        ),
    ]
}
