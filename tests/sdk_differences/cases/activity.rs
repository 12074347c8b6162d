//! The body: one strict JSON object that every reader reads alike.

use super::Right::{Accept, Refuse};
use super::{Case, Class, case};
use crate::keys::Keys;
use crate::post::Post;
use botgate::judge::Reason;
use serde_json::json;

pub(super) fn cases(keys: &Keys) -> Vec<Case> {
    let mut cases = form(keys);
    cases.extend(names(keys));
    cases.extend(fields(keys));
    cases
}

type Rewrite = fn(String) -> String;

fn form(keys: &Keys) -> Vec<Case> {
    let teams = || Post::teams(keys);
    let class = Class::BodyForm;
    let malformed = Refuse(Reason::ActivityMalformed);
    let too_complex = Refuse(Reason::ActivityTooComplex);
    let nested = |levels: usize| {
        // The activity itself is the first level.
        let (open, close) = ("[".repeat(levels - 1), "]".repeat(levels - 1));
        teams().ending_with(format!("\"value\":{open}{close}"))
    };
    let mut cases = vec![
        case(
            class,
            "white space around the body",
            teams().text(|t| format!(" \r\n\t{t}\n ")),
            Accept,
        ),
        case(
            class,
            "numbers at the edges",
            teams().with("/value", json!([0.1, -0.0, 1e300, u64::MAX, i64::MIN])),
            Accept,
        ),
        case(
            class,
            "every script",
            teams().with(
                "/text",
                "\u{1f6aa} \u{202e}abc e\u{301} \u{6f22}\u{5b57} \u{10ffff}",
            ),
            Accept,
        ),
        case(class, "64 levels", nested(64), Accept),
        case(class, "65 levels", nested(65), too_complex),
        case(class, "5000 levels", nested(5_000), too_complex),
        case(
            class,
            "30 000 members",
            teams().text(|text| {
                let members: Vec<_> = (0..30_000).map(|n| format!("\"{n}\":0")).collect();
                format!(
                    "{},\"value\":{{{}}}}}",
                    text.strip_suffix('}').unwrap(),
                    members.join(",")
                )
            }),
            too_complex,
        ),
        case(
            class,
            "UTF-16 that says it is UTF-8",
            teams().bytes(|text| text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
            malformed,
        ),
        case(
            class,
            "a byte that is not UTF-8",
            teams().bytes(|text| {
                let at = text.find("hello").unwrap();
                [&text.as_bytes()[..at], &[0xff], &text.as_bytes()[at..]].concat()
            }),
            malformed,
        ),
    ];
    let texts: [(&str, Rewrite); 14] = [
        ("a byte-order mark", |t| format!("\u{feff}{t}")),
        ("a NUL behind the body", |t| t + "\0"),
        ("a letter behind the body", |t| t + "x"),
        ("a second activity behind the body", |t| format!("{t}{t}")),
        ("a comment in the body", |t| t.replacen('{', "{/* */", 1)),
        ("a comma behind the last member", |t| {
            format!("{},}}", t.strip_suffix('}').unwrap())
        }),
        ("a body that ends too early", |t| {
            t[..t.len() / 2].to_owned()
        }),
        ("no body", |_| String::new()),
        ("a body of white space", |_| " \n".to_owned()),
        ("null", |_| "null".to_owned()),
        ("a text", |_| "\"hello\"".to_owned()),
        ("a number", |_| "7".to_owned()),
        ("the activity in a list", |t| format!("[{t}]")),
        ("single quotes", |t| t.replace('"', "'")),
    ];
    cases.extend(texts.map(|(name, change)| case(class, name, teams().text(change), malformed)));
    for (name, member) in [
        ("NaN", r#""value":NaN"#),
        ("Infinity", r#""value":Infinity"#),
        ("a number with a leading zero", r#""value":01"#),
        ("half of a surrogate pair", r#""value":"\ud83d""#),
        ("half of a surrogate pair in a name", r#""\ud83d":1"#),
        ("a line break within a text", "\"value\":\"a\nb\""),
    ] {
        cases.push(case(class, name, teams().ending_with(member), malformed));
    }
    cases
}

fn names(keys: &Keys) -> Vec<Case> {
    let class = Class::FieldNames;
    let ambiguous = Refuse(Reason::ActivityAmbiguous);
    let thief = |name: &str| format!("\"{name}\":\"https://thief.example/\"");
    let only = |name: &str| {
        Post::teams(keys)
            .lacking("/serviceUrl")
            .ending_with(thief(name))
    };
    let also = |name: &str| Post::teams(keys).ending_with(thief(name));
    let teams = || Post::teams(keys);
    vec![
        case(
            class,
            "only service_url, and it is a stranger's",
            only("service_url"),
            ambiguous,
        )
        .rows(&[11]),
        case(
            class,
            "also service_url, and it is a stranger's",
            also("service_url"),
            ambiguous,
        )
        .rows(&[11]),
        case(
            class,
            "only ServiceURL, and it is a stranger's",
            only("ServiceURL"),
            ambiguous,
        )
        .rows(&[12]),
        case(
            class,
            "also ServiceURL, and it is a stranger's",
            also("ServiceURL"),
            ambiguous,
        )
        .rows(&[12]),
        case(
            class,
            "serviceUrl twice, a stranger's last",
            also("serviceUrl"),
            ambiguous,
        ),
        case(
            class,
            "serviceUrl twice, a stranger's first",
            teams().starting_with(thief("serviceUrl")),
            ambiguous,
        ),
        case(
            class,
            "serviceUrl twice by an escape, a stranger's last",
            also("serviceU\\u0072l"),
            ambiguous,
        ),
        case(
            class,
            "channelId twice",
            teams().starting_with(r#""channelId":"slack""#),
            ambiguous,
        ),
        case(
            class,
            "also channel_id",
            teams().ending_with(r#""channel_id":"slack""#),
            ambiguous,
        ),
        case(
            class,
            "only channel_id",
            teams()
                .lacking("/channelId")
                .ending_with(r#""channel_id":"msteams""#),
            ambiguous,
        ),
        case(
            class,
            "also from_property",
            teams().ending_with(r#""from_property":{"id":"29:another"}"#),
            ambiguous,
        ),
        case(
            class,
            "also channel_data",
            teams().ending_with(r#""channel_data":{"tenant":{"id":"another"}}"#),
            ambiguous,
        ),
        case(
            class,
            "also delivery_mode",
            teams().ending_with(r#""delivery_mode":"expectReplies""#),
            ambiguous,
        ),
        case(
            class,
            "also caller_id",
            teams().ending_with(r#""caller_id":"urn:botframework:azure""#),
            ambiguous,
        ),
        case(
            class,
            "text twice",
            teams().ending_with(r#""text":"something else""#),
            ambiguous,
        ),
        case(
            class,
            "type twice",
            teams().ending_with(r#""type":"invoke""#),
            ambiguous,
        ),
        case(
            class,
            "a name that object models treat as their own",
            teams().starting_with(r#""__proto__":{"serviceUrl":"https://thief.example/"}"#),
            ambiguous,
        ),
        case(
            class,
            "a member twice deep within",
            teams().ending_with(r#""value":[[{"a":{"b":1,"b":2}}]]"#),
            ambiguous,
        ),
        case(
            class,
            "tenantId of the conversation also as tenant_id",
            teams().with("/conversation/tenant_id", "another"),
            ambiguous,
        ),
        case(
            class,
            "aadObjectId of the sender also as aad_object_id",
            teams().with("/from/aad_object_id", "another"),
            ambiguous,
        ),
    ]
}

fn fields(keys: &Keys) -> Vec<Case> {
    let class = Class::Fields;
    let teams = || Post::teams(keys);
    let invalid = Refuse(Reason::ActivityFieldInvalid);
    let mut cases = vec![
        case(
            class,
            "a type nobody knows",
            teams().with("/type", "somethingNew"),
            Accept,
        ),
        case(
            class,
            "no channelData",
            teams().lacking("/channelData"),
            Accept,
        ),
        case(
            class,
            "channelData null",
            teams().with("/channelData", json!(null)),
            Accept,
        ),
        case(class, "no recipient", teams().lacking("/recipient"), Accept),
        case(
            class,
            "a field nobody knows",
            teams().with("/somethingNew", json!({"a": 1})),
            Accept,
        ),
        case(
            class,
            "conversation is a text",
            teams().with("/conversation", "a:1"),
            invalid,
        ),
        case(
            class,
            "conversation id a number",
            teams().with("/conversation/id", 5),
            invalid,
        ),
        case(
            class,
            "conversation id empty",
            teams().with("/conversation/id", ""),
            invalid,
        ),
        case(
            class,
            "from is a text",
            teams().with("/from", "29:1"),
            invalid,
        ),
        case(
            class,
            "from id a number",
            teams().with("/from/id", 1),
            invalid,
        ),
        case(class, "type empty", teams().with("/type", ""), invalid),
        case(
            class,
            "type null",
            teams().with("/type", json!(null)),
            invalid,
        ),
        case(class, "type a number", teams().with("/type", 1), invalid),
        case(
            class,
            "type a list",
            teams().with("/type", json!(["message"])),
            invalid,
        ),
        case(
            class,
            "recipient a list",
            teams().with("/recipient", json!([])),
            invalid,
        ),
        case(
            class,
            "channelData a text",
            teams().with("/channelData", "x"),
            invalid,
        ),
    ];
    for (name, place) in [
        ("no type", "/type"),
        ("no conversation", "/conversation"),
        ("no conversation id", "/conversation/id"),
        ("no from", "/from"),
        ("no from id", "/from/id"),
    ] {
        cases.push(case(class, name, teams().lacking(place), invalid));
    }
    cases
}
