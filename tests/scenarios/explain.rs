//! `botgate explain` says what the gateway does: every row of the tables that the gateway is tried with is told by both.

use crate::support::table::Row;
use crate::support::{Gateway, PATIENCE};
use botgate::cli::demo::channel::now;
use botgate::cli::demo::client::Protocol;
use bytes::Bytes;
use http::Request;
use serde_json::Value;
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
        note: word(&line["note"]),
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
    assert_eq!(names, RULES, "{name}");
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

/// The names are contract.
const RULES: [&str; 36] = [
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
    "token_key",
    "token_signature",
    "token_key_issuer",
    "body",
    "activity",
    "channel_endorsed",
    "service_url_bound",
    "service_url_secure",
    "agent_platform",
    "agent_recipient",
    "service_url_host",
    "caller",
    "channel",
    "tenant",
    "activity_type",
    "invoke_name",
    "direct_line_user",
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
