//! Certificates are replaced while the gateway runs, chosen by name, and asked of clients.

use crate::support::authority::{Authority, Signed, greet, shown};
use crate::support::{Gateway, eventually};
use botgate::cli::demo::client::{Client, Protocol};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Output;
use time::Duration;

const FILES: &str =
    "[server.tls]\nsource = \"files\"\ncert = \"live/server.pem\"\nkey = \"live/server.key\"\n";

/// Puts a pair in place, the certificate first.
fn put(folder: &Path, name: &str, pair: &Signed) {
    fs::create_dir_all(folder.join("live")).unwrap();
    fs::write(folder.join(format!("live/{name}.pem")), &pair.chain).unwrap();
    let key = folder.join(format!("live/{name}.key"));
    fs::write(&key, &pair.key).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
}

/// A gateway that shows this pair.
async fn showing(authority: &Authority, pair: &Signed, more: &str) -> Gateway {
    Gateway::with(&format!("{FILES}{more}"))
        .file("authority.pem", authority.pem())
        .file("live/server.pem", pair.chain.as_str())
        .file("live/server.key", pair.key.as_str())
        .trusting("authority.pem")
        .start()
        .await
}

async fn is_shown(gateway: &Gateway, authority: &Authority, name: &str, pair: &Signed) -> bool {
    let address = gateway.client().address();
    let shown = shown(address, name, &authority.pem()).await;
    shown.unwrap_or_else(|error| panic!("{error}\n{}", gateway.output())) == pair.der
}

fn events(gateway: &Gateway, event: &str) -> usize {
    let lines = gateway.output().log;
    lines.iter().filter(|line| line["event"] == event).count()
}

async fn reloads(gateway: &Gateway, outcome: &str) -> f64 {
    let sample = format!("botgate_certificate_reloads_total{{outcome=\"{outcome}\"}}");
    gateway.metric(&sample).await
}

/// Sends SIGHUP and waits for what comes of it.
async fn hang_up(gateway: &Gateway, outcome: &str) {
    let before = reloads(gateway, outcome).await;
    gateway.signal(Signal::SIGHUP);
    eventually(&format!("certificates are {outcome}"), async || {
        reloads(gateway, outcome).await > before
    })
    .await;
}

// Replaced

#[tokio::test]
async fn a_changed_certificate_is_noticed_and_open_connections_go_on() {
    let authority = Authority::new("authority");
    let [first, second] = [(); 2].map(|()| authority.sign(&["localhost"]));
    let gateway = showing(&authority, &first, "").await;
    assert!(is_shown(&gateway, &authority, "localhost", &first).await);
    let mut open = gateway.client().connect(Protocol::Http2).await.unwrap();
    gateway
        .teams_message()
        .send_on(&mut open)
        .await
        .forwarded()
        .await;

    put(gateway.folder(), "server", &second);
    eventually("the new certificate is shown", async || {
        is_shown(&gateway, &authority, "localhost", &second).await
    })
    .await;
    gateway
        .teams_message()
        .send_on(&mut open)
        .await
        .forwarded()
        .await;
    gateway.teams_message().send().await.forwarded().await;
    eventually("both are told of", async || {
        events(&gateway, "certificate_loaded") == 2
    })
    .await;
    assert_eq!(events(&gateway, "certificate_refused"), 0);
}

#[tokio::test]
async fn a_turned_link_is_noticed() {
    // As Kubernetes replaces a secret: the files are links through a link to a folder, and that is turned.
    let authority = Authority::new("authority");
    let [first, second] = [(); 2].map(|()| authority.sign(&["localhost"]));
    let folder = tempfile::tempdir().unwrap();
    let mount = folder.path();
    for (name, pair) in [("one", &first), ("two", &second)] {
        put(&mount.join(name), "server", pair);
    }
    symlink("one/live", mount.join("..data")).unwrap();
    for name in ["server.pem", "server.key"] {
        symlink(format!("..data/{name}"), mount.join(name)).unwrap();
    }
    let [cert, key] = ["server.pem", "server.key"].map(|name| mount.join(name));
    let gateway = Gateway::with(&format!(
        "[server.tls]\nsource = \"files\"\ncert = {cert:?}\nkey = {key:?}"
    ))
    .file("authority.pem", authority.pem())
    .trusting("authority.pem")
    .start()
    .await;
    assert!(is_shown(&gateway, &authority, "localhost", &first).await);
    symlink("two/live", mount.join("..data_tmp")).unwrap();
    fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    eventually("the new certificate is shown", async || {
        is_shown(&gateway, &authority, "localhost", &second).await
    })
    .await;
}

#[tokio::test]
async fn sighup_loads_certificates_at_once_and_says_what_came_of_it() {
    let authority = Authority::new("authority");
    let first = authority.sign(&["localhost"]);
    let second = authority.sign_until(&["localhost", "other.example"], Duration::days(3));
    let gateway = showing(&authority, &first, "").await;
    hang_up(&gateway, "unchanged").await;
    assert_eq!(events(&gateway, "certificate_loaded"), 1);

    put(gateway.folder(), "server", &second);
    hang_up(&gateway, "applied").await;
    assert!(is_shown(&gateway, &authority, "localhost", &second).await);
    let named = |line: &Value| line["names"] == "localhost,other.example";
    let line = gateway.event("certificate_loaded", named).await;
    let file = gateway.folder().join("live/server.pem");
    assert_eq!(line["certificate"], file.to_str().unwrap());
    let sample = format!(
        "botgate_certificate_expiry_timestamp_seconds{{name=\"{}\"}}",
        file.display()
    );
    assert_eq!(
        Some(gateway.metric(&sample).await),
        line["expires"].as_f64()
    );
    // It ends in three days: that is said when it is loaded.
    gateway
        .event("certificate_warning", |line| {
            line["message"].as_str().unwrap().contains("expires in 7")
        })
        .await;
}

#[tokio::test]
async fn a_pair_that_cannot_serve_never_replaces_a_good_one() {
    let authority = Authority::new("authority");
    let [good, other] = [(); 2].map(|()| authority.sign(&["localhost"]));
    let ended = authority.sign_until(&["localhost"], -Duration::days(1));
    let gateway = showing(&authority, &good, "").await;
    let half = |text: &str| text[..text.len() / 2].to_owned();
    let bad = [
        (
            "another key",
            good.chain.clone(),
            other.key.clone(),
            "is not the key of this certificate",
        ),
        (
            "another certificate",
            other.chain.clone(),
            good.key.clone(),
            "is not the key of this certificate",
        ),
        (
            "half a certificate",
            half(&other.chain),
            other.key.clone(),
            "",
        ),
        (
            "half a key",
            other.chain.clone(),
            half(&other.key),
            "the PEM is damaged",
        ),
        (
            "an empty certificate",
            String::new(),
            other.key.clone(),
            "no certificate in this file",
        ),
        (
            "an empty key",
            other.chain.clone(),
            String::new(),
            "no private key in this file",
        ),
        (
            "an expired certificate",
            ended.chain.clone(),
            ended.key.clone(),
            "expired 24 hours ago",
        ),
        (
            "swapped files",
            other.key.clone(),
            other.chain.clone(),
            "swap cert and key",
        ),
    ];
    let count = bad.len();
    for (number, (what, chain, key, says)) in bad.into_iter().enumerate() {
        let der = other.der.clone();
        put(gateway.folder(), "server", &Signed { chain, key, der });
        hang_up(&gateway, "refused").await;
        // The line is on its way when the counter says so.
        eventually(&format!("{what} is told of"), async || {
            let lines = gateway.output().log;
            let told = lines
                .iter()
                .filter(|line| line["event"] == "certificate_refused");
            let told: Vec<_> = told.collect();
            let is_last = |line: &&&Value| line["message"].as_str().unwrap().contains(says);
            told.len() > number && told.last().filter(is_last).is_some()
        })
        .await;
        assert!(
            is_shown(&gateway, &authority, "localhost", &good).await,
            "{what}"
        );
        assert_eq!(gateway.admin("/readyz").await.0, 200, "{what}");
    }
    assert_eq!(events(&gateway, "certificate_loaded"), 1);
    // The same again is told again: whoever asks wants to know.
    hang_up(&gateway, "refused").await;
    eventually("it is told of again", async || {
        events(&gateway, "certificate_refused") > count
    })
    .await;
    put(gateway.folder(), "server", &other);
    hang_up(&gateway, "applied").await;
    assert!(is_shown(&gateway, &authority, "localhost", &other).await);
}

#[tokio::test]
async fn what_is_bad_is_told_once_by_itself() {
    let authority = Authority::new("authority");
    let [good, other] = [(); 2].map(|()| authority.sign(&["localhost"]));
    let gateway = showing(&authority, &good, "").await;
    let mixed = Signed {
        key: good.key.clone(),
        ..other.clone()
    };
    put(gateway.folder(), "server", &mixed);
    gateway.event("certificate_refused", |_| true).await;
    assert!(is_shown(&gateway, &authority, "localhost", &good).await);
    put(gateway.folder(), "server", &other);
    eventually("the mended pair is shown", async || {
        is_shown(&gateway, &authority, "localhost", &other).await
    })
    .await;
    assert_eq!(
        events(&gateway, "certificate_refused"),
        1,
        "{}",
        gateway.output()
    );
}

// Chosen by name

#[tokio::test]
async fn clients_get_the_certificate_of_the_name_they_ask_for() {
    let authority = Authority::new("authority");
    // Each is for every name, so that only the gateway's choice makes the difference.
    let names = [
        "localhost",
        "127.0.0.1",
        "example.com",
        "*.example.com",
        "a.b.example.com",
    ];
    let [default, exact, wildcard, new_exact, new_wildcard] =
        [(); 5].map(|()| authority.sign(&names));
    let sni = "[[server.tls.sni]]\nnames = [\"*.Example.com\"]\ncert = \"live/wildcard.pem\"\nkey = \"live/wildcard.key\"\n\
               [[server.tls.sni]]\nnames = [\"Bot.example.com\"]\ncert = \"live/exact.pem\"\nkey = \"live/exact.key\"\n";
    let gateway = Gateway::with(&format!("{FILES}{sni}"))
        .file("authority.pem", authority.pem())
        .file("live/server.pem", default.chain.as_str())
        .file("live/server.key", default.key.as_str())
        .file("live/exact.pem", exact.chain.as_str())
        .file("live/exact.key", exact.key.as_str())
        .file("live/wildcard.pem", wildcard.chain.as_str())
        .file("live/wildcard.key", wildcard.key.as_str())
        .trusting("authority.pem")
        .start()
        .await;
    let expect = async |name: &str, pair: &Signed, which: &str| {
        assert!(
            is_shown(&gateway, &authority, name, pair).await,
            "{name} gets {which}"
        );
    };
    expect("bot.example.com", &exact, "its own").await;
    expect("other.example.com", &wildcard, "the wildcard's").await;
    expect("example.com", &default, "the default").await;
    expect("a.b.example.com", &default, "the default").await;
    expect("localhost", &default, "the default").await;
    expect("127.0.0.1", &default, "the default, having asked for none").await;

    // All of them are replaced, or none.
    let folder = gateway.folder();
    put(folder, "exact", &new_exact);
    fs::write(folder.join("live/wildcard.key"), &new_wildcard.key).unwrap();
    hang_up(&gateway, "refused").await;
    expect("bot.example.com", &exact, "its old one").await;
    expect("other.example.com", &wildcard, "the wildcard's old one").await;
    put(folder, "wildcard", &new_wildcard);
    hang_up(&gateway, "applied").await;
    expect("bot.example.com", &new_exact, "its new one").await;
    expect("other.example.com", &new_wildcard, "the wildcard's new one").await;
    expect("localhost", &default, "the default").await;
}

// Asked of clients

/// A client that shows this.
fn with_certificate(gateway: &Gateway, signed: &Signed) -> Client {
    let mut client = gateway.client().clone();
    client.tls_mut().client_auth_cert_resolver = signed.for_client();
    client
}

/// Whether a valid message arrives by this client.
async fn gets_through(gateway: &Gateway, client: &Client) -> bool {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let request = gateway.teams_message().into_request();
        match client.send(protocol, request).await {
            Ok(response) => assert_eq!(response.status(), 200),
            Err(_) => return false,
        }
    }
    true
}

#[tokio::test]
async fn clients_show_a_certificate_of_the_named_authority_or_get_no_connection() {
    let [authority, clients, others] = ["authority", "clients", "others"].map(Authority::new);
    let pair = authority.sign(&["localhost"]);
    let gateway = Gateway::with(&format!("{FILES}client_ca = \"clients.pem\""))
        .file("authority.pem", authority.pem())
        .file("clients.pem", clients.pem())
        .file("live/server.pem", pair.chain.as_str())
        .file("live/server.key", pair.key.as_str())
        .trusting("authority.pem")
        .start()
        .await;
    let own = with_certificate(&gateway, &clients.sign(&["channel"]));
    let foreign = with_certificate(&gateway, &others.sign(&["channel"]));
    let expired = clients.sign_until(&["channel"], -Duration::days(1));
    let expired = with_certificate(&gateway, &expired);
    let none = gateway.client();
    let refused = "botgate_tls_handshakes_total{result=\"no_client_certificate\",version=\"\"}";

    assert!(gets_through(&gateway, &own).await);
    assert_eq!(gateway.metric(refused).await, 0.0);
    for (number, client) in [none, &foreign, &expired].into_iter().enumerate() {
        assert!(!gets_through(&gateway, client).await, "{number}");
        eventually("it is counted", async || {
            gateway.metric(refused).await > number as f64
        })
        .await;
    }
    let line = gateway.event("client_certificate_refused", |_| true).await;
    assert_eq!(line["client_ip"], "127.0.0.1");
    assert_eq!(line["level"], "WARN");

    // The authority is replaced like a certificate; nobody goes on by a ticket of before.
    fs::write(gateway.folder().join("clients.pem"), others.pem()).unwrap();
    hang_up(&gateway, "applied").await;
    assert!(gets_through(&gateway, &foreign).await);
    assert!(!gets_through(&gateway, &own).await);
    fs::write(gateway.folder().join("clients.pem"), "nothing").unwrap();
    hang_up(&gateway, "refused").await;
    assert!(gets_through(&gateway, &foreign).await);
    assert!(!gets_through(&gateway, none).await);
}

// Told before

#[tokio::test]
async fn check_looks_into_every_file() {
    let authority = Authority::new("authority");
    let [good, other] = [(); 2].map(|()| authority.sign(&["localhost"]));
    let sni = "client_ca = \"clients.pem\"\n[[server.tls.sni]]\nnames = [\"bot.example.com\"]\ncert = \"live/other.pem\"\nkey = \"live/other.key\"\n";
    let gateway = Gateway::with(&format!("{FILES}{sni}"))
        .file("authority.pem", authority.pem())
        .file("clients.pem", authority.pem())
        .file("live/server.pem", good.chain.as_str())
        .file("live/server.key", good.key.as_str())
        .file("live/other.pem", other.chain.as_str())
        .file("live/other.key", other.key.as_str())
        .trusting("authority.pem")
        .not_ready()
        .start()
        .await;
    let file = gateway.folder().join("gateway.toml");
    let check = async || {
        let arguments = ["check", "--config", file.to_str().unwrap()];
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_botgate"))
            .args(arguments)
            .output();
        let Output { status, stdout, .. } = output.await.unwrap();
        (status.code(), String::from_utf8(stdout).unwrap())
    };
    for key in ["server", "other"] {
        let key = gateway.folder().join(format!("live/{key}.key"));
        fs::set_permissions(key, fs::Permissions::from_mode(0o640)).unwrap();
    }
    let (code, said) = check().await;
    assert_eq!(code, Some(0), "{said}");
    for words in [
        "warning: server.tls.key names a private key that other users of this machine can read",
        "warning: server.tls.sni[0].key names a private key that other users of this machine can read",
        "clients that ask for bot.example.com are shown this certificate, which is not for that name",
        "names         bot.example.com: certificate",
        "clients       only with a certificate of",
    ] {
        assert!(said.contains(words), "{words:?} is missing in {said}");
    }
    put(
        gateway.folder(),
        "other",
        &Signed {
            key: good.key.clone(),
            ..other
        },
    );
    fs::write(
        gateway.folder().join("clients.pem"),
        good.chain.replace("MII", "MIX"),
    )
    .unwrap();
    let (code, said) = check().await;
    assert_eq!(code, Some(78), "{said}");
    for words in [
        "error: server.tls.sni[0]",
        "is not the key of this certificate",
        "error: server.tls.client_ca",
    ] {
        assert!(said.contains(words), "{words:?} is missing in {said}");
    }
}

#[tokio::test]
async fn nobody_is_answered_who_looks_for_a_proof_that_is_not_there() {
    let authority = Authority::new("authority");
    let pair = authority.sign(&["localhost"]);
    let gateway = showing(&authority, &pair, "").await;
    let greeted = greet(
        gateway.client().address(),
        "localhost",
        &authority.pem(),
        "acme-tls/1",
    )
    .await;
    assert!(greeted.is_err());
}
