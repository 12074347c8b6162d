//! A message that the bot has, and has not answered by the mark, is answered 202, and the bot goes on.

use crate::support::client::Post;
use crate::support::held_bot::{Held, HeldBot, Reads};
use crate::support::metrics::Page;
use crate::support::reply::Reply;
use crate::support::{Gateway, PATIENCE, PROTOCOLS, next_piece};
use botgate::cli::demo::client::Protocol;
use botgate::judge::Reason;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::time::Duration;
use tokio::task::JoinHandle;

/// So late that it does not come while a scenario runs.
const NEVER: &str = "20m";

// What is told at the mark

#[tokio::test]
async fn a_slow_bot_is_acknowledged_and_goes_on_undisturbed() {
    // Long after timeouts.response, too.
    let (gateway, mut bot) = slow("200ms", "response = \"400ms\"", "").await;
    for protocol in PROTOCOLS {
        let sending = send(gateway.teams_message().over(protocol));
        let held = bot.next().await;
        let reply = sending.await.unwrap();
        assert_eq!((reply.status, &reply.body[..]), (202, &b""[..]));
        assert_eq!(reply.header("content-type"), None);
        let line = is_acknowledged(&reply).await;
        assert_eq!(line["verdict"], "forwarded", "{line}");
        assert!(line["upstream_ms"].as_f64().unwrap() > 0.0, "{line}");
        assert!(line["duration_ms"].as_f64().unwrap() >= 200.0, "{line}");

        tokio::time::sleep(Duration::from_millis(600)).await;
        assert!(held.is_undisturbed(), "the bot is at work");
        held.answer(201, "{\"id\":\"1\"}").await;
        let done = done(&gateway, &reply.request_id).await;
        assert_eq!(
            (&done["level"], &done["bot"]),
            (&"INFO".into(), &"echo".into())
        );
        assert_eq!(
            (&done["outcome"], &done["status"]),
            (&"answered".into(), &201.into())
        );
        assert_eq!(done.get("reason"), None, "{done}");
        assert!(done["seconds"].as_f64().unwrap() >= 0.8, "{done}");
        assert_eq!(reply.only_request_line().await, line, "no second line");
    }
    assert_eq!(bot.count(), 2);
    let page = Page::of(&gateway).await;
    assert_eq!(page.value("botgate_acknowledged_total{bot=\"echo\"}"), 2.0);
    assert_eq!(page.value(&outcomes("answered")), 2.0);
    assert_eq!(page.value(&outcomes("failed")), 0.0);
    assert!(gateway.terminate().await.success());
}

#[tokio::test]
async fn a_bot_that_has_begun_to_answer_is_undisturbed_too() {
    let (gateway, mut bot) = slow("200ms", "response = \"400ms\"", "").await;
    let sending = send(gateway.teams_message());
    let mut held = bot.next().await;
    held.begin(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n")
        .await;
    let reply = sending.await.unwrap();
    assert_eq!(reply.status, 202);
    // Longer than timeouts.response after the head.
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(held.is_undisturbed(), "the bot is at work");
    held.write(b"{}").await;
    let done = done(&gateway, &reply.request_id).await;
    assert_eq!(done["outcome"], "answered", "{done}");
}

#[tokio::test]
async fn a_bot_in_time_is_answered_with_its_own_words() {
    let (gateway, mut bot) = slow(NEVER, "response = \"30m\"", "").await;
    for (status, body) in [
        (200, ""),
        (200, "{\"id\":\"7\"}"),
        (403, "no"),
        (500, "oops"),
    ] {
        let sending = send(gateway.teams_message());
        bot.next()
            .await
            .answer_with(status, "x-from: bot", body)
            .await;
        let reply = sending.await.unwrap();
        assert_eq!((reply.status, &*reply.body), (status, body.as_bytes()));
        assert_eq!(reply.header("x-from"), Some("bot"));
        let line = reply.only_request_line().await;
        assert_eq!(line.get("acknowledged"), None, "{line}");
        assert_eq!(line["status"], status, "{line}");
        assert_eq!(line["bytes_out"], body.len(), "{line}");
    }
    let large = "x".repeat(300_000);
    let sending = send(gateway.teams_message());
    bot.next().await.answer(200, &large).await;
    assert_eq!(sending.await.unwrap().body, large);
    let page = Page::of(&gateway).await;
    assert_eq!(page.value("botgate_acknowledged_total{bot=\"echo\"}"), 0.0);
}

#[tokio::test]
async fn an_answer_without_an_announced_length_comes_back_whole() {
    let (gateway, mut bot) = slow(NEVER, "response = \"30m\"", "").await;
    for length in [0, 10, 65_536, 65_537, 200_000] {
        let sending = send(gateway.teams_message());
        let body = "x".repeat(length);
        let answer = format!("HTTP/1.1 200 OK\r\n\r\n{body}");
        bot.next().await.write(answer.as_bytes()).await;
        assert_eq!(sending.await.unwrap().body, body, "{length}");
    }
}

#[tokio::test]
async fn would_reject_is_told_of_an_acknowledged_message_too() {
    let report = "channels = { allow = [\"webchat\"], mode = \"report\" }";
    let (gateway, mut bot) = slow("200ms", "", report).await;
    let sending = send(gateway.teams_message());
    let held = bot.next().await;
    let reply = sending.await.unwrap();
    let line = is_acknowledged(&reply).await;
    assert_eq!(line["verdict"], "would_reject", "{line}");
    assert_eq!(line["reason"], Reason::ChannelNotAllowed.code(), "{line}");
    held.answer(200, "").await;
}

#[tokio::test]
async fn who_reads_the_answer_waits_for_it() {
    let (gateway, mut bot) = slow("200ms", "", "").await;
    for post in [
        gateway.post("teams-invoke.json"),
        gateway
            .teams_message()
            .with("/deliveryMode", "expectReplies"),
        gateway.teams_message().with("/deliveryMode", "stream"),
        gateway.teams_message().with("/deliveryMode", "ephemeral"),
        gateway.teams_message().with("/deliveryMode", "Normal"),
    ] {
        let sending = send(post);
        let held = bot.next().await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(!sending.is_finished(), "it waits");
        held.answer(200, "{\"its\":\"answer\"}").await;
        let reply = sending.await.unwrap();
        assert_eq!(
            (reply.status, &reply.body[..]),
            (200, &b"{\"its\":\"answer\"}"[..])
        );
        let line = reply.only_request_line().await;
        assert_eq!(line.get("acknowledged"), None, "{line}");
    }
    for post in [
        gateway.teams_message().with("/deliveryMode", "normal"),
        gateway
            .teams_message()
            .with("/deliveryMode", "notification"),
        gateway.post("teams-conversation-update.json"),
    ] {
        let sending = send(post);
        let held = bot.next().await;
        is_acknowledged(&sending.await.unwrap()).await;
        held.answer(200, "").await;
    }
}

#[tokio::test]
async fn a_bot_that_streams_without_being_asked_to_is_passed_on_as_it_speaks() {
    let config = format!("[bots.timeouts]\nresponse = \"30m\"\nacknowledge_after = \"{NEVER}\"");
    let gateway = Gateway::with(&config).start().await;
    let mut streams = gateway.bot().answer_with_streams("text/event-stream");
    let mut connection = gateway.client().connect(Protocol::Http1).await.unwrap();
    let response = connection.send(gateway.teams_message().into_request());
    let (response, pieces) = tokio::join!(response, streams.recv());
    let (mut response, pieces) = (response.unwrap(), pieces.unwrap());
    assert!(pieces.send("data: one\n\n"));
    assert_eq!(next_piece(response.body_mut()).await, "data: one\n\n");
}

#[tokio::test]
async fn skills_callbacks_are_never_acknowledged() {
    const SKILL: &str = "7c9d1e2f-3a4b-4c5d-8e6f-7a8b9c0d1e2f";
    let skills = format!(
        "accept = ['channel', 'skill']\ncallers = {{ allow = ['{SKILL}'], callback_path = '/api/skills' }}"
    );
    let (gateway, mut bot) = slow("200ms", "", &skills).await;
    let token =
        gateway
            .channel()
            .entra_token(crate::support::APP_ID, crate::support::TENANT, SKILL);
    let post = gateway
        .teams_message()
        .path("/api/skills/v3/conversations/a%3A1/activities")
        .token(move |_| token);
    let sending = send(post);
    let held = bot.next().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!sending.is_finished(), "it waits for the id");
    held.answer(201, "{\"id\":\"1\"}").await;
    assert_eq!(sending.await.unwrap().body, "{\"id\":\"1\"}");
}

// When the bot is not well

#[tokio::test]
async fn a_message_that_the_bot_has_not_read_is_not_acknowledged_before_it_has() {
    let mut bot = HeldBot::that_reads(Reads::Nothing).await;
    let timeouts = "timeouts = { response = \"5m\", acknowledge_after = \"200ms\" }";
    let limits = "[server.limits]\nbody_bytes = \"16MiB\"\nbody_timeout = \"5m\"";
    let gateway = Gateway::with(&bot.config(timeouts))
        .and(limits)
        .start()
        .await;
    // More than the buffers between the two hold.
    let sending = send(gateway.teams_message().with("/text", "x".repeat(14 << 20)));
    let connection = bot.next_connection().await;
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert!(!sending.is_finished(), "the bot does not have it all");
    let held = tokio::time::timeout(PATIENCE, Held::read(connection)).await;
    let held = held.expect("all of it comes").unwrap();
    assert!(held.body.len() > 14 << 20);
    let reply = sending.await.unwrap();
    is_acknowledged(&reply).await;
    held.answer(200, "").await;
    assert_eq!(
        done(&gateway, &reply.request_id).await["outcome"],
        "answered"
    );
}

#[tokio::test]
async fn a_bot_that_never_takes_the_message_is_504_as_ever() {
    let mut bot = HeldBot::that_reads(Reads::Nothing).await;
    let timeouts = "timeouts = { response = \"1s\", acknowledge_after = \"200ms\" }";
    let limits = "[server.limits]\nbody_bytes = \"16MiB\"\nbody_timeout = \"5m\"";
    let gateway = Gateway::with(&bot.config(timeouts))
        .and(limits)
        .start()
        .await;
    let sending = send(gateway.teams_message().with("/text", "x".repeat(14 << 20)));
    let _connection = bot.next_connection().await;
    let reply = sending.await.unwrap();
    let reply = reply.failed_upstream(Reason::UpstreamTimedOut, 0).await;
    let line = reply.only_request_line().await;
    assert_eq!(line.get("acknowledged"), None, "{line}");
}

#[tokio::test]
async fn a_bot_that_fails_before_the_mark_is_502_as_ever() {
    let (gateway, mut bot) = slow(NEVER, "response = \"30m\"", "").await;
    let sending = send(gateway.teams_message());
    drop(bot.next().await);
    let reply = sending.await.unwrap();
    reply.failed_upstream(Reason::UpstreamBroken, 0).await;
    // An answer that breaks off is none: nothing of it was told yet.
    let sending = send(gateway.teams_message());
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this";
    bot.next().await.write(half).await;
    let reply = sending.await.unwrap();
    reply.failed_upstream(Reason::UpstreamBroken, 0).await;
    drop(bot);
    let reply = gateway.teams_message().send().await;
    reply.failed_upstream(Reason::UpstreamUnreachable, 0).await;
}

#[tokio::test]
async fn a_bot_that_fails_after_the_mark_is_told_in_the_log_only() {
    let (gateway, mut bot) = slow("200ms", "response = \"400ms\"", "").await;
    let half: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this";
    let failed: &[u8] = b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n";
    let broken = Value::from(Reason::UpstreamBroken.code());
    for (answer, outcome, status, reason) in [
        (&b""[..], "broken", Value::Null, broken.clone()),
        (half, "broken", Value::Null, broken),
        (failed, "failed", 500.into(), Value::Null),
    ] {
        let sending = send(gateway.teams_message());
        let held = bot.next().await;
        let reply = sending.await.unwrap();
        is_acknowledged(&reply).await;
        held.write(answer).await;
        let done = done(&gateway, &reply.request_id).await;
        assert_eq!(done["level"], "WARN", "{done}");
        assert_eq!(done["outcome"], outcome, "{done}");
        assert_eq!(
            (&done["status"], &done["reason"]),
            (&status, &reason),
            "{done}"
        );
    }
    let page = Page::of(&gateway).await;
    assert_eq!(page.value(&outcomes("broken")), 2.0);
    assert_eq!(page.value(&outcomes("failed")), 1.0);
}

// When the client is not well

#[tokio::test]
async fn a_client_that_leaves_before_the_mark_does_not_disturb_the_bot() {
    // The mark never comes, and the answer is told all the same; or the mark comes, to nobody.
    for (mark, response, event) in [
        (NEVER, "30m", "abandoned_done"),
        ("300ms", "500ms", "acknowledged_done"),
    ] {
        let (gateway, mut bot) = slow(mark, &format!("response = \"{response}\""), "").await;
        for protocol in PROTOCOLS {
            let id = format!("left-{protocol:?}");
            let mut connection = gateway.client().connect(protocol).await.unwrap();
            let request = gateway.teams_message().header("x-request-id", &id);
            let sending = connection.send(request.into_request());
            let held = tokio::select! {
                _ = sending => panic!("nobody answers"),
                held = bot.next() => held,
            };
            drop(connection);
            let line = gateway.request_line_for(&id).await;
            assert_eq!(line["verdict"], "abandoned", "{line}");
            tokio::time::sleep(Duration::from_millis(700)).await;
            assert!(held.is_undisturbed(), "the bot is at work");
            held.answer(200, "").await;
            let done = gateway.event(event, |done| done["request_id"] == id).await;
            assert_eq!(
                (&done["outcome"], &done["status"]),
                (&"answered".into(), &200.into())
            );
        }
        // Looks for second lines.
        assert!(gateway.terminate().await.success());
    }
}

#[tokio::test]
async fn without_the_setting_a_client_that_leaves_cuts_the_bot_off() {
    let mut bot = HeldBot::start().await;
    let gateway = Gateway::with(&bot.config("")).start().await;
    let mut connection = gateway.client().connect(Protocol::Http2).await.unwrap();
    let sending = connection.send(gateway.teams_message().into_request());
    let held = tokio::select! {
        _ = sending => panic!("nobody answers"),
        held = bot.next() => held,
    };
    assert!(held.is_undisturbed());
    drop(connection);
    held.until_left().await;
}

// The end

#[tokio::test]
async fn the_end_waits_for_acknowledged_work() {
    let (gateway, mut bot) = slow("200ms", "", "").await;
    let sending = send(gateway.teams_message());
    let held = bot.next().await;
    let reply = sending.await.unwrap();
    is_acknowledged(&reply).await;
    gateway.signal(Signal::SIGTERM);
    gateway.event("draining", |_| true).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(held.is_undisturbed(), "the bot is at work");
    held.answer(200, "").await;
    assert_eq!(gateway.ended().await.code(), Some(0));
    assert_eq!(
        done(&gateway, &reply.request_id).await["outcome"],
        "answered"
    );
    let stopped = gateway.event("stopped", |_| true).await;
    assert_eq!(stopped["work_cut"], 0, "{stopped}");
}

#[tokio::test]
async fn the_drain_timeout_cuts_acknowledged_work_off_and_says_so() {
    let mut bot = HeldBot::start().await;
    let config = bot.config("timeouts.acknowledge_after = \"200ms\"");
    let gateway = Gateway::with(&config)
        .and("[server]\ndrain_timeout = \"300ms\"")
        .start()
        .await;
    let sending = send(gateway.teams_message());
    let held = bot.next().await;
    let reply = sending.await.unwrap();
    is_acknowledged(&reply).await;
    gateway.signal(Signal::SIGTERM);
    assert_eq!(gateway.ended().await.code(), Some(0));
    let done = done(&gateway, &reply.request_id).await;
    assert_eq!(
        (&done["outcome"], &done["level"]),
        (&"cut".into(), &"WARN".into())
    );
    let cut_off = gateway.event("drain_cut_off", |_| true).await;
    assert_eq!(
        (&cut_off["connections"], &cut_off["work"]),
        (&0.into(), &1.into())
    );
    let stopped = gateway.event("stopped", |_| true).await;
    assert_eq!(
        (&stopped["connections_cut"], &stopped["work_cut"]),
        (&0.into(), &1.into())
    );
    held.until_left().await;
}

// Words

/// A gateway that acknowledges after this long, before a bot that the scenario holds.
async fn slow(mark: &str, timeouts: &str, more: &str) -> (Gateway, HeldBot) {
    let bot = HeldBot::start().await;
    let config = format!("{more}\n[bots.timeouts]\nacknowledge_after = \"{mark}\"\n{timeouts}");
    (Gateway::with(&bot.config(&config)).start().await, bot)
}

fn send(post: Post) -> JoinHandle<Reply> {
    tokio::spawn(post.send())
}

/// Answered 202 by the gateway; its line.
async fn is_acknowledged(reply: &Reply) -> Value {
    assert_eq!(reply.status, 202);
    let line = reply.only_request_line().await;
    assert_eq!(line["acknowledged"], true, "{line}");
    assert_eq!(line["status"], 202, "{line}");
    line
}

/// What came of an acknowledged request.
async fn done(gateway: &Gateway, request_id: &str) -> Value {
    let is_it = |line: &Value| line["request_id"] == request_id;
    gateway.event("acknowledged_done", is_it).await
}

fn outcomes(outcome: &str) -> String {
    format!("botgate_acknowledged_outcomes_total{{bot=\"echo\",outcome=\"{outcome}\"}}")
}
