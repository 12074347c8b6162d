//! What was sent, read strictly, and the bot's rules about it.

use super::{Explanation, Facts, Finding, Inquiry, Outcome, Signed, only_expected};
use crate::judge::policy::CHANNEL_ENDORSED;
use crate::judge::{
    Activity, Answer, CALLER_RULES, Callback, Evidence, Mode, OnReject, RULES, Rejection,
    StrictLimits,
};

const RULE: &str = "activity";
const CALLBACK_RULES: &[&str] = &["relates_to_host", "tenant"];

/// Who calls, whatever it sends.
pub(super) fn ask_caller(told: &mut Explanation, inquiry: &Inquiry<'_>, signed: &Signed) {
    let (Some(bot), Ok(bearer), Some(trust)) = (inquiry.bot, &inquiry.token, signed.trust) else {
        let why = why_not(inquiry, signed);
        CALLER_RULES
            .iter()
            .for_each(|rule| told.skip(rule.name, why));
        return;
    };
    for answer in bot.policy.explain_caller(trust.kind, bearer.claimed()) {
        told.add(finding(answer));
    }
}

/// An activity for the messaging endpoint.
pub(super) fn ask_activity(
    told: &mut Explanation,
    inquiry: &Inquiry<'_>,
    signed: &Signed,
    size: &str,
) {
    let activity = read(told, inquiry, size, || {
        let bytes = inquiry.body.as_ref().map_err(Clone::clone)?;
        let activity = Activity::parse(bytes.clone(), inquiry.json)?;
        let seen = format!(
            "type {:?}, channelId {:?}",
            activity.kind(),
            activity.channel()
        );
        Ok((activity, seen))
    });
    if let (Some(activity), Some(bot)) = (&activity, inquiry.bot)
        && bot.policy.tenants.on_reject == OnReject::Swallow
        && !activity.is_invoke()
    {
        told.swallows = Some(activity.expects_replies());
    }
    let (Some(bot), Ok(bearer), Some(trust), Some(activity)) =
        (inquiry.bot, &inquiry.token, signed.trust, &activity)
    else {
        let why = why_not(inquiry, signed);
        RULES.iter().for_each(|rule| told.skip(rule.name, why));
        return;
    };
    let endorsements = signed.key.as_ref().map(|key| key.endorsements());
    let evidence = Evidence {
        kind: trust.kind,
        claims: bearer.claimed(),
        endorsements: endorsements.as_deref().unwrap_or_default(),
        activity,
    };
    let lacks_key = trust.kind.is_channel() && signed.key.is_none();
    for answer in bot.policy.explain(evidence) {
        if lacks_key && answer.rule == CHANNEL_ENDORSED {
            let expected = answer.facts.expected.unwrap_or_default();
            let facts = only_expected(&expected);
            told.skip_with(answer.rule, facts, "the signing key is not known");
        } else {
            told.add(finding(answer));
        }
    }
}

/// A skill's call to the Connector API.
pub(super) fn ask_callback(
    told: &mut Explanation,
    inquiry: &Inquiry<'_>,
    signed: &Signed,
    size: &str,
) {
    let head = inquiry
        .head
        .as_ref()
        .and_then(|head| head.head.as_ref().ok());
    let callback = read(told, inquiry, size, || {
        let bytes = inquiry.body.as_ref().map_err(Clone::clone)?;
        let head = head.ok_or(crate::judge::Reason::RequestMalformed)?;
        let path = head.uri.path();
        let callback = Callback::parse(&head.method, path, bytes.clone(), inquiry.json)?;
        let seen = format!("{} of a skill, {size}", head.method);
        Ok((callback, seen))
    });
    let (Some(bot), Ok(bearer), Some(trust), Some(callback)) =
        (inquiry.bot, &inquiry.token, signed.trust, &callback)
    else {
        let why = why_not(inquiry, signed);
        CALLBACK_RULES.iter().for_each(|rule| told.skip(rule, why));
        return;
    };
    for answer in bot
        .policy
        .explain_callback(trust.kind, bearer.claimed(), callback)
    {
        told.add(finding(answer));
    }
}

fn read<T>(
    told: &mut Explanation,
    inquiry: &Inquiry<'_>,
    size: &str,
    parse: impl FnOnce() -> Result<(T, String), Rejection>,
) -> Option<T> {
    if inquiry.body.is_err() {
        told.skip(RULE, "there is no whole body");
        return None;
    }
    let StrictLimits { depth, members } = inquiry.json;
    let expected = format!(
        "one strict JSON object of at most {depth} levels and {members} members, each guarded name once and spelt exactly"
    );
    match parse() {
        Ok((content, seen)) => {
            told.ask(RULE, Facts::of(expected, seen), Ok(()));
            Some(content)
        }
        Err(rejection) => {
            told.ask(RULE, Facts::of(expected, size), Err(rejection));
            None
        }
    }
}

fn why_not(inquiry: &Inquiry<'_>, signed: &Signed) -> &'static str {
    if inquiry.bot.is_none() {
        "no bot is chosen"
    } else if inquiry.token.is_err() {
        "there is no token that can be read"
    } else if signed.trust.is_none() {
        "the token's issuer leads to no kind of token that this bot accepts"
    } else {
        "there is no body that can be read"
    }
}

fn finding(answer: Answer) -> Finding {
    let is_idle = answer.facts == Facts::default();
    Finding {
        rule: answer.rule,
        outcome: match (answer.outcome, answer.mode) {
            (Ok(()), _) => Outcome::Passes,
            (Err(rejection), Some(Mode::Report)) => Outcome::WouldRefuse(rejection),
            (Err(rejection), Some(Mode::Enforce) | None) => Outcome::Refuses(rejection),
        },
        mode: answer.mode,
        facts: answer.facts,
        remark: is_idle.then(|| "does not apply to this request".to_owned()),
    }
}
