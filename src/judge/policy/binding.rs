//! What ties a token to the activity it came with. No mode softens these.

use super::service_url::shown;
use super::{Evidence, Policy};
use crate::judge::plain_url::Plain;
use crate::judge::{Reason, Rejection, TokenKind};

/// The magic channel id of the Direct Line App Service Extension: SDKs switch to a weaker check when a body says it.
pub(super) const APP_SERVICE_EXTENSION: &str = "AseChannel";
pub(super) const EMULATOR: &str = "emulator";

/// The signing key carries the activity's base channel among its endorsements (AUTHENTICATION 0.1 rule 10, 2.4 rule 10).
///
/// The only thing that keeps a Direct Line client from speaking as Teams: the token itself names no channel.
pub(super) fn channel_is_endorsed(
    policy: &Policy,
    evidence: Evidence<'_>,
) -> Result<(), Rejection> {
    let channel = evidence.activity.base_channel();
    let no = |note: String| Err(Rejection::from(Reason::ChannelNotEndorsed).noting(note));
    // In any case and spacing: only the keys of channels are held to exact names, and some bots are lenient readers.
    if channel.trim().eq_ignore_ascii_case(APP_SERVICE_EXTENSION) {
        return no(format!(
            "{APP_SERVICE_EXTENSION} does not come through the Connector"
        ));
    }
    match evidence.kind {
        TokenKind::Channel => {}
        TokenKind::Emulator if channel != EMULATOR => {
            return no(format!(
                "channel {channel:?}; a token of the Emulator speaks for {EMULATOR:?} only"
            ));
        }
        // Entra's keys carry no endorsements. A skill is handed activities of its caller's channels.
        TokenKind::Emulator | TokenKind::Skill | TokenKind::Agent => return Ok(()),
    }
    if evidence
        .endorsements
        .iter()
        .any(|endorsed| endorsed == channel)
    {
        return Ok(());
    }
    if !evidence.endorsements.is_empty() {
        return no(format!(
            "channel {channel:?}; the key is endorsed for {}",
            evidence.endorsements.join(" ")
        ));
    }
    if policy
        .channels
        .unendorsed
        .iter()
        .any(|listed| listed == channel)
    {
        return Ok(());
    }
    no(format!(
        "channel {channel:?}; the key carries no endorsements (bots.channels.unendorsed can let a channel through)"
    ))
}

/// The token's `serviceurl` claim is the activity's `serviceUrl` (AUTHENTICATION 3.3).
///
/// Entra's tokens carry no such claim; there the list of hosts is the only bound, and no mode softens it.
pub(super) fn service_url_is_bound(_: &Policy, evidence: Evidence<'_>) -> Result<(), Rejection> {
    let no = |note: String| Err(Rejection::from(Reason::ServiceUrlMismatch).noting(note));
    let sent = evidence.activity.service_url();
    let Some(claimed) = evidence.claims.service_url.as_deref() else {
        if !evidence.kind.is_channel() {
            return Ok(());
        }
        return no("the token has no serviceurl claim".to_owned());
    };
    if claimed == sent {
        return Ok(());
    }
    let read = evidence.activity.plain_service_url();
    match (Plain::read(claimed), read.map(|plain| plain.of(sent))) {
        (Some(one), Some(other)) if one.is_same_place(&other) => Ok(()),
        _ => no(format!(
            "token says {:?}, activity says {:?}",
            shown(claimed),
            shown(sent)
        )),
    }
}
