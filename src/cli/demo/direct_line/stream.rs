//! The WebSocket on which a conversation is followed (RFC 6455).
//!
//! Written out because the stand-in needs little of it: it sends texts, answers pings and sees the end. A library for the whole
//! protocol would come into the gateway's program with a dozen crates, for a demo.

use super::super::loopback::{Body, whole};
use super::conversations::since;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{mpsc, watch};

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
            // Whoever closes the page ends it.
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

const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

async fn follow(
    stream: impl AsyncRead + AsyncWrite,
    mut said: watch::Receiver<Vec<Value>>,
    mut watermark: usize,
) -> io::Result<()> {
    let (mut input, mut output) = tokio::io::split(stream);
    let (answers, mut to_answer) = mpsc::unbounded_channel();
    let reading = async {
        loop {
            match read_frame(&mut input).await? {
                (CLOSE, content) => {
                    let _writer_is_gone = answers.send((CLOSE, content));
                }
                (PING, content) => {
                    let _writer_is_gone = answers.send((PONG, content));
                }
                // Web Chat sends empty texts to keep the connection warm.
                _ => {}
            }
        }
    };
    let writing = async {
        // What was said before counts as new.
        said.mark_changed();
        loop {
            tokio::select! {
                changed = said.changed() => {
                    changed.map_err(io::Error::other)?;
                    let (set, next) = {
                        let said = said.borrow_and_update();
                        (since(&said, watermark), said.len())
                    };
                    if next > watermark {
                        watermark = next;
                        write_frame(&mut output, TEXT, set.to_string().as_bytes()).await?;
                    }
                }
                Some((kind, content)) = to_answer.recv() => {
                    write_frame(&mut output, kind, &content).await?;
                    if kind == CLOSE {
                        return output.shutdown().await;
                    }
                }
            }
        }
    };
    tokio::select! {
        ended = reading => ended,
        ended = writing => ended,
    }
}

/// Reads one frame: its kind, and its content unmasked.
async fn read_frame(input: &mut (impl AsyncRead + Unpin)) -> io::Result<(u8, Vec<u8>)> {
    /// Clients have nothing to say here; more than this is none of ours.
    const MOST_BYTES: u64 = 64 << 10;
    let [first, second] = {
        let mut head = [0; 2];
        input.read_exact(&mut head).await?;
        head
    };
    let length = match second & 0x7f {
        126 => input.read_u16().await?.into(),
        127 => input.read_u64().await?,
        short => short.into(),
    };
    // A client that does not mask is none (RFC 6455, 5.1).
    if second & 0x80 == 0 || length > MOST_BYTES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut mask = [0; 4];
    input.read_exact(&mut mask).await?;
    let mut content = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    input.read_exact(&mut content).await?;
    for (byte, key) in content.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
    Ok((first & 0x0f, content))
}

async fn write_frame(
    output: &mut (impl AsyncWrite + Unpin),
    kind: u8,
    content: &[u8],
) -> io::Result<()> {
    // The last and only frame of its message.
    let mut frame = vec![0x80 | kind];
    match (u8::try_from(content.len()), u16::try_from(content.len())) {
        (Ok(short), _) if short < 126 => frame.push(short),
        (_, Ok(medium)) => {
            frame.push(126);
            frame.extend(medium.to_be_bytes());
        }
        (_, Err(_)) => {
            frame.push(127);
            frame.extend(
                u64::try_from(content.len())
                    .map_err(io::Error::other)?
                    .to_be_bytes(),
            );
        }
    }
    frame.extend(content);
    output.write_all(&frame).await?;
    output.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tokio::io::duplex;

    #[test]
    fn the_proof_is_that_of_the_rfc() {
        assert_eq!(
            accept("dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    async fn text(client: &mut (impl AsyncRead + Unpin)) -> Value {
        let mut head = [0; 2];
        client.read_exact(&mut head).await.unwrap();
        assert_eq!(head[0], 0x81);
        let length = match head[1] {
            126 => client.read_u16().await.unwrap().into(),
            127 => client.read_u64().await.unwrap(),
            short => short.into(),
        };
        let mut content = vec![0; usize::try_from(length).unwrap()];
        client.read_exact(&mut content).await.unwrap();
        serde_json::from_slice(&content).unwrap()
    }

    #[tokio::test]
    async fn it_tells_what_was_said_answers_pings_and_ends_when_told() {
        let (mut client, server) = duplex(1 << 20);
        let said = watch::Sender::new(vec![json!("old"), json!("new")]);
        let following = tokio::spawn(follow(server, said.subscribe(), 1));
        assert_eq!(
            text(&mut client).await,
            json!({ "activities": ["new"], "watermark": "2" })
        );
        said.send_modify(|said| said.push(json!("x".repeat(70_000))));
        assert_eq!(text(&mut client).await["watermark"], "3");
        said.send_modify(|said| said.push(json!("x".repeat(200))));
        assert_eq!(text(&mut client).await["watermark"], "4");
        // A ping with the content "a", masked with 1, 2, 3, 4.
        client
            .write_all(&[0x89, 0x81, 1, 2, 3, 4, b'a' ^ 1])
            .await
            .unwrap();
        let mut pong = [0; 3];
        client.read_exact(&mut pong).await.unwrap();
        assert_eq!(pong, [0x8a, 1, b'a']);
        client.write_all(&[0x88, 0x80, 0, 0, 0, 0]).await.unwrap();
        let mut rest = vec![];
        client.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, [0x88, 0]);
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
