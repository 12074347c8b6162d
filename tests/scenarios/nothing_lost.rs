//! Under load, through restarts of the bot, rollovers, reloads and the end, every request is accounted for.
//!
//! Each request has a name of its own, which its answer, the bot's record and the request line are asked for afterwards.

use crate::support::metrics::Page;
use crate::support::{Gateway, PATIENCE, PROTOCOLS, eventually};
use botgate::cli::demo::bot::Answer;
use botgate::cli::demo::channel::ENDORSED;
use botgate::cli::demo::client::Protocol;
use botgate::cli::demo::signing::SigningKey;
use http_body_util::BodyExt as _;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::RwLock;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// How long the bot's port is closed while it is restarted: the gateway tries a refused connection again within
/// `timeouts.connect`, which is 2 s.
const RESTART_GAP: Duration = Duration::from_secs(1);
/// What hyper's client says of a request that it did not send, since the gateway has told it meanwhile that the connection ends.
/// A client that reads GOAWAY sends it elsewhere; here there is no elsewhere any more.
const NEVER_SENT: &str = "channel closed";

const CLIENTS: usize = 8;
/// A bot that does something: requests are at it at any moment.
const WORK: Duration = Duration::from_millis(10);

/// The first settings, and those of each reload.
fn settings(round: usize, bots: &str) -> String {
    let (connections, hours) = (1000 - round, 24 - round);
    format!(
        "server.limits = {{ connections = {connections}, requests_per_ip = {{ rate = '100000/s', burst = 100000 }} }}
        keys = {{ refresh = '{hours}h', unknown_key_refresh = '200ms' }}
        {bots}"
    )
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "a drill is there to be looked at")]
async fn every_request_is_accounted_for_whatever_happens_around_it() {
    let gateway = Gateway::with(&settings(0, "")).start().await;
    gateway.bot().answer_with(|request| {
        let name = request.activity()["text"].clone();
        Answer::json(&json!({ "did": name })).after(WORK)
    });
    let load = Load::start(&gateway).await;
    load.goes_on("warm").await;

    // The bot's settings, another bot, limits and the timing of keys change; and once the file is wrong.
    for (round, (bots, has_headers)) in [
        ("[bots.identity_headers]\nenabled = true", true),
        ("[bots.identity_headers]\nenabled = 1", true),
        ("[bots.timeouts]\nresponse = '20s'", false),
        ("[bots.identity_headers]\nenabled = true", true),
    ]
    .into_iter()
    .enumerate()
    {
        load.enter("reload");
        let another = [("another".to_owned(), String::new())];
        gateway.rewrite_with(&settings(1 + round, bots), &another[..round % 2]);
        gateway.signal(Signal::SIGHUP);
        let told = gateway.process().wait_until(
            move |output| {
                let events = output.log.iter().filter_map(|line| line["event"].as_str());
                events.filter(|event| event.starts_with("config_")).count() > round
            },
            PATIENCE,
        );
        assert!(told.await, "SIGHUP is answered");
        load.goes_on("after the reload").await;
        let last = gateway.bot().seen();
        let last = last.last().expect("requests");
        assert_eq!(
            last.header("x-botgate-app-id").len(),
            usize::from(has_headers),
            "round {round}"
        );
    }
    let reloads = |outcome: &str| format!("botgate_config_reloads_total{{outcome=\"{outcome}\"}}");
    let page = Page::of(&gateway).await;
    assert_eq!(page.value(&reloads("applied")), 3.0);
    assert_eq!(page.value(&reloads("refused")), 1.0);

    let old = gateway.channel().first_key().clone();
    let new = SigningKey::generate("new").unwrap();
    load.enter("rollover");
    gateway.channel().publish(&new, Some(ENDORSED));
    load.sign_with(&new);
    load.goes_on("signed with the new key").await;
    gateway.channel().withdraw(old.kid());
    load.goes_on("without the old key").await;

    for _ in 0..3 {
        load.enter("restart");
        gateway.bot().retire().await;
        let closed = Instant::now();
        tokio::time::sleep(RESTART_GAP).await;
        gateway.bot().reopen().await.unwrap();
        load.enter("after the restart");
        println!("the bot's port was closed for {:.0?}", closed.elapsed());
        load.goes_on("after the restart").await;
    }

    // Between requests, all has to add up.
    let paused = load.pause().await;
    let answered = load.count();
    eventually("the counters add up", async || {
        (requests_counted(&gateway).await - answered as f64).abs() < 0.5
            && gateway
                .metric("botgate_inflight_requests{bot=\"echo\"}")
                .await
                < 0.5
    })
    .await;
    drop(paused);
    load.goes_on("after the pause").await;

    load.enter("drain");
    gateway.signal(Signal::SIGTERM);
    let sent = load.ends().await;
    assert!(gateway.ended().await.success(), "{}", gateway.output());
    let account = Account::of(&gateway, &sent);
    println!("{}", account.summary());
    assert!(
        account.problems.is_empty(),
        "{} of {} requests are not accounted for:\n{}",
        account.problems.len(),
        sent.len(),
        account.problems[..account.problems.len().min(20)].join("\n")
    );
}

/// One request, as its client saw it.
#[derive(Clone, Debug)]
struct Sent {
    name: String,
    protocol: Protocol,
    /// Since the load began.
    at: Duration,
    took: Duration,
    /// What was going on when it was sent, and when it was answered.
    phases: [&'static str; 2],
    answer: Result<(u16, Value), String>,
}

/// Clients that send one request after the other, each on a connection that is kept.
struct Load {
    shared: Arc<Shared>,
    clients: Vec<AbortOnDropHandle<()>>,
}

struct Shared {
    gateway: Gateway,
    began: Instant,
    signing: Mutex<SigningKey>,
    phase: Mutex<&'static str>,
    /// Read by every client while it has a request under way.
    pause: Arc<RwLock<()>>,
    sent: Mutex<Vec<Sent>>,
    ending: CancellationToken,
}

impl Load {
    async fn start(gateway: &Gateway) -> Self {
        let shared = Arc::new(Shared {
            gateway: gateway.clone(),
            began: Instant::now(),
            signing: Mutex::new(gateway.channel().first_key().clone()),
            phase: Mutex::new("start"),
            pause: Arc::default(),
            sent: Mutex::default(),
            ending: CancellationToken::new(),
        });
        let client = |number: usize| {
            let protocol = PROTOCOLS[number % PROTOCOLS.len()];
            let client = Arc::clone(&shared).client(number, protocol);
            AbortOnDropHandle::new(tokio::spawn(client))
        };
        let clients = (0..CLIENTS).map(client).collect();
        Self { shared, clients }
    }

    fn enter(&self, phase: &'static str) {
        *self.shared.phase.lock().unwrap() = phase;
    }

    fn sign_with(&self, key: &SigningKey) {
        *self.shared.signing.lock().unwrap() = key.clone();
    }

    fn count(&self) -> usize {
        self.shared.sent.lock().unwrap().len()
    }

    /// Waits until every client has sent this phase's share and got answers.
    async fn goes_on(&self, phase: &'static str) {
        const SHARE: usize = 20;
        self.enter(phase);
        let before = self.count();
        eventually(phase, async || {
            let sent = self.shared.sent.lock().unwrap();
            let mut each = BTreeMap::<&str, usize>::new();
            for one in &sent[before..] {
                let client = one.name.split('-').next().unwrap_or_default();
                *each.entry(client).or_default() += 1;
            }
            each.len() == CLIENTS && each.values().all(|count| *count >= SHARE)
        })
        .await;
    }

    /// Holds every client between two requests.
    async fn pause(&self) -> impl Drop + use<> {
        let pause = Arc::clone(&self.shared.pause);
        tokio::time::timeout(PATIENCE, pause.write_owned())
            .await
            .expect("every request is answered")
    }

    /// Everything that was sent until no connection was to be had any more.
    async fn ends(self) -> Vec<Sent> {
        self.shared.ending.cancel();
        for client in self.clients {
            tokio::time::timeout(PATIENCE, client)
                .await
                .expect("every request is answered, or its connection ends")
                .unwrap();
        }
        self.shared.sent.lock().unwrap().clone()
    }
}

impl Shared {
    async fn client(self: Arc<Self>, number: usize, protocol: Protocol) {
        let mut connection = None;
        for request in 0_usize.. {
            let _under_way = self.pause.read().await;
            let mut open = match connection.take() {
                Some(open) => open,
                None => match self.gateway.client().connect(protocol).await {
                    Ok(open) => open,
                    // It listens no more.
                    Err(_) if self.ending.is_cancelled() => return,
                    Err(error) => panic!("client {number} cannot connect: {error}"),
                },
            };
            let name = format!("{number}-{request}");
            let key = self.signing.lock().unwrap().clone();
            let post = self
                .gateway
                .teams_message()
                .header("x-request-id", &name)
                .with("/text", name.as_str())
                .token(move |token| token.signed_by(&key));
            let (phase, started) = (*self.phase.lock().unwrap(), Instant::now());
            let answering = async {
                let (head, body) = open.send(post.into_request()).await?.into_parts();
                let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
                let ends = head
                    .headers
                    .get("connection")
                    .is_some_and(|value| value == "close");
                let body = serde_json::from_slice::<Value>(&body).unwrap_or_default();
                Ok::<_, io::Error>((head.status.as_u16(), body, ends))
            };
            let answer = match tokio::time::timeout(PATIENCE, answering).await {
                Ok(answer) => answer.map_err(|error| error.to_string()),
                Err(_) => Err(format!("no answer within {PATIENCE:?}")),
            };
            if let Ok((_, _, false)) = answer {
                connection = Some(open);
            }
            self.sent.lock().unwrap().push(Sent {
                name,
                protocol,
                at: started - self.began,
                took: started.elapsed(),
                phases: [phase, *self.phase.lock().unwrap()],
                answer: answer.map(|(status, body, _)| (status, body)),
            });
        }
    }
}

/// What became of every request.
struct Account {
    /// Answered by the bot.
    done: usize,
    /// Told to come again, since the gateway was about to end.
    too_late: usize,
    /// Sent into a connection that the end had closed.
    missed: usize,
    clients_missed: BTreeSet<String>,
    slowest: Duration,
    problems: Vec<String>,
}

impl Account {
    fn of(gateway: &Gateway, sent: &[Sent]) -> Self {
        let mut account = Self {
            done: 0,
            too_late: 0,
            missed: 0,
            clients_missed: BTreeSet::new(),
            slowest: Duration::ZERO,
            problems: vec![],
        };
        let mut at_the_bot = BTreeMap::<String, usize>::new();
        for seen in gateway.bot().seen() {
            let name = seen.activity()["text"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            *at_the_bot.entry(name).or_default() += 1;
        }
        let mut lines = BTreeMap::<String, Vec<Value>>::new();
        for line in gateway.request_lines() {
            let name = line["request_id"].as_str().unwrap_or_default().to_owned();
            lines.entry(name).or_default().push(line);
        }
        for one in sent {
            let seen = at_the_bot.remove(&one.name).unwrap_or_default();
            let told = lines.remove(&one.name).unwrap_or_default();
            account.slowest = account.slowest.max(one.took);
            account.enter(one, seen, &told);
        }
        // What nobody has sent.
        let strangers = at_the_bot.keys().chain(lines.keys());
        account
            .problems
            .extend(strangers.map(|name| format!("{name}: nobody sent that")));
        account
    }

    fn enter(&mut self, one: &Sent, seen: usize, told: &[Value]) {
        let line = match told {
            [line] => Some((line["status"].as_u64(), line["reason"].as_str())),
            _ => None,
        };
        let is_ending = one.phases[1] == "drain";
        let reason = match (&one.answer, line) {
            (Ok((200, body)), Some((Some(200), None))) if seen == 1 => {
                if body["did"] == one.name.as_str() {
                    self.done += 1;
                    return;
                }
                "the answer is another request's"
            }
            (Ok((503, _)), Some((Some(503), Some("draining")))) if is_ending && seen == 0 => {
                self.too_late += 1;
                return;
            }
            (Err(error), None)
                if error == NEVER_SENT && is_ending && seen == 0 && told.is_empty() =>
            {
                self.missed += 1;
                // One of a connection, and only where a connection ends without an answer that says so.
                let client = one.name.split('-').next().unwrap_or_default().to_owned();
                if one.protocol == Protocol::Http2 && self.clients_missed.insert(client) {
                    return;
                }
                "never sent"
            }
            (Ok((200, _)), _) => "answered 200, and not once at the bot and in the log",
            (Ok(_), _) => "refused",
            (Err(_), _) => "lost",
        };
        let Sent {
            name,
            protocol,
            at,
            took,
            phases,
            answer,
        } = one;
        self.problems.push(format!(
            "{name} ({protocol:?}), sent {at:.3?} after the beginning ({} to {}), took {took:.3?}: {reason}: {answer:?}; the bot saw it {seen} times; {} lines: {told:?}",
            phases[0], phases[1], told.len()
        ));
    }

    fn summary(&self) -> String {
        let Self {
            done,
            too_late,
            missed,
            slowest,
            ..
        } = self;
        format!(
            "{done} requests were answered by the bot, each once; {too_late} were told that the gateway ends, {missed} were not sent because it had told that it ends; the slowest took {slowest:.0?}"
        )
    }
}

/// All verdicts together.
async fn requests_counted(gateway: &Gateway) -> f64 {
    let page = Page::of(gateway).await;
    page.family("botgate_requests_total").values().sum()
}
