//! One request over one connection.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Status {
        status: u16,
        /// `X-Request-Id`, from the gateway.
        request_id: Option<String>,
    },
    /// The connection ended without an answer.
    Ended,
    /// Nothing came in good time.
    Silence,
}

/// Sends `request` and waits for the whole answer.
pub(crate) async fn send(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
) -> Answer {
    let answer = async {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .ok()?;
        let connection = tokio::spawn(connection);
        let response = sender.send_request(request).await.ok()?;
        let (head, body) = response.into_parts();
        // An upgraded connection has no body that ends.
        if head.status != 101 {
            let _ = Limited::new(body, 1 << 20).collect().await;
        }
        connection.abort();
        let request_id = head.headers.get("x-request-id");
        Some(Answer::Status {
            status: head.status.as_u16(),
            request_id: request_id.map(|id| id.to_str().unwrap().to_owned()),
        })
    };
    match tokio::time::timeout(LIMIT, answer).await {
        Ok(answer) => answer.unwrap_or(Answer::Ended),
        Err(_) => Answer::Silence,
    }
}

/// A channel would have given up before.
const LIMIT: Duration = Duration::from_secs(20);
