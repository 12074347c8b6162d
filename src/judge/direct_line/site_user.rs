//! Whom the site itself has signed in: by a token of its own, or by the word of a server that stands before the gateway.

use crate::judge::strict_json::{Keep, Names, Shape, Value};
use crate::judge::token::{Jws, Key, KeySourceId, Presented, UnixSeconds};
use crate::judge::{Reason, Rejection};
use http::{HeaderMap, HeaderName};
use std::fmt;

/// What a site's own tokens have to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteIdentity {
    /// `iss`, byte for byte.
    pub issuer: String,
    /// `aud`, or one of several.
    pub audience: String,
    /// The claim that names the user.
    pub claim: String,
    /// Whose keys may have signed.
    pub keys: KeySourceId,
    /// Tolerance for the times in it, seconds.
    pub clock_skew: u64,
}

/// A token of the site that is for this broker and alive, if it is true.
pub struct SiteToken {
    jws: Jws,
    user: String,
}

impl fmt::Debug for SiteToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SiteToken(..)")
    }
}

static CLAIMS: Shape = Shape {
    keep: &[
        ("iss", Keep::Leaf),
        ("aud", Keep::Leaf),
        ("exp", Keep::Leaf),
        ("nbf", Keep::Leaf),
        ("iat", Keep::Leaf),
    ],
    names: Names::Exact,
};

/// More than ids of users have.
const MAX_USER_BYTES: usize = 256;

impl SiteIdentity {
    /// Checks all that needs no key, so that nothing is fetched for what could not pass.
    ///
    /// # Errors
    /// Those of [`Jws::parse`], and the reasons of a token's issuer, times, audience and claims.
    pub fn screen(&self, token: Presented<'_>, now: UnixSeconds) -> Result<SiteToken, Rejection> {
        let jws = Jws::parse(token.text())?;
        let claims = jws.claimed(&CLAIMS)?;
        let is_text = |value: Option<&Value<'_>>, wanted: &str| matches!(value, Some(Value::Text(text)) if text == wanted);
        if !is_text(claims.get("iss"), &self.issuer) {
            return Err(Rejection::from(Reason::TokenIssuerUnknown)
                .noting("iss is not identity.jwt.issuer of this broker"));
        }
        let moment = |name| match claims.get(name) {
            None => Ok(None),
            Some(Value::Number(at)) if at.is_finite() && *at >= 0.0 => Ok(Some(*at)),
            Some(_) => Err(Rejection::from(Reason::TokenLifetimeInvalid)
                .noting(format!("{name} is not a number of seconds"))),
        };
        let Some(expires) = moment("exp")? else {
            return Err(Rejection::from(Reason::TokenLifetimeInvalid).noting("exp is missing"));
        };
        let (now, skew) = (seconds(now.0), seconds(self.clock_skew));
        if now >= expires + skew {
            return Err(Rejection::from(Reason::TokenExpired)
                .noting(format!("exp was {:.0} s ago", now - expires)));
        }
        for name in ["nbf", "iat"] {
            if moment(name)?.is_some_and(|at| at > now + skew) {
                return Err(Rejection::from(Reason::TokenNotYetValid)
                    .noting(format!("{name} is ahead of this clock")));
            }
        }
        let is_for_us = match claims.get("aud") {
            Some(Value::List(list)) => list.iter().any(|one| is_text(Some(one), &self.audience)),
            one => is_text(one, &self.audience),
        };
        if !is_for_us {
            return Err(Rejection::from(Reason::TokenAudienceMismatch)
                .noting("aud does not name identity.jwt.audience of this broker"));
        }
        drop(claims);
        let user = self.user_of(&jws)?;
        Ok(SiteToken { jws, user })
    }

    /// What was read strictly has each name once, so that any reader finds the same under a name that the operator chose.
    fn user_of(&self, jws: &Jws) -> Result<String, Rejection> {
        let wrong = |what: &str| {
            Rejection::from(Reason::TokenClaimsInvalid).noting(format!("{} {what}", self.claim))
        };
        let claims: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(jws.payload()).map_err(|_| wrong("cannot be read"))?;
        let user = claims.get(&self.claim).ok_or_else(|| wrong("is missing"))?;
        let user = user.as_str().ok_or_else(|| wrong("is not text"))?;
        if user.trim().is_empty() || user.len() > MAX_USER_BYTES {
            return Err(wrong("is blank, or longer than 256 bytes"));
        }
        Ok(user.to_owned())
    }
}

impl SiteToken {
    /// The id of the key that it says signed it.
    pub fn key_id(&self) -> &str {
        self.jws.key_id()
    }

    /// The user, once the signature is proven.
    ///
    /// # Errors
    /// [`Reason::TokenSignatureInvalid`].
    pub fn verify(self, key: &Key) -> Result<String, Rejection> {
        if self.jws.is_signed_by(key) {
            return Ok(self.user);
        }
        Err(Reason::TokenSignatureInvalid.into())
    }
}

/// The user that a server before the gateway names in one header. Whether that server is believed is asked elsewhere.
///
/// # Errors
/// [`Reason::TokenMissing`], [`Reason::TokenRepeated`], [`Reason::TokenClaimsInvalid`].
pub fn header_user<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<&'h str, Rejection> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or_else(|| {
        Rejection::from(Reason::TokenMissing).noting(format!("{name} names no user"))
    })?;
    if values.next().is_some() {
        return Err(Rejection::from(Reason::TokenRepeated)
            .noting(format!("{name} is there more than once")));
    }
    let is_fit = |user: &&str| {
        (1..=MAX_USER_BYTES).contains(&user.len()) && user.bytes().all(|b| b.is_ascii_graphic())
    };
    value.to_str().ok().filter(is_fit).ok_or_else(|| {
        Rejection::from(Reason::TokenClaimsInvalid).noting(format!(
            "{name} is empty, longer than 256 bytes, or not visible ASCII"
        ))
    })
}

#[expect(
    clippy::cast_precision_loss,
    reason = "seconds since 1970 are far below 2^53"
)]
const fn seconds(whole: u64) -> f64 {
    whole as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

    fn identity() -> SiteIdentity {
        SiteIdentity {
            issuer: "https://login.example".to_owned(),
            audience: "chat".to_owned(),
            claim: "sub".to_owned(),
            keys: KeySourceId(0),
            clock_skew: 60,
        }
    }

    fn screened(payload: &str) -> Result<String, Reason> {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let header = part(r#"{"alg":"RS256","kid":"k"}"#);
        let token = format!("{header}.{}.{}", part(payload), part("no signature"));
        let screened = identity().screen(Presented::from(token.as_str()), NOW);
        screened.map(|token| token.user).map_err(|r| r.reason())
    }

    #[test]
    fn a_token_of_the_site_names_its_user() {
        for (payload, user) in [
            (
                r#"{"iss":"https://login.example","aud":"chat","exp":1800000001,"sub":"ada"}"#,
                "ada",
            ),
            (
                r#"{"iss":"https://login.example","aud":["x","chat"],"exp":1799999941,"nbf":1800000060,"iat":1,"sub":"a b"}"#,
                "a b",
            ),
        ] {
            assert_eq!(screened(payload).as_deref(), Ok(user), "{payload}");
        }
    }

    #[test]
    fn whatever_is_missing_or_wrong_in_it_has_its_reason() {
        const GOOD: &str =
            r#"{"iss":"https://login.example","aud":"chat","exp":1800000001,"sub":"ada"}"#;
        for (from, to, reason) in [
            (
                "https://login.example",
                "https://login.example/",
                Reason::TokenIssuerUnknown,
            ),
            ("\"iss\"", "\"is\"", Reason::TokenIssuerUnknown),
            ("\"chat\"", "\"Chat\"", Reason::TokenAudienceMismatch),
            ("\"chat\"", "[]", Reason::TokenAudienceMismatch),
            ("\"chat\"", "[[\"chat\"]]", Reason::TokenAudienceMismatch),
            ("\"aud\"", "\"au\"", Reason::TokenAudienceMismatch),
            ("1800000001", "1799999940", Reason::TokenExpired),
            ("1800000001", "\"1800000001\"", Reason::TokenLifetimeInvalid),
            ("1800000001", "-1", Reason::TokenLifetimeInvalid),
            ("\"exp\":", "\"ex\":", Reason::TokenLifetimeInvalid),
            ("{", "{\"nbf\":1800000061,", Reason::TokenNotYetValid),
            ("{", "{\"iat\":1800000061,", Reason::TokenNotYetValid),
            ("{", "{\"nbf\":\"now\",", Reason::TokenLifetimeInvalid),
            ("\"ada\"", "\" \"", Reason::TokenClaimsInvalid),
            ("\"ada\"", "7", Reason::TokenClaimsInvalid),
            ("\"ada\"", "null", Reason::TokenClaimsInvalid),
            ("\"sub\"", "\"name\"", Reason::TokenClaimsInvalid),
            // Which of two counts, readers do not agree on.
            ("{", "{\"sub\":\"bob\",", Reason::TokenMalformed),
            ("{", "[", Reason::TokenMalformed),
        ] {
            let payload = GOOD.replacen(from, to, 1);
            assert_eq!(screened(&payload), Err(reason), "{payload}");
        }
        let long = GOOD.replacen("ada", &"a".repeat(257), 1);
        assert_eq!(screened(&long), Err(Reason::TokenClaimsInvalid));
    }

    #[test]
    fn a_header_names_one_user_in_visible_ascii() {
        let name = HeaderName::from_static("x-user");
        let found = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(
                    &name,
                    http::HeaderValue::from_bytes(value.as_bytes()).unwrap(),
                );
            }
            header_user(&headers, &name)
                .map(str::to_owned)
                .map_err(|r| r.reason())
        };
        assert_eq!(found(&["ada"]).as_deref(), Ok("ada"));
        assert_eq!(found(&[]), Err(Reason::TokenMissing));
        assert_eq!(found(&["ada", "ada"]), Err(Reason::TokenRepeated));
        let long = "a".repeat(257);
        for wrong in ["", "a b", "\u{e9}", long.as_str()] {
            assert_eq!(found(&[wrong]), Err(Reason::TokenClaimsInvalid));
        }
    }
}
