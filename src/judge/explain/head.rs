//! What a request's head has to be, rule by rule.

use super::{Explanation, Facts};
use crate::judge::{Reason, Rejection, check_head, check_size};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method};

/// A head as it was read, or why it could not be.
#[derive(Debug)]
pub struct SavedHead<'a> {
    /// The head, where it is HTTP.
    pub head: Result<&'a Parts, Rejection>,
    /// Whether its framing can be read in one way only.
    pub framing: Result<(), Rejection>,
    /// The bot it leads to.
    pub route: Result<String, Rejection>,
    /// Whether the size it announces is within the limit.
    pub announced: Result<(), Rejection>,
    /// The sizes it may have.
    pub limits: HeadLimits,
    /// Where bots are served, in words.
    pub served: String,
}

/// The sizes a head may have.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// All of it, bytes.
    pub bytes: usize,
    /// Header fields.
    pub fields: usize,
    /// The body, bytes.
    pub body_bytes: usize,
}

const RULES: &[&str] = &[
    "framing",
    "head_size",
    "route",
    "upgrade",
    "method",
    "transfer_encoding",
    "content_type",
    "content_encoding",
    "body_announced",
];

pub(super) fn ask(told: &mut Explanation, saved: &SavedHead<'_>) {
    let readable = Facts {
        expected: Some("an HTTP/1.1 request".to_owned()),
        seen: None,
    };
    let head = match &saved.head {
        Ok(head) => {
            told.ask("request", readable, Ok(()));
            *head
        }
        Err(rejection) => {
            told.ask("request", readable, Err(rejection.clone()));
            for rule in RULES {
                told.skip(rule, "the request cannot be read");
            }
            return;
        }
    };
    told.ask(
        "framing",
        Facts {
            expected: Some(
                "one Content-Length or one Transfer-Encoding, and no fragment in the target"
                    .to_owned(),
            ),
            seen: None,
        },
        saved.framing.clone(),
    );
    let HeadLimits {
        bytes,
        fields,
        body_bytes,
    } = saved.limits;
    told.ask(
        "head_size",
        Facts::of(
            format!("at most {bytes} bytes and {fields} fields"),
            format!("{} fields", head.headers.len()),
        ),
        check_size(head, bytes, fields),
    );
    let host = values(head, &http::header::HOST);
    told.ask(
        "route",
        Facts::of(
            saved.served.as_str(),
            format!("Host {host}, path {:?}", head.uri.path()),
        ),
        saved.route.as_ref().map(|_| ()).map_err(Clone::clone),
    );
    if let (Ok(bot), Some(finding)) = (&saved.route, told.findings.last_mut()) {
        finding.remark = Some(format!("leads to bot {bot:?}"));
    }
    for part in PARTS {
        let facts = Facts::of(part.expected, (part.seen)(head));
        told.ask(part.rule, facts, part.answer(head));
    }
    told.ask(
        "body_announced",
        Facts::of(
            format!("at most {body_bytes} bytes"),
            format!(
                "Content-Length {}",
                values(head, &http::header::CONTENT_LENGTH)
            ),
        ),
        saved.announced.clone(),
    );
}

/// One of the questions that [`check_head`] asks in a row.
///
/// Each is asked alone, of a head in which everything else is as it should be: so one function decides here and at the gateway,
/// and yet all that is wrong is told.
struct Part {
    rule: &'static str,
    expected: &'static str,
    reason: Reason,
    keeps_method: bool,
    keeps: fn(&HeaderName) -> bool,
    seen: fn(&Parts) -> String,
}

const PARTS: &[Part] = &[
    Part {
        rule: "upgrade",
        expected: "no upgrade",
        reason: Reason::UpgradeRefused,
        keeps_method: true,
        keeps: |name| *name == UPGRADE,
        seen: |head| format!("Upgrade {}", values(head, &UPGRADE)),
    },
    Part {
        rule: "method",
        expected: "POST",
        reason: Reason::MethodNotAllowed,
        keeps_method: true,
        keeps: |_| false,
        seen: |head| head.method.to_string(),
    },
    Part {
        rule: "transfer_encoding",
        expected: "none, or chunked once; no look-alike of a framing header",
        reason: Reason::RequestMalformed,
        keeps_method: false,
        keeps: |name| ![UPGRADE, CONTENT_TYPE, CONTENT_ENCODING].contains(name),
        seen: |head| values(head, &http::header::TRANSFER_ENCODING),
    },
    Part {
        rule: "content_type",
        expected: "exactly one, application/json, with no parameter but charset=utf-8",
        reason: Reason::ContentTypeUnsupported,
        keeps_method: false,
        keeps: |name| *name == CONTENT_TYPE,
        seen: |head| values(head, &CONTENT_TYPE),
    },
    Part {
        rule: "content_encoding",
        expected: "none, or identity",
        reason: Reason::ContentEncodingUnsupported,
        keeps_method: false,
        keeps: |name| *name == CONTENT_ENCODING,
        seen: |head| values(head, &CONTENT_ENCODING),
    },
];

impl Part {
    fn answer(&self, head: &Parts) -> Result<(), Rejection> {
        let mut alone = head.clone();
        if !self.keeps_method {
            alone.method = Method::POST;
        }
        alone.headers = HeaderMap::new();
        for (name, value) in &head.headers {
            if (self.keeps)(name) {
                alone.headers.append(name, value.clone());
            }
        }
        if !(self.keeps)(&CONTENT_TYPE) {
            let json = HeaderValue::from_static("application/json");
            alone.headers.insert(CONTENT_TYPE, json);
        }
        match check_head(&alone) {
            Err(rejection) if rejection.reason() == self.reason => Err(rejection),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

fn values(head: &Parts, name: &HeaderName) -> String {
    let values: Vec<String> = head
        .headers
        .get_all(name)
        .iter()
        .map(|value| {
            let text = String::from_utf8_lossy(value.as_bytes());
            format!("{:?}", text.chars().take(256).collect::<String>())
        })
        .collect();
    if values.is_empty() {
        "none".to_owned()
    } else {
        values.join(", ")
    }
}
