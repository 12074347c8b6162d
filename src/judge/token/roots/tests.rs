//! Every root and what it asks of a token: passes, refused, missing, and the nearest miss.

use super::*;
use crate::judge::BUILT_IN;
use crate::judge::token::{KeySet, TextClaim};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use std::sync::OnceLock;

const BOT: &str = "5f1c8a5e-7f0b-4f3e-9d55-6f2b1b0a9c11";
const PARENT: &str = "6a2b3c4d-1e2f-4a5b-8c6d-7e8f90a1b2c3";
const PLATFORM: &str = "5a807f24-c9de-44ee-a3a7-329e88a00ffc";
const T1: &str = "3f0c8a5e-7f0b-4f3e-9d55-6f2b1b0a9c11";
const T2: &str = "11111111-2222-4333-8444-555555555555";
const CHANNEL_KEYS: KeySourceId = KeySourceId(1);
const EMULATOR_KEYS: KeySourceId = KeySourceId(2);
const SKILL_KEYS: KeySourceId = KeySourceId(3);
const T1_KEYS: KeySourceId = KeySourceId(4);

use TokenKind::{Agent, Channel, Emulator, Skill};

fn tenant(text: &str) -> TenantId {
    TenantId::parse(text).unwrap()
}

/// A bot of the public cloud that accepts these kinds, and [`T1`] where a kind wants to know.
fn bot(kinds: &[TokenKind]) -> Expect {
    let cloud = BUILT_IN[0].to_cloud();
    let accepts = |kind| kinds.contains(&kind);
    Expect {
        app_id: BOT.to_owned(),
        clock_skew: 300,
        channel: ChannelRoot {
            issuer: cloud.channel_issuer,
            keys: accepts(Channel).then_some(CHANNEL_KEYS),
        },
        entra: EntraRoots {
            issuers: cloud
                .entra_issuers
                .iter()
                .map(|issuer| EntraIssuer::parse(issuer).unwrap())
                .collect(),
            platforms: cloud.agent_platforms,
            emulator: accepts(Emulator).then(|| EmulatorRoot {
                keys: EMULATOR_KEYS,
                tenants: [tenant(T1)].into(),
            }),
            skill: accepts(Skill).then_some(SKILL_KEYS),
            agent: accepts(Agent).then(|| AgentRoot {
                keys: [(tenant(T1), T1_KEYS)].into(),
            }),
        },
    }
}

fn text(text: &str) -> TextClaim {
    TextClaim::Text(text.to_owned())
}

/// What an application's own token of version 2 says.
fn entra(of: &str, caller: &str) -> Claims {
    let mut claims = Claims::default();
    claims.issuer = Some(format!("https://login.microsoftonline.com/{of}/v2.0"));
    claims.audience = Some(BOT.to_owned());
    claims.tenant = Some(of.to_owned());
    claims.version = text("2.0");
    claims.authorized_party = text(caller);
    claims
}

/// The same in version 1.
fn entra_v1(of: &str, caller: &str) -> Claims {
    let mut claims = entra(of, caller);
    claims.issuer = Some(format!("https://sts.windows.net/{of}/"));
    claims.version = text("1.0");
    claims.app_id = std::mem::take(&mut claims.authorized_party);
    claims
}

fn from(issuer: &str) -> Claims {
    let mut claims = entra(T1, PARENT);
    claims.issuer = Some(issuer.to_owned());
    claims
}

/// The kind and keys that a token leads to.
fn root(bot: &Expect, claims: &Claims) -> Result<(TokenKind, KeySourceId), Reason> {
    bot.trust(claims)
        .map(|trust| (trust.kind, trust.keys))
        .map_err(|rejection| rejection.reason())
}

/// Whether a token passes all that is asked of it before its signature.
fn screened(bot: &Expect, claims: &Claims) -> Result<TokenKind, Rejection> {
    let trust = bot.trust(claims)?;
    bot.check_audience(trust.kind, claims)?;
    bot.check_claims(trust, claims)?;
    Ok(trust.kind)
}

fn verdict(bot: &Expect, claims: &Claims) -> Result<TokenKind, Reason> {
    screened(bot, claims).map_err(|rejection| rejection.reason())
}

fn note(bot: &Expect, claims: &Claims) -> String {
    let rejection = screened(bot, claims).unwrap_err();
    rejection.note().unwrap_or_default().to_owned()
}

const CONNECTOR: &str = "https://api.botframework.com";

#[test]
fn the_issuer_and_the_caller_lead_to_one_root_and_its_keys() {
    let all = bot(&TokenKind::ALL);
    for (claims, expected) in [
        (from(CONNECTOR), (Channel, CHANNEL_KEYS)),
        (entra(T1, BOT), (Emulator, EMULATOR_KEYS)),
        (entra_v1(T1, &BOT.to_uppercase()), (Emulator, EMULATOR_KEYS)),
        (entra(T2, PARENT), (Skill, SKILL_KEYS)),
        (entra_v1(T1, PARENT), (Skill, SKILL_KEYS)),
        (entra(T1, PLATFORM), (Agent, T1_KEYS)),
        (entra_v1(T1, &PLATFORM.to_uppercase()), (Agent, T1_KEYS)),
    ] {
        assert_eq!(root(&all, &claims), Ok(expected), "{claims:?}");
    }
    assert_eq!(
        root(&all, &entra(T2, PLATFORM)),
        Err(Reason::TokenIssuerUnknown),
        "no keys of a tenant that is not listed"
    );
    let kinds: Vec<_> = all.kinds().collect();
    assert_eq!(kinds, TokenKind::ALL);
    assert_eq!(bot(&[Skill]).kinds().collect::<Vec<_>>(), [Skill]);
}

#[test]
fn a_kind_that_is_not_accepted_is_refused_by_its_own_name() {
    let of_every_kind = [
        (Channel, from(CONNECTOR)),
        (Emulator, entra(T1, BOT)),
        (Skill, entra(T1, PARENT)),
        (Agent, entra(T1, PLATFORM)),
    ];
    for (accepted, _) in &of_every_kind {
        let bot = bot(&[*accepted]);
        for (kind, claims) in &of_every_kind {
            if kind == accepted {
                assert_eq!(verdict(&bot, claims), Ok(*kind));
                continue;
            }
            // A caller that is neither the platform nor the bot itself is a skill's, or a wrong one where there are no skills.
            let is_taken_for_a_wrong_caller =
                *kind == Skill && matches!(accepted, Emulator | Agent);
            if is_taken_for_a_wrong_caller {
                continue;
            }
            assert_eq!(
                verdict(&bot, claims),
                Err(Reason::TokenKindNotAccepted),
                "{kind:?} where {accepted:?} is accepted"
            );
            let said = format!("bots.accept does not name {:?}", kind.word());
            assert!(note(&bot, claims).contains(&said), "{}", note(&bot, claims));
        }
    }
    let emulator = bot(&[Emulator]);
    assert_eq!(
        verdict(&emulator, &entra(T1, PARENT)),
        Err(Reason::TokenClaimsInvalid)
    );
    assert!(note(&emulator, &entra(T1, PARENT)).contains("not this bot itself"));
    // The platform's app id is checked once the signature is, as 403: see policy::agent.
    assert_eq!(verdict(&bot(&[Agent]), &entra(T1, PARENT)), Ok(Agent));
}

#[test]
fn the_platform_and_the_bot_itself_never_pass_as_skills() {
    let skill = bot(&[Skill]);
    for caller in [PLATFORM, BOT] {
        let mut in_either_claim = entra(T1, PARENT);
        in_either_claim.app_id = text(caller);
        let mut v1_with_azp = entra_v1(T1, PARENT);
        v1_with_azp.authorized_party = text(caller);
        let mut hidden = entra_v1(T1, caller);
        hidden.authorized_party = text(PARENT);
        let mut hidden_by_no_text = entra_v1(T1, caller);
        hidden_by_no_text.authorized_party = TextClaim::NotText;
        for claims in [
            entra(T1, caller),
            entra_v1(T1, caller),
            v1_with_azp,
            hidden,
            hidden_by_no_text,
        ] {
            assert_eq!(
                verdict(&skill, &claims),
                Err(Reason::TokenKindNotAccepted),
                "{claims:?}"
            );
        }
        // Version 2 has one caller, and appid is not a part of it.
        assert_eq!(verdict(&skill, &in_either_claim), Ok(Skill));
    }
}

#[test]
fn issuers_are_compared_byte_for_byte() {
    let all = bot(&TokenKind::ALL);
    for issuer in [
        "",
        "https://api.botframework.com/",
        "https://API.botframework.com",
        "https://api.botframework.us",
        "https://login.microsoftonline.com/common/v2.0",
        "https://login.microsoftonline.com/organizations/v2.0",
        "https://login.microsoftonline.com/{tenant}/v2.0",
        &format!("https://login.microsoftonline.com/{T1}"),
        &format!("https://login.microsoftonline.com/{T1}/"),
        &format!("https://login.microsoftonline.com/{T1}/v2.0/"),
        &format!(
            "https://login.microsoftonline.com/{}/v2.0",
            T1.to_uppercase()
        ),
        &format!("https://login.microsoftonline.com/{{{T1}}}/v2.0"),
        &format!("https://login.microsoftonline.com/{T1}/{T1}/v2.0"),
        &format!("https://login.microsoftonline.com:443/{T1}/v2.0"),
        &format!("https://login.microsoftonline.com.evil.example/{T1}/v2.0"),
        &format!("http://login.microsoftonline.com/{T1}/v2.0"),
        &format!("https://login.microsoftonline.us/{T1}/v2.0"),
        &format!("https://login.partner.microsoftonline.cn/{T1}/v2.0"),
        &format!("https://sts.chinacloudapi.cn/{T1}/"),
        &format!("https://sts.windows.net/{T1}"),
        &format!("https://sts.windows.net.evil.example/{T1}/"),
    ] {
        assert_eq!(
            root(&all, &from(issuer)),
            Err(Reason::TokenIssuerUnknown),
            "{issuer}"
        );
    }
    let mut none = entra(T1, PARENT);
    none.issuer = None;
    assert_eq!(root(&all, &none), Err(Reason::TokenIssuerUnknown));
}

#[test]
fn an_entra_issuer_of_any_cloud_is_known_where_none_is_accepted() {
    let channel = bot(&[Channel]);
    for known in [
        "https://sts.windows.net/TID/",
        "https://login.microsoftonline.us/TID/v2.0",
        "https://sts.chinacloudapi.cn/TID/",
    ] {
        assert_eq!(
            root(&channel, &from(&known.replace("TID", T1))),
            Err(Reason::TokenKindNotAccepted),
            "{known}"
        );
    }
}

#[test]
fn tid_is_the_issuers_tenant_on_every_entra_root() {
    let all = bot(&TokenKind::ALL);
    for caller in [BOT, PARENT, PLATFORM] {
        let with = |tid: Option<&str>| {
            let mut claims = entra(T1, caller);
            claims.tenant = tid.map(str::to_owned);
            verdict(&all, &claims).map(|_| ())
        };
        assert_eq!(with(Some(T1)), Ok(()));
        assert_eq!(with(Some(&T1.to_uppercase())), Ok(()), "a GUID has no case");
        for wrong in [
            None,
            Some(""),
            Some(T2),
            Some("common"),
            Some(&T1.replace('-', "")),
            Some(&format!("{{{T1}}}")),
            Some(&format!("{T1} ")),
        ] {
            assert_eq!(
                with(wrong),
                Err(Reason::TokenClaimsInvalid),
                "{caller} {wrong:?}"
            );
        }
    }
    let mut channel = from(CONNECTOR);
    channel.tenant = Some(T2.to_owned());
    assert_eq!(
        verdict(&all, &channel),
        Ok(Channel),
        "the Connector's issuer names no tenant"
    );
}

#[test]
fn the_version_says_which_claim_names_the_caller() {
    let all = bot(&[Emulator, Skill]);
    for (caller, kind) in [(BOT, Emulator), (PARENT, Skill)] {
        let with = |version: TextClaim, app_id: TextClaim, azp: TextClaim| {
            let mut claims = entra(T1, caller);
            claims.version = version;
            claims.app_id = app_id;
            claims.authorized_party = azp;
            verdict(&all, &claims)
        };
        let (caller, missing) = (|| text(caller), || TextClaim::Missing);
        for version in ["1.0", "", " "] {
            assert_eq!(with(text(version), caller(), missing()), Ok(kind));
            for no_text in [missing(), TextClaim::NotText, text(""), text(" ")] {
                let outcome = with(text(version), no_text, caller());
                assert_eq!(outcome, Err(Reason::TokenClaimsInvalid), "{version:?}");
            }
        }
        assert_eq!(with(text("2.0"), missing(), caller()), Ok(kind));
        for no_text in [missing(), TextClaim::NotText, text(""), text(" ")] {
            let outcome = with(text("2.0"), caller(), no_text);
            assert_eq!(outcome, Err(Reason::TokenClaimsInvalid));
        }
        for version in [
            missing(),
            TextClaim::NotText,
            text("1"),
            text("2"),
            text("3.0"),
            text(" 1.0"),
            text("2.0 "),
            text("v2.0"),
        ] {
            let outcome = with(version.clone(), caller(), caller());
            assert_eq!(outcome, Err(Reason::TokenClaimsInvalid), "{version:?}");
        }
    }
}

#[test]
fn an_agents_caller_is_azp_and_appid_only_where_there_is_no_azp() {
    let agent = bot(&[Agent]);
    let with = |app_id: TextClaim, azp: TextClaim| {
        let mut claims = entra(T1, PLATFORM);
        claims.version = TextClaim::Missing;
        (claims.app_id, claims.authorized_party) = (app_id, azp);
        verdict(&agent, &claims)
    };
    assert_eq!(with(TextClaim::Missing, text(PLATFORM)), Ok(Agent));
    assert_eq!(with(text(PLATFORM), TextClaim::Missing), Ok(Agent));
    for azp in [TextClaim::NotText, text(""), text(" ")] {
        assert_eq!(
            with(text(PLATFORM), azp.clone()),
            Err(Reason::TokenClaimsInvalid),
            "{azp:?}"
        );
    }
    assert_eq!(
        with(TextClaim::Missing, TextClaim::Missing),
        Err(Reason::TokenClaimsInvalid)
    );
}

#[test]
fn only_applications_call_as_emulator_and_skill() {
    let all = bot(&TokenKind::ALL);
    for caller in [BOT, PARENT] {
        let mut claims = entra(T1, caller);
        claims.speaks_for_a_user = true;
        assert_eq!(verdict(&all, &claims), Err(Reason::TokenClaimsInvalid));
        assert!(note(&all, &claims).contains("speaks for a user"));
    }
}

#[test]
fn the_emulators_tenant_is_listed_where_tenants_are() {
    let mut bot = bot(&[Emulator]);
    assert_eq!(
        verdict(&bot, &entra(T2, BOT)),
        Err(Reason::TokenClaimsInvalid)
    );
    assert!(note(&bot, &entra(T2, BOT)).contains("bots.tenants.allow"));
    if let Some(root) = &mut bot.entra.emulator {
        root.tenants.clear();
    }
    assert_eq!(verdict(&bot, &entra(T2, BOT)), Ok(Emulator));
}

#[test]
fn only_agents_are_called_by_api_names() {
    let all = bot(&TokenKind::ALL);
    let with = |mut claims: Claims, audience: &str| {
        claims.audience = Some(audience.to_owned());
        verdict(&all, &claims)
    };
    let callers = [
        (Channel, from(CONNECTOR)),
        (Emulator, entra(T1, BOT)),
        (Skill, entra(T1, PARENT)),
        (Agent, entra(T1, PLATFORM)),
    ];
    for (kind, claims) in callers {
        assert_eq!(with(claims.clone(), BOT), Ok(kind));
        assert_eq!(with(claims.clone(), &BOT.to_uppercase()), Ok(kind));
        for named in [format!("api://{BOT}"), format!("api://botid-{BOT}")] {
            let expected = if kind == Agent {
                Ok(Agent)
            } else {
                Err(Reason::TokenAudienceMismatch)
            };
            assert_eq!(with(claims.clone(), &named), expected, "{kind:?} {named}");
        }
        for wrong in [
            "",
            T1,
            CONNECTOR,
            &format!("botid-{BOT}"),
            &format!("API://{BOT}"),
            &format!("api://api://{BOT}"),
            &format!("api://botid-botid-{BOT}"),
            &format!("api://{BOT}/"),
            &format!("api://{BOT}/.default"),
            &format!("api://botid-{T1}"),
            &format!("https://{BOT}"),
        ] {
            assert_eq!(
                with(claims.clone(), wrong),
                Err(Reason::TokenAudienceMismatch),
                "{kind:?} {wrong}"
            );
        }
        let mut none = claims;
        none.audience = None;
        assert_eq!(verdict(&all, &none), Err(Reason::TokenAudienceMismatch));
    }
}

/// A key whose key set says this of its issuer.
fn key(issuer: Option<&str>) -> std::sync::Arc<Key> {
    static MODULUS: OnceLock<String> = OnceLock::new();
    let modulus = MODULUS.get_or_init(|| {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        URL_SAFE_NO_PAD.encode(
            pair.public_key()
                .modulus()
                .big_endian_without_leading_zero(),
        )
    });
    let mut jwk = json!({ "kty": "RSA", "kid": "k", "n": modulus, "e": "AQAB" });
    if let Some(issuer) = issuer {
        jwk["issuer"] = json!(issuer);
    }
    let set = KeySet::parse(json!({ "keys": [jwk] }).to_string().as_bytes()).unwrap();
    set.get("k").unwrap()
}

#[test]
fn a_key_that_speaks_for_one_issuer_speaks_for_no_other() {
    let all = bot(&TokenKind::ALL);
    let with = |claims: &Claims, issuer: Option<&str>| {
        let trust = all.trust(claims).unwrap();
        all.check_key(trust, &key(issuer))
    };
    let v2 = |tenant: &str| format!("https://login.microsoftonline.com/{tenant}/v2.0");
    for caller in [BOT, PARENT, PLATFORM] {
        for claims in [entra(T1, caller), entra_v1(T1, caller)] {
            for good in [
                None,
                Some(v2("{tenantid}").as_str()),
                Some(&v2(T1)),
                Some("https://sts.windows.net/{tenantid}/"),
            ] {
                assert_eq!(with(&claims, good), Ok(()), "{good:?}");
            }
            for (wrong, says) in [
                (v2(T2), "the token is of tenant"),
                (v2("{tenant}"), "no Entra issuer of this cloud"),
                (v2("common"), "no Entra issuer of this cloud"),
                (String::new(), "no Entra issuer of this cloud"),
                (
                    "https://login.microsoftonline.us/{tenantid}/v2.0".to_owned(),
                    "no Entra issuer of this cloud",
                ),
            ] {
                let rejection = with(&claims, Some(&wrong)).unwrap_err();
                assert_eq!(rejection.reason(), Reason::TokenClaimsInvalid, "{wrong}");
                assert!(rejection.note().unwrap().contains(says), "{rejection:?}");
            }
        }
    }
    assert_eq!(
        with(&from(CONNECTOR), Some(&v2(T2))),
        Ok(()),
        "the Connector's keys are the Connector's"
    );
}
