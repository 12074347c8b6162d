//! `[keys]`: the proxy, of the file or of the environment, and local key sets.

use super::*;

/// The proxy that a file and an environment lead to, and the hosts that are reached without it.
fn proxy(keys: &str, environment: &[(&str, &str)]) -> Option<(String, String)> {
    let loaded = parse_with(&with_server(keys), environment);
    let loaded = loaded.unwrap_or_else(|problems| panic!("{}", listed(&problems)));
    let proxy = loaded.settings.keys.proxy?;
    Some((proxy.url.expose().to_string(), proxy.not_for))
}

fn parse_with(text: &str, environment: &[(&str, &str)]) -> Result<Loaded, Vec<Problem>> {
    let dir = directory();
    let of = |name: &str| {
        let found = environment.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    parse_in(text, dir.path(), StartFlags::default(), &of)
}

#[test]
fn the_proxy_is_that_of_the_file_or_else_of_the_environment() {
    let file = "[keys]\nproxy = \"http://in.file:3128\"";
    let is = |url: &str| Some((url.to_owned(), String::new()));
    for (keys, environment, expected) in [
        ("", &[][..], None),
        ("[keys]\nproxy = \"\"", &[], None),
        (file, &[], is("http://in.file:3128/")),
        (
            file,
            &[("HTTPS_PROXY", "http://of.environment:1")],
            is("http://in.file:3128/"),
        ),
        (
            "[keys]\nproxy = \"\"",
            &[("HTTPS_PROXY", "http://of.environment:1")],
            is("http://of.environment:1/"),
        ),
        (
            "",
            &[("https_proxy", "of.environment:1")],
            is("http://of.environment:1/"),
        ),
        (
            "",
            &[("HTTPS_PROXY", " "), ("ALL_PROXY", "https://of.all")],
            is("https://of.all/"),
        ),
        ("", &[("all_proxy", "http://of.all")], is("http://of.all/")),
        // That one is for plain http, and CGI servers take it from a client's header.
        ("", &[("HTTP_PROXY", "http://of.http")], None),
        ("", &[("NO_PROXY", "*")], None),
        (
            "",
            &[("HTTPS_PROXY", "http://a"), ("no_proxy", "b,.c")],
            Some(("http://a/".to_owned(), "b,.c".to_owned())),
        ),
    ] {
        assert_eq!(proxy(keys, environment), expected, "{keys} {environment:?}");
    }
}

#[test]
fn what_is_no_proxy_is_refused_and_its_password_is_not_told() {
    for proxy in [
        "proxy.example:3128",
        "socks5://user:hunter2@proxy.example",
        "http://",
        "user:hunter2@proxy.example",
    ] {
        let text = with_server(&format!("[keys]\nproxy = \"{proxy}\" #<-"));
        assert_problem(
            &text,
            "keys.proxy",
            &["error", "not the address of a proxy"],
        );
        assert!(!listed(&problems(&text)).contains("hunter2"));
    }
    let good = with_server("[keys]\nproxy = \"http://user:hunter2@proxy.example\"");
    let shown = format!("{:?}", super::good(&good).settings.keys);
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn an_environments_proxy_that_cannot_be_used_is_refused_where_it_would_be_used() {
    let socks = [("ALL_PROXY", "socks5h://user:hunter2@127.0.0.1:1080")];
    let found = parse_with(BOT, &socks).unwrap_err();
    let text = listed(&found);
    assert_eq!(found.len(), 1, "{text}");
    assert_eq!(found[0].at, "keys.proxy");
    assert!(
        text.contains("ALL_PROXY") && text.contains("SOCKS"),
        "{text}"
    );
    assert!(!text.contains("hunter2"), "{text}");
    // The file's own comes before it, and keys on this machine need none.
    let own = with_server("[keys]\nproxy = \"http://in.file:3128\"");
    assert!(parse_with(&own, &socks).is_ok());
    let local = "[clouds.lab]\nchannel_metadata = \"http://127.0.0.1:9999/metadata\"\nchannel_issuer = \"https://api.botframework.com\"\nservice_url_hosts = [\"localhost\"]";
    let local = format!("{local}\n{BOT}cloud = \"lab\"");
    let loaded = parse_with(&local, &socks);
    assert!(loaded.is_ok(), "{}", listed(&loaded.unwrap_err()));
}

#[test]
fn a_local_key_set_is_read_when_the_file_is_checked() {
    let key = include_str!("local-keys.json");
    let file = |name: &str| {
        format!(
            "[clouds.lab]\nchannel_metadata = \"file:{name}\" #<-\nchannel_issuer = \"https://api.botframework.com\"\nservice_url_hosts = [\"localhost\"]\n{BOT}cloud = \"lab\""
        )
    };
    let dir = directory();
    write(dir.path(), "good.json", key);
    write(dir.path(), "empty.json", "{\"keys\":[]}");
    write(dir.path(), "half.json", &key[..key.len() / 2]);
    let loaded = parse_at(dir.path(), &file("good.json"));
    assert!(loaded.is_ok(), "{}", listed(&loaded.unwrap_err()));
    for (name, says) in [
        ("empty.json", "the key set is empty"),
        ("half.json", "not a key set"),
        ("none.json", "cannot be read"),
    ] {
        let found = parse_at(dir.path(), &file(name)).unwrap_err();
        let text = listed(&found);
        assert_eq!(found.len(), 1, "{text}");
        assert_eq!(found[0].at, "clouds.lab.channel_metadata");
        assert!(text.contains(says) && text.contains(name), "{text}");
    }
}
