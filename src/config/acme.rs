//! `[server.tls.acme]`.

use super::backend::pem;
use super::file::Section;
use super::tls::is_dns_name;
use super::{Acme, AcmeChallenge};
use std::net::{Ipv4Addr, SocketAddr};
use url::Url;

/// The words of `challenge`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Challenge {
    TlsAlpn01,
    Http01,
}

/// The whole table, of `[server.tls]`; `is_used` when `source` is `acme`.
pub(super) fn read(tls: &Section<'_>, public: &[SocketAddr], is_used: bool) -> Acme {
    let section = tls.table("acme");
    if section.is_written() && !is_used {
        tls.warn(
            "acme",
            "has no effect: server.tls.source is not \"acme\"",
            "set source = \"acme\" in [server.tls], or remove this table",
        );
    }
    let choices = [
        ("tls-alpn-01", Challenge::TlsAlpn01),
        ("http-01", Challenge::Http01),
    ];
    let chosen = section.one_of("challenge", Challenge::TlsAlpn01, &choices);
    let listen = http_listen(&section, public);
    if chosen == Challenge::TlsAlpn01 && section.has("http_listen") {
        section.warn(
            "http_listen",
            "has no effect: server.tls.acme.challenge is not \"http-01\"",
            "remove it, or set challenge = \"http-01\"",
        );
    }
    pem(&section, "ca_file", "CERTIFICATE-----");
    Acme {
        directory: directory(&section),
        domains: domains(&section, is_used),
        contact: contact(&section),
        storage: section
            .path("storage")
            .unwrap_or_else(|| section.dir().join("certs/acme")),
        challenge: match chosen {
            Challenge::TlsAlpn01 => AcmeChallenge::TlsAlpn01,
            Challenge::Http01 => AcmeChallenge::Http01 { listen },
        },
        ca_file: section.path("ca_file"),
    }
}

fn directory(section: &Section<'_>) -> String {
    const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
    let Some(text) = section.text("directory") else {
        return LETS_ENCRYPT.to_owned();
    };
    // ACME is spoken over https only (RFC 8555 section 6.1), also on this machine.
    let is_https = Url::parse(&text.value)
        .is_ok_and(|url| url.scheme() == "https" && url.host_str().is_some());
    if !is_https {
        text.error(
            format!("is {}, wanted an https address", text.shown()),
            format!("write the directory of your authority, such as \"{LETS_ENCRYPT}\""),
        );
    }
    text.value
}

fn domains(section: &Section<'_>, is_used: bool) -> Vec<String> {
    const HINT: &str =
        "write the names that channels call, such as domains = [\"bot.example.com\"]";
    let texts = section.list("domains");
    let mut domains: Vec<String> = Vec::new();
    for text in &texts {
        let name = text.value.to_ascii_lowercase();
        if name.starts_with("*.") {
            text.error(
                format!("is {}, a wildcard, which needs the challenge dns-01", text.shown()),
                "name each host; or get the certificate with another ACME client and set source = \"files\"",
            );
        } else if !is_dns_name(&name) {
            text.error(format!("is {}, which is no DNS name", text.shown()), HINT);
        } else if domains.contains(&name) {
            text.error(
                format!("is {} for the second time", text.shown()),
                "leave one of them out",
            );
        } else {
            domains.push(name);
        }
    }
    if is_used && texts.is_empty() && (section.is_list("domains") || !section.has("domains")) {
        section.error(
            "domains",
            "names no domain to order a certificate for",
            HINT,
        );
    }
    domains
}

fn contact(section: &Section<'_>) -> Vec<String> {
    let texts = section.list("contact");
    for text in &texts {
        let is_mail = text
            .value
            .strip_prefix("mailto:")
            .is_some_and(|address| address.contains('@'));
        if !is_mail {
            text.error(
                format!("is {}, wanted a mail address", text.shown()),
                "write it as \"mailto:ops@example.com\"",
            );
        }
    }
    texts.into_iter().map(|text| text.value).collect()
}

/// Where the authority's question is answered: port 80 (RFC 8555 section 8.3), or wherever that is sent on to.
fn http_listen(section: &Section<'_>, public: &[SocketAddr]) -> Vec<SocketAddr> {
    if !section.has("http_listen") {
        return vec![SocketAddr::from((Ipv4Addr::UNSPECIFIED, 80))];
    }
    let texts = section.one_or_list("http_listen");
    let mut listen = Vec::new();
    for text in &texts {
        match text.value.parse::<SocketAddr>() {
            Ok(address) if address.port() != 0 && public.contains(&address) => text.error(
                format!("is {}, which server.listen takes", text.shown()),
                "http-01 needs a plain port of its own, to which port 80 leads",
            ),
            Ok(address) => listen.push(address),
            Err(_) => text.error(
                format!("is {}, wanted an address to listen on", text.shown()),
                "write an IP address and a port, such as \"0.0.0.0:80\"",
            ),
        }
    }
    if texts.is_empty() && section.is_list("http_listen") {
        section.error(
            "http_listen",
            "is empty",
            "write http_listen = [\"0.0.0.0:80\"]",
        );
    }
    listen
}
