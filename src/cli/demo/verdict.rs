//! Compares what became of a scene with what should have.

use super::gateway::text;
use super::scenes::{Outcome, Proof, Scene};
use super::table::Row;
use super::witnesses::{Witnesses, bot_saw, came_back, retry_after};
use crate::judge::Reason;
use http::StatusCode;

/// The row of a scene.
pub(super) fn row(scene: &Scene, witnesses: &Witnesses) -> Row {
    let (verdict, reason) = match witnesses.request_lines.as_slice() {
        [line] => (text(line, "verdict"), text(line, "reason")),
        _ => ("", ""),
    };
    let mut row = Row {
        sent: scene.title.to_owned(),
        came_back: came_back(scene, &witnesses.answers),
        bot_saw: bot_saw(scene, &witnesses.seen),
        request_line: if reason.is_empty() { verdict } else { reason }.to_owned(),
        wrong: vec![],
    };
    let mut must = |is_so: bool, otherwise: &str| {
        if !is_so {
            row.wrong.push(otherwise.to_owned());
        }
    };
    let lines = witnesses.request_lines.len();
    must(
        lines == 1,
        &format!("{lines} request lines in the log instead of one"),
    );
    must(
        witnesses
            .seen
            .iter()
            .all(|seen| seen.body.as_ref() == Some(&scene.body)),
        "the bot got other bytes",
    );
    let (passing, expected) = match scene.outcome {
        Outcome::Passes(_) => (scene.times, None),
        Outcome::Refused(reason) => (0, Some(reason)),
        Outcome::RunsOut { first, reason } => (first, Some(reason)),
    };
    let seen = witnesses.seen.len();
    must(
        seen == passing,
        &format!("the bot saw {seen} instead of {passing}"),
    );
    let passed = witnesses.answers.iter().take(passing);
    must(
        passed
            .clone()
            .all(|answer| answer.status() == StatusCode::OK),
        "not 200 although it should pass",
    );
    must(passed.len() == passing, "answers are missing");
    for answer in witnesses.answers.iter().skip(passing) {
        let status = answer.status();
        must(
            Some(status.as_u16()) == expected.map(Reason::status),
            &format!("{status} came back"),
        );
        must(
            status != StatusCode::TOO_MANY_REQUESTS || retry_after(answer).is_some(),
            "no Retry-After",
        );
    }
    match expected {
        None => must(
            verdict == "forwarded" && reason.is_empty(),
            "the request line says otherwise",
        ),
        Some(expected) => {
            must(
                verdict == "rejected" && reason == expected.code(),
                &format!("the reason should be {}", expected.code()),
            );
        }
    }
    must(
        is_proven(scene, witnesses),
        "the bot's answer did not find its way",
    );
    if !row.wrong.is_empty() {
        // Whoever has to find out why reads this in the output of a CI run, and nothing else.
        row.wrong
            .extend(witnesses.request_lines.iter().map(ToString::to_string));
    }
    row
}

fn is_proven(scene: &Scene, witnesses: &Witnesses) -> bool {
    let Outcome::Passes(proof) = scene.outcome else {
        return true;
    };
    match proof {
        Proof::Status => true,
        Proof::InResponse(wanted) => witnesses
            .answers
            .iter()
            .all(|answer| String::from_utf8_lossy(answer.body()).contains(wanted)),
        Proof::AtChannel(wanted) => witnesses
            .deliveries
            .iter()
            .any(|delivery| text(&delivery.activity(), "text").contains(wanted)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::bot::Recorded;
    use bytes::Bytes;
    use http::Response;
    use serde_json::{Value, json};

    fn scene(times: usize, outcome: Outcome) -> Scene {
        Scene {
            title: "a scene",
            path: "/",
            token: None,
            body: Bytes::from_static(b"{}"),
            times,
            outcome,
        }
    }

    fn answer(status: u16, body: &str) -> Response<Bytes> {
        let answer = Response::builder()
            .status(status)
            .header("retry-after", "60");
        answer.body(Bytes::from(body.to_owned())).unwrap()
    }

    fn seen(body: &'static [u8]) -> Recorded {
        Recorded {
            method: http::Method::POST,
            path: "/".to_owned(),
            version: http::Version::HTTP_11,
            headers: vec![],
            body: Some(Bytes::from_static(body)),
        }
    }

    fn line(verdict: &str, reason: &str) -> Value {
        json!({ "verdict": verdict, "reason": reason })
    }

    fn row_of(
        scene: &Scene,
        answers: Vec<Response<Bytes>>,
        seen: Vec<Recorded>,
        line: Value,
    ) -> Row {
        row(
            scene,
            &Witnesses {
                answers,
                seen,
                deliveries: vec![],
                request_lines: vec![line],
            },
        )
    }

    #[test]
    fn a_request_that_passes_is_good_only_if_all_witnesses_agree() {
        let passes = scene(1, Outcome::Passes(Proof::InResponse("approved")));
        let good = row_of(
            &passes,
            vec![answer(200, "approved")],
            vec![seen(b"{}")],
            line("forwarded", ""),
        );
        assert_eq!(good.wrong, Vec::<String>::new());
        assert_eq!(good.bot_saw, "the same bytes");
        for (bad, why) in [
            (
                row_of(
                    &passes,
                    vec![answer(200, "")],
                    vec![seen(b"{}")],
                    line("forwarded", ""),
                ),
                "did not find its way",
            ),
            (
                row_of(
                    &passes,
                    vec![answer(200, "approved")],
                    vec![seen(b"{ }")],
                    line("forwarded", ""),
                ),
                "other bytes",
            ),
            (
                row_of(
                    &passes,
                    vec![answer(200, "approved")],
                    vec![],
                    line("forwarded", ""),
                ),
                "saw 0 instead of 1",
            ),
            (
                row_of(
                    &passes,
                    vec![answer(502, "approved")],
                    vec![seen(b"{}")],
                    line("forwarded", ""),
                ),
                "not 200",
            ),
            (
                row_of(
                    &passes,
                    vec![answer(200, "approved")],
                    vec![seen(b"{}")],
                    line("would_reject", "x"),
                ),
                "otherwise",
            ),
        ] {
            assert!(
                bad.wrong.iter().any(|wrong| wrong.contains(why)),
                "{why}: {bad:?}"
            );
        }
    }

    #[test]
    fn a_refusal_is_good_only_with_its_reason_and_a_bot_that_saw_nothing() {
        let refused = scene(1, Outcome::Refused(Reason::TokenMissing));
        let said = r#"{"error":{"code":"unauthorized"}}"#;
        let good = row_of(
            &refused,
            vec![answer(401, said)],
            vec![],
            line("rejected", "token_missing"),
        );
        assert_eq!(
            (good.came_back.as_str(), good.wrong.len()),
            ("401 unauthorized", 0),
            "{good:?}"
        );
        for (bad, why) in [
            (
                row_of(
                    &refused,
                    vec![answer(403, said)],
                    vec![],
                    line("rejected", "token_missing"),
                ),
                "403 Forbidden came back",
            ),
            (
                row_of(
                    &refused,
                    vec![answer(401, said)],
                    vec![],
                    line("rejected", "token_expired"),
                ),
                "should be",
            ),
            (
                row_of(
                    &refused,
                    vec![answer(401, said)],
                    vec![seen(b"{}")],
                    line("rejected", "token_missing"),
                ),
                "saw 1",
            ),
        ] {
            assert!(
                bad.wrong.iter().any(|wrong| wrong.contains(why)),
                "{why}: {bad:?}"
            );
        }
    }

    #[test]
    fn a_flood_passes_up_to_the_budget_and_not_beyond() {
        let flood = scene(
            4,
            Outcome::RunsOut {
                first: 2,
                reason: Reason::RateLimitedUser,
            },
        );
        let answers = || {
            vec![
                answer(200, ""),
                answer(200, ""),
                answer(429, ""),
                answer(429, ""),
            ]
        };
        let limited = || line("rejected", "rate_limited_user");
        let good = row_of(&flood, answers(), vec![seen(b"{}"), seen(b"{}")], limited());
        assert_eq!(
            (good.came_back.as_str(), good.wrong.len()),
            ("429 after 2; retry in 60 s", 0),
            "{good:?}"
        );
        let leaky = vec![
            answer(200, ""),
            answer(200, ""),
            answer(200, ""),
            answer(429, ""),
        ];
        let bad = row_of(&flood, leaky, vec![seen(b"{}"); 3], limited());
        assert!(
            bad.wrong.contains(&"the bot saw 3 instead of 2".to_owned()),
            "{bad:?}"
        );
    }
}
