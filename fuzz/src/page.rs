//! What a web page sends to the broker of Direct Line tokens: header lines. A page is one that is listed, a session cookie has one
//! spelling and is the only one in its place, and an id that counts as made here has one spelling, too.
//!
//! `X-Id` stands for the `from.id` of an activity.

use super::token::NOW;
use botgate::judge::direct_line::{Issuer, Jar, PLACES, TrustedOrigins, UserId, cookie_name};
use botgate::secret::Secret;
use http::header::{COOKIE, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::sync::LazyLock;
use url::Url;

/// The last one of the sessions that the seeds show.
const TOKEN: &str = "a-token";

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
    let jar = Jar::of(headers, "site");
    // Each crumb as text, as a plain server reads it.
    let fields = headers.get_all(COOKIE).iter();
    let fields = fields.map(|field| String::from_utf8_lossy(field.as_bytes()).into_owned());
    let joined = fields.collect::<Vec<_>>().join(";");
    let named = |place: usize| {
        let pair = format!("{}=", cookie_name("site", place));
        let crumbs = joined.split(';').map(str::trim);
        let values: Vec<_> = crumbs
            .filter_map(|crumb| crumb.strip_prefix(&pair))
            .collect();
        values
    };
    let is_twice = (0..PLACES).any(|place| named(place).len() > 1);
    assert_eq!(jar.is_err(), is_twice);
    let Ok(jar) = jar else {
        return false;
    };
    let (browser, place) = jar.room(&ISSUER, NOW, 0);
    assert!(place < PLACES);
    let Ok((place, session)) = jar.session_of(&ISSUER, TOKEN) else {
        return false;
    };
    let cookie = named(place)[0];
    assert_eq!(ISSUER.sealed(&session), cookie, "a session has one cookie");
    let is_alive = session.check_time(NOW, None).is_ok();
    assert!(browser.is_some() || !is_alive);
    for other in [issuer("shop", 7), issuer("site", 8)] {
        assert!(other.opened(cookie).is_err(), "it is of this broker");
    }
    assert!(jar.session_of(&ISSUER, "another-token").is_err());
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
