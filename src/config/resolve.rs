//! From file to `Settings`, gathering every problem before returning.

use super::bots::{self, Surroundings};
use super::file::{Environment, Reading, Section};
use super::server::{self, MOMENT, hours, seconds};
use super::text::read_file;
use super::{
    Identifiers, Keys, Log, LogFormat, Problem, Settings, Severity, backend, clouds, keys,
};
use crate::secret::Secret;
use std::path::Path;
use std::time::Duration;
use toml::de::DeTable;
use tracing::level_filters::LevelFilter;
use url::Url;

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
}

/// Reads and checks a file.
///
/// # Errors
/// Every problem of the file (errors and warnings), in file order.
pub fn load(path: &Path, flags: StartFlags) -> Result<Loaded, Vec<Problem>> {
    const MAX_BYTES: u64 = 4 * 1024 * 1024;
    let text = read_file(path, MAX_BYTES).map_err(|error| {
        whole_file(
            format!("cannot be read: {error}"),
            "name the configuration file with --config, or create gateway.toml here",
        )
    })?;
    let text = String::from_utf8(text)
        .map_err(|_| whole_file("is not UTF-8".to_owned(), "save it as UTF-8"))?;
    parse(&text, path.parent().unwrap_or(Path::new("")), flags)
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
    let reading = Reading::new(text, dir, environment);
    let document = DeTable::parse(text).map_err(|error| vec![not_toml(&reading, text, &error)])?;
    let root = reading.root(document.get_ref());
    keys::refuse_unknown(&root);
    let settings = settings(&root, flags);
    let certificate_line = root.table("server").table("tls").line("cert");
    let problems = reading.into_problems();
    if problems.iter().any(Problem::is_error) {
        return Err(problems);
    }
    Ok(Loaded {
        settings,
        warnings: problems,
        certificate_line,
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
fn settings(root: &Section<'_>, flags: StartFlags) -> Settings {
    let server = root.table("server");
    let listen = server::listen(&server);
    let admin = server::admin(&root.table("admin"), &listen);
    let keys = keys_of(&root.table("keys"));
    let surroundings = Surroundings {
        clouds: &clouds::read(root),
        listen: &listen,
        clock_skew: keys.clock_skew,
        allow_emulator: flags.danger_accept_emulator_in_public,
    };
    let bots = bots::read(root, &surroundings);
    let server = server::read(&server, listen.clone(), &bots.as_guests(), flags);
    refuse_later(root);
    Settings {
        server,
        admin,
        log: log(&root.table("log")),
        keys,
        clouds: bots.clouds,
        key_sources: bots.key_sources,
        bots: bots.bots,
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
    if section.path("file").is_some() {
        section.not_yet(
            "file",
            "a log file",
            "remove it, or set it to \"\": the log goes to standard output",
        );
    }
    if section.count("retain_days", 30, 1..=3650) != 30 {
        section.no_effect_yet("retain_days", "a log file with rotation");
    }
    Log {
        format: section.one_of("format", LogFormat::Json, &formats),
        level: section.one_of("level", LevelFilter::INFO, &levels),
        identifiers,
    }
}

fn keys_of(section: &Section<'_>) -> Keys {
    let proxy = proxy(section);
    backend::pem(section, "ca_file", "CERTIFICATE-----");
    let cache_dir = if section.has("cache_dir") {
        section.path("cache_dir")
    } else {
        Some(section.reading.dir.join("var/keys"))
    };
    let refresh = section.duration("refresh", hours(6), MOMENT..=hours(24));
    let max_stale = section.duration("max_stale", hours(72), MOMENT..=hours(24 * 365));
    if max_stale < refresh {
        let what = "is shorter than keys.refresh: keys would expire before they are fetched again";
        section.warn(
            "max_stale",
            what,
            "make it longer than refresh, such as \"72h\"",
        );
    }
    Keys {
        refresh,
        unknown_key_refresh: section.duration(
            "unknown_key_refresh",
            seconds(60),
            MOMENT..=hours(24),
        ),
        max_stale,
        cache_dir,
        fetch_timeout: section.duration("fetch_timeout", seconds(10), MOMENT..=hours(1)),
        ca_file: section.path("ca_file"),
        proxy,
        clock_skew: section.duration("clock_skew", seconds(300), Duration::ZERO..=seconds(600)),
    }
}

/// `keys.proxy`. May hold a password, so it is never shown.
fn proxy(section: &Section<'_>) -> Option<Secret<Url>> {
    let text = section
        .text("proxy")
        .filter(|text| !text.value.is_empty())?;
    let url = Url::parse(&text.value)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if url.is_none() {
        text.error(
            "is not the address of a proxy",
            "write keys.proxy = \"http://proxy.example:3128\"; a user name and password can stand in it, best as \"${NAME}\"",
        );
    }
    url.map(Secret::new)
}

/// What the file as a whole can ask for only in a later version.
fn refuse_later(root: &Section<'_>) {
    let state = root.table("state");
    if state.one_of(
        "store",
        "memory",
        &[("memory", "memory"), ("redis", "redis")],
    ) == "redis"
    {
        state.not_yet(
            "store",
            "a shared store",
            "use store = \"memory\": each gateway counts for itself",
        );
    }
    if state
        .text("redis")
        .is_some_and(|text| !text.value.is_empty())
    {
        state.not_yet(
            "redis",
            "a shared store",
            "remove it: each gateway counts for itself",
        );
    }
    if state.one_of(
        "on_store_failure",
        false,
        &[("local", false), ("deny", true)],
    ) {
        state.no_effect_yet("on_store_failure", "a shared store");
    }
    for broker in root.tables("direct_line") {
        for key in ["name", "path", "secret", "endpoint"] {
            broker.check_string(key);
        }
        let _ = (broker.list("trusted_origins"), broker.quota("per_ip"));
        broker.not_yet_here("a Direct Line token broker", "remove this table");
    }
}
