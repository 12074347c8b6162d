//! A bot that speaks HTTP/2 over TLS and nothing else, and notices what becomes of its connections and streams.

use super::PATIENCE;
use super::tls_bot::certificate;
use botgate::cli::demo::bot::MESSAGES_PATH;
use bytes::{Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, Request, Response, Uri};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

/// What the bot does with each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    /// Answers with the body of the request.
    Echo,
    /// Answers nothing until the gateway gives up, or until it is to do something else.
    Hold,
    /// Answers with an event, and with another one when it is to do something else.
    Stream,
    /// Says that it has not looked at the request, and echoes the next one.
    Refuse,
    /// Resets the stream in the middle of its answer.
    Break,
    /// Answers with more fields than anybody needs.
    Fields,
}

/// What the bot has seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) requests: Vec<(Uri, HeaderMap, Bytes)>,
    pub(crate) connections: usize,
    /// Why the gateway gave requests up.
    pub(crate) resets: Vec<Reason>,
}

/// The bot. Dropping it closes the port.
pub(crate) struct Http2Bot {
    address: SocketAddr,
    pub(crate) authority: String,
    stand: Stand,
    _task: AbortOnDropHandle<()>,
}

#[derive(Clone)]
struct Stand {
    does: watch::Sender<Does>,
    seen: watch::Sender<Seen>,
    /// How often it was told to say GOAWAY on what it has of connections.
    leaves: watch::Sender<usize>,
    /// Streams at once, as it announces them.
    most: Arc<Mutex<Option<u32>>>,
}

impl Http2Bot {
    pub(crate) async fn start() -> Self {
        let (authority, mut config) = certificate("bot.internal");
        config.alpn_protocols = vec![b"h2".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let stand = Stand {
            does: watch::Sender::new(Does::Echo),
            seen: watch::Sender::default(),
            leaves: watch::Sender::default(),
            most: Arc::default(),
        };
        let served = stand.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(acceptor.clone(), stream, served.clone()));
            }
        });
        Self {
            address,
            authority,
            stand,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// What the gateway is to have of its configuration; the authority is expected in `bot-ca.pem`.
    pub(crate) fn config(&self) -> String {
        format!(
            "[bots]\nbackend = \"https://{}{MESSAGES_PATH}\"\n[bots.backend_tls]\nca = \"bot-ca.pem\"\nserver_name = \"bot.internal\"",
            self.address
        )
    }

    pub(crate) fn place(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn does(&self, what: Does) {
        self.stand.does.send_replace(what);
    }

    /// Takes at most so many requests at once on a connection from now on.
    pub(crate) fn takes_at_most(&self, streams: u32) {
        *self.stand.most.lock().expect("nobody panicked") = Some(streams);
    }

    /// Says GOAWAY on every connection that it has, and goes on with the requests on it.
    pub(crate) fn leave(&self) {
        self.stand.leaves.send_modify(|times| *times += 1);
    }

    pub(crate) fn seen(&self) -> Seen {
        self.stand.seen.borrow().clone()
    }

    /// Waits until it has seen what is asked for.
    pub(crate) async fn wait_until(&self, what: &str, is_so: impl FnMut(&Seen) -> bool) -> Seen {
        let mut seen = self.stand.seen.subscribe();
        let mut is_so = is_so;
        let waited = tokio::time::timeout(PATIENCE, seen.wait_for(|seen| is_so(seen))).await;
        let seen = waited.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"));
        seen.expect("the bot is there").clone()
    }
}

async fn serve(acceptor: TlsAcceptor, stream: TcpStream, stand: Stand) {
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    stand.seen.send_modify(|seen| seen.connections += 1);
    let mut builder = h2::server::Builder::new();
    if let Some(most) = *stand.most.lock().expect("nobody panicked") {
        builder.max_concurrent_streams(most);
    }
    let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else {
        return;
    };
    let mut leaves = stand.leaves.subscribe();
    loop {
        tokio::select! {
            asked = connection.accept() => match asked {
                Some(Ok((request, respond))) => {
                    tokio::spawn(answer(request, respond, stand.clone()));
                }
                Some(Err(_)) | None => return,
            },
            Ok(()) = leaves.changed() => connection.graceful_shutdown(),
        }
    }
}

async fn answer(request: Request<RecvStream>, mut respond: SendResponse<Bytes>, stand: Stand) {
    let mut does = stand.does.subscribe();
    let now = *does.borrow_and_update();
    if now == Does::Refuse {
        stand.does.send_replace(Does::Echo);
        respond.send_reset(Reason::REFUSED_STREAM);
        return;
    }
    let (head, mut stream) = request.into_parts();
    let mut body = BytesMut::new();
    while let Some(Ok(piece)) = stream.data().await {
        let _ = stream.flow_control().release_capacity(piece.len());
        body.extend_from_slice(&piece);
    }
    let body = body.freeze();
    stand.seen.send_modify(|seen| {
        let request = (head.uri.clone(), head.headers.clone(), body.clone());
        seen.requests.push(request);
    });
    let ok = |kind: &str| {
        let response = Response::builder().header("content-type", kind);
        response.body(()).expect("a good answer")
    };
    match now {
        Does::Echo | Does::Refuse => {
            if let Ok(mut stream) = respond.send_response(ok("application/json"), false) {
                let _ = stream.send_data(body, true);
            }
        }
        Does::Fields => {
            let mut response = ok("application/json");
            for number in 0..150 {
                let name = http::HeaderName::try_from(format!("x-{number}")).expect("a name");
                response.headers_mut().insert(name, number.into());
            }
            let _ = respond.send_response(response, true);
        }
        Does::Break => {
            if let Ok(mut stream) = respond.send_response(ok("application/json"), false) {
                let _ = stream.send_data(Bytes::from_static(b"{"), false);
                stream.send_reset(Reason::INTERNAL_ERROR);
            }
        }
        Does::Hold => {
            tokio::select! {
                reason = poll_fn(|cx| respond.poll_reset(cx)) => given_up(&stand, &reason),
                _ = does.changed() => {
                    let _ = respond.send_response(ok("application/json"), true);
                }
            }
        }
        Does::Stream => {
            let Ok(mut stream) = respond.send_response(ok("text/event-stream"), false) else {
                return;
            };
            let _ = stream.send_data(Bytes::from_static(b"data: one\n\n"), false);
            tokio::select! {
                reason = poll_fn(|cx| stream.poll_reset(cx)) => given_up(&stand, &reason),
                _ = does.changed() => {
                    let _ = stream.send_data(Bytes::from_static(b"data: two\n\n"), true);
                }
            }
        }
    }
}

fn given_up(stand: &Stand, reason: &Result<Reason, h2::Error>) {
    if let Ok(reason) = reason {
        stand.seen.send_modify(|seen| seen.resets.push(*reason));
    }
}
