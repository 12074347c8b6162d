//! The `Authorization` headers of a request, one a line: what is read as a token can be read in one way only.

use super::token::{agrees, segments};
use botgate::judge::{Bearer, Jws};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};

pub fn check(lines: &[u8]) -> bool {
    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n').take(4) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(AUTHORIZATION, value);
        }
    }
    let Ok(bearer) = Bearer::from_headers(&headers) else {
        return false;
    };
    assert_eq!(headers.len(), 1, "more than one header was accepted");
    let text = headers[AUTHORIZATION].to_str().expect("a token is ASCII");
    let (scheme, token) = text.split_once(' ').expect("a scheme stands before it");
    assert!(scheme.eq_ignore_ascii_case("bearer"));
    let token = token.trim_start_matches(' ');
    agrees(&bearer, token);
    assert_eq!(
        Jws::parse(token).expect("a bearer is a JWS").key_id(),
        bearer.key_id()
    );

    // What proves who someone is stands in no log, however a value is printed.
    let printed = format!("{bearer:?}");
    let (_, _, signature) = segments(token);
    assert!(signature.len() < 16 || !printed.contains(signature));
    true
}
