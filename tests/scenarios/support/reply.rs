//! What came back, and the assertions that look at every side of it: caller, bot, log.

use super::PATIENCE;
use super::client::Sent;
use super::gateway::Gateway;
use botgate::cli::demo::bot::Recorded;
use botgate::judge::Reason;
use bytes::Bytes;
use http::{HeaderMap, Response};
use serde_json::Value;
use std::collections::HashSet;

/// The answer to one request.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// From `X-Request-Id`.
    pub(crate) request_id: String,
    gateway: Gateway,
    sent: Sent,
    seen_before: usize,
}

impl Reply {
    pub(crate) fn new(
        gateway: Gateway,
        sent: Sent,
        seen_before: usize,
        response: Response<Bytes>,
    ) -> Self {
        let (head, body) = response.into_parts();
        let request_id = head
            .headers
            .get("x-request-id")
            .map(|id| id.to_str().expect("visible").to_owned());
        Self {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
            request_id: request_id.unwrap_or_default(),
            gateway,
            sent,
            seen_before,
        }
    }

    /// The only value of a header, as text; nothing if it is not there.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?.to_str().expect("visible");
        assert!(values.next().is_none(), "{name} is there more than once");
        Some(value)
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {:?}", self.body))
    }

    /// Refused before the caller proved who it is: it learns no more than the status.
    pub(crate) async fn refused_before_proof(self, reason: Reason) -> Self {
        self.refused(reason, generic_code(reason)).await
    }

    /// Refused although the caller proved who it is: it learns the reason.
    pub(crate) async fn refused_after_proof(self, reason: Reason) -> Self {
        self.refused(reason, reason.code()).await
    }

    /// Refused after proof, and answered 200 as `on_reject = "200"` wants it.
    pub(crate) async fn refused_quietly(self, reason: Reason) -> Self {
        assert_eq!(self.status, 200, "{}", self.evidence());
        self.bot_saw_nothing();
        let line = self.only_request_line().await;
        assert_eq!(
            (&line["verdict"], &line["reason"]),
            (&"rejected".into(), &reason.code().into()),
            "{line}"
        );
        self.token_is_nowhere_in_the_log();
        self
    }

    /// Forwarded: the bot got exactly these bytes, once. Says what it got.
    pub(crate) async fn forwarded(&self) -> Recorded {
        let line = self.only_request_line().await;
        assert_eq!(line["verdict"], "forwarded", "{}", self.evidence());
        assert!(
            line.get("reason").is_none(),
            "a forwarded request has no reason: {line}"
        );
        self.reached_the_bot(&line)
    }

    /// Forwarded, with a note of what a policy in report mode would have refused it for.
    pub(crate) async fn forwarded_but_would_reject(&self, reason: Reason) -> Recorded {
        let line = self.only_request_line().await;
        assert_eq!(
            (&line["verdict"], &line["reason"]),
            (&"would_reject".into(), &reason.code().into()),
            "{line}"
        );
        self.reached_the_bot(&line)
    }

    /// The one request line of this request.
    pub(crate) async fn only_request_line(&self) -> Value {
        assert!(
            !self.request_id.is_empty(),
            "no X-Request-Id in the answer: {}",
            self.evidence()
        );
        let line = self.gateway.request_line_for(&self.request_id).await;
        // A second line would come from the same task as the first; `Gateway::ended` looks again when all is written.
        let own = self.gateway.process().look(|output| {
            let lines = output.request_lines();
            lines
                .filter(|line| line["request_id"] == self.request_id.as_str())
                .count()
        });
        assert_eq!(
            own,
            1,
            "more than one request line: {}",
            self.gateway.output()
        );
        line
    }

    /// Refused because of the bot, which got the request once, or not at all: nothing of it is told.
    pub(crate) async fn failed_upstream(self, reason: Reason, reached_the_bot: usize) -> Self {
        let reply = self.answered_with_error(reason, reason.code()).await;
        let seen = reply.gateway.bot().seen().len() - reply.seen_before;
        assert_eq!(seen, reached_the_bot, "{}", reply.evidence());
        let said = format!(
            "{:?} {}",
            reply.headers,
            String::from_utf8_lossy(&reply.body)
        );
        let origin = reply.gateway.bot().origin();
        let port = origin.rsplit(':').next().expect("it has a port");
        for detail in [port, "127.0.0.1", "hyper", "tcp", "os error", "echo"] {
            assert!(
                !said.contains(detail),
                "{detail:?} is nobody's business: {said}"
            );
        }
        reply
    }

    async fn refused(self, reason: Reason, code: &str) -> Self {
        let reply = self.answered_with_error(reason, code).await;
        reply.bot_saw_nothing();
        reply
    }

    async fn answered_with_error(self, reason: Reason, code: &str) -> Self {
        assert_eq!(
            self.status,
            reason.status(),
            "status of {}: {}",
            reason.code(),
            self.evidence()
        );
        self.has_the_shape_of_an_error(code);
        self.has_the_headers_of(reason);
        let line = self.only_request_line().await;
        assert_eq!(line["verdict"], "rejected", "{line}");
        assert_eq!(line["reason"], reason.code(), "{line}");
        assert_eq!(line["status"], reason.status(), "{line}");
        self.token_is_nowhere_in_the_log();
        self
    }

    fn has_the_shape_of_an_error(&self, code: &str) {
        let json = self.json();
        let members = |value: &Value| {
            value
                .as_object()
                .map(|all| all.keys().cloned().collect::<Vec<_>>())
        };
        assert_eq!(
            members(&json),
            Some(vec!["error".to_owned(), "requestId".to_owned()]),
            "{json}"
        );
        assert_eq!(
            members(&json["error"]),
            Some(vec!["code".to_owned(), "message".to_owned()]),
            "{json}"
        );
        assert_eq!(json["error"]["code"], code, "{json}");
        assert!(
            json["error"]["message"]
                .as_str()
                .is_some_and(|message| !message.is_empty()),
            "{json}"
        );
        assert_eq!(
            json["requestId"],
            self.request_id.as_str(),
            "X-Request-Id says otherwise: {json}"
        );
        let media_type = self
            .header("content-type")
            .and_then(|value| value.split(';').next());
        assert_eq!(media_type, Some("application/json"));
    }

    fn has_the_headers_of(&self, reason: Reason) {
        if self.status == 401 {
            // RFC 6750 3.1: no error code where no token was sent.
            let challenge = self
                .header("www-authenticate")
                .expect("401 carries WWW-Authenticate");
            let expected = if self.sent.authorization.is_empty() {
                "Bearer"
            } else {
                "Bearer error=\"invalid_token\""
            };
            assert_eq!(challenge, expected);
        }
        if self.status == 405 {
            let methods = self.header("allow").expect("405 carries Allow");
            assert!(
                methods.split(", ").any(|method| method == "POST"),
                "{methods}"
            );
        }
        if self.status == 429 || reason == Reason::KeysUnavailable {
            let seconds = self
                .header("retry-after")
                .expect("it says when to come again");
            assert!(
                seconds.parse::<u64>().is_ok_and(|seconds| seconds >= 1),
                "Retry-After: {seconds}"
            );
        }
        assert_eq!(self.header("server"), None);
    }

    fn bot_saw_nothing(&self) {
        let bot = self.gateway.bot();
        assert!(
            bot.count() == self.seen_before,
            "it reached the bot: {:?}",
            bot.seen().last()
        );
    }

    fn reached_the_bot(&self, line: &Value) -> Recorded {
        assert_eq!(line["status"], self.status, "{line}");
        let seen = self.gateway.bot().seen();
        let [recorded] = &seen[self.seen_before..] else {
            panic!(
                "the bot saw {} requests instead of one",
                seen.len() - self.seen_before
            );
        };
        assert_eq!(
            recorded.body.as_ref(),
            Some(&self.sent.body),
            "the bot got other bytes than were sent"
        );
        assert_eq!(recorded.header("authorization"), self.sent.authorization);
        self.token_is_nowhere_in_the_log();
        recorded.clone()
    }

    fn token_is_nowhere_in_the_log(&self) {
        // Shorter pieces are words that a log may well contain.
        const SHORTEST_SECRET: usize = 20;
        let credentials = self
            .sent
            .authorization
            .iter()
            .filter_map(|value| value.split(' ').next_back());
        for secret in credentials.flat_map(|token| token.split('.').skip(1)) {
            let leak = self.gateway.process().look(|output| {
                let mut lines = output.stdout.iter().chain(&output.stderr);
                lines.find(|line| line.contains(secret)).cloned()
            });
            assert!(
                secret.len() < SHORTEST_SECRET || leak.is_none(),
                "a piece of the token is in the log: {leak:?}"
            );
        }
    }

    fn evidence(&self) -> String {
        let body = String::from_utf8_lossy(&self.body);
        format!(
            "{} {:?} {body}\n{}",
            self.status,
            self.headers,
            self.gateway.output()
        )
    }
}

/// Looks for every piece of every token in all answers and in all that the gateway wrote.
pub(crate) fn no_token_is_told(gateway: &Gateway, replies: &[Reply]) {
    // As long as no word that a log may well contain.
    const PIECE: usize = 20;
    let sent = replies.iter().flat_map(|reply| &reply.sent.authorization);
    let pieces: HashSet<&[u8]> = sent
        .filter_map(|value| value.split(' ').next_back())
        .flat_map(|credentials| credentials.as_bytes().windows(PIECE))
        .collect();
    let output = gateway.output();
    let lines = output.stdout.iter().chain(&output.stderr);
    let headers = replies.iter().flat_map(|reply| reply.headers.values());
    let told = lines
        .map(String::as_bytes)
        .chain(replies.iter().map(|reply| reply.body.as_ref()))
        .chain(headers.map(http::HeaderValue::as_bytes));
    for text in told {
        let leak = text.windows(PIECE).find(|piece| pieces.contains(piece));
        assert!(
            leak.is_none(),
            "a piece of a token: {:?} in {:?}",
            leak.map(String::from_utf8_lossy),
            String::from_utf8_lossy(text)
        );
    }
}

/// What a stranger is told: the name of the status, and nothing about the reason.
fn generic_code(reason: Reason) -> &'static str {
    match reason.status() {
        400 => "bad_request",
        401 => "unauthorized",
        403 => "forbidden",
        404 => "not_found",
        405 => "method_not_allowed",
        408 => "request_timeout",
        413 => "payload_too_large",
        415 => "unsupported_media_type",
        421 => "misdirected_request",
        426 => "upgrade_required",
        429 => "too_many_requests",
        431 => "headers_too_large",
        502 => "bad_gateway",
        503 => "service_unavailable",
        504 => "gateway_timeout",
        other => panic!(
            "{} has a status that no stranger was ever told: {other}",
            reason.code()
        ),
    }
}

/// Waits for a number of request lines in all, for requests whose answers tell nothing.
pub(crate) async fn request_lines(gateway: &Gateway, count: usize) -> Vec<Value> {
    let in_time = gateway
        .process()
        .wait_until(|output| output.request_lines().count() >= count, PATIENCE)
        .await;
    assert!(
        in_time,
        "fewer than {count} request lines\n{}",
        gateway.output()
    );
    gateway.request_lines()
}
