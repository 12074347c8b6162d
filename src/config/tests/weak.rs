//! Weak settings that are legal are pointed out, and their neighbours are not.

use super::*;

#[test]
fn what_was_written_and_is_weak_is_pointed_out_with_its_line() {
    for (tables, at, says) in [
        (
            "[server.limits]\nrequests_per_ip = { rate = \"5001/s\" } #<-",
            "server.limits.requests_per_ip",
            "bounds nothing",
        ),
        (
            "[server.limits]\nheader_timeout = \"61s\" #<-",
            "server.limits.header_timeout",
            "slow on purpose",
        ),
        (
            "[server.limits]\nbody_timeout = \"5m\" #<-",
            "server.limits.body_timeout",
            "is \"5m\"",
        ),
        (
            "[keys]\nclock_skew = \"301s\" #<-",
            "keys.clock_skew",
            "5 minutes",
        ),
        (
            "[keys]\nmax_stale = \"169h\" #<-",
            "keys.max_stale",
            "withdrawn",
        ),
        (
            "[state]\nstore = \"redis\"\nredis = \"redis://store.example\" #<-",
            "state.redis",
            "in the clear",
        ),
        (
            "[server]\ntrusted_proxies = [\"10.0.0.0/8\"]\n[server.tls]\nsource = \"off\" #<-",
            "server.tls.source",
            "in the clear",
        ),
    ] {
        assert_problem(&with_server(tables), at, &["warning", says]);
    }
    for (keys, at, says) in [
        (
            "channels.unendorsed = [\"webchat\"]",
            "channels.unendorsed",
            "no endorsement",
        ),
        (
            "timeouts.response = \"31s\"",
            "timeouts.response",
            "acknowledge_after",
        ),
        (
            "direct_line = { enhanced_authentication = true, require_dl_user_id = false }",
            "direct_line.require_dl_user_id",
            "any user",
        ),
    ] {
        assert_bot_problem(keys, at, &["warning", says]);
    }
}

#[test]
fn a_self_signed_certificate_that_others_see_is_pointed_out() {
    let text = "[server.tls]\nsource = \"self-signed\"\n[clouds.lab]\nchannel_metadata = \"http://127.0.0.1:1/x\"\nchannel_issuer = \"x\"\nservice_url_hosts = [\"127.0.0.1\"]";
    let bot = BOT.replace("backend", "cloud = \"lab\"\nbackend");
    let found = problems(&format!("{text}\n{bot}"));
    assert_eq!(found.len(), 1, "{}", listed(&found));
    assert_eq!(found[0].at, "server.tls.source");
}

#[test]
fn what_is_as_it_should_be_is_not_mentioned() {
    for text in [
        with_server(
            "[server.limits]\nrequests_per_ip = { rate = \"5000/s\" }\nheader_timeout = \"60s\"",
        ),
        with_server("[keys]\nclock_skew = \"5m\"\nmax_stale = \"168h\""),
        with_server(
            "[server]\nlisten = \"127.0.0.1:8443\"\n[server.tls]\nsource = \"self-signed\"",
        ),
        with_server("[server]\nlisten = \"127.0.0.1:8443\"\n[server.tls]\nsource = \"off\""),
        with_server("[state]\nstore = \"redis\"\nredis = \"rediss://store.example\""),
        with_server("[state]\nstore = \"redis\"\nredis = \"redis://localhost:6380\""),
        with_bot("timeouts = { response = \"60s\", acknowledge_after = \"8s\" }"),
        with_bot("direct_line.enhanced_authentication = true"),
        with_bot("direct_line.require_dl_user_id = false"),
    ] {
        let found = problems(&text);
        assert!(found.is_empty(), "{text}\n{}", listed(&found));
    }
}
