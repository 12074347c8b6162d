//! Figures under hostile clients: the release build as a child process, between the stand-ins of `botgate demo`.
//!
//! `cargo bench --bench hostile [idle|stalled|floods]` prints figures and asserts nothing: timings belong to the machine. It needs
//! some 12,000 file descriptors. `BOTGATE` names another program to measure, such as an older build.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench may fail by panicking, and prints"
)]

use botgate::cli::demo::bot::{Answer, EchoBot};
use botgate::cli::demo::channel::Channel;
use botgate::cli::demo::client::{Client, Protocol, SERVER_NAME};
use botgate::cli::demo::gateway::GatewayProcess;
use bytes::Bytes;
use http::{Request, StatusCode};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const APP_ID: &str = "5d0c7e1a-9f2b-4c3d-8e4f-0a1b2c3d4e5f";
const PATIENCE: Duration = Duration::from_secs(60);
const IDLE: usize = 5000;
const SLOW: usize = 500;
const STALLED: usize = 1000;
const ANSWER_BYTES: usize = 1024 * 1024;

type Stream = TlsStream<tokio::net::TcpStream>;

fn main() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with('-'))
        .collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|w| w == name);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        if is_wanted("idle") {
            for protocol in [Protocol::Http1, Protocol::Http2] {
                for kind in [Kind::Silent, Kind::Used] {
                    idle(protocol, kind).await;
                }
            }
        }
        if is_wanted("stalled") {
            for protocol in [Protocol::Http1, Protocol::Http2] {
                stalled(protocol).await;
            }
        }
        if is_wanted("floods") {
            floods().await;
        }
    });
}

struct Stage {
    gateway: GatewayProcess,
    client: Client,
    channel: Channel,
    bot: EchoBot,
    _folder: TempDir,
}

impl Stage {
    async fn set() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (channel, bot) = (
            Channel::start().await.unwrap(),
            EchoBot::start().await.unwrap(),
        );
        let config = folder.path().join("gateway.toml");
        let toml = format!(
            r#"
            [server]
            listen = ["127.0.0.1:0"]
            [server.tls]
            source = "self-signed"
            [server.limits]
            requests_per_ip = {{ rate = "100000/s", burst = 100000 }}
            connections = 10000
            connections_per_ip = 10000
            header_timeout = "5m"
            keep_alive_timeout = "10m"
            [admin]
            listen = "127.0.0.1:0"
            [keys]
            cache_dir = ""
            {cloud}
            [[bots]]
            name = "echo"
            app_id = "{APP_ID}"
            backend = "{backend}"
            cloud = "stand-in"
            "#,
            cloud = channel.cloud_toml("stand-in"),
            backend = bot.messages_url(),
        );
        std::fs::write(&config, toml).unwrap();
        let program = std::env::var_os("BOTGATE");
        let program = program.unwrap_or_else(|| env!("CARGO_BIN_EXE_botgate").into());
        let mut command = GatewayProcess::command(Path::new(&program), &config);
        command.current_dir(folder.path());
        let started = GatewayProcess::start(command, PATIENCE).await;
        let gateway = started.unwrap_or_else(|failure| panic!("{failure}"));
        let gateway = gateway
            .until_ready(PATIENCE)
            .await
            .unwrap_or_else(|f| panic!("{f}"));
        let certificate = folder.path().join("certs/self-signed.pem");
        let client = Client::trusting(&certificate, gateway.listen()[0]).unwrap();
        let stage = Self {
            gateway,
            client,
            channel,
            bot,
            _folder: folder,
        };
        // What is made at the first use is not counted.
        for protocol in [Protocol::Http1, Protocol::Http2] {
            for _ in 0..50 {
                let response = stage.client.send(protocol, stage.request()).await.unwrap();
                assert_eq!(response.status(), 200);
            }
        }
        stage.until_connections(0, PATIENCE).await;
        stage
    }

    fn request(&self) -> Request<Bytes> {
        let service_url = self.channel.service_url();
        let token = self.channel.token(APP_ID, &service_url).sign().unwrap();
        let body = serde_json::json!({
            "type": "message", "id": "1", "text": "hello", "channelId": "msteams",
            "serviceUrl": service_url, "from": { "id": "29:user" }, "recipient": { "id": "28:bot" },
            "conversation": { "id": "a:1", "tenantId": "8c1f2e3d-4b5a-4968-8776-5a4b3c2d1e0f" },
            "channelData": { "tenant": { "id": "8c1f2e3d-4b5a-4968-8776-5a4b3c2d1e0f" } },
        });
        Request::post("/api/messages")
            .header("host", SERVER_NAME)
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {token}"))
            .body(Bytes::from(body.to_string()))
            .unwrap()
    }

    fn http1_bytes(&self) -> Vec<u8> {
        let request = self.request();
        let mut bytes = b"POST /api/messages HTTP/1.1\r\n".to_vec();
        for (name, value) in request.headers() {
            bytes.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        bytes.extend(format!("content-length: {}\r\n\r\n", request.body().len()).as_bytes());
        bytes.extend(request.body());
        bytes
    }

    fn http2_fields(&self) -> Vec<u8> {
        let request = self.request();
        let mut fields = vec![
            (":method".to_owned(), b"POST".to_vec()),
            (":scheme".to_owned(), b"https".to_vec()),
            (":authority".to_owned(), SERVER_NAME.as_bytes().to_vec()),
            (":path".to_owned(), b"/api/messages".to_vec()),
        ];
        for (name, value) in request.headers() {
            if name != http::header::HOST {
                fields.push((name.to_string(), value.as_bytes().to_vec()));
            }
        }
        block(&fields)
    }

    /// A connection whose socket takes few bytes unread.
    async fn open(&self, protocol: Protocol) -> Stream {
        let mut client = self.client.clone();
        let mut tls = client.tls_mut().clone();
        let alpn: &[u8] = match protocol {
            Protocol::Http1 => b"http/1.1",
            Protocol::Http2 => b"h2",
        };
        tls.alpn_protocols = vec![alpn.to_vec()];
        tls.resumption = rustls::client::Resumption::disabled();
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(64 * 1024).unwrap();
        let stream = socket.connect(client.address()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let name = SERVER_NAME.try_into().unwrap();
        TlsConnector::from(Arc::new(tls))
            .connect(name, stream)
            .await
            .unwrap()
    }

    fn rss(&self) -> usize {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.gateway.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .unwrap();
        line.trim()
            .trim_end_matches(" kB")
            .parse::<usize>()
            .unwrap()
            * 1024
    }

    async fn metric(&self, sample: &str) -> f64 {
        let page = self.gateway.ask_admin("/metrics").await.unwrap();
        let page = String::from_utf8(page.into_body().to_vec()).unwrap();
        let value = page
            .lines()
            .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().unwrap())
    }

    async fn connections(&self) -> usize {
        self.metric("botgate_connections{state=\"open\"}").await as usize
    }

    async fn until_connections(&self, count: usize, within: Duration) -> bool {
        let reached = async {
            while self.connections().await != count {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(within, reached).await.is_ok()
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Silent,
    Used,
}

async fn idle(protocol: Protocol, kind: Kind) {
    let stage = Arc::new(Stage::set().await);
    let before = stage.rss();
    let held = many(IDLE, 64, || open_idle(Arc::clone(&stage), protocol, kind)).await;
    assert!(stage.until_connections(IDLE, PATIENCE).await);
    let per_connection = stage.rss().saturating_sub(before) / IDLE;
    let mut slow = vec![];
    for mut stream in many(SLOW, 32, || {
        open_idle(Arc::clone(&stage), Protocol::Http1, Kind::Silent)
    })
    .await
    {
        stream
            .write_all(b"POST /api/messages HTTP/1.1\r\nhost: loc")
            .await
            .unwrap();
        stream.flush().await.unwrap();
        slow.push(stream);
    }
    let mut times = vec![];
    for number in 0..200 {
        let request = stage.request();
        let started = Instant::now();
        let good = [Protocol::Http1, Protocol::Http2][number % 2];
        let response = stage.client.send(good, request).await.unwrap();
        assert_eq!(response.status(), 200);
        times.push(started.elapsed());
        for stream in &mut slow {
            let _ = stream.write_all(b"x").await;
        }
    }
    times.sort_unstable();
    let left = stage.connections().await;
    println!(
        "{IDLE} idle {protocol:?} {kind:?}: {} B of RSS each; good client, a handshake each, with {SLOW} slow heads beside: \
         p50 {:?}, p99 {:?}, max {:?}; {left} of {} still held",
        per_connection,
        times[times.len() / 2],
        times[times.len() * 99 / 100],
        times[times.len() - 1],
        IDLE + SLOW,
    );
    drop((held, slow));
}

async fn open_idle(stage: Arc<Stage>, protocol: Protocol, kind: Kind) -> Stream {
    let mut stream = stage.open(protocol).await;
    match (protocol, kind) {
        (Protocol::Http1, Kind::Silent) => {}
        (Protocol::Http1, Kind::Used) => {
            stream.write_all(&stage.http1_bytes()).await.unwrap();
            let mut answer = [0; 4096];
            assert!(stream.read(&mut answer).await.unwrap() > 0);
        }
        (Protocol::Http2, kind) => {
            stream
                .write_all(&[PREFACE, &frame(4, 0, 0, &[])].concat())
                .await
                .unwrap();
            if matches!(kind, Kind::Used) {
                let body = stage.request().into_body();
                let head = frame(1, 4, 1, &stage.http2_fields());
                stream
                    .write_all(&[head, frame(0, 1, 1, &body)].concat())
                    .await
                    .unwrap();
            }
            stream.flush().await.unwrap();
            let mut answer = [0; 4096];
            assert!(stream.read(&mut answer).await.unwrap() > 0);
        }
    }
    stream.flush().await.unwrap();
    stream
}

async fn stalled(protocol: Protocol) {
    let stage = Arc::new(Stage::set().await);
    stage
        .bot
        .answer_with(|_| Answer::status(StatusCode::OK).body(vec![b'x'; ANSWER_BYTES]));
    let idle = many(STALLED, 64, || {
        open_idle(Arc::clone(&stage), protocol, Kind::Silent)
    })
    .await;
    assert!(stage.until_connections(STALLED, PATIENCE).await);
    let before = stage.rss();
    let bytes = match protocol {
        Protocol::Http1 => stage.http1_bytes(),
        Protocol::Http2 => {
            let body = stage.request().into_body();
            [frame(1, 4, 1, &stage.http2_fields()), frame(0, 1, 1, &body)].concat()
        }
    };
    let started = Instant::now();
    let mut held = vec![];
    for mut stream in idle {
        stream.write_all(&bytes).await.unwrap();
        stream.flush().await.unwrap();
        held.push(stream);
    }
    let sent = started.elapsed();
    let (mut most, mut first) = (0, None);
    let cut = timeout(PATIENCE, async {
        loop {
            most = most.max(stage.rss());
            let left = stage.connections().await;
            if left < STALLED && first.is_none() {
                first = Some(started.elapsed());
            }
            if left == 0 {
                return started.elapsed();
            }
            sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    println!(
        "{STALLED} stalled {protocol:?} readers of {ANSWER_BYTES} B: sent within {sent:?}, first cut after {first:?}, all cut after \
         {cut:?}; RSS at most {} KiB more, {} B each; {} requests at the bot",
        most.saturating_sub(before) / 1024,
        most.saturating_sub(before) / STALLED,
        stage.bot.count() - 100,
    );
    drop(held);
}

async fn floods() {
    let stage = Stage::set().await;
    let (fields, body) = (stage.http2_fields(), stage.request().into_body());
    let seen = stage.bot.count();
    let reset = |number: u32| {
        let stream = number * 2 + 1;
        [
            frame(1, 4, stream, &fields),
            frame(0, 1, stream, &body),
            frame(3, 0, stream, &[0, 0, 0, 8]),
        ]
        .concat()
    };
    flood(&stage, "rapid reset", vec![], 10_000, reset).await;
    println!("  {} requests at the bot", stage.bot.count() - seen);
    let ping = frame(6, 0, 0, &[7; 8]);
    flood(&stage, "PING", vec![], 100_000, |_| ping.clone()).await;
    let settings = frame(4, 0, 0, &[0, 4, 0, 1, 0, 0]);
    flood(&stage, "SETTINGS", vec![], 100_000, |_| settings.clone()).await;
    let begun = frame(1, 0, 1, &fields[..50]);
    let more = frame(9, 0, 1, b"");
    flood(&stage, "CONTINUATION", begun, 100_000, |_| more.clone()).await;
    let mut bomb = [&fields[..], &[0x40, 3], b"x-b", &[127, 0xa1, 0x1e]].concat();
    bomb.extend([b'a'; 4000]);
    bomb.resize(bomb.len() + 10_000, 0xbe);
    let bomb = |number: u32| frame(1, 5, number * 2 + 1, &bomb[..16_000.min(bomb.len())]);
    flood(&stage, "header bomb", vec![], 1000, bomb).await;
}

/// Writes frames until the connection ends, and says what that took.
async fn flood(
    stage: &Stage,
    name: &str,
    start: Vec<u8>,
    count: u32,
    round: impl Fn(u32) -> Vec<u8>,
) {
    let before = stage.rss();
    let stream = stage.open(Protocol::Http2).await;
    let (mut read, mut write) = tokio::io::split(stream);
    let reading = tokio::spawn(async move {
        let mut all = vec![];
        let _ = timeout(PATIENCE, read.read_to_end(&mut all)).await;
        all
    });
    let started = Instant::now();
    write
        .write_all(&[PREFACE, &frame(4, 0, 0, &[]), &start].concat())
        .await
        .unwrap();
    let (mut written, mut most) = (0, before);
    for number in 0..count {
        let bytes = round(number);
        if reading.is_finished()
            || write.write_all(&bytes).await.is_err()
            || write.flush().await.is_err()
        {
            break;
        }
        written += 1;
        if number % 256 == 0 {
            most = most.max(stage.rss());
        }
    }
    let answer = reading.await.unwrap();
    println!(
        "{name}: closed after {written} of {count} frames written and {:?}, GOAWAY {}; RSS at most {} KiB more",
        started.elapsed(),
        if has_goaway(&answer) {
            "said"
        } else {
            "not said"
        },
        most.max(stage.rss()).saturating_sub(before) / 1024,
    );
}

fn has_goaway(mut bytes: &[u8]) -> bool {
    while let Some([a, b, c, kind, ..]) = bytes.first_chunk::<9>() {
        if *kind == 7 {
            return true;
        }
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        bytes = bytes.get(9 + length..).unwrap_or_default();
    }
    false
}

/// Makes many, some at a time.
async fn many<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    count: usize,
    at_a_time: usize,
    make: impl Fn() -> F,
) -> Vec<T> {
    let (mut running, mut made) = (JoinSet::new(), vec![]);
    for _ in 0..count {
        if running.len() >= at_a_time {
            made.push(running.join_next().await.unwrap().unwrap());
        }
        running.spawn(make());
    }
    made.extend(running.join_all().await);
    made
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()[..]].concat();
    [&head[..], payload].concat()
}

/// A header block in which every field is written out (RFC 7541 6.2.2).
fn block(fields: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut block = vec![];
    for (name, value) in fields {
        block.push(0);
        for text in [name.as_bytes(), value] {
            let mut rest = text.len();
            if rest < 127 {
                block.push(rest as u8);
            } else {
                block.push(127);
                rest -= 127;
                while rest >= 128 {
                    block.push((rest % 128) as u8 | 128);
                    rest /= 128;
                }
                block.push(rest as u8);
            }
            block.extend_from_slice(text);
        }
    }
    block
}
