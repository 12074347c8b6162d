//! The channel's metadata or its keys cannot be had, in every way that documents can fail: what is answered meanwhile, what is
//! logged, and that the gateway comes back by itself.

use crate::support::client::Post;
use crate::support::reply::Reply;
use crate::support::{Gateway, PATIENCE, eventually, new_channel};
use botgate::cli::demo::channel::{Channel, Document, Fetches};
use botgate::cli::demo::signing::SigningKey;
use botgate::judge::Reason;
use http::StatusCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::LocalSet;
use tokio::time::Instant;

/// Failures are noticed soon and forgotten soon, and what would take for ever takes a second.
const DRILL: &str = "keys = { refresh = '200ms', unknown_key_refresh = '1ms', fetch_timeout = '1s', cache_dir = 'kept' }";

/// A way for documents to fail, and what the log says of it: for the metadata, for the key set, or for both.
struct Fault {
    name: &'static str,
    served: Served,
    /// Nothing where it cannot happen to that document.
    log_of_metadata: Option<&'static str>,
    log_of_keys: Option<&'static str>,
}

#[derive(Clone, Copy)]
enum Served {
    /// As this.
    As(fn(&Scene, Spot) -> Document),
    /// Not at all: nobody listens.
    Nowhere,
}

/// Which document fails.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spot {
    Metadata,
    Keys,
}

const FAULTS: &[Fault] = &[
    Fault {
        name: "status 500",
        served: Served::As(|_, _| Document::status(StatusCode::INTERNAL_SERVER_ERROR)),
        log_of_metadata: Some("status 500"),
        log_of_keys: Some("status 500"),
    },
    Fault {
        name: "hang",
        served: Served::As(|_, _| Document::Hang),
        log_of_metadata: Some("not complete within 1s"),
        log_of_keys: Some("not complete within 1s"),
    },
    Fault {
        name: "garbage",
        served: Served::As(|_, _| Document::json(&b"\x00\xff<html>{\"keys\":"[..])),
        log_of_metadata: Some("not OpenID metadata"),
        log_of_keys: Some("not a key set"),
    },
    Fault {
        name: "half a document",
        served: Served::As(|_, _| Document::Half),
        log_of_metadata: Some("not OpenID metadata: EOF"),
        log_of_keys: Some("not a key set: EOF"),
    },
    Fault {
        name: "cut in mid-body",
        served: Served::As(|_, _| Document::BrokenOff),
        log_of_metadata: Some("the answer could not be read"),
        log_of_keys: Some("the answer could not be read"),
    },
    Fault {
        name: "connection refused",
        served: Served::Nowhere,
        log_of_metadata: Some("Connection refused"),
        // The same host serves both.
        log_of_keys: None,
    },
    Fault {
        name: "slow drip",
        served: Served::As(|_, _| Document::Drip),
        log_of_metadata: Some("not complete within 1s"),
        log_of_keys: Some("not complete within 1s"),
    },
    Fault {
        name: "redirect to a good copy",
        served: Served::As(|scene, spot| {
            Document::Redirect(match spot {
                Spot::Metadata => scene.copy.metadata_url(),
                Spot::Keys => scene.copy.keys_url(),
            })
        }),
        log_of_metadata: Some("redirects are not followed"),
        log_of_keys: Some("redirects are not followed"),
    },
    Fault {
        name: "larger than is read",
        served: Served::As(|_, spot| match spot {
            Spot::Metadata => Document::Padded(1 << 20),
            Spot::Keys => Document::Padded(8 << 20),
        }),
        log_of_metadata: Some("length limit exceeded"),
        log_of_keys: Some("length limit exceeded"),
    },
    Fault {
        name: "nothing in it",
        served: Served::As(|_, spot| {
            Document::json(match spot {
                Spot::Metadata => "{}",
                Spot::Keys => "{\"keys\":[]}",
            })
        }),
        log_of_metadata: Some("missing field `jwks_uri`"),
        log_of_keys: Some("the key set is empty"),
    },
    Fault {
        name: "another issuer",
        served: Served::As(|scene, _| {
            Document::json(format!(
                "{{\"issuer\":\"https://evil.example\",\"jwks_uri\":\"{}\"}}",
                scene.channel.keys_url()
            ))
        }),
        log_of_metadata: Some("issuer is \"https://evil.example\""),
        // A key set names no issuer.
        log_of_keys: None,
    },
];

/// What one drill is played with.
struct Scene {
    fault: &'static Fault,
    spot: Spot,
    /// What the log says.
    log: &'static str,
    channel: Channel,
    /// Has the same key: if a document came from there, tokens would pass.
    copy: Channel,
    /// No channel publishes it under the name of its first key.
    other: SigningKey,
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "a drill is there to be looked at")]
async fn outages_of_every_kind_are_survived_and_end_by_themselves() {
    const AT_ONCE: usize = 6;
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let other = SigningKey::generate("other").unwrap();
    let copy = new_channel().await;
    let drilling = LocalSet::new();
    let mut drills = vec![];
    for fault in FAULTS {
        let spots = [
            (Spot::Metadata, fault.log_of_metadata),
            (Spot::Keys, fault.log_of_keys),
        ];
        for (spot, log) in spots {
            let Some(log) = log else { continue };
            let (places, copy, other) = (Arc::clone(&places), copy.clone(), other.clone());
            drills.push(drilling.spawn_local(async move {
                let _place = places.acquire().await.unwrap();
                let scene = Scene {
                    fault,
                    spot,
                    log,
                    channel: new_channel().await,
                    copy,
                    other,
                };
                scene.play().await
            }));
        }
    }
    drilling.await;
    let mut told = vec![];
    for drill in drills {
        told.extend(drill.await.unwrap());
    }
    println!("{}", told.join("\n"));
    assert_eq!(told.len(), 60, "20 faults, each in three situations");
    assert_eq!(copy.fetches(), Fetches::default(), "redirects are followed");
}

impl Scene {
    /// One fault in three situations; says for each what was seen.
    async fn play(self) -> [String; 3] {
        let mut told = [String::new(), String::new(), String::new()];

        self.break_it().await;
        let started = Gateway::with(DRILL).channel(&self.channel).not_ready();
        let gateway = started.start().await;
        let seen = self.without_keys(&gateway).await;
        let recovery = self.recovers(&gateway, "published-at-start").await;
        told[0] = self.tell("at start, nothing on disk", &seen, recovery);

        let kept = gateway.folder().join("kept/stand-in.json");
        eventually("the keys are kept", async || kept.exists()).await;
        self.break_it().await;
        let seen = self.with_keys(&gateway).await;
        let recovery = self.recovers(&gateway, "published-in-run").await;
        told[1] = self.tell("during the run", &seen, recovery);

        self.break_it().await;
        // Ready at once: the keys are those on disk.
        let gateway = gateway.stop().await.start().await;
        let seen = self.with_keys(&gateway).await;
        let recovery = self.recovers(&gateway, "published-at-last").await;
        told[2] = self.tell("at start, keys on disk", &seen, recovery);
        told
    }

    async fn break_it(&self) {
        match (self.fault.served, self.spot) {
            (Served::Nowhere, _) => self.channel.close().await,
            (Served::As(document), Spot::Metadata) => {
                self.channel.serve_metadata(document(self, self.spot));
            }
            (Served::As(document), Spot::Keys) => {
                self.channel.serve_keys(document(self, self.spot));
            }
        }
    }

    async fn mend_it(&self) {
        match (self.fault.served, self.spot) {
            (Served::Nowhere, _) => self.channel.reopen().await.unwrap(),
            (Served::As(_), Spot::Metadata) => self.channel.serve_metadata(Document::Faithful),
            (Served::As(_), Spot::Keys) => self.channel.serve_keys(Document::Faithful),
        }
    }

    /// There never were keys: whether a token is good cannot be told, unless it is bad in any case.
    async fn without_keys(&self, gateway: &Gateway) -> String {
        let asked = Instant::now();
        let valid = unavailable(gateway.teams_message()).await;
        let waited = asked.elapsed();
        let forged = unavailable(self.forged(gateway)).await;
        let made_up = unavailable(made_up(gateway)).await;
        let expired = refused(expired(gateway), Reason::TokenExpired).await;
        let (ready, missing) = gateway.admin("/readyz").await;
        assert_eq!(ready, 503, "{missing}");
        let log = self.logged(gateway, "ERROR").await;
        format!(
            "valid {valid} after {waited:.1?}, forged {forged}, made-up kid {made_up}, expired {expired}, readyz {ready}, {log}"
        )
    }

    /// The last good keys serve: what they can tell is told.
    async fn with_keys(&self, gateway: &Gateway) -> String {
        // Before the first failure, and after it.
        gateway.teams_message().send().await.forwarded().await;
        let log = self.logged(gateway, "WARN").await;
        let asked = Instant::now();
        let valid = gateway.teams_message().send().await;
        let waited = asked.elapsed();
        valid.forwarded().await;
        let forged = refused(self.forged(gateway), Reason::TokenSignatureInvalid).await;
        let made_up = unavailable(made_up(gateway)).await;
        let expired = refused(expired(gateway), Reason::TokenExpired).await;
        let (ready, missing) = gateway.admin("/readyz").await;
        assert_eq!(ready, 200, "{missing}");
        format!(
            "valid {} after {waited:.1?}, forged {forged}, made-up kid {made_up}, expired {expired}, readyz {ready}, {log}",
            valid.status
        )
    }

    /// Mends it and publishes a key that is new; says how long it takes until the gateway knows.
    async fn recovers(&self, gateway: &Gateway, kid: &str) -> Duration {
        let new = self.other.named(kid);
        self.channel
            .publish(&new, Some(botgate::cli::demo::channel::ENDORSED));
        let mended = Instant::now();
        self.mend_it().await;
        let by_the_new_key = || {
            let new = new.clone();
            gateway.teams_message().token(move |t| t.signed_by(&new))
        };
        eventually("it recovers", async || {
            by_the_new_key().send().await.status == 200
        })
        .await;
        let recovery = mended.elapsed();
        gateway.teams_message().send().await.forwarded().await;
        refused(self.forged(gateway), Reason::TokenSignatureInvalid).await;
        refused(made_up(gateway), Reason::TokenKeyUnknown).await;
        assert_eq!(gateway.admin("/readyz").await.0, 200);
        recovery
    }

    /// Signed by another key, in the name of the published one.
    fn forged(&self, gateway: &Gateway) -> Post {
        let other = self.other.clone();
        gateway.teams_message().token(move |t| t.forged_by(&other))
    }

    async fn logged(&self, gateway: &Gateway, level: &str) -> String {
        let says = |text: &serde_json::Value| text.as_str().is_some_and(|t| t.contains(self.log));
        let line = gateway
            .event("keys_refresh_failed", |line| {
                says(&line["error"]) && line["level"] == level
            })
            .await;
        format!("{level} {:?}", line["error"].as_str().unwrap_or_default())
    }

    fn tell(&self, when: &str, seen: &str, recovery: Duration) -> String {
        let spot = match self.spot {
            Spot::Metadata => "metadata",
            Spot::Keys => "key set",
        };
        let name = format!("{} ({spot}), {when}", self.fault.name);
        let port = self.channel.origin();
        let seen = seen.replace(&port, "http://…");
        format!("{name:<64} → {seen}; good again: known after {recovery:.1?}")
    }
}

fn made_up(gateway: &Gateway) -> Post {
    gateway
        .teams_message()
        .token(|t| t.header("kid", "made-up"))
}

fn expired(gateway: &Gateway) -> Post {
    gateway
        .teams_message()
        .token(|t| t.claim("nbf", 1).claim("exp", 2))
}

/// Status and `Retry-After`.
async fn unavailable(post: Post) -> String {
    let reply = post.send().await;
    let reply = reply.refused_before_proof(Reason::KeysUnavailable).await;
    let seconds: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((5..=30).contains(&seconds), "Retry-After: {seconds}");
    format!("{}/{seconds}s", reply.status)
}

async fn refused(post: Post, reason: Reason) -> String {
    let reply: Reply = post.send().await;
    let reply = reply.refused_before_proof(reason).await;
    reply.status.to_string()
}

#[tokio::test]
async fn no_request_waits_for_keys_longer_than_three_seconds() {
    const LONG: &str = "keys = { refresh = '24h', unknown_key_refresh = '1ms', fetch_timeout = '1h', cache_dir = 'kept' }";
    let in_time = |asked: Instant| {
        let waited = asked.elapsed();
        let patience = Duration::from_secs(3)..PATIENCE;
        assert!(patience.contains(&waited), "it waited {waited:?}");
    };
    let gateway = Gateway::with(LONG).start().await;
    let kept = gateway.folder().join("kept/stand-in.json");
    eventually("the keys are kept", async || kept.exists()).await;
    gateway.channel().serve_keys(Document::Hang);
    let asked = Instant::now();
    unavailable(made_up(&gateway)).await;
    in_time(asked);
    gateway.teams_message().send().await.forwarded().await;

    let gateway = gateway.stop().await.start().await;
    gateway.teams_message().send().await.forwarded().await;
    let asked = Instant::now();
    unavailable(made_up(&gateway)).await;
    in_time(asked);

    let channel = gateway.channel().clone();
    let gateway = Gateway::with(LONG).channel(&channel).not_ready();
    let gateway = gateway.start().await;
    let asked = Instant::now();
    unavailable(gateway.teams_message()).await;
    in_time(asked);
}

#[tokio::test]
async fn refreshes_that_hang_one_after_the_other_stop_nothing() {
    const EARLY_ONLY: &str =
        "keys = { refresh = '24h', unknown_key_refresh = '1ms', fetch_timeout = '200ms' }";
    let gateway = Gateway::with(EARLY_ONLY).start().await;
    let channel = gateway.channel();
    channel.serve_keys(Document::Hang);
    for _ in 0..2 {
        unavailable(made_up(&gateway)).await;
        gateway.teams_message().send().await.forwarded().await;
    }
    // It tries again by itself, without a request that asks for it.
    let more = channel.fetches().keys + 2;
    assert!(channel.wait_for_key_fetches(more, PATIENCE).await);
    let new = SigningKey::generate("new").unwrap();
    channel.publish(&new, Some(botgate::cli::demo::channel::ENDORSED));
    channel.serve_keys(Document::Faithful);
    let asking = async {
        while gateway
            .teams_message()
            .token({
                let new = new.clone();
                move |t| t.signed_by(&new)
            })
            .send()
            .await
            .status
            != 200
        {}
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap();
}
