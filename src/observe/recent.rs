//! The requests that were refused last, for the status page.

use serde::Serialize;
use std::collections::VecDeque;

/// A request that was refused, or that a policy in report mode would have refused: what its line in the log says, without
/// user and conversation. Lengths are capped as there; what a client sent is otherwise as it sent it.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct Refused {
    /// When it ended, seconds since 1970.
    pub at: u64,
    /// `rejected` or `would_reject`.
    pub verdict: &'static str,
    /// Code of the reason.
    pub reason: &'static str,
    /// What the client got.
    pub status: Option<u16>,
    /// The detail for the operator.
    pub note: Option<String>,
    /// See [`RequestLine`](super::RequestLine); so are the following.
    pub request_id: String,
    /// Name of the bot, empty if none was found.
    pub bot: String,
    /// See [`RequestLine`](super::RequestLine).
    pub client_ip: String,
    /// See [`RequestLine`](super::RequestLine).
    pub method: Option<String>,
    /// See [`RequestLine`](super::RequestLine).
    pub path: Option<String>,
    /// See [`RequestLine`](super::RequestLine).
    pub token_kind: Option<&'static str>,
    /// See [`RequestLine`](super::RequestLine).
    pub token_issuer: Option<String>,
    /// See [`RequestLine`](super::RequestLine).
    pub caller_app_id: Option<String>,
    /// See [`RequestLine`](super::RequestLine).
    pub channel: Option<String>,
    /// See [`RequestLine`](super::RequestLine).
    pub activity_type: Option<String>,
    /// See [`RequestLine`](super::RequestLine).
    pub invoke_name: Option<String>,
    /// See [`RequestLine`](super::RequestLine).
    pub tenant: Option<String>,
    /// See [`RequestLine`](super::RequestLine).
    pub service_url_host: Option<String>,
}

/// The last [`MOST`] of them.
#[derive(Debug, Default)]
pub(super) struct Recent(VecDeque<Refused>);

impl Recent {
    pub(super) fn keep(&mut self, one: Refused) {
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back(one);
    }

    pub(super) fn latest_first(&self) -> Vec<Refused> {
        self.0.iter().rev().cloned().collect()
    }
}

/// OPERATIONS section 4.
const MOST: usize = 100;
