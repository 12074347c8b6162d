//! Start, end, and the commands around them.

use crate::support::wire::LateRequest;
use crate::support::{APP_ID, Gateway, PATIENCE, eventually, new_channel};
use botgate::cli::demo::bot::Answer;
use botgate::cli::demo::channel::Document;
use botgate::cli::demo::client::Protocol;
use botgate::judge::Reason;
use http::StatusCode;
use http_body_util::BodyExt as _;
use nix::sys::signal::Signal;
use std::path::Path;
use std::process::Output;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::time::{Instant, timeout};

// The end

#[tokio::test]
async fn requests_in_flight_are_finished_before_the_end() {
    for (signal, protocol) in [
        (Signal::SIGTERM, Protocol::Http1),
        (Signal::SIGINT, Protocol::Http2),
    ] {
        let gateway = Gateway::start().await;
        let mut streams = gateway.bot().answer_with_streams("text/plain");
        let mut connection = gateway.client().connect(protocol).await.unwrap();
        let request = gateway.teams_message().header("x-request-id", "slow");
        let slow = tokio::spawn(async move {
            let response = connection.send(request.into_request()).await.unwrap();
            assert_eq!(response.status(), 200);
            response.into_body().collect().await.unwrap().to_bytes()
        });
        let pieces = streams.recv().await.expect("the bot is at work");
        assert!(pieces.send("before, "));

        let idle = gateway.client().connect(protocol).await.unwrap();
        gateway.signal(signal);
        gateway.event("draining", |_| true).await;
        refuses_connections(&gateway).await;
        let (status, missing) = gateway.admin("/readyz").await;
        assert_eq!(status, 503, "{missing}");
        assert!(missing.contains("draining"), "{missing}");
        assert_eq!(gateway.admin("/healthz").await.0, 200, "it still works");

        assert!(pieces.send("after"));
        drop(pieces);
        assert_eq!(slow.await.unwrap(), "before, after");
        drop(idle);
        let status = gateway.ended().await;
        assert_eq!(status.code(), Some(0), "{}", gateway.output());
        let line = gateway.request_line_for("slow").await;
        assert_eq!(line["verdict"], "forwarded", "{line}");
        let stopped = gateway.event("stopped", |_| true).await;
        assert_eq!(stopped["connections_cut"], 0, "{stopped}");
    }
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_the_end() {
    let gateway = Gateway::start().await;
    let mut open = vec![];
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let mut connection = gateway.client().connect(protocol).await.unwrap();
        let reply = gateway.teams_message().send_on(&mut connection).await;
        reply.forwarded().await;
        open.push(connection);
    }
    let started = Instant::now();
    assert_eq!(gateway.terminate().await.code(), Some(0));
    let took = started.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test]
async fn a_request_that_comes_too_late_is_told_to_come_again() {
    let gateway = Gateway::start().await;
    let mut late = LateRequest::begin(&gateway).await;
    gateway.signal(Signal::SIGTERM);
    gateway.event("drain_closing", |_| true).await;
    let reply = late.finish().await;
    assert_eq!(reply.header("connection"), Some("close"));
    assert_eq!(reply.header("retry-after"), Some("1"));
    reply.refused_before_proof(Reason::Draining).await;
    assert_eq!(late.wire.until_closed().await, b"");
    assert_eq!(gateway.ended().await.code(), Some(0));
}

#[tokio::test]
async fn the_drain_timeout_cuts_off_what_does_not_finish() {
    let gateway = Gateway::with("[server]\ndrain_timeout = \"300ms\"")
        .start()
        .await;
    gateway.bot().answer_with(|_| Answer::hang());
    let hanging = start_sending(&gateway, Protocol::Http2).await;
    gateway.signal(Signal::SIGTERM);
    let status = gateway.ended().await;
    assert_eq!(status.code(), Some(0), "{}", gateway.output());
    assert!(hanging.await.unwrap().is_err(), "the connection was cut");
    let stopped = gateway.event("stopped", |_| true).await;
    assert_eq!(stopped["connections_cut"], 1, "{stopped}");
    is_cut_off(&gateway.request_line_for("hanging").await);
}

/// Over HTTP/1, where its connection has only that to do.
#[tokio::test]
async fn just_before_the_drain_timeout_what_does_not_finish_is_told_to_come_again() {
    let gateway = Gateway::with("[server]\ndrain_timeout = \"2s\"")
        .start()
        .await;
    gateway.bot().answer_with(|_| Answer::hang());
    let hanging = start_sending(&gateway, Protocol::Http1).await;
    gateway.signal(Signal::SIGTERM);
    assert_eq!(hanging.await.unwrap().unwrap(), 503);
    assert_eq!(gateway.ended().await.code(), Some(0));
    is_cut_off(&gateway.request_line_for("hanging").await);
    let stopped = gateway.event("stopped", |_| true).await;
    assert_eq!(stopped["connections_cut"], 0, "{stopped}");
}

/// The gateway did not answer: that is not the client's doing.
fn is_cut_off(line: &serde_json::Value) {
    let told = ["verdict", "reason"].map(|field| line[field].as_str().unwrap_or_default());
    assert_eq!(told, ["rejected", Reason::Draining.code()], "{line}");
    assert_eq!(line["status"], 503, "{line}");
    let note = line["note"].as_str().unwrap_or_default();
    assert!(note.contains("drain_timeout"), "{line}");
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    for second in [Signal::SIGTERM, Signal::SIGINT] {
        // The drain would take longer than this test is willing to wait.
        let gateway = Gateway::with("[server]\ndrain_timeout = \"10m\"")
            .start()
            .await;
        gateway.bot().answer_with(|_| Answer::hang());
        let hanging = start_sending(&gateway, Protocol::Http1).await;
        gateway.signal(Signal::SIGTERM);
        gateway.event("draining", |_| true).await;
        gateway.signal(second);
        let status = gateway.ended().await;
        assert_eq!(status.code(), Some(0), "{}", gateway.output());
        assert!(hanging.await.unwrap().is_err());
        let line = gateway.request_line_for("hanging").await;
        is_cut_off(&line);
    }
}

#[tokio::test]
async fn a_signal_right_after_the_start_ends_it_in_order() {
    for _ in 0..3 {
        let gateway = Gateway::with("").not_ready().start().await;
        assert_eq!(gateway.terminate().await.code(), Some(0));
        gateway.event("stopped", |_| true).await;
    }
}

#[tokio::test]
async fn other_signals_do_not_end_it() {
    let gateway = Gateway::start().await;
    gateway.signal(Signal::SIGHUP);
    gateway.signal(Signal::SIGUSR1);
    gateway.event("config_reloaded", |_| true).await;
    gateway.teams_message().send().await.forwarded().await;
}

// The start

#[tokio::test]
async fn a_port_in_use_is_told_in_a_sentence() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    for (section, key) in [("server", "server.listen"), ("admin", "admin.listen")] {
        let value = if section == "server" {
            format!("[\"{address}\"]")
        } else {
            format!("\"{address}\"")
        };
        let failure = Gateway::with(&format!("[{section}]\nlisten = {value}"))
            .try_start()
            .await
            .map(|_| ())
            .expect_err("the port is taken");
        assert_eq!(failure.status.and_then(|s| s.code()), Some(70), "{failure}");
        let said = failure.output.stderr.join("\n");
        for words in [key, &address.to_string(), "another program listens there"] {
            assert!(said.contains(words), "{words:?} is missing in {said}");
        }
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[tokio::test]
async fn every_problem_of_the_file_is_told_at_once() {
    let failure = Gateway::with(
        "[server]\nlisen = 1\ndrain_timeout = \"soon\"\n[server.tls]\nmin_version = \"1.1\"\n[bots.tenants]\nallow = [\"contoso.com\"]",
    )
    .try_start()
    .await
    .map(|_| ())
    .expect_err("it is wrong");
    assert_eq!(failure.status.and_then(|s| s.code()), Some(78), "{failure}");
    let said = failure.output.stderr.join("\n");
    for words in [
        "server.lisen",
        "did you mean \"listen\"?",
        "server.drain_timeout",
        "server.tls.min_version",
        "bots[0].tenants.allow",
        "contoso.com",
        "gateway.toml:",
        "gateway.toml: 4 errors, ",
        "not started",
    ] {
        assert!(said.contains(words), "{words:?} is missing in {said}");
    }
    assert_eq!(failure.output.stdout, Vec::<String>::new());
}

// Commands

#[tokio::test]
async fn check_tells_what_is_wrong_and_what_is_enforced() {
    let gateway = Gateway::with("[bots.tenants]\nmode = \"report\"")
        .start()
        .await;
    let file = gateway.folder().join("gateway.toml");
    let good = botgate(&["check", "--config", file.to_str().unwrap()]).await;
    let said = text(&good.stdout);
    assert_eq!(good.status.code(), Some(0), "{said}");
    for words in ["bot echo", APP_ID, "warning", "no errors"] {
        assert!(said.contains(words), "{words:?} is missing in {said}");
    }
    gateway.rewrite("[bots]\nbackend = \"nowhere\"\nmode = \"maybe\"");
    let bad = botgate(&["check", "--config", file.to_str().unwrap()]).await;
    let said = text(&bad.stdout);
    assert_eq!(bad.status.code(), Some(78), "{said}");
    for words in [
        "gateway.toml:",
        "bots[0].backend",
        "bots[0].mode",
        "2 errors",
    ] {
        assert!(said.contains(words), "{words:?} is missing in {said}");
    }
    let missing = botgate(&["check", "--config", "no/such.toml"]).await;
    assert_eq!(missing.status.code(), Some(78));
    assert!(text(&missing.stdout).contains("no/such.toml"));
}

#[tokio::test]
async fn reasons_prints_the_whole_table() {
    for arguments in [&["reasons"][..], &["reasons", "--markdown"]] {
        let output = botgate(arguments).await;
        assert_eq!(output.status.code(), Some(0));
        let said = text(&output.stdout);
        for reason in Reason::ALL {
            let row = said.lines().find(|line| line.contains(reason.meaning()));
            let row = row.unwrap_or_else(|| panic!("no row for {}", reason.code()));
            assert!(row.contains(reason.code()) && row.contains(&reason.status().to_string()));
        }
    }
}

#[tokio::test]
async fn healthcheck_says_whether_a_gateway_is_ready() {
    let channel = new_channel().await;
    channel.serve_metadata(Document::status(StatusCode::BAD_GATEWAY));
    let gateway = Gateway::with("")
        .channel(&channel)
        .not_ready()
        .start()
        .await;
    let admin = gateway.process().admin().unwrap();
    let url = format!("http://{admin}/readyz");
    let health = || async { botgate(&["healthcheck", "--url", &url]).await };
    let not_yet = health().await;
    assert_eq!(not_yet.status.code(), Some(1), "{}", text(&not_yet.stdout));
    assert!(
        text(&not_yet.stderr).contains("503"),
        "{}",
        text(&not_yet.stderr)
    );

    channel.serve_metadata(Document::Faithful);
    eventually("there are keys", async || {
        gateway.admin("/readyz").await.0 == 200
    })
    .await;
    let ready = health().await;
    assert_eq!(ready.status.code(), Some(0), "{}", text(&ready.stderr));
    assert_eq!(text(&ready.stdout), "ready\n");

    gateway.terminate().await;
    let gone = health().await;
    assert_eq!(gone.status.code(), Some(1));
}

#[tokio::test]
async fn usage_errors_and_help_have_exit_codes_of_their_own() {
    for (arguments, code, words) in [
        (&["--version"][..], 0, env!("CARGO_PKG_VERSION")),
        (&["--help"], 0, "healthcheck"),
        (&["no-such-command"], 2, "no-such-command"),
        (&["run", "--no-such-option"], 2, "--no-such-option"),
        (&["run", "--config", "no/such.toml"], 78, "no/such.toml"),
        (&["healthcheck", "--url", "readyz"], 2, "no http address"),
        // The default command is run, its default file is gateway.toml.
        (&[], 78, "gateway.toml"),
    ] {
        let output = botgate(arguments).await;
        let said = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
}

// Words

/// Sends a message called `hanging` and waits until the bot has it.
async fn start_sending(
    gateway: &Gateway,
    protocol: Protocol,
) -> tokio::task::JoinHandle<std::io::Result<u16>> {
    let request = gateway.teams_message().header("x-request-id", "hanging");
    let sending = request.over(protocol).try_send();
    let task = tokio::spawn(async move { sending.await.map(|reply| reply.status) });
    assert_eq!(gateway.bot().wait_until_seen(1, PATIENCE).await.len(), 1);
    task
}

/// The listening socket is let go of a moment after the event is told.
async fn refuses_connections(gateway: &Gateway) {
    let address = gateway.client().address();
    let refused = async || TcpStream::connect(address).await.is_err();
    eventually("connections are refused", refused).await;
}

/// Runs the real program, in a folder without a gateway.toml.
async fn botgate(arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let running = Command::new(Path::new(env!("CARGO_BIN_EXE_botgate")))
        .args(arguments)
        .current_dir(folder.path())
        .kill_on_drop(true)
        .output();
    timeout(PATIENCE, running).await.expect("it ends").unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
