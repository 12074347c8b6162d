use super::super::Reason;
use super::*;
use serde_json::json;

const LIMITS: StrictLimits = StrictLimits {
    depth: 64,
    members: 20_000,
};

fn teams() -> serde_json::Value {
    json!({
        "type": "message", "channelId": "msteams:COPILOT", "serviceUrl": "https://smba.trafficmanager.net/emea/",
        "from": {"id": "29:1"}, "recipient": {"id": "28:2"}, "conversation": {"id": "a:1", "tenantId": "t2"},
        "channelData": {"tenant": {"id": "t1"}}, "text": "hi", "entities": [], "value": null
    })
}

fn parse(value: &serde_json::Value) -> Result<Activity, Rejection> {
    Activity::parse(Bytes::from(value.to_string()), LIMITS)
}

fn edited(path: &str, value: serde_json::Value) -> serde_json::Value {
    let mut activity = teams();
    let (parent, name) = path.rsplit_once('/').unwrap();
    activity.pointer_mut(parent).unwrap()[name] = value;
    activity
}

#[test]
fn the_envelope_is_read_and_the_bytes_kept() {
    let raw = Bytes::from(format!("  {}\r\n", teams()));
    let activity = Activity::parse(raw.clone(), LIMITS).unwrap();
    assert_eq!(activity.base_channel(), "msteams");
    let named = |text| Some(NamedTenant { text, id: None });
    assert_eq!(activity.tenants().channel_data, named("t1"));
    assert_eq!(activity.tenants().conversation, named("t2"));
    assert_eq!(activity.raw(), &raw);
}

#[test]
fn guarded_fields_of_the_wrong_type_are_refused() {
    for (path, value) in [
        ("/type", json!(1)),
        ("/type", json!("")),
        ("/type", json!("x".repeat(129))),
        ("/channelId", json!(null)),
        ("/channelId", json!(":COPILOT")),
        ("/channelId", json!("ms\u{7}teams")),
        ("/serviceUrl", json!("")),
        ("/serviceUrl", json!(7)),
        ("/serviceUrl", json!("not a url")),
        ("/conversation", json!("a:1")),
        ("/conversation", json!(null)),
        ("/conversation/id", json!(5)),
        ("/conversation/tenantId", json!(5)),
        ("/from", json!([])),
        ("/from", json!(null)),
        ("/from/id", json!(1)),
        ("/from/role", json!(1)),
        ("/recipient", json!("28:2")),
        ("/recipient/role", json!({})),
        ("/channelData", json!("x")),
        ("/channelData/tenant", json!("x")),
        ("/channelData/tenant/id", json!(true)),
        ("/deliveryMode", json!(1)),
        ("/relatesTo", json!("https://evil.example/")),
        (
            "/relatesTo",
            json!([{"serviceUrl": "https://evil.example/"}]),
        ),
        (
            "/relatesTo",
            json!({"serviceUrl": ["https://evil.example/"]}),
        ),
        ("/name", json!(["a"])),
    ] {
        let refusal = parse(&edited(path, value.clone()))
            .map(|_| ())
            .map_err(|r| r.reason());
        assert_eq!(refusal, Err(Reason::ActivityFieldInvalid), "{path} {value}");
    }
}

#[test]
fn what_the_specification_lets_be_absent_may_be_absent() {
    for (path, value) in [
        ("/recipient", json!(null)),
        ("/channelData", json!(null)),
        ("/channelData/tenant", json!(null)),
        ("/deliveryMode", json!("stream")),
        ("/type", json!("somethingNew")),
        ("/entities", json!({"any": 1})),
    ] {
        assert!(
            parse(&edited(path, value.clone())).is_ok(),
            "{path} {value}"
        );
    }
    let mut typing = edited("/type", json!("typing"));
    typing.as_object_mut().unwrap().remove("from");
    assert!(parse(&typing).is_ok());
}

#[test]
fn an_invoke_has_a_name() {
    assert_eq!(
        parse(&edited("/type", json!("invoke")))
            .unwrap_err()
            .reason(),
        Reason::ActivityFieldInvalid
    );
    let mut invoke = edited("/type", json!("invoke"));
    invoke["name"] = json!("task/fetch");
    assert!(parse(&invoke).unwrap().is_invoke());
}

#[test]
fn only_what_is_known_to_need_no_content_in_the_response_is_one_way() {
    use serde_json::json;
    for (mode, is_one_way) in [
        (json!(null), true),
        (json!("normal"), true),
        (json!("notification"), true),
        (json!("expectReplies"), false),
        (json!("expectreplies"), false),
        (json!("stream"), false),
        (json!("ephemeral"), false),
        (json!("Normal"), false),
    ] {
        let activity = parse(&edited("/deliveryMode", mode.clone())).unwrap();
        assert_eq!(activity.is_one_way(), is_one_way, "{mode}");
        assert_eq!(activity.expects_stream(), mode == "stream", "{mode}");
    }
    let mut invoke = teams();
    invoke["name"] = "task/fetch".into();
    for kind in ["invoke", "Invoke", "invoke/x"] {
        invoke["type"] = kind.into();
        assert!(!parse(&invoke).unwrap().is_one_way(), "{kind}");
    }
}
