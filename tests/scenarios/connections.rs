//! Connections: TLS, how long they stay open, and what they carry one after the other.

use crate::support::client::Post;
use crate::support::wire::Wire;
use crate::support::{Gateway, PATIENCE, eventually};
use botgate::cli::demo::client::Protocol;
use botgate::judge::Reason;
use http::Method;
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

// TLS

#[tokio::test]
async fn tls_1_2_and_1_3_are_spoken_and_written_down() {
    let gateway = Gateway::start().await;
    for (version, name) in [
        (&rustls::version::TLS12, "1.2"),
        (&rustls::version::TLS13, "1.3"),
    ] {
        let client = gateway.client().speaking_only(version).unwrap();
        let mut connection = client.connect(Protocol::Http1).await.unwrap();
        let reply = gateway.teams_message().send_on(&mut connection).await;
        reply.forwarded().await;
        assert_eq!(reply.only_request_line().await["tls_version"], name);
    }
}

#[tokio::test]
async fn older_tls_is_refused() {
    let gateway = Gateway::start().await;
    for version in [[3, 2], [3, 1], [3, 0]] {
        let alert = answer_to_client_hello(&gateway, version).await;
        // RFC 5246 7.2: one alert (21) of two bytes, fatal (2), and nothing of a handshake.
        assert_eq!((alert[0], alert.len(), alert[5]), (21, 7, 2), "{alert:?}");
    }
    let failed = "botgate_tls_handshakes_total{result=\"failed\",version=\"\"}";
    eventually("counted", async || gateway.metric(failed).await >= 3.0).await;
}

#[tokio::test]
async fn tls_1_2_can_be_turned_off() {
    let gateway = Gateway::with("[server.tls]\nmin_version = \"1.3\"")
        .start()
        .await;
    let old = gateway.client().speaking_only(&rustls::version::TLS12);
    let refused = old.unwrap().handshake(Protocol::Http1).await;
    let why = refused.expect_err("TLS 1.2 is refused").to_string();
    assert!(why.contains("ProtocolVersion"), "{why}");
    gateway.teams_message().send().await.forwarded().await;
}

#[tokio::test]
async fn alpn_chooses_the_protocol() {
    let gateway = Gateway::start().await;
    for (offered, agreed) in [
        (&["h2", "http/1.1"][..], Some("h2")),
        (&["http/1.1", "h2"], Some("h2")),
        (&["http/1.1"], Some("http/1.1")),
        (&["spdy/3", "http/1.1"], Some("http/1.1")),
        (&[], None),
    ] {
        let stream = tls_connect(&gateway, offered).await.unwrap();
        let protocol = stream.get_ref().1.alpn_protocol();
        assert_eq!(protocol, agreed.map(str::as_bytes), "offered {offered:?}");
    }
    assert!(tls_connect(&gateway, &["spdy/3"]).await.is_err());
    // Without ALPN it is HTTP/1.1.
    let mut stream = tls_connect(&gateway, &[]).await.unwrap();
    let bytes = gateway.teams_message().into_bytes();
    stream.write_all(&bytes).await.unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 200");
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_cut() {
    let gateway = Gateway::with("[server.tls]\nhandshake_timeout = \"300ms\"")
        .start()
        .await;
    for start in [&[][..], &[22, 3, 1, 2, 0, 1]] {
        let mut stream = TcpStream::connect(gateway.client().address())
            .await
            .unwrap();
        stream.write_all(start).await.unwrap();
        let end = timeout(PATIENCE, stream.read(&mut [0; 64])).await;
        assert!(matches!(end.expect("it is closed"), Ok(0) | Err(_)));
    }
    let timed_out = "botgate_tls_handshakes_total{result=\"timed_out\",version=\"\"}";
    eventually("counted", async || gateway.metric(timed_out).await >= 2.0).await;
    gateway.teams_message().send().await.forwarded().await;
}

#[tokio::test]
async fn a_certificate_from_files_is_shown() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let gateway = Gateway::with(
        "[server.tls]\nsource = \"files\"\ncert = \"own/chain.pem\"\nkey = \"own/key.pem\"",
    )
    .file("own/chain.pem", made.cert.pem())
    .file("own/key.pem", made.signing_key.serialize_pem())
    .trusting("own/chain.pem")
    .start()
    .await;
    gateway.teams_message().send().await.forwarded().await;
}

#[tokio::test]
async fn a_listener_without_tls_serves_trusted_proxies_only() {
    // Nobody speaks TLS here, but the client wants something to trust.
    let unused = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let plain = |proxy: &str| {
        Gateway::with(&format!(
            "[server]\ntrusted_proxies = [\"{proxy}\"]\n[server.tls]\nsource = \"off\""
        ))
        .file("unused.pem", unused.cert.pem())
        .trusting("unused.pem")
        .start()
    };
    let send = async |gateway: &Gateway| {
        let mut stream = TcpStream::connect(gateway.client().address())
            .await
            .unwrap();
        let post = gateway.teams_message().header("x-request-id", "plain");
        let bytes = post
            .header("x-forwarded-proto", "https")
            .header("connection", "close")
            .into_bytes();
        let _refused = stream.write_all(&bytes).await;
        let mut answer = Vec::new();
        let end = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        let _reset = end.expect("it is closed");
        String::from_utf8(answer).unwrap()
    };
    let gateway = plain("127.0.0.1").await;
    let answer = send(&gateway).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let line = gateway.request_line_for("plain").await;
    assert_eq!(line.get("tls_version"), None, "{line}");
    let recorded = gateway.bot().seen().pop().unwrap();
    assert_eq!(recorded.header("x-forwarded-proto"), ["https"]);

    let gateway = plain("192.0.2.0/24").await;
    assert_eq!(send(&gateway).await, "");
    let refused = "botgate_connections_refused_total{reason=\"not_a_trusted_proxy\"}";
    eventually("counted", async || gateway.metric(refused).await >= 1.0).await;
    assert_eq!(gateway.bot().seen().len(), 0);
    assert_eq!(gateway.request_lines().len(), 0);
}

#[tokio::test]
async fn http_without_tls_is_not_answered() {
    let gateway = Gateway::start().await;
    let mut stream = TcpStream::connect(gateway.client().address())
        .await
        .unwrap();
    let bytes = gateway.teams_message().into_bytes();
    stream.write_all(&bytes).await.unwrap();
    let mut answer = Vec::new();
    let _end = timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .expect("it is closed");
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    assert_eq!(gateway.bot().seen().len(), 0);
}

// Time

#[tokio::test]
async fn a_head_that_comes_too_slowly_ends_the_connection() {
    let gateway = Gateway::with("[server.limits]\nheader_timeout = \"300ms\"")
        .start()
        .await;
    let bytes = gateway.teams_message().into_bytes();
    // Silence, a part, and drops that never end.
    assert_eq!(Wire::open(&gateway).await.until_closed().await, b"");
    let mut wire = Wire::open(&gateway).await;
    wire.write(&bytes[..30]).await;
    assert_eq!(wire.until_closed().await, b"");
    let mut wire = Wire::open(&gateway).await;
    let started = Instant::now();
    for byte in bytes.iter().take(200) {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if !wire.write(&[*byte]).await {
            break;
        }
    }
    assert!(
        started.elapsed() < Duration::from_millis(200 * 20),
        "a drop now and then kept the connection open"
    );
    let answered = gateway.teams_message().send().await;
    answered.forwarded().await;
}

#[tokio::test]
async fn an_idle_connection_has_its_own_timeout() {
    let gateway = Gateway::with(IDLE_LONGER_THAN_A_HEAD).start().await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let mut connection = gateway.client().connect(protocol).await.unwrap();
        let reply = gateway.teams_message().send_on(&mut connection).await;
        reply.forwarded().await;
        tokio::time::sleep(LONGER_THAN_A_HEAD).await;
        let reply = gateway.teams_message().send_on(&mut connection).await;
        reply.forwarded().await;
    }
    let mut wire = Wire::open(&gateway).await;
    wire.write(&gateway.teams_message().into_bytes()).await;
    let reply = wire.answer().await.unwrap();
    reply.forwarded().await;
    assert_eq!(wire.until_closed().await, b"", "idle too long");
}

#[tokio::test]
async fn a_ping_on_an_idle_http2_connection_does_not_begin_a_request() {
    let gateway = Gateway::with(IDLE_LONGER_THAN_A_HEAD).start().await;
    let stream = gateway.client().handshake(Protocol::Http2).await.unwrap();
    let handshake = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_millis(50))
        .keep_alive_while_idle(true)
        .handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    for wait in [Duration::ZERO, LONGER_THAN_A_HEAD] {
        tokio::time::sleep(wait).await;
        let mut request = gateway.teams_message().into_request();
        *request.uri_mut() = "https://localhost/api/messages".parse().unwrap();
        let response = sender.send_request(request.map(Full::new)).await;
        assert_eq!(response.expect("it is still open").status(), 200);
    }
}

/// What an idle connection is closed after, and what a head is: the promises are about these times.
const IDLE_LONGER_THAN_A_HEAD: &str =
    "[server.limits]\nheader_timeout = \"500ms\"\nkeep_alive_timeout = \"2500ms\"";
const LONGER_THAN_A_HEAD: Duration = Duration::from_millis(1000);

// Keep-alive

/// Between requests a connection gives up what it needs only for them, after 3 s at most: nobody is to notice.
#[tokio::test]
async fn a_connection_that_rested_serves_on() {
    const LONG_ENOUGH: Duration = Duration::from_millis(3200);
    let gateway = Gateway::start().await;
    let mut wire = Wire::open(&gateway).await;
    for _ in 0..2 {
        wire.write(&gateway.teams_message().into_bytes()).await;
        wire.answer()
            .await
            .expect("it is answered")
            .forwarded()
            .await;
        tokio::time::sleep(LONG_ENOUGH).await;
    }
    let refused = gateway.teams_message().without_token().into_bytes();
    wire.write(&refused[..20]).await;
    tokio::time::sleep(LONG_ENOUGH).await;
    wire.write(&refused[20..]).await;
    let reply = wire.answer().await.expect("it is answered");
    reply.refused_before_proof(Reason::TokenMissing).await;
    tokio::time::sleep(LONG_ENOUGH).await;
    gateway.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(wire.until_closed().await, b"");
    assert!(gateway.ended().await.success());
}

#[tokio::test]
async fn a_connection_serves_on_after_refusals() {
    let gateway = Gateway::with("[server.limits]\nbody_bytes = \"4KiB\"")
        .start()
        .await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let mut connection = gateway.client().connect(protocol).await.unwrap();
        for (post, reason) in [
            (
                gateway.teams_message().without_token(),
                Reason::TokenMissing,
            ),
            (
                gateway.teams_message().token(|t| t.with_a_bit_flipped()),
                Reason::TokenSignatureInvalid,
            ),
            (
                gateway.teams_message().method(Method::PUT),
                Reason::MethodNotAllowed,
            ),
            (gateway.teams_message().path("/"), Reason::PathNotFound),
            (
                gateway.teams_message().header("content-type", "text/plain"),
                Reason::ContentTypeUnsupported,
            ),
            (
                gateway.teams_message().body(vec![b' '; 5000]),
                Reason::BodyTooLarge,
            ),
        ] {
            let reply = post.send_on(&mut connection).await;
            reply.refused_before_proof(reason).await;
        }
        let reply = gateway.teams_message().body("{").send_on(&mut connection);
        reply
            .await
            .refused_after_proof(Reason::ActivityMalformed)
            .await;
        let reply = gateway.teams_message().send_on(&mut connection).await;
        reply.forwarded().await;
    }
    let handshakes = "botgate_tls_handshakes_total{result=\"ok\",version=\"1.3\"}";
    let opened = gateway.metric(handshakes).await;
    assert!((opened - 2.0).abs() < f64::EPSILON, "{opened} connections");
}

#[tokio::test]
async fn requests_sent_without_waiting_are_answered_in_their_order() {
    let gateway = Gateway::start().await;
    let good = gateway.teams_message().into_bytes();
    let bad = gateway.teams_message().without_token().into_bytes();
    let mut wire = Wire::open(&gateway).await;
    wire.write(&[&good[..], &bad, &good, &bad].concat()).await;
    for status in [200, 401, 200, 401] {
        let response = wire.response().await.expect("an answer");
        assert_eq!(response.status(), status);
        let id = response.headers()["x-request-id"].to_str().unwrap();
        assert_eq!(gateway.request_line_for(id).await["status"], status);
    }
    assert_eq!(gateway.bot().seen().len(), 2);
}

#[tokio::test]
async fn the_connection_after_the_last_waits_its_turn() {
    let gateway = Gateway::with("[server.limits]\nconnections = 1")
        .start()
        .await;
    let mut first = gateway.client().connect(Protocol::Http1).await.unwrap();
    let reply = gateway.teams_message().send_on(&mut first).await;
    reply.forwarded().await;
    let waiting = gateway.teams_message().send();
    tokio::pin!(waiting);
    // It is accepted by nobody as long as the first is there; how long that is, is for this test to say.
    let early = timeout(Duration::from_millis(300), &mut waiting).await;
    assert!(early.is_err(), "served beyond the cap");
    drop(first);
    waiting.await.forwarded().await;
}

#[tokio::test]
async fn only_a_proven_caller_is_told_to_go_on_with_its_body() {
    let gateway = Gateway::start().await;
    let expecting = |post: Post| {
        let framing = "expect: 100-continue\r\ncontent-length: ";
        let length = post.length();
        post.into_pieces(&format!("{framing}{length}"))
    };
    let [head, _] = expecting(gateway.teams_message().without_token());
    let mut wire = Wire::open(&gateway).await;
    wire.write(&head).await;
    let reply = wire.answer().await.expect("an answer to the head alone");
    reply.refused_before_proof(Reason::TokenMissing).await;

    let [head, body] = expecting(gateway.teams_message());
    let mut wire = Wire::open(&gateway).await;
    wire.write(&head).await;
    let interim = wire.response().await.expect("an answer");
    assert_eq!(interim.status(), 100);
    wire.write(&body).await;
    let reply = wire.answer().await.expect("an answer");
    let recorded = reply.forwarded().await;
    assert_eq!(recorded.header("expect"), Vec::<String>::new());
}

// Words

async fn tls_connect(
    gateway: &Gateway,
    alpn: &[&str],
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let mut client = gateway.client().clone();
    let mut tls = client.tls_mut().clone();
    tls.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(client.address()).await?;
    tokio_rustls::TlsConnector::from(std::sync::Arc::new(tls))
        .connect("localhost".try_into().unwrap(), stream)
        .await
}

/// What the gateway answers to a ClientHello of an old version, which no library at hand writes any more.
async fn answer_to_client_hello(gateway: &Gateway, version: [u8; 2]) -> Vec<u8> {
    let suites = [0xc0, 0x14, 0xc0, 0x13, 0x00, 0x35, 0x00, 0x2f];
    let mut hello = version.to_vec();
    hello.extend([7; 32]); // random
    hello.push(0); // no session
    hello.extend([0, u8::try_from(suites.len()).unwrap()]);
    hello.extend(suites);
    hello.extend([1, 0]); // no compression
    hello.extend([0, 0]); // no extensions
    let length = u8::try_from(hello.len()).unwrap();
    let mut record = vec![22, 3, 1, 0, length + 4, 1, 0, 0, length];
    record.extend(hello);
    let mut stream = TcpStream::connect(gateway.client().address())
        .await
        .unwrap();
    stream.write_all(&record).await.unwrap();
    let mut answer = Vec::new();
    let _reset = timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .expect("it is closed");
    answer
}
