//! Fetches OpenID metadata, then keys.

use super::file;
use crate::config::KeyOrigin;
use crate::judge::KeySet;
use crate::net::client::{FetchProblem, Fetcher};
use bytes::Bytes;
use http::Uri;
use serde::Deserialize;

const MAX_METADATA_BYTES: usize = 1024 * 1024;
/// The live key set is about 1 MB.
const MAX_KEYS_BYTES: usize = 8 * 1024 * 1024;

/// A good pair of documents.
#[derive(Debug)]
pub(super) struct Documents {
    pub(super) keys: KeySet,
    /// The key set as fetched, for the disk.
    pub(super) key_document: Bytes,
}

/// OpenID Connect Discovery 1.0 section 3; these two members are of interest. Entra's `common` document names no one issuer.
#[derive(Deserialize)]
struct Metadata {
    issuer: Option<String>,
    jwks_uri: String,
}

/// Whose metadata it is: which issuer it must name, and where else than on its own host the keys may be.
struct Publisher<'a> {
    metadata: &'a str,
    issuer: Option<&'a str>,
    key_hosts: &'a [String],
}

/// Fetches and checks the documents of a source.
///
/// # Errors
/// A sentence for the log. The caller keeps the old keys.
pub(super) async fn documents(fetcher: &Fetcher, origin: &KeyOrigin) -> Result<Documents, String> {
    match origin {
        KeyOrigin::Connector { metadata, issuer } => {
            by_metadata(
                fetcher,
                &Publisher {
                    metadata,
                    issuer: Some(issuer),
                    key_hosts: &[],
                },
            )
            .await
        }
        KeyOrigin::Entra {
            metadata,
            key_hosts,
        } => by_metadata(fetcher, &of_entra(metadata, key_hosts)).await,
        KeyOrigin::EntraTenant {
            keys,
            metadata,
            key_hosts,
        } => {
            for keys in keys {
                let at = address(keys)?;
                match fetcher.get(&at, MAX_KEYS_BYTES).await {
                    Err(problem) if problem.is_not_found() => {}
                    outcome => return read(&at, outcome).await,
                }
            }
            by_metadata(fetcher, &of_entra(metadata, key_hosts)).await
        }
        KeyOrigin::KeySet(address_of_keys) => {
            let at = address(address_of_keys)?;
            let outcome = fetcher.get(&at, MAX_KEYS_BYTES).await;
            read(&at, outcome).await
        }
        KeyOrigin::File(path) => {
            let read = file::read(path, MAX_KEYS_BYTES);
            let document = fetcher
                .in_time(read)
                .await
                .unwrap_or_else(|why| Err(format!("{}: {why}", path.display())))?;
            parse(path.display().to_string(), document).await
        }
    }
}

fn of_entra<'a>(metadata: &'a str, key_hosts: &'a [String]) -> Publisher<'a> {
    Publisher {
        metadata,
        issuer: None,
        key_hosts,
    }
}

async fn by_metadata(fetcher: &Fetcher, publisher: &Publisher<'_>) -> Result<Documents, String> {
    let at = address(publisher.metadata)?;
    let document = fetcher
        .get(&at, MAX_METADATA_BYTES)
        .await
        .map_err(|why| format!("{at}: {why}"))?;
    let keys_at = keys_address(&at, &document, publisher.issuer, publisher.key_hosts)?;
    let outcome = fetcher.get(&keys_at, MAX_KEYS_BYTES).await;
    read(&keys_at, outcome).await
}

fn address(url: &str) -> Result<Uri, String> {
    url.parse().map_err(|e| format!("{url}: {e}"))
}

async fn read(at: &Uri, outcome: Result<Bytes, FetchProblem>) -> Result<Documents, String> {
    let document = outcome.map_err(|why| format!("{at}: {why}"))?;
    parse(at.to_string(), document).await
}

/// Beside the threads that serve requests: looking over hundreds of keys takes tens of milliseconds.
async fn parse(at: String, key_document: Bytes) -> Result<Documents, String> {
    let parsed = tokio::task::spawn_blocking(move || match KeySet::parse(&key_document) {
        Ok(keys) => Ok(Documents { keys, key_document }),
        Err(why) => Err(format!("{at}: {why}")),
    });
    parsed
        .await
        .unwrap_or_else(|stopped| Err(format!("the key set was not read to its end: {stopped}")))
}

/// Where a metadata document says that the keys are: on the metadata's own scheme, host and port, on one of `key_hosts`, or nowhere
/// (AUTHENTICATION 2.4 rule 7).
///
/// # Errors
/// A sentence for the log: it is no metadata, names another issuer than the one wanted, or leads elsewhere.
pub fn keys_address(
    at: &Uri,
    document: &[u8],
    issuer: Option<&str>,
    key_hosts: &[String],
) -> Result<Uri, String> {
    let metadata: Metadata =
        serde_json::from_slice(document).map_err(|e| format!("{at}: not OpenID metadata: {e}"))?;
    if let Some(wanted) = issuer
        && metadata.issuer.as_deref() != Some(wanted)
    {
        return Err(format!(
            "{at}: issuer is {:?}, not {wanted:?}",
            short(metadata.issuer.as_deref().unwrap_or_default()),
        ));
    }
    // Visible ASCII only (RFC 3986 2): the http crate takes the rest, too, and the address is told to people and servers.
    let is_visible = metadata.jwks_uri.bytes().all(|b| b.is_ascii_graphic());
    let parsed: Option<Uri> = metadata.jwks_uri.parse().ok().filter(|_| is_visible);
    let keys_at = parsed.ok_or_else(|| {
        format!(
            "{at}: jwks_uri {:?} is not a URL",
            short(&metadata.jwks_uri)
        )
    })?;
    let is_known_host = keys_at.scheme_str() == Some("https")
        && keys_at.port_u16().is_none_or(|port| port == 443)
        && keys_at.host().is_some_and(|host| {
            let known = |known: &String| known.eq_ignore_ascii_case(host);
            key_hosts.iter().any(known)
        });
    let same_place = keys_at.scheme() == at.scheme()
        && keys_at
            .host()
            .zip(at.host())
            .is_some_and(|(a, b)| a.eq_ignore_ascii_case(b))
        && port(&keys_at) == port(at);
    // No user name, and a port that is one: the http crate takes `host:443ke` and connects to the port of the scheme.
    let is_bare = keys_at.authority().is_some_and(|authority| {
        let (host, port) = (authority.host(), authority.port_u16());
        authority.as_str() == host
            || port.is_some_and(|port| authority.as_str() == format!("{host}:{port}"))
    });
    if !is_bare || !(same_place || is_known_host) {
        return Err(format!(
            "{at}: jwks_uri {:?} is on another host; keys are taken from the metadata's host only",
            short(&metadata.jwks_uri)
        ));
    }
    Ok(keys_at)
}

/// The port that is connected to, written or not.
fn port(url: &Uri) -> Option<u16> {
    let by_scheme = match url.scheme_str() {
        Some("https") => Some(443),
        Some("http") => Some(80),
        Some(_) | None => None,
    };
    url.port_u16().or(by_scheme)
}

fn short(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::BUILT_IN;

    fn keys_at(issuer: &str, jwks_uri: &str) -> Result<Uri, String> {
        let cloud = BUILT_IN[0].to_cloud();
        let document = serde_json::json!({ "issuer": issuer, "jwks_uri": jwks_uri });
        keys_address(
            &cloud.channel_metadata.parse().unwrap(),
            document.to_string().as_bytes(),
            Some(&cloud.channel_issuer),
            &["keys.example".to_owned()],
        )
    }

    #[test]
    fn a_key_address_that_commands_a_terminal_is_not_told_as_it_is() {
        let uri = "https://login.botframework.com/keys\u{9b}31m\u{202e}";
        assert!(uri.parse::<Uri>().is_ok(), "the http crate takes it");
        let why = keys_at("https://api.botframework.com", uri).unwrap_err();
        assert!(why.is_ascii() && why.ends_with("is not a URL"), "{why}");
    }

    #[test]
    fn keys_come_from_the_metadatas_host_and_issuer_only() {
        let issuer = "https://api.botframework.com";
        for good in [
            "https://login.botframework.com/v1/.well-known/keys",
            "https://login.botframework.com:443/v1/.well-known/keys",
            "https://keys.example/any",
            "https://KEYS.example:443/any",
        ] {
            assert!(keys_at(issuer, good).is_ok(), "{good}");
        }
        for (issuer, uri) in [
            (
                "https://api.botframework.us",
                "https://login.botframework.com/v1/.well-known/keys",
            ),
            (issuer, "https://evil.example/v1/.well-known/keys"),
            (issuer, "http://login.botframework.com/v1/.well-known/keys"),
            (issuer, "https://login.botframework.com:8443/keys"),
            (issuer, "https://login.botframework.com.evil.example/keys"),
            (issuer, "https://login.botframework.com@evil.example/keys"),
            (issuer, "https://user@login.botframework.com/keys"),
            (issuer, "https://login.botframework.com:443ke/ys"),
            (issuer, "https://login.botframework.com:/keys"),
            (issuer, "http://keys.example/any"),
            (issuer, "https://keys.example:8443/any"),
            (issuer, "https://user@keys.example/any"),
            (issuer, "/v1/.well-known/keys"),
            (issuer, "not a url"),
        ] {
            assert!(keys_at(issuer, uri).is_err(), "{issuer} {uri}");
        }
    }
}
