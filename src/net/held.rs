//! Bytes on their way from a bot to whoever reads its answers, of which some are not yet known to be good.

use bytes::{Buf, BytesMut};
use tokio::io::ReadBuf;

/// What was read from the socket and not handed over. Without memory while there is nothing.
#[derive(Debug, Default)]
pub(super) struct Held {
    bytes: BytesMut,
    /// How many of these may be read.
    passed: usize,
    /// How many after those are left out.
    dropped: usize,
}

/// What is known of some bytes: these many may be passed on, and as many after them are to be left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) passed: usize,
    pub(super) dropped: usize,
}

impl Judged {
    pub(super) const fn end(self) -> usize {
        self.passed.saturating_add(self.dropped)
    }
}

impl Held {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether something may be read.
    pub(super) const fn has_passed(&self) -> bool {
        self.passed > 0
    }

    /// Hands over what may be read.
    pub(super) fn hand_over(&mut self, buf: &mut ReadBuf<'_>) {
        let count = self.passed.min(buf.remaining());
        buf.put_slice(self.bytes.get(..count).unwrap_or_default());
        self.bytes.advance(count);
        self.passed = self.passed.saturating_sub(count);
        self.settle();
    }

    /// Judges what is held; says whether that led to anything.
    pub(super) fn judge(&mut self, judge: impl FnOnce(&[u8]) -> Judged) -> bool {
        let judged = judge(&self.bytes);
        (self.passed, self.dropped) = (judged.passed, judged.dropped);
        self.settle();
        judged.end() > 0
    }

    /// Judges what was just read into `buf` behind `before`. While nothing is held, what is good stays there, uncopied; says
    /// whether anything did.
    pub(super) fn judge_read(
        &mut self,
        buf: &mut ReadBuf<'_>,
        before: usize,
        judge: impl FnOnce(&[u8]) -> Judged,
    ) -> bool {
        let read = buf.filled().get(before..).unwrap_or_default();
        if !self.bytes.is_empty() {
            self.bytes.extend_from_slice(read);
            buf.set_filled(before);
            return false;
        }
        let judged = judge(read);
        self.bytes
            .extend_from_slice(read.get(judged.end()..).unwrap_or_default());
        buf.set_filled(before.saturating_add(judged.passed));
        judged.passed > 0
    }

    /// Leaves out what is dropped, once nothing stands before it, and gives memory back.
    fn settle(&mut self) {
        if self.passed == 0 {
            self.bytes.advance(self.dropped.min(self.bytes.len()));
            self.dropped = 0;
        }
        if self.bytes.is_empty() {
            self.bytes = BytesMut::new();
        }
    }
}
