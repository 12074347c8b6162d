//! The beginning of a body as it came in pieces. One alone, which most short answers are, is not copied.

use bytes::{Bytes, BytesMut};

/// See the module.
pub(super) struct Pieces {
    first: Bytes,
    /// All of them, where there is more than one.
    all: BytesMut,
    /// How many bytes are expected.
    expected: usize,
}

impl Pieces {
    pub(super) fn of(expected: usize) -> Self {
        Self {
            first: Bytes::new(),
            all: BytesMut::new(),
            expected,
        }
    }

    pub(super) fn add(&mut self, piece: Bytes) {
        if self.len() == 0 {
            self.first = piece;
            return;
        }
        if self.all.is_empty() {
            let bytes = self.first.len().saturating_add(piece.len());
            self.all.reserve(self.expected.max(bytes));
            self.all.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.all.extend_from_slice(&piece);
    }

    pub(super) fn len(&self) -> usize {
        self.first.len().max(self.all.len())
    }

    pub(super) fn joined(self) -> Bytes {
        if self.all.is_empty() {
            self.first
        } else {
            self.all.freeze()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_joined_and_one_alone_is_not_copied() {
        let one = Bytes::from_static(b"ab");
        let mut pieces = Pieces::of(4);
        assert_eq!((pieces.len(), Pieces::of(4).joined()), (0, Bytes::new()));
        pieces.add(Bytes::new());
        pieces.add(one.clone());
        assert_eq!(pieces.len(), 2);
        assert_eq!(pieces.joined().as_ptr(), one.as_ptr());
        let mut pieces = Pieces::of(4);
        for (piece, length) in [("ab", 2), ("", 2), ("c", 3), ("def", 6)] {
            pieces.add(Bytes::from_static(piece.as_bytes()));
            assert_eq!(pieces.len(), length);
        }
        assert_eq!(pieces.joined(), "abcdef");
    }
}
