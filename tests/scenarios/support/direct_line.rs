//! A stand-in for the token service of Direct Line: it makes tokens, does what else the scenario wants, and remembers who asked for what.

use super::Gateway;
use super::client::Post;
use super::reply::Reply;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

/// The page that every scenario trusts.
pub(crate) const PAGE: &str = "https://www.example.com";
/// Where a page gets a token.
pub(crate) const TOKEN: &str = "/directline/token";
/// Where it has it refreshed.
pub(crate) const REFRESH: &str = "/directline/token/refresh";
/// What must be seen nowhere.
pub(crate) const SECRET: &str = "s3cret-of-the-direct-line-site.first";
pub(crate) const SECOND: &str = "s3cret-of-the-direct-line-site.second";
/// A broker that asks no more of anybody than a scenario wants.
pub(crate) const GENEROUS: &str =
    "per_ip = { rate = '1000/s', burst = 1000 }\nper_session = { rate = '1000/s', burst = 1000 }";

/// What it does with a request.
#[derive(Clone, Debug)]
pub(crate) enum How {
    /// A token, good for so many seconds, for whoever has the secret in force or a token of its own.
    Gives(u64),
    /// This, whoever asks.
    Says(u16, String),
    /// The same, with a header.
    SaysWith(u16, &'static str, String, String),
    /// Nothing, for ever.
    Hangs,
    /// Bytes that are no HTTP.
    Raw(&'static [u8]),
}

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Asked {
    /// What it showed as its credentials.
    pub(crate) fn bearer(&self) -> &str {
        let value = self.headers[header::AUTHORIZATION].to_str().unwrap();
        value.strip_prefix("Bearer ").unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

struct State {
    how: How,
    /// The secret in force.
    secret: String,
    asked: Vec<Asked>,
    given: Vec<String>,
}

/// It runs until it is dropped.
pub(crate) struct TokenService {
    address: SocketAddr,
    scheme: &'static str,
    state: Arc<Mutex<State>>,
    _task: AbortOnDropHandle<()>,
}

impl TokenService {
    pub(crate) async fn start() -> Self {
        Self::serving(None).await
    }

    /// One that speaks TLS with this certificate.
    pub(crate) async fn with_tls(tls: rustls::ServerConfig) -> Self {
        Self::serving(Some(TlsAcceptor::from(Arc::new(tls)))).await
    }

    async fn serving(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let state = Arc::new(Mutex::new(State {
            how: How::Gives(1800),
            secret: SECRET.to_owned(),
            asked: vec![],
            given: vec![],
        }));
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (state, tls) = (Arc::clone(&shared), tls.clone());
                tokio::spawn(async move {
                    let raw = match &state.lock().unwrap().how {
                        How::Raw(bytes) => Some(*bytes),
                        _ => None,
                    };
                    if let Some(bytes) = raw {
                        // In answer to a request, and not before there is one.
                        let mut asked = [0; 16 * 1024];
                        let _read = stream.read(&mut asked).await;
                        let _left = stream.write_all(bytes).await;
                        return;
                    }
                    let service = service_fn(|request| answer(Arc::clone(&state), request));
                    let http = hyper::server::conn::http1::Builder::new();
                    match tls {
                        None => drop(http.serve_connection(TokioIo::new(stream), service).await),
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                drop(http.serve_connection(TokioIo::new(stream), service).await);
                            }
                        }
                    }
                });
            }
        });
        Self {
            address,
            scheme,
            state,
            _task: AbortOnDropHandle::new(task),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The broker `site`, with this more in its table.
    pub(crate) fn broker(&self, more: &str) -> String {
        self.broker_named("site", more)
    }

    pub(crate) fn broker_named(&self, name: &str, more: &str) -> String {
        let (scheme, port) = (self.scheme, self.address.port());
        let secret = if more.contains("secret =") {
            ""
        } else {
            "secret = 'file:secret'\n"
        };
        format!(
            "[[direct_line]]\nname = '{name}'\n{secret}endpoint = '{scheme}://localhost:{port}'\ntrusted_origins = ['{PAGE}']\n{more}\n"
        )
    }

    pub(crate) fn answers_as(&self, how: How) {
        self.state.lock().unwrap().how = how;
    }

    /// From now on only this secret is taken.
    pub(crate) fn takes_only(&self, secret: &str) {
        secret.clone_into(&mut self.state.lock().unwrap().secret);
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state.lock().unwrap().asked.clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.state.lock().unwrap().asked.len()
    }
}

async fn answer(
    state: Arc<Mutex<State>>,
    request: Request<Incoming>,
) -> io::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let asked = Asked {
        path: head.uri.path().to_owned(),
        headers: head.headers,
        body,
    };
    let how = {
        let mut state = state.lock().unwrap();
        state.asked.push(asked.clone());
        state.how.clone()
    };
    let (status, more, body) = match how {
        How::Gives(seconds) => {
            let (status, body) = state.lock().unwrap().give(&asked, seconds);
            (status, None, body)
        }
        How::Says(status, body) => (status, None, body),
        How::SaysWith(status, name, value, body) => (status, Some((name, value)), body),
        How::Hangs => std::future::pending().await,
        How::Raw(_) => return Err(io::ErrorKind::Unsupported.into()),
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status.try_into().unwrap();
    if let Some((name, value)) = more {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    Ok(response)
}

impl State {
    fn give(&mut self, asked: &Asked, seconds: u64) -> (u16, String) {
        let denied = |code: &str| {
            (
                403,
                json!({ "error": { "code": code, "message": "No." } }).to_string(),
            )
        };
        let is_known = match asked.path.as_str() {
            "/v3/directline/tokens/generate" => asked.bearer() == self.secret,
            "/v3/directline/tokens/refresh" => self.given.iter().any(|one| one == asked.bearer()),
            _ => return (404, String::new()),
        };
        if !is_known {
            return denied("BadArgument");
        }
        let token = format!("token-{}-of-a-conversation", self.given.len());
        self.given.push(token.clone());
        let answer = json!({
            "conversationId": "a-conversation", "token": token, "expires_in": seconds, "streamUrl": "wss://not.for.pages/",
        });
        (200, answer.to_string())
    }
}

/// A script of [`PAGE`] asks for a token.
pub(crate) fn page(gateway: &Gateway) -> Post {
    let post = Post::new(gateway.clone(), vec![])
        .path(TOKEN)
        .without_token();
    post.header("origin", PAGE).without_header("content-type")
}

/// It asks for another token in the place of one that it was given, with the cookie that came with it.
pub(crate) fn refreshing(gateway: &Gateway, last: &Reply) -> Post {
    let bearer = format!("Bearer {}", token_of(last));
    let post = page(gateway).path(REFRESH).authorization(&[&bearer]);
    post.header("cookie", &cookie_of(last))
}

/// The token of an answer.
pub(crate) fn token_of(reply: &Reply) -> String {
    reply.json()["token"].as_str().expect("a token").to_owned()
}

/// The cookie of an answer, as a browser sends it back.
pub(crate) fn cookie_of(reply: &Reply) -> String {
    let cookie = reply.header("set-cookie").expect("a cookie");
    cookie.split(';').next().unwrap().to_owned()
}

/// It got a token, and all that comes with it.
pub(crate) fn got_a_token(reply: &Reply) {
    assert_eq!(reply.status, 200, "{:?}", reply.body);
    let members: Vec<String> = reply.json().as_object().unwrap().keys().cloned().collect();
    let mut expected = vec!["token", "expires_in", "conversationId", "userId"];
    expected.sort_unstable();
    let mut members: Vec<&str> = members.iter().map(String::as_str).collect();
    members.sort_unstable();
    assert_eq!(members, expected);
    may_be_read(reply);
}

/// A trusted page may read the answer, and nobody keeps it.
pub(crate) fn may_be_read(reply: &Reply) {
    assert_eq!(reply.header("access-control-allow-origin"), Some(PAGE));
    assert_eq!(
        reply.header("access-control-allow-credentials"),
        Some("true")
    );
    assert_eq!(reply.header("vary"), Some("Origin"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
}

/// No page may read the answer.
pub(crate) fn may_not_be_read(reply: &Reply) {
    let told = reply.headers.keys().map(http::HeaderName::as_str);
    let told: Vec<&str> = told
        .filter(|name| name.starts_with("access-control"))
        .collect();
    assert_eq!(told, [""; 0]);
    assert_eq!(reply.header("set-cookie"), None);
    assert_eq!(reply.header("vary"), Some("Origin"));
}

/// What the service was given to keep is in no answer and in nothing that the gateway wrote.
pub(crate) fn no_secret_is_told(gateway: &Gateway, replies: &[&Reply]) {
    let output = gateway.output();
    let lines = output.stdout.iter().chain(&output.stderr).cloned();
    let told = replies
        .iter()
        .map(|reply| format!("{:?} {:?}", reply.headers, reply.body));
    for text in lines.chain(told) {
        for secret in [SECRET, SECOND, "s3cret"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

/// How long a scenario has the gateway wait for the service.
pub(crate) const IMPATIENT: Duration = Duration::from_millis(400);
