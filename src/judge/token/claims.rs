//! Claims as plain data, and the time window against a given `now`.

use super::UnixSeconds;
use crate::judge::strict_json::{Keep, Members, Names, Shape, Value};
use crate::judge::{Reason, Rejection};

/// What a token says. Plain data: says nothing about whether it is true.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claims {
    /// `iss`.
    pub issuer: Option<String>,
    /// `aud`, where it is one string or a list of exactly one.
    pub audience: Option<String>,
    /// `serviceurl`: all lower case on the wire, whatever Microsoft Learn writes.
    pub service_url: Option<String>,
    /// `tid`.
    pub tenant: Option<String>,
    /// `appid`, else `azp`: the calling application.
    pub caller_app_id: Option<String>,
    expires: Moment,
    not_before: Moment,
    issued_at: Moment,
}

/// A NumericDate claim (RFC 7519 2).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Moment {
    #[default]
    Missing,
    NotANumber,
    At(f64),
}

pub(super) static CLAIMS: Shape = Shape {
    keep: &[
        ("iss", Keep::Leaf),
        ("aud", Keep::Leaf),
        ("serviceurl", Keep::Leaf),
        ("exp", Keep::Leaf),
        ("nbf", Keep::Leaf),
        ("iat", Keep::Leaf),
        ("tid", Keep::Leaf),
        ("appid", Keep::Leaf),
        ("azp", Keep::Leaf),
    ],
    names: Names::Exact,
};

/// The largest integer every JSON reader keeps exact.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

pub(super) fn from_members(members: &Members<'_>) -> Claims {
    let text = |name| match members.get(name) {
        Some(Value::Text(text)) => Some(text.clone().into_owned()),
        _ => None,
    };
    let moment = |name| match members.get(name) {
        None => Moment::Missing,
        Some(Value::Number(at)) if (0.0..=MAX_EXACT).contains(at) => Moment::At(*at),
        Some(_) => Moment::NotANumber,
    };
    Claims {
        issuer: text("iss"),
        audience: match members.get("aud") {
            Some(Value::List(list)) => match list.as_slice() {
                [Value::Text(only)] => Some(only.clone().into_owned()),
                _ => None,
            },
            _ => text("aud"),
        },
        service_url: text("serviceurl"),
        tenant: text("tid"),
        caller_app_id: text("appid").or_else(|| text("azp")),
        expires: moment("exp"),
        not_before: moment("nbf"),
        issued_at: moment("iat"),
    }
}

impl Claims {
    /// Checks `exp`, `nbf` and `iat` (AUTHENTICATION 0.1 rule 6, boundaries 1.11): accepted while
    /// `now < exp + skew` and `nbf <= now + skew`.
    ///
    /// # Errors
    /// [`Reason::TokenLifetimeInvalid`], [`Reason::TokenExpired`], [`Reason::TokenNotYetValid`].
    pub(super) fn check_time(
        &self,
        now: UnixSeconds,
        skew: u64,
        max_lifetime: u64,
    ) -> Result<(), Rejection> {
        let absurd = |what: &str| Err(Rejection::from(Reason::TokenLifetimeInvalid).noting(what));
        let (Moment::At(expires), Moment::At(not_before)) = (self.expires, self.not_before) else {
            return absurd("exp or nbf is missing or not a number");
        };
        let (now, skew, max_lifetime) = (seconds(now.0), seconds(skew), seconds(max_lifetime));
        if expires <= not_before {
            return absurd("exp is not after nbf");
        }
        if expires - not_before > max_lifetime {
            return absurd("exp is more than 24 h after nbf");
        }
        if now >= expires + skew {
            return Err(Rejection::from(Reason::TokenExpired)
                .noting(format!("exp was {:.0} s ago", now - expires)));
        }
        let early = |name: &str, at: f64| {
            Err(Rejection::from(Reason::TokenNotYetValid)
                .noting(format!("{name} is {:.0} s ahead of this clock", at - now)))
        };
        if not_before > now + skew {
            return early("nbf", not_before);
        }
        match self.issued_at {
            Moment::At(issued) if issued > now + skew => early("iat", issued),
            Moment::At(_) | Moment::Missing | Moment::NotANumber => Ok(()),
        }
    }

    /// `nbf - now` in seconds: how far this clock is from the issuer's when the token is fresh.
    pub fn clock_offset(&self, now: UnixSeconds) -> Option<f64> {
        match self.not_before {
            Moment::At(at) => Some(at - seconds(now.0)),
            Moment::Missing | Moment::NotANumber => None,
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "seconds since 1970 are far below 2^53"
)]
const fn seconds(whole: u64) -> f64 {
    whole as f64
}
