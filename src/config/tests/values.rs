//! Wrong types, ranges, variables and secret files: said with the line, and with what to write.

use super::*;

#[test]
fn a_wrong_type_is_told_with_what_was_found_and_an_example() {
    for (at, text, says) in [
        (
            "server",
            "server = 5 #<-",
            &["is the number 5, wanted a table", "[server]"][..],
        ),
        (
            "server.proxy_protocol",
            "[server]\nproxy_protocol = \"yes\" #<-",
            &["is the string \"yes\"", "proxy_protocol = true"],
        ),
        (
            "server.limits.headers",
            "[server.limits]\nheaders = \"100\" #<-",
            &["the string \"100\"", "a whole number", "headers = 100"],
        ),
        (
            "server.limits.headers",
            "[server.limits]\nheaders = 1.5 #<-",
            &["is the number 1.5"],
        ),
        (
            "server.drain_timeout",
            "[server]\ndrain_timeout = 20 #<-",
            &["is the number 20", "drain_timeout = \"20s\""],
        ),
        (
            "server.limits.body_bytes",
            "[server.limits]\nbody_bytes = 65536 #<-",
            &["is the number 65536", "\"1MiB\""],
        ),
        (
            "server.tls.min_version",
            "[server.tls]\nmin_version = 1.2 #<-",
            &["is the number 1.2", "min_version = \"1.2\""],
        ),
        (
            "server.trusted_proxies",
            "[server]\ntrusted_proxies = \"10.0.0.0/8\" #<-",
            &["a list of strings"],
        ),
        (
            "server.trusted_proxies[1]",
            "[server]\ntrusted_proxies = [\"10.0.0.0/8\",\n 7, #<-\n]",
            &["is the number 7"],
        ),
        (
            "server.limits.requests_per_ip",
            "[server.limits]\nrequests_per_ip = \"200/s\" #<-",
            &["wanted a rate and a burst", "{ rate ="],
        ),
        (
            "server.limits.requests_per_ip.rate",
            "[server.limits]\nrequests_per_ip = { rate = 200 } #<-",
            &["the number 200"],
        ),
        (
            "server.limits.requests_per_ip.rate",
            "[server.limits]\nrequests_per_ip = { burst = 200 } #<-",
            &["is missing"],
        ),
        (
            "log.level",
            "[log]\nlevel = true #<-",
            &["is true", "\"info\""],
        ),
        ("log.level", "[log]\nlevel = 1979-05-27 #<-", &["is a date"]),
        (
            "admin.listen",
            "[admin]\nlisten = [\"127.0.0.1:9090\"] #<-",
            &["is a list, wanted a string"],
        ),
        (
            "clouds.lab",
            "[clouds]\nlab = \"x\" #<-",
            &["wanted a table"],
        ),
    ] {
        assert_problem(&with_server(text), at, says);
    }
}

#[test]
fn a_value_out_of_range_is_told_with_the_range() {
    for (table, key, value, range) in [
        ("server.limits", "json_depth", "121", "from 1 to 120"),
        ("server.limits", "json_depth", "0", "from 1 to 120"),
        ("server.limits", "json_depth", "-1", "from 1 to 120"),
        (
            "server.limits",
            "json_depth",
            "99999999999999999999999",
            "from 1 to 120",
        ),
        ("server.limits", "connections", "0", "from 1 to"),
        ("server.limits", "connections_per_ip", "0", "from 1 to"),
        ("server.limits", "headers", "9", "from 10 to"),
        ("server.limits", "json_members", "0", "from 1 to"),
        (
            "server.limits",
            "body_bytes",
            "\"17MiB\"",
            "from \"1KiB\" to \"16MiB\"",
        ),
        (
            "server.limits",
            "body_bytes",
            "\"1023B\"",
            "from \"1KiB\" to \"16MiB\"",
        ),
        (
            "server.limits",
            "body_bytes_total",
            "\"1023KiB\"",
            "from \"1MiB\" to",
        ),
        (
            "server.limits",
            "header_bytes",
            "\"4KiB\"",
            "from \"8KiB\" to \"1MiB\"",
        ),
        (
            "server.limits",
            "header_timeout",
            "\"0s\"",
            "from \"1ms\" to \"1h\"",
        ),
        (
            "server.limits",
            "keep_alive_timeout",
            "\"25h\"",
            "to \"24h\"",
        ),
        ("server", "drain_timeout", "\"0s\"", "from \"1ms\""),
        ("keys", "refresh", "\"25h\"", "to \"24h\""),
        ("keys", "refresh", "\"0s\"", "from \"1ms\""),
        ("keys", "clock_skew", "\"11m\"", "from \"0s\" to \"10m\""),
        ("keys", "fetch_timeout", "\"0ms\"", "from \"1ms\""),
    ] {
        let text = with_server(&format!("[{table}]\n{key} = {value} {MARK}"));
        assert_problem(
            &text,
            &format!("{table}.{key}"),
            &["error", "out of range", range],
        );
    }
}

#[test]
fn a_value_that_cannot_be_read_is_told_with_how_to_write_it() {
    for (table, key, value, says) in [
        (
            "server",
            "drain_timeout",
            "\"20\"",
            "\"250ms\", \"10s\", \"5m\"",
        ),
        (
            "server",
            "drain_timeout",
            "\"1 h\"",
            "\"250ms\", \"10s\", \"5m\"",
        ),
        ("server.limits", "body_bytes", "\"1MB\"", "\"64KiB\""),
        (
            "server.limits",
            "requests_per_ip.rate",
            "\"200\"",
            "\"50/s\"",
        ),
        (
            "server.limits",
            "requests_per_ip.rate",
            "\"0/s\"",
            "from 1 to 1000000",
        ),
        ("log", "level", "\"verbose\"", "one of \"info\""),
        ("log", "format", "\"jsn\"", "did you mean \"json\"?"),
        ("server.tls", "min_version", "\"1.1\"", "did you mean"),
        (
            "server.tls",
            "source",
            "\"selfsigned\"",
            "did you mean \"self-signed\"?",
        ),
    ] {
        let text = with_server(&format!("[{table}]\n{key} = {value} {MARK}"));
        assert_problem(&text, &format!("{table}.{key}"), &["error", says]);
    }
    let burst = with_server("[server.limits]\nrequests_per_ip = { rate = \"1/s\", burst = 0 } #<-");
    assert_problem(
        &burst,
        "server.limits.requests_per_ip.burst",
        &["out of range"],
    );
}

#[test]
fn variables_and_files_are_put_into_strings() {
    let dir = directory();
    fs::create_dir(dir.path().join("secrets")).unwrap();
    write(
        dir.path(),
        "secrets/tenant",
        "72f988bf-86f1-41af-91ab-2d7cd011db47\r\n",
    );
    write(dir.path(), "secrets/name", "from-file");
    let text = r#"
[[bots]]
name = "file:${DIRECTORY}/name"
app_id = "${APP_ID}"
backend = "http://127.0.0.1:${PORT}/api/messages"
tenants.allow = ["file:secrets/tenant"]
"#;
    let loaded = parse_at(dir.path(), text)
        .map_err(|problems| listed(&problems))
        .unwrap();
    assert!(loaded.warnings.is_empty(), "{}", listed(&loaded.warnings));
    let bot = &loaded.settings.bots[0];
    assert_eq!(bot.name, "from-file");
    assert_eq!(bot.expect.app_id, "0a1b2c3d-7f0b-4f3e-9d55-6f2b1b0a9c11");
    assert_eq!(
        bot.backend.endpoints[0].url.as_str(),
        "http://127.0.0.1:4000/api/messages"
    );
    assert_eq!(bot.policy.tenants.allow.len(), 1);
}

#[test]
fn what_cannot_be_put_in_is_named() {
    for (at, keys, says) in [
        (
            "hosts[0]",
            "hosts = [\"${NOPE}\"] #<-",
            "needs the environment variable NOPE, which is not set",
        ),
        ("hosts[0]", "hosts = [\"${NOPE\"] #<-", "begins no variable"),
        (
            "hosts[0]",
            "hosts = [\"file:none\"] #<-",
            "is \"file:none\", which cannot be read",
        ),
        (
            "hosts[0]",
            "hosts = [\"file:certs\"] #<-",
            "is \"file:certs\", which cannot be read",
        ),
        (
            "timeouts.connect",
            "timeouts.connect = \"${NOPE}\" #<-",
            "NOPE",
        ),
        ("mode", "mode = \"${NOPE}\" #<-", "NOPE"),
    ] {
        assert_problem(&with_bot(keys), &format!("bots[0].{at}"), &["error", says]);
    }
    assert_problem(
        &with_server("[keys]\ncache_dir = \"file:x\" #<-"),
        "keys.cache_dir",
        &["leave \"file:\" out"],
    );
}

#[test]
fn what_was_put_in_is_never_shown() {
    let dir = directory();
    write(dir.path(), "secret", "hunter2\n");
    for source in ["${SECRET}", "file:secret"] {
        let mut found = Vec::new();
        for key in [
            "hosts",
            "path",
            "cloud",
            "accept",
            "mode",
            "tenants.deny",
            "channels.allow",
            "activities.allow",
            "service_urls.allow_hosts",
            "service_urls.extra_hosts",
            "timeouts.connect",
            "rate_limits.per_bot.rate",
            "tenants.on_reject",
            "backend_tls.server_name",
        ] {
            let is_list = [
                "hosts",
                "accept",
                "tenants.deny",
                "channels.allow",
                "activities.allow",
                "service_urls.extra_hosts",
            ]
            .contains(&key);
            let value = if is_list {
                format!("[\"{source}\"]")
            } else {
                format!("\"{source}\"")
            };
            let problems = parse_at(dir.path(), &with_bot(&format!("{key} = {value}")));
            found.extend(problems.map_or_else(|problems| problems, |loaded| loaded.warnings));
        }
        let tables = format!(
            "[server]\nlisten = \"{source}\"\ntrusted_proxies = [\"{source}\"]\n[admin]\nlisten = \"{source}\"\n[clouds.x]\nchannel_metadata = \"{source}\"\nchannel_issuer = \"{source}\"\n[keys]\nrefresh = \"{source}\"\n[[bots]]\nname = \"{source} \"\napp_id = \"{source}\"\nbackend = \"{source}\"\n"
        );
        found.extend(parse_at(dir.path(), &tables).unwrap_err());
        let said = listed(&found);
        assert!(found.len() > 16 && !said.contains("hunter2"), "{said}");
    }
}
