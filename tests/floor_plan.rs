//! A module may use only modules to its left on the line in `src/lib.rs`; neighbours in one pair of braces do not meet.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "a test may fail by panicking"
)]

use std::path::{Path, PathBuf};

const FLOORS: &[&[&str]] = &[
    &["secret"],
    &["judge"],
    &["config"],
    &["observe"],
    &["net"],
    &["shared"],
    &["keyring", "limit", "tls", "upstream"],
    &["ingress", "directline", "admin"],
    &["app"],
    &["cli"],
];

/// What the deciding room must not touch.
const BANNED_IN_JUDGE: &[&str] = &[
    "tokio::",
    "hyper::",
    "std::fs",
    "std::io",
    "std::net::Tcp",
    "std::net::Udp",
    "std::env",
    "SystemTime",
    "Instant",
    "tracing::",
];

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&module))
}

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found
}

/// The room a file is in: the first folder or file name below `src`.
fn room_of(path: &Path) -> String {
    let below = path
        .strip_prefix(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))
        .unwrap();
    let first = below
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_str()
        .unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// Code without its comments: a doc link to another room is no import.
fn code(text: &str) -> String {
    text.lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

/// First path segments after `crate::`, including those inside a `{...}` group.
fn modules_used(text: &str) -> Vec<String> {
    let mut found = vec![];
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            found.push(first_segment(rest));
            continue;
        };
        let (mut depth, mut start) = (0, 0);
        for (i, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth > 0 => depth -= 1,
                '}' | ',' if depth == 0 => {
                    found.push(first_segment(group[start..i].trim()));
                    start = i + 1;
                    if c == '}' {
                        break;
                    }
                }
                _ => {}
            }
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

fn first_segment(path: &str) -> String {
    path.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

fn wrongs(path: &Path, text: &str) -> Vec<String> {
    let room = room_of(path);
    let text = code(text);
    if room == "lib" || room == "main" {
        return vec![];
    }
    let Some(own) = floor(&room) else {
        return vec![format!("{} has no floor", path.display())];
    };
    let mut wrong = vec![];
    for seen in modules_used(&text) {
        match floor(&seen) {
            Some(other) if seen != room && other >= own => {
                wrong.push(format!("{room} looks up at {seen}: {}", path.display()))
            }
            Some(_) => {}
            // `crate::Name` would go round the rooms through a re-export in lib.rs.
            None => wrong.push(format!("{seen} is no room: {}", path.display())),
        }
    }
    if room == "judge" {
        let touched = BANNED_IN_JUDGE
            .iter()
            .filter(|banned| text.contains(**banned));
        wrong.extend(touched.map(|banned| format!("judge touches {banned}: {}", path.display())));
    }
    wrong
}

#[test]
fn every_import_points_left() {
    let files = sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")));
    assert!(files.len() > 30, "the sources were not found");
    let wrong: Vec<String> = files
        .iter()
        .flat_map(|path| wrongs(path, &std::fs::read_to_string(path).unwrap()))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_line_in_lib_rs_is_the_line_of_this_test() {
    let lib = include_str!("../src/lib.rs");
    let line: Vec<String> = FLOORS
        .iter()
        .map(|rooms| match rooms {
            [one] => format!("`{one}`"),
            several => format!("`{{{}}}`", several.join(", ")),
        })
        .collect();
    assert!(
        lib.contains(&line.join(" · ")),
        "lib.rs does not show: {}",
        line.join(" · ")
    );
}

#[test]
fn the_test_sees_what_it_should_refuse() {
    let judge = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/judge/x.rs"));
    let limit = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/limit/x.rs"));
    assert_eq!(
        wrongs(judge, "use crate::{config::Bot, judge::{A, B}};").len(),
        1
    );
    assert_eq!(
        wrongs(judge, "let now = std::time::SystemTime::now();").len(),
        1
    );
    assert_eq!(wrongs(limit, "use crate::upstream::Upstreams;").len(), 1);
    assert_eq!(
        wrongs(limit, "use crate::judge::Reason; // crate::app").len(),
        0
    );
}
