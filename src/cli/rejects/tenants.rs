//! Tenants that a bot refused although their tokens were genuine: what an operator may want to allow.
//!
//! Tenants are looked at only after the token's signature, so every line with this reason was sent by a proven caller.

use super::lines::Line;
use super::{Exit, printable};
use crate::judge::{Reason, TenantId};
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::io::{self, Write};

/// The tenants of one bot.
pub(super) struct Tenants<'a> {
    bot: &'a str,
    seen: HashMap<String, Seen>,
    /// Refused for a tenant that is not the one the caller comes from: an activity that names two.
    mixed: HashMap<String, u64>,
    suppressed: u64,
    is_bot_known: bool,
}

#[derive(Default)]
struct Seen {
    refused: u64,
    would_be: u64,
    last: String,
    channels: BTreeSet<String>,
}

impl<'a> Tenants<'a> {
    pub(super) fn new(bot: &'a str) -> Self {
        Self {
            bot,
            seen: HashMap::new(),
            mixed: HashMap::new(),
            suppressed: 0,
            is_bot_known: false,
        }
    }

    pub(super) fn take(&mut self, line: &Line<'_>) {
        let is_about_tenants = line.reason == Reason::TenantNotAllowed.code();
        if line.is_suppressed() && is_about_tenants {
            self.suppressed = self.suppressed.saturating_add(line.count);
        }
        if line.bot != self.bot {
            return;
        }
        self.is_bot_known = true;
        if !line.is_refusal() || !is_about_tenants {
            return;
        }
        // The note says which one was refused: `channelData.tenant.id is 8c1f...`.
        let noted = line.note.rsplit_once(' ').map(|(_, last)| last);
        let (noted, named) = (
            noted.and_then(TenantId::parse),
            TenantId::parse(&line.tenant),
        );
        let Some(tenant) = noted.or(named) else {
            return;
        };
        if named.is_some_and(|named| named != tenant) {
            let count = self.mixed.entry(tenant.to_string()).or_default();
            *count = count.saturating_add(1);
            return;
        }
        let seen = self.seen.entry(tenant.to_string()).or_default();
        let count = if line.is_report() {
            &mut seen.would_be
        } else {
            &mut seen.refused
        };
        *count = count.saturating_add(1);
        if *line.timestamp > *seen.last {
            line.timestamp.as_ref().clone_into(&mut seen.last);
        }
        if !line.channel.is_empty() && seen.channels.len() < MOST_CHANNELS {
            seen.channels.insert(line.channel.as_ref().to_owned());
        }
    }

    /// TOML on `out`; what is no answer on `told`.
    pub(super) fn write(&self, out: &mut dyn Write, told: &mut dyn Write) -> io::Result<Exit> {
        let bot = printable(self.bot);
        if self.seen.is_empty() && self.mixed.is_empty() {
            let why = if self.is_bot_known {
                "has refused no tenant"
            } else {
                "is in no line"
            };
            writeln!(told, "botgate: bot \"{bot}\" {why}; nothing to suggest")?;
            return Ok(Exit::NotSo);
        }
        writeln!(
            out,
            "# Tenants that bot \"{bot}\" refused (tenant_not_allowed) although their tokens were genuine.\n\
             # Whoever runs a bot in Teams can be written to by any tenant: find out whose each is before you let it in.\n\
             # Under [[bots]] name = \"{bot}\"; keep what the list has already, and leave out what you put on \"deny\"."
        )?;
        writeln!(out, "[bots.tenants]\nallow = [")?;
        let mut seen: Vec<(&String, &Seen)> = self.seen.iter().collect();
        seen.sort_by_key(|(tenant, seen)| {
            (Reverse(seen.refused.saturating_add(seen.would_be)), *tenant)
        });
        for (tenant, seen) in seen {
            writeln!(out, "  \"{tenant}\", # {}", seen.told())?;
        }
        writeln!(out, "]")?;
        let mut mixed: Vec<(&String, &u64)> = self.mixed.iter().collect();
        mixed.sort();
        for (tenant, count) in mixed {
            writeln!(
                out,
                "# not suggested: \"{tenant}\", {count} refused: only named in activities that came from another tenant"
            )?;
        }
        if self.suppressed > 0 {
            writeln!(
                out,
                "# {} refusals for a tenant, of whatever bot, were counted in floods and have no line here",
                self.suppressed
            )?;
        }
        Ok(Exit::Good)
    }
}

impl Seen {
    fn told(&self) -> String {
        let mut told = match (self.refused, self.would_be) {
            (refused, 0) => format!("{refused} refused"),
            (0, would_be) => format!("{would_be} would have been refused (report mode)"),
            (refused, would_be) => {
                format!("{refused} refused, {would_be} would have been (report mode)")
            }
        };
        told.push_str(&format!(", last {}", printable(&self.last)));
        if !self.channels.is_empty() {
            let channels: Vec<&str> = self.channels.iter().map(String::as_str).collect();
            told.push_str(&format!(", {}", printable(&channels.join(" "))));
        }
        told
    }
}

const MOST_CHANNELS: usize = 10;
