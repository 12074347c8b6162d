//! A flood of forged tokens.

use super::Forgery;
use crate::support::Gateway;
use botgate::cli::demo::client::{Protocol, SERVER_NAME};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Forged tokens from one address, so many at once, each followed by the next as soon as it is answered.
pub(super) struct Flood {
    answered: Arc<AtomicUsize>,
    stop: CancellationToken,
    clients: Vec<AbortOnDropHandle<Vec<StatusCode>>>,
}

impl Flood {
    pub(super) async fn start(gateway: &Gateway, connections: usize, streams: usize) -> Self {
        let forgery = Arc::new(Forgery::signature(gateway));
        let mut flood = Self {
            answered: Arc::default(),
            stop: CancellationToken::new(),
            clients: vec![],
        };
        let body = forgery.post(gateway).into_request().into_body();
        for _ in 0..connections {
            let stream = gateway.client().handshake(Protocol::Http2).await.unwrap();
            let (sender, driver) = handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
            tokio::spawn(driver);
            for _ in 0..streams {
                let client = flood.client(sender.clone(), Arc::clone(&forgery), body.clone());
                flood
                    .clients
                    .push(AbortOnDropHandle::new(tokio::spawn(client)));
            }
        }
        flood
    }

    fn client(
        &self,
        mut sender: SendRequest<Full<Bytes>>,
        forgery: Arc<Forgery>,
        body: Bytes,
    ) -> impl Future<Output = Vec<StatusCode>> + Send + 'static {
        let (answered, stop) = (Arc::clone(&self.answered), self.stop.clone());
        async move {
            let mut statuses = vec![];
            while !stop.is_cancelled() {
                let request = Request::post(format!("https://{SERVER_NAME}/api/messages"))
                    .header(header::CONTENT_TYPE, "application/json")
                    .header(header::AUTHORIZATION, format!("Bearer {}", forgery.token()))
                    .body(Full::new(body.clone()))
                    .unwrap();
                let (head, body) = sender.send_request(request).await.unwrap().into_parts();
                body.collect().await.unwrap();
                answered.fetch_add(1, Ordering::Relaxed);
                if !statuses.contains(&head.status) {
                    statuses.push(head.status);
                }
            }
            statuses
        }
    }

    pub(super) fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    /// Every status that came back.
    pub(super) async fn stop(self) -> Vec<StatusCode> {
        self.stop.cancel();
        let mut all = vec![];
        for client in self.clients {
            all.extend(client.await.unwrap());
        }
        all.sort();
        all.dedup();
        all
    }
}
