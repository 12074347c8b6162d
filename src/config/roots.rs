//! `accept`: the kinds of token a bot takes, and whose keys that needs.

use super::bots::Surroundings;
use super::file::Section;
use super::values;
use super::{KeyOrigin, KeySource};
use crate::judge::{
    AgentRoot, AllowedCallers, CallerPolicy, ChannelRoot, Cloud, EmulatorRoot, EntraIssuer,
    EntraRoots, KeySourceId, Mode, Policy, TenantId, TokenKind,
};
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

/// How a local key set is written where a metadata address is expected.
pub(super) const LOCAL: &str = "file:";

/// The key sources that bots need, each once.
#[derive(Debug, Default)]
pub(super) struct KeySources(pub(super) Vec<Arc<KeySource>>);

impl KeySources {
    pub(super) fn id(&mut self, source: KeySource) -> KeySourceId {
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
    policy: &Policy,
    app_id: Option<&str>,
    around: &Surroundings<'_>,
) {
    if kinds.contains(&TokenKind::Emulator) {
        check_emulator(section, around);
    }
    if kinds.contains(&TokenKind::Agent) && policy.tenants.allow.is_empty() {
        section.warn(
            "accept",
            "names \"agent\", but bots.tenants.allow is empty: no agent token will be accepted, since keys are fetched for listed tenants only",
            "list in bots.tenants.allow the ids of the tenants whose agents may call",
        );
    }
    if kinds.contains(&TokenKind::Skill) {
        check_callers(&section.table("callers"), &policy.callers, app_id);
    }
}

fn check_emulator(section: &Section<'_>, around: &Surroundings<'_>) {
    let is_local = around
        .listen
        .iter()
        .all(|address| address.ip().is_loopback());
    // A proxy on this machine lets others in just as well.
    if (!is_local || around.is_behind_proxy) && !around.allow_emulator {
        section.error(
            "accept",
            "names \"emulator\" while other machines can connect: whoever gets hold of any Entra token issued to this bot could command it",
            "remove \"emulator\", listen on 127.0.0.1 only and without trusted_proxies, or start with --danger-accept-emulator-in-public",
        );
    } else {
        section.warn(
            "accept",
            "names \"emulator\": Entra tokens issued to the bot itself are taken, with a service URL that no token vouches for",
            "for development only; remove it where real channels send",
        );
    }
}

/// Entries that can never call as a skill, and a list that nobody holds callers to.
fn check_callers(section: &Section<'_>, callers: &CallerPolicy, app_id: Option<&str>) {
    let names = |id: &str| match &callers.allow {
        AllowedCallers::Any => false,
        AllowedCallers::Listed(listed) => listed.contains(&id.to_ascii_lowercase()),
    };
    if app_id.is_some_and(names) {
        section.warn(
            "allow",
            "names this bot itself, which has no effect: tokens issued to the bot itself are the Emulator's",
            "list the app ids of the other bots that call it",
        );
    }
    if callers.agent_platforms.iter().any(|id| names(id)) {
        section.warn(
            "allow",
            "names the platform that calls agents, which has no effect: its tokens are of the kind \"agent\"",
            "remove it; to be called as an agent, add \"agent\" to bots.accept",
        );
    }
    if callers.mode == Mode::Report {
        section.warn(
            "allow",
            "is only reported: while the mode is \"report\", every application of every tenant that Entra knows may call this bot",
            "set callers.mode = \"enforce\"",
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
        platforms: cloud.agent_platforms.clone(),
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

/// What may precede a tenant in the addresses of a cloud's Entra. Where a custom cloud's metadata is at
/// `https://lab.example/entra/v2.0/...`, `entra` may be a folder, or stand in the place of the tenant.
fn logins(cloud: &Cloud) -> impl Iterator<Item = &str> {
    let login = cloud.entra_login.as_str();
    let above = login
        .rsplit_once('/')
        .map(|(above, _)| above)
        .filter(|above| above.contains("://") && !above.ends_with('/'));
    std::iter::once(login).chain(above)
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
            keys: logins(cloud)
                .map(|login| format!("{login}/{tenant}/discovery/v2.0/keys"))
                .collect(),
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
