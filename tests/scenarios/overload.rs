//! How much at once, and what a flood of forged tokens does to valid ones.

mod flood;

use crate::support::client::{Post, both};
use crate::support::wire::Wire;
use crate::support::{APP_ID, Gateway, PATIENCE, eventually};
use botgate::cli::demo::bot::{Answer, EchoBot};
use botgate::cli::demo::channel::{TEAMS_SERVICE_URL, now};
use botgate::cli::demo::client::Protocol;
use botgate::cli::demo::token::TokenSpec;
use botgate::judge::Reason;
use flood::Flood;
use http::StatusCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

const NO_LIMIT: &str = "server.limits.requests_per_ip = { rate = '100000/s', burst = 100000 }";
/// More than the budget of an address, also where the machine is slow and some are forgotten meanwhile.
const ENOUGH_FAILURES: usize = 320;

// In flight

#[tokio::test]
async fn a_bot_with_its_hands_full_is_spared_before_any_token_is_looked_at() {
    let neighbour = EchoBot::start().await.unwrap();
    let gateway = Gateway::with("bots.in_flight = 2")
        .another_bot("neighbour", &neighbour, "path = '/neighbour'")
        .start()
        .await;
    let mut streams = gateway.bot().answer_with_streams("text/plain");
    let held = [in_flight(&gateway, 1).await, in_flight(&gateway, 2).await];
    let (first, second) = (streams.recv().await.unwrap(), streams.recv().await.unwrap());
    for post in both(|| gateway.teams_message()) {
        let reply = post.send().await;
        assert_eq!(reply.header("retry-after"), Some("1"));
        let reply = reply.refused_before_proof(Reason::Overloaded).await;
        let line = reply.only_request_line().await;
        assert_eq!(line.get("token_issuer"), None, "no token was read: {line}");
        assert_eq!(line["note"], "in_flight: 2 at once", "{line}");
    }
    let reply = gateway.teams_message().path("/neighbour").send().await;
    assert_eq!((reply.status, neighbour.count()), (200, 1));

    // It is the end of an answer that makes room, not its beginning.
    assert!(first.send("first, "));
    let reply = gateway.teams_message().send().await;
    reply.refused_before_proof(Reason::Overloaded).await;
    drop(first);
    gateway.bot().echo();
    there_is_room(&gateway).await;
    drop(second);
    for answered in held {
        assert_eq!(answered.await.unwrap(), Some(StatusCode::OK));
    }
}

#[tokio::test]
async fn a_client_that_leaves_makes_room() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let gateway = Gateway::with("bots.in_flight = 1").start().await;
        gateway.bot().answer_with(|_| Answer::hang());
        let mut connection = gateway.client().connect(protocol).await.unwrap();
        let request = gateway.teams_message().into_request();
        let waiting = tokio::spawn(async move { connection.send(request).await.map(|_| ()) });
        assert_eq!(gateway.bot().wait_until_seen(1, PATIENCE).await.len(), 1);
        let reply = gateway.teams_message().send().await;
        reply.refused_before_proof(Reason::Overloaded).await;
        waiting.abort();
        gateway.bot().echo();
        there_is_room(&gateway).await;
    }
}

#[tokio::test]
async fn neither_strangers_nor_bodies_that_do_not_come_hold_a_place() {
    let gateway = Gateway::with("bots.in_flight = 1").start().await;
    let mut open = vec![];
    for post in [
        gateway.teams_message(),
        gateway.teams_message().token(|t| t.with_a_bit_flipped()),
        gateway.teams_message().without_token(),
    ] {
        let mut wire = Wire::open(&gateway).await;
        let [head, body] = post.into_pieces("content-length: 5000");
        wire.write(&head).await;
        wire.write(&body[..10]).await;
        open.push(wire);
    }
    let inflight = "botgate_inflight_requests{bot=\"echo\"}";
    eventually("they are being served", async || {
        gateway.metric(inflight).await > 0.0
    })
    .await;
    for post in both(|| gateway.teams_message()) {
        post.send().await.forwarded().await;
    }
}

#[tokio::test]
async fn the_place_is_taken_with_the_admission_and_a_refusal_costs_no_budget() {
    let gateway = Gateway::with(
        "[bots]\nin_flight = 1\n[bots.rate_limits]\nper_bot = { rate = '1/h', burst = 2 }",
    )
    .start()
    .await;
    // Its token is looked at while there is room.
    let mut late = Wire::open(&gateway).await;
    let ten_minutes_old = |t: TokenSpec| t.claim("nbf", now() - 600);
    let post = gateway.teams_message().token(ten_minutes_old);
    let post = post.header("x-request-id", "late");
    let length = post.length();
    let [head, body] = post.into_pieces(&format!("content-length: {length}"));
    late.write(&head).await;
    let proven = "botgate_token_clock_offset_seconds";
    eventually("its token is proven", async || {
        gateway.metric(proven).await < 0.0
    })
    .await;

    let mut streams = gateway.bot().answer_with_streams("text/plain");
    let held = in_flight(&gateway, 1).await;
    let pieces = streams.recv().await.unwrap();
    late.write(&body).await;
    let reply = late.answer().await.expect("an answer");
    assert_eq!(reply.header("retry-after"), Some("1"));
    assert_eq!(reply.json()["error"]["code"], "overloaded");
    assert_eq!(
        gateway.request_line_for("late").await["reason"],
        "overloaded"
    );
    drop(pieces);
    assert_eq!(held.await.unwrap(), Some(StatusCode::OK));

    // The second of two is still there, and no third.
    gateway.bot().echo();
    let status = async || gateway.teams_message().send().await.status;
    eventually("there is room", async || status().await == 200).await;
    let reply = gateway.teams_message().send().await;
    reply.refused_after_proof(Reason::RateLimitedBot).await;
}

#[tokio::test]
async fn all_bodies_together_take_no_more_memory_than_they_may() {
    let limits = "[server.limits]\nbody_bytes = '64KiB'\nbody_bytes_total = '64KiB'";
    let gateway = Gateway::with(limits).start().await;
    let padded = |bytes: usize| {
        let padding = "x".repeat(bytes);
        gateway
            .teams_message()
            .activity(|activity| activity["padding"] = padding.into())
    };
    let mut slow = Wire::open(&gateway).await;
    let post = padded(60_000);
    let [head, body] = post.into_pieces("transfer-encoding: chunked");
    slow.write(&head).await;
    let (most, last) = body.split_at(body.len() - 1);
    slow.write(format!("{:x}\r\n", most.len()).as_bytes()).await;
    slow.write(most).await;
    slow.write(b"\r\n").await;

    for protocol in [Protocol::Http1, Protocol::Http2] {
        eventually("there is no room for another large one", async || {
            padded(20_000).over(protocol).send().await.status == 503
        })
        .await;
        let reply = padded(20_000).over(protocol).send().await;
        assert_eq!(reply.header("retry-after"), Some("1"));
        let reply = reply.refused_after_proof(Reason::Overloaded).await;
        let line = reply.only_request_line().await;
        let note = "server.limits.body_bytes_total: 65536 at once";
        assert_eq!(line["note"], note, "{line}");
        let small = gateway.teams_message().over(protocol);
        small.send().await.forwarded().await;
    }
    let last = [b"1\r\n", last, b"\r\n0\r\n\r\n"].concat();
    slow.write(&last).await;
    assert_eq!(slow.response().await.expect("an answer").status(), 200);
    padded(60_000).send().await.forwarded().await;
}

// Failures

#[tokio::test]
async fn an_address_that_keeps_failing_waits_until_it_proves_itself() {
    let gateway = Gateway::with(NO_LIMIT).start().await;
    let known = Forgery::valid(&gateway, "known");
    assert_eq!(known.post(&gateway).send().await.status, 200);
    assert_eq!(waited(&gateway).await, 0, "nobody waits who did not fail");
    fail(&gateway, Forgery::signature(&gateway)).await;

    let before = waited(&gateway).await;
    let started = Instant::now();
    let forged = gateway.teams_message().token(|t| t.with_a_bit_flipped());
    let reply = forged.send().await;
    assert!(started.elapsed() >= Duration::from_millis(75));
    reply
        .refused_before_proof(Reason::TokenSignatureInvalid)
        .await;
    assert_eq!(waited(&gateway).await, before + 1);

    // A token that is remembered does not wait, and one that nobody needs keys to refuse does not either.
    assert_eq!(known.post(&gateway).send().await.status, 200);
    let expired = gateway.teams_message().token(|t| t.claim("exp", 1));
    assert_eq!(expired.send().await.status, 401);
    assert_eq!(waited(&gateway).await, before + 1);

    // A new one waits once, and with it all is forgiven.
    let fresh = Forgery::valid(&gateway, "fresh");
    assert_eq!(fresh.post(&gateway).send().await.status, 200);
    assert_eq!(waited(&gateway).await, before + 2);
    let forged = gateway.teams_message().token(|t| t.with_a_bit_flipped());
    assert_eq!(forged.send().await.status, 401);
    let fresh = Forgery::valid(&gateway, "another");
    assert_eq!(fresh.post(&gateway).send().await.status, 200);
    assert_eq!(waited(&gateway).await, before + 2);
}

#[tokio::test]
async fn refusals_that_need_no_cryptography_count_but_do_not_wait() {
    let gateway = Gateway::with(NO_LIMIT).start().await;
    for change in [
        |post: Post| post.without_token(),
        |post: Post| post.authorization(&["Bearer a.b"]),
        |post: Post| post.token(|t| t.claim("aud", "another")),
        |post: Post| post.token(|t| t.claim("exp", 1)),
    ] {
        // In less time than it takes to be forgiven for a few of them.
        let sending = (0..ENOUGH_FAILURES / 4 + 1).map(|_| {
            let post = change(gateway.teams_message());
            tokio::spawn(async move { post.try_send().await.unwrap().status })
        });
        for sent in sending.collect::<Vec<_>>() {
            assert_eq!(sent.await.unwrap(), 401);
        }
    }
    assert_eq!(waited(&gateway).await, 0);
    let forged = gateway.teams_message().token(|t| t.with_a_bit_flipped());
    assert_eq!(forged.send().await.status, 401);
    assert_eq!(waited(&gateway).await, 1);
}

#[tokio::test]
async fn only_the_address_that_failed_waits() {
    let proxy = format!("{NO_LIMIT}\nserver.trusted_proxies = ['127.0.0.1']");
    let gateway = Gateway::with(&proxy).start().await;
    let from = |address: &'static str| move |post: Post| post.header("x-forwarded-for", address);
    let bad = from("2001:db8:1:2::1");
    fail_from(&gateway, Forgery::signature(&gateway), bad).await;
    let before = waited(&gateway).await;
    for address in ["203.0.113.7", "2001:db8:1:3::1"] {
        let fresh = Forgery::valid(&gateway, address).post(&gateway);
        assert_eq!(from(address)(fresh).send().await.status, 200);
        let forged = gateway.teams_message().token(|t| t.with_a_bit_flipped());
        assert_eq!(from(address)(forged).send().await.status, 401);
        assert_eq!(waited(&gateway).await, before, "{address}");
    }
    // Its neighbour in the same /64 is the same customer.
    let forged = gateway.teams_message().token(|t| t.with_a_bit_flipped());
    let forged = from("2001:db8:1:2:ffff::9")(forged);
    assert_eq!(forged.send().await.status, 401);
    assert_eq!(waited(&gateway).await, before + 1);
}

#[tokio::test]
async fn a_client_that_leaves_while_it_waits_is_counted_as_gone() {
    let gateway = Gateway::with(NO_LIMIT).start().await;
    fail(&gateway, Forgery::signature(&gateway)).await;
    let before = waited(&gateway).await;
    let mut wire = Wire::open(&gateway).await;
    let forged = gateway.teams_message().token(|t| t.with_a_bit_flipped());
    let forged = forged.header("x-request-id", "gone");
    wire.write(&forged.into_bytes()).await;
    eventually("it waits", async || waited(&gateway).await > before).await;
    drop(wire);
    let line = gateway.request_line_for("gone").await;
    assert_eq!(line["verdict"], "abandoned", "{line}");
}

/// The hardest case: what the channel sends comes from the very address that the flood comes from.
#[tokio::test]
#[expect(clippy::print_stdout, reason = "a drill is there to be looked at")]
async fn a_flood_of_forged_tokens_locks_nobody_out_who_shares_its_address() {
    const ROUNDS: usize = 40;
    let gateway = Gateway::with(NO_LIMIT).start().await;
    let known = Forgery::valid(&gateway, "known");
    assert_eq!(known.post(&gateway).send().await.status, 200);
    let flood = Flood::start(&gateway, 10, 50).await;
    eventually("the flood waits", async || waited(&gateway).await > 500).await;

    let (mut slowest, began) = (Duration::ZERO, flood.answered());
    for round in 0..ROUNDS {
        let protocol = [Protocol::Http1, Protocol::Http2][round / 2 % 2];
        let post = match round % 2 {
            0 => known.post(&gateway),
            _ => Forgery::valid(&gateway, &format!("fresh {round}")).post(&gateway),
        };
        let started = Instant::now();
        let reply = post.over(protocol).send().await;
        slowest = slowest.max(started.elapsed());
        assert_eq!(reply.status, 200, "round {round}");
        assert_eq!(gateway.bot().count(), round + 2, "it reached the bot");
    }
    let flooded = flood.answered() - began;
    let refused = flood.stop().await;
    assert_eq!(refused, [StatusCode::UNAUTHORIZED], "and nothing else");
    assert!(flooded > 0, "it went on meanwhile");
    assert!(slowest < PATIENCE / 2, "{slowest:?}");
    println!(
        "{flooded} forged tokens beside {ROUNDS} valid requests, of which the slowest took {slowest:.2?}"
    );
    gateway.teams_message().send().await.forwarded().await;
}

#[tokio::test]
async fn whoever_leaves_while_its_token_waits_is_told_of() {
    let gateway = Gateway::with(NO_LIMIT).start().await;
    fail(&gateway, Forgery::signature(&gateway)).await;
    let before = waited(&gateway).await;
    let mut wire = Wire::open(&gateway).await;
    wire.write(&Forgery::signature(&gateway).post(&gateway).into_bytes())
        .await;
    eventually("it waits", async || waited(&gateway).await > before).await;
    drop(wire);
    let line = gateway
        .event("request", |line| line["verdict"] == "abandoned")
        .await;
    let note = line["note"].as_str().unwrap();
    assert!(
        note.contains("before its token was proven, while it waited"),
        "{line}"
    );
    assert!(line.get("reason").is_none(), "{line}");
}

// Words

/// Sends a valid message, and waits until the bot has that many.
async fn in_flight(gateway: &Gateway, at_the_bot: usize) -> JoinHandle<Option<StatusCode>> {
    let sending = gateway.teams_message().try_send();
    let sending = tokio::spawn(async move {
        let reply = sending.await.ok()?;
        StatusCode::from_u16(reply.status).ok()
    });
    let seen = gateway.bot().wait_until_seen(at_the_bot, PATIENCE).await;
    assert_eq!(seen.len(), at_the_bot);
    sending
}

async fn there_is_room(gateway: &Gateway) {
    eventually("there is room again", async || {
        gateway.teams_message().send().await.status == 200
    })
    .await;
}

/// How many tokens were made to wait.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a counter of a test"
)]
async fn waited(gateway: &Gateway) -> usize {
    let sample = "botgate_auth_delays_total{outcome=\"waited\"}";
    gateway.metric(sample).await as usize
}

/// Uses up the budget of this address: all at once, since failures are forgotten.
async fn fail(gateway: &Gateway, forgery: Forgery) {
    fail_from(gateway, forgery, |post| post).await;
}

async fn fail_from(gateway: &Gateway, forgery: Forgery, from: impl Fn(Post) -> Post) {
    let sending = (0..ENOUGH_FAILURES).map(|_| {
        let post = from(forgery.post(gateway));
        tokio::spawn(async move { post.try_send().await.unwrap().status })
    });
    for sent in sending.collect::<Vec<_>>() {
        assert_eq!(sent.await.unwrap(), 401);
    }
}

/// A token that is made once and sent often: signing takes longer than sending.
struct Forgery {
    /// Header and payload.
    message: String,
    signature: String,
    changes: bool,
}

impl Forgery {
    /// A valid token, unlike any other with another note.
    fn valid(gateway: &Gateway, note: &str) -> Self {
        let token = gateway.channel().token(APP_ID, TEAMS_SERVICE_URL);
        let token = token.claim("note", note).sign().unwrap();
        let (message, signature) = token.rsplit_once('.').unwrap();
        Self {
            message: message.to_owned(),
            signature: signature.to_owned(),
            changes: false,
        }
    }

    /// Each time with another wrong signature.
    fn signature(gateway: &Gateway) -> Self {
        Self {
            changes: true,
            ..Self::valid(gateway, "forged")
        }
    }

    fn token(&self) -> String {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let Self {
            message, signature, ..
        } = self;
        if !self.changes {
            return format!("{message}.{signature}");
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        format!("{message}.{number:08}{}", &signature[8..])
    }

    fn post(&self, gateway: &Gateway) -> Post {
        let value = format!("Bearer {}", self.token());
        let post = gateway
            .teams_message()
            .with("/serviceUrl", TEAMS_SERVICE_URL);
        post.authorization(&[&value])
    }
}
