//! What is known of a connection to a bot, and how it can fail.

use crate::net::wire::Flaw;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is known of a connection to a bot. Clones tell the same; for `Connected::extra`, and so for the extensions of an answer.
#[derive(Clone, Debug, Default)]
pub struct AnswerState(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    is_spent: AtomicBool,
    has_surplus: AtomicBool,
    has_written: AtomicBool,
}

impl AnswerState {
    /// Whether the connection is of no more use once the present answer is complete: the bot closed it, wrote what nobody asked
    /// for, answered before it had the request, or an answer is delimited by its end. The stream ends it by itself.
    pub fn is_spent(&self) -> bool {
        self.0.is_spent.load(Ordering::Acquire)
    }

    /// Whether the bot wrote more than the answers to what it was asked.
    pub fn has_surplus(&self) -> bool {
        self.0.has_surplus.load(Ordering::Acquire)
    }

    /// Whether a byte of the present request was written; false again once its answer is complete.
    pub fn has_written(&self) -> bool {
        self.0.has_written.load(Ordering::Acquire)
    }

    pub(super) fn spend(&self) {
        self.0.is_spent.store(true, Ordering::Release);
    }

    pub(super) fn note_surplus(&self) {
        self.spend();
        self.0.has_surplus.store(true, Ordering::Release);
    }

    pub(super) fn set_written(&self, has_written: bool) {
        self.0.has_written.store(has_written, Ordering::Release);
    }
}

/// Nothing of the request was written: the connection was closed, or spent, before. It may be sent again on another one. Found
/// inside the `io::Error` among a failed request's causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NothingSent;

impl std::fmt::Display for NothingSent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the bot closed the connection before the request was sent")
    }
}

impl std::error::Error for NothingSent {}

impl NothingSent {
    /// Whether an error was caused by this.
    pub fn is_cause_of(error: &(dyn std::error::Error + 'static)) -> bool {
        let mut cause = Some(error);
        while let Some(this) = cause {
            let io = this.downcast_ref::<io::Error>();
            let inner = io.and_then(io::Error::get_ref);
            if this.is::<Self>() || inner.is_some_and(|inner| inner.is::<Self>()) {
                return true;
            }
            cause = this.source();
        }
        false
    }

    /// As what a stream fails with.
    pub fn error() -> io::Error {
        io::Error::new(io::ErrorKind::NotConnected, Self)
    }
}

/// What is wrong with an answer, as a sentence for the operator. Found inside an `io::Error` of kind `InvalidData`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokenAnswer(pub(super) Flaw);

impl std::fmt::Display for BrokenAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the bot's answer has {}", self.0)
    }
}

impl std::error::Error for BrokenAnswer {}
