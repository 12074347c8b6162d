//! The WebSocket on which a conversation is followed (RFC 6455).
//!
//! The frames are tungstenite's. Its own handshake is left out: hyper has read the request already, and what is left of it is one hash.

use super::super::loopback::{Body, whole};
use super::conversations::since;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

/// Turns the connection of the request into a stream of what was said after `watermark`; nothing if it did not ask for a WebSocket.
pub(super) fn open(
    request: &mut Request<Incoming>,
    said: watch::Receiver<Vec<Value>>,
    watermark: usize,
) -> Option<Response<Body>> {
    let headers = request.headers();
    let upgrade = headers.get(header::UPGRADE)?.to_str().ok()?;
    let key = headers.get(header::SEC_WEBSOCKET_KEY)?.to_str().ok()?;
    if !upgrade.eq_ignore_ascii_case("websocket") {
        return None;
    }
    let accept = HeaderValue::try_from(accept(key)).ok()?;
    let upgrading = hyper::upgrade::on(request);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrading.await {
            // Whoever closes the page ends it, one way or another.
            let _ended = follow(TokioIo::new(upgraded), said, watermark).await;
        }
    });
    let mut response = Response::new(whole(Bytes::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    Some(response)
}

/// What proves that the server understood the request. SHA-1 is the protocol's; nothing secret hangs on it.
fn accept(key: &str) -> String {
    const SUFFIX: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let proof = digest(
        &SHA1_FOR_LEGACY_USE_ONLY,
        format!("{key}{SUFFIX}").as_bytes(),
    );
    STANDARD.encode(proof)
}

/// Clients have nothing to say here; more than this is none of ours.
const MOST_BYTES: usize = 64 << 10;

async fn follow(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    mut said: watch::Receiver<Vec<Value>>,
    mut watermark: usize,
) -> Result<(), Error> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MOST_BYTES))
        .max_frame_size(Some(MOST_BYTES));
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
    // What was said before counts as new.
    said.mark_changed();
    loop {
        tokio::select! {
            changed = said.changed() => {
                if changed.is_err() {
                    return socket.close(None).await;
                }
                let (set, next) = {
                    let said = said.borrow_and_update();
                    (since(&said, watermark), said.len())
                };
                if next > watermark {
                    watermark = next;
                    socket.send(Message::text(set.to_string())).await?;
                }
            }
            heard = socket.next() => match heard {
                // Pings and the end are answered as they are read, and Web Chat sends empty texts to keep the connection warm.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tokio::io::{AsyncWriteExt as _, DuplexStream, duplex};

    #[test]
    fn the_proof_is_that_of_the_rfc() {
        assert_eq!(
            accept("dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    async fn heard(client: &mut WebSocketStream<DuplexStream>) -> Message {
        client.next().await.unwrap().unwrap()
    }

    async fn text(client: &mut WebSocketStream<DuplexStream>) -> Value {
        serde_json::from_str(heard(client).await.to_text().unwrap()).unwrap()
    }

    #[tokio::test]
    async fn it_tells_what_was_said_answers_pings_and_ends_when_told() {
        let (client, server) = duplex(1 << 20);
        let said = watch::Sender::new(vec![json!("old"), json!("new")]);
        let following = tokio::spawn(follow(server, said.subscribe(), 1));
        let mut client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
        assert_eq!(
            text(&mut client).await,
            json!({ "activities": ["new"], "watermark": "2" })
        );
        said.send_modify(|said| said.push(json!("x".repeat(70_000))));
        assert_eq!(text(&mut client).await["watermark"], "3");
        client.send(Message::text("")).await.unwrap();
        client.send(Message::Ping("a".into())).await.unwrap();
        assert_eq!(heard(&mut client).await, Message::Pong("a".into()));
        client.close(None).await.unwrap();
        assert_eq!(heard(&mut client).await, Message::Close(None));
        following.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_client_that_does_not_mask_is_cut_off() {
        let (mut client, server) = duplex(1024);
        let said = watch::Sender::new(vec![]);
        client.write_all(&[0x89, 0x00]).await.unwrap();
        assert!(follow(server, said.subscribe(), 0).await.is_err());
    }
}
