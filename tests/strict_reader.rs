//! Whatever the strict reader accepts, every other reader reads the same way: first-wins, last-wins, case-insensitive and
//! snake_case-tolerant readers find the same guarded values.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

use botgate::judge::{Activity, StrictLimits};
use bytes::Bytes;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;

const LIMITS: StrictLimits = StrictLimits {
    depth: 32,
    members: 2_000,
};

/// A document with every member in order, duplicates and all.
#[derive(Clone, Debug, PartialEq)]
enum Tree {
    Other,
    Text(String),
    List(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Tree;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }
            fn visit_unit<E>(self) -> Result<Tree, E> {
                Ok(Tree::Other)
            }
            fn visit_bool<E>(self, _: bool) -> Result<Tree, E> {
                Ok(Tree::Other)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Tree, E> {
                Ok(Tree::Other)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Tree, E> {
                Ok(Tree::Other)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Tree, E> {
                Ok(Tree::Other)
            }
            fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
                Ok(Tree::Text(text.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
                let mut list = vec![];
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Tree::List(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
                let mut members = vec![];
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Tree::Object(members))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

/// How some reader looks a member up.
#[derive(Clone, Copy, Debug)]
enum Reader {
    FirstWins,
    LastWins,
    CaseInsensitive,
    SnakeTolerant,
}

const READERS: [Reader; 4] = [
    Reader::FirstWins,
    Reader::LastWins,
    Reader::CaseInsensitive,
    Reader::SnakeTolerant,
];

impl Reader {
    fn member<'t>(self, tree: &'t Tree, name: &str) -> Option<&'t Tree> {
        let Tree::Object(members) = tree else {
            return None;
        };
        let fold = |text: &str| text.to_lowercase();
        let bare = |text: &str| fold(text).replace(['_', '-'], "");
        let mut hits = members.iter().filter(|(own, _)| match self {
            Self::FirstWins | Self::LastWins => own == name,
            Self::CaseInsensitive => fold(own) == fold(name),
            Self::SnakeTolerant => {
                bare(own) == bare(name) || (name == "from" && bare(own) == "fromproperty")
            }
        });
        let hit = match self {
            Self::FirstWins => hits.next(),
            Self::LastWins | Self::CaseInsensitive | Self::SnakeTolerant => hits.next_back(),
        };
        hit.map(|(_, value)| value)
    }

    fn text(self, tree: &Tree, path: &[&str]) -> Option<String> {
        let found = path
            .iter()
            .try_fold(tree, |tree, name| self.member(tree, name))?;
        match found {
            Tree::Text(text) => Some(text.clone()),
            Tree::Other | Tree::List(_) | Tree::Object(_) => None,
        }
    }
}

fn guarded(activity: &Activity) -> Vec<(&'static [&'static str], Option<String>)> {
    vec![
        (&["type"], Some(activity.kind.clone())),
        (&["channelId"], Some(activity.channel.clone())),
        (&["serviceUrl"], Some(activity.service_url.clone())),
        (&["name"], activity.name.clone()),
        (&["deliveryMode"], activity.delivery_mode.clone()),
        (&["conversation", "id"], Some(activity.conversation.clone())),
        (
            &["conversation", "tenantId"],
            activity.tenants.conversation.clone(),
        ),
        (&["from", "id"], activity.user.clone()),
        (&["from", "tenantId"], activity.tenants.from.clone()),
        (
            &["recipient", "tenantId"],
            activity.tenants.recipient.clone(),
        ),
        (
            &["channelData", "tenant", "id"],
            activity.tenants.channel_data.clone(),
        ),
    ]
}

fn check(body: &str) -> bool {
    let Ok(activity) = Activity::parse(Bytes::from(body.to_owned()), LIMITS) else {
        return false;
    };
    let tree: Tree = serde_json::from_str(body).expect("what was accepted is JSON");
    let value: serde_json::Value = serde_json::from_str(body).expect("what was accepted is JSON");
    for (path, seen) in guarded(&activity) {
        let pointer = format!("/{}", path.join("/"));
        assert_eq!(
            value
                .pointer(&pointer)
                .and_then(serde_json::Value::as_str)
                .map(str::to_owned),
            seen,
            "serde_json at {pointer} in {body}"
        );
        for reader in READERS {
            assert_eq!(
                reader.text(&tree, path),
                seen,
                "{reader:?} at {pointer} in {body}"
            );
        }
    }
    assert_eq!(activity.raw(), body.as_bytes());
    true
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
        let _ = Activity::parse(Bytes::from(bytes), LIMITS);
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
