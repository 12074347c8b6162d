//! A person chats; then everybody tries what they should not.

use crate::stage::process::until;
use crate::world::{DOMAIN, EVIL, PAGE, PER_IP, SECRET, SHOP, TOKENS, World};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value, json};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Starts everything and plays scene after scene; at the first that goes wrong, prints what everybody said and fails.
pub(crate) async fn all(dir: &Path, deadline: Duration) {
    let world = Arc::new(World::start(dir).await);
    let mut playing = "the deadline";
    let mut rows = vec![];
    let played = async {
        for (name, scene) in SCENES {
            playing = name;
            // A task of its own turns its panic into a value, and the panic has printed its message.
            let outcome = tokio::spawn(scene(Arc::clone(&world))).await.ok()?;
            rows.push((name.replace('_', " "), outcome));
        }
        Some(())
    };
    let is_good = matches!(tokio::time::timeout(deadline, played).await, Ok(Some(())));
    println!("\n{:<58}  what came of it", "what was tried");
    for (name, outcome) in &rows {
        println!("{name:<58}  {outcome}");
    }
    if !is_good {
        world.bot.print();
        world.gateway.print();
        println!(
            "---- Direct Line was asked: {:#?}",
            world.direct_line.asked()
        );
        println!(
            "---- Microsoft did not expect: {:#?}",
            world.microsoft.unexpected()
        );
        panic!("went wrong: {playing}");
    }
}

type Scene = fn(Arc<World>) -> Pin<Box<dyn Future<Output = String> + Send>>;

macro_rules! scenes {
    ($($name:ident),* $(,)?) => {
        /// In this order: the last two leave nothing that could be used again.
        const SCENES: &[(&str, Scene)] = &[$((stringify!($name), |world| Box::pin($name(world)))),*];
    };
}

scenes![
    a_person_says_hello_and_the_bot_answers_on_screen,
    a_page_renews_its_token_until_its_session_is_over,
    a_page_on_another_origin_asks_for_a_token,
    a_program_that_names_no_origin_asks_for_a_token,
    a_page_on_another_origin_uses_a_stolen_token,
    a_page_says_that_it_is_another_user,
    a_message_of_a_dl_id_that_the_broker_did_not_issue,
    a_message_of_an_id_without_dl,
    the_token_of_another_session_is_to_be_renewed,
    a_token_is_to_be_renewed_without_the_cookie,
    a_token_that_was_renewed_is_to_be_renewed_again,
    a_cookie_that_was_exchanged_is_shown_again,
    a_token_for_one_conversation_reads_another,
    a_token_that_has_ended_is_used_and_to_be_renewed,
    the_secret_is_looked_for_in_all_that_browsers_got,
    a_flood_of_requests_for_tokens,
];

async fn a_person_says_hello_and_the_bot_answers_on_screen(world: Arc<World>) -> String {
    let browser = &world.browser;
    browser.open("ada", PAGE).await;
    browser.say("ada", "Hello from a browser").await;
    browser.see("ada", "Echo: Hello from a browser").await;
    browser.picture("ada", "hello.png").await;
    let messages = messages(&world);
    let [(message, 200)] = messages.as_slice() else {
        panic!("{messages:?}");
    };
    let user = message["from"]["id"].as_str().unwrap();
    assert!(user.starts_with("dl_") && user.len() > 40, "{user}");
    assert_eq!(message["channelId"], "directline");
    assert_eq!(world.generated(), 1);
    // Only the gateway showed the secret.
    for asked in world.direct_line.asked() {
        assert!(!(asked.with_secret && asked.origin.is_some()), "{asked:?}");
    }
    // A browser opens connections that it then does not need.
    let mut unexpected = world.microsoft.unexpected();
    unexpected.retain(|what| !what.starts_with("TLS: "));
    assert_eq!(unexpected, Vec::<String>::new());
    "\"Echo: Hello from a browser\" on screen".to_owned()
}

async fn a_page_renews_its_token_until_its_session_is_over(world: Arc<World>) -> String {
    const LIFETIME: u64 = 10;
    world.direct_line.tokens_live_for(LIFETIME);
    let browser = &world.browser;
    browser.open("bob", SHOP).await;
    browser.say("bob", "Hello from the shop").await;
    browser.see("bob", "Echo: Hello from the shop").await;
    // The page's own timer: after 5 s it renews; after 10 s its conversation is older than max_session.
    let over = "This chat has ended. Load the page again to begin a new one.";
    browser.see("bob", over).await;
    world.direct_line.tokens_live_for(1800);
    let lines = world.gateway.events("request");
    let mut renewals = lines
        .iter()
        .filter(|line| line["path"] == "/shop/token/refresh" && line["method"] == "POST")
        .map(|line| (line["status"].as_u64(), line["note"].as_str()));
    assert_eq!(renewals.next(), Some((Some(200), None)));
    let over = "the session has lasted for max_session";
    assert_eq!(renewals.next(), Some((Some(401), Some(over))));
    "200, then 401 token_expired (max_session), and the page says so".to_owned()
}

async fn a_page_on_another_origin_asks_for_a_token(world: Arc<World>) -> String {
    let (before, generated) = (world.refused(PATH, "origin_not_allowed"), world.generated());
    world.browser.open("eve", EVIL).await;
    world.browser.see("eve", "There is no chat now.").await;
    world.browser.picture("eve", "another-origin.png").await;
    let script = format!(
        "return await fetch('{TOKENS}', {{ method: 'POST', credentials: 'include' }}).then(() => 'an answer', String)"
    );
    let got = world.browser.run("eve", &script).await;
    assert_eq!(got, "TypeError: Failed to fetch");
    world
        .refused_again(PATH, "origin_not_allowed", before + 1)
        .await;
    assert_eq!(world.generated(), generated);
    "403 origin_not_allowed; the page may not even read it".to_owned()
}

async fn a_program_that_names_no_origin_asks_for_a_token(world: Arc<World>) -> String {
    let generated = world.generated();
    let (status, headers, _) = post(&world, TOKENS, &[]).await;
    let reason = reason(&world, &headers).await;
    assert_eq!((status, reason.as_str()), (403, "origin_not_allowed"));
    assert_eq!(world.generated(), generated);
    "403 origin_not_allowed".to_owned()
}

async fn a_page_on_another_origin_uses_a_stolen_token(world: Arc<World>) -> String {
    let stolen = session(&world).await;
    let script = format!(
        "const answer = await fetch('{DOMAIN}/conversations', {{ method: 'POST', headers: {{ authorization: 'Bearer {}' }} }});
         return [answer.status, (await answer.json()).error.code]",
        stolen.token
    );
    let got = world.browser.run("eve", &script).await;
    assert_eq!(got, json!([403, "NotAllowed"]));
    "403 by Direct Line: not a trusted origin of the token".to_owned()
}

async fn a_page_says_that_it_is_another_user(world: Arc<World>) -> String {
    let victim = messages(&world)[0].0["from"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    world.browser.open("mallory", PAGE).await;
    world.browser.say("mallory", "first").await;
    world.browser.see("mallory", "Echo: first").await;
    let script = format!(
        "const token = await fetch('{TOKENS}', {{ method: 'POST', credentials: 'include' }}).then(answer => answer.json());
         const headers = {{ authorization: `Bearer ${{token.token}}`, 'content-type': 'application/json' }};
         await fetch('{DOMAIN}/conversations', {{ method: 'POST', headers }});
         const body = JSON.stringify({{ type: 'message', text: 'I am Ada', from: {{ id: '{victim}', name: 'Ada' }} }});
         const said = await fetch(`{DOMAIN}/conversations/${{token.conversationId}}/activities`, {{ method: 'POST', headers, body }});
         return [said.status, token.userId]"
    );
    let got = world.browser.run("mallory", &script).await;
    let (message, status) = messages(&world).pop().unwrap();
    assert_eq!((&message["text"], status), (&json!("I am Ada"), 200));
    assert_eq!((&message["from"]["id"], &got[0]), (&got[1], &json!(200)));
    assert_ne!(got[1], victim.as_str());
    "the bot gets the token's user id, not the claimed one".to_owned()
}

async fn a_message_of_a_dl_id_that_the_broker_did_not_issue(world: Arc<World>) -> String {
    impersonate(&world, "dl_0123456789012345678901234567890123456789012").await
}

async fn a_message_of_an_id_without_dl(world: Arc<World>) -> String {
    let message = json!({
        "type": "message", "id": "made-up|0000001", "channelId": "directline", "text": "I am Ada",
        "serviceUrl": "https://directline.botframework.com/",
        "from": { "id": "ada@example.com", "name": "Ada" }, "recipient": { "id": "bot", "name": "bot" },
        "conversation": { "id": "made-up" },
    });
    let refused = world.refused("/api/messages", "user_id_not_trusted");
    let status = world.deliver(&message).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    world
        .refused_again("/api/messages", "user_id_not_trusted", refused)
        .await;
    world.bot_saw_no_more().await;
    "403 user_id_not_trusted; the bot saw nothing".to_owned()
}

/// Someone who can make tokens elsewhere makes one for another user id and speaks under it.
async fn impersonate(world: &World, user: &str) -> String {
    let refused = world.refused("/api/messages", "user_id_not_trusted");
    let wish = json!({ "user": { "id": user } });
    let given = service(world, "/tokens/generate", SECRET, &wish).await.1;
    let token = given["token"].as_str().unwrap();
    service(world, "/conversations", token, &json!({})).await;
    let say = format!(
        "/conversations/{}/activities",
        given["conversationId"].as_str().unwrap()
    );
    let message = json!({ "type": "message", "text": "I am Ada" });
    let (status, answer) = service(world, &say, token, &message).await;
    assert_eq!((status, code(&answer)), (502, "BotRejectedActivity".into()));
    // The greeting and the message.
    world
        .refused_again("/api/messages", "user_id_not_trusted", refused + 1)
        .await;
    world.bot_saw_no_more().await;
    "403 user_id_not_trusted; the bot saw nothing".to_owned()
}

async fn the_token_of_another_session_is_to_be_renewed(world: Arc<World>) -> String {
    let (own, other) = (session(&world).await, session(&world).await);
    let (status, headers, _) = renew(&world, &other.cookie, &own.token).await;
    assert_eq!(status, 401);
    // The session it was tried with goes on.
    let (status, ..) = renew(&world, &other.cookie, &other.token).await;
    assert_eq!(status, 200);
    // And in the browser: Mallory has the token of Ada's page, and a cookie of her own.
    let script = format!(
        "return await fetch('{TOKENS}/refresh', {{ method: 'POST', credentials: 'include', headers: {{ authorization: 'Bearer {}' }} }})
           .then(answer => answer.status)",
        own.token
    );
    assert_eq!(world.browser.run("mallory", &script).await, 401);
    format!("401 {}", reason(&world, &headers).await)
}

async fn a_token_is_to_be_renewed_without_the_cookie(world: Arc<World>) -> String {
    let own = session(&world).await;
    let (status, headers, _) = renew(&world, "", &own.token).await;
    assert_eq!(status, 401);
    format!("401 {}", reason(&world, &headers).await)
}

async fn a_token_that_was_renewed_is_to_be_renewed_again(world: Arc<World>) -> String {
    let own = session(&world).await;
    let (status, headers, next) = renew(&world, &own.cookie, &own.token).await;
    assert_eq!(status, 200, "{next}");
    assert_eq!(next["userId"], own.user.as_str());
    assert_ne!(next["token"], own.token.as_str());
    let (status, headers, _) = renew(&world, &cookie(&headers), &own.token).await;
    assert_eq!(status, 401);
    format!("401 {}", reason(&world, &headers).await)
}

async fn a_cookie_that_was_exchanged_is_shown_again(world: Arc<World>) -> String {
    let own = session(&world).await;
    let (status, _, next) = renew(&world, &own.cookie, &own.token).await;
    assert_eq!(status, 200);
    let mut reasons = vec![];
    for token in [own.token.as_str(), next["token"].as_str().unwrap()] {
        let (status, headers, _) = renew(&world, &own.cookie, token).await;
        assert_eq!(status, 401);
        reasons.push(reason(&world, &headers).await);
    }
    format!("401 {}", reasons.join("; 401 "))
}

async fn a_token_for_one_conversation_reads_another(world: Arc<World>) -> String {
    let conversation = messages(&world)[0].0["conversation"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let own = session(&world).await;
    let request = Request::get(format!("{DOMAIN}/conversations/{conversation}/activities"))
        .header(header::AUTHORIZATION, format!("Bearer {}", own.token));
    let answer = world.ask(request.body(Full::default()).unwrap()).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    "403 by Direct Line".to_owned()
}

async fn a_token_that_has_ended_is_used_and_to_be_renewed(world: Arc<World>) -> String {
    let own = session(&world).await;
    world.direct_line.advance(1800);
    let (status, answer) = service(&world, "/conversations", &own.token, &json!({})).await;
    assert_eq!((status, code(&answer)), (403, "TokenExpired".into()));
    let (status, headers, _) = renew(&world, &own.cookie, &own.token).await;
    let reason = reason(&world, &headers).await;
    assert_eq!((status, reason.as_str()), (401, "token_expired"));
    "403 TokenExpired by Direct Line; 401 token_expired to renew".to_owned()
}

async fn the_secret_is_looked_for_in_all_that_browsers_got(world: Arc<World>) -> String {
    let mut bytes = 0;
    for session in ["ada", "bob", "eve", "mallory"] {
        let everything = world.browser.everything(session).await;
        bytes += everything.len();
        assert!(!everything.contains(SECRET), "{session} got the secret");
        // The search searches: what did come is found.
        let is_ours = session != "eve";
        for ours in [r#""userId":"dl_"#, r#""text":"Echo: "#, "__Host-botgate-dl"] {
            assert_eq!(everything.contains(ours), is_ours, "{session}: {ours}");
        }
    }
    let said = [world.gateway.lines(), world.bot.lines()]
        .concat()
        .join("\n");
    assert!(!said.contains(SECRET), "the secret is in a log");
    // What the page's own script sees of the session: nothing.
    assert_eq!(world.browser.run("ada", "return document.cookie").await, "");
    format!(
        "not in {} KiB of answers, frames, storage, page; not in logs",
        bytes >> 10
    )
}

async fn a_flood_of_requests_for_tokens(world: Arc<World>) -> String {
    let before = world.generated();
    let script = format!(
        "const one = () => fetch('{TOKENS}', {{ method: 'POST', credentials: 'include' }}).then(answer => answer.status);
         return await Promise.all(Array.from({{ length: 100 }}, one))"
    );
    let statuses = world.browser.run("mallory", &script).await;
    let statuses = statuses.as_array().unwrap();
    let count = |wanted: u64| statuses.iter().filter(|status| **status == wanted).count();
    let (good, limited) = (count(200), count(429));
    assert_eq!(good + limited, 100, "{statuses:?}");
    assert!(good <= PER_IP, "{statuses:?}");
    assert_eq!(world.generated() - before, good);
    let (status, headers, _) = post(&world, TOKENS, &[("origin", PAGE)]).await;
    assert_eq!(status, 429);
    let after: u64 = headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!(after > 0);
    format!("{good} of 100 got a token, {limited} got 429; Retry-After: {after}")
}

const PATH: &str = "/directline/token";

/// A session of a well-behaved client that is no browser.
struct Session {
    token: String,
    user: String,
    cookie: String,
}

async fn session(world: &World) -> Session {
    let (status, headers, body) = post(world, TOKENS, &[("origin", PAGE)]).await;
    assert_eq!(status, 200, "{body}");
    let mut names: Vec<_> = body.as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(names, ["conversationId", "expires_in", "token", "userId"]);
    assert_eq!(headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], PAGE);
    let set = headers[header::SET_COOKIE].to_str().unwrap();
    for wanted in [
        "__Host-botgate-dl",
        "HttpOnly",
        "Secure",
        "SameSite=Lax",
        "Path=/",
    ] {
        assert!(set.contains(wanted), "{wanted}: {set}");
    }
    let text = |name: &str| body[name].as_str().unwrap().to_owned();
    Session {
        token: text("token"),
        user: text("userId"),
        cookie: cookie(&headers),
    }
}

/// The cookie that was set, as it is sent back.
fn cookie(headers: &HeaderMap) -> String {
    let set = headers[header::SET_COOKIE].to_str().unwrap();
    set.split(';').next().unwrap().to_owned()
}

async fn renew(world: &World, cookie: &str, token: &str) -> (u16, HeaderMap, Value) {
    let bearer = format!("Bearer {token}");
    let mut headers = vec![("origin", PAGE), ("authorization", &bearer)];
    if !cookie.is_empty() {
        headers.push(("cookie", cookie));
    }
    post(world, &format!("{TOKENS}/refresh"), &headers).await
}

async fn post(world: &World, url: &str, headers: &[(&str, &str)]) -> (u16, HeaderMap, Value) {
    let mut request = Request::post(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = world.ask(request.body(Full::default()).unwrap()).await;
    let (head, body) = answer.into_parts();
    let body = serde_json::from_slice(&body).unwrap_or_default();
    (head.status.as_u16(), head.headers, body)
}

/// Asks Direct Line as a program does.
async fn service(world: &World, path: &str, token: &str, body: &Value) -> (u16, Value) {
    let request = Request::post(format!("{DOMAIN}{path}"))
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/json");
    let body = Full::from(Bytes::from(body.to_string()));
    let answer = world.ask(request.body(body).unwrap()).await;
    let body = serde_json::from_slice(answer.body()).unwrap_or_default();
    (answer.status().as_u16(), body)
}

/// What the gateway's log says about the request that was answered so.
async fn reason(world: &World, headers: &HeaderMap) -> String {
    let id = headers["x-request-id"].to_str().unwrap();
    let line = until("the request line", || {
        let lines = world.gateway.events("request");
        lines.into_iter().find(|line| line["request_id"] == id)
    });
    line.await["reason"].as_str().unwrap_or_default().to_owned()
}

fn code(answer: &Value) -> String {
    answer["error"]["code"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// The messages that the channel sent to the gateway, and what it answered.
fn messages(world: &World) -> Vec<(Value, u16)> {
    let delivered = world.delivered.lock().unwrap();
    let is_message = |(activity, _): &&(Value, u16)| activity["type"] == "message";
    delivered.iter().filter(is_message).cloned().collect()
}
