//! What a client sent and nobody has taken yet: heads and bodies, one after the other. Pure.

use crate::net::wire::{FieldPlace, Flaw, Limits, RequestReader, Step};
use bytes::{Buf as _, Bytes, BytesMut};

/// See the module.
#[derive(Debug)]
pub(super) struct Input {
    reader: RequestReader,
    pub(super) bytes: BytesMut,
    /// Why nothing can be read any more.
    broken: Option<Flaw>,
}

/// What begins a request.
#[derive(Debug)]
pub(super) enum Next {
    /// A whole head.
    Head(Bytes),
    /// What cannot be read in exactly one way.
    Flawed(Flaw),
}

/// What comes next of a body.
#[derive(Debug)]
pub(super) enum Piece {
    /// Not empty.
    Data(Bytes),
    /// The body is complete.
    End,
    /// It cannot be read in exactly one way.
    Flawed(Flaw),
    /// The client ended before it did.
    Left,
}

impl Input {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            reader: RequestReader::new(limits),
            bytes: BytesMut::new(),
            broken: None,
        }
    }

    /// Whether the next byte, if there is one, begins a request.
    pub(super) const fn is_between(&self) -> bool {
        self.reader.is_between() && self.broken.is_none()
    }

    /// How many bytes of the body are to come; nothing where that is not known.
    pub(super) const fn body_left(&self) -> Option<u64> {
        self.reader.body_left()
    }

    /// Where the fields of the last head stand.
    pub(super) fn fields(&self) -> &[FieldPlace] {
        self.reader.fields()
    }

    /// Gives back the memory that requests need, with what is here.
    pub(super) fn rest(&mut self) {
        self.bytes = BytesMut::new();
        self.reader.rest();
    }

    /// Takes what begins the next request, if all of that is here.
    pub(super) fn next(&mut self) -> Option<Next> {
        while !self.bytes.is_empty() {
            match self.reader.step(&self.bytes) {
                Ok(Step::Head(length)) => {
                    return Some(Next::Head(self.bytes.split_to(length).freeze()));
                }
                Ok(Step::Body(count) | Step::Drop(count)) => self.bytes.advance(count),
                Ok(Step::More) => return None,
                Err(flaw) => {
                    self.broken = Some(flaw);
                    return Some(Next::Flawed(flaw));
                }
            }
        }
        None
    }

    /// Drops an empty line behind a request, which some clients send and mean nothing by (RFC 9112 2.2).
    pub(super) fn drop_empty_line(&mut self) {
        if self.bytes.as_ref() == b"\r\n"
            && let Ok(Step::Drop(count)) = self.reader.step(&self.bytes)
        {
            self.bytes.advance(count);
        }
    }

    /// Takes what is here of the body. Small chunks are put together, since each piece costs whoever takes it more than a byte.
    pub(super) fn piece(&mut self) -> Option<Piece> {
        let first = match self.one_piece()? {
            Piece::Data(data) if data.len() < SMALL_PIECE => data,
            other => return Some(other),
        };
        let mut joined = BytesMut::new();
        while joined.len() < JOINED_BYTES
            && !self.reader.is_between()
            && let Some(Piece::Data(data)) = self.one_piece()
        {
            if joined.is_empty() {
                joined.extend_from_slice(&first);
            }
            joined.extend_from_slice(&data);
        }
        Some(Piece::Data(if joined.is_empty() {
            first
        } else {
            joined.freeze()
        }))
    }

    fn one_piece(&mut self) -> Option<Piece> {
        loop {
            if let Some(flaw) = self.broken {
                return Some(Piece::Flawed(flaw));
            }
            if self.reader.is_between() {
                return Some(Piece::End);
            }
            let is_data = self.reader.is_in_data();
            match self.reader.step(&self.bytes) {
                Ok(Step::Body(count)) if is_data => {
                    return Some(Piece::Data(self.bytes.split_to(count).freeze()));
                }
                Ok(Step::Head(count) | Step::Body(count) | Step::Drop(count)) => {
                    self.bytes.advance(count);
                }
                Ok(Step::More) => return None,
                Err(flaw) => self.broken = Some(flaw),
            }
        }
    }
}

/// Chunks of fewer bytes are put together, up to about so many.
const SMALL_PIECE: usize = 1024;
const JOINED_BYTES: usize = 16 * 1024;
