//! What the Grafana dashboard and the Prometheus rules name is what a real gateway says, and every alert leads into the runbook.

use crate::support::Gateway;
use crate::support::metrics::Page;
use botgate::cli::demo::client::Protocol;
use botgate::judge::Reason;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Labels that Prometheus adds when it scrapes, and metrics of its own.
const OF_THE_SCRAPE: &[&str] = &["instance", "job"];
const ITS_OWN: &[&str] = &["up"];
const RULES: &str = "deploy/prometheus/botgate.rules.yml";

fn file(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// Metrics with their labels, and the values that those had.
type Known = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// A gateway that everything has happened to which some counters wait for.
async fn page() -> Page {
    let gateway = Gateway::with(
        "[server.limits]\nconnections_per_ip = 1\n[bots.timeouts]\nacknowledge_after = \"20s\"",
    )
    .start()
    .await;
    let open = "botgate_connections{state=\"open\"}";
    let closed = async || {
        crate::support::eventually("the connection is closed", async || {
            gateway.metric(open).await < 0.5
        })
        .await;
    };
    gateway.teams_message().send().await.forwarded().await;
    closed().await;
    let held = gateway.client().connect(Protocol::Http1).await.unwrap();
    assert!(gateway.client().connect(Protocol::Http1).await.is_err());
    drop(held);
    closed().await;
    let slack = gateway
        .teams_message()
        .activity(|activity| activity["channelId"] = json!("slack"));
    let reply = slack.send().await;
    reply.refused_after_proof(Reason::ChannelNotEndorsed).await;
    Page::of(&gateway).await
}

/// Those on a page, and those that only a flood brings about, which docs/metrics.md describes (its own test compares it with the source).
fn known(page: &Page) -> Known {
    let mut known = Known::new();
    for metric in page.kinds.keys() {
        let labels = known.entry(metric.clone()).or_default();
        for part in ["", "_bucket", "_sum", "_count"] {
            for sample in page.family(&format!("{metric}{part}")).into_keys() {
                for (label, value) in labels_of(&sample) {
                    labels.entry(label).or_default().insert(value);
                }
            }
        }
    }
    for row in file("docs/metrics.md").lines() {
        let mut cells = row.split('|').map(str::trim).skip(1);
        let (Some(name), Some(_), Some(labels)) = (cells.next(), cells.next(), cells.next()) else {
            continue;
        };
        let Some(name) = name.strip_prefix("`botgate_") else {
            continue;
        };
        let name = format!("botgate_{}", name.trim_end_matches('`'));
        for label in labels.split('`').skip(1).step_by(2) {
            known
                .entry(name.clone())
                .or_default()
                .entry(label.to_owned())
                .or_default();
        }
        known.entry(name).or_default();
    }
    known
}

/// `a` and `1` of `x{a="1"}`.
fn labels_of(text: &str) -> Vec<(String, String)> {
    let Some((_, inside)) = text.split_once('{') else {
        return vec![];
    };
    let inside = inside.split_once('}').map_or(inside, |(inside, _)| inside);
    let mut rest = inside;
    let mut found = vec![];
    while let Some((name, after)) = rest.split_once('"') {
        let (value, behind) = after.split_once('"').expect("a value ends");
        let name = name.trim_matches([',', ' ', '=', '~', '!']);
        found.push((name.to_owned(), value.to_owned()));
        rest = behind;
    }
    found
}

/// The metrics of an expression, each with its selector as written.
fn metrics_of(expression: &str) -> Vec<(String, String)> {
    let mut found = vec![];
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut at = 0;
    let mut in_quotes = false;
    while let Some(c) = expression[at..].chars().next() {
        if c == '"' {
            in_quotes = !in_quotes;
        }
        if in_quotes || !is_name(c) {
            at += c.len_utf8();
            continue;
        }
        let word: String = expression[at..]
            .chars()
            .take_while(|c| is_name(*c))
            .collect();
        at += word.len();
        let rest = &expression[at..];
        let is_metric = ["botgate_", "process_"]
            .iter()
            .any(|start| word.starts_with(start))
            || ITS_OWN.contains(&word.as_str());
        if is_metric {
            let selector = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
            found.push((
                word,
                selector.map_or(String::new(), |(inside, _)| format!("{{{inside}}}")),
            ));
        }
        // Labels of a selector are no metrics.
        if rest.starts_with('{') {
            at += rest.find('}').expect("a selector ends");
        }
    }
    found
}

/// The labels that an expression groups by.
fn grouped_by(expression: &str) -> Vec<String> {
    let lists = expression.split(" by (").skip(1);
    let lists = lists.map(|rest| rest.split_once(')').expect("a list ends").0);
    lists
        .flat_map(|list| list.split(','))
        .map(|label| label.trim().to_owned())
        .collect()
}

/// The labels that a text shows: `{{bot}}`, `{{ $labels.bot }}`.
fn shown(text: &str) -> Vec<String> {
    let inside = text
        .split("{{")
        .skip(1)
        .filter_map(|rest| rest.split_once("}}"));
    let words = inside.map(|(inside, _)| inside.trim());
    words
        .filter(|word| !word.starts_with("$value"))
        .map(|word| word.trim_start_matches("$labels.").to_owned())
        .collect()
}

/// Everything that is wrong with an expression and the texts about it.
fn wrongs(known: &Known, expression: &str, texts: &[&str]) -> Vec<String> {
    let mut wrong = vec![];
    let mut labels: BTreeSet<String> = OF_THE_SCRAPE.iter().map(|l| (*l).to_owned()).collect();
    let metrics = metrics_of(expression);
    if metrics.is_empty() {
        wrong.push(format!("no metric in {expression}"));
    }
    for (metric, selector) in metrics {
        if ITS_OWN.contains(&metric.as_str()) {
            continue;
        }
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|part| {
            metric
                .strip_suffix(part)
                .filter(|base| known.contains_key(*base))
        });
        let Some(has) = known.get(base.unwrap_or(&metric)) else {
            wrong.push(format!("there is no {metric}: {expression}"));
            continue;
        };
        labels.extend(has.keys().cloned());
        for (label, value) in labels_of(&selector) {
            if OF_THE_SCRAPE.contains(&label.as_str()) {
                continue;
            }
            let Some(values) = has.get(&label) else {
                wrong.push(format!("{metric} has no label {label}: {expression}"));
                continue;
            };
            // Values of verdicts are told by the documentation, which the scenarios compare with the program.
            let is_there = |word: &str| match label.as_str() {
                "reason" if metric == "botgate_requests_total" => is_reason(word),
                "verdict" => ["forwarded", "rejected", "would_reject", "abandoned"].contains(&word),
                _ => values.contains(word),
            };
            for word in value.split('|').filter(|word| !word.starts_with('$')) {
                if !is_there(word) {
                    wrong.push(format!("{metric} has no {label}={word:?}: {expression}"));
                }
            }
        }
    }
    let used = grouped_by(expression)
        .into_iter()
        .chain(texts.iter().flat_map(|text| shown(text)));
    for label in used.filter(|label| !labels.contains(label)) {
        wrong.push(format!("nothing has the label {label}: {expression}"));
    }
    wrong
}

/// Whether a word is the code of a reason, or a pattern `x_.*` that fits one.
fn is_reason(word: &str) -> bool {
    Reason::ALL
        .iter()
        .any(|reason| match word.strip_suffix(".*") {
            Some(start) => reason.code().starts_with(start),
            None => reason.code() == word,
        })
}

#[tokio::test]
async fn what_dashboards_and_alerts_name_is_what_the_gateway_says() {
    let known = known(&page().await);
    let mut wrong = vec![];
    let dashboard: Value = file("deploy/grafana/botgate.json").parse().unwrap();
    let mut expressions = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            expressions += 1;
            let text = |key: &str| target[key].as_str().unwrap();
            wrong.extend(wrongs(&known, text("expr"), &[text("legendFormat")]));
        }
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        if let Some(query) = variable["definition"].as_str() {
            expressions += 1;
            wrong.extend(wrongs(&known, query, &[]));
            let label = query.rsplit_once(", ").unwrap().1.trim_end_matches(')');
            assert!(["job", "instance", "bot"].contains(&label), "{query}");
        }
    }
    for alert in alerts() {
        expressions += 1;
        wrong.extend(wrongs(
            &known,
            &alert.expr,
            &[&alert.summary, &alert.description],
        ));
    }
    assert!(
        expressions > 60,
        "only {expressions} expressions were found"
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_would_be_wrong_is_found() {
    let mut known = Known::new();
    let values = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let labels = [
        ("bot".to_owned(), values(&[])),
        ("verdict".to_owned(), values(&[])),
        ("reason".to_owned(), values(&[])),
    ];
    known.insert("botgate_requests_total".to_owned(), labels.into());
    let state = [("state".to_owned(), values(&["open"]))];
    known.insert("botgate_connections".to_owned(), state.into());
    for (expression, text, is_good) in [
        (
            "sum by (bot) (rate(botgate_requests_total{reason=~\"token_.*|overloaded\"}[5m]))",
            "{{bot}}",
            true,
        ),
        (
            "botgate_connections{state=\"open\",instance=~\"$instance\"} > 1",
            "{{ $labels.instance }}",
            true,
        ),
        ("botgate_connections{state=\"shut\"}", "", false),
        ("botgate_connexions", "", false),
        (
            "rate(botgate_requests_total{reason=\"token_stolen\"}[5m])",
            "",
            false,
        ),
        (
            "rate(botgate_requests_total{verdict=\"refused\"}[5m])",
            "",
            false,
        ),
        ("rate(botgate_requests_total{tenant=\"x\"}[5m])", "", false),
        ("sum by (tenant) (botgate_requests_total)", "", false),
        ("sum by (bot) (botgate_requests_total)", "{{tenant}}", false),
        ("1", "", false),
    ] {
        let wrong = wrongs(&known, expression, &[text]);
        assert_eq!(wrong.is_empty(), is_good, "{expression}: {wrong:?}");
    }
}

/// One rule, as its lines say.
#[derive(Default)]
struct Alert {
    name: String,
    expr: String,
    severity: String,
    summary: String,
    description: String,
    runbook_url: String,
}

/// The alerts of the rule file. `promtool check rules` reads it as YAML; here the lines are enough.
fn alerts() -> Vec<Alert> {
    let mut alerts: Vec<Alert> = vec![];
    let mut in_expr = false;
    for line in file(RULES).lines() {
        let indent = line.len() - line.trim_start().len();
        let (key, value) = line.trim().split_once(':').unwrap_or((line.trim(), ""));
        let value = value.trim().trim_matches('"').to_owned();
        if let Some("alert") = key.strip_prefix("- ") {
            alerts.push(Alert {
                name: value,
                ..Alert::default()
            });
            continue;
        }
        let Some(alert) = alerts.last_mut() else {
            continue;
        };
        if in_expr && indent > 8 {
            alert.expr.push_str(line.trim());
            alert.expr.push(' ');
            continue;
        }
        in_expr = key == "expr" && value == "|";
        match key {
            "expr" if !in_expr => alert.expr = value,
            "severity" => alert.severity = value,
            "summary" => alert.summary = value,
            "description" => alert.description = value,
            "runbook_url" => alert.runbook_url = value,
            _ => {}
        }
    }
    alerts
}

/// The anchors of a Markdown file, as GitHub makes them of headings.
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

#[test]
fn every_alert_says_how_bad_it_is_and_leads_to_a_heading_of_the_runbook() {
    let anchors = anchors(&file("docs/runbook.md"));
    let alerts = alerts();
    assert!(alerts.len() > 15, "only {} alerts were found", alerts.len());
    let mut names = BTreeSet::new();
    for alert in &alerts {
        let name = &alert.name;
        assert!(names.insert(name.clone()), "{name} is there twice");
        assert!(
            ["critical", "warning", "info"].contains(&alert.severity.as_str()),
            "{name}"
        );
        assert!(
            !alert.summary.is_empty() && !alert.description.is_empty(),
            "{name}"
        );
        let anchor = alert.runbook_url.strip_prefix("docs/runbook.md#");
        let anchor = anchor.unwrap_or_else(|| panic!("{name}: {}", alert.runbook_url));
        assert!(
            anchors.contains(anchor),
            "{name}: the runbook has no heading for #{anchor}"
        );
    }
}

#[test]
fn the_dashboard_asks_for_its_data_source_and_has_no_panel_upon_another() {
    let dashboard: Value = file("deploy/grafana/botgate.json").parse().unwrap();
    let variable = &dashboard["templating"]["list"][0];
    assert_eq!(
        (&variable["name"], &variable["type"]),
        (&json!("datasource"), &json!("datasource"))
    );
    let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        for x in at("x")..at("x") + at("w") {
            assert!(x < 24, "{panel}");
            for y in at("y")..at("y") + at("h") {
                assert!(cells.insert((x, y)), "{} lies upon another", panel["title"]);
            }
        }
        if panel["type"] != "row" {
            assert_eq!(
                panel["datasource"]["uid"], "${datasource}",
                "{}",
                panel["title"]
            );
        }
    }
}
