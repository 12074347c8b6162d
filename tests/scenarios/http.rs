//! Which requests are for a bot, and for which.

use crate::support::Gateway;
use crate::support::client::{both, replaced};
use crate::support::wire::send_raw;
use botgate::cli::demo::bot::EchoBot;
use botgate::cli::demo::client::Protocol;
use botgate::judge::Reason;
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio_util::task::AbortOnDropHandle;

// Routing

#[tokio::test]
async fn host_and_path_choose_the_bot_over_both_protocols() {
    let (second, third) = (
        EchoBot::start().await.unwrap(),
        EchoBot::start().await.unwrap(),
    );
    let gateway = Gateway::with("[bots]\nhosts = [\"localhost\"]")
        .another_bot("second", &second, "hosts = [\"second.example\"]")
        .another_bot(
            "third",
            &third,
            "hosts = [\"localhost\"]\npath = \"/third\"",
        )
        .start()
        .await;
    for (host, path, name) in [
        ("localhost", "/api/messages", "echo"),
        ("LOCALHOST:8443", "/api/messages", "echo"),
        ("second.example", "/api/messages", "second"),
        ("localhost", "/third", "third"),
    ] {
        for http2 in [false, true] {
            let seen = || [gateway.bot(), &second, &third].map(|bot| bot.seen().len());
            let before = seen();
            let post = gateway.teams_message().host(host).path(path);
            let reply = if http2 { post.over_http2() } else { post }.send().await;
            let line = reply.only_request_line().await;
            assert_eq!((reply.status, &line["bot"]), (200, &name.into()), "{line}");
            assert_eq!(
                line["http_version"],
                if http2 { "2" } else { "1.1" },
                "{line}"
            );
            let mut expected = before;
            let position = ["echo", "second", "third"]
                .iter()
                .position(|other| *other == name);
            expected[position.unwrap()] += 1;
            assert_eq!(seen(), expected, "{host} {path}");
        }
    }
}

#[tokio::test]
async fn a_host_that_no_bot_has_is_misdirected() {
    let gateway = Gateway::with("[bots]\nhosts = [\"localhost\", \"bot.example.com\"]")
        .start()
        .await;
    for host in [
        "example.com",
        "bot.example.com.evil.example",
        "evil-bot.example.com",
        "bot.example.com.",
        "xn--bot.example.com",
        "127.0.0.1",
        "[::1]:443",
    ] {
        for post in both(|| gateway.teams_message().host(host)) {
            post.send()
                .await
                .refused_before_proof(Reason::HostNotServed)
                .await;
        }
    }
}

#[tokio::test]
async fn only_the_exact_path_is_served() {
    let gateway = Gateway::start().await;
    for path in [
        "/",
        "/api/messages/",
        "/api/message",
        "/api/messagesx",
        "/API/messages",
        "/api/Messages",
        "/api//messages",
        "//api/messages",
        "/api/%6dessages",
        "/api%2fmessages",
        "/api/messages%00",
        "/api/messages%20",
        "/api/./messages",
        "/api/messages/.",
        "/x/../api/messages",
        "/api/messages/../messages",
        "/api/messages;v=1",
    ] {
        let bytes = gateway.teams_message().path(path).into_bytes();
        let reply = send_raw(&gateway, &bytes).await.expect("an answer");
        let reply = reply.refused_before_proof(Reason::PathNotFound).await;
        let line = reply.only_request_line().await;
        assert_eq!(line["path"], path, "the path is logged as it was sent");
    }
    for path in ["/api/messages/", "/api/%6dessages", "/x/../api/messages"] {
        let post = gateway.teams_message().over_http2().path(path);
        post.send()
            .await
            .refused_before_proof(Reason::PathNotFound)
            .await;
    }
    // What is no path is not looked for.
    let bytes = gateway.teams_message().path("/api\\messages").into_bytes();
    let reply = send_raw(&gateway, &bytes).await.expect("an answer");
    reply.refused_before_proof(Reason::RequestMalformed).await;
    let reply = gateway.teams_message().path("/api/messages?a=1").send();
    reply.await.forwarded().await;
}

#[tokio::test]
async fn only_post_is_served() {
    let gateway = Gateway::start().await;
    for method in [
        "GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "post", "POSTS",
    ] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        for post in both(|| gateway.teams_message().method(method.clone())) {
            post.send()
                .await
                .refused_before_proof(Reason::MethodNotAllowed)
                .await;
        }
    }
    // An answer to HEAD has no body to look at.
    for post in both(|| gateway.teams_message().body("").method(Method::HEAD)) {
        let reply = post.send().await;
        assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")));
        let line = reply.only_request_line().await;
        assert_eq!(line["reason"], Reason::MethodNotAllowed.code());
    }
    assert_eq!(gateway.bot().seen().len(), 0);
}

#[tokio::test]
async fn upgrades_are_refused() {
    let gateway = Gateway::start().await;
    let websocket = || {
        gateway
            .teams_message()
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
    };
    for post in [
        websocket(),
        websocket().method(Method::GET).body(""),
        websocket().header("upgrade", "h2c, WebSocket"),
        websocket().header("upgrade", "h2c").method(Method::GET),
    ] {
        let reply = post.send().await;
        let reply = reply.refused_before_proof(Reason::UpgradeRefused).await;
        assert!(
            reply.header("upgrade").is_some(),
            "RFC 9110 15.5.22: 426 says what is spoken instead"
        );
    }
    // An upgrade that is only offered may be ignored, RFC 9110 7.8.
    let offered = gateway.teams_message().header("connection", "upgrade");
    let reply = offered.header("upgrade", "h2c").send().await;
    let recorded = reply.forwarded().await;
    assert_eq!(recorded.header("upgrade"), Vec::<String>::new());
}

// Host

#[tokio::test]
async fn a_request_names_exactly_one_host() {
    let gateway = Gateway::start().await;
    let message = || gateway.teams_message();
    for (case, bytes) in [
        ("no Host", message().without_header("host").into_bytes()),
        (
            "two Hosts",
            message().also_header("host", "localhost").into_bytes(),
        ),
        (
            "two Hosts that differ",
            message().also_header("host", "other.example").into_bytes(),
        ),
        ("an empty Host", message().host("").into_bytes()),
        ("a user", message().host("user@localhost").into_bytes()),
        ("no port", message().host("localhost:port").into_bytes()),
        ("a path", message().host("localhost/api").into_bytes()),
        (
            "a list",
            message().host("localhost, other.example").into_bytes(),
        ),
        (
            "absolute-form",
            message()
                .path("http://localhost/api/messages")
                .host("localhost")
                .into_bytes(),
        ),
        (
            "absolute-form for another host",
            message()
                .path("https://other.example/api/messages")
                .into_bytes(),
        ),
        (
            "authority-form",
            message()
                .method(Method::CONNECT)
                .path("localhost:443")
                .into_bytes(),
        ),
        (
            "HTTP/1.0 without Host",
            replaced(message().without_header("host"), "HTTP/1.1", "HTTP/1.0"),
        ),
    ] {
        let reply = send_raw(&gateway, &bytes).await.expect(case);
        let reply = reply.refused_before_proof(Reason::RequestMalformed).await;
        let closes = reply.header("connection") == Some("close");
        assert!(
            closes,
            "{case}: who sends this once is not believed a second time"
        );
    }
}

#[tokio::test]
async fn host_and_authority_must_agree() {
    let gateway = Gateway::start().await;
    let message = || {
        let request = gateway.teams_message().into_request();
        let (mut head, body) = request.into_parts();
        head.uri = "https://localhost/api/messages".parse().unwrap();
        Request::from_parts(head, body)
    };
    let agreeing = over_http2(&gateway, message()).await;
    assert_eq!(agreeing.status(), 200);
    let mut differing = message();
    let other = "other.example".parse().unwrap();
    differing.headers_mut().insert("host", other);
    let refused = over_http2(&gateway, differing).await;
    assert_eq!(refused.status(), 400);
    let id = refused.headers()["x-request-id"].to_str().unwrap();
    let line = gateway.request_line_for(id).await;
    assert_eq!(line["reason"], Reason::RequestMalformed.code(), "{line}");
    assert_eq!(gateway.bot().seen().len(), 1);
}

// Words

/// Sends a request over HTTP/2 as it is: `:authority` from its target, `Host` from its headers.
async fn over_http2(gateway: &Gateway, request: Request<Bytes>) -> Response<Bytes> {
    let stream = gateway.client().handshake(Protocol::Http2).await.unwrap();
    let handshake =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let response = sender.send_request(request.map(Full::new)).await.unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Response::from_parts(head, body)
}

#[tokio::test]
async fn what_the_next_reader_could_misread_is_refused_over_both_protocols() {
    let gateway = Gateway::start().await;
    let message = || gateway.teams_message();
    let spoiled = [
        message().header("x_forwarded_for", "192.0.2.1"),
        message().header("transfer_encoding", "chunked"),
        message().header("content_length", "5"),
        message().header("x_botgate_tenant", "forged"),
        message().header("x-botgate_app-id", "forged"),
        message().header("x_", ""),
        message().path("/api/messages?a|b"),
        message().path("/api/messages?%zz"),
        message().path("/api/messages?{a}"),
    ];
    let over_http2 = spoiled.map(|post| post.over_http2());
    let more = [
        // In HTTP/1 such white space is no part of the value.
        message().over_http2().header("x-a", "b "),
        message().over_http2().header("x-a", "\tb"),
    ];
    for post in over_http2.into_iter().chain(more) {
        post.send()
            .await
            .refused_before_proof(Reason::RequestMalformed)
            .await;
    }
}
