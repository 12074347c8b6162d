//! `[clouds.*]`: who signs, where its keys are, which hosts it answers from.

use super::file::Section;
use super::text::Text;
use crate::judge::{BUILT_IN, Cloud, HostList};
use url::{Host, Url};

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

/// What a name may be made of.
pub(super) const NAME_HINT: &str = "use 1 to 64 letters, digits, \"_\", \"-\" or \".\"";

/// Host names and `*.suffix` entries; each that is neither is noted.
pub(super) fn hosts<'t>(entries: &'t [Text<'_>]) -> Vec<&'t str> {
    let usable = |text: &&Text<'_>| match HostList::parse([text.value.as_str()]) {
        Ok(_) => true,
        Err((_, why)) => {
            text.error(format!("is {}", text.shown()), format!("the entry {why}"));
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
    if !section.is_written() {
        // Not a table, which is noted; the name stays known, so that bots of this cloud are not blamed for it.
        let empty = String::new;
        let (entra_issuers, service_url_hosts) = (Vec::new(), Vec::new());
        return Cloud {
            name: name.to_owned(),
            channel_metadata: empty(),
            channel_issuer: empty(),
            entra_metadata: empty(),
            entra_issuers,
            service_url_hosts,
        };
    }
    let value = |text: Option<Text<'_>>| text.map(|text| text.value).unwrap_or_default();
    let metadata = "write the URL of the OpenID metadata document that names the Connector's keys";
    let channel_metadata = section.required("channel_metadata", metadata);
    let entra_metadata = section
        .text("entra_metadata")
        .filter(|text| !text.value.is_empty());
    for url in channel_metadata.iter().chain(&entra_metadata) {
        check_metadata(url);
    }
    let issuer =
        "write the iss claim of the Connector's tokens, such as \"https://api.botframework.com\"";
    Cloud {
        name: name.to_owned(),
        channel_metadata: value(channel_metadata),
        channel_issuer: value(section.required("channel_issuer", issuer)),
        entra_metadata: value(entra_metadata),
        entra_issuers: section
            .list("entra_issuers")
            .into_iter()
            .map(|text| text.value)
            .collect(),
        service_url_hosts: hosts(&section.list("service_url_hosts"))
            .into_iter()
            .map(str::to_owned)
            .collect(),
    }
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
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    if !url.username().is_empty() || url.password().is_some() {
        text.error(
            "holds a user name or password",
            "metadata is public; write the URL without them",
        );
    } else if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback) {
        text.error(format!("is {}, which is not https", text.shown()), HINT);
    }
}
