//! Knows which answers of an HTTP/2 connection are still on their way to the client.
//!
//! hyper lets go of an answer when h2 has taken its last piece, and h2 may hold that back for as long as the client opens no
//! window for it. What was written says how far an answer really is.

use super::frames::{Frames, Kind};

/// RFC 9113 7: the client's message was malformed.
const PROTOCOL_ERROR: u32 = 1;

/// Watches what the gateway sends.
#[derive(Debug)]
pub(super) struct AnswerWatch {
    frames: Frames,
    /// Streams whose answer has begun and not ended; no more than may be open at once.
    begun: Vec<u32>,
    /// DATA frames since they were last asked for.
    data_frames: u32,
    /// Requests that h2 refused as malformed, over the life of the connection.
    malformed: u64,
}

impl AnswerWatch {
    /// Watches a connection from its first byte.
    pub(super) const fn new() -> Self {
        Self {
            frames: Frames::of_server(),
            begun: vec![],
            data_frames: 0,
            malformed: 0,
        }
    }

    /// Takes what was written; says how many bytes of answers' bodies that was.
    pub(super) fn take(&mut self, mut bytes: &[u8]) -> usize {
        let mut data = 0_usize;
        while !bytes.is_empty() {
            let before = self.frames.begun();
            let taken = self.frames.take(bytes);
            bytes = bytes.get(taken.bytes..).unwrap_or_default();
            let ended = taken.ended.map(|frame| (frame.kind, frame.stream));
            if matches!(
                ended.or(self.frames.begun()).or(before),
                Some((Kind::Data, _))
            ) {
                data = data.saturating_add(taken.payload);
            }
            let Some(frame) = taken.ended else { continue };
            if frame.kind == Kind::Data {
                self.data_frames = self.data_frames.saturating_add(1);
            }
            if frame.kind == Kind::Reset && frame.start == PROTOCOL_ERROR {
                self.malformed = self.malformed.saturating_add(1);
            }
            if frame.ends_stream() || frame.kind == Kind::Reset {
                self.forget(frame.stream);
            } else if frame.kind == Kind::Headers && !self.begun.contains(&frame.stream) {
                self.begun.push(frame.stream);
            }
        }
        data
    }

    /// The client does not want this answer any more.
    pub(super) fn forget(&mut self, stream: u32) {
        self.begun.retain(|begun| *begun != stream);
    }

    /// How many answers have begun and not ended.
    pub(super) const fn begun(&self) -> usize {
        self.begun.len()
    }

    /// How many DATA frames were sent since this was last asked.
    pub(super) const fn take_data_frames(&mut self) -> u32 {
        std::mem::replace(&mut self.data_frames, 0)
    }

    /// How many requests h2 refused as malformed.
    pub(super) const fn malformed(&self) -> u64 {
        self.malformed
    }
}

#[cfg(test)]
mod tests {
    use super::super::frames::tests::frame;
    use super::*;

    #[test]
    fn an_answer_is_on_its_way_until_its_last_byte_is() {
        let mut answers = AnswerWatch::new();
        assert_eq!(answers.take(&frame(4, 0, 0, &[])), 0);
        answers.take(&frame(1, 4, 1, b"head"));
        answers.take(&frame(1, 4, 3, b"interim"));
        answers.take(&frame(1, 4, 3, b"head"));
        answers.take(&frame(1, 5, 5, b"no body"));
        assert_eq!(answers.begun(), 2);
        let last = frame(0, 1, 1, b"last");
        assert_eq!(answers.take(&last[..10]), 1);
        assert_eq!(answers.begun(), 2);
        assert_eq!(answers.take(&last[10..]), 3);
        assert_eq!(answers.begun(), 1);
        assert_eq!(answers.take_data_frames(), 1);
        assert_eq!(answers.take_data_frames(), 0);
    }

    #[test]
    fn a_reset_ends_an_answer_whoever_sends_it() {
        let mut answers = AnswerWatch::new();
        for stream in [1, 3, 5] {
            answers.take(&frame(1, 4, stream, b"head"));
        }
        answers.take(&frame(3, 0, 1, &[0, 0, 0, 2]));
        answers.forget(3);
        assert_eq!((answers.begun(), answers.malformed()), (1, 0));
        answers.take(&frame(3, 0, 7, &[0, 0, 0, 1]));
        assert_eq!((answers.begun(), answers.malformed()), (1, 1));
    }
}
