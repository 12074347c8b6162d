//! What the token says: who made it, for whom, and when.

use super::Right::{self, Accept, Refuse};
use super::{Case, Class, case};
use crate::keys::Keys;
use crate::post::Post;
use crate::stage::microsoft::{APP_ID, TENANT};
use botgate::judge::Reason;
use serde_json::{Value, json};

pub(super) fn cases(keys: &Keys) -> Vec<Case> {
    let mut cases = issuer(keys);
    cases.extend(audience(keys));
    cases.extend(time(keys));
    cases
}

fn issuer(keys: &Keys) -> Vec<Case> {
    let teams = || Post::teams(keys);
    let unknown = Refuse(Reason::TokenIssuerUnknown);
    let other_kind = Refuse(Reason::TokenKindNotAccepted);
    let gov = || {
        teams()
            .signed_by(&keys.gov)
            .claim("iss", "https://api.botframework.us")
    };
    let cases: Vec<(&str, Value, Right)> = vec![
        (
            "iss with a slash at the end",
            json!("https://api.botframework.com/"),
            unknown,
        ),
        (
            "iss in other letters",
            json!("https://API.botframework.com"),
            unknown,
        ),
        (
            "iss with http",
            json!("http://api.botframework.com"),
            unknown,
        ),
        (
            "iss of a host that only begins so",
            json!("https://api.botframework.com.thief.example"),
            unknown,
        ),
        (
            "iss of another host",
            json!("https://thief.example"),
            unknown,
        ),
        (
            "iss of the US Government's cloud, by the public key",
            json!("https://api.botframework.us"),
            unknown,
        ),
        (
            "iss of China's cloud, by the public key",
            json!("https://api.botframework.azure.cn"),
            unknown,
        ),
        (
            "iss in a list",
            json!(["https://api.botframework.com"]),
            unknown,
        ),
        ("iss null", json!(null), unknown),
        (
            "iss of Entra, by the Connector's key",
            json!(format!("https://sts.windows.net/{TENANT}/")),
            other_kind,
        ),
    ];
    let mut cases: Vec<_> = cases
        .into_iter()
        .map(|(name, iss, right)| case(Class::Issuer, name, teams().claim("iss", iss), right))
        .collect();
    cases.push(case(
        Class::Issuer,
        "no iss",
        teams().without_claim("iss"),
        unknown,
    ));
    cases.push(
        case(
            Class::Issuer,
            "a valid token of the US Government's cloud",
            gov(),
            unknown,
        )
        .rows(&[29]),
    );
    cases
}

fn audience(keys: &Keys) -> Vec<Case> {
    let class = Class::Audience;
    let mismatch = Refuse(Reason::TokenAudienceMismatch);
    let of = |name: &str, aud: Value, right: Right| {
        case(class, name, Post::teams(keys).claim("aud", aud), right)
    };
    let another = "b2a1c0d9-8e7f-4a6b-9c5d-4e3f2a1b0c9d";
    vec![
        of("aud in upper case", json!(APP_ID.to_uppercase()), Accept).rows(&[16]),
        of("aud as a list of one", json!([APP_ID]), Accept).rows(&[15]),
        of("aud as a list of two", json!([APP_ID, another]), mismatch).rows(&[15]),
        of("aud of another bot", json!(another), mismatch),
        of(
            "aud api://{app id}",
            json!(format!("api://{APP_ID}")),
            mismatch,
        )
        .rows(&[17]),
        of(
            "aud api://botid-{app id}",
            json!(format!("api://botid-{APP_ID}")),
            mismatch,
        )
        .rows(&[17]),
        of(
            "aud of the Connector",
            json!("https://api.botframework.com"),
            mismatch,
        )
        .rows(&[18]),
        of(
            "aud of the Connector beside the bot",
            json!([APP_ID, "https://api.botframework.com"]),
            mismatch,
        )
        .rows(&[18]),
        of("aud with a blank", json!(format!("{APP_ID} ")), mismatch),
        of("aud empty", json!(""), mismatch),
        of("aud null", json!(null), mismatch),
        of("aud an empty list", json!([]), mismatch),
        of("aud a number", json!(0), mismatch),
        case(
            class,
            "no aud",
            Post::teams(keys).without_claim("aud"),
            mismatch,
        ),
    ]
}

/// Not to the second, which is what the gateway's own scenarios are about: two bots and a gateway have to be asked first.
fn time(keys: &Keys) -> Vec<Case> {
    let class = Class::Time;
    let teams = || Post::teams(keys);
    let expired = Refuse(Reason::TokenExpired);
    let early = Refuse(Reason::TokenNotYetValid);
    let invalid = Refuse(Reason::TokenLifetimeInvalid);
    // Expired tokens began long enough ago to have lived for an hour.
    let expired_by = |seconds: i64| {
        teams()
            .claim_at("nbf", -3600 - seconds)
            .claim_at("exp", -seconds)
    };
    let begins_in = |seconds: i64| {
        teams()
            .claim_at("nbf", seconds)
            .claim_at("exp", seconds + 3600)
    };
    let text = |name: &'static str, value: &'static str| {
        teams()
            .without_claim(name)
            .payload(move |payload| payload.replacen('{', &format!(r#"{{"{name}":{value},"#), 1))
    };
    vec![
        case(
            class,
            "expired within the clock skew of 300 s",
            expired_by(280),
            Accept,
        )
        .rows(&[33]),
        case(
            class,
            "expired by just more than 300 s",
            expired_by(301),
            expired,
        )
        .rows(&[33]),
        case(class, "expired a day ago", expired_by(24 * 3600), expired),
        case(class, "begins in 200 s", begins_in(200), Accept).rows(&[35]),
        case(class, "begins in an hour", begins_in(3600), early),
        case(
            class,
            "iat an hour ahead",
            teams().claim_at("iat", 3600),
            early,
        ),
        case(class, "no exp", teams().without_claim("exp"), invalid).rows(&[13]),
        case(class, "no nbf", teams().without_claim("nbf"), invalid),
        case(
            class,
            "neither exp nor nbf",
            teams().without_claim("exp").without_claim("nbf"),
            invalid,
        ),
        case(
            class,
            "exp null",
            teams().claim("exp", json!(null)),
            invalid,
        ),
        case(class, "exp as text", text("exp", "\"4102444800\""), invalid),
        case(class, "nbf as text", text("nbf", "\"1\""), invalid),
        case(class, "exp true", teams().claim("exp", true), invalid),
        case(
            class,
            "exp a century ahead",
            teams().claim_at("exp", 100 * 365 * 24 * 3600),
            invalid,
        ),
        case(
            class,
            "exp before nbf",
            teams().claim_at("nbf", 200).claim_at("exp", 100),
            invalid,
        ),
        case(class, "exp negative", teams().claim("exp", -1), invalid),
        case(
            class,
            "exp 1e309",
            text("exp", "1e309"),
            Refuse(Reason::TokenMalformed),
        ),
        case(class, "exp 1e300", text("exp", "1e300"), invalid),
    ]
}
