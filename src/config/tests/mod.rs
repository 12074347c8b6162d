//! Whole files in, settings or problems out.

mod backends;
mod bots;
mod callers;
mod certificates;
mod clouds;
mod contract;
mod direct_line;
mod fetching;
mod kinds;
mod later;
mod policy;
mod schema;
mod server;
mod state;
mod values;
mod weak;
mod whole_file;

use super::resolve::parse_in;
use super::{Bot, Loaded, Problem, StartFlags};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

/// A bot that nothing is wrong with.
const BOT: &str = r#"
[[bots]]
name = "helpdesk"
app_id = "5f1c8a5e-7f0b-4f3e-9d55-6f2b1b0a9c11"
backend = "http://127.0.0.1:3978/api/messages"
tenants.allow = ["72f988bf-86f1-41af-91ab-2d7cd011db47"]
"#;

/// The end of the line on which a case expects its problem.
const MARK: &str = "#<-";

/// A file with these top-level tables and a good bot.
fn with_server(tables: &str) -> String {
    format!("{tables}\n{BOT}")
}

/// A file with a good bot that also has these keys.
fn with_bot(keys: &str) -> String {
    format!("{BOT}\n{keys}")
}

/// A directory with the certificate that `gateway.toml` asks for by default.
fn directory() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("certs")).unwrap();
    write(
        dir.path(),
        "certs/server.pem",
        "-----BEGIN CERTIFICATE-----\n",
    );
    write(
        dir.path(),
        "certs/server.key",
        "-----BEGIN PRIVATE KEY-----\n",
    );
    dir
}

fn write(dir: &Path, name: &str, content: &str) {
    let path = dir.join(name);
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn environment(name: &str) -> Option<String> {
    match name {
        "APP_ID" => Some("0a1b2c3d-7f0b-4f3e-9d55-6f2b1b0a9c11".to_owned()),
        "PORT" => Some("4000".to_owned()),
        "SECRET" => Some("hunter2".to_owned()),
        "DIRECTORY" => Some("secrets".to_owned()),
        _ => None,
    }
}

fn parse(text: &str) -> Result<Loaded, Vec<Problem>> {
    // One per test, since tests run in threads of their own: most cases only read it.
    thread_local!(static SHARED: tempfile::TempDir = directory());
    SHARED.with(|dir| parse_at(dir.path(), text))
}

fn parse_at(dir: &Path, text: &str) -> Result<Loaded, Vec<Problem>> {
    parse_in(text, dir, StartFlags::default(), &environment)
}

/// The settings of a file without errors.
fn good(text: &str) -> Loaded {
    parse(text).unwrap_or_else(|problems| panic!("{text}\n{}", listed(&problems)))
}

/// The problems of a file: its errors with the warnings, or the warnings alone.
fn problems(text: &str) -> Vec<Problem> {
    parse(text).map_or_else(|problems| problems, |loaded| loaded.warnings)
}

fn listed(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(|problem| format!("{problem}\n"))
        .collect()
}

/// The one problem of a file stands on the marked line, at this key, and says this; `error` or `warning` comes first.
fn assert_problem(text: &str, at: &str, says: &[&str]) {
    let found = problems(text);
    assert_eq!(
        found.len(),
        1,
        "one problem expected\n{text}\n{}",
        listed(&found)
    );
    let problem = &found[0];
    let marked = text
        .lines()
        .zip(1..)
        .find(|(line, _)| line.ends_with(MARK))
        .map(|(_, number)| number);
    let rendered = problem.to_string();
    assert_eq!(problem.line, marked, "{text}\n{rendered}");
    assert_eq!(problem.at, at, "{text}\n{rendered}");
    for words in says {
        assert!(
            rendered.contains(words),
            "{words:?} is missing\n{text}\n{rendered}"
        );
    }
    assert!(!problem.hint.is_empty(), "no hint: {rendered}");
    assert!(
        !rendered.contains("hunter2"),
        "a secret is shown: {rendered}"
    );
}

/// The good bot with these keys, as settings.
fn bot(keys: &str) -> Arc<Bot> {
    Arc::clone(&good(&with_bot(keys)).settings.bots[0])
}

/// The good bot with one of its keys replaced, on a marked line.
fn replaced(key: &str, value: &str) -> String {
    let line = BOT.lines().find(|line| line.starts_with(key)).unwrap();
    BOT.replace(line, &format!("{key} = {value} {MARK}"))
}

fn assert_bot_problem(keys: &str, at: &str, says: &[&str]) {
    assert_problem(
        &with_bot(&format!("{keys} {MARK}")),
        &format!("bots[0].{at}"),
        says,
    );
}
