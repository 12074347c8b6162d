//! The rules that prove the caller, and what each compares.

use super::claims::{audiences, claims_facts, issuers, quoted, time_facts, why_of_kind};
use super::{Explanation, Facts, Inquiry, Signed};
use crate::judge::token::Trust;
use crate::judge::{Bearer, Expect, KeySet, Place, Reason, Rejection};

const FORM: &str = "token_form";
const ALGORITHM: &str = "token_algorithm";
const AFTER_FORM: &[&str] = &[
    "token_issuer",
    "token_time",
    "token_audience",
    "token_claims",
    "token_place",
    "token_key",
    "token_signature",
    "token_key_issuer",
];

/// Asks them, and says what the later ones build on.
pub(super) fn ask(told: &mut Explanation, inquiry: &Inquiry<'_>) -> Signed {
    ask_form(told, inquiry);
    let Ok(bearer) = &inquiry.token else {
        for rule in AFTER_FORM {
            told.skip(rule, "there is no token that can be read");
        }
        return Signed::default();
    };
    let Some(bot) = inquiry.bot else {
        for rule in AFTER_FORM {
            told.skip(rule, "no bot is chosen");
        }
        return Signed::default();
    };
    let (expect, claimed) = (bot.expect, bearer.claimed());
    let trust = expect.trust(claimed);
    let facts = Facts::of(
        issuers(expect),
        format!("iss {}", quoted(claimed.issuer.as_deref())),
    );
    let trust = match trust {
        Ok(trust) => {
            told.ask("token_issuer", facts, Ok(()));
            if let Some(finding) = told.findings.last_mut() {
                finding.remark = Some(why_of_kind(expect, trust, claimed));
            }
            Some(trust)
        }
        Err(rejection) => {
            told.ask("token_issuer", facts, Err(rejection));
            None
        }
    };
    let facts = time_facts(expect, claimed, inquiry.now);
    told.ask("token_time", facts, expect.check_time(claimed, inquiry.now));
    let Some(trust) = trust else {
        for rule in AFTER_FORM.iter().skip(2) {
            told.skip(
                rule,
                "the token's issuer leads to no kind of token that this bot accepts",
            );
        }
        return Signed::default();
    };
    told.ask(
        "token_audience",
        Facts::of(
            audiences(expect, trust.kind),
            format!("aud {}", quoted(claimed.audience.as_deref())),
        ),
        expect.check_audience(trust.kind, claimed),
    );
    told.ask(
        "token_claims",
        claims_facts(expect, trust, claimed),
        expect.check_claims(trust, claimed),
    );
    let place = inquiry.place();
    told.ask(
        "token_place",
        Facts::of(
            match place {
                Place::Messages => "any kind of token that the bot accepts",
                Place::Callback => "a skill's token: only skills call back",
            },
            trust.kind.word(),
        ),
        place.check_kind(trust.kind),
    );
    let keys = inquiry.keys.as_deref();
    ask_key(told, expect, trust, bearer, keys)
}

/// The one header, the token's form and its algorithm: one reading, told as three.
fn ask_form(told: &mut Explanation, inquiry: &Inquiry<'_>) {
    let refused = inquiry.token.as_ref().err();
    let reason = refused.map(Rejection::reason);
    let of = |reasons: &[Reason]| match refused {
        Some(rejection) if reasons.contains(&rejection.reason()) => Err(rejection.clone()),
        _ => Ok(()),
    };
    const HEADER: &[Reason] = &[
        Reason::TokenMissing,
        Reason::TokenRepeated,
        Reason::TokenSchemeUnsupported,
    ];
    const AUTHORIZATION: &str = "authorization";
    let mut is_there = true;
    if inquiry.head.is_some() {
        let seen = match reason {
            Some(Reason::TokenMissing) => "none",
            Some(Reason::TokenRepeated) => "more than one",
            Some(Reason::TokenSchemeUnsupported) => "another scheme",
            Some(_) | None => "one, Bearer",
        };
        let facts = Facts::of("exactly one Authorization header, Bearer and a token", seen);
        is_there = told.ask(AUTHORIZATION, facts, of(HEADER));
    } else {
        told.skip(AUTHORIZATION, "the token was saved without its header");
    }
    let has_algorithm = reason == Some(Reason::TokenAlgorithmRefused);
    let expected = "three canonical base64url segments of strict JSON, at most 16 KiB, with a kid and without crit and b64";
    if !is_there {
        told.skip(FORM, "there is no token");
        told.skip(ALGORITHM, "there is no token");
        return;
    }
    if has_algorithm {
        told.skip(FORM, "only RS256 tokens are read further");
    } else {
        let facts = Facts {
            expected: Some(expected.to_owned()),
            seen: None,
        };
        if !told.ask(FORM, facts, of(&[Reason::TokenMalformed])) {
            told.skip(ALGORITHM, "the token cannot be read");
            return;
        }
    }
    let seen = match refused.and_then(Rejection::note) {
        Some(note) if has_algorithm => note.to_owned(),
        Some(_) | None => "alg \"RS256\"".to_owned(),
    };
    let answer = of(&[Reason::TokenAlgorithmRefused]);
    told.ask(ALGORITHM, Facts::of("alg \"RS256\"", seen), answer);
}

fn ask_key(
    told: &mut Explanation,
    expect: &Expect,
    trust: Trust,
    bearer: &Bearer,
    keys: Result<&KeySet, &String>,
) -> Signed {
    let mut signed = Signed {
        trust: Some(trust),
        key: None,
    };
    let kid = bearer.key_id();
    let wanted = format!("a key with kid {kid:?}");
    let (seen, answer) = match keys {
        Err(why) => {
            let answer = Rejection::from(Reason::KeysUnavailable).noting(why.clone());
            ("no keys".to_owned(), Err(answer))
        }
        Ok(keys) => {
            signed.key = keys.get(kid);
            let answer = match signed.key {
                Some(_) => Ok(()),
                None => Err(Rejection::from(Reason::TokenKeyUnknown)
                    .noting(format!("kid {kid:?} is not among the issuer's keys"))),
            };
            (ids(keys, kid), answer)
        }
    };
    told.ask("token_key", Facts::of(wanted, seen), answer);
    let Some(key) = &signed.key else {
        let why = match keys {
            Ok(_) => "the key it names is not known",
            Err(_) => "there are no keys",
        };
        told.skip("token_signature", why);
        told.skip("token_key_issuer", why);
        return signed;
    };
    let verifies = bearer.is_signed_by(key);
    told.ask(
        "token_signature",
        Facts::of(
            format!("RSASSA-PKCS1-v1_5 with SHA-256 by key {kid:?}"),
            if verifies {
                "verifies"
            } else {
                "does not verify"
            },
        ),
        if verifies {
            Ok(())
        } else {
            Err(Reason::TokenSignatureInvalid.into())
        },
    );
    let facts = match (trust.tenant, key.issuer()) {
        (Some(tenant), Some(issuer)) => Facts::of(
            format!("a key for tenant {tenant}"),
            format!("the key's issuer {issuer:?}"),
        ),
        (Some(_), None) | (None, _) => Facts::default(),
    };
    let has_none = facts == Facts::default();
    told.ask("token_key_issuer", facts, expect.check_key(trust, key));
    if let Some(finding) = told.findings.last_mut().filter(|_| has_none) {
        finding.remark = Some("the key names no issuer of its own".to_owned());
    }
    signed
}

/// The wanted id first, then some of the others.
fn ids(keys: &KeySet, kid: &str) -> String {
    const SHOWN: usize = 8;
    if keys.get(kid).is_some() {
        return format!("one of {} keys", keys.len());
    }
    let mut ids: Vec<&str> = keys.key_ids().collect();
    ids.sort_unstable();
    let shown: Vec<String> = ids.iter().take(SHOWN).map(|id| format!("{id:?}")).collect();
    let more = if ids.len() > SHOWN { " ..." } else { "" };
    format!("{} keys: {}{more}", keys.len(), shown.join(" "))
}
