//! What a request's head has to be, rule by rule.

use super::{Explanation, Facts};
use crate::judge::{Place, Reason, Rejection, check_callback_head, check_head, check_size};
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
    /// The bot it leads to, and where on it.
    pub route: Result<(String, Place), Rejection>,
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
                "a request that HTTP/1.1 gives exactly one reading: see docs/http.md".to_owned(),
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
    let mut place = Place::Messages;
    if let (Ok((bot, at)), Some(finding)) = (&saved.route, told.findings.last_mut()) {
        place = *at;
        finding.remark = Some(match place {
            Place::Messages => format!("leads to bot {bot:?}"),
            Place::Callback => format!("leads to the callback path of bot {bot:?}"),
        });
    }
    let parts = match place {
        Place::Messages => [UPGRADE_PART, METHOD, FRAMING, TYPE, ENCODING],
        Place::Callback => [UPGRADE_PART, FRAMING, ENCODING, METHOD, TYPE],
    };
    for part in parts {
        let expected = match place {
            Place::Messages => part.expected,
            Place::Callback => part.expected_of_callback,
        };
        let facts = Facts::of(expected, (part.seen)(head));
        told.ask(part.rule, facts, part.answer(head, place));
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

/// One of the questions that [`check_head`] and [`check_callback_head`] ask in a row.
///
/// Each is asked alone, of a head in which everything else is as it should be: so one function decides here and at the gateway,
/// and yet all that is wrong is told.
struct Part {
    rule: &'static str,
    expected: &'static str,
    expected_of_callback: &'static str,
    reason: Reason,
    keeps_method: bool,
    keeps: fn(&HeaderName) -> bool,
    seen: fn(&Parts) -> String,
}

const UPGRADE_PART: Part = Part {
    rule: "upgrade",
    expected: "no upgrade",
    expected_of_callback: "no upgrade",
    reason: Reason::UpgradeRefused,
    keeps_method: true,
    keeps: |name| *name == UPGRADE,
    seen: |head| format!("Upgrade {}", values(head, &UPGRADE)),
};

const METHOD: Part = Part {
    rule: "method",
    expected: "POST",
    expected_of_callback: "GET, POST, PUT or DELETE",
    reason: Reason::MethodNotAllowed,
    keeps_method: true,
    keeps: |_| false,
    seen: |head| head.method.to_string(),
};

const FRAMING: Part = Part {
    rule: "transfer_encoding",
    expected: "none, or chunked once",
    expected_of_callback: "none, or chunked once",
    reason: Reason::RequestMalformed,
    keeps_method: false,
    keeps: |name| ![UPGRADE, CONTENT_TYPE, CONTENT_ENCODING].contains(name),
    seen: |head| values(head, &http::header::TRANSFER_ENCODING),
};

const TYPE: Part = Part {
    rule: "content_type",
    expected: "exactly one, application/json, with no parameter but charset=utf-8",
    expected_of_callback: "with POST and PUT exactly one, application/json, with no parameter but charset=utf-8",
    reason: Reason::ContentTypeUnsupported,
    keeps_method: false,
    keeps: |name| *name == CONTENT_TYPE,
    seen: |head| values(head, &CONTENT_TYPE),
};

const ENCODING: Part = Part {
    rule: "content_encoding",
    expected: "none, or identity",
    expected_of_callback: "none, or identity",
    reason: Reason::ContentEncodingUnsupported,
    keeps_method: false,
    keeps: |name| *name == CONTENT_ENCODING,
    seen: |head| values(head, &CONTENT_ENCODING),
};

impl Part {
    fn answer(&self, head: &Parts, place: Place) -> Result<(), Rejection> {
        let mut alone = head.clone();
        // Which methods carry a body, and so a type, only the callbacks' check knows.
        let knows_method = [Method::GET, Method::POST, Method::PUT, Method::DELETE];
        let is_callback = place == Place::Callback && knows_method.contains(&head.method);
        if !self.keeps_method && !is_callback {
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
        let answer = match place {
            Place::Messages => check_head(&alone),
            Place::Callback => check_callback_head(&alone),
        };
        match answer {
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
