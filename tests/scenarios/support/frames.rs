//! An HTTP/2 connection on which a scenario writes frames as they are, right or wrong.

use super::PATIENCE;
use super::client::Post;
use super::gateway::Gateway;
use botgate::cli::demo::client::Protocol;
use bytes::Bytes;
use http::Request;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RESET: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const BOTH: u8 = END_STREAM | END_HEADERS;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The bytes of a frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()[..]].concat();
    [&head[..], payload].concat()
}

/// A header block in which every field is written out (RFC 7541 6.2.2), so that nothing depends on what came before.
pub(crate) fn block<N: AsRef<[u8]>, V: AsRef<[u8]>>(fields: &[(N, V)]) -> Vec<u8> {
    let mut block = vec![];
    for (name, value) in fields {
        block.push(0);
        for text in [name.as_ref(), value.as_ref()] {
            number(&mut block, text.len());
            block.extend_from_slice(text);
        }
    }
    block
}

/// An integer with a prefix of seven bits (RFC 7541 5.1).
fn number(block: &mut Vec<u8>, value: usize) {
    let Some(mut rest) = value.checked_sub(127) else {
        block.push(u8::try_from(value).unwrap());
        return;
    };
    block.push(127);
    while rest >= 128 {
        block.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
}

pub(crate) type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// The fields of a request as HTTP/2 has them, and its body.
pub(crate) fn fields(post: Post) -> (Fields, Bytes) {
    fields_of(&post.into_request())
}

fn fields_of(request: &Request<Bytes>) -> (Fields, Bytes) {
    let pseudo = [
        (":method", request.method().as_str()),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", request.uri().path()),
    ];
    let mut fields: Fields = pseudo
        .iter()
        .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
        .collect();
    for (name, value) in request.headers() {
        if name != http::header::HOST {
            let name = name.as_str().as_bytes().to_vec();
            fields.push((name, value.as_bytes().to_vec()));
        }
    }
    (fields, request.body().clone())
}

/// A whole request, as one HEADERS and one DATA frame.
pub(crate) fn request(stream: u32, fields: &Fields, body: &[u8]) -> Vec<u8> {
    [
        frame(HEADERS, END_HEADERS, stream, &block(fields)),
        frame(DATA, END_STREAM, stream, body),
    ]
    .concat()
}

/// A frame that the gateway sent.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It was answered.
    Status(u16),
    /// Its stream was reset, with this code.
    Reset(u32),
    /// The connection was ended, with this code.
    GoAway(u32),
    /// The connection was closed without a word.
    Closed,
}

/// An open connection. Dropping it closes it.
pub(crate) struct FrameWire {
    read: ReadHalf<TlsStream<TcpStream>>,
    write: WriteHalf<TlsStream<TcpStream>>,
    unread: Vec<u8>,
}

impl FrameWire {
    /// Opens a connection, and says nothing on it yet.
    pub(crate) async fn silent(gateway: &Gateway) -> Self {
        let stream = gateway.client().handshake(Protocol::Http2).await;
        let (read, write) = tokio::io::split(stream.expect("the handshake succeeds"));
        Self {
            read,
            write,
            unread: vec![],
        }
    }

    /// Opens a connection, with preface and settings.
    pub(crate) async fn open(gateway: &Gateway) -> Self {
        let mut wire = Self::silent(gateway).await;
        wire.write(PREFACE).await;
        wire.write(&frame(SETTINGS, 0, 0, &[])).await;
        wire
    }

    /// Writes; says whether all of it was taken.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> bool {
        let written = async {
            self.write.write_all(bytes).await?;
            self.write.flush().await
        };
        let written = tokio::time::timeout(PATIENCE, written).await;
        written.expect("the gateway reads on or closes").is_ok()
    }

    /// The next frame; nothing when the connection has ended.
    pub(crate) async fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, length)) = whole(&self.unread) {
                self.unread.drain(..length);
                return Some(frame);
            }
            let mut piece = [0; 16 * 1024];
            let reading = tokio::time::timeout(PATIENCE, self.read.read(&mut piece)).await;
            match reading.expect("the gateway answers or closes") {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.unread.extend_from_slice(&piece[..count]),
            }
        }
    }

    /// What becomes of the request on this stream. Settings and pings are answered meanwhile.
    pub(crate) async fn fate(&mut self, stream: u32) -> Fate {
        while let Some(frame) = self.frame().await {
            match frame.kind {
                HEADERS if frame.stream == stream => {
                    return Fate::Status(status_of(&frame.payload));
                }
                RESET if frame.stream == stream => return Fate::Reset(code(&frame.payload)),
                GOAWAY => return Fate::GoAway(code(&frame.payload[4..])),
                _ => self.acknowledge(&frame).await,
            }
        }
        Fate::Closed
    }

    /// Waits for the end of the connection; says with which code, and whether the end came.
    pub(crate) async fn end(&mut self) -> Fate {
        self.fate(u32::MAX).await
    }

    /// Reads until the connection is closed.
    pub(crate) async fn until_closed(&mut self) {
        while self.frame().await.is_some() {}
    }

    async fn acknowledge(&mut self, received: &Frame) {
        if [SETTINGS, PING].contains(&received.kind) && received.flags & 1 == 0 {
            let payload: &[u8] = if received.kind == PING {
                &received.payload
            } else {
                &[]
            };
            self.write(&frame(received.kind, 1, 0, payload)).await;
        }
    }

    /// The two halves, for a scenario that sends and reads at the same time.
    pub(crate) fn split(
        self,
    ) -> (
        ReadHalf<TlsStream<TcpStream>>,
        WriteHalf<TlsStream<TcpStream>>,
    ) {
        (self.read, self.write)
    }
}

fn code(payload: &[u8]) -> u32 {
    u32::from_be_bytes(payload[..4].try_into().expect("four bytes"))
}

fn whole(bytes: &[u8]) -> Option<(Frame, usize)> {
    let [a, b, c, kind, flags, stream @ ..] = bytes.first_chunk::<9>()?;
    let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
    let payload = bytes.get(9..9 + length)?.to_vec();
    let frame = Frame {
        kind: *kind,
        flags: *flags,
        stream: u32::from_be_bytes(*stream),
        payload,
    };
    Some((frame, 9 + length))
}

/// The status of an answer: the first field of its block, from the static table (RFC 7541 A), or with a value in digits.
fn status_of(mut block: &[u8]) -> u16 {
    // First come changes of the table's size (RFC 7541 6.3), none of them long.
    while block[0] & 0xe0 == 0x20 {
        let is_long = block[0] & 0x1f == 0x1f;
        let rest = block[1..].iter().position(|byte| *byte < 128).unwrap();
        block = &block[if is_long { rest + 2 } else { 1 }..];
    }
    match block[0] {
        0x88 => 200,
        0x8c => 400,
        0x8d => 404,
        0x8e => 500,
        0x08 | 0x48 => {
            let length = usize::from(block[1] & 127);
            let value = &block[2..2 + length];
            if block[1] & 128 == 0 {
                return std::str::from_utf8(value).unwrap().parse().unwrap();
            }
            digits(value)
        }
        other => panic!("a status in a form that is not known here: {other:#x}"),
    }
}

/// Three digits in the code of RFC 7541 B: 0 to 2 have five bits, the others six.
fn digits(bytes: &[u8]) -> u16 {
    let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    let (mut rest, mut status) = (&bits[..], 0);
    for _ in 0..3 {
        let five = u16::from_str_radix(&rest[..5], 2).unwrap();
        let (digit, length) = if five < 3 {
            (five, 5)
        } else {
            (u16::from_str_radix(&rest[..6], 2).unwrap() - 22, 6)
        };
        status = status * 10 + digit;
        rest = &rest[length..];
    }
    status
}

#[test]
fn statuses_are_read_as_they_are_written() {
    assert_eq!(status_of(&[0x88]), 200);
    assert_eq!(status_of(&[0x48, 3, b'4', b'0', b'1']), 401);
    // 401: 011010 00000 00001, then ones.
    assert_eq!(status_of(&[0x48, 0x82, 0b0110_1000, 0b0000_0001]), 401);
}
