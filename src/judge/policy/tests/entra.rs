//! What is asked of activities that come with tokens of Entra: by the Emulator, by another bot, by the platform that calls agents.

use super::*;
use crate::judge::token::TextClaim;

const PARENT: &str = "6a2b3c4d-1e2f-4a5b-8c6d-7e8f90a1b2c3";
const OTHER: &str = "7b3c4d5e-2f3a-4b6c-9d7e-8f90a1b2c3d4";
const PLATFORM: &str = "5a807f24-c9de-44ee-a3a7-329e88a00ffc";
const PARENTS_URL: &str = "https://parent.contoso.example/api/skills/";
const ENTRA: [TokenKind; 3] = [TokenKind::Emulator, TokenKind::Skill, TokenKind::Agent];

/// A message that comes with an application's own token of version 2, to a bot that lists the parent and its host.
fn from_entra(kind: TokenKind, caller: &str, channel: &str, url: &str) -> Case {
    let mut case = teams()
        .set("/channelId", json!(channel))
        .set("/serviceUrl", json!(url));
    case.kind = kind;
    case.endorsements.clear();
    case.claims.service_url = None;
    case.claims.tenant = Some(T1.to_owned());
    case.claims.version = TextClaim::Text("2.0".to_owned());
    case.claims.authorized_party = TextClaim::Text(caller.to_owned());
    case.policy(|p| {
        let hosts = ["smba.trafficmanager.net", "parent.contoso.example"];
        p.service_urls.unbound = HostList::parse(hosts).unwrap();
        p.service_urls.emulator = HostList::parse(["localhost", "127.0.0.1", "[::1]"]).unwrap();
        p.callers.allow = AllowedCallers::Listed([PARENT.to_owned()].into());
        p.callers.agent_platforms = vec![PLATFORM.to_owned()];
    })
}

fn emulator() -> Case {
    from_entra(
        TokenKind::Emulator,
        "the bot",
        "emulator",
        "http://localhost:51234/",
    )
}

fn skill() -> Case {
    from_entra(TokenKind::Skill, PARENT, "msteams", PARENTS_URL)
}

fn agent() -> Case {
    let recipient = json!({ "id": "28:1", "role": "agenticUser", "tenantId": T1 });
    from_entra(TokenKind::Agent, PLATFORM, "msteams", TEAMS).set("/recipient", recipient)
}

fn of_every_kind() -> [Case; 3] {
    [emulator(), skill(), agent()]
}

#[test]
fn every_kind_is_admitted_with_what_belongs_to_it() {
    for case in of_every_kind() {
        assert_eq!(case.outcome(), Ok(()), "{:?}", case.kind);
    }
}

#[test]
fn the_emulator_speaks_for_its_own_channel_only() {
    assert_eq!(
        emulator().set("/channelId", json!("emulator:x")).outcome(),
        Ok(())
    );
    for channel in [
        "msteams",
        "Emulator",
        "emulator2",
        " emulator",
        "directline",
    ] {
        assert_eq!(
            emulator().set("/channelId", json!(channel)).outcome(),
            Err(Reason::ChannelNotEndorsed),
            "{channel}"
        );
    }
    let channel = teams().channel("emulator", "https://smba.trafficmanager.net/emea/");
    assert_eq!(
        channel.outcome(),
        Err(Reason::ChannelNotEndorsed),
        "a channel's token does not become the Emulator's by what its body says"
    );
}

#[test]
fn the_app_service_extension_is_no_channel_in_any_spelling() {
    for case in of_every_kind() {
        let kind = case.kind;
        for name in [
            "AseChannel",
            "asechannel",
            "ASECHANNEL",
            " AseChannel ",
            "AseChannel:x",
        ] {
            let case = Case {
                activity: case.activity.clone(),
                claims: case.claims.clone(),
                endorsements: vec!["AseChannel".to_owned()],
                policy: case.policy.clone(),
                kind,
            };
            let outcome = case.set("/channelId", json!(name)).outcome();
            assert_eq!(
                outcome,
                Err(Reason::ChannelNotEndorsed),
                "{kind:?} {name:?}"
            );
        }
    }
}

#[test]
fn a_skills_caller_is_on_the_list() {
    let called_by = |caller: &str| {
        let mut case = skill();
        case.claims.authorized_party = TextClaim::Text(caller.to_owned());
        case
    };
    assert_eq!(called_by(&PARENT.to_uppercase()).outcome(), Ok(()));
    for wrong in [
        OTHER,
        "",
        "*",
        &PARENT.replace('-', ""),
        &format!("{PARENT} "),
    ] {
        assert_eq!(
            called_by(wrong).outcome(),
            Err(Reason::CallerNotAllowed),
            "{wrong:?}"
        );
    }
    let nobody = |p: &mut Policy| p.callers.allow = AllowedCallers::default();
    assert_eq!(
        skill().policy(nobody).outcome(),
        Err(Reason::CallerNotAllowed)
    );
    let anybody = |p: &mut Policy| p.callers.allow = AllowedCallers::Any;
    assert_eq!(called_by(OTHER).policy(anybody).outcome(), Ok(()));
    assert_eq!(
        called_by("").policy(anybody).outcome(),
        Err(Reason::CallerNotAllowed),
        "somebody it has to be"
    );
    let mut v1 = called_by(OTHER);
    v1.claims.version = TextClaim::Text("1.0".to_owned());
    v1.claims.app_id = TextClaim::Text(PARENT.to_owned());
    assert_eq!(v1.outcome(), Ok(()), "version 1 names it in appid");
    for other in [emulator(), agent(), teams()] {
        let outcome = other.policy(nobody).outcome();
        assert_eq!(outcome, Ok(()), "the list is about skills");
    }
}

#[test]
fn agents_are_called_by_the_platform_of_their_cloud() {
    let called_by = |azp: TextClaim, app_id: TextClaim| {
        let mut case = agent();
        (case.claims.authorized_party, case.claims.app_id) = (azp, app_id);
        case.outcome()
    };
    let text = |text: &str| TextClaim::Text(text.to_owned());
    assert_eq!(
        called_by(text(&PLATFORM.to_uppercase()), TextClaim::Missing),
        Ok(())
    );
    assert_eq!(called_by(TextClaim::Missing, text(PLATFORM)), Ok(()));
    for (azp, app_id) in [
        (text(OTHER), TextClaim::Missing),
        (text(OTHER), text(PLATFORM)),
        (TextClaim::NotText, text(PLATFORM)),
        (text(""), text(PLATFORM)),
        (TextClaim::Missing, TextClaim::Missing),
    ] {
        let seen = format!("{azp:?} {app_id:?}");
        assert_eq!(
            called_by(azp, app_id),
            Err(Reason::CallerNotAllowed),
            "{seen}"
        );
    }
    let gov = agent().policy(|p| p.callers.agent_platforms = vec![OTHER.to_owned()]);
    assert_eq!(gov.outcome(), Err(Reason::CallerNotAllowed));
    let anybody = agent().policy(|p| {
        p.callers.agent_platforms = vec![];
        p.callers.allow = AllowedCallers::Any;
    });
    assert_eq!(anybody.outcome(), Err(Reason::CallerNotAllowed));
}

#[test]
fn an_agents_activity_is_addressed_to_an_agent() {
    let role = |role: Value| agent().set("/recipient/role", role).outcome();
    assert_eq!(role(json!("agenticAppInstance")), Ok(()));
    assert_eq!(role(Value::Null), Err(Reason::CallerNotAllowed));
    for wrong in ["", "bot", "skill", "agenticuser", "agenticUser ", "agent"] {
        assert_eq!(role(json!(wrong)), Err(Reason::CallerNotAllowed), "{wrong}");
    }
    let nobody = agent().set("/recipient", Value::Null);
    assert_eq!(nobody.outcome(), Err(Reason::CallerNotAllowed));
    for other in [skill(), teams()] {
        let recipient = json!({ "id": "28:1", "role": "agenticUser" });
        assert_eq!(
            other.set("/recipient", recipient).outcome(),
            Ok(()),
            "a role makes no token an agent's"
        );
    }
}

#[test]
fn an_agents_tenant_is_the_tokens_where_the_bot_will_read_it() {
    let named = |recipient: Value, conversation: Value| {
        agent()
            .set("/recipient/tenantId", recipient)
            .set("/conversation/tenantId", conversation)
            .outcome()
    };
    assert_eq!(named(json!(T1), json!(T1)), Ok(()));
    assert_eq!(named(json!(T1.to_uppercase()), Value::Null), Ok(()));
    assert_eq!(named(Value::Null, json!(T1)), Ok(()));
    assert_eq!(named(Value::Null, Value::Null), Ok(()));
    assert_eq!(
        named(json!(T1), json!(T2)),
        Ok(()),
        "guests talk to an agent of another tenant; the operator's list decides"
    );
    assert_eq!(named(json!(T2), json!(T1)), Err(Reason::TenantNotAllowed));
    assert_eq!(
        named(Value::Null, json!(T2)),
        Err(Reason::TenantNotAllowed),
        "the Agents SDKs take it for the agent's"
    );
    assert_eq!(
        named(json!("contoso.com"), json!(T1)),
        Err(Reason::TenantMalformed)
    );
    assert_eq!(named(json!(""), json!(T1)), Err(Reason::TenantMalformed));
}

#[test]
fn each_kind_has_its_own_hosts() {
    let at = |case: Case, url: &str| case.set("/serviceUrl", json!(url)).outcome();
    let refused = Err(Reason::ServiceUrlNotAllowed);
    for url in [
        "http://localhost:3978/",
        "http://127.0.0.1/",
        "https://[::1]/v3",
    ] {
        assert_eq!(at(emulator(), url), Ok(()), "{url}");
        assert_eq!(at(skill(), url), refused, "{url}");
        assert_eq!(at(agent(), url), refused, "{url}");
    }
    for url in [
        "http://127.0.0.2/",
        "http://localhost.evil.example/",
        "http://x@localhost/",
        "http://[::2]/",
        "http://127.1/",
        TEAMS,
        PARENTS_URL,
    ] {
        assert_eq!(at(emulator(), url), refused, "{url}");
    }
    for url in [
        "http://parent.contoso.example/api/skills/",
        "https://parent.contoso.example:8443/",
        "https://parent.contoso.example.evil.example/",
        "https://evil.parent.contoso.example/",
        "https://webchat.botframework.com/",
        "urn:botframework:websocket:wss://parent.contoso.example",
    ] {
        assert_eq!(at(skill(), url), refused, "{url}");
        assert_eq!(at(agent(), url), refused, "{url}");
    }
    assert_eq!(
        at(teams().url(PARENTS_URL, PARENTS_URL), PARENTS_URL),
        refused,
        "the hosts of skills are not those of channels"
    );
}

#[test]
fn any_host_is_only_for_tokens_that_name_the_service_url() {
    let any = |p: &mut Policy| p.service_urls.hosts = HostList::any();
    for case in of_every_kind() {
        let kind = case.kind;
        let case = case
            .set("/serviceUrl", json!("https://evil.example/"))
            .policy(any);
        assert_eq!(
            case.outcome(),
            Err(Reason::ServiceUrlNotAllowed),
            "{kind:?}"
        );
    }
    for case in of_every_kind() {
        let kind = case.kind;
        let case = case
            .set(
                "/relatesTo",
                json!({ "serviceUrl": "https://evil.example/" }),
            )
            .policy(any);
        assert_eq!(
            case.outcome(),
            Err(Reason::ServiceUrlNotAllowed),
            "{kind:?}"
        );
    }
}

#[test]
fn a_serviceurl_claim_binds_where_there_is_one() {
    for case in of_every_kind() {
        let kind = case.kind;
        let sent = case.activity["serviceUrl"].as_str().unwrap().to_owned();
        assert_eq!(case.url(&sent, &sent).outcome(), Ok(()), "{kind:?}");
    }
    assert_eq!(
        skill().url(PARENTS_URL, TEAMS).outcome(),
        Err(Reason::ServiceUrlMismatch)
    );
}

#[test]
fn the_tokens_tenant_counts_among_those_that_must_be_allowed() {
    for case in of_every_kind() {
        let kind = case.kind;
        assert_eq!(case.allow(T1).outcome(), Ok(()), "{kind:?}");
    }
    let mut foreign = skill().allow(T1);
    foreign.claims.tenant = Some(T2.to_owned());
    assert_eq!(
        foreign.outcome(),
        Err(Reason::TenantNotAllowed),
        "whatever tenants the body names"
    );
    let mut denied = skill().policy(|p| p.tenants.deny = [TenantId::parse(T2).unwrap()].into());
    assert_eq!(denied.outcome(), Ok(()));
    denied.claims.tenant = Some(T2.to_owned());
    assert_eq!(denied.outcome(), Err(Reason::TenantNotAllowed));
    let nameless = skill()
        .allow(T1)
        .set("/conversation/tenantId", Value::Null)
        .set("/channelData", Value::Null)
        .policy(|p| p.tenants.required = true);
    assert_eq!(nameless.outcome(), Ok(()), "the token names it");
}

#[test]
fn report_mode_softens_no_binding_of_a_token_that_names_no_service_url() {
    let reporting = |p: &mut Policy| {
        p.service_urls.mode = Mode::Report;
        p.channels.mode = Mode::Report;
        p.callers.mode = Mode::Report;
        p.tenants.mode = Mode::Report;
    };
    // The rules that no mode softens, of those that refuse.
    let hard = |case: Case| -> Vec<Reason> {
        let limits = StrictLimits {
            depth: 64,
            members: 1000,
        };
        let activity = Activity::parse(Bytes::from(case.activity.to_string()), limits).unwrap();
        let evidence = Evidence {
            kind: case.kind,
            claims: &case.claims,
            endorsements: &case.endorsements,
            activity: &activity,
        };
        let of_caller = case.policy.explain_caller(case.kind, &case.claims);
        let answers = of_caller.into_iter().chain(case.policy.explain(evidence));
        answers
            .filter(|answer| answer.mode != Some(Mode::Report))
            .filter_map(|answer| answer.outcome.err())
            .map(|rejection| rejection.reason())
            .collect()
    };
    let evil = json!("https://evil.example/");
    for kind in ENTRA {
        let case = of_every_kind().into_iter().find(|case| case.kind == kind);
        let case = case.unwrap().policy(reporting);
        assert_eq!(
            hard(case.set("/serviceUrl", evil.clone())),
            [Reason::ServiceUrlNotAllowed],
            "{kind:?}"
        );
    }
    let mut wrong_platform = agent().policy(reporting);
    wrong_platform.claims.authorized_party = TextClaim::Text(OTHER.to_owned());
    assert_eq!(hard(wrong_platform), [Reason::CallerNotAllowed]);
    let elsewhere = agent()
        .policy(reporting)
        .set("/recipient/tenantId", json!(T2));
    assert_eq!(hard(elsewhere), [Reason::TenantNotAllowed]);
    let as_teams = emulator()
        .policy(reporting)
        .set("/channelId", json!("msteams"));
    assert_eq!(hard(as_teams), [Reason::ChannelNotEndorsed]);
    let mut unlisted = skill().policy(reporting);
    unlisted.claims.authorized_party = TextClaim::Text(OTHER.to_owned());
    assert_eq!(
        hard(unlisted),
        [],
        "the list of callers is the operator's, and takes a mode"
    );
}
