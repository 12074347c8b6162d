//! What the token's rules compare, in words.

use super::Facts;
use crate::judge::token::{Moment, TextClaim, Trust};
use crate::judge::{Claims, Expect, TokenKind, UnixSeconds};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Every root, and where its issuers lead.
pub(super) fn issuers(expect: &Expect) -> String {
    let kinds: Vec<TokenKind> = expect.kinds().collect();
    let mut roots = Vec::new();
    if kinds.contains(&TokenKind::Channel) {
        roots.push(format!("channel: {:?}", expect.channel.issuer));
    }
    let of_entra: Vec<&str> = kinds
        .iter()
        .filter(|kind| !kind.is_channel())
        .map(|kind| kind.word())
        .collect();
    if !of_entra.is_empty() {
        let issuers = expect
            .entra
            .issuers
            .iter()
            .map(|i| format!("{:?}", i.to_string()));
        roots.push(format!(
            "{}: {}",
            of_entra.join(", "),
            issuers.collect::<Vec<_>>().join(" or ")
        ));
    }
    roots.join("; ")
}

/// Why the token is of this kind, after the same claims that [`Expect::trust`] goes by.
pub(super) fn why_of_kind(expect: &Expect, trust: Trust, claimed: &Claims) -> String {
    if trust.kind.is_channel() {
        return "channel token: iss is that of the Bot Connector of this cloud".to_owned();
    }
    let (_, why) = expect.entra_kind(claimed);
    let tenant = trust.tenant.map(|tenant| tenant.to_string());
    format!(
        "{} token: iss is Entra's, of tenant {}; {why}",
        trust.kind.word(),
        tenant.unwrap_or_default()
    )
}

pub(super) fn audiences(expect: &Expect, kind: TokenKind) -> String {
    let id = &expect.app_id;
    match kind {
        TokenKind::Agent => format!("{id:?}, \"api://{id}\" or \"api://botid-{id}\", in any case"),
        TokenKind::Channel | TokenKind::Emulator | TokenKind::Skill => {
            format!("{id:?}, in any case")
        }
    }
}

pub(super) fn claims_facts(expect: &Expect, trust: Trust, claimed: &Claims) -> Facts {
    let Some(tenant) = trust.tenant else {
        return Facts::of("no further claims", "none are looked at");
    };
    let expected = match trust.kind {
        TokenKind::Channel => "no further claims".to_owned(),
        TokenKind::Agent => format!("tid {tenant}; an azp, or an appid where there is no azp"),
        TokenKind::Skill => format!(
            "tid {tenant}; ver \"1.0\" with an appid or \"2.0\" with an azp; no user behind the token"
        ),
        TokenKind::Emulator => format!(
            "tid {tenant}{}; ver \"1.0\" with appid or \"2.0\" with azp {:?}; no user behind the token",
            match &expect.entra.emulator {
                Some(root) if !root.tenants.is_empty() => ", which bots.tenants.allow lists",
                Some(_) | None => "",
            },
            expect.app_id
        ),
    };
    let text = |claim: &TextClaim| {
        use TextClaim::{Missing, NotText, Text};
        match claim {
            Missing => "none".to_owned(),
            NotText => "not a string".to_owned(),
            Text(text) => quoted(Some(text)),
        }
    };
    let user = if claimed.speaks_for_a_user {
        "; a user stands behind the token"
    } else {
        ""
    };
    Facts::of(
        expected,
        format!(
            "tid {}; ver {}; appid {}; azp {}{user}",
            quoted(claimed.tenant.as_deref()),
            text(&claimed.version),
            text(&claimed.app_id),
            text(&claimed.authorized_party),
        ),
    )
}

pub(super) fn time_facts(expect: &Expect, claimed: &Claims, now: UnixSeconds) -> Facts {
    let skew = expect.clock_skew;
    let now = i64::try_from(now.0).unwrap_or(i64::MAX);
    let by = i64::try_from(skew).unwrap_or(i64::MAX);
    let expected = format!(
        "at {}, give or take {skew} s: exp after {}, nbf and iat not after {}; exp after nbf, by at most {} s",
        date(now),
        date(now.saturating_sub(by)),
        date(now.saturating_add(by)),
        expect.max_lifetime(claimed),
    );
    let seen: Vec<String> = claimed
        .moments()
        .into_iter()
        .map(|(name, moment)| match moment {
            Moment::Missing => format!("{name} none"),
            Moment::NotANumber => format!("{name} is not a number of seconds"),
            Moment::At(at) => format!("{name} {}", date(whole(at))),
        })
        .collect();
    Facts::of(expected, seen.join(", "))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a moment is at most 2^53, and its fraction is not shown"
)]
const fn whole(at: f64) -> i64 {
    at as i64
}

/// `1763819252 (2025-11-22T13:47:32Z)`; without the date where no calendar has one.
fn date(seconds: i64) -> String {
    let date = OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|date| date.format(&Rfc3339).ok());
    match date {
        Some(date) => format!("{seconds} ({date})"),
        None => seconds.to_string(),
    }
}

pub(super) fn quoted(text: Option<&str>) -> String {
    match text {
        None => "none".to_owned(),
        Some(text) => format!("{:?}", text.chars().take(512).collect::<String>()),
    }
}
