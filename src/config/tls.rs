//! `[server.tls]` and `[[server.tls.sni]]`.

use super::acme;
use super::backend::pem;
use super::file::Section;
use super::server::{Guests, MOMENT, hours, seconds, warn_if_readable};
use super::text::read_file;
use super::{NamedCertificate, StartFlags, Tls, TlsSource, TlsVersion};
use ipnet::IpNet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The whole table.
pub(super) fn read(
    tls: &Section<'_>,
    listen: &[SocketAddr],
    trusted_proxies: &[IpNet],
    guests: &Guests,
    flags: StartFlags,
) -> Tls {
    let source = source(tls, listen, guests);
    match source {
        TlsSource::Off => {
            refuse_plain_in_public(tls, listen, trusted_proxies);
            refuse_without_tls(tls);
        }
        TlsSource::SelfSigned { .. } => refuse_self_signed_in_public(tls, listen, guests, flags),
        TlsSource::Files { .. } | TlsSource::Acme(_) => {}
    }
    let choices = [("1.2", TlsVersion::V1_2), ("1.3", TlsVersion::V1_3)];
    // Read again by whoever builds the verifier: it is to be replaced while running.
    pem(tls, "client_ca", "CERTIFICATE-----");
    Tls {
        source,
        sni: sni(tls),
        client_ca: tls.path("client_ca"),
        min_version: tls.one_of("min_version", TlsVersion::V1_2, &choices),
        handshake_timeout: tls.duration("handshake_timeout", seconds(5), MOMENT..=hours(1)),
    }
}

/// The words of `server.tls.source`.
#[derive(Clone, Copy, PartialEq)]
enum Source {
    Files,
    Acme,
    SelfSigned,
    Off,
}

fn source(tls: &Section<'_>, listen: &[SocketAddr], guests: &Guests) -> TlsSource {
    let choices = [
        ("files", Source::Files),
        ("self-signed", Source::SelfSigned),
        ("off", Source::Off),
        ("acme", Source::Acme),
    ];
    let source = tls.one_of("source", Source::Files, &choices);
    let cert = tls
        .path("cert")
        .unwrap_or_else(|| tls.reading.dir.join("certs/server.pem"));
    let key = tls
        .path("key")
        .unwrap_or_else(|| tls.reading.dir.join("certs/server.key"));
    let ordered = acme::read(tls, listen, matches!(source, Source::Acme));
    match source {
        Source::Files => {
            check_certificate(
                tls,
                &[
                    ("cert", &cert, "certs/server.pem"),
                    ("key", &key, "certs/server.key"),
                ],
            );
            TlsSource::Files { cert, key }
        }
        Source::Acme => {
            for name in ["cert", "key"].into_iter().filter(|name| tls.has(name)) {
                let what =
                    "has no effect: server.tls.source is \"acme\", which keeps its own files";
                tls.warn(name, what, "remove it");
            }
            TlsSource::Acme(ordered)
        }
        Source::SelfSigned => {
            let dir = cert.parent().map(Path::to_path_buf).unwrap_or_default();
            TlsSource::SelfSigned {
                dir,
                names: names(listen, guests),
            }
        }
        Source::Off => TlsSource::Off,
    }
}

/// What a self-signed certificate covers: this machine, and every name and address the gateway is told to serve.
fn names(listen: &[SocketAddr], guests: &Guests) -> Vec<String> {
    let own = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let hosts = guests
        .hosts
        .iter()
        .map(|host| host.trim_matches(['[', ']']).to_owned());
    let addresses = listen
        .iter()
        .map(SocketAddr::ip)
        .filter(|ip| !ip.is_unspecified())
        .map(|ip| ip.to_string());
    let mut names: Vec<String> = Vec::new();
    for name in own.into_iter().chain(hosts).chain(addresses) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Whether the files of a certificate can be read: each by its key, its path, and how that was written where the key is not there.
fn check_certificate(section: &Section<'_>, files: &[(&str, &Path, &str)]) {
    const MAX_BYTES: u64 = 1024 * 1024;
    const HINT: &str = "put it there (relative names start from the directory of this file), or set source = \"self-signed\" \
                        to try botgate out without";
    for (name, path, default) in files {
        let shown = section
            .shown(name)
            .unwrap_or_else(|| format!("{default:?}"));
        if shown == "\"\"" {
            section.error(
                name,
                "is empty",
                "name a file, or leave the key out for the default",
            );
        } else if let Err(error) = read_file(path, MAX_BYTES) {
            section.error(
                name,
                format!("is {shown}, which cannot be read: {error}"),
                HINT,
            );
        }
        if *name == "key" {
            warn_if_readable(section, name, path);
        }
    }
}

/// `[[server.tls.sni]]`: each name once in all of them.
fn sni(tls: &Section<'_>) -> Vec<NamedCertificate> {
    let mut taken: Vec<String> = Vec::new();
    let mut certificates = Vec::new();
    for section in tls.tables("sni") {
        let mut names = Vec::new();
        let texts = section.list("names");
        for text in &texts {
            let Some(name) = server_name(&text.value) else {
                text.error(
                    format!("is {}, which is no server name", text.shown()),
                    "write a DNS name such as \"bot.example.com\", or \"*.example.com\" for every name with one label more",
                );
                continue;
            };
            if taken.contains(&name) {
                text.error(
                    format!("is {}, which has a certificate already", text.shown()),
                    "name each server name once in all of [[server.tls.sni]]; an exact name goes before a wildcard by itself",
                );
                continue;
            }
            taken.push(name.clone());
            names.push(name);
        }
        if texts.is_empty() && (section.is_list("names") || !section.has("names")) {
            section.error(
                "names",
                "names no server name",
                "write names = [\"other.example.com\"]",
            );
        }
        if let (Some(cert), Some(key)) = (pem_file(&section, "cert"), pem_file(&section, "key")) {
            certificates.push(NamedCertificate { names, cert, key });
        }
    }
    certificates
}

/// A file that must be named and be there.
fn pem_file(section: &Section<'_>, name: &str) -> Option<PathBuf> {
    if !section.has(name) {
        section.error(
            name,
            "is missing",
            "name the PEM file; cert holds the full chain, key its private key",
        );
        return None;
    }
    let path = section.path(name);
    if path.is_some() || section.shown(name).is_some_and(|shown| shown == "\"\"") {
        let named = path.clone().unwrap_or_default();
        check_certificate(section, &[(name, &named, "")]);
    }
    path
}

/// A DNS name in lower case, perhaps with `*.` in front; nothing else can stand in a client's greeting (RFC 6066 section 3).
fn server_name(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let exact = lower.strip_prefix("*.").unwrap_or(&lower);
    is_dns_name(exact).then_some(lower)
}

/// Whether this is a DNS name that a certificate can be for, in lower case: labels of letters, digits and hyphens, and no address.
pub(super) fn is_dns_name(name: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    // The last label of an address in dots is a number, of a name it never is (RFC 3696 section 2).
    let is_number = |label: &str| label.bytes().all(|b| b.is_ascii_digit());
    name.len() <= 253
        && name.split('.').all(label)
        && !name.rsplit('.').next().is_some_and(is_number)
}

/// What needs TLS here, where there is none.
fn refuse_without_tls(tls: &Section<'_>) {
    for (key, is_set) in [
        ("client_ca", tls.path("client_ca").is_some()),
        ("sni", !tls.inside("sni").is_empty()),
    ] {
        if is_set {
            let what = "is set while server.tls.source is \"off\": whoever ends TLS sees to that";
            tls.error(key, what, "remove it, or choose another source");
        }
    }
}

fn refuse_plain_in_public(tls: &Section<'_>, listen: &[SocketAddr], trusted_proxies: &[IpNet]) {
    if trusted_proxies.is_empty() && !listen.iter().all(|address| address.ip().is_loopback()) {
        tls.error(
            "source",
            "is \"off\" while other machines can connect: tokens would travel in the clear",
            "listen on 127.0.0.1 only, or name in server.trusted_proxies who terminates TLS, or use source = \"files\"",
        );
    }
}

fn refuse_self_signed_in_public(
    tls: &Section<'_>,
    listen: &[SocketAddr],
    guests: &Guests,
    flags: StartFlags,
) {
    let all_local = listen.iter().all(|address| address.ip().is_loopback());
    if guests.any_public && !all_local && !flags.allow_self_signed {
        tls.error(
            "source",
            "is \"self-signed\" while other machines can connect and a bot belongs to a public cloud, whose channels refuse such certificates",
            "use source = \"files\" with a certificate from a public authority, listen on 127.0.0.1 only, or start with --allow-self-signed",
        );
    }
}
