//! Clients that are slow on purpose: each is cut within its deadline, and nobody else notices.

use crate::support::frames::{
    CONTINUATION, DATA, END_HEADERS, Fate, FrameWire, HEADERS, PING, PREFACE, SETTINGS,
    WINDOW_UPDATE, block, fields, frame, request,
};
use crate::support::wire::Wire;
use crate::support::{Gateway, PATIENCE, eventually};
use botgate::cli::demo::bot::Answer;
use botgate::cli::demo::client::Protocol;
use botgate::judge::Reason;
use http::StatusCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::client::TlsStream;

/// Deadlines that a scenario can wait for.
const SHORT: &str = r#"
    [server.tls]
    handshake_timeout = "400ms"
    [server.limits]
    header_timeout = "400ms"
    body_timeout = "400ms"
    keep_alive_timeout = "400ms"
"#;
/// More than the kernels on both sides hold of an answer that nobody reads.
const LARGE: usize = 4 * 1024 * 1024;
const DRIP: Duration = Duration::from_millis(50);

/// Writes byte by byte until the gateway closes; fails if it never does.
async fn drip(
    stream: &mut (impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin),
    bytes: &[u8],
) {
    let dripping = async {
        for byte in bytes {
            if stream.write_all(&[*byte]).await.is_err() || stream.flush().await.is_err() {
                return;
            }
            if let Ok(Ok(0) | Err(_)) = timeout(DRIP, stream.read(&mut [0; 1024])).await {
                return;
            }
        }
        panic!("{} bytes, one at a time, were all taken", bytes.len());
    };
    timeout(PATIENCE, dripping).await.expect("it ends");
}

async fn until_nobody_is_left(gateway: &Gateway) {
    eventually("all are gone", async || {
        gateway.metric("botgate_connections{state=\"open\"}").await < 1.0
    })
    .await;
}

#[tokio::test]
async fn nothing_can_be_dripped_for_ever() {
    let gateway = Gateway::with(SHORT).start().await;
    // A record of TLS that says it has 512 bytes.
    let hello = [&[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3][..], &[7; 500]].concat();
    let mut tcp = TcpStream::connect(gateway.client().address())
        .await
        .unwrap();
    drip(&mut tcp, &hello).await;

    let head = gateway
        .teams_message()
        .header("x-padding", &"a".repeat(500))
        .into_bytes();
    let mut tls = gateway.client().handshake(Protocol::Http1).await.unwrap();
    drip(&mut tls, &head).await;

    let (fields, _) = fields(gateway.teams_message());
    let whole = block(&fields);
    let mut tls = gateway.client().handshake(Protocol::Http2).await.unwrap();
    drip(&mut tls, &[PREFACE, &[0; 500]].concat()).await;
    let mut tls = gateway.client().handshake(Protocol::Http2).await.unwrap();
    let begun = [
        PREFACE,
        &frame(SETTINGS, 0, 0, &[]),
        &frame(HEADERS, 0, 1, &whole),
    ]
    .concat();
    tls.write_all(&begun).await.unwrap();
    drip(&mut tls, &frame(CONTINUATION, 0, 1, b"").repeat(4)).await;

    until_nobody_is_left(&gateway).await;
    assert_eq!(gateway.bot().count(), 0);
    gateway.teams_message().send().await.forwarded().await;
}

#[tokio::test]
async fn the_body_deadline_is_for_the_whole_body() {
    let gateway = Gateway::with(SHORT).start().await;
    let post = || gateway.teams_message();
    let [head, body] = post().into_pieces(&format!("content-length: {}", post().length()));
    let mut wire = Wire::open(&gateway).await;
    wire.write(&head).await;
    let mut pieces = body.iter();
    let reply = loop {
        let piece = pieces.next().expect("it does not wait for all of it");
        wire.write(&[*piece]).await;
        if let Ok(reply) = timeout(DRIP, wire.answer()).await {
            break reply.expect("it is told");
        }
    };
    let reply = reply.refused_after_proof(Reason::BodyTimedOut).await;
    let line = reply.only_request_line().await;
    // The last one may be on its way.
    let sent = u64::try_from(body.len() - pieces.len()).unwrap();
    let read = line["bytes_in"].as_u64().unwrap();
    assert!(
        read > 0 && (sent - 1..=sent).contains(&read),
        "{sent}: {line}"
    );

    let (fields, body) = fields(post());
    let mut wire = FrameWire::open(&gateway).await;
    wire.write(&frame(HEADERS, END_HEADERS, 1, &block(&fields)))
        .await;
    let mut pieces = body.iter();
    let fate = loop {
        let piece = pieces.next().expect("it does not wait for all of it");
        wire.write(&frame(DATA, 0, 1, &[*piece])).await;
        if let Ok(fate) = timeout(DRIP, wire.fate(1)).await {
            break fate;
        }
    };
    assert_eq!(fate, Fate::Status(408));
    assert_eq!(gateway.bot().count(), 0);
}

#[tokio::test]
async fn silence_ends_at_every_stage() {
    let gateway = Gateway::with(SHORT).start().await;
    let address = gateway.client().address();
    let tcp = TcpStream::connect(address).await.unwrap();
    let http1 = gateway.client().handshake(Protocol::Http1).await.unwrap();
    let http2 = gateway.client().handshake(Protocol::Http2).await.unwrap();
    let mut used1 = Wire::open(&gateway).await;
    used1.write(&gateway.teams_message().into_bytes()).await;
    used1.answer().await.unwrap().forwarded().await;
    let (fields, body) = fields(gateway.teams_message());
    let mut used2 = FrameWire::open(&gateway).await;
    used2.write(&request(1, &fields, &body)).await;
    assert_eq!(used2.fate(1).await, Fate::Status(200));
    // None of them is closed by its client, nor reads what the gateway says at the end.
    until_nobody_is_left(&gateway).await;
    drop((tcp, http1, http2, used1, used2));
}

/// An end without it could be anybody's (RFC 8446 6.1): clients of TLS may take it for an attack.
#[tokio::test]
async fn whoever_is_too_late_is_told_by_tls_that_this_is_the_end() {
    let gateway = Gateway::with(SHORT).start().await;
    let (fields, body) = fields(gateway.teams_message());
    let bytes = gateway.teams_message().into_bytes();
    let settings = frame(SETTINGS, 0, 0, &[]);
    let half_a_head = frame(HEADERS, 0, 1, &block(&fields)[..4]);
    for (protocol, start) in [
        (Protocol::Http1, vec![]),
        (Protocol::Http1, bytes[..30].to_vec()),
        (Protocol::Http1, bytes),
        (Protocol::Http2, vec![]),
        (Protocol::Http2, [PREFACE, &settings].concat()),
        (Protocol::Http2, [PREFACE, &settings, &half_a_head].concat()),
        (
            Protocol::Http2,
            [PREFACE, &settings, &request(1, &fields, &body)].concat(),
        ),
    ] {
        let mut stream = gateway.client().handshake(protocol).await.unwrap();
        stream.write_all(&start).await.unwrap();
        stream.flush().await.unwrap();
        // rustls says UnexpectedEof where no close_notify came.
        let ended = timeout(PATIENCE, stream.read_to_end(&mut vec![])).await;
        let ended = ended.expect("it is closed");
        assert!(
            ended.is_ok(),
            "{protocol:?}, {} bytes: {ended:?}",
            start.len()
        );
    }
}

#[tokio::test]
async fn pings_do_not_keep_a_connection_that_asks_for_nothing() {
    let gateway = Gateway::with(SHORT).start().await;
    let mut wire = FrameWire::open(&gateway).await;
    let pinging = async {
        while wire.write(&frame(PING, 0, 0, &[7; 8])).await {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(PATIENCE, pinging).await.expect("it is closed");
}

/// A connection whose kernel takes little for it.
async fn narrow(gateway: &Gateway, protocol: Protocol) -> TlsStream<TcpStream> {
    let mut client = gateway.client().clone();
    let mut tls = client.tls_mut().clone();
    let alpn: &[u8] = match protocol {
        Protocol::Http1 => b"http/1.1",
        Protocol::Http2 => b"h2",
    };
    tls.alpn_protocols = vec![alpn.to_vec()];
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(8 * 1024).unwrap();
    let stream = socket.connect(client.address()).await.unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(tls))
        .connect("localhost".try_into().unwrap(), stream)
        .await
        .unwrap()
}

fn answers_large(gateway: &Gateway) {
    let body = vec![b'x'; LARGE];
    gateway
        .bot()
        .answer_with(move |_| Answer::status(StatusCode::OK).body(body.clone()));
}

#[tokio::test]
async fn who_does_not_read_an_answer_is_cut() {
    let gateway = Gateway::start().await;
    answers_large(&gateway);
    let bytes = gateway.teams_message().into_bytes();
    let (fields, body) = fields(gateway.teams_message());
    let mut http1 = narrow(&gateway, Protocol::Http1).await;
    http1.write_all(&bytes).await.unwrap();
    // The same over HTTP/2: by TCP, by a window that is never opened, and with nothing left but what h2 holds.
    let wide = frame(WINDOW_UPDATE, 0, 0, &[0x3f, 255, 0, 0]);
    let mut http2 = narrow(&gateway, Protocol::Http2).await;
    let settings = frame(SETTINGS, 0, 0, &[0, 4, 0x3f, 255, 0, 0]);
    let start = [PREFACE, &settings, &wide, &request(1, &fields, &body)].concat();
    http2.write_all(&start).await.unwrap();
    let mut closed_window = gateway.client().handshake(Protocol::Http2).await.unwrap();
    let settings = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let start = [PREFACE, &settings, &request(1, &fields, &body)].concat();
    closed_window.write_all(&start).await.unwrap();
    for stream in [&mut http1, &mut http2, &mut closed_window] {
        stream.flush().await.unwrap();
    }
    gateway.bot().wait_until_seen(3, PATIENCE).await;
    until_nobody_is_left(&gateway).await;
    let cut = gateway.metric("botgate_slow_readers_cut_total").await;
    assert!((cut - 3.0).abs() < f64::EPSILON, "{cut}");
    for line in gateway.request_lines() {
        assert_eq!(line["verdict"], "forwarded", "{line}");
        let note = line["note"].as_str().unwrap_or_default();
        assert!(note.contains("before the end of the answer"), "{line}");
    }
    drop((http1, http2, closed_window));
}

#[tokio::test]
async fn a_small_answer_held_back_by_its_window_is_not_kept_for_ever() {
    let gateway = Gateway::start().await;
    gateway
        .bot()
        .answer_with(|_| Answer::status(StatusCode::OK).body("a few bytes"));
    let (fields, body) = fields(gateway.teams_message());
    let mut wire = FrameWire::silent(&gateway).await;
    let settings = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 1]);
    wire.write(&[PREFACE, &settings, &request(1, &fields, &body)].concat())
        .await;
    assert_eq!(wire.fate(1).await, Fate::Status(200));
    // hyper has let go of it; h2 holds ten bytes. Pings are answered, and do not help.
    let pinging = async {
        while wire.write(&frame(PING, 0, 0, &[7; 8])).await {
            sleep(Duration::from_millis(500)).await;
        }
    };
    timeout(PATIENCE, pinging).await.expect("it is closed");
}

#[tokio::test]
async fn who_reads_a_few_bytes_now_and_then_is_cut() {
    let gateway = Gateway::start().await;
    answers_large(&gateway);
    let mut http1 = narrow(&gateway, Protocol::Http1).await;
    let bytes = gateway.teams_message().into_bytes();
    http1.write_all(&bytes).await.unwrap();
    http1.flush().await.unwrap();
    let reading = async {
        let (mut total, mut piece) = (0, [0; 64]);
        while let Ok(count @ 1..) = http1.read(&mut piece).await {
            total += count;
            sleep(DRIP).await;
        }
        total
    };
    // It cannot read the rest of what was sent, either: that is more than it reads in the time.
    let gone = until_nobody_is_left(&gateway);
    tokio::select! {
        () = gone => {}
        total = reading => assert!(total < LARGE),
    }

    // One byte per WINDOW_UPDATE.
    let (fields, body) = fields(gateway.teams_message());
    let mut wire = FrameWire::silent(&gateway).await;
    let settings = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 1]);
    wire.write(&[PREFACE, &settings, &request(1, &fields, &body)].concat())
        .await;
    let opening = async {
        while wire.write(&frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])).await {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, opening).await.expect("it is closed");
    until_nobody_is_left(&gateway).await;
}

#[tokio::test]
async fn who_closes_its_half_is_taken_to_have_left() {
    let gateway = Gateway::start().await;
    for number in 0..20 {
        let name = format!("half-{number}");
        let mut wire = Wire::open(&gateway).await;
        let post = gateway.teams_message().header("x-request-id", &name);
        wire.write(&post.into_bytes()).await;
        wire.stop_writing().await;
        let _answered_or_not = wire.until_closed().await;
        eventually("it has its line", async || {
            let lines = gateway.request_lines();
            lines.iter().any(|line| line["request_id"] == name.as_str())
        })
        .await;
    }

    let (fields, body) = fields(gateway.teams_message());
    let mut stream = gateway.client().handshake(Protocol::Http2).await.unwrap();
    let start = [
        PREFACE,
        &frame(SETTINGS, 0, 0, &[]),
        &request(1, &fields, &body),
    ]
    .concat();
    stream.write_all(&start).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut all = vec![];
    let ended = timeout(PATIENCE, stream.read_to_end(&mut all)).await;
    let _reset = ended.expect("it is closed");
    until_nobody_is_left(&gateway).await;
}
