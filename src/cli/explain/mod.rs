//! `explain`: every rule's answer to one saved request, in the gateway's order, with what was expected and what was seen.
//!
//! The rules are asked by [`judge::explain`]; here the request, the keys and the time come from files, and the answers go to
//! people. Nothing is forwarded, and nothing that was saved is changed.

mod decoded;
mod keys;
mod remedy;
mod report;
mod saved;
mod text;

use super::Exit;
use crate::config::{self, Bot, Settings, StartFlags};
use crate::judge::explain::{Explanation, HeadLimits, Inquiry, Judged, SavedHead, explain};
use crate::judge::{self, Bearer, Place, Rejection, Routes, UnixSeconds};
use crate::net::clock;
use bytes::Bytes;
use clap::Args;
use decoded::Decoded;
use keys::FoundKeys;
use report::Report;
pub use saved::{ReadRequest, read_request};
use saved::{Saved, SavedRequest};
use std::io::{self, Write};
use std::path::PathBuf;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// What is asked.
#[derive(Debug, Args)]
#[command(
    override_usage = "botgate explain --request FILE [OPTIONS]\n       botgate explain --token-file FILE --activity FILE [OPTIONS]"
)]
pub(super) struct Options {
    /// Whose rules: the name of a bot in the configuration file. A request leads to its bot by itself, and one bot alone needs no name.
    #[arg(long, value_name = "NAME")]
    bot: Option<String>,
    /// A saved HTTP/1.1 request: request line, headers, an empty line, body.
    #[arg(long, value_name = "FILE", required_unless_present = "token_file", conflicts_with_all = ["token_file", "activity"])]
    request: Option<PathBuf>,
    /// A saved token; "Bearer", or the whole "Authorization: Bearer", may stand before it.
    #[arg(long, value_name = "FILE", requires = "activity")]
    token_file: Option<PathBuf>,
    /// The activity that came with the token, as received.
    #[arg(long, value_name = "FILE", requires = "token_file")]
    activity: Option<PathBuf>,
    /// The time to judge at, as 2026-11-22T13:47:32Z or in Unix seconds; now if not given.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    at: Option<UnixSeconds>,
    /// A key set (JWKS) in place of the one that the gateway keeps in keys.cache_dir.
    #[arg(long, value_name = "FILE", conflicts_with = "live")]
    keys: Option<PathBuf>,
    /// Fetch the keys now, as the gateway does.
    #[arg(long)]
    live: bool,
    /// One JSON object in place of text.
    #[arg(long)]
    json: bool,
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = "gateway.toml")]
    config: PathBuf,
}

/// Reads `2026-11-22T13:47:32Z` or Unix seconds.
fn moment(text: &str) -> Result<UnixSeconds, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(UnixSeconds(seconds));
    }
    OffsetDateTime::parse(text, &Rfc3339)
        .ok()
        .and_then(|moment| u64::try_from(moment.unix_timestamp()).ok())
        .map(UnixSeconds)
        .ok_or_else(|| "write it as 2026-11-22T13:47:32Z, or in seconds since 1970".to_owned())
}

/// What keeps the question from being answered, and how the command ends then.
struct Trouble(Exit, String);

impl Trouble {
    fn usage(what: impl Into<String>) -> Self {
        Self(Exit::Usage, what.into())
    }
}

/// Explains: [`Exit::Good`] if the request would be forwarded, [`Exit::NotSo`] if not.
///
/// # Errors
/// What `out` says.
pub(super) fn run(options: &Options, out: &mut dyn Write) -> io::Result<Exit> {
    let answered = answer(options);
    let report = match answered {
        Ok(report) => report,
        Err(Trouble(exit, what)) => {
            let _ = writeln!(io::stderr(), "{what}");
            return Ok(exit);
        }
    };
    if options.json {
        let json = serde_json::to_string_pretty(&report)?;
        writeln!(out, "{}", text::plain_json(&json))?;
    } else {
        text::write(&report, out)?;
    }
    Ok(if report.is_forwarded() {
        Exit::Good
    } else {
        Exit::NotSo
    })
}

fn answer(options: &Options) -> Result<Report, Trouble> {
    let settings = settings(options)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Trouble(Exit::Internal, format!("botgate: {error}")))?;
    runtime.block_on(asked(options, &settings))
}

/// The settings. Nothing is started here, so no flag of `run` is asked for.
fn settings(options: &Options) -> Result<Settings, Trouble> {
    let flags = StartFlags {
        allow_self_signed: true,
        danger_accept_emulator_in_public: true,
    };
    match config::load(&options.config, flags) {
        Ok(loaded) => Ok(loaded.settings),
        Err(problems) => {
            let file = options.config.display().to_string();
            let lines = problems
                .iter()
                .filter(|problem| problem.is_error())
                .map(|problem| problem.in_file(&file).to_string());
            Err(Trouble(
                Exit::Configuration,
                lines.collect::<Vec<_>>().join("\n"),
            ))
        }
    }
}

async fn asked(options: &Options, settings: &Settings) -> Result<Report, Trouble> {
    let limits = &settings.server.limits;
    let saved = Saved::read(options, limits).await.map_err(Trouble::usage)?;
    let route = saved
        .request
        .as_ref()
        .map(|request| route(request, settings));
    let bot = bot_of(options, settings, route.as_ref())?;
    let now = options.at.unwrap_or_else(clock::now);

    let trust = match (bot, &saved.token) {
        (Some(bot), Ok(bearer)) => bot.expect.trust(bearer.claimed()).ok(),
        (None, _) | (_, Err(_)) => None,
    };
    let given = options.keys.as_deref().map(keys::given).transpose();
    let found = match (trust, given.map_err(Trouble::usage)?) {
        (Some(_), Some(given)) => given,
        (Some(trust), None) => keys::find(options, settings, trust).await,
        (None, _) => FoundKeys::not_needed(),
    };
    let decoded = saved.token_text.as_deref().map(Decoded::of);
    let Saved {
        request,
        token,
        body,
        remarks,
        ..
    } = saved;
    let kid = token.as_ref().ok().map(|token| token.key_id().to_owned());
    let inquiry = Inquiry {
        bot: bot.map(|bot| Judged {
            expect: &bot.expect,
            policy: &bot.policy,
        }),
        head: request
            .as_ref()
            .zip(route)
            .map(|(request, route)| SavedHead {
                head: request.head.as_ref().map_err(Clone::clone),
                framing: request.framing.clone(),
                route: route.map(|(bot, place)| (bot.name.clone(), place)),
                announced: request.announced.clone(),
                limits: HeadLimits {
                    bytes: limits.header_bytes,
                    fields: limits.headers,
                    body_bytes: limits.body_bytes,
                },
                served: served(settings),
            }),
        token,
        keys: found.keys.clone(),
        body,
        body_bytes: limits.body_bytes,
        json: limits.json,
        now,
        budgets: budgets(settings, bot),
    };
    let explanation: Explanation = explain(&inquiry);
    Ok(Report::new(report::Told {
        explanation: &explanation,
        bot,
        now,
        decoded,
        kid,
        found,
        remarks,
        version: request
            .as_ref()
            .and_then(|request| request.head.as_ref().ok())
            .map(|head| head.version),
        sent_token: !matches!(
            inquiry.token.as_ref().map_err(Rejection::reason),
            Err(judge::Reason::TokenMissing)
        ),
    })
    .await)
}

/// The bot that a request leads to.
fn route<'s>(
    request: &SavedRequest,
    settings: &'s Settings,
) -> Result<(&'s Bot, Place), Rejection> {
    let head = request.head.as_ref().map_err(Clone::clone)?;
    let routes = Routes::new(settings.bots.iter().map(|bot| &bot.route));
    let host = judge::host_of(head)?;
    let (position, place) = routes.find(&host, head.uri.path())?;
    let bot = settings.bots.get(position).map(AsRef::as_ref);
    bot.map(|bot| (bot, place))
        .ok_or_else(|| judge::Reason::PathNotFound.into())
}

/// Whose rules are asked: the one that is named, the one the request leads to, the only one.
fn bot_of<'s>(
    options: &Options,
    settings: &'s Settings,
    route: Option<&Result<(&'s Bot, Place), Rejection>>,
) -> Result<Option<&'s Bot>, Trouble> {
    let routed = route.and_then(|route| route.as_ref().ok().map(|(bot, _)| *bot));
    let names = || {
        let names = settings.bots.iter().map(|bot| bot.name.as_str());
        names.collect::<Vec<_>>().join(", ")
    };
    let Some(wanted) = &options.bot else {
        return match (routed, settings.bots.as_slice()) {
            (Some(bot), _) => Ok(Some(bot)),
            (None, [only]) => Ok(Some(only)),
            (None, _) if route.is_some() => Ok(None),
            (None, _) => Err(Trouble::usage(format!(
                "say whose rules to ask: --bot NAME, one of {}",
                names()
            ))),
        };
    };
    let named = settings.bots.iter().find(|bot| bot.name == *wanted);
    match (named, routed) {
        (None, _) => Err(Trouble::usage(format!(
            "there is no bot {wanted:?} in {}; its bots are {}",
            options.config.display(),
            names()
        ))),
        (Some(named), Some(routed)) if named.index != routed.index => Err(Trouble::usage(format!(
            "host and path of the request lead to bot {:?}, so the gateway never asks the rules of {wanted:?}; leave --bot away, or give token and activity by --token-file and --activity",
            routed.name
        ))),
        (Some(named), _) => Ok(Some(named)),
    }
}

fn served(settings: &Settings) -> String {
    let each = settings.bots.iter().map(|bot| {
        let hosts = match bot.route.hosts.as_slice() {
            [] => "any host".to_owned(),
            hosts => hosts.join(" or "),
        };
        let callback = match &bot.route.callback {
            Some(prefix) => format!(", callbacks below {prefix:?}"),
            None => String::new(),
        };
        format!("{}: {hosts}, path {:?}{callback}", bot.name, bot.route.path)
    });
    each.collect::<Vec<_>>().join("; ")
}

fn budgets(settings: &Settings, bot: Option<&Bot>) -> [String; 2] {
    use super::check::quota;
    let per_address = quota(&settings.server.limits.requests_per_ip);
    let per_bot = bot.map(super::check::rate_limits);
    [
        format!("{per_address} of one address"),
        per_bot.unwrap_or_else(|| "none".to_owned()),
    ]
}

/// What a file may hold at most: more than any limit of the gateway lets through.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// Reads a file whole, within that bound.
fn read_file(path: &std::path::Path) -> Result<Bytes, String> {
    use std::io::Read as _;
    let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let file = std::fs::File::open(path).map_err(|error| wrong(&error))?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES)
        .read_to_end(&mut bytes)
        .map_err(|error| wrong(&error))?;
    if u64::try_from(bytes.len()).is_ok_and(|len| len >= MAX_FILE_BYTES) {
        return Err(wrong(&"larger than 64 MiB"));
    }
    Ok(bytes.into())
}

/// A token as it stands in a file: the header's name, a first word "Bearer", blanks and line ends around it do not count.
fn token_in(text: &str) -> &str {
    let text = text.trim();
    let text = match text.split_once(':') {
        Some((name, value)) if name.eq_ignore_ascii_case("Authorization") => value.trim(),
        Some(_) | None => text,
    };
    match text.split_once(|c: char| c.is_ascii_whitespace()) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("Bearer") => token.trim(),
        _ => text,
    }
}

fn parse_token(text: &str) -> Result<Bearer, Rejection> {
    Bearer::parse(text)
}

#[cfg(test)]
mod tests {
    use super::token_in;

    #[test]
    fn a_token_is_found_however_it_was_saved() {
        for saved in [
            "a.b.c",
            " a.b.c\r\n",
            "Bearer a.b.c",
            "bearer  a.b.c\n",
            "Authorization: Bearer a.b.c\r\n",
            "authorization:Bearer a.b.c",
        ] {
            assert_eq!(token_in(saved), "a.b.c", "{saved:?}");
        }
        assert_eq!(token_in("Basic a:b"), "Basic a:b");
    }
}
