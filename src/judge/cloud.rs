//! The clouds of the Bot Framework: who signs, where its keys are, which hosts it answers from.

use super::token::EntraIssuer;

/// The constants of one cloud. Built-in rows come from [`BUILT_IN`]; operators add more under `[clouds.*]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cloud {
    /// The name in `gateway.toml`.
    pub name: String,
    /// OpenID metadata document of the Connector.
    pub channel_metadata: String,
    /// `iss` of Connector tokens, compared byte for byte.
    pub channel_issuer: String,
    /// OpenID metadata document of Entra in this cloud.
    pub entra_metadata: String,
    /// Hosts that the Entra metadata may name for its keys, beside its own.
    pub entra_key_hosts: Vec<String>,
    /// What precedes `/{tenant}/discovery/v2.0/keys`, where a tenant's own keys are.
    pub entra_login: String,
    /// Entra issuers, with `{tenant}` where the tenant id stands.
    pub entra_issuers: Vec<String>,
    /// App ids of the platform that calls agents ("Agent 365"), lower case.
    pub agent_platforms: Vec<String>,
    /// Hosts a channel's service URL may have: `name` or `*.suffix`.
    pub service_url_hosts: Vec<String>,
}

/// One built-in row; see [`BUILT_IN`].
#[derive(Debug)]
pub struct BuiltIn {
    /// The name in `gateway.toml`.
    pub name: &'static str,
    channel_metadata: &'static str,
    channel_issuer: &'static str,
    entra_metadata: &'static str,
    entra_key_hosts: &'static [&'static str],
    entra_login: &'static str,
    entra_issuers: &'static [&'static str],
    agent_platforms: &'static [&'static str],
    service_url_hosts: &'static [&'static str],
}

/// The clouds every gateway knows.
///
/// Sources: `AuthenticationConstants` and `GovernmentAuthenticationConstants` of the Bot Framework SDKs,
/// `AuthenticationConstants` of the Agents SDK for .NET (China), `CloudEnvironment` of the Teams SDK (service URL hosts).
/// No `*.trafficmanager.net`: anyone can register a name there.
pub const BUILT_IN: &[BuiltIn] = &[
    BuiltIn {
        name: "public",
        channel_metadata: "https://login.botframework.com/v1/.well-known/openidconfiguration",
        channel_issuer: "https://api.botframework.com",
        entra_metadata: "https://login.microsoftonline.com/common/v2.0/.well-known/openid-configuration",
        entra_key_hosts: &["login.windows.net", "sts.windows.net"],
        entra_login: "https://login.microsoftonline.com",
        entra_issuers: &[
            "https://sts.windows.net/{tenant}/",
            "https://login.microsoftonline.com/{tenant}/v2.0",
        ],
        agent_platforms: &["5a807f24-c9de-44ee-a3a7-329e88a00ffc"],
        service_url_hosts: &[
            "*.botframework.com",
            "smba.trafficmanager.net",
            "smba.onyx.prod.teams.trafficmanager.net",
            "smba.infra.gcc.teams.microsoft.com",
        ],
    },
    BuiltIn {
        name: "us-gov",
        channel_metadata: "https://login.botframework.azure.us/v1/.well-known/openidconfiguration",
        channel_issuer: "https://api.botframework.us",
        entra_metadata: "https://login.microsoftonline.us/cab8a31a-1906-4287-a0d8-4eef66b95f6e/v2.0/.well-known/openid-configuration",
        entra_key_hosts: &[],
        entra_login: "https://login.microsoftonline.us",
        entra_issuers: &[
            "https://login.microsoftonline.us/{tenant}/",
            "https://login.microsoftonline.us/{tenant}/v2.0",
            // Microsoft's own tenant in this cloud signs with the issuer of the public one; the keys are still this cloud's.
            "https://sts.windows.net/cab8a31a-1906-4287-a0d8-4eef66b95f6e/",
        ],
        // GCC High, then DoD.
        agent_platforms: &[
            "6f669b9e-7701-4e2b-b624-82c9207fde26",
            "0a069c81-8c7c-4712-886b-9c542d673ffb",
        ],
        service_url_hosts: &[
            "*.botframework.azure.us",
            "smba.infra.gov.teams.microsoft.us",
            "smba.infra.dod.teams.microsoft.us",
        ],
    },
    BuiltIn {
        name: "china",
        channel_metadata: "https://login.botframework.azure.cn/v1/.well-known/openidconfiguration",
        channel_issuer: "https://api.botframework.azure.cn",
        entra_metadata: "https://login.partner.microsoftonline.cn/a55a4d5b-9241-49b1-b4ff-befa8db00269/.well-known/openid-configuration",
        entra_key_hosts: &["login.chinacloudapi.cn", "sts.chinacloudapi.cn"],
        entra_login: "https://login.partner.microsoftonline.cn",
        entra_issuers: &[
            "https://sts.chinacloudapi.cn/{tenant}/",
            "https://login.partner.microsoftonline.cn/{tenant}/v2.0",
            // As the Agents SDK for .NET writes it, with a GUID before the tenant.
            "https://login.partner.microsoftonline.cn/0b4a31a2-c1a0-475d-b363-5f26668660a3/{tenant}/v2.0",
        ],
        agent_platforms: &["bd004c8e-5acf-4c48-8570-4e7d46b2f63b"],
        service_url_hosts: &[
            "*.botframework.azure.cn",
            "frontend.botapi.msg.infra.teams.microsoftonline.cn",
        ],
    },
];

impl BuiltIn {
    /// The row as a [`Cloud`].
    pub fn to_cloud(&self) -> Cloud {
        let owned = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
        Cloud {
            name: self.name.to_owned(),
            channel_metadata: self.channel_metadata.to_owned(),
            channel_issuer: self.channel_issuer.to_owned(),
            entra_metadata: self.entra_metadata.to_owned(),
            entra_key_hosts: owned(self.entra_key_hosts),
            entra_login: self.entra_login.to_owned(),
            entra_issuers: owned(self.entra_issuers),
            agent_platforms: owned(self.agent_platforms),
            service_url_hosts: owned(self.service_url_hosts),
        }
    }
}

/// The platform that calls agents in clouds that name none: that of the public cloud.
pub const AGENT_PLATFORM: &str = "5a807f24-c9de-44ee-a3a7-329e88a00ffc";

/// Whether a host is one that Teams answers from, in any built-in cloud: those that stand there by name.
pub(super) fn is_of_teams(host: &str) -> bool {
    let mut hosts = BUILT_IN.iter().flat_map(|cloud| cloud.service_url_hosts);
    hosts.any(|name| name.eq_ignore_ascii_case(host))
}

/// Whether `issuer` is an Entra issuer of any built-in cloud: tells "known, but not accepted here" from "never heard of".
pub(super) fn is_known_entra_issuer(issuer: &str) -> bool {
    BUILT_IN
        .iter()
        .flat_map(|cloud| cloud.entra_issuers)
        .filter_map(|template| EntraIssuer::parse(template))
        .any(|template| template.tenant_of(issuer).is_some())
}

#[cfg(test)]
mod tests;
