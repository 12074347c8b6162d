//! The test matrix of AUTHENTICATION section 10, and the verdicts of its section 8, as one table.
//!
//! Every row is a valid request with one difference. What section 10 asks for and no row here does:
//!
//! | item | why not here |
//! | --- | --- |
//! | only one refresh per window; metadata down; stale keys; `jwks_uri` elsewhere; endorsement change | key sets that change: `tokens` |
//! | token `tid` other than the issuer's tenant; agentic with another `azp`; an agentic tenant that is not listed | they need bots that accept such tokens: `kinds`. That they are refused as a kind is a row here |
//! | an `X-Botgate-*` header of the client is removed | `policies`, beside the headers that take its place |
//! | chunked body over the limit, 429, the bot's 501 and 412, event streams | not about who is calling |

mod activity;
mod claims;
mod clouds;
mod endorsements;
mod explained;
mod http;
mod service_urls;
mod tenants;
mod token;

use crate::support::client::Post;
use crate::support::reply::no_token_is_told;
use crate::support::table::{Row, play};
use crate::support::{Gateway, TENANT};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use botgate::cli::demo::channel::{Channel, ENDORSED};
use botgate::cli::demo::signing::SigningKey;
use botgate::judge::BUILT_IN;
use serde_json::json;

/// The app id of a second bot on the same gateway.
const SECOND_APP_ID: &str = "b2a1c0d9-8e7f-4a6b-9c5d-4e3f2a1b0c9d";

/// A gateway with clouds like Microsoft's, a bot in each, and one that lets only [`TENANT`] in.
struct World {
    gateway: Gateway,
    gov: Channel,
    china: Channel,
    /// Trusted by nobody.
    attacker: Channel,
    keys: Keys,
}

/// Keys of the public cloud's channel, beside its first.
struct Keys {
    direct_line_only: SigningKey,
    without_endorsements: SigningKey,
    with_no_endorsement: SigningKey,
    for_the_app_service_extension: SigningKey,
    for_encryption: SigningKey,
    too_short: SigningKey,
}

impl World {
    async fn start() -> Self {
        let [public, gov, china, attacker] = [
            Channel::start().await.unwrap(),
            Channel::start().await.unwrap(),
            Channel::start().await.unwrap(),
            Channel::start().await.unwrap(),
        ];
        let keys = Keys::published_by(&public);
        gov.publish(&gov.first_key().named("gov-only"), Some(ENDORSED));
        let fragment = format!(
            "{}\n{}\n{}\n{}",
            "server.limits.requests_per_ip = { rate = '100000/s', burst = 100000 }
            keys.unknown_key_refresh = '1h'",
            cloud("stand-in", "public", &public),
            cloud("gov", "us-gov", &gov),
            cloud("cn", "china", &china),
        );
        let gateway = Gateway::with(&fragment)
            .channel(&public)
            .bot_at("second", &format!("app_id = '{SECOND_APP_ID}'"))
            .bot_at("gov", "cloud = 'gov'")
            .bot_at("china", "cloud = 'cn'")
            .bot_at("one-tenant", &format!("tenants.allow = ['{TENANT}']"))
            .bot_at("any-tenant", "tenants.required = true")
            .start()
            .await;
        Self {
            gateway,
            gov,
            china,
            attacker,
            keys,
        }
    }

    fn teams(&self) -> Post {
        self.gateway.teams_message()
    }
}

impl Keys {
    fn published_by(channel: &Channel) -> Self {
        // One pair of numbers under many names: making one takes as long as ten requests.
        let pair = SigningKey::generate("direct-line-only").unwrap();
        let published = |kid: &str, endorsements: Option<&[&str]>| {
            let key = pair.named(kid);
            channel.publish(&key, endorsements);
            key
        };
        let keys = Self {
            direct_line_only: published("direct-line-only", Some(&["directline", "webchat"])),
            without_endorsements: published("without-endorsements", None),
            with_no_endorsement: published("with-no-endorsement", Some(&[])),
            for_the_app_service_extension: published("for-ase", Some(&["AseChannel", "msteams"])),
            for_encryption: pair.named("for-encryption"),
            too_short: pair.named("too-short"),
        };
        let mut for_encryption = keys.for_encryption.jwk();
        for_encryption.insert("use".to_owned(), json!("enc"));
        channel.publish_raw(for_encryption.into());
        // The first half of a modulus is one of 1024 bits. Who signs does not matter: the key is not to be there.
        let mut too_short = keys.too_short.jwk();
        let modulus = URL_SAFE_NO_PAD.decode(too_short["n"].as_str().unwrap());
        let half = URL_SAFE_NO_PAD.encode(&modulus.unwrap()[..128]);
        too_short.insert("n".to_owned(), json!(half));
        channel.publish_raw(too_short.into());
        keys
    }
}

/// A cloud with the constants of a built-in one and the keys of a stand-in.
pub(crate) fn cloud(name: &str, like: &str, channel: &Channel) -> String {
    let built_in = BUILT_IN.iter().find(|cloud| cloud.name == like).unwrap();
    let cloud = built_in.to_cloud();
    channel.set_issuer(&cloud.channel_issuer);
    let mut toml: toml::Table = channel.cloud_toml(name).parse().unwrap();
    let table = &mut toml["clouds"][name];
    table["service_url_hosts"] = cloud.service_url_hosts.into();
    table["entra_issuers"] = cloud.entra_issuers.into();
    toml.to_string()
}

fn rows(world: &World) -> Vec<Row> {
    let rows = [
        http::rows(world),
        token::rows(world),
        claims::rows(world),
        clouds::rows(world),
        activity::rows(world),
        endorsements::rows(world),
        service_urls::rows(world),
        tenants::rows(world),
    ];
    rows.into_iter().flatten().collect()
}

#[tokio::test]
async fn the_matrix_of_the_specification_holds() {
    let world = World::start().await;
    let replies = play(rows(&world)).await;

    let gateway = &world.gateway;
    no_token_is_told(gateway, &replies);
    assert_eq!(
        world.attacker.fetches(),
        <_>::default(),
        "nothing is fetched from where a token's header says"
    );
    gateway
        .event("key_skipped", |line| {
            line["why"].as_str().unwrap().contains("1024 bits")
        })
        .await;
    let fetches = gateway.channel().fetches().keys;
    assert!(
        fetches <= 3,
        "{fetches} fetches: one at start and two early ones are allowed, however many key ids are made up"
    );
    assert!(gateway.terminate().await.success());
    no_token_is_told(gateway, &replies);
}
