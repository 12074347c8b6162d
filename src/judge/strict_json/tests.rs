use super::*;

static INNER: Shape = Shape {
    keep: &[("id", Keep::Leaf)],
    names: Names::Guarded,
};
static OUTER: Shape = Shape {
    keep: &[
        ("type", Keep::Leaf),
        ("serviceUrl", Keep::Leaf),
        ("from", Keep::Inside(&INNER)),
        ("aud", Keep::Leaf),
    ],
    names: Names::Guarded,
};
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
    assert_eq!(from.get("id"), Some(&Value::Text("a".into())));
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
