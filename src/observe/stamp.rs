//! The time, as it stands on each line: RFC 3339 in UTC, with exactly three digits after the second, so that lines sort as text.

use std::cell::Cell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

/// A time as text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp([u8; LENGTH]);

impl Stamp {
    pub(super) fn as_str(&self) -> &str {
        // It was made of text.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    pub(super) const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
impl TryFrom<&[u8]> for Stamp {
    type Error = std::array::TryFromSliceError;

    fn try_from(text: &[u8]) -> Result<Self, Self::Error> {
        Ok(Self(text.try_into()?))
    }
}

thread_local! {
    /// The second that this thread last wrote a line in, and its text: calendars are slow, and most lines share their second with others.
    static LAST: Cell<Option<(u64, Stamp)>> = const { Cell::new(None) };
}

/// Now.
pub(super) fn now() -> Stamp {
    #[expect(
        clippy::disallowed_methods,
        reason = "a stamp on a line decides nothing"
    )]
    let now = SystemTime::now();
    // No machine's clock stands before 1970; should one, its lines say 1970.
    of(now.duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// The time so long after the beginning of 1970.
fn of(since_epoch: Duration) -> Stamp {
    let second = since_epoch.as_secs();
    let mut stamp = match LAST.get() {
        Some((last, stamp)) if last == second => stamp,
        _ => {
            let stamp = of_second(second);
            LAST.set(Some((second, stamp)));
            stamp
        }
    };
    let [.., hundreds, tens, ones, _] = &mut stamp.0;
    let mut left = since_epoch.subsec_millis();
    for place in [ones, tens, hundreds] {
        *place = b"0123456789"
            .get(usize::try_from(left % 10).unwrap_or_default())
            .copied()
            .unwrap_or(b'0');
        left /= 10;
    }
    stamp
}

/// The beginning of a second. What is beyond the calendar stays at its end.
fn of_second(second: u64) -> Stamp {
    const END: Stamp = Stamp(*b"9999-12-31T23:59:59.000Z");
    let text = i64::try_from(second)
        .ok()
        .and_then(|second| OffsetDateTime::from_unix_timestamp(second).ok())
        .and_then(|time| time.format(FORMAT).ok());
    text.and_then(|text| text.as_bytes().try_into().ok())
        .map_or(END, Stamp)
}

const FORMAT: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
const LENGTH: usize = "0000-00-00T00:00:00.000Z".len();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_what_the_calendar_says() {
        for (milliseconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_769_903_990_001, "2026-01-31T23:59:50.001Z"),
            (1_769_903_990_999, "2026-01-31T23:59:50.999Z"),
            (1_769_904_000_010, "2026-02-01T00:00:00.010Z"),
            (1_769_903_990_120, "2026-01-31T23:59:50.120Z"),
            (1_709_251_199_100, "2024-02-29T23:59:59.100Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
            (253_402_300_800_000, "9999-12-31T23:59:59.000Z"),
        ] {
            let stamp = of(Duration::from_millis(milliseconds));
            assert_eq!(stamp.as_str(), text);
            assert_eq!(stamp.as_bytes(), text.as_bytes());
        }
        let cut_off = of(Duration::from_nanos(1_999_999));
        assert_eq!(cut_off.as_str(), "1970-01-01T00:00:00.001Z");
    }
}
