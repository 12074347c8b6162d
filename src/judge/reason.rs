//! Every way the gateway says no: one row per reason.

/// Who has to act for this reason to go away. Decides the log level of the request line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The sender of the request.
    Caller,
    /// This gateway or its operator.
    Gateway,
    /// The bot, or a service the gateway depends on.
    Upstream,
}

impl Fault {
    /// The word in the reasons table.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Gateway => "gateway",
            Self::Upstream => "upstream",
        }
    }
}

macro_rules! reasons {
    ($( $(#[doc = $doc:literal])+ $name:ident = $code:literal, $status:literal, $fault:ident; )+) => {
        /// Why a request was refused. Codes are part of the public contract: never renamed, never reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason { $( $(#[doc = $doc])+ $name, )+ }

        impl Reason {
            /// Every reason, in table order.
            pub const ALL: &[Self] = &[ $( Self::$name, )+ ];
            /// The stable name: metric label, log field, error code on the wire.
            pub const fn code(self) -> &'static str { match self { $( Self::$name => $code, )+ } }
            /// The HTTP status of the reply.
            pub const fn status(self) -> u16 { match self { $( Self::$name => $status, )+ } }
            /// Who has to act.
            pub const fn fault(self) -> Fault { match self { $( Self::$name => Fault::$fault, )+ } }
            /// One sentence for an operator; printed by `botgate reasons`.
            pub fn meaning(self) -> &'static str { match self { $( Self::$name => concat!($($doc),+).trim_ascii(), )+ } }
        }
    };
}

reasons! {
    /// HTTP that cannot be read in exactly one way: both Content-Length and Transfer-Encoding, a bad or second Host, an absolute-form target.
    RequestMalformed = "request_malformed", 400, Caller;
    /// Host or :authority names no bot of this gateway.
    HostNotServed = "host_not_served", 421, Caller;
    /// No bot listens on this exact path.
    PathNotFound = "path_not_found", 404, Caller;
    /// The method is not POST.
    MethodNotAllowed = "method_not_allowed", 405, Caller;
    /// A WebSocket or other upgrade, and the bot does not accept streams.
    UpgradeRefused = "upgrade_refused", 426, Caller;
    /// Content-Type is missing, repeated, not application/json, or names a charset other than utf-8.
    ContentTypeUnsupported = "content_type_unsupported", 415, Caller;
    /// Content-Encoding is something other than identity.
    ContentEncodingUnsupported = "content_encoding_unsupported", 415, Caller;
    /// The request head is larger, or has more fields, than server.limits allows.
    HeadersTooLarge = "headers_too_large", 431, Caller;
    /// The body is larger than server.limits.body_bytes.
    BodyTooLarge = "body_too_large", 413, Caller;
    /// The body was not complete within server.limits.body_timeout.
    BodyTimedOut = "body_timed_out", 408, Caller;
    /// One address holds more connections than server.limits.connections_per_ip.
    ConnectionLimited = "connection_limited", 429, Caller;
    /// One address sends faster than server.limits.requests_per_ip.
    RateLimitedIp = "rate_limited_ip", 429, Caller;
    /// Shed before any work because the gateway is full.
    Overloaded = "overloaded", 503, Gateway;
    /// There is no Authorization header.
    TokenMissing = "token_missing", 401, Caller;
    /// There is more than one Authorization header.
    TokenRepeated = "token_repeated", 401, Caller;
    /// The Authorization scheme is not Bearer.
    TokenSchemeUnsupported = "token_scheme_unsupported", 401, Caller;
    /// The token is not exactly three canonical base64url segments of strict JSON, is too long, names a member twice, carries crit, or has no kid.
    TokenMalformed = "token_malformed", 401, Caller;
    /// The token's alg is not RS256.
    TokenAlgorithmRefused = "token_algorithm_refused", 401, Caller;
    /// The token's iss belongs to no trust root this bot accepts.
    TokenIssuerUnknown = "token_issuer_unknown", 401, Caller;
    /// The issuer is known, but this bot does not accept its kind of token.
    TokenKindNotAccepted = "token_kind_not_accepted", 401, Caller;
    /// The token's aud is not this bot's app id.
    TokenAudienceMismatch = "token_audience_mismatch", 401, Caller;
    /// The token's exp has passed, beyond the allowed clock skew.
    TokenExpired = "token_expired", 401, Caller;
    /// The token's nbf or iat lies in the future, beyond the allowed clock skew.
    TokenNotYetValid = "token_not_yet_valid", 401, Caller;
    /// exp or nbf is missing, not a number, or the two describe an absurd lifetime.
    TokenLifetimeInvalid = "token_lifetime_invalid", 401, Caller;
    /// The keys are fresh and none has this kid.
    TokenKeyUnknown = "token_key_unknown", 401, Caller;
    /// The signature does not verify with the key that kid names.
    TokenSignatureInvalid = "token_signature_invalid", 401, Caller;
    /// A further claim that this kind of token must carry is missing or wrong (appid, azp, tid, ver ...).
    TokenClaimsInvalid = "token_claims_invalid", 401, Caller;
    /// There is no usable key set, or the kid is unknown while the refresh fails. The channel may retry.
    KeysUnavailable = "keys_unavailable", 503, Gateway;
    /// The body is not one strict UTF-8 JSON object: syntax, byte-order mark, trailing bytes.
    ActivityMalformed = "activity_malformed", 400, Caller;
    /// A member name occurs twice, or another reader could take it for a guarded one (case variant, snake_case twin).
    ActivityAmbiguous = "activity_ambiguous", 400, Caller;
    /// The body nests too deep or has too many members.
    ActivityTooComplex = "activity_too_complex", 400, Caller;
    /// A guarded field is missing or of the wrong type.
    ActivityFieldInvalid = "activity_field_invalid", 400, Caller;
    /// The signing key is not endorsed for the activity's channel.
    ChannelNotEndorsed = "channel_not_endorsed", 403, Caller;
    /// The channel is not on the bot's list.
    ChannelNotAllowed = "channel_not_allowed", 403, Caller;
    /// The token's serviceurl claim and the activity's serviceUrl differ, or the claim is missing.
    ServiceUrlMismatch = "service_url_mismatch", 403, Caller;
    /// The service URL is not https, or its host is not on the list.
    ServiceUrlNotAllowed = "service_url_not_allowed", 403, Caller;
    /// The activity names no tenant where one is required.
    TenantMissing = "tenant_missing", 403, Caller;
    /// A tenant of the activity is not a GUID.
    TenantMalformed = "tenant_malformed", 403, Caller;
    /// A tenant of the activity is denied, or not on the bot's list.
    TenantNotAllowed = "tenant_not_allowed", 403, Caller;
    /// The calling skill or agent is not on the bot's list.
    CallerNotAllowed = "caller_not_allowed", 403, Caller;
    /// The activity type is not on the bot's list.
    ActivityTypeNotAllowed = "activity_type_not_allowed", 403, Caller;
    /// The invoke name is denied by the bot's list.
    InvokeNotAllowed = "invoke_not_allowed", 403, Caller;
    /// A Direct Line or Web Chat user id does not start with dl_ under enhanced authentication, or was not issued here where issued_ids_only asks for that.
    UserIdNotTrusted = "user_id_not_trusted", 403, Caller;
    /// The bot's own budget is used up.
    RateLimitedBot = "rate_limited_bot", 429, Caller;
    /// The tenant's budget is used up.
    RateLimitedTenant = "rate_limited_tenant", 429, Caller;
    /// The conversation's budget is used up.
    RateLimitedConversation = "rate_limited_conversation", 429, Caller;
    /// The user's budget is used up.
    RateLimitedUser = "rate_limited_user", 429, Caller;
    /// The shared limit store is away and state.on_store_failure is "deny".
    LimitStoreUnavailable = "limit_store_unavailable", 503, Gateway;
    /// No connection to the bot could be made.
    UpstreamUnreachable = "upstream_unreachable", 502, Upstream;
    /// The bot's answer is not HTTP, or ended early.
    UpstreamBroken = "upstream_broken", 502, Upstream;
    /// The bot did not answer in time.
    UpstreamTimedOut = "upstream_timed_out", 504, Upstream;
    /// Every backend of the bot fails its health check.
    UpstreamUnhealthy = "upstream_unhealthy", 503, Upstream;
    /// The page that asks for a Direct Line token is not on trusted_origins.
    OriginNotAllowed = "origin_not_allowed", 403, Caller;
    /// Direct Line refused to make a token, or answered with something that is none.
    DirectLineRefused = "direct_line_refused", 502, Upstream;
    /// Direct Line could not be reached, or did not answer in time.
    DirectLineUnreachable = "direct_line_unreachable", 502, Upstream;
    /// The bot tried to reach a host that the egress guard does not allow.
    EgressDenied = "egress_denied", 403, Caller;
    /// The gateway is shutting down.
    Draining = "draining", 503, Gateway;
}

/// A refusal: the reason, and a note that only the request line sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    reason: Reason,
    note: Option<String>,
    retry_after: Option<std::time::Duration>,
    allow: Option<&'static str>,
}

impl Rejection {
    /// Adds detail for the operator. Never sent to the caller; never a secret.
    #[must_use]
    pub fn noting(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// Says when the same request could succeed; becomes `Retry-After` in whole seconds, rounded up.
    #[must_use]
    pub const fn retry_after(mut self, wait: std::time::Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Says which methods there are instead; becomes `Allow` (RFC 9110 10.2.1).
    #[must_use]
    pub const fn allowing(mut self, methods: &'static str) -> Self {
        self.allow = Some(methods);
        self
    }

    /// The methods there are instead, if that is why.
    pub const fn allow(&self) -> Option<&'static str> {
        self.allow
    }

    /// The reason.
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// The note, if any.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Whole seconds for `Retry-After`, at least 1 (RFC 9110 10.2.3 has no fractions).
    pub fn retry_after_seconds(&self) -> Option<u64> {
        self.retry_after.map(|wait| {
            wait.as_secs()
                .saturating_add(u64::from(wait.subsec_nanos() > 0))
                .max(1)
        })
    }
}

impl From<Reason> for Rejection {
    fn from(reason: Reason) -> Self {
        Self {
            reason,
            note: None,
            retry_after: None,
            allow: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_snake_case_and_statuses_are_errors() {
        let mut seen = std::collections::HashSet::new();
        for reason in Reason::ALL {
            let code = reason.code();
            assert!(seen.insert(code), "{code} appears twice");
            assert!(
                code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
                "{code}"
            );
            assert!((400..600).contains(&reason.status()), "{code}");
            assert!(reason.meaning().ends_with('.'), "{code}");
        }
    }

    #[test]
    fn retry_after_is_rounded_up_so_that_it_is_true() {
        let wait = |ms| {
            Rejection::from(Reason::RateLimitedUser)
                .retry_after(std::time::Duration::from_millis(ms))
        };
        assert_eq!(wait(1).retry_after_seconds(), Some(1));
        assert_eq!(wait(1000).retry_after_seconds(), Some(1));
        assert_eq!(wait(1001).retry_after_seconds(), Some(2));
    }
}
