//! Fetches OpenID metadata, then keys.

use crate::judge::{Cloud, KeySet};
use crate::net::client::Fetcher;
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

/// OpenID Connect Discovery 1.0 section 3; the Connector's document has these two members of interest.
#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

/// Fetches and checks both documents.
///
/// # Errors
/// A sentence for the log. The caller keeps the old keys.
pub(super) async fn documents(fetcher: &Fetcher, cloud: &Cloud) -> Result<Documents, String> {
    let at: Uri = cloud
        .channel_metadata
        .parse()
        .map_err(|e| format!("metadata address: {e}"))?;
    let document = fetcher
        .get(&at, MAX_METADATA_BYTES)
        .await
        .map_err(|why| format!("{at}: {why}"))?;
    let metadata: Metadata =
        serde_json::from_slice(&document).map_err(|e| format!("{at}: not OpenID metadata: {e}"))?;
    let keys_at = keys_address(&at, &metadata, cloud)?;
    let key_document = fetcher
        .get(&keys_at, MAX_KEYS_BYTES)
        .await
        .map_err(|why| format!("{keys_at}: {why}"))?;
    let keys = KeySet::parse(&key_document).map_err(|why| format!("{keys_at}: {why}"))?;
    Ok(Documents { keys, key_document })
}

/// Where the keys are: on the metadata's own scheme, host and port, or nowhere (AUTHENTICATION 2.4 rule 7).
fn keys_address(at: &Uri, metadata: &Metadata, cloud: &Cloud) -> Result<Uri, String> {
    if metadata.issuer != cloud.channel_issuer {
        return Err(format!(
            "{at}: issuer is {:?}, not {:?}",
            short(&metadata.issuer),
            cloud.channel_issuer
        ));
    }
    let keys_at: Uri = metadata.jwks_uri.parse().map_err(|_| {
        format!(
            "{at}: jwks_uri {:?} is not a URL",
            short(&metadata.jwks_uri)
        )
    })?;
    let same_place = keys_at.scheme() == at.scheme()
        && keys_at
            .host()
            .zip(at.host())
            .is_some_and(|(a, b)| a.eq_ignore_ascii_case(b))
        && keys_at.port_u16() == at.port_u16()
        && keys_at
            .authority()
            .is_some_and(|authority| !authority.as_str().contains('@'));
    if !same_place {
        return Err(format!(
            "{at}: jwks_uri {:?} is on another host; keys are taken from the metadata's host only",
            short(&metadata.jwks_uri)
        ));
    }
    Ok(keys_at)
}

fn short(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::BUILT_IN;

    fn address(issuer: &str, jwks_uri: &str) -> Result<Uri, String> {
        let cloud = BUILT_IN[0].to_cloud();
        let metadata = Metadata {
            issuer: issuer.to_owned(),
            jwks_uri: jwks_uri.to_owned(),
        };
        keys_address(&cloud.channel_metadata.parse().unwrap(), &metadata, &cloud)
    }

    #[test]
    fn keys_come_from_the_metadatas_host_and_issuer_only() {
        let issuer = "https://api.botframework.com";
        assert!(address(issuer, "https://login.botframework.com/v1/.well-known/keys").is_ok());
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
            (issuer, "/v1/.well-known/keys"),
            (issuer, "not a url"),
        ] {
            assert!(address(issuer, uri).is_err(), "{issuer} {uri}");
        }
    }
}
