//! Requests as the channel sends them, each with one thing wrong if the scenario wants it.

use super::gateway::Gateway;
use super::reply::Reply;
use super::wire::head_end;
use super::{APP_ID, PATIENCE};
use botgate::cli::demo::bot::MESSAGES_PATH;
use botgate::cli::demo::channel::{Channel, TEAMS_SERVICE_URL};
use botgate::cli::demo::client::{Connection, Protocol, SERVER_NAME};
use botgate::cli::demo::token::TokenSpec;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, header};
use http_body_util::BodyExt as _;
use serde_json::Value;
use std::io;

/// A request about to be sent. As it comes it is valid; every method makes one change.
pub(crate) struct Post {
    gateway: Gateway,
    protocol: Protocol,
    method: Method,
    path: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    channel: Channel,
    app_id: String,
    authorization: Authorization,
    spelling: Spelling,
    body: Vec<u8>,
}

enum Authorization {
    /// A token for the body's service URL, after these changes.
    Token(Vec<Box<dyn FnOnce(TokenSpec) -> TokenSpec + Send>>),
    /// These header values.
    Values(Vec<String>),
}

/// Makes the `Authorization` headers of a token.
type Spelling = Box<dyn FnOnce(String) -> Vec<String> + Send>;

impl Post {
    pub(crate) fn new(gateway: Gateway, body: Vec<u8>) -> Self {
        let headers = vec![
            (header::HOST, HeaderValue::from_static(SERVER_NAME)),
            (
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json; charset=utf-8"),
            ),
            (
                header::USER_AGENT,
                HeaderValue::from_static("Microsoft-SkypeBotApi (Microsoft-BotFramework/3.0)"),
            ),
        ];
        Self {
            channel: gateway.channel().clone(),
            gateway,
            protocol: Protocol::Http1,
            method: Method::POST,
            path: MESSAGES_PATH.to_owned(),
            headers,
            app_id: APP_ID.to_owned(),
            authorization: Authorization::Token(vec![]),
            spelling: Box::new(|token| vec![format!("Bearer {token}")]),
            body,
        }
    }

    pub(crate) const fn over_http2(self) -> Self {
        self.over(Protocol::Http2)
    }

    pub(crate) const fn over(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    pub(crate) fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    pub(crate) fn path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// Sends it to a bot made with [`another_bot`](super::gateway::Setup::another_bot).
    pub(crate) fn to(self, bot: &str) -> Self {
        self.path(&format!("/{bot}"))
    }

    /// Lets another channel make the token.
    pub(crate) fn through(mut self, channel: &Channel) -> Self {
        self.channel = channel.clone();
        self
    }

    /// Makes the token for another bot.
    pub(crate) fn for_app(mut self, app_id: &str) -> Self {
        app_id.clone_into(&mut self.app_id);
        self
    }

    /// Sets `Host`, or `:authority`.
    pub(crate) fn host(self, host: &str) -> Self {
        self.header("host", host)
    }

    /// Sets a header in place of any with this name.
    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        self.without_header(name).also_header(name, value)
    }

    /// Adds a header beside any with this name.
    pub(crate) fn also_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((
            name.parse().expect("a header name"),
            value.parse().expect("a header value"),
        ));
        self
    }

    pub(crate) fn without_header(mut self, name: &str) -> Self {
        self.headers
            .retain(|(other, _)| !other.as_str().eq_ignore_ascii_case(name));
        self
    }

    /// Changes the token before it is signed.
    pub(crate) fn token(
        mut self,
        change: impl FnOnce(TokenSpec) -> TokenSpec + Send + 'static,
    ) -> Self {
        match &mut self.authorization {
            Authorization::Token(changes) => changes.push(Box::new(change)),
            Authorization::Values(_) => {
                self.authorization = Authorization::Token(vec![Box::new(change)])
            }
        }
        self
    }

    /// Writes the token into `Authorization` headers in another way.
    pub(crate) fn spelled(
        mut self,
        spelling: impl FnOnce(String) -> Vec<String> + Send + 'static,
    ) -> Self {
        self.spelling = Box::new(spelling);
        self
    }

    pub(crate) fn without_token(self) -> Self {
        self.authorization(&[])
    }

    /// Sends these `Authorization` headers in place of a token.
    pub(crate) fn authorization(mut self, values: &[&str]) -> Self {
        self.authorization =
            Authorization::Values(values.iter().map(|&value| value.to_owned()).collect());
        self
    }

    /// Changes the activity, which is then written anew. A token made for it follows its service URL.
    pub(crate) fn activity(mut self, change: impl FnOnce(&mut Value)) -> Self {
        let mut activity =
            serde_json::from_slice(&self.body).expect("the activity is JSON before this change");
        change(&mut activity);
        self.body = activity.to_string().into_bytes();
        self
    }

    /// Sets the member of the activity that a JSON pointer names; what is around it must be there.
    pub(crate) fn with(self, pointer: &str, value: impl Into<Value>) -> Self {
        let (parent, name) = pointer.rsplit_once('/').expect("a JSON pointer");
        self.activity(|activity| {
            activity.pointer_mut(parent).expect("what is around it")[name] = value.into();
        })
    }

    /// Removes the member of the activity that a JSON pointer names.
    pub(crate) fn lacking(self, pointer: &str) -> Self {
        let (parent, name) = pointer.rsplit_once('/').expect("a JSON pointer");
        self.activity(|activity| {
            let around = activity.pointer_mut(parent).and_then(Value::as_object_mut);
            around
                .expect("what is around it")
                .remove(name)
                .expect("it was there");
        })
    }

    /// Changes the body as text, where JSON values cannot say what is wrong with it.
    pub(crate) fn text(mut self, change: impl FnOnce(String) -> String) -> Self {
        self.body =
            change(String::from_utf8(self.body).expect("the body is UTF-8 before this change"))
                .into_bytes();
        self
    }

    /// Replaces the body.
    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends it and reads the whole answer.
    pub(crate) async fn send(self) -> Reply {
        let gateway = self.gateway.clone();
        self.try_send()
            .await
            .unwrap_or_else(|error| panic!("no answer: {error}\n{}", gateway.output()))
    }

    /// Sends it, on a connection of its own.
    pub(crate) async fn try_send(self) -> io::Result<Reply> {
        let (gateway, protocol) = (self.gateway.clone(), self.protocol);
        let seen_before = gateway.bot().count();
        let request = self.into_request();
        let sent = Sent::of(&request);
        let response = gateway.client().send(protocol, request);
        let response = tokio::time::timeout(PATIENCE, response).await??;
        Ok(Reply::new(gateway, sent, seen_before, response))
    }

    /// Sends it on a connection that is already open.
    pub(crate) async fn send_on(self, connection: &mut Connection) -> Reply {
        let gateway = self.gateway.clone();
        let seen_before = gateway.bot().count();
        let request = self.into_request();
        let sent = Sent::of(&request);
        let answer = async {
            let (head, body) = connection.send(request).await?.into_parts();
            let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
            Ok::<_, io::Error>(Response::from_parts(head, body))
        };
        let response = tokio::time::timeout(PATIENCE, answer)
            .await
            .expect("an answer in time");
        let response =
            response.unwrap_or_else(|error| panic!("no answer: {error}\n{}", gateway.output()));
        Reply::new(gateway, sent, seen_before, response)
    }

    /// The length of its body.
    pub(crate) fn length(&self) -> usize {
        self.body.len()
    }

    /// The request, for scenarios that care about the connection it is sent on.
    pub(crate) fn into_request(mut self) -> Request<Bytes> {
        let values = self.authorization_values();
        let mut request = Request::new(Bytes::from(self.body));
        *request.method_mut() = self.method;
        *request.uri_mut() = self
            .path
            .parse()
            .expect("a path that can be sent; else use into_bytes");
        for (name, value) in self.headers {
            request.headers_mut().append(name, value);
        }
        for value in values {
            request.headers_mut().append(
                header::AUTHORIZATION,
                value.parse().expect("a header value"),
            );
        }
        request
    }

    /// The request as HTTP/1.1 puts it on the wire, to be spoiled and sent with [`send_raw`](super::wire::send_raw).
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        let framing = format!("content-length: {}", self.body.len());
        self.into_pieces(&framing).concat()
    }

    /// Head and body of the request, with this header to say where the body ends.
    pub(crate) fn into_pieces(mut self, framing: &str) -> [Vec<u8>; 2] {
        use std::fmt::Write as _;
        let values = self.authorization_values();
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().expect("visible")));
        for (name, value) in
            headers.chain(values.iter().map(|value| ("authorization", value.as_str())))
        {
            write!(head, "{name}: {value}\r\n").expect("strings take everything");
        }
        write!(head, "{framing}\r\n\r\n").expect("strings take everything");
        [head.into_bytes(), self.body]
    }

    /// Makes the token, if there is to be one.
    fn authorization_values(&mut self) -> Vec<String> {
        match std::mem::replace(&mut self.authorization, Authorization::Values(vec![])) {
            Authorization::Values(values) => values,
            Authorization::Token(changes) => {
                let activity: Value = serde_json::from_slice(&self.body).unwrap_or_default();
                let service_url = activity["serviceUrl"].as_str().unwrap_or(TEAMS_SERVICE_URL);
                let valid = self.channel.token(&self.app_id, service_url);
                let spec = changes.into_iter().fold(valid, |spec, change| change(spec));
                let spelling = std::mem::replace(&mut self.spelling, Box::new(|_| vec![]));
                spelling(spec.sign().expect("the key signs"))
            }
        }
    }
}

/// What of a request is needed to judge the answer.
#[derive(Clone, Default)]
pub(crate) struct Sent {
    pub(crate) authorization: Vec<String>,
    pub(crate) body: Bytes,
}

impl Sent {
    pub(crate) fn of(request: &Request<Bytes>) -> Self {
        let values = request.headers().get_all(header::AUTHORIZATION).iter();
        let authorization = values
            .map(|value| value.to_str().expect("visible").to_owned())
            .collect();
        Self {
            authorization,
            body: request.body().clone(),
        }
    }

    /// What a lenient reader finds in the bytes of one request.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Self {
        let head_end = head_end(bytes).unwrap_or(bytes.len());
        let head = String::from_utf8_lossy(&bytes[..head_end]);
        let headers = head.split("\r\n").filter_map(|line| line.split_once(':'));
        let authorization = headers
            .filter(|(name, _)| name.trim().eq_ignore_ascii_case("authorization"))
            .map(|(_, value)| value.trim().to_owned())
            .collect();
        let body = bytes.get(head_end + 4..).unwrap_or_default();
        Self {
            authorization,
            body: Bytes::copy_from_slice(body),
        }
    }
}

/// The same request for either protocol.
pub(crate) fn both(post: impl Fn() -> Post) -> [Post; 2] {
    [post(), post().over_http2()]
}

/// The bytes of a request, in which the first `from` is `to`.
pub(crate) fn replaced(post: Post, from: &str, to: &str) -> Vec<u8> {
    let bytes = String::from_utf8(post.into_bytes()).unwrap();
    bytes.replacen(from, to, 1).into_bytes()
}
