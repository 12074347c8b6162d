//! What happens when the bot, or the client, is not well; and the connections to the bot.

use crate::support::reply::request_lines;
use crate::support::tap::Tap;
use crate::support::tls_bot::TlsBot;
use crate::support::{Gateway, PATIENCE, PROTOCOLS, next_piece};
use botgate::cli::demo::bot::{Answer, EchoBot};
use botgate::cli::demo::client::Protocol;
use botgate::judge::Reason;
use http::{StatusCode, Version};
use http_body_util::BodyExt as _;
use std::time::Duration;
use tokio::time::{Instant, timeout};

// When the bot is not well

#[tokio::test]
async fn a_bot_that_restarts_within_the_time_for_a_connection_loses_nothing() {
    let gateway = Gateway::with("[bots.timeouts]\nconnect = \"10s\"")
        .start()
        .await;
    for _ in 0..3 {
        gateway.bot().close().await;
        let sending: Vec<_> = (0..10)
            .map(|_| tokio::spawn(gateway.teams_message().send()))
            .collect();
        tokio::time::sleep(Duration::from_millis(500)).await;
        gateway.bot().reopen().await.unwrap();
        for reply in sending {
            assert_eq!(reply.await.unwrap().status, 200, "{}", gateway.output());
        }
    }
    assert_eq!(gateway.bot().count(), 30, "each once");
}

#[tokio::test]
async fn a_bot_that_was_restarted_gets_the_next_request() {
    let gateway = Gateway::start().await;
    for _ in 0..5 {
        // Which leaves a connection in the pool, that the restart closes.
        gateway.teams_message().send().await.forwarded().await;
        gateway.bot().reopen().await.unwrap();
    }
}

#[tokio::test]
async fn a_bot_that_is_away_is_502_soon() {
    let gateway = Gateway::start().await;
    gateway.bot().close().await;
    let started = Instant::now();
    let reply = gateway.teams_message().send().await;
    let took = started.elapsed();
    reply.failed_upstream(Reason::UpstreamUnreachable, 0).await;
    // It may be restarting, which is waited for as long as for a connection: 2 s.
    assert!(
        took < Duration::from_secs(8),
        "channels have little patience: {took:?}"
    );
    let nowhere = "[bots]\nbackend = \"http://no-such-host.invalid/api/messages\"";
    let gateway = Gateway::with(nowhere).start().await;
    let reply = gateway.teams_message().send().await;
    reply.failed_upstream(Reason::UpstreamUnreachable, 0).await;
}

#[tokio::test]
async fn a_bot_that_takes_a_request_and_closes_gets_it_once_only() {
    let gateway = Gateway::start().await;
    let closing = |_: &_| Answer::raw("");
    for answer in [false, true] {
        if answer {
            // With a connection in the pool, which is then closed under the request.
            gateway.bot().echo();
            gateway.teams_message().send().await.forwarded().await;
        }
        gateway.bot().answer_with(closing);
        let reply = gateway.teams_message().send().await;
        reply.failed_upstream(Reason::UpstreamBroken, 1).await;
    }
}

#[tokio::test]
async fn an_answer_that_is_no_http_is_502() {
    let gateway = Gateway::start().await;
    for answer in [
        "hello, I am a bot\r\n\r\n",
        "HTTP/1.1 99 Low\r\n\r\n",
        "HTTP/3.0 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: two\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nx-header: 1",
        "HTTP/1.1 200 OK\r\ncontent-length: 50\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    ] {
        gateway.bot().answer_with(move |_| Answer::raw(answer));
        for protocol in PROTOCOLS {
            let reply = gateway.teams_message().over(protocol).send().await;
            reply.failed_upstream(Reason::UpstreamBroken, 1).await;
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_odd_but_whole_comes_back() {
    let gateway = Gateway::start().await;
    for answer in [
        "HTTP/1.1 200 OK\r\n\r\nok",
        "HTTP/1.0 200 OK\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-trailer: 1\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nx-name: \u{e9}\r\ncontent-length: 2\r\n\r\nok",
    ] {
        gateway.bot().answer_with(move |_| Answer::raw(answer));
        for protocol in PROTOCOLS {
            let reply = gateway.teams_message().over(protocol).send().await;
            assert_eq!(
                (reply.status, &*reply.body),
                (200, &b"ok"[..]),
                "{answer:?}"
            );
            reply.forwarded().await;
        }
    }
}

#[tokio::test]
async fn many_requests_at_once_all_reach_the_bot() {
    const MANY: usize = 150;
    let gateway = Gateway::start().await;
    for protocol in PROTOCOLS {
        let message = || gateway.teams_message().over(protocol).try_send();
        let sending: Vec<_> = (0..MANY).map(|_| tokio::spawn(message())).collect();
        for reply in sending {
            assert_eq!(reply.await.unwrap().unwrap().status, 200);
        }
    }
    assert_eq!(gateway.bot().count(), 2 * MANY);
    let lines = request_lines(&gateway, 2 * MANY).await;
    assert_eq!(lines.len(), 2 * MANY);
}

#[tokio::test]
async fn a_bot_that_does_not_answer_is_504() {
    let gateway = Gateway::with("[bots.timeouts]\nresponse = \"300ms\"")
        .start()
        .await;
    gateway.bot().answer_with(|_| Answer::hang());
    let reply = gateway.teams_message().send().await;
    reply.failed_upstream(Reason::UpstreamTimedOut, 1).await;
    let late = Duration::from_secs(2);
    gateway
        .bot()
        .answer_with(move |_| Answer::status(StatusCode::OK).after(late));
    let reply = gateway.teams_message().over_http2().send().await;
    reply.failed_upstream(Reason::UpstreamTimedOut, 1).await;
}

#[tokio::test]
async fn a_short_answer_that_ends_early_is_502_or_504() {
    let gateway = Gateway::with("[bots.timeouts]\nresponse = \"500ms\"")
        .start()
        .await;
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nonly this\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nonly this\r\nzz\r\n",
    ] {
        gateway.bot().answer_with(move |_| Answer::raw(answer));
        for protocol in PROTOCOLS {
            let reply = gateway.teams_message().over(protocol).send().await;
            reply.failed_upstream(Reason::UpstreamBroken, 1).await;
        }
    }
    let mut streams = gateway.bot().answer_with_streams("application/json");
    for protocol in PROTOCOLS {
        let (pieces, reply) = tokio::join!(
            async {
                let pieces = streams.recv().await.unwrap();
                assert!(pieces.send("only this"));
                pieces
            },
            gateway.teams_message().over(protocol).send()
        );
        reply.failed_upstream(Reason::UpstreamTimedOut, 1).await;
        assert!(
            pieces.wait_until_abandoned(PATIENCE).await,
            "the bot is not left streaming"
        );
    }
}

#[tokio::test]
async fn a_long_answer_that_ends_early_ends_early_for_the_client_too() {
    let gateway = Gateway::with("[bots.timeouts]\nresponse = \"500ms\"")
        .start()
        .await;
    // Longer than what is read ahead.
    let much = "x".repeat(40_000);
    let whole = format!("HTTP/1.1 200 OK\r\ncontent-length: 50000\r\n\r\n{much}");
    let chunk = format!("9c40\r\n{much}\r\n");
    let chunks = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunk}");
    let spoilt = format!("{chunks}zz\r\n");
    for (case, answer) in [("whole", whole), ("chunks", chunks), ("spoilt", spoilt)] {
        gateway
            .bot()
            .answer_with(move |_| Answer::raw(answer.clone()));
        for protocol in PROTOCOLS {
            let id = format!("{case}-{protocol:?}");
            is_cut_off(&gateway, protocol, &id).await;
            let line = gateway.request_line_for(&id).await;
            assert_eq!(line["reason"], Reason::UpstreamBroken.code(), "{line}");
            assert_eq!(
                (&line["verdict"], &line["status"]),
                (&"forwarded".into(), &200.into()),
                "what the client was told stays: {line}"
            );
        }
    }
    // Silence in the middle is an end too.
    let mut streams = gateway.bot().answer_with_streams("application/json");
    for protocol in PROTOCOLS {
        let id = format!("silent-{protocol:?}");
        let (pieces, ()) = tokio::join!(
            async {
                let pieces = streams.recv().await.unwrap();
                assert!(pieces.send(much.clone()));
                pieces
            },
            is_cut_off(&gateway, protocol, &id)
        );
        let line = gateway.request_line_for(&id).await;
        assert_eq!(line["reason"], Reason::UpstreamTimedOut.code(), "{line}");
        assert!(
            pieces.wait_until_abandoned(PATIENCE).await,
            "the bot is not left streaming"
        );
    }
    let broken = "botgate_requests_total{bot=\"echo\",door=\"ingress\",reason=\"upstream_broken\",verdict=\"forwarded\"}";
    let count = gateway.metric(broken).await;
    assert!((count - 6.0).abs() < f64::EPSILON, "{count}");
}

// Connections to the bot

#[tokio::test]
async fn connections_to_the_bot_are_used_again() {
    let bot = EchoBot::start().await.unwrap();
    let tap = Tap::before(&bot).await;
    let backend = format!("[bots]\nbackend = \"{}\"", tap.messages_url());
    let gateway = Gateway::with(&backend).bot(&bot).start().await;
    for protocol in PROTOCOLS.into_iter().chain(PROTOCOLS) {
        let reply = gateway.teams_message().over(protocol).send().await;
        reply.forwarded().await;
    }
    assert_eq!(tap.connections(), 1);
}

#[tokio::test]
async fn a_bot_behind_tls_is_believed_with_its_own_authority_only() {
    for (protocols, version) in [
        (&["http/1.1"][..], Version::HTTP_11),
        (&["h2", "http/1.1"], Version::HTTP_2),
        (&["h2"], Version::HTTP_2),
        (&[], Version::HTTP_11),
    ] {
        let bot = TlsBot::start("bot.internal", protocols).await;
        let tls = |ca: &str, more: &str| {
            format!(
                "[bots]\nbackend = \"{}\"\n[bots.backend_tls]\n{ca}\n{more}",
                bot.messages_url()
            )
        };
        let ca = "ca = \"backend-ca.pem\"";
        let name = "server_name = \"bot.internal\"";
        let gateway = Gateway::with(&tls(ca, name))
            .file("backend-ca.pem", bot.authority())
            .start()
            .await;
        for protocol in PROTOCOLS {
            let post = gateway.teams_message().over(protocol);
            let reply = post.send().await;
            assert_eq!(reply.status, 200, "{}", gateway.output());
            let (seen, body) = bot.seen().pop().unwrap();
            assert_eq!((seen, &body), (version, &reply.body), "{protocols:?}");
        }
        assert_eq!(bot.seen().len(), 2);
        if version == Version::HTTP_2 {
            continue;
        }
        // Neither another name nor the platform's authorities will do.
        for (ca, name) in [(ca, ""), ("", name)] {
            let gateway = Gateway::with(&tls(ca, name))
                .file("backend-ca.pem", bot.authority())
                .start()
                .await;
            let reply = gateway.teams_message().send().await;
            let reply = reply.failed_upstream(Reason::UpstreamUnreachable, 0).await;
            let line = reply.only_request_line().await;
            let note = line["note"].as_str().unwrap();
            assert!(note.contains("certificate"), "the operator is told: {note}");
        }
        assert_eq!(bot.seen().len(), 2);
    }
}

// When the client is not well

#[tokio::test]
async fn a_client_that_leaves_while_the_bot_works_is_one_line() {
    let gateway = Gateway::start().await;
    let mut seen = 0;
    for protocol in PROTOCOLS {
        gateway.bot().answer_with(|_| Answer::hang());
        let id = format!("left-{protocol:?}");
        let mut connection = gateway.client().connect(protocol).await.unwrap();
        let request = gateway.teams_message().header("x-request-id", &id);
        let sending = connection.send(request.into_request());
        seen += 1;
        tokio::select! {
            _ = sending => panic!("nobody answers"),
            all = gateway.bot().wait_until_seen(seen, PATIENCE) => assert_eq!(all.len(), seen),
        }
        drop(connection);
        let line = gateway.request_line_for(&id).await;
        assert_eq!(line["verdict"], "abandoned", "{line}");
        assert_eq!(line.get("status"), None, "{line}");
        assert_eq!(line["bot"], "echo", "{line}");
    }
    let inflight = gateway
        .metric("botgate_inflight_requests{bot=\"echo\"}")
        .await;
    assert!(inflight.abs() < f64::EPSILON, "{inflight} in flight");
    // Looks for second lines.
    assert!(gateway.terminate().await.success());
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_an_answer_lets_the_bot_go() {
    let gateway = Gateway::start().await;
    let mut streams = gateway.bot().answer_with_streams("text/event-stream");
    for protocol in PROTOCOLS {
        let id = format!("left-{protocol:?}");
        let mut connection = gateway.client().connect(protocol).await.unwrap();
        let request = gateway.teams_message().header("x-request-id", &id);
        let response = connection.send(request.into_request());
        let (response, pieces) = tokio::join!(response, streams.recv());
        let (mut response, pieces) = (response.unwrap(), pieces.unwrap());
        assert!(pieces.send("data: one\n\n"));
        assert_eq!(next_piece(response.body_mut()).await, "data: one\n\n");
        drop((response, connection));
        assert!(
            pieces.wait_until_abandoned(PATIENCE).await,
            "the bot is not left streaming"
        );
        let line = gateway.request_line_for(&id).await;
        assert_eq!(line["status"], 200, "{line}");
    }
    assert!(gateway.terminate().await.success());
}

// Words

/// Sends a message and sees that the answer begins well and breaks off.
async fn is_cut_off(gateway: &Gateway, protocol: Protocol, id: &str) {
    let mut connection = gateway.client().connect(protocol).await.unwrap();
    let request = gateway.teams_message().header("x-request-id", id);
    let response = match connection.send(request.into_request()).await {
        Ok(response) => response,
        // On a machine that is too busy to write the head in time, HTTP/2 resets the stream before it: no part for the whole, either.
        Err(_) if protocol == Protocol::Http2 => return,
        Err(error) => panic!("{error}"),
    };
    assert_eq!(response.status(), 200);
    let body = timeout(PATIENCE, response.into_body().collect()).await;
    assert!(
        body.expect("it ends").is_err(),
        "a client must not take a part for the whole"
    );
}
