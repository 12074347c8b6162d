//! Keys that lie on this machine: local key sets, and what is kept for a restart.

use crate::support::{Gateway, PATIENCE, TENANT, eventually, new_channel};
use aws_lc_rs::digest::{SHA256, digest};
use botgate::cli::demo::channel::{ENDORSED, ISSUER, now};
use botgate::cli::demo::signing::SigningKey;
use botgate::judge::{AGENT_PLATFORM, Reason};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Nobody asks for a file, and the schedule does not either.
const SELDOM: &str = "keys = { refresh = '24h', unknown_key_refresh = '1h', cache_dir = 'kept' }";

fn filed() -> String {
    format!(
        "clouds.stand-in.channel_metadata = 'file:keys.json'\nclouds.stand-in.channel_issuer = '{ISSUER}'"
    )
}

#[tokio::test]
async fn a_local_key_set_is_read_again_when_it_changes_and_a_bad_one_never_replaces_it() {
    let channel = new_channel().await;
    let old = channel.first_key().clone();
    let gateway = Gateway::with(SELDOM)
        .and(&filed())
        .file("keys.json", channel.keys_document())
        .channel(&channel)
        .start()
        .await;
    let place = gateway.folder().join("keys.json");
    gateway.teams_message().send().await.forwarded().await;

    // A change is noticed although nobody names the new key.
    let new = channel.add_key("new", Some(ENDORSED)).unwrap();
    channel.withdraw(old.kid());
    std::fs::write(&place, channel.keys_document()).unwrap();
    eventually("the old key is gone", async || {
        gateway.teams_message().send().await.status == 401
    })
    .await;
    let by = |key: &SigningKey| {
        let key = key.clone();
        gateway.teams_message().token(move |t| t.signed_by(&key))
    };
    by(&new).send().await.forwarded().await;

    // Bad in every way that files are: it is said, and the good keys stay.
    let good = channel.keys_document();
    for (what, bad) in [
        ("EOF while parsing", Some(&good[..good.len() / 2])),
        ("the key set is empty", Some("{\"keys\":[]}")),
        ("No such file", None),
    ] {
        match bad {
            Some(text) => std::fs::write(&place, text).unwrap(),
            None => std::fs::remove_file(&place).unwrap(),
        }
        let line = gateway
            .event("keys_refresh_failed", |line| {
                line["error"].as_str().is_some_and(|e| e.contains(what))
            })
            .await;
        assert!(line["error"].to_string().contains("keys.json"), "{line}");
        by(&new).send().await.forwarded().await;
    }

    // One that was named before it was there is found at once when it is.
    let late = channel.add_key("late", Some(ENDORSED)).unwrap();
    by(&late)
        .send()
        .await
        .refused_before_proof(Reason::KeysUnavailable)
        .await;
    std::fs::write(&place, channel.keys_document()).unwrap();
    eventually("the late key is read", async || {
        by(&late).send().await.status == 200
    })
    .await;
    assert!(!gateway.folder().join("kept").exists(), "no copy is needed");
    assert_eq!(channel.fetches(), Default::default(), "nothing is fetched");
}

#[tokio::test]
async fn a_new_key_in_a_local_key_set_is_found_by_the_first_request_that_names_it() {
    let channel = new_channel().await;
    let gateway = Gateway::with(SELDOM)
        .and(&filed())
        .file("keys.json", channel.keys_document())
        .channel(&channel)
        .start()
        .await;
    let new = channel.add_key("new", Some(ENDORSED)).unwrap();
    std::fs::write(gateway.folder().join("keys.json"), channel.keys_document()).unwrap();
    let post = gateway.teams_message().token(move |t| t.signed_by(&new));
    post.send().await.forwarded().await;
}

#[tokio::test]
async fn a_local_key_set_that_is_broken_at_start_is_named_with_its_place() {
    for (content, says) in [("{\"keys\":[]}", "empty"), ("{\"keys\":[", "EOF")] {
        let failure = Gateway::with(&filed())
            .file("keys.json", content)
            .try_start()
            .await;
        let failure = failure.err().expect("it does not start");
        assert_eq!(failure.status.and_then(|status| status.code()), Some(78));
        let text = failure.to_string();
        for wanted in ["gateway.toml:", "channel_metadata", "keys.json", says] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
    }
}

#[tokio::test]
async fn a_restart_in_an_outage_serves_every_kind_of_token_from_disk() {
    let agent = format!("accept = ['agent']\ntenants.allow = ['{TENANT}']");
    let gateway = Gateway::with("keys.cache_dir = 'kept'")
        .bot_at("skill", "accept = ['skill']\ncallers.allow = ['*']")
        .bot_at("agent", &agent)
        .start()
        .await;
    let of_tenant = format!("stand-in+{TENANT}.json");
    for name in ["stand-in.json", "stand-in+entra.json", &of_tenant] {
        let file = gateway.folder().join("kept").join(name);
        eventually("the keys are kept", async || file.exists()).await;
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    gateway.channel().close().await;
    let gateway = gateway.stop().await.start().await;
    let of_entra = |caller: &'static str| {
        let channel = gateway.channel().clone();
        move |t: botgate::cli::demo::token::TokenSpec| {
            channel.entra_token(t.claims["aud"].as_str().unwrap(), TENANT, caller)
        }
    };
    let skill = gateway.teams_message().to("skill");
    let skill = skill.token(of_entra("3a9c1b70-8a4c-4f7e-9d55-6f2b1b0a9c11"));
    let agent = gateway.teams_message().to("agent");
    let agent = agent
        .with("/recipient/role", "agenticUser")
        .token(of_entra(AGENT_PLATFORM));
    for post in [gateway.teams_message(), skill, agent] {
        post.send().await.forwarded().await;
    }
}

#[tokio::test]
async fn kept_keys_that_others_could_have_written_are_not_used() {
    let gateway = Gateway::with("keys.cache_dir = 'kept'").start().await;
    let kept = kept(&gateway).await;
    gateway.channel().close().await;
    let stopped = gateway.stop().await;
    std::fs::set_permissions(&kept, std::fs::Permissions::from_mode(0o666)).unwrap();
    let gateway = stopped.not_ready().start().await;
    let line = gateway.event("key_cache_ignored", |_| true).await;
    assert!(line["why"].to_string().contains("chmod 600"), "{line}");
    let reply = gateway.teams_message().send().await;
    reply.refused_before_proof(Reason::KeysUnavailable).await;
}

#[tokio::test]
async fn keys_that_nobody_could_renew_for_a_day_are_pointed_out_once() {
    const HOUR: u64 = 3600;
    let settings = "keys = { refresh = '50ms', cache_dir = 'kept' }";
    let gateway = Gateway::with(settings).start().await;
    let kept = kept(&gateway).await;
    gateway.channel().close().await;
    let stopped = gateway.stop().await;
    date_back(&kept, now() - 25 * HOUR);
    let gateway = stopped.start().await;
    gateway.teams_message().send().await.forwarded().await;
    let line = gateway.event("keys_stale", |_| true).await;
    assert_eq!(line["level"], "WARN", "{line}");
    assert!(line["age_seconds"].as_u64().unwrap() >= 25 * HOUR, "{line}");
    let age = format!("botgate_keys_age_seconds{{issuer=\"{ISSUER}\"}}");
    assert!(gateway.metric(&age).await >= (25 * HOUR) as f64);
    let failures = |output: &botgate::cli::demo::gateway::Output, event: &str| {
        let lines = output.log.iter();
        lines.filter(|line| line["event"] == event).count()
    };
    let many = |output: &_| failures(output, "keys_refresh_failed") >= 5;
    assert!(gateway.process().wait_until(many, PATIENCE).await);
    assert_eq!(failures(&gateway.output(), "keys_stale"), 1);

    // Older than keys.max_stale: as if there were none.
    let stopped = gateway.stop().await;
    date_back(&kept, now() - 72 * HOUR);
    let gateway = stopped.not_ready().start().await;
    gateway.event("key_cache_ignored", |_| true).await;
    let reply = gateway.teams_message().send().await;
    reply.refused_before_proof(Reason::KeysUnavailable).await;
}

/// Where the keys of the stand-in channel are kept, once they are.
async fn kept(gateway: &Gateway) -> std::path::PathBuf {
    let kept = gateway.folder().join("kept/stand-in.json");
    eventually("the keys are kept", async || kept.exists()).await;
    kept
}

/// Makes kept keys older than they are, with the checksum that fits.
fn date_back(kept: &Path, fetched_at: u64) {
    let mut saved: Value = serde_json::from_slice(&std::fs::read(kept).unwrap()).unwrap();
    let text = |name: &str| saved[name].as_str().unwrap().to_owned();
    let covered = format!("{}\n{fetched_at}\n{}", text("metadata"), text("keys"));
    let sum = digest(&SHA256, covered.as_bytes());
    let sum: String = sum.as_ref().iter().map(|b| format!("{b:02x}")).collect();
    saved["fetched_at"] = fetched_at.into();
    saved["sha256"] = sum.into();
    std::fs::write(kept, saved.to_string()).unwrap();
}
