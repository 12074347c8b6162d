//! A stand-in for those services of Microsoft that a bot and a gateway talk to, behind one TLS socket on port 443.

use super::certificates::Authority;
use super::entra;
use botgate::cli::demo::channel::ISSUER;
use botgate::cli::demo::direct_line::DirectLine;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, OnceLock};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// The bot's registration, as its environment and the gateway's configuration have it.
pub(crate) const APP_ID: &str = "0b7c1d9e-54a2-4c7c-8a44-3f0d2f6f7a10";
pub(crate) const APP_PASSWORD: &str = "a-made-up-client-secret~";
pub(crate) const TENANT: &str = "3f0c8a5e-7f0b-4f3e-9d55-6f2b1b0a9c11";

/// Other apps that the bot's tenant knows, so that it gives tokens for them.
pub(crate) const KNOWN_APP: &str = "b2a1c0d9-8e7f-4a6b-9c5d-4e3f2a1b0c9d";
/// The platform that calls agents (AUTHENTICATION.md 1.1.5), known to every tenant.
pub(crate) const AGENT_PLATFORM: &str = "5a807f24-c9de-44ee-a3a7-329e88a00ffc";

/// Names that are Microsoft's. All of them lead to the stand-in, so that a call to one it does not play is noticed.
pub(crate) const HOSTS: &[&str] = &[
    "login.botframework.com",
    "login.microsoftonline.com",
    "login.windows.net",
    "sts.windows.net",
    "smba.trafficmanager.net",
    "api.botframework.com",
    "token.botframework.com",
    "directline.botframework.com",
    "webchat.botframework.com",
    "graph.microsoft.com",
    "login.botframework.azure.us",
    THIEF,
];

/// Those of them that take in what bots send.
const CONNECTORS: &[&str] = &[
    "smba.trafficmanager.net",
    "directline.botframework.com",
    "webchat.botframework.com",
    "api.botframework.com",
    THIEF,
];

const DIRECT_LINE: &str = "directline.botframework.com";

/// A host that is not Microsoft's. The stand-in answers for it too, to see what a bot would send to a stranger.
pub(crate) const THIEF: &str = "thief.example";

/// The key sets that are published, each a list of JWKs.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeySets {
    /// The Connector's.
    pub(crate) channel: Vec<Value>,
    /// The Connector's of the US Government's cloud.
    pub(crate) gov: Vec<Value>,
    /// Entra's.
    pub(crate) entra: Vec<Value>,
}

/// What the bot sent to the Connector.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// Where it was sent: the part of the address before `v3`.
    pub(crate) service_url: String,
    /// From the path, decoded.
    pub(crate) conversation: String,
    /// The id of the activity it replies to, from the path if it is there.
    pub(crate) reply_to: String,
    /// Whether it carried a token that this stand-in had given to the bot.
    pub(crate) with_given_token: bool,
    /// The activity.
    pub(crate) activity: Value,
}

/// The stand-in. It runs until the runtime ends.
pub(crate) struct Microsoft {
    key_sets: KeySets,
    given_tokens: Mutex<Vec<String>>,
    replies: Mutex<Vec<Reply>>,
    asked: Mutex<Vec<String>>,
    unexpected: Mutex<Vec<String>>,
    direct_line: OnceLock<DirectLine>,
}

impl Microsoft {
    /// Listens on 127.0.0.1:443 with a certificate for all of [`HOSTS`].
    pub(crate) async fn start(authority: &Authority, key_sets: KeySets) -> Arc<Self> {
        let (certificate, key) = authority.issue(HOSTS);
        let tls = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key);
        let acceptor = TlsAcceptor::from(Arc::new(tls.unwrap()));
        let listener = TcpListener::bind(("127.0.0.1", 443)).await.unwrap();
        let microsoft = Arc::new(Self {
            key_sets,
            given_tokens: Mutex::default(),
            replies: Mutex::default(),
            asked: Mutex::default(),
            unexpected: Mutex::default(),
            direct_line: OnceLock::new(),
        });
        let serving = Arc::clone(&microsoft);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (acceptor, microsoft) = (acceptor.clone(), Arc::clone(&serving));
                tokio::spawn(async move {
                    let stream = match acceptor.accept(socket).await {
                        Ok(stream) => stream,
                        Err(error) => return microsoft.note_unexpected(format!("TLS: {error}")),
                    };
                    let service = service_fn(|request| microsoft.answer(request));
                    // A client that goes away between requests is not of interest.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .with_upgrades()
                        .await;
                });
            }
        });
        microsoft
    }

    /// Plays Direct Line too: clients find it under its name, and what bots say there gets to them.
    pub(crate) fn play_direct_line(&self, direct_line: &DirectLine) {
        assert!(self.direct_line.set(direct_line.clone()).is_ok());
    }

    /// Everything the Connector received, and the stranger.
    pub(crate) fn replies(&self) -> Vec<Reply> {
        self.replies.lock().unwrap().clone()
    }

    /// Everything the Connector received in `conversation`.
    pub(crate) fn replies_in(&self, conversation: &str) -> Vec<Reply> {
        let replies = self.replies.lock().unwrap();
        replies
            .iter()
            .filter(|reply| reply.conversation == conversation)
            .cloned()
            .collect()
    }

    /// Every request so far, as `METHOD host/path`.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// What was asked that no well-behaved bot or gateway asks for.
    pub(crate) fn unexpected(&self) -> Vec<String> {
        self.unexpected.lock().unwrap().clone()
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<UnsyncBoxBody<Bytes, std::io::Error>>, Infallible> {
        let host = request
            .headers()
            .get(header::HOST)
            .map_or("", |host| host.to_str().unwrap_or(""))
            .to_owned();
        if host == DIRECT_LINE
            && request.uri().path().starts_with("/v3/directline/")
            && let Some(direct_line) = self.direct_line.get()
        {
            return Ok(direct_line.answer(request).await);
        }
        let (head, body) = request.into_parts();
        let line = format!("{} {host}{}", head.method, head.uri.path());
        self.asked.lock().unwrap().push(line.clone());
        let body = Limited::new(body, 1 << 20)
            .collect()
            .await
            .map(|body| body.to_bytes())
            .unwrap_or_default();
        let path: Vec<String> = head.uri.path().split('/').skip(1).map(decoded).collect();
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let authorization = head
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());

        let answer = match (&head.method, host.as_str(), path.as_slice()) {
            (&Method::GET, "login.botframework.com", ["v1", ".well-known", document]) => {
                self.channel_document(document)
            }
            (&Method::GET, "login.botframework.azure.us", ["v1", ".well-known", "keys"]) => {
                Some((StatusCode::OK, json!({ "keys": self.key_sets.gov })))
            }
            (&Method::GET, "login.microsoftonline.com", ["common", "discovery", "instance"]) => {
                Some((StatusCode::OK, entra::instance_discovery()))
            }
            (
                &Method::GET,
                "login.microsoftonline.com",
                [tenant, "v2.0", ".well-known", "openid-configuration"],
            ) => Some((StatusCode::OK, entra::metadata(tenant))),
            (&Method::GET, "login.microsoftonline.com", [_, "discovery", "v2.0", "keys"]) => {
                Some((StatusCode::OK, json!({ "keys": self.key_sets.entra })))
            }
            (&Method::POST, "login.microsoftonline.com", [tenant, "oauth2", "v2.0", "token"]) => {
                self.give_token(tenant, &body)
            }
            (&Method::POST, host, path) if CONNECTORS.contains(&host) => {
                if host == THIEF {
                    self.note_unexpected(line.clone());
                }
                self.record_reply(host, path, authorization, &body)
            }
            _ => None,
        };
        let (status, json) = answer.unwrap_or_else(|| {
            self.note_unexpected(format!("{line}: {}", String::from_utf8_lossy(&body)));
            (
                StatusCode::NOT_FOUND,
                json!({"error": {"code": "NotFound"}}),
            )
        });
        let response = Response::builder()
            .status(status)
            .header(header::CONTENT_TYPE, "application/json; charset=utf-8");
        let body = Full::from(json.to_string()).map_err(|never| match never {});
        Ok(response.body(body.boxed_unsync()).unwrap())
    }

    /// The channel's OpenID metadata and its keys.
    fn channel_document(&self, document: &str) -> Option<Answer> {
        let json = match document {
            "openidconfiguration" => json!({
                "issuer": ISSUER,
                "authorization_endpoint": "https://invalid.botframework.com",
                "jwks_uri": "https://login.botframework.com/v1/.well-known/keys",
                "id_token_signing_alg_values_supported": ["RS256"],
                "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            }),
            "keys" => json!({ "keys": self.key_sets.channel }),
            _ => return None,
        };
        Some((StatusCode::OK, json))
    }

    /// Entra's token endpoint, for the bot's own credentials only. It gives tokens for the Connector, and for apps that the tenant knows.
    fn give_token(&self, tenant: &str, form: &[u8]) -> Option<Answer> {
        let form: HashMap<_, _> = url::form_urlencoded::parse(form).into_owned().collect();
        let expected = [
            ("grant_type", "client_credentials"),
            ("client_id", APP_ID),
            ("client_secret", APP_PASSWORD),
        ];
        let is_ours = expected
            .iter()
            .all(|(name, value)| form.get(*name).is_some_and(|sent| sent == value));
        if tenant != TENANT || !is_ours {
            return None;
        }
        let known = [
            "https://api.botframework.com",
            APP_ID,
            KNOWN_APP,
            AGENT_PLATFORM,
        ];
        let resource = form.get("scope")?.strip_suffix("/.default")?;
        if !known.contains(&resource) {
            let unknown = json!({
                "error": "invalid_resource",
                "error_description": format!("AADSTS500011: The resource principal named {resource} was not found in the tenant."),
                "error_codes": [500_011],
            });
            return Some((StatusCode::BAD_REQUEST, unknown));
        }
        let token = format!("given-to-the-bot-{}", uuid::Uuid::new_v4());
        self.given_tokens.lock().unwrap().push(token.clone());
        Some((
            StatusCode::OK,
            json!({"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": token}),
        ))
    }

    /// The Connector: a reply is recorded whatever its token, but refused without a good one.
    fn record_reply(
        &self,
        host: &str,
        path: &[&str],
        authorization: Option<&str>,
        body: &[u8],
    ) -> Option<Answer> {
        let activity: Value = serde_json::from_slice(body).ok()?;
        let at = path
            .windows(2)
            .position(|two| two == ["v3", "conversations"])?;
        let (service, method) = path.split_at(at);
        let (conversation, reply_to) = match method {
            [_, _, conversation, "activities", reply_to] => (*conversation, *reply_to),
            [_, _, conversation, "activities"] => (
                *conversation,
                activity["replyToId"].as_str().unwrap_or_default(),
            ),
            _ => return None,
        };
        let service: String = service.iter().map(|part| format!("{part}/")).collect();
        let service_url = format!("https://{host}/{service}");
        let token = authorization
            .and_then(|value| value.strip_prefix("Bearer "))
            .unwrap_or_default();
        let with_given_token = self
            .given_tokens
            .lock()
            .unwrap()
            .iter()
            .any(|given| given == token);
        if host == DIRECT_LINE
            && with_given_token
            && let Some(direct_line) = self.direct_line.get()
        {
            direct_line.reply(conversation, activity.clone());
        }
        let [conversation, reply_to] = [conversation, reply_to].map(str::to_owned);
        self.replies.lock().unwrap().push(Reply {
            service_url,
            conversation,
            reply_to,
            with_given_token,
            activity,
        });
        if with_given_token {
            Some((
                StatusCode::CREATED,
                json!({"id": uuid::Uuid::new_v4().to_string()}),
            ))
        } else {
            Some((
                StatusCode::UNAUTHORIZED,
                json!({"message": "Authorization has been denied for this request."}),
            ))
        }
    }

    fn note_unexpected(&self, what: String) {
        self.unexpected.lock().unwrap().push(what);
    }
}

type Answer = (StatusCode, Value);

/// One segment of a path: conversation ids hold `:`, `@` and `=`, which clients may escape.
fn decoded(segment: &str) -> String {
    let as_form_value = format!("={}", segment.replace('+', "%2B").replace('&', "%26"));
    let pair = url::form_urlencoded::parse(as_form_value.as_bytes()).next();
    pair.map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}
