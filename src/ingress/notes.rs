//! What a request turns out to be, written down as soon as it is known.

use super::Ingress;
use crate::judge::{self, Activity, Callback, Claimed, Reason, Rejection, UnixSeconds};
use crate::observe::RequestLine;

impl Ingress {
    pub(super) fn note_clock(&self, claims: &judge::Claims, now: UnixSeconds) {
        if let Some(offset) = claims.clock_offset(now) {
            self.observer.metrics().token_clock_offset(offset);
        }
    }

    pub(super) fn note_refusal(&self, rejection: &Rejection, line: &RequestLine) {
        if rejection.reason() == Reason::ChannelNotEndorsed {
            let channel = line.channel.as_deref().unwrap_or_default();
            self.observer
                .metrics()
                .endorsement_missing(channel.split(':').next().unwrap_or_default());
        }
    }
}

/// What a token claims is written down before it is proven: an operator needs to see what was refused.
pub(super) fn note_token(line: &mut RequestLine, claimed: &Claimed) {
    line.token_issuer = claimed.claims.issuer.clone();
    line.caller_app_id = claimed.claims.caller_app_id().map(str::to_owned);
    line.key_id = Some(claimed.key_id.clone());
}

pub(super) fn note_callback(line: &mut RequestLine, claims: &judge::Claims, callback: &Callback) {
    line.channel = callback.channel.clone();
    line.activity_type = callback.kind.clone();
    line.tenant = claims.tenant_id();
    line.conversation = callback.conversation.clone();
}

pub(super) fn note_activity(line: &mut RequestLine, claims: &judge::Claims, activity: &Activity) {
    line.channel = Some(activity.channel().to_owned());
    line.activity_type = Some(activity.kind().to_owned());
    line.invoke_name = activity
        .name()
        .filter(|_| activity.is_invoke())
        .map(str::to_owned);
    line.tenant = judge::tenant_of(claims, activity);
    line.service_url_host = activity.service_url_host().map(str::to_owned);
    line.conversation = Some(activity.conversation().to_owned());
    line.user = activity.user().map(str::to_owned);
}
