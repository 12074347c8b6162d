//! A small HTTP/1.1 server for browsers: it may speak TLS, and a connection may become a WebSocket.

use super::loopback::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

/// Serves every connection until the handle is dropped, which closes all of them that are no WebSocket.
pub(super) fn serve<H, F>(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    handler: H,
) -> AbortOnDropHandle<()>
where
    H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let handler = Arc::new(handler);
    AbortOnDropHandle::new(tokio::spawn(async move {
        // Connections belong to this task: aborting it drops the set, which aborts them.
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let Ok((stream, _)) = accepted else { continue };
                    let (tls, handler) = (tls.clone(), Arc::clone(&handler));
                    connections.spawn(async move {
                        match tls {
                            None => answer(stream, handler).await,
                            // A browser that does not trust the certificate yet breaks off here.
                            Some(tls) => if let Ok(stream) = tls.accept(stream).await {
                                answer(stream, handler).await;
                            },
                        }
                    });
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }))
}

async fn answer<S, H, F>(stream: S, handler: Arc<H>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let service = service_fn(|request| {
        let answering = handler(request);
        async move { Ok::<_, Infallible>(answering.await) }
    });
    // A browser that goes away is nobody's concern.
    let _served = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
}
