//! What docs/ tells operators is what the program says: every event, metric and reason, and nothing that is not there.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail by panicking"
)]

use botgate::judge::Reason;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn doc(name: &str) -> String {
    std::fs::read_to_string(root().join("docs").join(name)).unwrap()
}

/// The code of the program: no tests.
fn code() -> String {
    fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && path.file_name().unwrap() != "tests" {
                sources(&path, found);
            } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs")
            {
                found.push(path);
            }
        }
    }
    let mut found = vec![];
    sources(&root().join("src"), &mut found);
    assert!(found.len() > 100, "the sources were not found");
    found.sort();
    let texts = found
        .iter()
        .map(|path| std::fs::read_to_string(path).unwrap());
    let code = texts.map(|text| {
        text.split("#[cfg(test)]\nmod tests")
            .next()
            .unwrap()
            .to_owned()
    });
    code.collect::<Vec<_>>().join("\n")
}

/// What stands between each of these and the next quote.
fn quoted_after<'t>(text: &'t str, before: &'t str) -> impl Iterator<Item = &'t str> {
    text.split(before)
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
}

/// The first cells of the rows of a document's tables that are one word in backticks, with the other cells.
fn rows(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut rows = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let name = cells[0].trim_matches('`');
        let is_word = name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if is_word {
            let rest = cells[1..].iter().map(|cell| (*cell).to_owned()).collect();
            assert!(
                rows.insert(name.to_owned(), rest).is_none(),
                "{name} is there twice"
            );
        }
    }
    rows
}

fn words(cell: &str) -> BTreeSet<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_event_is_documented_and_every_documented_event_is_there() {
    let code = code();
    // What is written when nobody waits for a bot any more is told its event.
    let written: BTreeSet<String> = quoted_after(&code, "event = \"")
        .chain(quoted_after(&code, "later(\""))
        .map(str::to_owned)
        .collect();
    assert!(written.len() > 25, "{written:?}");
    let documented: BTreeSet<String> = rows(&doc("events.md")).into_keys().collect();
    let missing: Vec<_> = written.difference(&documented).collect();
    assert!(
        missing.is_empty(),
        "docs/events.md needs rows for {missing:?}"
    );
    let gone: Vec<_> = documented.difference(&written).collect();
    assert!(
        gone.is_empty(),
        "docs/events.md tells of {gone:?}, which nothing writes"
    );
}

#[test]
fn every_metric_is_documented_with_its_labels() {
    let code = code();
    let written: BTreeSet<String> = quoted_after(&code, "\"botgate_")
        .map(|rest| format!("botgate_{rest}"))
        .collect();
    assert!(written.len() > 25, "{written:?}");
    let documented = rows(&doc("metrics.md"));
    let names = documented
        .keys()
        .filter(|name| name.starts_with("botgate_"));
    let names: BTreeSet<String> = names.cloned().collect();
    let missing: Vec<_> = written.difference(&names).collect();
    assert!(
        missing.is_empty(),
        "docs/metrics.md needs rows for {missing:?}"
    );
    let gone: Vec<_> = names.difference(&written).collect();
    assert!(
        gone.is_empty(),
        "docs/metrics.md tells of {gone:?}, which is not there"
    );
    // Each is described beside its field: `botgate_x{a,b}`.
    for (name, cells) in &documented {
        if !name.starts_with("botgate_") {
            continue;
        }
        let mut described = ["", "{"].iter().filter_map(|next| {
            let start = format!("`{name}{next}");
            let end = if next.is_empty() { "`" } else { "}" };
            let rest = code.split(&start).nth(1)?;
            Some(rest.split_once(end)?.0).filter(|inside| !inside.contains(['{', ' ']))
        });
        let labels = described
            .next_back()
            .unwrap_or_else(|| panic!("no comment describes {name}"));
        let labels: BTreeSet<String> = labels
            .split(',')
            .filter(|label| !label.is_empty())
            .map(str::to_owned)
            .collect();
        assert_eq!(words(&cells[1]), labels, "{name}");
        assert!(
            ["counter", "gauge", "histogram"].contains(&cells[0].as_str()),
            "{name}"
        );
    }
}

#[test]
fn every_reason_has_a_heading_in_the_runbook() {
    let runbook = doc("runbook.md");
    let headings = runbook.lines().filter_map(|line| line.strip_prefix("### "));
    let is_code = |heading: &&str| {
        heading.contains('_') || *heading == "overloaded" || *heading == "draining"
    };
    let found: Vec<&str> = headings.filter(is_code).collect();
    for reason in Reason::ALL {
        let code = reason.code();
        let count = found.iter().filter(|heading| **heading == code).count();
        assert_eq!(count, 1, "docs/runbook.md needs one heading \"### {code}\"");
    }
    for heading in found {
        assert!(
            Reason::ALL.iter().any(|reason| reason.code() == heading),
            "{heading} is no reason"
        );
    }
    // What a heading says has something to do in it.
    for section in runbook.split("\n### ").skip(1) {
        let (heading, text) = section.split_once('\n').unwrap();
        let is_reason = Reason::ALL.iter().any(|reason| reason.code() == heading);
        let says = text.contains("**Do:**") || text.contains("](#");
        assert!(!is_reason || says, "{heading} does not say what to do");
    }
}

#[test]
fn links_between_the_documents_lead_somewhere() {
    let names = std::fs::read_dir(root().join("docs")).unwrap();
    let names: Vec<PathBuf> = names.map(|entry| entry.unwrap().path()).collect();
    let mut links = 0;
    for path in names
        .iter()
        .filter(|path| path.extension().is_some_and(|end| end == "md"))
    {
        let text = std::fs::read_to_string(path).unwrap();
        for rest in text.split("](").skip(1) {
            let link = rest.split(')').next().unwrap();
            if link.contains("://") || link.contains([' ', '\n', '"', '{']) {
                continue;
            }
            links += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() {
                path.clone()
            } else {
                root().join("docs").join(file)
            };
            assert!(target.exists(), "{}: {link}", path.display());
            if !anchor.is_empty() {
                let target = std::fs::read_to_string(target).unwrap();
                assert!(
                    anchors(&target).contains(anchor),
                    "{}: {link}",
                    path.display()
                );
            }
        }
    }
    assert!(links > 30, "only {links} links were found");
}

/// The anchors that GitHub makes of headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let titles = headings.map(|line| line.trim_start_matches('#').trim());
    let anchor = |title: &str| {
        let kept = title.to_lowercase().replace(' ', "-");
        kept.chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
            .collect()
    };
    titles.map(anchor).collect()
}
