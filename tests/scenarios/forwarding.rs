//! What reaches the bot, and what of its answer reaches the client.

use crate::support::client::Post;
use crate::support::{Gateway, PROTOCOLS, TENANT, next_piece};
use botgate::cli::demo::bot::{Answer, EchoBot};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::json;

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
        for protocol in PROTOCOLS {
            let reply = gateway.post(file).over(protocol).send().await;
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
async fn a_large_activity_reaches_the_bot_whole() {
    let gateway = Gateway::start().await;
    for protocol in PROTOCOLS {
        let post = gateway
            .teams_message()
            .activity(|activity| activity["text"] = json!("x".repeat(1_000_000)));
        post.over(protocol).send().await.forwarded().await;
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
    for protocol in PROTOCOLS {
        let post = end_to_end
            .iter()
            .fold(gateway.teams_message(), |post, (name, value)| {
                post.header(name, value)
            });
        let post = post.also_header("x-twice", "1").also_header("x-twice", "2");
        let reply = post.over(protocol).send().await;
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
        [reply.request_id.as_str()]
    );
    let values = recorded.headers.iter().map(|(_, value)| value);
    assert_eq!(values.filter(|value| *value == "forged").count(), 0);
}

#[tokio::test]
async fn forwarding_headers_are_written_afresh() {
    let gateway = Gateway::start().await;
    for protocol in PROTOCOLS {
        let post = claiming_another_origin(gateway.teams_message());
        let reply = post.over(protocol).send().await;
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
    // Of two chains that lead to different clients the proxy wrote one, and which one nobody knows.
    let line = reply.only_request_line().await;
    assert_eq!(line["client_ip"], "127.0.0.1");
    for (name, value) in [
        ("x-forwarded-for", "203.0.113.9, 203.0.113.8"),
        ("forwarded", "for=203.0.113.9, for=203.0.113.8;proto=https"),
    ] {
        let reply = gateway.teams_message().header(name, value).send().await;
        let line = reply.only_request_line().await;
        assert_eq!(line["client_ip"], "203.0.113.8", "the proxy's own word");
    }
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
        assert_eq!(recorded.header("x-request-id"), [reply.request_id.as_str()]);
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
        for protocol in PROTOCOLS {
            let post = gateway.teams_message().over(protocol).path(sent);
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
        for protocol in PROTOCOLS {
            let reply = gateway.teams_message().over(protocol).send().await;
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
    for protocol in PROTOCOLS {
        let reply = gateway.teams_message().over(protocol).send().await;
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
    for protocol in PROTOCOLS {
        let reply = gateway.teams_message().over(protocol).send().await;
        assert!(reply.body == large, "{} bytes", reply.body.len());
        let line = reply.only_request_line().await;
        assert_eq!(line["bytes_out"], large.len());
    }
}

#[tokio::test]
async fn an_event_stream_is_passed_on_piece_by_piece() {
    let gateway = Gateway::start().await;
    // What the bot calls an event stream is one, and what the channel asked to be one, whatever its type.
    for (content_type, mode) in [
        ("text/event-stream", "normal"),
        ("application/json", "stream"),
    ] {
        let mut streams = gateway.bot().answer_with_streams(content_type);
        for protocol in PROTOCOLS {
            let id = format!("stream-{content_type}-{protocol:?}");
            let mut connection = gateway.client().connect(protocol).await.unwrap();
            let request = gateway.teams_message().header("x-request-id", &id);
            let request = request.with("/deliveryMode", mode);
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

// Words

fn claiming_another_origin(post: Post) -> Post {
    post.also_header("x-forwarded-for", "203.0.113.9")
        .also_header("x-forwarded-for", "203.0.113.8")
        .header("x-forwarded-proto", "http")
        .header("x-forwarded-host", "elsewhere.example")
        .header("forwarded", "for=203.0.113.7")
}
