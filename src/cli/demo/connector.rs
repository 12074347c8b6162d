//! What the stand-in Connector serves: OpenID metadata, key set, and a place for the replies of bots. Entra's side of it too.

use super::loopback::{Body, Outcome, hold, read, whole};
use super::signing::SigningKey;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::sync::{Semaphore, watch};

pub(super) const METADATA_PATH: &str = "/v1/.well-known/openidconfiguration";
pub(super) const KEYS_PATH: &str = "/v1/.well-known/keys";
pub(super) const ENTRA_METADATA_PATH: &str = "/entra/v2.0/.well-known/openid-configuration";
const ENTRA_KEYS_PATH: &str = "/entra/discovery/v2.0/keys";

/// How a document is served.
#[derive(Clone, Debug, Default)]
pub enum Document {
    /// As it should be.
    #[default]
    Faithful,
    /// With this status, content type and body.
    Other(StatusCode, &'static str, Bytes),
    /// As a redirect to this URL.
    Redirect(String),
    /// Never: the request is left without an answer.
    Hang,
    /// As it should be, and as it was when it was asked for, but only once there is a permit; each answer takes one.
    Held(Arc<Semaphore>),
}

impl Document {
    /// An empty answer with this status.
    pub const fn status(status: StatusCode) -> Self {
        Self::Other(status, "text/plain", Bytes::new())
    }

    /// A 200 with this JSON, or what claims to be JSON.
    pub fn json(body: impl Into<Bytes>) -> Self {
        Self::Other(StatusCode::OK, "application/json", body.into())
    }
}

/// How often each document was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fetches {
    /// OpenID metadata.
    pub metadata: usize,
    /// Key set.
    pub keys: usize,
    /// OpenID metadata of Entra.
    pub entra_metadata: usize,
    /// Entra's common key set.
    pub entra_keys: usize,
    /// Key sets of single tenants in Entra.
    pub tenant_keys: usize,
}

/// Something a bot sent to the Connector.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Method, for example POST.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// The body as received.
    pub body: Bytes,
}

impl Delivery {
    /// The body as JSON; null if it is none.
    pub fn activity(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

#[derive(Default)]
pub(super) struct State {
    pub(super) issuer: String,
    pub(super) jwks_uri: Option<String>,
    pub(super) keys: Vec<(SigningKey, Option<Vec<String>>)>,
    pub(super) raw_keys: Vec<Value>,
    pub(super) metadata: Document,
    pub(super) key_set: Document,
    /// Each with its `issuer` member.
    pub(super) entra_keys: Vec<(SigningKey, Option<String>)>,
    pub(super) entra_metadata: Document,
    pub(super) entra_key_set: Document,
    pub(super) tenant_key_set: Document,
    /// The tenants whose keys were asked for, in order.
    pub(super) tenants_asked: Vec<String>,
}

pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    pub(super) fetches: watch::Sender<Fetches>,
    pub(super) deliveries: watch::Sender<Vec<Delivery>>,
}

/// Answers one request to the Connector.
pub(super) async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Outcome {
    let origin = request
        .headers()
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    let origin = format!("http://{origin}");
    match request.uri().path() {
        METADATA_PATH => {
            shared
                .fetches
                .send_modify(|fetches| fetches.metadata = fetches.metadata.saturating_add(1));
            let (document, body) = hold(&shared.state).metadata_document(&origin);
            serve(document, body).await
        }
        KEYS_PATH => {
            shared
                .fetches
                .send_modify(|fetches| fetches.keys = fetches.keys.saturating_add(1));
            let (document, body) = hold(&shared.state).keys_document();
            serve(document, body).await
        }
        ENTRA_METADATA_PATH => {
            shared.fetches.send_modify(|fetches| {
                fetches.entra_metadata = fetches.entra_metadata.saturating_add(1);
            });
            let document = hold(&shared.state).entra_metadata.clone();
            let body = json!({
                "issuer": "https://login.microsoftonline.com/{tenantid}/v2.0",
                "jwks_uri": format!("{origin}{ENTRA_KEYS_PATH}"),
                "id_token_signing_alg_values_supported": ["RS256"],
            });
            serve(document, body).await
        }
        ENTRA_KEYS_PATH => {
            shared
                .fetches
                .send_modify(|fetches| fetches.entra_keys = fetches.entra_keys.saturating_add(1));
            let (document, body) = {
                let state = hold(&shared.state);
                (state.entra_key_set.clone(), state.entra_keys_document())
            };
            serve(document, body).await
        }
        path if tenant_of(path).is_some() => {
            let tenant = tenant_of(path).unwrap_or_default().to_owned();
            let (document, body) = {
                let mut state = hold(&shared.state);
                state.tenants_asked.push(tenant);
                (state.tenant_key_set.clone(), state.entra_keys_document())
            };
            shared
                .fetches
                .send_modify(|fetches| fetches.tenant_keys = fetches.tenant_keys.saturating_add(1));
            serve(document, body).await
        }
        path if path.starts_with("/v3/") => take_delivery(&shared, request).await,
        _ => Outcome::Answer(respond(StatusCode::NOT_FOUND, "text/plain", Bytes::new())),
    }
}

/// The tenant of `/entra/TENANT/discovery/v2.0/keys`.
fn tenant_of(path: &str) -> Option<&str> {
    path.strip_prefix("/entra/")?
        .strip_suffix("/discovery/v2.0/keys")
}

impl State {
    fn entra_keys_document(&self) -> Value {
        let entry = |(key, issuer): &(SigningKey, Option<String>)| {
            let mut entry = key.jwk();
            if let Some(issuer) = issuer {
                entry.insert("issuer".to_owned(), json!(issuer));
            }
            Value::Object(entry)
        };
        json!({ "keys": self.entra_keys.iter().map(entry).collect::<Vec<_>>() })
    }

    fn metadata_document(&self, origin: &str) -> (Document, Value) {
        let own = format!("{origin}{KEYS_PATH}");
        let body = json!({
            "issuer": self.issuer,
            "authorization_endpoint": "https://invalid.botframework.com",
            "jwks_uri": self.jwks_uri.as_ref().unwrap_or(&own),
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        });
        (self.metadata.clone(), body)
    }

    fn keys_document(&self) -> (Document, Value) {
        let published = self.keys.iter().map(|(key, endorsements)| {
            let mut entry = key.jwk();
            if let Some(endorsements) = endorsements {
                entry.insert("endorsements".to_owned(), json!(endorsements));
            }
            Value::Object(entry)
        });
        let keys: Vec<_> = published.chain(self.raw_keys.iter().cloned()).collect();
        (self.key_set.clone(), json!({ "keys": keys }))
    }
}

async fn serve(document: Document, faithful: Value) -> Outcome {
    Outcome::Answer(match document {
        Document::Faithful => respond(
            StatusCode::OK,
            "application/json; charset=utf-8",
            faithful.to_string(),
        ),
        Document::Other(status, content_type, body) => respond(status, content_type, body),
        Document::Redirect(url) => {
            let mut response = respond(StatusCode::FOUND, "text/plain", Bytes::new());
            if let Ok(location) = http::HeaderValue::try_from(url) {
                response.headers_mut().insert(header::LOCATION, location);
            }
            response
        }
        Document::Hang => std::future::pending().await,
        Document::Held(permits) => {
            // Nobody closes the semaphore; if somebody did, that would be a permit, too.
            if let Ok(permit) = permits.acquire().await {
                permit.forget();
            }
            respond(
                StatusCode::OK,
                "application/json; charset=utf-8",
                faithful.to_string(),
            )
        }
    })
}

async fn take_delivery(shared: &Shared, request: Request<Incoming>) -> Outcome {
    let (head, body) = request.into_parts();
    let Some(body) = read(body).await else {
        return Outcome::Raw(Bytes::new());
    };
    let authorization = head
        .headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let delivery = Delivery {
        method: head.method,
        path: head.uri.to_string(),
        authorization: authorization.map(str::to_owned),
        body,
    };
    let mut count = 0;
    shared.deliveries.send_modify(|deliveries| {
        deliveries.push(delivery);
        count = deliveries.len();
    });
    let body = json!({ "id": format!("stand-in-reply-{count}") });
    Outcome::Answer(respond(
        StatusCode::OK,
        "application/json; charset=utf-8",
        body.to_string(),
    ))
}

fn respond(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Body> {
    let mut response = Response::new(whole(body));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        http::HeaderValue::from_static(content_type),
    );
    response
}
