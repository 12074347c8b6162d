//! Asks every rule about one saved request, and goes on where the gateway would stop: what else is wrong is worth knowing, too.
//!
//! The rules are the gateway's own, asked in the gateway's order (`ingress`, `admit_and_forward`); the verdict is that of the first
//! that refuses. Nothing here makes a [`Caller`](super::Caller) or an [`Admitted`](super::Admitted): an explanation lets nobody in.

mod claims;
mod content;
mod head;
mod token;

pub use head::{HeadLimits, SavedHead};

use super::token::Trust;
use super::{
    Bearer, Expect, Facts, Key, KeySet, Mode, Place, Policy, Reason, Rejection, StrictLimits,
    UnixSeconds,
};
use bytes::Bytes;
use std::sync::Arc;

/// One saved request, and what it is judged by.
#[derive(Debug)]
pub struct Inquiry<'a> {
    /// Whose rules; nothing where the request leads to no bot and none was named.
    pub bot: Option<Judged<'a>>,
    /// What was read of the HTTP around token and activity; nothing where only those two were saved.
    pub head: Option<SavedHead<'a>>,
    /// The token, as far as it can be read.
    pub token: Result<Bearer, Rejection>,
    /// The keys of the source that the token's issuer leads to, or why there are none.
    pub keys: Result<Arc<KeySet>, String>,
    /// The activity's bytes.
    pub body: Result<Bytes, Rejection>,
    /// Its size limit, bytes.
    pub body_bytes: usize,
    /// Its other limits.
    pub json: StrictLimits,
    /// The time to judge at.
    pub now: UnixSeconds,
    /// What the rate limits allow, in words: per address, then after proof. Nobody can tell offline what of it is used up.
    pub budgets: [String; 2],
}

impl Inquiry<'_> {
    /// Where on the bot it is addressed to; what was saved without a head is an activity.
    fn place(&self) -> Place {
        let route = self.head.as_ref().and_then(|head| head.route.as_ref().ok());
        route.map_or(Place::Messages, |(_, place)| *place)
    }
}

/// A bot's rules.
#[derive(Clone, Copy, Debug)]
pub struct Judged<'a> {
    /// Which tokens it accepts.
    pub expect: &'a Expect,
    /// What it accepts from a proven caller.
    pub policy: &'a Policy,
}

/// What one rule says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing against it.
    Passes,
    /// The request is refused, unless an earlier rule did so.
    Refuses(Rejection),
    /// The request is forwarded, and the log says `would_reject`.
    WouldRefuse(Rejection),
    /// It cannot be asked; why.
    NotAsked(String),
}

/// One rule, its answer, and what it compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The stable name.
    pub rule: &'static str,
    /// What it says.
    pub outcome: Outcome,
    /// The operator's mode for it; `None` for what no mode softens.
    pub mode: Option<Mode>,
    /// What it compared.
    pub facts: Facts,
    /// A remark on an answer that is no refusal.
    pub remark: Option<String>,
}

/// Every rule's answer, in the order asked.
#[derive(Clone, Debug, Default)]
pub struct Explanation {
    /// The answers.
    pub findings: Vec<Finding>,
    /// What the token's issuer and claims lead to.
    pub trust: Option<Trust>,
    /// How many of the findings stand before the caller is proven.
    before_proof: usize,
    /// A tenant's refusal would be answered as if handled; whether the sender waits for replies.
    swallows: Option<bool>,
}

/// How the request ends at the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It reaches the bot.
    Forwarded,
    /// It reaches the bot, and the log says what a policy in report mode would have refused it for.
    WouldReject(Rejection),
    /// It does not.
    Rejected {
        /// Why.
        rejection: Rejection,
        /// Whether the caller has proven who it is by then.
        is_proven: bool,
        /// It is answered 200 as if handled; whether with a list of replies.
        swallowed: Option<bool>,
    },
}

impl Explanation {
    /// What the gateway would do: the first refusal counts.
    pub fn verdict(&self, policy: Option<&Policy>) -> Verdict {
        let first =
            self.findings
                .iter()
                .enumerate()
                .find_map(|(at, finding)| match &finding.outcome {
                    Outcome::Refuses(rejection) => Some((at, rejection.clone())),
                    Outcome::Passes | Outcome::WouldRefuse(_) | Outcome::NotAsked(_) => None,
                });
        if let Some((at, rejection)) = first {
            let is_proven = at >= self.before_proof;
            let is_swallowed = is_proven
                && policy.is_some_and(|policy| policy.tenants.swallows(rejection.reason()));
            return Verdict::Rejected {
                rejection,
                is_proven,
                swallowed: self.swallows.filter(|_| is_swallowed),
            };
        }
        let reported = self
            .findings
            .iter()
            .find_map(|finding| match &finding.outcome {
                Outcome::WouldRefuse(rejection) => Some(rejection.clone()),
                Outcome::Passes | Outcome::Refuses(_) | Outcome::NotAsked(_) => None,
            });
        reported.map_or(Verdict::Forwarded, Verdict::WouldReject)
    }

    fn ask(&mut self, rule: &'static str, facts: Facts, answer: Result<(), Rejection>) -> bool {
        let passes = answer.is_ok();
        self.add(Finding {
            rule,
            outcome: answer.map_or_else(Outcome::Refuses, |()| Outcome::Passes),
            mode: None,
            facts,
            remark: None,
        });
        passes
    }

    fn skip(&mut self, rule: &'static str, why: impl Into<String>) {
        self.skip_with(rule, Facts::default(), why);
    }

    fn skip_with(&mut self, rule: &'static str, facts: Facts, why: impl Into<String>) {
        self.add(Finding {
            rule,
            outcome: Outcome::NotAsked(why.into()),
            mode: None,
            facts,
            remark: None,
        });
    }

    fn add(&mut self, finding: Finding) {
        self.findings.push(finding);
    }
}

const OFFLINE: &str = "counted by the running gateway only";

/// Asks every rule, in the gateway's order.
pub fn explain(inquiry: &Inquiry<'_>) -> Explanation {
    let mut told = Explanation::default();
    let [per_address, per_bot] = &inquiry.budgets;
    if let Some(head) = &inquiry.head {
        told.skip_with("rate_limit_address", only_expected(per_address), OFFLINE);
        head::ask(&mut told, head);
    }
    let signed = token::ask(&mut told, inquiry);
    told.before_proof = told.findings.len();
    told.trust = signed.trust;
    content::ask_caller(&mut told, inquiry, &signed);

    let size = match &inquiry.body {
        Ok(bytes) => format!("{} bytes", bytes.len()),
        Err(_) => "no whole body".to_owned(),
    };
    let facts = Facts::of(format!("at most {} bytes", inquiry.body_bytes), &size);
    let answer = match &inquiry.body {
        Ok(bytes) if bytes.len() > inquiry.body_bytes => Err(Rejection::from(Reason::BodyTooLarge)
            .noting(format!("more than {} bytes", inquiry.body_bytes))),
        Ok(_) => Ok(()),
        Err(rejection) => Err(rejection.clone()),
    };
    told.ask("body", facts, answer);
    match inquiry.place() {
        Place::Messages => content::ask_activity(&mut told, inquiry, &signed, &size),
        Place::Callback => content::ask_callback(&mut told, inquiry, &signed, &size),
    }
    told.skip_with("rate_limits", only_expected(per_bot), OFFLINE);
    told
}

fn only_expected(text: &str) -> Facts {
    Facts {
        expected: Some(text.to_owned()),
        seen: None,
    }
}

/// What the token's rules found out for those that come after.
#[derive(Debug, Default)]
struct Signed {
    trust: Option<Trust>,
    key: Option<Arc<Key>>,
}
