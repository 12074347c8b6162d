//! Reads request bodies up to a limit and within a deadline.

use super::{Body, BodyError, BrokenBody, RequestBody};
use crate::judge::{Reason, Rejection};
use bytes::{Bytes, BytesMut};
use http::Version;
use http::request::Parts;
use http_body::Body as _;
use http_body_util::{BodyExt, Empty, Full};
use std::task::Poll;
use std::time::Duration;
use tokio::time::timeout;

/// How much of a refused body is taken over HTTP/2: what a client may send before it hears from this side.
const REST_BYTES: usize = 64 * 1024;
/// And how long is waited for it: most of it comes with its head, the rest is under way.
const REST_WITHIN: Duration = Duration::from_secs(1);

/// How reading a body can fail.
#[derive(Debug)]
pub enum ReadError {
    /// The request is refused.
    Rejected(Rejection),
    /// The client went away.
    ClientLeft,
}

/// The size that `Content-Length` announces is within the limit. Costs nothing, so it is asked first.
///
/// # Errors
/// [`Reason::BodyTooLarge`].
pub fn check_announced(body: &RequestBody, max_bytes: usize) -> Result<(), Rejection> {
    let announced = body.size_hint().lower();
    if usize::try_from(announced).is_ok_and(|announced| announced <= max_bytes) {
        return Ok(());
    }
    Err(too_large(max_bytes).noting(format!("Content-Length {announced}, at most {max_bytes}")))
}

/// Reads the whole body; `room` is asked for each piece of it, by its size, and `taken` counts their bytes, whatever comes of it.
///
/// # Errors
/// [`Reason::BodyTooLarge`], [`Reason::BodyTimedOut`] when it is not complete after `within`,
/// [`Reason::RequestMalformed`] for broken chunks, and what `room` says.
pub async fn read(
    body: &mut RequestBody,
    max_bytes: usize,
    within: Duration,
    taken: &mut u64,
    room: impl FnMut(usize) -> Result<(), Rejection>,
) -> Result<Bytes, ReadError> {
    let mut reading = std::pin::pin!(read_frames(body, max_bytes, taken, room));
    // Most bodies are there with their head: a timer is for those that are not.
    let there = std::future::poll_fn(|cx| match reading.as_mut().poll(cx) {
        Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
        Poll::Pending => Poll::Ready(None),
    });
    if let Some(outcome) = there.await {
        return outcome;
    }
    match timeout(within, reading).await {
        Ok(outcome) => outcome,
        Err(_) => Err(ReadError::Rejected(
            Rejection::from(Reason::BodyTimedOut).noting(format!("not complete after {within:?}")),
        )),
    }
}

async fn read_frames(
    body: &mut RequestBody,
    max_bytes: usize,
    taken: &mut u64,
    mut room: impl FnMut(usize) -> Result<(), Rejection>,
) -> Result<Bytes, ReadError> {
    let announced = usize::try_from(body.size_hint().lower())
        .unwrap_or(usize::MAX)
        .min(max_bytes);
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|error| fault(&error))?.into_data() else {
            continue;
        };
        *taken = taken.saturating_add(u64::try_from(data.len()).unwrap_or(u64::MAX));
        let so_far = first
            .as_ref()
            .map_or(0, Bytes::len)
            .saturating_add(rest.len());
        if so_far.saturating_add(data.len()) > max_bytes {
            return Err(ReadError::Rejected(too_large(max_bytes)));
        }
        room(data.len()).map_err(ReadError::Rejected)?;
        // A body that came in one piece is passed on as that piece.
        match first.as_ref() {
            None => first = Some(data),
            Some(start) => {
                if rest.is_empty() {
                    rest.reserve(announced);
                    rest.extend_from_slice(start);
                    first = Some(Bytes::new());
                }
                rest.extend_from_slice(&data);
            }
        }
    }
    Ok(if rest.is_empty() {
        first.unwrap_or_default()
    } else {
        rest.freeze()
    })
}

/// Whether the client broke the framing of its body, or only went away.
fn fault(broken: &BrokenBody) -> ReadError {
    const BROKEN: &str = "the body's framing is broken";
    let malformed =
        |note| ReadError::Rejected(Rejection::from(Reason::RequestMalformed).noting(note));
    match broken {
        BrokenBody::Flawed(flaw) => malformed(format!("{BROKEN}: {flaw}")),
        BrokenBody::Hyper(error) if is_misframed(error) => malformed(BROKEN.to_owned()),
        BrokenBody::Hyper(_) | BrokenBody::Left => ReadError::ClientLeft,
    }
}

/// Such as more or fewer bytes than Content-Length says, on a stream of HTTP/2; or a broken chunk in a saved request.
fn is_misframed(error: &hyper::Error) -> bool {
    use std::io::ErrorKind::{InvalidData, InvalidInput};
    let source = std::error::Error::source(error);
    let h2 = source.and_then(|source| source.downcast_ref::<h2::Error>());
    let io = source.and_then(|source| source.downcast_ref::<std::io::Error>());
    // Found by this side, and not said by the other.
    h2.is_some_and(|h2| h2.reason() == Some(h2::Reason::PROTOCOL_ERROR) && !h2.is_remote())
        || io.is_some_and(|io| matches!(io.kind(), InvalidData | InvalidInput))
}

fn too_large(max_bytes: usize) -> Rejection {
    Rejection::from(Reason::BodyTooLarge).noting(format!("more than {max_bytes} bytes"))
}

/// Lets the body of a refused request come to its end before the answer, where that is soon.
///
/// In HTTP/2 an answer before the body's end is followed by a reset of the stream (RFC 9113 8.1), which some clients take for a
/// failure although the answer is whole (curl 7.88). So a small body that is on its way is waited for, but not for long. In HTTP/1
/// the connection closes instead, and nobody is waited for.
pub async fn let_end(body: &mut RequestBody, head: &Parts) {
    // A client that waits for 100 Continue sends nothing until told to; reading would tell it to.
    let waits = head.headers.contains_key(http::header::EXPECT);
    if head.version >= Version::HTTP_2 && !body.is_end_stream() && !waits {
        let _ = timeout(REST_WITHIN, take(body, REST_BYTES)).await;
    }
}

/// Takes what comes until the end, or so many bytes, and throws it away.
async fn take(body: &mut RequestBody, max_bytes: usize) {
    let mut taken = 0_usize;
    while let Some(Ok(frame)) = body.frame().await {
        taken = taken.saturating_add(frame.data_ref().map_or(0, Bytes::len));
        if taken > max_bytes || body.is_end_stream() {
            return;
        }
    }
}

/// No bytes.
pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// These bytes.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| -> BodyError { match never {} })
        .boxed_unsync()
}
