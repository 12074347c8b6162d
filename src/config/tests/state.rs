//! `[state]`: what several gateways share.

use super::*;
use crate::config::{SharedStore, StoreLogin, StoreServers};
use crate::secret::Secret;
use std::time::Duration;

/// A file that shares its counts by this address, on a marked line, and has these keys beside it.
fn with_store(address: &str, keys: &str) -> String {
    with_server(&format!(
        "[state]\nstore = \"redis\"\nredis = \"{address}\" {MARK}\n{keys}"
    ))
}

/// The store that a file without errors names.
fn store(address: &str, keys: &str) -> SharedStore {
    let loaded = good(&with_store(address, keys));
    loaded.settings.shared_store.unwrap()
}

fn one(host: &str, port: u16, database: u16) -> StoreServers {
    StoreServers::One {
        address: (host.to_owned(), port),
        database,
    }
}

fn hosts(list: &[(&str, u16)]) -> Vec<(String, u16)> {
    let owned = list.iter().map(|(host, port)| ((*host).to_owned(), *port));
    owned.collect()
}

fn sentinels(list: &[(&str, u16)], master: &str, database: u16) -> StoreServers {
    StoreServers::Sentinel {
        sentinels: hosts(list),
        login: StoreLogin::default(),
        master: master.to_owned(),
        database,
    }
}

#[test]
fn every_form_of_an_address_is_read() {
    for (address, servers, is_tls) in [
        ("redis://127.0.0.1:6379/0", one("127.0.0.1", 6379, 0), false),
        ("redis://store", one("store", 6379, 0), false),
        ("redis://store/", one("store", 6379, 0), false),
        ("redis://my_store:1/15", one("my_store", 1, 15), false),
        (
            "REDIS://Store.Example:65535",
            one("store.example", 65535, 0),
            false,
        ),
        ("redis://[::1]", one("::1", 6379, 0), false),
        (
            "rediss://[2001:DB8::0:1]:6380/65535",
            one("2001:db8::1", 6380, 65535),
            true,
        ),
        (
            "rediss://store.example",
            one("store.example", 6379, 0),
            true,
        ),
        ("valkey://store:7/1", one("store", 7, 1), false),
        ("valkeys://store", one("store", 6379, 0), true),
        (
            "redis+cluster://a",
            StoreServers::Cluster(hosts(&[("a", 6379)])),
            false,
        ),
        (
            "rediss+cluster://a:1,[::1],10.0.0.3:2/",
            StoreServers::Cluster(hosts(&[("a", 1), ("::1", 6379), ("10.0.0.3", 2)])),
            true,
        ),
        (
            "valkeys+cluster://a",
            StoreServers::Cluster(hosts(&[("a", 6379)])),
            true,
        ),
        (
            "redis+sentinel://a,b:5000,[::1]:5001/my.master-1/2",
            sentinels(
                &[("a", 26379), ("b", 5000), ("::1", 5001)],
                "my.master-1",
                2,
            ),
            false,
        ),
        (
            "rediss+sentinel://a/prod",
            sentinels(&[("a", 26379)], "prod", 0),
            true,
        ),
        (
            "valkey+sentinel://a/prod/",
            sentinels(&[("a", 26379)], "prod", 0),
            false,
        ),
    ] {
        let store = store(address, "");
        assert_eq!(store.servers, servers, "{address}");
        assert_eq!(store.tls.is_some(), is_tls, "{address}");
    }
}

#[test]
fn an_address_may_hold_the_login() {
    for (address, user, password) in [
        ("redis://:pa%2Fss%40@store", None, "pa/ss@"),
        ("rediss://botgate:a:b@store:6379/3", Some("botgate"), "a:b"),
        (
            "redis+sentinel://botgate:it@a,b/prod",
            Some("botgate"),
            "it",
        ),
        ("redis+cluster://%C3%A4:it@a,b", Some("\u{e4}"), "it"),
    ] {
        let login = store(address, "").login;
        assert_eq!(login.user.as_deref(), user, "{address}");
        let held = login.password.map(|it| it.expose().clone());
        assert_eq!(held.as_deref(), Some(password), "{address}");
    }
    // In two places one of them would be the wrong one.
    let twice = with_store("redis://:hunter2@store", "password = \"hunter2\"");
    let found = listed(&problems(&twice));
    assert!(
        found.contains("write them in one of the two places") && !found.contains("hunter2"),
        "{found}"
    );
}

#[test]
fn an_address_that_cannot_be_meant_says_why_with_its_line_and_nothing_of_itself() {
    const PORT: &str = "has a port that is no number from 1 to 65535";
    for (address, says) in [
        ("", "is empty"),
        ("store.hunter2:6379", "is not a URL"),
        ("redis:store.hunter2", "is not a URL"),
        ("http://hunter2:6379", "is not a redis or rediss URL"),
        (
            "redis-cluster://hunter2:6379",
            "is not a redis or rediss URL",
        ),
        (
            "redis+tls://hunter2:6379",
            "neither of one server, nor +cluster, nor +sentinel",
        ),
        (
            "redis://:hunter2/@store",
            "write \"/\" and \"@\" of a password",
        ),
        (
            "rediss+sentinel://hunter2@a,b/prod",
            "has no password before",
        ),
        ("redis://hunter2:@store", "has no password before"),
        ("redis://:hunter2%ff@store", "is not UTF-8"),
        ("hunter2@store", "is not a URL"),
        (
            "redis://store?password=hunter2",
            "has a key of its own in [state]",
        ),
        ("redis://store/0#hunter2", "holds a \"?\" or \"#\""),
        ("redis://", "has no host"),
        ("redis:///hunter2", "has no host"),
        ("redis://:6379", "has no host"),
        ("redis://:hunter2", "has no host"),
        ("redis://store:hunter2", PORT),
        ("redis://store:0", PORT),
        ("redis://store:65536", PORT),
        ("redis://store:+80", PORT),
        ("redis://store:", PORT),
        ("redis://[::1]6379", PORT),
        ("redis://[::1", "brackets that hold no IPv6 address"),
        ("redis://[store]", "brackets that hold no IPv6 address"),
        ("redis://::1", "has no host"),
        ("redis://2001:db8::1", "an IPv6 address without brackets"),
        ("redis://hunter2 x", "neither name nor address"),
        ("redis://10.0.0.256", "neither name nor address"),
        ("redis://store/hunter2", "has a database that is no number"),
        ("redis://store/65536", "has a database that is no number"),
        ("redis://store/-1", "has a database that is no number"),
        ("redis://store/0/", "has a database that is no number"),
        ("redis://a,b", "redis+cluster:// for nodes of a cluster"),
        ("redis+cluster://", "has no host (server 1 of 1)"),
        ("redis+cluster://a,,b", "has no host (server 2 of 3)"),
        ("redis+cluster://a:1,b:x", "65535 (server 2 of 2)"),
        (
            "redis+cluster://a, b",
            "neither name nor address (server 2 of 2)",
        ),
        (
            "redis+cluster://a,A:6379",
            "for the second time (server 2 of 2)",
        ),
        ("redis+cluster://a/0", "a cluster has one only"),
        ("redis+sentinel://a,b", "names no master"),
        ("redis+sentinel://a//0", "names no master"),
        (
            "redis+sentinel://a/my master",
            "names a master as no sentinel can",
        ),
        (
            "redis+sentinel://a/prod/hunter2",
            "has a database that is no number",
        ),
        ("redis+sentinel://a:x/prod", "65535 (server 1 of 1)"),
    ] {
        assert_problem(&with_store(address, ""), "state.redis", &["error", says]);
    }
}

#[test]
fn a_store_needs_an_address() {
    let text = with_server("[state] #<-\nstore = \"redis\"");
    assert_problem(
        &text,
        "state.redis",
        &["error", "is missing", "rediss://HOST:6379/0"],
    );
    let text = with_server("[state]\nstore = \"redis\"\nredis = 6379 #<-");
    assert_problem(&text, "state.redis", &["error", "is not a string"]);
    let text = with_server("[state]\nstore = \"redi\" #<-");
    assert_problem(&text, "state.store", &["error", "did you mean \"redis\"?"]);
}

#[test]
fn what_is_not_written_has_its_default_and_what_is_reaches_the_settings() {
    let usual = store("redis://localhost", "");
    assert_eq!(usual.key_prefix, "botgate");
    assert_eq!(usual.timeout, Duration::from_millis(20));
    assert_eq!(usual.login, StoreLogin::default());
    assert!(!usual.denies_without);
    let set = store(
        "redis://localhost",
        "user = \"botgate\"\npassword = \"hunter2\"\non_store_failure = \"deny\"\nkey_prefix = \"b:prod.1-x_\"\ntimeout = \"5s\"",
    );
    assert_eq!(set.key_prefix, "b:prod.1-x_");
    assert_eq!(set.timeout, Duration::from_secs(5));
    assert_eq!(set.login, login("botgate", "hunter2"));
    assert!(set.denies_without);
    assert!(!format!("{set:?}").contains("hunter2"));
}

fn login(user: &str, password: &str) -> StoreLogin {
    StoreLogin {
        user: Some(user.to_owned()),
        password: Some(Secret::new(password.to_owned())),
    }
}

#[test]
fn a_password_comes_from_a_file_or_the_environment() {
    let dir = directory();
    write(dir.path(), "password", "hunter2\n");
    write(dir.path(), "empty", "\n");
    let read = |keys: &str| {
        let attempt = parse_at(dir.path(), &with_store("redis://localhost", keys));
        attempt.map(|loaded| loaded.settings.shared_store.unwrap().login)
    };
    let is = |login: &StoreLogin| login.password.as_ref().unwrap().expose() == "hunter2";
    assert!(is(&read("password = \"file:password\"").unwrap()));
    assert!(is(&read("password = \"${SECRET}\"").unwrap()));
    assert_eq!(
        read("password = \"\"\nuser = \"\"").unwrap(),
        StoreLogin::default()
    );
    for (password, says) in [
        ("\"file:empty\"", "is empty, in the file or variable"),
        ("\"file:none\"", "is \"file:none\", which cannot be read"),
        ("\"${NONE}\"", "needs the environment variable NONE"),
        (
            "\"hunter2${\"",
            "is (secret), where \"${\" begins no variable",
        ),
        ("4567", "is not a string"),
    ] {
        let found = read(&format!("password = {password}")).unwrap_err();
        let told = listed(&found);
        assert_eq!(found.len(), 1, "{told}");
        assert_eq!(
            (found[0].at.as_str(), found[0].line),
            ("state.password", Some(4))
        );
        assert!(told.contains(says), "{told}");
        assert!(
            !told.contains("hunter2") && !told.contains("4567"),
            "{told}"
        );
    }
    // An address with a ${ that begins nothing may hold one, too.
    let found = listed(&problems(&with_store("redis://:hunter2${@store", "")));
    assert!(
        found.contains("(secret)") && !found.contains("hunter2"),
        "{found}"
    );
}

#[test]
fn sentinels_have_a_login_of_their_own() {
    let keys = "password = \"a\"\nsentinel_user = \"watcher\"\nsentinel_password = \"hunter2\"";
    let store = store("rediss+sentinel://a/prod", keys);
    let StoreServers::Sentinel {
        login: of_sentinels,
        ..
    } = store.servers
    else {
        panic!("{store:?}");
    };
    assert_eq!(of_sentinels, login("watcher", "hunter2"));
    assert_eq!(store.login.user, None);
    for key in ["sentinel_user", "sentinel_password"] {
        let text = with_store("redis://localhost", &format!("{key} = \"hunter2\" {MARK}"));
        let text = text.replacen(MARK, "", 1);
        assert_problem(
            &text,
            &format!("state.{key}"),
            &["warning", "has no effect: state.redis names no sentinels"],
        );
    }
}

#[test]
fn a_name_without_a_password_is_half_of_a_login() {
    for key in ["user", "sentinel_user"] {
        let keys = format!("{key} = \"botgate\" {MARK}");
        let text = with_store("rediss+sentinel://a/prod", &keys).replacen(MARK, "", 1);
        let password = key.replace("user", "password");
        let says = format!("has no {password} beside it");
        assert_problem(&text, &format!("state.{key}"), &["error", &says]);
    }
}

#[test]
fn tls_is_read_from_pem_files() {
    let tls = "[state.tls]\nca = \"certs/server.pem\"\nclient_cert = \"certs/server.pem\"\nclient_key = \"certs/server.key\"";
    let tls = store("rediss://store", tls).tls.unwrap();
    assert!(tls.ca.unwrap().starts_with(b"-----BEGIN CERTIFICATE"));
    let (cert, key) = tls.client_identity.unwrap();
    assert!(cert.starts_with(b"-----BEGIN CERTIFICATE"));
    assert!(key.expose().starts_with(b"-----BEGIN PRIVATE KEY"));
    for (key, value, says) in [
        ("ca", "none.pem", "cannot be read"),
        ("ca", "certs/server.key", "CERTIFICATE"),
        (
            "client_cert",
            "certs/server.pem",
            "has no client_key beside it",
        ),
        (
            "client_key",
            "certs/server.key",
            "has no client_cert beside it",
        ),
    ] {
        let keys = format!("tls.{key} = \"{value}\" {MARK}");
        let text = with_store("rediss://store", &keys).replacen(MARK, "", 1);
        assert_problem(&text, &format!("state.tls.{key}"), &["error", says]);
    }
    // Files that nobody needs are not looked at.
    for key in ["ca", "client_cert", "client_key"] {
        let keys = format!("tls.{key} = \"none.pem\" {MARK}");
        let text = with_store("redis://localhost", &keys).replacen(MARK, "", 1);
        assert_problem(
            &text,
            &format!("state.tls.{key}"),
            &["warning", "has no effect: state.redis is without TLS"],
        );
    }
}

#[test]
fn the_prefix_and_the_timeout_have_their_limits() {
    let long = "k".repeat(65);
    for prefix in ["", "bot{gate}", "bot gate", "böt", &long] {
        let text = with_store(
            "redis://localhost",
            &format!("key_prefix = \"{prefix}\" {MARK}"),
        );
        let text = text.replacen(MARK, "", 1);
        assert_problem(
            &text,
            "state.key_prefix",
            &["error", "wanted 1 to 64 letters"],
        );
    }
    assert_eq!(
        store(
            "redis://localhost",
            &format!("key_prefix = \"{}\"", &long[1..])
        )
        .key_prefix,
        long[1..]
    );
    for timeout in ["0ms", "6s"] {
        let text = with_store(
            "redis://localhost",
            &format!("timeout = \"{timeout}\" {MARK}"),
        );
        let text = text.replacen(MARK, "", 1);
        assert_problem(&text, "state.timeout", &["error", "\"1ms\" to \"5s\""]);
    }
    let text = with_server("[state]\non_store_failure = \"shrug\" #<-");
    assert_problem(
        &text,
        "state.on_store_failure",
        &["error", "\"local\", \"deny\""],
    );
}

#[test]
fn in_memory_whatever_is_of_a_shared_store_has_no_effect_and_is_no_error() {
    for (key, value) in [
        ("redis", "redis://:hunter2@store"),
        ("user", "botgate"),
        ("password", "hunter2"),
        ("sentinel_user", "watcher"),
        ("sentinel_password", "hunter2"),
        ("on_store_failure", "deny"),
        ("key_prefix", "other"),
        ("timeout", "1s"),
        ("tls.ca", "none.pem"),
        ("tls.client_cert", "none.pem"),
        ("tls.client_key", "none.key"),
    ] {
        for store in ["", "store = \"memory\"\n"] {
            let text = format!("[state]\n{store}{key} = \"{value}\" {MARK}");
            let says = "has no effect: state.store is \"memory\"";
            assert_problem(
                &with_server(&text),
                &format!("state.{key}"),
                &["warning", says],
            );
        }
    }
    for state in [
        "redis = \"\"",
        "on_store_failure = \"local\"\nkey_prefix = \"botgate\"\ntimeout = \"20ms\"",
        "user = \"\"\npassword = \"\"\ntls = { ca = \"\", client_cert = \"\", client_key = \"\" }",
    ] {
        let loaded = good(&with_server(&format!("[state]\n{state}")));
        assert!(loaded.warnings.is_empty(), "{}", listed(&loaded.warnings));
        assert_eq!(loaded.settings.shared_store, None);
    }
}

#[test]
fn only_what_leaves_this_machine_without_tls_is_in_the_clear() {
    for (address, is_in_the_clear) in [
        ("redis://127.0.0.1", false),
        ("redis://127.8.0.1", false),
        ("redis://[::1]", false),
        ("redis://LOCALHOST", false),
        ("redis://10.0.0.1", true),
        ("redis://localhost.example", true),
        ("rediss://10.0.0.1", false),
        ("redis+cluster://127.0.0.1:1,127.0.0.1:2", false),
        ("redis+cluster://127.0.0.1:1,10.0.0.1:2", true),
        ("redis+sentinel://10.0.0.1/prod", true),
        ("rediss+sentinel://10.0.0.1/prod", false),
    ] {
        assert_eq!(
            store(address, "").is_in_the_clear(),
            is_in_the_clear,
            "{address}"
        );
        let warned = problems(&with_store(address, ""));
        assert_eq!(!warned.is_empty(), is_in_the_clear, "{}", listed(&warned));
    }
}
