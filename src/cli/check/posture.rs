//! What a configuration enforces, a line each.

use super::guidelines;
use crate::config::{
    Bot, DirectLine, Endpoint, Quota, Settings, SharedStore, StoreServers, TlsSource,
};
use crate::judge::{AllowedCallers, HostList, Mode, OnReject, TenantId, TokenKind};
use std::collections::HashSet;
use std::io::{self, Write};
use std::time::Duration;

/// Writes what the gateway and each of its bots enforce.
pub(super) fn write(settings: &Settings, out: &mut dyn Write) -> io::Result<()> {
    let server = &settings.server;
    let listen: Vec<String> = server.listen.iter().map(ToString::to_string).collect();
    let tls = match &server.tls.source {
        TlsSource::Off => "no TLS here".to_owned(),
        TlsSource::SelfSigned { dir, .. } => {
            format!("self-signed certificate in {}", dir.display())
        }
        TlsSource::Files { cert, .. } => format!("certificate {}", cert.display()),
        TlsSource::Acme(acme) => format!(
            "certificate for {} from {}",
            acme.domains.join(", "),
            acme.directory
        ),
    };
    let limits = &server.limits;
    writeln!(out, "gateway")?;
    row(out, "listens on", &format!("{}, {tls}", listen.join(", ")))?;
    for sni in &server.tls.sni {
        let shown = format!(
            "{}: certificate {}",
            sni.names.join(", "),
            sni.cert.display()
        );
        row(out, "names", &shown)?;
    }
    if let Some(authority) = &server.tls.client_ca {
        let wanted = format!("only with a certificate of {}", authority.display());
        row(out, "clients", &wanted)?;
    }
    row(
        out,
        "admin",
        &settings
            .admin
            .map_or_else(|| "off".to_owned(), |address| address.to_string()),
    )?;
    let arrival = quota(&limits.requests_per_ip);
    row(
        out,
        "limits",
        &format!(
            "{arrival} per address, body {} bytes, JSON depth {}",
            limits.body_bytes, limits.json.depth
        ),
    )?;
    if let Some(store) = &settings.shared_store {
        let way = if store.is_in_the_clear() {
            "in the clear"
        } else if store.tls.is_some() {
            "over TLS"
        } else {
            "on this machine"
        };
        let away = if store.denies_without {
            "requests are refused (503)"
        } else {
            "each gateway counts for itself"
        };
        let shown = format!("{}, {way}; while it is away {away}", shared_store(store));
        row(out, "shared store", &shown)?;
    }
    for bot in &settings.bots {
        writeln!(out, "bot {}", bot.name)?;
        for (name, value) in posture(settings, bot) {
            row(out, name, &value)?;
        }
    }
    for broker in &settings.direct_lines {
        writeln!(out, "broker {}", broker.name)?;
        for (name, value) in of_broker(broker) {
            row(out, name, &value)?;
        }
    }
    writeln!(out)?;
    guidelines::write(settings, out)
}

fn row(out: &mut dyn Write, name: &str, value: &str) -> io::Result<()> {
    writeln!(out, "  {name:<13} {value}")
}

/// What pages get of one broker, and what not, a line each.
fn of_broker(broker: &DirectLine) -> Vec<(&'static str, String)> {
    let hosts = listed(&broker.route.hosts, "any host");
    let secrets = match broker.secrets.len() {
        1 => "one secret".to_owned(),
        more => format!("{more} secrets"),
    };
    let ids = if broker.has_id_key {
        "signed with id_key"
    } else {
        "signed with a key made of the secret"
    };
    let sessions = broker.max_session.map_or_else(
        || "renewed for as long as pages want".to_owned(),
        |max| format!("renewed for {} s", max.as_secs()),
    );
    let (per_ip, per_session) = (quota(&broker.per_ip), quota(&broker.per_session));
    vec![
        ("served at", format!("{hosts} {}", broker.route.path)),
        ("pages of", broker.origins.as_slice().join(", ")),
        ("Direct Line", format!("{}, by {secrets}", broker.endpoint)),
        ("users", format!("{}, ids {ids}", broker.identity.says())),
        ("sessions", sessions),
        (
            "limits",
            format!("{per_ip} per address, {per_session} per session"),
        ),
    ]
}

/// What is enforced for one bot, a line each.
fn posture(settings: &Settings, bot: &Bot) -> Vec<(&'static str, String)> {
    let policy = &bot.policy;
    let kinds: Vec<&str> = bot.expect.kinds().map(TokenKind::word).collect();
    let hosts = if bot.route.hosts.is_empty() {
        "any host".to_owned()
    } else {
        bot.route.hosts.join(", ")
    };
    let on_reject = match policy.tenants.on_reject {
        OnReject::Refuse => "",
        OnReject::Swallow => ", refused ones answered 200",
    };
    let activities = listed(&policy.activities.allow, "every type");
    let denied = match policy.activities.deny_invoke.as_slice() {
        [] => String::new(),
        names => format!(", but not invoke {}", names.join(", ")),
    };
    let mut rows = vec![
        (
            "app id",
            format!(
                "{}, {} tokens of cloud {}",
                bot.expect.app_id,
                kinds.join(", "),
                bot.cloud
            ),
        ),
        ("served at", format!("{hosts} {}", bot.route.path)),
        ("backend", backend(bot)),
        ("callers", callers(bot)),
        (
            "tenants",
            format!(
                "{}{on_reject}{}",
                tenants(bot),
                softened(policy.tenants.mode)
            ),
        ),
        (
            "channels",
            format!("{}{}", channels(bot), softened(policy.channels.mode)),
        ),
        (
            "activities",
            format!("{activities}{denied}{}", softened(policy.activities.mode)),
        ),
        (
            "service URLs",
            format!(
                "{}{}",
                service_urls(settings, bot),
                softened(policy.service_urls.mode)
            ),
        ),
        (
            "rate limits",
            format!("{}{}", rate_limits(bot), softened(bot.rate_limits.mode)),
        ),
    ];
    let slow = slow(bot);
    if !slow.is_empty() {
        rows.push(("slow bot", slow.join("; ")));
    }
    rows
}

/// What is done about channels that do not wait.
fn slow(bot: &Bot) -> Vec<String> {
    let acknowledged = bot.backend.acknowledge_after;
    let acknowledged = acknowledged.map(|mark| format!("messages answered 202 after {mark:?}"));
    let repeats = bot
        .redelivery_window
        .map(|window| format!("repeats answered by the gateway for {window:?}"));
    acknowledged.into_iter().chain(repeats).collect()
}

/// Every server of the bot, and how they are asked whether they are well.
fn backend(bot: &Bot) -> String {
    let servers: Vec<String> = bot.backend.endpoints.iter().map(server).collect();
    let servers = servers.join(", ");
    match &bot.backend.health {
        None => servers,
        Some(health) => {
            // The query may hold a key.
            let path = health.path_and_query.split('?').next().unwrap_or_default();
            format!("{servers}; GET {path} every {:?}", health.every)
        }
    }
}

/// The URL without its query, which may hold a key; of a Unix socket as the file has it.
pub(super) fn server(endpoint: &Endpoint) -> String {
    let mut url = endpoint.url.clone();
    if url.query().is_some() {
        url.set_query(Some("..."));
    }
    match &endpoint.socket {
        None => url.to_string(),
        Some(_) => format!(
            "unix:{}:{}",
            endpoint.name,
            &url[url::Position::BeforePath..]
        ),
    }
}

/// Where gateways count together.
pub(super) fn shared_store(store: &SharedStore) -> String {
    let servers = store.named_servers().iter().map(|(host, port)| {
        if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        }
    });
    let servers = servers.collect::<Vec<_>>().join(", ");
    match &store.servers {
        StoreServers::One { .. } => servers,
        StoreServers::Cluster(_) => format!("cluster of {servers}"),
        StoreServers::Sentinel { master, .. } => format!("{master} by the sentinels {servers}"),
    }
}

pub(super) fn softened(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "",
        Mode::Report => " (report only)",
    }
}

fn listed(items: &[String], none: &str) -> String {
    if items.is_empty() {
        none.to_owned()
    } else {
        items.join(", ")
    }
}

pub(super) fn tenants(bot: &Bot) -> String {
    let sorted = |tenants: &HashSet<TenantId>| {
        let mut ids: Vec<String> = tenants.iter().map(ToString::to_string).collect();
        ids.sort();
        ids
    };
    let policy = &bot.policy.tenants;
    let mut text = listed(&sorted(&policy.allow), "every tenant");
    if !policy.deny.is_empty() {
        text.push_str(&format!(", but not {}", sorted(&policy.deny).join(", ")));
    }
    if policy.required {
        text.push_str(", one must be named");
    }
    text
}

fn channels(bot: &Bot) -> String {
    let policy = &bot.policy.channels;
    let mut text = listed(&policy.allow, "every channel the key is endorsed for");
    if !policy.unendorsed.is_empty() {
        text.push_str(&format!(
            "; without any endorsement: {}",
            policy.unendorsed.join(", ")
        ));
    }
    text
}

pub(super) fn service_urls(settings: &Settings, bot: &Bot) -> String {
    let hosts = &bot.policy.service_urls.hosts;
    let of_cloud = settings
        .clouds
        .iter()
        .filter(|cloud| cloud.name == bot.cloud)
        .find(|cloud| {
            HostList::parse(cloud.service_url_hosts.iter().map(String::as_str))
                .is_ok_and(|list| list == *hosts)
        });
    let takes = |kind: TokenKind| bot.expect.kinds().any(|taken| taken == kind);
    let on = match of_cloud {
        _ if *hosts == HostList::any() => "any host".to_owned(),
        Some(cloud) => format!("on hosts of cloud {}", cloud.name),
        None => "on hosts listed in the file".to_owned(),
    };
    let each = [
        (
            takes(TokenKind::Channel),
            format!("as the token says, {on}"),
        ),
        (
            takes(TokenKind::Skill) || takes(TokenKind::Agent),
            "skills and agents: any on listed hosts".to_owned(),
        ),
        (
            takes(TokenKind::Emulator),
            "the Emulator: this machine, and hosts named for this bot".to_owned(),
        ),
    ];
    let told: Vec<String> = each
        .into_iter()
        .filter_map(|(applies, text)| applies.then_some(text))
        .collect();
    told.join("; ")
}

/// Who may call with an Entra token.
fn callers(bot: &Bot) -> String {
    let policy = &bot.policy.callers;
    let each = bot.expect.kinds().map(|kind| match kind {
        TokenKind::Channel => "channels".to_owned(),
        TokenKind::Emulator => "the Emulator, with this bot's own credentials".to_owned(),
        TokenKind::Agent => "the agent platform, for listed tenants".to_owned(),
        TokenKind::Skill => match &policy.allow {
            AllowedCallers::Any => format!("any application{}", softened(policy.mode)),
            AllowedCallers::Listed(listed) => {
                let mut ids: Vec<&str> = listed.iter().map(String::as_str).collect();
                ids.sort_unstable();
                let ids = if ids.is_empty() {
                    "none".to_owned()
                } else {
                    ids.join(" ")
                };
                format!("bots {ids}{}", softened(policy.mode))
            }
        },
    });
    each.collect::<Vec<_>>().join("; ")
}

pub(in crate::cli) fn rate_limits(bot: &Bot) -> String {
    let limits = &bot.rate_limits;
    let each = [
        ("bot", &limits.per_bot),
        ("tenant", &limits.per_tenant),
        ("conversation", &limits.per_conversation),
        ("user", &limits.per_user),
    ];
    let set: Vec<String> = each
        .into_iter()
        .filter_map(|(name, limit)| limit.map(|limit| format!("{} per {name}", quota(&limit))))
        .collect();
    listed(&set, "none")
}

/// A quota as a rate in the largest unit that keeps it a whole number.
pub(in crate::cli) fn quota(quota: &Quota) -> String {
    let units = [("s", 1), ("m", 60), ("h", 3600)];
    let per =
        |seconds: u64| Duration::from_secs(seconds).as_secs_f64() / quota.interval.as_secs_f64();
    let (unit, rate) = units
        .into_iter()
        .map(|(unit, seconds)| (unit, per(seconds)))
        .find(|(_, rate)| *rate >= 1.0 && (rate - rate.round()).abs() < 0.001 * rate)
        .unwrap_or(("h", per(3600)));
    format!("{rate:.0}/{unit} (burst {})", quota.burst)
}
