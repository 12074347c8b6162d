//! Several gateways count and remember as one, in a real Redis; and what each of them does when that is away.

use crate::support::authority::Authority;
use crate::support::client::Post;
use crate::support::held_bot::HeldBot;
use crate::support::metrics::Page;
use crate::support::redis::{self, Redis, TLS_PORT};
use crate::support::reply::Reply;
use crate::support::{Gateway, eventually, new_channel};
use botgate::cli::demo::bot::EchoBot;
use botgate::cli::demo::channel::Channel;
use botgate::judge::Reason;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::collections::HashSet;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

const ON: &str = "[bots.redelivery]\nwindow = \"10m\"";

// Counting together

#[tokio::test]
async fn three_gateways_admit_what_one_would_to_the_request() {
    if !redis::is_installed() {
        return;
    }
    const BURST: usize = 60;
    let redis = Redis::start().await;
    for (budget, reason) in [
        ("per_user", Reason::RateLimitedUser),
        ("per_conversation", Reason::RateLimitedConversation),
        ("per_tenant", Reason::RateLimitedTenant),
        ("per_bot", Reason::RateLimitedBot),
    ] {
        // Nothing comes back while it is counted.
        let limits =
            format!("[bots.rate_limits]\n{budget} = {{ rate = \"1/h\", burst = {BURST} }}");
        let fleet = fleet::<3>(&redis, &limits).await;
        let replies = flood(&fleet, BURST).await;
        let admitted = replies.iter().filter(|reply| reply.status == 200).count();
        assert_eq!(admitted, BURST, "{budget}: of {} sent", replies.len());
        for reply in replies.into_iter().filter(|reply| reply.status != 200) {
            let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
            assert!((3500..=3600).contains(&wait), "{wait}");
            assert_eq!(reply.json()["error"]["code"], reason.code());
            let line = reply.only_request_line().await;
            assert_eq!(line["reason"], reason.code(), "{line}");
        }
        redis.tell(&["FLUSHALL"]).await;
    }
}

#[tokio::test]
async fn what_comes_back_comes_back_once_for_all_of_them() {
    if !redis::is_installed() {
        return;
    }
    const RATE: f64 = 40.0;
    const BURST: f64 = 20.0;
    let redis = Redis::start().await;
    let limits =
        format!("[bots.rate_limits]\nper_bot = {{ rate = \"{RATE}/s\", burst = {BURST} }}");
    let fleet = fleet::<3>(&redis, &limits).await;
    let begin = redis.now().await;
    let mut sending = vec![];
    for gateway in &fleet {
        for _ in 0..4 {
            let gateway = gateway.clone();
            sending.push(tokio::spawn(async move {
                let (until, mut admitted) = (Instant::now() + Duration::from_secs(3), 0_u32);
                while Instant::now() < until {
                    admitted += u32::from(gateway.teams_message().send().await.status == 200);
                }
                admitted
            }));
        }
    }
    let mut admitted = 0;
    for each in sending {
        admitted += each.await.unwrap();
    }
    let admitted = f64::from(admitted);
    let seconds = redis.now().await - begin;
    // By the store's clock: never more than one gateway would have admitted, and, as it was always asked for, not less than what
    // came back, but for the time in which nobody was asking yet, or any more.
    assert!(
        admitted <= BURST + RATE * seconds + 1.0,
        "{admitted} in {seconds} s"
    );
    assert!(
        admitted >= BURST + RATE * (seconds - 1.5),
        "{admitted} in {seconds} s"
    );
}

#[tokio::test]
async fn all_budgets_or_none_with_one_command() {
    if !redis::is_installed() {
        return;
    }
    const REQUESTS: u64 = 40;
    let redis = Redis::start().await;
    let fleet = fleet::<2>(
        &redis,
        "[server.limits]\nrequests_per_ip = { rate = \"1000/s\", burst = 2000 }\n\
         [bots.rate_limits]\nper_user = { rate = \"1/h\", burst = 1000 }\nper_conversation = { rate = \"1/h\", burst = 1000 }\n\
         per_tenant = { rate = \"1/h\", burst = 20 }\nper_bot = { rate = \"1/h\", burst = 1000 }",
    )
    .await;
    let (before, begin) = (redis.calls("evalsha").await, Instant::now());
    for number in 0..REQUESTS {
        let gateway = &fleet[usize::from(number % 2 == 0)];
        let reply = gateway.teams_message().send().await;
        assert_eq!(reply.status, if number < 20 { 200 } else { 429 });
    }
    let calls = redis.calls("evalsha").await - before;
    // A gateway that nobody sends anything looks every second whether the store is there.
    let looks = 2 * (begin.elapsed().as_secs() + 2);
    assert!(
        (REQUESTS..=REQUESTS + looks).contains(&calls),
        "{calls} calls"
    );
    assert_eq!(redis.calls("eval").await, 0);
    // What the tenant's budget refused cost its user and the bot nothing.
    let mut counted = HashSet::new();
    for (key, left) in redis.keys().await {
        assert!(left > 0, "{key} stays for ever");
        let kind = key.split(':').nth(2).unwrap().to_owned();
        let wanted = match kind.as_str() {
            "u" | "c" | "t" | "b" => 20 * 3600,
            _ => 0,
        };
        let seconds = left / 1000;
        assert!(
            (wanted - 60..=wanted + 1).contains(&seconds),
            "{key}: {seconds} s"
        );
        counted.insert(kind);
    }
    for kind in ["u", "c", "t", "b"] {
        assert!(counted.contains(kind), "{counted:?}");
    }
}

#[tokio::test]
async fn an_address_has_one_budget_for_what_it_proves_and_one_in_each_gateway_before() {
    if !redis::is_installed() {
        return;
    }
    let redis = Redis::start().await;
    let limits = "[server.limits]\nrequests_per_ip = { rate = \"1/h\", burst = 10 }";
    let fleet = fleet::<2>(&redis, limits).await;
    let calls = redis.calls("evalsha").await;
    let begin = Instant::now();
    for _ in 0..5 {
        let stranger = fleet[0].teams_message().without_token().send().await;
        stranger.refused_before_proof(Reason::TokenMissing).await;
    }
    let looks = 2 * (begin.elapsed().as_secs() + 2);
    assert!(
        redis.calls("evalsha").await - calls <= looks,
        "a stranger costs the store nothing"
    );
    for _ in 0..5 {
        for gateway in &fleet {
            gateway.teams_message().send().await.forwarded().await;
        }
    }
    // The first has none left before proof; the second one's own has, and all of them together have not.
    let reply = fleet[0].teams_message().send().await;
    reply.refused_before_proof(Reason::RateLimitedIp).await;
    let reply = fleet[1].teams_message().send().await;
    reply.refused_after_proof(Reason::RateLimitedIp).await;
}

#[tokio::test]
async fn a_store_whose_clock_is_behind_the_last_ones_does_not_hold_that_against_anybody() {
    if !redis::is_installed() {
        return;
    }
    let redis = Redis::start().await;
    let limits = "[bots.rate_limits]\nper_bot = { rate = \"1/s\", burst = 5 }";
    let [gateway] = fleet(&redis, limits).await;
    gateway.teams_message().send().await.forwarded().await;
    // As if it had been counted by a clock an hour ahead.
    let keys = redis.keys().await;
    let budget = keys.iter().find(|(key, _)| key.contains(":b:"));
    let budget = match budget {
        Some((key, _)) => key.clone(),
        None => panic!("its budget is not there: {keys:?}"),
    };
    let ahead = format!("{:.2}", (redis.now().await - 1.7e9 + 3600.0) * 1e6);
    redis.tell(&["SET", &budget, &ahead, "PX", "3600000"]).await;
    let reply = gateway.teams_message().send().await;
    assert_eq!(reply.header("retry-after"), Some("1"));
    reply.refused_after_proof(Reason::RateLimitedBot).await;
    eventually("it has room again", async || {
        gateway.teams_message().send().await.status == 200
    })
    .await;
}

#[tokio::test]
async fn report_mode_reports_what_the_fleet_counts() {
    if !redis::is_installed() {
        return;
    }
    let redis = Redis::start().await;
    let limits = format!(
        "{ON}\n[bots.rate_limits]\nmode = \"report\"\nper_bot = {{ rate = \"1/h\", burst = 1 }}"
    );
    let fleet = fleet::<2>(&redis, &limits).await;
    with_id(fleet[0].teams_message(), "a")
        .send()
        .await
        .forwarded()
        .await;
    let reply = with_id(fleet[1].teams_message(), "b").send().await;
    reply
        .forwarded_but_would_reject(Reason::RateLimitedBot)
        .await;
    // It was forwarded, so that its repeat is one.
    let repeat = with_id(fleet[0].teams_message(), "b").send().await;
    is_repeat(&repeat, 200, "", &reply.request_id).await;
}

#[tokio::test]
async fn an_address_is_held_to_its_budget_in_report_mode_too_and_leaves_no_mark() {
    if !redis::is_installed() {
        return;
    }
    let redis = Redis::start().await;
    let limits = format!(
        "[server.limits]\nrequests_per_ip = {{ rate = \"1/h\", burst = 2 }}\n{ON}\n\
         [bots.rate_limits]\nmode = \"report\"\nper_bot = {{ rate = \"1/h\", burst = 1 }}"
    );
    let [one, other] = fleet::<2>(&redis, &limits).await;
    let send = async |gateway: &Gateway, id| with_id(gateway.teams_message(), id).send().await;
    send(&one, "a").await.forwarded().await;
    // The bot's budget only tells; the address is counted all the same.
    let reply = send(&other, "b").await;
    reply
        .forwarded_but_would_reject(Reason::RateLimitedBot)
        .await;
    let reply = send(&one, "c").await;
    reply.refused_after_proof(Reason::RateLimitedIp).await;
    // Nobody is at work on it: whoever sends it again is told the same, and does not wait for an answer.
    let reply = send(&other, "c").await;
    reply.refused_after_proof(Reason::RateLimitedIp).await;
}

#[tokio::test]
async fn the_store_learns_nobodys_id_and_keeps_nothing_for_ever() {
    if !redis::is_installed() {
        return;
    }
    let redis = Redis::start().await;
    let fleet = fleet::<1>(&redis, &format!("{ON}\n[bots.rate_limits]\nper_user = {{ rate = \"1/m\", burst = 5 }}\nper_conversation = {{ rate = \"1/m\", burst = 5 }}")).await;
    fleet[0].teams_message().send().await.forwarded().await;
    let activity: Value =
        serde_json::from_slice(fleet[0].teams_message().into_request().body()).unwrap();
    let mut written = String::new();
    eventually("the answer is kept", async || {
        written.clear();
        for (key, left) in redis.keys().await {
            // -1 says so; what ended meanwhile has -2.
            assert_ne!(left, -1, "{key} stays for ever");
            let kind: String = redis.ask(&["TYPE", &key]).await;
            let value: String = match kind.as_str() {
                "string" => redis.ask(&["GET", &key]).await,
                _ => redis.ask::<Vec<String>>(&["HGETALL", &key]).await.join(" "),
            };
            written += &format!("{key} {value}\n");
        }
        written.contains("status 200")
    })
    .await;
    for pointer in [
        "/from/id",
        "/conversation/id",
        "/id",
        "/from/name",
        "/text",
        "/channelData/tenant/id",
        "/recipient/id",
    ] {
        let id = activity.pointer(pointer).and_then(Value::as_str).unwrap();
        assert!(!written.contains(id), "{pointer} {id:?} is in\n{written}");
    }
    assert!(!written.contains("127.0.0.1"), "{written}");
    for key in written.lines() {
        assert!(key.starts_with("botgate:{all}:"), "{key}");
    }
}

// Repeats

#[tokio::test]
async fn a_repeat_at_another_gateway_waits_for_the_answer_and_gets_it() {
    if !redis::is_installed() {
        return;
    }
    let redis = Redis::start().await;
    let (fleet, mut bot) = held_fleet::<3>(&redis, ON).await;
    let first = send(fleet[0].teams_message().header("x-request-id", "first"));
    let held = bot.next().await;
    let waiting: Vec<_> = (0..6)
        .map(|at| send(fleet[1 + at % 2].teams_message()))
        .collect();
    for gateway in &fleet[1..] {
        in_flight(gateway, 3).await;
    }
    held.answer(201, "{\"id\":\"1\"}").await;
    assert_eq!(first.await.unwrap().status, 201);
    for reply in waiting {
        is_repeat(&reply.await.unwrap(), 201, "{\"id\":\"1\"}", "first").await;
    }
    // And who comes later.
    for gateway in &fleet {
        let reply = gateway.teams_message().send().await;
        is_repeat(&reply, 201, "{\"id\":\"1\"}", "first").await;
        assert_eq!(reply.header("content-type"), Some("application/json"));
    }
    assert_eq!(bot.count(), 1);
}

#[tokio::test]
async fn of_many_at_once_at_all_gateways_one_reaches_the_bot() {
    if !redis::is_installed() {
        return;
    }
    let redis = Redis::start().await;
    let (fleet, mut bot) = held_fleet::<3>(&redis, ON).await;
    let sending: Vec<_> = (0..30)
        .map(|at| send(fleet[at % 3].post("teams-invoke.json")))
        .collect();
    let held = bot.next().await;
    for gateway in &fleet {
        in_flight(gateway, 10).await;
    }
    held.answer(200, "{\"its\":\"answer\"}").await;
    for reply in sending {
        let reply = reply.await.unwrap();
        assert_eq!(
            (reply.status, &reply.body[..]),
            (200, &b"{\"its\":\"answer\"}"[..])
        );
    }
    assert_eq!(bot.count(), 1);
}

#[tokio::test]
async fn what_failed_at_one_gateway_is_asked_again_by_another() {
    if !redis::is_installed() {
        return;
    }
    let redis = Redis::start().await;
    let (fleet, mut bot) = held_fleet::<2>(&redis, ON).await;
    let first = send(fleet[0].teams_message());
    let held = bot.next().await;
    let second = send(fleet[1].teams_message());
    in_flight(&fleet[1], 1).await;
    drop(held);
    first
        .await
        .unwrap()
        .failed_upstream(Reason::UpstreamBroken, 0)
        .await;
    bot.next().await.answer(200, "").await;
    let second = second.await.unwrap();
    assert_eq!(second.status, 200);
    assert_eq!(second.only_request_line().await.get("repeat_of"), None);
}

#[tokio::test]
async fn what_a_killed_gateway_was_at_is_asked_again_when_its_lease_ends() {
    if !redis::is_installed() {
        return;
    }
    let redis = Redis::start().await;
    let ([killed, other], mut bot) = held_fleet::<2>(&redis, ON).await;
    let mut connection = killed
        .client()
        .connect(botgate::cli::demo::client::Protocol::Http1)
        .await
        .unwrap();
    let request = killed.teams_message().into_request();
    let sending = tokio::spawn(async move { connection.send(request).await.is_ok() });
    let held = bot.next().await;
    killed.signal(Signal::SIGKILL);
    assert!(!sending.await.unwrap());
    let second = send(other.teams_message());
    let again = bot.next().await;
    again.answer(200, "").await;
    assert_eq!(second.await.unwrap().status, 200);
    drop(held);
}

#[tokio::test]
async fn a_lease_does_not_end_while_the_bot_is_slow() {
    if !redis::is_installed() {
        return;
    }
    let redis = Redis::start().await;
    let (fleet, mut bot) = held_fleet::<2>(&redis, ON).await;
    let first = send(fleet[0].teams_message());
    let held = bot.next().await;
    let second = send(fleet[1].teams_message());
    // Longer than the lease, which is six seconds.
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(bot.count(), 1);
    held.answer(200, "late").await;
    for reply in [first, second] {
        let reply = reply.await.unwrap();
        assert_eq!((reply.status, &reply.body[..]), (200, &b"late"[..]));
    }
    assert_eq!(bot.count(), 1);
}

#[tokio::test]
async fn an_acknowledged_message_is_acknowledged_at_every_gateway() {
    if !redis::is_installed() {
        return;
    }
    let redis = Redis::start().await;
    let settings = format!("{ON}\n[bots.timeouts]\nacknowledge_after = \"300ms\"");
    let (fleet, mut bot) = held_fleet::<2>(&redis, &settings).await;
    let first = send(fleet[0].teams_message());
    let held = bot.next().await;
    assert_eq!(first.await.unwrap().status, 202);
    let second = fleet[1].teams_message().send().await;
    assert_eq!(second.status, 202);
    let line = second.only_request_line().await;
    assert_eq!(line["acknowledged"], true, "{line}");
    assert!(line["repeat_of"].is_string(), "{line}");
    held.answer(201, "{}").await;
    fleet[0].event("acknowledged_done", |_| true).await;
    eventually("the answer is kept", async || {
        fleet[1].teams_message().send().await.status == 201
    })
    .await;
    assert_eq!(bot.count(), 1);
}

// Without the store

#[tokio::test]
async fn a_store_that_is_away_costs_one_timeout_and_is_found_again() {
    if !redis::is_installed() {
        return;
    }
    for fault in FAULTS {
        let mut redis = Redis::start().await;
        let other = Redis::start().await;
        let limits = "[bots.rate_limits]\nper_user = { rate = \"1/h\", burst = 1000 }";
        let [gateway] = fleet(&redis, limits).await;
        gateway.teams_message().send().await.forwarded().await;
        fault.begin(&mut redis, &other).await;
        for _ in 0..50 {
            gateway.teams_message().send().await.forwarded().await;
        }
        // Not one for each request: those from before the fault was met, and attempts to come back.
        let lost = gateway.event("store_lost", |_| true).await;
        assert_eq!(lost["on_store_failure"], "local", "{lost}");
        let (status, ready) = gateway.admin("/readyz").await;
        let ready: Value = serde_json::from_str(&ready).unwrap();
        assert_eq!((status, &ready["ready"]), (200, &true.into()), "{fault:?}");
        assert_eq!(ready["store"]["up"], false, "{fault:?}: {ready}");
        assert_eq!(ready["store"]["counting"], "local", "{ready}");
        assert!(ready["store"]["why"].is_string(), "{ready}");
        let page = Page::of(&gateway).await;
        assert_eq!(page.value("botgate_rate_limit_store_up"), 0.0);
        let errors = page.value("botgate_rate_limit_store_errors_total");
        assert!((1.0..30.0).contains(&errors), "{fault:?}: {errors} errors");
        fault.end(&mut redis).await;
        gateway.event("store_back", |_| true).await;
        eventually("it counts with the others again", async || {
            let (_, status) = gateway.admin("/?format=json").await;
            let status: Value = serde_json::from_str(&status).unwrap();
            status["store"]["counting"] == "shared"
        })
        .await;
        let calls = redis.calls("evalsha").await;
        gateway.teams_message().send().await.forwarded().await;
        assert!(redis.calls("evalsha").await > calls);
        let told = gateway
            .output()
            .log
            .into_iter()
            .filter(|line| line["event"] == "store_lost");
        assert_eq!(told.count(), 1, "{fault:?}: told once");
    }
}

#[tokio::test]
async fn where_the_store_is_needed_nothing_is_forwarded_without_it() {
    if !redis::is_installed() {
        return;
    }
    let mut redis = Redis::start().await;
    let gateway = gateway(
        &redis,
        "[state]\non_store_failure = \"deny\"",
        &new_channel().await,
        None,
    )
    .await;
    gateway.teams_message().send().await.forwarded().await;
    redis.fail().await;
    for _ in 0..5 {
        let reply = gateway.teams_message().send().await;
        assert_eq!(reply.header("retry-after"), Some("1"));
        let reply = reply
            .refused_after_proof(Reason::LimitStoreUnavailable)
            .await;
        assert_eq!(reply.status, 503);
    }
    // Who proves nothing is refused as ever.
    let stranger = gateway.teams_message().without_token().send().await;
    stranger.refused_before_proof(Reason::TokenMissing).await;
    let (status, ready) = gateway.admin("/readyz").await;
    assert_eq!(status, 503);
    let ready: Value = serde_json::from_str(&ready).unwrap();
    assert_eq!(ready["missing"], serde_json::json!(["store"]), "{ready}");
    redis.come_back().await;
    eventually("it serves again", async || {
        gateway.teams_message().send().await.status == 200
    })
    .await;
    assert_eq!(gateway.admin("/readyz").await.0, 200);
}

#[tokio::test]
async fn a_gateway_starts_without_the_store_and_finds_it_later() {
    if !redis::is_installed() {
        return;
    }
    let mut redis = Redis::start_with(&["requirepass right"]).await;
    let state = format!("{}password = \"file:password\"\n", redis.state());
    let start = async |password: &str| {
        Gateway::with(&state)
            .file("password", password)
            .start()
            .await
    };
    let gateway = start("wrong").await;
    let lost = gateway.event("store_lost", |_| true).await;
    let why = lost["error"].as_str().unwrap();
    assert!(
        why.contains("WRONGPASS") || why.to_lowercase().contains("password"),
        "{why}"
    );
    assert!(
        !gateway.output().to_string().contains("wrong\""),
        "no password in the log"
    );
    gateway.teams_message().send().await.forwarded().await;
    // Another password is a reload away.
    std::fs::write(gateway.folder().join("password"), "right").unwrap();
    gateway.signal(Signal::SIGHUP);
    let reloaded = gateway.event("config_reloaded", |_| true).await;
    assert!(reloaded.to_string().contains("password"), "{reloaded}");
    eventually("it counts with the others", async || {
        Page::of(&gateway)
            .await
            .value("botgate_rate_limit_store_up")
            == 1.0
    })
    .await;
    gateway.teams_message().send().await.forwarded().await;
    // Nor is a store that is not there at all a reason not to start.
    redis.fail().await;
    let gateway = start("right").await;
    gateway.teams_message().send().await.forwarded().await;
    redis.come_back().await;
    gateway.event("store_back", |_| true).await;
}

#[tokio::test]
async fn a_reload_brings_a_store_and_takes_it_away() {
    if !redis::is_installed() {
        return;
    }
    let redis = Redis::start().await;
    let gateway = Gateway::start().await;
    gateway.rewrite(&redis.state());
    gateway.signal(Signal::SIGHUP);
    gateway.event("config_reloaded", |_| true).await;
    let calls = redis.calls("evalsha").await;
    gateway.teams_message().send().await.forwarded().await;
    assert!(redis.calls("evalsha").await > calls);
    gateway.rewrite("");
    gateway.signal(Signal::SIGHUP);
    gateway
        .event("config_reloaded", |line| {
            line["changed"].to_string().contains("memory")
                || !line["changed"].to_string().contains("\"redis\"")
        })
        .await;
    eventually("nobody is connected", async || {
        let clients: String = redis.ask(&["CLIENT", "LIST"]).await;
        clients.lines().count() == 1
    })
    .await;
    gateway.teams_message().send().await.forwarded().await;
}

// Ways to the store

#[tokio::test]
async fn over_tls_with_a_certificate_as_a_user_with_few_rights() {
    if !redis::is_installed() {
        return;
    }
    let redis = Redis::start_with(&[
        "user default on nopass ~* &* +@all",
        "user gateway on >s3cret resetchannels ~botgate:* -@all +evalsha +script|load +time +mget +set +hmget +hgetall +hset +del +pexpire +ping",
    ])
    .await;
    let authority = Authority::new("the store's");
    let own = authority.sign(&[&redis.ip().to_string()]);
    let client = authority.sign(&["gateway"]);
    let path = |name: &str, text: &str| {
        let path = redis.folder().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    for (name, value) in [
        ("tls-cert-file", path("own.pem", &own.chain)),
        ("tls-key-file", path("own.key", &own.key)),
        ("tls-ca-cert-file", path("ca.pem", &authority.pem())),
        ("tls-port", TLS_PORT.to_string()),
    ] {
        redis.tell(&["CONFIG", "SET", name, &value]).await;
    }
    let state = format!(
        "[state]\nstore = \"redis\"\nredis = \"rediss://{}\"\nuser = \"gateway\"\npassword = \"file:password\"\n\
         [state.tls]\nca = \"ca.pem\"\n{}",
        redis.at(TLS_PORT),
        "client_cert = \"client.pem\"\nclient_key = \"client.key\"\n"
    );
    let setup = |state: &str| {
        Gateway::with(&format!("{state}{ON}\n"))
            .file("password", "s3cret")
            .file("ca.pem", authority.pem())
            .file("client.pem", client.chain.clone())
            .file("client.key", client.key.clone())
    };
    let gateway = setup(&state).start().await;
    let reply = gateway.teams_message().send().await;
    reply.forwarded().await;
    assert_eq!(
        Page::of(&gateway)
            .await
            .value("botgate_rate_limit_store_up"),
        1.0
    );
    eventually("the answer is kept", async || {
        redis
            .keys()
            .await
            .iter()
            .any(|(key, left)| key.contains(":m:") && *left > 60_000)
    })
    .await;
    let users: String = redis.ask(&["CLIENT", "LIST"]).await;
    assert!(users.contains("user=gateway"), "{users}");
    // Without the certificate, and where the authority is another one, it does not get in.
    let nameless = state.replace(
        "client_cert = \"client.pem\"\nclient_key = \"client.key\"\n",
        "",
    );
    let stranger = Authority::new("somebody else").pem();
    for setup in [setup(&nameless), setup(&state).file("ca.pem", stranger)] {
        let gateway = setup.start().await;
        gateway.event("store_lost", |_| true).await;
        gateway.teams_message().send().await.forwarded().await;
    }
}

#[tokio::test]
async fn check_online_has_the_store_do_what_it_will_be_asked_for() {
    if !redis::is_installed() {
        return;
    }
    let redis = Redis::start().await;
    let gateway = Gateway::with(&redis.state()).start().await;
    let checked = async || {
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_botgate"))
            .args(["check", "--online"])
            .current_dir(gateway.folder())
            .output();
        String::from_utf8(output.await.unwrap().stdout).unwrap()
    };
    let said = checked().await;
    let good = format!("shared store  {}: counts, in", redis.address());
    assert!(said.contains(&good), "{said}");
    redis.tell(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let said = checked().await;
    assert!(
        said.contains("state.redis") && said.contains("OOM"),
        "{said}"
    );
}

#[tokio::test]
async fn a_cluster_has_the_keys_of_a_request_in_one_place() {
    if !redis::is_installed() {
        return;
    }
    let nodes = redis::cluster().await;
    let state = format!(
        "[state]\nstore = \"redis\"\nredis = \"redis+cluster://{},{}\"\ntimeout = \"500ms\"\n{ON}\n",
        nodes[0].address(),
        nodes[1].address()
    );
    for (limits, tags) in [("per_bot = { rate = \"1/h\", burst = 12 }", 1), ("", 6)] {
        let limits = format!(
            "{state}[bots.rate_limits]\nper_user = {{ rate = \"1/h\", burst = 3 }}\nper_tenant = {{ rate = \"1/h\", burst = 1000 }}\n{limits}"
        );
        let fleet = of_state::<2>(&limits).await;
        for gateway in &fleet {
            assert_eq!(
                Page::of(gateway).await.value("botgate_rate_limit_store_up"),
                1.0
            );
        }
        for tenant in 0..6 {
            for number in 0..4 {
                let gateway = &fleet[number % 2];
                let reply = in_tenant(gateway.teams_message(), tenant, number)
                    .send()
                    .await;
                let is_admitted = number < 3 && (tags > 1 || tenant < 4);
                let line = reply.only_request_line().await;
                assert_eq!(
                    reply.status == 200,
                    is_admitted,
                    "tenant {tenant}, number {number}: {line}"
                );
            }
        }
        let mut seen = HashSet::new();
        let mut servers = 0;
        for node in &nodes {
            let keys = node.keys().await;
            servers += usize::from(keys.iter().any(|(key, _)| key.contains(":u:")));
            for (key, _) in keys.iter().filter(|(key, _)| key.contains(":u:")) {
                seen.insert(key.split(['{', '}']).nth(1).unwrap().to_owned());
            }
            node.tell(&["FLUSHALL"]).await;
        }
        assert_eq!(seen.len(), tags);
        assert!(
            servers <= tags && (tags == 1 || servers > 1),
            "{servers} servers"
        );
    }
}

#[tokio::test]
async fn sentinels_say_which_server_is_the_master_also_after_another_took_over() {
    if !redis::is_installed() {
        return;
    }
    let mut master = Redis::start().await;
    let replica = Redis::start_with(&[&format!("replicaof {} 6379", master.ip())]).await;
    let sentinel = Redis::sentinel_of(&master, Some("watched")).await;
    eventually("the sentinel knows the replica", async || {
        let info: String = sentinel.ask(&["INFO", "sentinel"]).await;
        info.contains("slaves=1")
    })
    .await;
    let state = format!(
        "[state]\nstore = \"redis\"\nredis = \"redis+sentinel://{}/fleet/0\"\nsentinel_password = \"file:password\"\ntimeout = \"500ms\"\n",
        sentinel.address()
    );
    let gateway = Gateway::with(&state)
        .file("password", "watched")
        .start()
        .await;
    gateway.teams_message().send().await.forwarded().await;
    assert!(master.calls("evalsha").await > 0);
    master.fail().await;
    gateway.event("store_back", |_| true).await;
    let calls = replica.calls("evalsha").await;
    gateway.teams_message().send().await.forwarded().await;
    assert!(replica.calls("evalsha").await > calls);
}

// What scenarios are told with

/// What can be wrong with a store.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Killed,
    Hung,
    Slow,
    ReadOnly,
    Full,
    NoRights,
}

const FAULTS: [Fault; 6] = [
    Fault::Killed,
    Fault::Hung,
    Fault::Slow,
    Fault::ReadOnly,
    Fault::Full,
    Fault::NoRights,
];

impl Fault {
    async fn begin(self, redis: &mut Redis, other: &Redis) {
        match self {
            Self::Killed => redis.fail().await,
            Self::Hung => redis.hang(),
            // Longer than anybody waits for it.
            Self::Slow => {
                redis.tell(&["CLIENT", "PAUSE", "600000", "WRITE"]).await;
            }
            Self::ReadOnly => {
                redis
                    .tell(&["REPLICAOF", &other.ip().to_string(), "6379"])
                    .await;
            }
            Self::Full => {
                redis.tell(&["CONFIG", "SET", "maxmemory", "1"]).await;
            }
            Self::NoRights => {
                redis
                    .tell(&["ACL", "SETUSER", "default", "resetkeys", "~nothing"])
                    .await;
            }
        }
    }

    async fn end(self, redis: &mut Redis) {
        match self {
            // It comes back empty.
            Self::Killed => redis.come_back().await,
            Self::Hung => redis.go_on(),
            Self::Slow => {
                redis.tell(&["CLIENT", "UNPAUSE"]).await;
            }
            Self::ReadOnly => {
                redis.tell(&["REPLICAOF", "NO", "ONE"]).await;
            }
            Self::Full => {
                redis.tell(&["CONFIG", "SET", "maxmemory", "0"]).await;
            }
            Self::NoRights => {
                redis.tell(&["ACL", "SETUSER", "default", "allkeys"]).await;
            }
        }
    }
}

async fn gateway(redis: &Redis, more: &str, channel: &Channel, bot: Option<&EchoBot>) -> Gateway {
    let setup = Gateway::with(&redis.state())
        .and("[state]\ntimeout = \"200ms\"")
        .and(more)
        .channel(channel);
    match bot {
        Some(bot) => setup.bot(bot),
        None => setup,
    }
    .start()
    .await
}

/// Gateways with the same store, channel and bot.
async fn fleet<const N: usize>(redis: &Redis, more: &str) -> [Gateway; N] {
    // So patient that a busy machine is no store that is away.
    let patient = format!("{}timeout = \"3s\"\n{more}", redis.state());
    of_state(&patient).await
}

async fn of_state<const N: usize>(settings: &str) -> [Gateway; N] {
    let (channel, bot) = (new_channel().await, EchoBot::start().await.unwrap());
    let mut fleet = vec![];
    for _ in 0..N {
        let setup = Gateway::with(settings).channel(&channel).bot(&bot);
        fleet.push(setup.start().await);
    }
    fleet.try_into().ok().expect("so many")
}

async fn held_fleet<const N: usize>(redis: &Redis, more: &str) -> ([Gateway; N], HeldBot) {
    let bot = HeldBot::start().await;
    let settings = format!("{}timeout = \"3s\"\n{more}", redis.state());
    let channel = new_channel().await;
    let mut fleet = vec![];
    for _ in 0..N {
        let setup = Gateway::with(&settings)
            .and(&bot.config(""))
            .channel(&channel);
        fleet.push(setup.start().await);
    }
    (fleet.try_into().ok().expect("so many"), bot)
}

/// So many requests to each gateway, all at once.
async fn flood<const N: usize>(fleet: &[Gateway; N], each: usize) -> Vec<Reply> {
    let sending: Vec<_> = (0..each * N)
        .map(|at| send(fleet[at % N].teams_message()))
        .collect();
    let mut replies = vec![];
    for reply in sending {
        replies.push(reply.await.unwrap());
    }
    replies
}

fn send(post: Post) -> JoinHandle<Reply> {
    tokio::spawn(post.send())
}

fn with_id(post: Post, id: &str) -> Post {
    post.with("/id", id)
}

fn in_tenant(post: Post, tenant: usize, number: usize) -> Post {
    let id = format!("{tenant:08}-4b5a-4968-8776-5a4b3c2d1e0f");
    let post = with_id(post, &format!("{tenant}-{number}"));
    post.with("/channelData/tenant/id", id.as_str())
        .with("/conversation/tenantId", id.as_str())
        .with(
            "/serviceUrl",
            format!("https://smba.trafficmanager.net/teams/{id}/"),
        )
}

async fn in_flight(gateway: &Gateway, count: usize) {
    let name = "botgate_inflight_requests{bot=\"echo\"}";
    eventually("they are in flight", async || {
        gateway.metric(name).await >= count as f64
    })
    .await;
}

async fn is_repeat(reply: &Reply, status: u16, body: &str, first: &str) {
    assert_eq!((reply.status, &reply.body[..]), (status, body.as_bytes()));
    let line = reply.only_request_line().await;
    assert_eq!(line["repeat_of"], first, "{line}");
}
