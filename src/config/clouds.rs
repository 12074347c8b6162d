//! `[clouds.*]`: who signs, where its keys are, which hosts it answers from.

use super::file::Section;
use super::roots::LOCAL;
use super::text::{Text, read_file};
use crate::judge::{
    AGENT_PLATFORM, BUILT_IN, Cloud, EntraIssuer, HostList, KeySet, TenantId, is_on_this_machine,
};
use url::Url;

/// Every cloud a bot can name: the built-in ones, then those of the file.
pub(super) fn read(root: &Section<'_>) -> Vec<Cloud> {
    let mut clouds: Vec<Cloud> = BUILT_IN
        .iter()
        .map(|built_in| built_in.to_cloud())
        .collect();
    let section = root.table("clouds");
    for name in section.keys() {
        if is_built_in(name) {
            section.error(
                name,
                "is the name of a built-in cloud",
                "choose another name; built-in clouds cannot be changed",
            );
            continue;
        }
        if !is_name(name) {
            section.error(name, "is not a usable name", NAME_HINT);
        }
        clouds.push(cloud(name, &section.table(name)));
    }
    clouds
}

/// Whether a cloud is one of Microsoft's, as opposed to one described in the file.
pub(super) fn is_built_in(name: &str) -> bool {
    BUILT_IN.iter().any(|built_in| built_in.name == name)
}

/// Whether a name is short and plain enough for logs, metric labels and file names.
pub(super) fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
        && name.bytes().any(|b| b != b'.')
}

/// As much as is fetched (AUTHENTICATION 2.4; the live set is about 1 MB).
const MAX_KEY_SET_BYTES: u64 = 8 * 1024 * 1024;

/// What a name may be made of.
pub(super) const NAME_HINT: &str = "use 1 to 64 letters, digits, \"_\", \"-\" or \".\"";

/// Host names and `*.suffix` entries; each that is neither is noted.
pub(super) fn hosts<'t>(entries: &'t [Text<'_>]) -> Vec<&'t str> {
    let usable = |text: &&Text<'_>| match HostList::parse([text.value.as_str()]) {
        Ok(_) => true,
        Err((_, why)) => {
            // Such as "is not a host name; write a name such as ...".
            let (what, hint) = why.split_once("; ").unwrap_or((why, ""));
            text.error(format!("is {}, which {what}", text.shown()), hint);
            false
        }
    };
    entries
        .iter()
        .filter(usable)
        .map(|text| text.value.as_str())
        .collect()
}

fn cloud(name: &str, section: &Section<'_>) -> Cloud {
    let empty = Cloud {
        name: name.to_owned(),
        channel_metadata: String::new(),
        channel_issuer: String::new(),
        entra_metadata: String::new(),
        entra_key_hosts: Vec::new(),
        entra_login: String::new(),
        entra_issuers: Vec::new(),
        agent_platforms: vec![AGENT_PLATFORM.to_owned()],
        service_url_hosts: Vec::new(),
    };
    if !section.is_written() {
        // Not a table, which is noted; the name stays known, so that bots of this cloud are not blamed for it.
        return empty;
    }
    let value = |text: Option<Text<'_>>| text.map(|text| text.value).unwrap_or_default();
    let channel_metadata = section.required_address(
        "channel_metadata",
        "write the URL of the OpenID metadata document that names the Connector's keys, or \"file:\" and the name of a key set on this machine",
    );
    let entra_metadata = section
        .address("entra_metadata")
        .filter(|text| !text.value.is_empty());
    let issuer =
        "write the iss claim of the Connector's tokens, such as \"https://api.botframework.com\"";
    let entra_metadata = entra_metadata.map(|text| metadata(section, &text));
    Cloud {
        channel_metadata: channel_metadata
            .map(|text| metadata(section, &text))
            .unwrap_or_default(),
        channel_issuer: value(section.required("channel_issuer", issuer)),
        entra_login: entra_metadata.as_deref().map(login).unwrap_or_default(),
        entra_metadata: entra_metadata.unwrap_or_default(),
        entra_issuers: section
            .list("entra_issuers")
            .into_iter()
            .filter(is_issuer)
            .map(|text| text.value)
            .collect(),
        service_url_hosts: hosts(&section.list("service_url_hosts"))
            .into_iter()
            .map(str::to_owned)
            .collect(),
        agent_platforms: if section.has("agent_platforms") {
            platforms(section)
        } else {
            empty.agent_platforms.clone()
        },
        ..empty
    }
}

/// App ids of the platform that calls agents, lower case.
fn platforms(section: &Section<'_>) -> Vec<String> {
    let is_app_id = |text: &Text<'_>| {
        // Application ids are GUIDs in the same form as tenant ids.
        let is_app_id = TenantId::parse(&text.value).is_some();
        if !is_app_id {
            text.error(
                format!("is {}, which is not an app id", text.shown()),
                "write the app id (a GUID) of the platform that calls agents in this cloud",
            );
        }
        is_app_id
    };
    let mut texts = section.list("agent_platforms");
    texts.retain(is_app_id);
    texts
        .into_iter()
        .map(|text| text.value.to_ascii_lowercase())
        .collect()
}

/// What precedes a tenant in Entra's addresses: `https://login.example` of
/// `https://login.example/common/v2.0/.well-known/openid-configuration`.
fn login(metadata: &str) -> String {
    let before = |marker: &str| metadata.split_once(marker).map(|(before, _)| before);
    let document = before("/v2.0/").or_else(|| before("/.well-known/"));
    let base = document.unwrap_or(metadata).trim_end_matches('/');
    let is_tenant = |segment: &str| {
        matches!(segment, "common" | "organizations" | "consumers")
            || TenantId::parse(segment).is_some()
    };
    match base.rsplit_once('/') {
        Some((login, segment)) if is_tenant(segment) => login.to_owned(),
        Some(_) | None => base.to_owned(),
    }
}

fn is_issuer(text: &Text<'_>) -> bool {
    let is_issuer = EntraIssuer::parse(&text.value).is_some();
    if !is_issuer {
        text.error(
            format!("is {}, which says nothing of a tenant", text.shown()),
            "write \"{tenant}\" where the tenant id stands, such as \"https://sts.windows.net/{tenant}/\"",
        );
    }
    is_issuer
}

/// A metadata address as written, or `file:` and the full name of a key set on this machine.
pub(super) fn metadata(section: &Section<'_>, text: &Text<'_>) -> String {
    let Some(name) = text.value.strip_prefix(LOCAL) else {
        check_metadata(text);
        return text.value.clone();
    };
    // Both "file:keys.json" and the URL "file:///etc/keys.json".
    let name = name.strip_prefix("//").unwrap_or(name);
    let path = section.reading.dir.join(name);
    match read_file(&path, MAX_KEY_SET_BYTES) {
        Err(error) => text.error(
            format!("is {}, which cannot be read: {error}", text.shown()),
            "put a key set (JWKS) there; relative names start from the directory of this configuration file",
        ),
        Ok(document) => {
            if let Err(problem) = KeySet::parse(&document) {
                text.error(
                    format!("is {}, which cannot be used: {problem}", text.shown()),
                    "put a key set (JWKS) there, such as what the metadata's jwks_uri leads to",
                );
            }
        }
    }
    format!("{LOCAL}{}", path.display())
}

/// Keys that came over plain http could be anyone's; on this very machine nobody stands between.
fn check_metadata(text: &Text<'_>) {
    const HINT: &str =
        "write an https URL; plain http is for this machine only (127.0.0.1, [::1], localhost)";
    let url = Url::parse(&text.value)
        .ok()
        .filter(|url| url.has_host() && text.value.contains("://"));
    let Some(url) = url else {
        return text.error("is not a URL", HINT);
    };
    let is_loopback = is_on_this_machine(&url);
    if !url.username().is_empty() || url.password().is_some() {
        text.error(
            "holds a user name or password",
            "metadata is public; write the URL without them",
        );
    } else if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback) {
        text.error(format!("is {}, which is not https", text.shown()), HINT);
    }
}
