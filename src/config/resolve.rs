//! From file to `Settings`, gathering every problem before returning.

use super::bots::{self, Surroundings};
use super::file::{Environment, Reading, Section};
use super::roots::KeySources;
use super::server;
use super::text::read_file;
use super::{
    Files, Identifiers, Log, LogFormat, Problem, Settings, Severity, Written, clouds, direct_line,
    fetching, keys, state, weak,
};
use crate::judge::direct_line::Issuer;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use toml::de::DeTable;
use tracing::level_filters::LevelFilter;

/// What the command line adds to the file.
#[derive(Clone, Copy, Debug, Default)]
pub struct StartFlags {
    /// `--allow-self-signed`.
    pub allow_self_signed: bool,
    /// `--danger-accept-emulator-in-public`.
    pub danger_accept_emulator_in_public: bool,
}

/// Settings and the warnings that came with them.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Warnings, in file order.
    pub warnings: Vec<Problem>,
    /// The line of `server.tls.cert`, or of its table: what is wrong inside a PEM is found only when it is loaded.
    pub certificate_line: Option<u32>,
    /// The lines of what can only be tried out.
    pub lines: Lines,
    /// The file as it was written.
    pub written: Written,
}

/// One reading of a file, whatever came of it.
#[derive(Debug)]
pub struct Attempt {
    /// As [`load`] has it.
    pub outcome: Result<Loaded, Vec<Problem>>,
    /// The file itself, and every file whose content is a part of the settings, as far as it was read.
    pub files: Files,
}

/// Where settings stand whose truth is found outside the file.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    /// `[keys]`, or what stands for it.
    pub keys: Option<u32>,
    /// `state.redis`.
    pub store: Option<u32>,
    /// `channel_metadata` and `entra_metadata` of each of `[clouds]`, by its name.
    pub clouds: HashMap<String, [Option<u32>; 2]>,
    /// `hosts` of each bot.
    pub hosts: Vec<Option<u32>>,
    /// `backend` of each bot.
    pub backends: Vec<Option<u32>>,
    /// `secret` of each broker.
    pub direct_lines: Vec<Option<u32>>,
}

/// Reads and checks a file.
///
/// # Errors
/// Every problem of the file (errors and warnings), in file order.
pub fn load(path: &Path, flags: StartFlags) -> Result<Loaded, Vec<Problem>> {
    attempt(path, flags).outcome
}

/// As [`load`], with the files that were read: also where the outcome is that one of them has to change.
pub fn attempt(path: &Path, flags: StartFlags) -> Attempt {
    const MAX_BYTES: u64 = 4 * 1024 * 1024;
    let mut files = Files::default();
    let content = read_file(path, MAX_BYTES);
    files.note(path, content.as_deref());
    let outcome = content
        .map_err(|error| {
            whole_file(
                format!("cannot be read: {error}"),
                "name the configuration file with --config, or create gateway.toml here",
            )
        })
        .and_then(|text| {
            String::from_utf8(text)
                .map_err(|_| whole_file("is not UTF-8".to_owned(), "save it as UTF-8"))
        })
        .and_then(|text| {
            let dir = path.parent().unwrap_or(Path::new(""));
            let reading = Reading::new(&text, dir, &|name| std::env::var(name).ok());
            let outcome = resolve(&text, &reading, flags);
            files.extend(reading.files());
            outcome
        });
    Attempt { outcome, files }
}

/// Checks a text; `dir` is what relative paths start from.
///
/// # Errors
/// As [`load`].
pub fn parse(text: &str, dir: &Path, flags: StartFlags) -> Result<Loaded, Vec<Problem>> {
    parse_in(text, dir, flags, &|name| std::env::var(name).ok())
}

/// As [`parse`], in a given environment.
pub(super) fn parse_in(
    text: &str,
    dir: &Path,
    flags: StartFlags,
    environment: Environment<'_>,
) -> Result<Loaded, Vec<Problem>> {
    resolve(text, &Reading::new(text, dir, environment), flags)
}

fn resolve(text: &str, reading: &Reading<'_>, flags: StartFlags) -> Result<Loaded, Vec<Problem>> {
    let document = DeTable::parse(text).map_err(|error| vec![not_toml(reading, text, &error)])?;
    let root = reading.root(document.get_ref());
    keys::refuse_unknown(&root);
    let settings = settings(&root, flags);
    if !reading.has_errors() {
        weak::warn(&root, &settings);
    }
    let certificate_line = root.table("server").table("tls").line("cert");
    let bots = root.tables("bots");
    let brokers = root.tables("direct_line");
    let clouds = root.table("clouds");
    let metadata = |name: &str| {
        let cloud = clouds.table(name);
        ["channel_metadata", "entra_metadata"].map(|key| cloud.line(key))
    };
    let lines = Lines {
        keys: root.table("keys").line("refresh"),
        store: root.table("state").line("redis"),
        clouds: clouds
            .keys()
            .map(|name| (name.to_owned(), metadata(name)))
            .collect(),
        hosts: bots.iter().map(|bot| bot.line("hosts")).collect(),
        backends: bots.iter().map(|bot| bot.line("backend")).collect(),
        direct_lines: brokers.iter().map(|it| it.line("secret")).collect(),
    };
    drop((bots, brokers, clouds));
    let problems = reading.problems();
    if problems.iter().any(Problem::is_error) {
        return Err(problems);
    }
    // Not earlier: a number that is too large for TOML's is better told where it is read.
    let written = text
        .parse()
        .map_err(|error| vec![not_toml(reading, text, &error)])?;
    Ok(Loaded {
        settings,
        warnings: problems,
        certificate_line,
        lines,
        written: Written::new(written),
    })
}

/// A syntax error. Only a key is quoted: what stands on the line may be a secret.
fn not_toml(reading: &Reading<'_>, text: &str, error: &toml::de::Error) -> Problem {
    let line = error.span().map(|span| reading.line(span.start));
    let message = error.message().trim_end_matches(", expected nothing");
    let (key, hint) = if message == "duplicate key" {
        let key = error
            .span()
            .and_then(|span| text.get(span))
            .unwrap_or_default();
        (
            format!(" {key:?}"),
            "it stands further up already; write each key and table once, and [[bots]] before the tables of that bot",
        )
    } else {
        (
            String::new(),
            "text, durations and addresses stand in quotes: key = \"value\"; lists in [ ], with commas; see https://toml.io",
        )
    };
    let what = format!("is not TOML here: {message}{key}");
    Problem {
        severity: Severity::Error,
        at: String::new(),
        line,
        what,
        hint: hint.to_owned(),
    }
}

fn whole_file(what: String, hint: &str) -> Vec<Problem> {
    vec![Problem {
        severity: Severity::Error,
        at: String::new(),
        line: None,
        what,
        hint: hint.to_owned(),
    }]
}

/// Everything the file says. Complete only when no error was noted.
pub(super) fn settings(root: &Section<'_>, flags: StartFlags) -> Settings {
    let server = root.table("server");
    let listen = server::listen(&server);
    let admin = server::admin(&root.table("admin"), &listen);
    let keys = fetching::read(&root.table("keys"));
    let mut sources = KeySources::default();
    let around = direct_line::Around {
        clock_skew: keys.clock_skew,
        proxy_protocol: server.flag("proxy_protocol", false),
    };
    let brokers = direct_line::read(root, &around, &mut sources);
    let issuers: Arc<[Arc<Issuer>]> = brokers.iter().map(|it| Arc::clone(&it.issuer)).collect();
    let surroundings = Surroundings {
        issuers: &issuers,
        clouds: &clouds::read(root),
        listen: &listen,
        is_behind_proxy: server.value("trusted_proxies").is_some_and(|proxies| {
            proxies
                .get_ref()
                .as_array()
                .is_some_and(|list| !list.is_empty())
        }),
        clock_skew: keys.clock_skew,
        allow_emulator: flags.danger_accept_emulator_in_public,
    };
    let bots = bots::read(root, &surroundings, sources);
    fetching::check_environment(&root.table("keys"), &bots.key_sources);
    let mut guests = bots.as_guests();
    let hosts = brokers.iter().flat_map(|broker| &broker.route.hosts);
    guests.hosts.extend(hosts.cloned());
    let server = server::read(&server, listen.clone(), &guests, flags);
    direct_line::refuse_twins(root, &brokers, &bots.bots);
    Settings {
        server,
        admin,
        log: log(&root.table("log")),
        keys,
        clouds: bots.clouds,
        key_sources: bots.key_sources,
        shared_store: state::read(&root.table("state")),
        bots: bots.bots,
        direct_lines: brokers,
    }
}

fn log(section: &Section<'_>) -> Log {
    let formats = [("json", LogFormat::Json), ("text", LogFormat::Text)];
    let levels = [
        ("info", LevelFilter::INFO),
        ("error", LevelFilter::ERROR),
        ("warn", LevelFilter::WARN),
        ("debug", LevelFilter::DEBUG),
        ("trace", LevelFilter::TRACE),
    ];
    let choices = [
        ("hashed", Identifiers::Hashed),
        ("plain", Identifiers::Plain),
        ("omitted", Identifiers::Omitted),
    ];
    let identifiers = section.one_of("identifiers", Identifiers::Hashed, &choices);
    if identifiers == Identifiers::Plain {
        let what = "is \"plain\": the log will hold personal data (user and conversation ids)";
        section.warn(
            "identifiers",
            what,
            "use \"hashed\" unless you may keep such data",
        );
    }
    let file = section.path("file");
    if file
        .as_ref()
        .is_some_and(|file| file.exists() && !file.is_file())
    {
        section.error(
            "file",
            "names something that is no file",
            "name a file that may be written and renamed each day, or leave it out: the log then goes to standard output",
        );
    }
    let retain_days = section.count("retain_days", 30, 1..=3650);
    if file.is_none() && retain_days != 30 {
        section.warn(
            "retain_days",
            "has no effect without log.file",
            "name a file, or let whatever keeps standard output delete old lines",
        );
    }
    Log {
        format: section.one_of("format", LogFormat::Json, &formats),
        level: section.one_of("level", LevelFilter::INFO, &levels),
        identifiers,
        file,
        retain_days: u16::try_from(retain_days).unwrap_or(u16::MAX),
    }
}
