//! What was seen, and what of it must not be.

use crate::cases::{Case, Right};
use crate::exceptions;
use crate::outcome::{Difference, Outcome};
use crate::sdk::SDKS;
use crate::stage::microsoft::{Reply, THIEF};
use std::collections::HashSet;

/// One case and one bot.
pub(crate) struct Finding {
    /// What the bot did when it was asked itself.
    pub(crate) direct: Outcome,
    /// What came out when the gateway was asked.
    pub(crate) through: Outcome,
    pub(crate) gateway: Passed,
    /// Whether the gateway sent anything of it to the bot.
    pub(crate) reached_the_bot: bool,
    /// The activity's id when the bot was asked itself.
    pub(crate) direct_id: String,
}

/// The gateway's verdict.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    Forwarded,
    Refused { reason: String, note: String },
    Unknown(String),
}

/// All of it.
pub(crate) struct Findings<'a> {
    pub(crate) cases: &'a [Case],
    /// By SDK, then by case.
    by_sdk: Vec<Vec<Finding>>,
    /// Ids of the activities whose answer, with the bot's own token, went to a stranger's host.
    tokens_sent_away: HashSet<String>,
}

impl<'a> Findings<'a> {
    pub(crate) fn new(cases: &'a [Case], by_sdk: Vec<Vec<Finding>>, replies: &[Reply]) -> Self {
        let sent_away = replies
            .iter()
            .filter(|reply| reply.with_given_token && reply.service_url.contains(THIEF));
        Self {
            cases,
            by_sdk,
            tokens_sent_away: sent_away.map(|reply| reply.reply_to.clone()).collect(),
        }
    }

    /// Every case with what one SDK's bot did, by the SDK's place in [`SDKS`].
    pub(crate) fn of(&self, sdk: usize) -> impl Iterator<Item = (&'a Case, &Finding)> {
        self.cases.iter().zip(&self.by_sdk[sdk])
    }

    /// How many cases of an SDK differ so.
    pub(crate) fn count(&self, sdk: usize, difference: Difference) -> usize {
        self.of(sdk)
            .filter(|(case, finding)| finding.direct.difference(case.right) == difference)
            .count()
    }

    /// Whether the bot, asked itself, sent its token to a stranger's host.
    pub(crate) fn sent_its_token_away(&self, finding: &Finding) -> bool {
        self.tokens_sent_away.contains(&finding.direct_id)
    }

    pub(crate) fn print_summary(&self) {
        println!("{:<16} same laxer stricter crash", "");
        for (number, sdk) in SDKS.iter().enumerate() {
            let [same, laxer, stricter, crash] = [
                Difference::None,
                Difference::Laxer,
                Difference::Stricter,
                Difference::Crash,
            ]
            .map(|difference| self.count(number, difference));
            println!(
                "{:<16} {same:>4} {laxer:>5} {stricter:>8} {crash:>5}",
                sdk.name
            );
        }
    }

    /// Prints every case with what each bot did.
    pub(crate) fn print_all(&self) {
        for (number, case) in self.cases.iter().enumerate() {
            println!("{number:03} {:?} {:?}", case.name, case.right);
            for (sdk, findings) in SDKS.iter().zip(&self.by_sdk) {
                let finding = &findings[number];
                println!(
                    "    {:<16} {:?}: {}",
                    sdk.name,
                    finding.direct.difference(case.right),
                    finding.direct
                );
            }
        }
    }

    /// Everything that must not be.
    pub(crate) fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        let mut used = HashSet::new();
        for (number, sdk) in SDKS.iter().enumerate() {
            for (case, finding) in self.of(number) {
                let about = format!("{}: {}", sdk.name, case.name);
                let said = wrong_verdict(case, finding)
                    .into_iter()
                    .chain(got_through(finding).map(str::to_owned))
                    .chain(lost_on_the_way(finding));
                failures.extend(said.map(|what| format!("{about}: {what}")));
                let difference = finding.direct.difference(case.right);
                let forwarded = finding.gateway == Passed::Forwarded;
                if !forwarded || difference == Difference::None {
                    continue;
                }
                let mut exceptions = exceptions::ALL.iter();
                match exceptions.find(|exception| exception.is_about(sdk.name, &case.name)) {
                    Some(_) => drop(used.insert((sdk.name, case.name.as_str()))),
                    None => failures.push(format!(
                        "{about}: forwarded, and the bot {}; a good reason?",
                        finding.direct
                    )),
                }
            }
        }
        for exception in exceptions::ALL {
            for sdk in exception.sdks {
                let cases = self.cases.iter().map(|case| case.name.as_str());
                let unused = cases
                    .filter(|case| exception.is_about(sdk, case) && !used.contains(&(*sdk, *case)));
                failures.extend(unused.map(|case| format!("{sdk}: {case}: no exception any more")));
            }
        }
        failures
    }
}

fn wrong_verdict(case: &Case, finding: &Finding) -> Option<String> {
    let right = match (&finding.gateway, case.right) {
        (Passed::Forwarded, Right::Accept) => true,
        (Passed::Refused { reason, .. }, Right::Refuse(right)) => reason == right.code(),
        _ => false,
    };
    (!right).then(|| {
        format!(
            "the gateway's verdict is not {:?}: {:?}",
            case.right, finding.gateway
        )
    })
}

fn got_through(finding: &Finding) -> Option<&'static str> {
    let reached = finding.reached_the_bot || finding.through.ran;
    match (&finding.gateway, reached) {
        (Passed::Forwarded, true) | (Passed::Refused { .. } | Passed::Unknown(_), false) => None,
        (Passed::Forwarded, false) => Some("it did not reach the bot although it is forwarded"),
        (Passed::Refused { .. } | Passed::Unknown(_), true) => {
            Some("it reached the bot although it is refused")
        }
    }
}

/// The gateway changes nothing: what it forwards ends as it does without it.
fn lost_on_the_way(finding: &Finding) -> Option<String> {
    (finding.gateway == Passed::Forwarded && finding.direct != finding.through).then(|| {
        format!(
            "without the gateway: {}; through it: {}",
            finding.direct, finding.through
        )
    })
}
