use super::*;
use proptest::prelude::*;

static INNER: Shape = Shape::guarded(&[("id", Keep::Leaf)]);
static NOTHING: Shape = Shape::guarded(&[]);
static OUTER: Shape = Shape::guarded(&[
    ("type", Keep::Leaf),
    ("serviceUrl", Keep::Leaf),
    ("from", Keep::Inside(&INNER)),
    ("aud", Keep::Leaf),
    ("entities", Keep::Each(&NOTHING)),
]);
const LIMITS: StrictLimits = StrictLimits {
    depth: 4,
    members: 10,
};

fn parse(text: &str) -> Result<Members<'_>, Refusal> {
    read(text.as_bytes(), &OUTER, LIMITS)
}

fn malformed(text: &str) -> bool {
    matches!(parse(text), Err(Refusal::Malformed(_)))
}

fn ambiguous(text: &str) -> bool {
    matches!(parse(text), Err(Refusal::Ambiguous(_)))
}

fn too_complex(text: &str) -> bool {
    matches!(parse(text), Err(Refusal::TooComplex(_)))
}

#[test]
fn kept_members_are_unescaped_and_others_dropped() {
    let read = parse(r#"{"type":"m\u0065ssage","other":[1,{"x":null}],"from":{"id":"a","name":"b"},"aud":["x","y","z"]}"#).unwrap();
    assert_eq!(read.get("type"), Some(&Value::Text("message".into())));
    assert_eq!(read.get("other"), None);
    let Some(Value::Object(from)) = read.get("from") else {
        panic!("from is an object")
    };
    let from = read.inside(*from);
    assert_eq!(
        from.get(number(INNER.keep, "id")),
        Some(&Value::Text("a".into()))
    );
    assert_eq!(
        read.get("aud"),
        Some(&Value::List(vec![
            Value::Text("x".into()),
            Value::Text("y".into())
        ]))
    );
}

#[test]
fn duplicates_are_refused_at_any_depth_also_when_escaped() {
    assert!(ambiguous(r#"{"a":1,"a":1}"#));
    assert!(ambiguous(r#"{"x":[{"a":1,"b":2,"a":1}]}"#));
    assert!(ambiguous(r#"{"serviceUrl":"a","serviceU\u0072l":"b"}"#));
    assert!(parse(r#"{"x":{"a":1},"y":{"a":1}}"#).is_ok());
}

#[test]
fn twins_of_guarded_names_are_refused_where_they_are_guarded() {
    for name in [
        "ServiceUrl",
        "service_url",
        "service-url",
        "SERVICEURL",
        "from_property",
        "fromProperty",
        "TYPE",
        "__proto__",
        "$ref",
        "\u{212a}",
    ] {
        assert!(ambiguous(&format!("{{\"{name}\":1}}")), "{name}");
    }
    assert!(ambiguous(r#"{"from":{"ID":1}}"#));
    assert!(parse(r#"{"value":{"ServiceUrl":1,"\u00e9":2,"$ref":3}}"#).is_ok());
}

#[test]
fn instructions_are_refused_in_each_object_of_a_guarded_list() {
    for entities in [
        r#"[{"$type":1}]"#,
        r#"[{"a":1},{"b":2,"__proto__":{}}]"#,
        r#"[1,{"constr\u0075ctor":1}]"#,
        r#"[{"\u00e9":1}]"#,
        r#"{"$id":1}"#,
    ] {
        assert!(
            ambiguous(&format!(r#"{{"entities":{entities}}}"#)),
            "{entities}"
        );
    }
    for entities in [
        r#"[{"type":"x","Type":1,"@type":2}]"#,
        r#"[{"mentioned":{"$ref":1}}]"#,
        r#"[[{"$ref":1}]]"#,
        "[]",
        "{}",
        "null",
        "\"$ref\"",
    ] {
        assert!(
            parse(&format!(r#"{{"entities":{entities}}}"#)).is_ok(),
            "{entities}"
        );
    }
}

#[test]
fn what_is_not_strict_json_is_malformed() {
    for text in [
        "",
        " ",
        "[]",
        "null",
        "\"x\"",
        "{",
        "{}x",
        "{} {}",
        "{'a':1}",
        "{a:1}",
        "{\"a\":1,}",
        "{\"a\":NaN}",
        "{\"a\":Infinity}",
        "{/**/}",
        "{\"a\":01}",
        "{\"a\":+1}",
        "{\"a\":.5}",
        "\u{feff}{}",
        "{\"a\":\"\u{1}\"}",
        r#"{"a":"\ud800"}"#,
        r#"{"\ud800":1}"#,
        r#"{"a":"\x"}"#,
        "{}\0",
    ] {
        assert!(malformed(text), "{text:?}: {:?}", parse(text));
    }
    assert!(matches!(
        read(b"{\"a\":\"\xff\"}", &OUTER, LIMITS),
        Err(Refusal::Malformed(_))
    ));
    assert!(matches!(
        read(b"{\x00\"\x00", &OUTER, LIMITS),
        Err(Refusal::Malformed(_))
    ));
}

#[test]
fn depth_members_and_name_length_are_bounded() {
    assert!(parse(r#"{"a":[[[1]]]}"#).is_ok());
    assert!(too_complex(r#"{"a":[[[[1]]]]}"#));
    let many = |n: usize| {
        format!(
            "{{{}}}",
            (0..n)
                .map(|i| format!("\"k{i}\":1"))
                .collect::<Vec<_>>()
                .join(",")
        )
    };
    assert!(parse(&many(10)).is_ok());
    assert!(too_complex(&many(11)));
    assert!(too_complex(&format!(
        "{{\"{}\":1}}",
        "k".repeat(MAX_NAME_BYTES + 1)
    )));
}

#[test]
fn the_largest_depth_limit_is_ours_and_not_the_parsers() {
    let deep = format!(
        "{{\"a\":{}{}}}",
        "[".repeat(MAX_DEPTH),
        "]".repeat(MAX_DEPTH)
    );
    let limits = StrictLimits {
        depth: MAX_DEPTH,
        members: 10,
    };
    assert!(matches!(
        read(deep.as_bytes(), &OUTER, limits),
        Err(Refusal::TooComplex(_))
    ));
}

/// Pieces that documents are made of, and some that none is made of.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\\\\",
    "\\\"",
    "\\/",
    "\\n",
    "\\x",
    "\\u00e9",
    "\\u0000",
    "\\ud83d\\ude00",
    "\\ud800",
    "\\udc00",
    "\\uD83D",
    "\\uDE00",
    "\\u12",
    "\u{1}",
    "\u{7f}",
    "\u{e9}",
    "\u{1f600}",
    " ",
    "  ",
    "\n",
    "\r\n",
    "\t",
    "         ",
    "\u{a0}",
    "\u{feff}",
    "\u{0}",
    "true",
    "false",
    "null",
    "nul",
    "truex",
    "0",
    "-0",
    "01",
    "1",
    "-",
    "+1",
    ".5",
    "1.",
    "1.5",
    "1e5",
    "1E+400",
    "1e-400",
    "1e308",
    "1.8e308",
    "0e999999999999",
    "1e999999999999",
    "-1e999999999999",
    "1e-999999999999",
    "123456789012345678901234567890",
    "18446744073709551615",
    "18446744073709551616",
    "0.1",
    "1e",
    "1e+",
    "NaN",
    "\"type\"",
    "\"type\":1",
    "\"ty\\u0070e\"",
    "\"Type\"",
    "\"serviceUrl\"",
    "\"service_url\"",
    "\"serviceurl\"",
    "\"from\":{\"id\":\"a\"}",
    "\"from\"",
    "\"fromProperty\"",
    "\"id\"",
    "\"ID\"",
    "\"id \"",
    "\"i-d\"",
    "\"id\\u0000\"",
    "\"aud\":[1,\"a\",{\"b\":[]}]",
    "\"$ref\"",
    "\"constructor\"",
    "\"__proto__\"",
    "\"entities\":[[{}]]",
    "\"entities\":[{\"a\":1},{\"$ref\":2}]",
    "\"entities\":[",
    "\"entities\":{",
    "\"entities\"",
    "\"a\"",
    "\"b\":\"c\"",
    "\"sixteen_bytes_or\"",
    "\"0123456789abcdef\"",
    "\"0123456789abcdefg\"",
    "\"0123456789abcdefh\"",
    "\"plain text of more than sixteen bytes\"",
    "/*",
    "'",
];

/// The readers agree on whether, on why not, and on what is kept; more limits than one are tried.
fn readers_agree(bytes: &[u8]) -> bool {
    let mut accepted = false;
    for (depth, members) in [(4, 10), (1, 1), (120, 20_000)] {
        let limits = StrictLimits { depth, members };
        for shape in [&OUTER, &EXACT] {
            let read = read(bytes, shape, limits);
            assert_eq!(
                read,
                why::read(bytes, shape, limits),
                "{:?}",
                bytes.escape_ascii().to_string()
            );
            accepted |= read.is_ok();
        }
    }
    accepted
}

static EXACT: Shape = Shape {
    keep: &[
        ("type", Keep::Leaf),
        ("id", Keep::Leaf),
        ("aud", Keep::Leaf),
        ("from", Keep::Inside(&OUTER)),
    ],
    names: Names::Exact,
};

/// A document, mostly in order.
fn document() -> impl Strategy<Value = String> {
    let space = || {
        prop::sample::select(vec![
            "",
            "",
            "",
            " ",
            "\n  ",
            "\n            ",
            "\t",
            "\r\n",
        ])
    };
    let name = prop_oneof![
        4 => prop::sample::select(vec![
            "type", "serviceUrl", "from", "aud", "id", "entities", "a", "b", "Type", "service_url", "$id", "\\u0061", "\\u0069d", "i\\u0064",
            "conversationType", "seventeen-bytes-x", "ty\\u0000pe", "type\\u0000", "", "\u{e9}", "abcdefg", "abcdefgh", "abcdefghi", "abcdefghijklmno",
        ]).prop_map(str::to_owned),
        1 => "[a-zA-Z0-9]{0,20}",
    ];
    let leaf = prop_oneof![
        prop::sample::select(vec![
            "null",
            "true",
            "false",
            "0",
            "-0.0",
            "12",
            "-3",
            "1.5e3",
            "1e400",
            "1e-5",
            "123456789012345678901"
        ])
        .prop_map(str::to_owned),
        "\"[ -!#-\\[\\]-~\u{a0}-\u{2ff}]{0,40}\"",
        "\"([a-z]{0,9}(\\\\n|\\\\u00e9|\\\\\"|\\\\ud83d\\\\ude00|\\\\ud83d)){0,3}\"",
    ];
    leaf.prop_recursive(5, 64, 8, move |inner| {
        let member = (name.clone(), space(), space(), inner.clone())
            .prop_map(|(name, before, behind, value)| format!("{before}\"{name}\"{behind}:{before}{value}{behind}"));
        prop_oneof![
            1 => prop::collection::vec((space(), inner), 0..4).prop_map(|items| {
                let items: Vec<_> = items.iter().map(|(space, item)| format!("{space}{item}{space}")).collect();
                format!("[{}]", items.join(","))
            }),
            3 => prop::collection::vec(member, 0..8).prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    })
}

/// Without optimisation a few will do; with it there are many.
const CASES: u32 = if cfg!(debug_assertions) { 512 } else { 8192 };

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_readers_find_the_same_in_documents(text in document()) {
        readers_agree(text.as_bytes());
    }

    #[test]
    fn both_readers_find_the_same_in_documents_with_a_flaw(
        text in document(), at in any::<prop::sample::Index>(), piece in prop::sample::select(PIECES), cut in 0..3_usize,
    ) {
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len() + 1);
        let end = (at + cut).min(bytes.len());
        bytes.splice(at..end, piece.bytes());
        readers_agree(&bytes);
    }

    #[test]
    fn both_readers_find_the_same_in_pieces(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..24)) {
        readers_agree(format!("{{{}", pieces.concat()).as_bytes());
        readers_agree(pieces.concat().as_bytes());
    }

    #[test]
    fn both_readers_find_the_same_in_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        readers_agree(&bytes);
    }

    #[test]
    fn both_readers_find_the_same_in_numbers(number in "-?[0-9]{1,25}(\\.[0-9]{1,25})?([eE][+-]?[0-9]{1,12})?", more in 0..400_usize) {
        for zeros in [String::new(), "0".repeat(more), format!("{}.0", "9".repeat(more))] {
            let text = format!("{{\"type\":{number}{zeros},\"x\":[{zeros}{number}]}}");
            readers_agree(text.as_bytes());
        }
    }

    #[test]
    fn both_readers_find_the_same_among_many_names(names in prop::collection::vec("[ab]{0,3}(\\\\u0061)?c?", 0..80)) {
        let members: Vec<_> = names.iter().map(|name| format!("\"{name}\":0")).collect();
        readers_agree(format!("{{{}}}", members.join(",")).as_bytes());
    }
}

#[test]
fn both_readers_find_the_same_in_many_members_and_deep_ones() {
    for count in [30, 31, 32, 33, 34, 64, 65, 1_000] {
        for twin in [None, Some(0), Some(count / 2), Some(count - 1)] {
            let twin = twin
                .map(|twin| format!(",\"name-{twin}\":0"))
                .unwrap_or_default();
            let members: Vec<_> = (0..count)
                .map(|number| format!("\"name-{number}\":0"))
                .collect();
            let text = format!("{{\"x\":{{{}{twin}}}}}", members.join(","));
            assert_eq!(
                readers_agree(text.as_bytes()),
                twin.is_empty(),
                "{count} {twin}"
            );
        }
    }
    for depth in 118..132 {
        let text = format!("{{\"x\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(readers_agree(text.as_bytes()), depth < 120, "{depth}");
        // Even without a limit of ours.
        let limits = StrictLimits {
            depth: usize::MAX,
            members: usize::MAX,
        };
        assert_eq!(
            read(text.as_bytes(), &OUTER, limits),
            why::read(text.as_bytes(), &OUTER, limits)
        );
        assert_eq!(
            read(text.as_bytes(), &OUTER, limits).is_ok(),
            depth < 127,
            "{depth}"
        );
    }
    for length in [1022, 1023, 1024, 1025] {
        let text = format!("{{\"{}\\u0061\":0}}", "n".repeat(length));
        assert_eq!(readers_agree(text.as_bytes()), length < 1024, "{length}");
    }
}

#[test]
fn a_guarded_name_is_known_by_its_first_bytes_only_where_it_is_all_of_it() {
    for known in OUTER.keep.iter().map(|(known, _)| *known) {
        for at in 0..=known.len() {
            let (before, behind) = known.split_at(at);
            for between in [
                "\\u0000",
                "_",
                "-",
                "$",
                " ",
                "x",
                "\u{e9}",
                "@",
                "0123456789abcdef",
                "\\u005f",
            ] {
                readers_agree(format!("{{\"{before}{between}{behind}\":1}}").as_bytes());
            }
            if let Some((first, rest)) = behind.split_at_checked(1) {
                let swapped = if first.to_uppercase() == first {
                    first.to_lowercase()
                } else {
                    first.to_uppercase()
                };
                assert!(!readers_agree_on(
                    &format!("{{\"{before}{swapped}{rest}\":1}}"),
                    &OUTER
                ));
                let code = first
                    .bytes()
                    .map(|byte| format!("\\u{byte:04x}"))
                    .collect::<String>();
                assert!(readers_agree_on(
                    &format!("{{\"{before}{code}{rest}\":1}}"),
                    &OUTER
                ));
            }
        }
    }
}

fn readers_agree_on(text: &str, shape: &'static Shape) -> bool {
    readers_agree(text.as_bytes());
    read(text.as_bytes(), shape, LIMITS).is_ok()
}

#[test]
fn the_documents_are_neither_all_refused_nor_all_accepted() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = document();
    let accepted = (0..500)
        .filter(|_| readers_agree(strategy.new_tree(&mut runner).unwrap().current().as_bytes()))
        .count();
    assert!((50..450).contains(&accepted), "{accepted} of 500");
}
