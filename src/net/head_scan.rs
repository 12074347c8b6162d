//! Watches the bytes of an HTTP/1 head for framing that hyper repairs in silence.
//!
//! Of `Content-Length` beside `Transfer-Encoding`, and of a repeated equal `Content-Length`, hyper keeps one and hands over a
//! clean request. Nothing ambiguous would reach the bot, but whoever sends such a head is probing for a second reading of it
//! (RFC 9112 6.1 lets a server refuse), so the request is refused. Only heads that begin on a quiet connection are seen;
//! pipelined ones are left to hyper's repair.

/// Longest field name of interest, and its colon.
const NAME_BYTES: usize = "transfer-encoding:".len();

/// What was seen of one head.
#[derive(Debug, Default)]
pub(super) struct HeadScan {
    start_of_line: Vec<u8>,
    line_bytes: usize,
    lengths: u32,
    encodings: u32,
    has_begun: bool,
    has_fragment: bool,
    is_over: bool,
}

impl HeadScan {
    /// Takes the next bytes of the connection; those after the head do not count.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.is_over {
                return;
            }
            match byte {
                b'\n' => self.end_line(),
                b'\r' => {}
                other => {
                    // The http crate cuts a fragment off the target, where none may be (RFC 9112 3.2).
                    self.has_fragment |= *other == b'#' && !self.has_begun;
                    self.line_bytes = self.line_bytes.saturating_add(1);
                    if self.start_of_line.len() < NAME_BYTES {
                        self.start_of_line.push(other.to_ascii_lowercase());
                    }
                }
            }
        }
    }

    /// Whether the framing can be read in two ways.
    pub(super) const fn is_ambiguous(&self) -> bool {
        self.lengths > 1 || (self.lengths > 0 && self.encodings > 0) || self.has_fragment
    }

    fn end_line(&mut self) {
        if self.start_of_line.starts_with(b"content-length:") {
            self.lengths = self.lengths.saturating_add(1);
        }
        if self.start_of_line.starts_with(b"transfer-encoding:") {
            self.encodings = self.encodings.saturating_add(1);
        }
        // Empty lines before the request line are skipped by servers (RFC 9112 2.2), and do not end a head that has not begun.
        self.is_over = self.line_bytes == 0 && self.has_begun;
        self.has_begun |= self.line_bytes > 0;
        self.start_of_line.clear();
        self.line_bytes = 0;
    }
}

/// Whether the framing of a whole HTTP/1 request can be read in two ways.
pub fn is_ambiguous(request: &[u8]) -> bool {
    let mut scan = HeadScan::default();
    scan.take(request);
    scan.is_ambiguous()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_ambiguous(head: &str) -> bool {
        let mut scan = HeadScan::default();
        // In pieces, as a socket would give it.
        head.as_bytes().chunks(3).for_each(|piece| scan.take(piece));
        scan.is_ambiguous()
    }

    #[test]
    fn two_framings_are_ambiguous_in_either_order_and_any_case() {
        assert!(is_ambiguous(
            "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
        ));
        assert!(is_ambiguous(
            "POST / HTTP/1.1\r\ntransfer-ENCODING:chunked\r\nHost: a\r\ncontent-length: 5\r\n\r\n"
        ));
        assert!(is_ambiguous(
            "POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n"
        ));
        assert!(is_ambiguous(
            "\r\n\nPOST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
        ));
    }

    #[test]
    fn a_fragment_in_the_target_is_ambiguous_and_elsewhere_is_none() {
        assert!(is_ambiguous("POST /api/messages#x HTTP/1.1\r\n\r\n"));
        assert!(!is_ambiguous(
            "POST /api/messages HTTP/1.1\r\nX-Colour: #fff\r\n\r\n"
        ));
    }

    #[test]
    fn one_framing_is_not_and_the_body_does_not_count() {
        assert!(!is_ambiguous(
            "POST / HTTP/1.1\r\nContent-Length: 40\r\n\r\nTransfer-Encoding: chunked\r\n"
        ));
        assert!(!is_ambiguous(
            "POST / HTTP/1.1\r\nX-Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
        ));
    }
}
