//! `[[direct_line]]` and `bots.direct_line.issued_ids_only`.

use super::*;
use crate::config::{DirectLine, KeyOrigin, PageIdentity, SameSite};
use crate::judge::KeySourceId;

/// A broker that nothing is wrong with; the secret comes from the environment.
const BROKER: &str = "[[direct_line]]\nname = \"site\"\nsecret = \"${SECRET}\"\ntrusted_origins = [\"https://www.example.com\"]\n";

fn with_broker(keys: &str) -> String {
    format!("{BOT}\n{BROKER}{keys}")
}

fn broker(keys: &str) -> Arc<DirectLine> {
    Arc::clone(&good(&with_broker(keys)).settings.direct_lines[0])
}

fn assert_broker_problem(keys: &str, at: &str, says: &[&str]) {
    let text = with_broker(&format!("{keys} {MARK}"));
    assert_problem(&text, &format!("direct_line[0].{at}"), says);
}

/// The broker with one of its keys replaced, on a marked line.
fn assert_replaced(key: &str, value: &str, at: &str, says: &[&str]) {
    let line = BROKER.lines().find(|line| line.starts_with(key)).unwrap();
    let text = BROKER.replace(line, &format!("{key} = {value} {MARK}"));
    assert_problem(
        &format!("{BOT}\n{text}"),
        &format!("direct_line[0].{at}"),
        says,
    );
}

#[test]
fn what_is_not_written_has_its_default() {
    let loaded = good(&with_broker(""));
    assert!(loaded.warnings.is_empty(), "{}", listed(&loaded.warnings));
    let broker = &loaded.settings.direct_lines[0];
    assert_eq!((broker.index, broker.name.as_str()), (0, "site"));
    assert_eq!(broker.route.path, "/directline/token");
    assert_eq!(broker.refresh_path(), "/directline/token/refresh");
    assert!(broker.route.hosts.is_empty() && broker.ca.is_none());
    assert_eq!(broker.endpoint, "https://directline.botframework.com");
    assert_eq!(broker.origins.as_slice(), ["https://www.example.com"]);
    assert_eq!(broker.identity, PageIdentity::Random);
    assert_eq!(broker.same_site, SameSite::Lax);
    assert_eq!(
        (broker.per_ip.interval.as_secs(), broker.per_ip.burst.get()),
        (6, 10)
    );
    assert_eq!(
        (
            broker.per_session.interval.as_secs(),
            broker.per_session.burst.get()
        ),
        (6, 20)
    );
    assert_eq!((broker.timeout.as_secs(), broker.max_session), (5, None));
    assert!(!format!("{broker:?}").contains("hunter2"));
}

#[test]
fn what_is_written_counts() {
    let dir = directory();
    write(dir.path(), "one", "first-secret\n");
    write(dir.path(), "two", "second-secret");
    write(dir.path(), "ids", "8fK2mQz7vR4tYx1bNcW9sJd3hLgPaE6u");
    let keys = "hosts = [\"Chat.example.com\"]\npath = \"/t\"\nendpoint = \"https://europe.directline.botframework.com/\"\n\
                per_ip = { rate = \"1/s\", burst = 2 }\nper_session = { rate = \"2/s\" }\nmax_session = \"8h\"\ntimeout = \"2s\"\n\
                same_site = \"none\"\nid_key = \"file:ids\"\nidentity = \"random\"";
    let text = with_broker(keys).replace("\"${SECRET}\"", "[\"file:one\", \"file:two\"]");
    let loaded = parse_at(dir.path(), &text).unwrap();
    assert!(loaded.warnings.is_empty(), "{}", listed(&loaded.warnings));
    let broker = &loaded.settings.direct_lines[0];
    let secrets: Vec<&String> = broker
        .secrets
        .iter()
        .map(|secret| secret.expose())
        .collect();
    assert_eq!(secrets, ["first-secret", "second-secret"]);
    assert_eq!(broker.route.hosts, ["chat.example.com"]);
    assert_eq!(
        broker.endpoint,
        "https://europe.directline.botframework.com"
    );
    assert_eq!(broker.max_session.map(|max| max.as_secs()), Some(8 * 3600));
    assert_eq!(broker.same_site, SameSite::None);
    assert_eq!(broker.per_session.burst.get(), 2);
}

#[test]
fn ids_are_made_with_the_secret_or_with_a_key_of_their_own() {
    let id = |keys: &str, secret: &str| {
        let text = with_broker(keys).replace("\"${SECRET}\"", secret);
        let dir = directory();
        write(dir.path(), "more", "p3Vn0XwZ5qTj8RkLmB2yHsC7dFgU9aEi");
        write(dir.path(), "ids", "8fK2mQz7vR4tYx1bNcW9sJd3hLgPaE6u");
        let settings = parse_at(dir.path(), &text).unwrap().settings;
        let issuer = Arc::clone(&settings.direct_lines[0].issuer);
        (issuer.id_of("ada").to_string(), issuer)
    };
    let (of_one, _) = id("", "\"${SECRET}\"");
    let (of_both, both) = id("", "[\"${APP_ID}\", \"${SECRET}\"]");
    assert_ne!(of_one, of_both, "the first one makes them");
    assert!(both.has_issued(&of_one) && both.has_issued(&of_both));
    let (keyed, issuer) = id("id_key = \"file:ids\"", "\"${SECRET}\"");
    assert_ne!(keyed, of_one);
    // Who had an id before there was a key keeps it.
    assert!(issuer.has_issued(&of_one));
    let (changed, both) = id("id_key = [\"file:more\", \"file:ids\"]", "\"${APP_ID}\"");
    assert_ne!(changed, keyed, "the first one makes them");
    assert!(both.has_issued(&changed) && both.has_issued(&keyed) && !both.has_issued(&of_one));
    let (same, _) = id("id_key = \"file:ids\"", "\"${APP_ID}\"");
    assert_eq!(keyed, same, "whatever becomes of the secret");
}

#[test]
fn what_is_missing_or_unusable_is_told_and_no_secret_with_it() {
    for (key, value, says) in [
        ("name", "\"a b\"", "not a usable name"),
        ("secret", "\"hunter2\"", "stands in this file"),
        ("secret", "\"${SECRET} x\"", "a space"),
        ("secret", "[]", "missing"),
        ("secret", "7", "not a string"),
        ("trusted_origins", "[]", "names no page"),
    ] {
        assert_replaced(key, value, key, &[says]);
    }
    for (value, says) in [
        ("*", "not an origin"),
        ("null", "not an origin"),
        ("https://*.example.com", "not an origin"),
        ("https://www.example.com/", "https://www.example.com"),
        ("https://WWW.example.com", "as no browser"),
        (
            "https://ada:hunter2@www.example.com",
            "one with a user's name",
        ),
        ("http://www.example.com", "over https"),
        ("http://localhost:3000", "for development"),
    ] {
        assert_replaced(
            "trusted_origins",
            &format!("[\"{value}\"]"),
            "trusted_origins[0]",
            &[says],
        );
    }
    let third = "[\"${SECRET}\", \"${APP_ID}\", \"${PORT}\"]";
    assert_replaced("secret", third, "secret[2]", &["third"]);
    for missing in ["name", "secret", "trusted_origins"] {
        let lines = BROKER.lines().filter(|line| !line.starts_with(missing));
        let text = lines.collect::<Vec<_>>().join("\n");
        let found = problems(&format!("{BOT}\n{text}"));
        assert_eq!(found.len(), 1, "{}", listed(&found));
        assert_eq!(found[0].at, format!("direct_line[0].{missing}"));
    }
}

#[test]
fn every_other_key_is_checked() {
    for (keys, at, says) in [
        ("path = \"token\"", "path", "not a path"),
        ("hosts = [\"a:1\"]", "hosts[0]", "not a host name"),
        (
            "endpoint = \"http://directline.botframework.com\"",
            "endpoint",
            "cannot be used",
        ),
        (
            "endpoint = \"https://directline.botframework.com/v3\"",
            "endpoint",
            "cannot be used",
        ),
        (
            "endpoint = \"https://x:y@directline.botframework.com\"",
            "endpoint",
            "cannot be used",
        ),
        (
            "endpoint = \"directline.botframework.com\"",
            "endpoint",
            "cannot be used",
        ),
        (
            "endpoint = \"https://directline.example\"",
            "endpoint",
            "no address of Microsoft's",
        ),
        ("per_ip = \"10/m\"", "per_ip", "wanted a rate"),
        ("max_session = \"1d\"", "max_session", "wanted a duration"),
        ("timeout = \"2m\"", "timeout", "out of range"),
        ("same_site = \"Lax\"", "same_site", "wanted one of"),
        ("id_key = \"${SECRET}\"", "id_key", "fewer than 32"),
        (
            "id_key = \"aaaabbbbccccddddaaaabbbbccccdddd\"",
            "id_key",
            "can be guessed",
        ),
        (
            "id_key = \"8fK2mQz7vR4tYx1bNcW9sJd3hLgPaE6u\"",
            "id_key",
            "stands in this file",
        ),
        ("path = \"/\"", "path", "could not ask for"),
        ("path = \"/a/\"", "path", "could not ask for"),
        ("path = \"/a//b\"", "path", "could not ask for"),
        ("path = \"/a/../b\"", "path", "could not ask for"),
        ("path = \"/a%2fb\"", "path", "could not ask for"),
        ("path = \"a\"", "path", "not a path"),
        (
            "endpoint = \"https://user:hunter2@directline.botframework.com\"",
            "endpoint",
            "names a user",
        ),
        ("ca = \"none.pem\"", "ca", "cannot be read"),
        ("identity = \"nobody\"", "identity", "other than \"random\""),
        ("identity = {}", "identity", "neither"),
        ("origin = \"x\"", "origin", "is not a key"),
    ] {
        assert_broker_problem(keys, at, &[says]);
    }
    for keys in [
        "endpoint = \"http://127.0.0.1:1\"",
        "endpoint = \"http://localhost:9/\"",
        "max_session = \"0s\"",
        "id_key = \"\"",
    ] {
        broker(keys);
    }
}

#[test]
fn a_site_says_who_its_users_are_by_its_own_tokens_or_by_a_header() {
    let dir = directory();
    write(dir.path(), "keys.json", include_str!("local-keys.json"));
    write(dir.path(), "ids", "8fK2mQz7vR4tYx1bNcW9sJd3hLgPaE6u");
    let jwt = "identity = { jwt = { issuer = \"https://login.example\", audience = \"chat\", jwks = \"JWKS\" } }";
    for (jwks, origin) in [
        (
            "https://login.example/keys",
            KeyOrigin::KeySet("https://login.example/keys".to_owned()),
        ),
        (
            "file:keys.json",
            KeyOrigin::File(dir.path().join("keys.json")),
        ),
        ("keys.json", KeyOrigin::File(dir.path().join("keys.json"))),
    ] {
        let text = with_broker(&jwt.replace("JWKS", jwks));
        let told = parse_at(dir.path(), &text).unwrap().warnings;
        assert!(
            told.iter()
                .any(|it| it.what.contains("user ids are made with")),
            "{}",
            listed(&told)
        );
        let loaded = parse_at(dir.path(), &format!("{text}\nid_key = \"file:ids\"")).unwrap();
        assert!(loaded.warnings.is_empty(), "{}", listed(&loaded.warnings));
        let PageIdentity::Site(identity) = &loaded.settings.direct_lines[0].identity else {
            panic!("{jwks}");
        };
        assert_eq!((identity.claim.as_str(), identity.clock_skew), ("sub", 300));
        let source = &loaded.settings.key_sources[identity.keys.0];
        assert_eq!(source.origin, origin);
        // The bot's own source is another one.
        let channel = loaded.settings.bots[0].expect.channel.keys;
        assert_eq!(
            (identity.keys, channel),
            (KeySourceId(0), Some(KeySourceId(1)))
        );
    }
    let header = broker(
        "identity = { header = { name = \"X-Site-User\", from = [\"10.0.0.0/8\", \"192.0.2.7\"] } }",
    );
    let PageIdentity::Header { name, from } = &header.identity else {
        panic!("a header");
    };
    assert_eq!((name.as_str(), from.len()), ("x-site-user", 2));
}

#[test]
fn an_identity_that_anybody_could_claim_is_refused() {
    let header = |name: &str, from: &str| {
        format!("identity = {{ header = {{ name = \"{name}\", from = {from} }} }}")
    };
    for (keys, at, says) in [
        (header("X-User", "[\"0.0.0.0/0\"]"), "identity.header.from", "half the world"),
        (header("X-User", "[\"0.0.0.0/1\", \"128.0.0.0/1\"]"), "identity.header.from", "half the world"),
        (header("X-User", "[]"), "identity.header.from", "names nobody"),
        (header("User-Agent", "[\"10.0.0.1\"]"), "identity.header.name", "cannot name a user"),
        (header("Sec-Fetch-Site", "[\"10.0.0.1\"]"), "identity.header.name", "cannot name a user"),
        (
            "identity = { jwt = { issuer = \"x\", audience = \"y\", jwks = \"https://login.example/keys\", claim = \"iss\" } }".to_owned(),
            "identity.jwt.claim",
            "tells no users apart",
        ),
        (header("X-User", "[\"proxy.example\"]"), "identity.header.from[0]", "wanted a network"),
        (header("X_User", "[\"10.0.0.1\"]"), "identity.header.name", "cannot name a user"),
        (header("Cookie", "[\"10.0.0.1\"]"), "identity.header.name", "cannot name a user"),
        (header("a b", "[\"10.0.0.1\"]"), "identity.header.name", "cannot name a user"),
        (
            "identity = { jwt = { issuer = \"x\", audience = \"y\", jwks = \"http://login.example/keys\" } }".to_owned(),
            "identity.jwt.jwks",
            "",
        ),
        (
            "identity = { jwt = { issuer = \"x\", jwks = \"https://login.example/keys\" } }".to_owned(),
            "identity.jwt.audience",
            "is missing",
        ),
    ] {
        assert_broker_problem(&keys, at, &["error", says]);
    }
    let proxied = with_broker(&header("X-User", "[\"10.0.0.1\"]"));
    let proxied =
        format!("[server]\nproxy_protocol = true\ntrusted_proxies = [\"10.0.0.1\"]\n{proxied}");
    let found = problems(&proxied);
    assert!(
        found.iter().any(
            |problem| problem.is_error() && problem.at == "direct_line[0].identity.header.from"
        ),
        "{}",
        listed(&found)
    );
}

#[test]
fn no_two_share_a_name_or_a_place() {
    let second = |keys: &str| {
        format!(
            "{}\n{}\n{keys}",
            with_broker(""),
            BROKER.replace("site", "shop")
        )
    };
    good(&second("path = \"/shop\""));
    let found = |text: &str| {
        let found = problems(text);
        found
            .into_iter()
            .filter(Problem::is_error)
            .map(|it| it.at)
            .collect::<Vec<_>>()
    };
    assert_eq!(found(&second("")), ["direct_line[1].path"]);
    assert_eq!(
        found(&second("path = \"/directline/token/refresh\"")),
        ["direct_line[1].path"]
    );
    let twins = format!("{}\n{BROKER}path = \"/shop\"", with_broker(""));
    assert_eq!(found(&twins), ["direct_line[1].name"]);
    // A bot is not hidden by a broker.
    assert_eq!(
        found(&with_broker("path = \"/api/messages\"")),
        ["direct_line[0].path"]
    );
    assert_eq!(found(&with_broker("path = \"/api\"")), [""; 0]);
    let bot = BOT.replace("tenants", "path = \"/api/refresh\"\ntenants");
    assert_eq!(
        found(&format!("{bot}\n{BROKER}path = \"/api\"")),
        ["direct_line[0].path"]
    );
    let elsewhere = BOT.replace("tenants", "hosts = [\"bot.example\"]\ntenants");
    let text = format!("{elsewhere}\n{BROKER}path = \"/api/messages\"\nhosts = [\"chat.example\"]");
    assert_eq!(found(&text), [""; 0]);
}

#[test]
fn ids_can_be_asked_for_only_where_a_broker_makes_them() {
    let asks = "direct_line = { issued_ids_only = true, enhanced_authentication = true }";
    let bot = with_bot(asks);
    assert_bot_problem(
        asks,
        "direct_line.issued_ids_only",
        &["error", "no [[direct_line]]"],
    );
    let loaded = good(&format!("{bot}\n{BROKER}id_key = \"${{APP_ID}}\""));
    assert!(loaded.warnings.is_empty(), "{}", listed(&loaded.warnings));
    let issuers = loaded.settings.bots[0]
        .policy
        .direct_line
        .issued_by
        .clone()
        .unwrap();
    let id = loaded.settings.direct_lines[0]
        .issuer
        .id_of("ada")
        .to_string();
    assert!(issuers[0].has_issued(&id));
    let text = format!(
        "{}\n{BROKER}id_key = \"${{APP_ID}}\"",
        with_bot(&format!("direct_line.issued_ids_only = true {MARK}"))
    );
    assert_problem(
        &text,
        "bots[0].direct_line.issued_ids_only",
        &["warning", "without enhanced"],
    );
    assert!(
        bot_of(&with_broker(""))
            .policy
            .direct_line
            .issued_by
            .is_none()
    );
}

fn bot_of(text: &str) -> Arc<Bot> {
    Arc::clone(&good(text).settings.bots[0])
}
