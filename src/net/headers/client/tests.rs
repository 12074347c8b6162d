//! Every way to write an address, and every way to write none.

use super::*;
use http::{HeaderName, HeaderValue};

const NEIGHBOUR: &str = "10.0.0.1";

fn trusted() -> Vec<IpNet> {
    ["10.0.0.0/8", "2001:db8:ffff::/48", "192.0.2.250/32"]
        .map(|net| net.parse().unwrap())
        .to_vec()
}

/// Of header lines `name: value`, from the neighbour or somebody else.
fn client_from(neighbour: &str, lines: &[&str]) -> String {
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        headers.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_bytes(value.trim_start().as_bytes()).unwrap(),
        );
    }
    client_ip(neighbour.parse().unwrap(), &headers, &trusted()).to_string()
}

fn client(lines: &[&str]) -> String {
    client_from(NEIGHBOUR, lines)
}

#[test]
fn who_is_no_trusted_proxy_is_the_client_whatever_it_writes() {
    let lines = ["x-forwarded-for: 192.0.2.1", "forwarded: for=192.0.2.1"];
    for neighbour in ["198.51.100.1", "2001:db8::1", "11.0.0.1"] {
        assert_eq!(client_from(neighbour, &lines), neighbour);
    }
    assert_eq!(client_from("::ffff:198.51.100.1", &lines), "198.51.100.1");
    // And a proxy on a socket for both families is still the same proxy.
    assert_eq!(client_from("::ffff:10.0.0.1", &lines), "192.0.2.1");
}

#[test]
fn the_right_most_untrusted_address_wins() {
    for (line, expected) in [
        ("", NEIGHBOUR),
        ("192.0.2.1", "192.0.2.1"),
        ("6.6.6.6, 192.0.2.1", "192.0.2.1"),
        ("6.6.6.6, 192.0.2.1, 10.0.0.2", "192.0.2.1"),
        ("6.6.6.6,192.0.2.1,10.0.0.2,10.0.0.3", "192.0.2.1"),
        ("10.0.0.2, 10.0.0.3", "10.0.0.2"),
        ("6.6.6.6, 2001:db8::1, 2001:db8:ffff::1", "2001:db8::1"),
        ("6.6.6.6, ::ffff:192.0.2.1, ::ffff:10.0.0.2", "192.0.2.1"),
        ("192.0.2.1\t,\t10.0.0.2 ", "192.0.2.1"),
    ] {
        assert_eq!(
            client(&[&format!("x-forwarded-for: {line}")]),
            expected,
            "{line}"
        );
    }
    // Lines are read as one list.
    let lines = [
        "x-forwarded-for: 6.6.6.6",
        "x-forwarded-for: 192.0.2.1",
        "x-forwarded-for: 10.0.0.2, 10.0.0.3",
    ];
    assert_eq!(client(&lines), "192.0.2.1");
}

#[test]
fn addresses_are_known_in_brackets_and_with_ports() {
    for (entry, expected) in [
        ("192.0.2.1:80", Some("192.0.2.1")),
        ("192.0.2.1:65535", Some("192.0.2.1")),
        ("[2001:db8::1]", Some("2001:db8::1")),
        ("[2001:db8::1]:443", Some("2001:db8::1")),
        ("2001:DB8::1", Some("2001:db8::1")),
        ("::ffff:192.0.2.1", Some("192.0.2.1")),
        ("[::ffff:192.0.2.1]:80", Some("192.0.2.1")),
        ("192.0.2.1:65536", None),
        ("192.0.2.1:", None),
        ("[192.0.2.1]", None),
        ("[192.0.2.1]:80", None),
        ("[2001:db8::1", None),
        ("2001:db8::1]", None),
        ("[2001:db8::1]:x", None),
        ("[[2001:db8::1]]", None),
        ("fe80::1%eth0", None),
        ("192.0.2.01", None),
        ("192.0.2", None),
        ("0xc0000201", None),
        ("unknown", None),
        ("_hidden", None),
        ("\"192.0.2.1\"", None),
        ("192.0.2.1;x", None),
        ("client.example", None),
        ("", None),
    ] {
        // To the right of it a trusted proxy, to the left what nobody is to see.
        let line = format!("x-forwarded-for: 6.6.6.6, {entry}, 10.0.0.2");
        assert_eq!(client(&[&line]), expected.unwrap_or("10.0.0.2"), "{entry}");
    }
}

#[test]
fn garbage_ends_the_walk_at_the_last_proxy_that_is_known() {
    assert_eq!(client(&["x-forwarded-for: 6.6.6.6, x"]), NEIGHBOUR);
    assert_eq!(client(&["x-forwarded-for: 6.6.6.6,, 10.0.0.2"]), "10.0.0.2");
    assert_eq!(client(&["x-forwarded-for: 6.6.6.6 10.0.0.2"]), NEIGHBOUR);
    assert_eq!(
        client(&["x-forwarded-for: 6.6.6.6", "x-forwarded-for: é"]),
        NEIGHBOUR
    );
    assert_eq!(client(&["forwarded: for=6.6.6.6, by=x"]), NEIGHBOUR);
}

#[test]
fn forwarded_is_walked_like_the_other() {
    for (line, expected) in [
        ("for=192.0.2.1", "192.0.2.1"),
        ("For=192.0.2.1;Proto=https;By=10.0.0.1", "192.0.2.1"),
        ("proto=https;for=192.0.2.1", "192.0.2.1"),
        ("for=192.0.2.1:4711", "192.0.2.1"),
        ("for=\"192.0.2.1:4711\"", "192.0.2.1"),
        ("for=\"192.0.2.1:_port-1\"", "192.0.2.1"),
        ("for=\"[2001:db8::1]\"", "2001:db8::1"),
        ("for=\"[2001:db8::1]:4711\"", "2001:db8::1"),
        ("for=[2001:db8::1]", "2001:db8::1"),
        ("for=\"\\1\\92.0.2.1\"", "192.0.2.1"),
        ("for=6.6.6.6, for=192.0.2.1, for=10.0.0.2", "192.0.2.1"),
        (
            "for=6.6.6.6,for=192.0.2.1;host=\"a,b;for=7.7.7.7\"",
            "192.0.2.1",
        ),
        ("for=\"[::ffff:192.0.2.1]\"", "192.0.2.1"),
        // Not an address, each in its way.
        ("for=unknown", NEIGHBOUR),
        ("for=_hidden", NEIGHBOUR),
        ("for=\"_hidden:80\"", NEIGHBOUR),
        ("for=\"2001:db8::1\"", NEIGHBOUR),
        ("for=192.0.2.1:x", NEIGHBOUR),
        ("for=192.0.2.1:99999", NEIGHBOUR),
        ("for=\"192.0.2.1:_\"", NEIGHBOUR),
        ("for=\"[192.0.2.1]\"", NEIGHBOUR),
        ("for=192.0.2.1;for=192.0.2.2", NEIGHBOUR),
        ("for = 192.0.2.1", NEIGHBOUR),
        ("for=\"192.0.2.1", NEIGHBOUR),
        ("for=\"192.0.2.1\\\"", NEIGHBOUR),
        ("for=192.0.2.1\"", NEIGHBOUR),
        ("for=\"192.0.2.1\"x", NEIGHBOUR),
        ("for=192.0.2.1;", NEIGHBOUR),
        ("192.0.2.1", NEIGHBOUR),
        ("by=192.0.2.1", NEIGHBOUR),
        ("for", NEIGHBOUR),
        ("", NEIGHBOUR),
    ] {
        assert_eq!(client(&[&format!("forwarded: {line}")]), expected, "{line}");
    }
}

#[test]
fn what_a_client_leaves_open_does_not_swallow_what_a_proxy_adds() {
    for theirs in [
        "for=\"",
        "for=\"6.6.6.6",
        "for=\"6.6.6.6\\",
        "for=\"a\\\\",
        "for=6.6.6.6;",
        "for=6.6.6.6;host=\"",
        "\"\"\"",
        ",",
        "\\",
    ] {
        for ours in [
            "for=192.0.2.1",
            "for=\"192.0.2.1:80\"",
            "proto=https;for=\"192.0.2.1\"",
        ] {
            let line = format!("forwarded: {theirs}, {ours}");
            assert_eq!(client(&[&line]), "192.0.2.1", "{line}");
            let line = format!("forwarded: {theirs}, {ours}, for=\"10.0.0.2\"");
            assert_eq!(client(&[&line]), "192.0.2.1", "{line}");
        }
    }
}

#[test]
fn two_headers_have_to_agree() {
    for (x_forwarded_for, forwarded, expected) in [
        ("192.0.2.1", "for=192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:80", "for=\"192.0.2.1:81\"", "192.0.2.1"),
        ("6.6.6.6, 192.0.2.1, 10.0.0.2", "for=192.0.2.1", "192.0.2.1"),
        // Of proxies one wrote one, and another both.
        ("192.0.2.1, 10.0.0.2", "for=10.0.0.2", "192.0.2.1"),
        ("10.0.0.2", "for=192.0.2.1, for=10.0.0.2", "192.0.2.1"),
        ("10.0.0.2", "for=10.0.0.2", "10.0.0.2"),
        // The client wrote one of them, and which one cannot be told.
        ("192.0.2.1", "for=6.6.6.6", NEIGHBOUR),
        ("6.6.6.6", "for=192.0.2.1", NEIGHBOUR),
        ("192.0.2.1", "for=unknown", NEIGHBOUR),
        ("192.0.2.1", "rubbish", NEIGHBOUR),
        ("rubbish", "for=192.0.2.1", NEIGHBOUR),
        ("10.0.0.3", "for=10.0.0.2", NEIGHBOUR),
        ("rubbish", "rubbish", NEIGHBOUR),
    ] {
        let lines = [
            format!("x-forwarded-for: {x_forwarded_for}"),
            format!("forwarded: {forwarded}"),
        ];
        assert_eq!(client(&[&lines[0], &lines[1]]), expected, "{lines:?}");
    }
}
