//! Compares what became of a scene with what should have, from the witnesses: caller, bot, channel, log.

use super::bot::Recorded;
use super::channel::Delivery;
use super::gateway::text;
use super::scenes::{Outcome, Proof, Scene};
use super::table::Row;
use crate::judge::Reason;
use bytes::Bytes;
use http::{Response, StatusCode, header};
use serde_json::Value;

/// Everything that was observed of a scene.
pub(super) struct Witnesses {
    /// The answers, in the order of the requests.
    pub(super) answers: Vec<Response<Bytes>>,
    /// What the bot got.
    pub(super) seen: Vec<Recorded>,
    /// What the channel got from the bot.
    pub(super) deliveries: Vec<Delivery>,
    /// The request lines of [`telling`].
    pub(super) request_lines: Vec<Value>,
}

/// The answer that the scene is about: the first refusal, or the first answer if there is none.
pub(super) fn telling(answers: &[Response<Bytes>]) -> Option<&Response<Bytes>> {
    answers
        .iter()
        .find(|answer| answer.status() != StatusCode::OK)
        .or_else(|| answers.first())
}

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
            &format!("{status} is the wrong refusal"),
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

fn came_back(scene: &Scene, answers: &[Response<Bytes>]) -> String {
    let Some(answer) = telling(answers) else {
        return "no answer".to_owned();
    };
    let status = answer.status().as_u16();
    if answers.len() > 1 {
        let passed = answers
            .iter()
            .filter(|answer| answer.status() == StatusCode::OK)
            .count();
        let wait = retry_after(answer).map(|seconds| format!("; retry in {seconds} s"));
        return format!("{status} after {passed}{}", wait.unwrap_or_default());
    }
    match scene.outcome {
        Outcome::Passes(Proof::InResponse(_)) => format!("{status}, the bot's answer"),
        Outcome::Passes(Proof::AtChannel(_)) => format!("{status}, reply at the channel"),
        Outcome::Passes(Proof::Status) => status.to_string(),
        Outcome::Refused(_) | Outcome::RunsOut { .. } => {
            let body: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
            let code = body
                .pointer("/error/code")
                .and_then(Value::as_str)
                .unwrap_or_default();
            format!("{status} {code}")
        }
    }
}

fn bot_saw(scene: &Scene, seen: &[Recorded]) -> String {
    match seen {
        [] => "nothing".to_owned(),
        [one] if one.body.as_ref() == Some(&scene.body) => "the same bytes".to_owned(),
        [_] => "other bytes".to_owned(),
        many => format!("{} messages", many.len()),
    }
}

fn retry_after(answer: &Response<Bytes>) -> Option<u64> {
    answer
        .headers()
        .get(header::RETRY_AFTER)?
        .to_str()
        .ok()?
        .parse()
        .ok()
        .filter(|seconds| *seconds > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
                "wrong refusal",
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
        assert_eq!(bad.wrong.len(), 2, "{bad:?}");
    }
}
