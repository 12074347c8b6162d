//! Reads logs line by line, packed or not, however long they are.

use flate2::bufread::MultiGzDecoder;
use serde::Deserialize;
use std::borrow::Cow;
use std::io::{self, BufRead, BufReader};

/// What of a line of the log is looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Line<'a> {
    #[serde(borrow)]
    pub(super) timestamp: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) event: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) verdict: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) reason: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) note: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) bot: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) client_ip: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) channel: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) tenant: Cow<'a, str>,
    /// Of a line that stands for others.
    pub(super) count: u64,
}

impl Line<'_> {
    /// A request that was refused, or that would have been.
    pub(super) fn is_refusal(&self) -> bool {
        self.event == "request" && (self.verdict == "rejected" || self.is_report())
    }

    pub(super) fn is_report(&self) -> bool {
        self.verdict == "would_reject"
    }

    /// A line that stands for refusals that were counted in a flood. Others stand for requests that strangers did not wait for.
    pub(super) fn is_suppressed(&self) -> bool {
        self.event == "suppressed" && self.verdict != "abandoned"
    }
}

/// How much was read.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Lines of a log.
    pub(super) good: u64,
    /// Others: cut off, too long, no JSON.
    pub(super) broken: u64,
}

/// The lines of one file.
pub(super) struct Lines<R> {
    from: R,
}

impl<'r> Lines<Box<dyn BufRead + 'r>> {
    /// Looks whether it is packed: not at its name, which standard input has none of.
    pub(super) fn of<R: BufRead + 'r>(mut from: R) -> io::Result<Self> {
        let is_packed = from.fill_buf()?.starts_with(&[0x1f, 0x8b]);
        Ok(Self {
            from: if is_packed {
                Box::new(BufReader::new(MultiGzDecoder::new(from)))
            } else {
                Box::new(from)
            },
        })
    }
}

impl<R: BufRead> Lines<R> {
    /// Calls `take` with every good line.
    ///
    /// # Errors
    /// When reading fails. A packed file that ends too early was read until there.
    pub(super) fn each(
        mut self,
        counts: &mut Counts,
        take: &mut dyn FnMut(&Line<'_>),
    ) -> io::Result<()> {
        let mut bytes = Vec::new();
        while let Some(is_whole) = self.next(&mut bytes)? {
            let line = bytes.trim_ascii();
            if line.is_empty() && is_whole {
                continue;
            }
            let begin = line.iter().position(|byte| *byte == b'{');
            let split = begin.and_then(|begin| line.split_at_checked(begin));
            let json = split.and_then(|(before, json)| is_of_a_collector(before).then_some(json));
            let parsed = json.and_then(|json| serde_json::from_slice::<Line<'_>>(json).ok());
            match parsed.filter(|line| is_whole && !line.timestamp.is_empty()) {
                Some(line) => {
                    counts.good = counts.good.saturating_add(1);
                    take(&line);
                }
                None => counts.broken = counts.broken.saturating_add(1),
            }
        }
        Ok(())
    }

    /// Reads the next line; nothing at the end, else whether it is there as a whole: what is longer than any line of ours is skipped.
    fn next(&mut self, line: &mut Vec<u8>) -> io::Result<Option<bool>> {
        line.clear();
        let (mut any, mut is_whole) = (false, true);
        loop {
            let found = match self.from.fill_buf() {
                Ok(found) => found,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if found.is_empty() {
                return Ok(any.then_some(is_whole));
            }
            any = true;
            let end = memchr::memchr(b'\n', found);
            let part = end.and_then(|end| found.get(..end)).unwrap_or(found);
            if line.len().saturating_add(part.len()) > MAX_LINE_BYTES {
                is_whole = false;
                line.clear();
            }
            if is_whole {
                line.extend_from_slice(part);
            }
            let used = end.map_or(found.len(), |end| end.saturating_add(1));
            self.from.consume(used);
            if end.is_some() {
                return Ok(Some(is_whole));
            }
        }
    }
}

/// Containers and their tools write something before each line. Nothing else may stand there: a line of another program that quotes
/// what somebody sent is none of ours.
fn is_of_a_collector(before: &[u8]) -> bool {
    let before = before.trim_ascii_end();
    let is_one_word = !before.contains(&b' ');
    // Compose; journald and syslog; kubectl --prefix; CRI; a timestamp.
    matches!(before, [name @ .., b'|'] if !name.contains(&b'|'))
        || before.ends_with(b"]:")
        || (before.starts_with(b"[") && before.ends_with(b"]"))
        || before.ends_with(b" F")
        || is_one_word
}

/// Ours have at most some twenty fields of 512 characters.
const MAX_LINE_BYTES: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(text: &str) -> (u64, u64) {
        let mut counts = Counts::default();
        let lines = Lines::of(text.as_bytes()).unwrap();
        lines.each(&mut counts, &mut |_| {}).unwrap();
        (counts.good, counts.broken)
    }

    #[test]
    fn what_collectors_write_before_a_line_does_no_harm_and_a_quoted_line_is_none() {
        const LINE: &str = r#"{"timestamp":"2026-11-22T10:00:00.000Z","event":"request"}"#;
        for before in [
            "",
            "botgate-1  | ",
            "Nov 22 10:00:00 host botgate[77]: ",
            "[pod/botgate-0/botgate] ",
            "2026-11-22T10:00:00.1Z stdout F ",
            "2026-11-22T10:00:00.1Z ",
        ] {
            assert_eq!(counted(&format!("{before}{LINE}\n")), (1, 0), "{before}");
        }
        for before in [
            "echo-bot-1  | 10:00 INFO user says: ",
            "bot-1 | a | ",
            "Nov 22 10:00:00 host bot[77]: user says: ",
            "user says ",
        ] {
            assert_eq!(counted(&format!("{before}{LINE}\n")), (0, 1), "{before}");
        }
    }
}
