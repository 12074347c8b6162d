//! Several backends of one bot, their health, Unix sockets, TLS to them.

use crate::support::raw_bot::{Act, RawBot, Reads, Script, say};
use crate::support::tls_bot::TlsBot;
use crate::support::{Gateway, PROTOCOLS, eventually};
use botgate::cli::demo::bot::{Answer, EchoBot};
use botgate::judge::Reason;
use http::{Method, StatusCode, Version};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};

// Several

#[tokio::test]
async fn requests_are_spread_over_all_backends() {
    let bots = three().await;
    let gateway = Gateway::with(&backends(&bots)).start().await;
    for protocol in PROTOCOLS {
        for _ in 0..15 {
            let reply = gateway.teams_message().over(protocol).send().await;
            assert_eq!(reply.status, 200, "{}", gateway.output());
        }
    }
    let counts: Vec<_> = bots.iter().map(EchoBot::count).collect();
    assert_eq!(counts, [10, 10, 10]);
    for bot in &bots {
        assert!(is_up(&gateway, bot).await);
    }
}

#[tokio::test]
async fn a_busy_backend_gets_less() {
    let bots = three().await;
    bots[0].answer_with(|_| Answer::hang());
    let gateway = Gateway::with(&backends(&bots)).start().await;
    let hanging = tokio::spawn(gateway.teams_message().try_send());
    bots[0].wait_until_seen(1, Duration::from_secs(30)).await;
    for _ in 0..10 {
        assert_eq!(gateway.teams_message().send().await.status, 200);
    }
    let counts: Vec<_> = bots.iter().map(EchoBot::count).collect();
    assert_eq!(counts, [1, 5, 5]);
    hanging.abort();
}

#[tokio::test]
async fn no_request_is_lost_when_a_backend_dies_and_it_is_used_again_when_it_is_back() {
    let bots = three().await;
    let gateway = Gateway::with(&backends(&bots)).start().await;
    bots[1].close().await;
    for _ in 0..20 {
        let reply = gateway.teams_message().send().await;
        assert_eq!(reply.status, 200, "{}", gateway.output());
    }
    let place = place(&bots[1]);
    let line = gateway
        .event("backend_down", |line| line["backend"] == place.as_str())
        .await;
    assert_eq!(line["bot"], "echo", "{line}");
    assert!(line["why"].as_str().unwrap().contains("refused"), "{line}");
    assert!(!is_up(&gateway, &bots[1]).await);
    assert!(is_up(&gateway, &bots[0]).await);
    assert_eq!(bots[0].count() + bots[2].count(), 20);
    // What requests met with says nothing about readiness.
    assert_eq!(gateway.admin("/readyz").await.0, 200);
    bots[1].reopen().await.unwrap();
    eventually("it is tried again", async || {
        assert_eq!(gateway.teams_message().send().await.status, 200);
        bots[1].count() > 0
    })
    .await;
    gateway
        .event("backend_up", |line| line["backend"] == place.as_str())
        .await;
    assert!(is_up(&gateway, &bots[1]).await);
    let downs = gateway.output();
    let downs = downs
        .stdout
        .iter()
        .filter(|line| line.contains("backend_down"));
    assert_eq!(downs.count(), 1, "once per change");
}

/// So does Node's `server.close()`: it ends with the last connection that it has.
#[tokio::test]
async fn a_bot_that_takes_no_more_connections_is_let_go_and_told_of_once() {
    let bots = [RawBot::start().await, RawBot::start().await];
    let ok = say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    for bot in &bots {
        // So that several are at it at once, and more of them need more connections.
        bot.play(Script::new([
            Act::Think(Duration::from_millis(20)),
            ok.clone(),
        ]));
    }
    let urls = bots.each_ref().map(|bot| &bot.url);
    let gateway = Gateway::with(&format!("[bots]\nbackend = {urls:?}"))
        .start()
        .await;
    let all_arrive = async |count: usize| {
        let sending: Vec<_> = (0..count)
            .map(|_| tokio::spawn(gateway.teams_message().send()))
            .collect();
        for reply in sending {
            assert_eq!(reply.await.unwrap().status, 200, "{}", gateway.output());
        }
    };
    all_arrive(4).await;
    bots[0].stop_listening();
    let place = bots[0].url.replace("http://", "");
    let place = place.replace("/api/messages", "");
    let up = format!("botgate_backend_up{{backend=\"{place}\",bot=\"echo\"}}");
    eventually("it is left out, with no connection left", async || {
        all_arrive(24).await;
        gateway.metric(&up).await < 0.5 && bots[0].seen().open == 0
    })
    .await;
    let (before, rounds) = (bots[0].seen().requests.len(), 5);
    for _ in 0..rounds {
        all_arrive(24).await;
    }
    assert_eq!(bots[0].seen().requests.len(), before);
    assert!(gateway.metric(&up).await < 0.5);
    let output = gateway.output();
    let told = |event: &str| {
        let lines = output.stdout.iter();
        lines.filter(|line| line.contains(event)).count()
    };
    assert_eq!((told("backend_down"), told("backend_up")), (1, 0));
}

/// Nothing else would tell: as long as its connections suffice, none is made.
#[tokio::test]
async fn such_a_bot_is_let_go_where_no_more_connections_are_needed() {
    let bots = [RawBot::start().await, RawBot::start().await];
    let urls = bots.each_ref().map(|bot| &bot.url);
    let gateway = Gateway::with(&format!("[bots]\nbackend = {urls:?}"))
        .start()
        .await;
    let one_arrives = async || {
        let reply = gateway.teams_message().send().await;
        assert_eq!(reply.status, 200, "{}", gateway.output());
    };
    for _ in 0..4 {
        one_arrives().await;
    }
    bots[0].stop_listening();
    assert_eq!(bots[0].seen().open, 1);
    eventually("it has no connection left", async || {
        one_arrives().await;
        bots[0].seen().open == 0
    })
    .await;
    let before = bots[0].seen().requests.len();
    for _ in 0..8 {
        one_arrives().await;
    }
    assert_eq!(bots[0].seen().requests.len(), before);
}

#[tokio::test]
async fn what_was_sent_to_one_backend_is_not_sent_to_another() {
    let bots = three().await;
    for bot in &bots {
        bot.answer_with(|_| Answer::raw(""));
    }
    let gateway = Gateway::with(&backends(&bots)).start().await;
    for asked in 1..=6 {
        let reply = gateway.teams_message().send().await;
        reply.failed_upstream(Reason::UpstreamBroken, 0).await;
        let seen: usize = bots.iter().map(EchoBot::count).sum();
        assert_eq!(seen, asked);
    }
}

#[tokio::test]
async fn a_bot_that_closes_after_each_answer_costs_no_request() {
    let bot = RawBot::start().await;
    let ok = say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    bot.play(Script::new([ok, Act::Close]));
    let gateway = Gateway::with(&format!("[bots]\nbackend = \"{}\"", bot.url))
        .start()
        .await;
    let mut connection = gateway.client().connect(PROTOCOLS[0]).await.unwrap();
    for _ in 0..150 {
        let reply = gateway.teams_message().send_on(&mut connection).await;
        assert_eq!(reply.status, 200, "{}", gateway.output());
    }
    assert_eq!(bot.seen().requests.len(), 150);
}

// Health

#[tokio::test]
async fn a_backend_that_fails_its_health_checks_is_left_out_and_readiness_follows() {
    let bots = [
        EchoBot::start().await.unwrap(),
        EchoBot::start().await.unwrap(),
    ];
    let wells = bots.each_ref().map(well_or_not);
    let health = "[bots.health]\npath = \"/healthz?deep=1\"\nevery = \"100ms\"";
    let gateway = Gateway::with(&format!("{}\n{health}", backends(&bots)))
        .start()
        .await;
    wells[0].store(false, Ordering::Release);
    let first = place(&bots[0]);
    let line = gateway
        .event("backend_down", |line| line["backend"] == first.as_str())
        .await;
    assert!(line["why"].as_str().unwrap().contains("500"), "{line}");
    let before = messages(&bots[0]);
    for _ in 0..6 {
        assert_eq!(gateway.teams_message().send().await.status, 200);
    }
    assert_eq!(messages(&bots[0]), before);
    assert_eq!(gateway.admin("/readyz").await.0, 200, "one is left");

    bots[1].close().await;
    let second = place(&bots[1]);
    gateway
        .event("backend_down", |line| line["backend"] == second.as_str())
        .await;
    let reply = gateway.teams_message().send().await;
    let reply = reply.refused_after_proof(Reason::UpstreamUnhealthy).await;
    assert_eq!(reply.header("retry-after"), Some("1"));
    let (status, page) = gateway.admin("/readyz").await;
    assert_eq!(status, 503);
    assert!(page.contains("bot \\\"echo\\\""), "{page}");

    wells[0].store(true, Ordering::Release);
    gateway
        .event("backend_up", |line| line["backend"] == first.as_str())
        .await;
    assert_eq!(gateway.admin("/readyz").await.0, 200);
    assert_eq!(gateway.teams_message().send().await.status, 200);
    let asked = bots[0].seen();
    let check = asked
        .iter()
        .find(|seen| seen.method == Method::GET)
        .unwrap();
    assert_eq!(check.path, "/healthz?deep=1");
    assert_eq!(check.header("authorization"), Vec::<String>::new());
    assert_eq!(check.header("host"), [first]);
    assert!(
        gateway.terminate().await.success(),
        "checks do not hold up the end"
    );
}

// Unix sockets

#[tokio::test]
async fn a_bot_behind_a_unix_socket_is_reached_and_may_restart() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("bot.sock");
    let bot = RawBot::on_socket(&socket);
    let fragment = format!(
        "[bots]\nbackend = \"{}\"\n[bots.timeouts]\nconnect = \"10s\"",
        bot.url
    );
    let gateway = Gateway::with(&fragment).start().await;
    for protocol in PROTOCOLS {
        let reply = gateway.teams_message().over(protocol).send().await;
        assert_eq!((reply.status, &*reply.body), (200, &b"good"[..]));
    }
    assert_eq!(bot.seen().connections, 1, "it is used again");
    let up = format!(
        "botgate_backend_up{{backend=\"{}\",bot=\"echo\"}}",
        socket.display()
    );
    assert!((gateway.metric(&up).await - 1.0).abs() < f64::EPSILON);
    drop(bot);
    // Nobody listens; and then there is no such file.
    for is_removed in [false, true] {
        if is_removed {
            std::fs::remove_file(&socket).unwrap();
        }
        let sending = tokio::spawn(gateway.teams_message().send());
        tokio::time::sleep(Duration::from_millis(400)).await;
        if !is_removed {
            std::fs::remove_file(&socket).unwrap();
        }
        let bot = RawBot::on_socket(&socket);
        assert_eq!(sending.await.unwrap().status, 200, "{}", gateway.output());
        drop(bot);
    }
}

// TLS, and connections that do not come about

#[tokio::test]
async fn a_bot_that_wants_a_certificate_gets_the_configured_one() {
    for (protocols, version) in [
        (&["http/1.1"][..], Version::HTTP_11),
        (&["h2", "http/1.1"], Version::HTTP_2),
    ] {
        let (bot, chain, key) = TlsBot::asking_for_a_certificate("bot.internal", protocols).await;
        let tls = format!(
            "[bots]\nbackend = [\"{}\"]\n[bots.backend_tls]\nca = \"ca.pem\"\nserver_name = \"bot.internal\"",
            bot.messages_url()
        );
        let identity =
            "[bots.backend_tls]\nclient_cert = \"client.pem\"\nclient_key = \"client.key\"";
        let gateway = Gateway::with(&tls)
            .and(identity)
            .file("ca.pem", bot.authority())
            .file("client.pem", chain)
            .file("client.key", key)
            .start()
            .await;
        let reply = gateway.teams_message().send().await;
        assert_eq!(reply.status, 200, "{}", gateway.output());
        assert_eq!(bot.seen().len(), 1);
        assert_eq!(bot.seen()[0].0, version);
        let without = Gateway::with(&tls)
            .file("ca.pem", bot.authority())
            .start()
            .await;
        // In TLS 1.3 a client learns only after its handshake that it was refused.
        let reply = without.teams_message().send().await;
        assert_eq!(reply.status, 502, "{}", without.output());
        assert_eq!(bot.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_connection_that_does_not_come_about_is_502_in_time() {
    let impatient = "[bots.timeouts]\nconnect = \"300ms\"\nresponse = \"60s\"";
    let bot = RawBot::start().await;
    let https = bot.url.replace("http:", "https:");
    let bad_request = say("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
    for (what, acts) in [
        ("the handshake hangs", vec![Act::Hang]),
        ("plain HTTP", vec![bad_request, Act::Hang]),
        ("closed in the handshake", vec![Act::Close]),
        ("reset in the handshake", vec![Act::Reset]),
        ("half-closed in the handshake", vec![Act::HalfClose]),
        ("garbage in the handshake", vec![Act::Flood(vec![0; 1000])]),
        (
            "a handshake byte by byte",
            vec![Act::Drip(b"\x16\x03\x03\x40\x00".to_vec())],
        ),
    ] {
        bot.play(Script {
            reads: Reads::Nothing,
            acts,
        });
        let gateway = Gateway::with(&format!("[bots]\nbackend = \"{https}\"\n{impatient}"))
            .start()
            .await;
        is_unreachable_soon(&gateway, what).await;
        assert!(bot.wait_until_closed(0).await, "{what}: left open");
    }
    // A listener that does not take connections: the system drops the first packet of all that do not fit.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(0).unwrap();
    let address = full.local_addr().unwrap();
    let mut taken = vec![];
    while let Ok(Ok(stream)) =
        timeout(Duration::from_millis(500), TcpStream::connect(address)).await
    {
        taken.push(stream);
    }
    let gateway = Gateway::with(&format!(
        "[bots]\nbackend = \"http://{address}/api/messages\"\n{impatient}"
    ))
    .start()
    .await;
    is_unreachable_soon(&gateway, "a full backlog").await;
}

#[tokio::test]
async fn a_backend_that_cannot_be_connected_to_does_not_cost_a_request_where_there_is_another() {
    let (hanging, good) = (RawBot::start().await, EchoBot::start().await.unwrap());
    hanging.play(Script {
        reads: Reads::Nothing,
        acts: vec![Act::Hang],
    });
    let https = hanging.url.replace("http:", "https:");
    let gateway = Gateway::with(&format!(
        "[bots]\nbackend = [\"{https}\", \"{}\"]\n[bots.timeouts]\nconnect = \"300ms\"",
        good.messages_url()
    ))
    .start()
    .await;
    for _ in 0..8 {
        assert_eq!(gateway.teams_message().send().await.status, 200);
    }
    assert_eq!(good.count(), 8);
    gateway.event("backend_down", |_| true).await;
}

// Words

async fn three() -> [EchoBot; 3] {
    [
        EchoBot::start().await.unwrap(),
        EchoBot::start().await.unwrap(),
        EchoBot::start().await.unwrap(),
    ]
}

fn backends(bots: &[EchoBot]) -> String {
    let urls: Vec<_> = bots.iter().map(EchoBot::messages_url).collect();
    format!("[bots]\nbackend = {urls:?}")
}

/// Host and port, as the log and metrics have it.
fn place(bot: &EchoBot) -> String {
    bot.origin().replace("http://", "")
}

async fn is_up(gateway: &Gateway, bot: &EchoBot) -> bool {
    let sample = format!(
        "botgate_backend_up{{backend=\"{}\",bot=\"echo\"}}",
        place(bot)
    );
    (gateway.metric(&sample).await - 1.0).abs() < f64::EPSILON
}

/// Lets a bot answer GET as the flag says, and everything else with 200.
fn well_or_not(bot: &EchoBot) -> Arc<AtomicBool> {
    let is_well = Arc::new(AtomicBool::new(true));
    let told = Arc::clone(&is_well);
    bot.answer_with(move |request| {
        let is_fine = request.method != Method::GET || told.load(Ordering::Acquire);
        Answer::status(if is_fine {
            StatusCode::OK
        } else {
            StatusCode::INTERNAL_SERVER_ERROR
        })
    });
    is_well
}

fn messages(bot: &EchoBot) -> usize {
    let seen = bot.seen();
    seen.iter()
        .filter(|seen| seen.method == Method::POST)
        .count()
}

async fn is_unreachable_soon(gateway: &Gateway, what: &str) {
    let started = Instant::now();
    let reply = gateway.teams_message().send().await;
    let took = started.elapsed();
    assert_eq!(reply.status, 502, "{what}\n{}", gateway.output());
    reply.failed_upstream(Reason::UpstreamUnreachable, 0).await;
    // A minute would be the time for an answer.
    assert!(took < Duration::from_secs(20), "{what}: {took:?}");
}
