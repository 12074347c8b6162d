//! Off values of what can be turned on.

use super::*;

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
