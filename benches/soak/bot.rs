//! A bot that counts whose requests it gets and keeps none of them.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;

/// The header in which a client names itself.
pub(crate) const NAME: &str = "x-soak-client";
/// The header that asks for an answer of a kind: [`SLOW`] or [`LARGE`].
pub(crate) const WANTED: &str = "x-soak-answer";
pub(crate) const SLOW: &str = "slow";
pub(crate) const LARGE: &str = "large";

const LARGE_BYTES: usize = 1 << 20;

type Counts = Arc<Mutex<BTreeMap<String, u64>>>;

pub(crate) struct SteadyBot {
    address: SocketAddr,
    counts: Counts,
}

impl SteadyBot {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let counts = Counts::default();
        tokio::spawn(serve(listener, Arc::clone(&counts)));
        Self { address, counts }
    }

    pub(crate) fn messages_url(&self) -> String {
        format!("http://{}/api/messages", self.address)
    }

    /// How many whole requests of a client came.
    pub(crate) fn count(&self, name: &str) -> u64 {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(name).copied().unwrap_or_default()
    }
}

async fn serve(listener: TcpListener, counts: Counts) {
    let large = Bytes::from(vec![b'x'; LARGE_BYTES]);
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let (counts, large) = (Arc::clone(&counts), large.clone());
        let service =
            service_fn(move |request| answer(request, Arc::clone(&counts), large.clone()));
        tokio::spawn(async move {
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // The gateway may go away at any time.
            let _ = connection.await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    counts: Counts,
    large: Bytes,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let name = header(NAME).unwrap_or("nobody").to_owned();
    if Limited::new(body, 1 << 21).collect().await.is_ok() {
        let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(name).or_default() += 1;
    }
    let body = match header(WANTED) {
        Some(LARGE) => large,
        Some(SLOW) => {
            tokio::time::sleep(Duration::from_secs(2)).await;
            Bytes::from_static(b"{}")
        }
        Some(_) | None => Bytes::from_static(b"{}"),
    };
    let answer = Response::builder().header("content-type", "application/json");
    Ok(answer.body(Full::new(body)).expect("an answer"))
}
