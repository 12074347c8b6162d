//! What operators see: health, readiness, metrics, and a log that a flood cannot fill.

use crate::support::metrics::Page;
use crate::support::{Gateway, PATIENCE, TENANT, eventually, new_channel};
use botgate::cli::demo::channel::{Document, now};
use botgate::cli::demo::client::Protocol;
use botgate::judge::Reason;
use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

#[tokio::test]
async fn readiness_waits_for_keys_and_health_does_not() {
    let channel = new_channel().await;
    channel.serve_keys(Document::status(StatusCode::BAD_GATEWAY));
    let gateway = Gateway::with("")
        .channel(&channel)
        .not_ready()
        .start()
        .await;
    assert_eq!(gateway.admin("/healthz").await, (200, "ok\n".to_owned()));
    let (status, body) = gateway.admin("/readyz").await;
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (status, answer),
        (
            503,
            json!({ "ready": false, "missing": ["keys \"stand-in\""] })
        )
    );
    eventually("the first fetch fails", async || {
        key_fetches(&gateway, "failed").await >= 1.0
    })
    .await;
    channel.serve_keys(Document::Faithful);
    eventually("there are keys", async || {
        exactly(key_fetches(&gateway, "ok").await, 1.0)
    })
    .await;
    let (status, body) = gateway.admin("/readyz").await;
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (status, answer),
        (200, json!({ "ready": true, "missing": [] }))
    );
}

#[tokio::test]
async fn the_admin_listener_has_three_pages_for_reading() {
    let gateway = Gateway::start().await;
    for (path, content_type) in [
        ("/healthz", "text/plain; charset=utf-8"),
        ("/readyz", "application/json"),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8"),
    ] {
        let answer = ask(&gateway, "GET", path).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let stated = format!("content-type: {content_type}\r\n");
        assert!(answer.contains(&stated), "{answer}");
        assert!(answer.contains("cache-control: no-store\r\n"), "{answer}");
        let answer = ask(&gateway, "HEAD", path).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.ends_with("\r\n\r\n"), "HEAD has no body: {answer}");
        let answer = ask(&gateway, "POST", path).await;
        assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
        assert!(answer.contains("allow: GET, HEAD\r\n"), "{answer}");
    }
    for path in [
        "/metrics/",
        "/Metrics",
        "/debug",
        "/../metrics",
        "/api/messages",
    ] {
        let answer = ask(&gateway, "GET", path).await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{path}: {answer}");
    }
    // Operators are no clients: they are neither counted nor written down.
    assert_eq!(gateway.request_lines(), Vec::<Value>::new());
    // And clients are no operators.
    for path in ["/healthz", "/readyz", "/metrics"] {
        let reply = gateway
            .teams_message()
            .method(Method::GET)
            .path(path)
            .send();
        reply.await.refused_before_proof(Reason::PathNotFound).await;
    }
}

#[tokio::test]
async fn the_admin_listener_can_be_turned_off() {
    let gateway = Gateway::with("[admin]\nlisten = \"\"")
        .not_ready()
        .start()
        .await;
    assert_eq!(gateway.process().admin(), None);
    gateway.event("keys_refreshed", |_| true).await;
    gateway.teams_message().send().await.forwarded().await;
}

#[tokio::test]
async fn every_metric_is_there_and_described() {
    let gateway = Gateway::with("[server.limits]\nconnections_per_ip = 1")
        .start()
        .await;
    gateway.teams_message().send().await.forwarded().await;
    closed(&gateway).await;
    // A connection too many, and a channel without endorsement, so that their counters exist.
    let held = gateway.client().connect(Protocol::Http1).await.unwrap();
    assert!(gateway.client().connect(Protocol::Http1).await.is_err());
    drop(held);
    closed(&gateway).await;
    let slack = gateway
        .teams_message()
        .activity(|activity| activity["channelId"] = json!("slack"));
    let reply = slack.send().await;
    reply.refused_after_proof(Reason::ChannelNotEndorsed).await;

    let page = Page::of(&gateway).await;
    for (metric, kind) in [
        ("botgate_requests_total", "counter"),
        ("botgate_request_duration_seconds", "histogram"),
        ("botgate_gate_duration_seconds", "histogram"),
        ("botgate_upstream_duration_seconds", "histogram"),
        ("botgate_connections", "gauge"),
        ("botgate_connections_refused_total", "counter"),
        ("botgate_tls_handshakes_total", "counter"),
        ("botgate_http2_requests_malformed_total", "counter"),
        ("botgate_keys_age_seconds", "gauge"),
        ("botgate_key_fetches_total", "counter"),
        ("botgate_token_clock_offset_seconds", "gauge"),
        ("botgate_endorsement_missing_total", "counter"),
        ("botgate_auth_delays_total", "counter"),
        ("botgate_rate_limit_store_errors_total", "counter"),
        ("botgate_config_reloads_total", "counter"),
        (
            "botgate_config_last_reload_success_timestamp_seconds",
            "gauge",
        ),
        ("botgate_certificate_expiry_timestamp_seconds", "gauge"),
        ("botgate_inflight_requests", "gauge"),
        ("botgate_acknowledged_total", "counter"),
        ("botgate_acknowledged_outcomes_total", "counter"),
        ("botgate_redeliveries_total", "counter"),
        ("botgate_spans_ended_total", "counter"),
        ("botgate_spans_exported_total", "counter"),
        ("botgate_build_info", "gauge"),
        ("process_resident_memory_bytes", "gauge"),
        ("process_open_fds", "gauge"),
        ("process_start_time_seconds", "gauge"),
    ] {
        assert_eq!(
            page.kinds.get(metric).map(String::as_str),
            Some(kind),
            "{metric}"
        );
        assert!(page.helps.contains_key(metric), "{metric} is not described");
        assert!(page.has(metric), "{metric} has no sample");
    }
    // Health checks of bots, and floods, come in other scenarios and versions.
    let version = env!("CARGO_PKG_VERSION");
    let build = format!("botgate_build_info{{revision=\"unknown\",version=\"{version}\"}}");
    assert!(exactly(page.value(&build), 1.0), "{build}");
    let issuer = "{issuer=\"https://api.botframework.com\"}";
    let age = page.value(&format!("botgate_keys_age_seconds{issuer}"));
    assert!((0.0..60.0).contains(&age), "{age}");
    let offset = page.value("botgate_token_clock_offset_seconds");
    assert!((-60.0..=0.0).contains(&offset), "{offset}");
    let slack = "botgate_endorsement_missing_total{channel=\"slack\"}";
    assert!(exactly(page.value(slack), 1.0));
    let refused = "botgate_connections_refused_total{reason=\"connection_limited\"}";
    assert!(exactly(page.value(refused), 1.0));
    let start = page.value("botgate_config_last_reload_success_timestamp_seconds");
    let age = f64::from(u32::try_from(now()).unwrap()) - start;
    assert!(
        (0.0..60.0).contains(&age),
        "settings came into force at the start, not {age} s ago"
    );
    let expiry = page.value("botgate_certificate_expiry_timestamp_seconds{name=\"self-signed\"}");
    assert!(expiry > start, "{expiry}");
}

#[tokio::test]
async fn counts_add_up_with_the_requests_sent() {
    let gateway = Gateway::with(
        "[bots.tenants]\nmode = \"report\"\nallow = [\"00000000-0000-4000-8000-000000000001\"]",
    )
    .start()
    .await;
    let message = || gateway.teams_message();
    let webchat = || gateway.post("webchat-message.json");
    let mut sent = BTreeMap::new();
    for (bot, verdict, reason, times, post) in [
        ("echo", "forwarded", "", 3, &webchat as &dyn Fn() -> _),
        ("echo", "would_reject", "tenant_not_allowed", 2, &message),
        ("echo", "rejected", "token_missing", 4, &|| {
            message().without_token()
        }),
        ("echo", "rejected", "token_audience_mismatch", 1, &|| {
            message().token(|token| token.claim("aud", "other"))
        }),
        ("echo", "rejected", "activity_malformed", 2, &|| {
            webchat().text(|text| text + "x")
        }),
        ("", "rejected", "path_not_found", 2, &|| {
            message().path("/x")
        }),
        ("", "rejected", "request_malformed", 1, &|| {
            message().host("no host")
        }),
    ] {
        let labels = format!(
            "botgate_requests_total{{bot=\"{bot}\",door=\"ingress\",reason=\"{reason}\",verdict=\"{verdict}\"}}"
        );
        sent.insert(labels, f64::from(times));
        for number in 0..times {
            let post = if number % 2 == 0 {
                post()
            } else {
                post().over_http2()
            };
            post.send().await.only_request_line().await;
        }
    }
    closed(&gateway).await;
    let page = Page::of(&gateway).await;
    let mut counted = page.family("botgate_requests_total");
    // A series of every bot is there from the start.
    counted.retain(|_, count| *count > 0.0);
    assert_eq!(counted, sent);

    let value = |name: &str, bot: &str| page.value(&format!("{name}{{bot=\"{bot}\"}}"));
    for (bot, requests, answered) in [("echo", 12.0, 5.0), ("", 3.0, 0.0)] {
        let histogram = "botgate_request_duration_seconds_count";
        assert!(exactly(value(histogram, bot), requests), "{bot:?}");
        let histogram = "botgate_gate_duration_seconds_count";
        assert!(exactly(value(histogram, bot), requests), "{bot:?}");
        let histogram = "botgate_upstream_duration_seconds_count";
        assert!(exactly(value(histogram, bot), answered), "{bot:?}");
        let inflight = value("botgate_inflight_requests", bot);
        assert!(exactly(inflight, 0.0), "{bot:?}: {inflight}");
    }
    let handshakes: f64 = page.family("botgate_tls_handshakes_total").values().sum();
    assert!(
        exactly(handshakes, 15.0),
        "one connection each: {handshakes}"
    );
    assert_eq!(gateway.request_lines().len(), 15);
}

#[tokio::test]
async fn a_request_that_is_being_served_is_in_flight() {
    let gateway = Gateway::start().await;
    let mut streams = gateway.bot().answer_with_streams("text/plain");
    let sending = tokio::spawn(gateway.teams_message().send());
    let pieces = streams.recv().await.unwrap();
    let page = Page::of(&gateway).await;
    let inflight = page.value("botgate_inflight_requests{bot=\"echo\"}");
    assert!(exactly(inflight, 1.0), "{inflight}");
    let open = page.value("botgate_connections{state=\"open\"}");
    assert!(exactly(open, 1.0), "{open}");
    drop(pieces);
    sending.await.unwrap().only_request_line().await;
    closed(&gateway).await;
    let inflight = gateway
        .metric("botgate_inflight_requests{bot=\"echo\"}")
        .await;
    assert!(exactly(inflight, 0.0), "{inflight}");
}

#[tokio::test]
async fn nothing_a_client_sends_becomes_a_label() {
    let gateway = Gateway::with("[log]\nlevel = \"debug\"").start().await;
    let mark = "planted";
    for post in [
        gateway.teams_message().path("/planted"),
        gateway.teams_message().host("planted.example"),
        gateway
            .teams_message()
            .method(Method::from_bytes(b"PLANTED").unwrap()),
        gateway
            .teams_message()
            .activity(|activity| activity["channelId"] = json!("planted")),
        gateway
            .teams_message()
            .token(|token| token.claim("iss", "https://planted.example/")),
        gateway
            .teams_message()
            .token(|token| token.header("kid", "planted")),
        gateway.teams_message().header("x-request-id", "planted"),
        gateway.teams_message().header("user-agent", "planted"),
    ] {
        post.send().await.only_request_line().await;
    }
    let (_, page) = gateway.admin("/metrics").await;
    assert!(!page.contains(mark), "{page}");
    let other = "botgate_endorsement_missing_total{channel=\"other\"} 1";
    assert!(page.contains(other), "{page}");
}

#[tokio::test]
async fn every_line_of_the_log_is_json_whatever_clients_send() {
    let gateway = Gateway::start().await;
    let nasty = "\"}\u{85}\u{2028}\u{7f}{\"event\":\"request\"";
    let post = gateway.teams_message().activity(|activity| {
        activity["conversation"]["id"] = json!(format!("a\n{nasty}"));
        activity["from"]["id"] = json!(nasty);
    });
    post.send().await.only_request_line().await;
    assert!(gateway.terminate().await.success());
    let output = gateway.output();
    assert_eq!(output.log.len(), output.stdout.len(), "{output}");
    assert_eq!(output.stderr, Vec::<String>::new());
    let control = |line: &&String| line.chars().any(|c| c.is_control() || c == '\u{2028}');
    assert_eq!(output.stdout.iter().find(control), None);
    for line in gateway.request_lines() {
        for field in [
            "timestamp",
            "level",
            "event",
            "verdict",
            "request_id",
            "door",
            "client_ip",
        ] {
            assert!(line[field].is_string(), "{field} in {line}");
        }
        let timestamp = line["timestamp"].as_str().unwrap();
        assert!(
            timestamp.len() == 24 && timestamp.ends_with('Z'),
            "{timestamp}"
        );
    }
}

#[tokio::test]
async fn a_request_line_has_every_field_of_the_contract_and_no_other() {
    let gateway = Gateway::start().await;
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let invoke = gateway
        .post("teams-invoke.json")
        .path("/api/messages?secret=query")
        .header("traceparent", traceparent);
    let line = invoke.send().await.only_request_line().await;
    for (field, value) in [
        ("level", json!("INFO")),
        ("target", json!("botgate::audit")),
        ("event", json!("request")),
        ("verdict", json!("forwarded")),
        ("trace_id", json!("0af7651916cd43dd8448eb211c80319c")),
        ("bot", json!("echo")),
        ("door", json!("ingress")),
        ("client_ip", json!("127.0.0.1")),
        ("method", json!("POST")),
        ("path", json!("/api/messages")),
        ("status", json!(200)),
        ("token_kind", json!("channel")),
        ("token_issuer", json!("https://api.botframework.com")),
        ("key_id", json!("stand-in-channel-key-1")),
        ("channel", json!("msteams")),
        ("activity_type", json!("invoke")),
        ("invoke_name", json!("adaptiveCard/action")),
        ("tenant", json!(TENANT)),
        ("service_url_host", json!("smba.trafficmanager.net")),
        ("conversation", json!("a:1ScenarioConversation")),
        ("user", json!("29:1ScenarioUserOne")),
        (
            "bytes_in",
            json!(gateway.post("teams-invoke.json").length()),
        ),
        ("http_version", json!("1.1")),
        ("tls_version", json!("1.3")),
    ] {
        assert_eq!(line[field], value, "{field} in {line}");
    }
    assert!(line["bytes_out"].as_u64() > Some(0), "{line}");
    let whole = line["duration_ms"].as_f64().unwrap();
    let upstream = line["upstream_ms"].as_f64().unwrap();
    assert!(0.0 < upstream && upstream <= whole, "{line}");
    // Besides: timestamp, request_id, bytes_out, duration_ms, upstream_ms. And what is nobody's business is nowhere.
    assert_eq!(line.as_object().unwrap().len(), 24 + 5, "{line}");
    let text = line.to_string();
    for private in ["Müller", "Scenario Bot", "ticket", "approve", "secret"] {
        assert!(!text.contains(private), "{private} in {line}");
    }

    let reply = gateway.teams_message().without_token().send().await;
    let line = reply.only_request_line().await;
    for unknown in [
        "trace_id",
        "token_kind",
        "token_issuer",
        "key_id",
        "channel",
        "activity_type",
        "invoke_name",
        "tenant",
        "service_url_host",
        "conversation",
        "user",
        "upstream_ms",
        "note",
    ] {
        assert_eq!(line.get(unknown), None, "{unknown} in {line}");
    }
}

#[tokio::test]
async fn identifiers_are_written_as_the_operator_wants() {
    for (setting, is_written) in [("hashed", true), ("omitted", false)] {
        let gateway = Gateway::with(&format!("[log]\nidentifiers = \"{setting}\""))
            .start()
            .await;
        let mut lines = vec![];
        for _ in 0..2 {
            let reply = gateway.teams_message().send().await;
            lines.push(reply.only_request_line().await);
        }
        for (field, plain) in [
            ("user", "29:1ScenarioUserOne"),
            ("conversation", "a:1ScenarioConversation"),
        ] {
            assert_eq!(lines[0].get(field).is_some(), is_written, "{}", lines[0]);
            assert_eq!(
                lines[0].get(field),
                lines[1].get(field),
                "one user, one hash"
            );
            let leak = gateway
                .output()
                .stdout
                .iter()
                .any(|line| line.contains(plain));
            assert!(!leak, "{plain} is in the log");
        }
    }
}

#[tokio::test]
async fn a_flood_of_refusals_fills_neither_the_log_nor_hides_from_the_metrics() {
    const CONNECTIONS: usize = 4;
    const EACH: usize = 300;
    const ALL: usize = CONNECTIONS * EACH;
    let gateway =
        Gateway::with("[server.limits]\nrequests_per_ip = { rate = \"100000/s\", burst = 100000 }")
            .start()
            .await;
    let floods: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let gateway = gateway.clone();
            tokio::spawn(async move {
                let connection = gateway.client().connect(Protocol::Http1).await;
                let mut connection = connection.unwrap();
                for _ in 0..EACH {
                    let request = gateway.teams_message().without_token().into_request();
                    let response = connection
                        .send(request.map(|_| Bytes::new()))
                        .await
                        .unwrap();
                    assert_eq!(response.status(), 401);
                    response.into_body().collect().await.unwrap();
                }
            })
        })
        .collect();
    for flood in floods {
        flood.await.unwrap();
    }
    // The log tells of every one, by a line or by a count.
    let told = |log: &[Value]| {
        let of = |event: &'static str| {
            log.iter().filter(move |line| {
                line["event"] == event && line["reason"] == Reason::TokenMissing.code()
            })
        };
        let counts = of("suppressed").map(|line| line["count"].as_u64().unwrap());
        (
            of("request").count(),
            usize::try_from(counts.sum::<u64>()).unwrap(),
        )
    };
    let all_told = gateway
        .process()
        .wait_until(
            |output| {
                let (lines, suppressed) = told(&output.log);
                lines + suppressed >= ALL
            },
            PATIENCE,
        )
        .await;
    let (lines, suppressed) = told(&gateway.output().log);
    assert!(
        all_told,
        "{lines} lines and {suppressed} suppressed of {ALL}"
    );
    assert_eq!(lines + suppressed, ALL);
    assert!(
        suppressed > 0,
        "{ALL} in a moment, and every one has its line"
    );
    let one = gateway.event("suppressed", |_| true).await;
    assert_eq!(one["client_ip"], "127.0.0.1", "{one}");

    let page = Page::of(&gateway).await;
    let refused = "botgate_requests_total{bot=\"echo\",door=\"ingress\",reason=\"token_missing\",verdict=\"rejected\"}";
    let exact = f64::from(u32::try_from(ALL).unwrap());
    assert!(exactly(page.value(refused), exact));
    let counted = page.value("botgate_log_suppressed_total{reason=\"token_missing\"}");
    assert!(exactly(
        counted,
        f64::from(u32::try_from(suppressed).unwrap())
    ));
    // Others are written as ever.
    gateway.teams_message().send().await.forwarded().await;
}

// Words

/// Counts are whole numbers, which floats hold exactly.
fn exactly(counted: f64, expected: f64) -> bool {
    (counted - expected).abs() < f64::EPSILON
}

async fn key_fetches(gateway: &Gateway, result: &str) -> f64 {
    let labels = format!("issuer=\"https://api.botframework.com\",result=\"{result}\"");
    gateway
        .metric(&format!("botgate_key_fetches_total{{{labels}}}"))
        .await
}

/// Waits until the gateway has noticed that every client is gone.
async fn closed(gateway: &Gateway) {
    let open = "botgate_connections{state=\"open\"}";
    eventually("every connection is closed", async || {
        exactly(gateway.metric(open).await, 0.0)
    })
    .await;
}

/// One request to the admin listener, as text, and the whole answer.
async fn ask(gateway: &Gateway, method: &str, path: &str) -> String {
    let admin = gateway.process().admin().unwrap();
    let mut stream = TcpStream::connect(admin).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {admin}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = timeout(PATIENCE, stream.read_to_string(&mut answer)).await;
    read.expect("an answer").unwrap();
    answer
}
