//! Over HTTP/2 a bot gets and answers what it does over HTTP/1.1, many requests on one connection.

use crate::support::http2_bot::{Does, Http2Bot};
use crate::support::tls_bot::TlsBot;
use crate::support::{Gateway, PROTOCOLS, eventually, next_piece};
use botgate::judge::Reason;
use h2::Reason as Why;
use http::Version;
use std::sync::atomic::{AtomicUsize, Ordering};

#[tokio::test]
async fn what_is_spoken_is_what_the_bot_chooses_and_the_bytes_are_the_same() {
    for (protocols, version) in [
        (&["h2", "http/1.1"][..], Version::HTTP_2),
        (&["h2"], Version::HTTP_2),
        (&["http/1.1"], Version::HTTP_11),
        (&[], Version::HTTP_11),
    ] {
        let bot = TlsBot::start("bot.internal", protocols).await;
        let tls = format!(
            "[bots]\nbackend = \"{}\"\n[bots.backend_tls]\nca = \"bot-ca.pem\"\nserver_name = \"bot.internal\"",
            bot.messages_url()
        );
        let gateway = Gateway::with(&tls)
            .file("bot-ca.pem", bot.authority())
            .start()
            .await;
        for protocol in PROTOCOLS {
            // Longer than a frame, and than what may be sent before the bot reads.
            for padding in [0, 10, 100_000] {
                let post = gateway.teams_message();
                let post = post.text(|text| format!("{}{text}", " ".repeat(padding)));
                let body = post.into_request().into_body();
                let post = gateway.teams_message().over(protocol);
                let reply = post.body(body.clone()).send().await;
                assert_eq!(reply.status, 200, "{}", gateway.output());
                let (seen, arrived) = bot.seen().pop().unwrap();
                assert_eq!(seen, version, "{protocols:?}");
                assert!(arrived == body && reply.body == body, "{protocols:?}");
            }
        }
        assert_eq!(bot.seen().len(), 6);
    }
}

#[tokio::test]
async fn the_head_is_that_of_http2_and_has_no_field_between_neighbours() {
    let (bot, gateway) = stand("").await;
    for protocol in PROTOCOLS {
        let post = gateway.teams_message().over(protocol);
        let reply = post.header("x-end-to-end", "here").send().await;
        assert_eq!(reply.status, 200, "{}", gateway.output());
    }
    for (uri, headers, _) in bot.seen().requests {
        assert_eq!(uri.authority().unwrap().as_str(), bot.place());
        assert_eq!(
            (uri.scheme_str(), uri.path()),
            (Some("https"), "/api/messages")
        );
        assert_eq!(headers["x-end-to-end"], "here");
        assert!(headers.contains_key("authorization"));
        assert!(headers.contains_key("content-length"));
        for name in [
            "connection",
            "te",
            "host",
            "transfer-encoding",
            "keep-alive",
        ] {
            assert!(!headers.contains_key(name), "{name}");
        }
    }
}

#[tokio::test]
async fn several_requests_at_once_share_one_connection_and_more_have_another() {
    let (bot, gateway) = stand("").await;
    bot.does(Does::Hold);
    let sending: Vec<_> = (0..10)
        .map(|_| tokio::spawn(gateway.teams_message().send()))
        .collect();
    let seen = bot
        .wait_until("all arrive", |seen| seen.requests.len() == 10)
        .await;
    assert_eq!(seen.connections, 1);
    bot.does(Does::Echo);
    for reply in sending {
        assert_eq!(reply.await.unwrap().status, 200, "{}", gateway.output());
    }
    bot.leave();
    bot.takes_at_most(4);
    // What it takes at most is known with its first word on the new connection.
    eventually("there is a new connection", async || {
        assert_eq!(gateway.teams_message().send().await.status, 200);
        bot.seen().connections >= 2
    })
    .await;
    let before = bot.seen().requests.len();
    bot.does(Does::Hold);
    let sending: Vec<_> = (0..10)
        .map(|_| tokio::spawn(gateway.teams_message().send()))
        .collect();
    let all = before + 10;
    let seen = bot
        .wait_until("all arrive", |seen| seen.requests.len() == all)
        .await;
    assert!(seen.connections >= 4, "{}", seen.connections);
    bot.does(Does::Echo);
    for reply in sending {
        assert_eq!(reply.await.unwrap().status, 200, "{}", gateway.output());
    }
}

#[tokio::test]
async fn an_event_stream_comes_as_it_happens_and_ends_with_the_client() {
    let (bot, gateway) = stand("").await;
    for protocol in PROTOCOLS {
        for leaves in [false, true] {
            bot.does(Does::Stream);
            let mut connection = gateway.client().connect(protocol).await.unwrap();
            let request = gateway.teams_message().into_request();
            let mut response = connection.send(request).await.unwrap();
            assert_eq!(next_piece(response.body_mut()).await, "data: one\n\n");
            if leaves {
                let before = bot.seen().resets.len();
                drop((response, connection));
                let seen = bot.wait_until("it is let go", |seen| seen.resets.len() > before);
                assert_eq!(seen.await.resets.last(), Some(&Why::CANCEL));
            } else {
                bot.does(Does::Echo);
                assert_eq!(next_piece(response.body_mut()).await, "data: two\n\n");
            }
        }
    }
    // One that is old is made anew, and no other is needed.
    assert!(bot.seen().connections <= 2, "nobody else is disturbed");
    assert!(gateway.terminate().await.success());
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_has_the_stream_reset() {
    let (bot, gateway) = stand("").await;
    bot.does(Does::Hold);
    let sending = tokio::spawn(gateway.teams_message().try_send());
    bot.wait_until("it arrives", |seen| seen.requests.len() == 1)
        .await;
    sending.abort();
    let seen = bot
        .wait_until("it is reset", |seen| !seen.resets.is_empty())
        .await;
    assert_eq!(seen.resets, [Why::CANCEL]);
    bot.does(Does::Echo);
    assert_eq!(gateway.teams_message().send().await.status, 200);
    assert!(bot.seen().connections <= 2, "the connection goes on");
}

#[tokio::test]
async fn a_slow_bot_is_504_and_a_broken_answer_502_and_neither_is_sent_twice() {
    let (bot, gateway) = stand("[bots.timeouts]\nresponse = \"300ms\"").await;
    bot.does(Does::Hold);
    let reply = gateway.teams_message().send().await;
    assert_eq!(reply.status, 504, "{}", gateway.output());
    let seen = bot
        .wait_until("it is reset", |seen| !seen.resets.is_empty())
        .await;
    assert_eq!(seen.requests.len(), 1);
    for (what, count) in [(Does::Break, 2), (Does::Fields, 3)] {
        bot.does(what);
        let reply = gateway.teams_message().send().await;
        assert_eq!(reply.status, 502, "{what:?}\n{}", gateway.output());
        let line = reply.only_request_line().await;
        assert_eq!(line["reason"], Reason::UpstreamBroken.code(), "{line}");
        assert_eq!(bot.seen().requests.len(), count);
    }
}

#[tokio::test]
async fn a_request_that_the_bot_did_not_look_at_is_sent_again() {
    let (bot, gateway) = stand("").await;
    for count in 1..=3 {
        bot.does(Does::Refuse);
        let reply = gateway.teams_message().send().await;
        assert_eq!(reply.status, 200, "{}", gateway.output());
        assert_eq!(bot.seen().requests.len(), count);
    }
}

#[tokio::test]
async fn nothing_is_lost_when_the_bot_closes_its_connections_under_load() {
    let (bot, gateway) = stand("").await;
    let sent = AtomicUsize::new(0);
    let clients = (0..8).map(async |_| {
        for _ in 0..40 {
            let reply = gateway.teams_message().send().await;
            assert_eq!(reply.status, 200, "{}", gateway.output());
            // Each eighth leaves in the middle of what the others do.
            if sent.fetch_add(1, Ordering::AcqRel).is_multiple_of(8) {
                bot.leave();
            }
        }
    });
    futures_util::future::join_all(clients).await;
    let seen = bot.seen();
    assert_eq!(seen.requests.len(), 320, "each once");
    assert!(seen.connections > 10, "{}", seen.connections);
}

#[tokio::test]
async fn health_is_asked_over_http2_too() {
    let health = "[bots.health]\npath = \"/healthz\"\nevery = \"100ms\"";
    let (bot, gateway) = stand(health).await;
    let is_asked = |uri: &http::Uri| uri.path() == "/healthz";
    bot.wait_until("it is asked", |seen| {
        let mut requests = seen.requests.iter();
        requests.any(|(uri, _, body)| is_asked(uri) && body.is_empty())
    })
    .await;
    assert_eq!(gateway.teams_message().send().await.status, 200);
    assert_eq!(gateway.admin("/readyz").await.0, 200);
}

// Words

async fn stand(more: &str) -> (Http2Bot, Gateway) {
    let bot = Http2Bot::start().await;
    let gateway = Gateway::with(&bot.config())
        .and(more)
        .file("bot-ca.pem", bot.authority.clone())
        .start()
        .await;
    (bot, gateway)
}
