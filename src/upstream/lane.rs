//! One connection over which a server of a bot speaks HTTP/2, and the requests on it.
//!
//! h2 speaks it, in a task of its own that ends with the connection. Here is what is promised beside that: how many requests are on
//! it, how far each has come, and what an answer may be. Every limit is said here, and none is left to a default that a new version
//! of h2 might change.

use super::head::RequestHead;
use super::link::Trouble;
use super::pool::Made;
use super::sent::Sent;
use crate::net::answer_stream::NothingSent;
use crate::net::headers::{Answered, NoFields};
use crate::net::http2_line::{Heard, Http2Line};
use crate::net::line::Stream;
use bytes::Bytes;
use h2::client::{Connection, ResponseFuture, SendRequest};
use h2::{Ping, PingPong, RecvStream};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, COOKIE, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode, Uri, Version};
use http_body::SizeHint;
use std::collections::HashMap;
use std::future::pending;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::TaskTracker;

/// Requests at once on one connection, where the bot allows so many; for one more there is another connection.
const MOST_REQUESTS: usize = 100;
/// So much of an answer may come before it is read, bytes; and of all on a connection, so that some that nobody reads hold up none
/// of the others.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 100 * STREAM_WINDOW;
const FRAME_BYTES: u32 = 16 * 1024;
/// The head of an answer, as over HTTP/1.
const HEAD_BYTES: u32 = 64 * 1024;
const MOST_FIELDS: usize = 100;
const HEADER_TABLE_BYTES: u32 = 4096;
/// Answers that nobody waits for any more, and answers that are none, in the life of a connection.
const RESETS: usize = 50;
const STREAM_ERRORS: usize = 100;
/// A connection that is dead without a word is found out by a ping.
const PING_EVERY: Duration = Duration::from_secs(10);
const PONG_WITHIN: Duration = Duration::from_secs(5);
/// How long a new connection waits for the bot's settings, which begin it (RFC 9113 3.4): then requests go on it that may be more
/// than the bot takes, and wait.
const SETTINGS_WITHIN: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(super) struct Lane {
    sender: SendRequest<Bytes>,
    made: Made,
    progress: Arc<Progress>,
    riders: AtomicUsize,
    rests_since: Mutex<Instant>,
    /// It takes no more requests; those on it go on.
    is_closed: Arc<AtomicBool>,
}

impl Lane {
    /// Begins to speak HTTP/2 on a connection.
    pub(super) async fn open(
        stream: Box<dyn Stream>,
        made: Made,
        tasks: &TaskTracker,
    ) -> Result<Self, h2::Error> {
        let progress = Arc::<Progress>::default();
        let line = Http2Line::new(stream, Arc::clone(&progress));
        let (sender, mut connection) = h2::client::Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(FRAME_BYTES)
            .max_header_list_size(HEAD_BYTES)
            .header_table_size(HEADER_TABLE_BYTES)
            .initial_max_send_streams(MOST_REQUESTS)
            .max_concurrent_reset_streams(RESETS)
            .max_local_error_reset_streams(Some(STREAM_ERRORS))
            .enable_push(false)
            .handshake::<_, Bytes>(line)
            .await?;
        let mut pings = connection.ping_pong();
        let mut has_ended = false;
        if let Some(pings) = &mut pings {
            // What the bot takes at most stands in its first frame, which is here before its first answer.
            let answered = timeout(SETTINGS_WITHIN, pings.ping(Ping::opaque()));
            tokio::select! {
                _ = &mut connection => has_ended = true,
                _ = answered => {}
            }
        }
        let is_closed = Arc::new(AtomicBool::new(has_ended));
        // Where it has ended already, the first request on it finds that nothing was sent, as on one that rested.
        if !has_ended {
            let told = Arc::clone(&is_closed);
            // It ends when nobody holds the lane any more, and needs nobody to wait for it.
            tasks.spawn(async move {
                drive(connection, pings).await;
                told.store(true, Ordering::Release);
            });
        }
        Ok(Self {
            sender,
            made,
            progress,
            riders: AtomicUsize::new(0),
            rests_since: Mutex::new(Instant::now()),
            is_closed,
        })
    }

    /// When it began to be made, and what it belongs to.
    pub(super) const fn made(&self) -> Made {
        self.made
    }

    /// The place of the request for which it was opened.
    pub(super) fn first_ride(self: &Arc<Self>) -> Ride {
        self.riders.fetch_add(1, Ordering::AcqRel);
        Ride(Arc::clone(self))
    }

    /// A place for one more request, if there is one. To be asked by one at a time.
    pub(super) fn ride(self: &Arc<Self>) -> Option<Ride> {
        let riders = self.riders.load(Ordering::Acquire);
        let most = self.sender.current_max_send_streams().min(MOST_REQUESTS);
        if self.is_closed() || riders >= most {
            return None;
        }
        self.riders.fetch_add(1, Ordering::AcqRel);
        Some(Ride(Arc::clone(self)))
    }

    /// Whether it takes no more requests: it ended, the bot said GOAWAY, or it is of no more use.
    pub(super) fn is_closed(&self) -> bool {
        let mut nobody = Context::from_waker(Waker::noop());
        self.is_closed.load(Ordering::Acquire)
            || matches!(
                self.sender.clone().poll_ready(&mut nobody),
                Poll::Ready(Err(_))
            )
    }

    /// Whether nothing has been on it for so long.
    pub(super) fn has_rested_for(&self, this_long: Duration) -> bool {
        self.riders.load(Ordering::Acquire) == 0 && self.rests_since().elapsed() >= this_long
    }

    /// No more requests go on it; those on it go on.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
    }

    fn rests_since(&self) -> MutexGuard<'_, Instant> {
        // Poison only says that another thread panicked; a moment has no broken state.
        self.rests_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Until the connection ends, or does not answer a ping.
async fn drive(connection: Connection<Http2Line<Arc<Progress>>, Bytes>, pings: Option<PingPong>) {
    let silence = async {
        let Some(mut pings) = pings else {
            return pending().await;
        };
        loop {
            sleep(PING_EVERY).await;
            match timeout(PONG_WITHIN, pings.ping(Ping::opaque())).await {
                Ok(Ok(_)) => {}
                // The connection says so itself.
                Ok(Err(_)) => return pending().await,
                Err(_) => return,
            }
        }
    };
    tokio::select! {
        // Whoever is on it hears why.
        _ = connection => {}
        () = silence => {}
    }
}

/// How far the requests on a connection were written.
#[derive(Debug, Default)]
struct Progress {
    /// The last stream on which a request has begun. They begin in their order (RFC 9113 5.1.1).
    last_begun: AtomicU32,
    streams: Mutex<HashMap<u32, Step>>,
}

#[derive(Debug)]
enum Step {
    /// To be told when the request was written.
    Tells(Sent),
    /// It was, before anybody asked to be told.
    Ended,
}

impl Progress {
    fn has_begun(&self, stream: u32) -> bool {
        stream <= self.last_begun.load(Ordering::Acquire)
    }

    /// Not while h2 is at work: it writes with a lock held, which whoever gives it a request takes, too.
    fn tell(&self, stream: u32, sent: Sent) {
        let mut streams = self.streams();
        match streams.remove(&stream) {
            Some(Step::Ended) => sent.set(),
            Some(Step::Tells(_)) | None => {
                streams.insert(stream, Step::Tells(sent));
            }
        }
    }

    fn forget(&self, stream: u32) {
        self.streams().remove(&stream);
    }

    fn streams(&self) -> MutexGuard<'_, HashMap<u32, Step>> {
        // As above.
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heard for Arc<Progress> {
    fn began(&self, stream: u32) {
        self.last_begun.fetch_max(stream, Ordering::AcqRel);
    }

    fn ended(&self, stream: u32) {
        let mut streams = self.streams();
        match streams.remove(&stream) {
            Some(Step::Tells(sent)) => sent.set(),
            Some(Step::Ended) | None => {
                streams.insert(stream, Step::Ended);
            }
        }
    }
}

/// The place of a request on a connection, given up when dropped.
#[derive(Debug)]
pub(super) struct Ride(Arc<Lane>);

impl Drop for Ride {
    fn drop(&mut self) {
        *self.0.rests_since() = Instant::now();
        self.0.riders.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A place on a connection, and the stream on which the request is.
#[derive(Debug)]
struct Seat {
    ride: Ride,
    stream: u32,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.ride.0.progress.forget(self.stream);
    }
}

impl Ride {
    /// When the connection began to be made.
    pub(super) fn made(&self) -> Made {
        self.0.made()
    }

    /// Sends a request and waits for the head of its answer, `within` so much time, or what `sent` allows meanwhile.
    ///
    /// # Cancel safety
    /// Dropping it resets the stream; the connection and what else is on it go on.
    pub(super) async fn ask(
        self,
        head: RequestHead<'_>,
        body: Bytes,
        sent: Sent,
        within: Duration,
    ) -> Result<Response<Box<Streamed>>, Trouble> {
        let lane = Arc::clone(&self.0);
        let request = request(head, body.len()).ok_or_else(|| unreadable("no such address"))?;
        let begun = self.begin(request, body, sent.clone());
        let (seat, response) = begun.inspect_err(|_| lane.close())?;
        let outcome = tokio::select! {
            biased;
            outcome = response => outcome,
            waited = sent.time_is_over(within) => {
                // Nobody knows whether the bot is slow or nothing gets there.
                lane.close();
                return Err(Trouble::TooLate(waited));
            }
        };
        let response = outcome.map_err(|error| seat.trouble(error))?;
        Streamed::of(response, seat)
    }

    fn begin(
        self,
        request: Request<()>,
        body: Bytes,
        sent: Sent,
    ) -> Result<(Seat, ResponseFuture), Trouble> {
        let lane = &self.0;
        let mut sender = lane.sender.clone();
        let asked = sender.send_request(request, body.is_empty());
        // It was not even taken.
        let (response, mut stream) = asked.map_err(|_| Trouble::Reading(NothingSent::error()))?;
        let seat = Seat {
            stream: response.stream_id().as_u32(),
            ride: self,
        };
        if !body.is_empty() {
            // It is in memory in any case, and goes as the bot makes room. Where that fails, the answer says why.
            let _: Result<(), h2::Error> = stream.send_data(body, true);
        }
        seat.ride.0.progress.tell(seat.stream, sent);
        Ok((seat, response))
    }
}

impl Seat {
    /// Before the head of an answer.
    fn trouble(&self, error: h2::Error) -> Trouble {
        let lane = &self.ride.0;
        if !error.is_reset() {
            lane.close();
        }
        let is_refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
        // h2 says this of those streams only that are beyond the last one of which the bot says that it may have looked at it.
        let is_left_out = error.is_go_away();
        if error.is_remote() && (is_refused || is_left_out) {
            return Trouble::NotTaken(error);
        }
        if !lane.progress.has_begun(self.stream) {
            return Trouble::Reading(NothingSent::error());
        }
        Trouble::Reading(io::Error::other(error))
    }
}

/// With the fields as they are, but for white space around values, which HTTP/2 does not know (RFC 9113 8.2.1).
fn request(head: RequestHead<'_>, body_bytes: usize) -> Option<Request<()>> {
    let uri = Uri::builder()
        .scheme("https")
        .authority(head.host.as_bytes())
        .path_and_query(head.target.clone())
        .build()
        .ok()?;
    let mut request = Request::new(());
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_2;
    let headers = request.headers_mut();
    for (name, value) in head.fields.iter() {
        let name = HeaderName::from_bytes(name).ok()?;
        let mut value = HeaderValue::from_bytes(value).ok()?;
        // Not to be kept in the tables of either side.
        value.set_sensitive(name == AUTHORIZATION || name == COOKIE);
        headers.try_append(name, value).ok()?;
    }
    if body_bytes > 0 {
        headers.insert(CONTENT_LENGTH, body_bytes.into());
    }
    Some(request)
}

/// The body of an answer on its way.
#[derive(Debug)]
pub(super) struct Streamed {
    body: RecvStream,
    /// Where the bot said how long it is. h2 holds it to that.
    left: Option<u64>,
    /// There is none, whatever comes.
    has_none: bool,
    _seat: Seat,
}

impl Streamed {
    fn of(response: Response<RecvStream>, seat: Seat) -> Result<Response<Box<Self>>, Trouble> {
        let (parts, body) = response.into_parts();
        if !(200..600).contains(&parts.status.as_u16()) {
            return Err(unreadable("the bot's answer has a status that is none"));
        }
        if parts.headers.len() > MOST_FIELDS {
            return Err(unreadable("the bot's answer has too many fields"));
        }
        let left = length(&parts.headers)?;
        let mut fields = Answered::with_room_for(parts.headers.len());
        for (name, value) in &parts.headers {
            fields.add(name.clone(), value.as_bytes());
        }
        let headers = fields.to_client();
        let headers = headers.map_err(|NoFields| unreadable("the bot's answer has bad fields"))?;
        let is_bare = matches!(
            parts.status,
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        );
        let mut answer = Response::new(Box::new(Self {
            has_none: is_bare || body.is_end_stream(),
            body,
            left,
            _seat: seat,
        }));
        *answer.status_mut() = parts.status;
        *answer.headers_mut() = headers;
        Ok(answer)
    }

    pub(super) fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Trouble>>> {
        while !self.is_over() {
            match ready!(self.body.poll_data(cx)) {
                Some(Ok(data)) => {
                    // Fails only where the bot has ended the stream, and then nobody needs it.
                    let _: Result<(), h2::Error> =
                        self.body.flow_control().release_capacity(data.len());
                    let bytes = u64::try_from(data.len()).unwrap_or(u64::MAX);
                    self.left = self.left.map(|left| left.saturating_sub(bytes));
                    if !data.is_empty() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Some(Err(error)) => {
                    // So a bot stops a request that it has answered before it had all of it (RFC 9113 8.1).
                    let is_enough = error.is_remote()
                        && error.is_reset()
                        && error.reason() == Some(h2::Reason::NO_ERROR);
                    if !(is_enough && self.left.unwrap_or(0) == 0) {
                        let error = Trouble::Body(io::Error::other(error));
                        return Poll::Ready(Some(Err(error)));
                    }
                    self.has_none = true;
                }
                None => self.has_none = true,
            }
        }
        Poll::Ready(None)
    }

    pub(super) fn is_over(&self) -> bool {
        self.has_none || self.body.is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match self.left {
            _ if self.is_over() => SizeHint::with_exact(0),
            Some(left) => SizeHint::with_exact(left),
            None => SizeHint::default(),
        }
    }
}

/// What the bot says of the length of its answer; several words have to agree.
fn length(headers: &HeaderMap) -> Result<Option<u64>, Trouble> {
    let mut said = headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = said.next() else {
        return Ok(None);
    };
    let digits = first.to_str().ok();
    let digits = digits.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let length = digits.and_then(|digits| digits.parse().ok());
    if length.is_none() || said.any(|other| other != first) {
        return Err(unreadable("the bot's answer has a bad Content-Length"));
    }
    Ok(length)
}

fn unreadable(what: &'static str) -> Trouble {
    Trouble::Reading(io::Error::new(io::ErrorKind::InvalidData, what))
}
