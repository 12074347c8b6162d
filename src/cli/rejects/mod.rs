//! `rejects`: what was refused, from the log; and which tenants an operator may have forgotten.

mod lines;
mod summary;
mod tenants;

use super::Exit;
use crate::net::clock;
use clap::{Args, ValueEnum};
use lines::{Counts, Line, Lines};
use std::fs::File;
use std::io::{self, BufReader, IsTerminal as _, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use summary::Summary;
use tenants::Tenants;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

/// What is asked.
#[derive(Debug, Args)]
pub struct Options {
    /// Log files, packed (.gz) or not, and "-" for standard input, which is read when there is none.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Only what is not older: "30m", "1h", "7d".
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    since: Option<Duration>,
    /// What to count by.
    #[arg(
        long,
        value_enum,
        default_value = "reason",
        conflicts_with = "suggest_tenants"
    )]
    by: By,
    /// Print TOML with the tenants that this bot refused although their tokens were genuine.
    #[arg(long, value_name = "BOT")]
    suggest_tenants: Option<String>,
}

/// What refused requests are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// Why.
    Reason,
    /// The tenant that the request line names.
    Tenant,
    /// `channelId` of the activity.
    Channel,
    /// The client's address.
    Client,
}

/// Reads what the command line names, writes to standard output, and tells of trouble on standard error.
pub(super) fn main(options: &Options) -> io::Result<Exit> {
    let stdin = io::stdin();
    if options.files.is_empty() && stdin.is_terminal() {
        let told = "botgate: name log files, or pipe a log in: journalctl -u botgate -o cat | botgate rejects";
        writeln!(io::stderr(), "{told}")?;
        return Ok(Exit::Usage);
    }
    let now = OffsetDateTime::from_unix_timestamp(clock::now().0.cast_signed());
    let now = now.map_err(io::Error::other)?;
    let mut out = io::stdout().lock();
    run(
        options,
        &mut stdin.lock(),
        now,
        &mut out,
        &mut io::stderr().lock(),
    )
}

/// The same with everything given.
///
/// # Errors
/// What `out` and `told` say. A log that cannot be read to its end is told, and [`Exit::Usage`]; the others are read all the same.
pub fn run(
    options: &Options,
    stdin: &mut dyn Read,
    now: OffsetDateTime,
    out: &mut dyn Write,
    told: &mut dyn Write,
) -> io::Result<Exit> {
    // Times of the log sort as text: all are of one length and in UTC.
    let since = match options.since {
        None => String::new(),
        Some(since) => match now.checked_sub(time::Duration::try_from(since).unwrap_or_default()) {
            Some(since) => since.format(SECOND).map_err(io::Error::other)?,
            None => String::new(),
        },
    };
    let mut summary = Summary::new(options.by);
    let mut tenants = options.suggest_tenants.as_deref().map(Tenants::new);
    let mut counts = Counts::default();
    let mut unread = 0_usize;
    let stdin_alone = [PathBuf::from("-")];
    let files = if options.files.is_empty() {
        &stdin_alone[..]
    } else {
        &options.files
    };
    for file in files {
        let mut take = |line: &Line<'_>| {
            if line.timestamp.as_ref() < since.as_str() {
                return;
            }
            match &mut tenants {
                Some(tenants) => tenants.take(line),
                None => summary.take(line),
            }
        };
        if let Err(error) = read(file, stdin, &mut counts, &mut take) {
            let file = printable(&file.display().to_string());
            writeln!(told, "botgate: {file}: {error}")?;
            unread = unread.saturating_add(1);
        }
    }
    if unread == files.len() && counts.good == 0 {
        return Ok(Exit::Usage);
    }
    if counts.broken > 0 {
        let hint = if counts.good == 0 {
            "; only logs with log.format = \"json\" can be read"
        } else {
            ""
        };
        let (broken, all) = (counts.broken, counts.broken.saturating_add(counts.good));
        writeln!(
            told,
            "botgate: {broken} of {all} lines are no lines of the log and were left out{hint}"
        )?;
        if counts.good == 0 {
            return Ok(Exit::NotSo);
        }
    }
    let exit = match tenants {
        None => summary.write(out).map(|()| Exit::Good)?,
        Some(tenants) => tenants.write(out, told)?,
    };
    // What could be read was; that it was not all must not go unnoticed in a script.
    Ok(if unread > 0 { Exit::Usage } else { exit })
}

fn read(
    file: &Path,
    stdin: &mut dyn Read,
    counts: &mut Counts,
    take: &mut dyn FnMut(&Line<'_>),
) -> io::Result<()> {
    if file == Path::new("-") {
        Lines::of(BufReader::new(stdin))?.each(counts, take)
    } else {
        Lines::of(BufReader::new(File::open(file)?))?.each(counts, take)
    }
}

/// As durations of the configuration, and days.
fn duration(text: &str) -> Result<Duration, String> {
    let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];
    units
        .into_iter()
        .find_map(|(unit, seconds)| {
            let number = text.strip_suffix(unit)?.parse::<u64>().ok()?;
            number.checked_mul(seconds)
        })
        .map(Duration::from_secs)
        .ok_or_else(|| {
            "write a whole number with a unit, such as \"30m\", \"1h\" or \"7d\"".to_owned()
        })
}

/// What a client sent, fit for a terminal: nothing in it moves the cursor, hides, or turns the direction of writing.
fn printable(text: &str) -> String {
    text.chars()
        .fold(String::with_capacity(text.len()), |mut shown, one| {
            let is_hidden = matches!(one, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
            if one.is_control() || is_hidden {
                shown.extend(one.escape_unicode());
            } else {
                shown.push(one);
            }
            shown
        })
}

/// The beginning of the log's own times.
const SECOND: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");

#[cfg(test)]
mod tests;
