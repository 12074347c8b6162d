//! What a request turns out to be, written down as soon as it is known.

use super::Ingress;
use crate::judge::{self, Activity, Callback, Caller, Claimed, Reason, Rejection, UnixSeconds};
use crate::observe::{RequestLine, Text};

impl Ingress {
    pub(super) fn note_clock(&self, claims: &judge::Claims, now: UnixSeconds) {
        if let Some(offset) = claims.clock_offset(now) {
            self.observer.metrics().token_clock_offset(offset);
        }
    }

    pub(super) fn note_refusal(&self, rejection: &Rejection, line: &RequestLine) {
        if rejection.reason() == Reason::ChannelNotEndorsed {
            let channel = line.text(Text::Channel).unwrap_or_default();
            self.observer
                .metrics()
                .endorsement_missing(channel.split(':').next().unwrap_or_default());
        }
    }
}

/// What a token claims is written down before it is proven: an operator needs to see what was refused.
pub(super) fn note_token(line: &mut RequestLine, claimed: &Claimed) {
    line.note(Text::TokenIssuer, claimed.claims.issuer.as_deref());
    line.note(Text::CallerAppId, claimed.claims.caller_app_id());
    line.note(Text::KeyId, claimed.key_id.as_str());
}

pub(super) fn note_callback(line: &mut RequestLine, caller: &Caller, callback: &Callback) {
    line.note(Text::Channel, callback.channel.as_deref());
    line.note(Text::ActivityType, callback.kind.as_deref());
    line.tenant = caller.claims().tenant_id();
    line.note(Text::Conversation, callback.conversation.as_deref());
}

pub(super) fn note_activity(line: &mut RequestLine, caller: &Caller, activity: &Activity) {
    line.note(Text::Channel, activity.channel());
    line.note(Text::ActivityType, activity.kind());
    let name = activity.name().filter(|_| activity.is_invoke());
    line.note(Text::InvokeName, name);
    line.tenant = judge::tenant_of(caller.kind(), caller.claims(), activity);
    line.note(Text::ServiceUrlHost, activity.service_url_host());
    line.note(Text::Conversation, activity.conversation());
    line.note(Text::User, activity.user());
}
