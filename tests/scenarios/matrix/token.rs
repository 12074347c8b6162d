//! The `Authorization` header, the token's form, its algorithm and its key.

use super::World;
use crate::support::client::Post;
use crate::support::table::Expected::{Forwarded, Stranger};
use crate::support::table::{Row, row};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use botgate::cli::demo::signing::{Algorithm, SigningKey};
use botgate::cli::demo::token::TokenSpec;
use botgate::judge::Reason;
use serde_json::{Value, json};

pub(super) fn rows(world: &World) -> Vec<Row> {
    [
        authorization(world),
        segments(world),
        header(world),
        algorithms(world),
        keys(world),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The header around the token.
fn authorization(world: &World) -> Vec<Row> {
    let teams = || world.teams();
    let spelled = |spelling: fn(String) -> String| teams().spelled(move |t| vec![spelling(t)]);
    vec![
        row(
            "no Authorization",
            teams().without_token(),
            Stranger(Reason::TokenMissing),
        ),
        row(
            "two Authorization headers, the same",
            teams().spelled(|t| vec![format!("Bearer {t}"), format!("Bearer {t}")]),
            Stranger(Reason::TokenRepeated),
        ),
        row(
            "two Authorization headers, the valid one last",
            teams().spelled(|t| vec!["Basic eDp5".to_owned(), format!("Bearer {t}")]),
            Stranger(Reason::TokenRepeated),
        ),
        row(
            "two tokens in one header",
            spelled(|t| format!("Bearer {t}, Bearer {t}")),
            Stranger(Reason::TokenMalformed),
        ),
        row(
            "Basic",
            teams().authorization(&["Basic dXNlcjpwYXNzd29yZA=="]),
            Stranger(Reason::TokenSchemeUnsupported),
        ),
        row(
            "an empty Authorization",
            teams().authorization(&[""]),
            Stranger(Reason::TokenSchemeUnsupported),
        ),
        row(
            "the token without a scheme",
            spelled(|t| t),
            Stranger(Reason::TokenSchemeUnsupported),
        ),
        row(
            "a tab between scheme and token",
            spelled(|t| format!("Bearer\t{t}")),
            Stranger(Reason::TokenSchemeUnsupported),
        ),
        row(
            "Bearer alone",
            teams().authorization(&["Bearer"]),
            Stranger(Reason::TokenMalformed),
        ),
        row(
            "bearer in lower case",
            spelled(|t| format!("bearer {t}")),
            Forwarded,
        ),
        row(
            "two spaces after Bearer",
            spelled(|t| format!("Bearer  {t}")),
            Forwarded,
        ),
    ]
}

/// The three segments.
fn segments(world: &World) -> Vec<Row> {
    let rewritten = |name: &str, rewrite: fn(String) -> String| {
        let post = world
            .teams()
            .spelled(move |t| vec![format!("Bearer {}", rewrite(t))]);
        row(name, post, Stranger(Reason::TokenMalformed))
    };
    vec![
        rewritten("two segments", |t| t.rsplit_once('.').unwrap().0.to_owned()),
        rewritten("four segments", |t| t + ".e30"),
        rewritten("five segments", |t| t + ".e30.e30"),
        rewritten("an empty first segment", |t| {
            format!(".{}", t.split_once('.').unwrap().1)
        }),
        rewritten("a padded signature", |t| t + "=="),
        rewritten("a padded header", |t| t.replacen('.', "=.", 1)),
        rewritten("the alphabet of plain base64", |t| {
            let plain = t.replace('-', "+").replace('_', "/");
            if plain == t { t + "+" } else { plain }
        }),
        rewritten("bits behind the end of the signature", |t| {
            // 256 bytes leave four bits of the last character unused, and they are zero.
            let (rest, last) = t.split_at(t.len() - 1);
            let also = ["AB", "QR", "gh", "wx"];
            let pair = also.iter().find(|pair| pair.starts_with(last)).unwrap();
            format!("{rest}{}", &pair[1..])
        }),
        rewritten("a blank within the token", |t| t.replacen('.', ". ", 1)),
        rewritten("a token that is no token", |_| "x".repeat(64)),
        row(
            "a token of more than 16 KiB",
            filled(world, 13_000),
            Stranger(Reason::TokenMalformed),
        ),
        row("a token of some 15 KiB", filled(world, 10_000), Forwarded),
    ]
}

fn filled(world: &World, bytes: usize) -> Post {
    let post = world.teams();
    post.token(move |t| t.claim("filler", "x".repeat(bytes)))
}

/// The token's own header.
fn header(world: &World) -> Vec<Row> {
    let token = |change: fn(TokenSpec) -> TokenSpec| world.teams().token(change);
    let header_bytes = |rewrite: fn(String) -> Vec<u8>| {
        world.teams().token(move |mut t| {
            t.header_bytes = Some(rewrite(Value::Object(t.header.clone()).to_string()));
            t
        })
    };
    let mut rows = vec![
        row("no typ", token(|t| t.without_header("typ")), Forwarded),
        row(
            "cty, as Microsoft once sent it",
            token(|t| t.header("cty", "JWT")),
            Forwarded,
        ),
        row(
            "x5t of another key",
            token(|t| t.header("x5t", "another")),
            Forwarded,
        ),
    ];
    for (name, post) in [
        ("no kid", token(|t| t.without_header("kid"))),
        ("an empty kid", token(|t| t.header("kid", ""))),
        ("a kid that is a number", token(|t| t.header("kid", 1))),
        (
            "a kid of 257 bytes",
            token(|t| t.header("kid", "k".repeat(257))),
        ),
        ("crit", token(|t| t.header("crit", json!(["exp"])))),
        ("an empty crit", token(|t| t.header("crit", json!([])))),
        ("b64", token(|t| t.header("b64", false))),
        (
            "two kids in the header",
            header_bytes(|h| h.replacen('{', r#"{"kid":"x","#, 1).into_bytes()),
        ),
        (
            "two algs in the header",
            header_bytes(|h| h.replacen('{', r#"{"alg":"none","#, 1).into_bytes()),
        ),
        (
            "alg twice, once escaped",
            header_bytes(|h| h.replacen('{', r#"{"\u0061lg":"none","#, 1).into_bytes()),
        ),
        (
            "a header that is a list",
            header_bytes(|h| format!("[{h}]").into_bytes()),
        ),
        (
            "a header with bytes behind it",
            header_bytes(|h| format!("{h}x").into_bytes()),
        ),
        (
            "a header with a byte-order mark",
            header_bytes(|h| format!("\u{feff}{h}").into_bytes()),
        ),
        (
            "a header that is not UTF-8",
            header_bytes(|h| [h.trim_end_matches('}').as_bytes(), b",\"x\":\"\xff\"}"].concat()),
        ),
    ] {
        rows.push(row(name, post, Stranger(Reason::TokenMalformed)));
    }
    rows
}

/// Signed in every way but the one.
fn algorithms(world: &World) -> Vec<Row> {
    let mut rows = Vec::new();
    for algorithm in [
        Algorithm::None,
        Algorithm::Hs256WithPem,
        Algorithm::Hs256WithDer,
        Algorithm::Rs384,
        Algorithm::Rs512,
        Algorithm::Ps256,
        Algorithm::Es256,
    ] {
        rows.push(row(
            format!("signed with {algorithm:?}"),
            world.teams().token(move |t| t.signed_as(algorithm)),
            Stranger(Reason::TokenAlgorithmRefused),
        ));
        let signature_only = world.teams().token(move |mut t| {
            t.algorithm = algorithm;
            t
        });
        rows.push(row(
            format!("signed with {algorithm:?}, and the header says RS256"),
            signature_only,
            Stranger(Reason::TokenSignatureInvalid),
        ));
    }
    for alg in [
        json!("none"),
        json!("None"),
        json!("rs256"),
        json!("RS256 "),
        json!(""),
        json!(["RS256"]),
        json!(256),
        json!(null),
    ] {
        rows.push(row(
            format!("rightly signed, and alg is {alg}"),
            world.teams().token(move |t| t.header("alg", alg)),
            Stranger(Reason::TokenAlgorithmRefused),
        ));
    }
    rows.push(row(
        "no alg",
        world.teams().token(|t| t.without_header("alg")),
        Stranger(Reason::TokenAlgorithmRefused),
    ));
    rows
}

/// Keys that are not the channel's, or not what they are said to be.
fn keys(world: &World) -> Vec<Row> {
    let unknown = Stranger(Reason::TokenKeyUnknown);
    let invalid = Stranger(Reason::TokenSignatureInvalid);
    let mut rows = vec![
        row(
            "one bit of the signature flipped",
            world.teams().token(TokenSpec::with_a_bit_flipped),
            invalid,
        ),
        row(
            "an empty signature",
            world.teams().spelled(|t| {
                let (message, _) = t.rsplit_once('.').unwrap();
                vec![format!("Bearer {message}.")]
            }),
            invalid,
        ),
        row(
            "another payload under the signature",
            world.teams().spelled(|t| {
                let parts: Vec<_> = t.split('.').collect();
                // A trailing blank is as good as any other change, and still JSON.
                let payload = base64_of_a_blank_more(parts[1]);
                vec![format!("Bearer {}.{payload}.{}", parts[0], parts[2])]
            }),
            invalid,
        ),
        row(
            "a kid that nobody publishes",
            world.teams().token(|t| t.header("kid", "made-up")),
            unknown,
        ),
        row(
            "a kid in other letters",
            world
                .teams()
                .token(|t| t.header("kid", "STAND-IN-CHANNEL-KEY-1")),
            unknown,
        ),
        row(
            "a kid that is a path",
            world
                .teams()
                .token(|t| t.header("kid", "../../../../etc/passwd")),
            unknown,
        ),
        row(
            "the kid of another published key",
            world.teams().token(|t| t.header("kid", "direct-line-only")),
            invalid,
        ),
        row(
            "a key published for encryption",
            signed_by(world, &world.keys.for_encryption),
            unknown,
        ),
        row(
            "a key of 1024 bits",
            signed_by(world, &world.keys.too_short),
            unknown,
        ),
        row(
            "a key of another cloud, under the kid that both clouds have",
            signed_by(world, world.gov.first_key()),
            invalid,
        ),
        row(
            "a key of another cloud, under its own kid",
            signed_by(world, &world.gov.first_key().named("gov-only")),
            unknown,
        ),
    ];
    // What a naive verifier would follow to the attacker's key.
    let attacker = &world.attacker;
    let own = attacker.first_key().named("attacker");
    let url = format!("{}/v1/.well-known/keys", attacker.origin());
    for (name, value) in [
        ("jwk", Value::Object(own.jwk())),
        ("jku", json!(url)),
        ("x5u", json!(url)),
        ("x5c", json!(["MIIB"])),
    ] {
        let forged = |key: SigningKey, value: Value| {
            let post = world.teams();
            post.token(move |t| t.forged_by(&key).header(name, value))
        };
        let own_kid = forged(own.clone(), value.clone()).token(|t| t.header("kid", "attacker"));
        rows.push(row(
            format!("a forged token that brings its key as {name}"),
            forged(own.clone(), value),
            invalid,
        ));
        rows.push(row(
            format!("a forged token that brings its key as {name} under a kid of its own"),
            own_kid,
            unknown,
        ));
    }
    rows
}

fn signed_by(world: &World, key: &SigningKey) -> Post {
    let key = key.clone();
    world.teams().token(move |t| t.signed_by(&key))
}

fn base64_of_a_blank_more(segment: &str) -> String {
    let mut bytes = URL_SAFE_NO_PAD.decode(segment).unwrap();
    bytes.push(b' ');
    URL_SAFE_NO_PAD.encode(bytes)
}
