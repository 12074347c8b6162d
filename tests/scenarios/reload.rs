//! Another `gateway.toml` comes into force wholly or not at all, and nothing that was begun is lost.

use crate::support::held_bot::HeldBot;
use crate::support::metrics::Page;
use crate::support::tap::Tap;
use crate::support::{FOREIGN_TENANT, Gateway, PROTOCOLS, TENANT, eventually};
use botgate::cli::demo::bot::{Answer, EchoBot};
use botgate::judge::Reason;
use http::StatusCode;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::fs;

const DENIED: &str = "[bots.tenants]\ndeny = [\"8c1f2e3d-4b5a-4968-8776-5a4b3c2d1e0f\"]";

/// Asks for a reload of what the file says now, and waits until it is told what came of it.
async fn reload(gateway: &Gateway) -> Value {
    let is_told = |line: &Value| {
        let event = line["event"].as_str().unwrap_or_default();
        ["config_reloaded", "config_refused"].contains(&event)
    };
    let told = |gateway: &Gateway| {
        gateway.process().look(|output| {
            let lines = output.log.iter().filter(|line| is_told(line));
            lines.cloned().collect::<Vec<_>>()
        })
    };
    let before = told(gateway).len();
    gateway.signal(Signal::SIGHUP);
    eventually("SIGHUP is answered", async || told(gateway).len() > before).await;
    told(gateway)[before].clone()
}

async fn rewrite(gateway: &Gateway, fragment: &str) -> Value {
    gateway.rewrite(fragment);
    reload(gateway).await
}

fn said<'l>(line: &'l Value, field: &str) -> &'l str {
    line[field]
        .as_str()
        .unwrap_or_else(|| panic!("{field} is missing in {line}"))
}

async fn reloads(gateway: &Gateway, outcome: &str) -> f64 {
    let series = format!("botgate_config_reloads_total{{outcome=\"{outcome}\"}}");
    Page::of(gateway).await.value(&series)
}

// What it brings

#[tokio::test]
async fn a_changed_policy_is_in_force_after_sighup_and_the_log_says_what_changed() {
    let gateway = Gateway::start().await;
    gateway.teams_message().send().await.forwarded().await;
    let line = rewrite(&gateway, DENIED).await;
    assert_eq!(line["event"], "config_reloaded", "{line}");
    assert_eq!(line["level"], "INFO", "{line}");
    assert_eq!(line["why"], "sighup", "{line}");
    let changed = format!("bots[\"echo\"].tenants.deny: (default) -> [\"{TENANT}\"]");
    assert_eq!(said(&line, "changed"), changed);
    assert_eq!(line.get("needs_restart"), None, "{line}");
    let reply = gateway.teams_message().send().await;
    reply.refused_after_proof(Reason::TenantNotAllowed).await;
    assert_eq!(reloads(&gateway, "applied").await, 1.0);
    // And back again.
    let line = rewrite(&gateway, "").await;
    let changed = format!("bots[\"echo\"].tenants.deny: [\"{TENANT}\"] -> (default)");
    assert_eq!(said(&line, "changed"), changed);
    gateway.teams_message().send().await.forwarded().await;
    let line = reload(&gateway).await;
    assert_eq!(said(&line, "changed"), "", "{line}");
    assert_eq!(reloads(&gateway, "unchanged").await, 1.0);
}

#[tokio::test]
async fn a_changed_file_is_noticed_without_a_signal_also_behind_a_link() {
    let gateway = Gateway::start().await;
    gateway.rewrite(DENIED);
    let line = gateway
        .event("config_reloaded", |line| line["why"] == "file")
        .await;
    assert!(said(&line, "changed").contains("tenants.deny"), "{line}");
    let reply = gateway.teams_message().send().await;
    reply.refused_after_proof(Reason::TenantNotAllowed).await;

    // As Kubernetes does it: a link to another folder takes the place of the one before.
    let path = |name: &str| gateway.folder().join(name);
    let text = fs::read_to_string(path("gateway.toml")).unwrap();
    fs::create_dir(path("v2")).unwrap();
    let text = text.replace(TENANT, FOREIGN_TENANT);
    fs::write(path("v2/gateway.toml"), text).unwrap();
    std::os::unix::fs::symlink("v2/gateway.toml", path("new")).unwrap();
    fs::rename(path("new"), path("gateway.toml")).unwrap();
    gateway
        .event("config_reloaded", |line| {
            line["why"] == "file"
                && said(line, "changed").ends_with(&format!("[\"{FOREIGN_TENANT}\"]"))
        })
        .await;
    gateway.teams_message().send().await.forwarded().await;
}

#[tokio::test]
async fn a_changed_secret_file_is_a_change_and_its_content_is_not_told() {
    const OTHER_APP: &str = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d";
    let setup = Gateway::with("[bots]\napp_id = \"file:secrets/app\"");
    let gateway = setup
        .file("secrets/app", "5d0c7e1a-9f2b-4c3d-8e4f-0a1b2c3d4e5f\n")
        .start()
        .await;
    gateway.teams_message().send().await.forwarded().await;
    let path = gateway.folder().join("secrets/app");
    fs::write(&path, OTHER_APP).unwrap();
    let line = gateway
        .event("config_reloaded", |line| line["why"] == "file")
        .await;
    let changed = said(&line, "changed");
    assert!(
        changed.starts_with("the content of ") && changed.ends_with("secrets/app"),
        "{line}"
    );
    let reply = gateway.teams_message().send().await;
    reply
        .refused_before_proof(Reason::TokenAudienceMismatch)
        .await;
    let reply = gateway.teams_message().for_app(OTHER_APP).send().await;
    reply.forwarded().await;
    let told = gateway.process().look(|output| {
        let lines = output.log.iter().filter(|line| line["event"] != "request");
        lines.map(ToString::to_string).collect::<String>()
    });
    assert!(!told.contains(OTHER_APP), "{told}");
    // What it is gone for is refused, and what was good stays.
    fs::remove_file(&path).unwrap();
    let line = gateway.event("config_refused", |_| true).await;
    assert!(said(&line, "first").contains("bots[0].app_id"), "{line}");
    let reply = gateway.teams_message().for_app(OTHER_APP).send().await;
    reply.forwarded().await;
}

// All or nothing

#[tokio::test]
async fn a_file_with_any_error_changes_nothing() {
    let gateway = Gateway::start().await;
    let broken = format!("{DENIED}\n[server]\ndrain_timeout = \"soon\"\nlisten = 7");
    let line = rewrite(&gateway, &broken).await;
    assert_eq!(line["event"], "config_refused", "{line}");
    assert_eq!(line["level"], "ERROR", "{line}");
    assert_eq!(line["problems"], 2, "{line}");
    let text = fs::read_to_string(gateway.folder().join("gateway.toml")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for key in ["drain_timeout", "listen = 7"] {
        let number = 1 + lines
            .iter()
            .rposition(|line| line.starts_with(key))
            .unwrap();
        let key = key.split(' ').next().unwrap();
        let place = format!("gateway.toml:{number}: error: server.{key} is ");
        assert!(said(&line, "first").contains(&place), "{place} in {line}");
    }
    gateway.teams_message().send().await.forwarded().await;
    assert_eq!(reloads(&gateway, "refused").await, 1.0);

    // Not even what comes before: of two bots the second one's files cannot be used, which shows when they are.
    let pem = "-----BEGIN CERTIFICATE-----\nrubbish\n-----END CERTIFICATE-----\n";
    fs::write(gateway.folder().join("ca.pem"), pem).unwrap();
    let second = "backend = \"https://127.0.0.1:1/\"\n[backend_tls]\nca = \"ca.pem\"";
    gateway.rewrite_with(DENIED, &[("second".to_owned(), second.to_owned())]);
    let line = reload(&gateway).await;
    assert_eq!(line["event"], "config_refused", "{line}");
    assert!(said(&line, "first").contains("bot \"second\""), "{line}");
    gateway.teams_message().send().await.forwarded().await;
    let reply = gateway.teams_message().path("/second").send().await;
    reply.refused_before_proof(Reason::PathNotFound).await;

    let text = fs::read(gateway.folder().join("gateway.toml")).unwrap();
    fs::write(
        gateway.folder().join("gateway.toml"),
        &text[..text.len() / 2],
    )
    .unwrap();
    let line = reload(&gateway).await;
    assert_eq!(line["event"], "config_refused", "{line}");
    gateway.teams_message().send().await.forwarded().await;

    let line = rewrite(&gateway, DENIED).await;
    assert_eq!(line["event"], "config_reloaded", "{line}");
    let reply = gateway.teams_message().send().await;
    reply.refused_after_proof(Reason::TenantNotAllowed).await;
}

#[tokio::test]
async fn what_needs_a_restart_is_named_and_stays_and_the_rest_is_in_force() {
    let gateway = Gateway::start().await;
    let listen = gateway.process().listen()[0];
    let changes = format!(
        "{DENIED}\n[server]\nlisten = [\"127.0.0.1:1\"]\n[server.tls]\nmin_version = \"1.3\"\n[log]\nlevel = \"debug\"\n[admin]\nlisten = \"\""
    );
    let line = rewrite(&gateway, &changes).await;
    assert_eq!(line["event"], "config_reloaded", "{line}");
    assert_eq!(line["level"], "WARN", "{line}");
    assert_eq!(
        said(&line, "needs_restart"),
        "admin.listen: \"127.0.0.1:0\" -> \"\"; log.level: (default) -> \"debug\"; \
         server.listen: [\"127.0.0.1:0\"] -> [\"127.0.0.1:1\"]; server.tls.min_version: (default) -> \"1.3\""
    );
    let changed = said(&line, "changed");
    assert!(
        changed.contains("tenants.deny") && !changed.contains("listen"),
        "{line}"
    );
    let reply = gateway.teams_message().send().await;
    reply.refused_after_proof(Reason::TenantNotAllowed).await;
    assert_eq!(gateway.client().address(), listen);
    assert_eq!(reloads(&gateway, "needs_restart").await, 1.0);
    // It is named for as long as it is so, and no longer.
    let line = reload(&gateway).await;
    assert!(said(&line, "needs_restart").contains("log.level"), "{line}");
    let line = rewrite(&gateway, DENIED).await;
    assert_eq!(line.get("needs_restart"), None, "{line}");
    assert_eq!(said(&line, "changed"), "", "{line}");
}

#[tokio::test]
async fn what_is_in_force_must_be_good_together_with_what_needs_a_restart() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let tls = "[server.tls]\nsource = \"files\"\ncert = \"own.pem\"\nkey = \"own.key\"";
    let gateway = Gateway::with(tls)
        .file("own.pem", made.cert.pem())
        .file("own.key", made.signing_key.serialize_pem())
        .trusting("own.pem")
        .start()
        .await;
    // The new file alone is good, but the old certificate is what a reload has to go on with.
    let key = gateway.folder().join("own.key");
    fs::rename(&key, key.with_extension("away")).unwrap();
    let line = rewrite(&gateway, DENIED).await;
    assert_eq!(line["event"], "config_refused", "{line}");
    let first = said(&line, "first");
    assert!(
        first.contains("server.tls.key") && first.contains("together with what needs a restart"),
        "{line}"
    );
    gateway.teams_message().send().await.forwarded().await;
    fs::rename(key.with_extension("away"), &key).unwrap();
    let line = reload(&gateway).await;
    assert_eq!(line["event"], "config_reloaded", "{line}");
    assert!(
        said(&line, "needs_restart").contains("server.tls.source: \"files\" -> \"self-signed\""),
        "{line}"
    );
    let reply = gateway.teams_message().send().await;
    reply.refused_after_proof(Reason::TenantNotAllowed).await;
}

#[tokio::test]
async fn no_secret_is_told() {
    let proxy = |password: &str| {
        format!(
            "[keys]\nproxy = \"http://user:{password}@127.0.0.1:9\"\n[server]\ndrain_timeout = \"9s\""
        )
    };
    let gateway = Gateway::with(&proxy("hunter1")).start().await;
    let line = rewrite(&gateway, &proxy("hunter2")).await;
    assert_eq!(said(&line, "changed"), "keys.proxy: (secret) -> (secret)");
    let line = rewrite(&gateway, &proxy("hunter3").replace("http:", "ftp:")).await;
    assert_eq!(line["event"], "config_refused", "{line}");
    let output = gateway.output().to_string();
    assert!(!output.contains("hunter"), "{output}");
}

// What survives

#[tokio::test]
async fn a_request_that_is_under_way_ends_as_it_began() {
    let mut bot = HeldBot::start().await;
    let gateway = Gateway::with(&bot.config("")).start().await;
    let sending = tokio::spawn(gateway.teams_message().send());
    let held = bot.next().await;
    // The bot it is at is gone meanwhile, and nobody like its sender is let in any more.
    let line = rewrite(&gateway, &format!("{DENIED}\n[bots]\nname = \"other\"")).await;
    assert_eq!(line["event"], "config_reloaded", "{line}");
    let reply = gateway.teams_message().send().await;
    reply.refused_after_proof(Reason::TenantNotAllowed).await;
    held.answer(200, "{}").await;
    let reply = sending.await.unwrap();
    assert_eq!((reply.status, &reply.body[..]), (200, &b"{}"[..]));
    let line = reply.only_request_line().await;
    assert_eq!(line["bot"], "echo", "{line}");
    assert_eq!(line["verdict"], "forwarded", "{line}");
    let page = Page::of(&gateway).await;
    let forwarded =
        "botgate_requests_total{bot=\"echo\",door=\"ingress\",reason=\"\",verdict=\"forwarded\"}";
    assert_eq!(page.value(forwarded), 1.0);
    assert_eq!(page.value("botgate_inflight_requests{bot=\"echo\"}"), 0.0);
}

#[tokio::test]
async fn budgets_go_on_unless_they_are_other_ones() {
    let budget = |more: &str| {
        format!("[bots.rate_limits]\nper_bot = {{ rate = \"1/h\", burst = 2 }}\n{more}")
    };
    let gateway = Gateway::with(&budget("")).start().await;
    gateway.teams_message().send().await.forwarded().await;
    let line = rewrite(
        &gateway,
        &budget("per_user = { rate = \"1/s\", burst = 9 }\n[bots.timeouts]\nresponse = \"9s\""),
    )
    .await;
    assert_eq!(line["event"], "config_reloaded", "{line}");
    gateway.teams_message().send().await.forwarded().await;
    let line = rewrite(&gateway, &budget("")).await;
    assert_eq!(line["event"], "config_reloaded", "{line}");
    let reply = gateway.teams_message().send().await;
    reply.refused_after_proof(Reason::RateLimitedBot).await;
    let more = "[bots.rate_limits]\nper_bot = { rate = \"1/h\", burst = 3 }";
    rewrite(&gateway, more).await;
    gateway.teams_message().send().await.forwarded().await;
}

#[tokio::test]
async fn what_a_bot_was_sent_is_remembered_and_its_connections_are_kept() {
    let bot = EchoBot::start().await.unwrap();
    let tap = Tap::before(&bot).await;
    let backend = format!("[bots]\nbackend = \"{}\"\n", tap.messages_url());
    let window = "[bots.redelivery]\nwindow = \"10m\"";
    let gateway = Gateway::with(&format!("{backend}{window}"))
        .bot(&bot)
        .start()
        .await;
    gateway.teams_message().send().await.forwarded().await;
    assert_eq!((bot.count(), tap.connections()), (1, 1));
    let changes = [
        format!("{backend}{window}\n[bots.channels]\nallow = [\"msteams\"]"),
        format!("{backend}{}", window.replace("10m", "20m")),
    ];
    for (round, change) in changes.iter().enumerate() {
        let line = rewrite(&gateway, change).await;
        assert_eq!(line["event"], "config_reloaded", "{line}");
        let reply = gateway.teams_message().send().await;
        assert_eq!(reply.status, 200);
        let line = reply.only_request_line().await;
        assert!(line["repeat_of"].is_string(), "{line}");
        assert_eq!(bot.count(), 1 + round);
        let new = gateway.teams_message().with("/id", round.to_string());
        assert_eq!(new.send().await.status, 200);
        assert_eq!(bot.count(), 2 + round);
        assert_eq!(tap.connections(), 1, "the connection to the bot is kept");
    }
}

#[tokio::test]
async fn keys_survive_while_their_endpoint_is_away() {
    let gateway = Gateway::with("[keys]\nrefresh = \"6h\"").start().await;
    gateway.teams_message().send().await.forwarded().await;
    gateway.channel().close().await;
    for keys in ["refresh = \"5h\"", "fetch_timeout = \"1s\""] {
        let line = rewrite(&gateway, &format!("[keys]\n{keys}")).await;
        assert_eq!(line["event"], "config_reloaded", "{line}");
        // The token was never seen before: keys are what proves it.
        let post = gateway.teams_message().with("/text", keys);
        post.send().await.forwarded().await;
        assert_eq!(gateway.admin("/readyz").await.0, 200);
    }
}

// Bots come and go

#[tokio::test]
async fn a_bot_that_is_added_works_and_one_that_is_removed_is_gone() {
    let added = EchoBot::start().await.unwrap();
    let gateway = Gateway::start().await;
    let backend = added.origin().strip_prefix("http://").unwrap().to_owned();
    let up = format!("botgate_backend_up{{backend=\"{backend}\",bot=\"added\"}}");
    let fragment = format!(
        "backend = \"{}\"\n[health]\npath = \"/healthz\"\nevery = \"50ms\"",
        added.messages_url()
    );
    gateway.rewrite_with("", &[("added".to_owned(), fragment)]);
    let line = reload(&gateway).await;
    assert_eq!(said(&line, "changed"), "bots[\"added\"]: added");
    let reply = gateway.teams_message().path("/added").send().await;
    assert_eq!(reply.status, 200, "{}", gateway.output());
    let line = reply.only_request_line().await;
    assert_eq!(line["bot"], "added", "{line}");
    let page = Page::of(&gateway).await;
    assert_eq!(page.value(&up), 1.0);
    let forwarded =
        "botgate_requests_total{bot=\"added\",door=\"ingress\",reason=\"\",verdict=\"forwarded\"}";
    assert_eq!(page.value(forwarded), 1.0);
    let probed = || {
        let seen = added.seen();
        seen.iter().filter(|seen| seen.path == "/healthz").count()
    };
    eventually("it is asked how it is", async || probed() > 1).await;

    // It fails its health checks, is unwell, and then it is no bot any more.
    added.answer_with(|_| Answer::status(StatusCode::INTERNAL_SERVER_ERROR));
    eventually("it is unwell", async || {
        gateway.admin("/readyz").await.0 == 503
    })
    .await;
    gateway.rewrite_with("", &[]);
    let line = reload(&gateway).await;
    assert_eq!(said(&line, "changed"), "bots[\"added\"]: removed");
    assert_eq!(gateway.admin("/readyz").await.0, 200);
    let page = Page::of(&gateway).await;
    assert!(!page.has(&up), "it is neither up nor down");
    assert_eq!(page.value(forwarded), 1.0, "what it counted stays");
    let reply = gateway.teams_message().path("/added").send().await;
    reply.refused_before_proof(Reason::PathNotFound).await;
    gateway.teams_message().send().await.forwarded().await;
    // One may be on its way while it is removed; the end of the gateway ends none that are left.
    added.close().await;
    let before = probed();
    added.reopen().await.unwrap();
    let other = EchoBot::start().await.unwrap();
    let fragment = format!(
        "backend = \"{}\"\n[health]\npath = \"/healthz\"\nevery = \"50ms\"",
        other.messages_url()
    );
    gateway.rewrite_with("", &[("other".to_owned(), fragment)]);
    reload(&gateway).await;
    eventually("another one is asked ten times", async || {
        other.count() > 10
    })
    .await;
    assert_eq!(probed(), before, "nobody asks a bot that is gone");
}

#[tokio::test]
async fn a_bot_whose_backends_change_keeps_those_that_stay() {
    let bot = EchoBot::start().await.unwrap();
    let tap = Tap::before(&bot).await;
    let backends = |more: &str| format!("[bots]\nbackend = [\"{}\"{more}]", tap.messages_url());
    let gateway = Gateway::with(&backends("")).bot(&bot).start().await;
    let mut connection = gateway.client().connect(PROTOCOLS[0]).await.unwrap();
    let reply = gateway.teams_message().send_on(&mut connection).await;
    assert_eq!((reply.status, tap.connections()), (200, 1));
    // Of the new one nobody ever answers.
    let gone = EchoBot::start().await.unwrap();
    let another = format!(", \"{}\"", gone.messages_url());
    gone.close().await;
    let line = rewrite(&gateway, &backends(&another)).await;
    assert!(said(&line, "changed").contains("backend"), "{line}");
    for _ in 0..6 {
        let reply = gateway.teams_message().send_on(&mut connection).await;
        assert_eq!(reply.status, 200);
    }
    assert_eq!(
        tap.connections(),
        1,
        "the connection to the one that stays is kept"
    );
    rewrite(&gateway, &backends("")).await;
    let page = Page::of(&gateway).await;
    assert_eq!(page.family("botgate_backend_up").len(), 1);
}

// Connections

#[tokio::test]
async fn limits_of_connections_hold_for_those_that_come_after() {
    let gateway = Gateway::with("[server.limits]\nconnections_per_ip = 2")
        .start()
        .await;
    let open = async || gateway.client().connect(PROTOCOLS[0]).await;
    let mut first = open().await.unwrap();
    let _second = open().await.unwrap();
    assert!(open().await.is_err());
    rewrite(&gateway, "[server.limits]\nconnections_per_ip = 3").await;
    let _third = open().await.unwrap();
    rewrite(
        &gateway,
        "[server.limits]\nconnections_per_ip = 1\nheader_timeout = \"9s\"",
    )
    .await;
    assert!(open().await.is_err());
    // Those that are open are served on.
    let reply = gateway.teams_message().send_on(&mut first).await;
    reply.forwarded().await;
}
