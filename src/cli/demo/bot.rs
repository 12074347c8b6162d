//! A stand-in bot: remembers every request it gets, and answers as an echo bot or as it is told.

use super::loopback::{Loopback, Outcome, ask, hold, read, whole};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header,
};
use http_body_util::BodyExt as _;
use hyper::body::{Frame, Incoming};
use serde_json::{Value, json};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use url::{Host, Url};

/// The path of its messaging endpoint.
pub const MESSAGES_PATH: &str = "/api/messages";

/// A recording bot on 127.0.0.1. Clones are handles to the same one, which stops with the last of them.
#[derive(Clone)]
pub struct EchoBot {
    server: Arc<Loopback>,
    shared: Arc<Shared>,
}

/// A request as the bot got it.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// HTTP version.
    pub version: Version,
    /// Headers in the order of first appearance.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body, byte for byte; `None` if it ended early.
    pub body: Option<Bytes>,
}

impl Recorded {
    /// Every value of a header, as text.
    pub fn header(&self, name: &str) -> Vec<String> {
        let same = self
            .headers
            .iter()
            .filter(|(other, _)| other.as_str().eq_ignore_ascii_case(name));
        same.map(|(_, value)| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect()
    }

    /// The body as JSON; null if it is none.
    pub fn activity(&self) -> Value {
        self.body
            .as_ref()
            .and_then(|body| serde_json::from_slice(body).ok())
            .unwrap_or_default()
    }
}

/// What the bot says to one request.
#[derive(Debug)]
pub struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    content: Content,
    delay: Duration,
}

#[derive(Debug)]
enum Content {
    Whole(Bytes),
    Stream(mpsc::UnboundedReceiver<io::Result<Bytes>>),
    Raw(Bytes),
    Never,
}

impl Answer {
    /// An answer without a body.
    pub fn status(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            content: Content::Whole(Bytes::new()),
            delay: Duration::ZERO,
        }
    }

    /// 200 with a JSON body.
    pub fn json(body: &Value) -> Self {
        Self::status(StatusCode::OK)
            .header(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json; charset=utf-8"),
            )
            .body(body.to_string())
    }

    /// 200 with a body that is sent piece by piece, as server-sent events are; the handle says when.
    pub fn stream(content_type: &'static str) -> (Self, Pieces) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut answer = Self::status(StatusCode::OK)
            .header(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        answer.content = Content::Stream(receiver);
        (answer, Pieces(sender))
    }

    /// These bytes in place of an HTTP answer, then the connection is closed. No bytes: just closed.
    pub fn raw(bytes: impl Into<Bytes>) -> Self {
        Self {
            content: Content::Raw(bytes.into()),
            ..Self::status(StatusCode::OK)
        }
    }

    /// No answer, ever, on a connection that stays open.
    pub fn hang() -> Self {
        Self {
            content: Content::Never,
            ..Self::status(StatusCode::OK)
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.content = Content::Whole(body.into());
        self
    }

    /// Sets the status.
    #[must_use]
    pub const fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Waits this long before the first byte.
    #[must_use]
    pub const fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    async fn outcome(self) -> Outcome {
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        let body = match self.content {
            Content::Whole(bytes) => whole(bytes),
            Content::Stream(receiver) => Streamed(receiver).boxed_unsync(),
            Content::Raw(bytes) => return Outcome::Raw(bytes),
            Content::Never => std::future::pending().await,
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        Outcome::Answer(response)
    }
}

/// Releases the pieces of a streamed answer. Dropping it ends the answer as it should end.
#[derive(Debug)]
pub struct Pieces(mpsc::UnboundedSender<io::Result<Bytes>>);

impl Pieces {
    /// Sends the next piece; false if nobody listens any more.
    pub fn send(&self, piece: impl Into<Bytes>) -> bool {
        self.0.send(Ok(piece.into())).is_ok()
    }

    /// Breaks the connection off in the middle of the answer.
    pub fn break_off(self) {
        let _nobody_listens = self
            .0
            .send(Err(io::Error::from(io::ErrorKind::ConnectionAborted)));
    }

    /// Waits until the other side went away, or time is up; says whether it did.
    pub async fn wait_until_abandoned(&self, within: Duration) -> bool {
        tokio::time::timeout(within, self.0.closed()).await.is_ok()
    }
}

struct Streamed(mpsc::UnboundedReceiver<io::Result<Bytes>>);

impl hyper::body::Body for Streamed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Ready(ready!(self.0.poll_recv(context)).map(|piece| piece.map(Frame::data)))
    }
}

type Script = Arc<dyn Fn(&Recorded) -> Answer + Send + Sync>;

struct Shared {
    /// What to answer; `None` to echo.
    script: Mutex<Option<Script>>,
    seen: watch::Sender<Vec<Recorded>>,
}

impl EchoBot {
    /// Starts it as an echo bot.
    ///
    /// # Errors
    /// When there is no port to be had.
    pub async fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared {
            script: Mutex::new(None),
            seen: watch::Sender::new(vec![]),
        });
        let seen = Arc::clone(&shared);
        let server = Loopback::start(move |request| answer(Arc::clone(&seen), request)).await?;
        Ok(Self {
            server: Arc::new(server),
            shared,
        })
    }

    /// Its messaging endpoint: what a gateway's `backend` is set to.
    pub fn messages_url(&self) -> String {
        format!("http://{}{MESSAGES_PATH}", self.server.address())
    }

    /// Answers every request from now on as `script` says.
    pub fn answer_with(&self, script: impl Fn(&Recorded) -> Answer + Send + Sync + 'static) {
        *hold(&self.shared.script) = Some(Arc::new(script));
    }

    /// Answers every request from now on with a stream, and hands out the handle of each.
    pub fn answer_with_streams(
        &self,
        content_type: &'static str,
    ) -> mpsc::UnboundedReceiver<Pieces> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.answer_with(move |_| {
            let (answer, pieces) = Answer::stream(content_type);
            let _nobody_wants_it = sender.send(pieces);
            answer
        });
        receiver
    }

    /// Goes back to echoing.
    pub fn echo(&self) {
        *hold(&self.shared.script) = None;
    }

    /// Every request so far.
    pub fn seen(&self) -> Vec<Recorded> {
        self.shared.seen.borrow().clone()
    }

    /// Waits until it saw `count` requests in all, or time is up; either way says what it saw.
    pub async fn wait_until_seen(&self, count: usize, within: Duration) -> Vec<Recorded> {
        let mut seen = self.shared.seen.subscribe();
        let enough = seen.wait_for(|seen| seen.len() >= count);
        let _in_time = tokio::time::timeout(within, enough).await.is_ok();
        self.seen()
    }

    /// Closes the port: connections are refused.
    pub async fn close(&self) {
        self.server.close().await;
    }

    /// Opens the same port again.
    ///
    /// # Errors
    /// When someone else took the port meanwhile.
    pub async fn reopen(&self) -> io::Result<()> {
        self.server.reopen().await
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Outcome {
    let (head, body) = request.into_parts();
    let recorded = Recorded {
        method: head.method,
        path: head.uri.to_string(),
        version: head.version,
        headers: head
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        body: read(body).await,
    };
    shared.seen.send_modify(|seen| seen.push(recorded.clone()));
    let script = hold(&shared.script).clone();
    let answer = match script {
        Some(script) => script(&recorded),
        None => echo(&recorded.activity()).await,
    };
    answer.outcome().await
}

/// What a bot made with the SDK does: answers a message through the Connector, an invoke in the response itself.
async fn echo(activity: &Value) -> Answer {
    let text = |name: &str| {
        activity
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    match (text("type"), text("name")) {
        ("message", _) => {
            let reply = json!({
                "type": "message",
                "channelId": activity.get("channelId"),
                "from": activity.get("recipient"),
                "recipient": activity.get("from"),
                "conversation": activity.get("conversation"),
                "replyToId": activity.get("id"),
                "text": format!("echo: {}", text("text")),
            });
            if text("deliveryMode") == "expectReplies" {
                return Answer::json(&json!({ "activities": [reply] }));
            }
            if let Some(url) = reply_url(activity) {
                // A Connector that is away is not this bot's concern.
                let _delivered = ask(Method::POST, &url, Bytes::from(reply.to_string())).await;
            }
            Answer::status(StatusCode::OK)
        }
        ("invoke", "adaptiveCard/action") => Answer::json(&json!({
            "statusCode": 200,
            "type": "application/vnd.microsoft.activity.message",
            "value": "approved",
        })),
        (
            "invoke",
            "task/fetch" | "composeExtension/query" | "signin/tokenExchange" | "signin/verifyState",
        ) => Answer::json(&json!({ "echo": text("name") })),
        // What the SDK answers to an invoke it has no handler for.
        ("invoke", _) => Answer::status(StatusCode::NOT_IMPLEMENTED),
        _ => Answer::status(StatusCode::OK),
    }
}

/// Where to reply; `None` unless the service URL is a stand-in Connector on this machine.
fn reply_url(activity: &Value) -> Option<String> {
    let mut url = Url::parse(activity.get("serviceUrl")?.as_str()?).ok()?;
    let is_loopback = match url.host()? {
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
        Host::Domain(name) => name == "localhost",
    };
    if url.scheme() != "http" || !is_loopback {
        return None;
    }
    let conversation = activity.pointer("/conversation/id")?.as_str()?;
    url.path_segments_mut().ok()?.pop_if_empty().extend([
        "v3",
        "conversations",
        conversation,
        "activities",
    ]);
    Some(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::channel::Channel;

    const SOON: Duration = Duration::from_secs(10);

    async fn send(bot: &EchoBot, activity: &Value) -> Response<Bytes> {
        ask(
            Method::POST,
            &bot.messages_url(),
            Bytes::from(activity.to_string()),
        )
        .await
        .unwrap()
    }

    #[tokio::test]
    async fn a_message_is_recorded_and_echoed_through_the_connector() {
        let (bot, channel) = (
            EchoBot::start().await.unwrap(),
            Channel::start().await.unwrap(),
        );
        let message = json!({
            "type": "message", "text": "hello", "serviceUrl": channel.service_url(), "conversation": { "id": "a:1/2" },
        });
        let response = send(&bot, &message).await;
        assert_eq!(
            (response.status(), response.body().len()),
            (StatusCode::OK, 0)
        );
        let deliveries = channel.wait_for_deliveries(1, SOON).await;
        assert_eq!(deliveries[0].path, "/v3/conversations/a:1%2F2/activities");
        assert_eq!(deliveries[0].activity()["text"], "echo: hello");
        let seen = bot.wait_until_seen(1, SOON).await;
        assert_eq!(seen[0].path, MESSAGES_PATH);
        assert_eq!(seen[0].header("Content-Type"), ["application/json"]);
        assert_eq!(
            seen[0].body.as_deref(),
            Some(message.to_string().as_bytes())
        );
    }

    #[tokio::test]
    async fn it_never_replies_to_a_service_url_off_this_machine() {
        for url in [
            "https://smba.trafficmanager.net/emea/",
            "http://example.com/",
            "https://127.0.0.1/",
            "nonsense",
        ] {
            assert_eq!(
                reply_url(&json!({ "serviceUrl": url, "conversation": { "id": "a" } })),
                None,
                "{url}"
            );
        }
    }

    #[tokio::test]
    async fn expect_replies_and_invokes_are_answered_in_the_response() {
        let bot = EchoBot::start().await.unwrap();
        let replies = send(
            &bot,
            &json!({ "type": "message", "text": "x", "deliveryMode": "expectReplies" }),
        )
        .await;
        let body: Value = serde_json::from_slice(replies.body()).unwrap();
        assert_eq!(body["activities"][0]["text"], "echo: x");
        let invoke = send(
            &bot,
            &json!({ "type": "invoke", "name": "adaptiveCard/action" }),
        )
        .await;
        assert_eq!(
            invoke.headers()[header::CONTENT_TYPE],
            "application/json; charset=utf-8"
        );
        let unknown = send(&bot, &json!({ "type": "invoke", "name": "no/such" })).await;
        assert_eq!(unknown.status(), StatusCode::NOT_IMPLEMENTED);
    }

    #[tokio::test]
    async fn a_stream_is_released_piece_by_piece_and_can_break_off() {
        let bot = EchoBot::start().await.unwrap();
        let mut streams = bot.answer_with_streams("text/event-stream");
        let url = bot.messages_url();
        let whole = tokio::spawn({
            let url = url.clone();
            async move { ask(Method::POST, &url, Bytes::new()).await }
        });
        let pieces = streams.recv().await.unwrap();
        assert!(pieces.send("data: 1\n\n"));
        assert!(pieces.send("data: 2\n\n"));
        drop(pieces);
        assert_eq!(
            whole.await.unwrap().unwrap().body(),
            &Bytes::from_static(b"data: 1\n\ndata: 2\n\n")
        );

        let broken = tokio::spawn(async move { ask(Method::POST, &url, Bytes::new()).await });
        let pieces = streams.recv().await.unwrap();
        assert!(pieces.send("data: 1\n\n"));
        pieces.break_off();
        assert!(broken.await.unwrap().is_err());
    }

    #[tokio::test]
    async fn it_answers_as_told_also_wrongly() {
        let bot = EchoBot::start().await.unwrap();
        bot.answer_with(|_| Answer::raw("HTTP/1.1 299 Odd\r\ncontent-length: 2\r\n\r\nok"));
        assert_eq!(send(&bot, &Value::Null).await.status(), 299);
        bot.answer_with(|_| Answer::raw(""));
        assert!(
            ask(Method::POST, &bot.messages_url(), Bytes::new())
                .await
                .is_err()
        );
        bot.answer_with(|_| {
            Answer::json(&json!({}))
                .with_status(StatusCode::IM_A_TEAPOT)
                .after(Duration::from_millis(1))
        });
        assert_eq!(send(&bot, &Value::Null).await.status(), 418);
        bot.close().await;
        assert!(
            ask(Method::POST, &bot.messages_url(), Bytes::new())
                .await
                .is_err()
        );
        bot.reopen().await.unwrap();
        bot.echo();
        assert_eq!(send(&bot, &Value::Null).await.status(), 200);
        assert_eq!(bot.seen().len(), 4);
    }

    #[tokio::test]
    async fn an_answer_that_hangs_keeps_the_request_on_record() {
        let bot = EchoBot::start().await.unwrap();
        bot.answer_with(|_| Answer::hang());
        let url = bot.messages_url();
        let pending = tokio::spawn(async move { ask(Method::POST, &url, Bytes::new()).await });
        assert_eq!(bot.wait_until_seen(1, SOON).await.len(), 1);
        assert!(!pending.is_finished());
        pending.abort();
    }
}
