//! How often: budgets per address before any proof, and per user, conversation, tenant and bot after it.

use crate::support::client::Post;
use crate::support::reply::Reply;
use crate::support::{Gateway, TENANT};
use botgate::cli::demo::bot::EchoBot;
use botgate::judge::Reason;
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

const OTHER_TENANT: &str = "0e1d2c3b-4a59-4687-9786-a5b4c3d2e1f0";

#[tokio::test]
async fn an_address_has_a_budget_before_any_token_is_looked_at() {
    let gateway = Gateway::with("[server.limits]\nrequests_per_ip = { rate = \"1/h\", burst = 3 }")
        .start()
        .await;
    let post = || gateway.teams_message();
    let reply = post().without_token().send().await;
    reply.refused_before_proof(Reason::TokenMissing).await;
    post().send().await.forwarded().await;
    let reply = post().path("/nowhere").send().await;
    reply.refused_before_proof(Reason::PathNotFound).await;
    for post in [
        post(),
        post().over_http2(),
        post().without_token(),
        post().path("/nowhere"),
        post().body("no JSON"),
    ] {
        let reply = post.send().await;
        let reply = reply.refused_before_proof(Reason::RateLimitedIp).await;
        // One an hour: nothing else is true.
        assert!((3500..=3600).contains(&retry_after(&reply)));
        let line = reply.only_request_line().await;
        assert_eq!(line.get("token_issuer"), None, "no token was read: {line}");
    }
}

#[tokio::test]
async fn the_address_behind_a_trusted_proxy_is_the_one_that_counts() {
    let gateway = Gateway::with(
        "[server]\ntrusted_proxies = [\"127.0.0.1\"]\n[server.limits]\nrequests_per_ip = { rate = \"1/h\", burst = 1 }",
    )
    .start()
    .await;
    let from = |address: &str| gateway.teams_message().header("x-forwarded-for", address);
    from("203.0.113.1").send().await.forwarded().await;
    from("203.0.113.2").send().await.forwarded().await;
    // Whatever a client writes before it, the proxy's own word is the last.
    for claimed in ["203.0.113.1", "198.51.100.7, 203.0.113.1"] {
        let reply = from(claimed).send().await;
        reply.refused_before_proof(Reason::RateLimitedIp).await;
    }
    // One customer of an IPv6 provider has 2^64 addresses.
    from("2001:db8:1:2::1").send().await.forwarded().await;
    let reply = from("2001:db8:1:2:ffff::9").send().await;
    reply.refused_before_proof(Reason::RateLimitedIp).await;
}

#[tokio::test]
async fn an_address_that_is_not_a_trusted_proxys_cannot_choose_its_own() {
    let gateway = Gateway::with("[server.limits]\nrequests_per_ip = { rate = \"1/h\", burst = 1 }")
        .start()
        .await;
    let from = |address: &str| gateway.teams_message().header("x-forwarded-for", address);
    from("203.0.113.1").send().await.forwarded().await;
    let reply = from("203.0.113.2").send().await;
    reply.refused_before_proof(Reason::RateLimitedIp).await;
}

#[tokio::test]
async fn every_kind_of_sender_has_a_budget_of_its_own() {
    for (key, reason, same, other) in [
        (
            "per_user",
            Reason::RateLimitedUser,
            in_conversation as fn(Post, &str) -> Post,
            of_user as fn(Post, &str) -> Post,
        ),
        (
            "per_conversation",
            Reason::RateLimitedConversation,
            of_user,
            in_conversation,
        ),
        ("per_tenant", Reason::RateLimitedTenant, of_user, of_tenant),
    ] {
        let gateway = Gateway::with(&one_an_hour(key, 2)).start().await;
        let post = || gateway.teams_message();
        post().send().await.forwarded().await;
        same(post(), "another").send().await.forwarded().await;
        for exceeding in [post(), same(post(), "a-third"), post().over_http2()] {
            let reply = exceeding.send().await;
            let reply = reply.refused_after_proof(reason).await;
            assert!((3500..=3600).contains(&retry_after(&reply)), "{key}");
        }
        let value = if key == "per_tenant" {
            OTHER_TENANT
        } else {
            "another"
        };
        let reply = other(post(), value).send().await;
        reply.forwarded().await;
    }
}

#[tokio::test]
async fn a_bot_has_a_budget_and_its_neighbour_another() {
    let neighbour = EchoBot::start().await.unwrap();
    let gateway = Gateway::with(&one_an_hour("per_bot", 2))
        .another_bot(
            "neighbour",
            &neighbour,
            "path = \"/neighbour\"\n[bots.rate_limits]\nper_bot = { rate = \"1/h\", burst = 1 }",
        )
        .start()
        .await;
    let post = || gateway.teams_message();
    post().send().await.forwarded().await;
    of_tenant(of_user(post(), "another"), OTHER_TENANT)
        .send()
        .await
        .forwarded()
        .await;
    for exceeding in [post(), in_conversation(of_user(post(), "x"), "y")] {
        let reply = exceeding.send().await;
        reply.refused_after_proof(Reason::RateLimitedBot).await;
    }
    let reply = post().path("/neighbour").send().await;
    assert_eq!(reply.status, 200);
    assert_eq!(neighbour.seen().len(), 1);
    let reply = post().path("/neighbour").send().await;
    reply.refused_after_proof(Reason::RateLimitedBot).await;
    assert_eq!(neighbour.seen().len(), 1);
}

#[tokio::test]
async fn what_one_user_sends_too_much_costs_nobody_else() {
    let gateway = Gateway::with(
        "[bots.rate_limits]\n\
         per_user = { rate = \"1/h\", burst = 1 }\n\
         per_conversation = { rate = \"1/h\", burst = 3 }\n\
         per_tenant = { rate = \"1/h\", burst = 3 }\n\
         per_bot = { rate = \"1/h\", burst = 3 }",
    )
    .start()
    .await;
    let post = |user: &str| of_user(gateway.teams_message(), user);
    post("eager").send().await.forwarded().await;
    for _ in 0..10 {
        let reply = post("eager").send().await;
        reply.refused_after_proof(Reason::RateLimitedUser).await;
    }
    post("second").send().await.forwarded().await;
    post("third").send().await.forwarded().await;
    let reply = post("fourth").send().await;
    reply
        .refused_after_proof(Reason::RateLimitedConversation)
        .await;
}

#[tokio::test]
async fn an_unproven_request_costs_no_user_anything() {
    let gateway = Gateway::with(&one_an_hour("per_user", 1)).start().await;
    for (post, reason) in [
        (
            gateway.teams_message().token(|t| t.with_a_bit_flipped()),
            Reason::TokenSignatureInvalid,
        ),
        (
            gateway.teams_message().token(|t| t.claim("aud", "other")),
            Reason::TokenAudienceMismatch,
        ),
    ] {
        post.send().await.refused_before_proof(reason).await;
    }
    // Nor does one that a policy refuses.
    let stolen = gateway
        .teams_message()
        .token(|t| t.claim("serviceurl", "https://smba.trafficmanager.net/other/"));
    let reply = stolen.send().await;
    reply.refused_after_proof(Reason::ServiceUrlMismatch).await;
    gateway.teams_message().send().await.forwarded().await;
}

#[tokio::test]
async fn retry_after_is_true() {
    let gateway = Gateway::with(
        "[bots.rate_limits]\nper_user = { rate = \"1/s\", burst = 1 }\nper_bot = { rate = \"1/h\", burst = 3 }",
    )
    .start()
    .await;
    gateway.teams_message().send().await.forwarded().await;
    for _ in 0..2 {
        let started = Instant::now();
        let reply = gateway.teams_message().send().await;
        let reply = reply.refused_after_proof(Reason::RateLimitedUser).await;
        let seconds = retry_after(&reply);
        assert_eq!(seconds, 1, "no longer than it has to be");
        // The promise is about this time.
        tokio::time::sleep_until(started + Duration::from_secs(seconds)).await;
        gateway.teams_message().send().await.forwarded().await;
    }
    // The bot's budget is gone too now, and that is what has to be waited for.
    let reply = gateway.teams_message().send().await;
    let reply = reply.refused_after_proof(Reason::RateLimitedUser).await;
    assert!(retry_after(&reply) > 3500, "{}", retry_after(&reply));
}

#[tokio::test]
async fn the_retry_after_of_an_address_is_true() {
    let gateway = Gateway::with("[server.limits]\nrequests_per_ip = { rate = \"1/s\", burst = 1 }")
        .start()
        .await;
    gateway.teams_message().send().await.forwarded().await;
    let reply = gateway.teams_message().send().await;
    let reply = reply.refused_before_proof(Reason::RateLimitedIp).await;
    tokio::time::sleep(Duration::from_secs(retry_after(&reply))).await;
    gateway.teams_message().send().await.forwarded().await;
}

#[tokio::test]
async fn in_report_mode_everything_is_forwarded_and_noted() {
    let quota = "{ rate = \"1/h\", burst = 1 }";
    for (key, reason) in [
        ("per_user", Reason::RateLimitedUser),
        ("per_bot", Reason::RateLimitedBot),
    ] {
        let limits = format!("[bots.rate_limits]\nmode = \"report\"\n{key} = {quota}");
        let gateway = Gateway::with(&limits).start().await;
        gateway.teams_message().send().await.forwarded().await;
        for _ in 0..2 {
            let reply = gateway.teams_message().send().await;
            assert_eq!((reply.status, reply.header("retry-after")), (200, None));
            reply.forwarded_but_would_reject(reason).await;
        }
        let sample = format!(
            "botgate_requests_total{{bot=\"echo\",door=\"ingress\",reason=\"{}\",verdict=\"would_reject\"}}",
            reason.code()
        );
        let count = gateway.metric(&sample).await;
        assert!((count - 2.0).abs() < f64::EPSILON, "{count}");
    }
    // The mode of the whole bot holds where rate_limits says nothing, and not where it does.
    let limits = format!("[bots]\nmode = \"report\"\n[bots.rate_limits]\nper_user = {quota}");
    let gateway = Gateway::with(&limits).start().await;
    gateway.teams_message().send().await.forwarded().await;
    let reply = gateway.teams_message().send().await;
    reply
        .forwarded_but_would_reject(Reason::RateLimitedUser)
        .await;
    let limits = format!(
        "[bots]\nmode = \"report\"\n[bots.rate_limits]\nmode = \"enforce\"\nper_user = {quota}"
    );
    let gateway = Gateway::with(&limits).start().await;
    gateway.teams_message().send().await.forwarded().await;
    let reply = gateway.teams_message().send().await;
    reply.refused_after_proof(Reason::RateLimitedUser).await;
}

// Words

fn one_an_hour(key: &str, burst: u32) -> String {
    format!("[bots.rate_limits]\n{key} = {{ rate = \"1/h\", burst = {burst} }}")
}

fn of_user(post: Post, user: &str) -> Post {
    post.activity(|activity| activity["from"]["id"] = json!(user))
}

fn in_conversation(post: Post, conversation: &str) -> Post {
    post.activity(|activity| activity["conversation"]["id"] = json!(conversation))
}

/// In every place where the message names its tenant.
fn of_tenant(post: Post, tenant: &str) -> Post {
    post.text(|text| text.replace(TENANT, tenant))
}

fn retry_after(reply: &Reply) -> u64 {
    let seconds = reply.header("retry-after").expect("it says when");
    seconds.parse().expect("whole seconds")
}
