//! The file as a whole: syntax, unknown keys, many problems at once.

use super::*;
use crate::config::load;

#[test]
fn a_syntax_error_is_one_problem_with_its_line() {
    for (text, line) in [
        ("[server]\nlisten = 0.0.0.0:8443\n", 2),
        ("[server\n", 1),
        ("[server]\n[server]\n", 2),
        ("[log]\nlevel = \"info\"\nlevel = \"info\"\n", 3),
        ("\n\nname = helpdesk\n", 3),
        ("x = \"open\n", 1),
        ("[[bots]]\nname = \"a\"\n[bots]\n", 3),
        ("tenants.allow = []\n[tenants]\n", 2),
    ] {
        let found = parse(text).unwrap_err();
        assert_eq!(found.len(), 1, "{}", listed(&found));
        assert_eq!(found[0].line, Some(line), "{text}{}", found[0]);
        assert!(
            found[0].is_error() && found[0].to_string().contains("is not TOML here"),
            "{}",
            found[0]
        );
    }
    let told = |text: &str| problems(text)[0].to_string();
    assert!(
        told("[log]\n[server]\n[log]\n").contains("duplicate key \"log\""),
        "{}",
        told("[log]\n[server]\n[log]\n")
    );
    assert!(
        told("name = helpdesk").contains("key = \"value\""),
        "{}",
        told("name = helpdesk")
    );
    assert!(
        !told("secret = hunter2").contains("hunter2"),
        "what stands there may be a secret"
    );
}

#[test]
fn an_unknown_key_is_an_error_with_the_nearest_one() {
    for (at, tables, says) in [
        (
            "sever",
            "[sever] #<-\nlisten = 1",
            "did you mean \"server\"?",
        ),
        (
            "server.lisen",
            "[server]\nlisen = \"127.0.0.1:1\" #<-",
            "did you mean \"listen\"?",
        ),
        (
            "server.limits.body_byte",
            "[server.limits]\nbody_byte = \"1MiB\" #<-",
            "did you mean \"body_bytes\"?",
        ),
        (
            "server.drain",
            "[server]\ndrain = \"5s\" #<-",
            "did you mean \"drain_timeout\"?",
        ),
        (
            "server.body_bytes",
            "[server]\nbody_bytes = \"1MiB\" #<-",
            "belongs under [server.limits]",
        ),
        (
            "server.limits.requests_per_ip.rat",
            "[server.limits]\nrequests_per_ip = { rate = \"1/s\", rat = 1 } #<-",
            "\"rate\"",
        ),
        (
            "clouds.lab.issuer",
            "[clouds.lab]\nchannel_metadata = \"https://a.example/x\"\nchannel_issuer = \"x\"\nissuer = \"x\" #<-",
            "channel_issuer",
        ),
        (
            "limits",
            "[limits] #<-\nheaders = 5",
            "belongs under [server]",
        ),
        (
            "\"odd key\"",
            "\"odd key\" = 1 #<-",
            "known here: server, admin",
        ),
        (
            "server.tls.tls_version",
            "[server.tls]\ntls_version = \"1.2\" #<-",
            "did you mean \"min_version\"?",
        ),
    ] {
        assert_problem(
            &with_server(tables),
            at,
            &["error", "is not a key that botgate knows", says],
        );
    }
    for (at, keys, says) in [
        (
            "bots[0].appid",
            "appid = \"x\" #<-",
            "did you mean \"app_id\"?",
        ),
        (
            "bots[0].tenant",
            "[bots.tenant] #<-\nallow = []",
            "did you mean \"tenants\"?",
        ),
        (
            "bots[0].channels.cloud",
            "[bots.channels]\ncloud = \"public\" #<-",
            "belongs under [[bots]], above its [bots.*] tables",
        ),
        (
            "bots[0].channels.alow",
            "channels.alow = [] #<-",
            "did you mean \"allow\"?",
        ),
    ] {
        assert_problem(
            &with_bot(keys),
            at,
            &["error", "is not a key that botgate knows", says],
        );
    }
}

#[test]
fn all_problems_are_told_at_once_in_file_order() {
    let text = r#"
[server]
listen = "8443"
drain = "5s"
proxy_protocol = true
[[bots]]
app_id = ""
backend = "ftp://x/y"
colour = "red"
[bots.tenants]
allow = [
  "72f988bf-86f1-41af-91ab-2d7cd011db47",
  "contoso.com",
  5,
]
[[bots]]
name = "b"
app_id = "5f1c8a5e-7f0b-4f3e-9d55-6f2b1b0a9c11"
cloud = "publik"
[keys]
refresh = "2d"
"#;
    let found: Vec<String> = parse(text)
        .unwrap_err()
        .iter()
        .map(|problem| format!("{}:{}", problem.line.unwrap(), problem.at))
        .collect();
    assert_eq!(
        found,
        [
            "3:server.listen",
            "4:server.drain",
            "5:server.proxy_protocol",
            "6:bots[0].name",
            "7:bots[0].app_id",
            "8:bots[0].backend",
            "9:bots[0].colour",
            "13:bots[0].tenants.allow[1]",
            "14:bots[0].tenants.allow[2]",
            "16:bots[1].tenants.allow",
            "16:bots[1].backend",
            "16:bots[1].path",
            "19:bots[1].cloud",
            "21:keys.refresh",
        ]
    );
}

#[test]
fn a_file_without_bots_is_refused() {
    for text in ["", "[server]\ndrain_timeout = \"5s\"\n", "bots = []\n"] {
        let found = parse(text).unwrap_err();
        assert_eq!(found.len(), 1, "{}", listed(&found));
        assert!(
            found[0].to_string().contains("bots has no entry")
                && found[0].hint.contains("[[bots]]"),
            "{}",
            found[0]
        );
    }
    let single = BOT.replace("[[bots]]", "[bots] #<-");
    assert_problem(
        &single,
        "bots",
        &["wanted a list of tables", "[[bots]], in two brackets"],
    );
}

#[test]
fn files_are_loaded_from_disk_and_what_is_wrong_with_that_is_a_problem() {
    let dir = directory();
    let path = dir.path().join("gateway.toml");
    let told = |path: &Path| load(path, StartFlags::default()).unwrap_err()[0].to_string();
    assert!(told(&path).contains("cannot be read"), "{}", told(&path));
    assert!(
        told(dir.path()).contains("cannot be read"),
        "{}",
        told(dir.path())
    );
    fs::write(&path, b"\xff\xfe").unwrap();
    assert!(told(&path).contains("is not UTF-8"), "{}", told(&path));
    fs::write(&path, BOT).unwrap();
    let settings = load(&path, StartFlags::default()).unwrap().settings;
    assert_eq!(
        settings.keys.cache_dir,
        Some(dir.path().join("var/keys")),
        "relative to the file"
    );
    fs::write(&path, format!("\u{feff}{BOT}")).unwrap();
    assert!(
        load(&path, StartFlags::default()).is_ok(),
        "a byte-order mark is no problem"
    );
}

#[test]
fn the_shipped_file_has_three_things_to_edit_and_no_error() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("gateway.toml");
    let loaded = load(&path, StartFlags::default()).unwrap();
    let warned: Vec<&str> = loaded
        .warnings
        .iter()
        .map(|problem| problem.at.as_str())
        .collect();
    assert_eq!(warned, ["bots[0].app_id", "bots[0].tenants.allow"]);
    let text = fs::read_to_string(&path).unwrap();
    for mark in ["# (1) ", "# (2) ", "# (3) "] {
        assert_eq!(text.matches(mark).count(), 1, "{mark}");
    }
}

#[test]
fn what_the_shipped_file_shows_in_comments_is_good_and_the_default() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("gateway.toml");
    let text = fs::read_to_string(&path).unwrap();
    // "# key = value   # remark" stands for a key at its default; rates, tables and remarks are prose or have none.
    let is_shown = |line: &str| {
        line.strip_prefix("# ")
            .and_then(|rest| rest.split_once(" = "))
            .is_some_and(|(key, _)| {
                key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') && !key.starts_with("per_")
            })
    };
    let before_clouds = text.split("# A test channel").next().unwrap();
    let uncommented: Vec<&str> = before_clouds
        .lines()
        .map(|line| {
            if is_shown(line) {
                line.trim_start_matches("# ")
            } else {
                line
            }
        })
        .collect();
    assert!(
        uncommented
            .iter()
            .zip(text.lines())
            .filter(|(a, b)| **a != *b)
            .count()
            > 30
    );
    let dir = directory();
    let settings = |text: &str| {
        let loaded = parse_at(dir.path(), text)
            .map_err(|problems| listed(&problems))
            .unwrap();
        let mut lines: Vec<String> = format!("{:#?}", loaded.settings)
            .lines()
            .map(str::to_owned)
            .collect();
        lines.sort();
        lines
    };
    assert_eq!(settings(&uncommented.join("\n")), settings(&text));
}
