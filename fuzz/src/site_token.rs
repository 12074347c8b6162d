//! A token with which a site says who its user is, by its parts: header and payload as JSON, a line each. What is screened,
//! `serde_json` reads too, and a few plain comparisons accept.

use super::token::{NOW, halves};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use botgate::judge::direct_line::SiteIdentity;
use botgate::judge::{KeySourceId, Presented};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde_json::Value;

const SKEW: u64 = 300;

pub fn check(parts: &[u8]) -> bool {
    let identity = SiteIdentity {
        issuer: "https://login.example.com".to_owned(),
        audience: "web-chat".to_owned(),
        claim: "sub".to_owned(),
        keys: KeySourceId(0),
        clock_skew: SKEW,
    };
    let (header, payload) = halves(parts, b'\n');
    let token = format!(
        "Bearer {}.{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(payload),
        URL_SAFE_NO_PAD.encode(b"signed by nobody")
    );
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, token.parse().expect("visible ASCII"));
    let Ok(presented) = Presented::in_headers(&headers) else {
        return false;
    };
    let Ok(screened) = identity.screen(presented, NOW) else {
        return false;
    };
    let header: Value = serde_json::from_slice(header).expect("a header that serde_json reads");
    assert_eq!(header["alg"], "RS256");
    assert_eq!(header["kid"], screened.key_id());
    let claims: Value = serde_json::from_slice(payload).expect("claims that serde_json reads");
    assert_eq!(claims["iss"], identity.issuer.as_str());
    let is_ours = |one: &Value| *one == identity.audience;
    let audience = &claims["aud"];
    assert!(
        is_ours(audience)
            || audience
                .as_array()
                .is_some_and(|all| all.iter().any(is_ours))
    );
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let (now, skew) = (NOW.0 as f64, SKEW as f64);
    assert!(claims["exp"].as_f64().expect("a number") + skew > now);
    for name in ["nbf", "iat"] {
        assert!(
            claims
                .get(name)
                .is_none_or(|at| at.as_f64().expect("a number") <= now + skew)
        );
    }
    let user = claims["sub"].as_str().expect("a text");
    assert!(!user.trim().is_empty() && user.len() <= 256);
    assert!(!format!("{screened:?}").contains(user) || "SiteToken(..)".contains(user));
    true
}
