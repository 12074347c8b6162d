//! Clients that mean well: channels of all kinds, and a bot that is slow or broken behind some of them.

use super::Stage;
use super::bot::{SLOW, WANTED};
use super::ledger::{Client, Promise};
use super::net::{INVOKE, MESSAGE, request};
use botgate::cli::demo::client::SERVER_NAME;
use bytes::Bytes;
use http::{Request, Uri, Version, header};
use http_body_util::{BodyExt as _, Full, Limited};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

const PATIENCE: Duration = Duration::from_secs(60);
const GOOD: Promise = Promise::Answered(&[200]);
const STEADY: &str = "/api/messages";
const FRAGILE: &str = "/fragile";

/// One kind of client.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    promise: Promise,
    path: &'static str,
    body: &'static str,
    token: Token,
    wanted: &'static str,
    how: How,
    every: Duration,
}

#[derive(Clone, Copy)]
enum Token {
    Good,
    Forged,
    Expired,
    None,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// HTTP/1.1, fifty requests on a connection.
    KeepAlive,
    /// HTTP/1.1, a connection for each request.
    OneByOne,
    /// HTTP/2, fifty requests on a connection.
    Http2,
}

const BASE: Kind = Kind {
    name: "keep-alive",
    promise: GOOD,
    path: STEADY,
    body: MESSAGE,
    token: Token::Good,
    wanted: "",
    how: How::KeepAlive,
    every: Duration::from_millis(50),
};

/// 429 is for those whose address has failed too often.
const UNPROVEN: Promise = Promise::Answered(&[401, 429]);

const KINDS: &[Kind] = &[
    BASE,
    Kind {
        name: "new connections",
        how: How::OneByOne,
        every: Duration::from_millis(200),
        ..BASE
    },
    Kind {
        name: "http2",
        how: How::Http2,
        ..BASE
    },
    Kind {
        name: "invokes",
        body: INVOKE,
        every: Duration::from_millis(200),
        ..BASE
    },
    Kind {
        name: "slow bot",
        wanted: SLOW,
        every: Duration::from_secs(3),
        ..BASE
    },
    Kind {
        name: "fragile bot",
        promise: Promise::Tried(&[200, 500, 502, 503, 504]),
        path: FRAGILE,
        every: Duration::from_millis(250),
        ..BASE
    },
    Kind {
        name: "forged",
        promise: UNPROVEN,
        token: Token::Forged,
        every: Duration::from_millis(100),
        ..BASE
    },
    Kind {
        name: "forged, http2",
        promise: UNPROVEN,
        token: Token::Forged,
        how: How::Http2,
        every: Duration::from_millis(100),
        ..BASE
    },
    Kind {
        name: "expired",
        promise: UNPROVEN,
        token: Token::Expired,
        how: How::OneByOne,
        every: Duration::from_millis(500),
        ..BASE
    },
    Kind {
        name: "no token",
        promise: UNPROVEN,
        token: Token::None,
        every: Duration::from_millis(100),
        ..BASE
    },
];

pub(crate) fn start(load: &mut JoinSet<()>, stage: &Arc<Stage>) {
    for kind in KINDS {
        load.spawn(run(*kind, Arc::clone(stage)));
    }
}

async fn run(kind: Kind, stage: Arc<Stage>) {
    let client = stage.ledger.open(kind.name, kind.promise);
    let mut turns = interval(kind.every);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !stage.stop.is_cancelled() {
        let requests = if kind.how == How::OneByOne { 1 } else { 50 };
        let mut connection = match Connection::open(kind.how, &stage, client).await {
            Ok(connection) => connection,
            Err(error) => {
                client.sent();
                client.unanswered(&format!("no connection: {error}"));
                turns.tick().await;
                continue;
            }
        };
        for _ in 0..requests {
            turns.tick().await;
            if stage.stop.is_cancelled() {
                return;
            }
            client.sent();
            let answer = timeout(PATIENCE, connection.send(kind.request(&stage))).await;
            match answer.unwrap_or_else(|late| Err(late.into())) {
                Ok((status, End::Whole)) => client.answered(status),
                Ok((status, End::CutOff)) => {
                    client.cut_off(status);
                    break;
                }
                Err(error) => {
                    client.unanswered(&error);
                    break;
                }
            }
            if connection.is_over() {
                break;
            }
        }
    }
}

impl Kind {
    fn request(&self, stage: &Stage) -> Request<Full<Bytes>> {
        let token = match self.token {
            Token::Good => stage.tokens.good(),
            Token::Forged => stage.tokens.forged(),
            Token::Expired => stage.tokens.expired(),
            Token::None => "".into(),
        };
        let mut builder = request(self.path, self.name, &token, self.body);
        if !self.wanted.is_empty() {
            builder = builder.header(WANTED, self.wanted);
        }
        let body = Full::new(Bytes::from_static(self.body.as_bytes()));
        builder.body(body).expect("a request")
    }
}

/// How an answer ended.
enum End {
    Whole,
    CutOff,
}

enum Connection {
    Http1(hyper::client::conn::http1::SendRequest<Full<Bytes>>),
    Http2(hyper::client::conn::http2::SendRequest<Full<Bytes>>),
}

impl Connection {
    async fn open(how: How, stage: &Stage, client: Client<'_>) -> io::Result<Self> {
        let (net, ledger) = (&stage.net, &stage.ledger);
        Ok(match how {
            How::KeepAlive | How::OneByOne => Self::Http1(net.http1(ledger, client).await?),
            How::Http2 => Self::Http2(net.http2(ledger, client).await?),
        })
    }

    /// Whether the gateway is done with it: a refusal may be its last word.
    fn is_over(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_closed(),
            Self::Http2(sender) => sender.is_closed(),
        }
    }

    /// The status, once all of the answer is there that will come.
    async fn send(&mut self, mut request: Request<Full<Bytes>>) -> io::Result<(u16, End)> {
        let answer = match self {
            Self::Http1(sender) => {
                sender.ready().await.map_err(io::Error::other)?;
                sender.send_request(request).await
            }
            Self::Http2(sender) => {
                request.headers_mut().remove(header::HOST);
                *request.version_mut() = Version::HTTP_2;
                let path = request.uri().path().to_owned();
                let uri = Uri::builder().scheme("https").authority(SERVER_NAME);
                *request.uri_mut() = uri.path_and_query(path).build().expect("a target");
                sender.ready().await.map_err(io::Error::other)?;
                sender.send_request(request).await
            }
        };
        let answer = answer.map_err(io::Error::other)?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), 4 << 20).collect().await;
        Ok((
            status,
            if body.is_ok() {
                End::Whole
            } else {
                End::CutOff
            },
        ))
    }
}
