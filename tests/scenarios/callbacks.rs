//! Skills call their parent bot back: the Connector API below a bot's callback path.

use crate::support::client::Post;
use crate::support::table::Expected::{Forwarded, Proven, Stranger, WouldReject};
use crate::support::table::{play, row};
use crate::support::{APP_ID, FOREIGN_TENANT, Gateway, TENANT};
use botgate::judge::Reason;
use http::Method;
use serde_json::json;

/// The skill that the bot calls, and that may call back.
const SKILL: &str = "7c9d1e2f-3a4b-4c5d-8e6f-7a8b9c0d1e2f";
const STRANGER: &str = "ffffffff-3a4b-4c5d-8e6f-7a8b9c0d1e2f";

const CONVERSATION: &str = "/api/skills/v3/conversations/a%3A1Qw-made:up/activities";

async fn gateway() -> Gateway {
    Gateway::with(&format!(
        "[bots]
        accept = ['channel', 'skill']
        callers = {{ allow = ['{SKILL}'], callback_path = '/api/skills/' }}
        tenants.allow = ['{TENANT}']"
    ))
    .start()
    .await
}

/// A reply of the skill into the conversation.
fn callback(gateway: &Gateway) -> Post {
    by(gateway.teams_message(), gateway, TENANT, SKILL)
        .body(
            json!({"type": "message", "text": "done", "channelId": "msteams", "serviceUrl": "https://parent.example/api/skills"})
                .to_string(),
        )
        .path(CONVERSATION)
}

/// What a skill sends into a conversation: `channelData.tenant.id`, then the tenants of conversation, sender and recipient.
fn naming(channel: &str, [data, conversation, from, recipient]: [&str; 4]) -> serde_json::Value {
    json!({
        "type": "message", "channelId": channel, "channelData": {"tenant": {"id": data}},
        "conversation": {"id": "a:1", "tenantId": conversation},
        "from": {"id": "28:1", "tenantId": from}, "recipient": {"id": "29:1", "tenantId": recipient},
    })
}

/// With a token that Entra issued to an application.
fn by(post: Post, gateway: &Gateway, tenant: &str, application: &str) -> Post {
    let token = gateway.channel().entra_token(APP_ID, tenant, application);
    post.token(move |_| token)
}

#[tokio::test]
async fn every_call_of_the_api_reaches_the_same_path_of_the_bot() {
    let gateway = gateway().await;
    let at = |tail: &str| format!("/api/skills/v3/conversations{tail}");
    for (method, path) in [
        (Method::POST, at("")),
        (Method::POST, at("/a%3A1/activities")),
        (Method::POST, at("/a%3A1/activities/history")),
        (Method::POST, at("/a%3A1/attachments")),
        (Method::POST, at("/a%3A1/activities/7")),
        (Method::PUT, at("/a%3A1/activities/7")),
        (Method::DELETE, at("/a%3A1/activities/7")),
        (Method::GET, at("/19:x@thread.tacv2/members")),
        (Method::GET, at("/a%3A1/activities/7/members")),
        (
            Method::GET,
            at("/a%3A1/pagedmembers?pageSize=2&continuationToken=x"),
        ),
        (Method::DELETE, at("/a%3A1/members/29:1")),
    ] {
        let has_body = method == Method::POST || method == Method::PUT;
        let mut post = callback(&gateway).method(method.clone()).path(&path);
        if !has_body {
            post = post.body("").without_header("content-type");
        }
        let reply = post.send().await;
        let got = reply.forwarded().await;
        assert_eq!((&got.method, got.path.as_str()), (&method, path.as_str()));
        let line = reply.only_request_line().await;
        assert_eq!(line["token_kind"], "skill", "{line}");
        assert_eq!(line["caller_app_id"], SKILL, "{line}");
        assert_eq!(line["tenant"], TENANT, "{line}");
    }
}

#[tokio::test]
async fn callbacks_are_judged_like_everything_else() {
    let gateway = gateway().await;
    let callback = || callback(&gateway);
    let json = |value: serde_json::Value| callback().body(value.to_string());
    let to = |path: &str| callback().path(path);
    let foreign = |post| by(post, &gateway, FOREIGN_TENANT, SKILL);
    play(vec![
        row("a reply", callback(), Forwarded),
        row("over HTTP/2", callback().over_http2(), Forwarded),
        row("a body that is no activity", json(json!({"members": []})), Forwarded),
        row(
            "another application",
            by(callback(), &gateway, TENANT, STRANGER),
            Proven(Reason::CallerNotAllowed),
        ),
        row("another tenant", foreign(callback()), Proven(Reason::TenantNotAllowed)),
        row(
            "a channel's token",
            gateway.teams_message().path(CONVERSATION),
            Stranger(Reason::TokenKindNotAccepted),
        ),
        row("no token", callback().without_token(), Stranger(Reason::TokenMissing)),
        row(
            "a forged token",
            callback().token(|token| token.with_a_bit_flipped()),
            Stranger(Reason::TokenSignatureInvalid),
        ),
        row("PATCH", callback().method(Method::PATCH), Stranger(Reason::MethodNotAllowed)),
        row(
            "a GET with a body",
            callback().method(Method::GET),
            Proven(Reason::RequestMalformed),
        ),
        row(
            "a body of another type",
            callback().header("content-type", "text/plain"),
            Stranger(Reason::ContentTypeUnsupported),
        ),
        row("a list", json(json!([])), Proven(Reason::ActivityMalformed)),
        row(
            "two readings of one name",
            callback().body(r#"{"type":"message","Type":"event"}"#),
            Proven(Reason::ActivityAmbiguous),
        ),
        row(
            "a relation to another host",
            json(json!({"type": "endOfConversation", "relatesTo": {"serviceUrl": "https://evil.example/"}})),
            Proven(Reason::ServiceUrlNotAllowed),
        ),
        row(
            "a relation to a channel's host",
            json(json!({"type": "endOfConversation", "relatesTo": {"serviceUrl": "https://smba.trafficmanager.net/emea/"}})),
            Forwarded,
        ),
        // Whatever the skill's word for a tenant is worth, one that is not listed is not let in.
        row(
            "the tenant wherever an activity names one",
            json(naming("msteams", [TENANT; 4])),
            Forwarded,
        ),
        row(
            "another tenant in channelData of Teams",
            json(naming("msteams", [FOREIGN_TENANT, TENANT, TENANT, TENANT])),
            Proven(Reason::TenantNotAllowed),
        ),
        row(
            "another tenant in channelData of a channel whose clients write it",
            json(naming("webchat", [FOREIGN_TENANT, TENANT, TENANT, TENANT])),
            Forwarded,
        ),
        row(
            "another tenant of the conversation",
            json(naming("webchat", [TENANT, FOREIGN_TENANT, TENANT, TENANT])),
            Proven(Reason::TenantNotAllowed),
        ),
        row(
            "another tenant of the sender",
            json(naming("msteams", [TENANT, TENANT, FOREIGN_TENANT, TENANT])),
            Proven(Reason::TenantNotAllowed),
        ),
        row(
            "another tenant of the recipient",
            json(naming("msteams", [TENANT, TENANT, TENANT, FOREIGN_TENANT])),
            Proven(Reason::TenantNotAllowed),
        ),
        row(
            "a tenant that is none",
            json(naming("msteams", [TENANT, "contoso.example", TENANT, TENANT])),
            Proven(Reason::TenantMalformed),
        ),
        row(
            "a tenant that is a number",
            json(json!({"type": "message", "conversation": {"tenantId": 1}})),
            Proven(Reason::ActivityFieldInvalid),
        ),
        row(
            "garbage of another application",
            by(callback().body("garbage"), &gateway, TENANT, STRANGER),
            Proven(Reason::CallerNotAllowed),
        ),
        row(
            "a path that leads out",
            to("/api/skills/v3/conversations/%2e%2e/%2e%2e/admin"),
            Stranger(Reason::PathNotFound),
        ),
        row("below the path", to("/api/skills/other"), Stranger(Reason::PathNotFound)),
        row(
            "a slash at the end",
            to("/api/skills/v3/conversations/"),
            Stranger(Reason::PathNotFound),
        ),
        row(
            "above the path",
            to("/v3/conversations/a/activities"),
            Stranger(Reason::PathNotFound),
        ),
        row(
            "the API's path below another bot path",
            to("/api/messages/v3/conversations/a"),
            Stranger(Reason::PathNotFound),
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_method_that_is_not_allowed_is_told_those_that_are() {
    let gateway = gateway().await;
    let at_callbacks = callback(&gateway).method(Method::PATCH).send().await;
    assert_eq!(at_callbacks.header("allow"), Some("GET, POST, PUT, DELETE"));
    let at_messages = gateway.teams_message().method(Method::PUT).send().await;
    assert_eq!(at_messages.header("allow"), Some("POST"));
}

#[tokio::test]
async fn report_mode_lets_other_callers_through_and_says_so() {
    let gateway = Gateway::with(&format!(
        "[bots]
        accept = ['skill']
        callers = {{ allow = ['{SKILL}'], callback_path = '/api/skills', mode = 'report' }}"
    ))
    .start()
    .await;
    play(vec![row(
        "another application",
        by(callback(&gateway), &gateway, TENANT, STRANGER),
        WouldReject(Reason::CallerNotAllowed),
    )])
    .await;
}

#[tokio::test]
async fn a_conversation_spelled_otherwise_has_no_other_budget() {
    let gateway = Gateway::with(&format!(
        "[bots]
        accept = ['skill']
        callers = {{ allow = ['{SKILL}'], callback_path = '/api/skills' }}
        rate_limits.per_conversation = {{ rate = '1/h', burst = 1 }}"
    ))
    .start()
    .await;
    let to = |conversation: &str| {
        callback(&gateway).path(&format!(
            "/api/skills/v3/conversations/{conversation}/activities"
        ))
    };
    let limited = || Proven(Reason::RateLimitedConversation);
    play(vec![
        row("one", to("a%3A1"), Forwarded),
        row("again", to("a%3A1"), limited()),
        row("plain", to("a:1"), limited()),
        row("in lower case", to("a%3a1"), limited()),
        row("a letter escaped", to("%61:1"), limited()),
        row("another one", to("a:2"), Forwarded),
    ])
    .await;
}

#[tokio::test]
async fn a_path_that_servers_decode_differently_is_not_forwarded() {
    let gateway = gateway().await;
    let rows = [
        ("%zz", Reason::RequestMalformed),
        ("%%32%65", Reason::RequestMalformed),
        ("%c0%ae%c0%ae", Reason::PathNotFound),
        ("..%3Bx", Reason::PathNotFound),
        ("%0d%0aX:y", Reason::PathNotFound),
        ("..%20", Reason::PathNotFound),
    ]
    .map(|(odd, reason)| {
        let path = format!("/api/skills/v3/conversations/{odd}/activities");
        row(odd, callback(&gateway).path(&path), Stranger(reason))
    });
    play(rows.into()).await;
}
