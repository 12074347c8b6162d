//! A TLS connection on which a scenario writes bytes as they are.

use super::PATIENCE;
use super::client::Sent;
use super::gateway::Gateway;
use super::reply::Reply;
use botgate::cli::demo::client::Protocol;
use bytes::Bytes;
use http::{Response, header};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// An open connection. Dropping it closes it.
pub(crate) struct Wire {
    gateway: Gateway,
    stream: TlsStream<TcpStream>,
    unread: Vec<u8>,
    /// Since the last answer.
    written: Vec<u8>,
    seen_before: usize,
}

/// What came before the connection ended.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    /// A piece of an answer, or all of it.
    Something,
    /// The end.
    End,
}

impl Wire {
    /// Opens a connection for HTTP/1.1.
    pub(crate) async fn open(gateway: &Gateway) -> Self {
        let stream = gateway.client().handshake(Protocol::Http1).await;
        let stream = stream.expect("the handshake succeeds");
        Self {
            gateway: gateway.clone(),
            stream,
            unread: vec![],
            written: vec![],
            seen_before: gateway.bot().seen().len(),
        }
    }

    /// Writes; says whether all of it was taken. A gateway that refuses may close before it has read everything.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> bool {
        self.written.extend_from_slice(bytes);
        let written = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        let written = tokio::time::timeout(PATIENCE, written).await;
        written.expect("the gateway reads on or closes").is_ok()
    }

    /// Closes the sending half, and goes on reading.
    pub(crate) async fn stop_writing(&mut self) {
        self.stream.shutdown().await.expect("the half closes");
    }

    /// The next answer; `None` if the gateway closes without a word.
    pub(crate) async fn answer(&mut self) -> Option<Reply> {
        let response = self.response().await?;
        let sent = Sent::of_bytes(&std::mem::take(&mut self.written));
        let seen_before = self.seen_before;
        self.seen_before = self.gateway.bot().seen().len();
        Some(Reply::new(
            self.gateway.clone(),
            sent,
            seen_before,
            response,
        ))
    }

    /// The next answer without all that belongs to it, for an interim answer.
    pub(crate) async fn response(&mut self) -> Option<Response<Bytes>> {
        loop {
            if let Some((response, length)) = complete(&self.unread) {
                self.unread.drain(..length);
                return Some(response);
            }
            if self.hear().await == Heard::End {
                let unread = String::from_utf8_lossy(&self.unread);
                assert!(
                    unread.is_empty(),
                    "closed in the middle of an answer: {unread:?}"
                );
                return None;
            }
        }
    }

    /// Waits until the gateway closes, and says what it wrote until then.
    pub(crate) async fn until_closed(mut self) -> Vec<u8> {
        while self.hear().await != Heard::End {}
        self.unread
    }

    async fn hear(&mut self) -> Heard {
        let mut piece = [0; 4096];
        let reading = tokio::time::timeout(PATIENCE, self.stream.read(&mut piece)).await;
        let reading = reading.unwrap_or_else(|_| {
            panic!(
                "the gateway neither answers nor closes: {:?}\n{}",
                String::from_utf8_lossy(&self.unread),
                self.gateway.output()
            )
        });
        match reading {
            Ok(0) | Err(_) => Heard::End,
            Ok(count) => {
                self.unread.extend_from_slice(&piece[..count]);
                Heard::Something
            }
        }
    }
}

/// A request whose head has begun to arrive: its connection is not idle, and a drain leaves it open.
pub(crate) struct LateRequest {
    pub(crate) wire: Wire,
    rest: Vec<u8>,
}

impl LateRequest {
    /// On a new gateway: sends the beginning, and waits until the gateway has it.
    pub(crate) async fn begin(gateway: &Gateway) -> Self {
        const BEGINNING: usize = 30;
        let mut wire = Wire::open(gateway).await;
        let rest = gateway.teams_message().into_bytes();
        wire.write(&rest[..BEGINNING]).await;
        // What was read cannot be asked for. The handshake can, and a whole request on another connection takes longer than
        // reading what has arrived.
        let handshakes = "botgate_tls_handshakes_total{result=\"ok\",version=\"1.3\"}";
        while gateway.metric(handshakes).await < 1.0 {
            tokio::task::yield_now().await;
        }
        gateway.teams_message().send().await.forwarded().await;
        wire.seen_before = gateway.bot().seen().len();
        let rest = rest[BEGINNING..].to_vec();
        Self { wire, rest }
    }

    /// Sends what is missing, and reads the answer.
    pub(crate) async fn finish(&mut self) -> Reply {
        self.wire.write(&self.rest).await;
        let answer = self.wire.answer().await;
        answer.expect("the connection is still open")
    }
}

/// Writes bytes over TLS as they are, and reads until an answer is complete or the gateway closes. `None` if it closes
/// without a word.
pub(crate) async fn send_raw(gateway: &Gateway, bytes: &[u8]) -> Option<Reply> {
    let mut wire = Wire::open(gateway).await;
    wire.write(bytes).await;
    wire.answer().await
}

/// The answer in `bytes` and its length, once it is all there. The gateway's own answers have a Content-Length.
fn complete(bytes: &[u8]) -> Option<(Response<Bytes>, usize)> {
    let head_end = head_end(bytes)?;
    let head = std::str::from_utf8(&bytes[..head_end]).expect("heads are text");
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().expect("a status");
    let mut response = Response::builder().status::<u16>(status);
    for line in lines {
        let (name, value) = line.split_once(':').expect("a header");
        response = response.header(name, value.trim());
    }
    let length = response.headers_ref()?.get(header::CONTENT_LENGTH);
    let length: usize = length.map_or(0, |length| {
        length.to_str().expect("visible").parse().expect("a number")
    });
    let end = head_end + 4 + length;
    let body = Bytes::copy_from_slice(bytes.get(head_end + 4..end)?);
    Some((response.body(body).expect("a response"), end))
}

/// Where the empty line begins that ends a head.
pub(super) fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n")
}

#[test]
fn an_answer_is_complete_when_its_body_is() {
    let whole = b"HTTP/1.1 401 Unauthorized\r\nX-Request-Id: 7\r\nContent-Length: 2\r\n\r\nno";
    let (answer, length) = complete(whole).unwrap();
    assert_eq!(length, whole.len());
    assert_eq!(
        (
            answer.status().as_u16(),
            &answer.headers()["x-request-id"],
            &answer.body()[..]
        ),
        (401, &"7".parse().unwrap(), &b"no"[..])
    );
    assert!((0..whole.len()).all(|end| complete(&whole[..end]).is_none()));
}
