//! What caller, bot, channel and log say about a scene.

use super::bot::Recorded;
use super::channel::Delivery;
use super::scenes::{Outcome, Proof, Scene};
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

/// What came back, for people.
pub(super) fn came_back(scene: &Scene, answers: &[Response<Bytes>]) -> String {
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

/// What the bot saw, for people.
pub(super) fn bot_saw(scene: &Scene, seen: &[Recorded]) -> String {
    match seen {
        [] => "nothing".to_owned(),
        [one] if one.body.as_ref() == Some(&scene.body) => "the same bytes".to_owned(),
        [_] => "other bytes".to_owned(),
        many => format!("{} messages", many.len()),
    }
}

/// The seconds of a usable `Retry-After`.
pub(super) fn retry_after(answer: &Response<Bytes>) -> Option<u64> {
    answer
        .headers()
        .get(header::RETRY_AFTER)?
        .to_str()
        .ok()?
        .parse()
        .ok()
        .filter(|seconds| *seconds > 0)
}
