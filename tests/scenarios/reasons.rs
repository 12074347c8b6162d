//! The reasons table, walked: every reason is produced here, or is on the list of those that a later version brings.

use crate::support::client::Post;
use crate::support::direct_line::{How as Service, SECRET, TokenService, page};
use crate::support::wire::{LateRequest, Wire};
use crate::support::{APP_ID, FOREIGN_TENANT, Gateway, TENANT, eventually, new_channel};
use botgate::cli::demo::bot::{Answer, EchoBot};
use botgate::cli::demo::channel::{Document, now};
use botgate::cli::demo::client::Protocol;
use botgate::cli::demo::signing::Algorithm;
use botgate::judge::Reason;
use http::{Method, StatusCode};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::pin::Pin;

/// How a reason comes about.
enum How {
    /// By this request, whose sender has proven nothing yet.
    Stranger(fn(&Gateway) -> Post),
    /// By this request, whose sender is proven.
    Proven(fn(&Gateway) -> Post),
    /// By more than one request. The scenario asserts all that the others have asserted for them.
    Told(Scenario),
    /// Not in this version; the feature that brings it.
    Later(&'static str),
}

type Scenario = for<'g> fn(&'g Gateway) -> Pin<Box<dyn Future<Output = ()> + 'g>>;

#[tokio::test]
async fn every_reason_comes_about_as_the_table_says() {
    let away = EchoBot::start().await.unwrap();
    let bot = EchoBot::start().await.unwrap();
    let mut setup = Gateway::with(STRICT).bot(&bot);
    for (name, other, more) in [
        ("slow", &bot, "[bots.timeouts]\nresponse = \"300ms\""),
        ("away", &away, ""),
        ("skill", &bot, "accept = [\"skill\"]"),
        ("per_bot", &bot, ONE_AN_HOUR),
        ("per_tenant", &bot, ONE_AN_HOUR),
        ("per_conversation", &bot, ONE_AN_HOUR),
        ("per_user", &bot, ONE_AN_HOUR),
    ] {
        let more = more.replace("KEY", name);
        let more = format!("hosts = [\"localhost\"]\npath = \"/{name}\"\n{more}");
        setup = setup.another_bot(name, other, &more);
    }
    let gateway = setup.start().await;
    away.close().await;

    let mut produced = BTreeSet::new();
    for reason in Reason::ALL.iter().copied() {
        match how(reason) {
            How::Stranger(post) => {
                let reply = post(&gateway).send().await;
                reply.refused_before_proof(reason).await;
            }
            How::Proven(post) => {
                let reply = post(&gateway).send().await;
                reply.refused_after_proof(reason).await;
            }
            How::Told(scenario) => scenario(&gateway).await,
            How::Later(feature) => {
                assert!(!feature.is_empty(), "{}", reason.code());
                continue;
            }
        }
        produced.insert(reason.code());
        gateway.bot().echo();
    }
    gateway.teams_message().send().await.forwarded().await;

    // The metric has the same words, and no others. Some reasons came about at gateways of their own.
    let (_, page) = gateway.admin("/metrics").await;
    let counted = page
        .lines()
        .filter(|line| line.starts_with("botgate_requests_total{"));
    for line in counted {
        let reason = line
            .split("reason=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        let reason = reason.unwrap();
        assert!(reason.is_empty() || produced.contains(reason), "{line}");
    }
    // Looks for second lines.
    assert!(gateway.terminate().await.success());
}

#[tokio::test]
async fn a_connection_too_many_is_closed_before_it_says_anything() {
    let gateway = Gateway::with("[server.limits]\nconnections_per_ip = 2")
        .start()
        .await;
    let refused = "botgate_connections_refused_total{reason=\"connection_limited\"}";
    let held = [
        gateway.client().connect(Protocol::Http1).await.unwrap(),
        gateway.client().connect(Protocol::Http2).await.unwrap(),
    ];
    for number in [1.0, 2.0] {
        let third = gateway.client().handshake(Protocol::Http1).await;
        assert!(third.is_err(), "there is no TLS to be had");
        eventually("it is counted", async || {
            gateway.metric(refused).await >= number
        })
        .await;
    }
    assert_eq!(gateway.request_lines(), Vec::<Value>::new());
    drop(held);
    // Whoever closes connections may open others.
    let open = "botgate_connections{state=\"open\"}";
    eventually("they are closed", async || gateway.metric(open).await < 1.0).await;
    gateway.teams_message().send().await.forwarded().await;
}

/// The table. A new reason does not compile until it stands here.
fn how(reason: Reason) -> How {
    use How::{Later, Proven, Stranger, Told};
    match reason {
        // What is no request for a bot.
        Reason::RequestMalformed => Stranger(|g| g.teams_message().host("user@localhost")),
        Reason::HostNotServed => Stranger(|g| g.teams_message().host("other.example")),
        Reason::PathNotFound => Stranger(|g| g.teams_message().path("/api/messages/")),
        Reason::MethodNotAllowed => Stranger(|g| g.teams_message().method(Method::PUT)),
        Reason::UpgradeRefused => Stranger(|g| {
            g.teams_message()
                .header("connection", "upgrade")
                .header("upgrade", "websocket")
        }),
        Reason::ContentTypeUnsupported => {
            Stranger(|g| g.teams_message().header("content-type", "text/json"))
        }
        Reason::ContentEncodingUnsupported => {
            Stranger(|g| g.teams_message().header("content-encoding", "gzip"))
        }
        Reason::HeadersTooLarge => Stranger(|g| {
            let fields = (0..30).map(|number| format!("x-field-{number}"));
            let post = g.teams_message().over_http2();
            fields.fold(post, |post, name| post.header(&name, "1"))
        }),
        Reason::BodyTooLarge => Stranger(|g| g.teams_message().body(vec![b' '; 70_000])),
        Reason::BodyTimedOut => Told(|_| Box::pin(a_body_that_does_not_come())),
        Reason::ConnectionLimited => Later("an answer in HTTP; see the test above"),
        Reason::RateLimitedIp => Told(|_| Box::pin(an_address_too_eager())),
        Reason::Overloaded => Told(|_| Box::pin(a_bot_with_its_hands_full())),

        // Who is not proven.
        Reason::TokenMissing => Stranger(|g| g.teams_message().without_token()),
        Reason::TokenRepeated => Stranger(|g| {
            g.teams_message()
                .authorization(&["Bearer a.b.c", "Bearer a.b.c"])
        }),
        Reason::TokenSchemeUnsupported => {
            Stranger(|g| g.teams_message().authorization(&["Basic Ym90OnNlY3JldA=="]))
        }
        Reason::TokenMalformed => Stranger(|g| g.teams_message().authorization(&["Bearer a.b"])),
        Reason::TokenAlgorithmRefused => Stranger(|g| {
            g.teams_message()
                .token(|t| t.signed_as(Algorithm::Hs256WithPem))
        }),
        Reason::TokenIssuerUnknown => Stranger(|g| {
            g.teams_message()
                .token(|t| t.claim("iss", "https://evil.example"))
        }),
        Reason::TokenKindNotAccepted => Stranger(|g| {
            let issuer = format!("https://sts.windows.net/{TENANT}/");
            g.teams_message().token(|t| t.claim("iss", issuer))
        }),
        Reason::TokenAudienceMismatch => {
            Stranger(|g| g.teams_message().token(|t| t.claim("aud", FOREIGN_TENANT)))
        }
        Reason::TokenExpired => Stranger(|g| {
            let hour = 3600;
            g.teams_message()
                .token(move |t| t.claim("nbf", now() - 2 * hour).claim("exp", now() - hour))
        }),
        Reason::TokenNotYetValid => Stranger(|g| {
            let hour = 3600;
            g.teams_message()
                .token(move |t| t.claim("nbf", now() + hour).claim("exp", now() + 2 * hour))
        }),
        Reason::TokenLifetimeInvalid => {
            Stranger(|g| g.teams_message().token(|t| t.without_claim("exp")))
        }
        Reason::TokenKeyUnknown => {
            Stranger(|g| g.teams_message().token(|t| t.header("kid", "made-up")))
        }
        Reason::TokenSignatureInvalid => {
            Stranger(|g| g.teams_message().token(|t| t.with_a_bit_flipped()))
        }
        Reason::TokenClaimsInvalid => {
            Stranger(|g| called_as_a_skill(g).token(|t| t.claim("scp", "user_impersonation")))
        }
        Reason::KeysUnavailable => Told(|_| Box::pin(no_keys_to_be_had())),

        // What cannot be read in exactly one way.
        Reason::ActivityMalformed => Proven(|g| g.teams_message().text(|text| text + "x")),
        Reason::ActivityAmbiguous => Proven(|g| {
            let twice = "{\"serviceUrl\": \"https://evil.example/\",";
            g.teams_message().text(|text| text.replacen('{', twice, 1))
        }),
        Reason::ActivityTooComplex => Proven(|g| {
            let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
            g.teams_message()
                .activity(|activity| activity["value"] = deep)
        }),
        Reason::ActivityFieldInvalid => Proven(|g| {
            g.teams_message()
                .activity(|activity| activity["conversation"] = json!("a string"))
        }),

        // What the protocol or the operator does not allow.
        Reason::ChannelNotEndorsed => Proven(|g| {
            g.teams_message()
                .activity(|activity| activity["channelId"] = json!("slack"))
        }),
        Reason::ChannelNotAllowed => Proven(|g| g.post("email-message.json")),
        Reason::ServiceUrlMismatch => Proven(|g| {
            let other = "https://smba.trafficmanager.net/other/";
            g.teams_message()
                .token(move |t| t.claim("serviceurl", other))
        }),
        Reason::ServiceUrlNotAllowed => Proven(|g| {
            g.teams_message()
                .activity(|activity| activity["serviceUrl"] = json!("https://evil.example/"))
        }),
        Reason::TenantMissing => Proven(|g| {
            g.teams_message().activity(|activity| {
                activity["serviceUrl"] = json!("https://smba.trafficmanager.net/emea/");
                activity["conversation"] = json!({ "id": "a:1" });
                activity["channelData"] = json!({});
            })
        }),
        Reason::TenantMalformed => Proven(|g| {
            g.teams_message()
                .activity(|activity| activity["conversation"]["tenantId"] = json!("contoso.com"))
        }),
        Reason::TenantNotAllowed => Proven(|g| {
            g.teams_message()
                .text(|text| text.replace(TENANT, FOREIGN_TENANT))
        }),
        Reason::CallerNotAllowed => Proven(called_as_a_skill),
        Reason::ActivityTypeNotAllowed => Proven(|g| g.post("teams-conversation-update.json")),
        Reason::InvokeNotAllowed => Proven(|g| {
            g.post("teams-invoke.json")
                .activity(|activity| activity["name"] = json!("signin/verifyState"))
        }),
        Reason::UserIdNotTrusted => Proven(|g| {
            g.post("webchat-message.json")
                .activity(|activity| activity["from"]["id"] = json!("admin"))
        }),

        // How often.
        Reason::RateLimitedBot => {
            Told(|g| Box::pin(too_often(g, "/per_bot", Reason::RateLimitedBot)))
        }
        Reason::RateLimitedTenant => {
            Told(|g| Box::pin(too_often(g, "/per_tenant", Reason::RateLimitedTenant)))
        }
        Reason::RateLimitedConversation => Told(|g| {
            Box::pin(too_often(
                g,
                "/per_conversation",
                Reason::RateLimitedConversation,
            ))
        }),
        Reason::RateLimitedUser => {
            Told(|g| Box::pin(too_often(g, "/per_user", Reason::RateLimitedUser)))
        }
        Reason::LimitStoreUnavailable => Told(|_| Box::pin(a_store_that_is_away())),

        // The bot.
        Reason::UpstreamUnreachable => Told(|g| {
            Box::pin(async move {
                let reply = g.teams_message().path("/away").send().await;
                reply.failed_upstream(Reason::UpstreamUnreachable, 0).await;
            })
        }),
        Reason::UpstreamBroken => Told(|g| {
            Box::pin(async move {
                g.bot().answer_with(|_| Answer::raw("no HTTP\r\n\r\n"));
                let reply = g.teams_message().send().await;
                reply.failed_upstream(Reason::UpstreamBroken, 1).await;
            })
        }),
        Reason::UpstreamTimedOut => Told(|g| {
            Box::pin(async move {
                g.bot().answer_with(|_| Answer::hang());
                let reply = g.teams_message().path("/slow").send().await;
                reply.failed_upstream(Reason::UpstreamTimedOut, 1).await;
            })
        }),
        Reason::UpstreamUnhealthy => Told(|_| Box::pin(a_bot_that_says_it_is_not_well())),

        // Other doors.
        Reason::OriginNotAllowed => Told(|_| Box::pin(a_page_of_another_origin())),
        Reason::DirectLineRefused => Told(|_| Box::pin(a_secret_that_is_not_taken())),
        Reason::DirectLineUnreachable => Told(|_| Box::pin(a_direct_line_that_is_not_there())),
        Reason::EgressDenied => Later("the egress guard"),

        Reason::Draining => Told(|_| Box::pin(a_gateway_about_to_end())),
    }
}

/// A token that another application was issued for this bot.
fn called_as_a_skill(gateway: &Gateway) -> Post {
    let channel = gateway.channel().clone();
    let post = gateway.teams_message().path("/skill");
    post.token(move |_| channel.entra_token(APP_ID, TENANT, FOREIGN_TENANT))
}

async fn too_often(gateway: &Gateway, path: &str, reason: Reason) {
    let message = || gateway.teams_message().path(path);
    message().send().await.forwarded().await;
    message().send().await.refused_after_proof(reason).await;
}

async fn a_body_that_does_not_come() {
    let gateway = Gateway::with("[server.limits]\nbody_timeout = \"200ms\"")
        .start()
        .await;
    let [head, _] = gateway.teams_message().into_pieces("content-length: 10");
    let mut wire = Wire::open(&gateway).await;
    wire.write(&head).await;
    let reply = wire.answer().await.expect("an answer");
    reply.refused_after_proof(Reason::BodyTimedOut).await;
}

async fn a_store_that_is_away() {
    // Nobody listens there.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let gateway = Gateway::with(&format!(
        "[state]\nstore = \"redis\"\nredis = \"redis://{address}\"\non_store_failure = \"deny\""
    ))
    .not_ready()
    .start()
    .await;
    eventually("it has keys", async || {
        gateway.admin("/readyz").await.1.contains("[\"store\"]")
    })
    .await;
    let reply = gateway.teams_message().send().await;
    reply
        .refused_after_proof(Reason::LimitStoreUnavailable)
        .await;
}

async fn an_address_too_eager() {
    let gateway = Gateway::with("[server.limits]\nrequests_per_ip = { rate = \"1/h\", burst = 1 }")
        .start()
        .await;
    gateway.teams_message().send().await.forwarded().await;
    let reply = gateway.teams_message().send().await;
    reply.refused_before_proof(Reason::RateLimitedIp).await;
}

async fn a_bot_with_its_hands_full() {
    let gateway = Gateway::with("bots.in_flight = 1").start().await;
    let mut streams = gateway.bot().answer_with_streams("text/plain");
    let held = tokio::spawn(gateway.teams_message().try_send());
    let pieces = streams.recv().await.expect("the bot is at work");
    let reply = gateway.teams_message().send().await;
    reply.refused_before_proof(Reason::Overloaded).await;
    drop(pieces);
    assert_eq!(held.await.unwrap().unwrap().status, 200);
}

async fn no_keys_to_be_had() {
    let channel = new_channel().await;
    channel.serve_metadata(Document::status(StatusCode::BAD_GATEWAY));
    let gateway = Gateway::with("")
        .channel(&channel)
        .not_ready()
        .start()
        .await;
    let reply = gateway.teams_message().send().await;
    reply.refused_before_proof(Reason::KeysUnavailable).await;
}

async fn a_bot_that_says_it_is_not_well() {
    let bot = EchoBot::start().await.unwrap();
    bot.answer_with(|_| Answer::status(StatusCode::SERVICE_UNAVAILABLE));
    let health = "[bots.health]\npath = \"/healthz\"\nevery = \"100ms\"";
    // Another bot than the one that counts: it is asked about its health.
    let backend = format!("[bots]\nbackend = \"{}\"\n{health}", bot.messages_url());
    let gateway = Gateway::with(&backend).not_ready().start().await;
    gateway.event("backend_down", |_| true).await;
    gateway.event("keys_refreshed", |_| true).await;
    let reply = gateway.teams_message().send().await;
    let reply = reply.refused_after_proof(Reason::UpstreamUnhealthy).await;
    assert_eq!(reply.header("retry-after"), Some("1"));
}

async fn with_a_broker(service: &TokenService) -> Gateway {
    Gateway::with(&service.broker("timeout = '200ms'"))
        .file("secret", SECRET)
        .start()
        .await
}

async fn a_page_of_another_origin() {
    let service = TokenService::start().await;
    let gateway = with_a_broker(&service).await;
    let post = page(&gateway).header("origin", "https://evil.example");
    let reply = post.send().await;
    reply.refused_before_proof(Reason::OriginNotAllowed).await;
}

async fn a_secret_that_is_not_taken() {
    let service = TokenService::start().await;
    service.takes_only("another");
    let gateway = with_a_broker(&service).await;
    let reply = page(&gateway).send().await;
    reply.refused_before_proof(Reason::DirectLineRefused).await;
}

async fn a_direct_line_that_is_not_there() {
    let service = TokenService::start().await;
    service.answers_as(Service::Hangs);
    let gateway = with_a_broker(&service).await;
    let reply = page(&gateway).send().await;
    reply
        .refused_before_proof(Reason::DirectLineUnreachable)
        .await;
}

async fn a_gateway_about_to_end() {
    let gateway = Gateway::start().await;
    let mut late = LateRequest::begin(&gateway).await;
    gateway.signal(Signal::SIGTERM);
    gateway.event("drain_closing", |_| true).await;
    let reply = late.finish().await;
    reply.refused_before_proof(Reason::Draining).await;
}

/// Everything an operator can forbid is forbidden, but a Teams or Web Chat message of one tenant.
const STRICT: &str = "
    [server.limits]
    headers = 20
    body_bytes = \"64KiB\"
    [bots]
    hosts = [\"localhost\"]
    [bots.tenants]
    allow = [\"8c1f2e3d-4b5a-4968-8776-5a4b3c2d1e0f\"]
    [bots.channels]
    allow = [\"msteams\", \"webchat\"]
    [bots.activities]
    allow = [\"message\", \"invoke\"]
    deny_invoke = [\"signin/verifyState\"]
    [bots.direct_line]
    enhanced_authentication = true
";

const ONE_AN_HOUR: &str = "[bots.rate_limits]\nKEY = { rate = \"1/h\", burst = 1 }";
