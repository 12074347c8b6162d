//! `[bots.tenants]`, `.channels`, `.activities`, `.service_urls`, `.direct_line`: what a bot accepts from a proven caller.

use super::clouds::{hosts, is_built_in};
use super::file::Section;
use super::text::Text;
use super::values;
use crate::judge::direct_line::Issuer;
use crate::judge::{
    ActivityPolicy, AllowedCallers, CallerPolicy, ChannelPolicy, Cloud, DirectLinePolicy, HostList,
    Mode, OnReject, Policy, ServiceUrlPolicy, TenantId, TenantPolicy, TokenKind,
};
use std::collections::HashSet;
use std::sync::Arc;

/// All policies of one bot; `mode` is the bot's own, for those that name none.
pub(super) fn read(
    bot: &Section<'_>,
    mode: Mode,
    cloud: Option<&Cloud>,
    kinds: &[TokenKind],
    issuers: &Arc<[Arc<Issuer>]>,
) -> Policy {
    Policy {
        channels: channels(&bot.table("channels"), mode),
        service_urls: service_urls(&bot.table("service_urls"), mode, cloud, kinds),
        tenants: tenants(&bot.table("tenants"), mode),
        activities: activities(&bot.table("activities"), mode),
        direct_line: direct_line(&bot.table("direct_line"), mode, issuers),
        callers: callers(&bot.table("callers"), mode, cloud, kinds),
    }
}

fn callers(
    section: &Section<'_>,
    default: Mode,
    cloud: Option<&Cloud>,
    kinds: &[TokenKind],
) -> CallerPolicy {
    let mode = mode(section, default);
    let texts = section.list("allow");
    let takes_skills = kinds.contains(&TokenKind::Skill);
    let mut listed = HashSet::new();
    let mut any = false;
    for text in &texts {
        if text.value == "*" {
            any = true;
            text.warn(
                "is \"*\": every application of every tenant that Entra knows may call this bot",
                "list the app ids of the bots that call it",
            );
        } else if text.value.is_empty() {
            text.error(
                "is empty",
                "write the Microsoft App ID of a bot that calls this one",
            );
        } else {
            // Application ids are GUIDs in the same form as tenant ids.
            if TenantId::parse(&text.value).is_none() {
                text.warn(
                    format!("is {}, which is not a GUID as App IDs are", text.shown()),
                    "write the Microsoft App ID of a bot that calls this one",
                );
            }
            listed.insert(text.value.to_ascii_lowercase());
        }
    }
    if takes_skills && texts.is_empty() && mode == Mode::Enforce {
        section.warn(
            "allow",
            "is empty while \"skill\" tokens are accepted: no application may call",
            "list the app ids of the bots that call this one: allow = [\"xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx\"]",
        );
    }
    if !takes_skills && !texts.is_empty() {
        section.warn(
            "allow",
            "has no effect: bots.accept does not name \"skill\"",
            "add \"skill\" to bots.accept, or remove this list",
        );
    }
    if !takes_skills
        && section
            .text("callback_path")
            .is_some_and(|text| !text.value.is_empty())
    {
        section.warn(
            "callback_path",
            "has no effect: bots.accept does not name \"skill\", and only skills call back",
            "add \"skill\" to bots.accept, or remove it",
        );
    }
    CallerPolicy {
        mode,
        allow: if any {
            AllowedCallers::Any
        } else {
            AllowedCallers::Listed(listed)
        },
        agent_platforms: cloud.map_or_else(Vec::new, |cloud| cloud.agent_platforms.clone()),
    }
}

/// `mode = "enforce" | "report"`.
pub(super) fn mode(section: &Section<'_>, default: Mode) -> Mode {
    let mode = section.one_of(
        "mode",
        default,
        &[("enforce", Mode::Enforce), ("report", Mode::Report)],
    );
    if mode == Mode::Report && section.has("mode") {
        section.warn(
            "mode",
            "is \"report\": what these policies would refuse is logged as would_reject, and forwarded",
            "set it to \"enforce\" once the log shows that nothing good would be refused",
        );
    }
    mode
}

fn tenants(section: &Section<'_>, default: Mode) -> TenantPolicy {
    let ids =
        |texts: &[Text<'_>]| -> HashSet<TenantId> { texts.iter().filter_map(tenant).collect() };
    let allow = section.list("allow");
    let choices = [("403", OnReject::Refuse), ("200", OnReject::Swallow)];
    let policy = TenantPolicy {
        mode: mode(section, default),
        allow: ids(&allow),
        deny: ids(&section.list("deny")),
        required: section.flag("required", false),
        on_reject: section.one_of("on_reject", OnReject::Refuse, &choices),
    };
    if allow.is_empty() {
        section.warn(
            "allow",
            "is empty: users of every tenant reach this bot",
            "list the ids of the tenants it is meant for: allow = [\"xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx\"]",
        );
    }
    policy
}

fn tenant(text: &Text<'_>) -> Option<TenantId> {
    let tenant = TenantId::parse(&text.value);
    if tenant.is_none() {
        text.error(
            format!("is {}, which is not a tenant id", text.shown()),
            "write the GUID that Entra shows as \"Tenant ID\", such as \"72f988bf-86f1-41af-91ab-2d7cd011db47\", not a domain name",
        );
    }
    tenant
}

fn channels(section: &Section<'_>, default: Mode) -> ChannelPolicy {
    let ids = |key: &str| -> Vec<String> { section.list(key).iter().filter_map(channel).collect() };
    ChannelPolicy {
        mode: mode(section, default),
        allow: ids("allow"),
        unendorsed: ids("unendorsed"),
    }
}

fn channel(text: &Text<'_>) -> Option<String> {
    let id = text.value.as_str();
    let what = format!("is {}, which is not the id of one channel", text.shown());
    if id.is_empty() || matches!(id, "*" | "all") {
        text.error(
            what,
            "name the channels one by one, such as \"msteams\"; an empty allow list means every endorsed channel",
        );
    } else if id.contains(':') {
        text.error(
            what,
            "write only the part before \":\"; it covers everything behind it",
        );
    } else if let Some(known) = CHANNELS
        .iter()
        .find(|known| known.eq_ignore_ascii_case(id) && **known != id)
    {
        text.error(
            what,
            format!("upper and lower case count: write \"{known}\""),
        );
    } else {
        warn_if_misspelt(text, "channel", CHANNELS);
        return Some(text.value.clone());
    }
    None
}

fn activities(section: &Section<'_>, default: Mode) -> ActivityPolicy {
    let words = |key: &str| {
        let mut words = section.list(key);
        words.retain(|text| {
            if text.value.is_empty() {
                text.error("is empty", "remove it, or write a name");
            }
            !text.value.is_empty()
        });
        words
    };
    let allow = words("allow");
    for text in &allow {
        warn_if_misspelt(text, "activity type", ACTIVITY_TYPES);
    }
    let owned = |texts: Vec<Text<'_>>| texts.into_iter().map(|text| text.value).collect();
    ActivityPolicy {
        mode: mode(section, default),
        allow: owned(allow),
        deny_invoke: owned(words("deny_invoke")),
    }
}

/// A name nobody sends allows nothing, so a likely slip is pointed out; anything else may be newer than this list.
fn warn_if_misspelt(text: &Text<'_>, kind: &str, known: &[&'static str]) {
    if known.contains(&text.value.as_str()) {
        return;
    }
    if let Some(name) = values::probably(text.written, known.iter().copied()) {
        text.warn(
            format!("is {}, a {kind} that botgate does not know", text.shown()),
            format!("did you mean \"{name}\"?"),
        );
    }
}

fn service_urls(
    section: &Section<'_>,
    default: Mode,
    cloud: Option<&Cloud>,
    kinds: &[TokenKind],
) -> ServiceUrlPolicy {
    let mode = mode(section, default);
    let extra = section.list("extra_hosts");
    let listed = if section.is_list("allow_hosts") {
        section.list("allow_hosts")
    } else {
        Vec::new()
    };
    // What the operator wrote, host by host.
    let mut named = hosts(&extra);
    named.extend(hosts(&listed));
    for text in listed
        .iter()
        .filter(|text| matches!(text.value.as_str(), "cloud" | "any"))
    {
        text.error(
            format!("is {}, which is no host", text.shown()),
            "write it without brackets; what is to be added goes into extra_hosts",
        );
    }
    let mut any = false;
    let mut names = named.clone();
    if !section.is_list("allow_hosts") {
        names.extend(
            cloud
                .into_iter()
                .flat_map(|cloud| &cloud.service_url_hosts)
                .map(String::as_str),
        );
        match section.text("allow_hosts") {
            Some(text) if text.value == "any" => {
                any = true;
                text.warn(
                    "is \"any\": the bot will send its answers, and its own access token, to whatever host a signed token names",
                    "use \"cloud\", with extra_hosts for what it lacks",
                );
                if kinds.iter().any(|kind| !kind.is_channel()) {
                    text.warn(
                        "is \"any\", which is not so for emulator, skill and agent tokens: they name no service URL, so the list is all there is",
                        "add the hosts that such callers are answered at to extra_hosts",
                    );
                }
            }
            Some(text) if text.value != "cloud" => {
                let hint = "write \"cloud\", \"any\", or a list such as [\"smba.trafficmanager.net\", \"*.botframework.com\"]";
                text.error(format!("is {}", text.shown()), hint);
            }
            Some(_) | None => {}
        }
    }
    if names.is_empty() && !any && listed.is_empty() && extra.is_empty() && cloud.is_some() {
        let what = "names no host, so every activity would be refused";
        section.warn(
            "allow_hosts",
            what,
            "name the hosts of the channels, here or as service_url_hosts of the cloud",
        );
    }
    let is_microsofts = cloud.is_some_and(|cloud| is_built_in(&cloud.name));
    if kinds.contains(&TokenKind::Skill) && named.is_empty() && is_microsofts {
        section.warn(
            "extra_hosts",
            "names no host of a bot that calls this one as a skill: such callers are answered at their own hosts, which the cloud's list does not have",
            "add the hosts of their skill endpoints, such as extra_hosts = [\"parent.example.com\"]",
        );
    }
    let unbound = HostList::parse(names).unwrap_or_default();
    let on_this_machine = ["localhost", "127.0.0.1", "[::1]"];
    ServiceUrlPolicy {
        mode,
        hosts: if any {
            HostList::any()
        } else {
            unbound.clone()
        },
        unbound,
        emulator: HostList::parse(on_this_machine.into_iter().chain(named)).unwrap_or_default(),
    }
}

fn direct_line(
    section: &Section<'_>,
    mode: Mode,
    issuers: &Arc<[Arc<Issuer>]>,
) -> DirectLinePolicy {
    let enhanced_authentication = section.flag("enhanced_authentication", false);
    let issued_ids_only = section.flag("issued_ids_only", false);
    if issued_ids_only && issuers.is_empty() {
        section.error(
            "issued_ids_only",
            "is true, and there is no [[direct_line]]: nobody would make such ids",
            "describe the broker that gives your pages their tokens, or remove this",
        );
    } else if issued_ids_only && !enhanced_authentication {
        section.warn(
            "issued_ids_only",
            "is true without enhanced_authentication: a page may still speak in the name of another one's id",
            "turn enhanced authentication on in the channel's settings, and set enhanced_authentication = true",
        );
    }
    DirectLinePolicy {
        mode,
        require_dl_user_id: section.flag("require_dl_user_id", true),
        enhanced_authentication,
        issued_by: issued_ids_only.then(|| Arc::clone(issuers)),
    }
}

/// Channel ids in use (AUTHENTICATION 1.1.6): only to notice slips.
#[rustfmt::skip]
const CHANNELS: &[&str] = &[
    "AseChannel", "a2a", "agents", "alexa", "console", "cortana", "directline", "directlinespeech", "email", "emulator",
    "enterprisechannel", "facebook", "groupme", "kaizala", "kik", "line", "m365extensions", "mcp", "msteams", "omnichannel",
    "outlook", "pva-studio", "skype", "skypeforbusiness", "slack", "sms", "telegram", "telephony", "test", "twilio-sms",
    "webchat",
];

/// Types of the Activity specification: only to notice slips.
#[rustfmt::skip]
const ACTIVITY_TYPES: &[&str] = &[
    "command", "commandResult", "contactRelationUpdate", "conversationUpdate", "delay", "deleteUserData", "endOfConversation",
    "event", "handoff", "installationUpdate", "invoke", "invokeResponse", "message", "messageDelete", "messageReaction",
    "messageUpdate", "suggestion", "trace", "typing",
];
