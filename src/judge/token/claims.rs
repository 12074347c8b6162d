//! Claims as plain data, and the time window against a given `now`.

use super::UnixSeconds;
use crate::judge::strict_json::{Keep, Members, Names, Shape, Value};
use crate::judge::{Reason, Rejection, TenantId};

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
    /// `appid`: the calling application, in version 1 of Entra's tokens.
    pub app_id: TextClaim,
    /// `azp`: the calling application, in version 2.
    pub authorized_party: TextClaim,
    /// `ver`.
    pub version: TextClaim,
    /// Whether someone else than the application stands behind the token: `scp` is there, or `idtyp` is anything but `app`
    /// (`user`, `device`).
    pub speaks_for_a_user: bool,
    expires: Moment,
    not_before: Moment,
    issued_at: Moment,
}

/// A claim that should be text. That it is there in another form is not the same as its absence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TextClaim {
    /// Not there.
    #[default]
    Missing,
    /// There, and not a string.
    NotText,
    /// There.
    Text(String),
}

impl TextClaim {
    /// The text, where there is one that is not blank.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) if !text.trim().is_empty() => Some(text),
            Self::Text(_) | Self::Missing | Self::NotText => None,
        }
    }
}

/// A NumericDate claim (RFC 7519 2).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::judge) enum Moment {
    /// Not there.
    #[default]
    Missing,
    /// There, and no number of seconds since 1970.
    NotANumber,
    /// Unix seconds.
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
        ("ver", Keep::Leaf),
        ("scp", Keep::Leaf),
        ("idtyp", Keep::Leaf),
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
    let text_claim = |name| match members.get(name) {
        None => TextClaim::Missing,
        Some(Value::Text(text)) => TextClaim::Text(text.clone().into_owned()),
        Some(_) => TextClaim::NotText,
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
        app_id: text_claim("appid"),
        authorized_party: text_claim("azp"),
        version: text_claim("ver"),
        speaks_for_a_user: members.get("scp").is_some()
            || members
                .get("idtyp")
                .is_some_and(|kind| !matches!(kind, Value::Text(kind) if kind == "app")),
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
        let hours = max_lifetime / 3600;
        let (Moment::At(expires), Moment::At(not_before)) = (self.expires, self.not_before) else {
            return absurd("exp or nbf is missing or not a number");
        };
        let (now, skew, max_lifetime) = (seconds(now.0), seconds(skew), seconds(max_lifetime));
        if expires <= not_before {
            return absurd("exp is not after nbf");
        }
        if expires - not_before > max_lifetime {
            return absurd(&format!("exp is more than {hours} h after nbf"));
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

    /// The calling application as the Bot Framework SDKs read it: `ver` is required, `appid` where it is blank or `1.0`, `azp`
    /// where it is `2.0` (AUTHENTICATION 1.6).
    ///
    /// # Errors
    /// What is wrong, for a note.
    pub fn caller_by_version(&self) -> Result<&str, &'static str> {
        let (claim, missing) = match &self.version {
            TextClaim::Missing => return Err("ver is missing"),
            TextClaim::NotText => return Err("ver is not a string"),
            TextClaim::Text(version) => match version.as_str() {
                "1.0" => (&self.app_id, "appid is missing"),
                "2.0" => (&self.authorized_party, "azp is missing"),
                blank if blank.trim().is_empty() => (&self.app_id, "appid is missing"),
                _ => return Err("ver is neither 1.0 nor 2.0"),
            },
        };
        claim.text().ok_or(missing)
    }

    /// The calling application as agents' tokens name it: `azp`, and `appid` only where there is no `azp` at all
    /// (AUTHENTICATION 1.10).
    pub fn caller_by_presence(&self) -> Option<&str> {
        match &self.authorized_party {
            TextClaim::Missing => self.app_id.text(),
            TextClaim::NotText | TextClaim::Text(_) => self.authorized_party.text(),
        }
    }

    /// `tid`, where it is a tenant id.
    pub fn tenant_id(&self) -> Option<TenantId> {
        self.tenant.as_deref().and_then(TenantId::parse)
    }

    /// The calling application, whatever names it.
    pub fn caller_app_id(&self) -> Option<&str> {
        self.caller_by_version()
            .ok()
            .or_else(|| self.caller_by_presence())
    }

    /// The moments by name, for `explain`.
    pub(in crate::judge) const fn moments(&self) -> [(&'static str, Moment); 3] {
        [
            ("exp", self.expires),
            ("nbf", self.not_before),
            ("iat", self.issued_at),
        ]
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
