use super::*;
use proptest::prelude::*;
use url::Url;

#[test]
fn only_urls_that_all_parsers_read_alike_are_plain() {
    for url in [
        "https://smba.trafficmanager.net/emea/",
        "HTTPS://SMBA.trafficmanager.net:443/emea",
        "https://webchat.botframework.com",
        "http://127.0.0.1:8080/",
        "https://[::1]/x",
    ] {
        assert!(Plain::read(url).is_some(), "{url}");
    }
    for url in [
        "https://user@smba.trafficmanager.net/",
        "https://smba.trafficmanager.net\\@evil.example/",
        "https:\\\\smba.trafficmanager.net/",
        "https:/smba.trafficmanager.net/",
        "https:smba.trafficmanager.net/",
        "https://smba.trafficmanager.net/a/../b",
        "https://smba.trafficmanager.net/a/%2e%2E/b",
        "https://smba.trafficmanager.net/a%2fb",
        "https://smba.trafficmanager.net//a",
        "https://smba.trafficmanager.net/?x",
        "https://smba.trafficmanager.net/#x",
        "https://smba.trafficmanager.net./",
        "https://smba.trafficmanager.net:/",
        "https://smba.trafficmanager.net:99999/",
        "https://127.1/",
        "https://0x7f000001/",
        "https://2130706433/",
        "https://10.0.0.1/",
        "https://xn--\u{e9}.example/",
        "urn:botframework:WebSocket:wss://x",
        "ftp://smba.trafficmanager.net/",
        "//smba.trafficmanager.net/",
        "https://smba.trafficmanager.net/ ",
        "https://",
        "https:///x",
    ] {
        assert!(Plain::read(url).is_none(), "{url}");
    }
}

#[test]
fn places_are_the_same_up_to_host_case_and_one_trailing_slash() {
    let same = |a: &str, b: &str| {
        Plain::read(a)
            .unwrap()
            .is_same_place(&Plain::read(b).unwrap())
    };
    assert!(same("https://a.example/x/", "https://A.example/x"));
    assert!(same("https://a.example", "https://a.example/"));
    assert!(same("https://a.example:443/x", "https://a.example/x"));
    assert!(!same("https://a.example/x", "https://a.example/X"));
    assert!(!same("https://a.example/x", "https://b.example/x"));
    assert!(!same("https://a.example:444/x", "https://a.example/x"));
    assert!(!same("http://a.example/x", "https://a.example/x"));
    assert!(!same("https://a.example/x/y", "https://a.example/x"));
}

/// Text that is nearly a service URL.
fn url_like() -> impl Strategy<Value = String> {
    let scheme = prop::sample::select(vec![
        "https://", "http://", "HTTPS://", "https:/", "https:", "ftp://", "//", "",
    ]);
    let label = prop_oneof![
        8 => "[a-z0-9-]{0,5}",
        1 => "[A-Z0-9x_-]{0,4}",
        1 => "xn--[a-z0-9-]{0,6}",
        1 => "0x[0-9a-fg]{0,3}",
        1 => "[0-9]{1,10}",
        1 => prop::sample::select(vec!["localhost", "127", "[::1]", "\u{e9}", "%41", "user@a"])
            .prop_map(str::to_owned),
    ];
    let host = prop::collection::vec(label, 1..5).prop_map(|labels| labels.join("."));
    let port = prop_oneof![6 => Just(String::new()), 1 => ":[0-9]{0,6}", 1 => ":[a-z]"];
    let segment = prop_oneof![
        8 => "[a-zA-Z0-9._~-]{0,6}",
        1 => prop::sample::select(vec![".", "..", "%2e", "%2F", "%5c", "%41", "a?b", "#", "\\", "@", " ", "\t"])
            .prop_map(str::to_owned),
    ];
    let path = prop::collection::vec(segment, 0..5).prop_map(|segments| {
        segments
            .iter()
            .map(|segment| format!("/{segment}"))
            .collect()
    });
    (scheme, host, port, path).prop_map(|(scheme, host, port, path): (_, _, _, String)| {
        format!("{scheme}{host}{port}{path}")
    })
}

/// The rules, one after the other in the plainest way: what [`PlainUrl::read`] has to say, too.
fn plainly(url: &str) -> Option<(bool, String, u16, &str)> {
    if url.len() > 2048
        || !url
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'\\' | b'?' | b'#' | b'@'))
    {
        return None;
    }
    let (scheme, rest) = url.split_once("://")?;
    let secure = match scheme.to_ascii_lowercase().as_str() {
        "https" => true,
        "http" => false,
        _ => return None,
    };
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let default_port = if secure { 443 } else { 80 };
    let (host, port) = match authority.strip_suffix(']') {
        Some(_) => (authority, default_port),
        None => match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => {
                (host, port.parse().ok()?)
            }
            Some(_) => return None,
            None => (authority, default_port),
        },
    };
    let host = host.to_ascii_lowercase();
    let lower_path = path.to_ascii_lowercase();
    let odd_path = ["//", "%2e", "%2f", "%5c"]
        .iter()
        .any(|odd| lower_path.contains(odd))
        || path.split('/').any(|segment| matches!(segment, "." | ".."));
    let label = |l: &str| {
        !l.is_empty()
            && l.len() <= 63
            && l.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    let is_address = |name: &str| {
        name.rsplit('.').next().is_some_and(|last| {
            last.bytes().all(|b| b.is_ascii_digit())
                || (last.starts_with("0x") && last.bytes().skip(2).all(|b| b.is_ascii_hexdigit()))
        })
    };
    let loopback = host == "localhost"
        || host == "[::1]"
        || host
            .parse::<std::net::Ipv4Addr>()
            .is_ok_and(|ip| ip.is_loopback());
    let named = host.len() <= 253 && host.split('.').all(label) && !is_address(&host);
    ((loopback || named) && !odd_path).then_some((secure, host, port, path))
}

fn agrees(url: &str) -> Result<(), TestCaseError> {
    let read = PlainUrl::read(url);
    let parts = read.map(|plain| plain.of(url));
    prop_assert_eq!(
        parts
            .as_ref()
            .map(|p| (p.secure, p.host.clone().into_owned(), p.port, p.path)),
        plainly(url)
    );
    if let Some(parts) = parts {
        prop_assert_eq!(parts.is_loopback, is_loopback(&parts.host));
        let last = parts.path.split('/').rfind(|segment| !segment.is_empty());
        for length in 1..20 {
            let last = last.filter(|segment| segment.len() == length);
            prop_assert_eq!(parts.last_segment(length), last);
        }
    }
    // Whoever asks the url crate gets the same host.
    if let Some(host) = read.and_then(|plain| plain.usual_host(url)) {
        let parsed = Url::parse(url);
        prop_assert_eq!(parsed.as_ref().ok().and_then(Url::host_str), Some(host));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(debug_assertions) { 2048 } else { 8192 }, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_plain_and_its_parts_are_as_the_rules_say(url in url_like()) {
        agrees(&url)?;
    }

    #[test]
    fn any_text_is_read_as_the_rules_say(url in "\\PC{0,40}") {
        agrees(&url)?;
    }
}
