//! The answer as data: what `--json` prints, and what the text is made from.

use super::decoded::{Decoded, Members, if_plain};
use super::keys::FoundKeys;
use super::remedy;
use crate::config::Bot;
use crate::judge::explain::{Explanation, Finding, Outcome, Verdict};
use crate::judge::{Mode, Rejection, UnixSeconds};
use crate::net::reply::{self, Audience};
use http::{Response, Version};
use http_body_util::{BodyExt as _, Limited};
use serde::Serialize;
use std::collections::BTreeMap;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Everything that is told. Members are contract: programs read them (docs/explain.md).
#[derive(Serialize)]
pub(super) struct Report {
    /// `forwarded`, `would_reject` or `rejected`, as in the request line.
    pub(super) verdict: &'static str,
    /// What the caller gets; nothing where the bot answers.
    pub(super) status: Option<u16>,
    pub(super) reason: Option<&'static str>,
    /// The rule that decided.
    pub(super) rule: Option<&'static str>,
    pub(super) note: Option<String>,
    pub(super) what_to_do: Option<&'static str>,
    pub(super) caller_sees: Option<CallerSees>,
    pub(super) bot: Option<String>,
    pub(super) at: String,
    pub(super) token: Option<Token>,
    pub(super) keys: KeysTold,
    pub(super) rules: Vec<RuleTold>,
    pub(super) remarks: Vec<String>,
}

/// The answer that goes out.
#[derive(Serialize)]
pub(super) struct CallerSees {
    pub(super) status: u16,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

/// The token, unverified.
#[derive(Serialize)]
pub(super) struct Token {
    #[serde(serialize_with = "if_plain")]
    pub(super) header: Option<Members>,
    #[serde(serialize_with = "if_plain")]
    pub(super) claims: Option<Members>,
    pub(super) signature: Option<String>,
    pub(super) kind: Option<&'static str>,
    pub(super) tenant: Option<String>,
    pub(super) key_id: Option<String>,
}

/// Where the keys are from.
#[derive(Serialize)]
pub(super) struct KeysTold {
    pub(super) from: &'static str,
    pub(super) place: Option<String>,
    pub(super) age_seconds: Option<u64>,
    pub(super) count: Option<usize>,
    pub(super) problem: Option<String>,
}

/// One rule.
#[derive(Serialize)]
pub(super) struct RuleTold {
    pub(super) name: &'static str,
    /// `passes`, `refuses`, `would_refuse` or `not_asked`.
    pub(super) answer: &'static str,
    pub(super) reason: Option<&'static str>,
    pub(super) status: Option<u16>,
    pub(super) mode: Option<&'static str>,
    pub(super) expected: Option<String>,
    pub(super) seen: Option<String>,
    pub(super) note: Option<String>,
}

/// What a report is made from.
pub(super) struct Told<'a> {
    pub(super) explanation: &'a Explanation,
    pub(super) bot: Option<&'a Bot>,
    pub(super) now: UnixSeconds,
    pub(super) decoded: Option<Decoded>,
    pub(super) kid: Option<String>,
    pub(super) found: FoundKeys,
    pub(super) remarks: Vec<String>,
    pub(super) version: Option<Version>,
    pub(super) sent_token: bool,
}

impl Report {
    pub(super) async fn new(told: Told<'_>) -> Self {
        let explanation = told.explanation;
        let verdict = explanation.verdict(told.bot.map(|bot| &bot.policy));
        let (word, rejection) = match &verdict {
            Verdict::Forwarded => ("forwarded", None),
            Verdict::WouldReject(rejection) => ("would_reject", Some(rejection)),
            Verdict::Rejected { rejection, .. } => ("rejected", Some(rejection)),
        };
        let caller_sees = caller_sees(&verdict, &told).await;
        let trust = explanation.trust;
        let token = told.decoded.map(|decoded| Token {
            header: decoded.header,
            claims: decoded.claims,
            signature: decoded
                .signature_bytes
                .map(|bytes| format!("withheld, {bytes} bytes")),
            kind: trust.map(|trust| trust.kind.word()),
            tenant: trust.and_then(|trust| trust.tenant).map(|t| t.to_string()),
            key_id: told.kid,
        });
        Self {
            verdict: word,
            status: caller_sees.as_ref().map(|sees| sees.status),
            reason: rejection.map(|rejection| rejection.reason().code()),
            rule: rejection.and_then(|rejection| {
                explanation
                    .findings
                    .iter()
                    .find_map(|finding| is_of(&finding.outcome, rejection).then_some(finding.rule))
            }),
            note: rejection.and_then(Rejection::note).map(str::to_owned),
            what_to_do: rejection.map(|rejection| remedy::of(rejection.reason())),
            caller_sees,
            bot: told.bot.map(|bot| bot.name.clone()),
            at: date(told.now),
            token,
            keys: KeysTold {
                from: told.found.from,
                place: told.found.place,
                age_seconds: told.found.age_seconds,
                count: told.found.keys.as_ref().ok().map(|keys| keys.len()),
                problem: told.found.keys.err().filter(|_| trust.is_some()),
            },
            rules: explanation.findings.iter().map(rule).collect(),
            remarks: told.remarks,
        }
    }

    pub(super) fn is_forwarded(&self) -> bool {
        self.verdict != "rejected"
    }
}

fn is_of(outcome: &Outcome, wanted: &Rejection) -> bool {
    match outcome {
        Outcome::Refuses(rejection) | Outcome::WouldRefuse(rejection) => rejection == wanted,
        Outcome::Passes | Outcome::NotAsked(_) => false,
    }
}

fn rule(finding: &Finding) -> RuleTold {
    let (answer, rejection, remark) = match &finding.outcome {
        Outcome::Passes => ("passes", None, finding.remark.clone()),
        Outcome::Refuses(rejection) => ("refuses", Some(rejection), None),
        Outcome::WouldRefuse(rejection) => ("would_refuse", Some(rejection), None),
        Outcome::NotAsked(why) => ("not_asked", None, Some(why.clone())),
    };
    let note = rejection.and_then(Rejection::note).map(str::to_owned);
    RuleTold {
        name: finding.rule,
        answer,
        reason: rejection.map(|rejection| rejection.reason().code()),
        status: rejection.map(|rejection| rejection.reason().status()),
        mode: finding.mode.map(|mode| match mode {
            Mode::Enforce => "enforce",
            Mode::Report => "report",
        }),
        expected: finding.facts.expected.clone(),
        seen: finding.facts.seen.clone(),
        note: note.or(remark),
    }
}

/// The very answer the gateway would make, but for the request's id.
async fn caller_sees(verdict: &Verdict, told: &Told<'_>) -> Option<CallerSees> {
    const ID: &str = "...";
    const MAX_BYTES: usize = 64 * 1024;
    let Verdict::Rejected {
        rejection,
        is_proven,
        swallowed,
    } = verdict
    else {
        return None;
    };
    let audience = if *is_proven {
        Audience::Proven
    } else {
        Audience::Stranger {
            sent_token: told.sent_token,
        }
    };
    let version = told.version.unwrap_or(Version::HTTP_11);
    let answer: Response<_> = match swallowed {
        Some(expects_replies) => reply::swallowed(*expects_replies, ID),
        None => reply::refusal(rejection, audience, ID, version),
    };
    let (head, body) = answer.into_parts();
    #[expect(clippy::disallowed_methods, reason = "the body is limited")]
    let body = Limited::new(body, MAX_BYTES).collect().await.ok()?;
    let headers = head.headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.as_str().to_owned(), value)
    });
    Some(CallerSees {
        status: head.status.as_u16(),
        headers: headers.collect(),
        body: String::from_utf8_lossy(&body.to_bytes()).into_owned(),
    })
}

fn date(at: UnixSeconds) -> String {
    i64::try_from(at.0)
        .ok()
        .and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok())
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_else(|| at.0.to_string())
}
