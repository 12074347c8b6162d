//! Follows the frames of an HTTP/2 connection from outside, across the borders of reads and writes (RFC 9113 4.1).
//!
//! h2 decides what frames mean. Here they are only told apart, to count what h2 does not bound and to know which answers are
//! still on their way.

const HEAD_BYTES: usize = 9;
/// As much of a payload as anybody here wants to see: an error code, or an increment.
const START_BYTES: usize = 4;

/// The types of frames that RFC 9113 6 defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    Headers,
    Priority,
    Reset,
    Settings,
    PushPromise,
    Ping,
    GoAway,
    WindowUpdate,
    Continuation,
    Unknown,
}

/// A frame that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    pub(super) flags: u8,
    pub(super) stream: u32,
    /// Of the payload, bytes.
    pub(super) length: u32,
    /// The first four bytes of the payload as a number; fewer count as if zeros followed.
    pub(super) start: u32,
}

impl Frame {
    pub(super) const fn ends_stream(&self) -> bool {
        matches!(self.kind, Kind::Data | Kind::Headers) && self.flags & 0x1 != 0
    }

    /// RFC 9113 6: sizes that are a FRAME_SIZE_ERROR if they are otherwise. On the wrong stream, that is the greater mistake.
    pub(super) const fn has_size_of_its_kind(&self) -> bool {
        const ACKNOWLEDGES: u8 = 0x1;
        match self.kind {
            Kind::Priority => self.length == 5 || self.stream == 0,
            Kind::Reset => self.length == 4 || self.stream == 0,
            Kind::Settings if self.flags & ACKNOWLEDGES != 0 => {
                self.length == 0 || self.stream != 0
            }
            Kind::Settings => self.length.is_multiple_of(6) || self.stream != 0,
            Kind::Ping => self.length == 8 || self.stream != 0,
            Kind::GoAway => self.length >= 8 || self.stream != 0,
            Kind::WindowUpdate => self.length == 4,
            Kind::Data | Kind::Headers | Kind::PushPromise | Kind::Continuation | Kind::Unknown => {
                true
            }
        }
    }

    pub(super) const fn ends_headers(&self) -> bool {
        self.flags & 0x4 != 0
    }
}

/// What was taken of some bytes: up to the end of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// How many bytes.
    pub(super) bytes: usize,
    /// How many of them, the last ones, are payload.
    pub(super) payload: usize,
    /// The frame, if it ended with them.
    pub(super) ended: Option<Frame>,
}

/// Where in a frame the connection is.
#[derive(Clone, Debug)]
pub(super) struct Frames {
    /// Still to come of what precedes the first frame.
    preface: usize,
    /// Head and start of the payload.
    seen: [u8; HEAD_BYTES + START_BYTES],
    count: usize,
    /// Still to come of the payload.
    left: usize,
}

impl Frames {
    /// What a client sends begins with 24 bytes that are no frame (RFC 9113 3.4).
    pub(super) const fn of_client() -> Self {
        Self {
            preface: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len(),
            ..Self::of_server()
        }
    }

    /// What a server sends is frames only.
    pub(super) const fn of_server() -> Self {
        Self {
            preface: 0,
            seen: [0; HEAD_BYTES + START_BYTES],
            count: 0,
            left: 0,
        }
    }

    /// Type and stream of the frame whose payload is on its way.
    pub(super) fn begun(&self) -> Option<(Kind, u32)> {
        (self.count >= HEAD_BYTES).then(|| (self.kind(), self.stream()))
    }

    /// Takes bytes up to the end of a frame, or all of them; they must not be empty.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Taken {
        let mut taken = Taken {
            bytes: self.preface.min(bytes.len()),
            payload: 0,
            ended: None,
        };
        self.preface = self.preface.saturating_sub(taken.bytes);
        while let Some(byte) = bytes.get(taken.bytes)
            && let Some(place) = self.seen.get_mut(self.count)
            && (self.count < HEAD_BYTES || self.left > 0)
        {
            *place = *byte;
            taken.bytes = taken.bytes.saturating_add(1);
            self.count = self.count.saturating_add(1);
            if self.count == HEAD_BYTES {
                self.left = usize::try_from(self.length()).unwrap_or(usize::MAX);
            } else if self.count > HEAD_BYTES {
                self.left = self.left.saturating_sub(1);
                taken.payload = taken.payload.saturating_add(1);
            }
        }
        if self.count < HEAD_BYTES {
            return taken;
        }
        let rest = bytes.len().saturating_sub(taken.bytes).min(self.left);
        self.left = self.left.saturating_sub(rest);
        taken.bytes = taken.bytes.saturating_add(rest);
        taken.payload = taken.payload.saturating_add(rest);
        if self.left == 0 {
            taken.ended = Some(self.end());
        }
        taken
    }

    fn end(&mut self) -> Frame {
        let [_, _, _, _, flags, _, _, _, _, start @ ..] = self.seen;
        let frame = Frame {
            kind: self.kind(),
            flags,
            stream: self.stream(),
            length: self.length(),
            start: u32::from_be_bytes(start),
        };
        *self = Self::of_server();
        frame
    }

    const fn length(&self) -> u32 {
        let [a, b, c, ..] = self.seen;
        u32::from_be_bytes([0, a, b, c])
    }

    const fn stream(&self) -> u32 {
        let [_, _, _, _, _, a, b, c, d, ..] = self.seen;
        // The first bit is reserved.
        u32::from_be_bytes([a, b, c, d]) & (u32::MAX >> 1)
    }

    const fn kind(&self) -> Kind {
        let [_, _, _, kind, ..] = self.seen;
        match kind {
            0x0 => Kind::Data,
            0x1 => Kind::Headers,
            0x2 => Kind::Priority,
            0x3 => Kind::Reset,
            0x4 => Kind::Settings,
            0x5 => Kind::PushPromise,
            0x6 => Kind::Ping,
            0x7 => Kind::GoAway,
            0x8 => Kind::WindowUpdate,
            0x9 => Kind::Continuation,
            _ => Kind::Unknown,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The bytes of a frame.
    pub(in crate::net) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()[..]].concat();
        [&head[..], payload].concat()
    }

    fn all(frames: &mut Frames, mut bytes: &[u8]) -> (Vec<Frame>, usize) {
        let (mut ended, mut payload) = (vec![], 0);
        while !bytes.is_empty() {
            let taken = frames.take(bytes);
            ended.extend(taken.ended);
            payload += taken.payload;
            bytes = &bytes[taken.bytes..];
        }
        (ended, payload)
    }

    #[test]
    fn frames_are_told_apart_however_they_are_cut() {
        let bytes = [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            frame(4, 0, 0, &[]),
            frame(1, 5, 1, b"block"),
            frame(0, 0, 1, &[7; 300]),
            frame(0, 1, 1, b"ab"),
            frame(8, 0, 0x8000_0001, &[0, 0, 1, 0]),
            frame(0xba, 9, 3, &[1; 5]),
        ]
        .concat();
        let expected: Vec<(Kind, u8, u32, u32, u32)> = vec![
            (Kind::Settings, 0, 0, 0, 0),
            (Kind::Headers, 5, 1, 5, u32::from_be_bytes(*b"bloc")),
            (Kind::Data, 0, 1, 300, 0x0707_0707),
            (Kind::Data, 1, 1, 2, u32::from_be_bytes(*b"ab\0\0")),
            (Kind::WindowUpdate, 0, 1, 4, 256),
            (Kind::Unknown, 9, 3, 5, 0x0101_0101),
        ];
        for size in 1..bytes.len() {
            let mut frames = Frames::of_client();
            let (mut ended, mut data) = (vec![], 0);
            for piece in bytes.chunks(size) {
                let (more, more_data) = all(&mut frames, piece);
                ended.extend(more);
                data += more_data;
            }
            let seen: Vec<_> = ended
                .iter()
                .map(|f| (f.kind, f.flags, f.stream, f.length, f.start))
                .collect();
            assert_eq!(seen, expected, "in pieces of {size}");
            assert_eq!(data, 5 + 302 + 4 + 5, "in pieces of {size}");
        }
    }

    #[test]
    fn a_frame_on_its_way_says_what_it_is() {
        let mut frames = Frames::of_server();
        let bytes = frame(1, 4, 1, b"block");
        frames.take(&bytes[..8]);
        assert_eq!(frames.begun(), None);
        frames.take(&bytes[8..10]);
        assert_eq!(frames.begun(), Some((Kind::Headers, 1)));
        assert!(frames.take(&bytes[10..]).ended.unwrap().ends_headers());
        assert_eq!(frames.begun(), None);
    }
}
