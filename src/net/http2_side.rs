//! What a stream does for HTTP/2 beside what it does for HTTP/1: it bounds frames, header blocks and answers held back.
//!
//! h2 ends a connection with a reason only for what it finds itself, and hyper's graceful shutdown would go on serving. So a flood
//! is ended by giving h2 what it answers with GOAWAY and ENHANCE_YOUR_CALM: more CONTINUATION frames than it reads.

use super::answer_watch::AnswerWatch;
use super::busy::Busy;
use super::frame_watch::{Flood, FrameWatch};
use super::pressure::{Crowd, Pressure};
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How long a connection is kept after its last byte was written, so that the client gets to read that: closing a socket with
/// unread bytes resets it, and what is on its way is lost.
const LINGER: Duration = Duration::from_secs(1);
/// How much of what a client still sends is thrown away meanwhile, bytes.
const LINGER_BYTES: usize = 8 * 1024 * 1024;

/// A header block that does not end: HEADERS, and CONTINUATION frames, all empty and on stream 1.
const ENDLESS_BLOCK: [[u8; 9]; 32] = {
    let mut frames = [[0, 0, 0, 9, 0, 0, 0, 0, 1]; 32];
    frames[0] = [0, 0, 0, 1, 0, 0, 0, 0, 1];
    frames
};

/// What h2 answers with the right error code.
const fn last_words(flood: Flood) -> &'static [u8] {
    match flood {
        // The longest frame there is: FRAME_SIZE_ERROR.
        Flood::FrameSize => &[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1],
        // CONTINUATION of nothing: PROTOCOL_ERROR.
        Flood::Trailers => &[0, 0, 0, 9, 0, 0, 0, 0, 1],
        Flood::RapidReset
        | Flood::Reset
        | Flood::Settings
        | Flood::Ping
        | Flood::Priority
        | Flood::TinyData
        | Flood::WindowUpdate
        | Flood::Other
        | Flood::HeaderBlock => ENDLESS_BLOCK.as_flattened(),
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Http2Side {
    asked: FrameWatch,
    answers: AnswerWatch,
    busy: Busy,
    /// On answers that have begun, whether or not there is something to write.
    pressure: Pressure,
    /// For one header block.
    head: Duration,
    /// Runs while a header block has begun and has not ended.
    block: Option<Pin<Box<Sleep>>>,
    /// What is still to be read after a flood, before the end.
    last_words: Option<&'static [u8]>,
    /// Runs from a flood, or from the last byte written.
    end: Option<Pin<Box<Sleep>>>,
    /// Everything was written, and the sending half is closed.
    is_shut: bool,
    thrown_away: usize,
}

impl Http2Side {
    pub(super) fn new(busy: Busy, head: Duration, crowd: Crowd) -> Self {
        Self {
            asked: FrameWatch::new(Instant::now()),
            answers: AnswerWatch::new(),
            busy,
            pressure: Pressure::new(crowd),
            head,
            block: None,
            last_words: None,
            end: None,
            is_shut: false,
            thrown_away: 0,
        }
    }

    /// After a flood: gives what is to be read instead of what the client sends. Says whether that is so.
    pub(super) fn read_last_words(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let Some(words) = self.last_words else {
            return false;
        };
        let (now, later) = words
            .split_at_checked(buf.remaining())
            .unwrap_or((words, &[]));
        buf.put_slice(now);
        self.last_words = Some(later);
        true
    }

    /// The client sent what is filled of `buf` beyond `before`. What follows a flood is taken out again.
    pub(super) fn note_read(&mut self, buf: &mut ReadBuf<'_>, before: usize) {
        self.asked.sent_data(self.answers.take_data_frames());
        let bytes = buf.filled().get(before..).unwrap_or_default();
        let answers = &mut self.answers;
        let flood = self
            .asked
            .take(bytes, Instant::now(), |stream| answers.forget(stream));
        self.busy.set_begun(self.answers.begun());
        if let Some((keep, flood)) = flood {
            buf.set_filled(before.saturating_add(keep));
            self.busy.set_flood(flood);
            self.last_words = Some(last_words(flood));
            self.end_soon();
            if keep == 0 {
                // No bytes at all would be the end, and h2 would go without a word.
                self.read_last_words(buf);
            }
        }
        if !self.asked.is_in_block() {
            self.block = None;
        } else if self.block.is_none() {
            self.block = Some(Box::pin(tokio::time::sleep(self.head)));
        }
    }

    /// The first so many bytes of `bufs` were written.
    pub(super) fn note_written(&mut self, bufs: &[IoSlice<'_>], mut bytes: usize) {
        for buf in bufs {
            let (written, _) = buf.split_at_checked(bytes).unwrap_or((buf, &[]));
            bytes = bytes.saturating_sub(written.len());
            self.pressure.relieve(self.answers.take(written));
        }
        self.busy.set_malformed(self.answers.malformed());
        self.busy.set_begun(self.answers.begun());
    }

    /// How many answers have begun and not ended.
    pub(super) const fn answers_begun(&self) -> usize {
        self.answers.begun()
    }

    /// Ready when a header block has taken too long.
    pub(super) fn poll_block(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.block {
            Some(deadline) => deadline.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }

    /// Ready when the client takes its answers too slowly, or does not let the connection end.
    pub(super) fn poll_too_slow(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // An answer that has begun and does not wait for the bot waits for the client.
        let is_held_up = self.answers.begun() > self.busy.waiting();
        if self.pressure.poll(cx, is_held_up).is_ready() {
            return Poll::Ready(());
        }
        match &mut self.end {
            Some(end) if !self.is_shut => end.as_mut().poll(cx),
            Some(_) | None => Poll::Pending,
        }
    }

    /// Whether only the client's end of the connection is waited for.
    pub(super) const fn is_lingering(&self) -> bool {
        self.is_shut
    }

    /// Throws away what the client still sends, until it closes too, or long enough.
    pub(super) fn poll_linger<S: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut S,
    ) -> Poll<()> {
        self.is_shut = true;
        let end = self.end_soon();
        if end.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let mut space = [0; 4096];
        while self.thrown_away < LINGER_BYTES {
            let mut buf = ReadBuf::new(&mut space);
            let outcome = ready!(Pin::new(&mut *stream).poll_read(cx, &mut buf));
            if outcome.is_err() || buf.filled().is_empty() {
                break;
            }
            self.thrown_away = self.thrown_away.saturating_add(buf.filled().len());
        }
        Poll::Ready(())
    }

    fn end_soon(&mut self) -> &mut Pin<Box<Sleep>> {
        self.end
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER)))
    }
}
