//! What the log says of a server: a line when it goes and one when it is back, and no flood of them for a server that goes and comes
//! all the time. Pure.

use std::time::Duration;
use tokio::time::Instant;

/// Between two lines that say that a server has gone.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// What was said last, and what is still to be said.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    is_down: bool,
    at: Option<Instant>,
    /// Why it is down, where it was too early to say so.
    owed: Option<String>,
}

impl Told {
    /// It has gone. Whether that is to be said now; if not, it is later, unless the server is back by then.
    pub(super) fn has_gone(&mut self, why: &str, now: Instant) -> bool {
        if self.is_due(now) {
            self.say(now);
            return true;
        }
        self.owed = Some(why.to_owned());
        false
    }

    /// It is back. Whether that is to be said: where nobody heard that it had gone, it is not.
    pub(super) fn is_back(&mut self) -> bool {
        self.owed = None;
        std::mem::take(&mut self.is_down)
    }

    /// What was too early to say and is to be said now. To be asked every second or so.
    pub(super) fn owed(&mut self, now: Instant) -> Option<String> {
        if !self.is_due(now) {
            return None;
        }
        let owed = self.owed.take()?;
        self.say(now);
        Some(owed)
    }

    fn is_due(&self, now: Instant) -> bool {
        self.at
            .is_none_or(|at| now.saturating_duration_since(at) >= TOLD_EVERY)
    }

    fn say(&mut self, now: Instant) {
        self.is_down = true;
        self.at = Some(now);
        self.owed = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_goes_and_comes_all_the_time_is_told_of_once_in_ten_seconds() {
        let (mut told, start) = (Told::default(), Instant::now());
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        assert!(!told.is_back(), "nobody heard that it had gone");
        let (mut gone, mut back) = (0, 0);
        for round in 0..1000 {
            gone += usize::from(told.has_gone("refused", at(round * 30)));
            assert_eq!(told.owed(at(round * 30 + 1)), None);
            back += usize::from(told.is_back());
        }
        assert_eq!((gone, back), (3, 3));
    }

    #[test]
    fn who_stays_away_is_told_of_in_the_end() {
        let (mut told, start) = (Told::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(told.has_gone("refused", start) && told.is_back());
        assert!(!told.has_gone("timed out", at(1)));
        assert_eq!(told.owed(at(9)), None);
        assert_eq!(told.owed(at(10)).as_deref(), Some("timed out"));
        assert_eq!(told.owed(at(30)), None, "once");
        assert!(told.is_back() && !told.is_back());
    }
}
