//! Clients that mean harm, or die at the wrong moment.

use super::Stage;
use super::bot::{LARGE, NAME, SLOW, WANTED};
use super::ledger::{Client, Promise};
use super::net::MESSAGE;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

/// What a client does once; it comes back with an error, which is nobody's concern, or with the status it was answered.
type Outcome = io::Result<Option<u16>>;

macro_rules! start {
    ($load:ident, $stage:ident: $($name:literal, $promise:ident, $count:literal every $every:literal ms, $what:path;)*) => {
        $(for _ in 0..$count {
            let stage = Arc::clone($stage);
            $load.spawn(async move {
                let client = stage.ledger.open($name, Promise::$promise);
                let mut turns = interval(Duration::from_millis($every));
                turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
                while !stage.stop.is_cancelled() {
                    turns.tick().await;
                    client.sent();
                    if let Ok(Ok(Some(status))) = timeout(LONGEST, $what(&stage, client)).await {
                        client.answered(status);
                    }
                }
            });
        })*
    };
}

const LONGEST: Duration = Duration::from_secs(40);

pub(crate) fn start(load: &mut JoinSet<()>, stage: &Arc<Stage>) {
    start! { load, stage:
        "malformed HTTP", KeptOut, 1 every 100 ms, malformed;
        "oversized bodies", KeptOut, 1 every 500 ms, oversized;
        "slow heads", KeptOut, 20 every 1000 ms, slow_head;
        "slow bodies", KeptOut, 10 every 1000 ms, slow_body;
        "aborted handshakes", KeptOut, 1 every 200 ms, aborted_handshake;
        "idle handshakes", KeptOut, 5 every 1000 ms, idle_handshake;
        "gone before the end", KeptOut, 1 every 250 ms, gone_before_the_end;
        "gone before the answer", Unknown, 1 every 500 ms, gone_before_the_answer;
        "stalled readers", Unknown, 10 every 2000 ms, stalled;
        "rapid resets", KeptOut, 1 every 1000 ms, rapid_resets;
        "ping flood", KeptOut, 1 every 2000 ms, ping_flood;
        "settings flood", KeptOut, 1 every 2000 ms, settings_flood;
        "continuation flood", KeptOut, 1 every 2000 ms, continuation_flood;
    }
}

const MALFORMED: &[&str] = &[
    "POST /api/messages HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST /api/messages HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "POST /api/messages HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0_5\r\nhello\r\n0\r\n\r\n",
    "POST /api/messages HTTP/1.1\r\nHost : a\r\n\r\n",
    "POST /api/messages HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
    "POST /api/messages HTTP/1.1\nHost: a\n\n",
    "POST http://a/api/messages HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /api/messages HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "POST /api/messages HTTP/9.9\r\nHost: a\r\n\r\n",
    "GET /api/messages\r\n\r\n",
    "\u{0}\u{1}\u{2}\u{3}\r\n\r\n",
    "POST /api/messages HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
];

async fn malformed(stage: &Stage, client: Client<'_>) -> Outcome {
    let request = MALFORMED[usize::from(uuid::Uuid::new_v4().as_bytes()[0]) % MALFORMED.len()];
    let mut stream = stage.net.tls(&stage.ledger, client, b"http/1.1").await?;
    stream.write_all(request.as_bytes()).await?;
    status(&mut stream).await
}

async fn oversized(stage: &Stage, client: Client<'_>) -> Outcome {
    let mut stream = stage.net.tls(&stage.ledger, client, b"http/1.1").await?;
    let framing = "transfer-encoding: chunked";
    stream
        .write_all(head(stage, client, framing, "").as_bytes())
        .await?;
    let chunk = [&b"10000\r\n"[..], &[b'x'; 0x10000], b"\r\n"].concat();
    for _ in 0..40 {
        if stream.write_all(&chunk).await.is_err() {
            break;
        }
    }
    status(&mut stream).await
}

async fn slow_head(stage: &Stage, client: Client<'_>) -> Outcome {
    let mut stream = stage.net.tls(&stage.ledger, client, b"http/1.1").await?;
    let head = "POST /api/messages HTTP/1.1\r\nHost: localhost\r\nX-Slow: very\r\n";
    drip(&mut stream, head.as_bytes(), Duration::from_millis(300)).await;
    status(&mut stream).await
}

async fn slow_body(stage: &Stage, client: Client<'_>) -> Outcome {
    let mut stream = stage.net.tls(&stage.ledger, client, b"http/1.1").await?;
    let framing = format!("content-length: {}", MESSAGE.len());
    stream
        .write_all(head(stage, client, &framing, "").as_bytes())
        .await?;
    drip(&mut stream, MESSAGE.as_bytes(), Duration::from_millis(500)).await;
    status(&mut stream).await
}

async fn aborted_handshake(stage: &Stage, client: Client<'_>) -> Outcome {
    let mut stream = stage.net.tcp(&stage.ledger, client).await?;
    // The beginning of a ClientHello, and what a confused HTTP client says.
    stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00").await?;
    Ok(None)
}

async fn idle_handshake(stage: &Stage, client: Client<'_>) -> Outcome {
    let mut stream = stage.net.tcp(&stage.ledger, client).await?;
    // The gateway is the first to lose patience.
    stream.read_u8().await?;
    Ok(None)
}

async fn gone_before_the_end(stage: &Stage, client: Client<'_>) -> Outcome {
    let mut stream = stage.net.tls(&stage.ledger, client, b"http/1.1").await?;
    let framing = "content-length: 1000";
    stream
        .write_all(head(stage, client, framing, "").as_bytes())
        .await?;
    stream.write_all(b"{\"type\":").await?;
    sleep(Duration::from_millis(50)).await;
    Ok(None)
}

async fn gone_before_the_answer(stage: &Stage, client: Client<'_>) -> Outcome {
    let mut stream = stage.net.tls(&stage.ledger, client, b"http/1.1").await?;
    let framing = format!("content-length: {}", MESSAGE.len());
    let head = head(stage, client, &framing, SLOW);
    stream
        .write_all(format!("{head}{MESSAGE}").as_bytes())
        .await?;
    sleep(Duration::from_millis(100)).await;
    Ok(None)
}

async fn stalled(stage: &Stage, client: Client<'_>) -> Outcome {
    let mut stream = stage.net.tls(&stage.ledger, client, b"http/1.1").await?;
    let framing = format!("content-length: {}", MESSAGE.len());
    let head = head(stage, client, &framing, LARGE);
    stream
        .write_all(format!("{head}{MESSAGE}").as_bytes())
        .await?;
    // Longer than the gateway waits for a reader.
    sleep(Duration::from_secs(20)).await;
    Ok(None)
}

async fn rapid_resets(stage: &Stage, client: Client<'_>) -> Outcome {
    let stream = stage.net.tls(&stage.ledger, client, b"h2").await?;
    let (sender, connection) = h2::client::handshake(stream)
        .await
        .map_err(io::Error::other)?;
    let driver = tokio::spawn(connection);
    let mut sender = sender.ready().await.map_err(io::Error::other)?;
    for _ in 0..500 {
        let request = http::Request::post("https://localhost/api/messages").body(());
        let Ok((_, mut stream)) = sender.send_request(request.expect("a request"), false) else {
            break;
        };
        stream.send_reset(h2::Reason::CANCEL);
        tokio::task::yield_now().await;
    }
    driver.abort();
    Ok(None)
}

async fn ping_flood(stage: &Stage, client: Client<'_>) -> Outcome {
    flood(stage, client, &frame(6, 0, 0, &[0; 8]).repeat(2_000)).await
}

async fn settings_flood(stage: &Stage, client: Client<'_>) -> Outcome {
    flood(stage, client, &frame(4, 0, 0, &[]).repeat(2_000)).await
}

async fn continuation_flood(stage: &Stage, client: Client<'_>) -> Outcome {
    let begun = frame(1, 0, 1, &[]);
    let more = frame(9, 0, 1, &[0; 64]).repeat(2_000);
    flood(stage, client, &[begun, more].concat()).await
}

async fn flood(stage: &Stage, client: Client<'_>, frames: &[u8]) -> Outcome {
    let stream = stage.net.tls(&stage.ledger, client, b"h2").await?;
    let (mut read, mut write) = tokio::io::split(stream);
    let writing = async {
        write.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
        write.write_all(&frame(4, 0, 0, &[])).await?;
        write.write_all(frames).await?;
        write.flush().await
    };
    let reading = async {
        let mut some = [0; 4096];
        while read.read(&mut some).await? > 0 {}
        Ok(())
    };
    let both = async { tokio::join!(writing, reading) };
    let _: Result<(io::Result<()>, io::Result<()>), _> =
        timeout(Duration::from_secs(5), both).await;
    Ok(None)
}

/// A frame of HTTP/2 (RFC 9113 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()[..]].concat();
    [&head[..], payload].concat()
}

/// The head of a valid request, up to and with the empty line.
fn head(stage: &Stage, client: Client<'_>, framing: &str, wanted: &str) -> String {
    let token = stage.tokens.good();
    let wanted = if wanted.is_empty() { "none" } else { wanted };
    format!(
        "POST /api/messages HTTP/1.1\r\nHost: localhost\r\ncontent-type: application/json\r\nauthorization: Bearer {token}\r\n{NAME}: {}\r\n{WANTED}: {wanted}\r\n{framing}\r\n\r\n",
        client.name
    )
}

/// Byte by byte, until the gateway takes no more.
async fn drip(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8], pause: Duration) {
    for byte in bytes {
        let written = async {
            stream.write_all(&[*byte]).await?;
            stream.flush().await
        };
        if written.await.is_err() {
            return;
        }
        sleep(pause).await;
    }
}

/// The status of the first answer, if there is one before the connection ends.
async fn status(stream: &mut (impl AsyncRead + Unpin)) -> Outcome {
    let mut start = [0; 12];
    stream.read_exact(&mut start).await?;
    let status = std::str::from_utf8(&start[9..]).ok();
    let status = status.and_then(|status| status.parse().ok());
    // So that the gateway can write all it has to say.
    let mut rest = vec![0; 4096];
    let reading = async { while matches!(stream.read(&mut rest).await, Ok(1..)) {} };
    let _: Result<(), _> = timeout(Duration::from_secs(1), reading).await;
    Ok(status)
}
