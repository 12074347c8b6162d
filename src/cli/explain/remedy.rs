//! What to do about each refusal, in one sentence.

use crate::judge::Reason;

/// The sentence for a reason.
#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) const fn of(reason: Reason) -> &'static str {
    match reason {
        Reason::RequestMalformed => {
            "Look at what stands between channel and gateway: real channels send HTTP that can be read in one way only, and something has rewritten this."
        }
        Reason::HostNotServed => {
            "Add the host to bots.hosts, or correct the messaging endpoint of the Azure Bot resource."
        }
        Reason::PathNotFound => {
            "Make bots.path and the path of the messaging endpoint in the Azure Bot resource the same, letter for letter. (Requests of pages to a [[direct_line]] are not explained: their line in the log says why.)"
        }
        Reason::MethodNotAllowed => {
            "Nothing, if a browser or a scanner sent it: channels only POST."
        }
        Reason::UpgradeRefused => {
            "Nothing: channels reach a bot by POST; turn off streaming or the App Service Extension for this bot if it was meant."
        }
        Reason::ContentTypeUnsupported => {
            "Send Content-Type: application/json, once, as channels do."
        }
        Reason::ContentEncodingUnsupported => {
            "Send the body as it is; turn compression of requests off in whatever stands before the gateway."
        }
        Reason::HeadersTooLarge => {
            "Find out what adds the headers; only if a proxy of yours does, raise server.limits.header_bytes or headers."
        }
        Reason::BodyTooLarge => {
            "Raise server.limits.body_bytes if activities of this size are wanted."
        }
        Reason::BodyTimedOut => {
            "Save the request again, whole; if the gateway's log says the same of live requests, the network before it loses bytes."
        }
        Reason::ConnectionLimited | Reason::RateLimitedIp => {
            "Wait as Retry-After says, or raise the limit under [server.limits]."
        }
        Reason::Overloaded | Reason::Draining => "Send it again after a moment.",
        Reason::TokenMissing => {
            "Nothing, if a stranger sent it; a proxy before the gateway must pass the Authorization header on."
        }
        Reason::TokenRepeated => {
            "Find out what adds a second Authorization header; channels send one."
        }
        Reason::TokenSchemeUnsupported => {
            "Find out what replaced the Authorization header: channels send Bearer and a token."
        }
        Reason::TokenMalformed => {
            "Save the token again, whole, on one line; if it was whole, it is not of the Bot Framework."
        }
        Reason::TokenAlgorithmRefused => {
            "Nothing: tokens of the Bot Framework and of Entra are RS256, and this is a forgery or of something else."
        }
        Reason::TokenIssuerUnknown => {
            "Compare iss with bots.cloud: a bot of another cloud needs that cloud; an agent needs its tenant on bots.tenants.allow."
        }
        Reason::TokenKindNotAccepted => {
            "Add the kind to bots.accept if this bot is meant to be called so (channel, emulator, skill, agent)."
        }
        Reason::TokenAudienceMismatch => {
            "Set bots.app_id to the Microsoft App ID of the Azure Bot resource that sends, or point that resource at its own bot."
        }
        Reason::TokenExpired => {
            "Give --at the time of the request if the token was saved; if it was live, check this machine's clock (botgate check --online)."
        }
        Reason::TokenNotYetValid => "Check this machine's clock (botgate check --online), or --at.",
        Reason::TokenLifetimeInvalid => "Nothing: no issuer makes such tokens.",
        Reason::TokenKeyUnknown => {
            "Ask again with --live: the issuer may have new keys; if those do not have it either, the token is forged or of another issuer."
        }
        Reason::TokenSignatureInvalid => {
            "Nothing: the token is forged, or was changed or cut when it was saved."
        }
        Reason::TokenClaimsInvalid => {
            "Look at expected and seen of token_claims and token_key_issuer: the caller asked Entra for the wrong kind of token."
        }
        Reason::KeysUnavailable => {
            "Give the keys with --keys FILE, or fetch them with --live; botgate check --online says what is in the way."
        }
        Reason::ActivityMalformed => {
            "Save the body byte for byte; if it was, its sender does not write JSON."
        }
        Reason::ActivityAmbiguous => {
            "Nothing, if a stranger wrote it; a client of yours must write each member once, spelt as the Activity schema spells it."
        }
        Reason::ActivityTooComplex => {
            "Raise server.limits.json_depth or json_members if activities like this are wanted."
        }
        Reason::ActivityFieldInvalid => {
            "Correct the field that the note names where the activity is made."
        }
        Reason::ChannelNotEndorsed => {
            "Nothing, if the channel is not what the token is from; in an outage of Microsoft's endorsements, list the channel in bots.channels.unendorsed for a while."
        }
        Reason::ChannelNotAllowed => {
            "Add the channel to bots.channels.allow if it may reach this bot."
        }
        Reason::ServiceUrlMismatch => {
            "Nothing: the activity was not sent with this token; a forged service URL steals the bot's own token."
        }
        Reason::ServiceUrlNotAllowed => {
            "Add the host to bots.service_urls.extra_hosts if the bot may send its token there."
        }
        Reason::TenantMissing => {
            "Take bots.tenants.required away, or the list, if activities without a tenant may come in."
        }
        Reason::TenantMalformed => "Find out who wrote the tenant: those of Microsoft are GUIDs.",
        Reason::TenantNotAllowed => {
            "Add the tenant to bots.tenants.allow if its people may talk to this bot."
        }
        Reason::CallerNotAllowed => {
            "Add the calling application to bots.callers.allow if it may call this bot."
        }
        Reason::ActivityTypeNotAllowed => {
            "Add the type to bots.activities.allow if this bot handles it."
        }
        Reason::InvokeNotAllowed => {
            "Take the name off bots.activities.deny_invoke if this bot may handle it."
        }
        Reason::UserIdNotTrusted => {
            "Let the web page get its Direct Line token from the broker ([[direct_line]]), or from your server with a user id that begins with dl_."
        }
        Reason::RateLimitedBot
        | Reason::RateLimitedTenant
        | Reason::RateLimitedConversation
        | Reason::RateLimitedUser => {
            "Wait as Retry-After says, or raise the limit under [bots.rate_limits]."
        }
        Reason::LimitStoreUnavailable => "Bring the limit store back.",
        Reason::UpstreamUnreachable
        | Reason::UpstreamBroken
        | Reason::UpstreamTimedOut
        | Reason::UpstreamUnhealthy => "Look at the bot itself (botgate check --online).",
        Reason::OriginNotAllowed => "Add the page's origin to trusted_origins.",
        Reason::DirectLineRefused | Reason::DirectLineUnreachable => {
            "Look at the Direct Line secret and at the way to Direct Line."
        }
        Reason::EgressDenied => "Allow the host if the bot may reach it.",
    }
}
