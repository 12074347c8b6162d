//! What a flood of forged tokens does to valid requests: `cargo bench --bench flood`.
//!
//! Figures only, nothing is asserted. Everything runs on this machine, the flood and the bot beside the gateway, so that the
//! flood costs the valid requests its own share of the processors, too.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    reason = "a measurement may fail by panicking, ends with its tasks, and is there to be looked at"
)]

use botgate::cli::demo::bot::EchoBot;
use botgate::cli::demo::channel::{Channel, TEAMS_SERVICE_URL};
use botgate::cli::demo::client::{Client, Protocol, SERVER_NAME};
use botgate::cli::demo::gateway::GatewayProcess;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

const APP_ID: &str = "5d0c7e1a-9f2b-4c3d-8e4f-0a1b2c3d4e5f";
const CHANNEL_ADDRESS: &str = "203.0.113.1";
const PATIENCE: Duration = Duration::from_secs(30);
/// How long each load is measured.
const MEASURED: Duration = Duration::from_secs(5);
/// Connections of the flood, and requests at once on each.
const FLOOD: (usize, usize) = (8, 50);
/// Clients of the load that sends as fast as it is answered.
const CLIENTS: usize = 4;

/// Where a flood comes from.
#[derive(Clone, Copy)]
enum From {
    Nowhere,
    ChannelAddress,
    OtherAddress,
    /// Another address each time: none of them ever has to wait.
    Everywhere,
}

#[tokio::main]
async fn main() {
    // Cargo runs this for `cargo test --all-targets`, too, and then without this argument.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let (channel, bot) = (
        Channel::start().await.unwrap(),
        EchoBot::start().await.unwrap(),
    );
    let folder = tempfile::tempdir().unwrap();
    let gateway = gateway(folder.path(), &channel, &bot).await;
    let certificate = folder.path().join("certs/self-signed.pem");
    let client = Client::trusting(&certificate, gateway.listen()[0]).unwrap();

    println!(
        "{:<28} {:<22} {:>8} {:>9} {:>9} {:>9} {:>9}",
        "flood from", "valid requests", "valid/s", "p50", "p99", "max", "forged/s"
    );
    for (name, from) in [
        ("nowhere", From::Nowhere),
        ("the channel's own address", From::ChannelAddress),
        ("another address", From::OtherAddress),
        ("everywhere", From::Everywhere),
    ] {
        let answered = Arc::new(AtomicUsize::new(0));
        let flood = flood(&client, &channel, from, &answered).await;
        // Until its address has no budget left.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let known = token(&channel, "known");
        let status = send(
            &mut connect(&client).await,
            request(&known, CHANNEL_ADDRESS),
        )
        .await;
        assert_eq!(status, StatusCode::OK);
        for (load, measured) in [
            (
                "known token, 4 clients",
                (CLIENTS, None, vec![known.clone()]),
            ),
            ("known token, 200/s", (50, Some(200), vec![known.clone()])),
            (
                "fresh tokens, 20/s",
                (50, Some(20), fresh_tokens(&channel, name)),
            ),
        ] {
            let (clients, rate, tokens) = measured;
            let (began, before) = (Instant::now(), answered.load(Ordering::Relaxed));
            let mut times = measure(&client, clients, rate, tokens).await;
            let seconds = began.elapsed().as_secs_f64();
            let forged = answered.load(Ordering::Relaxed) - before;
            times.sort();
            let at = |part: usize| format!("{:.1?}", times[(times.len() - 1) * part / 100]);
            println!(
                "{name:<28} {load:<22} {:>8.0} {:>9} {:>9} {:>9} {:>9.0}",
                times.len() as f64 / seconds,
                at(50),
                at(99),
                at(100),
                forged as f64 / seconds,
            );
        }
        drop(flood);
    }
}

async fn gateway(folder: &Path, channel: &Channel, bot: &EchoBot) -> GatewayProcess {
    let config = folder.join("gateway.toml");
    let text = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\ntrusted_proxies = [\"127.0.0.1\"]\n\
         [server.tls]\nsource = \"self-signed\"\n\
         [server.limits]\nrequests_per_ip = {{ rate = \"1000000/s\", burst = 1000000 }}\n\
         [admin]\nlisten = \"127.0.0.1:0\"\n[keys]\ncache_dir = \"\"\n{}\n\
         [[bots]]\nname = \"echo\"\napp_id = \"{APP_ID}\"\nbackend = \"{}\"\ncloud = \"stand-in\"\n",
        channel.cloud_toml("stand-in"),
        bot.messages_url(),
    );
    std::fs::write(&config, text).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_botgate"));
    let mut command = GatewayProcess::command(program, &config);
    command.current_dir(folder);
    let gateway = GatewayProcess::start(command, PATIENCE).await.unwrap();
    gateway.until_ready(PATIENCE).await.unwrap()
}

fn token(channel: &Channel, note: &str) -> String {
    let token = channel.token(APP_ID, TEAMS_SERVICE_URL);
    token.claim("note", note).sign().unwrap()
}

/// Each signed before the measurement, and used once.
fn fresh_tokens(channel: &Channel, name: &str) -> Vec<String> {
    (0..200)
        .map(|number| token(channel, &format!("{name} {number}")))
        .collect()
}

fn request(token: &str, address: &str) -> Request<Full<Bytes>> {
    let body = json!({
        "type": "message", "id": "1", "text": "hello", "channelId": "msteams", "serviceUrl": TEAMS_SERVICE_URL,
        "from": { "id": "29:1" }, "recipient": { "id": "28:2" }, "conversation": { "id": "a:1" },
    });
    Request::post(format!("https://{SERVER_NAME}/api/messages"))
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header("x-forwarded-for", address)
        .body(Full::new(Bytes::from(body.to_string())))
        .unwrap()
}

async fn connect(client: &Client) -> SendRequest<Full<Bytes>> {
    let stream = client.handshake(Protocol::Http2).await.unwrap();
    let handshake = handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (sender, driver) = handshake.await.unwrap();
    tokio::spawn(driver);
    sender
}

async fn send(sender: &mut SendRequest<Full<Bytes>>, request: Request<Full<Bytes>>) -> StatusCode {
    sender.ready().await.unwrap();
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    body.collect().await.unwrap();
    head.status
}

/// Forged tokens as fast as they are answered, until it is dropped.
async fn flood(
    client: &Client,
    channel: &Channel,
    from: From,
    answered: &Arc<AtomicUsize>,
) -> Vec<AbortOnDropHandle<()>> {
    let (connections, at_once) = match from {
        From::Nowhere => (0, 0),
        From::ChannelAddress | From::OtherAddress | From::Everywhere => FLOOD,
    };
    let token = token(channel, "forged");
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (message, signature) = (Arc::<str>::from(message), Arc::<str>::from(&signature[8..]));
    let next = Arc::new(AtomicUsize::new(0));
    let mut clients = vec![];
    for _ in 0..connections {
        let sender = connect(client).await;
        for _ in 0..at_once {
            let (mut sender, answered) = (sender.clone(), Arc::clone(answered));
            let (message, signature) = (Arc::clone(&message), Arc::clone(&signature));
            let next = Arc::clone(&next);
            let client = async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let address = match from {
                        From::Nowhere | From::ChannelAddress => CHANNEL_ADDRESS.to_owned(),
                        From::OtherAddress => "198.51.100.7".to_owned(),
                        From::Everywhere => {
                            format!(
                                "10.{}.{}.{}",
                                number >> 16 & 255,
                                number >> 8 & 255,
                                number & 255
                            )
                        }
                    };
                    let forged = format!("{message}.{number:08}{signature}");
                    let status = send(&mut sender, request(&forged, &address)).await;
                    assert_eq!(status, StatusCode::UNAUTHORIZED);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            };
            clients.push(AbortOnDropHandle::new(tokio::spawn(client)));
        }
    }
    clients
}

/// How long each valid request took: one after the other on each of these connections, or so many a second in all, where
/// the time counts from when a request was due.
async fn measure(
    client: &Client,
    clients: usize,
    rate: Option<u32>,
    tokens: Vec<String>,
) -> Vec<Duration> {
    let (tokens, next) = (Arc::new(tokens), Arc::new(AtomicUsize::new(0)));
    let mut senders = vec![];
    for _ in 0..clients {
        senders.push(connect(client).await);
    }
    let (start, mut tasks) = (Instant::now(), JoinSet::new());
    for mut sender in senders {
        let (tokens, next) = (Arc::clone(&tokens), Arc::clone(&next));
        tasks.spawn(async move {
            let mut times = vec![];
            while start.elapsed() < MEASURED {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let due = match rate {
                    None => Instant::now(),
                    Some(rate) => start + Duration::from_secs(1) / rate * number as u32,
                };
                if due >= start + MEASURED {
                    break;
                }
                tokio::time::sleep_until(due).await;
                let token = &tokens[number % tokens.len()];
                let status = send(&mut sender, request(token, CHANNEL_ADDRESS)).await;
                assert_eq!(status, StatusCode::OK);
                times.push(due.elapsed());
            }
            times
        });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}
