//! A span per request and one per call of the bot, in the trace that the channel began, for whoever collects them.

use crate::support::held_bot::HeldBot;
use crate::support::metrics::Page;
use crate::support::{APP_ID, FOREIGN_TENANT, Gateway, PATIENCE, TENANT, eventually};
use botgate::cli::demo::bot::{Answer, EchoBot};
use botgate::judge::Reason;
use http::{Method, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as SpanStatus;
use prost::Message as _;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use tokio::net::TcpListener;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// A collector, which only has to take what it is sent and say so.
async fn collector() -> EchoBot {
    let collector = EchoBot::start().await.unwrap();
    collector.answer_with(|_| Answer::status(StatusCode::OK));
    collector
}

/// What every export so far held.
fn exports(collector: &EchoBot) -> Vec<ExportTraceServiceRequest> {
    let bodies = collector.seen().into_iter().map(|export| {
        assert_eq!(export.path, "/v1/traces");
        assert_eq!(export.header("content-type"), ["application/x-protobuf"]);
        export.body.expect("it is whole")
    });
    bodies
        .map(|body| ExportTraceServiceRequest::decode(body).expect("it is OTLP"))
        .collect()
}

fn spans(collector: &EchoBot) -> Vec<Span> {
    let resources = exports(collector).into_iter();
    let scopes = resources.flat_map(|export| export.resource_spans);
    let scopes = scopes.flat_map(|resource| resource.scope_spans);
    scopes.flat_map(|scope| scope.spans).collect()
}

/// The one span of a kind.
fn the(kind: SpanKind, spans: &[Span]) -> &Span {
    let mut found = spans.iter().filter(|span| span.kind == kind as i32);
    let span = found
        .next()
        .unwrap_or_else(|| panic!("{kind:?}: {spans:#?}"));
    assert!(found.next().is_none(), "more than one {kind:?}: {spans:#?}");
    span
}

fn attributes(attributes: &[KeyValue]) -> BTreeMap<&str, String> {
    let text = |value: &Option<AnyValue>| match value.as_ref().and_then(|v| v.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        other => panic!("{other:?}"),
    };
    let pairs = attributes.iter();
    pairs
        .map(|pair| (pair.key.as_str(), text(&pair.value)))
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn status_of(span: &Span) -> SpanStatus {
    span.status
        .as_ref()
        .map_or(SpanStatus::Unset, |status| status.code())
}

/// A gateway whose spans go to `collector` when it ends, and seldom before.
fn traced(collector: &EchoBot, fragment: &str) -> crate::support::gateway::Setup {
    Gateway::with(fragment)
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.origin())
        .variable("OTEL_BSP_SCHEDULE_DELAY", "600000")
}

#[tokio::test]
async fn a_request_and_the_call_of_its_bot_are_spans_in_the_trace_of_the_channel() {
    let collector = collector().await;
    let gateway = traced(&collector, "")
        .variable("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=hunter2")
        .variable(
            "OTEL_RESOURCE_ATTRIBUTES",
            "deployment.environment.name=test",
        )
        .start()
        .await;
    gateway.event("tracing_started", |_| true).await;
    let request = gateway.teams_message();
    let request = request.header("traceparent", &format!("00-{TRACE}-{CALLER}-01"));
    let reply = request.header("tracestate", "vendor=1").send().await;
    let got = reply.forwarded().await;
    let line = reply.only_request_line().await;
    assert_eq!(line["trace_id"], TRACE, "{line}");
    assert!(gateway.terminate().await.success());

    let exports = exports(&collector);
    let resource = exports[0].resource_spans[0].resource.clone().unwrap();
    let resource = attributes(&resource.attributes);
    assert_eq!(resource["service.name"], "botgate", "{resource:?}");
    assert_eq!(resource["service.version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(resource["deployment.environment.name"], "test");
    let headers = &collector.seen()[0];
    assert_eq!(headers.header("x-api-key"), ["hunter2"]);

    let spans = spans(&collector);
    assert_eq!(spans.len(), 2, "{spans:#?}");
    let (server, client) = (the(SpanKind::Server, &spans), the(SpanKind::Client, &spans));
    for span in [server, client] {
        assert_eq!(hex(&span.trace_id), TRACE);
        assert_eq!(span.trace_state, "vendor=1");
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
        assert_eq!(status_of(span), SpanStatus::Unset);
    }
    assert_eq!(hex(&server.parent_span_id), CALLER);
    assert_eq!(client.parent_span_id, server.span_id);
    let sender = format!("00-{TRACE}-{}-01", hex(&client.span_id));
    assert_eq!(got.header("traceparent"), [sender]);
    assert_eq!(got.header("tracestate"), ["vendor=1"]);

    assert_eq!(server.name, "POST /api/messages");
    let said = attributes(&server.attributes);
    for (key, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/api/messages"),
        ("http.response.status_code", "200"),
        ("url.path", "/api/messages"),
        ("url.scheme", "https"),
        ("client.address", "127.0.0.1"),
        ("network.protocol.name", "http"),
        ("network.protocol.version", "1.1"),
        ("botgate.verdict", "forwarded"),
        ("botgate.bot", "echo"),
        ("botgate.door", "ingress"),
    ] {
        assert_eq!(said.get(key).map(String::as_str), Some(value), "{said:?}");
    }
    assert_eq!(
        said["botgate.request_id"],
        line["request_id"].as_str().unwrap()
    );
    assert_eq!(client.name, "POST");
    let said = attributes(&client.attributes);
    let (host, port) = gateway.bot().origin().rsplit_once(':').map_or_else(
        || panic!("an origin has a port"),
        |(host, port)| (host.replace("http://", ""), port.to_owned()),
    );
    for (key, value) in [
        ("http.request.method", "POST"),
        ("http.response.status_code", "200"),
        ("url.scheme", "http"),
        ("server.address", host.as_str()),
        ("server.port", port.as_str()),
        ("botgate.backend", &format!("{host}:{port}")),
    ] {
        assert_eq!(said.get(key).map(String::as_str), Some(value), "{said:?}");
    }
}

#[tokio::test]
async fn a_refusal_is_a_span_that_names_the_reason_and_no_secret() {
    let collector = collector().await;
    let policy = format!("[bots.tenants]\nallow = [\"{FOREIGN_TENANT}\"]");
    let gateway = traced(&collector, &policy).start().await;
    let reply = gateway
        .teams_message()
        .path("/api/messages?code=hunter2")
        .send()
        .await;
    let reply = reply.refused_after_proof(Reason::TenantNotAllowed).await;
    let line = reply.only_request_line().await;
    assert!(gateway.terminate().await.success());
    let spans = spans(&collector);
    assert_eq!(spans.len(), 1, "the bot was not called: {spans:#?}");
    let server = the(SpanKind::Server, &spans);
    assert_eq!(line["trace_id"], hex(&server.trace_id));
    assert_eq!(hex(&server.parent_span_id), "", "the trace begins here");
    let said = attributes(&server.attributes);
    assert_eq!(said["botgate.verdict"], "rejected");
    assert_eq!(said["botgate.reason"], "tenant_not_allowed");
    assert_eq!(said["http.response.status_code"], "403");
    assert_eq!(status_of(server), SpanStatus::Unset, "the client's fault");
    let all = format!("{:?}", exports(&collector));
    for secret in ["hunter2", "eyJ", TENANT, "19:"] {
        assert!(!all.contains(secret), "{secret}: {all}");
    }
}

#[tokio::test]
async fn a_bot_that_fails_is_a_failed_span() {
    let collector = collector().await;
    let gateway = traced(&collector, "").start().await;
    gateway.bot().close().await;
    let reply = gateway.teams_message().send().await;
    assert_eq!(reply.status, 502);
    assert!(gateway.terminate().await.success());
    let spans = spans(&collector);
    for kind in [SpanKind::Server, SpanKind::Client] {
        let span = the(kind, &spans);
        assert_eq!(status_of(span), SpanStatus::Error, "{span:#?}");
        let said = attributes(&span.attributes);
        assert_eq!(said["error.type"], "upstream_unreachable");
        let status = said.get("http.response.status_code").map(String::as_str);
        let expected = Some("502").filter(|_| kind == SpanKind::Server);
        assert_eq!(status, expected, "{span:#?}");
    }
}

#[tokio::test]
async fn the_span_of_a_call_goes_on_after_a_message_was_acknowledged() {
    let collector = collector().await;
    let mut bot = HeldBot::start().await;
    let config = bot.config("[bots.timeouts]\nacknowledge_after = \"100ms\"");
    let gateway = traced(&collector, &config).start().await;
    let sending = tokio::spawn(gateway.teams_message().send());
    let held = bot.next().await;
    assert_eq!(sending.await.unwrap().status, 202);
    held.answer(200, "").await;
    gateway.event("acknowledged_done", |_| true).await;
    assert!(gateway.terminate().await.success());
    let spans = spans(&collector);
    let (server, client) = (the(SpanKind::Server, &spans), the(SpanKind::Client, &spans));
    assert_eq!(client.parent_span_id, server.span_id);
    let said = attributes(&server.attributes);
    assert_eq!(said["botgate.acknowledged"], "true");
    assert_eq!(said["http.response.status_code"], "202");
    assert_eq!(
        attributes(&client.attributes)["http.response.status_code"],
        "200"
    );
    assert!(client.end_time_unix_nano > server.end_time_unix_nano);
}

#[tokio::test]
async fn a_traceparent_that_is_none_begins_a_new_trace() {
    let collector = collector().await;
    let gateway = traced(&collector, "").start().await;
    let request = gateway.teams_message().header("traceparent", "00-xyz");
    let reply = request.header("tracestate", "vendor=1").send().await;
    let got = reply.forwarded().await;
    assert!(gateway.terminate().await.success());
    let spans = spans(&collector);
    let (server, client) = (the(SpanKind::Server, &spans), the(SpanKind::Client, &spans));
    assert!(server.parent_span_id.is_empty());
    let sender = format!("00-{}-{}-01", hex(&server.trace_id), hex(&client.span_id));
    assert_eq!(got.header("traceparent"), [sender]);
    assert_eq!(got.header("tracestate"), <[&str; 0]>::default());
}

#[tokio::test]
async fn what_is_not_sampled_is_not_exported_and_the_bot_is_told_so() {
    let collector = collector().await;
    let gateway = traced(&collector, "")
        .variable("OTEL_TRACES_SAMPLER", "traceidratio")
        .variable("OTEL_TRACES_SAMPLER_ARG", "0")
        .start()
        .await;
    let request = gateway.teams_message();
    let request = request.header("traceparent", &format!("00-{TRACE}-{CALLER}-01"));
    let reply = request.send().await;
    let [sender] = &reply.forwarded().await.header("traceparent")[..] else {
        panic!("one header");
    };
    assert!(sender.starts_with(&format!("00-{TRACE}-")), "{sender}");
    assert!(sender.ends_with("-00"), "{sender}");
    assert_eq!(reply.only_request_line().await["trace_id"], TRACE);
    assert!(gateway.terminate().await.success());
    assert_eq!(collector.count(), 0);
}

#[tokio::test]
async fn without_an_endpoint_or_with_a_wrong_one_headers_pass_as_they_came() {
    let off = Gateway::start().await;
    let refused = Gateway::with("")
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
        .variable("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
        .start()
        .await;
    refused.event("tracing_refused", |_| true).await;
    for gateway in [off, refused] {
        let sender = format!("00-{TRACE}-{CALLER}-01");
        let request = gateway.teams_message().header("traceparent", &sender);
        let reply = request.header("tracestate", "vendor=1").send().await;
        let got = reply.forwarded().await;
        assert_eq!(got.header("traceparent"), [sender]);
        assert_eq!(got.header("tracestate"), ["vendor=1"]);
        assert_eq!(reply.only_request_line().await["trace_id"], TRACE);
        let page = Page::of(&gateway).await;
        assert!(page.value("botgate_spans_ended_total").abs() < 0.5);
    }
}

#[tokio::test]
async fn a_collector_that_never_answers_holds_nobody_up() {
    const REQUESTS: u32 = 60;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    // Connections are taken, and nothing is ever said.
    let _held = tokio::spawn(async move {
        let mut held = vec![];
        while let Ok((stream, _)) = silent.accept().await {
            held.push(stream);
        }
    });
    let gateway = Gateway::with("")
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)
        .variable("OTEL_EXPORTER_OTLP_TIMEOUT", "600000")
        .variable("OTEL_BSP_SCHEDULE_DELAY", "10")
        .variable("OTEL_BSP_MAX_QUEUE_SIZE", "4")
        .variable("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")
        .start()
        .await;
    for _ in 0..REQUESTS {
        let reply = tokio::time::timeout(PATIENCE, gateway.teams_message().send()).await;
        assert_eq!(reply.expect("it is answered").status, 200);
    }
    let page = Page::of(&gateway).await;
    let ended = page.value("botgate_spans_ended_total");
    assert!(ended >= f64::from(REQUESTS), "{ended}");
    assert!(gateway.terminate().await.success());
    gateway.event("trace_flush_failed", |_| true).await;
}

#[tokio::test]
async fn a_collector_that_fails_and_comes_back_is_told_of_once_each() {
    let collector = collector().await;
    collector.answer_with(|_| Answer::status(StatusCode::BAD_REQUEST));
    let gateway = traced(&collector, "")
        .variable("OTEL_BSP_SCHEDULE_DELAY", "10")
        .start()
        .await;
    for _ in 0..2 {
        let seen = collector.count();
        gateway.teams_message().send().await.forwarded().await;
        eventually("an export", async || collector.count() > seen).await;
    }
    let failed = "botgate_spans_exported_total{result=\"failed\"}";
    eventually("failures are counted", async || {
        gateway.metric(failed).await > 3.5
    })
    .await;
    collector.answer_with(|_| Answer::status(StatusCode::OK));
    gateway.teams_message().send().await.forwarded().await;
    gateway.event("trace_export_resumed", |_| true).await;
    assert!(gateway.terminate().await.success());
    let lines = gateway.output();
    let told = lines.to_string().matches("\"trace_export_failed\"").count();
    assert_eq!(told, 1, "{lines}");
}

#[tokio::test]
async fn paths_that_may_hold_an_id_are_in_no_span() {
    const SKILL: &str = "7c9d1e2f-3a4b-4c5d-8e6f-7a8b9c0d1e2f";
    let collector = collector().await;
    let fragment = format!(
        "[bots]\naccept = ['channel', 'skill']\ncallers = {{ allow = ['{SKILL}'], callback_path = '/api/skills' }}"
    );
    let gateway = traced(&collector, &fragment).start().await;
    let token = gateway.channel().entra_token(APP_ID, TENANT, SKILL);
    let members = "/api/skills/v3/conversations/a%3A1Qw-secret/members";
    let request = gateway.teams_message().token(move |_| token);
    let request = request.method(Method::GET).path(members).body("");
    let reply = request.without_header("content-type").send().await;
    reply.forwarded().await;
    let astray = gateway
        .teams_message()
        .path("/for/a1Qw-secret")
        .send()
        .await;
    astray.refused_before_proof(Reason::PathNotFound).await;
    assert!(gateway.terminate().await.success());
    let spans = spans(&collector);
    let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(
        names.iter().filter(|name| **name == "GET").count(),
        2,
        "{names:?}"
    );
    let all = format!("{spans:?}");
    assert!(!all.contains("Qw-secret"), "{all}");
}
