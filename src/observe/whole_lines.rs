//! Writes whole lines where writing may fail halfway.

use super::log_buffer::Output;
use std::io::{self, Write};
use std::time::Duration;

/// A file, or standard output, or what else takes bytes.
#[derive(Debug)]
pub(super) struct WholeLines<W> {
    output: W,
    /// Whether it ends within a line, which then is to be ended first.
    is_cut: bool,
}

/// What could not be written.
#[derive(Debug)]
pub(super) struct Unwritten {
    /// Lines, with the one that was written in part.
    pub(super) lines: u64,
    /// Why.
    pub(super) error: io::Error,
}

impl<W: Write> WholeLines<W> {
    pub(super) const fn new(output: W, is_cut: bool) -> Self {
        Self { output, is_cut }
    }

    pub(super) const fn output(&self) -> &W {
        &self.output
    }

    /// Writes these lines: with one system call, where that takes them all.
    pub(super) fn write(&mut self, lines: &[u8]) -> Result<(), Unwritten> {
        let ended = if self.is_cut {
            self.write_through(b"\n")
                .map_err(|(_, error)| (lines, error))
        } else {
            Ok(())
        };
        ended
            .and_then(|()| self.write_through(lines))
            .map_err(|(rest, error)| Unwritten {
                lines: count(rest),
                error,
            })
    }

    /// Writes all of it, or says what is left of it and why.
    fn write_through<'a>(&mut self, mut rest: &'a [u8]) -> Result<(), (&'a [u8], io::Error)> {
        while !rest.is_empty() {
            match self.output.write(rest) {
                Ok(0) => return Err((rest, io::ErrorKind::WriteZero.into())),
                Ok(written) => {
                    let (done, left) = rest.split_at_checked(written).unwrap_or((rest, b""));
                    self.is_cut = done.last() != Some(&b'\n');
                    rest = left;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Whoever shares our standard output has made it so; the buffer is there to wait.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    std::thread::sleep(A_MOMENT);
                }
                Err(error) => return Err((rest, error)),
            }
        }
        Ok(())
    }
}

impl<W: Write + Send + 'static> Output for WholeLines<W> {
    fn put(&mut self, lines: &[u8]) -> u64 {
        // Why standard output cannot be written has nowhere to be told; that lines are lost, the metrics tell.
        self.write(lines).map_or_else(|left| left.lines, |()| 0)
    }
}

/// How many lines these bytes hold.
pub(super) fn count(lines: &[u8]) -> u64 {
    u64::try_from(memchr::memchr_iter(b'\n', lines).count()).unwrap_or(u64::MAX)
}

const A_MOMENT: Duration = Duration::from_millis(5);
