//! What the log lets through, and in which form.

use super::*;
use tracing::Level;

fn events() {
    tracing::debug!(target: "botgate::ingress", "own debug");
    tracing::info!(target: "botgate", event = "started", "own info");
    tracing::error!(target: "botgate::keyring", "own error");
    tracing::info!(target: "hyper::proto", "foreign info");
    tracing::warn!(target: "rustls::conn", "foreign warning");
    tracing::event!(target: "botgate::audit", Level::INFO, event = "request");
}

fn told(level: LevelFilter) -> Vec<String> {
    let tell = |line: Value| {
        line.get("message")
            .unwrap_or(&line["event"])
            .as_str()
            .unwrap()
            .to_owned()
    };
    logged(LogFormat::Json, level, events)
        .lines()
        .into_iter()
        .map(tell)
        .collect()
}

#[test]
fn the_level_is_for_everything_but_request_lines() {
    assert_eq!(told(LevelFilter::OFF), ["request"]);
    assert_eq!(told(LevelFilter::ERROR), ["own error", "request"]);
    assert_eq!(
        told(LevelFilter::INFO),
        ["own info", "own error", "foreign warning", "request"]
    );
}

#[test]
fn other_crates_never_say_more_than_warnings() {
    assert_eq!(
        told(LevelFilter::TRACE),
        [
            "own debug",
            "own info",
            "own error",
            "foreign warning",
            "request"
        ]
    );
}

#[test]
fn events_are_flat_objects() {
    let line = json(|| tracing::info!(target: "botgate::x", event = "started", bots = 2, "ready"))
        .only_line();
    assert_eq!(
        (
            &line["event"],
            &line["bots"],
            &line["message"],
            &line["target"],
            &line["level"]
        ),
        (
            &"started".into(),
            &2.into(),
            &"ready".into(),
            &"botgate::x".into(),
            &"INFO".into()
        )
    );
    assert!(line.get("fields").is_none() && line.get("span").is_none());
}

const HOSTILE: &str = "a\nb\r\t\0\u{1b}[31m\u{7f}\u{9b}0m\u{2028}\"}\\ü…";

#[test]
fn control_characters_are_escaped_and_nothing_is_lost() {
    let written =
        json(|| tracing::info!(target: "botgate", text = HOSTILE, shown = %HOSTILE, "{HOSTILE}"));
    let text = written.text();
    assert_eq!(text.lines().count(), 1);
    assert!(
        !text
            .trim_end_matches('\n')
            .contains(|c: char| c.is_control() || c == '\u{2028}'),
        "{text:?}"
    );
    let line = written.only_line();
    for field in ["text", "shown", "message"] {
        assert_eq!(line[field], HOSTILE);
    }
}

#[test]
fn lines_for_people_are_one_line_each_and_obey_nobody() {
    let written = logged(LogFormat::Text, LevelFilter::INFO, || {
        tracing::info!(target: "botgate", text = HOSTILE, shown = %HOSTILE, "{HOSTILE}");
    });
    let text = written.text();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(
        !text
            .trim_end_matches('\n')
            .contains(|c: char| c.is_control() || c == '\u{2028}'),
        "{text:?}"
    );
    assert!(text.contains("INFO botgate: a\\nb"), "{text}");
    assert!(text.contains(" text=\"a\\nb"), "{text}");
}

#[test]
fn people_read_the_same_request_line() {
    let observer = observer();
    let written = logged(LogFormat::Text, LevelFilter::INFO, || {
        ended(&observer, rejected(Reason::TokenExpired))
    });
    let text = written.text();
    for part in [
        "INFO botgate::audit:",
        "event=\"request\"",
        "reason=\"token_expired\"",
        "client_ip=192.0.2.1",
    ] {
        assert!(text.contains(part), "{text}");
    }
}
