//! The schema says what the parser does.

use super::*;
use crate::config::about::{ABOUT, NONE};
use crate::config::keys::{Fields, Node, ROOT};
use crate::config::schema::{asked, schema};
use crate::config::wanted::Wanted;
use jsonschema::Validator;
use serde_json::{Value, json};

const SHIPPED: &str = include_str!("../../../gateway.toml");

fn validator() -> Validator {
    let schema = schema();
    assert!(
        jsonschema::draft202012::meta::is_valid(&schema),
        "{schema:#}"
    );
    jsonschema::draft202012::new(&schema).unwrap()
}

fn json_of(text: &str) -> Value {
    let table: toml::Table = text
        .parse()
        .unwrap_or_else(|error| panic!("{error}\n{text}"));
    serde_json::to_value(table).unwrap()
}

fn wrongs(validator: &Validator, text: &str) -> Vec<String> {
    let instance = json_of(text);
    let errors = validator.iter_errors(&instance);
    errors
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

/// Every key and table that the parser knows, by its path; whether it is a value.
fn known(fields: Fields, at: &str, found: &mut Vec<(String, bool)>) {
    for (name, node) in fields {
        let path = if at.is_empty() {
            (*name).to_owned()
        } else {
            format!("{at}.{name}")
        };
        found.push((path.clone(), matches!(node, Node::Value)));
        match node {
            Node::Value => {}
            Node::Table(inner) | Node::Tables(inner) => known(inner, &path, found),
            Node::Named(inner) => {
                found.push((format!("{path}.NAME"), false));
                known(inner, &format!("{path}.NAME"), found);
            }
        }
    }
}

fn all_known() -> Vec<(String, bool)> {
    let mut found = vec![];
    known(ROOT, "", &mut found);
    // A rate and its burst are the same wherever they stand.
    found.retain(|(path, _)| !path.ends_with(".rate") && !path.ends_with(".burst"));
    found
}

#[test]
fn every_key_is_read_and_every_key_that_is_read_is_known() {
    let asked = asked();
    let known = all_known();
    for (path, is_value) in &known {
        let is_quota = asked.wanted.get(path) == Some(&Wanted::Quota);
        assert!(
            !is_value || asked.wanted.contains_key(path),
            "{path} is in keys.rs, but nobody reads it through typed.rs; if only where something else is set, set that in EVERY_TABLE of schema.rs"
        );
        assert!(
            *is_value || is_quota || !asked.wanted.contains_key(path),
            "{path} is a table"
        );
    }
    for path in asked.wanted.keys().chain(&asked.required) {
        assert!(
            known.iter().any(|(known, _)| known == path),
            "{path} is read, and not in keys.rs"
        );
    }
}

#[test]
fn every_key_has_a_sentence_and_no_sentence_is_for_nothing() {
    let known = all_known();
    for (path, _) in &known {
        let rows = ABOUT.iter().filter(|(known, ..)| known == path).count();
        assert_eq!(rows, 1, "about.rs needs one row for {path}");
    }
    for (path, _, default, sentence) in ABOUT {
        assert!(
            known.iter().any(|(known, _)| known == path),
            "{path} is no key"
        );
        assert!(sentence.ends_with('.'), "{path}: {sentence}");
        let is_json = serde_json::from_str::<Value>(default).is_ok();
        assert!(
            is_json || matches!(*default, "" | NONE),
            "{path}: {default}"
        );
    }
}

#[test]
fn what_is_shipped_and_what_spells_out_every_default_is_valid() {
    let validator = validator();
    for text in [SHIPPED, super::contract::EVERY_DEFAULT, BOT] {
        assert_eq!(wrongs(&validator, text), [""; 0], "{text}");
    }
}

#[test]
fn the_defaults_are_the_parsers() {
    let spelled = json_of(super::contract::EVERY_DEFAULT);
    let mut compared = 0;
    compare_defaults(&schema(), &spelled, "", &mut compared);
    assert!(compared > 60, "only {compared} defaults were compared");
}

fn compare_defaults(schema: &Value, spelled: &Value, at: &str, compared: &mut usize) {
    let schema = schema.get("items").unwrap_or(schema);
    let spelled = spelled.get(0).unwrap_or(spelled);
    let Some(properties) = schema["properties"].as_object() else {
        return;
    };
    for (key, inner) in properties {
        let path = format!("{at}.{key}");
        let Some(value) = spelled.get(key) else {
            continue;
        };
        if let Some(default) = inner.get("default") {
            assert_eq!(default, value, "{path}");
            *compared += 1;
        }
        compare_defaults(inner, value, &path, compared);
    }
}

#[test]
fn every_key_that_is_commented_out_in_the_shipped_file_is_valid_there() {
    // What stands behind "# " in the file is TOML, but for the sentences.
    let is_toml = |line: &str| {
        line.starts_with('[')
            || line.split_once(" = ").is_some_and(|(key, _)| {
                !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
            })
    };
    let mut shown = 0;
    let lines = SHIPPED.lines().map(|line| match line.strip_prefix("# ") {
        Some(inner) if is_toml(inner) => {
            shown += 1;
            inner
        }
        Some(_) | None => line,
    });
    let all = lines.collect::<Vec<_>>().join("\n");
    assert!(shown > 40, "only {shown} lines of TOML were found");
    assert_eq!(wrongs(&validator(), &all), [""; 0], "{all}");
}

#[test]
fn a_key_that_the_parser_does_not_know_is_not_valid_in_any_table() {
    let validator = validator();
    let mut spelled = json_of(super::contract::EVERY_DEFAULT);
    let mut tables = 0;
    with_a_stranger_in_each(&mut spelled, "", &mut |whole, at| {
        tables += 1;
        assert!(!validator.is_valid(whole), "a stranger in {at} is valid");
    });
    assert!(tables > 20, "only {tables} tables were tried");
}

/// Puts an unknown key into one table after the other, and shows the whole each time.
fn with_a_stranger_in_each(whole: &mut Value, at: &str, tried: &mut dyn FnMut(&Value, &str)) {
    let Some(here) = whole.pointer_mut(at).and_then(Value::as_object_mut) else {
        return;
    };
    let keys: Vec<String> = here.keys().cloned().collect();
    // Names of clouds are free.
    if at != "/clouds" {
        here.insert("stranger".to_owned(), json!({}));
        tried(whole, at);
        let here = whole
            .pointer_mut(at)
            .and_then(Value::as_object_mut)
            .unwrap();
        here.remove("stranger");
    }
    for key in keys {
        let below = format!("{at}/{key}");
        with_a_stranger_in_each(whole, &below, tried);
        with_a_stranger_in_each(whole, &format!("{below}/0"), tried);
    }
}

#[test]
fn what_the_parser_refuses_by_its_form_is_not_valid_either() {
    let validator = validator();
    for (keys, is_good) in [
        ("timeouts.connect = \"2s\"", true),
        ("timeouts.connect = \"${CONNECT}\"", true),
        ("timeouts.connect = \"file:connect\"", true),
        ("timeouts.connect = \"2 s\"", false),
        ("timeouts.connect = 2", false),
        ("timeouts.acknowledge_after = \"\"", true),
        ("timeouts.acknowledge_after = \"8\"", false),
        ("mode = \"report\"", true),
        ("mode = \"reprot\"", false),
        ("in_flight = 0", false),
        ("in_flight = 1", true),
        ("accept = [\"channel\", \"skill\"]", true),
        ("accept = [\"channels\"]", false),
        ("tenants.deny = [\"contoso.com\"]", false),
        (
            "tenants.deny = \"72f988bf-86f1-41af-91ab-2d7cd011db47\"",
            false,
        ),
        ("tenants.required = \"true\"", false),
        ("service_urls.allow_hosts = \"any\"", true),
        ("service_urls.allow_hosts = \"some\"", false),
        ("service_urls.allow_hosts = [\"*.example.com\"]", true),
        ("rate_limits.per_user = { rate = \"2/s\" }", true),
        ("rate_limits.per_user = { burst = 2 }", false),
        ("rate_limits.per_user = \"2/s\"", false),
    ] {
        let text = with_bot(keys);
        assert_eq!(wrongs(&validator, &text).is_empty(), is_good, "{keys}");
        // The parser refuses at least that; variables and files are not there.
        if !is_good {
            assert!(parse(&text).is_err(), "{keys} is good for the parser");
        }
    }
    for (text, is_good) in [
        ("[server]\nlisten = \"0.0.0.0:8443\"", true),
        ("[server]\nlisten = [\"[::]:8443\"]", true),
        ("[server]\nlisten = \"8443\"", false),
        (
            "[server]\ntrusted_proxies = [\"10.0.0.0/8\", \"2001:db8::1\"]",
            true,
        ),
        ("[server]\ntrusted_proxies = [\"proxy.example\"]", false),
        ("[server.limits]\nbody_bytes = \"1MB\"", false),
        ("[admin]\nlisten = \"\"", true),
        ("[log]\nlevel = \"loud\"", false),
    ] {
        let text = with_server(text);
        assert_eq!(wrongs(&validator, &text).is_empty(), is_good, "{text}");
        assert_eq!(parse(&text).is_ok(), is_good, "{text}");
    }
    for missing in ["name", "app_id", "backend"] {
        let lines = BOT.lines().filter(|line| !line.starts_with(missing));
        let text = lines.collect::<Vec<_>>().join("\n");
        assert!(!wrongs(&validator, &text).is_empty(), "{missing}");
    }
    assert!(!wrongs(&validator, "").is_empty(), "a file without bots");
}
