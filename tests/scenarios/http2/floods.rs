//! Floods end their connection with GOAWAY, bring next to nothing to the bot, and nobody else notices.

use crate::support::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Fate, FrameWire, HEADERS, PING, PRIORITY, RESET,
    SETTINGS, WINDOW_UPDATE, block, fields, frame, request,
};
use crate::support::{Gateway, PATIENCE, eventually};
use botgate::cli::demo::bot::Answer;
use std::time::Duration;
use tokio::time::timeout;

/// Fewer than this may reach the bot of all requests of a rapid reset.
const FEW: usize = 20;

/// Sends a flood while the good client is served, and waits for its end. Says how many rounds were written.
async fn flood(
    gateway: &Gateway,
    start: Vec<u8>,
    round: impl Fn(u32) -> Vec<u8>,
    counted_as: &str,
) -> usize {
    let sample = format!("botgate_http2_connections_broken_total{{reason=\"{counted_as}\"}}");
    let counted_before = gateway.metric(&sample).await;
    let mut other = gateway
        .client()
        .connect(botgate::cli::demo::client::Protocol::Http2)
        .await
        .unwrap();
    let mut wire = FrameWire::open(gateway).await;
    wire.write(&start).await;
    let mut rounds = 0;
    for number in 0..100_000 {
        if !wire.write(&round(number)).await {
            break;
        }
        rounds += 1;
        if number % 100 == 99 {
            // The gateway gets a moment to notice; a flood that is written faster than it is read proves nothing.
            tokio::task::yield_now().await;
        }
    }
    let fate = wire.end().await;
    assert_eq!(fate, Fate::GoAway(11), "{counted_as} after {rounds}");
    timeout(PATIENCE, wire.until_closed())
        .await
        .expect("the connection is closed");
    let reply = gateway.teams_message().send_on(&mut other).await;
    reply.forwarded().await;
    eventually("the flood is counted", async || {
        gateway.metric(&sample).await > counted_before
    })
    .await;
    rounds
}

#[tokio::test]
async fn a_rapid_reset_brings_few_requests_to_the_bot() {
    let gateway =
        Gateway::with("[server.limits]\nrequests_per_ip = { rate = \"100000/s\", burst = 100000 }")
            .start()
            .await;
    gateway.bot().answer_with(|_| Answer::hang());
    let (fields, body) = fields(gateway.teams_message());
    for batch in [1, 5] {
        let seen_before = gateway.bot().count();
        let mut wire = FrameWire::open(&gateway).await;
        let mut streams = 0_u32;
        'flood: while streams < 10_000 {
            let first = streams;
            let mut bytes = vec![];
            for number in first..first + batch {
                bytes.extend(request(number * 2 + 1, &fields, &body));
            }
            for number in first..first + batch {
                bytes.extend(frame(RESET, 0, number * 2 + 1, &[0, 0, 0, 8]));
            }
            streams += batch;
            if !wire.write(&bytes).await {
                break 'flood;
            }
        }
        assert_eq!(wire.end().await, Fate::GoAway(11));
        let seen = gateway.bot().count() - seen_before;
        assert!(seen < FEW, "{seen} requests at the bot");
    }
}

#[tokio::test]
async fn resets_of_accepted_streams_are_rapid_too() {
    let gateway = Gateway::start().await;
    gateway.bot().answer_with(|_| Answer::hang());
    let (fields, body) = fields(gateway.teams_message());
    let mut wire = FrameWire::open(&gateway).await;
    let mut streams = 0;
    for number in 0..1000_u32 {
        let seen_before = gateway.bot().count();
        if !wire.write(&request(number * 2 + 1, &fields, &body)).await {
            break;
        }
        // Until the bot has it, or the connection has ended.
        let arrived = gateway
            .bot()
            .wait_until_seen(seen_before + 1, Duration::from_secs(2));
        if arrived.await.len() <= seen_before {
            break;
        }
        streams += 1;
        wire.write(&frame(RESET, 0, number * 2 + 1, &[0, 0, 0, 8]))
            .await;
    }
    assert!(streams < FEW, "{streams} requests at the bot");
    assert_eq!(wire.end().await, Fate::GoAway(11));
    gateway.bot().echo();
    gateway
        .teams_message()
        .over_http2()
        .send()
        .await
        .forwarded()
        .await;
}

#[tokio::test]
async fn frames_beside_requests_have_budgets() {
    let gateway = Gateway::start().await;
    let nothing = Vec::new;
    let (fields, _) = fields(gateway.teams_message());
    let head = frame(HEADERS, END_HEADERS, 1, &block(&fields));
    for (start, one, counted_as) in [
        (
            nothing(),
            frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]),
            "settings_flood",
        ),
        (nothing(), frame(SETTINGS, 0, 0, &[]), "settings_flood"),
        (nothing(), frame(PING, 0, 0, &[7; 8]), "ping_flood"),
        (nothing(), frame(PING, 1, 0, &[7; 8]), "ping_flood"),
        (
            nothing(),
            frame(PRIORITY, 0, 5, &[0, 0, 0, 3, 7]),
            "priority_flood",
        ),
        (
            nothing(),
            frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
            "window_update_flood",
        ),
        (nothing(), frame(0xf0, 0, 0, b"x"), "frame_flood"),
        (
            head.clone(),
            frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]),
            "window_update_flood",
        ),
    ] {
        let seen_before = gateway.bot().count();
        flood(&gateway, start, |_| one.repeat(10), counted_as).await;
        assert_eq!(gateway.bot().count() - seen_before, 1, "{counted_as}");
    }
}

#[tokio::test]
async fn what_h2_bounds_by_itself_is_bounded() {
    let gateway = Gateway::start().await;
    let (fields, _) = fields(gateway.teams_message());
    let whole = block(&fields);
    // A block in endless frames; DATA without data; malformed requests without end.
    let begun = frame(HEADERS, 0, 1, &whole[..100]);
    flood(
        &gateway,
        begun,
        |_| frame(CONTINUATION, 0, 1, &[]),
        "enhance_your_calm",
    )
    .await;
    let head = frame(HEADERS, END_HEADERS, 1, &whole);
    flood(
        &gateway,
        head,
        |_| frame(DATA, 0, 1, &[]).repeat(10),
        "enhance_your_calm",
    )
    .await;
    let malformed = block(&[(":method", "POST"), ("connection", "close")]);
    let head = |number: u32| {
        frame(
            HEADERS,
            END_HEADERS | END_STREAM,
            number * 2 + 1,
            &malformed,
        )
    };
    flood(&gateway, vec![], head, "enhance_your_calm").await;
    assert_eq!(gateway.bot().count(), 3, "only the good ones");
}

#[tokio::test]
async fn cookie_crumbs_become_one_cookie() {
    let gateway = Gateway::start().await;
    let (mut fields, body) = fields(gateway.teams_message());
    for crumb in ["a=1", "b=2", "c=3"] {
        fields.push((b"cookie".to_vec(), crumb.as_bytes().to_vec()));
    }
    let mut wire = FrameWire::open(&gateway).await;
    wire.write(&request(1, &fields, &body)).await;
    assert_eq!(wire.fate(1).await, Fate::Status(200));
    let recorded = gateway.bot().seen().pop().unwrap();
    assert_eq!(recorded.header("cookie"), ["a=1; b=2; c=3"]);
}

#[tokio::test]
async fn malformed_requests_are_counted() {
    let gateway = Gateway::start().await;
    let malformed = block(&[(":method", "POST"), ("connection", "close")]);
    let mut wire = FrameWire::open(&gateway).await;
    for stream in [1, 3, 5] {
        let head = frame(HEADERS, END_HEADERS | END_STREAM, stream, &malformed);
        wire.write(&head).await;
        assert_eq!(wire.fate(stream).await, Fate::Reset(1));
    }
    drop(wire);
    eventually("they are counted", async || {
        let sample = "botgate_http2_requests_malformed_total";
        (gateway.metric(sample).await - 3.0).abs() < f64::EPSILON
    })
    .await;
}

#[tokio::test]
async fn streams_beyond_a_hundred_are_refused_one_by_one() {
    let gateway = Gateway::with("[server.limits]\nbody_timeout = \"500ms\"")
        .start()
        .await;
    let (fields, _) = fields(gateway.teams_message());
    let whole = block(&fields);
    let mut wire = FrameWire::open(&gateway).await;
    for number in 0..150_u32 {
        wire.write(&frame(HEADERS, END_HEADERS, number * 2 + 1, &whole))
            .await;
    }
    // None of them has a body: a hundred wait for theirs, and then no longer.
    assert_eq!(wire.fate(100 * 2 + 1).await, Fate::Reset(7));
    gateway
        .teams_message()
        .over_http2()
        .send()
        .await
        .forwarded()
        .await;
    let mut refused = 0;
    while let Some(frame) = wire.frame().await {
        if frame.kind == HEADERS {
            refused += 1;
        }
        if refused == 100 {
            break;
        }
    }
    assert_eq!(refused, 100, "each is answered");
    assert_eq!(gateway.bot().count(), 1);
}

/// Some clients take the reset of a stream for a failure, although RFC 9113 8.1 lets it follow an answer that came early.
#[tokio::test]
async fn a_refusal_does_not_reset_the_stream_of_a_small_body_that_is_on_its_way() {
    let gateway = Gateway::start().await;
    let (mut fields, body) = fields(gateway.teams_message());
    fields.retain(|(name, _)| name != b"authorization");
    let head = frame(HEADERS, END_HEADERS, 1, &block(&fields));
    let (first, rest) = body.split_at(body.len() / 2);
    let mut wire = FrameWire::open(&gateway).await;
    wire.write(&head).await;
    wire.write(&frame(DATA, 0, 1, first)).await;
    // The gateway has read all of that when it answers this.
    wire.write(&frame(PING, 0, 0, b"read it?")).await;
    while wire.frame().await.expect("an answer").kind != PING {}
    wire.write(&frame(DATA, END_STREAM, 1, rest)).await;
    assert_eq!(wire.fate(1).await, Fate::Status(401));
    // All of the answer, and then a ping: nothing stands between them.
    while wire.frame().await.expect("the rest").flags & END_STREAM == 0 {}
    wire.write(&frame(PING, 0, 0, b"at end??")).await;
    let next = wire.frame().await.expect("an answer");
    assert_eq!(next.kind, PING, "{next:?}");
}

/// A client that never sends the rest is not waited for.
#[tokio::test]
async fn a_refusal_waits_for_no_body_that_does_not_come() {
    let gateway = Gateway::start().await;
    let (mut fields, _) = fields(gateway.teams_message());
    fields.retain(|(name, _)| name != b"authorization");
    let mut waits = fields.clone();
    waits.push((b"expect".to_vec(), b"100-continue".to_vec()));
    for fields in [fields, waits] {
        let mut wire = FrameWire::open(&gateway).await;
        wire.write(&frame(HEADERS, END_HEADERS, 1, &block(&fields)))
            .await;
        assert_eq!(wire.fate(1).await, Fate::Status(401));
        assert_eq!(wire.fate(1).await, Fate::Reset(0), "nobody reads the rest");
    }
}
