//! A gateway that ends loses nothing that clients sent before they could know.

use crate::support::frames::{Fate, FrameWire, GOAWAY, HEADERS, fields, request};
use crate::support::wire::{LateRequest, Wire};
use crate::support::{Gateway, PATIENCE, PROTOCOLS, eventually};
use botgate::cli::demo::client::Protocol;
use http_body_util::BodyExt as _;
use nix::sys::signal::Signal;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// What one client under load saw.
#[derive(Debug, Default)]
struct Tally {
    answered: usize,
    /// Written, and neither answered nor refused in a way that says that it may be sent again.
    lost: Vec<String>,
}

#[tokio::test]
async fn under_load_every_request_is_answered_and_reaches_the_bot_once() {
    const ENOUGH: usize = 300;
    let gateway =
        Gateway::with("[server.limits]\nrequests_per_ip = { rate = \"100000/s\", burst = 100000 }")
            .start()
            .await;
    let mut clients = JoinSet::new();
    for number in 0..12 {
        let protocol = PROTOCOLS[number % 2];
        clients.spawn(ask_until_the_end(gateway.clone(), protocol));
    }
    gateway.bot().wait_until_seen(ENOUGH, PATIENCE).await;
    gateway.signal(Signal::SIGTERM);
    let mut all = Tally::default();
    while let Some(tally) = timeout(PATIENCE, clients.join_next()).await.unwrap() {
        let tally = tally.unwrap();
        all.answered += tally.answered;
        all.lost.extend(tally.lost);
    }
    assert_eq!(gateway.ended().await.code(), Some(0));
    assert_eq!(all.lost, Vec::<String>::new());
    assert!(all.answered >= ENOUGH);
    assert_eq!(gateway.bot().count(), all.answered, "bot and clients agree");
    let lines = gateway.request_lines();
    assert_eq!(lines.len(), all.answered, "and so does the log");
    assert!(lines.iter().all(|line| line["verdict"] == "forwarded"));
}

/// Sends one request after the other, on as few connections as the gateway allows, until it refuses connections.
async fn ask_until_the_end(gateway: Gateway, protocol: Protocol) -> Tally {
    let mut tally = Tally::default();
    while let Ok(mut connection) = gateway.client().connect(protocol).await {
        loop {
            let request = gateway.teams_message().into_request();
            let answer = async {
                let response = connection.send(request).await?;
                let (head, body) = response.into_parts();
                body.collect().await.map_err(std::io::Error::other)?;
                Ok::<_, std::io::Error>(head)
            };
            match timeout(PATIENCE, answer).await.expect("an answer in time") {
                Ok(head) if head.status == 200 => tally.answered += 1,
                Ok(head) => tally.lost.push(format!("{protocol:?}: {}", head.status)),
                Err(error) => {
                    // hyper's words for a request that was never written.
                    let hyper = error
                        .get_ref()
                        .and_then(|e| e.downcast_ref::<hyper::Error>());
                    if !hyper.is_some_and(|error| error.is_canceled() || error.is_closed()) {
                        tally.lost.push(format!("{protocol:?}: {error:?}"));
                    }
                    break;
                }
            }
        }
    }
    tally
}

#[tokio::test]
async fn an_open_connection_is_served_once_more_and_told_to_close() {
    let gateway = Gateway::start().await;
    let mut idle = Wire::open(&gateway).await;
    idle.write(&gateway.teams_message().into_bytes()).await;
    let reply = idle.answer().await.unwrap();
    assert_eq!(reply.header("connection"), None);
    reply.forwarded().await;
    let mut late = LateRequest::begin(&gateway).await;
    gateway.signal(Signal::SIGTERM);
    gateway.event("draining", |_| true).await;
    idle.write(&gateway.teams_message().into_bytes()).await;
    let reply = idle.answer().await.expect("it is still open");
    assert_eq!(
        (reply.status, reply.header("connection")),
        (200, Some("close"))
    );
    assert_eq!(idle.until_closed().await, b"");
    let reply = late.finish().await;
    assert_eq!(
        (reply.status, reply.header("connection")),
        (200, Some("close"))
    );
    assert_eq!(gateway.ended().await.code(), Some(0));
}

#[tokio::test]
async fn streams_opened_before_the_client_learns_of_it_are_served() {
    let gateway = Gateway::start().await;
    let (fields, body) = fields(gateway.teams_message());
    let mut wire = FrameWire::open(&gateway).await;
    wire.write(&request(1, &fields, &body)).await;
    assert_eq!(wire.fate(1).await, Fate::Status(200));
    gateway.signal(Signal::SIGTERM);
    // It says that it will end, and does not yet say which stream was the last.
    loop {
        let frame = wire.frame().await.expect("it is still open");
        if frame.kind == GOAWAY {
            assert_eq!(frame.payload[..8], [0x7f, 255, 255, 255, 0, 0, 0, 0]);
            break;
        }
    }
    wire.write(&request(3, &fields, &body)).await;
    while let Some(frame) = wire.frame().await {
        if (frame.kind, frame.stream) == (HEADERS, 3) {
            break;
        }
    }
    // A client that never answers the ping does not hold up the end.
    wire.until_closed().await;
    assert_eq!(gateway.ended().await.code(), Some(0));
    assert_eq!(gateway.bot().count(), 2);
}

#[tokio::test]
async fn a_connection_that_nobody_has_accepted_yet_is_served() {
    let gateway = Gateway::with("[server.limits]\nconnections = 1")
        .start()
        .await;
    let mut streams = gateway.bot().answer_with_streams("text/plain");
    let mut first = gateway.client().connect(Protocol::Http1).await.unwrap();
    let request = gateway.teams_message().into_request();
    let slow = tokio::spawn(async move {
        let response = first.send(request).await.unwrap();
        response.into_body().collect().await.unwrap().to_bytes()
    });
    let pieces = streams.recv().await.expect("the bot is at work");
    // The one after the last is accepted and waits; the next ones are known to the kernel only.
    let waiting: Vec<_> = (0..3)
        .map(|_| tokio::spawn(gateway.teams_message().try_send()))
        .collect();
    let queued = TcpStream::connect(gateway.client().address()).await;
    assert!(queued.is_ok());
    gateway.bot().echo();
    gateway.signal(Signal::SIGTERM);
    gateway.event("draining", |_| true).await;
    drop(queued);
    pieces.send("done");
    drop(pieces);
    assert_eq!(slow.await.unwrap(), "done");
    for reply in waiting {
        let reply = timeout(PATIENCE, reply).await.unwrap().unwrap();
        assert_eq!(reply.expect("it is served").status, 200);
    }
    assert_eq!(gateway.ended().await.code(), Some(0));
}

/// It goes on sending, so that the gateway waits for it, and closing would take the answer from it.
#[tokio::test]
async fn a_client_that_has_its_last_answer_is_not_cut_off() {
    let gateway = Gateway::with("[server]\ndrain_timeout = \"1s\"")
        .start()
        .await;
    let mut late = LateRequest::begin(&gateway).await;
    gateway.signal(Signal::SIGTERM);
    gateway.event("drain_closing", |_| true).await;
    assert_eq!(late.finish().await.status, 503);
    // Half a second is left, and the gateway would wait for two.
    assert_eq!(gateway.ended().await.code(), Some(0));
    let stopped = gateway.event("stopped", |_| true).await;
    assert_eq!(stopped["connections_cut"], 0, "{stopped}");
    let log = gateway.output().log;
    assert!(log.iter().all(|line| line["event"] != "drain_cut_off"));
    drop(late);
}

#[tokio::test]
async fn whoever_waits_for_a_place_at_the_end_is_told_to_come_again() {
    for protocol in PROTOCOLS {
        let gateway = Gateway::with("[server.limits]\nconnections = 2")
            .start()
            .await;
        let mut late = LateRequest::begin(&gateway).await;
        let other = TcpStream::connect(gateway.client().address()).await;
        eventually("both places are taken", async || {
            gateway.metric("botgate_connections{state=\"open\"}").await > 1.5
        })
        .await;
        // One is accepted and waits, the others are known to the kernel only.
        let waiting: Vec<_> = (0..3)
            .map(|_| tokio::spawn(gateway.teams_message().over(protocol).try_send()))
            .collect();
        let queued = TcpStream::connect(gateway.client().address()).await;
        gateway.signal(Signal::SIGTERM);
        gateway.event("drain_closing", |_| true).await;
        drop((other, queued));
        for reply in waiting {
            let reply = timeout(PATIENCE, reply).await.unwrap().unwrap();
            assert_eq!(reply.expect("it is answered").status, 503);
        }
        assert_eq!(late.finish().await.status, 503);
        assert_eq!(gateway.ended().await.code(), Some(0));
    }
}

#[tokio::test]
async fn without_connections_the_end_comes_at_once() {
    let gateway = Gateway::start().await;
    let started = Instant::now();
    assert_eq!(gateway.terminate().await.code(), Some(0));
    let closing = gateway.output().log;
    assert!(
        closing.iter().all(|line| line["event"] != "drain_closing"),
        "nobody had to be waited for"
    );
    assert!(started.elapsed() < Duration::from_secs(10));
}
