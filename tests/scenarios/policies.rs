//! What an operator writes under a bot: who may come in, how a refusal looks, what is only reported.

use crate::support::client::Post;
use crate::support::table::Expected::{Forwarded, Proven, Quietly, Stranger, WouldReject};
use crate::support::table::{Row, play, row};
use crate::support::{APP_ID, FOREIGN_TENANT, Gateway, TENANT};
use botgate::cli::demo::channel::Channel;
use botgate::cli::demo::signing::SigningKey;
use botgate::judge::Reason;
use serde_json::json;

const TEAMS: &str = "https://smba.trafficmanager.net/emea/";

impl Gateway {
    /// A Teams message of a tenant that no list here names.
    fn foreign_message(&self) -> Post {
        foreign(self.teams_message())
    }

    fn direct_line_message(&self) -> Post {
        self.post("direct-line-message.json")
    }

    fn invoke(&self, name: &str) -> Post {
        self.post("teams-invoke.json").with("/name", name)
    }
}

fn foreign(post: Post) -> Post {
    let post = post.with("/serviceUrl", TEAMS);
    let tenant = json!({ "tenant": { "id": FOREIGN_TENANT } });
    post.with("/channelData", tenant)
        .lacking("/conversation/tenantId")
}

#[tokio::test]
async fn a_foreign_tenant_can_be_answered_as_if_handled() {
    let settings = format!("tenants = {{ allow = ['{TENANT}'], on_reject = '200' }}");
    let gateway = Gateway::with(&format!("bots.{settings}")).start().await;
    let quietly = Quietly(Reason::TenantNotAllowed);
    let expecting = |post: Post| post.with("/deliveryMode", "expectReplies");
    let empty = play(vec![
        row("a message", gateway.foreign_message(), quietly),
        row(
            "a message over HTTP/2",
            gateway.foreign_message().over_http2(),
            quietly,
        ),
        row(
            "a conversation update",
            gateway
                .post("teams-conversation-update.json")
                .with("/channelData/tenant/id", FOREIGN_TENANT),
            quietly,
        ),
        row(
            "a message of no tenant",
            gateway.foreign_message().lacking("/channelData"),
            Quietly(Reason::TenantMissing),
        ),
        row(
            "a message of a tenant that is no GUID",
            gateway
                .foreign_message()
                .with("/conversation/tenantId", "contoso.example"),
            Quietly(Reason::TenantMalformed),
        ),
    ]);
    for reply in empty.await {
        assert_eq!(reply.body, "", "an empty answer, as bots give");
    }
    let replies = play(vec![row(
        "a message that expects replies",
        expecting(gateway.foreign_message()),
        quietly,
    )]);
    for reply in replies.await {
        assert_eq!(reply.json(), json!({ "activities": [] }));
        assert_eq!(reply.header("content-type"), Some("application/json"));
    }
    play(vec![
        row(
            "a message of the tenant",
            gateway.teams_message(),
            Forwarded,
        ),
        // Its client waits for an answer, and shows an error if there is none.
        row(
            "an invoke",
            foreign(gateway.invoke("task/fetch")),
            Proven(Reason::TenantNotAllowed),
        ),
        row(
            "an invoke that expects replies",
            expecting(foreign(gateway.invoke("task/fetch"))),
            Proven(Reason::TenantNotAllowed),
        ),
        // What is no matter of tenants is refused as ever.
        row(
            "a channel that the key does not speak for",
            gateway.foreign_message().with("/channelId", "slack"),
            Proven(Reason::ChannelNotEndorsed),
        ),
        row(
            "no token",
            gateway.foreign_message().without_token(),
            Stranger(Reason::TokenMissing),
        ),
    ])
    .await;
}

/// One request against each policy, with the reason of its refusal.
fn offences(gateway: &Gateway) -> Vec<(&'static str, Post, Reason)> {
    vec![
        (
            "tenants",
            gateway.foreign_message(),
            Reason::TenantNotAllowed,
        ),
        (
            "channels",
            gateway.post("email-message.json"),
            Reason::ChannelNotAllowed,
        ),
        (
            "activities",
            gateway.teams_message().with("/type", "typing"),
            Reason::ActivityTypeNotAllowed,
        ),
        (
            "activities",
            gateway.invoke("signin/verifyState"),
            Reason::InvokeNotAllowed,
        ),
        (
            "service_urls",
            gateway
                .teams_message()
                .with("/serviceUrl", "https://elsewhere.example/"),
            Reason::ServiceUrlNotAllowed,
        ),
        (
            "direct_line",
            gateway.direct_line_message().with("/from/id", "someone"),
            Reason::UserIdNotTrusted,
        ),
    ]
}

/// A bot that refuses all [`offences`], with a mode for some.
fn strict(modes: &str) -> String {
    format!(
        "tenants.allow = ['{TENANT}']
        channels.allow = ['msteams', 'directline']
        activities.allow = ['message', 'invoke']
        activities.deny_invoke = ['signin/verifyState']
        direct_line.enhanced_authentication = true
        {modes}"
    )
}

/// Those with a mode of their own; the others have the bot's. (That of `rate_limits` is for whoever tests limits.)
const POLICIES: [&str; 4] = ["tenants", "channels", "activities", "service_urls"];

#[tokio::test]
async fn report_mode_softens_policies_all_of_them_or_one() {
    let mut setup = Gateway::with("")
        .bot_at("enforcing", &strict(""))
        .bot_at("reporting", &strict("mode = 'report'"));
    for policy in POLICIES {
        let only = strict(&format!("{policy}.mode = 'report'"));
        let but = strict(&format!("mode = 'report'\n{policy}.mode = 'enforce'"));
        setup = setup
            .bot_at(&format!("reporting-{policy}"), &only)
            .bot_at(&format!("enforcing-{policy}"), &but);
    }
    let gateway = setup.start().await;
    let mut rows = Vec::new();
    let mut send = |bot: &str, expected: &dyn Fn(&str, Reason) -> _| {
        for (policy, post, reason) in offences(&gateway) {
            let name = format!("{} at the bot {bot:?}", reason.code());
            rows.push(row(name, post.to(bot), expected(policy, reason)));
        }
    };
    send("enforcing", &|_, reason| Proven(reason));
    send("reporting", &|_, reason| WouldReject(reason));
    for policy in POLICIES {
        send(&format!("reporting-{policy}"), &|of, reason| {
            if of == policy {
                WouldReject(reason)
            } else {
                Proven(reason)
            }
        });
        send(&format!("enforcing-{policy}"), &|of, reason| {
            if of == policy {
                Proven(reason)
            } else {
                WouldReject(reason)
            }
        });
    }
    rows.extend([
        row(
            "a good message at the bot \"enforcing\"",
            gateway.teams_message().to("enforcing"),
            Forwarded,
        ),
        row(
            "a good message at the bot \"reporting\"",
            gateway.teams_message().to("reporting"),
            Forwarded,
        ),
        row(
            "two offences, the reported one first",
            foreign(gateway.invoke("signin/verifyState")).to("reporting-tenants"),
            Proven(Reason::InvokeNotAllowed),
        ),
        row(
            "two offences, the reported one last",
            foreign(gateway.invoke("signin/verifyState")).to("reporting-activities"),
            Proven(Reason::TenantNotAllowed),
        ),
        row(
            "two offences, both reported: the log tells the first",
            foreign(gateway.invoke("signin/verifyState")).to("reporting"),
            WouldReject(Reason::TenantNotAllowed),
        ),
    ]);
    play(rows).await;
}

#[tokio::test]
async fn report_mode_softens_nothing_of_who_is_calling() {
    let modes = "mode = 'report'
        [bots.tenants]
        mode = 'report'
        on_reject = '200'
        [bots.channels]
        mode = 'report'
        [bots.service_urls]
        mode = 'report'
        [bots.activities]
        mode = 'report'";
    let gateway = Gateway::with(&format!("[bots]\n{modes}")).start().await;
    let teams = || gateway.teams_message();
    play(vec![
        row(
            "no token",
            teams().without_token(),
            Stranger(Reason::TokenMissing),
        ),
        row(
            "a forged token",
            teams().token(|t| t.with_a_bit_flipped()),
            Stranger(Reason::TokenSignatureInvalid),
        ),
        row(
            "another bot's token",
            teams().for_app("another"),
            Stranger(Reason::TokenAudienceMismatch),
        ),
        row(
            "a channel that the key does not speak for",
            teams().with("/channelId", "slack"),
            Proven(Reason::ChannelNotEndorsed),
        ),
        row(
            "another service URL than the token's",
            teams()
                .with("/serviceUrl", "https://evil.example/")
                .token(|t| t.claim("serviceurl", TEAMS)),
            Proven(Reason::ServiceUrlMismatch),
        ),
        row(
            "no service URL in the token",
            teams().token(|t| t.without_claim("serviceurl")),
            Proven(Reason::ServiceUrlMismatch),
        ),
        row(
            "plain http",
            teams().with("/serviceUrl", "http://smba.trafficmanager.net/emea/"),
            Proven(Reason::ServiceUrlNotAllowed),
        ),
        row(
            "two service URLs",
            teams().text(|text| text.replacen('{', r#"{"service_url":"x","#, 1)),
            Proven(Reason::ActivityAmbiguous),
        ),
        row(
            "no activity",
            teams().body("{}"),
            Proven(Reason::ActivityFieldInvalid),
        ),
        row(
            "a service URL that is on no list, which is a policy",
            teams().with("/serviceUrl", "https://elsewhere.example/"),
            WouldReject(Reason::ServiceUrlNotAllowed),
        ),
        row(
            "a tenant that is no GUID, which is a policy, too",
            teams().with("/conversation/tenantId", "contoso.example"),
            WouldReject(Reason::TenantMalformed),
        ),
    ])
    .await;
}

#[tokio::test]
async fn an_operator_can_let_single_channels_through_without_endorsements() {
    let channel = Channel::start().await.unwrap();
    let bare = channel.first_key().named("bare");
    let empty = channel.first_key().named("empty");
    channel.publish(&bare, None);
    channel.publish(&empty, Some(&[]));
    let gateway = Gateway::with("")
        .channel(&channel)
        .bot_at("lenient", "channels.unendorsed = ['msteams', 'slack']")
        .start()
        .await;
    let by = |key: &SigningKey, post: Post| {
        let key = key.clone();
        post.token(move |t| t.signed_by(&key))
    };
    let not_endorsed = Proven(Reason::ChannelNotEndorsed);
    let slack = || {
        let url = "https://slack.botframework.com/";
        let post = gateway.direct_line_message().with("/channelId", "slack");
        post.with("/serviceUrl", url)
    };
    play(vec![
        row(
            "a bare key at a bot that says nothing",
            by(&bare, gateway.teams_message()),
            not_endorsed,
        ),
        row(
            "a bare key for a channel that is let through",
            by(&bare, gateway.teams_message().to("lenient")),
            Forwarded,
        ),
        row(
            "a bare key for a part of that channel",
            by(&bare, gateway.teams_message().to("lenient")).with("/channelId", "msteams:COPILOT"),
            Forwarded,
        ),
        row(
            "a key with an empty list",
            by(&empty, gateway.teams_message().to("lenient")),
            Forwarded,
        ),
        row(
            "a bare key for another channel",
            by(&bare, gateway.direct_line_message().to("lenient")),
            not_endorsed,
        ),
        row(
            "a bare key for Slack",
            by(&bare, slack().to("lenient")),
            Forwarded,
        ),
        row(
            "a key that is endorsed for others, for Slack",
            slack().to("lenient"),
            not_endorsed,
        ),
    ])
    .await;
}

#[tokio::test]
async fn channels_types_and_invokes_follow_the_lists() {
    let gateway = Gateway::with("")
        .bot_at("teams-only", "channels.allow = ['msteams']")
        .bot_at(
            "messages",
            "activities.allow = ['message', 'conversationUpdate']",
        )
        .bot_at(
            "no-codes",
            "activities.deny_invoke = ['signin/verifyState']",
        )
        .start()
        .await;
    let type_refused = Proven(Reason::ActivityTypeNotAllowed);
    let invoke_refused = Proven(Reason::InvokeNotAllowed);
    let teams = |bot: &str| gateway.teams_message().to(bot);
    let mut rows = vec![
        row(
            "Teams where Teams is listed",
            teams("teams-only"),
            Forwarded,
        ),
        row(
            "a part of Teams where Teams is listed",
            teams("teams-only").with("/channelId", "msteams:COPILOT"),
            Forwarded,
        ),
        row(
            "Direct Line where Teams is listed",
            gateway.direct_line_message().to("teams-only"),
            Proven(Reason::ChannelNotAllowed),
        ),
        row("a listed type", teams("messages"), Forwarded),
        row(
            "another listed type",
            gateway
                .post("teams-conversation-update.json")
                .to("messages"),
            Forwarded,
        ),
        row(
            "an invoke where it is not listed",
            gateway.invoke("task/fetch").to("messages"),
            type_refused,
        ),
        row(
            "a message that has the name of a denied invoke",
            teams("no-codes").with("/name", "signin/verifyState"),
            Forwarded,
        ),
    ];
    for kind in ["Message", "message ", "messageUpdate", "typing"] {
        rows.push(row(
            format!("the type {kind:?}"),
            teams("messages").with("/type", kind),
            type_refused,
        ));
    }
    for (name, expected) in [
        ("task/fetch", Forwarded),
        ("signin/tokenExchange", Forwarded),
        ("signin/verifyStates", Forwarded),
        ("signin/verifyState", invoke_refused),
        ("SignIn/VerifyState", invoke_refused),
    ] {
        rows.push(row(
            format!("the invoke {name}"),
            gateway.invoke(name).to("no-codes"),
            expected,
        ));
    }
    play(rows).await;
}

#[tokio::test]
async fn with_enhanced_authentication_direct_line_users_have_ids_that_begin_with_dl() {
    let gateway = Gateway::with("")
        .bot_at("enhanced", "direct_line.enhanced_authentication = true")
        .bot_at(
            "lenient",
            "direct_line = { enhanced_authentication = true, require_dl_user_id = false }",
        )
        .start()
        .await;
    let refused = Proven(Reason::UserIdNotTrusted);
    let mut rows = Vec::new();
    for file in ["direct-line-message.json", "webchat-message.json"] {
        for (user, expected) in [
            ("dl_1", Forwarded),
            ("dl_", Forwarded),
            ("user-1", refused),
            ("DL_1", refused),
            ("dl-1", refused),
            (" dl_1", refused),
            ("user_dl_1", refused),
        ] {
            let post = || gateway.post(file).with("/from/id", user);
            rows.push(row(
                format!("{file} from {user:?}"),
                post().to("enhanced"),
                expected,
            ));
            let name = format!("{file} from {user:?}, not asked for");
            rows.push(row(name, post(), Forwarded));
        }
        let post = gateway.post(file).with("/from/id", "user-1");
        rows.push(row(
            format!("{file}, switched off"),
            post.to("lenient"),
            Forwarded,
        ));
    }
    let typing = gateway.direct_line_message().with("/type", "typing");
    // What Direct Line itself tells when a conversation begins comes from nobody but the conversation.
    let begun = || {
        let post = gateway.direct_line_message();
        let post = post.with("/from", json!({ "id": "9sCeNaRiO-eu|0000001" }));
        let post = post.with("/conversation/id", "9sCeNaRiO-eu|0000001");
        let post = post.with("/membersAdded", json!([{ "id": "bot" }, { "id": "dl_1" }]));
        let post = post.with("/recipient", json!({ "id": "bot", "name": "Bot" }));
        post.with("/type", "conversationUpdate")
            .lacking("/text")
            .lacking("/entities")
            .lacking("/channelData")
            .to("enhanced")
    };
    rows.extend([
        row(
            "no sender at all",
            typing.lacking("/from").to("enhanced"),
            refused,
        ),
        row("a conversation that begins", begun(), Forwarded),
        row(
            "a conversation that begins with itself",
            begun().with("/membersAdded", json!([{ "id": "9sCeNaRiO-eu|0000001" }])),
            Forwarded,
        ),
        row(
            "a conversation that somebody joins who came otherwise",
            begun().with(
                "/membersAdded",
                json!([{ "id": "dl_1" }, { "id": "user-1" }]),
            ),
            refused,
        ),
        row(
            "the same by another spelling of the name",
            begun().with("/MembersAdded", json!([{ "Id": "user-1" }])),
            refused,
        ),
        row(
            "a conversation that somebody leaves who came otherwise",
            begun().with("/membersRemoved", json!([{ "id": "user-1" }])),
            refused,
        ),
        row(
            "members that are no list of such",
            begun().with("/membersAdded", json!({ "id": "dl_1" })),
            refused,
        ),
        row(
            "a conversation that says something",
            begun().with("/text", "I am Ada"),
            refused,
        ),
        row(
            "a conversation that is somebody",
            begun().with("/from/aadObjectId", "3f0c8a5e-7f0b-4f3e-9d55-6f2b1b0a9c11"),
            refused,
        ),
        row(
            "a conversation that mentions somebody",
            begun().with(
                "/entities",
                json!([{ "type": "mention", "mentioned": { "id": "user-1" } }]),
            ),
            refused,
        ),
        row(
            "a conversation that brings data",
            begun().with("/channelData", json!({ "user": "user-1" })),
            refused,
        ),
        row(
            "a conversation whose directory entry is somebody's",
            begun().with(
                "/conversation/aadObjectId",
                "3f0c8a5e-7f0b-4f3e-9d55-6f2b1b0a9c11",
            ),
            refused,
        ),
        row(
            "a conversation whose bot is somebody",
            begun()
                .with("/recipient", json!({ "id": "dl_2" }))
                .with("/membersAdded", json!([{ "id": "dl_2" }])),
            refused,
        ),
        row(
            "a conversation that says who a member is",
            begun().with(
                "/membersAdded",
                json!([{ "id": "bot", "aadObjectId": "3f0c8a5e-7f0b-4f3e-9d55-6f2b1b0a9c11" }]),
            ),
            refused,
        ),
        row(
            "a message in the conversation's name",
            begun().with("/type", "message"),
            refused,
        ),
        row(
            "Teams, whose ids are others",
            gateway.teams_message().to("enhanced"),
            Forwarded,
        ),
    ]);
    play(rows).await;
}

#[tokio::test]
async fn identity_headers_are_the_gateways_own_or_none() {
    let gateway = Gateway::with("")
        .bot_at("told", "identity_headers.enabled = true")
        .start()
        .await;
    let with_copies = |request_id: &str, post: Post| {
        post.header("x-request-id", request_id)
            .header("x-botgate-tenant", FOREIGN_TENANT)
            .also_header("x-botgate-tenant", FOREIGN_TENANT)
            .header("X-BotGate-Channel", "forged")
            .header("x-botgate-anything", "forged")
    };
    let ours = |recorded: &botgate::cli::demo::bot::Recorded| {
        let named = recorded.headers.iter();
        let mut ours: Vec<_> = named
            .map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap().to_owned()))
            .filter(|(name, _)| name.replace('_', "-").starts_with("x-botgate"))
            .collect();
        ours.sort();
        ours
    };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());

    let reply = with_copies("first", gateway.teams_message()).send().await;
    assert_eq!(ours(&reply.forwarded().await), []);

    let sub_channel = gateway
        .teams_message()
        .with("/channelId", "msteams:COPILOT");
    let reply = with_copies("second", sub_channel.to("told")).send().await;
    assert_eq!(
        ours(&reply.forwarded().await),
        [
            pair("x-botgate-app-id", APP_ID),
            pair("x-botgate-channel", "msteams"),
            pair("x-botgate-request-id", "second"),
            pair("x-botgate-tenant", TENANT),
        ]
    );

    // Direct Line names no tenant, whatever its client writes.
    let reply = with_copies("third", gateway.direct_line_message().to("told"))
        .with("/channelData/tenant/id", TENANT)
        .send()
        .await;
    assert_eq!(
        ours(&reply.forwarded().await),
        [
            pair("x-botgate-app-id", APP_ID),
            pair("x-botgate-channel", "directline"),
            pair("x-botgate-request-id", "third"),
        ]
    );
}

#[tokio::test]
async fn every_tenant_that_an_activity_names_is_asked_about() {
    let gateway = Gateway::with("")
        .bot_at("allowing", &format!("tenants.allow = ['{}']", TENANT.to_uppercase()))
        .bot_at("denying", &format!("tenants.deny = ['{FOREIGN_TENANT}']"))
        .bot_at(
            "both",
            &format!("tenants = {{ allow = ['{TENANT}', '{FOREIGN_TENANT}'], deny = ['{FOREIGN_TENANT}'] }}"),
        )
        .start()
        .await;
    let mut rows = Vec::new();
    for bot in ["allowing", "denying", "both"] {
        rows.push(row(
            format!("the right tenant everywhere at {bot:?}"),
            gateway.teams_message().to(bot),
            Forwarded,
        ));
        rows.extend(foreign_in_one_place(&gateway, bot));
    }
    play(rows).await;
}

/// One place that names the foreign tenant, the others the right one.
fn foreign_in_one_place(gateway: &Gateway, bot: &str) -> Vec<Row> {
    let foreign = Proven(Reason::TenantNotAllowed);
    let mut rows = Vec::new();
    for place in [
        "/channelData/tenant/id",
        "/conversation/tenantId",
        "/from/tenantId",
        "/recipient/tenantId",
    ] {
        rows.push(row(
            format!("{place} at {bot:?}"),
            gateway.teams_message().with(place, FOREIGN_TENANT).to(bot),
            foreign,
        ));
    }
    let signed = format!("https://smba.trafficmanager.net/emea/{FOREIGN_TENANT}");
    rows.extend([
        row(
            format!("the signed service URL at {bot:?}"),
            gateway.teams_message().with("/serviceUrl", signed).to(bot),
            foreign,
        ),
        row(
            format!("the conversation of another channel at {bot:?}"),
            gateway
                .direct_line_message()
                .with("/conversation/tenantId", FOREIGN_TENANT)
                .to(bot),
            foreign,
        ),
        row(
            format!("channelData of another channel, which its client writes, at {bot:?}"),
            gateway
                .direct_line_message()
                .with("/channelData/tenant/id", FOREIGN_TENANT)
                .to(bot),
            Forwarded,
        ),
    ]);
    rows
}
