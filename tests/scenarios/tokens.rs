//! Keys: where they come from, when they are fetched again, and what holds while they cannot be.

use crate::support::client::Post;
use crate::support::reply::Reply;
use crate::support::table::Expected::{Forwarded, Stranger};
use crate::support::table::{play, row};
use crate::support::{Gateway, PATIENCE, TENANT, eventually};
use botgate::cli::demo::channel::{Channel, Document, ENDORSED, Fetches};
use botgate::cli::demo::signing::SigningKey;
use botgate::judge::Reason;
use http::StatusCode;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Nothing is fetched but once at start, and early when a request needs it.
const EARLY_ONLY: &str = "keys = { refresh = '24h', unknown_key_refresh = '1h' }";
/// Early refreshes never run out.
const EARLY_ALWAYS: &str = "keys = { refresh = '24h', unknown_key_refresh = '1ms' }";
/// Keys are fetched all the time, and again soon after a failure.
const OFTEN: &str = "keys.refresh = '50ms'";

impl Gateway {
    fn with_kid(&self, kid: &str) -> Post {
        let kid = kid.to_owned();
        self.teams_message().token(move |t| t.header("kid", kid))
    }

    fn signed_by(&self, key: &SigningKey) -> Post {
        let key = key.clone();
        self.teams_message().token(move |t| t.signed_by(&key))
    }

    fn key_fetches(&self) -> usize {
        self.channel().fetches().keys
    }

    /// Waits until a fetch that began after this call has become what the gateway knows.
    async fn refreshed(&self) {
        // One task fetches for a cloud: when it asks for the second time from now, it is done with the first.
        let second = self.key_fetches() + 2;
        assert!(self.channel().wait_for_key_fetches(second, PATIENCE).await);
    }
}

async fn forwarded(post: Post) -> Reply {
    let reply = post.send().await;
    reply.forwarded().await;
    reply
}

#[tokio::test]
async fn made_up_key_ids_cause_one_refresh_each_and_two_per_window_at_most() {
    let gateway = Gateway::with(EARLY_ONLY).start().await;
    assert_eq!(gateway.key_fetches(), 1, "at start");
    let unknown = Reason::TokenKeyUnknown;
    for (kid, fetches) in [
        ("first", 2),
        ("first", 2),
        ("second", 3),
        ("second", 3),
        ("first", 3),
        ("third", 3),
        ("fourth", 3),
    ] {
        let reply = gateway.with_kid(kid).send().await;
        reply.refused_before_proof(unknown).await;
        assert_eq!(gateway.key_fetches(), fetches, "after {kid}");
    }
    forwarded(gateway.teams_message()).await;
}

#[tokio::test]
async fn a_token_that_fails_without_a_key_causes_no_refresh() {
    let gateway = Gateway::with(EARLY_ALWAYS).start().await;
    let made_up = || gateway.with_kid("made-up");
    let before = gateway.channel().fetches();
    let rows = vec![
        row(
            "another issuer",
            made_up().token(|t| t.claim("iss", "https://evil.example")),
            Stranger(Reason::TokenIssuerUnknown),
        ),
        row(
            "an agent of a tenant that nobody listed",
            made_up().token(|t| t.claim("iss", format!("https://sts.windows.net/{TENANT}/"))),
            Stranger(Reason::TokenKindNotAccepted),
        ),
        row(
            "another bot",
            made_up().for_app("another"),
            Stranger(Reason::TokenAudienceMismatch),
        ),
        row(
            "expired",
            made_up().token(|t| t.claim("nbf", 1).claim("exp", 2)),
            Stranger(Reason::TokenExpired),
        ),
        row(
            "another algorithm",
            made_up().token(|t| t.header("alg", "HS256")),
            Stranger(Reason::TokenAlgorithmRefused),
        ),
        row(
            "malformed",
            made_up().token(|t| t.header("crit", "x")),
            Stranger(Reason::TokenMalformed),
        ),
        row(
            "another method",
            made_up().method(http::Method::PUT),
            Stranger(Reason::MethodNotAllowed),
        ),
    ];
    play(rows).await;
    assert_eq!(gateway.channel().fetches(), before);
}

#[tokio::test]
async fn many_requests_with_one_unknown_key_wait_for_one_refresh() {
    const AT_ONCE: usize = 8;
    let gateway = Gateway::with(EARLY_ALWAYS).start().await;
    let permits = Arc::new(Semaphore::new(0));
    gateway
        .channel()
        .serve_keys(Document::Held(Arc::clone(&permits)));
    let new = gateway.channel().add_key("new", Some(ENDORSED)).unwrap();
    let requests: Vec<_> = (0..AT_ONCE)
        .map(|_| tokio::spawn(gateway.signed_by(&new).try_send()))
        .collect();
    let all_wait = async {
        while gateway
            .metric("botgate_inflight_requests{bot=\"echo\"}")
            .await
            < AT_ONCE as f64
        {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, all_wait).await.expect("all wait");
    permits.add_permits(AT_ONCE);
    for request in requests {
        let reply = request.await.unwrap().unwrap();
        assert_eq!(reply.status, 200, "{}", gateway.output());
    }
    assert_eq!(gateway.key_fetches(), 2, "one at start, one for all");
    assert_eq!(gateway.bot().count(), AT_ONCE);
}

#[tokio::test]
async fn a_new_key_is_found_by_one_early_refresh() {
    let gateway = Gateway::with(EARLY_ONLY).start().await;
    let new = gateway.channel().add_key("new", Some(ENDORSED)).unwrap();
    forwarded(gateway.signed_by(&new)).await;
    forwarded(gateway.signed_by(&new)).await;
    forwarded(gateway.teams_message()).await;
    assert_eq!(
        gateway.key_fetches(),
        2,
        "one at start, one for the new key"
    );
}

#[tokio::test]
async fn a_key_that_is_published_late_is_found_in_the_next_window() {
    let gateway = Gateway::with("keys = { refresh = '24h', unknown_key_refresh = '100ms' }")
        .start()
        .await;
    let late = SigningKey::generate("late").unwrap();
    let reply = gateway.signed_by(&late).send().await;
    reply.refused_before_proof(Reason::TokenKeyUnknown).await;
    gateway.channel().publish(&late, Some(ENDORSED));
    let polling = async { while gateway.signed_by(&late).send().await.status != 200 {} };
    let in_time = timeout(PATIENCE, polling).await;
    assert!(in_time.is_ok(), "the key is never found");
    forwarded(gateway.signed_by(&late)).await;
}

#[tokio::test]
async fn a_withdrawn_key_stops_at_the_next_refresh() {
    let gateway = Gateway::with(OFTEN).start().await;
    let channel = gateway.channel();
    let new = channel.add_key("new", Some(ENDORSED)).unwrap();
    forwarded(gateway.teams_message()).await;
    channel.withdraw(channel.first_key().kid());
    gateway.refreshed().await;
    let reply = gateway.teams_message().send().await;
    reply.refused_before_proof(Reason::TokenKeyUnknown).await;
    forwarded(gateway.signed_by(&new)).await;
}

#[tokio::test]
async fn endorsements_change_at_the_next_refresh() {
    let gateway = Gateway::with(OFTEN).start().await;
    let channel = gateway.channel();
    forwarded(gateway.teams_message()).await;
    channel.publish(channel.first_key(), Some(&["webchat"]));
    gateway.refreshed().await;
    let reply = gateway.teams_message().send().await;
    reply.refused_after_proof(Reason::ChannelNotEndorsed).await;
    forwarded(gateway.post("webchat-message.json")).await;
    channel.publish(channel.first_key(), Some(ENDORSED));
    gateway.refreshed().await;
    forwarded(gateway.teams_message()).await;
}

#[tokio::test]
async fn a_key_put_in_the_place_of_another_takes_over_its_name() {
    let gateway = Gateway::with(OFTEN).start().await;
    let channel = gateway.channel();
    let new = SigningKey::generate(channel.first_key().kid()).unwrap();
    channel.publish(&new, Some(ENDORSED));
    gateway.refreshed().await;
    let reply = gateway.teams_message().send().await;
    reply
        .refused_before_proof(Reason::TokenSignatureInvalid)
        .await;
    forwarded(gateway.signed_by(&new)).await;
}

#[tokio::test]
async fn the_last_good_keys_serve_while_the_channel_is_away() {
    let gateway = Gateway::with(OFTEN).start().await;
    let channel = gateway.channel();
    channel.close().await;
    gateway.event("keys_refresh_failed", |_| true).await;
    forwarded(gateway.teams_message()).await;
    // Nobody can tell whether this key is made up; the channel may come again.
    let unknown = gateway.with_kid("new").send().await;
    unknown.refused_before_proof(Reason::KeysUnavailable).await;
    assert_eq!(gateway.admin("/readyz").await.0, 200);

    let new = channel.add_key("new", Some(ENDORSED)).unwrap();
    channel.reopen().await.unwrap();
    gateway.refreshed().await;
    forwarded(gateway.signed_by(&new)).await;
    let unknown = gateway.with_kid("made-up").send().await;
    unknown.refused_before_proof(Reason::TokenKeyUnknown).await;
}

#[tokio::test]
async fn a_key_set_that_cannot_be_used_does_not_replace_a_good_one() {
    let gateway = Gateway::with(OFTEN).start().await;
    for unusable in [
        Document::json("{}"),
        Document::json("{\"keys\":[]}"),
        Document::json("<html>"),
        Document::status(StatusCode::INTERNAL_SERVER_ERROR),
    ] {
        gateway.channel().serve_keys(unusable.clone());
        gateway.refreshed().await;
        let reply = gateway.teams_message().send().await;
        assert_eq!(reply.status, 200, "{unusable:?}");
        reply.forwarded().await;
    }
}

#[tokio::test]
async fn keys_older_than_the_limit_stop_serving() {
    let gateway = Gateway::with("keys = { refresh = '50ms', max_stale = '2s' }")
        .start()
        .await;
    gateway.channel().close().await;
    until_readiness_is(&gateway, 503).await;
    let reply = gateway.teams_message().send().await;
    reply.refused_before_proof(Reason::KeysUnavailable).await;
    let line = gateway.event("keys_expired", |_| true).await;
    assert_eq!(line["level"], "ERROR", "{line}");
}

pub(crate) async fn until_readiness_is(gateway: &Gateway, status: u16) {
    let polling = async {
        while gateway.admin("/readyz").await.0 != status {
            tokio::task::yield_now().await;
        }
    };
    let in_time = timeout(PATIENCE, polling).await;
    in_time.unwrap_or_else(|_| panic!("/readyz does not come to say {status}"));
}

#[tokio::test]
async fn without_keys_at_start_the_channel_is_told_to_come_again_and_then_let_in() {
    let channel = Channel::start().await.unwrap();
    channel.close().await;
    let gateway = Gateway::with(OFTEN)
        .channel(&channel)
        .not_ready()
        .start()
        .await;
    let reply = gateway.teams_message().send().await;
    let reply = reply.refused_before_proof(Reason::KeysUnavailable).await;
    let seconds: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((5..=30).contains(&seconds), "Retry-After: {seconds}");
    let unknown = gateway.with_kid("made-up").send().await;
    unknown.refused_before_proof(Reason::KeysUnavailable).await;
    // What needs no key is known without keys.
    let reply = gateway.teams_message().without_token().send().await;
    reply.refused_before_proof(Reason::TokenMissing).await;
    let (status, missing) = gateway.admin("/readyz").await;
    assert_eq!(status, 503, "{missing}");

    channel.reopen().await.unwrap();
    until_readiness_is(&gateway, 200).await;
    forwarded(gateway.teams_message()).await;
}

#[tokio::test]
async fn keys_are_taken_from_the_metadatas_own_host_and_from_nowhere_else() {
    type Mislead<'a> = &'a dyn Fn(&Channel);
    let elsewhere = Channel::start().await.unwrap();
    let keys_elsewhere = format!("{}/v1/.well-known/keys", elsewhere.origin());
    let misled: [(&str, Mislead<'_>); 8] = [
        ("keys-elsewhere", &|channel| {
            channel.set_jwks_uri(Some(&keys_elsewhere));
        }),
        ("keys-elsewhere-by-name", &|channel| {
            let same_port = channel.origin().replace("127.0.0.1", "localhost");
            channel.set_jwks_uri(Some(&format!("{same_port}/v1/.well-known/keys")));
        }),
        ("keys-redirected", &|channel| {
            channel.serve_keys(Document::Redirect(keys_elsewhere.clone()));
        }),
        ("metadata-redirected", &|channel| {
            channel.serve_metadata(Document::Redirect(elsewhere.metadata_url()));
        }),
        ("another-issuer", &|channel| {
            channel.serve_metadata(Document::json(format!(
                r#"{{"issuer":"https://evil.example","jwks_uri":"{}/v1/.well-known/keys"}}"#,
                channel.origin()
            )));
        }),
        ("not-metadata", &|channel| {
            channel.serve_metadata(Document::json("[]"));
        }),
        ("not-found", &|channel| {
            channel.serve_keys(Document::status(StatusCode::NOT_FOUND));
        }),
        ("hanging", &|channel| channel.serve_keys(Document::Hang)),
    ];
    let mut fragment = String::from(OFTEN);
    let mut channels = Vec::new();
    for (name, mislead) in misled {
        // All have the same key: if it came from elsewhere, the token would pass.
        let key = elsewhere.first_key().clone();
        let channel = Channel::start_with(key).await.unwrap();
        fragment = format!("{fragment}\n{}", channel.cloud_toml(name));
        mislead(&channel);
        channels.push((name, channel));
    }
    let mut setup = Gateway::with(&fragment).not_ready();
    for (name, _) in &channels {
        setup = setup.bot_at(name, &format!("cloud = '{name}'"));
    }
    let gateway = setup.start().await;
    let rows = channels.iter().map(|(name, channel)| {
        let post = gateway.teams_message().through(channel).to(name);
        row(*name, post, Stranger(Reason::KeysUnavailable))
    });
    let rows = rows.chain([row("another cloud", gateway.teams_message(), Forwarded)]);
    play(rows.collect()).await;
    assert_eq!(elsewhere.fetches(), Fetches::default());
}

#[tokio::test]
async fn a_restart_while_the_channel_is_away_serves_from_the_keys_on_disk() {
    let gateway = Gateway::with("keys.cache_dir = 'kept'").start().await;
    let channel = gateway.channel().clone();
    channel.close().await;
    let gateway = gateway.stop().await.start().await;
    forwarded(gateway.teams_message()).await;
    gateway.event("keys_refresh_failed", |_| true).await;
    let unknown = gateway.with_kid("made-up").send().await;
    unknown.refused_before_proof(Reason::KeysUnavailable).await;
    forwarded(gateway.teams_message()).await;
}

#[tokio::test]
async fn keys_on_disk_that_were_tampered_with_are_not_used() {
    let gateway = Gateway::with("keys.cache_dir = 'kept'").start().await;
    let kept = gateway.folder().join("kept/stand-in.json");
    eventually("the keys are kept", async || kept.exists()).await;
    let text = std::fs::read_to_string(&kept).unwrap();
    assert!(text.contains("msteams"), "{text}");
    std::fs::write(&kept, text.replace("msteams", "telegram")).unwrap();
    gateway.channel().close().await;
    let gateway = gateway.stop().await.not_ready().start().await;
    gateway.event("key_cache_ignored", |_| true).await;
    let reply = gateway.teams_message().send().await;
    reply.refused_before_proof(Reason::KeysUnavailable).await;
}
