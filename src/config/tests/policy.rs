//! `[bots.tenants]` and its neighbours: what of them reaches the settings, and what is pointed out.

use super::*;
use crate::judge::{HostList, Mode, OnReject, TenantId};

#[test]
fn policies_take_the_mode_of_the_bot_unless_they_have_their_own() {
    let loaded = good(&with_bot(
        "mode = \"report\"\ntenants.mode = \"enforce\"\nrate_limits.mode = \"enforce\"",
    ));
    let warned: Vec<&str> = loaded
        .warnings
        .iter()
        .map(|problem| problem.at.as_str())
        .collect();
    assert_eq!(warned, ["bots[0].mode"]);
    let bot = &loaded.settings.bots[0];
    let policy = &bot.policy;
    assert_eq!(
        (policy.tenants.mode, bot.rate_limits.mode),
        (Mode::Enforce, Mode::Enforce)
    );
    assert_eq!(
        (
            policy.channels.mode,
            policy.activities.mode,
            policy.service_urls.mode
        ),
        (Mode::Report, Mode::Report, Mode::Report)
    );
    assert_eq!(policy.direct_line.mode, Mode::Report);
    for policy in [
        "tenants",
        "channels",
        "activities",
        "service_urls",
        "rate_limits",
    ] {
        assert_bot_problem(
            &format!("{policy}.mode = \"report\""),
            &format!("{policy}.mode"),
            &["warning", "would_reject"],
        );
        assert_bot_problem(
            &format!("{policy}.mode = \"enforced\""),
            &format!("{policy}.mode"),
            &["did you mean \"enforce\"?"],
        );
    }
}

#[test]
fn tenants_are_guids() {
    let tenants = bot(
        "tenants.deny = [\"72F988BF-86F1-41AF-91AB-2D7CD011DB48\"]\ntenants.required = true\ntenants.on_reject = \"200\"",
    );
    let tenants = &tenants.policy.tenants;
    assert!(
        tenants
            .deny
            .contains(&TenantId::parse("72f988bf-86f1-41af-91ab-2d7cd011db48").unwrap())
    );
    assert_eq!(
        (tenants.allow.len(), tenants.required, tenants.on_reject),
        (1, true, OnReject::Swallow)
    );
    for tenant in [
        "contoso.onmicrosoft.com",
        "",
        "{72f988bf-86f1-41af-91ab-2d7cd011db47}",
        "72f988bf86f141af91ab2d7cd011db47",
    ] {
        assert_bot_problem(
            &format!("tenants.deny = [\"{tenant}\"]"),
            "tenants.deny[0]",
            &["error", "is not a tenant id", "GUID"],
        );
    }
    assert_bot_problem(
        "tenants.on_reject = 403",
        "tenants.on_reject",
        &["error", "on_reject = \"403\""],
    );
    assert_bot_problem(
        "tenants.on_reject = \"404\"",
        "tenants.on_reject",
        &["error", "\"403\", \"200\""],
    );
    assert_problem(
        &replaced("tenants.allow", "[]"),
        "bots[0].tenants.allow",
        &["warning", "every tenant"],
    );
    let missing = BOT
        .replace("tenants.allow", "#")
        .replace("[[bots]]", "[[bots]] #<-");
    assert_problem(
        &missing,
        "bots[0].tenants.allow",
        &["warning", "every tenant"],
    );
}

#[test]
fn channels_are_named_one_by_one() {
    let channels = bot(
        "channels.allow = [\"msteams\", \"a-new-one\", \"AseChannel\"]\nchannels.unendorsed = [\"directline\"]",
    );
    assert_eq!(
        channels.policy.channels.allow,
        ["msteams", "a-new-one", "AseChannel"]
    );
    assert_eq!(channels.policy.channels.unendorsed, ["directline"]);
    for key in ["allow", "unendorsed"] {
        for (id, severity, says) in [
            ("*", "error", "one by one"),
            ("all", "error", "one by one"),
            ("", "error", "one by one"),
            ("msteams:COPILOT", "error", "before \":\""),
            ("MSTeams", "error", "write \"msteams\""),
        ] {
            let at = format!("channels.{key}[0]");
            assert_bot_problem(
                &format!("channels.{key} = [\"{id}\"]"),
                &at,
                &[severity, says],
            );
        }
    }
    assert_bot_problem(
        "channels.allow = [\"teams\"]",
        "channels.allow[0]",
        &["warning", "did you mean \"msteams\"?"],
    );
}

#[test]
fn activity_types_and_invoke_names_are_words() {
    let activities = bot(
        "activities = { allow = [\"message\", \"invoke\"], deny_invoke = [\"signin/verifyState\"] }",
    );
    assert_eq!(activities.policy.activities.allow, ["message", "invoke"]);
    assert_eq!(
        activities.policy.activities.deny_invoke,
        ["signin/verifyState"]
    );
    assert_bot_problem(
        "activities.allow = [\"Message\"]",
        "activities.allow[0]",
        &["warning", "did you mean \"message\"?"],
    );
    assert_bot_problem(
        "activities.allow = [\"\"]",
        "activities.allow[0]",
        &["error", "is empty"],
    );
    assert_bot_problem(
        "activities.deny_invoke = [\"\"]",
        "activities.deny_invoke[0]",
        &["error", "is empty"],
    );
}

#[test]
fn service_url_hosts_come_from_the_cloud_or_from_a_list() {
    let hosts = |keys: &str| bot(keys).policy.service_urls.hosts.clone();
    assert_eq!(hosts("service_urls.allow_hosts = \"cloud\""), hosts(""));
    assert!(hosts("").contains("smba.trafficmanager.net") && !hosts("").contains("x.example"));
    let extra = hosts("service_urls.extra_hosts = [\"x.example\"]");
    assert!(extra.contains("smba.trafficmanager.net") && extra.contains("x.example"));
    let list =
        hosts("service_urls = { allow_hosts = [\"*.a.example\"], extra_hosts = [\"x.example\"] }");
    assert!(
        list.contains("b.a.example")
            && list.contains("x.example")
            && !list.contains("smba.trafficmanager.net")
    );
    let any = good(&with_bot("service_urls.allow_hosts = \"any\""));
    assert_eq!(
        any.settings.bots[0].policy.service_urls.hosts,
        HostList::any()
    );
    assert_eq!(any.warnings.len(), 1);
    for (key, value, severity, at) in [
        ("allow_hosts", "\"any\"", "warning", "allow_hosts"),
        ("allow_hosts", "\"a.example\"", "error", "allow_hosts"),
        ("allow_hosts", "5", "error", "allow_hosts"),
        ("allow_hosts", "[\"cloud\"]", "error", "allow_hosts[0]"),
        (
            "allow_hosts",
            "[\"a.example\", \"*.com\"]",
            "error",
            "allow_hosts[1]",
        ),
        (
            "extra_hosts",
            "[\"https://a.example\"]",
            "error",
            "extra_hosts[0]",
        ),
        ("allow_hosts", "[]", "warning", "allow_hosts"),
    ] {
        assert_bot_problem(
            &format!("service_urls.{key} = {value}"),
            &format!("service_urls.{at}"),
            &[severity],
        );
    }
}

#[test]
fn rate_limits_and_switches_reach_the_settings() {
    let bot = bot(
        "rate_limits.per_user = { rate = \"2/s\" }\nrate_limits.per_tenant = { rate = \"90/m\", burst = 9 }\nidentity_headers.enabled = true\ndirect_line.enhanced_authentication = true",
    );
    let burst = |quota: Option<crate::config::Quota>| {
        quota.map(|quota| (quota.interval.as_millis(), quota.burst.get()))
    };
    assert_eq!(
        burst(bot.rate_limits.per_user),
        Some((500, 2)),
        "the burst is one second's worth unless written"
    );
    assert_eq!(burst(bot.rate_limits.per_tenant), Some((666, 9)));
    assert_eq!(burst(bot.rate_limits.per_bot), None);
    assert!(
        bot.identity_headers
            && bot.policy.direct_line.enhanced_authentication
            && bot.policy.direct_line.require_dl_user_id
    );
}
