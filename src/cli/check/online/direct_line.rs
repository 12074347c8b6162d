//! Whether Direct Line takes each secret of each broker: one token is made by each, which nobody is given.

use super::{Findings, Place, Places};
use crate::config::{DirectLine, Settings, Severity};
use crate::directline;
use crate::judge::{Reason, Rejection};
use crate::net::client::ClientProblem;
use std::sync::Arc;
use tokio::time::Instant;

pub(super) async fn try_out(settings: &Settings, places: &Places, findings: &mut Findings) {
    for broker in &settings.direct_lines {
        let key = format!("direct_line[{}].secret", broker.index);
        let lines = &places.lines.direct_lines;
        let place = Place {
            key: &key,
            line: lines.get(broker.index).copied().flatten(),
        };
        let asked = Instant::now();
        match directline::try_out(broker, settings).await {
            Err(ClientProblem(why)) => {
                let hint = "correct what is named there";
                findings.note(Severity::Error, &place, why, hint);
            }
            Ok(outcomes) => {
                let took = asked.elapsed().as_millis();
                tell(broker, &place, outcomes, took, findings);
            }
        }
    }
}

fn tell(
    broker: &Arc<DirectLine>,
    place: &Place<'_>,
    outcomes: Vec<Result<(), Rejection>>,
    took: u128,
    findings: &mut Findings,
) {
    let (name, endpoint) = (&broker.name, &broker.endpoint);
    let (mut taken, mut refused) = (0_usize, vec![]);
    for (number, outcome) in (1..).zip(outcomes) {
        match outcome {
            Ok(()) => taken = taken.saturating_add(1),
            Err(rejection) => refused.push((number, rejection)),
        }
    }
    if taken > 0 {
        let what = format!(
            "{name}: {endpoint} takes {taken} of {}, in {took} ms",
            broker.secrets.len()
        );
        findings.good("Direct Line", what);
    }
    // With one that is taken pages have their tokens: the other one is on its way.
    let severity = if taken > 0 {
        Severity::Warning
    } else {
        Severity::Error
    };
    for (number, rejection) in refused {
        let why = rejection.note().unwrap_or(rejection.reason().code());
        let what = format!("of broker {name:?}, number {number}: {why}, at {endpoint}");
        let hint = if rejection.reason() == Reason::DirectLineUnreachable {
            "let this machine reach that address, directly or by keys.proxy; pages get no token without"
        } else {
            "compare it with the two keys of the Direct Line site in the Azure portal, and the region with endpoint"
        };
        findings.note(severity, place, what, hint);
    }
}
