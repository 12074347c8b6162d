//! The token's form, its algorithm and its key.

use super::Right::{Accept, Refuse};
use super::{Case, Class, case};
use crate::keys::Keys;
use crate::post::{Post, with_a_blank_more};
use botgate::cli::demo::signing::{Algorithm, SigningKey};
use botgate::cli::demo::token::TokenSpec;
use botgate::judge::Reason;
use serde_json::{Value, json};

pub(super) fn cases(keys: &Keys) -> Vec<Case> {
    let mut cases = form(keys);
    cases.extend(algorithms(keys));
    cases.extend(signing_keys(keys));
    cases
}

fn form(keys: &Keys) -> Vec<Case> {
    let teams = || Post::teams(keys);
    let header = |rewrite: fn(String) -> Vec<u8>| {
        teams().token(move |mut token| {
            token.header_bytes = Some(rewrite(Value::Object(token.header.clone()).to_string()));
            token
        })
    };
    let mut cases = vec![
        (
            "a token whose header has no typ",
            teams().token(|t| t.without_header("typ")),
            Accept,
        ),
        (
            "cty in the token's header, as Microsoft once sent it",
            teams().token_header("cty", "JWT"),
            Accept,
        ),
        (
            "x5t of another key",
            teams().token_header("x5t", "another"),
            Accept,
        ),
        (
            "a claim that nobody knows",
            teams().claim("x", json!({"a": [1, null]})),
            Accept,
        ),
        (
            "a token of some 6 KB",
            teams().claim("filler", "x".repeat(4_000)),
            Accept,
        ),
        (
            "a token of some 12 KB",
            teams().claim("filler", "x".repeat(8_000)),
            Accept,
        ),
    ];
    let malformed = [
        (
            "a token of more than 16 KB",
            teams().claim("filler", "x".repeat(13_000)),
        ),
        (
            "a token of two segments",
            teams().rewritten(|t| t.rsplit_once('.').unwrap().0.to_owned()),
        ),
        (
            "a token of four segments",
            teams().rewritten(|t| t + ".e30"),
        ),
        (
            "a token of five segments",
            teams().rewritten(|t| t + ".e30.e30"),
        ),
        (
            "an empty header segment",
            teams().rewritten(|t| format!(".{}", t.split_once('.').unwrap().1)),
        ),
        ("a padded signature", teams().rewritten(|t| t + "==")),
        (
            "the alphabet of plain base64",
            teams().rewritten(|t| {
                let (message, signature) = t.rsplit_once('.').unwrap();
                let plain = signature.replace('-', "+").replace('_', "/");
                format!("{message}.{plain}")
            }),
        ),
        (
            "a blank within the token",
            teams().rewritten(|t| t.replacen('.', ". ", 1)),
        ),
        (
            "a token that is no token",
            teams().rewritten(|_| "x".repeat(64)),
        ),
        (
            "bits behind the end of the signature",
            teams().rewritten(|t| {
                // 256 bytes leave four bits of the last character unused, and they are zero.
                let (rest, last) = t.split_at(t.len() - 1);
                let also = ["AB", "QR", "gh", "wx"];
                let pair = also.iter().find(|pair| pair.starts_with(last)).unwrap();
                format!("{rest}{}", &pair[1..])
            }),
        ),
        (
            "crit in the token's header",
            teams()
                .token_header("crit", json!(["made-up"]))
                .token_header("made-up", 1),
        ),
        (
            "b64 in the token's header",
            teams()
                .token_header("b64", false)
                .token_header("crit", json!(["b64"])),
        ),
        (
            "alg twice in the token's header",
            header(|h| h.replacen('{', r#"{"alg":"none","#, 1).into_bytes()),
        ),
        (
            "kid twice in the token's header",
            header(|h| h.replacen('{', r#"{"kid":"x","#, 1).into_bytes()),
        ),
        (
            "a token's header with a byte-order mark",
            header(|h| format!("\u{feff}{h}").into_bytes()),
        ),
        (
            "a token's header with bytes behind it",
            header(|h| format!("{h}x").into_bytes()),
        ),
        (
            "aud twice, the valid one last",
            teams().payload(|p| p.replacen('{', r#"{"aud":"another","#, 1)),
        ),
        (
            "serviceurl twice, the valid one last",
            teams().payload(|p| p.replacen('{', r#"{"serviceurl":"https://thief.example/","#, 1)),
        ),
        (
            "exp twice, the valid one last",
            teams().payload(|p| p.replacen('{', r#"{"exp":1,"#, 1)),
        ),
        (
            "a token's payload that is a list",
            teams().payload(|_| "[]".to_owned()),
        ),
        (
            "a token's payload that is no JSON",
            teams().payload(|_| "{".to_owned()),
        ),
        (
            "NaN in the token's payload",
            teams().payload(|p| p.replacen('{', r#"{"x":NaN,"#, 1)),
        ),
    ];
    let malformed = malformed.into_iter();
    cases.extend(malformed.map(|(name, post)| (name, post, Refuse(Reason::TokenMalformed))));
    let cases = cases.into_iter();
    cases
        .map(|(name, post, right)| case(Class::TokenForm, name, post, right))
        .collect()
}

fn algorithms(keys: &Keys) -> Vec<Case> {
    let teams = || Post::teams(keys);
    let refused = Refuse(Reason::TokenAlgorithmRefused);
    let signed_as = |algorithm: Algorithm| teams().token(move |token| token.signed_as(algorithm));
    let class = Class::Algorithm;
    let mut cases = vec![
        case(
            class,
            "alg none, no signature",
            signed_as(Algorithm::None),
            refused,
        ),
        case(
            class,
            "HS256 with the public key (PEM) as secret",
            signed_as(Algorithm::Hs256WithPem),
            refused,
        ),
        case(
            class,
            "HS256 with the public key (DER) as secret",
            signed_as(Algorithm::Hs256WithDer),
            refused,
        ),
        case(class, "RS384", signed_as(Algorithm::Rs384), refused).rows(&[14]),
        case(class, "RS512", signed_as(Algorithm::Rs512), refused).rows(&[14]),
        case(class, "PS256", signed_as(Algorithm::Ps256), refused),
        case(class, "ES256", signed_as(Algorithm::Es256), refused),
        case(
            class,
            "no alg",
            teams().token(|t| t.without_header("alg")),
            refused,
        ),
        case(
            class,
            "RS512 behind a header that says RS256",
            teams().token(|mut token| {
                token.algorithm = Algorithm::Rs512;
                token
            }),
            Refuse(Reason::TokenSignatureInvalid),
        ),
    ];
    for alg in ["None", "rs256", "RS256 "] {
        cases.push(case(
            class,
            format!("rightly signed, and alg is {alg:?}"),
            teams().token_header("alg", alg),
            refused,
        ));
    }
    cases
}

fn signing_keys(keys: &Keys) -> Vec<Case> {
    let teams = || Post::teams(keys);
    let unknown = Refuse(Reason::TokenKeyUnknown);
    let invalid = Refuse(Reason::TokenSignatureInvalid);
    let malformed = Refuse(Reason::TokenMalformed);
    let class = Class::Key;
    let short = keys.token_by_a_short_key.clone();
    let mut cases = vec![
        case(
            class,
            "one bit of the signature flipped",
            teams().token(TokenSpec::with_a_bit_flipped),
            invalid,
        )
        .rows(&[34]),
        case(
            class,
            "an empty signature",
            teams().rewritten(|t| format!("{}.", t.rsplit_once('.').unwrap().0)),
            invalid,
        ),
        case(
            class,
            "another payload under the signature",
            teams().rewritten(|t| {
                let parts: Vec<_> = t.split('.').collect();
                format!("{}.{}.{}", parts[0], with_a_blank_more(parts[1]), parts[2])
            }),
            invalid,
        ),
        case(
            class,
            "signed with a key of the attacker's under a published kid",
            forged(keys),
            invalid,
        ),
        case(
            class,
            "no kid",
            teams().token(|t| t.without_header("kid")),
            malformed,
        )
        .rows(&[27]),
        case(
            class,
            "an empty kid",
            teams().token_header("kid", ""),
            malformed,
        ),
        case(
            class,
            "a kid that is a number",
            teams().token_header("kid", 1),
            malformed,
        ),
        case(
            class,
            "a kid that nobody publishes, rightly signed",
            teams().token_header("kid", "made-up"),
            unknown,
        )
        .rows(&[26]),
        case(
            class,
            "a kid in other letters",
            teams().token_header("kid", "CHANNEL-KEY"),
            unknown,
        ),
        case(
            class,
            "the kid of another published key",
            teams().token_header("kid", "direct-line-only"),
            invalid,
        ),
        case(
            class,
            "a channel token by Entra's key",
            teams().signed_by(&keys.entra),
            unknown,
        ),
        case(
            class,
            "a channel token by another cloud's key",
            teams().signed_by(&keys.gov),
            unknown,
        ),
        case(
            class,
            "a key published for encryption",
            teams().signed_by(&keys.for_encryption),
            unknown,
        ),
        case(
            class,
            "a published key of 1024 bits",
            teams().spelled(move |_| vec![format!("Bearer {short}")]),
            unknown,
        ),
    ];
    // What a naive verifier would follow to the attacker's key.
    let own = keys.attacker.named("attacker-key");
    let url = "https://thief.example/keys";
    for (name, value) in [
        ("jwk", Value::Object(own.jwk())),
        ("jku", json!(url)),
        ("x5u", json!(url)),
    ] {
        cases.push(case(
            class,
            format!("a forged token that brings its key as {name}"),
            forged(keys).token_header(name, value.clone()),
            invalid,
        ));
        cases.push(case(
            class,
            format!("a forged token that brings its key as {name}, under a kid of its own"),
            forged(keys)
                .token_header(name, value)
                .token_header("kid", own.kid()),
            unknown,
        ));
    }
    cases
}

fn forged(keys: &Keys) -> Post {
    let attacker: SigningKey = keys.attacker.clone();
    Post::teams(keys).token(move |token| token.forged_by(&attacker))
}
