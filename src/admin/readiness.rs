//! Whether the gateway is ready, and what is missing.

use super::{Admin, typed};
use crate::net::Body;
use http::{Response, StatusCode};
use serde_json::{Value, json};

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
    // Where each gateway goes on by itself nothing is missing.
    if let Some(shared) = &admin.shared
        && shared.denies_without()
        && !shared.standing().is_up
    {
        missing.push("store".to_owned());
    }
    if admin.draining.is_cancelled() {
        missing.push("draining".to_owned());
    }
    missing
}

/// The shared store, and what counts without it.
pub(super) fn store(admin: &Admin) -> Option<Value> {
    let shared = admin.shared.as_ref()?;
    let standing = shared.standing();
    let counting = if standing.is_up {
        "shared"
    } else {
        shared.without()
    };
    Some(json!({ "up": standing.is_up, "counting": counting, "why": standing.why }))
}

/// `/readyz`.
pub(super) fn answer(admin: &Admin) -> Response<Body> {
    let missing = missing(admin);
    let status = if missing.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let mut content = json!({ "ready": missing.is_empty(), "missing": missing });
    if let Some((store, content)) = store(admin).zip(content.as_object_mut()) {
        content.insert("store".to_owned(), store);
    }
    let mut response = typed(format!("{content}\n"), "application/json");
    *response.status_mut() = status;
    response
}
