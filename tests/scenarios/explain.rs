//! `botgate explain` says what the gateway does: every row of the tables that the gateway is tried with is told by both.

use crate::support::table::{Expected, Row, row};
use crate::support::{APP_ID, FOREIGN_TENANT, Gateway, PATIENCE, TENANT, eventually};
use botgate::cli::demo::channel::{ENDORSED, now};
use botgate::cli::demo::client::Protocol;
use botgate::judge::AGENT_PLATFORM;
use bytes::Bytes;
use http::{Method, Request};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Output;
use tokio::process::Command;

/// Runs `botgate explain` beside a gateway.
async fn explain(gateway: &Gateway, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_botgate"))
        .arg("explain")
        .args(arguments)
        .current_dir(gateway.folder())
        .output()
        .await
        .unwrap()
}

/// What it says as JSON, with its exit code.
async fn told(gateway: &Gateway, arguments: &[&str]) -> (Value, Option<i32>) {
    let arguments = [arguments, &["--json"]].concat();
    let output = explain(gateway, &arguments).await;
    let stdout = String::from_utf8(output.stdout).unwrap();
    let json = serde_json::from_str(&stdout)
        .unwrap_or_else(|_| panic!("{stdout}{}", String::from_utf8_lossy(&output.stderr)));
    (json, output.status.code())
}

/// The request as a capture of HTTP/1.1 would show it.
fn as_captured(request: &Request<Bytes>) -> Vec<u8> {
    let mut text = format!("{} {} HTTP/1.1\r\n", request.method(), request.uri()).into_bytes();
    for (name, value) in request.headers() {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(format!("content-length: {}\r\n\r\n", request.body().len()).as_bytes());
    text.extend_from_slice(request.body());
    text
}

fn save(gateway: &Gateway, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = gateway.folder().join(name);
    std::fs::write(&path, content).unwrap();
    path
}

/// What gateway and `explain` say of one request, judged in the same second of the clock.
async fn both(gateway: &Gateway, mut make: impl FnMut() -> Request<Bytes>) -> (Told, Told, Value) {
    let judged = async {
        loop {
            let request = make();
            let file = save(gateway, "saved.http", as_captured(&request));
            let began = now();
            let response = gateway.client().send(Protocol::Http1, request).await;
            let response = response.unwrap();
            let id = response.headers()["x-request-id"].to_str().unwrap();
            let line = gateway.request_line_for(id).await;
            if now() == began {
                return (file, began, response, line);
            }
        }
    };
    let (file, began, response, line) = tokio::time::timeout(PATIENCE, judged).await.unwrap();
    let at = began.to_string();
    let arguments = ["--request", file.to_str().unwrap(), "--live", "--at", &at];
    let (json, exit) = told(gateway, &arguments).await;
    let is_refused = line["verdict"] == "rejected";
    let by_gateway = Told {
        verdict: word(&line["verdict"]),
        reason: word(&line["reason"]),
        note: without_refreshes(&word(&line["note"])),
        status: is_refused.then_some(response.status().as_u16()),
        body: if is_refused {
            without_id(response.body())
        } else {
            Value::Null
        },
        exit: Some(i32::from(is_refused)),
    };
    let sees = json["caller_sees"]["body"].as_str().unwrap_or_default();
    let status = json["status"].as_u64();
    let by_explain = Told {
        verdict: word(&json["verdict"]),
        reason: word(&json["reason"]),
        note: word(&json["note"]),
        status: status.map(|status| u16::try_from(status).unwrap()),
        body: without_id(sees.as_bytes()),
        exit,
    };
    (by_gateway, by_explain, json)
}

/// Only the running gateway knows what became of its refreshes.
fn without_refreshes(note: &str) -> String {
    const LAST_WORDS: &str = "is not among the issuer's keys";
    match note.split_once(LAST_WORDS) {
        Some((before, _)) => format!("{before}{LAST_WORDS}"),
        None => note.to_owned(),
    }
}

fn without_id(body: &[u8]) -> Value {
    let mut body: Value = serde_json::from_slice(body).unwrap_or_default();
    if let Some(members) = body.as_object_mut() {
        members.remove("requestId");
    }
    body
}

/// Asks both about every row. All rows they do not agree on are told together.
pub(crate) async fn agree(gateway: &Gateway, rows: Vec<Row>) {
    let count = rows.len();
    let mut failures = Vec::new();
    for row in rows {
        let (name, make) = row.into_requests();
        let (by_gateway, by_explain, json) = both(gateway, make).await;
        if by_gateway != by_explain {
            failures.push(format!("{name}:\n  {by_gateway:?}\n  {by_explain:?}"));
        }
        every_rule_is_told(&name, &json);
    }
    assert!(
        failures.is_empty(),
        "{} of {count} rows are told otherwise than the gateway does:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

/// Each rule once, in the same order always, and each with an answer that says something.
fn every_rule_is_told(name: &str, json: &Value) {
    let rules = json["rules"].as_array().unwrap();
    let names: Vec<&str> = rules
        .iter()
        .map(|rule| rule["name"].as_str().unwrap())
        .collect();
    if names.contains(&"relates_to_host") {
        let (mut asked, mut of_all) = (names.clone(), RULES.to_vec());
        asked.sort_unstable();
        of_all.sort_unstable();
        asked.retain(|rule| *rule != "relates_to_host");
        of_all.retain(|rule| !NOT_OF_CALLBACKS.contains(rule));
        assert_eq!(asked, of_all, "{name}");
    } else {
        assert_eq!(names, RULES, "{name}");
    }
    for rule in rules {
        match rule["answer"].as_str().unwrap() {
            "passes" => assert!(rule["reason"].is_null(), "{name}: {rule}"),
            "refuses" | "would_refuse" => {
                assert!(rule["reason"].is_string(), "{name}: {rule}");
                assert!(rule["status"].is_u64(), "{name}: {rule}");
                assert!(rule["expected"].is_string(), "{name}: {rule}");
            }
            "not_asked" => assert!(rule["note"].is_string(), "{name}: {rule}"),
            other => panic!("{name}: {other}"),
        }
    }
}

/// What is asked of activities alone.
const NOT_OF_CALLBACKS: [&str; 10] = [
    "channel_endorsed",
    "service_url_bound",
    "service_url_secure",
    "agent_recipient",
    "service_url_host",
    "channel",
    "activity_type",
    "invoke_name",
    "direct_line_user",
    "direct_line_issued",
];

/// The names are contract.
const RULES: [&str; 38] = [
    "rate_limit_address",
    "request",
    "framing",
    "head_size",
    "route",
    "upgrade",
    "method",
    "transfer_encoding",
    "content_type",
    "content_encoding",
    "body_announced",
    "authorization",
    "token_form",
    "token_algorithm",
    "token_issuer",
    "token_time",
    "token_audience",
    "token_claims",
    "token_place",
    "token_key",
    "token_signature",
    "token_key_issuer",
    "agent_platform",
    "caller",
    "body",
    "activity",
    "channel_endorsed",
    "service_url_bound",
    "service_url_secure",
    "agent_recipient",
    "service_url_host",
    "channel",
    "tenant",
    "activity_type",
    "invoke_name",
    "direct_line_user",
    "direct_line_issued",
    "rate_limits",
];

#[derive(Debug, PartialEq)]
struct Told {
    verdict: String,
    reason: String,
    note: String,
    status: Option<u16>,
    body: Value,
    exit: Option<i32>,
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A key set as the stand-in channel publishes it.
fn key_set(gateway: &Gateway) -> String {
    let mut key = gateway.channel().first_key().jwk();
    key.insert("endorsements".to_owned(), json!(ENDORSED));
    json!({ "keys": [key] }).to_string()
}

/// What stands in a request and must not be told.
fn withheld(request: &Request<Bytes>) -> Vec<String> {
    let token = request.headers()["authorization"].to_str().unwrap();
    let segments = token.trim_start_matches("Bearer ").split('.');
    let mut withheld: Vec<String> = segments.map(str::to_owned).collect();
    withheld.push("SECRET-WORDS".to_owned());
    withheld
}

#[tokio::test]
async fn token_and_activity_are_judged_with_keys_of_a_file_and_nothing_of_them_leaks() {
    let gateway = Gateway::start().await;
    let request = gateway
        .teams_message()
        .with("/text", "SECRET-WORDS")
        .into_request();
    let token = request.headers()["authorization"].to_str().unwrap();
    save(&gateway, "token.txt", format!("{token}\r\n"));
    save(&gateway, "activity.json", request.body());
    save(&gateway, "keys.json", key_set(&gateway));
    // The metadata host is not asked.
    gateway.channel().close().await;
    let saved = [
        "--bot",
        "echo",
        "--token-file",
        "token.txt",
        "--activity",
        "activity.json",
    ];
    let with = |more: &[&'static str]| [&saved[..], more].concat();

    let output = explain(&gateway, &with(&["--keys", "keys.json"])).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.ends_with("\nforwarded\n"), "{text}");
    let (json, exit) = told(&gateway, &with(&["--keys", "keys.json"])).await;
    assert_eq!(
        (json["verdict"].as_str(), exit),
        (Some("forwarded"), Some(0))
    );
    assert_eq!(json["token"]["kind"], "channel");
    assert_eq!(json["token"]["signature"], "withheld, 256 bytes");
    assert_eq!(json["keys"]["from"], "file");

    let (refused, exit) = told(
        &gateway,
        &with(&["--keys", "keys.json", "--at", "2001-01-01T00:00:00Z"]),
    )
    .await;
    assert_eq!(
        (refused["reason"].as_str(), exit),
        (Some("token_not_yet_valid"), Some(1))
    );
    let rule = |name: &str| {
        let rules = refused["rules"].as_array().unwrap().iter();
        rules
            .clone()
            .find(|rule| rule["name"] == name)
            .unwrap()
            .clone()
    };
    assert_eq!(
        rule("token_signature")["answer"],
        "passes",
        "asked all the same"
    );
    assert_eq!(rule("channel_endorsed")["answer"], "passes");
    assert_eq!(
        refused["caller_sees"]["headers"]["www-authenticate"],
        "Bearer error=\"invalid_token\""
    );

    // Nothing is kept on disk in this setup, and nobody is asked.
    let (no_keys, exit) = told(&gateway, &with(&[])).await;
    assert_eq!(
        (no_keys["reason"].as_str(), no_keys["status"].as_u64(), exit),
        (Some("keys_unavailable"), Some(503), Some(1))
    );
    assert!(
        no_keys["note"].as_str().unwrap().contains("--live"),
        "{no_keys}"
    );
    for secret in withheld(&request) {
        for told in [&text, &json.to_string(), &refused.to_string()] {
            assert!(!told.contains(&secret), "{secret} in {told}");
        }
    }
}

#[tokio::test]
async fn the_disk_cache_serves_until_it_is_too_old() {
    let cache = "keys = { cache_dir = 'kept', max_stale = '24h' }";
    let gateway = Gateway::with(cache).start().await;
    let request = gateway.teams_message().into_request();
    save(&gateway, "saved.http", as_captured(&request));
    let kept = gateway.folder().join("kept/stand-in.json");
    eventually("the keys are kept", async || kept.exists()).await;
    let (json, exit) = told(&gateway, &["--request", "saved.http"]).await;
    assert_eq!(
        (json["verdict"].as_str(), exit),
        (Some("forwarded"), Some(0)),
        "{json}"
    );
    assert_eq!(json["keys"]["from"], "cache");
    assert!(json["keys"]["age_seconds"].as_u64().unwrap() < 60);

    gateway.rewrite("keys = { cache_dir = 'kept', max_stale = '1ms' }");
    let (json, _) = told(&gateway, &["--request", "saved.http"]).await;
    assert_eq!(json["reason"], "keys_unavailable", "{json}");
    assert!(
        json["note"].as_str().unwrap().contains("max_stale"),
        "{json}"
    );
}

#[tokio::test]
async fn captures_are_read_as_they_come() {
    let gateway = Gateway::start().await;
    save(&gateway, "keys.json", key_set(&gateway));
    let request = || as_captured(&gateway.teams_message().into_request());
    let text = || String::from_utf8(request()).unwrap();
    let chunked = || {
        let (head, body) = text()
            .split_once("\r\n\r\n")
            .map(|(h, b)| (h.to_owned(), b.to_owned()))
            .unwrap();
        let length = format!("content-length: {}", body.len());
        let head = head.replace(&length, "transfer-encoding: chunked");
        format!("{head}\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
    };
    let both_framings = text().replacen("\r\n", "\r\ntransfer-encoding: chunked\r\n", 1);
    let unframed = text()
        .lines()
        .filter(|line| !line.starts_with("content-length"))
        .collect::<Vec<_>>()
        .join("\n");
    for (name, capture, verdict) in [
        ("as it comes", text(), "forwarded"),
        (
            "line feeds alone",
            text().replace("\r\n", "\n"),
            "forwarded",
        ),
        ("chunked", chunked(), "forwarded"),
        ("bytes behind the body", text() + "\n\n", "forwarded"),
        ("no framing", unframed, "forwarded"),
        ("both framings", both_framings, "request_malformed"),
        (
            "cut off",
            text()[..text().len() - 5].to_owned(),
            "body_timed_out",
        ),
        (
            "no HTTP",
            text().replacen("POST", "PO ST", 1),
            "request_malformed",
        ),
        (
            "a large header",
            text().replacen("\r\n", &format!("\r\nx: {}\r\n", "x".repeat(40_000)), 1),
            "headers_too_large",
        ),
        (
            "another path",
            text().replacen("/api/messages", "/x", 1),
            "path_not_found",
        ),
    ] {
        save(&gateway, "saved.http", capture);
        let (json, exit) = told(
            &gateway,
            &[
                "--bot",
                "echo",
                "--request",
                "saved.http",
                "--keys",
                "keys.json",
            ],
        )
        .await;
        let is_forwarded = verdict == "forwarded";
        let said = if is_forwarded {
            &json["verdict"]
        } else {
            &json["reason"]
        };
        assert_eq!(said, verdict, "{name}: {json}");
        assert_eq!(exit, Some(i32::from(!is_forwarded)), "{name}");
        every_rule_is_told(name, &json);
    }
}

#[tokio::test]
async fn a_question_that_cannot_be_answered_exits_2_and_a_bad_configuration_78() {
    let gateway = Gateway::with("").bot_at("second", "").start().await;
    save(
        &gateway,
        "saved.http",
        as_captured(&gateway.teams_message().into_request()),
    );
    save(&gateway, "half.http", "POST / HTTP/1.1\r\nHost: a\r\n");
    save(&gateway, "bad.toml", "[[bots]]\nname = 7");
    for (arguments, code, words) in [
        (&["--request", "no-such-file"][..], 2, "no-such-file"),
        (&["--request", "half.http"], 2, "no empty line"),
        (
            &["--bot", "third", "--request", "saved.http"],
            2,
            "its bots are echo, second",
        ),
        (
            &["--bot", "second", "--request", "saved.http"],
            2,
            "lead to bot \"echo\"",
        ),
        (
            &["--token-file", "half.http", "--activity", "half.http"],
            2,
            "--bot NAME",
        ),
        (&["--token-file", "half.http"], 2, "--activity"),
        (&["--request", "saved.http", "--at", "noon"], 2, "1970"),
        (
            &[
                "--request",
                "saved.http",
                "--bot",
                "echo",
                "--keys",
                "away.json",
            ],
            2,
            "away.json: No such file",
        ),
        (
            &[
                "--request",
                "saved.http",
                "--bot",
                "echo",
                "--keys",
                "bad.toml",
            ],
            2,
            "bad.toml: not a key set",
        ),
        (
            &["--request", "saved.http", "--config", "bad.toml"],
            78,
            "bad.toml:2: error",
        ),
        (&[], 2, "--request"),
    ] {
        let output = explain(&gateway, arguments).await;
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{stderr}");
        assert!(stderr.contains(words), "{arguments:?}\n{stderr}");
        assert!(output.stdout.is_empty());
    }
}

const CALLER: &str = "1b2c3d4e-5f6a-4b7c-8d9e-0f1a2b3c4d5e";

#[tokio::test]
async fn tokens_of_every_kind_and_policies_in_every_mode_are_told_as_judged() {
    let gateway = Gateway::with(&format!(
        "bots.accept = ['channel', 'emulator', 'skill', 'agent']
        bots.callers.allow = ['{CALLER}']
        bots.tenants.allow = ['{TENANT}']
        server.limits.requests_per_ip = {{ rate = '100000/s', burst = 100000 }}"
    ))
    .bot_at("reporting", &format!("mode = 'report'\ntenants.allow = ['{TENANT}']\nchannels.allow = ['slack']"))
    .bot_at("quiet", &format!("tenants = {{ allow = ['{TENANT}'], on_reject = '200' }}"))
    .bot_at("picky", "channels.allow = ['slack']\nactivities = { allow = ['message'], deny_invoke = ['task/fetch'] }\ndirect_line.enhanced_authentication = true\nservice_urls.allow_hosts = ['a.example']")
    .start()
    .await;
    let teams = || gateway.teams_message();
    let foreign = || {
        let tenant = json!({ "tenant": { "id": FOREIGN_TENANT } });
        teams()
            .with("/channelData", tenant)
            .lacking("/conversation/tenantId")
            .with("/serviceUrl", "https://smba.trafficmanager.net/emea/")
    };
    let channel = gateway.channel().clone();
    let entra = |tenant: &str, caller: &str| {
        let spec = channel.entra_token(APP_ID, tenant, caller);
        teams().token(move |_| spec)
    };
    let platform = AGENT_PLATFORM;
    let agent = || entra(TENANT, platform).with("/recipient/role", "agenticUser");
    // What is expected of each row is what the gateway does.
    let rows = vec![
        ("a skill's caller", entra(TENANT, CALLER)),
        (
            "a skill's caller, version 1",
            entra(TENANT, CALLER).token(|t| t.in_version_1()),
        ),
        ("another application", entra(TENANT, FOREIGN_TENANT)),
        (
            "a skill's caller of another tenant",
            entra(FOREIGN_TENANT, CALLER),
        ),
        (
            "no tid",
            entra(TENANT, CALLER).token(|t| t.without_claim("tid")),
        ),
        (
            "no ver",
            entra(TENANT, CALLER).token(|t| t.without_claim("ver")),
        ),
        (
            "for a user",
            entra(TENANT, CALLER).token(|t| t.claim("scp", "x")),
        ),
        (
            "the Emulator",
            entra(TENANT, APP_ID)
                .with("/channelId", "emulator")
                .with("/serviceUrl", "http://localhost:1234/"),
        ),
        ("the Emulator as Teams", entra(TENANT, APP_ID)),
        ("an agent", agent()),
        (
            "an agent by another name",
            agent().token(|t| t.claim("aud", format!("api://{APP_ID}"))),
        ),
        ("an agent without a role", entra(TENANT, platform)),
        (
            "an agent of a tenant not listed",
            entra(FOREIGN_TENANT, platform),
        ),
        (
            "a key of the channel for an Entra token",
            entra(TENANT, CALLER).token(|t| t.header("kid", "stand-in-channel-key-1")),
        ),
        ("a foreign tenant", foreign()),
        ("a foreign tenant, reported", foreign().to("reporting")),
        ("another channel, reported", teams().to("reporting")),
        (
            "not endorsed, where all else is reported",
            teams().with("/channelId", "slack").to("reporting"),
        ),
        ("a foreign tenant, quietly", foreign().to("quiet")),
        (
            "a foreign tenant that expects replies, quietly",
            foreign().with("/deliveryMode", "expectReplies").to("quiet"),
        ),
        (
            "a foreign tenant's invoke",
            foreign()
                .with("/type", "invoke")
                .with("/name", "a")
                .to("quiet"),
        ),
        (
            "too much at once",
            gateway
                .post("teams-invoke.json")
                .with("/name", "task/fetch")
                .to("picky"),
        ),
        (
            "a user of Direct Line",
            gateway
                .post("direct-line-message.json")
                .with("/from/id", "someone")
                .to("picky"),
        ),
        (
            "an Entra token where only channels come in",
            entra(TENANT, CALLER).to("picky"),
        ),
    ];
    let rows = rows
        .into_iter()
        .map(|(name, post)| row(name, post, Expected::Forwarded));
    agree(&gateway, rows.collect()).await;
}

#[tokio::test]
async fn callbacks_of_skills_are_told_as_judged() {
    let gateway = Gateway::with(&format!(
        "[bots]
        accept = ['channel', 'skill']
        callers = {{ allow = ['{CALLER}'], callback_path = '/api/skills' }}
        tenants.allow = ['{TENANT}']"
    ))
    .bot_at(
        "reporting",
        "accept = ['skill']\ncallers = { callback_path = '/reported', mode = 'report' }",
    )
    .start()
    .await;
    let path = "/api/skills/v3/conversations/a%3A1/activities";
    let by = |tenant: &str, caller: &str| {
        let token = gateway.channel().entra_token(APP_ID, tenant, caller);
        gateway.teams_message().token(move |_| token).path(path)
    };
    let callback = || by(TENANT, CALLER);
    let elsewhere = json!({ "relatesTo": { "serviceUrl": "https://evil.example/" } });
    let rows = vec![
        ("a reply", callback()),
        ("another application", by(TENANT, APP_ID)),
        ("another application as such", by(TENANT, FOREIGN_TENANT)),
        ("another tenant", by(FOREIGN_TENANT, CALLER)),
        ("a channel's token", gateway.teams_message().path(path)),
        ("PATCH", callback().method(Method::PATCH)),
        (
            "PATCH of plain text",
            callback()
                .method(Method::PATCH)
                .header("content-type", "text/plain"),
        ),
        ("a GET with a body", callback().method(Method::GET)),
        (
            "a DELETE without one",
            callback()
                .method(Method::DELETE)
                .body("")
                .without_header("content-type"),
        ),
        (
            "a PUT of plain text",
            callback()
                .method(Method::PUT)
                .header("content-type", "text/plain"),
        ),
        (
            "compressed plain text",
            callback()
                .header("content-type", "text/plain")
                .header("content-encoding", "gzip"),
        ),
        ("a list", callback().body("[]")),
        (
            "a relation elsewhere",
            callback().body(elsewhere.to_string()),
        ),
        (
            "no call of the API",
            callback().path("/api/skills/v3/conversations/.."),
        ),
        ("reported", callback().path("/reported/v3/conversations")),
    ];
    let rows = rows
        .into_iter()
        .map(|(name, post)| row(name, post, Expected::Forwarded));
    agree(&gateway, rows.collect()).await;
}

#[test]
fn the_document_shows_what_the_program_says() {
    const DOCUMENT: &str = include_str!("../../docs/explain.md");
    for rule in RULES {
        assert!(
            DOCUMENT.contains(&format!("`{rule}`")),
            "{rule} is not explained"
        );
    }
    let examples: Vec<Value> = DOCUMENT
        .split("```json\n")
        .skip(1)
        .map(|rest| serde_json::from_str(rest.split("```").next().unwrap()).unwrap())
        .collect();
    let verdicts: Vec<_> = examples
        .iter()
        .map(|json| json["verdict"].as_str())
        .collect();
    assert_eq!(verdicts, [Some("forwarded"), Some("rejected")]);
    for json in &examples {
        every_rule_is_told("docs/explain.md", json);
    }
}
