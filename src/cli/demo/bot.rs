//! A stand-in bot: remembers every request it gets, and answers as an echo bot or as it is told.

pub use super::answer::{Answer, Pieces};

use super::echo::echo;
use super::loopback::{Loopback, Outcome, hold, read};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Version};
use hyper::body::Incoming;
use serde_json::Value;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

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

    /// `http://127.0.0.1:PORT`.
    pub fn origin(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// Its messaging endpoint: what a gateway's `backend` is set to.
    pub fn messages_url(&self) -> String {
        format!("{}{MESSAGES_PATH}", self.origin())
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

    /// How many requests so far.
    pub fn count(&self) -> usize {
        self.shared.seen.borrow().len()
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

    /// Closes the port as a server does that is told to end: what it has is finished, and every connection ends with its next
    /// answer.
    pub async fn retire(&self) {
        self.server.retire().await;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::channel::Channel;
    use crate::cli::demo::loopback::ask;
    use http::{Response, StatusCode, header};
    use serde_json::json;

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
    async fn one_that_retires_finishes_what_it_has() {
        let bot = EchoBot::start().await.unwrap();
        let mut streams = bot.answer_with_streams("text/plain");
        let url = bot.messages_url();
        let asking = tokio::spawn(async move { ask(Method::POST, &url, Bytes::new()).await });
        let pieces = streams.recv().await.unwrap();
        bot.retire().await;
        let refused = ask(Method::POST, &bot.messages_url(), Bytes::new()).await;
        assert_eq!(
            refused.unwrap_err().kind(),
            io::ErrorKind::ConnectionRefused
        );
        bot.reopen().await.unwrap();
        bot.echo();
        assert_eq!(send(&bot, &Value::Null).await.status(), 200);
        assert!(pieces.send("whole"));
        drop(pieces);
        let answer = asking.await.unwrap().unwrap();
        assert_eq!(answer.body(), &Bytes::from_static(b"whole"));
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
