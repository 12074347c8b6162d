//! What is legal, and weak all the same: settings that somebody wrote and may regret. Defaults are never among them.

use super::file::Section;
use super::values::duration_text;
use super::{Bot, PageIdentity, Settings, SharedStore, TlsSource};
use std::time::Duration;

/// Warns about every such setting.
pub(super) fn warn(root: &Section<'_>, settings: &Settings) {
    server(&root.table("server"), settings);
    keys(&root.table("keys"), settings);
    state(&root.table("state"), settings);
    for (section, bot) in root.tables("bots").iter().zip(&settings.bots) {
        of_bot(section, bot);
    }
    let counts = settings
        .bots
        .iter()
        .any(|bot| bot.policy.direct_line.issued_by.is_some());
    let brokers = root.tables("direct_line");
    for (section, broker) in brokers.iter().zip(&settings.direct_lines) {
        if !broker.has_id_key && (counts || broker.identity != PageIdentity::Random) {
            section.warn(
                "secret",
                "is also what user ids are made with: when it is exchanged, users become others, and issued_ids_only refuses the old ones",
                "set id_key = \"file:secrets/ids\" with a key of its own (openssl rand -base64 48); ids that were made before stay known",
            );
        }
    }
}

fn server(section: &Section<'_>, settings: &Settings) {
    let server = &settings.server;
    let is_local = server
        .listen
        .iter()
        .all(|address| address.ip().is_loopback());
    let tls = section.table("tls");
    match &server.tls.source {
        TlsSource::SelfSigned { .. } if !is_local => tls.warn(
            "source",
            "is \"self-signed\" while other machines can connect: Microsoft's channels refuse such a certificate",
            "get one from a public authority, and set source = \"files\"",
        ),
        TlsSource::Off if !is_local => tls.warn(
            "source",
            "is \"off\": tokens and messages travel in the clear between trusted_proxies and botgate",
            "let nobody else reach that network, or use source = \"files\" here too",
        ),
        TlsSource::SelfSigned { .. }
        | TlsSource::Off
        | TlsSource::Files { .. }
        | TlsSource::Acme(_) => {}
    }
    let limits = section.table("limits");
    if server.limits.requests_per_ip.interval < BUSIEST {
        limits.warn(
            "requests_per_ip",
            "lets one address send more than 5000 requests a second, which bounds nothing",
            "channels send from many addresses, a few requests each: \"200/s\" is plenty unless a proxy hides them; then name it in trusted_proxies",
        );
    }
    for (key, timeout) in [
        ("header_timeout", server.limits.header_timeout),
        ("body_timeout", server.limits.body_timeout),
    ] {
        if timeout > SLOWEST {
            let shown = duration_text(timeout);
            limits.warn(
                key,
                format!("is \"{shown}\": a client that is slow on purpose holds its connection for so long"),
                "write less, such as \"10s\"; channels need a fraction of a second",
            );
        }
    }
}

fn keys(section: &Section<'_>, settings: &Settings) {
    if settings.keys.clock_skew > MOST_SKEW {
        section.warn(
            "clock_skew",
            "is more than the 5 minutes that Microsoft's SDKs allow: tokens serve longer after they have expired",
            "set this machine's clock by NTP, and leave \"5m\"",
        );
    }
    if settings.keys.max_stale > MOST_STALE {
        section.warn(
            "max_stale",
            "is more than a week: a key that its issuer has withdrawn serves for so long where the issuer cannot be reached",
            "write less, such as \"72h\"",
        );
    }
}

fn state(section: &Section<'_>, settings: &Settings) {
    let store = settings.shared_store.as_ref();
    if store.is_some_and(SharedStore::is_in_the_clear) {
        section.warn(
            "redis",
            "is without TLS and on another machine: the password, and recorded answers of bots, travel in the clear",
            "write rediss:// for TLS, or let nobody else reach that network",
        );
    }
}

fn of_bot(section: &Section<'_>, bot: &Bot) {
    if !bot.policy.channels.unendorsed.is_empty() {
        section.table("channels").warn(
            "unendorsed",
            "names channels for which a key needs no endorsement: any key of the issuer can then speak for them",
            "leave it empty, unless docs/trust.md tells you otherwise for your channels",
        );
    }
    let direct_line = &bot.policy.direct_line;
    if direct_line.enhanced_authentication && !direct_line.require_dl_user_id {
        section.table("direct_line").warn(
            "require_dl_user_id",
            "is false although enhanced authentication is on: a web page can then name any user as the sender",
            "remove it, and issue Direct Line tokens with user ids that begin with \"dl_\"",
        );
    }
    let waits = bot.backend.response_timeout;
    if waits > LONGEST_WAIT && bot.backend.acknowledge_after.is_none() {
        let shown = duration_text(waits);
        section.table("timeouts").warn(
            "response",
            format!("is \"{shown}\", and acknowledge_after is not set: channels give up after 10 to 15 s, and send again or tell the user so"),
            "set acknowledge_after = \"8s\" for a bot that needs so long: docs/slow-bots.md",
        );
    }
}

/// One request per 200 µs.
const BUSIEST: Duration = Duration::from_micros(200);
const SLOWEST: Duration = Duration::from_secs(60);
const MOST_SKEW: Duration = Duration::from_secs(5 * 60);
const MOST_STALE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// The default of `timeouts.response`.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
