//! What must be true of a real bot behind the gateway, one function each.

use crate::stage::microsoft::{APP_ID, TENANT};
use crate::stage::process::until;
use crate::world::{BOT, World};
use botgate::cli::demo::signing::SigningKey;
use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Starts everything and checks promise after promise; at the first broken one, prints what everybody said and fails.
pub(crate) async fn keep_all(dir: &Path, deadline: Duration) {
    let world = Arc::new(World::start(dir).await);
    let mut checking = "the deadline";
    let all_kept = async {
        for (name, promise) in PROMISES {
            checking = name;
            // A task of its own turns its panic into a value, and the panic has printed its message.
            tokio::spawn(promise(Arc::clone(&world))).await.ok()?;
            println!("kept: {name}");
        }
        Some(())
    };
    if let Ok(Some(())) = tokio::time::timeout(deadline, all_kept).await {
        return;
    }
    world.bot.print();
    world.gateway.print();
    println!("---- Microsoft was asked: {:#?}", world.microsoft.asked());
    panic!("broken: {checking}");
}

type Promise = fn(Arc<World>) -> Pin<Box<dyn Future<Output = ()> + Send>>;

macro_rules! promises {
    ($($name:ident),* $(,)?) => {
        /// In this order, one at a time: each may count what the bot saw.
        const PROMISES: &[(&str, Promise)] = &[$((stringify!($name), |world| Box::pin($name(world)))),*];
    };
}

promises![
    everything_becomes_ready,
    the_bot_itself_checks_tokens,
    the_echo_of_a_message_arrives_at_the_connector,
    the_echo_of_a_direct_line_message_arrives_at_its_own_connector,
    an_invoke_is_answered_with_the_bots_own_status_and_body,
    a_card_action_is_answered,
    expected_replies_come_back_in_the_answer,
    a_request_without_a_token_never_reaches_the_bot,
    a_forged_token_never_reaches_the_bot,
    a_token_for_another_service_url_never_reaches_the_bot,
    a_foreign_tenant_never_reaches_the_bot,
    nothing_ended_and_nothing_unusual_was_asked_of_microsoft,
];

async fn everything_becomes_ready(world: Arc<World>) {
    world.ready().await;
}

/// Without this the other promises could be kept by a bot whose authentication is off.
async fn the_bot_itself_checks_tokens(world: Arc<World>) {
    let answer = world
        .post_to(BOT, None, &teams("unproven", json!({"text": "hello"})))
        .await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
}

async fn the_echo_of_a_message_arrives_at_the_connector(world: Arc<World>) {
    let message = teams("message", json!({"text": "Grüße aus dem 2. Stock 🛗"}));
    assert_echoed(&world, &message, TEAMS).await;
}

async fn the_echo_of_a_direct_line_message_arrives_at_its_own_connector(world: Arc<World>) {
    let message = json!({
        "type": "message",
        "id": "5gHiJkLmNoP-eu|0000001",
        "timestamp": "2026-11-18T09:29:00.0000000Z",
        "channelId": "directline",
        "serviceUrl": DIRECT_LINE,
        "from": {"id": "dl_2f6a1c9e-7b1d-4a55-9c0a-0e9f8d7c6b5a", "name": ""},
        "recipient": {"id": "contoso-helper@AbCdEfGh", "name": "Contoso Helper"},
        "conversation": {"id": "5gHiJkLmNoP-eu"},
        "text": "hi",
    });
    assert_echoed(&world, &message, DIRECT_LINE).await;
}

async fn an_invoke_is_answered_with_the_bots_own_status_and_body(world: Arc<World>) {
    let value = json!({"number": 4711, "nested": [{"text": "a \"quoted\" ü"}, null, 1.5]});
    let invoke = teams(
        "invoke",
        json!({"type": "invoke", "name": "echo/invoke", "value": value}),
    );
    let answer = post_signed(&world, &invoke).await;
    assert_eq!(answer.status(), StatusCode::NON_AUTHORITATIVE_INFORMATION);
    assert_eq!(
        answer.headers()["content-type"],
        "application/json; charset=utf-8"
    );
    assert_eq!(
        json(&answer),
        json!({"name": "echo/invoke", "value": value})
    );
    // The bot would say who made it; the gateway does not pass that on.
    assert!(!answer.headers().contains_key("x-powered-by"));
}

async fn a_card_action_is_answered(world: Arc<World>) {
    let action = json!({"type": "Action.Execute", "id": "approve-1", "verb": "approve", "data": {"requestId": 4711}});
    let more = json!({"type": "invoke", "name": "adaptiveCard/action", "value": {"action": action, "trigger": "manual"}});
    let answer = post_signed(&world, &teams("card", more)).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let message = json!({"statusCode": 200, "type": "application/vnd.microsoft.activity.message", "value": "approve for Ada Example"});
    assert_eq!(json(&answer), message);
}

async fn expected_replies_come_back_in_the_answer(world: Arc<World>) {
    let message = teams(
        "expected",
        json!({"text": "at once", "deliveryMode": "expectReplies"}),
    );
    let answer = post_signed(&world, &message).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let replies = json(&answer)["activities"].take();
    assert_eq!(replies.as_array().map(Vec::len), Some(1), "{replies}");
    assert_eq!(replies[0]["text"], "Echo: at once");
    assert_eq!(replies[0]["replyToId"], "expected");
    assert!(
        world
            .microsoft
            .replies_in(conversation(&message))
            .is_empty(),
        "it went to the Connector too"
    );
}

async fn a_request_without_a_token_never_reaches_the_bot(world: Arc<World>) {
    let message = teams("no-token", json!({"text": "let me in"}));
    assert_refused(
        &world,
        None,
        &message,
        StatusCode::UNAUTHORIZED,
        "token_missing",
    )
    .await;
}

async fn a_forged_token_never_reaches_the_bot(world: Arc<World>) {
    let forger = SigningKey::generate("hidden by the name of the real key").unwrap();
    let token = world.token(TEAMS).forged_by(&forger).sign().unwrap();
    let message = teams("forged", json!({"text": "let me in"}));
    assert_refused(
        &world,
        Some(&token),
        &message,
        StatusCode::UNAUTHORIZED,
        "token_signature_invalid",
    )
    .await;
}

/// The theft that hurts most: the bot would send its own credential to wherever the body says.
async fn a_token_for_another_service_url_never_reaches_the_bot(world: Arc<World>) {
    let token = world.token(TEAMS).sign().unwrap();
    let elsewhere = "https://smba.trafficmanager.net/amer/3f0c8a5e-7f0b-4f3e-9d55-6f2b1b0a9c11/";
    let message = teams(
        "stolen",
        json!({"text": "let me in", "serviceUrl": elsewhere}),
    );
    assert_refused(
        &world,
        Some(&token),
        &message,
        StatusCode::FORBIDDEN,
        "service_url_mismatch",
    )
    .await;
}

async fn a_foreign_tenant_never_reaches_the_bot(world: Arc<World>) {
    let tenant = "72d1ba3b-1cb8-4c9d-a2a8-5f0b7fd3c0de";
    let service_url = "https://smba.trafficmanager.net/emea/";
    let token = world.token(service_url).sign().unwrap();
    let message = teams(
        "foreign",
        json!({"text": "hello", "serviceUrl": service_url, "channelData": {"tenant": {"id": tenant}},
            "conversation": {"id": "a:1foreign", "conversationType": "personal", "tenantId": tenant}}),
    );
    assert_refused(
        &world,
        Some(&token),
        &message,
        StatusCode::FORBIDDEN,
        "tenant_not_allowed",
    )
    .await;
}

async fn nothing_ended_and_nothing_unusual_was_asked_of_microsoft(world: Arc<World>) {
    world.bot.assert_runs();
    world.gateway.assert_runs();
    assert_eq!(world.microsoft.unexpected(), Vec::<String>::new());
}

/// The message is answered 200, and its echo comes to the Connector it names, with the token the bot was given.
async fn assert_echoed(world: &World, message: &Value, service_url: &str) {
    let answer = post_signed(world, message).await;
    assert_eq!(answer.status(), StatusCode::OK, "{answer:?}");
    // No waiting: the SDK answers the channel after the Connector has taken the reply.
    let replies = world.microsoft.replies_in(conversation(message));
    assert_eq!(replies.len(), 1, "{replies:?}");
    assert_eq!(replies[0].service_url, service_url);
    assert_eq!(replies[0].reply_to, message["id"].as_str().unwrap());
    assert_eq!(
        replies[0].activity["text"],
        format!("Echo: {}", message["text"].as_str().unwrap())
    );
    assert!(
        replies[0].with_given_token,
        "the bot did not send the token it was given"
    );
    assert_eq!(request_line(world, &answer).await["verdict"], "forwarded");
}

/// The request is answered with `status`, its one request line says `reason`, and the bot sees nothing of it.
async fn assert_refused(
    world: &World,
    token: Option<&str>,
    activity: &Value,
    status: StatusCode,
    reason: &str,
) {
    let seen_before = world.bot.events("bot_saw").len();
    let refused = world.post(token, activity).await;
    assert_eq!(refused.status(), status, "{refused:?}");

    // Whatever the bot saw of the refused request, it saw before this one.
    let good = post_signed(
        world,
        &teams(&format!("after-{reason}"), json!({"text": "still there?"})),
    )
    .await;
    assert_eq!(good.status(), StatusCode::OK, "{good:?}");
    let id = request_id(&good);
    let seen = until("the bot to see the good request", || {
        let seen = world.bot.events("bot_saw").split_off(seen_before);
        seen.iter()
            .any(|request| request["request_id"] == id)
            .then_some(seen)
    })
    .await;
    assert_eq!(
        seen.len(),
        1,
        "the refused request reached the bot: {seen:?}"
    );

    let line = request_line(world, &refused).await;
    assert_eq!(line["verdict"], "rejected", "{line}");
    assert_eq!(line["reason"], reason, "{line}");
    request_line(world, &good).await;
    let lines = world.gateway.events("request");
    let about_it = lines
        .iter()
        .filter(|line| line["request_id"] == request_id(&refused))
        .count();
    assert_eq!(about_it, 1, "{lines:#?}");
}

/// The gateway's request line about the request that was answered so.
async fn request_line(world: &World, answer: &Response<Bytes>) -> Value {
    let id = request_id(answer);
    let find = || {
        world
            .gateway
            .events("request")
            .into_iter()
            .find(|line| line["request_id"] == id)
    };
    until(&format!("the request line of {id}"), find).await
}

/// Posts with a token such as the channel makes for this activity.
async fn post_signed(world: &World, activity: &Value) -> Response<Bytes> {
    let token = world
        .token(activity["serviceUrl"].as_str().unwrap())
        .sign()
        .unwrap();
    world.post(Some(&token), activity).await
}

/// An activity as Teams sends it (AUTHENTICATION.md 4.7), in a conversation of its own, with `more` laid over it.
fn teams(id: &str, more: Value) -> Value {
    let mut activity = json!({
        "type": "message",
        "id": id,
        "timestamp": "2026-11-18T09:15:23.4567890Z",
        "channelId": "msteams",
        "serviceUrl": TEAMS,
        "from": {"id": "29:1AbCdEf-made-up", "name": "Ada Example", "aadObjectId": "7d2c6a31-9b53-4a0f-b8a3-21f9e6c5d004"},
        "recipient": {"id": format!("28:{APP_ID}"), "name": "Contoso Helper"},
        "conversation": {"id": format!("19:{id}@thread.tacv2;messageid=1"), "conversationType": "personal", "tenantId": TENANT},
        "channelData": {"tenant": {"id": TENANT}},
    });
    let Value::Object(more) = more else {
        panic!("not an object: {more}")
    };
    activity.as_object_mut().unwrap().extend(more);
    activity
}

fn conversation(activity: &Value) -> &str {
    activity["conversation"]["id"].as_str().unwrap()
}

fn request_id(answer: &Response<Bytes>) -> &str {
    answer
        .headers()
        .get("x-request-id")
        .unwrap_or_else(|| panic!("no X-Request-Id: {answer:?}"))
        .to_str()
        .unwrap()
}

fn json(answer: &Response<Bytes>) -> Value {
    serde_json::from_slice(answer.body()).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

/// The service URL of the tenant's Teams.
const TEAMS: &str = "https://smba.trafficmanager.net/emea/3f0c8a5e-7f0b-4f3e-9d55-6f2b1b0a9c11/";

const DIRECT_LINE: &str = "https://directline.botframework.com/";
