//! Whether the gateway is ready, and what is missing.

use super::{Admin, typed};
use crate::net::Body;
use http::{Response, StatusCode};
use serde_json::json;

/// What keeps the gateway from being ready; nothing if it is.
pub(super) fn missing(admin: &Admin) -> Vec<String> {
    let keys = admin.keyring.missing().into_iter();
    let mut missing: Vec<String> = keys.map(|set| format!("keys {set:?}")).collect();
    // Only what health checks say: a bot that requests met with as down would stay so if no more requests came.
    let unhealthy = admin.upstreams.unhealthy();
    missing.extend(unhealthy.map(|bot| format!("bot {bot:?}")));
    if admin
        .certificates
        .as_ref()
        .is_some_and(|it| it.is_missing())
    {
        missing.push("certificate".to_owned());
    }
    if admin.draining.is_cancelled() {
        missing.push("draining".to_owned());
    }
    missing
}

/// `/readyz`.
pub(super) fn answer(admin: &Admin) -> Response<Body> {
    let missing = missing(admin);
    let status = if missing.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let content = json!({ "ready": missing.is_empty(), "missing": missing });
    let mut response = typed(format!("{content}\n"), "application/json");
    *response.status_mut() = status;
    response
}
