//! What a client sent and nobody has taken yet: heads and bodies, one after the other. Pure.

use crate::net::wire::{FieldPlace, Flaw, Limits, RequestReader, Step};
use bytes::{Buf as _, Bytes, BytesMut};

/// See the module.
#[derive(Debug)]
pub(super) struct Input {
    reader: RequestReader,
    pub(super) bytes: BytesMut,
    /// Nothing can be read any more.
    is_broken: bool,
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
            is_broken: false,
        }
    }

    /// Whether the next byte, if there is one, begins a request.
    pub(super) const fn is_between(&self) -> bool {
        self.reader.is_between() && !self.is_broken
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
                    self.is_broken = true;
                    return Some(Next::Flawed(flaw));
                }
            }
        }
        None
    }

    /// Takes what is here of the body.
    pub(super) fn piece(&mut self) -> Option<Piece> {
        loop {
            if self.is_broken {
                return Some(Piece::Left);
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
                Err(flaw) => {
                    self.is_broken = true;
                    return Some(Piece::Flawed(flaw));
                }
            }
        }
    }
}
