//! `[[bots]]`: who they are, where they are served, where they run.

use super::clouds::is_built_in;
use super::file::Section;
use super::identity::{self, Identity};
use super::roots::{self, KeySources};
use super::server::{Guests, hours};
use super::{Bot, KeySource, RateLimits, backend, policy, values};
use crate::judge::direct_line::Issuer;
use crate::judge::{Cloud, Expect, Mode, TenantId};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The bots of a file, and the clouds they use.
pub(super) struct Bots {
    pub(super) bots: Vec<Arc<Bot>>,
    pub(super) clouds: Vec<Arc<Cloud>>,
    pub(super) key_sources: Vec<Arc<KeySource>>,
}

/// What the rest of the file means for a bot.
pub(super) struct Surroundings<'a> {
    pub(super) clouds: &'a [Cloud],
    /// Of every `[[direct_line]]`.
    pub(super) issuers: &'a Arc<[Arc<Issuer>]>,
    pub(super) listen: &'a [SocketAddr],
    /// `server.trusted_proxies` names any.
    pub(super) is_behind_proxy: bool,
    pub(super) clock_skew: Duration,
    /// `--danger-accept-emulator-in-public`.
    pub(super) allow_emulator: bool,
}

/// What the bots read so far have in common.
#[derive(Default)]
struct Shared {
    clouds: Vec<Arc<Cloud>>,
    key_sources: KeySources,
}

impl Bots {
    /// What the bots mean for how the gateway may listen.
    pub(super) fn as_guests(&self) -> Guests {
        Guests {
            hosts: self
                .bots
                .iter()
                .flat_map(|bot| &bot.route.hosts)
                .cloned()
                .collect(),
            any_public: self.clouds.iter().any(|cloud| is_built_in(&cloud.name)),
        }
    }
}

/// Every `[[bots]]` entry. One that lacks something is noted and left out.
pub(super) fn read(
    root: &Section<'_>,
    surroundings: &Surroundings<'_>,
    key_sources: KeySources,
) -> Bots {
    let sections = root.tables("bots");
    if sections.is_empty() && (!root.has("bots") || root.is_list("bots")) {
        root.error(
            "bots",
            "has no entry",
            "describe your bot: [[bots]], then name, app_id and backend",
        );
    }
    let mut shared = Shared {
        key_sources,
        ..Shared::default()
    };
    let mut bots = Vec::new();
    let mut identities = Vec::new();
    for section in &sections {
        let identity = identity::read(section);
        bots.extend(
            bot(section, &identity, surroundings, &mut shared).map(|bot| {
                Arc::new(Bot {
                    index: bots.len(),
                    ..bot
                })
            }),
        );
        identities.push(identity);
    }
    identity::refuse_twins(&sections, &identities);
    Bots {
        bots,
        clouds: shared.clouds,
        key_sources: shared.key_sources.0,
    }
}

fn bot(
    section: &Section<'_>,
    identity: &Identity,
    around: &Surroundings<'_>,
    shared: &mut Shared,
) -> Option<Bot> {
    let mode = policy::mode(section, Mode::Enforce);
    let cloud = cloud(section, around.clouds);
    let kinds = roots::kinds(section);
    let policy = policy::read(section, mode, cloud, &kinds, around.issuers);
    let rate_limits = rate_limits(&section.table("rate_limits"), mode);
    let tenants = &policy.tenants.allow;
    let app_id = app_id(section);
    roots::check(section, &kinds, &policy, app_id.as_deref(), around);
    let backend = backend::read(section, around.listen);
    let cloud = cloud?;
    let sources = &mut shared.key_sources;
    let (channel, entra) = roots::read(section, &kinds, cloud, tenants, sources);
    if !shared.clouds.iter().any(|known| known.name == cloud.name) {
        shared.clouds.push(Arc::new(cloud.clone()));
    }
    Some(Bot {
        index: 0,
        name: identity.name.clone()?,
        cloud: cloud.name.clone(),
        route: identity.route.clone(),
        backend: backend?,
        expect: Expect {
            app_id: app_id?,
            clock_skew: around.clock_skew.as_secs(),
            channel,
            entra,
        },
        policy,
        rate_limits,
        in_flight: section.count("in_flight", 1_000, 1..=100_000),
        redelivery_window: redelivery_window(section),
        identity_headers: section.table("identity_headers").flag("enabled", false),
    })
}

fn app_id(section: &Section<'_>) -> Option<String> {
    const PLACEHOLDER: &str = "00000000-0000-0000-0000-000000000000";
    const HINT: &str =
        "put the bot's Microsoft App ID here (Azure portal: Azure Bot, Configuration)";
    let text = section.required("app_id", HINT)?;
    // Entra application ids are GUIDs just as tenant ids are, in the same form.
    if text.value == PLACEHOLDER {
        text.warn("is a placeholder: no real token will be accepted", HINT);
    } else if TenantId::parse(&text.value).is_none() {
        text.warn(
            format!("is {}, which is not a GUID as App IDs are", text.shown()),
            HINT,
        );
    }
    Some(text.value)
}

fn cloud<'c>(section: &Section<'_>, clouds: &'c [Cloud]) -> Option<&'c Cloud> {
    let text = section.text("cloud");
    if section.has("cloud") && text.is_none() {
        return None;
    }
    let named = text.as_ref().map_or("public", |text| text.value.as_str());
    let cloud = clouds.iter().find(|cloud| cloud.name == named);
    if let (None, Some(text)) = (cloud, text) {
        let names = || clouds.iter().map(|cloud| cloud.name.as_str());
        let hint = match values::probably(text.written, names()) {
            Some(name) => format!("did you mean \"{name}\"?"),
            None => format!(
                "known clouds: {}; describe another under [clouds.NAME]",
                names().collect::<Vec<_>>().join(", ")
            ),
        };
        text.error(
            format!("is {}, a cloud that botgate does not know", text.shown()),
            hint,
        );
    }
    cloud
}

fn rate_limits(section: &Section<'_>, default: Mode) -> RateLimits {
    RateLimits {
        mode: policy::mode(section, default),
        per_bot: section.quota("per_bot"),
        per_tenant: section.quota("per_tenant"),
        per_conversation: section.quota("per_conversation"),
        per_user: section.quota("per_user"),
    }
}

fn redelivery_window(bot: &Section<'_>) -> Option<Duration> {
    let window =
        bot.table("redelivery")
            .duration("window", Duration::ZERO, Duration::ZERO..=hours(1));
    Some(window).filter(|window| *window > Duration::ZERO)
}
