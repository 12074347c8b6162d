//! Counts refusals by one of their fields.

use super::lines::Line;
use super::{By, printable};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::io::{self, Write};

/// The refusals of a log.
pub(super) struct Summary {
    by: By,
    groups: HashMap<String, Group>,
    first: String,
    last: String,
    refused: u64,
    would_be: u64,
    suppressed: u64,
}

#[derive(Default)]
struct Group {
    refused: u64,
    would_be: u64,
    suppressed: u64,
    last: String,
    /// Of by reason: the bots. Else: the reasons.
    with: HashMap<String, u64>,
}

impl Summary {
    pub(super) fn new(by: By) -> Self {
        Self {
            by,
            groups: HashMap::new(),
            first: String::new(),
            last: String::new(),
            refused: 0,
            would_be: 0,
            suppressed: 0,
        }
    }

    pub(super) fn take(&mut self, line: &Line<'_>) {
        let (refused, would_be, suppressed) = match () {
            () if line.is_suppressed() => (0, 0, line.count),
            () if !line.is_refusal() => return,
            () if line.is_report() => (0, 1, 0),
            () => (1, 0, 0),
        };
        add(&mut self.refused, refused);
        add(&mut self.would_be, would_be);
        add(&mut self.suppressed, suppressed);
        if self.first.is_empty() || *line.timestamp < *self.first {
            line.timestamp.as_ref().clone_into(&mut self.first);
        }
        later(&mut self.last, &line.timestamp);
        let key: &str = match self.by {
            By::Reason => &line.reason,
            By::Tenant => &line.tenant,
            By::Channel => &line.channel,
            By::Client => &line.client_ip,
        };
        let key = match key {
            "" => NONE,
            _ if self.groups.len() >= MOST_GROUPS && !self.groups.contains_key(key) => OTHERS,
            key => key,
        };
        let group = self.groups.entry(key.to_owned()).or_default();
        add(&mut group.refused, refused);
        add(&mut group.would_be, would_be);
        add(&mut group.suppressed, suppressed);
        later(&mut group.last, &line.timestamp);
        let with: &str = match self.by {
            By::Reason => &line.bot,
            By::Tenant | By::Channel | By::Client => &line.reason,
        };
        if !with.is_empty() && (group.with.len() < MOST_WITH || group.with.contains_key(with)) {
            let count = group.with.entry(with.to_owned()).or_default();
            add(
                count,
                refused.saturating_add(would_be).saturating_add(suppressed),
            );
        }
    }

    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.groups.is_empty() {
            return writeln!(out, "nothing was refused");
        }
        write!(out, "{} refused", self.refused)?;
        if self.would_be > 0 {
            write!(out, ", {} would have been (report mode)", self.would_be)?;
        }
        if self.suppressed > 0 {
            write!(
                out,
                ", {} more counted in floods without a line each",
                self.suppressed
            )?;
        }
        writeln!(
            out,
            "; from {} to {}\n",
            printable(&self.first),
            printable(&self.last)
        )?;
        let (key, with) = match self.by {
            By::Reason => ("REASON", "BOTS"),
            By::Tenant => ("TENANT", "REASONS"),
            By::Channel => ("CHANNEL", "REASONS"),
            By::Client => ("CLIENT", "REASONS"),
        };
        let mut groups: Vec<(&String, &Group)> = self.groups.iter().collect();
        groups.sort_by_key(|(key, group)| (Reverse(group.in_all()), *key));
        let shown = groups.iter().take(MOST_ROWS);
        let rows: Vec<[String; 6]> = shown.map(|(key, group)| group.row(key)).collect();
        let heads = [key, "REFUSED", "REPORT", "FLOOD", "LAST SEEN", with];
        table(&heads.map(str::to_owned), &rows, out)?;
        match groups.len().saturating_sub(MOST_ROWS) {
            0 => Ok(()),
            more => writeln!(out, "... and {more} with fewer"),
        }
    }
}

impl Group {
    fn in_all(&self) -> u64 {
        self.refused
            .saturating_add(self.would_be)
            .saturating_add(self.suppressed)
    }

    fn row(&self, key: &str) -> [String; 6] {
        let number = |number: u64| match number {
            0 => "-".to_owned(),
            number => number.to_string(),
        };
        let mut with: Vec<(&String, &u64)> = self.with.iter().collect();
        with.sort_by_key(|(name, count)| (Reverse(**count), *name));
        let shown = with
            .iter()
            .take(SHOWN_WITH)
            .map(|(name, count)| format!("{} {count}", printable(name)));
        let mut shown: Vec<String> = shown.collect();
        if with.len() > SHOWN_WITH {
            shown.push("...".to_owned());
        }
        [
            printable(key),
            number(self.refused),
            number(self.would_be),
            number(self.suppressed),
            printable(&self.last),
            shown.join(", "),
        ]
    }
}

fn table(heads: &[String; 6], rows: &[[String; 6]], out: &mut dyn Write) -> io::Result<()> {
    let mut widths = [0; 6];
    for row in std::iter::once(heads).chain(rows) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in std::iter::once(heads).chain(rows) {
        let mut line = String::new();
        for (position, (cell, width)) in row.iter().zip(widths).enumerate() {
            let cell = if (1..=3).contains(&position) {
                format!("{cell:>width$}  ")
            } else {
                format!("{cell:width$}  ")
            };
            line.push_str(&cell);
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn add(to: &mut u64, count: u64) {
    *to = to.saturating_add(count);
}

fn later(last: &mut String, time: &str) {
    if *time > **last {
        time.clone_into(last);
    }
}

/// The key of lines that have none.
const NONE: &str = "(none)";
/// The key of what does not fit.
const OTHERS: &str = "(others)";
/// Addresses are the callers' to choose: a log of a flood has very many.
const MOST_GROUPS: usize = 100_000;
const MOST_WITH: usize = 100;
/// Rows that are written, the most frequent: what comes after them in a flood is noise.
const MOST_ROWS: usize = 200;
const SHOWN_WITH: usize = 3;
