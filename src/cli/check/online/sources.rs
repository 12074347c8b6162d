//! The keys of every source in use, and this machine's clock against the servers' that publish them.

use super::{Findings, Place, Places};
use crate::config::{KeyOrigin, KeySource, Settings, Severity};
use crate::judge::UnixSeconds;
use crate::keyring;
use crate::net::clock;
use std::time::{Duration, UNIX_EPOCH};
use tokio::time::Instant;

/// Tokens are taken with a tolerance of minutes; a clock that is off by this much is not kept by anyone.
const CLOCK_WARNS: Duration = Duration::from_secs(30);

pub(super) async fn try_out(settings: &Settings, places: &Places, findings: &mut Findings) {
    for source in &settings.key_sources {
        let place = Place {
            key: "keys",
            line: line(source, places),
        };
        let from = keyring::first_address(source).map_or_else(
            || "a local file".to_owned(),
            |address| format!("as {address} says"),
        );
        let asked = Instant::now();
        match keyring::fetch_once(settings, source).await {
            Ok(keys) => {
                findings.good(
                    "keys",
                    format!(
                        "{}: {} key{}, {from}, in {} ms",
                        source.issuer,
                        keys.len(),
                        if keys.len() == 1 { "" } else { "s" },
                        asked.elapsed().as_millis()
                    ),
                );
                for why in keys.skipped() {
                    let what = format!("of {}: a key is left out: {why}", source.issuer);
                    let hint = "nothing to do, unless tokens are refused with token_key_unknown";
                    findings.note(Severity::Warning, &place, what, hint);
                }
            }
            Err(why) => {
                let what = format!("of {} cannot be fetched: {why}", source.issuer);
                findings.note(Severity::Error, &place, what, hint(source, &why));
                // The same host would be waited for a second time.
                continue;
            }
        }
        let clock = Place {
            key: "keys",
            line: places.lines.keys,
        };
        compare_clocks(settings, source, &clock, findings).await;
    }
}

/// Where the address of a source stands: in its cloud, or, for a built-in one, what is said of keys.
fn line(source: &KeySource, places: &Places) -> Option<u32> {
    // As `KeySource::name` has it: CLOUD, CLOUD+entra, CLOUD+TENANT.
    let (cloud, is_entra) = match source.name.split_once('+') {
        Some((cloud, _)) => (cloud, true),
        None => (source.name.as_str(), false),
    };
    match places.lines.clouds.get(cloud) {
        Some([channel, entra]) => *if is_entra { entra } else { channel },
        None => places.lines.keys,
    }
}

/// What to do where keys cannot be fetched; until then tokens of that issuer are answered 503.
fn hint(source: &KeySource, why: &str) -> &'static str {
    const ANSWERED: &[&str] = &[
        ": status ",
        ": issuer is ",
        ": not OpenID metadata",
        ": not a key set",
        ": the key set",
    ];
    if matches!(source.origin, KeyOrigin::File(_)) {
        "put a key set (JWKS) there; tokens of this issuer are answered 503 without"
    } else if ANSWERED.iter().any(|words| why.contains(words)) {
        "something answers there, but not with this issuer's keys: correct the address, or look at what stands between; tokens of this issuer are answered 503 without keys"
    } else {
        "let this machine reach that address, directly or by keys.proxy; tokens of this issuer are answered 503 without keys"
    }
}

async fn compare_clocks(
    settings: &Settings,
    source: &KeySource,
    place: &Place<'_>,
    findings: &mut Findings,
) {
    let Some(address) = keyring::first_address(source) else {
        return;
    };
    let UnixSeconds(before) = clock::now();
    let date = keyring::date_of(settings, source).await;
    let UnixSeconds(after) = clock::now();
    let theirs = date
        .ok()
        .flatten()
        .and_then(|date| httpdate::parse_http_date(&date).ok())
        .and_then(|date| date.duration_since(UNIX_EPOCH).ok());
    let Some(theirs) = theirs else {
        findings.good("clock", format!("not compared: {address} sends no Date"));
        return;
    };
    // Their second began somewhere between the two.
    let theirs = theirs.as_secs();
    let (off, way) = if theirs > after {
        (theirs.saturating_sub(after), "behind")
    } else {
        (before.saturating_sub(theirs), "ahead of")
    };
    let off = Duration::from_secs(off);
    if off < CLOCK_WARNS {
        findings.good(
            "clock",
            format!("{} s from that of {address}", off.as_secs()),
        );
        return;
    }
    let severity = if off > settings.keys.clock_skew {
        Severity::Error
    } else {
        Severity::Warning
    };
    let what = format!(
        "needs a right clock: this machine's is {} s {way} that of {address}, and keys.clock_skew allows {} s",
        off.as_secs(),
        settings.keys.clock_skew.as_secs()
    );
    findings.note(
        severity,
        place,
        what,
        "synchronise the clock (NTP); a larger clock_skew lets expired tokens live longer",
    );
}
