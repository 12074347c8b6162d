//! Many requests to one gateway, told as rows: what each is, and what has to become of it.

use super::PATIENCE;
use super::client::Post;
use super::reply::Reply;
use botgate::cli::demo::channel::now;
use botgate::judge::Reason;
use bytes::Bytes;
use serde_json::Value;
use std::collections::HashSet;
use std::fmt;

/// One request.
pub(crate) struct Row {
    name: String,
    request: Request,
    expected: Expected,
}

enum Request {
    Once(Box<Post>),
    /// Made anew until it was sent and answered within one second of the clock.
    WithinASecond(Box<dyn Fn() -> Post + Send + Sync>),
}

/// What has to become of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// It reaches the bot.
    Forwarded,
    /// It reaches the bot, and the log says what a policy in report mode would have refused it for.
    WouldReject(Reason),
    /// It is refused before the caller proved who it is.
    Stranger(Reason),
    /// It is refused although the caller proved who it is.
    Proven(Reason),
    /// It is refused after proof, and answered 200.
    Quietly(Reason),
}

/// A row whose request is sent as it is.
pub(crate) fn row(name: impl Into<String>, post: Post, expected: Expected) -> Row {
    Row {
        name: name.into(),
        request: Request::Once(Box::new(post)),
        expected,
    }
}

/// A row about a second more or less: its request has to be judged in the second in which its token is made.
pub(crate) fn row_within_a_second(
    name: impl Into<String>,
    post: impl Fn() -> Post + Send + Sync + 'static,
    expected: Expected,
) -> Row {
    Row {
        name: name.into(),
        request: Request::WithinASecond(Box::new(post)),
        expected,
    }
}

impl Row {
    /// Its name, and what makes its request, again and again.
    pub(crate) fn into_requests(self) -> (String, impl FnMut() -> http::Request<Bytes>) {
        let mut once = None;
        let again = match self.request {
            Request::Once(post) => {
                once = Some(post.into_request());
                None
            }
            Request::WithinASecond(again) => Some(again),
        };
        let make = move || match (&once, &again) {
            (Some(request), _) => request.clone(),
            (None, Some(again)) => again().into_request(),
            (None, None) => unreachable!("a row has a request"),
        };
        (self.name, make)
    }
}

/// Sends every row in turn and checks caller, bot and log. All rows that fail are told together.
pub(crate) async fn play(rows: Vec<Row>) -> Vec<Reply> {
    let count = rows.len();
    let mut names = HashSet::new();
    let twice = rows.iter().find(|row| !names.insert(row.name.clone()));
    assert!(
        twice.is_none(),
        "two rows have the name {:?}",
        twice.map(|row| &row.name)
    );
    let mut replies = Vec::with_capacity(count);
    let mut failures = String::new();
    for row in rows {
        let Row {
            name,
            request,
            expected,
        } = row;
        match request.play(expected).await {
            Ok(reply) => replies.push(reply),
            Err(seen) => failures += &format!("  {name}: expected {expected}, seen: {seen}\n"),
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {count} rows are not as they should be:\n{failures}",
        count - replies.len()
    );
    replies
}

impl Request {
    async fn play(self, expected: Expected) -> Result<Reply, String> {
        // A panic is one row's failure; what the other rows do is worth knowing, too.
        let playing = tokio::spawn(async move {
            let reply = self.send().await;
            let line = reply.only_request_line().await;
            if expected.is_told_by(&reply, &line) {
                Ok(expected.check(reply).await)
            } else {
                let told = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
                let (verdict, reason, note) = (told("verdict"), told("reason"), told("note"));
                Err(format!("{} {verdict} {reason} ({note})", reply.status))
            }
        });
        playing.await.unwrap_or_else(|panic| {
            let panic = panic.into_panic();
            let text = match panic.downcast_ref::<String>() {
                Some(text) => text,
                None => panic.downcast_ref::<&str>().copied().unwrap_or_default(),
            };
            // What follows is evidence for one failing test, too much of it for a table.
            Err(text.lines().take(4).collect::<Vec<_>>().join(" | "))
        })
    }

    async fn send(self) -> Reply {
        let again = match self {
            Self::Once(post) => return post.send().await,
            Self::WithinASecond(post) => post,
        };
        let within_a_second = async {
            loop {
                let began = now();
                let reply = again().send().await;
                if now() == began {
                    return reply;
                }
            }
        };
        tokio::time::timeout(PATIENCE, within_a_second)
            .await
            .expect("no request is answered within a second of the clock")
    }
}

impl Expected {
    /// Whether the outcome is the expected one. Cheap; `check` is thorough.
    fn is_told_by(self, reply: &Reply, line: &Value) -> bool {
        let (verdict, reason) = match self {
            Self::Forwarded => ("forwarded", None),
            Self::WouldReject(reason) => ("would_reject", Some(reason)),
            Self::Stranger(reason) | Self::Proven(reason) => {
                if reply.status != reason.status() {
                    return false;
                }
                ("rejected", Some(reason))
            }
            Self::Quietly(reason) => ("rejected", Some(reason)),
        };
        line["verdict"] == verdict && line["reason"].as_str() == reason.map(Reason::code)
    }

    async fn check(self, reply: Reply) -> Reply {
        match self {
            Self::Forwarded => {
                reply.forwarded().await;
                reply
            }
            Self::WouldReject(reason) => {
                reply.forwarded_but_would_reject(reason).await;
                reply
            }
            Self::Stranger(reason) => reply.refused_before_proof(reason).await,
            Self::Proven(reason) => reply.refused_after_proof(reason).await,
            Self::Quietly(reason) => reply.refused_quietly(reason).await,
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, reason) = match self {
            Self::Forwarded => return f.write_str("forwarded"),
            Self::WouldReject(reason) => ("would_reject", reason),
            Self::Stranger(reason) => ("rejected before proof,", reason),
            Self::Proven(reason) => ("rejected after proof,", reason),
            Self::Quietly(reason) => ("rejected quietly,", reason),
        };
        write!(f, "{what} {} {}", reason.status(), reason.code())
    }
}
