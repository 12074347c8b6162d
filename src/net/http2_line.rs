//! A connection to a server of a bot on which HTTP/2 is spoken: h2 decides what goes over it, and here is seen how far that went.
//!
//! h2 takes a request and writes it when it can. What may be sent again, and what the bot may be at work on, depends on what was
//! written. And where the bot takes no more, what it said before it closed is still read: a GOAWAY among that says what it left out.

use super::frames::{Frame, Frames, Kind};
use super::line::Stream;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Who hears how far requests went.
pub trait Heard {
    /// Something of the request on this stream was written.
    fn began(&self, stream: u32);
    /// All of it was.
    fn ended(&self, stream: u32);
}

/// See the module.
#[derive(Debug)]
pub struct Http2Line<H> {
    stream: Box<dyn Stream>,
    written: Written<H>,
    /// The bot takes no more. What is left is thrown away.
    refuses: bool,
}

#[derive(Debug)]
struct Written<H> {
    frames: Frames,
    /// The stream of a header block that ends its request, as long as the block goes on.
    ending: Option<u32>,
    heard: H,
    /// Nobody knows whether what is noted arrives.
    is_doubtful: bool,
}

impl<H: Heard> Http2Line<H> {
    /// Around a connection on which nothing was written.
    pub fn new(stream: Box<dyn Stream>, heard: H) -> Self {
        let written = Written {
            frames: Frames::of_client(),
            ending: None,
            heard,
            is_doubtful: false,
        };
        Self {
            stream,
            written,
            refuses: false,
        }
    }
}

impl<H: Heard> Written<H> {
    fn note(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let taken = self.frames.take(bytes);
            bytes = bytes.get(taken.bytes..).unwrap_or_default();
            let ended = taken.ended.map(|frame| (frame.kind, frame.stream));
            if let Some((Kind::Headers, stream)) = ended.or(self.frames.begun()) {
                self.heard.began(stream);
            }
            if let Some(frame) = taken.ended {
                self.note_end(frame);
            }
        }
    }

    fn note_end(&mut self, frame: Frame) {
        let ended = match frame.kind {
            Kind::Headers if frame.ends_stream() && !frame.ends_headers() => {
                self.ending = Some(frame.stream);
                None
            }
            Kind::Continuation if frame.ends_headers() => self.ending.take(),
            Kind::Headers | Kind::Data => Some(frame.stream).filter(|_| frame.ends_stream()),
            _ => None,
        };
        if let Some(stream) = ended
            && !self.is_doubtful
        {
            self.heard.ended(stream);
        }
    }
}

impl<H: Unpin> AsyncRead for Http2Line<H> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<H: Heard + Unpin> AsyncWrite for Http2Line<H> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.refuses {
            return Poll::Ready(Ok(bytes.len()));
        }
        let count = match ready!(Pin::new(&mut this.stream).poll_write(cx, bytes)) {
            Ok(count) => count,
            // Part of it may have gone: these requests have begun.
            Err(_) => {
                (this.refuses, this.written.is_doubtful) = (true, true);
                bytes.len()
            }
        };
        this.written.note(bytes.get(..count).unwrap_or(bytes));
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.refuses && ready!(Pin::new(&mut self.stream).poll_flush(cx)).is_err() {
            self.refuses = true;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::frames::tests::frame;
    use std::cell::RefCell;

    #[derive(Default)]
    struct Told(RefCell<Vec<(&'static str, u32)>>);

    impl Heard for &Told {
        fn began(&self, stream: u32) {
            let told = ("began", stream);
            if self.0.borrow().last() != Some(&told) {
                self.0.borrow_mut().push(told);
            }
        }

        fn ended(&self, stream: u32) {
            self.0.borrow_mut().push(("ended", stream));
        }
    }

    #[test]
    fn a_request_has_begun_with_its_first_frame_and_ended_with_its_last() {
        let bytes = [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            frame(4, 0, 0, &[]),
            frame(1, 4, 1, b"head"),
            frame(1, 1, 3, b"he"),
            frame(9, 4, 3, b"ad"),
            frame(0, 0, 1, b"bo"),
            frame(0, 1, 1, b"dy"),
            frame(1, 5, 5, b"head"),
        ]
        .concat();
        for size in 1..bytes.len() {
            let told = Told::default();
            let mut written = Written {
                frames: Frames::of_client(),
                ending: None,
                heard: &told,
                is_doubtful: false,
            };
            bytes.chunks(size).for_each(|piece| written.note(piece));
            let told = told.0.into_inner();
            let expected = [
                ("began", 1),
                ("began", 3),
                ("ended", 3),
                ("ended", 1),
                ("began", 5),
                ("ended", 5),
            ];
            assert_eq!(told, expected, "in pieces of {size}");
        }
    }
}
