//! What a later version brings is refused by name, never ignored.

use super::*;

/// Every way to ask for such a feature, with the key that is named.
const LATER: &[(&str, &str)] = &[(
    "direct_line[0]",
    "[[direct_line]]\nname = \"site\"\nsecret = \"file:secrets/none\"\nper_ip = { rate = \"10/m\", burst = 10 }",
)];

#[test]
fn every_later_feature_is_refused_as_not_yet_there() {
    for (at, tables) in LATER {
        assert_not_yet(&with_server(tables), at);
    }
}

fn assert_not_yet(text: &str, at: &str) {
    let found = problems(text);
    assert_eq!(
        found.len(),
        1,
        "one problem expected\n{text}\n{}",
        listed(&found)
    );
    let problem = &found[0];
    assert!(
        problem.is_error() && problem.what.contains("not yet"),
        "{text}\n{problem}"
    );
    assert_eq!(problem.at, at, "{text}");
    assert!(
        problem.line.is_some() && !problem.hint.is_empty(),
        "{problem}"
    );
    assert!(!problem.to_string().contains("hunter2"), "{problem}");
}

#[test]
fn their_off_values_and_neighbours_are_good() {
    for tables in [
        "[server.tls]\nclient_ca = \"\"\nsni = []",
        "[log]\nfile = \"\"\nretain_days = 7",
        "[keys]\nproxy = \"\"",
        "direct_line = []",
    ] {
        good(&with_server(tables));
    }
    for keys in [
        "accept = [\"channel\"]",
        "timeouts.acknowledge_after = \"\"",
        "callers = { allow = [], mode = \"enforce\" }",
        "redelivery.window = \"0s\"",
    ] {
        good(&with_bot(keys));
    }
}

#[test]
fn types_are_checked_there_too() {
    for (at, text) in [
        (
            "log.retain_days",
            with_server("[log]\nretain_days = \"30\" #<-"),
        ),
        ("log.retain_days", with_server("[log]\nretain_days = 0 #<-")),
        (
            "bots[0].redelivery.window",
            with_bot("redelivery.window = \"often\" #<-"),
        ),
        (
            "bots[0].callers.mode",
            with_bot("callers.mode = \"strict\" #<-"),
        ),
    ] {
        assert_problem(&text, at, &["error"]);
    }
}
