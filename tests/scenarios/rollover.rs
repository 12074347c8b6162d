//! The issuer changes its keys while requests keep coming.

use crate::support::client::Post;
use crate::support::{Gateway, PATIENCE, TENANT, eventually, new_channel};
use botgate::cli::demo::channel::{Channel, Document, ENDORSED, ENTRA_KEY_ISSUER, ISSUER};
use botgate::cli::demo::client::Protocol;
use botgate::cli::demo::signing::SigningKey;
use botgate::cli::demo::token::TokenSpec;
use botgate::judge::{AGENT_PLATFORM, Reason};
use http_body_util::BodyExt as _;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// As much as the clients can send.
const NO_LIMIT: &str = "server.limits.requests_per_ip = { rate = '100000/s', burst = 100000 }";
const SKILL: &str = "accept = ['skill']\ncallers.allow = ['*']";
const CALLER: &str = "3a9c1b70-8a4c-4f7e-9d55-6f2b1b0a9c11";

/// Where a bot's keys come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    /// The Connector, by its metadata.
    Connector,
    /// Entra's common key set, by its metadata.
    Entra,
    /// The key set of one tenant.
    Tenant,
    /// A file.
    File,
}

const SOURCES: [Source; 4] = [
    Source::Connector,
    Source::Entra,
    Source::Tenant,
    Source::File,
];

/// A gateway with a bot for every kind of source.
async fn gateway(keys: &str) -> Gateway {
    let channel = new_channel().await;
    let agent = format!("accept = ['agent']\ntenants.allow = ['{TENANT}']");
    let from_file = format!(
        "[clouds.filed]\nchannel_metadata = 'file:keys.json'\nchannel_issuer = '{ISSUER}'\nservice_url_hosts = ['smba.trafficmanager.net']"
    );
    Gateway::with(keys)
        .and(NO_LIMIT)
        .and(&from_file)
        .bot_at("skill", SKILL)
        .bot_at("agent", &agent)
        .bot_at("filed", "cloud = 'filed'")
        .file("keys.json", channel.keys_document())
        .channel(&channel)
        .start()
        .await
}

impl Source {
    /// A valid request signed with this key.
    fn request(self, gateway: &Gateway, key: &SigningKey) -> Post {
        let key = key.clone();
        let post = gateway.teams_message();
        let channel = gateway.channel().clone();
        let of_entra = move |spec: TokenSpec, caller: &str| {
            let audience = spec.claims["aud"].as_str().unwrap().to_owned();
            channel.entra_token(&audience, TENANT, caller)
        };
        match self {
            Self::Connector => post.token(move |t| t.signed_by(&key)),
            Self::File => post.to("filed").token(move |t| t.signed_by(&key)),
            Self::Entra => post
                .to("skill")
                .token(move |t| of_entra(t, CALLER).signed_by(&key)),
            Self::Tenant => post
                .to("agent")
                .with("/recipient/role", "agenticUser")
                .token(move |t| of_entra(t, AGENT_PLATFORM).signed_by(&key)),
        }
    }
}

/// Publishes what `change` makes of the key sets, in every source.
fn publish(gateway: &Gateway, change: impl Fn(&Channel)) {
    change(gateway.channel());
    let document = gateway.channel().keys_document();
    replace(&gateway.folder().join("keys.json"), &document);
}

fn add(channel: &Channel, key: &SigningKey) {
    channel.publish(key, Some(ENDORSED));
    channel.publish_in_entra(key, Some(ENTRA_KEY_ISSUER));
}

fn withdraw(channel: &Channel, key: &SigningKey) {
    channel.withdraw(key.kid());
    channel.withdraw_from_entra(key.kid());
}

fn replace(path: &Path, document: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, document).unwrap();
    std::fs::rename(&new, path).unwrap();
}

/// Clients that send valid requests one after the other, each on a connection of its own, until the end of the test.
struct Load {
    signing: Arc<Mutex<SigningKey>>,
    answers: Arc<Mutex<Answers>>,
    stop: CancellationToken,
    clients: Vec<AbortOnDropHandle<()>>,
}

#[derive(Default)]
struct Answers {
    /// Answered 200: by client, and by the key that signed.
    forwarded: BTreeMap<(usize, String), usize>,
    refused: Vec<String>,
}

impl Load {
    fn start(gateway: &Gateway, key: &SigningKey, each: usize) -> Self {
        let mut load = Self {
            signing: Arc::new(Mutex::new(key.clone())),
            answers: Arc::default(),
            stop: CancellationToken::new(),
            clients: vec![],
        };
        for number in 0..each * SOURCES.len() {
            let client = load.client(gateway.clone(), number, SOURCES[number % SOURCES.len()]);
            load.clients
                .push(AbortOnDropHandle::new(tokio::spawn(client)));
        }
        load
    }

    fn client(
        &self,
        gateway: Gateway,
        number: usize,
        source: Source,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (signing, answers) = (Arc::clone(&self.signing), Arc::clone(&self.answers));
        let stop = self.stop.clone();
        async move {
            let protocol = [Protocol::Http1, Protocol::Http2][number / SOURCES.len() % 2];
            let mut connection = gateway.client().connect(protocol).await.unwrap();
            while !stop.is_cancelled() {
                let key = signing.lock().unwrap().clone();
                let request = source.request(&gateway, &key).into_request();
                let (head, body) = connection.send(request).await.unwrap().into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let mut answers = answers.lock().unwrap();
                if head.status == 200 {
                    let by = (number, key.kid().to_owned());
                    *answers.forwarded.entry(by).or_default() += 1;
                } else {
                    let kid = key.kid();
                    answers.refused.push(format!(
                        "{source:?} {kid}: {} {}",
                        head.status,
                        String::from_utf8_lossy(&body)
                    ));
                }
            }
        }
    }

    /// Signs with this key from now on, and waits until every client has got this many answers to it: what was signed with
    /// another one is answered by then.
    async fn goes_on_with(&self, key: &SigningKey, answers: usize) {
        *self.signing.lock().unwrap() = key.clone();
        eventually("the load goes on", async || {
            let seen = self.answers.lock().unwrap();
            (0..self.clients.len()).all(|client| {
                let by = (client, key.kid().to_owned());
                seen.forwarded.get(&by).copied().unwrap_or_default() >= answers
            }) || !seen.refused.is_empty()
        })
        .await;
        self.nothing_is_refused();
    }

    fn nothing_is_refused(&self) {
        let answers = self.answers.lock().unwrap();
        assert!(
            answers.refused.is_empty(),
            "{} valid requests are refused: {:#?}",
            answers.refused.len(),
            answers.refused
        );
    }

    /// How many valid requests were forwarded in all; none was refused.
    async fn stop(self) -> usize {
        self.stop.cancel();
        for client in self.clients {
            client.await.unwrap();
        }
        let answers = self.answers.lock().unwrap();
        assert!(answers.refused.is_empty(), "{:?}", answers.refused);
        answers.forwarded.values().sum()
    }
}

/// The hardest case: signed with in the moment it is published, without an early word, and the old one withdrawn as soon as
/// nobody signs with it any more. The budget for early refreshes is not used up.
async fn rollover(keys: &str) -> usize {
    let gateway = gateway(keys).await;
    let old = gateway.channel().first_key().clone();
    // Entra's key has another name there; here one key is published under one name everywhere.
    publish(&gateway, |channel| add(channel, &old));
    let new = SigningKey::generate("new").unwrap();

    let load = Load::start(&gateway, &old, 2);
    load.goes_on_with(&old, 10).await;
    publish(&gateway, |channel| add(channel, &new));
    load.goes_on_with(&new, 10).await;
    publish(&gateway, |channel| withdraw(channel, &old));
    load.goes_on_with(&new, 20).await;

    // A stranger's guess is enough for the withdrawal to become known everywhere.
    for source in SOURCES {
        eventually("the old key is gone", async || {
            source.request(&gateway, &guess(&old)).send().await;
            source.request(&gateway, &old).send().await.status == 401
        })
        .await;
    }
    load.goes_on_with(&new, 30).await;
    let forwarded = load.stop().await;
    for source in SOURCES {
        let reply = source.request(&gateway, &old).send().await;
        reply.refused_before_proof(Reason::TokenKeyUnknown).await;
    }
    forwarded
}

/// A key under a name that nobody published, and that is new each time.
fn guess(key: &SigningKey) -> SigningKey {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    key.named(&format!("guess-{}", NEXT.fetch_add(1, Ordering::Relaxed)))
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "a drill is there to be looked at")]
async fn no_valid_request_is_refused_while_the_key_is_changed_under_load() {
    // Only requests make it look; it looks all the time.
    for keys in [
        "keys = { refresh = '24h', unknown_key_refresh = '500ms' }",
        "keys = { refresh = '20ms', unknown_key_refresh = '1h' }",
    ] {
        let forwarded = rollover(keys).await;
        println!(
            "rollover with {keys}: {forwarded} valid requests over {SOURCES:?}, none was refused"
        );
    }
}

/// Strangers use up the budget all the time. What it takes then: the new key is published at least
/// `keys.unknown_key_refresh`, and a fetch, before anybody signs with it. Issuers publish theirs days before.
#[tokio::test]
#[expect(clippy::print_stdout, reason = "a drill is there to be looked at")]
async fn a_flood_of_made_up_keys_does_not_disturb_a_rollover_that_is_announced() {
    const WINDOW: Duration = Duration::from_secs(1);
    let gateway = gateway("keys = { refresh = '24h', unknown_key_refresh = '1s' }").await;
    let old = gateway.channel().first_key().clone();
    let stranger = old.clone();
    publish(&gateway, |channel| add(channel, &old));
    // Until Entra's key is known under that name, too.
    for source in SOURCES {
        eventually("the old key is known", async || {
            source.request(&gateway, &old).send().await.status == 200
        })
        .await;
    }
    let load = Load::start(&gateway, &old, 1);
    let flooded = gateway.clone();
    let flood = AbortOnDropHandle::new(tokio::spawn(async move {
        for source in SOURCES.into_iter().cycle() {
            let reply = source.request(&flooded, &guess(&stranger)).send().await;
            assert_eq!(reply.status, 401, "{}", flooded.output());
        }
    }));
    load.goes_on_with(&old, 10).await;
    let used_up = |line: &serde_json::Value| {
        let note = line["note"].as_str().unwrap_or_default();
        note.contains("early refreshes are used up")
    };
    let line = gateway.event("request", used_up).await;
    assert_eq!(line["reason"], "token_key_unknown");

    let new = SigningKey::generate("new").unwrap();
    let refreshes = || {
        let output = gateway.output();
        let refreshed = output
            .log
            .iter()
            .filter(|l| l["event"] == "keys_refreshed")
            .map(|l| l["issuer"].as_str().unwrap().to_owned());
        let mut counts = BTreeMap::new();
        refreshed.for_each(|issuer| *counts.entry(issuer).or_insert(0) += 1);
        counts
    };
    let before = refreshes();
    assert_eq!(before.len(), SOURCES.len(), "{before:?}");
    publish(&gateway, |channel| add(channel, &new));
    let published = Instant::now();
    // The second refresh from now began after the key was published.
    eventually("every source is looked at again", async || {
        let now = refreshes();
        before
            .iter()
            .all(|(issuer, count)| now[issuer] >= count + 2)
    })
    .await;
    let announced = published.elapsed();
    load.goes_on_with(&new, 10).await;
    drop(flood);
    publish(&gateway, |channel| withdraw(channel, &old));
    load.goes_on_with(&new, 20).await;
    let forwarded = load.stop().await;
    println!(
        "rollover in a flood, one early refresh each {WINDOW:?}: known everywhere {announced:.1?} after publication (two refreshes), {forwarded} valid requests, none was refused"
    );
    // Two refreshes are two windows apart at most; what a busy machine adds is not the flood's doing.
    assert!(announced < WINDOW * 2 + PATIENCE / 2, "{announced:?}");
}

#[tokio::test]
async fn what_the_budget_did_not_allow_is_looked_up_without_another_request() {
    let gateway = Gateway::with("keys = { refresh = '24h', unknown_key_refresh = '3s' }")
        .start()
        .await;
    let channel = gateway.channel();
    let made_up = |kid: &str| {
        let kid = kid.to_owned();
        gateway.teams_message().token(move |t| t.header("kid", kid))
    };
    for kid in ["first", "second"] {
        let reply = made_up(kid).send().await;
        reply.refused_before_proof(Reason::TokenKeyUnknown).await;
    }
    let new = channel.add_key("new", Some(ENDORSED)).unwrap();
    let fetches = channel.fetches().keys;
    let reply = made_up("third").send().await;
    let reply = reply.refused_before_proof(Reason::TokenKeyUnknown).await;
    let line = gateway.request_line_for(&reply.request_id).await;
    let note = line["note"].as_str().unwrap();
    assert!(note.contains("keys.unknown_key_refresh"), "{note}");
    // Not by the next request, but by itself.
    assert!(channel.wait_for_key_fetches(fetches + 1, PATIENCE).await);
    let by_the_new_key = gateway.teams_message().token(move |t| t.signed_by(&new));
    by_the_new_key.send().await.forwarded().await;
    assert_eq!(channel.fetches().keys, fetches + 1);
}

#[tokio::test]
async fn a_token_remembered_as_verified_is_forgotten_with_its_key() {
    let gateway = gateway("keys.refresh = '50ms'").await;
    let old = gateway.channel().first_key().clone();
    // A set without any key would not be believed: another one stays.
    let stays = SigningKey::generate("stays").unwrap();
    publish(&gateway, |channel| {
        add(channel, &old);
        add(channel, &stays);
    });
    let other = SigningKey::generate(old.kid()).unwrap();
    let now = botgate::cli::demo::channel::now();
    for source in SOURCES {
        // The same token each time.
        let request = |key: &SigningKey| {
            source
                .request(&gateway, key)
                .token(move |t| t.claim("nbf", now).claim("exp", now + 600))
        };
        eventually("the key is known", async || {
            request(&old).send().await.status == 200
        })
        .await;
        request(&old).send().await.forwarded().await;

        publish(&gateway, |channel| withdraw(channel, &old));
        eventually("the key is gone", async || {
            request(&old).send().await.status == 401
        })
        .await;
        let reply = request(&old).send().await;
        reply.refused_before_proof(Reason::TokenKeyUnknown).await;

        // Another key under that name is no reason to believe what the old one signed.
        publish(&gateway, |channel| add(channel, &other));
        eventually("another key has its name", async || {
            request(&other).send().await.status == 200
        })
        .await;
        let reply = request(&old).send().await;
        reply
            .refused_before_proof(Reason::TokenSignatureInvalid)
            .await;

        publish(&gateway, |channel| add(channel, &old));
        eventually("the key is back", async || {
            request(&old).send().await.status == 200
        })
        .await;
    }
}

#[tokio::test]
async fn a_key_published_during_a_fetch_is_found_by_the_next_one() {
    let gateway = Gateway::with("keys = { refresh = '24h', unknown_key_refresh = '1ms' }");
    let gateway = gateway.start().await;
    let channel = gateway.channel();
    // What is held back is the key set as it was when it was asked for.
    let permits = Arc::new(Semaphore::new(0));
    channel.serve_keys(Document::Held(Arc::clone(&permits)));
    let made_up = gateway
        .teams_message()
        .token(|t| t.header("kid", "made-up"));
    let made_up = tokio::spawn(made_up.try_send());
    assert!(channel.wait_for_key_fetches(2, PATIENCE).await);
    let new = channel.add_key("new", Some(ENDORSED)).unwrap();
    let by_the_new_key = gateway.teams_message().token(move |t| t.signed_by(&new));
    let by_the_new_key = tokio::spawn(by_the_new_key.try_send());
    eventually("both wait", async || {
        let waiting = "botgate_inflight_requests{bot=\"echo\"}";
        gateway.metric(waiting).await >= 2.0
    })
    .await;
    permits.add_permits(16);
    assert_eq!(made_up.await.unwrap().unwrap().status, 401);
    let reply = by_the_new_key.await.unwrap().unwrap();
    assert_eq!(reply.status, 200, "{}", gateway.output());
}
