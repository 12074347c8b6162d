//! A stand-in for Direct Line 3.0: what Web Chat needs of it, with the rules that are documented.
//!
//! What users say it delivers to the bot through the gateway, as the channel does; and it is the Connector for what the bot says.

mod conversations;
mod stream;
mod tokens;

use self::conversations::{Conversations, since};
use self::tokens::{Claims, Flaw, Tokens};
use super::loopback::{Body, hold, read, whole};
use super::web_server::serve;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use serde_json::{Value, json};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

/// What brings an activity to the bot's messaging endpoint, and says what status came back.
pub type Deliver = Arc<dyn Fn(Value) -> Delivering + Send + Sync>;
/// The bringing.
pub type Delivering = Pin<Box<dyn Future<Output = io::Result<StatusCode>> + Send>>;

/// Who the bot is, to itself.
const BOT: &str = "stand-in-bot@demo";
/// The documentation's limit for a bot's answer.
const BOT_PATIENCE: Duration = Duration::from_secs(15);

/// A stand-in Direct Line service on 127.0.0.1. Clones are handles to the same one, which stops with the last of them.
#[derive(Clone)]
pub struct DirectLine {
    address: SocketAddr,
    shared: Arc<Shared>,
    _server: Arc<AbortOnDropHandle<()>>,
}

struct Shared {
    secret: String,
    tokens: Tokens,
    conversations: Conversations,
    /// What browsers and bots know it as.
    origin: Mutex<String>,
    deliver: Mutex<Option<Deliver>>,
    asked: Mutex<Vec<Asked>>,
}

/// A request that it got.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Method and path, without the query.
    pub line: String,
    /// The page that made a browser ask.
    pub origin: Option<String>,
    /// Whether it carried the secret.
    pub with_secret: bool,
    /// The answer.
    pub status: StatusCode,
}

impl DirectLine {
    /// Starts it for a bot with this secret.
    ///
    /// # Errors
    /// When there is no port or no randomness to be had.
    pub async fn start(secret: &str) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            secret: secret.to_owned(),
            tokens: Tokens::new()?,
            conversations: Conversations::default(),
            origin: Mutex::new(format!("http://{address}")),
            deliver: Mutex::default(),
            asked: Mutex::default(),
        });
        let answering = Arc::clone(&shared);
        let server = serve(listener, None, move |request| {
            Arc::clone(&answering).answer(request)
        });
        Ok(Self {
            address,
            shared,
            _server: Arc::new(server),
        })
    }

    /// `http://127.0.0.1:PORT`: what a broker's `endpoint` is set to.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where bots send their answers to.
    pub fn service_url(&self) -> String {
        format!("{}/", hold(&self.shared.origin))
    }

    /// Says that it stands behind another origin, from which requests are handed to [`answer`](Self::answer).
    pub fn stand_behind(&self, origin: &str) {
        origin.clone_into(&mut hold(&self.shared.origin));
    }

    /// Says how activities get to the bot. Until then none do.
    pub fn deliver_with(&self, deliver: impl Fn(Value) -> Delivering + Send + Sync + 'static) {
        *hold(&self.shared.deliver) = Some(Arc::new(deliver));
    }

    /// Takes in what the bot says in a conversation, if there is such a one; gives the id of the activity.
    pub fn reply(&self, conversation: &str, activity: Value) -> Option<String> {
        self.shared.reply(conversation, activity)
    }

    /// Everything said in a conversation.
    pub fn said(&self, conversation: &str) -> Vec<Value> {
        let said = self.shared.conversations.follow(conversation);
        said.map(|said| said.borrow().clone()).unwrap_or_default()
    }

    /// Puts its clock forward, for tokens.
    pub fn advance(&self, seconds: u64) {
        self.shared.tokens.advance(seconds);
    }

    /// How long tokens are good that are made from now on.
    pub fn tokens_live_for(&self, seconds: u64) {
        self.shared.tokens.live_for(seconds);
    }

    /// What was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        hold(&self.shared.asked).clone()
    }

    /// Answers a request that came in elsewhere.
    pub fn answer(
        &self,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Body>> + Send + use<> {
        Arc::clone(&self.shared).answer(request)
    }
}

/// Who asks.
enum Caller {
    /// The owner of the bot, for whatever conversation.
    Secret,
    /// Someone who was given a token.
    Token(Claims),
}

/// Why a request is refused.
struct Refusal(StatusCode, &'static str, &'static str);

const NO_SUCH: Refusal = Refusal(StatusCode::NOT_FOUND, "NotFound", "There is no such thing.");
const NOT_ALLOWED: Refusal = Refusal(
    StatusCode::FORBIDDEN,
    "NotAllowed",
    "This token is not for that.",
);

type Answer = Result<Response<Body>, Refusal>;

impl Shared {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let line = format!("{} {}", request.method(), request.uri().path());
        let origin = text(request.headers(), &header::ORIGIN).map(str::to_owned);
        let with_secret = bearer(request.headers()) == Some(&self.secret);
        let mut response = match self.route(request).await {
            Ok(response) => response,
            Err(Refusal(status, code, message)) => json_answer(
                status,
                &json!({ "error": { "code": code, "message": message } }),
            ),
        };
        hold(&self.asked).push(Asked {
            line,
            origin,
            with_secret,
            status: response.status(),
        });
        // Any page may ask. Which may be answered says the token.
        for (name, value) in [
            (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
            (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
            (
                header::ACCESS_CONTROL_ALLOW_HEADERS,
                "authorization, content-type, x-ms-bot-agent, x-requested-with",
            ),
        ] {
            response
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
        response
    }

    async fn route(self: &Arc<Self>, request: Request<Incoming>) -> Answer {
        let path = request.uri().path().to_owned();
        let path: Vec<String> = path.split('/').skip(1).map(decoded).collect();
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let method = request.method().clone();
        match (&method, path.as_slice()) {
            (&Method::OPTIONS, _) => Ok(status_only(StatusCode::NO_CONTENT)),
            (&Method::POST, ["v3", "directline", "tokens", "generate"]) => {
                self.generate(request).await
            }
            (&Method::POST, ["v3", "directline", "tokens", "refresh"]) => self.refresh(&request),
            (&Method::POST, ["v3", "directline", "conversations"]) => self.start(&request),
            (_, ["v3", "directline", "conversations", conversation, rest @ ..]) => {
                self.follow_or_say(&method, conversation, rest, request)
                    .await
            }
            (&Method::POST, ["v3", "conversations", conversation, "activities", ..]) => {
                self.connector(conversation, request).await
            }
            _ => Err(NO_SUCH),
        }
    }

    /// Who asks, if that can be said and the page may.
    fn caller(&self, headers: &HeaderMap, token: Option<&str>) -> Result<Caller, Refusal> {
        let missing = Refusal(
            StatusCode::UNAUTHORIZED,
            "Unauthorized",
            "A token is missing.",
        );
        let token = token.ok_or(missing)?;
        if token == self.secret {
            return Ok(Caller::Secret);
        }
        let claims = self.tokens.read(token).map_err(|flaw| match flaw {
            Flaw::Expired => Refusal(StatusCode::FORBIDDEN, "TokenExpired", "Token has expired"),
            Flaw::Foreign => NOT_ALLOWED,
        })?;
        if let Some(origin) = text(headers, &header::ORIGIN)
            && !claims.origins.is_empty()
            && !claims.origins.iter().any(|trusted| trusted == origin)
        {
            return Err(Refusal(
                StatusCode::FORBIDDEN,
                "NotAllowed",
                "The page's origin is not a trusted one of the token.",
            ));
        }
        Ok(Caller::Token(claims))
    }

    /// Who asks, and only someone with a token.
    fn holder(&self, headers: &HeaderMap) -> Result<Claims, Refusal> {
        match self.caller(headers, bearer(headers))? {
            Caller::Token(claims) => Ok(claims),
            // The real service allows it; nothing here should ever do it.
            Caller::Secret => Err(NOT_ALLOWED),
        }
    }

    async fn generate(&self, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        let Caller::Secret = self.caller(&head.headers, bearer(&head.headers))? else {
            return Err(NOT_ALLOWED);
        };
        let malformed = Refusal(
            StatusCode::BAD_REQUEST,
            "BadArgument",
            "That is no JSON object.",
        );
        let body = read(body).await.unwrap_or_default();
        let wish: Value = match body.is_empty() {
            true => json!({}),
            false => serde_json::from_slice(&body).map_err(|_| malformed)?,
        };
        let user = wish.pointer("/user/id").and_then(Value::as_str);
        if user.is_some_and(|user| !user.starts_with("dl_")) {
            return Err(Refusal(
                StatusCode::BAD_REQUEST,
                "BadArgument",
                "A user id in a token must begin with dl_",
            ));
        }
        let origins = wish.get("trustedOrigins").and_then(Value::as_array);
        let origins = origins.into_iter().flatten().filter_map(Value::as_str);
        let conversation = uuid::Uuid::new_v4().simple().to_string();
        let token = self.tokens.issue(
            &conversation,
            user.map(str::to_owned),
            origins.map(str::to_owned).collect(),
        );
        Ok(self.given(StatusCode::OK, &conversation, &token))
    }

    fn refresh(&self, request: &Request<Incoming>) -> Answer {
        let claims = self.holder(request.headers())?;
        let token = self
            .tokens
            .issue(&claims.conversation, claims.user, claims.origins);
        Ok(self.given(StatusCode::OK, &claims.conversation, &token))
    }

    /// A token, as it is handed out.
    fn given(&self, status: StatusCode, conversation: &str, token: &str) -> Response<Body> {
        let body = json!({
            "conversationId": conversation,
            "token": token,
            "expires_in": self.tokens.lifetime_seconds(),
        });
        json_answer(status, &body)
    }

    /// Begins the conversation of the token, and tells the bot who is there.
    fn start(self: &Arc<Self>, request: &Request<Incoming>) -> Answer {
        let claims = self.holder(request.headers())?;
        let is_new = self.conversations.begin(&claims.conversation);
        let user = claims.user.clone().unwrap_or_default();
        if is_new {
            let mut update = json!({
                "type": "conversationUpdate",
                "from": { "id": user },
                "membersAdded": [{ "id": BOT }, { "id": user }],
            });
            conversations::stamp(&mut update, &claims.conversation, 0);
            let this = Arc::clone(self);
            tokio::spawn(async move {
                // Nobody waits for what the bot makes of it.
                let _status = this.deliver(update).await;
            });
        }
        let status = if is_new {
            StatusCode::CREATED
        } else {
            StatusCode::OK
        };
        Ok(self.entrance(status, claims, 0))
    }

    /// Everything about one conversation, for the holder of its token.
    async fn follow_or_say(
        self: &Arc<Self>,
        method: &Method,
        conversation: &str,
        rest: &[&str],
        mut request: Request<Incoming>,
    ) -> Answer {
        let query = request.uri().query().unwrap_or_default().as_bytes();
        let query: Vec<_> = url::form_urlencoded::parse(query).into_owned().collect();
        let asked = |name: &str| {
            let found = query.iter().find(|(other, _)| other == name);
            found.map(|(_, value)| value.as_str())
        };
        // "-" and nothing are the beginning.
        let watermark = asked("watermark").and_then(|mark| mark.parse().ok());
        let watermark = watermark.unwrap_or_default();
        let claims = match rest {
            // A browser's WebSocket carries no header of the page's, hence the token in the address.
            ["stream"] => match self.caller(request.headers(), asked("t"))? {
                Caller::Token(claims) => claims,
                Caller::Secret => return Err(NOT_ALLOWED),
            },
            _ => self.holder(request.headers())?,
        };
        if claims.conversation != conversation {
            return Err(NOT_ALLOWED);
        }
        let said = self.conversations.follow(conversation).ok_or(NO_SUCH)?;
        match (method, rest) {
            (&Method::GET, []) => Ok(self.entrance(StatusCode::OK, claims, watermark)),
            (&Method::GET, ["stream"]) => {
                stream::open(&mut request, said, watermark).ok_or(Refusal(
                    StatusCode::BAD_REQUEST,
                    "BadArgument",
                    "This is a WebSocket.",
                ))
            }
            (&Method::GET, ["activities"]) => {
                let set = since(&said.borrow(), watermark);
                Ok(json_answer(StatusCode::OK, &set))
            }
            (&Method::POST, ["activities"]) => {
                let body = read(request.into_body()).await.unwrap_or_default();
                self.say(claims, &body).await
            }
            (&Method::POST, ["upload"]) => Err(Refusal(
                StatusCode::NOT_IMPLEMENTED,
                "NotSupported",
                "The stand-in takes no files.",
            )),
            _ => Err(NO_SUCH),
        }
    }

    /// What a user says: to everybody who follows, and to the bot.
    async fn say(&self, claims: Claims, body: &[u8]) -> Answer {
        const MALFORMED: Refusal = Refusal(
            StatusCode::BAD_REQUEST,
            "BadArgument",
            "That is no activity.",
        );
        let mut activity: Value = serde_json::from_slice(body).map_err(|_| MALFORMED)?;
        let members = activity.as_object_mut().ok_or(MALFORMED)?;
        if let Some(user) = claims.user {
            // Whatever the client claims to be: the id in the token counts.
            let name = members.get("from").and_then(|from| from.get("name"));
            let from = json!({ "id": user, "name": name.cloned().unwrap_or_else(|| json!("")) });
            members.insert("from".to_owned(), from);
        }
        let said = self.conversations.append(&claims.conversation, activity);
        let said = said.ok_or(NO_SUCH)?;
        let id = json!({ "id": said.get("id") });
        match self.deliver(said).await {
            Ok(status) if status.is_success() => Ok(json_answer(StatusCode::OK, &id)),
            _ => Err(Refusal(
                StatusCode::BAD_GATEWAY,
                "BotRejectedActivity",
                "Failed to send activity: bot returned an error",
            )),
        }
    }

    /// Sends an activity to the bot as the channel does.
    async fn deliver(&self, mut activity: Value) -> io::Result<StatusCode> {
        let deliver = hold(&self.deliver).clone();
        let deliver = deliver.ok_or(io::ErrorKind::NotConnected)?;
        if let Some(members) = activity.as_object_mut() {
            members.insert("channelId".to_owned(), json!("directline"));
            members.insert("recipient".to_owned(), json!({ "id": BOT, "name": "bot" }));
            let service_url = format!("{}/", hold(&self.origin));
            members.insert("serviceUrl".to_owned(), json!(service_url));
        }
        tokio::time::timeout(BOT_PATIENCE, deliver(activity)).await?
    }

    /// What a bot sends to the Connector.
    async fn connector(&self, conversation: &str, request: Request<Incoming>) -> Answer {
        let body = read(request.into_body()).await.unwrap_or_default();
        let activity = serde_json::from_slice(&body).unwrap_or_default();
        let id = self.reply(conversation, activity).ok_or(NO_SUCH)?;
        Ok(json_answer(StatusCode::CREATED, &json!({ "id": id })))
    }

    fn reply(&self, conversation: &str, mut activity: Value) -> Option<String> {
        let from = json!({ "id": BOT, "name": "bot", "role": "bot" });
        activity.as_object_mut()?.insert("from".to_owned(), from);
        let said = self.conversations.append(conversation, activity)?;
        said.get("id")?.as_str().map(str::to_owned)
    }

    /// Where a conversation can be followed, and with what.
    fn entrance(&self, status: StatusCode, claims: Claims, watermark: usize) -> Response<Body> {
        let conversation = claims.conversation;
        let token = self
            .tokens
            .issue(&conversation, claims.user, claims.origins);
        let origin = hold(&self.origin).replacen("http", "ws", 1);
        let stream = format!(
            "{origin}/v3/directline/conversations/{conversation}/stream?watermark={watermark}&t={token}"
        );
        json_answer(
            status,
            &json!({
                "conversationId": conversation,
                "token": token,
                "expires_in": self.tokens.lifetime_seconds(),
                "streamUrl": stream,
                "referenceGrammarId": uuid::Uuid::new_v4().to_string(),
            }),
        )
    }
}

fn json_answer(status: StatusCode, body: &Value) -> Response<Body> {
    let mut response = Response::new(whole(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json; charset=utf-8"),
    );
    response
}

fn status_only(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(whole(Bytes::new()));
    *response.status_mut() = status;
    response
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    text(headers, &header::AUTHORIZATION)?.strip_prefix("Bearer ")
}

/// One segment of a path.
fn decoded(segment: &str) -> String {
    let as_form_value = format!("={}", segment.replace('+', "%2B").replace('&', "%26"));
    let pair = url::form_urlencoded::parse(as_form_value.as_bytes()).next();
    pair.map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
