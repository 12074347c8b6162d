//! Whatever the strict reader accepts, every other reader reads the same way: first-wins, last-wins, case-insensitive and
//! snake_case-tolerant readers find the same guarded values.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "a test may fail by panicking"
)]

use proptest::prelude::*;
use proptest::strategy::ValueTree;

// The promise stands with the fuzz targets, which hold the reader to it with bytes that nobody thought of.
#[path = "../fuzz/src/activity.rs"]
mod activity;
#[path = "../fuzz/src/json.rs"]
mod json;

fn check(body: &str) -> bool {
    activity::check(body.as_bytes())
}

/// A name as a document may spell it: guarded names, their look-alikes, and others.
fn name() -> impl Strategy<Value = String> {
    let guarded = prop::sample::select(vec![
        "type",
        "channelId",
        "serviceUrl",
        "from",
        "recipient",
        "conversation",
        "channelData",
        "tenant",
        "id",
        "tenantId",
        "name",
        "deliveryMode",
        "text",
        "value",
        "entities",
    ]);
    let spelled = (guarded, 0..8u8).prop_map(|(name, spelling)| match spelling {
        0 => name.to_uppercase(),
        1 => name
            .chars()
            .flat_map(|c| {
                if c.is_uppercase() {
                    vec!['_', c.to_ascii_lowercase()]
                } else {
                    vec![c]
                }
            })
            .collect(),
        2 => format!("{name}_"),
        3 => name.replace('i', "\u{131}"),
        _ => name.to_owned(),
    });
    prop_oneof![8 => spelled, 1 => "[a-zA-Z_$-]{0,6}", 1 => Just("from_property".to_owned())]
}

/// Text inside quotes, sometimes with escapes.
fn quoted(text: &str, escape: bool) -> String {
    if !escape {
        return serde_json::to_string(text).unwrap();
    }
    let escaped: String = text
        .encode_utf16()
        .map(|unit| format!("\\u{unit:04x}"))
        .collect();
    format!("\"{escaped}\"")
}

fn leaf() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?[1-9][0-9]{0,20}(\\.[0-9]{1,3})?",
        ("[a-zA-Z0-9:/._ -]{0,12}", any::<bool>()).prop_map(|(text, escape)| quoted(&text, escape)),
        Just("\"https://smba.trafficmanager.net/emea/\"".to_owned()),
    ]
}

fn document() -> impl Strategy<Value = String> {
    leaf().prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(
                (
                    (name(), any::<bool>()).prop_map(|(name, escape)| quoted(&name, escape)),
                    inner
                ),
                0..6
            )
            .prop_map(|members| {
                let members: Vec<_> = members
                    .into_iter()
                    .map(|(name, value)| format!("{name}:{value}"))
                    .collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

/// A whole activity, valid but for the extra members strewn over its guarded levels.
fn activity() -> impl Strategy<Value = String> {
    let extra = || prop::collection::vec((name(), any::<bool>(), document()), 0..2);
    (extra(), extra(), extra(), extra(), any::<bool>()).prop_map(|(root, conversation, from, data, extras_first)| {
        let object = |members: &str, extra: Vec<(String, bool, String)>| {
            let mut all: Vec<String> = extra.into_iter().map(|(name, escape, value)| format!("{}:{value}", quoted(&name, escape))).collect();
            let at = if extras_first { all.len() } else { 0 };
            all.insert(at, members.to_owned());
            format!("{{{}}}", all.join(","))
        };
        let members = format!(
            r#""type":"message","channelId":"msteams","serviceUrl":"https://smba.trafficmanager.net/emea/","conversation":{},"from":{},"channelData":{}"#,
            object(r#""id":"a:1","tenantId":"t""#, conversation),
            object(r#""id":"29:1""#, from),
            object(r#""tenant":{"id":"t"}"#, data),
        );
        object(&members, root)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn readers_agree_on_whatever_is_accepted(body in activity()) {
        check(&body);
    }

    #[test]
    fn no_document_makes_the_reader_panic(body in document()) {
        check(&body);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        activity::check(&bytes);
    }
}

#[test]
fn the_properties_are_not_empty() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = activity();
    let accepted = (0..500)
        .filter(|_| check(&strategy.new_tree(&mut runner).unwrap().current()))
        .count();
    assert!(
        (50..450).contains(&accepted),
        "{accepted} of 500 generated activities were accepted: the property would prove little"
    );
}

#[test]
fn activities_as_channels_send_them_are_accepted() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/data");
    let mut read = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            read += usize::from(check(&std::fs::read_to_string(&path).unwrap()));
        }
    }
    assert!(read >= 3, "only {read} sample activities were accepted");
}
