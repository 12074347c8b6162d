//! A bad token is answered 401. Where it cannot be told whether a token is good, the answer is 503 with `Retry-After`: a channel
//! delivers again after 503, and gives up after 401.

use crate::support::client::Post;
use crate::support::table::Expected::{self, Forwarded, Stranger};
use crate::support::table::{Row, play, row};
use crate::support::{Gateway, TENANT, new_channel};
use crate::tokens::until_readiness_is;
use botgate::cli::demo::channel::now;
use botgate::cli::demo::signing::{Algorithm, SigningKey};
use botgate::judge::Reason;

const OFTEN: &str = "keys.refresh = '50ms'";

/// What the gateway has to tell tokens by.
#[derive(Clone, Copy, Debug)]
enum Keys {
    /// The last fetch succeeded.
    Fresh,
    /// The last fetch failed; those of the one before serve.
    LastGood,
    /// There never were any.
    None,
    /// They are too old to be believed.
    Expired,
}

const STATES: [Keys; 4] = [Keys::Fresh, Keys::LastGood, Keys::None, Keys::Expired];

async fn gateway(keys: Keys) -> Gateway {
    let channel = new_channel().await;
    match keys {
        Keys::Fresh => Gateway::with("").channel(&channel).start().await,
        Keys::LastGood => {
            let gateway = Gateway::with(OFTEN).channel(&channel).start().await;
            channel.close().await;
            gateway.event("keys_refresh_failed", |_| true).await;
            gateway
        }
        Keys::None => {
            channel.close().await;
            let setup = Gateway::with(OFTEN).channel(&channel).not_ready();
            let gateway = setup.start().await;
            gateway.event("keys_refresh_failed", |_| true).await;
            gateway
        }
        Keys::Expired => {
            let setup = Gateway::with("keys = { refresh = '50ms', max_stale = '1s' }");
            let gateway = setup.channel(&channel).start().await;
            channel.close().await;
            until_readiness_is(&gateway, 503).await;
            gateway
        }
    }
}

/// Every row: a request, and what becomes of it in each state.
fn rows(gateway: &Gateway, other: &SigningKey) -> Vec<(&'static str, Post, [Expected; 4])> {
    use Reason::{
        KeysUnavailable, TokenAlgorithmRefused, TokenAudienceMismatch, TokenExpired,
        TokenIssuerUnknown, TokenKeyUnknown, TokenKindNotAccepted, TokenLifetimeInvalid,
        TokenMalformed, TokenMissing, TokenNotYetValid, TokenRepeated, TokenSchemeUnsupported,
        TokenSignatureInvalid,
    };
    const UNSURE: Expected = Stranger(KeysUnavailable);
    let post = || gateway.teams_message();
    let bad = |reason| [Stranger(reason); 4];
    let bad_if_keys_tell = |reason| [Stranger(reason), Stranger(reason), UNSURE, UNSURE];
    let (forger, signer) = (other.clone(), other.clone());
    let now = now();
    vec![
        // What only keys can tell.
        ("valid", post(), [Forwarded, Forwarded, UNSURE, UNSURE]),
        (
            "signed by another key under this name",
            post().token(move |t| t.forged_by(&forger)),
            bad_if_keys_tell(TokenSignatureInvalid),
        ),
        (
            "one bit of the signature turned over",
            post().token(|t| t.with_a_bit_flipped()),
            bad_if_keys_tell(TokenSignatureInvalid),
        ),
        (
            "well signed by a key that is not published",
            post().token(move |t| t.signed_by(&signer)),
            [Stranger(TokenKeyUnknown), UNSURE, UNSURE, UNSURE],
        ),
        // What is bad with any keys.
        ("no token", post().without_token(), bad(TokenMissing)),
        (
            "two tokens",
            post().authorization(&["Bearer a.b.c", "Bearer a.b.c"]),
            bad(TokenRepeated),
        ),
        (
            "another scheme",
            post().authorization(&["Basic dXNlcjpwYXNz"]),
            bad(TokenSchemeUnsupported),
        ),
        (
            "no token at all",
            post().authorization(&["Bearer a.b.c"]),
            bad(TokenMalformed),
        ),
        (
            "without kid",
            post().token(|t| t.without_header("kid")),
            bad(TokenMalformed),
        ),
        (
            "not signed",
            post().token(|t| t.signed_as(Algorithm::None)),
            bad(TokenAlgorithmRefused),
        ),
        (
            "HMAC with the public key",
            post().token(|t| t.signed_as(Algorithm::Hs256WithPem)),
            bad(TokenAlgorithmRefused),
        ),
        (
            "another issuer",
            post().token(|t| t.claim("iss", "https://evil.example")),
            bad(TokenIssuerUnknown),
        ),
        (
            "of Entra",
            post().token(|t| t.claim("iss", format!("https://sts.windows.net/{TENANT}/"))),
            bad(TokenKindNotAccepted),
        ),
        (
            "for another bot",
            post().for_app("00000000-0000-0000-0000-000000000000"),
            bad(TokenAudienceMismatch),
        ),
        (
            "expired",
            post().token(move |t| t.claim("nbf", now - 7200).claim("exp", now - 3600)),
            bad(TokenExpired),
        ),
        (
            "of tomorrow",
            post().token(move |t| t.claim("nbf", now + 3600).claim("exp", now + 7200)),
            bad(TokenNotYetValid),
        ),
        (
            "for ever",
            post().token(|t| t.claim("exp", 1_u64 << 40)),
            bad(TokenLifetimeInvalid),
        ),
    ]
}

#[tokio::test]
async fn a_bad_token_is_answered_401_and_one_that_cannot_be_told_503() {
    let other = SigningKey::generate("other").unwrap();
    for (number, keys) in STATES.into_iter().enumerate() {
        let gateway = gateway(keys).await;
        let rows = rows(&gateway, &other).into_iter();
        let rows: Vec<Row> = rows
            .map(|(name, post, expected)| row(format!("{keys:?}: {name}"), post, expected[number]))
            .collect();
        for reply in play(rows).await {
            assert!([200, 401, 503].contains(&reply.status));
            // 503 says when to come again, and challenges nobody; 401 the other way round.
            let says = |name| reply.header(name).is_some();
            assert_eq!(says("retry-after"), reply.status == 503);
            assert_eq!(says("www-authenticate"), reply.status == 401);
        }
    }
}
