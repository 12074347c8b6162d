//! `[[bots]]`: what is asked of each, and what of it reaches the settings.

use super::*;
use std::time::Duration;

#[test]
fn what_every_bot_must_have_is_asked_for() {
    for key in ["name", "app_id", "backend"] {
        let line = BOT.lines().find(|line| line.starts_with(key)).unwrap();
        let missing = BOT.replace(line, "").replace("[[bots]]", "[[bots]] #<-");
        assert_problem(
            &missing,
            &format!("bots[0].{key}"),
            &["error", "is missing"],
        );
        assert_problem(
            &replaced(key, "\"\""),
            &format!("bots[0].{key}"),
            &["error", "is empty"],
        );
    }
}

#[test]
fn names_are_short_and_plain() {
    for name in ["a b", "a/b", "ä", "..", "${SECRET}!", &"a".repeat(65)] {
        assert_problem(
            &replaced("name", &format!("\"{name}\"")),
            "bots[0].name",
            &["error", "letters, digits"],
        );
    }
}

#[test]
fn app_ids_that_no_token_will_have_are_pointed_out() {
    let placeholder = replaced("app_id", "\"00000000-0000-0000-0000-000000000000\"");
    assert_problem(
        &placeholder,
        "bots[0].app_id",
        &["warning", "put the bot's Microsoft App ID here"],
    );
    assert_problem(
        &replaced("app_id", "\"helpdesk\""),
        "bots[0].app_id",
        &["warning", "not a GUID"],
    );
}

#[test]
fn hosts_are_lower_case_names_without_port() {
    let hosts = bot(
        "hosts = [\"Bot.Example.com\", \"bot.example.com\", \"10.0.0.1\", \"::1\", \"[::1]\", \"bot_gateway\"]",
    );
    assert_eq!(
        hosts.route.hosts,
        ["bot.example.com", "10.0.0.1", "[::1]", "bot_gateway"]
    );
    for (host, says) in [
        ("*.example.com", "each host by itself"),
        ("bot.example.com:443", "without scheme, port and path"),
        ("https://bot.example.com", "without scheme, port and path"),
        ("bot.example.com.", "write a name"),
        ("büro.example", "xn--"),
        ("", "write a name"),
        ("a b", "write a name"),
    ] {
        assert_bot_problem(
            &format!("hosts = [\"{host}\"]"),
            "hosts[0]",
            &["error", "is not a host name", says],
        );
    }
}

#[test]
fn paths_are_exact() {
    assert_eq!(bot("").route.path, "/api/messages");
    assert_eq!(bot("path = \"/\"").route.path, "/");
    for path in [
        "",
        "api/messages",
        "/api/messages?x",
        "/a#b",
        "/a b",
        "/a\\u0000",
        "/ä",
    ] {
        assert_bot_problem(
            &format!("path = \"{path}\""),
            "path",
            &["error", "is not a path"],
        );
    }
}

#[test]
fn two_bots_are_told_apart() {
    let other = |name: &str, rest: &str| {
        BOT.replace("helpdesk", name)
            .replace("tenants.allow", &format!("{rest}\ntenants.allow"))
    };
    good(&format!("{BOT}{}", other("b", "path = \"/b\"")));
    good(&format!("{BOT}{}", other("b", "hosts = [\"b.example\"]")));
    let twins = format!("{BOT}{}", other("helpdesk", "path = \"/b\"")).replace("\nname", "\nname ");
    let twins = twins
        .replacen("\"helpdesk\"", "\"helpdesk\" #", 1)
        .replacen("\"helpdesk\"\n", "\"helpdesk\" #<-\n", 1);
    assert_problem(
        &twins,
        "bots[1].name",
        &["error", "also the name of bots[0] (line 3)"],
    );
    let any_host = format!("{BOT}{}", other("b", "path = \"/api/messages\" #<-"));
    assert_problem(
        &any_host,
        "bots[1].path",
        &["error", "served at any host", "bots[0] (line 2)"],
    );
    let a = other("a", "hosts = [\"x.example\", \"a.example\"]");
    let b = other("b", "hosts = [\"b.example\", \"X.example\"]")
        .replace("name = \"b\"", "path = \"/api/messages\" #<-\nname = \"b\"");
    assert_problem(
        &format!("{a}{b}"),
        "bots[1].path",
        &["error", "served at x.example", "bots[0] (line 2)"],
    );
}

#[test]
fn accept_names_kinds_of_token() {
    let kinds = bot("accept = [\"channel\", \"channel\"]");
    assert_eq!(kinds.expect.kinds().count(), 1);
    assert_bot_problem(
        "accept = []",
        "accept",
        &["error", "no token would be accepted"],
    );
    assert_bot_problem(
        "accept = [\"chanel\"]",
        "accept[0]",
        &["error", "did you mean \"channel\"?"],
    );
    assert_bot_problem(
        "accept = \"channel\"",
        "accept",
        &["error", "a list of strings"],
    );
}

#[test]
fn a_slow_bot_is_acknowledged_before_it_is_given_up() {
    let read = |keys: &str| bot(keys).backend.acknowledge_after;
    assert_eq!(read(""), None);
    assert_eq!(read("timeouts.acknowledge_after = \"\""), None);
    let eight = Some(Duration::from_secs(8));
    assert_eq!(read("timeouts.acknowledge_after = \"8s\""), eight);
    for (mark, response, says) in [
        ("8s", "8s", ["error", "not shorter than timeouts.response"]),
        ("31s", "30s", ["error", "such as \"8s\""]),
        ("0s", "30s", ["error", "no time"]),
        ("soon", "30s", ["error", "wanted a duration"]),
        ("15s", "30s", ["warning", "channels have given up"]),
    ] {
        let keys = format!(
            "[bots.timeouts]\nresponse = \"{response}\"\nacknowledge_after = \"{mark}\" #<-"
        );
        assert_problem(
            &with_bot(&keys),
            "bots[0].timeouts.acknowledge_after",
            &says,
        );
    }
}

#[test]
fn how_many_requests_a_bot_gets_at_once_is_a_number_from_one_on() {
    assert_eq!(bot("").in_flight, 1_000);
    assert_eq!(bot("in_flight = 1").in_flight, 1);
    assert_eq!(bot("in_flight = 100_000").in_flight, 100_000);
    for number in ["0", "100_001", "-1"] {
        let keys = format!("in_flight = {number}");
        let range = ["error", "out of range", "from 1 to 100000"];
        assert_bot_problem(&keys, "in_flight", &range);
    }
}

#[test]
fn repeats_are_recognised_for_as_long_as_the_file_says() {
    let read = |keys: &str| bot(keys).redelivery_window;
    assert_eq!(read(""), None);
    assert_eq!(read("redelivery.window = \"0s\""), None);
    let ten_minutes = Some(Duration::from_secs(600));
    assert_eq!(read("redelivery.window = \"10m\""), ten_minutes);
    let hour = Some(Duration::from_secs(3600));
    assert_eq!(read("redelivery.window = \"1h\""), hour);
    assert_problem(
        &with_bot("redelivery.window = \"61m\" #<-"),
        "bots[0].redelivery.window",
        &["error", "out of range"],
    );
}
