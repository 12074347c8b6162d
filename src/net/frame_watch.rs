//! Bounds what a client of HTTP/2 may send beside requests.
//!
//! h2 bounds memory, not work: it answers every PING and SETTINGS, reads every PRIORITY, and lets a client open and reset
//! streams for ever, as long as each reset comes after the stream was accepted (CVE-2023-44487 in its slower form). Each kind of
//! frame has a budget that refills with time: generous for a client that means well, and used up by a flood within one read.

use super::frames::{Frame, Frames, Kind};
use super::trailers;
use std::time::Duration;
use tokio::time::Instant;

/// The most bytes that the header block of one request may have as it is sent, compressed. What it unpacks to has its own limit.
pub(super) const MAX_BLOCK_BYTES: u32 = 64 * 1024;
/// A stream that was open for this long was opened for its answer; resetting it is how a client gives up.
const PATIENT: Duration = Duration::from_secs(1);
/// A client acknowledges what it received, often twice per DATA frame: once for the stream, once for the connection.
const WINDOW_UPDATES_PER_DATA: u32 = 4;

/// Which budget a client used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flood {
    /// Streams reset as soon as they were opened.
    RapidReset,
    /// Streams reset after some time.
    Reset,
    /// SETTINGS.
    Settings,
    /// PING.
    Ping,
    /// PRIORITY.
    Priority,
    /// DATA without data, or with hardly any.
    TinyData,
    /// WINDOW_UPDATE, more than there was to acknowledge.
    WindowUpdate,
    /// GOAWAY, and types of frames that nobody knows.
    Other,
    /// One header block, beyond [`MAX_BLOCK_BYTES`].
    HeaderBlock,
    /// No flood: a frame whose size its type does not allow. h2 calls it by another name.
    FrameSize,
    /// No flood: trailers with pseudo fields, which h2 would let pass.
    Trailers,
}

impl Flood {
    /// Its name in metrics.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::RapidReset => "rapid_reset",
            Self::Reset => "reset_flood",
            Self::Settings => "settings_flood",
            Self::Ping => "ping_flood",
            Self::Priority => "priority_flood",
            Self::TinyData => "data_flood",
            Self::WindowUpdate => "window_update_flood",
            Self::Other => "frame_flood",
            Self::HeaderBlock => "header_block",
            Self::FrameSize => "frame_size_error",
            Self::Trailers => "pseudo_trailers",
        }
    }
}

/// How many at once, and how long until there is room for one more.
#[derive(Clone, Copy)]
struct Limit {
    burst: u32,
    every: Duration,
}

const fn limit(burst: u32, per_second: u32) -> Limit {
    let every = match Duration::from_secs(1).checked_div(per_second) {
        Some(every) => every,
        None => Duration::MAX,
    };
    Limit { burst, every }
}

/// With at most 100 streams at once, and each answered before the next one, an honest client resets few. Ten free ones keep what
/// a rapid reset brings to the backend below twenty requests.
const RAPID_RESETS: Limit = limit(10, 1);
/// All streams of a connection may be given up together, when the bot hangs.
const RESETS: Limit = limit(200, 10);
const SETTINGS: Limit = limit(20, 1);
/// Some clients measure the round trip with a ping per piece of an answer.
const PINGS: Limit = limit(100, 10);
/// Browsers once sent five per connection, and one per request.
const PRIORITIES: Limit = limit(200, 20);
const TINY_DATA: Limit = limit(1000, 100);
const WINDOW_UPDATES: Limit = limit(400, 50);
const OTHERS: Limit = limit(100, 10);
/// A DATA frame with fewer bytes costs more than it brings.
const TINY: u32 = 16;

/// A budget that refills (GCRA): the moment at which it will be full again.
#[derive(Clone, Copy, Debug, Default)]
struct Budget(Option<Instant>);

impl Budget {
    /// Takes one; says whether there was one.
    fn take(&mut self, limit: Limit, now: Instant) -> bool {
        let from = self.0.map_or(now, |full_at| full_at.max(now));
        let Some(full_at) = from.checked_add(limit.every) else {
            return false;
        };
        self.0 = Some(full_at);
        full_at.duration_since(now) <= limit.every.saturating_mul(limit.burst)
    }

    /// Gives some back.
    fn give(&mut self, limit: Limit, count: u32) {
        let back = limit.every.saturating_mul(count);
        self.0 = self.0.and_then(|full_at| full_at.checked_sub(back));
    }
}

/// Watches what a client sends.
#[derive(Debug)]
pub(super) struct FrameWatch {
    frames: Frames,
    /// Of the header block that is being sent.
    block_bytes: Option<u32>,
    /// Set while that block is a request's trailers.
    trailers: Option<Trailers>,
    opened: Opened,
    rapid_resets: Budget,
    resets: Budget,
    settings: Budget,
    pings: Budget,
    priorities: Budget,
    tiny_data: Budget,
    window_updates: Budget,
    others: Budget,
}

impl FrameWatch {
    /// Watches a connection from its first byte.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            frames: Frames::of_client(),
            block_bytes: None,
            trailers: None,
            opened: Opened::new(now),
            rapid_resets: Budget::default(),
            resets: Budget::default(),
            settings: Budget::default(),
            pings: Budget::default(),
            priorities: Budget::default(),
            tiny_data: Budget::default(),
            window_updates: Budget::default(),
            others: Budget::default(),
        }
    }

    /// Takes what was read. If a budget is used up: how many of the bytes still belong to the frame that did it, and which one.
    /// `on_reset` hears of streams that the client gave up.
    pub(super) fn take(
        &mut self,
        bytes: &[u8],
        now: Instant,
        mut on_reset: impl FnMut(u32),
    ) -> Option<(usize, Flood)> {
        let (mut seen, mut began) = (0_usize, 0_usize);
        while let Some(rest) = bytes.get(seen..).filter(|rest| !rest.is_empty()) {
            let taken = self.frames.take(rest);
            seen = seen.saturating_add(taken.bytes);
            let payload = bytes.get(seen.saturating_sub(taken.payload)..seen);
            self.collect_trailers(payload.unwrap_or_default(), taken.ended);
            let Some(frame) = taken.ended else { continue };
            // h2 is not to see these.
            if self.are_bad_trailers(frame) {
                return Some((began, Flood::Trailers));
            }
            if !frame.has_size_of_its_kind() {
                return Some((began, Flood::FrameSize));
            }
            began = seen;
            if frame.kind == Kind::Reset {
                on_reset(frame.stream);
            }
            if let Some(flood) = self.count(frame, now) {
                return Some((seen, flood));
            }
        }
        None
    }

    /// So many DATA frames were sent, which the client may acknowledge.
    pub(super) fn sent_data(&mut self, frames: u32) {
        let updates = frames.saturating_mul(WINDOW_UPDATES_PER_DATA);
        self.window_updates.give(WINDOW_UPDATES, updates);
    }

    /// Whether a request's header block has begun and has not ended.
    pub(super) fn is_in_block(&self) -> bool {
        self.block_bytes.is_some() || matches!(self.frames.begun(), Some((Kind::Headers, _)))
    }

    /// Keeps the payload of a header block on a stream that is open already.
    fn collect_trailers(&mut self, payload: &[u8], ended: Option<Frame>) {
        let ended = ended.map(|frame| (frame.kind, frame.stream));
        let Some((kind, stream)) = ended.or(self.frames.begun()) else {
            return;
        };
        if kind == Kind::Headers && self.trailers.is_none() && self.opened.has(stream) {
            self.trailers = Some(Trailers::default());
        }
        if let Some(trailers) = &mut self.trailers {
            trailers.payload.extend_from_slice(payload);
        }
    }

    /// Whether a header block ends with this frame that is a request's trailers and has what they must not.
    fn are_bad_trailers(&mut self, frame: Frame) -> bool {
        let Some(trailers) = &mut self.trailers else {
            return false;
        };
        let payload = std::mem::take(&mut trailers.payload);
        let block = match frame.kind {
            Kind::Headers => trailers::block_of(frame.flags, &payload),
            Kind::Continuation => Some(&payload[..]),
            // h2 says what is wrong.
            Kind::Data
            | Kind::Priority
            | Kind::Reset
            | Kind::Settings
            | Kind::PushPromise
            | Kind::Ping
            | Kind::GoAway
            | Kind::WindowUpdate
            | Kind::Unknown => None,
        };
        trailers.block.extend_from_slice(block.unwrap_or_default());
        if !frame.ends_headers() {
            return false;
        }
        let trailers = self.trailers.take().unwrap_or_default();
        trailers::has_pseudo_fields(&trailers.block)
    }

    fn count(&mut self, frame: Frame, now: Instant) -> Option<Flood> {
        let (budget, limit, flood) = match frame.kind {
            Kind::Headers | Kind::PushPromise => {
                self.opened.note(frame.stream, now);
                return self.add_to_block(frame);
            }
            Kind::Continuation => return self.add_to_block(frame),
            Kind::Data if frame.length >= TINY || frame.ends_stream() => return None,
            Kind::Data => (&mut self.tiny_data, TINY_DATA, Flood::TinyData),
            Kind::Reset if self.opened.is_patient(frame.stream, now) => {
                (&mut self.resets, RESETS, Flood::Reset)
            }
            Kind::Reset => (&mut self.rapid_resets, RAPID_RESETS, Flood::RapidReset),
            Kind::Settings => (&mut self.settings, SETTINGS, Flood::Settings),
            Kind::Ping => (&mut self.pings, PINGS, Flood::Ping),
            Kind::Priority => (&mut self.priorities, PRIORITIES, Flood::Priority),
            Kind::WindowUpdate => (
                &mut self.window_updates,
                WINDOW_UPDATES,
                Flood::WindowUpdate,
            ),
            Kind::GoAway | Kind::Unknown => (&mut self.others, OTHERS, Flood::Other),
        };
        (!budget.take(limit, now)).then_some(flood)
    }

    fn add_to_block(&mut self, frame: Frame) -> Option<Flood> {
        let bytes = self.block_bytes.unwrap_or(0).saturating_add(frame.length);
        self.block_bytes = Some(bytes).filter(|_| !frame.ends_headers());
        (bytes > MAX_BLOCK_BYTES).then_some(Flood::HeaderBlock)
    }
}

/// Trailers on their way; no more than a header block may have, and a frame.
#[derive(Debug, Default)]
struct Trailers {
    /// Of the frame that has not ended.
    payload: Vec<u8>,
    block: Vec<u8>,
}

/// Which streams were opened [`PATIENT`] ago or earlier, to that precision: ids only grow (RFC 9113 5.1.1), so that two marks do.
#[derive(Debug)]
struct Opened {
    newest: u32,
    newest_at: Instant,
    marked: u32,
    marked_at: Instant,
    /// Streams up to this one are old.
    old: u32,
}

impl Opened {
    const fn new(now: Instant) -> Self {
        Self {
            newest: 0,
            newest_at: now,
            marked: 0,
            marked_at: now,
            old: 0,
        }
    }

    fn note(&mut self, stream: u32, now: Instant) {
        if stream > self.newest {
            self.age(now);
            self.newest = stream;
            self.newest_at = now;
        }
    }

    const fn has(&self, stream: u32) -> bool {
        0 < stream && stream <= self.newest
    }

    fn is_patient(&mut self, stream: u32, now: Instant) -> bool {
        self.age(now);
        stream <= self.old
    }

    fn age(&mut self, now: Instant) {
        if now.duration_since(self.newest_at) >= PATIENT {
            self.old = self.newest;
        }
        if now.duration_since(self.marked_at) >= PATIENT {
            self.old = self.old.max(self.marked);
            self.marked = self.newest;
            self.marked_at = now;
        }
    }
}

#[cfg(test)]
mod tests;
