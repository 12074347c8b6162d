//! What a later version brings is refused by name, never ignored.

use super::*;

/// Every way to ask for such a feature, with the key that is named.
const LATER: &[(&str, &str)] = &[
    ("server.proxy_protocol", "[server]\nproxy_protocol = true"),
    ("server.tls.source", "[server.tls]\nsource = \"acme\""),
    (
        "server.tls.acme",
        "[server.tls.acme]\ndomains = [\"bot.example.com\"]\nchallenge = \"http-01\"",
    ),
    (
        "server.tls.sni[0]",
        "[[server.tls.sni]]\nnames = [\"other.example.com\"]\ncert = \"a.pem\"\nkey = \"a.key\"",
    ),
    (
        "server.tls.client_ca",
        "[server.tls]\nclient_ca = \"certs/ca.pem\"",
    ),
    ("state.store", "[state]\nstore = \"redis\""),
    (
        "state.redis",
        "[state]\nredis = \"redis://:hunter2@127.0.0.1:6379/0\"",
    ),
    (
        "direct_line[0]",
        "[[direct_line]]\nname = \"site\"\nsecret = \"file:secrets/none\"\nper_ip = { rate = \"10/m\", burst = 10 }",
    ),
];

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
        "[server]\nproxy_protocol = false",
        "[server.tls]\nclient_ca = \"\"\nsni = []",
        "[log]\nfile = \"\"\nretain_days = 7",
        "[keys]\nproxy = \"\"",
        "[state]\nstore = \"memory\"\nredis = \"\"\non_store_failure = \"deny\"",
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
            "server.proxy_protocol",
            with_server("[server]\nproxy_protocol = 1 #<-"),
        ),
        (
            "server.tls.client_ca",
            with_server("[server.tls]\nclient_ca = [] #<-"),
        ),
        (
            "log.retain_days",
            with_server("[log]\nretain_days = \"30\" #<-"),
        ),
        ("log.retain_days", with_server("[log]\nretain_days = 0 #<-")),
        (
            "state.on_store_failure",
            with_server("[state]\non_store_failure = \"shrug\" #<-"),
        ),
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
    let text =
        with_server("[server.tls.acme]\nchallenge = \"dns-01\"\ndomains = \"x\"\nemail = \"x\"");
    let found: Vec<String> = problems(&text)
        .iter()
        .map(|problem| format!("{}:{}", problem.line.unwrap(), problem.at))
        .collect();
    let wanted = [
        "1:server.tls.acme",
        "2:server.tls.acme.challenge",
        "3:server.tls.acme.domains",
        "4:server.tls.acme.email",
    ];
    assert_eq!(found, wanted);
}
