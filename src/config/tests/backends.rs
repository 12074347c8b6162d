//! Where a bot runs, and how it is reached.

use super::*;
use std::time::Duration;

#[test]
fn a_backend_is_an_http_url_with_host_and_path() {
    for url in [
        "http://127.0.0.1:3978/api/messages",
        "https://bot.internal/x?code=1",
        "http://[::1]:1/",
        "http://bot:3978/api/messages",
    ] {
        good(&replaced("backend", &format!("\"{url}\"")));
    }
    for (url, says) in [
        ("127.0.0.1:3978/api/messages", "is not a URL"),
        ("http:127.0.0.1/x", "is not a URL"),
        ("http://", "is not a URL"),
        ("http://bot:99999/x", "is not a URL"),
        ("ftp://bot/x", "is not an http or https URL"),
        ("http://bot:3978", "has no path"),
        ("http://bot?x=/", "has no path"),
        ("http://user:hunter2@bot/x", "user name or password"),
        ("http://bot/x#y", "\"#\""),
        ("http://127.0.0.1:8443/api/messages", "this gateway itself"),
        ("https://localhost:8443/api/messages", "this gateway itself"),
    ] {
        assert_problem(
            &replaced("backend", &format!("\"{url}\"")),
            "bots[0].backend",
            &["error", says],
        );
    }
    assert_problem(
        &replaced("backend", "[]"),
        "bots[0].backend",
        &["error", "is empty"],
    );
    assert_problem(
        &replaced("backend", "5"),
        "bots[0].backend",
        &["error", "is the number 5"],
    );
}

#[test]
fn timeouts_of_a_backend_reach_the_settings() {
    let backend = bot("timeouts = { connect = \"1s\", response = \"5m\" }")
        .backend
        .clone();
    assert_eq!(
        (backend.connect_timeout, backend.response_timeout),
        (Duration::from_secs(1), Duration::from_secs(300))
    );
}

#[test]
fn tls_to_the_backend_is_read_from_pem_files_and_only_for_https() {
    let https = BOT.replace("http://", "https://");
    let keys = "backend_tls.ca = \"certs/server.pem\"\nbackend_tls.client_cert = \"certs/server.pem\"\nbackend_tls.client_key = \"certs/server.key\"\nbackend_tls.server_name = \"bot.internal\"";
    let settings = good(&format!("{https}{keys}")).settings;
    let tls = &settings.bots[0].backend.tls;
    assert!(
        tls.ca
            .as_ref()
            .is_some_and(|pem| pem.starts_with(b"-----BEGIN CERTIFICATE"))
    );
    let (cert, key) = tls.client_identity.as_ref().unwrap();
    assert!(
        cert.starts_with(b"-----BEGIN CERTIFICATE")
            && key.expose().starts_with(b"-----BEGIN PRIVATE KEY")
    );
    assert_eq!(tls.server_name.as_deref(), Some("bot.internal"));

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
        ("server_name", "bot.internal:443", "is not a host name"),
    ] {
        let text = format!("{https}backend_tls.{key} = \"{value}\" {MARK}");
        assert_problem(
            &text,
            &format!("bots[0].backend_tls.{key}"),
            &["error", says],
        );
    }
    assert_bot_problem(
        "backend_tls.server_name = \"x\"",
        "backend_tls.server_name",
        &["error", "plain http"],
    );
}

#[test]
fn several_backends_and_unix_sockets_are_read_in_order() {
    let list = "[\"http://127.0.0.1:3978/api/messages\", \"unix:/run/bot.sock:/api/messages?x=1\", \"https://bot.internal/m\", \"unix:run/b:c.sock:/\"]";
    let loaded = good(&replaced("backend", list));
    let read: Vec<_> = loaded.settings.bots[0]
        .backend
        .endpoints
        .iter()
        .map(|endpoint| {
            let socket = endpoint.socket.as_deref();
            (
                endpoint.name.as_str(),
                endpoint.url.as_str(),
                socket.map(Path::is_absolute),
            )
        })
        .collect();
    assert_eq!(
        read,
        [
            ("127.0.0.1:3978", "http://127.0.0.1:3978/api/messages", None),
            (
                "/run/bot.sock",
                "http://localhost/api/messages?x=1",
                Some(true)
            ),
            ("bot.internal:443", "https://bot.internal/m", None),
            ("run/b:c.sock", "http://localhost/", Some(true)),
        ]
    );
    let one = good(&replaced(
        "backend",
        "[\"unix:/run/bot.sock:/api/messages\"]",
    ));
    let endpoint = &one.settings.bots[0].backend.endpoints[0];
    assert_eq!(endpoint.socket.as_deref(), Some(Path::new("/run/bot.sock")));
}

#[test]
fn a_relative_socket_starts_from_the_files_directory() {
    let dir = directory();
    let text = replaced("backend", "\"unix:bot.sock:/api/messages\"");
    let loaded = parse_at(dir.path(), &text).unwrap();
    let endpoint = &loaded.settings.bots[0].backend.endpoints[0];
    assert_eq!(endpoint.socket, Some(dir.path().join("bot.sock")));
    assert_eq!(endpoint.name, "bot.sock");
}

#[test]
fn a_backend_that_cannot_be_meant_is_named_with_its_place() {
    for (backend, at, says) in [
        (
            "\"unix:/run/bot.sock\"",
            "backend",
            "names no path of the request",
        ),
        ("\"unix::/api/messages\"", "backend", "names no Unix socket"),
        (
            "\"unix:///run/bot.sock:/x\"",
            "backend",
            "names no Unix socket",
        ),
        ("\"unix:/run/bot.sock:/x#y\"", "backend", "\"#\""),
        (
            "[\"http://a:1/x\", \"unix:/run/bot.sock\"]",
            "backend[1]",
            "names no path",
        ),
        (
            "[\"http://a:1/x\", \"http://a\"]",
            "backend[1]",
            "has no path",
        ),
        (
            "[\"http://a:1/x\", \"http://A:1/y\"]",
            "backend[1]",
            "is on a:1, which is there already",
        ),
        (
            "[\"https://a/x\", \"https://a:443/x\"]",
            "backend[1]",
            "a:443, which is there already",
        ),
        (
            "[\"unix:/b:/x\", \"unix:/b:/x\"]",
            "backend[1]",
            "is on /b, which is there already",
        ),
        (
            "[\"http://127.0.0.1:8443/x\"]",
            "backend[0]",
            "this gateway itself",
        ),
    ] {
        let text = replaced("backend", backend);
        assert_problem(&text, &format!("bots[0].{at}"), &["error", says]);
    }
    let long = format!("\"unix:/{}:/x\"", "s".repeat(107));
    assert_problem(
        &replaced("backend", &long),
        "bots[0].backend",
        &["error", "107 bytes"],
    );
    let longest = format!("\"unix:/{}:/x\"", "s".repeat(106));
    good(&replaced("backend", &longest));
}

#[test]
fn tls_needs_one_https_backend_at_least() {
    let tls = "backend_tls.server_name = \"x\"";
    let with = |backend: &str| {
        let text = replaced("backend", backend).replace(MARK, "");
        format!("{text}\n{tls} {MARK}")
    };
    good(&with("[\"http://a/x\", \"https://b/x\"]"));
    for backend in ["[\"http://a/x\", \"http://b/x\"]", "\"unix:/b:/x\""] {
        assert_problem(
            &with(backend),
            "bots[0].backend_tls.server_name",
            &["error", "plain http"],
        );
    }
}

#[test]
fn health_checks_are_off_until_a_path_is_set() {
    assert_eq!(bot("").backend.health, None);
    assert_eq!(bot("health.path = \"\"").backend.health, None);
    let health = |keys: &str| bot(keys).backend.health.clone().unwrap();
    let usual = health("health.path = \"/healthz\"");
    assert_eq!(usual.path_and_query, "/healthz");
    assert_eq!(usual.every, Duration::from_secs(5));
    let often = health("health = { path = \"/ok?deep=1\", every = \"250ms\" }");
    assert_eq!(often.path_and_query, "/ok?deep=1");
    assert_eq!(often.every, Duration::from_millis(250));
    for path in ["healthz", "http://bot/healthz", "/x#y", "//bot/x"] {
        let keys = format!("health.path = \"{path}\"");
        assert_bot_problem(&keys, "health.path", &["error", "is not a path"]);
    }
    for (keys, says) in [
        ("health = { path = \"/x\", every = 5 }", "error"),
        ("health = { path = \"/x\", every = \"0s\" }", "out of range"),
        ("health.every = \"1m\"", "warning"),
    ] {
        assert_bot_problem(keys, "health.every", &[says]);
    }
}
