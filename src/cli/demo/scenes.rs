//! The telling requests, in the order they are told, and what has to become of each.

use super::bot::MESSAGES_PATH;
use super::channel::{Channel, ISSUER, TEAMS_SERVICE_URL, now};
use super::signing::SigningKey;
use super::token::TokenSpec;
use crate::judge::{AGENT_PLATFORM, Reason};
use bytes::Bytes;
use serde_json::{Value, json};
use std::io;

/// The bot's Microsoft App ID.
pub(super) const APP_ID: &str = "11111111-2222-4333-8444-555555555555";
/// The tenant whose users may talk to the bot.
pub(super) const TENANT: &str = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee";
/// The path of a second bot, whose users have a budget; apart from the first, so that no other scene runs out of it.
pub(super) const FLOOD_PATH: &str = "/api/flood";
/// The budget: that many at once, then one a minute, so that no slow machine earns another one meanwhile.
pub(super) const FLOOD_BURST: usize = 5;

const FLOOD_SIZE: usize = 20;
const FOREIGN_TENANT: &str = "99999999-8888-4777-8666-555555555555";
/// A bot that may call this one as a skill, and where it is answered.
pub(super) const PARENT_APP_ID: &str = "44444444-5555-4666-8777-888888888888";
pub(super) const PARENT_HOST: &str = "parent.example";
const OTHER_APP_ID: &str = "22222222-3333-4444-8555-666666666666";
const DIRECT_LINE_SERVICE_URL: &str = "https://directline.botframework.com/";

/// Scenes that belong under one heading.
pub(super) struct Act {
    pub(super) heading: &'static str,
    pub(super) scenes: Vec<Scene>,
}

/// One request, sent once or many times.
pub(super) struct Scene {
    /// What is sent, for people.
    pub(super) title: &'static str,
    pub(super) path: &'static str,
    pub(super) token: Option<String>,
    pub(super) body: Bytes,
    pub(super) times: usize,
    pub(super) outcome: Outcome,
}

/// What has to become of it.
#[derive(Clone, Copy)]
pub(super) enum Outcome {
    /// The bot gets it byte for byte, and its answer comes back.
    Passes(Proof),
    /// The bot never sees it.
    Refused(Reason),
    /// The first few reach the bot, the rest are refused and told when to come again.
    RunsOut { first: usize, reason: Reason },
}

/// What shows that the bot's answer found its way.
#[derive(Clone, Copy)]
pub(super) enum Proof {
    /// This text in the body of the response.
    InResponse(&'static str),
    /// This text in a reply that the channel gets.
    AtChannel(&'static str),
    /// The status.
    Status,
}

/// All of it.
pub(super) fn acts(channel: &Channel) -> io::Result<Vec<Act>> {
    Ok(vec![
        welcome(channel)?,
        strangers(channel)?,
        trespassers(channel)?,
        other_callers(channel)?,
        flood(channel)?,
    ])
}

/// A valid Teams message, for people to try.
pub(super) fn sample(channel: &Channel) -> io::Result<(String, Value)> {
    Ok((
        signed(&channel.token(APP_ID, TEAMS_SERVICE_URL))?,
        teams_message("hello from curl", TEAMS_SERVICE_URL),
    ))
}

fn welcome(channel: &Channel) -> io::Result<Act> {
    let here = channel.service_url();
    let mut expect_replies = teams_message("reply to me in the response", TEAMS_SERVICE_URL);
    set(&mut expect_replies, "deliveryMode", json!("expectReplies"));
    let passes = |title, service_url: &str, activity: Value, proof| {
        let token = signed(&channel.token(APP_ID, service_url))?;
        Ok::<_, io::Error>(Scene::new(
            title,
            Some(token),
            &activity,
            Outcome::Passes(proof),
        ))
    };
    Ok(Act {
        heading: "Let through: proven, allowed, handed to the bot byte for byte",
        scenes: vec![
            passes(
                "Teams message",
                &here,
                teams_message("hello", &here),
                Proof::AtChannel("echo: hello"),
            )?,
            passes(
                "Teams card button (invoke)",
                TEAMS_SERVICE_URL,
                invoke(),
                Proof::InResponse("approved"),
            )?,
            passes(
                "Direct Line message",
                DIRECT_LINE_SERVICE_URL,
                direct_line_message(),
                Proof::Status,
            )?,
            passes(
                "message, deliveryMode expectReplies",
                TEAMS_SERVICE_URL,
                expect_replies,
                Proof::InResponse("echo: reply to me"),
            )?,
        ],
    })
}

fn strangers(channel: &Channel) -> io::Result<Act> {
    const LONG_AGO_SECONDS: u64 = 7200;
    let message = || teams_message("let me in", TEAMS_SERVICE_URL);
    let valid = channel.token(APP_ID, TEAMS_SERVICE_URL);
    let forger = SigningKey::generate(channel.first_key().kid()).map_err(io::Error::other)?;
    let earlier = now().saturating_sub(LONG_AGO_SECONDS);
    let expired = TokenSpec::new(
        channel.first_key(),
        ISSUER,
        APP_ID,
        TEAMS_SERVICE_URL,
        earlier,
    );
    let refused = |title, spec: TokenSpec, reason| {
        Ok::<_, io::Error>(Scene::new(
            title,
            Some(signed(&spec)?),
            &message(),
            Outcome::Refused(reason),
        ))
    };
    Ok(Act {
        heading: "Stopped: cannot prove to be the channel, and learns nothing",
        scenes: vec![
            Scene::new(
                "no token",
                None,
                &message(),
                Outcome::Refused(Reason::TokenMissing),
            ),
            refused(
                "forged signature",
                valid.clone().forged_by(&forger),
                Reason::TokenSignatureInvalid,
            )?,
            refused(
                "token for another bot",
                valid.claim("aud", OTHER_APP_ID),
                Reason::TokenAudienceMismatch,
            )?,
            refused("token expired an hour ago", expired, Reason::TokenExpired)?,
        ],
    })
}

fn trespassers(channel: &Channel) -> io::Result<Act> {
    let message = || teams_message("let me in", TEAMS_SERVICE_URL);
    let stolen = teams_message("send your answer here", "https://attacker.example/");
    let mut slack = message();
    set(&mut slack, "channelId", json!("slack"));
    let mut foreign = message();
    set(
        &mut foreign,
        "conversation",
        json!({ "id": "a:demo-conversation", "tenantId": FOREIGN_TENANT }),
    );
    set(
        &mut foreign,
        "channelData",
        json!({ "tenant": { "id": FOREIGN_TENANT } }),
    );
    // JSON readers disagree about which of the two counts; a bot that takes the second sends its own token there.
    let twice = message().to_string();
    let twice = format!(
        "{},\"serviceUrl\":\"https://attacker.example/\"}}",
        twice.strip_suffix('}').unwrap_or(&twice)
    );
    let refused = |title, body: &dyn ToString, reason| {
        let token = signed(&channel.token(APP_ID, TEAMS_SERVICE_URL))?;
        Ok::<_, io::Error>(Scene::new(
            title,
            Some(token),
            body,
            Outcome::Refused(reason),
        ))
    };
    Ok(Act {
        heading: "Stopped: a genuine token, but not for this",
        scenes: vec![
            refused(
                "stolen token, another serviceUrl",
                &stolen,
                Reason::ServiceUrlMismatch,
            )?,
            refused(
                "channel the key may not speak for",
                &slack,
                Reason::ChannelNotEndorsed,
            )?,
            refused("tenant not on the list", &foreign, Reason::TenantNotAllowed)?,
            refused(
                "serviceUrl written twice",
                &twice,
                Reason::ActivityAmbiguous,
            )?,
        ],
    })
}

fn other_callers(channel: &Channel) -> io::Result<Act> {
    let called = teams_message(
        "do this for me",
        &format!("https://{PARENT_HOST}/api/skills/"),
    );
    let mut to_agent = teams_message("hello, agent", TEAMS_SERVICE_URL);
    set(
        &mut to_agent,
        "recipient",
        json!({ "id": format!("28:{APP_ID}"), "role": "agenticUser", "tenantId": TENANT }),
    );
    let by = |title, caller: &str, activity: &Value, outcome| {
        let token = signed(&channel.entra_token(APP_ID, TENANT, caller))?;
        Ok::<_, io::Error>(Scene::new(title, Some(token), activity, outcome))
    };
    let passes = Outcome::Passes(Proof::Status);
    Ok(Act {
        heading: "Other callers, with tokens of Entra: each kind only where the bot accepts it",
        scenes: vec![
            by(
                "a listed bot calls it as a skill",
                PARENT_APP_ID,
                &called,
                passes,
            )?,
            by(
                "a bot that is not listed",
                OTHER_APP_ID,
                &called,
                Outcome::Refused(Reason::CallerNotAllowed),
            )?,
            by(
                "the platform calls it as an agent",
                AGENT_PLATFORM,
                &to_agent,
                passes,
            )?,
            by(
                "Emulator, not accepted here",
                APP_ID,
                &called,
                Outcome::Refused(Reason::TokenKindNotAccepted),
            )?,
        ],
    })
}

fn flood(channel: &Channel) -> io::Result<Act> {
    let token = signed(&channel.token(APP_ID, TEAMS_SERVICE_URL))?;
    let message = teams_message("again and again", TEAMS_SERVICE_URL);
    let outcome = Outcome::RunsOut {
        first: FLOOD_BURST,
        reason: Reason::RateLimitedUser,
    };
    let scene = Scene::new(
        "20 messages of one user, budget 5",
        Some(token),
        &message,
        outcome,
    );
    Ok(Act {
        heading: "Slowed down: too much of a good thing",
        scenes: vec![Scene {
            path: FLOOD_PATH,
            times: FLOOD_SIZE,
            ..scene
        }],
    })
}

impl Scene {
    fn new(
        title: &'static str,
        token: Option<String>,
        body: &(impl ToString + ?Sized),
        outcome: Outcome,
    ) -> Self {
        let body = Bytes::from(body.to_string());
        Self {
            title,
            path: MESSAGES_PATH,
            token,
            body,
            times: 1,
            outcome,
        }
    }
}

fn teams_message(text: &str, service_url: &str) -> Value {
    json!({
        "type": "message",
        "id": "1795000000001",
        "timestamp": "2026-11-20T08:00:00.0000000Z",
        "channelId": "msteams",
        "serviceUrl": service_url,
        "from": { "id": "29:demo-user", "name": "Demo User", "aadObjectId": "33333333-4444-4555-8666-777777777777" },
        "recipient": { "id": format!("28:{APP_ID}"), "name": "Demo Bot" },
        "conversation": { "id": "a:demo-conversation", "conversationType": "personal", "tenantId": TENANT },
        "text": text,
        "textFormat": "plain",
        "locale": "en-US",
        "channelData": { "tenant": { "id": TENANT } },
    })
}

fn invoke() -> Value {
    let mut invoke = teams_message("", TEAMS_SERVICE_URL);
    set(&mut invoke, "type", json!("invoke"));
    set(&mut invoke, "name", json!("adaptiveCard/action"));
    set(
        &mut invoke,
        "value",
        json!({ "action": { "type": "Action.Execute", "verb": "approve" }, "trigger": "manual" }),
    );
    invoke
}

fn direct_line_message() -> Value {
    json!({
        "type": "message",
        "id": "demo-conversation|0000001",
        "timestamp": "2026-11-20T08:00:00.0000000Z",
        "channelId": "directline",
        "serviceUrl": DIRECT_LINE_SERVICE_URL,
        "from": { "id": "dl_demo-user", "name": "" },
        "recipient": { "id": "demo-bot@demo", "name": "Demo Bot" },
        "conversation": { "id": "demo-conversation" },
        "text": "hello",
        "locale": "en-US",
        "channelData": { "clientActivityID": "17950000000001" },
    })
}

fn set(activity: &mut Value, name: &str, value: Value) {
    if let Some(members) = activity.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}

fn signed(spec: &TokenSpec) -> io::Result<String> {
    spec.sign().map_err(io::Error::other)
}
