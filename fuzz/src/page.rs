//! What a web page sends to the broker of Direct Line tokens: header lines. A page is one that is listed, a session cookie has one
//! spelling and is the only one of its name, and an id that counts as made here has one spelling, too.
//!
//! `X-Id` stands for the `from.id` of an activity.

use botgate::judge::direct_line::{Issuer, TrustedOrigins, UserId, cookie_of};
use botgate::secret::Secret;
use http::header::{COOKIE, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::sync::LazyLock;
use url::Url;

const COOKIE_NAME: &str = "__Host-botgate-dl-site";

static ISSUER: LazyLock<Issuer> = LazyLock::new(|| issuer("site", 7));

fn issuer(name: &str, key: u8) -> Issuer {
    Issuer::new(name, &Secret::new(vec![key; 32]), &[])
}

pub fn check(lines: &[u8]) -> bool {
    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n').take(16) {
        let colon = line.iter().position(|byte| *byte == b':');
        let Some((name, value)) = colon.map(|at| (&line[..at], &line[at + 1..])) else {
            continue;
        };
        let field = HeaderName::from_bytes(name).ok();
        let value = HeaderValue::from_bytes(value.trim_ascii()).ok();
        if let Some((name, value)) = field.zip(value) {
            headers.append(name, value);
        }
    }
    // One after the other, so that none hides another.
    let accepted = [is_trusted(&headers), is_session(&headers), is_id(&headers)];
    accepted.contains(&true)
}

fn is_trusted(headers: &HeaderMap) -> bool {
    let mut trusted = TrustedOrigins::default();
    for origin in ["https://www.example.com", "https://shop.example:8443"] {
        trusted.add(origin).expect("an origin");
    }
    let Ok(origin) = trusted.of(headers) else {
        return false;
    };
    let sent: Vec<_> = headers.get_all(ORIGIN).iter().collect();
    assert_eq!(sent, [origin], "one Origin, byte for byte");
    let url = Url::parse(origin).expect("a URL");
    assert_eq!(url.origin().ascii_serialization(), origin);
    assert!(trusted.as_slice().iter().any(|listed| listed == origin));
    true
}

fn is_session(headers: &HeaderMap) -> bool {
    let Ok(cookie) = cookie_of(headers, COOKIE_NAME) else {
        return false;
    };
    // As one text, which is what a server sees over HTTP/1.
    let fields = headers.get_all(COOKIE).iter();
    let fields = fields.filter_map(|field| field.to_str().ok());
    let joined = fields.collect::<Vec<_>>().join(";");
    let pair = format!("{COOKIE_NAME}=");
    let named = joined
        .split(';')
        .filter(|crumb| crumb.trim_ascii_start().starts_with(&pair));
    let named: Vec<_> = named.collect();
    assert!(
        named.len() == 1 && named[0].contains(cookie),
        "{named:?} {cookie:?}"
    );
    let Ok(session) = ISSUER.opened(cookie) else {
        return false;
    };
    assert_eq!(ISSUER.sealed(&session), cookie, "a session has one cookie");
    for other in [issuer("shop", 7), issuer("site", 8)] {
        assert!(other.opened(cookie).is_err(), "it is of this broker");
    }
    assert!(!format!("{session:?}").contains(cookie));
    true
}

fn is_id(headers: &HeaderMap) -> bool {
    let Some(id) = headers.get("x-id").and_then(|id| id.to_str().ok()) else {
        return false;
    };
    let read = UserId::parse(id);
    if let Some(read) = read {
        assert_eq!(read.to_string(), id, "an id has one spelling");
    }
    if !ISSUER.has_issued(id) {
        return false;
    }
    assert!(read.is_some() && id.starts_with("dl_"));
    for other in [issuer("shop", 7), issuer("site", 8)] {
        assert!(!other.has_issued(id), "it is of this broker");
    }
    true
}
