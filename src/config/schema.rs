//! The JSON Schema of `gateway.toml`: the keys that the parser knows, as it asks for them when it reads.

use super::about::{ABOUT, About, Form, NONE};
use super::file::Reading;
use super::keys::{Fields, Node, ROOT};
use super::resolve::settings;
use super::wanted::{Asked, Unit, Wanted};
use super::{StartFlags, file};
use serde_json::{Map, Value, json};
use std::path::Path;
use toml::de::DeTable;

/// The schema, in JSON Schema 2020-12. What it cannot say, such as which settings go together, is for `botgate check`.
pub fn schema() -> Value {
    let asked = asked();
    let mut schema = table(ROOT, "", &asked);
    let quota = json!({
        "type": "object",
        "properties": {
            "rate": text("^[0-9]+/[smh]$", "Such as 50/s, 600/m or 1000/h."),
            "burst": { "type": "integer", "minimum": 1, "maximum": 10_000_000,
                "description": "How many at once; one second's worth where it is not written." },
        },
        "required": ["rate"],
        "additionalProperties": false,
    });
    let head = [
        (
            "$schema",
            json!("https://json-schema.org/draft/2020-12/schema"),
        ),
        ("title", json!("gateway.toml of botgate")),
        ("required", json!(["bots"])),
        (
            "$defs",
            json!({
                "duration": text("^[0-9]+(ms|s|m|h)$", "Such as 250ms, 10s, 5m or 24h."),
                "size": text("^[0-9]+(B|KiB|MiB|GiB)$", "Such as 512B, 64KiB or 1MiB."),
                "guid": text("^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", "Such as 72f988bf-86f1-41af-91ab-2d7cd011db47."),
                "address": text("^([0-9.]+|\\[[0-9a-fA-F:.]+\\]):[0-9]{1,5}$", "Such as 0.0.0.0:8443 or [::]:8443."),
                "network": text("^[0-9a-fA-F:.]+(/[0-9]{1,3})?$", "Such as 10.0.0.0/8 or 192.0.2.7."),
                "replaced": { "type": "string", "pattern": REPLACED,
                    "description": "\"${NAME}\" anywhere: an environment variable; \"file:PATH\" as a whole: what that file holds." },
                "quota": quota,
            }),
        ),
    ];
    if let Value::Object(schema) = &mut schema {
        schema.extend(head.map(|(key, value)| (key.to_owned(), value)));
    }
    schema
}

/// What the parser asks for, when it reads a file in which every table stands.
pub(super) fn asked() -> Asked {
    let nowhere = |_: &str| None;
    let reading = Reading::new(EVERY_TABLE, Path::new(""), &nowhere);
    // A constant of this file, which a test parses; nothing asked is what an unreadable one would give.
    let Ok(document) = DeTable::parse(EVERY_TABLE) else {
        return Asked::default();
    };
    drop(settings(
        &reading.root(document.get_ref()),
        StartFlags::default(),
    ));
    let asked = reading.asked.take();
    let wanted = asked.wanted.into_iter();
    let named = |path: String| path.replace("clouds.x.", "clouds.NAME.");
    Asked {
        wanted: wanted.map(|(path, wanted)| (named(path), wanted)).collect(),
        required: asked.required.into_iter().map(named).collect(),
    }
}

/// Tables that are read only where they stand, and keys that are read only where they are written.
const EVERY_TABLE: &str = "
[server.tls.acme]
http_listen = [\"127.0.0.1:80\"]
[[server.tls.sni]]
names = [\"x.example\"]
cert = \"x\"
key = \"x\"
[keys]
cache_dir = \"\"
[clouds.x]
agent_platforms = []
[[bots]]
name = \"x\"
app_id = \"x\"
backend = \"http://127.0.0.1:1/\"
accept = []
[[direct_line]]
identity = { jwt = {}, header = {} }
";

fn table(fields: Fields, at: &str, asked: &Asked) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, node) in fields {
        let path = file::joined(at, name);
        if asked.required.contains(&path) {
            required.push(*name);
        }
        properties.insert(
            (*name).to_owned(),
            described(&path, node_at(node, &path, asked)),
        );
    }
    let mut table =
        json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if let (Value::Object(table), false) = (&mut table, required.is_empty()) {
        table.insert("required".to_owned(), json!(required));
    }
    table
}

fn node_at(node: &Node, path: &str, asked: &Asked) -> Value {
    match (node, asked.wanted.get(path)) {
        (Node::Table(_), Some(Wanted::Quota)) => json!({ "$ref": "#/$defs/quota" }),
        (Node::Table(inner), _) => match about(path).map(|about| about.1) {
            Some(Form::WordOr(word)) => {
                json!({ "anyOf": [{ "const": word }, table(inner, path, asked)] })
            }
            Some(_) | None => table(inner, path, asked),
        },
        (Node::Tables(inner), _) => json!({ "type": "array", "items": table(inner, path, asked) }),
        (Node::Named(inner), _) => {
            let path = file::joined(path, "NAME");
            let each = described(&path, table(inner, &path, asked));
            json!({ "type": "object", "additionalProperties": each })
        }
        // What nobody reads takes anything; the tests find it.
        (Node::Value, None) => json!({}),
        (Node::Value, Some(wanted)) => value(wanted, about(path).map(|about| about.1)),
    }
}

fn about(path: &str) -> Option<&'static About> {
    ABOUT.iter().find(|(known, ..)| *known == path)
}

/// Adds what is known of a key beside its type.
fn described(path: &str, mut schema: Value) -> Value {
    if let (Some((_, _, default, sentence)), Value::Object(schema)) = (about(path), &mut schema) {
        let more = schema.remove("description");
        let more = more.as_ref().and_then(Value::as_str).unwrap_or_default();
        let sentence = format!("{sentence} {more}");
        schema.insert("description".to_owned(), json!(sentence.trim_end()));
        if *default == NONE {
            schema.remove("default");
        } else if let Ok(default) = serde_json::from_str::<Value>(default) {
            schema.insert("default".to_owned(), default);
        }
    }
    schema
}

fn value(wanted: &Wanted, form: Option<Form>) -> Value {
    let reference = |name: &str| json!({ "$ref": format!("#/$defs/{name}") });
    let one_or_list = |item: Value| json!({ "anyOf": [item, { "type": "array", "items": item }] });
    let shaped = |item: Value| match wanted {
        Wanted::List => json!({ "type": "array", "items": item }),
        Wanted::OneOrList => one_or_list(item),
        Wanted::Flag { .. }
        | Wanted::Count { .. }
        | Wanted::Measure { .. }
        | Wanted::Word { .. }
        | Wanted::Text
        | Wanted::Path
        | Wanted::Quota => item,
    };
    let or_empty = |item: Value| json!({ "anyOf": [item, { "const": "" }] });
    match form.unwrap_or(Form::AsRead) {
        Form::AsRead | Form::WordOr(_) => as_read(wanted),
        Form::Guid => shaped(reference("guid")),
        Form::Listen => shaped(reference("address")),
        Form::ListenOrNone => or_empty(reference("address")),
        Form::Network => shaped(reference("network")),
        Form::DurationOrNone => or_empty(reference("duration")),
        Form::Words(words) => shaped(word(words)),
        Form::WordsOrList(words) => {
            json!({ "anyOf": [word(words), { "type": "array", "items": { "type": "string" } }] })
        }
        Form::OneOrList => one_or_list(json!({ "type": "string" })),
    }
}

/// What only the parser says of a key.
fn as_read(wanted: &Wanted) -> Value {
    match wanted {
        Wanted::Flag { default } => json!({ "type": "boolean", "default": default }),
        Wanted::Count {
            default,
            least,
            most,
        } => {
            json!({ "type": "integer", "minimum": least, "maximum": most, "default": default })
        }
        Wanted::Measure {
            unit,
            default,
            range: [least, most],
        } => {
            let name = match unit {
                Unit::Duration => "duration",
                Unit::Size => "size",
            };
            json!({
                "$ref": format!("#/$defs/{name}"),
                "default": default,
                "description": format!("From {least} to {most}."),
            })
        }
        Wanted::Word { default, words } => {
            let mut schema = word(words);
            if let (Some(default), Value::Object(schema)) = (default, &mut schema) {
                schema.insert("default".to_owned(), json!(default));
            }
            schema
        }
        Wanted::Text | Wanted::Path => json!({ "type": "string" }),
        Wanted::List => json!({ "type": "array", "items": { "type": "string" } }),
        Wanted::OneOrList => {
            json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] })
        }
        Wanted::Quota => json!({ "$ref": "#/$defs/quota" }),
    }
}

/// A word of a list, or what stands for one.
fn word(words: &[&str]) -> Value {
    json!({ "anyOf": [{ "enum": words }, { "$ref": "#/$defs/replaced" }] })
}

/// A string of a form, or what stands for one.
fn text(pattern: &str, description: &str) -> Value {
    json!({ "type": "string", "pattern": format!("{pattern}|{REPLACED}"), "description": description })
}

/// `${NAME}` and `file:PATH`, in place of which something else is read.
const REPLACED: &str = r"\$\{[A-Za-z_][A-Za-z0-9_]*\}|^file:";
