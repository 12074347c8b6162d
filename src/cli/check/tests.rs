//! What `check` says of whole files.

use super::*;

fn checked(text: &str) -> (Exit, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gateway.toml");
    std::fs::write(&path, text).unwrap();
    let mut out = Vec::new();
    let outcome = run(&path, StartFlags::default(), Reach::Offline, &mut out).unwrap();
    (
        outcome,
        String::from_utf8(out)
            .unwrap()
            .replace(dir.path().to_str().unwrap(), "DIR"),
    )
}

const GOOD: &str = r#"
[server]
listen = "127.0.0.1:8443"
[server.tls]
source = "self-signed"
[[bots]]
name = "helpdesk"
app_id = "5f1c8a5e-7f0b-4f3e-9d55-6f2b1b0a9c11"
hosts = ["bot.example.com"]
backend = "http://127.0.0.1:3978/api/messages?code=hunter2"
[bots.tenants]
allow = ["72f988bf-86f1-41af-91ab-2d7cd011db47"]
mode = "report"
[bots.channels]
allow = ["msteams"]
[bots.rate_limits]
per_user = { rate = "10/m", burst = 3 }
"#;

#[test]
fn a_usable_file_is_told_with_what_it_enforces() {
    let (outcome, said) = checked(GOOD);
    assert_eq!(outcome, Exit::Good, "{said}");
    for words in [
        "DIR/gateway.toml:13: warning: bots[0].tenants.mode is \"report\"",
        "DIR/gateway.toml: no errors, 1 warning\n",
        "listens on    127.0.0.1:8443, self-signed certificate in DIR/certs",
        "limits        200/s (burst 400) per address, body 1048576 bytes, JSON depth 64",
        "bot helpdesk\n",
        "app id        5f1c8a5e-7f0b-4f3e-9d55-6f2b1b0a9c11, channel tokens of cloud public",
        "served at     bot.example.com /api/messages",
        "backend       http://127.0.0.1:3978/api/messages?...\n",
        "tenants       72f988bf-86f1-41af-91ab-2d7cd011db47 (report only)",
        "channels      msteams\n",
        "activities    every type\n",
        "service URLs  as the token says, on hosts of cloud public\n",
        "rate limits   10/m (burst 3) per user\n",
    ] {
        assert!(said.contains(words), "{words:?} is missing in\n{said}");
    }
}

/// The table of guidelines, with single spaces.
fn guidelines(said: &str) -> String {
    let table = said.split_once("\nsecurity guidelines\n");
    let (_, table) = table.unwrap_or_else(|| panic!("{said}"));
    let lines = table.lines().map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.join(" ") + "\n"
    });
    lines.collect()
}

#[test]
fn the_guidelines_say_what_is_enforced_what_is_off_and_whose_job_the_rest_is() {
    let strict = "[bots.activities]\nallow = [\"message\"]\n[bots.direct_line]\nenhanced_authentication = true\n";
    let (_, said) = checked(&format!(
        "{}{strict}",
        GOOD.replace("mode = \"report\"\n", "")
    ));
    let table = guidelines(&said);
    for words in [
        "secured traffic partly TLS on 127.0.0.1:8443, with a self-signed certificate",
        "enforced helpdesk: to the bot over TLS, or on this machine\n",
        "bot team only botgate may reach the bot",
        "TLS 1.2 enforced 1.2 and 1.3, nothing older\n",
        "connector authentication enforced helpdesk: RS256 tokens for 5f1c8a5e-7f0b-4f3e-9d55-6f2b1b0a9c11 of kind channel, cloud public",
        "tenant restriction enforced helpdesk: 72f988bf-86f1-41af-91ab-2d7cd011db47; an activity",
        "service URL enforced helpdesk: as the token says, on hosts of cloud public\n",
        "Direct Line enforced helpdesk: enhanced authentication",
        "data and retention enforced no message text",
        "deny by default enforced helpdesk: POST of /api/messages with a valid token, and nothing else\n",
        "outbound allow-list off",
        "least information enforced",
    ] {
        assert!(table.contains(words), "{words:?} is missing in\n{said}");
    }
    assert!(!table.contains("hunter2"), "{said}");
}

#[test]
fn the_guidelines_do_not_praise_what_is_off() {
    let weak = "[bots.direct_line]\nenhanced_authentication = true\nrequire_dl_user_id = false\n[bots.service_urls]\nallow_hosts = \"any\"\n[log]\nidentifiers = \"plain\"\n";
    let text = format!("{GOOD}{weak}")
        .replace("source = \"self-signed\"", "source = \"off\"")
        .replace("http://127.0.0.1:3978", "http://10.0.0.7:3978")
        .replace("allow = [\"msteams\"]", "")
        .replace(
            "name = \"helpdesk\"",
            "name = \"helpdesk\"\naccept = [\"channel\", \"emulator\"]",
        );
    let (_, said) = checked(&text);
    let table = guidelines(&said);
    for words in [
        "secured traffic off plain HTTP on 127.0.0.1:8443",
        "off helpdesk: to the bot in the clear, over the network: http://10.0.0.7:3978/api/messages?...\n",
        "TLS 1.2 off",
        "connector authentication partly helpdesk:",
        "tenant restriction off helpdesk: 72f988bf-86f1-41af-91ab-2d7cd011db47 (report only)\n",
        "service URL partly helpdesk: as the token says, any host",
        "Direct Line off helpdesk:",
        "data and retention partly",
        "deny by default partly helpdesk: POST of /api/messages with a valid token, and nothing else; every one of: channels, activity types\n",
    ] {
        assert!(table.contains(words), "{words:?} is missing in\n{said}");
    }
}

#[test]
fn what_is_done_for_a_slow_bot_is_told_where_anything_is() {
    let (_, said) = checked(GOOD);
    assert!(!said.contains("slow bot"), "{said}");
    let settings =
        "[bots.timeouts]\nacknowledge_after = \"8s\"\n[bots.redelivery]\nwindow = \"10m\"\n";
    let (_, said) = checked(&format!("{GOOD}{settings}"));
    let words =
        "slow bot      messages answered 202 after 8s; repeats answered by the gateway for 600s\n";
    assert!(said.contains(words), "{said}");
}

#[test]
fn a_shared_store_is_told_and_how_it_is_reached() {
    let (_, said) = checked(GOOD);
    assert!(!said.contains("shared store"), "{said}");
    for (state, row, guideline) in [
        (
            "redis = \"redis://localhost\"\nuser = \"botgate\"\npassword = \"hunter2\"",
            "localhost:6379, on this machine; while it is away each gateway counts for itself\n",
            "enforced to the shared store over TLS, or on this machine\n",
        ),
        (
            "redis = \"rediss+cluster://[2001:db8::1],b.example:1\"",
            "cluster of [2001:db8::1]:6379, b.example:1, over TLS; while it is away each",
            "enforced to the shared store over TLS, or on this machine\n",
        ),
        (
            "redis = \"redis+sentinel://10.0.0.1/prod\"\non_store_failure = \"deny\"\nsentinel_password = \"hunter2\"",
            "prod by the sentinels 10.0.0.1:26379, in the clear; while it is away requests are refused (503)\n",
            "off to the shared store in the clear, over the network: prod by the sentinels 10.0.0.1:26379\n",
        ),
    ] {
        let (outcome, said) = checked(&format!("{GOOD}[state]\nstore = \"redis\"\n{state}\n"));
        assert_eq!(outcome, Exit::Good, "{said}");
        let row = format!("  shared store  {row}");
        assert!(said.contains(&row), "{row:?} is missing in\n{said}");
        assert!(guidelines(&said).contains(guideline), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn every_backend_is_told_and_how_its_health_is_asked_for() {
    let one = "\"http://127.0.0.1:3978/api/messages?code=hunter2\"";
    let list = format!(
        "[{one}, \"unix:/run/bot.sock:/api/messages?code=hunter2\"]\nhealth.path = \"/healthz?key=hunter2\""
    );
    let (outcome, said) = checked(&GOOD.replace(one, &list));
    assert_eq!(outcome, Exit::Good, "{said}");
    let words = "backend       http://127.0.0.1:3978/api/messages?..., unix:/run/bot.sock:/api/messages?...; GET /healthz every 5s\n";
    assert!(said.contains(words), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn where_answers_may_go_is_told_for_each_kind_of_token() {
    let accept = "name = \"helpdesk\"\naccept = [\"channel\", \"skill\", \"emulator\"]";
    let (outcome, said) = checked(&GOOD.replace("name = \"helpdesk\"", accept));
    assert_eq!(outcome, Exit::Good, "{said}");
    let words = "service URLs  as the token says, on hosts of cloud public; skills and agents: any on listed hosts; the Emulator: this machine, and hosts named for this bot\n";
    assert!(said.contains(words), "{said}");
}

#[test]
fn a_refused_file_is_told_with_every_problem_and_no_posture() {
    let (outcome, said) = checked(
        &GOOD
            .replace("listen =", "lisen =")
            .replace("backend =", "# backend ="),
    );
    assert_eq!(outcome, Exit::Configuration);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(
        lines.first(),
        Some(&"DIR/gateway.toml:3: error: server.lisen is not a key that botgate knows")
    );
    assert_eq!(lines.get(1), Some(&"    hint: did you mean \"listen\"?"));
    assert!(
        said.ends_with("DIR/gateway.toml: 3 errors, 1 warning; botgate does not start with it\n"),
        "{said}"
    );
    assert!(!said.contains("bot helpdesk\n"), "{said}");
}

#[test]
fn a_file_that_is_not_there_is_a_problem_of_its_own() {
    let mut out = Vec::new();
    let outcome = run(
        Path::new("no/such/gateway.toml"),
        StartFlags::default(),
        Reach::Offline,
        &mut out,
    )
    .unwrap();
    assert_eq!(outcome, Exit::Configuration);
    assert!(
        String::from_utf8(out)
            .unwrap()
            .starts_with("no/such/gateway.toml: error: cannot be read")
    );
}

#[test]
fn the_shipped_file_is_usable_as_it_is() {
    let mut out = Vec::new();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("gateway.toml");
    let outcome = run(&path, StartFlags::default(), Reach::Offline, &mut out).unwrap();
    let said = String::from_utf8(out).unwrap();
    assert_eq!(outcome, Exit::Good, "{said}");
    assert!(
        said.ends_with("gateway.toml: no errors, 2 warnings\n"),
        "{said}"
    );
}

#[test]
fn quotas_are_written_in_the_unit_that_keeps_them_whole() {
    for text in ["200/s", "1/s", "10/m", "600/h", "7/h", "90/m", "1000000/s"] {
        let rate = format!(
            "[server]\nlisten = \"127.0.0.1:1\"\nlimits.requests_per_ip = {{ rate = \"{text}\", burst = 5 }}\n"
        );
        let (_, said) = checked(&GOOD.replace("[server]\nlisten = \"127.0.0.1:8443\"\n", &rate));
        let shown = if text == "600/h" { "10/m" } else { text };
        assert!(
            said.contains(&format!("{shown} (burst 5) per address")),
            "{text}\n{said}"
        );
    }
}
