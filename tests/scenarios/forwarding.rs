//! What reaches the bot, and what of its answer reaches the client.

use crate::support::client::Post;
use crate::support::tap::Tap;
use crate::support::tls_bot::TlsBot;
use crate::support::{Gateway, PATIENCE, TENANT};
use botgate::cli::demo::bot::{Answer, EchoBot};
use botgate::cli::demo::client::Protocol;
use botgate::judge::Reason;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, Version, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, timeout};

const BOTH: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

// To the bot

#[tokio::test]
async fn the_bytes_of_an_activity_reach_the_bot_as_they_came() {
    let gateway = Gateway::start().await;
    for file in [
        "teams-message.json",
        "teams-group-message.json",
        "teams-invoke.json",
        "teams-conversation-update.json",
        "webchat-message.json",
        "direct-line-message.json",
        "email-message.json",
    ] {
        for protocol in BOTH {
            let reply = over(protocol, gateway.post(file)).send().await;
            let recorded = reply.forwarded().await;
            let length = recorded.body.unwrap().len().to_string();
            assert_eq!(
                recorded
                    .headers
                    .iter()
                    .find(|(name, _)| name == "content-length"),
                Some(&(header::CONTENT_LENGTH, length.parse().unwrap()))
            );
        }
    }
}

#[tokio::test]
async fn end_to_end_headers_reach_the_bot() {
    let gateway = Gateway::start().await;
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let end_to_end = [
        ("content-type", "application/json; charset=utf-8"),
        (
            "user-agent",
            "Microsoft-SkypeBotApi (Microsoft-BotFramework/3.0)",
        ),
        ("traceparent", traceparent),
        ("tracestate", "vendor=1"),
        ("ms-cv", "bGlnaHQ.1.2"),
        ("x-ms-conversation-id", "a:1ScenarioConversation"),
        ("x-ms-tenant-id", TENANT),
        ("x-unknown", "ünknown, \"quoted\"; and=more"),
        ("accept-encoding", "gzip"),
        ("cookie", "a=1; b=2"),
    ];
    for protocol in BOTH {
        let post = end_to_end
            .iter()
            .fold(gateway.teams_message(), |post, (name, value)| {
                post.header(name, value)
            });
        let post = post.also_header("x-twice", "1").also_header("x-twice", "2");
        let reply = over(protocol, post).send().await;
        let recorded = reply.forwarded().await;
        for (name, value) in end_to_end {
            assert_eq!(recorded.header(name), [value], "{name}");
        }
        assert_eq!(recorded.header("x-twice"), ["1", "2"]);
        let host = recorded.header("host");
        assert_eq!(host, [gateway.bot().origin().replace("http://", "")]);
        let line = reply.only_request_line().await;
        assert_eq!(line["trace_id"], "0af7651916cd43dd8448eb211c80319c");
    }
}

#[tokio::test]
async fn headers_between_neighbours_do_not_reach_the_bot() {
    let gateway = Gateway::start().await;
    let gone = [
        (
            "connection",
            "keep-alive, X-Listed, authorization, content-type",
        ),
        ("x-listed", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-authorization", "Basic c2VjcmV0"),
        ("proxy-authenticate", "Basic"),
        ("proxy-connection", "keep-alive"),
        ("te", "trailers"),
        ("trailer", "x-checksum"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAMAAABkAAQAAP__"),
    ];
    let post = gone
        .iter()
        .fold(gateway.teams_message(), |post, (name, value)| {
            post.header(name, value)
        });
    // That Authorization arrived although Connection lists it is part of `forwarded`.
    let recorded = post.send().await.forwarded().await;
    for (name, _) in gone {
        assert_eq!(recorded.header(name), Vec::<String>::new(), "{name}");
    }
    assert_eq!(
        recorded.header("content-type"),
        ["application/json; charset=utf-8"]
    );
}

#[tokio::test]
async fn what_only_the_gateway_may_say_is_removed() {
    let forged = [
        "x-botgate-tenant",
        "X-Botgate-Channel",
        "x-botgate-request-id",
        "x-botgate-anything",
        "x_botgate_tenant",
        "x-botgate_app-id",
    ];
    let names = |post: Post| {
        forged
            .iter()
            .fold(post, |post, name| post.header(name, "forged"))
    };
    let gateway = Gateway::start().await;
    let reply = names(gateway.teams_message()).send().await;
    let recorded = reply.forwarded().await;
    for (name, _) in &recorded.headers {
        let name = name.as_str().replace('_', "-");
        assert!(!name.starts_with("x-botgate"), "{name}");
    }

    let gateway = Gateway::with("[bots.identity_headers]\nenabled = true")
        .start()
        .await;
    let reply = names(gateway.teams_message()).send().await;
    let recorded = reply.forwarded().await;
    assert_eq!(recorded.header("x-botgate-tenant"), [TENANT]);
    assert_eq!(recorded.header("x-botgate-channel"), ["msteams"]);
    assert_eq!(
        recorded.header("x-botgate-app-id"),
        [crate::support::APP_ID]
    );
    assert_eq!(
        recorded.header("x-botgate-request-id"),
        [reply.request_id.clone()]
    );
    let values = recorded.headers.iter().map(|(_, value)| value);
    assert_eq!(values.filter(|value| *value == "forged").count(), 0);
}

#[tokio::test]
async fn forwarding_headers_are_written_afresh() {
    let gateway = Gateway::start().await;
    for protocol in BOTH {
        let post = claiming_another_origin(gateway.teams_message());
        let reply = over(protocol, post).send().await;
        let recorded = reply.forwarded().await;
        for (name, value) in [
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "localhost"),
            ("forwarded", "for=127.0.0.1;host=\"localhost\";proto=https"),
        ] {
            assert_eq!(recorded.header(name), [value], "{name}");
        }
        let forged = recorded.headers.iter().find(|(name, value)| {
            name.as_str().contains('_') || value.to_str().is_ok_and(|v| v.contains("203.0.113"))
        });
        assert_eq!(forged, None);
        let line = reply.only_request_line().await;
        assert_eq!(line["client_ip"], "127.0.0.1");
    }
}

#[tokio::test]
async fn the_forwarding_headers_of_a_trusted_proxy_are_continued() {
    let gateway = Gateway::with("[server]\ntrusted_proxies = [\"127.0.0.0/8\"]")
        .start()
        .await;
    let reply = claiming_another_origin(gateway.teams_message()).send();
    let reply = reply.await;
    let recorded = reply.forwarded().await;
    for (name, value) in [
        ("x-forwarded-for", "203.0.113.9, 203.0.113.8, 127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "elsewhere.example"),
        (
            "forwarded",
            "for=203.0.113.7, for=127.0.0.1;host=\"localhost\";proto=https",
        ),
    ] {
        assert_eq!(recorded.header(name), [value], "{name}");
    }
    let line = reply.only_request_line().await;
    assert_eq!(line["client_ip"], "203.0.113.8", "the proxy's own word");
}

#[tokio::test]
async fn a_request_has_one_id_at_the_client_the_bot_and_in_the_log() {
    let gateway = Gateway::start().await;
    let reply = gateway
        .teams_message()
        .header("x-request-id", "client-7/a")
        .send()
        .await;
    assert_eq!(reply.request_id, "client-7/a");
    let recorded = reply.forwarded().await;
    assert_eq!(recorded.header("x-request-id"), ["client-7/a"]);
    for sent in [
        None,
        Some("two words"),
        Some("{\"event\":\"request\"}"),
        Some(""),
    ] {
        let post = gateway.teams_message();
        let post = match sent {
            Some(id) => post.header("x-request-id", id),
            None => post,
        };
        // An answer of the bot does not rename the request.
        gateway.bot().answer_with(|_| {
            let name = HeaderName::from_static("x-request-id");
            Answer::status(StatusCode::OK).header(name, HeaderValue::from_static("the-bots"))
        });
        let reply = post.send().await;
        assert_eq!(reply.header("x-request-id"), Some(&*reply.request_id));
        assert!(
            reply.request_id.len() == 32 && reply.request_id != "the-bots",
            "{sent:?} became {}",
            reply.request_id
        );
        let recorded = reply.forwarded().await;
        assert_eq!(recorded.header("x-request-id"), [reply.request_id.clone()]);
    }
}

#[tokio::test]
async fn the_backends_own_path_is_used_and_the_query_passed_on() {
    let bot = EchoBot::start().await.unwrap();
    let backend = |path: &str| format!("[bots]\nbackend = \"{}{path}\"", bot.origin());
    let gateway = Gateway::with(&backend("/inner/bot"))
        .bot(&bot)
        .start()
        .await;
    for (sent, seen) in [
        ("/api/messages", "/inner/bot"),
        ("/api/messages?a=1&b=%2F..%2f", "/inner/bot?a=1&b=%2F..%2f"),
        ("/api/messages?", "/inner/bot?"),
    ] {
        for protocol in BOTH {
            let post = over(protocol, gateway.teams_message()).path(sent);
            let recorded = post.send().await.forwarded().await;
            assert_eq!(recorded.path, seen, "{sent} over {protocol:?}");
        }
    }
    // A backend with a query of its own (an Azure Function's code) keeps it: no client replaces it.
    let gateway = Gateway::with(&backend("/inner/bot?code=own"))
        .bot(&bot)
        .start()
        .await;
    let reply = gateway.teams_message().path("/api/messages?code=x").send();
    let recorded = reply.await.forwarded().await;
    assert_eq!(recorded.path, "/inner/bot?code=own");
}

// From the bot

#[tokio::test]
async fn the_bots_answer_comes_back_unchanged() {
    let gateway = Gateway::start().await;
    for status in [
        200_u16, 201, 202, 203, 204, 301, 400, 401, 403, 404, 409, 412, 413, 429, 500, 501, 502,
        503, 504,
    ] {
        let has_body = status != 204;
        let body = if has_body {
            "{\"the\":  \"bot's\"}\n"
        } else {
            ""
        };
        gateway.bot().answer_with(move |_| {
            let mut answer = Answer::status(StatusCode::from_u16(status).unwrap());
            for (name, value) in [
                ("content-type", "application/vnd.bot+json"),
                ("location", "/elsewhere"),
                ("retry-after", "7"),
                ("www-authenticate", "Bearer realm=\"bot\""),
                ("set-cookie", "a=1"),
                ("set-cookie", "b=2"),
                ("content-encoding", "gzip"),
                ("x-custom", "kept"),
            ] {
                let name = HeaderName::from_static(name);
                answer = answer.header(name, HeaderValue::from_static(value));
            }
            answer.body(body)
        });
        for protocol in BOTH {
            let reply = over(protocol, gateway.teams_message()).send().await;
            assert_eq!((reply.status, &*reply.body), (status, body.as_bytes()));
            assert_eq!(
                reply.header("content-type"),
                Some("application/vnd.bot+json")
            );
            assert_eq!(reply.header("location"), Some("/elsewhere"));
            assert_eq!(reply.header("retry-after"), Some("7"));
            assert_eq!(
                reply.header("www-authenticate"),
                Some("Bearer realm=\"bot\"")
            );
            assert_eq!(reply.header("content-encoding"), Some("gzip"));
            assert_eq!(reply.header("x-custom"), Some("kept"));
            let cookies: Vec<_> = reply.headers.get_all("set-cookie").iter().collect();
            assert_eq!(cookies, ["a=1", "b=2"]);
            reply.forwarded().await;
            let line = reply.only_request_line().await;
            assert_eq!(line["bytes_out"], body.len(), "{line}");
        }
    }
}

#[tokio::test]
async fn what_runs_there_and_neighbours_headers_stay_behind() {
    let gateway = Gateway::start().await;
    gateway.bot().answer_with(|_| {
        Answer::raw(
            "HTTP/1.1 200 OK\r\nServer: Kestrel\r\nX-Powered-By: Express\r\nKeep-Alive: timeout=5\r\n\
             Connection: close, X-Listed\r\nX-Listed: 1\r\nProxy-Authenticate: Basic\r\nUpgrade: h2c\r\n\
             X-Kept: 1\r\nContent-Length: 2\r\n\r\nok",
        )
    });
    for protocol in BOTH {
        let reply = over(protocol, gateway.teams_message()).send().await;
        for gone in [
            "server",
            "x-powered-by",
            "keep-alive",
            "connection",
            "x-listed",
            "proxy-authenticate",
            "upgrade",
        ] {
            assert_eq!(reply.header(gone), None, "{gone}");
        }
        assert_eq!(
            (reply.header("x-kept"), &*reply.body),
            (Some("1"), &b"ok"[..])
        );
    }
}

#[tokio::test]
async fn expected_replies_and_invoke_answers_come_back() {
    let gateway = Gateway::start().await;
    let expecting = gateway
        .teams_message()
        .activity(|activity| activity["deliveryMode"] = json!("expectReplies"));
    let reply = expecting.send().await;
    reply.forwarded().await;
    let text = reply.json()["activities"][0]["text"].clone();
    assert!(
        text.as_str().unwrap().starts_with("echo: does the"),
        "{text}"
    );
    let reply = gateway.post("teams-invoke.json").send().await;
    reply.forwarded().await;
    assert_eq!(
        reply.json(),
        json!({ "statusCode": 200, "type": "application/vnd.microsoft.activity.message", "value": "approved" })
    );
    // 501 is what the SDK says to an invoke without a handler; channels understand it.
    let unknown = gateway
        .post("teams-invoke.json")
        .activity(|activity| activity["name"] = json!("no/handler"));
    let reply = unknown.send().await;
    assert_eq!(reply.status, 501);
    reply.forwarded().await;
}

#[tokio::test]
async fn a_large_answer_comes_back_whole() {
    let gateway = Gateway::start().await;
    let large: Bytes = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect();
    let body = large.clone();
    gateway
        .bot()
        .answer_with(move |_| Answer::status(StatusCode::OK).body(body.clone()));
    for protocol in BOTH {
        let reply = over(protocol, gateway.teams_message()).send().await;
        assert!(reply.body == large, "{} bytes", reply.body.len());
        let line = reply.only_request_line().await;
        assert_eq!(line["bytes_out"], large.len());
    }
}

#[tokio::test]
async fn an_event_stream_is_passed_on_piece_by_piece() {
    let gateway = Gateway::start().await;
    for content_type in ["text/event-stream", "application/json"] {
        let mut streams = gateway.bot().answer_with_streams(content_type);
        for protocol in BOTH {
            let id = format!("stream-{content_type}-{protocol:?}");
            let mut connection = gateway.client().connect(protocol).await.unwrap();
            let request = gateway.teams_message().header("x-request-id", &id);
            let response = connection.send(request.into_request());
            let (response, pieces) = tokio::join!(response, streams.recv());
            let (mut response, pieces) = (response.unwrap(), pieces.unwrap());
            assert_eq!(response.headers()["content-type"], content_type);
            assert_eq!(response.headers().get("content-length"), None);
            for piece in ["data: one\n\n", "data: two\n\n", "data: three\n\n"] {
                assert!(pieces.send(piece));
                assert_eq!(next_piece(response.body_mut()).await, piece);
            }
            let lines = gateway.request_lines();
            let unfinished = lines.iter().all(|line| line["request_id"] != id);
            assert!(unfinished, "the line is written when the answer has ended");
            drop(pieces);
            let rest = response.body_mut().collect().await.unwrap();
            assert_eq!(rest.to_bytes(), "");
            let line = gateway.request_line_for(&id).await;
            assert_eq!(
                (&line["verdict"], &line["bytes_out"]),
                (&"forwarded".into(), &35.into()),
                "{line}"
            );
        }
    }
}

// When the bot is not well

#[tokio::test]
async fn a_bot_that_just_restarts_gets_the_request_on_the_second_try() {
    let gateway = Gateway::start().await;
    // The bot has to come back between two tries that nobody can watch; the line tells whether it did.
    for _ in 0..20 {
        gateway.bot().close().await;
        let sending = tokio::spawn(gateway.teams_message().send());
        tokio::time::sleep(Duration::from_millis(100)).await;
        gateway.bot().reopen().await.unwrap();
        let reply = sending.await.unwrap();
        let line = reply.only_request_line().await;
        let waited = line["upstream_ms"].as_f64().unwrap_or_default();
        if reply.status == 200 && waited >= 200.0 {
            reply.forwarded().await;
            return;
        }
    }
    panic!("never forwarded on a second try\n{}", gateway.output());
}

#[tokio::test]
async fn a_bot_that_is_away_is_502_soon() {
    let gateway = Gateway::start().await;
    gateway.bot().close().await;
    let started = Instant::now();
    let reply = gateway.teams_message().send().await;
    let took = started.elapsed();
    reply.failed_upstream(Reason::UpstreamUnreachable, 0).await;
    assert!(
        took < Duration::from_secs(2),
        "channels have little patience: {took:?}"
    );
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
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    ] {
        gateway.bot().answer_with(move |_| Answer::raw(answer));
        for protocol in BOTH {
            let reply = over(protocol, gateway.teams_message()).send().await;
            reply.failed_upstream(Reason::UpstreamBroken, 1).await;
        }
    }
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
async fn an_answer_that_ends_early_ends_early_for_the_client_too() {
    let gateway = Gateway::with("[bots.timeouts]\nresponse = \"500ms\"")
        .start()
        .await;
    let whole = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this";
    let chunks = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nonly this\r\n";
    let spoilt = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nonly this\r\nzz\r\n";
    for (case, answer) in [("whole", whole), ("chunks", chunks), ("spoilt", spoilt)] {
        gateway.bot().answer_with(move |_| Answer::raw(answer));
        for protocol in BOTH {
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
    for protocol in BOTH {
        let id = format!("silent-{protocol:?}");
        let (pieces, ()) = tokio::join!(
            async {
                let pieces = streams.recv().await.unwrap();
                assert!(pieces.send("only this"));
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
    for protocol in BOTH.into_iter().chain(BOTH) {
        let reply = over(protocol, gateway.teams_message()).send().await;
        reply.forwarded().await;
    }
    assert_eq!(tap.connections(), 1);
}

#[tokio::test]
async fn a_bot_behind_tls_is_believed_with_its_own_authority_only() {
    for (protocols, version) in [
        (&["http/1.1"][..], Version::HTTP_11),
        (&["h2", "http/1.1"], Version::HTTP_2),
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
        for protocol in BOTH {
            let post = over(protocol, gateway.teams_message());
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
    for protocol in BOTH {
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
    for protocol in BOTH {
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

fn over(protocol: Protocol, post: Post) -> Post {
    match protocol {
        Protocol::Http1 => post,
        Protocol::Http2 => post.over_http2(),
    }
}

fn claiming_another_origin(post: Post) -> Post {
    post.also_header("x-forwarded-for", "203.0.113.9")
        .also_header("x-forwarded-for", "203.0.113.8")
        .header("x-forwarded-proto", "http")
        .header("x-forwarded-host", "elsewhere.example")
        .header("forwarded", "for=203.0.113.7")
        .header("x_forwarded_for", "203.0.113.6")
}

/// The next data of a body that is still on its way.
async fn next_piece(body: &mut Incoming) -> Bytes {
    let frame = timeout(PATIENCE, body.frame()).await;
    let frame = frame.expect("it is not held back").expect("there is more");
    frame.unwrap().into_data().expect("data")
}

/// Sends a message and sees that the answer begins well and breaks off.
async fn is_cut_off(gateway: &Gateway, protocol: Protocol, id: &str) {
    let mut connection = gateway.client().connect(protocol).await.unwrap();
    let request = gateway.teams_message().header("x-request-id", id);
    let response = connection.send(request.into_request()).await.unwrap();
    assert_eq!(response.status(), 200);
    let body = timeout(PATIENCE, response.into_body().collect()).await;
    assert!(
        body.expect("it ends").is_err(),
        "a client must not take a part for the whole"
    );
}
