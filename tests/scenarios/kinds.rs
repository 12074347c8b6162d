//! The kinds of token beside the channel's: the Emulator's, a calling bot's, the agent platform's. Each is a trust root of its own,
//! accepted only where the bot's configuration names it, and chosen by what is signed, never by what a body says.

mod agent;
mod clouds;
mod emulator;
mod issuers;
mod keys;
mod report;
mod roots;
mod skill;

use crate::matrix::cloud;
use crate::support::client::Post;
use crate::support::reply::no_token_is_told;
use crate::support::table::{Row, play};
use crate::support::{APP_ID, FOREIGN_TENANT, Gateway, TENANT};
use botgate::cli::demo::channel::{Channel, ENTRA_KEY_ISSUER};
use botgate::cli::demo::signing::SigningKey;
use botgate::cli::demo::token::TokenSpec;
use serde_json::{Value, json};

/// A bot that calls this one as a skill.
const PARENT: &str = "6a2b3c4d-1e2f-4a5b-8c6d-7e8f90a1b2c3";
/// A bot that nobody asked to call.
const STRANGER: &str = "7b3c4d5e-2f3a-4b6c-9d7e-8f90a1b2c3d4";
/// The platform that calls agents.
const PLATFORM: &str = "5a807f24-c9de-44ee-a3a7-329e88a00ffc";
/// Where the parent is answered.
const PARENTS_URL: &str = "https://parent.contoso.example/api/skills/";

/// The word for a kind, and a valid request of it.
type Kind = (&'static str, fn(&World) -> Post);

/// A gateway whose bots accept one kind each, or all of them.
struct World {
    gateway: Gateway,
    keys: Keys,
}

/// Keys that Entra publishes beside its first.
struct Keys {
    of_the_tenant: SigningKey,
    of_a_foreign_tenant: SigningKey,
    of_another_cloud: SigningKey,
    of_any_tenant_in_version_1: SigningKey,
    of_nobody_in_particular: SigningKey,
    /// One name, published by the channel and by Entra, with other numbers.
    shared: Shared,
    /// Published by nobody.
    forged: SigningKey,
}

struct Shared {
    by_the_channel: SigningKey,
    by_entra: SigningKey,
}

impl World {
    async fn start() -> Self {
        let channel = Channel::start().await.unwrap();
        let keys = Keys::published_by(&channel);
        let fragment = format!(
            "server.limits.requests_per_ip = {{ rate = '100000/s', burst = 100000 }}
            keys.unknown_key_refresh = '1h'\n{}",
            cloud("stand-in", "public", &channel),
        );
        let listed = format!("tenants.allow = ['{TENANT}']");
        let called = format!(
            "callers.allow = ['{}']\nservice_urls.extra_hosts = ['parent.contoso.example']",
            PARENT.to_uppercase()
        );
        let all = "accept = ['channel', 'emulator', 'skill', 'agent']";
        let gateway = Gateway::with(&fragment)
            .channel(&channel)
            .bot_at("emulator", &format!("accept = ['emulator']\n{listed}"))
            .bot_at("skill", &format!("accept = ['skill']\n{listed}\n{called}"))
            .bot_at("agent", &format!("accept = ['agent']\n{listed}"))
            .bot_at("all", &format!("{all}\n{listed}\n{called}"))
            .bot_at("emulator-anywhere", "accept = ['emulator']")
            .bot_at("skill-of-anyone", ANYONES_SKILL)
            .bot_at("skill-of-nobody", "accept = ['skill']")
            .bot_at("agent-of-nobody", "accept = ['agent']")
            .bot_at(
                "any-host",
                &format!("{all}\n{listed}\n{called}\nservice_urls.allow_hosts = 'any'"),
            )
            .bot_at(
                "reporting",
                &format!("{all}\n{listed}\n{called}\nmode = 'report'"),
            )
            .bot_at(
                "reporting-agent",
                &format!("accept = ['agent']\n{listed}\nmode = 'report'"),
            )
            .bot_at(
                "told",
                &format!("{all}\n{listed}\n{called}\nidentity_headers.enabled = true"),
            )
            .start()
            .await;
        Self { gateway, keys }
    }

    /// A token of the channel.
    fn channel(&self) -> Post {
        self.gateway.teams_message()
    }

    /// What the Emulator sends: a token issued to the bot itself.
    fn emulator(&self) -> Post {
        let post = self.gateway.teams_message().with("/channelId", "emulator");
        let post = post.with("/serviceUrl", "http://localhost:51234/");
        self.issued_to(post, TENANT, APP_ID)
    }

    /// What a bot sends that calls this one as a skill.
    fn skill(&self) -> Post {
        let post = self.gateway.teams_message();
        self.issued_to(post.with("/serviceUrl", PARENTS_URL), TENANT, PARENT)
    }

    /// What the platform sends that calls agents.
    fn agent(&self) -> Post {
        let post = self.gateway.teams_message();
        self.issued_to(post.with("/recipient", agentic()), TENANT, PLATFORM)
    }

    /// With an application's own token, version 2.
    fn issued_to(&self, post: Post, tenant: &'static str, caller: &'static str) -> Post {
        let channel = self.gateway.channel().clone();
        post.token(move |_| channel.entra_token(APP_ID, tenant, caller))
    }

    /// With another value in a claim.
    fn claiming(&self, post: Post, claim: &'static str, value: Value) -> Post {
        post.token(move |t| t.claim(claim, value))
    }
}

const ANYONES_SKILL: &str = "accept = ['skill']\ncallers.allow = ['*']\nservice_urls.extra_hosts = ['parent.contoso.example']";

/// The recipient of a message to an agent.
fn agentic() -> Value {
    json!({ "id": format!("28:{APP_ID}"), "role": "agenticUser", "tenantId": TENANT })
}

/// Signed by this key, which the header names.
fn signed_by(post: Post, key: &SigningKey) -> Post {
    let key = key.clone();
    post.token(move |t| t.signed_by(&key))
}

fn v1(token: TokenSpec) -> TokenSpec {
    token.in_version_1()
}

impl Keys {
    fn published_by(channel: &Channel) -> Self {
        // Making a pair takes as long as ten requests: two are enough for what has to be different numbers.
        let pair = SigningKey::generate("entra").unwrap();
        let own = channel.first_key();
        let published = |kid: &str, issuer: Option<&str>| {
            let key = pair.named(kid);
            channel.publish_in_entra(&key, issuer);
            key
        };
        let v2 = |tenant: &str| ENTRA_KEY_ISSUER.replace("{tenantid}", tenant);
        channel.publish(&own.named("shared"), Some(&["msteams"]));
        Self {
            of_the_tenant: published("of-the-tenant", Some(&v2(TENANT))),
            of_a_foreign_tenant: published("of-a-foreign-tenant", Some(&v2(FOREIGN_TENANT))),
            of_another_cloud: published(
                "of-another-cloud",
                Some("https://login.microsoftonline.us/{tenantid}/v2.0"),
            ),
            of_any_tenant_in_version_1: published(
                "in-version-1",
                Some("https://sts.windows.net/{tenantid}/"),
            ),
            of_nobody_in_particular: published("of-nobody", None),
            shared: Shared {
                by_the_channel: own.named("shared"),
                by_entra: published("shared", Some(ENTRA_KEY_ISSUER)),
            },
            forged: pair.named("forged"),
        }
    }
}

#[tokio::test]
async fn every_kind_is_held_to_its_own_rules() {
    let world = World::start().await;
    let rows: [Vec<Row>; 7] = [
        roots::rows(&world),
        issuers::rows(&world),
        emulator::rows(&world),
        skill::rows(&world),
        agent::rows(&world),
        keys::rows(&world),
        report::rows(&world),
    ];
    let replies = play(rows.into_iter().flatten().collect()).await;

    let gateway = &world.gateway;
    no_token_is_told(gateway, &replies);
    let channel = gateway.channel();
    let asked = channel.tenants_asked();
    assert!(
        asked.iter().all(|tenant| tenant == TENANT),
        "keys were fetched for tenants that are not listed: {asked:?}"
    );
    let fetches = channel.fetches();
    for count in [fetches.keys, fetches.entra_keys, fetches.tenant_keys] {
        assert!(
            (1..=3).contains(&count),
            "one fetch at start and two early ones are allowed, whatever keys are made up: {fetches:?}"
        );
    }
    assert!(gateway.terminate().await.success());
}

#[tokio::test]
async fn the_log_says_which_kind_came_from_whom_and_the_bot_is_told_the_proven_tenant() {
    let world = World::start().await;
    let v2 = format!("https://login.microsoftonline.com/{TENANT}/v2.0");
    let sts = format!("https://sts.windows.net/{TENANT}/");
    for (post, kind, caller, issuer) in [
        (
            world.channel(),
            "channel",
            None,
            "https://api.botframework.com",
        ),
        (world.emulator(), "emulator", Some(APP_ID), v2.as_str()),
        (world.skill(), "skill", Some(PARENT), &v2),
        (world.skill().token(v1), "skill", Some(PARENT), &sts),
        (world.agent(), "agent", Some(PLATFORM), &v2),
    ] {
        // The token's tenant, where there is one, whatever the body would have it be.
        let post = post
            .to("told")
            .lacking("/channelData")
            .header("x-botgate-tenant", FOREIGN_TENANT);
        let reply = post.send().await;
        let recorded = reply.forwarded().await;
        assert_eq!(recorded.header("x-botgate-tenant"), [TENANT], "{kind}");
        assert_eq!(recorded.header("x-botgate-app-id"), [APP_ID]);
        let line = reply.only_request_line().await;
        assert_eq!(line["token_kind"], kind, "{line}");
        assert_eq!(
            line.get("caller_app_id").and_then(Value::as_str),
            caller,
            "{line}"
        );
        assert_eq!(line["token_issuer"], issuer, "{line}");
        assert_eq!(line["tenant"], TENANT, "{line}");
    }
    // Who was refused is written down as well, and why.
    let post = world.skill().to("skill");
    let reply = world.issued_to(post, TENANT, STRANGER).send().await;
    let line = reply.only_request_line().await;
    assert_eq!(line["caller_app_id"], STRANGER, "{line}");
    assert_eq!(line["token_kind"], "skill", "{line}");
    let note = line["note"].as_str().unwrap();
    assert!(note.contains("bots.callers.allow"), "{note}");
}

#[tokio::test]
async fn the_emulator_is_let_in_where_others_can_connect_only_by_the_flag_that_names_the_danger() {
    const FLAG: &str = "--danger-accept-emulator-in-public";
    for public in [
        "server.listen = ['0.0.0.0:0']",
        "server.trusted_proxies = ['127.0.0.1/32']",
    ] {
        let setup = || Gateway::with(public).bot_at("emulator", "accept = ['emulator']");
        let failure = setup().try_start().await.map(|_| ());
        let failure = failure.expect_err("it is public");
        assert_eq!(failure.status.and_then(|s| s.code()), Some(78), "{failure}");
        let said = failure.output.stderr.join("\n");
        assert!(said.contains(FLAG), "{said}");

        let gateway = setup()
            .argument(FLAG)
            .argument("--allow-self-signed")
            .start()
            .await;
        let channel = gateway.channel().clone();
        let post = gateway
            .teams_message()
            .with("/channelId", "emulator")
            .with("/serviceUrl", "http://localhost:51234/")
            .token(move |_| channel.entra_token(APP_ID, TENANT, APP_ID));
        post.to("emulator").send().await.forwarded().await;
    }
}
