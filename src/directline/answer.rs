//! What a page is told, and what its browser is.

use super::service::Given;
use crate::config::{DirectLine, SameSite};
use crate::judge::direct_line::{Session, cookie_name};
use crate::judge::{Reason, Rejection};
use crate::net::{Body, body};
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    CACHE_CONTROL, CONTENT_TYPE, SET_COOKIE, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

/// For so many seconds a cookie stays longer than it counts: who comes too late is told so, and not that there never was a session.
const LATE: u64 = 60 * 60;

/// All that a page learns.
#[derive(Serialize)]
struct Told<'a> {
    token: &'a str,
    expires_in: u64,
    #[serde(rename = "conversationId")]
    conversation: &'a str,
    #[serde(rename = "userId")]
    user: &'a str,
}

/// A token, and the cookie of the session that it is for.
pub(super) fn token(
    broker: &DirectLine,
    given: &Given,
    (place, session): (usize, &Session),
) -> Result<Response<Body>, Rejection> {
    let told = Told {
        token: given.token.expose(),
        expires_in: given.expires_in,
        conversation: &given.conversation,
        user: &session.user.to_string(),
    };
    let unwritten =
        || Rejection::from(Reason::DirectLineRefused).noting("what it gave cannot be passed on");
    let told = serde_json::to_vec(&told).map_err(|_| unwritten())?;
    let mut response = Response::new(body::full(told));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let same_site = match broker.same_site {
        SameSite::Lax => "Lax",
        SameSite::Strict => "Strict",
        // Browsers that keep the cookies of other sites apart take it only so.
        SameSite::None => "None; Partitioned",
    };
    let cookie = format!(
        "{}={}; Path=/; Max-Age={}; HttpOnly; Secure; SameSite={same_site}",
        cookie_name(&broker.name, place),
        broker.issuer.sealed(session),
        given.expires_in.saturating_add(LATE)
    );
    let mut cookie = HeaderValue::from_str(&cookie).map_err(|_| unwritten())?;
    cookie.set_sensitive(true);
    headers.insert(SET_COOKIE, cookie);
    Ok(response)
}

/// Yes, the page may ask (Fetch, "CORS-preflight fetch").
pub(super) fn preflight() -> Response<Body> {
    let mut response = Response::new(body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    for (name, value) in [
        (ACCESS_CONTROL_ALLOW_METHODS, "POST"),
        (ACCESS_CONTROL_ALLOW_HEADERS, "content-type, authorization"),
        (ACCESS_CONTROL_MAX_AGE, "600"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// What every answer says: that nobody keeps it, and, to a trusted page alone, that it may read it.
pub(super) fn open_to(response: &mut Response<Body>, origin: Option<&str>) {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_static("Origin"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let Some(origin) = origin.and_then(|origin| HeaderValue::from_str(origin).ok()) else {
        return;
    };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    for (name, value) in [
        (ACCESS_CONTROL_ALLOW_CREDENTIALS, "true"),
        (ACCESS_CONTROL_EXPOSE_HEADERS, "retry-after, x-request-id"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
