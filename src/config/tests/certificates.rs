//! `[server.tls]` beyond one pair of files: names, clients, orders.

use super::*;
use crate::config::{Acme, AcmeChallenge, NamedCertificate, Tls, TlsSource};

fn tls(tables: &str) -> Tls {
    good(&with_server(tables)).settings.server.tls
}

#[test]
fn certificates_for_names_are_read_in_lower_case() {
    let tls = tls(
        "[[server.tls.sni]]\nnames = [\"Other.Example.com\", \"*.example.com\"]\ncert = \"certs/server.pem\"\nkey = \"certs/server.key\"",
    );
    let [NamedCertificate { names, cert, key }] = tls.sni.as_slice() else {
        panic!("{:?}", tls.sni)
    };
    assert_eq!(names, &["other.example.com", "*.example.com"]);
    assert!(cert.ends_with("certs/server.pem") && key.ends_with("certs/server.key"));
}

#[test]
fn a_name_has_one_certificate() {
    const FILES: &str = "cert = \"certs/server.pem\"\nkey = \"certs/server.key\"";
    let two = |second: &str| {
        with_server(&format!(
            "[[server.tls.sni]]\nnames = [\"a.example.com\", \"*.example.com\"]\n{FILES}\n[[server.tls.sni]]\nnames = [\"{second}\"] #<-\n{FILES}"
        ))
    };
    for twice in ["a.example.com", "A.example.com", "*.example.com"] {
        let says = ["error", "has a certificate already"];
        assert_problem(&two(twice), "server.tls.sni[1].names[0]", &says);
    }
    // What a wildcard covers too is no overlap: the exact name goes first.
    good(&two("b.example.com"));
    for wrong in [
        "",
        "*",
        "*.",
        "a.*.example.com",
        "127.0.0.1",
        "a b",
        "-a.example",
        "https://a.example",
        "a.example:443",
        "a.example.",
    ] {
        let says = ["error", "is no server name"];
        assert_problem(&two(wrong), "server.tls.sni[1].names[0]", &says);
    }
}

#[test]
fn a_certificate_for_names_has_both_files_and_a_name() {
    for (at, keys) in [
        (
            "names",
            "cert = \"certs/server.pem\"\nkey = \"certs/server.key\"",
        ),
        (
            "names",
            "names = []\ncert = \"certs/server.pem\"\nkey = \"certs/server.key\"",
        ),
        (
            "cert",
            "names = [\"a.example\"]\nkey = \"certs/server.key\"",
        ),
        (
            "key",
            "names = [\"a.example\"]\ncert = \"certs/server.pem\"",
        ),
        (
            "cert",
            "names = [\"a.example\"]\ncert = \"none.pem\"\nkey = \"certs/server.key\"",
        ),
        (
            "key",
            "names = [\"a.example\"]\ncert = \"certs/server.pem\"\nkey = \"\"",
        ),
    ] {
        let found = problems(&with_server(&format!("[[server.tls.sni]]\n{keys}")));
        assert_eq!(found.len(), 1, "{keys}\n{}", listed(&found));
        assert_eq!(found[0].at, format!("server.tls.sni[0].{at}"), "{keys}");
        assert!(found[0].is_error());
    }
}

#[test]
fn a_key_for_names_should_be_private_too() {
    let dir = directory();
    write(dir.path(), "open.key", "-----BEGIN PRIVATE KEY-----");
    fs::set_permissions(
        dir.path().join("open.key"),
        fs::Permissions::from_mode(0o640),
    )
    .unwrap();
    let text = with_server(
        "[[server.tls.sni]]\nnames = [\"a.example\"]\ncert = \"certs/server.pem\"\nkey = \"open.key\"",
    );
    let warnings = parse_at(dir.path(), &text).unwrap().warnings;
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].at, "server.tls.sni[0].key");
    assert!(warnings[0].hint.contains("chmod 600"));
}

#[test]
fn the_authority_of_clients_is_a_file_with_a_certificate() {
    let named = tls("[server.tls]\nclient_ca = \"certs/server.pem\"").client_ca;
    assert!(named.is_some_and(|path| path.ends_with("certs/server.pem")));
    assert_eq!(tls("[server.tls]\nclient_ca = \"\"").client_ca, None);
    for (file, says) in [
        ("none.pem", "cannot be read"),
        ("certs/server.key", "CERTIFICATE"),
    ] {
        let text = with_server(&format!("[server.tls]\nclient_ca = \"{file}\" #<-"));
        assert_problem(&text, "server.tls.client_ca", &["error", says]);
    }
}

#[test]
fn where_tls_ends_elsewhere_nothing_of_it_is_asked_for_here() {
    let off = "[server]\nlisten = \"127.0.0.1:0\"\n[server.tls]\nsource = \"off\"\n";
    let authority = with_server(&format!("{off}client_ca = \"certs/server.pem\" #<-"));
    assert_problem(&authority, "server.tls.client_ca", &["error", "\"off\""]);
    let name = format!(
        "{off}[[server.tls.sni]]\nnames = [\"a.example\"]\ncert = \"certs/server.pem\"\nkey = \"certs/server.key\""
    );
    let found = problems(&with_server(&name));
    assert_eq!(found.len(), 1, "{}", listed(&found));
    assert_eq!(found[0].at, "server.tls.sni");
}

const ORDERED: &str = "[server.tls]\nsource = \"acme\"\n[server.tls.acme]\n";

#[test]
fn orders_have_defaults_for_all_but_the_domains() {
    let dir = directory();
    let text = with_server(&format!("{ORDERED}domains = [\"Bot.example.com\"]"));
    let loaded = parse_at(dir.path(), &text).unwrap();
    assert!(loaded.warnings.is_empty(), "{}", listed(&loaded.warnings));
    let expected = Acme {
        directory: "https://acme-v02.api.letsencrypt.org/directory".to_owned(),
        domains: vec!["bot.example.com".to_owned()],
        contact: vec![],
        storage: dir.path().join("certs/acme"),
        challenge: AcmeChallenge::TlsAlpn01,
        ca_file: None,
    };
    assert_eq!(loaded.settings.server.tls.source, TlsSource::Acme(expected));
}

#[test]
fn orders_say_what_the_file_says() {
    let tls = tls(&format!(
        "{ORDERED}directory = \"https://ca.internal:14000/dir\"\ndomains = [\"a.internal\", \"b.internal\"]\ncontact = [\"mailto:ops@example.com\"]\nstorage = \"kept\"\nchallenge = \"http-01\"\nhttp_listen = [\"127.0.0.1:8080\", \"[::1]:8080\"]\nca_file = \"certs/server.pem\""
    ));
    let TlsSource::Acme(acme) = tls.source else {
        panic!("{tls:?}")
    };
    assert_eq!(acme.directory, "https://ca.internal:14000/dir");
    assert_eq!(acme.domains, ["a.internal", "b.internal"]);
    assert_eq!(acme.contact, ["mailto:ops@example.com"]);
    assert!(acme.storage.ends_with("kept"));
    assert!(
        acme.ca_file
            .is_some_and(|path| path.ends_with("server.pem"))
    );
    let listen = ["127.0.0.1:8080", "[::1]:8080"].map(|it| it.parse().unwrap());
    assert_eq!(
        acme.challenge,
        AcmeChallenge::Http01 {
            listen: listen.to_vec()
        }
    );
}

#[test]
fn http_01_is_answered_on_port_80_unless_said_otherwise() {
    let tls = tls(&format!(
        "{ORDERED}domains = [\"a.example\"]\nchallenge = \"http-01\""
    ));
    let TlsSource::Acme(acme) = tls.source else {
        panic!("{tls:?}")
    };
    let listen = vec!["0.0.0.0:80".parse().unwrap()];
    assert_eq!(acme.challenge, AcmeChallenge::Http01 { listen });
}

#[test]
fn orders_that_cannot_be_are_refused() {
    const DOMAIN: &str = "domains = [\"a.example\"]\n";
    for (at, keys, says) in [
        ("domains", "domains = [] #<-", "names no domain"),
        ("domains[0]", "domains = [\"*.example.com\"] #<-", "dns-01"),
        ("domains[0]", "domains = [\"192.0.2.1\"] #<-", "no DNS name"),
        (
            "domains[1]",
            "domains = [\"a.example\", \"A.example\"] #<-",
            "second time",
        ),
        (
            "directory",
            &format!("{DOMAIN}directory = \"http://127.0.0.1/dir\" #<-"),
            "https",
        ),
        (
            "directory",
            &format!("{DOMAIN}directory = \"letsencrypt\" #<-"),
            "https",
        ),
        (
            "contact[0]",
            &format!("{DOMAIN}contact = [\"ops@example.com\"] #<-"),
            "mailto:",
        ),
        (
            "challenge",
            &format!("{DOMAIN}challenge = \"dns-01\" #<-"),
            "tls-alpn-01",
        ),
        (
            "ca_file",
            &format!("{DOMAIN}ca_file = \"none.pem\" #<-"),
            "cannot be read",
        ),
        (
            "http_listen[0]",
            &format!("{DOMAIN}challenge = \"http-01\"\nhttp_listen = [\"80\"] #<-"),
            "address",
        ),
        (
            "http_listen[0]",
            &format!("{DOMAIN}challenge = \"http-01\"\nhttp_listen = [\"0.0.0.0:8443\"] #<-"),
            "server.listen",
        ),
        (
            "http_listen",
            &format!("{DOMAIN}challenge = \"http-01\"\nhttp_listen = [] #<-"),
            "is empty",
        ),
    ] {
        let at = format!("server.tls.acme.{at}");
        assert_problem(
            &with_server(&format!("{ORDERED}{keys}")),
            &at,
            &["error", says],
        );
    }
}

#[test]
fn what_has_no_effect_is_pointed_out() {
    for (at, tables) in [
        (
            "server.tls.acme",
            "[server.tls.acme] #<-\ndomains = [\"a.example\"]",
        ),
        (
            "server.tls.cert",
            "[server.tls]\nsource = \"acme\"\ncert = \"certs/server.pem\" #<-\n[server.tls.acme]\ndomains = [\"a.example\"]",
        ),
        (
            "server.tls.acme.http_listen",
            "[server.tls]\nsource = \"acme\"\n[server.tls.acme]\ndomains = [\"a.example\"]\nhttp_listen = \"127.0.0.1:8080\" #<-",
        ),
    ] {
        assert_problem(&with_server(tables), at, &["warning", "no effect"]);
    }
}
