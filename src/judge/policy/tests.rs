//! Every rule: passes, refused, missing, and the nearest miss.

mod entra;

use super::*;
use crate::judge::{StrictLimits, TenantId};
use crate::secret::Secret;
use bytes::Bytes;
use serde_json::{Value, json};

const T1: &str = "3f0c8a5e-7f0b-4f3e-9d55-6f2b1b0a9c11";
const T2: &str = "11111111-2222-4333-8444-555555555555";
const T3: &str = "22222222-3333-4444-8555-666666666666";
const TEAMS: &str = "https://smba.trafficmanager.net/emea/";

struct Case {
    kind: TokenKind,
    activity: Value,
    claims: Claims,
    endorsements: Vec<String>,
    policy: Policy,
}

/// A Teams message that the default policy of the public cloud admits.
fn teams() -> Case {
    let activity = json!({
        "type": "message", "channelId": "msteams", "serviceUrl": TEAMS, "from": {"id": "29:1"},
        "conversation": {"id": "a:1", "tenantId": T1}, "channelData": {"tenant": {"id": T1}}
    });
    let hosts = HostList::parse(["*.botframework.com", "smba.trafficmanager.net"]).unwrap();
    let mut claims = Claims::default();
    claims.service_url = Some(TEAMS.to_owned());
    Case {
        kind: TokenKind::Channel,
        activity,
        claims,
        endorsements: vec![
            "msteams".to_owned(),
            "webchat".to_owned(),
            "directline".to_owned(),
            "slack".to_owned(),
        ],
        policy: Policy {
            service_urls: ServiceUrlPolicy {
                hosts,
                ..Default::default()
            },
            ..Policy::default()
        },
    }
}

impl Case {
    fn set(mut self, path: &str, value: Value) -> Self {
        let (parent, name) = path.rsplit_once('/').unwrap();
        self.activity.pointer_mut(parent).unwrap()[name] = value;
        self
    }

    fn channel(self, channel: &str, url: &str) -> Self {
        self.set("/channelId", json!(channel)).url(url, url)
    }

    fn url(mut self, sent: &str, claimed: &str) -> Self {
        self.claims.service_url = Some(claimed.to_owned());
        self.set("/serviceUrl", json!(sent))
    }

    fn policy(mut self, edit: impl FnOnce(&mut Policy)) -> Self {
        edit(&mut self.policy);
        self
    }

    fn allow(self, tenant: &str) -> Self {
        self.policy(|p| p.tenants.allow = [TenantId::parse(tenant).unwrap()].into())
    }

    /// The first refusal, modes aside.
    fn outcome(&self) -> Result<(), Reason> {
        let limits = StrictLimits {
            depth: 64,
            members: 1000,
        };
        let activity = Activity::parse(Bytes::from(self.activity.to_string()), limits).unwrap();
        let evidence = Evidence {
            kind: self.kind,
            claims: &self.claims,
            endorsements: &self.endorsements,
            activity: &activity,
        };
        let of_caller = self.policy.explain_caller(self.kind, &self.claims);
        of_caller
            .into_iter()
            .chain(self.policy.explain(evidence))
            .try_for_each(|answer| answer.outcome)
            .map_err(|r| r.reason())
    }
}

#[test]
fn the_key_must_be_endorsed_for_the_base_channel() {
    assert_eq!(teams().outcome(), Ok(()));
    assert_eq!(
        teams()
            .set("/channelId", json!("msteams:COPILOT"))
            .outcome(),
        Ok(())
    );
    for channel in ["Msteams", "telegram", "msteam", "msteams2", "AseChannel"] {
        assert_eq!(
            teams().set("/channelId", json!(channel)).outcome(),
            Err(Reason::ChannelNotEndorsed),
            "{channel}"
        );
    }
    let mut endorsed_for_extension = teams().set("/channelId", json!("AseChannel"));
    endorsed_for_extension
        .endorsements
        .push("AseChannel".to_owned());
    assert_eq!(
        endorsed_for_extension.outcome(),
        Err(Reason::ChannelNotEndorsed)
    );
}

#[test]
fn a_key_without_endorsements_speaks_only_for_channels_the_operator_named() {
    let bare = || {
        let mut case = teams();
        case.endorsements.clear();
        case
    };
    assert_eq!(bare().outcome(), Err(Reason::ChannelNotEndorsed));
    assert_eq!(
        bare()
            .policy(|p| p.channels.unendorsed = vec!["msteams".into()])
            .outcome(),
        Ok(())
    );
    assert_eq!(
        bare()
            .policy(|p| p.channels.unendorsed = vec!["webchat".into()])
            .outcome(),
        Err(Reason::ChannelNotEndorsed)
    );
    let endorsed_for_others = teams()
        .set("/channelId", json!("telegram"))
        .policy(|p| p.channels.unendorsed = vec!["telegram".into()]);
    assert_eq!(
        endorsed_for_others.outcome(),
        Err(Reason::ChannelNotEndorsed),
        "the switch is for keys without any"
    );
}

#[test]
fn the_service_url_is_the_claims() {
    for (sent, claimed) in [
        (TEAMS, "https://smba.trafficmanager.net/emea"),
        ("https://SMBA.trafficmanager.net/emea/", TEAMS),
        ("https://smba.trafficmanager.net:443/emea/", TEAMS),
    ] {
        assert_eq!(
            teams().url(sent, claimed).outcome(),
            Ok(()),
            "{sent} {claimed}"
        );
    }
    for (sent, claimed) in [
        ("https://webchat.botframework.com/", TEAMS),
        ("https://smba.trafficmanager.net/amer/", TEAMS),
        ("https://smba.trafficmanager.net/EMEA/", TEAMS),
        ("https://smba.trafficmanager.net:444/emea/", TEAMS),
        ("http://smba.trafficmanager.net/emea/", TEAMS),
        ("https://x@smba.trafficmanager.net/emea/", TEAMS),
        ("https://smba.trafficmanager.net\\emea/", TEAMS),
        ("https://smba.trafficmanager.net/x/%2e%2e/emea/", TEAMS),
        ("https://smba.trafficmanager.net/emea//", TEAMS),
        (TEAMS, ""),
    ] {
        assert_eq!(
            teams().url(sent, claimed).outcome(),
            Err(Reason::ServiceUrlMismatch),
            "{sent} {claimed}"
        );
    }
    let mut unclaimed = teams();
    unclaimed.claims.service_url = None;
    assert_eq!(unclaimed.outcome(), Err(Reason::ServiceUrlMismatch));
}

#[test]
fn a_bound_service_url_must_still_be_https_on_a_listed_host() {
    let bound = |url: &str| teams().url(url, url).outcome();
    assert_eq!(bound("https://europe.webchat.botframework.com/"), Ok(()));
    for url in [
        "http://smba.trafficmanager.net/emea/",
        "https://evil.example/",
        "https://smba.trafficmanager.net.evil.example/",
        "https://evil.trafficmanager.net/",
        "https://smba.trafficmanager.net:8443/emea/",
        "https://smba.trafficmanager.net/a/../b",
        "https://127.0.0.1/",
        "http://localhost:3978/",
        "urn:botframework:WebSocket:wss://x",
        "urn:botframework:namedpipe:x",
    ] {
        assert_eq!(bound(url), Err(Reason::ServiceUrlNotAllowed), "{url}");
    }
}

#[test]
fn any_host_still_means_https_and_loopback_only_by_name() {
    let any = |url: &str| {
        teams()
            .url(url, url)
            .policy(|p| p.service_urls.hosts = HostList::any())
            .outcome()
    };
    assert_eq!(any("https://parent.contoso.example/api/skills/"), Ok(()));
    assert_eq!(
        any("http://parent.contoso.example/"),
        Err(Reason::ServiceUrlNotAllowed)
    );
    assert_eq!(
        any("http://127.0.0.1:9999/"),
        Err(Reason::ServiceUrlNotAllowed)
    );
    assert_eq!(any("https://localhost/"), Err(Reason::ServiceUrlNotAllowed));
    let lab = |url: &str| {
        teams()
            .url(url, url)
            .policy(|p| p.service_urls.hosts = HostList::parse(["127.0.0.1", "localhost"]).unwrap())
            .outcome()
    };
    assert_eq!(lab("http://127.0.0.1:9999/"), Ok(()));
    assert_eq!(lab("http://localhost:9999/v3"), Ok(()));
    assert_eq!(
        lab("http://127.0.0.2:9999/"),
        Err(Reason::ServiceUrlNotAllowed)
    );
}

#[test]
fn relates_to_may_not_lead_elsewhere() {
    let relating = |url: Value| {
        teams()
            .set("/relatesTo", json!({ "serviceUrl": url }))
            .outcome()
    };
    assert_eq!(relating(json!("https://webchat.botframework.com/")), Ok(()));
    assert_eq!(relating(Value::Null), Ok(()));
    for url in [
        "https://evil.example/",
        "http://smba.trafficmanager.net/",
        "https://smba.trafficmanager.net:8080/",
        "",
    ] {
        assert_eq!(
            relating(json!(url)),
            Err(Reason::ServiceUrlNotAllowed),
            "{url}"
        );
    }
}

#[test]
fn every_tenant_an_activity_names_must_be_allowed() {
    assert_eq!(teams().allow(T1).outcome(), Ok(()));
    assert_eq!(teams().allow(T2).outcome(), Err(Reason::TenantNotAllowed));
    assert_eq!(
        teams()
            .allow(T1)
            .set("/conversation/tenantId", json!(T1.to_uppercase()))
            .outcome(),
        Ok(())
    );
    for path in [
        "/conversation/tenantId",
        "/channelData/tenant/id",
        "/from/tenantId",
    ] {
        assert_eq!(
            teams().allow(T1).set(path, json!(T2)).outcome(),
            Err(Reason::TenantNotAllowed),
            "{path}"
        );
    }
    let recipient = teams()
        .allow(T1)
        .set("/recipient", json!({"id": "28:1", "tenantId": T2}));
    assert_eq!(recipient.outcome(), Err(Reason::TenantNotAllowed));
    let signed = |tenant: &str| {
        let url = format!("https://smba.trafficmanager.net/emea/{tenant}/");
        teams().allow(T1).url(&url, &url).outcome()
    };
    assert_eq!(signed(T1), Ok(()));
    assert_eq!(signed(T2), Err(Reason::TenantNotAllowed));
    // On every channel, where the host is one of Teams; on the channels of the platform, whatever the host is.
    for (channel, host, outcome) in [
        (
            "webchat",
            "smba.trafficmanager.net",
            Err(Reason::TenantNotAllowed),
        ),
        (
            "slack",
            "SMBA.trafficmanager.net",
            Err(Reason::TenantNotAllowed),
        ),
        ("slack", "slack.botframework.com", Ok(())),
        (
            "msteams",
            "x.botframework.com",
            Err(Reason::TenantNotAllowed),
        ),
    ] {
        let url = format!("https://{host}/emea/{T2}");
        let case = teams().allow(T1).channel(channel, &url);
        let case = case.set("/conversation/tenantId", Value::Null);
        assert_eq!(case.outcome(), outcome, "{channel} {host}");
        // Also where the body spells it otherwise than the token.
        let spelled = teams().allow(T1).set("/channelId", json!(channel));
        let spelled = spelled.url(&format!("{url}/"), &url);
        let spelled = spelled.set("/conversation/tenantId", Value::Null);
        assert_eq!(spelled.outcome(), outcome, "{channel} {host}");
    }
}

#[test]
fn a_tenant_is_missed_where_it_must_be_named() {
    let nameless = |case: Case| {
        case.set("/channelData", Value::Null)
            .set("/conversation/tenantId", Value::Null)
    };
    assert_eq!(nameless(teams()).outcome(), Ok(()));
    assert_eq!(
        nameless(teams().allow(T1)).outcome(),
        Err(Reason::TenantMissing)
    );
    let slack = || nameless(teams().channel("slack", "https://slack.botframework.com/"));
    assert_eq!(
        slack().allow(T1).outcome(),
        Ok(()),
        "other channels name no tenant"
    );
    assert_eq!(
        slack().policy(|p| p.tenants.required = true).outcome(),
        Err(Reason::TenantMissing)
    );
}

#[test]
fn a_tenant_that_is_no_guid_is_refused_with_or_without_a_list() {
    assert_eq!(
        teams()
            .set("/conversation/tenantId", json!("contoso"))
            .outcome(),
        Err(Reason::TenantMalformed)
    );
    assert_eq!(
        teams()
            .allow(T1)
            .set("/channelData/tenant/id", json!(""))
            .outcome(),
        Err(Reason::TenantMalformed)
    );
}

#[test]
fn the_tenant_in_a_direct_line_clients_channel_data_counts_for_nothing() {
    let web = |id: &str| {
        teams()
            .channel("webchat", "https://webchat.botframework.com/")
            .set("/channelData/tenant/id", json!(id))
    };
    assert_eq!(web("this-is-user-controlled").allow(T1).outcome(), Ok(()));
    assert_eq!(web(T2).allow(T1).outcome(), Ok(()));
    let forged = web(T1)
        .set("/conversation/tenantId", Value::Null)
        .policy(|p| p.tenants.required = true);
    assert_eq!(forged.outcome(), Err(Reason::TenantMissing));
}

#[test]
fn a_denied_tenant_is_out_whatever_the_list_says() {
    let denied = teams()
        .allow(T1)
        .policy(|p| p.tenants.deny = [TenantId::parse(T1).unwrap()].into());
    assert_eq!(denied.outcome(), Err(Reason::TenantNotAllowed));
    let other = teams().policy(|p| p.tenants.deny = [TenantId::parse(T2).unwrap()].into());
    assert_eq!(other.outcome(), Ok(()));
}

#[test]
fn signed_tenants_win_for_the_log() {
    let url = format!("https://smba.trafficmanager.net/emea/{T2}/");
    let mut case = teams().url(&url, &url);
    let activity = Activity::parse(
        Bytes::from(case.activity.to_string()),
        StrictLimits {
            depth: 64,
            members: 1000,
        },
    )
    .unwrap();
    let effective = |kind| effective_tenant(kind, &case.claims, &activity);
    assert_eq!(effective(TokenKind::Channel), TenantId::parse(T2));
    // The tid is one of Entra's.
    case.claims.tenant = Some(T3.to_owned());
    let effective = |kind| effective_tenant(kind, &case.claims, &activity);
    assert_eq!(effective(TokenKind::Channel), TenantId::parse(T2));
    assert_eq!(effective(TokenKind::Agent), TenantId::parse(T3));
}

#[test]
fn channels_types_and_invokes_follow_the_operators_lists() {
    assert_eq!(
        teams()
            .policy(|p| p.channels.allow = vec!["msteams".into()])
            .outcome(),
        Ok(())
    );
    assert_eq!(
        teams()
            .policy(|p| p.channels.allow = vec!["webchat".into()])
            .outcome(),
        Err(Reason::ChannelNotAllowed)
    );
    assert_eq!(
        teams()
            .policy(|p| p.activities.allow = vec!["message".into()])
            .outcome(),
        Ok(())
    );
    assert_eq!(
        teams()
            .policy(|p| p.activities.allow = vec!["Message".into()])
            .outcome(),
        Err(Reason::ActivityTypeNotAllowed)
    );
    let invoke = |name: &str| {
        let case = teams()
            .set("/type", json!("invoke"))
            .set("/name", json!(name));
        case.policy(|p| p.activities.deny_invoke = vec!["signin/verifyState".into()])
            .outcome()
    };
    assert_eq!(invoke("task/fetch"), Ok(()));
    assert_eq!(invoke("signin/verifyState"), Err(Reason::InvokeNotAllowed));
    assert_eq!(invoke("SignIn/VerifyState"), Err(Reason::InvokeNotAllowed));
    for kind in ["Invoke ", "INVOKE", "invo\u{212a}e", "invoke/x"] {
        let look_alike = teams()
            .set("/type", json!(kind))
            .set("/name", json!("signin/verifyState "));
        let look_alike =
            look_alike.policy(|p| p.activities.deny_invoke = vec!["signin/verifyState".into()]);
        assert_eq!(
            look_alike.outcome(),
            Err(Reason::InvokeNotAllowed),
            "some bots take {kind:?} for an invoke"
        );
    }
}

#[test]
fn direct_line_user_ids_are_checked_when_the_channel_promises_them() {
    let web = |id: &str, enhanced: bool| {
        let case = teams()
            .channel("directline", "https://directline.botframework.com/")
            .set("/from/id", json!(id));
        case.policy(|p| {
            p.direct_line.enhanced_authentication = enhanced;
            p.direct_line.require_dl_user_id = true;
        })
        .outcome()
    };
    assert_eq!(web("dl_1", true), Ok(()));
    assert_eq!(web("user-1", false), Ok(()));
    for id in ["user-1", "DL_1", "xdl_1", "dl-1"] {
        assert_eq!(web(id, true), Err(Reason::UserIdNotTrusted), "{id}");
    }
    let teams_user = teams().policy(|p| {
        p.direct_line = DirectLinePolicy {
            mode: Mode::Enforce,
            require_dl_user_id: true,
            enhanced_authentication: true,
            issued_by: None,
        }
    });
    assert_eq!(teams_user.outcome(), Ok(()));
}

#[test]
fn only_ids_that_a_broker_of_this_gateway_made_are_taken_where_that_is_asked_for() {
    let issuer =
        |name: &str, key: &[u8]| Arc::new(Issuer::new(name, &Secret::new(key.to_vec()), &[]));
    let (site, shop) = (issuer("site", b"one"), issuer("shop", b"two"));
    let brokers: Arc<[Arc<Issuer>]> = Arc::from([Arc::clone(&site), Arc::clone(&shop)]);
    let case = |channel: &str, kind: &str, id: &str| {
        let brokers = Arc::clone(&brokers);
        let url = "https://directline.botframework.com/";
        let case = teams().channel(channel, url).set("/type", json!(kind));
        let case = case.set("/channelData", Value::Null);
        case.set("/from/id", json!(id))
            .policy(|p| p.direct_line.issued_by = Some(brokers))
            .outcome()
    };
    let id = site.id_of("ada").to_string();
    for channel in ["directline", "webchat"] {
        for good in [&id, &shop.id_of_stranger([5; 16]).to_string()] {
            assert_eq!(case(channel, "message", good), Ok(()));
        }
        let other = issuer("site", b"another").id_of("ada").to_string();
        let name = issuer("other", b"one").id_of("ada").to_string();
        let other_letter = if &id[3..4] == "A" { "B" } else { "A" };
        let changed = format!("dl_{other_letter}{}", &id[4..]);
        for made_up in ["dl_1", "dl_", "ada", &id[3..], &other, &name, &changed] {
            let outcome = case(channel, "message", made_up);
            assert_eq!(outcome, Err(Reason::UserIdNotTrusted), "{made_up}");
        }
    }
    assert_eq!(case("directline", "conversationUpdate", "a:1"), Ok(()));
}

#[test]
fn direct_line_may_tell_that_a_conversation_began_in_the_conversations_name() {
    let begun = |kind: &str, from: &str| {
        let case = teams()
            .channel("webchat", "https://webchat.botframework.com/")
            .set("/type", json!(kind));
        let enhanced = DirectLinePolicy {
            mode: Mode::Enforce,
            require_dl_user_id: true,
            enhanced_authentication: true,
            issued_by: None,
        };
        case.set("/from/id", json!(from))
            .set("/channelData", Value::Null)
            .policy(|p| p.direct_line = enhanced)
            .outcome()
    };
    assert_eq!(begun("conversationUpdate", "a:1"), Ok(()));
    assert_eq!(
        begun("conversationUpdate", "a:2"),
        Err(Reason::UserIdNotTrusted)
    );
    assert_eq!(begun("message", "a:1"), Err(Reason::UserIdNotTrusted));
}

#[test]
fn no_mode_softens_what_the_protocol_demands() {
    let reporting = Policy {
        callers: CallerPolicy {
            mode: Mode::Report,
            ..CallerPolicy::default()
        },
        channels: ChannelPolicy {
            mode: Mode::Report,
            ..Default::default()
        },
        service_urls: ServiceUrlPolicy {
            mode: Mode::Report,
            ..Default::default()
        },
        tenants: TenantPolicy {
            mode: Mode::Report,
            ..Default::default()
        },
        activities: ActivityPolicy {
            mode: Mode::Report,
            ..Default::default()
        },
        direct_line: DirectLinePolicy {
            mode: Mode::Report,
            ..Default::default()
        },
    };
    let hard = |kind: TokenKind| -> Vec<&str> {
        let of_callers = CALLER_RULES
            .iter()
            .filter(|rule| (rule.mode)(&reporting).is_none())
            .map(|rule| rule.name);
        let of_content = RULES
            .iter()
            .filter(|rule| (rule.mode)(&reporting, kind).is_none())
            .map(|rule| rule.name);
        of_callers.chain(of_content).collect()
    };
    let always = [
        "agent_platform",
        "channel_endorsed",
        "service_url_bound",
        "service_url_secure",
        "agent_recipient",
    ];
    assert_eq!(hard(TokenKind::Channel), always);
    for kind in [TokenKind::Emulator, TokenKind::Skill, TokenKind::Agent] {
        assert_eq!(hard(kind), [&always[..], &["service_url_host"]].concat());
    }
}

#[test]
fn a_refusal_is_answered_as_if_handled_only_for_tenants_and_only_if_told_to() {
    let swallow = TenantPolicy {
        on_reject: OnReject::Swallow,
        ..Default::default()
    };
    assert!(swallow.swallows(Reason::TenantNotAllowed));
    assert!(!swallow.swallows(Reason::ChannelNotAllowed));
    assert!(!TenantPolicy::default().swallows(Reason::TenantNotAllowed));
}
