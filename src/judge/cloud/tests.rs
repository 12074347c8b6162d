//! The constants, written down a second time from the specification, so that no slip of the pen changes whom a gateway trusts.

use super::*;

#[test]
fn entra_issuers_are_known_by_their_template() {
    let tid = "d6d49420-f39b-4df7-a1dc-d59a935871db";
    assert!(is_known_entra_issuer(&format!(
        "https://sts.windows.net/{tid}/"
    )));
    assert!(is_known_entra_issuer(&format!(
        "https://login.microsoftonline.com/{tid}/v2.0"
    )));
    assert!(!is_known_entra_issuer(&format!(
        "https://login.microsoftonline.com.evil.example/{tid}/v2.0"
    )));
    assert!(!is_known_entra_issuer("https://api.botframework.com"));
}

#[test]
fn every_built_in_issuer_has_a_place_for_a_tenant() {
    for issuer in BUILT_IN.iter().flat_map(|cloud| cloud.entra_issuers) {
        assert!(EntraIssuer::parse(issuer).is_some(), "{issuer}");
    }
}

fn cloud(name: &str) -> Cloud {
    let mut named = BUILT_IN.iter().filter(|cloud| cloud.name == name);
    named.next().unwrap().to_cloud()
}

fn owned(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn the_public_cloud_is_the_specifications() {
    assert_eq!(
        cloud("public"),
        Cloud {
            name: "public".to_owned(),
            channel_metadata: "https://login.botframework.com/v1/.well-known/openidconfiguration"
                .to_owned(),
            channel_issuer: "https://api.botframework.com".to_owned(),
            entra_metadata:
                "https://login.microsoftonline.com/common/v2.0/.well-known/openid-configuration"
                    .to_owned(),
            entra_key_hosts: owned(&["login.windows.net", "sts.windows.net"]),
            entra_login: "https://login.microsoftonline.com".to_owned(),
            entra_issuers: owned(&[
                "https://sts.windows.net/{tenant}/",
                "https://login.microsoftonline.com/{tenant}/v2.0",
            ]),
            agent_platforms: owned(&["5a807f24-c9de-44ee-a3a7-329e88a00ffc"]),
            service_url_hosts: owned(&[
                "*.botframework.com",
                "smba.trafficmanager.net",
                "smba.onyx.prod.teams.trafficmanager.net",
                "smba.infra.gcc.teams.microsoft.com",
            ]),
        }
    );
}

#[test]
fn the_us_governments_cloud_is_the_specifications() {
    assert_eq!(
        cloud("us-gov"),
        Cloud {
            name: "us-gov".to_owned(),
            channel_metadata: "https://login.botframework.azure.us/v1/.well-known/openidconfiguration".to_owned(),
            channel_issuer: "https://api.botframework.us".to_owned(),
            entra_metadata: "https://login.microsoftonline.us/cab8a31a-1906-4287-a0d8-4eef66b95f6e/v2.0/.well-known/openid-configuration".to_owned(),
            entra_key_hosts: vec![],
            entra_login: "https://login.microsoftonline.us".to_owned(),
            entra_issuers: owned(&[
                "https://login.microsoftonline.us/{tenant}/",
                "https://login.microsoftonline.us/{tenant}/v2.0",
                "https://sts.windows.net/cab8a31a-1906-4287-a0d8-4eef66b95f6e/",
            ]),
            agent_platforms: owned(&[
                "6f669b9e-7701-4e2b-b624-82c9207fde26",
                "0a069c81-8c7c-4712-886b-9c542d673ffb",
            ]),
            service_url_hosts: owned(&[
                "*.botframework.azure.us",
                "smba.infra.gov.teams.microsoft.us",
                "smba.infra.dod.teams.microsoft.us",
            ]),
        }
    );
}

#[test]
fn chinas_cloud_is_the_specifications() {
    assert_eq!(
        cloud("china"),
        Cloud {
            name: "china".to_owned(),
            channel_metadata: "https://login.botframework.azure.cn/v1/.well-known/openidconfiguration".to_owned(),
            channel_issuer: "https://api.botframework.azure.cn".to_owned(),
            entra_metadata: "https://login.partner.microsoftonline.cn/a55a4d5b-9241-49b1-b4ff-befa8db00269/.well-known/openid-configuration".to_owned(),
            entra_key_hosts: owned(&["login.chinacloudapi.cn", "sts.chinacloudapi.cn"]),
            entra_login: "https://login.partner.microsoftonline.cn".to_owned(),
            entra_issuers: owned(&[
                "https://sts.chinacloudapi.cn/{tenant}/",
                "https://login.partner.microsoftonline.cn/{tenant}/v2.0",
                "https://login.partner.microsoftonline.cn/0b4a31a2-c1a0-475d-b363-5f26668660a3/{tenant}/v2.0",
            ]),
            agent_platforms: owned(&["bd004c8e-5acf-4c48-8570-4e7d46b2f63b"]),
            service_url_hosts: owned(&[
                "*.botframework.azure.cn",
                "frontend.botapi.msg.infra.teams.microsoftonline.cn",
            ]),
        }
    );
}

#[test]
fn the_emulators_issuers_in_the_sdks_are_issuers_of_their_clouds() {
    let accepts = |name: &str, issuer: &str| {
        let issuers = cloud(name).entra_issuers;
        let mut read = issuers.iter().filter_map(|text| EntraIssuer::parse(text));
        read.any(|known| known.tenant_of(issuer).is_some())
    };
    for (name, issuer) in [
        (
            "public",
            "https://sts.windows.net/d6d49420-f39b-4df7-a1dc-d59a935871db/",
        ),
        (
            "public",
            "https://login.microsoftonline.com/d6d49420-f39b-4df7-a1dc-d59a935871db/v2.0",
        ),
        (
            "public",
            "https://sts.windows.net/f8cdef31-a31e-4b4a-93e4-5f571e91255a/",
        ),
        (
            "public",
            "https://login.microsoftonline.com/f8cdef31-a31e-4b4a-93e4-5f571e91255a/v2.0",
        ),
        (
            "us-gov",
            "https://sts.windows.net/cab8a31a-1906-4287-a0d8-4eef66b95f6e/",
        ),
        (
            "us-gov",
            "https://login.microsoftonline.us/cab8a31a-1906-4287-a0d8-4eef66b95f6e/v2.0",
        ),
        (
            "us-gov",
            "https://login.microsoftonline.us/f8cdef31-a31e-4b4a-93e4-5f571e91255a/",
        ),
        (
            "us-gov",
            "https://login.microsoftonline.us/f8cdef31-a31e-4b4a-93e4-5f571e91255a/v2.0",
        ),
    ] {
        assert!(accepts(name, issuer), "{issuer}");
    }
    assert!(!accepts(
        "us-gov",
        "https://sts.windows.net/d6d49420-f39b-4df7-a1dc-d59a935871db/"
    ));
}

#[test]
fn no_two_clouds_share_the_connectors_issuer_a_host_or_a_place_for_keys() {
    let clouds: Vec<Cloud> = BUILT_IN.iter().map(BuiltIn::to_cloud).collect();
    assert_eq!(clouds.len(), 3);
    for (at, one) in clouds.iter().enumerate() {
        assert!(
            one.channel_metadata.starts_with("https://")
                && one.entra_metadata.starts_with("https://")
        );
        assert!(
            one.entra_metadata
                .starts_with(&format!("{}/", one.entra_login))
        );
        for other in clouds.iter().skip(at + 1) {
            assert_ne!(one.channel_issuer, other.channel_issuer);
            assert_ne!(one.channel_metadata, other.channel_metadata);
            assert_ne!(one.entra_metadata, other.entra_metadata);
            assert_ne!(one.entra_login, other.entra_login);
            let shared =
                |one: &[String], other: &[String]| one.iter().any(|entry| other.contains(entry));
            assert!(!shared(&one.service_url_hosts, &other.service_url_hosts));
            assert!(!shared(&one.entra_key_hosts, &other.entra_key_hosts));
            assert!(!shared(&one.entra_issuers, &other.entra_issuers));
            assert!(!shared(&one.agent_platforms, &other.agent_platforms));
        }
    }
}
