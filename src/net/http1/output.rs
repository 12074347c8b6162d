//! What is on its way to a client: text of ours, a piece of an answer's body, text behind it.

use bytes::{Buf as _, Bytes};
use std::io::IoSlice;

/// A longer head is not kept room for.
const USUAL_TEXT: usize = 4 * 1024;

/// Copied, because one piece of memory is written faster than three.
const SMALL_PIECE: usize = 1024;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Output {
    /// A head, or what stands before the data of a chunk.
    text: Vec<u8>,
    /// Of the text.
    written: usize,
    /// What is left of it.
    piece: Bytes,
    /// What is left of it.
    tail: &'static [u8],
    /// Something was added since all was sent.
    is_unsent: bool,
}

impl Output {
    /// For text that is sent next.
    pub(super) fn text(&mut self) -> &mut Vec<u8> {
        self.is_unsent = true;
        &mut self.text
    }

    /// Adds what follows the text: a piece, and what stands behind it. To be called once for what is sent at a time.
    pub(super) fn add(&mut self, piece: Bytes, tail: &'static [u8]) {
        self.is_unsent = true;
        if piece.len() > SMALL_PIECE {
            (self.piece, self.tail) = (piece, tail);
        } else {
            self.text.extend_from_slice(&piece);
            self.text.extend_from_slice(tail);
        }
    }

    /// Whether something is left to do.
    pub(super) const fn is_unsent(&self) -> bool {
        self.is_unsent
    }

    pub(super) fn is_written(&self) -> bool {
        self.text_left().is_empty() && self.piece.is_empty() && self.tail.is_empty()
    }

    pub(super) fn left(&self) -> [IoSlice<'_>; 3] {
        [self.text_left(), &self.piece, self.tail].map(IoSlice::new)
    }

    fn text_left(&self) -> &[u8] {
        self.text.get(self.written..).unwrap_or_default()
    }

    /// So many bytes were taken.
    pub(super) fn advance(&mut self, count: usize) {
        let of_text = count.min(self.text_left().len());
        self.written = self.written.saturating_add(of_text);
        let count = count.saturating_sub(of_text);
        let of_piece = count.min(self.piece.len());
        self.piece.advance(of_piece);
        let of_tail = count.saturating_sub(of_piece);
        self.tail = self.tail.get(of_tail..).unwrap_or_default();
    }

    /// All was taken, and nothing is held back.
    pub(super) fn sent(&mut self) {
        self.written = 0;
        if self.text.capacity() > USUAL_TEXT {
            self.text = Vec::new();
        }
        self.text.clear();
        self.piece = Bytes::new();
        self.is_unsent = false;
    }
}
