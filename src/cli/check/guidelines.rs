//! What a configuration makes of the security guidelines for bots, item by item.
//!
//! The items are those of Microsoft's pages "Bot Framework security guidelines" and "Security for Azure AI Bot Service" on Microsoft
//! Learn. What no gateway can do stays with the bot's team, and is said so.

use super::posture::{server, service_urls, shared_store, softened, tenants};
use crate::config::{Bot, Endpoint, Identifiers, Settings, SharedStore, TlsSource, TlsVersion};
use crate::judge::{AllowedCallers, HostList, Mode, TokenKind, is_on_this_machine};
use std::io::{self, Write};

/// How far an item is taken care of here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Held by this configuration.
    Enforced,
    /// Held in part.
    Partly,
    /// Not held.
    Off,
    /// Not for a gateway to hold.
    BotTeam,
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            Self::Enforced => "enforced",
            Self::Partly => "partly",
            Self::Off => "off",
            Self::BotTeam => "bot team",
        }
    }
}

/// One line of an item: how far, and by what.
type Line = (State, String);

/// Writes the table.
pub(super) fn write(settings: &Settings, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "security guidelines")?;
    for (item, lines) in table(settings) {
        let mut item = item;
        for (state, text) in lines {
            writeln!(out, "  {item:<25}{:<10} {text}", state.word())?;
            item = "";
        }
    }
    writeln!(out)
}

fn table(settings: &Settings) -> Vec<(&'static str, Vec<Line>)> {
    let yours = |text: &str| (State::BotTeam, text.to_owned());
    let each = |line: &dyn Fn(&Bot) -> Line| -> Vec<Line> {
        let lines = settings.bots.iter().map(|bot| {
            let (state, text) = line(bot);
            (state, format!("{}: {text}", bot.name))
        });
        lines.collect()
    };
    let with = |mut lines: Vec<Line>, last: Line| {
        lines.push(last);
        lines
    };
    let mut traffic = vec![listeners(settings)];
    traffic.extend(each(&backends));
    traffic.extend(settings.shared_store.as_ref().map(store));
    vec![
        (
            "secured traffic",
            with(traffic, yours("only botgate may reach the bot: bind it to this machine or its network")),
        ),
        ("TLS 1.2", vec![tls_version(settings)]),
        (
            "connector authentication",
            with(each(&authentication), yours("keep the SDK's own token check on, as a second lock")),
        ),
        ("tenant restriction", each(&tenant_restriction)),
        ("service URL", each(&|bot| service_url(settings, bot))),
        (
            "Direct Line",
            with(
                each(&direct_line).into_iter().chain(brokers(settings)).collect(),
                yours("turn enhanced authentication on in the channel, keep its secret on a server, give pages tokens for one user"),
            ),
        ),
        (
            "data and retention",
            vec![
                data(settings),
                retention(settings),
                yours("what the bot itself stores"),
            ],
        ),
        ("deny by default", each(&deny_by_default)),
        (
            "outbound allow-list",
            vec![
                (
                    State::Off,
                    "botgate sees what comes to the bot, not where it connects to; service URLs bind where answers go".to_owned(),
                ),
                yours("let a firewall or proxy hold the bot to the hosts it needs"),
            ],
        ),
        (
            "least information",
            vec![
                information(settings),
                yours("no secrets in messages, cards or their data: users and channels read them"),
            ],
        ),
    ]
}

fn listeners(settings: &Settings) -> Line {
    let listen = settings.server.listen.iter().map(ToString::to_string);
    let listen = listen.collect::<Vec<_>>().join(", ");
    match &settings.server.tls.source {
        TlsSource::Files { cert, .. } => (
            State::Enforced,
            format!("TLS on {listen}, certificate {}", cert.display()),
        ),
        TlsSource::Acme(acme) => (
            State::Enforced,
            format!(
                "TLS on {listen}, certificate for {} by ACME",
                acme.domains.join(", ")
            ),
        ),
        TlsSource::SelfSigned { .. } => (
            State::Partly,
            format!(
                "TLS on {listen}, with a self-signed certificate, which channels refuse: for trying out"
            ),
        ),
        TlsSource::Off => (
            State::Off,
            format!("plain HTTP on {listen}: what stands in front must end TLS"),
        ),
    }
}

fn backends(bot: &Bot) -> Line {
    let is_safe = |endpoint: &&Endpoint| {
        let is_here = is_on_this_machine(&endpoint.url);
        endpoint.url.scheme() == "https" || endpoint.socket.is_some() || is_here
    };
    let endpoints = bot.backend.endpoints.iter();
    let open: Vec<String> = endpoints.filter(|one| !is_safe(one)).map(server).collect();
    if open.is_empty() {
        (
            State::Enforced,
            "to the bot over TLS, or on this machine".to_owned(),
        )
    } else {
        let open = open.join(", ");
        (
            State::Off,
            format!("to the bot in the clear, over the network: {open}"),
        )
    }
}

fn store(store: &SharedStore) -> Line {
    if store.is_in_the_clear() {
        let servers = shared_store(store);
        let text = format!("to the shared store in the clear, over the network: {servers}");
        (State::Off, text)
    } else {
        (
            State::Enforced,
            "to the shared store over TLS, or on this machine".to_owned(),
        )
    }
}

fn tls_version(settings: &Settings) -> Line {
    let tls = &settings.server.tls;
    match (&tls.source, tls.min_version) {
        (TlsSource::Off, _) => (
            State::Off,
            "no TLS here: what stands in front must refuse less than 1.2".to_owned(),
        ),
        (_, TlsVersion::V1_2) => (State::Enforced, "1.2 and 1.3, nothing older".to_owned()),
        (_, TlsVersion::V1_3) => (State::Enforced, "1.3 only".to_owned()),
    }
}

fn authentication(bot: &Bot) -> Line {
    let kinds: Vec<&str> = bot.expect.kinds().map(TokenKind::word).collect();
    let tokens = format!(
        "RS256 tokens for {} of kind {}, cloud {}, {} s of clock skew",
        bot.expect.app_id,
        kinds.join(", "),
        bot.cloud,
        bot.expect.clock_skew
    );
    let is_skill = bot.expect.kinds().any(|kind| kind == TokenKind::Skill);
    if is_skill && bot.policy.callers.allow == AllowedCallers::Any {
        let text = format!("{tokens}; as a skill every application of every tenant may call");
        return (State::Partly, text);
    }
    if bot.expect.kinds().any(|kind| kind == TokenKind::Emulator) {
        let text = format!("{tokens}; the Emulator's vouch for no service URL: for development");
        return (State::Partly, text);
    }
    match bot.policy.channels.unendorsed.as_slice() {
        [] => (State::Enforced, tokens),
        channels => {
            let channels = channels.join(", ");
            (
                State::Partly,
                format!("{tokens}; without endorsement: {channels}"),
            )
        }
    }
}

fn tenant_restriction(bot: &Bot) -> Line {
    let policy = &bot.policy.tenants;
    let text = format!("{}{}", tenants(bot), softened(policy.mode));
    if policy.allow.is_empty() {
        return (State::Off, text);
    }
    let unnamed = "an activity that names no tenant passes where its channel has none";
    match (policy.mode, policy.required) {
        (Mode::Report, _) => (State::Off, text),
        (Mode::Enforce, true) => (State::Enforced, text),
        (Mode::Enforce, false) => (State::Enforced, format!("{text}; {unnamed}")),
    }
}

fn service_url(settings: &Settings, bot: &Bot) -> Line {
    let policy = &bot.policy.service_urls;
    let text = format!("{}{}", service_urls(settings, bot), softened(policy.mode));
    let is_listed = policy.hosts != HostList::any() && policy.mode == Mode::Enforce;
    (
        if is_listed {
            State::Enforced
        } else {
            State::Partly
        },
        text,
    )
}

fn information(settings: &Settings) -> Line {
    let text = "strangers learn a status and no reason; Server, Via and X-Powered-By of answers are removed";
    match settings.admin {
        Some(address) if !address.ip().is_loopback() => (
            State::Partly,
            format!("{text}; but whoever reaches {address} reads of bots, policies and refusals"),
        ),
        Some(_) | None => (State::Enforced, text.to_owned()),
    }
}

fn retention(settings: &Settings) -> Line {
    match &settings.log.file {
        Some(file) => (
            State::Enforced,
            format!(
                "{} is rotated daily, and deleted after {} days",
                file.display(),
                settings.log.retain_days
            ),
        ),
        None => (
            State::BotTeam,
            "how long the log is kept by what reads standard output (or set log.file and log.retain_days)".to_owned(),
        ),
    }
}

fn direct_line(bot: &Bot) -> Line {
    let policy = &bot.policy.direct_line;
    match (policy.enhanced_authentication, policy.require_dl_user_id, policy.mode) {
        (true, _, Mode::Enforce) if policy.issued_by.is_some() => (
            State::Enforced,
            "enhanced authentication: user ids must be ones that a broker of this gateway made".to_owned(),
        ),
        (true, true, Mode::Enforce) => (
            State::Enforced,
            "enhanced authentication: user ids must start with dl_".to_owned(),
        ),
        (true, true, Mode::Report) => (
            State::Off,
            "enhanced authentication: user ids without dl_ are only reported".to_owned(),
        ),
        (true, false, _) => (
            State::Off,
            "enhanced authentication, but user ids may be what a page makes up".to_owned(),
        ),
        (false, ..) => (
            State::Off,
            "enhanced_authentication is false: user ids of Direct Line and Web Chat may be what a page makes up".to_owned(),
        ),
    }
}

/// What pages are given, and by which word for who their user is.
fn brokers(settings: &Settings) -> impl Iterator<Item = Line> {
    settings.direct_lines.iter().map(|broker| {
        let users = broker.identity.says();
        let origins = broker.origins.as_slice().join(", ");
        let text = format!(
            "broker {}: the secret stays here, {users}, for pages of {origins}",
            broker.name
        );
        (State::Enforced, text)
    })
}

fn data(settings: &Settings) -> Line {
    let never = "no message text, names, attachments or tokens in the log";
    match settings.log.identifiers {
        Identifiers::Omitted => (
            State::Enforced,
            format!("{never}, nor ids of users and conversations"),
        ),
        Identifiers::Hashed => (
            State::Enforced,
            format!(
                "{never}; ids of users and conversations hashed, with a key that ends with the process"
            ),
        ),
        Identifiers::Plain => (
            State::Partly,
            format!("{never}; ids of users and conversations as they are: personal data"),
        ),
    }
}

fn deny_by_default(bot: &Bot) -> Line {
    let policy = &bot.policy;
    let open: Vec<&str> = [
        (bot.route.hosts.is_empty(), "hosts"),
        (policy.channels.allow.is_empty(), "channels"),
        (policy.activities.allow.is_empty(), "activity types"),
    ]
    .into_iter()
    .filter_map(|(is_open, name)| is_open.then_some(name))
    .collect();
    let reported: Vec<&str> = [
        (policy.channels.mode, "channels"),
        (policy.activities.mode, "activity types"),
        (policy.callers.mode, "callers"),
    ]
    .into_iter()
    .filter_map(|(mode, name)| (mode == Mode::Report).then_some(name))
    .collect();
    let mut text = format!("POST of {} with a valid token", bot.route.path);
    if let Some(callback) = &bot.route.callback {
        text.push_str(&format!(
            ", calls of listed skills below {callback}/v3/conversations"
        ));
    }
    text.push_str(", and nothing else");
    if !open.is_empty() {
        text.push_str(&format!("; every one of: {}", open.join(", ")));
    }
    if !reported.is_empty() {
        text.push_str(&format!("; only reported: {}", reported.join(", ")));
    }
    let is_held = open.is_empty() && reported.is_empty();
    (
        if is_held {
            State::Enforced
        } else {
            State::Partly
        },
        text,
    )
}
