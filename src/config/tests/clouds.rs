//! `[clouds.*]`, and the bots that name them.

use super::*;
use crate::judge::{BUILT_IN, KeySourceId};

const LAB: &str = r#"
[clouds.lab]
channel_metadata = "http://127.0.0.1:9999/v1/.well-known/openidconfiguration"
channel_issuer = "https://issuer.example"
service_url_hosts = ["127.0.0.1", "*.lab.example"]
"#;

#[test]
fn clouds_that_bots_use_are_kept_once_and_roots_point_to_them() {
    let bot = |name: &str, cloud: &str| {
        BOT.replace("helpdesk", name).replace(
            "tenants.",
            &format!("path = \"/{name}\"\ncloud = \"{cloud}\"\ntenants."),
        )
    };
    let text = [
        LAB.to_owned(),
        bot("a", "lab"),
        bot("b", "public"),
        bot("c", "lab"),
        bot("d", "china"),
    ]
    .concat();
    let settings = good(&text).settings;
    let names: Vec<&str> = settings
        .clouds
        .iter()
        .map(|cloud| cloud.name.as_str())
        .collect();
    assert_eq!(names, ["lab", "public", "china"]);
    for (bot, (cloud, issuer)) in settings.bots.iter().zip([
        (0, "https://issuer.example"),
        (1, "https://api.botframework.com"),
        (0, "https://issuer.example"),
        (2, "https://api.botframework.azure.cn"),
    ]) {
        let root = &bot.expect.channel;
        assert_eq!(
            (root.keys, root.issuer.as_str()),
            (Some(KeySourceId(cloud)), issuer)
        );
        assert_eq!(settings.key_sources[cloud].issuer, issuer);
        assert_eq!(settings.bots[bot.index].name, bot.name);
    }
    let hosts = &settings.bots[0].policy.service_urls.hosts;
    assert!(
        hosts.contains("127.0.0.1")
            && hosts.contains("a.lab.example")
            && !hosts.contains("smba.trafficmanager.net")
    );
}

#[test]
fn a_cloud_needs_metadata_that_nobody_can_forge() {
    let with = |key: &str, value: &str| {
        let line = LAB.lines().find(|line| line.starts_with(key)).unwrap();
        format!(
            "{}{BOT}",
            LAB.replace(line, &format!("{key} = \"{value}\" {MARK}"))
        )
    };
    for url in [
        "https://login.example/x",
        "http://localhost:1/x",
        "http://[::1]:1/x",
        "http://127.9.9.9/x",
    ] {
        good(&with("channel_metadata", url));
    }
    for (url, says) in [
        ("http://login.example/x", "not https"),
        ("http://localhost.example/x", "not https"),
        ("http://10.0.0.1/x", "not https"),
        ("ftp://127.0.0.1/x", "not https"),
        ("login.example/x", "is not a URL"),
        ("https://u:hunter2@login.example/x", "user name or password"),
        ("", "is empty"),
    ] {
        assert_problem(
            &with("channel_metadata", url),
            "clouds.lab.channel_metadata",
            &["error", says],
        );
    }
    let entra = format!("{LAB}entra_metadata = \"http://login.example/x\" #<-\n{BOT}");
    assert_problem(&entra, "clouds.lab.entra_metadata", &["error", "not https"]);
    assert_problem(
        &with("channel_issuer", ""),
        "clouds.lab.channel_issuer",
        &["error", "is empty"],
    );
    let hosts = format!("{LAB}{BOT}").replace(
        "[\"127.0.0.1\", \"*.lab.example\"]",
        "[\"127.0.0.1\",\n\"*.com\", #<-\n]",
    );
    assert_problem(
        &hosts,
        "clouds.lab.service_url_hosts[1]",
        &["error", "anyone can register"],
    );
    let missing = format!("[clouds.lab] #<-\nchannel_metadata = \"https://a.example/\"\n{BOT}");
    assert_problem(
        &missing,
        "clouds.lab.channel_issuer",
        &["error", "is missing"],
    );
}

#[test]
fn cloud_names_are_known_and_built_in_ones_cannot_be_changed() {
    for built_in in BUILT_IN {
        good(&with_bot(&format!("cloud = \"{}\"", built_in.name)));
        let text = format!(
            "{}{BOT}",
            LAB.replace("[clouds.lab]", &format!("[clouds.{}] #<-", built_in.name))
        );
        assert_problem(
            &text,
            &format!("clouds.{}", built_in.name),
            &["error", "built-in cloud"],
        );
    }
    let odd = format!(
        "{}{BOT}",
        LAB.replace("[clouds.lab]", "[clouds.\"my lab\"] #<-")
    );
    assert_problem(&odd, "clouds.\"my lab\"", &["error", "not a usable name"]);
    assert_problem(
        &with_bot("cloud = \"us_gov\" #<-"),
        "bots[0].cloud",
        &["error", "did you mean \"us-gov\"?"],
    );
    assert_problem(
        &with_bot("cloud = \"mars\" #<-"),
        "bots[0].cloud",
        &["error", "public, us-gov, china"],
    );
}
