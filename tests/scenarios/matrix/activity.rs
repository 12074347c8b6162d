//! The body: one strict JSON object that every reader reads alike.

use super::World;
use crate::support::client::Post;
use crate::support::table::Expected::{Forwarded, Proven};
use crate::support::table::{Row, row};
use botgate::judge::Reason;
use serde_json::{Value, json};

pub(super) fn rows(world: &World) -> Vec<Row> {
    [
        form(world),
        size(world),
        ambiguity(world),
        fields(world),
        what_is_nobodys_business(world),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// With this in front of the first member of the activity, as text.
fn with_also(world: &World, members: &str) -> Post {
    let start = format!("{{{members},");
    world
        .teams()
        .text(move |text| text.replacen('{', &start, 1))
}

/// JSON, UTF-8, nothing around it.
fn form(world: &World) -> Vec<Row> {
    let text = |change: fn(String) -> String| world.teams().text(change);
    let bytes = |change: fn(&str) -> Vec<u8>| {
        let mut changed = Vec::new();
        let post = world.teams().text(|text| {
            changed = change(&text);
            text
        });
        // The token is made for the body, so this body's service URL is said again.
        post.body(changed)
    };
    let mut rows = vec![
        row(
            "white space around the object",
            text(|t| format!(" \r\n\t{t}\n ")),
            Forwarded,
        ),
        row(
            "every line ending with CR LF",
            text(|t| t.replace('\n', "\r\n")),
            Forwarded,
        ),
    ];
    for (name, post) in [
        ("a byte-order mark", text(|t| format!("\u{feff}{t}"))),
        (
            "UTF-16, little end first",
            bytes(|t| utf_16(t, u16::to_le_bytes)),
        ),
        (
            "UTF-16, big end first",
            bytes(|t| utf_16(t, u16::to_be_bytes)),
        ),
        (
            "a byte that is not UTF-8",
            bytes(|t| with_byte_in_text(t, 0xff)),
        ),
        ("a NUL behind it", text(|t| t + "\0")),
        ("a letter behind it", text(|t| t + "x")),
        ("a second object behind it", text(|t| format!("{t}{t}"))),
        ("a comment", text(|t| t.replacen('{', "{/* */", 1))),
        (
            "a comment to the end of the line",
            text(|t| format!("// hi\n{t}")),
        ),
        (
            "a trailing comma",
            text(|t| format!("{},}}", t.trim_end().trim_end_matches('}'))),
        ),
        ("an end too early", text(|t| t[..t.len() / 2].to_owned())),
        ("nothing", text(|_| String::new())),
        ("white space only", text(|_| " \n".to_owned())),
        ("null", text(|_| "null".to_owned())),
        ("a text", text(|_| "\"{}\"".to_owned())),
        ("the activity in a list", text(|t| format!("[{t}]"))),
        ("single quotes", text(|t| t.replace('"', "'"))),
        (
            "a form",
            text(|_| "type=message&channelId=msteams".to_owned()),
        ),
    ] {
        rows.push(row(
            format!("body: {name}"),
            post,
            Proven(Reason::ActivityMalformed),
        ));
    }
    for member in [
        r#""x":NaN"#,
        r#""x":Infinity"#,
        r#""x":-Infinity"#,
        r#""x":01"#,
        r#""x":+1"#,
        r#""x":.5"#,
        r#""x":0x1"#,
        r#"x:1"#,
        r#""x":'1'"#,
        r#""x":undefined"#,
        r#""x":"\x41""#,
        r#""x":"\ud83d""#,
        r#""x":"\udeaa\ud83d""#,
        r#""\ud83d":1"#,
        "\"x\":\"\u{1}\"",
        "\"x\":\"a\nb\"",
        r#""x":tru"#,
        r#""x":True"#,
        r#""x" 1"#,
    ] {
        rows.push(row(
            format!("body: {member:?}"),
            with_also(world, member),
            Proven(Reason::ActivityMalformed),
        ));
    }
    rows
}

fn utf_16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    units.flat_map(bytes).collect()
}

fn with_byte_in_text(text: &str, byte: u8) -> Vec<u8> {
    let at = text.find("does").expect("the message says so");
    [&text.as_bytes()[..at], &[byte], &text.as_bytes()[at..]].concat()
}

/// Depth, members, names.
fn size(world: &World) -> Vec<Row> {
    let too_complex = Proven(Reason::ActivityTooComplex);
    // The activity itself is the first level.
    let nested = |levels: usize| {
        let (open, close) = ("[".repeat(levels - 1), "]".repeat(levels - 1));
        with_also(world, &format!("\"x\":{open}{close}"))
    };
    let members = |count: usize| {
        let members: Vec<_> = (0..count).map(|n| format!("\"{n}\":0")).collect();
        with_also(world, &format!("\"x\":{{{}}}", members.join(",")))
    };
    let name = |bytes: usize| with_also(world, &format!("\"{}\":0", "n".repeat(bytes)));
    vec![
        row("64 levels", nested(64), Forwarded),
        row("65 levels", nested(65), too_complex),
        row("10 000 levels", nested(10_000), too_complex),
        row("19 000 members", members(19_000), Forwarded),
        row("20 001 members", members(20_001), too_complex),
        row("a name of 1024 bytes", name(1024), Forwarded),
        row("a name of 1025 bytes", name(1025), too_complex),
    ]
}

/// Names that two readers could take for different members.
fn ambiguity(world: &World) -> Vec<Row> {
    let ambiguous = Proven(Reason::ActivityAmbiguous);
    let evil = "https://evil.example/";
    let mut rows = Vec::new();
    for member in [
        format!(r#""serviceUrl":"{evil}""#),
        format!(r#""serviceU\u0072l":"{evil}""#),
        format!(r#""ServiceUrl":"{evil}""#),
        format!(r#""SERVICEURL":"{evil}""#),
        format!(r#""service_url":"{evil}""#),
        format!(r#""service-url":"{evil}""#),
        format!(r#""_serviceUrl":"{evil}""#),
        format!(r#""Service\u0055rl":"{evil}""#),
        format!(r#""{}erviceUrl":"{evil}""#, '\u{17f}'),
        r#""text":"a""#.to_owned(),
        r#""type":"message""#.to_owned(),
        r#""Type":"invoke""#.to_owned(),
        r#""channel_id":"slack""#.to_owned(),
        r#""ChannelId":"slack""#.to_owned(),
        r#""channel_data":{}"#.to_owned(),
        r#""from_property":{"id":"x"}"#.to_owned(),
        r#""fromProperty":{"id":"x"}"#.to_owned(),
        r#""From":{"id":"x"}"#.to_owned(),
        r#""Recipient":{"id":"x"}"#.to_owned(),
        r#""delivery_mode":"expectReplies""#.to_owned(),
        r#""DeliveryMode":"expectReplies""#.to_owned(),
        r#""Name":"signin/verifyState""#.to_owned(),
        r#""relates_to":{}"#.to_owned(),
        r#""caller_id":"x""#.to_owned(),
        r#""Entities":[]"#.to_owned(),
        r#""Value":{}"#.to_owned(),
        r#""$ref":"x""#.to_owned(),
        r#""$type":"x""#.to_owned(),
        r#""__proto__":{}"#.to_owned(),
        r#""constructor":{}"#.to_owned(),
        r#""übrigens":1"#.to_owned(),
        r#""\u212a":1"#.to_owned(),
        r#""x":{"a":1,"a":1}"#.to_owned(),
        r#""x":[[{"a":{"b":1,"c":2,"b":1}}]]"#.to_owned(),
    ] {
        rows.push(row(
            format!("also {member}"),
            with_also(world, &member),
            ambiguous,
        ));
    }
    for (place, name) in [
        ("/conversation", "Id"),
        ("/conversation", "tenant_id"),
        ("/conversation", "tenantID"),
        ("/conversation", "is_group"),
        ("/from", "ID"),
        ("/from", "TenantId"),
        ("/from", "aad_object_id"),
        ("/recipient", "Role"),
        ("/recipient", "agentic_app_id"),
        ("/channelData", "Tenant"),
        ("/channelData", "$ref"),
        ("/channelData/tenant", "ID"),
        ("/channelData/tenant", "__proto__"),
        ("/channelData", "\u{e9}"),
    ] {
        let pointer = format!("{place}/{name}");
        let post = world.teams().with(&pointer, "x");
        rows.push(row(format!("also {pointer}"), post, ambiguous));
    }
    for name in ["$type", "__proto__", "\u{e9}"] {
        let mut entity = json!({ "type": "mention" });
        entity[name] = json!("x");
        let post = world
            .teams()
            .with("/entities", json!([{ "type": "x" }, entity]));
        rows.push(row(format!("{name} in an entity"), post, ambiguous));
    }
    let nested_twice = world.teams().text(|text| {
        let once = r#""tenant": {"#;
        assert!(text.contains(once), "the message names a tenant");
        text.replacen(once, &format!(r#""tenant": {{"id": "x"}}, {once}"#), 1)
    });
    rows.push(row("channelData.tenant twice", nested_twice, ambiguous));
    rows
}

/// Fields that decisions need.
fn fields(world: &World) -> Vec<Row> {
    let invalid = Proven(Reason::ActivityFieldInvalid);
    let mut rows = Vec::new();
    for place in [
        "/type",
        "/channelId",
        "/serviceUrl",
        "/conversation",
        "/conversation/id",
        "/from",
        "/from/id",
    ] {
        let post = world.teams().lacking(place);
        rows.push(row(format!("without {place}"), post, invalid));
    }
    for (place, value) in [
        ("/type", json!("")),
        ("/type", json!(1)),
        ("/type", json!("x".repeat(129))),
        ("/channelId", json!("")),
        ("/channelId", json!(null)),
        ("/channelId", json!(7)),
        ("/channelId", json!(["msteams"])),
        ("/channelId", json!(":COPILOT")),
        ("/channelId", json!("msteams\u{0}")),
        ("/serviceUrl", json!("")),
        ("/serviceUrl", json!(null)),
        ("/serviceUrl", json!(7)),
        ("/serviceUrl", json!({})),
        ("/serviceUrl", json!("/emea/")),
        ("/serviceUrl", json!("smba.trafficmanager.net")),
        (
            "/serviceUrl",
            json!("https://smba.trafficmanager.net/emea/\n"),
        ),
        (
            "/serviceUrl",
            json!("https://smba.trafficmanager.net/\u{0}"),
        ),
        ("/conversation", json!("a:1")),
        ("/conversation", json!([])),
        ("/conversation/id", json!("")),
        ("/conversation/id", json!(5)),
        ("/from", json!("29:1")),
        ("/from/id", json!(1)),
        ("/from/id", json!("")),
        ("/from/role", json!(1)),
        ("/recipient", json!([])),
        ("/channelData", json!("x")),
        ("/channelData/tenant", json!("x")),
        ("/deliveryMode", json!(1)),
        ("/name", json!([])),
    ] {
        let shown: String = value.to_string().chars().take(60).collect();
        let post = world.teams().with(place, value);
        rows.push(row(format!("{place} is {shown}"), post, invalid));
    }
    let invoke = || world.gateway.post("teams-invoke.json");
    rows.extend([
        row(
            "an invoke without a name",
            invoke().lacking("/name"),
            invalid,
        ),
        row(
            "an invoke with an empty name",
            invoke().with("/name", ""),
            invalid,
        ),
        row(
            "an invoke without a sender",
            invoke().lacking("/from"),
            invalid,
        ),
        row(
            "typing without a sender",
            world.teams().with("/type", "typing").lacking("/from"),
            Forwarded,
        ),
        row(
            "without a recipient",
            world.teams().lacking("/recipient"),
            Forwarded,
        ),
        row(
            "a recipient that is another bot, which only the token can tell",
            world.teams().with("/recipient/id", "28:somebody-else"),
            Forwarded,
        ),
        row(
            "without channelData",
            world.teams().lacking("/channelData"),
            Forwarded,
        ),
        row(
            "channelData is null",
            world.teams().with("/channelData", json!(null)),
            Forwarded,
        ),
        row(
            "a type nobody knows",
            world.teams().with("/type", "somethingNew"),
            Forwarded,
        ),
        row(
            "a delivery mode nobody knows",
            world.teams().with("/deliveryMode", "new"),
            Forwarded,
        ),
    ]);
    rows
}

/// What bots and users put in is forwarded as it is.
fn what_is_nobodys_business(world: &World) -> Vec<Row> {
    let free: [(&str, Value); 5] = [
        (
            "value with names that are guarded elsewhere",
            json!({ "ServiceUrl": "x", "service_url": "x", "$ref": "x", "__proto__": {}, "ключ": "значение" }),
        ),
        ("value as a list", json!([1, "two", null, { "three": [] }])),
        ("value null", json!(null)),
        (
            "value with numbers at the edges",
            json!([0.1, -0.0, 1e300, u64::MAX, i64::MIN]),
        ),
        (
            "value with every script",
            json!("\u{1f6aa} \u{202e}abc \u{0} é e\u{301} 漢字 \u{10ffff}"),
        ),
    ];
    let mut rows = Vec::new();
    for (name, value) in free {
        rows.push(row(name, world.teams().with("/value", value), Forwarded));
    }
    for member in [
        r#""x":123456789012345678901234567890"#,
        r#""x":0.1000000000000000055511151231257827"#,
        r#""x":1E-400"#,
        r#""x":"\/\u0041\ud83d\udeaa""#,
        r#""x-y_z":{"tenant":{"id":"not-a-guid"}}"#,
    ] {
        rows.push(row(
            format!("also {member}"),
            with_also(world, member),
            Forwarded,
        ));
    }
    rows
}
