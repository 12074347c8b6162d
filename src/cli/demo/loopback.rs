//! A small HTTP/1.1 server on 127.0.0.1, on which the stand-ins stand.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// The body of an answer.
pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// What a handler makes of a request.
pub(super) enum Outcome {
    /// An HTTP answer.
    Answer(Response<Body>),
    /// These bytes as they are in place of an HTTP answer, then the connection is closed.
    Raw(Bytes),
}

type Future = Pin<Box<dyn std::future::Future<Output = Outcome> + Send>>;
type Handler = Arc<dyn Fn(Request<Incoming>) -> Future + Send + Sync>;

/// The server. Dropping it closes the port and every connection.
pub(super) struct Loopback {
    address: SocketAddr,
    handler: Handler,
    task: Mutex<Option<Serving>>,
    /// Servers that only finish what they have.
    retired: Mutex<Vec<AbortOnDropHandle<()>>>,
}

/// The task that serves, and how it is told to come to an end.
struct Serving {
    task: AbortOnDropHandle<()>,
    /// Cancelled to begin with the end.
    retire: CancellationToken,
    /// Cancelled when nobody listens any more.
    deaf: CancellationToken,
}

impl Loopback {
    /// Listens on a free port.
    pub(super) async fn start<H, F>(handler: H) -> io::Result<Self>
    where
        H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
        F: std::future::Future<Output = Outcome> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |request| Box::pin(handler(request)));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let task = Mutex::new(Some(spawn(listener, Arc::clone(&handler))));
        Ok(Self {
            address,
            handler,
            task,
            retired: Mutex::default(),
        })
    }

    /// Where it listens.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the port and every connection; from now on a connection is refused.
    pub(super) async fn close(&self) {
        let serving = hold(&self.task).take();
        if let Some(Serving { task, .. }) = serving {
            task.abort();
            // The listener is dropped with the task; a cancelled task is the expected outcome.
            let _cancelled = task.await;
        }
    }

    /// Closes the port as a server does that is told to end: whoever has connected is served, and every connection ends with
    /// its next answer, which says so.
    pub(super) async fn retire(&self) {
        let serving = hold(&self.task).take();
        if let Some(Serving { task, retire, deaf }) = serving {
            retire.cancel();
            deaf.cancelled().await;
            hold(&self.retired).push(task);
        }
    }

    /// Listens again on the same port.
    pub(super) async fn reopen(&self) -> io::Result<()> {
        self.close().await;
        let listener = TcpListener::bind(self.address).await?;
        *hold(&self.task) = Some(spawn(listener, Arc::clone(&self.handler)));
        Ok(())
    }
}

/// Locks, also after a panic elsewhere: a stand-in's state is plain data that no panic leaves half changed.
pub(super) fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A body that is known whole.
pub(super) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// Reads a request body; `None` when it ended early or is beyond anything a gateway should let through.
pub(super) async fn read(body: Incoming) -> Option<Bytes> {
    const MOST_BYTES: usize = 64 << 20;
    Limited::new(body, MOST_BYTES)
        .collect()
        .await
        .ok()
        .map(http_body_util::Collected::to_bytes)
}

/// One plain HTTP request to another loopback server, read whole.
pub(super) async fn ask(method: Method, url: &str, body: Bytes) -> io::Result<Response<Bytes>> {
    let uri: Uri = url.parse().map_err(io::Error::other)?;
    let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
    let request = Request::builder()
        .method(method)
        .uri(uri.path_and_query().map_or("/", |path| path.as_str()))
        .header(header::HOST, &authority)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(body))
        .map_err(io::Error::other)?;
    let stream = TokioIo::new(TcpStream::connect(&authority).await?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream)
        .await
        .map_err(io::Error::other)?;
    let connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let (head, body) = sender
        .send_request(request)
        .await
        .map_err(io::Error::other)?
        .into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    drop(connection);
    Ok(Response::from_parts(head, body))
}

fn spawn(listener: TcpListener, handler: Handler) -> Serving {
    let (retire, deaf) = (CancellationToken::new(), CancellationToken::new());
    let (retiring, is_deaf) = (retire.clone(), deaf.clone().drop_guard());
    let task = AbortOnDropHandle::new(tokio::spawn(async move {
        // Connections belong to this task: aborting it drops the set, which aborts them.
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = retiring.cancelled() => break,
                accepted = listener.accept() => {
                    if let Ok((stream, _)) = accepted {
                        connections.spawn(serve(stream, Arc::clone(&handler), retiring.clone()));
                    }
                }
                Some(_) = connections.join_next() => {}
            }
        }
        // Whoever the system has let in already must not be reset.
        if let Ok(listener) = listener.into_std() {
            while let Ok((stream, _)) = listener.accept() {
                if stream.set_nonblocking(true).is_ok()
                    && let Ok(stream) = TcpStream::from_std(stream)
                {
                    connections.spawn(serve(stream, Arc::clone(&handler), retiring.clone()));
                }
            }
        }
        drop(is_deaf);
        while connections.join_next().await.is_some() {}
    }));
    Serving { task, retire, deaf }
}

async fn serve(stream: TcpStream, handler: Handler, retiring: CancellationToken) {
    let raw = Arc::new(Mutex::new(None));
    let service = service_fn(|request| {
        let (outcome, raw) = (handler(request), Arc::clone(&raw));
        let retiring = retiring.clone();
        // hyper gives the stream back only to services whose future can be moved.
        Box::pin(async move {
            match outcome.await {
                Outcome::Answer(mut response) => {
                    if retiring.is_cancelled() {
                        let close = HeaderValue::from_static("close");
                        response.headers_mut().insert(header::CONNECTION, close);
                    }
                    Ok(response)
                }
                Outcome::Raw(bytes) => {
                    *hold(&raw) = Some(bytes);
                    Err(io::Error::from(io::ErrorKind::ConnectionAborted))
                }
            }
        })
    });
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // A service error makes hyper stop without writing or closing, so that the stream can be taken back from it.
    let _served = poll_fn(|context| connection.poll_without_shutdown(context)).await;
    let mut stream = connection.into_parts().io.into_inner();
    let bytes = hold(&raw).take();
    if let Some(bytes) = bytes {
        let _written = stream.write_all(&bytes).await;
    }
    let _closed = stream.shutdown().await;
}
