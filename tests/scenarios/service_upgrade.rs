//! A new gateway takes the place of the old one under load, and no request is lost.
//!
//! As under systemd: the listening socket is somebody else's, here the test's, and is passed to one gateway after the other.
//! Each request has a name of its own, which its answer, the bot's record and the request lines are asked for afterwards.

use crate::support::{Gateway, PATIENCE, PROTOCOLS, eventually};
use botgate::cli::demo::bot::Answer;
use botgate::cli::demo::client::{Connection, Protocol};
use http_body_util::BodyExt as _;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

const CLIENTS: usize = 8;
const UPGRADES: usize = 3;
/// What each client has to get before the next upgrade.
const SHARE: usize = 20;
/// A bot that does something: requests are at it at any moment.
const WORK: Duration = Duration::from_millis(10);

#[tokio::test]
async fn a_new_gateway_beside_the_old_one_takes_over() {
    upgrade(async |old, socket| {
        let new = old.beside().socket(socket).start().await;
        old.signal(Signal::SIGTERM);
        assert!(old.ended().await.success(), "{}", old.output());
        new
    })
    .await;
}

#[tokio::test]
async fn a_restart_lets_connections_wait_in_the_socket() {
    upgrade(async |old, socket| {
        old.signal(Signal::SIGTERM);
        assert!(old.ended().await.success(), "{}", old.output());
        old.beside().socket(socket).start().await
    })
    .await;
}

#[expect(clippy::print_stdout, reason = "a drill is there to be looked at")]
async fn upgrade(replace: impl AsyncFn(&Gateway, &TcpListener) -> Gateway) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let first = Gateway::with(&format!(
        "server.listen = ['{address}']\nserver.limits.requests_per_ip = {{ rate = '100000/s', burst = 100000 }}"
    ))
    .socket(&socket)
    .start()
    .await;
    first.bot().answer_with(|request| {
        let name = request.activity()["text"].clone();
        Answer::json(&json!({ "did": name })).after(WORK)
    });
    let load = Load::start(&first);
    load.goes_on("before").await;
    let mut gateways = vec![first];
    for _ in 0..UPGRADES {
        let new = replace(&gateways[gateways.len() - 1], &socket).await;
        gateways.push(new);
        load.goes_on("after an upgrade").await;
    }
    let sent = load.end().await;
    let last = &gateways[gateways.len() - 1];
    assert!(last.terminate().await.success(), "{}", last.output());

    let mut at_the_bot = count(gateways[0].bot().seen().iter().map(|seen| {
        let activity = seen.activity();
        activity["text"].as_str().unwrap_or_default().to_owned()
    }));
    let lines: Vec<Value> = gateways.iter().flat_map(Gateway::request_lines).collect();
    for gateway in &gateways {
        assert!(
            gateway.request_lines().len() >= CLIENTS,
            "each of them worked"
        );
    }
    let mut in_the_log = count(lines.iter().map(|line| {
        let (name, status) = (&line["request_id"], &line["status"]);
        format!("{} {status}", name.as_str().unwrap_or_default())
    }));
    let mut problems = vec![];
    for (name, answer) in &sent {
        let seen = at_the_bot.remove(name);
        let told = in_the_log.remove(&format!("{name} 200"));
        let is_well = matches!(answer, Ok((200, body)) if body["did"] == name.as_str());
        if !is_well || seen != Some(1) || told != Some(1) {
            problems.push(format!(
                "{name}: {answer:?}; at the bot: {seen:?}; lines: {told:?}"
            ));
        }
    }
    let strangers = at_the_bot.keys().chain(in_the_log.keys());
    problems.extend(strangers.map(|name| format!("{name}: more than was sent")));
    println!(
        "{} requests through {} gateways, each answered once",
        sent.len(),
        gateways.len()
    );
    assert!(
        problems.is_empty(),
        "{} of {} requests went wrong:\n{}",
        problems.len(),
        sent.len(),
        problems[..problems.len().min(20)].join("\n")
    );
}

fn count(names: impl Iterator<Item = String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    counts
}

/// A request's name, and its status and body.
type Sent = (String, Result<(u16, Value), String>);

/// Clients that send one request after the other: half of them on connections that are kept, half on a new one for each.
struct Load {
    shared: Arc<Shared>,
    clients: Vec<AbortOnDropHandle<()>>,
}

struct Shared {
    gateway: Gateway,
    sent: Mutex<Vec<Sent>>,
    ending: CancellationToken,
}

impl Load {
    fn start(gateway: &Gateway) -> Self {
        let shared = Arc::new(Shared {
            gateway: gateway.clone(),
            sent: Mutex::default(),
            ending: CancellationToken::new(),
        });
        let client = |number: usize| {
            let protocol = PROTOCOLS[number % 2];
            let client = Arc::clone(&shared).client(number, protocol, number < CLIENTS / 2);
            AbortOnDropHandle::new(tokio::spawn(client))
        };
        let clients = (0..CLIENTS).map(client).collect();
        Self { shared, clients }
    }

    /// Waits until every client has got its share of answers from now on.
    async fn goes_on(&self, phase: &str) {
        let before = self.shared.sent.lock().unwrap().len();
        eventually(phase, async || {
            let sent = self.shared.sent.lock().unwrap();
            let each = count(
                sent[before..]
                    .iter()
                    .filter_map(|(name, _)| Some(name.split_once('-')?.0.to_owned())),
            );
            each.len() == CLIENTS && each.values().all(|count| *count >= SHARE)
        })
        .await;
    }

    async fn end(self) -> Vec<Sent> {
        self.shared.ending.cancel();
        for client in self.clients {
            let ended = tokio::time::timeout(PATIENCE, client).await;
            ended.expect("every request is answered").unwrap();
        }
        self.shared.sent.lock().unwrap().clone()
    }
}

impl Shared {
    async fn client(self: Arc<Self>, number: usize, protocol: Protocol, keeps: bool) {
        let mut kept = None;
        for request in 0_usize.. {
            if self.ending.is_cancelled() {
                return;
            }
            let name = format!("{number}-{request}");
            let answer = self.ask(&name, protocol, &mut kept);
            let answer = tokio::time::timeout(PATIENCE, answer).await;
            let answer = answer.unwrap_or_else(|_| Err("no answer".to_owned()));
            if !keeps {
                kept = None;
            }
            self.sent.lock().unwrap().push((name, answer));
        }
    }

    async fn ask(
        &self,
        name: &str,
        protocol: Protocol,
        kept: &mut Option<Connection>,
    ) -> Result<(u16, Value), String> {
        loop {
            let mut open = match kept.take() {
                Some(open) => open,
                None => {
                    let connecting = self.gateway.client().connect(protocol).await;
                    connecting.map_err(|error| format!("not connected: {error}"))?
                }
            };
            let post = self.gateway.teams_message().header("x-request-id", name);
            let response = match open.send(post.with("/text", name).into_request()).await {
                Ok(response) => response,
                // The gateway had told that the connection ends, and the request was never written: it goes on another.
                Err(error) if was_never_sent(&error) => continue,
                Err(error) => return Err(format!("lost: {error}")),
            };
            let (head, body) = response.into_parts();
            let body = body.collect().await.map_err(|error| error.to_string())?;
            let ends = head
                .headers
                .get("connection")
                .is_some_and(|value| value == "close");
            if !ends {
                *kept = Some(open);
            }
            let body = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
            return Ok((head.status.as_u16(), body));
        }
    }
}

fn was_never_sent(error: &io::Error) -> bool {
    let hyper = error
        .get_ref()
        .and_then(|error| error.downcast_ref::<hyper::Error>());
    hyper.is_some_and(|error| error.is_canceled() || error.is_closed())
}
