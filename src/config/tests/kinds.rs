//! `accept` and what the kinds of token ask of clouds, listeners and key sources.

use super::*;
use crate::config::KeyOrigin;
use crate::judge::{KeySourceId, TenantId, TokenKind};

const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
pub(super) const PARENT: &str = "6a2b3c4d-1e2f-4a5b-8c6d-7e8f90a1b2c3";
pub(super) const PLATFORM: &str = "5a807f24-c9de-44ee-a3a7-329e88a00ffc";
const LOCAL: &str = "[server]\nlisten = [\"127.0.0.1:8443\"]\n";
const LAB: &str = r#"
[clouds.lab]
channel_metadata = "https://login.lab.example/v1/.well-known/openidconfiguration"
channel_issuer = "https://api.botframework.com"
service_url_hosts = ["connector.lab.example"]
"#;

/// A bot that is called as a skill by [`PARENT`], and nothing wrong with it.
pub(super) fn with_skill(keys: &str) -> String {
    with_bot(&format!(
        "accept = [\"channel\", \"skill\"]\nservice_urls.extra_hosts = [\"parent.example\"]\n{keys}"
    ))
}

fn names(settings: &crate::config::Settings) -> Vec<&str> {
    let sources = settings.key_sources.iter();
    sources.map(|source| source.name.as_str()).collect()
}

#[test]
fn each_kind_brings_its_own_key_source() {
    let loaded = good(&format!(
        "{LOCAL}{}callers.allow = [\"{PARENT}\"]",
        with_bot(
            "accept = [\"channel\", \"emulator\", \"skill\", \"agent\"]\nservice_urls.extra_hosts = [\"parent.example\"]\n"
        )
    ));
    let settings = &loaded.settings;
    let of_the_tenant = format!("public+{TENANT}");
    assert_eq!(names(settings), ["public", "public+entra", &of_the_tenant]);
    let expect = &settings.bots[0].expect;
    assert_eq!(expect.kinds().collect::<Vec<_>>(), TokenKind::ALL);
    assert_eq!(expect.channel.keys, Some(KeySourceId(0)));
    let emulator = expect.entra.emulator.as_ref().unwrap();
    assert_eq!(emulator.keys, KeySourceId(1));
    assert_eq!(emulator.tenants, [TenantId::parse(TENANT).unwrap()].into());
    assert_eq!(expect.entra.skill, Some(KeySourceId(1)));
    let agent = expect.entra.agent.as_ref().unwrap();
    assert_eq!(
        agent.keys,
        [(TenantId::parse(TENANT).unwrap(), KeySourceId(2))].into()
    );
    let KeyOrigin::EntraTenant { keys, .. } = &settings.key_sources[2].origin else {
        panic!("{:?}", settings.key_sources[2]);
    };
    assert_eq!(
        *keys,
        [format!(
            "https://login.microsoftonline.com/{TENANT}/discovery/v2.0/keys"
        )]
    );
    assert_eq!(
        settings.key_sources[1].origin,
        KeyOrigin::Entra {
            metadata:
                "https://login.microsoftonline.com/common/v2.0/.well-known/openid-configuration"
                    .to_owned(),
            key_hosts: vec!["login.windows.net".to_owned(), "sts.windows.net".to_owned()],
        }
    );
}

#[test]
fn keys_that_no_kind_asks_for_are_not_fetched() {
    for (accept, expected) in [
        ("[\"channel\"]", vec!["public".to_owned()]),
        ("[\"agent\"]", vec![format!("public+{TENANT}")]),
    ] {
        let settings = good(&with_bot(&format!("accept = {accept}"))).settings;
        assert_eq!(names(&settings), expected);
    }
    let skill = "accept = [\"skill\"]\nservice_urls.extra_hosts = [\"parent.example\"]";
    let skill = good(&with_bot(&format!(
        "{skill}\ncallers.allow = [\"{PARENT}\"]"
    )))
    .settings;
    assert_eq!(names(&skill), ["public+entra"]);
    assert_eq!(skill.bots[0].expect.channel.keys, None);
    let listed = bot("").expect.clone();
    assert_eq!(listed.kinds().collect::<Vec<_>>(), [TokenKind::Channel]);
    assert!(
        !listed.entra.platforms.is_empty(),
        "the platform is known by name even where agents are not accepted"
    );
}

#[test]
fn bots_of_one_cloud_share_keys_and_bots_of_two_do_not() {
    let agents = |name: &str, cloud: &str| {
        let named = BOT.replace("helpdesk", name);
        format!(
            "{named}path = \"/{name}\"\ncloud = \"{cloud}\"\naccept = [\"channel\", \"agent\"]\n"
        )
    };
    let text = [
        agents("a", "public"),
        agents("b", "public"),
        agents("c", "us-gov"),
        agents("d", "china"),
    ]
    .concat();
    let settings = good(&text).settings;
    let of = |cloud: &str| [cloud.to_owned(), format!("{cloud}+{TENANT}")];
    assert_eq!(
        names(&settings),
        [of("public"), of("us-gov"), of("china")].concat()
    );
    assert_eq!(settings.bots[0].expect.entra, settings.bots[1].expect.entra);
    assert_ne!(settings.bots[0].expect.entra, settings.bots[2].expect.entra);
    for (source, login) in [
        (3, "https://login.microsoftonline.us"),
        (5, "https://login.partner.microsoftonline.cn"),
    ] {
        let KeyOrigin::EntraTenant { keys, .. } = &settings.key_sources[source].origin else {
            panic!("{:?}", settings.key_sources[source]);
        };
        assert_eq!(*keys, [format!("{login}/{TENANT}/discovery/v2.0/keys")]);
    }
}

#[test]
fn two_clouds_with_one_issuer_are_told_apart() {
    let twin = LAB.replace("lab", "twin");
    let in_cloud = |name: &str| {
        let named = BOT.replace("helpdesk", name);
        format!("{named}path = \"/{name}\"\ncloud = \"{name}\"\n")
    };
    let public = BOT.to_owned();
    let text = [
        LAB.to_owned(),
        twin,
        public,
        in_cloud("lab"),
        in_cloud("twin"),
    ]
    .concat();
    let settings = good(&text).settings;
    assert_eq!(names(&settings), ["public", "lab", "twin"]);
    let labels: Vec<&str> = settings
        .key_sources
        .iter()
        .map(|source| source.issuer.as_str())
        .collect();
    assert_eq!(
        labels,
        [
            "https://api.botframework.com",
            "https://api.botframework.com (lab)",
            "https://api.botframework.com (twin)",
        ],
        "metrics and log lines"
    );
    for (bot, id) in settings.bots.iter().zip(0..) {
        assert_eq!(bot.expect.channel.keys, Some(KeySourceId(id)));
        assert_eq!(bot.expect.channel.issuer, "https://api.botframework.com");
        let KeyOrigin::Connector { issuer, .. } = &settings.key_sources[id].origin else {
            panic!("{:?}", settings.key_sources[id]);
        };
        assert_eq!(
            issuer, "https://api.botframework.com",
            "what its metadata has to say"
        );
    }
}

#[test]
fn two_bots_with_one_app_id_keep_their_own_kinds() {
    let text = format!(
        "{BOT}{}path = \"/agent\"\naccept = [\"agent\"]\n",
        BOT.replace("helpdesk", "agent")
    );
    let settings = good(&text).settings;
    let kinds = |bot: usize| settings.bots[bot].expect.kinds().collect::<Vec<_>>();
    assert_eq!(kinds(0), [TokenKind::Channel]);
    assert_eq!(kinds(1), [TokenKind::Agent]);
}

#[test]
fn words_that_are_no_kind_are_pointed_out() {
    for (word, says) in [
        ("Skill", "did you mean \"skill\"?"),
        ("agents", "did you mean \"agent\"?"),
        ("emulater", "did you mean \"emulator\"?"),
        ("*", "write \"channel\""),
        ("", "write \"channel\""),
        ("AseChannel", "which is no kind of token"),
    ] {
        assert_bot_problem(
            &format!("accept = [\"{word}\"]"),
            "accept[0]",
            &["error", says],
        );
    }
}

fn started(listen: &str, more: &str, flags: StartFlags) -> Result<Loaded, Vec<Problem>> {
    let text = format!(
        "[server]\nlisten = {listen}\n{more}\n{}",
        with_bot("accept = [\"channel\", \"emulator\"]")
    );
    let dir = directory();
    parse_in(&text, dir.path(), flags, &environment)
}

#[test]
fn the_emulator_needs_a_listener_nobody_else_reaches_or_the_flag_that_names_the_danger() {
    let danger = StartFlags {
        danger_accept_emulator_in_public: true,
        ..StartFlags::default()
    };
    let other_flag = StartFlags {
        allow_self_signed: true,
        ..StartFlags::default()
    };
    let warned = |loaded: Result<Loaded, Vec<Problem>>| {
        let warnings = loaded
            .map_err(|problems| listed(&problems))
            .unwrap()
            .warnings;
        let told = listed(&warnings);
        assert!(told.contains("for development only"), "{told}");
    };
    for local in ["[\"127.0.0.1:8443\"]", "[\"[::1]:8443\", \"127.0.0.2:1\"]"] {
        warned(started(local, "", StartFlags::default()));
    }
    for (listen, more) in [
        ("[\"0.0.0.0:8443\"]", ""),
        ("[\"[::]:8443\"]", ""),
        ("[\"127.0.0.1:8443\", \"192.0.2.1:8443\"]", ""),
        ("[\"[::ffff:127.0.0.1]:8443\"]", ""),
        (
            "[\"127.0.0.1:8443\"]",
            "trusted_proxies = [\"127.0.0.1/32\"]",
        ),
    ] {
        for flags in [StartFlags::default(), other_flag] {
            let problems = started(listen, more, flags).expect_err(listen);
            let told = listed(&problems);
            assert!(
                told.contains("--danger-accept-emulator-in-public"),
                "{told}"
            );
            assert!(
                problems
                    .iter()
                    .any(|problem| problem.at == "bots[0].accept")
            );
        }
        warned(started(listen, more, danger));
    }
}

#[test]
fn kinds_other_than_channel_need_entra_in_their_cloud() {
    let metadata = "entra_metadata = \"https://login.lab.example/common/v2.0/.well-known/openid-configuration\"\n";
    let issuers = "entra_issuers = [\"https://sts.lab.example/{tenant}/\"]\n";
    let lab = |more: &str, accept: &str| {
        format!("{LOCAL}{LAB}{more}{BOT}cloud = \"lab\"\naccept = [\"{accept}\"]")
    };
    for kind in ["emulator", "skill", "agent"] {
        for more in ["", metadata, issuers] {
            let problems = parse(&lab(more, kind)).expect_err(kind);
            let told = listed(&problems);
            let says = format!(
                "names \"{kind}\", but cloud \"lab\" has no entra_metadata or no entra_issuers"
            );
            assert!(told.contains(&says), "{told}");
        }
        good(&lab(&[metadata, issuers].concat(), kind));
    }
    good(&lab("", "channel"));
}

#[test]
fn entra_issuers_say_where_the_tenant_stands() {
    let with = |issuer: &str| format!("{LAB}entra_issuers = [\n\"{issuer}\", #<-\n]\n{BOT}");
    for good_one in [
        "https://sts.lab.example/{tenant}/",
        "https://login.lab.example/0b4a31a2-c1a0-475d-b363-5f26668660a3/{tenant}/v2.0",
        "https://sts.lab.example/0b4a31a2-c1a0-475d-b363-5f26668660a3/",
    ] {
        good(&with(good_one));
    }
    for issuer in [
        "",
        "https://sts.lab.example/",
        "https://sts.lab.example/common/v2.0",
        "https://sts.lab.example/{tenantid}/",
        "https://sts.lab.example/{tenant}/{tenant}/",
        "https://sts.lab.example/0b4a31a2c1a0475db3635f26668660a3/",
    ] {
        assert_problem(
            &with(issuer),
            "clouds.lab.entra_issuers[0]",
            &["error", "says nothing of a tenant"],
        );
    }
}

#[test]
fn the_addresses_of_tenants_keys_follow_from_the_metadata() {
    for (metadata, login) in [
        (
            "https://login.lab.example/common/v2.0/.well-known/openid-configuration",
            "https://login.lab.example",
        ),
        (
            "https://login.lab.example/cab8a31a-1906-4287-a0d8-4eef66b95f6e/v2.0/.well-known/openid-configuration",
            "https://login.lab.example",
        ),
        (
            "https://login.lab.example/cab8a31a-1906-4287-a0d8-4eef66b95f6e/.well-known/openid-configuration",
            "https://login.lab.example",
        ),
        (
            "https://lab.example/entra/v2.0/.well-known/openid-configuration",
            "https://lab.example/entra",
        ),
    ] {
        let text = format!(
            "{LAB}entra_metadata = \"{metadata}\"\nentra_issuers = [\"https://sts.lab.example/{{tenant}}/\"]\n{BOT}cloud = \"lab\"\naccept = [\"agent\"]"
        );
        let settings = good(&text).settings;
        assert_eq!(names(&settings), [format!("lab+{TENANT}")]);
        let KeyOrigin::EntraTenant { keys, .. } = &settings.key_sources[0].origin else {
            panic!("{:?}", settings.key_sources[0]);
        };
        let mut wanted = vec![format!("{login}/{TENANT}/discovery/v2.0/keys")];
        if login.ends_with("/entra") {
            // Where "entra" stands in the place of the tenant.
            wanted.push(format!("https://lab.example/{TENANT}/discovery/v2.0/keys"));
        }
        assert_eq!(*keys, wanted);
    }
}

#[test]
fn key_sets_can_be_files() {
    let dir = directory();
    let key_set = crate::judge::token::fit_key_set("a");
    write(dir.path(), "keys.json", &key_set);
    let with = |channel: &str| {
        let local = LAB.replace(
            "https://login.lab.example/v1/.well-known/openidconfiguration",
            channel,
        );
        let entra = "entra_metadata = \"file:keys.json\"\nentra_issuers = [\"https://sts.lab.example/{tenant}/\"]";
        format!("{local}{entra}\n{BOT}cloud = \"lab\"\naccept = [\"channel\", \"agent\"]")
    };
    let absolute = format!("file:{}", dir.path().join("keys.json").display());
    for name in ["file:keys.json", &absolute] {
        let loaded = parse_at(dir.path(), &with(name)).map_err(|problems| listed(&problems));
        for source in &loaded.unwrap().settings.key_sources {
            assert_eq!(source.origin, KeyOrigin::File(dir.path().join("keys.json")));
        }
    }
    let missing = parse_at(dir.path(), &with("file:none.json")).unwrap_err();
    let told = listed(&missing);
    assert!(told.contains("cannot be read"), "{told}");
    assert!(told.contains("clouds.lab.channel_metadata"), "{told}");
}

#[test]
fn a_custom_cloud_can_name_its_agent_platform() {
    let other = "c9475445-9789-4fef-9ec5-cde4a9bcd446";
    let platforms = |line: &str| {
        let loaded = good(&format!("{LAB}{line}\n{BOT}cloud = \"lab\""));
        let bot = &loaded.settings.bots[0];
        assert_eq!(
            bot.expect.entra.platforms,
            bot.policy.callers.agent_platforms
        );
        bot.expect.entra.platforms.clone()
    };
    assert_eq!(platforms(""), [crate::judge::AGENT_PLATFORM]);
    let named = format!("agent_platforms = [\"{}\"]", other.to_uppercase());
    assert_eq!(platforms(&named), [other]);
    assert_problem(
        &format!("{LAB}agent_platforms = [\"x\"] #<-\n{BOT}cloud = \"lab\""),
        "clouds.lab.agent_platforms[0]",
        &["error", "is not an app id"],
    );
}

#[test]
fn agents_without_tenants_are_pointed_out() {
    let text = replaced("tenants.allow", "[]");
    let problems = problems(&format!("{text}\naccept = [\"agent\"]"));
    let told = listed(&problems);
    assert!(told.contains("no agent token will be accepted"), "{told}");
    let agent = good(&format!("{text}\naccept = [\"agent\"]")).settings;
    let agent = agent.bots[0].expect.entra.agent.as_ref().unwrap();
    assert!(agent.keys.is_empty());
}

#[test]
fn each_kind_has_hosts_of_its_own() {
    let hosts = |keys: &str| {
        let accept = "accept = [\"channel\", \"emulator\", \"skill\", \"agent\"]";
        let callers = format!("callers.allow = [\"{PARENT}\"]");
        let text = format!("{LOCAL}{}", with_bot(&[accept, &callers, keys].join("\n")));
        let loaded = good(&text);
        let hosts = loaded.settings.bots[0].policy.service_urls.clone();
        (hosts, listed(&loaded.warnings))
    };
    let (cloud, warned) = hosts("");
    for kind in [TokenKind::Channel, TokenKind::Skill, TokenKind::Agent] {
        let hosts = cloud.hosts_for(kind);
        assert!(hosts.contains("smba.trafficmanager.net") && !hosts.contains("localhost"));
    }
    let emulator = cloud.hosts_for(TokenKind::Emulator);
    assert!(emulator.contains("localhost") && emulator.contains("[::1]"));
    assert!(!emulator.contains("smba.trafficmanager.net"));
    assert!(
        warned.contains("names no host of a bot that calls this one as a skill"),
        "{warned}"
    );

    let (extra, warned) = hosts("service_urls.extra_hosts = [\"parent.example\"]");
    for kind in TokenKind::ALL {
        assert!(extra.hosts_for(kind).contains("parent.example"), "{kind:?}");
    }
    assert!(!warned.contains("names no host"), "{warned}");

    let (any, warned) =
        hosts("service_urls = { allow_hosts = \"any\", extra_hosts = [\"parent.example\"] }");
    assert!(any.hosts_for(TokenKind::Channel).contains("evil.example"));
    for kind in [TokenKind::Emulator, TokenKind::Skill, TokenKind::Agent] {
        assert!(any.hosts_for(kind).contains("parent.example"));
        assert!(!any.hosts_for(kind).contains("evil.example"), "{kind:?}");
    }
    assert!(
        warned.contains("is not so for emulator, skill and agent tokens"),
        "{warned}"
    );
}

#[test]
fn every_file_in_the_guide_to_trust_is_good() {
    let dir = directory();
    let key_set = crate::judge::token::fit_key_set("a");
    write(dir.path(), "keys.json", &key_set);
    let guide = include_str!("../../../docs/trust.md");
    let files: Vec<&str> = guide
        .split("```toml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert!(files.len() >= 7, "{}", files.len());
    for text in files {
        let loaded = parse_at(dir.path(), text);
        let loaded = loaded.unwrap_or_else(|problems| panic!("{text}\n{}", listed(&problems)));
        let is_weak = text.contains("\"emulator\"") || text.contains("unendorsed");
        let told = listed(&loaded.warnings);
        assert_eq!(
            loaded.warnings.len(),
            usize::from(is_weak),
            "{text}\n{told}"
        );
    }
}
