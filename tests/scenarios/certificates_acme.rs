//! Certificates are ordered from a real ACME server, renewed, and survive its failures.

use crate::support::authority::{greet, shown};
use crate::support::pebble::{BLOCKED, Pebble, kept_in, plain};
use crate::support::{Gateway, PATIENCE, eventually};
use http::Method;
use rustls::pki_types::CertificateDer;
use serde_json::Value;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

const DOMAIN: &str = "bot.example.com";
/// For orders that are not to be renewed within a scenario, seconds.
const LONG: u64 = 24 * 3600;

async fn is_shown(gateway: &Gateway, root: &str) -> CertificateDer<'static> {
    let address = gateway.client().address();
    let shown = shown(address, DOMAIN, root).await;
    shown.unwrap_or_else(|error| panic!("{error}\n{}", gateway.output()))
}

async fn orders(gateway: &Gateway, outcome: &str) -> f64 {
    let sample = format!("botgate_acme_orders_total{{outcome=\"{outcome}\"}}");
    gateway.metric(&sample).await
}

fn events(gateway: &Gateway, event: &str) -> Vec<Value> {
    let lines = gateway.output().log.into_iter();
    lines.filter(|line| line["event"] == event).collect()
}

#[tokio::test]
async fn a_first_certificate_is_ordered_with_either_challenge_and_kept_for_the_next_start() {
    for challenge in ["tls-alpn-01", "http-01"] {
        let Some(mut pebble) = Pebble::start(LONG).await else {
            return;
        };
        // Before it can be asked, the gateway runs and says what is missing.
        pebble.fail().await;
        let gateway = Gateway::with(&pebble.orders(challenge, &[DOMAIN, "www.example.com"]))
            .file("any.pem", fs::read(pebble.ca_file()).unwrap())
            .trusting("any.pem")
            .not_ready()
            .start()
            .await;
        let failed = gateway.event("acme_order_failed", |_| true).await;
        assert_eq!(failed["outcome"], "unreachable", "{failed}");
        assert_eq!(failed["level"], "ERROR", "there is none: {failed}");
        let (status, missing) = gateway.admin("/readyz").await;
        assert_eq!(status, 503);
        assert!(missing.contains("\"certificate\""), "{missing}");
        assert!(
            shown(
                gateway.client().address(),
                DOMAIN,
                &fs::read_to_string(pebble.ca_file()).unwrap()
            )
            .await
            .is_err()
        );

        pebble.come_back().await;
        let line = gateway.event("acme_ordered", |_| true).await;
        assert!(line["renew_at"].is_u64(), "{line}");
        let root = pebble.root().await;
        let first = is_shown(&gateway, &root).await;
        eventually("it is ready", async || {
            gateway.admin("/readyz").await.0 == 200
        })
        .await;
        assert_eq!(orders(&gateway, "issued").await, 1.0);
        let sample = "botgate_certificate_expiry_timestamp_seconds{name=\"acme\"}";
        assert!(gateway.metric(sample).await > 0.0);
        let loaded = gateway.event("certificate_loaded", |_| true).await;
        assert_eq!(loaded["certificate"], "acme");
        for name in [DOMAIN, "www.example.com"] {
            assert!(loaded["names"].as_str().unwrap().contains(name), "{loaded}");
        }

        let kept = kept_in(gateway.folder());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&kept), 0o700);
        let mut files: Vec<_> = fs::read_dir(&kept)
            .unwrap()
            .map(|it| it.unwrap().path())
            .collect();
        files.sort();
        let names: Vec<_> = files
            .iter()
            .map(|it| it.file_name().unwrap().to_str().unwrap())
            .collect();
        assert_eq!(names, ["account.json", "certificate.pem"]);
        assert!(files.iter().all(|file| mode(file) == 0o600));

        let gateway = gateway.stop().await.start().await;
        assert_eq!(is_shown(&gateway, &root).await, first);
        assert_eq!(events(&gateway, "acme_ordering"), Vec::<Value>::new());

        // What was kept cannot be used: the account still can.
        let setup = gateway.stop().await;
        let text = fs::read_to_string(&files[1]).unwrap();
        fs::write(&files[1], &text[..text.len() / 2]).unwrap();
        let gateway = setup.not_ready().start().await;
        gateway.event("certificate_refused", |_| true).await;
        gateway.event("acme_ordered", |_| true).await;
        assert_ne!(is_shown(&gateway, &root).await, first);
        assert_eq!(
            events(&gateway, "acme_account_created"),
            Vec::<Value>::new()
        );
    }
}

#[tokio::test]
async fn a_certificate_is_renewed_in_time_and_whatever_happens_to_the_authority() {
    const LIFETIME: u64 = 15;
    let Some(mut pebble) = Pebble::start(LIFETIME).await else {
        return;
    };
    let root = pebble.root().await;
    let gateway = Gateway::with(&pebble.orders("tls-alpn-01", &[DOMAIN]))
        .file("root.pem", root.as_str())
        .trusting("root.pem")
        .start()
        .await;
    let first = is_shown(&gateway, &root).await;
    let expires = gateway.event("certificate_loaded", |_| true).await["expires"].clone();
    let renewal = |line: &Value| line["why"] == "renewal";
    gateway.event("acme_ordering", renewal).await;
    let renewed = |line: &Value| line["expires"].as_u64() > expires.as_u64();
    gateway.event("certificate_loaded", renewed).await;
    let second = is_shown(&gateway, &root).await;
    assert_ne!(first, second);
    assert_eq!(events(&gateway, "acme_account_created").len(), 1);
    assert_eq!(events(&gateway, "acme_order_failed"), Vec::<Value>::new());

    // At the next renewal there is nobody; what is in use stays.
    pebble.fail().await;
    let failed = gateway.event("acme_order_failed", |_| true).await;
    assert_eq!(failed["outcome"], "unreachable", "{failed}");
    assert_eq!(failed["failures"], 1);
    assert!(
        failed["error"].as_str().unwrap().contains("refused"),
        "{failed}"
    );
    assert_eq!(orders(&gateway, "unreachable").await, 1.0);
    assert_eq!(gateway.admin("/readyz").await.0, 200);
    let again = gateway
        .event("acme_order_failed", |line| line["failures"] == 2)
        .await;
    let pause = |line: &Value| line["retry_in_seconds"].as_u64();
    assert!(pause(&again) > pause(&failed), "{failed} {again}");

    // It comes back and knows nobody: a new account, and a certificate of its new root.
    pebble.come_back().await;
    let root = pebble.root().await;
    eventually("a certificate of the new root is shown", async || {
        shown(gateway.client().address(), DOMAIN, &root)
            .await
            .is_ok()
    })
    .await;
    assert_eq!(events(&gateway, "acme_account_created").len(), 2);
    assert!(orders(&gateway, "issued").await >= 3.0);
    // What an operator sees of all this, to be read after the test.
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join("acme-run.log");
    fs::write(log, gateway.output().stdout.join("\n") + "\n").unwrap();
}

#[tokio::test]
async fn an_authority_that_says_no_is_quoted_and_left_alone_for_a_minute() {
    let Some(pebble) = Pebble::start(LONG).await else {
        return;
    };
    for (domain, names, says) in [
        (BLOCKED, None, "rejectedIdentifier"),
        // Its names lead to where nobody answers.
        (DOMAIN, Some(Ipv4Addr::new(127, 255, 255, 1)), "connection"),
    ] {
        if let Some(ip) = names {
            pebble.lead_astray(ip).await;
        }
        let gateway = Gateway::with(&pebble.orders("http-01", &[domain]))
            .file("any.pem", fs::read(pebble.ca_file()).unwrap())
            .trusting("any.pem")
            .not_ready()
            .start()
            .await;
        let failed = gateway.event("acme_order_failed", |_| true).await;
        assert_eq!(failed["outcome"], "refused", "{failed}");
        let error = failed["error"].as_str().unwrap();
        assert!(error.contains(says) && error.contains(domain), "{failed}");
        assert!(failed["retry_in_seconds"].as_u64() >= Some(54), "{failed}");
        assert_eq!(orders(&gateway, "refused").await, 1.0);
    }
}

#[tokio::test]
async fn what_answers_an_authority_answers_nothing_else() {
    let Some(pebble) = Pebble::start(LONG).await else {
        return;
    };
    let root = pebble.root().await;
    for challenge in ["http-01", "tls-alpn-01"] {
        let gateway = Gateway::with(&pebble.orders(challenge, &[DOMAIN]))
            .file("root.pem", root.as_str())
            .trusting("root.pem")
            .start()
            .await;
        let address = gateway.client().address();
        let proof = greet(address, DOMAIN, &root, "acme-tls/1").await;
        assert!(proof.is_err(), "{challenge}: no order is open");
        if challenge == "http-01" {
            gateway
                .event("acme_listening", |line| {
                    line["address"] == pebble.http().to_string()
                })
                .await;
            for (method, path) in [
                (Method::GET, "/.well-known/acme-challenge/"),
                (Method::GET, "/.well-known/acme-challenge/none"),
                (Method::GET, "/"),
                (Method::POST, "/api/messages"),
            ] {
                let url = format!("http://{}{path}", pebble.http());
                assert_eq!(plain(method, &url, "").await, 404, "{path}");
            }
        }
        gateway.terminate().await;
    }
}

#[tokio::test]
async fn an_authority_needs_no_client_certificate_for_its_proof() {
    let Some(pebble) = Pebble::start(LONG).await else {
        return;
    };
    let root = pebble.root().await;
    let orders = pebble.orders("tls-alpn-01", &[DOMAIN]);
    let gateway = Gateway::with(&orders)
        .and("[server.tls]\nmin_version = \"1.3\"\nclient_ca = \"clients.pem\"")
        .file("root.pem", root.as_str())
        .file("clients.pem", fs::read(pebble.ca_file()).unwrap())
        .trusting("root.pem")
        .start()
        .await;
    gateway.event("acme_ordered", |_| true).await;
    // Of TLS 1.3 a client learns that it is refused only when it reads.
    let address = gateway.client().address();
    let mut stream = greet(address, DOMAIN, &root, "http/1.1").await.unwrap();
    let read = timeout(PATIENCE, stream.read_u8()).await.expect("an end");
    assert!(read.is_err(), "it is for everybody else");
    let sample = "botgate_tls_handshakes_total{result=\"no_client_certificate\",version=\"\"}";
    eventually("it is counted", async || gateway.metric(sample).await > 0.0).await;
}
