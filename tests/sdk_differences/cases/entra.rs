//! Tokens of Entra where only the channel's are accepted: of the Emulator, of skills, of agents, of users.

use super::Right::Refuse;
use super::{Case, Class, case};
use crate::keys::Keys;
use crate::post::Post;
use crate::stage::microsoft::{AGENT_PLATFORM, APP_ID, KNOWN_APP, TENANT};
use botgate::judge::Reason;
use serde_json::json;

/// The tenant of Microsoft in which multi-tenant bots get their tokens (AUTHENTICATION.md 1.1.4).
const BOT_FRAMEWORK: &str = "d6d49420-f39b-4df7-a1dc-d59a935871db";
const FOREIGN: &str = "8c1f2e3d-4b5a-4968-8776-5a4b3c2d1e0f";
/// An app that the bot's tenant does not know.
const FOREIGN_APP: &str = "c3b2a1d0-7f6e-4b5a-8d4c-3e2f1a0b9c8d";

pub(super) fn cases(keys: &Keys) -> Vec<Case> {
    let refused = Refuse(Reason::TokenKindNotAccepted);
    let v1 = |tenant: &str, app: &str| {
        of_entra(keys, &format!("https://sts.windows.net/{tenant}/"), tenant)
            .claim("ver", "1.0")
            .claim("appid", app)
    };
    let v2 = |tenant: &str, app: &str| {
        let issuer = format!("https://login.microsoftonline.com/{tenant}/v2.0");
        of_entra(keys, &issuer, tenant)
            .claim("ver", "2.0")
            .claim("azp", app)
    };
    let thief = "https://thief.example/";
    let cases = [
        (
            "the Emulator's token, v1",
            v1(BOT_FRAMEWORK, APP_ID),
            &[19][..],
        ),
        ("the Emulator's token, v2", v2(BOT_FRAMEWORK, APP_ID), &[19]),
        (
            "the Emulator's token of the bot's own tenant",
            v2(TENANT, APP_ID),
            &[19],
        ),
        (
            "the Emulator's token, with a service URL of the caller's choice",
            v1(BOT_FRAMEWORK, APP_ID).with("/serviceUrl", thief),
            &[19],
        ),
        (
            "a token that the bot got for Graph",
            v1(BOT_FRAMEWORK, APP_ID).claim("aud", "https://graph.microsoft.com"),
            &[19],
        ),
        (
            "a token that the bot got for the Connector",
            v1(BOT_FRAMEWORK, APP_ID).claim("aud", "https://api.botframework.com"),
            &[19],
        ),
        (
            "a user's access token for the bot, of the bot's tenant",
            v2(TENANT, KNOWN_APP)
                .claim("scp", "access_as_user")
                .claim("idtyp", "user"),
            &[],
        ),
        (
            "a user's id token for the bot",
            of_entra(
                keys,
                &format!("https://login.microsoftonline.com/{TENANT}/v2.0"),
                TENANT,
            )
            .claim("ver", "2.0")
            .claim("name", "Ada Example"),
            &[],
        ),
        (
            "a user's id token for the bot, of any tenant",
            of_entra(
                keys,
                &format!("https://login.microsoftonline.com/{FOREIGN}/v2.0"),
                FOREIGN,
            )
            .claim("ver", "2.0")
            .claim("name", "Ada Example"),
            &[20],
        ),
        (
            "an app's token for the bot, of any tenant, v1",
            v1(FOREIGN, KNOWN_APP),
            &[20],
        ),
        (
            "an app's token for the bot, of any tenant, v2",
            v2(FOREIGN, KNOWN_APP),
            &[20],
        ),
        (
            "a token of any tenant, of an app that the bot's tenant does not know",
            v2(FOREIGN, FOREIGN_APP),
            &[20],
        ),
        (
            "an app's token of any tenant, with a service URL of the caller's choice",
            v2(FOREIGN, KNOWN_APP).with("/serviceUrl", thief),
            &[20],
        ),
        (
            "a skill's token, where no callers are allowed",
            v2(TENANT, KNOWN_APP),
            &[22],
        ),
        (
            "a skill's token of Microsoft's tenant",
            v1(BOT_FRAMEWORK, KNOWN_APP),
            &[22],
        ),
        (
            "a token whose tid and iss name two tenants",
            v2(BOT_FRAMEWORK, APP_ID).claim("tid", FOREIGN),
            &[28],
        ),
        (
            "a token without tid",
            v2(BOT_FRAMEWORK, APP_ID).without_claim("tid"),
            &[28],
        ),
        ("an agent platform's token", v2(TENANT, AGENT_PLATFORM), &[]),
        (
            "an agent platform's token of any tenant",
            v2(FOREIGN, AGENT_PLATFORM),
            &[],
        ),
        (
            "an agent platform's token for api://{app id}",
            v2(TENANT, AGENT_PLATFORM).claim("aud", format!("api://{APP_ID}")),
            &[17],
        ),
        (
            "an Entra token and the App Service Extension's channel",
            v1(BOT_FRAMEWORK, APP_ID).with("/channelId", "AseChannel"),
            &[21],
        ),
        (
            "an Entra token that expired",
            v1(BOT_FRAMEWORK, APP_ID)
                .claim_at("nbf", -7200)
                .claim_at("exp", -3600),
            &[],
        ),
        (
            "an Entra token without ver",
            v1(BOT_FRAMEWORK, APP_ID).without_claim("ver"),
            &[],
        ),
        (
            "an Entra token of another client",
            v1(BOT_FRAMEWORK, KNOWN_APP).claim("aud", KNOWN_APP),
            &[],
        ),
        (
            "an Entra token by a key of the attacker's",
            v1(BOT_FRAMEWORK, APP_ID).signed_by(&keys.attacker),
            &[],
        ),
        (
            "an Entra token signed with a flipped bit",
            v1(BOT_FRAMEWORK, APP_ID)
                .token(botgate::cli::demo::token::TokenSpec::with_a_bit_flipped),
            &[],
        ),
    ];
    cases
        .into_iter()
        .map(|(name, post, rows)| case(Class::OtherKind, name, post, refused).rows(rows))
        .collect()
}

/// A Teams message with a token of Entra for the bot, without the claims that tell whose it is.
fn of_entra(keys: &Keys, issuer: &str, tenant: &str) -> Post {
    Post::teams(keys)
        .signed_by(&keys.entra)
        .without_claim("serviceurl")
        .claim("iss", issuer)
        .claim("tid", json!(tenant))
        .claim_at("iat", 0)
}
