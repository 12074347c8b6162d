//! `accept`: the kinds of token a bot takes, and whose keys that needs.

use super::file::Section;
use super::values;
use super::{KeyOrigin, KeySource};
use crate::judge::{
    AgentRoot, ChannelRoot, Cloud, EmulatorRoot, EntraIssuer, EntraRoots, KeySourceId, TenantId,
    TokenKind,
};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// How a local key set is written where a metadata address is expected.
pub(super) const LOCAL: &str = "file:";

/// The key sources that bots need, each once.
#[derive(Debug, Default)]
pub(super) struct KeySources(pub(super) Vec<Arc<KeySource>>);

impl KeySources {
    fn id(&mut self, source: KeySource) -> KeySourceId {
        let known = self.0.iter().position(|known| known.name == source.name);
        KeySourceId(known.unwrap_or_else(|| {
            let label = self.label(&source);
            self.0.push(Arc::new(KeySource {
                issuer: label,
                ..source
            }));
            self.0.len().saturating_sub(1)
        }))
    }

    /// The issuer, and the name too where another source has the same issuer: metrics must tell them apart.
    fn label(&self, source: &KeySource) -> String {
        if self.0.iter().any(|known| known.issuer == source.issuer) {
            format!("{} ({})", source.issuer, source.name)
        } else {
            source.issuer.clone()
        }
    }
}

/// `accept`: the kinds of token, each once.
pub(super) fn kinds(section: &Section<'_>) -> Vec<TokenKind> {
    const WORDS: &str = "\"channel\", \"emulator\", \"skill\" or \"agent\"";
    if !section.has("accept") {
        return vec![TokenKind::Channel];
    }
    let texts = section.list("accept");
    let mut kinds = Vec::new();
    for text in &texts {
        let known = TokenKind::ALL
            .into_iter()
            .find(|kind| kind.word() == text.value);
        match known {
            Some(kind) if kinds.contains(&kind) => {}
            Some(kind) => kinds.push(kind),
            None => {
                let words = TokenKind::ALL.into_iter().map(TokenKind::word);
                let hint = match values::probably(text.written, words) {
                    Some(kind) => format!("did you mean \"{kind}\"?"),
                    None => format!("write {WORDS}"),
                };
                text.error(
                    format!("is {}, which is no kind of token", text.shown()),
                    hint,
                );
            }
        }
    }
    if texts.is_empty() && section.is_list("accept") {
        section.error(
            "accept",
            "is empty, so no token would be accepted",
            "write accept = [\"channel\"], which takes what Azure Bot Service sends",
        );
    }
    kinds
}

/// What the kinds of token mean for how the gateway may listen, and for the rest of the bot.
pub(super) fn check(
    section: &Section<'_>,
    kinds: &[TokenKind],
    listen: &[SocketAddr],
    allow_emulator: bool,
    tenants: &HashSet<TenantId>,
) {
    let is_local = listen.iter().all(|address| address.ip().is_loopback());
    if kinds.contains(&TokenKind::Emulator) {
        if !is_local && !allow_emulator {
            section.error(
                "accept",
                "names \"emulator\" while other machines can connect: whoever gets hold of any Entra token issued to this bot could command it",
                "remove \"emulator\", listen on 127.0.0.1 only, or start with --danger-accept-emulator-in-public",
            );
        } else {
            section.warn(
                "accept",
                "names \"emulator\": Entra tokens issued to the bot itself are taken, with a service URL that no token vouches for",
                "for development only; remove it where real channels send",
            );
        }
    }
    if kinds.contains(&TokenKind::Agent) && tenants.is_empty() {
        section.warn(
            "accept",
            "names \"agent\", but bots.tenants.allow is empty: no agent token will be accepted, since keys are fetched for listed tenants only",
            "list in bots.tenants.allow the ids of the tenants whose agents may call",
        );
    }
}

/// The trust roots of a bot.
pub(super) fn read(
    section: &Section<'_>,
    kinds: &[TokenKind],
    cloud: &Cloud,
    tenants: &HashSet<TenantId>,
    sources: &mut KeySources,
) -> (ChannelRoot, EntraRoots) {
    let accepts = |kind: TokenKind| kinds.contains(&kind);
    let channel = ChannelRoot {
        issuer: cloud.channel_issuer.clone(),
        keys: accepts(TokenKind::Channel).then(|| sources.id(of_channel(cloud))),
    };
    let mut entra = EntraRoots {
        issuers: cloud
            .entra_issuers
            .iter()
            .filter_map(|issuer| EntraIssuer::parse(issuer))
            .collect(),
        ..EntraRoots::default()
    };
    let first = kinds.iter().find(|kind| !kind.is_channel());
    if let Some(kind) = first
        && (cloud.entra_metadata.is_empty() || entra.issuers.is_empty())
    {
        section.error(
            "accept",
            format!(
                "names \"{}\", but cloud \"{}\" has no entra_metadata or no entra_issuers",
                kind.word(),
                cloud.name
            ),
            "tokens of this kind come from Entra: add both to that cloud",
        );
        return (channel, entra);
    }
    if accepts(TokenKind::Emulator) {
        entra.emulator = Some(EmulatorRoot {
            keys: sources.id(of_entra(cloud)),
            tenants: tenants.clone(),
        });
    }
    if accepts(TokenKind::Skill) {
        entra.skill = Some(sources.id(of_entra(cloud)));
    }
    if accepts(TokenKind::Agent) {
        let mut listed: Vec<TenantId> = tenants.iter().copied().collect();
        listed.sort_by_key(TenantId::to_string);
        entra.agent = Some(AgentRoot {
            platforms: cloud.agent_platforms.clone(),
            keys: listed
                .into_iter()
                .map(|tenant| (tenant, sources.id(of_tenant(cloud, tenant))))
                .collect(),
        });
    }
    (channel, entra)
}

fn of_channel(cloud: &Cloud) -> KeySource {
    let origin = match local(&cloud.channel_metadata) {
        Some(path) => KeyOrigin::File(path),
        None => KeyOrigin::Connector {
            metadata: cloud.channel_metadata.clone(),
            issuer: cloud.channel_issuer.clone(),
        },
    };
    KeySource {
        name: cloud.name.clone(),
        issuer: cloud.channel_issuer.clone(),
        origin,
    }
}

fn of_entra(cloud: &Cloud) -> KeySource {
    let origin = match local(&cloud.entra_metadata) {
        Some(path) => KeyOrigin::File(path),
        None => KeyOrigin::Entra {
            metadata: cloud.entra_metadata.clone(),
            key_hosts: cloud.entra_key_hosts.clone(),
        },
    };
    KeySource {
        name: format!("{}+entra", cloud.name),
        issuer: cloud.entra_issuers.first().cloned().unwrap_or_default(),
        origin,
    }
}

fn of_tenant(cloud: &Cloud, tenant: TenantId) -> KeySource {
    let issuer = cloud
        .entra_issuers
        .iter()
        .find(|issuer| issuer.contains("{tenant}"))
        .map(|issuer| issuer.replace("{tenant}", &tenant.to_string()));
    let origin = match local(&cloud.entra_metadata) {
        Some(path) => KeyOrigin::File(path),
        None => KeyOrigin::EntraTenant {
            keys: format!("{}/{tenant}/discovery/v2.0/keys", cloud.entra_login),
            metadata: cloud.entra_metadata.clone(),
            key_hosts: cloud.entra_key_hosts.clone(),
        },
    };
    KeySource {
        name: format!("{}+{tenant}", cloud.name),
        issuer: issuer.unwrap_or_else(|| tenant.to_string()),
        origin,
    }
}

fn local(metadata: &str) -> Option<PathBuf> {
    metadata.strip_prefix(LOCAL).map(PathBuf::from)
}
