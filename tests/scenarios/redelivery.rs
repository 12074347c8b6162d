//! An activity that is sent again, while the bot is at work on it or soon after, is answered without reaching the bot twice.

use crate::support::client::Post;
use crate::support::held_bot::HeldBot;
use crate::support::metrics::Page;
use crate::support::reply::Reply;
use crate::support::{APP_ID, FOREIGN_TENANT, Gateway, PROTOCOLS, TENANT, eventually};
use botgate::cli::demo::bot::{Answer, EchoBot};
use botgate::cli::demo::client::Protocol;
use botgate::judge::Reason;
use http::StatusCode;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::time::Duration;
use tokio::task::JoinHandle;

const ON: &str = "redelivery.window = \"10m\"";
/// How many may wait for one answer.
const MOST_WAITING: usize = 64;
const SKILL: &str = "7c9d1e2f-3a4b-4c5d-8e6f-7a8b9c0d1e2f";
const OTHER_SKILL: &str = "8d0e2f3a-4b5c-4d6e-9f70-8b9c0d1e2f3a";

// While the bot is at work

#[tokio::test]
async fn of_many_at_once_one_reaches_the_bot_and_all_get_its_answer() {
    const MANY: usize = 40;
    for file in ["teams-message.json", "teams-invoke.json"] {
        let (gateway, mut bot) = held(ON).await;
        let sending: Vec<_> = (0..MANY)
            .map(|number| send(gateway.post(file).over(PROTOCOLS[number % 2])))
            .collect();
        let held = bot.next().await;
        are_in_flight(&gateway, MANY).await;
        held.answer(200, "{\"its\":\"answer\"}").await;
        let mut firsts = vec![];
        let mut repeats = vec![];
        for reply in sending {
            let reply = reply.await.unwrap();
            assert_eq!(
                (reply.status, &reply.body[..]),
                (200, &b"{\"its\":\"answer\"}"[..])
            );
            assert_eq!(reply.header("content-type"), Some("application/json"));
            let line = reply.only_request_line().await;
            assert_eq!(
                (&line["verdict"], &line["status"]),
                (&"forwarded".into(), &200.into())
            );
            match line["repeat_of"].as_str() {
                None => firsts.push(reply.request_id),
                Some(first) => repeats.push(first.to_owned()),
            }
        }
        assert_eq!((firsts.len(), repeats.len()), (1, MANY - 1));
        assert!(repeats.iter().all(|first| *first == firsts[0]));
        assert_eq!(bot.count(), 1, "the bot saw it once");
        let page = Page::of(&gateway).await;
        let told: f64 = ["in_flight", "answered"]
            .map(|state| page.value(&repeated(state)))
            .iter()
            .sum();
        assert_eq!(told, MANY as f64 - 1.0);
        assert!(gateway.terminate().await.success());
    }
}

#[tokio::test]
async fn who_waits_hears_of_a_failure_and_the_next_one_reaches_the_bot() {
    let (gateway, mut bot) = held(ON).await;
    let first = send(gateway.teams_message());
    let held = bot.next().await;
    let repeats = as_many_as_may_wait(&gateway).await;
    drop(held);
    let reply = first.await.unwrap();
    reply.failed_upstream(Reason::UpstreamBroken, 0).await;
    for reply in those_that_waited(repeats).await {
        reply.failed_upstream(Reason::UpstreamBroken, 0).await;
    }
    let next = send(gateway.teams_message());
    bot.next().await.answer(200, "").await;
    assert_eq!(next.await.unwrap().status, 200);
    assert_eq!(bot.count(), 2);
}

#[tokio::test]
async fn a_client_that_leaves_does_not_cut_the_bot_off_and_its_repeat_gets_the_answer() {
    for protocol in PROTOCOLS {
        let (gateway, mut bot) = held(ON).await;
        let mut connection = gateway.client().connect(protocol).await.unwrap();
        let request = gateway.teams_message().header("x-request-id", "left");
        let sending = connection.send(request.into_request());
        let held = tokio::select! {
            _ = sending => panic!("nobody answers"),
            held = bot.next() => held,
        };
        drop(connection);
        let line = gateway.request_line_for("left").await;
        assert_eq!(line["verdict"], "abandoned", "{line}");
        assert!(held.is_undisturbed(), "the bot is at work");
        let repeat = send(gateway.teams_message());
        are_in_flight(&gateway, 1).await;
        held.answer(200, "{}").await;
        let repeat = repeat.await.unwrap();
        is_repeat(&repeat, 200, "{}", "left").await;
        let done = gateway.event("abandoned_done", |_| true).await;
        assert_eq!(
            (&done["request_id"], &done["status"]),
            (&"left".into(), &200.into())
        );
        assert_eq!(bot.count(), 1);
    }
}

#[tokio::test]
async fn a_bot_that_does_not_answer_in_time_is_asked_again() {
    let (gateway, mut bot) = held(&format!("{ON}\ntimeouts.response = \"300ms\"")).await;
    let sending = send(gateway.teams_message());
    let held = bot.next().await;
    let reply = sending.await.unwrap();
    reply.failed_upstream(Reason::UpstreamTimedOut, 0).await;
    held.until_left().await;
    let again = send(gateway.teams_message());
    bot.next().await.answer(200, "").await;
    assert_eq!(again.await.unwrap().status, 200);
}

#[tokio::test]
async fn a_bot_that_is_away_is_asked_again() {
    let gateway = echo(ON).await;
    gateway.bot().close().await;
    let reply = gateway.teams_message().send().await;
    reply.failed_upstream(Reason::UpstreamUnreachable, 0).await;
    gateway.bot().reopen().await.unwrap();
    gateway.teams_message().send().await.forwarded().await;
}

#[tokio::test]
async fn too_many_that_wait_are_told_to_come_again() {
    let (gateway, mut bot) = held(ON).await;
    let first = send(gateway.teams_message());
    let held = bot.next().await;
    // One too many is answered at once, the others when the bot has.
    let repeats = as_many_as_may_wait(&gateway).await;
    held.answer(200, "").await;
    for reply in those_that_waited(repeats).await {
        assert_eq!(reply.status, 200);
    }
    assert_eq!(first.await.unwrap().status, 200);
    assert_eq!(bot.count(), 1);
}

// After the answer

#[tokio::test]
async fn a_repeat_gets_the_first_answer_again() {
    let gateway = echo(ON).await;
    for (post, status, body) in [
        (gateway.teams_message(), 200, ""),
        (with_id(gateway.teams_message(), "b"), 202, "{\"id\":\"9\"}"),
        (with_id(gateway.teams_message(), "c"), 403, "no"),
        (
            gateway.post("teams-invoke.json"),
            200,
            "{\"statusCode\":200}",
        ),
        (with_id(gateway.post("teams-invoke.json"), "d"), 412, "{}"),
        // Bots say so to invokes that they do not know, and Teams sends them again.
        (with_id(gateway.post("teams-invoke.json"), "e"), 501, ""),
        (
            with_id(gateway.teams_message(), "f").with("/deliveryMode", "expectReplies"),
            200,
            "{\"activities\":[]}",
        ),
    ] {
        answers(&gateway, status, body);
        let activity = serde_json::from_slice::<Value>(post.into_request().body()).unwrap();
        let post = || gateway.teams_message().body(activity.to_string());
        let first = post().send().await;
        let line = first.only_request_line().await;
        assert_eq!(line.get("repeat_of"), None, "{line}");
        assert_eq!(first.header("x-only"), Some("once"));
        // The bot would say something else now.
        answers(&gateway, 418, "changed");
        let seen = gateway.bot().count();
        for protocol in PROTOCOLS {
            let repeat = post().over(protocol).send().await;
            is_repeat(&repeat, status, body, &first.request_id).await;
            assert_eq!(repeat.header("content-type"), Some("application/json; x=1"));
            assert_eq!(
                repeat.header("x-only"),
                None,
                "only what is needed to read the body"
            );
            assert_ne!(repeat.request_id, first.request_id);
        }
        assert_eq!(gateway.bot().count(), seen);
    }
    let page = Page::of(&gateway).await;
    assert_eq!(page.value(&repeated("answered")), 14.0);
    assert_eq!(page.value(&repeated("in_flight")), 0.0);
    assert!(gateway.terminate().await.success());
}

#[tokio::test]
async fn an_answer_that_does_not_mean_handled_is_forgotten() {
    let gateway = echo(ON).await;
    for status in [500, 501, 503, 408, 429] {
        answers(&gateway, status, "");
        for _ in 0..2 {
            let reply = gateway.teams_message().send().await;
            assert_eq!(reply.status, status);
            reply.forwarded().await;
        }
    }
    answers(&gateway, 500, "");
    let invoke = || gateway.post("teams-invoke.json").send();
    assert_eq!(invoke().await.status, 500);
    answers(&gateway, 200, "");
    assert_eq!(invoke().await.status, 200);
}

#[tokio::test]
async fn after_the_window_it_reaches_the_bot_again() {
    let gateway = echo("redelivery.window = \"300ms\"").await;
    for _ in 0..3 {
        gateway.teams_message().send().await.forwarded().await;
        tokio::time::sleep(Duration::from_millis(350)).await;
    }
}

#[tokio::test]
async fn without_the_setting_every_repeat_reaches_the_bot() {
    for more in ["", "redelivery.window = \"0s\""] {
        let gateway = echo(more).await;
        for _ in 0..2 {
            gateway.teams_message().send().await.forwarded().await;
        }
    }
}

#[tokio::test]
async fn what_is_too_large_to_be_kept_reaches_the_bot_again() {
    let gateway = echo(ON).await;
    for (length, is_kept) in [(65_536, true), (65_537, false)] {
        let post = || with_id(gateway.teams_message(), &length.to_string());
        let body = "x".repeat(length);
        answers(&gateway, 200, &body);
        let first = post().send().await;
        assert_eq!(first.body, body);
        first.forwarded().await;
        let again = post().send().await;
        assert_eq!(again.body, body);
        let line = again.only_request_line().await;
        assert_eq!(line.get("repeat_of").is_some(), is_kept, "{line}");
    }
    assert_eq!(gateway.bot().count(), 3);
    // Also where its length is not announced, and for those who wait.
    let (gateway, mut bot) = held(ON).await;
    let first = send(gateway.teams_message());
    let held = bot.next().await;
    let repeats = as_many_as_may_wait(&gateway).await;
    let large = "x".repeat(200_000);
    held.write(format!("HTTP/1.1 200 OK\r\n\r\n{large}").as_bytes())
        .await;
    assert_eq!(first.await.unwrap().body, large);
    for _ in 0..MOST_WAITING {
        bot.next().await.answer(200, "small").await;
    }
    for reply in those_that_waited(repeats).await {
        assert_eq!(reply.body, "small");
    }
    let passed = Page::of(&gateway).await.value(&repeated("passed"));
    assert_eq!(passed, MOST_WAITING as f64);
}

#[tokio::test]
async fn a_stream_is_neither_held_back_nor_kept() {
    let gateway = echo(ON).await;
    // Asked for, and not.
    for mode in ["stream", "normal"] {
        let mut streams = gateway.bot().answer_with_streams("text/event-stream");
        for _ in 0..2 {
            let mut connection = gateway.client().connect(Protocol::Http1).await.unwrap();
            let request = gateway.teams_message().with("/deliveryMode", mode);
            let response = connection.send(request.into_request());
            let (response, pieces) = tokio::join!(response, streams.recv());
            let (mut response, pieces) = (response.unwrap(), pieces.unwrap());
            assert!(pieces.send("data: one\n\n"));
            let piece = crate::support::next_piece(response.body_mut()).await;
            assert_eq!(piece, "data: one\n\n");
        }
    }
    assert_eq!(gateway.bot().count(), 4);
}

// What a repeat is, and what is none

#[tokio::test]
async fn the_nearest_misses_are_no_repeats() {
    let skills = format!(
        "accept = ['channel', 'skill']\ncallers.allow = ['{SKILL}', '{OTHER_SKILL}']\nservice_urls.allow_hosts = 'any'\n{ON}"
    );
    let gateway = Gateway::with(&format!("[bots]\n{skills}"))
        .bot_at("second", &skills)
        .start()
        .await;
    let base = || gateway.teams_message();
    let by = |tenant: &str, app: &str| {
        let token = gateway.channel().entra_token(APP_ID, tenant, app);
        base().token(move |_| token)
    };
    base().send().await.forwarded().await;
    for (what, post) in [
        ("another bot", base().to("second")),
        ("a skill", by(TENANT, SKILL)),
        ("another skill", by(TENANT, OTHER_SKILL)),
        ("a skill of another tenant", by(FOREIGN_TENANT, SKILL)),
        (
            "another channel",
            base()
                .with("/channelId", "webchat")
                .with("/from/id", "dl_1"),
        ),
        (
            "a sub-channel",
            base().with("/channelId", "msteams:COPILOT"),
        ),
        (
            "another conversation",
            base().with("/conversation/id", "a:2"),
        ),
        ("another id", with_id(base(), "1795100000002")),
        ("another case of an id", with_id(base(), "ID")),
        ("an id once more", with_id(base(), "id")),
        ("another type", base().with("/type", "event")),
        ("a name", base().with("/type", "event").with("/name", "x")),
        (
            "another name",
            base().with("/type", "event").with("/name", "y"),
        ),
        (
            "another mode",
            base().with("/deliveryMode", "expectReplies"),
        ),
        ("a query", base().path("/api/messages?x=1")),
    ] {
        let reply = post.send().await;
        assert_eq!(reply.status, 200, "{what}");
        let line = reply.only_request_line().await;
        assert_eq!(line.get("repeat_of"), None, "{what}: {line}");
        reply.forwarded().await;
    }
    // What is not a part of the key: how it is written, who is named in it, when it was sent.
    for post in [
        base().with("/text", "edited"),
        base().with("/timestamp", "2026-11-20T08:00:15Z"),
        base().header("x-request-id", "again"),
        base().header("user-agent", "another front end"),
        base().over_http2(),
    ] {
        let line = post.send().await.only_request_line().await;
        assert!(line["repeat_of"].is_string(), "{line}");
    }
    // Each of the skills meets its own mark.
    for app in [SKILL, OTHER_SKILL] {
        let line = by(TENANT, app).send().await.only_request_line().await;
        assert!(line["repeat_of"].is_string(), "{line}");
    }
}

#[tokio::test]
async fn what_has_no_id_of_its_own_is_never_a_repeat() {
    let gateway = echo(ON).await;
    let base = || gateway.teams_message();
    let posts: [(&str, &dyn Fn() -> Post); 6] = [
        ("no id", &|| base().lacking("/id")),
        ("an empty id", &|| with_id(base(), "")),
        ("null", &|| base().with("/id", Value::Null)),
        // Two edits of one message have its id.
        ("an edit", &|| base().with("/type", "messageUpdate")),
        ("a deletion", &|| base().with("/type", "messageDelete")),
        ("a stream", &|| base().with("/deliveryMode", "stream")),
    ];
    for (what, post) in posts {
        for _ in 0..2 {
            let reply = post().send().await;
            assert_eq!(reply.status, 200, "{what}");
            reply.forwarded().await;
        }
    }
}

#[tokio::test]
async fn callbacks_of_skills_are_never_repeats() {
    let callbacks = format!(
        "accept = ['channel', 'skill']\ncallers = {{ allow = ['{SKILL}'], callback_path = '/api/skills' }}\n{ON}"
    );
    let gateway = echo(&callbacks).await;
    for _ in 0..2 {
        let token = gateway.channel().entra_token(APP_ID, TENANT, SKILL);
        let path = "/api/skills/v3/conversations/a%3A1/activities";
        let post = gateway.teams_message().path(path).token(move |_| token);
        post.send().await.forwarded().await;
    }
}

#[tokio::test]
async fn a_repeat_is_judged_like_every_request() {
    let gateway = echo(&format!("{ON}\ntenants.allow = ['{TENANT}']")).await;
    gateway.teams_message().send().await.forwarded().await;
    // With a bad token there is no hint that it was seen before.
    let late = gateway
        .teams_message()
        .token(|spec| spec.claim("nbf", 0).claim("exp", 1));
    late.send()
        .await
        .refused_before_proof(Reason::TokenExpired)
        .await;
    let none = gateway.teams_message().without_token();
    none.send()
        .await
        .refused_before_proof(Reason::TokenMissing)
        .await;
    let forged = gateway.teams_message().spelled(|token| {
        let (signed, _) = token.rsplit_once('.').unwrap();
        vec![format!("Bearer {signed}.{}", "A".repeat(342))]
    });
    forged
        .send()
        .await
        .refused_before_proof(Reason::TokenSignatureInvalid)
        .await;
    let foreign = || {
        gateway
            .teams_message()
            .with("/channelData/tenant/id", FOREIGN_TENANT)
    };
    for _ in 0..2 {
        let reply = foreign().send().await;
        reply.refused_after_proof(Reason::TenantNotAllowed).await;
    }
}

#[tokio::test]
async fn a_repeat_in_report_mode_is_told_as_such() {
    let gateway = echo(&format!(
        "{ON}\nchannels = {{ allow = ['webchat'], mode = 'report' }}"
    ))
    .await;
    for _ in 0..2 {
        let line = gateway
            .teams_message()
            .send()
            .await
            .only_request_line()
            .await;
        assert_eq!(line["verdict"], "would_reject", "{line}");
        assert_eq!(line["reason"], Reason::ChannelNotAllowed.code(), "{line}");
    }
    assert_eq!(gateway.bot().count(), 1);
}

#[tokio::test]
async fn a_repeat_costs_nothing_of_the_budgets_after_authentication() {
    let one = "rate_limits.per_conversation = { rate = \"1/h\", burst = 1 }";
    let gateway = echo(&format!("{ON}\n{one}")).await;
    let first = gateway.teams_message().send().await;
    for _ in 0..3 {
        let repeat = gateway.teams_message().send().await;
        is_repeat(&repeat, 200, "", &first.request_id).await;
    }
    // What was refused is not remembered either.
    for _ in 0..2 {
        let reply = with_id(gateway.teams_message(), "another").send().await;
        reply
            .refused_after_proof(Reason::RateLimitedConversation)
            .await;
    }
}

// Both settings

#[tokio::test]
async fn an_acknowledged_message_is_acknowledged_again_and_then_answered() {
    let (gateway, mut bot) = held(&format!("{ON}\ntimeouts.acknowledge_after = \"300ms\"")).await;
    let [first, second] = [(); 2].map(|()| send(gateway.teams_message()));
    let held = bot.next().await;
    for reply in [first.await.unwrap(), second.await.unwrap()] {
        assert_eq!((reply.status, &reply.body[..]), (202, &b""[..]));
        assert_eq!(reply.only_request_line().await["acknowledged"], true);
    }
    // Who comes later hears it at once.
    let third = gateway.teams_message().send().await;
    assert_eq!(third.status, 202);
    let line = third.only_request_line().await;
    assert_eq!(line["acknowledged"], true, "{line}");
    assert!(line["repeat_of"].is_string(), "{line}");
    assert!(held.is_undisturbed());
    held.answer(201, "{\"id\":\"1\"}").await;
    gateway.event("acknowledged_done", |_| true).await;
    let fourth = gateway.teams_message().send().await;
    let first = line["repeat_of"].as_str().unwrap();
    is_repeat(&fourth, 201, "{\"id\":\"1\"}", first).await;
    assert_eq!(bot.count(), 1);
    let page = Page::of(&gateway).await;
    assert_eq!(page.value("botgate_acknowledged_total{bot=\"echo\"}"), 1.0);
}

#[tokio::test]
async fn what_failed_after_the_202_reaches_the_bot_if_it_is_sent_again() {
    let (gateway, mut bot) = held(&format!("{ON}\ntimeouts.acknowledge_after = \"300ms\"")).await;
    let first = send(gateway.teams_message());
    let held = bot.next().await;
    assert_eq!(first.await.unwrap().status, 202);
    held.answer(500, "").await;
    let failed = gateway.event("acknowledged_done", |_| true).await;
    assert_eq!(failed["outcome"], "failed", "{failed}");
    let again = send(gateway.teams_message());
    let held = bot.next().await;
    assert_eq!(again.await.unwrap().status, 202);
    held.answer(200, "").await;
}

#[tokio::test]
async fn an_invoke_is_not_acknowledged_with_both_either() {
    let (gateway, mut bot) = held(&format!("{ON}\ntimeouts.acknowledge_after = \"200ms\"")).await;
    let [first, second] = [(); 2].map(|()| send(gateway.post("teams-invoke.json")));
    let held = bot.next().await;
    are_in_flight(&gateway, 2).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!first.is_finished() && !second.is_finished(), "they wait");
    held.answer(200, "{}").await;
    for reply in [first, second] {
        let reply = reply.await.unwrap();
        assert_eq!((reply.status, &reply.body[..]), (200, &b"{}"[..]));
    }
}

// The end

#[tokio::test]
async fn who_waits_is_answered_before_the_end() {
    let (gateway, mut bot) = held(ON).await;
    let [first, second] = [(); 2].map(|()| send(gateway.teams_message()));
    let held = bot.next().await;
    are_in_flight(&gateway, 2).await;
    gateway.signal(Signal::SIGTERM);
    gateway.event("draining", |_| true).await;
    held.answer(200, "").await;
    for reply in [first, second] {
        assert_eq!(reply.await.unwrap().status, 200);
    }
    assert_eq!(gateway.ended().await.code(), Some(0));
}

// Words

/// A gateway before a bot that the scenario holds.
async fn held(more: &str) -> (Gateway, HeldBot) {
    let bot = HeldBot::start().await;
    (Gateway::with(&bot.config(more)).start().await, bot)
}

/// A gateway before a bot that answers at once.
async fn echo(more: &str) -> Gateway {
    let bot = EchoBot::start().await.unwrap();
    bot.answer_with(|_| Answer::status(StatusCode::OK));
    let config = format!("[bots]\n{more}");
    Gateway::with(&config).bot(&bot).start().await
}

/// Lets the bot answer so from now on.
fn answers(gateway: &Gateway, status: u16, body: &str) {
    let body = body.to_owned();
    gateway.bot().answer_with(move |_| {
        Answer::status(StatusCode::from_u16(status).unwrap())
            .header(
                "content-type".parse().unwrap(),
                "application/json; x=1".parse().unwrap(),
            )
            .header("x-only".parse().unwrap(), "once".parse().unwrap())
            .body(body.clone())
    });
}

fn with_id(post: Post, id: &str) -> Post {
    post.with("/id", id)
}

fn send(post: Post) -> JoinHandle<Reply> {
    tokio::spawn(post.send())
}

/// Repeats of what the bot is at, one more than may wait. Returns when that one is refused: then all others wait, which nothing
/// else tells from outside.
async fn as_many_as_may_wait(gateway: &Gateway) -> Vec<JoinHandle<Reply>> {
    let repeats = (0..=MOST_WAITING)
        .map(|_| send(gateway.teams_message()))
        .collect();
    eventually("one is refused", async || {
        Page::of(gateway).await.value(&repeated("refused")) >= 1.0
    })
    .await;
    repeats
}

/// What they are told, without the one that was too many.
async fn those_that_waited(repeats: Vec<JoinHandle<Reply>>) -> Vec<Reply> {
    let mut waited = vec![];
    for reply in repeats {
        let reply = reply.await.unwrap();
        if reply.status == 503 {
            assert_eq!(reply.header("retry-after"), Some("1"));
            reply.refused_after_proof(Reason::Overloaded).await;
        } else {
            waited.push(reply);
        }
    }
    assert_eq!(waited.len(), MOST_WAITING, "one is refused");
    waited
}

/// Waits until so many requests are being served, which is before they are known for repeats.
async fn are_in_flight(gateway: &Gateway, count: usize) {
    let inflight = "botgate_inflight_requests{bot=\"echo\"}";
    eventually("they are in flight", async || {
        gateway.metric(inflight).await >= count as f64
    })
    .await;
}

/// Answered as the first one was.
async fn is_repeat(reply: &Reply, status: u16, body: &str, first: &str) {
    let line = reply.only_request_line().await;
    assert_eq!(line["repeat_of"], first, "{line}");
    assert_eq!(line["verdict"], "forwarded", "{line}");
    assert_eq!(line["status"], status, "{line}");
    assert_eq!((reply.status, &*reply.body), (status, body.as_bytes()));
}

fn repeated(state: &str) -> String {
    format!("botgate_redeliveries_total{{bot=\"echo\",state=\"{state}\"}}")
}
