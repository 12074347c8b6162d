//! The only place where a rejection becomes HTTP.

#![deny(
    clippy::wildcard_enum_match_arm,
    reason = "a new variant must be decided about, not fall through"
)]

use super::{Body, body};
use crate::judge::{Reason, Rejection};
use http::header::{
    ALLOW, CONNECTION, CONTENT_TYPE, HeaderName, RETRY_AFTER, UPGRADE, WWW_AUTHENTICATE,
};
use http::{HeaderValue, Response, StatusCode, Version};
use serde::Serialize;

/// The header that names a request in the log, at the client and at the bot.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What a rejection may tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Nobody proved anything: the caller learns the status and no more.
    Stranger {
        /// Whether a token was sent; then `WWW-Authenticate` says it was no good (RFC 6750 3.1).
        sent_token: bool,
    },
    /// The token was verified: the precise code helps whoever runs the channel.
    Proven,
}

/// What a refused caller reads.
#[derive(Serialize)]
struct Refusal<'a> {
    error: What<'a>,
    #[serde(rename = "requestId")]
    request_id: &'a str,
}

#[derive(Serialize)]
struct What<'a> {
    code: &'a str,
    message: &'a str,
}

/// The answer to a refused request.
pub fn refusal(
    rejection: &Rejection,
    audience: Audience,
    request_id: &str,
    version: Version,
) -> Response<Body> {
    let reason = rejection.reason();
    let (code, message) = match audience {
        Audience::Proven => (reason.code(), generic(reason.status()).1),
        Audience::Stranger { .. } => generic(reason.status()),
    };
    let refusal = Refusal {
        error: What { code, message },
        request_id,
    };
    // It is made of texts alone, and does not fail.
    let text = serde_json::to_vec(&refusal).unwrap_or_default();
    let mut response = Response::new(body::full(text));
    *response.status_mut() =
        StatusCode::from_u16(reason.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if reason.status() == 401 {
        let challenge = match audience {
            Audience::Stranger { sent_token: false } => "Bearer",
            Audience::Stranger { sent_token: true } | Audience::Proven => {
                "Bearer error=\"invalid_token\""
            }
        };
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    if let Some(seconds) = rejection.retry_after_seconds() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(methods) = rejection.allow() {
        headers.insert(ALLOW, HeaderValue::from_static(methods));
    }
    if version < Version::HTTP_2 {
        if reason == Reason::UpgradeRefused {
            // RFC 9110 15.5.22: 426 says what would be spoken instead.
            headers.insert(UPGRADE, HeaderValue::from_static("HTTP/1.1"));
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        }
        // Whoever sends what cannot be read, or more than may be, is not read on.
        let ends_connection = matches!(
            reason,
            Reason::Draining | Reason::RequestMalformed | Reason::HeadersTooLarge
        );
        if ends_connection {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
    name(&mut response, request_id);
    response
}

/// The answer to a tenant refusal that looks as if the bot had handled the activity (`bots.tenants.on_reject = "200"`).
pub fn swallowed(expects_replies: bool, request_id: &str) -> Response<Body> {
    let mut response = Response::new(if expects_replies {
        body::full("{\"activities\":[]}")
    } else {
        body::empty()
    });
    if expects_replies {
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    name(&mut response, request_id);
    response
}

/// Puts the request's id on its answer.
pub fn name<B>(response: &mut Response<B>, request_id: &str) {
    if let Ok(value) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert(X_REQUEST_ID, value);
    }
}

/// The code and sentence that everyone may see for a status.
const fn generic(status: u16) -> (&'static str, &'static str) {
    match status {
        400 => ("bad_request", "The request cannot be processed."),
        401 => ("unauthorized", "The request is not authenticated."),
        403 => ("forbidden", "The request is not allowed."),
        404 => ("not_found", "There is nothing here."),
        405 => ("method_not_allowed", "The method is not allowed here."),
        408 => ("request_timeout", "The request took too long to arrive."),
        413 => ("payload_too_large", "The request body is too large."),
        415 => (
            "unsupported_media_type",
            "The request body is of a type that is not accepted.",
        ),
        421 => ("misdirected_request", "This host is not served here."),
        426 => (
            "upgrade_required",
            "The protocol asked for is not spoken here.",
        ),
        429 => ("too_many_requests", "Too many requests."),
        431 => ("headers_too_large", "The request head is too large."),
        502 => (
            "bad_gateway",
            "What is behind the gateway gave no usable answer.",
        ),
        503 => ("service_unavailable", "The service is not available now."),
        504 => ("gateway_timeout", "The bot did not answer in time."),
        _ => ("error", "The request failed."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_of_the_table_has_a_generic_code() {
        for reason in Reason::ALL {
            assert_ne!(generic(reason.status()).0, "error", "{}", reason.code());
        }
    }

    #[test]
    fn a_stranger_learns_the_status_and_no_more() {
        let rejection = Rejection::from(Reason::TokenExpired).noting("exp was 7 s ago");
        let stranger = refusal(
            &rejection,
            Audience::Stranger { sent_token: true },
            "r1",
            Version::HTTP_11,
        );
        assert_eq!(stranger.status(), 401);
        assert_eq!(
            stranger.headers()["www-authenticate"],
            "Bearer error=\"invalid_token\""
        );
        assert_eq!(stranger.headers()["x-request-id"], "r1");
    }
}
