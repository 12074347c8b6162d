//! How single values are written: durations, sizes, rates, `${NAME}`. Pure.

use super::Quota;
use std::num::NonZeroU32;
use std::time::Duration;

/// `"250ms"`, `"10s"`, `"5m"`, `"24h"`.
///
/// # Errors
/// What to write instead.
pub(super) fn duration(text: &str) -> Result<Duration, &'static str> {
    const WANTED: &str =
        "write a whole number with a unit, such as \"250ms\", \"10s\", \"5m\" or \"24h\"";
    let (number, unit) = number_and_unit(text).ok_or(WANTED)?;
    let seconds_each = match unit {
        "ms" => return Ok(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(WANTED),
    };
    number
        .checked_mul(seconds_each)
        .map(Duration::from_secs)
        .ok_or(WANTED)
}

/// `"64KiB"`, `"1MiB"`, `"512B"`. No `KB`: half of its readers mean 1000 and the other half 1024.
///
/// # Errors
/// What to write instead.
pub(super) fn size(text: &str) -> Result<usize, &'static str> {
    const WANTED: &str =
        "write a whole number with a unit: \"512B\", \"64KiB\" (1024 bytes each) or \"1MiB\"";
    let (number, unit) = number_and_unit(text).ok_or(WANTED)?;
    let bytes_each = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(WANTED),
    };
    number
        .checked_mul(bytes_each)
        .and_then(|bytes| usize::try_from(bytes).ok())
        .ok_or(WANTED)
}

/// `"50/s"`, `"600/m"`, `"1000/h"`, as a quota whose burst is one second's worth, at least 1.
///
/// # Errors
/// What to write instead.
pub(super) fn rate(text: &str) -> Result<Quota, &'static str> {
    const WANTED: &str =
        "write a number per second, minute or hour, such as \"50/s\", \"600/m\" or \"1000/h\"";
    let (number, unit) = number_and_unit(text).ok_or(WANTED)?;
    let seconds = match unit {
        "/s" => 1,
        "/m" => 60,
        "/h" => 3600,
        _ => return Err(WANTED),
    };
    let number = u32::try_from(number).ok().and_then(NonZeroU32::new);
    let number = number
        .filter(|n| n.get() <= 1_000_000)
        .ok_or("write a rate from 1 to 1000000; leave the key out for no limit")?;
    let interval = Duration::from_secs(u64::from(seconds))
        .checked_div(number.get())
        .ok_or(WANTED)?;
    let burst = NonZeroU32::new(number.get().div_ceil(seconds)).ok_or(WANTED)?;
    Ok(Quota { interval, burst })
}

/// A duration as it would be written in the file.
pub(super) fn duration_text(duration: Duration) -> String {
    let (seconds, milliseconds) = (duration.as_secs(), duration.as_millis());
    match seconds {
        _ if duration.subsec_millis() > 0 => format!("{milliseconds}ms"),
        s if s > 0 && s.is_multiple_of(3600) => format!("{}h", s.div_euclid(3600)),
        s if s > 0 && s.is_multiple_of(60) => format!("{}m", s.div_euclid(60)),
        s => format!("{s}s"),
    }
}

/// A size as it would be written in the file.
pub(super) fn size_text(bytes: usize) -> String {
    match bytes {
        b if b > 0 && b.is_multiple_of(1 << 20) => format!("{}MiB", b.div_euclid(1 << 20)),
        b if b > 0 && b.is_multiple_of(1 << 10) => format!("{}KiB", b.div_euclid(1 << 10)),
        b => format!("{b}B"),
    }
}

/// Why `${NAME}` could not be replaced.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unexpanded {
    /// The environment has no variable of this name.
    Unset(String),
    /// `${` without `}`, or with something between them that is no name.
    Malformed,
}

/// Replaces every `${NAME}` by the variable of that name; what a variable holds is not looked at again.
///
/// # Errors
/// The first `${` that cannot be replaced.
pub(super) fn expand(
    text: &str,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<String, Unexpanded> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, behind) = after.split_once('}').ok_or(Unexpanded::Malformed)?;
        let is_name = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && name.bytes().next().is_some_and(|b| !b.is_ascii_digit());
        if !is_name {
            return Err(Unexpanded::Malformed);
        }
        expanded.push_str(before);
        expanded.push_str(&environment(name).ok_or_else(|| Unexpanded::Unset(name.to_owned()))?);
        rest = behind;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// The candidate that `word` most resembles, with how much (0 to 1). `-`, `_` and case do not count; a word that begins or
/// ends the candidate (`drain`, `teams`) is as good as a slip of the finger.
pub(super) fn nearest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<(&'c str, f64)> {
    let plain = |text: &str| text.to_ascii_lowercase().replace('-', "_");
    let word = plain(word);
    let likeness = |candidate: &str| {
        let candidate = plain(candidate);
        let is_part =
            word.len() >= 3 && (candidate.starts_with(&word) || candidate.ends_with(&word));
        let likeness = strsim::normalized_damerau_levenshtein(&word, &candidate);
        if is_part { likeness.max(0.8) } else { likeness }
    };
    candidates
        .into_iter()
        .map(|candidate| (candidate, likeness(candidate)))
        .max_by(|(_, a), (_, b)| a.total_cmp(b))
}

/// The candidate that `word` was probably meant to be.
pub(super) fn probably<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    nearest(word, candidates)
        .filter(|(_, likeness)| *likeness >= 0.6)
        .map(|(candidate, _)| candidate)
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_whole_numbers_with_a_unit() {
        for (text, milliseconds) in [
            ("250ms", 250),
            ("10s", 10_000),
            ("5m", 300_000),
            ("24h", 86_400_000),
            ("72h", 259_200_000),
            ("0s", 0),
        ] {
            assert_eq!(
                duration(text),
                Ok(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
        for text in [
            "",
            "10",
            "s",
            "10 s",
            " 10s",
            "1.5s",
            "-1s",
            "+1s",
            "10S",
            "1d",
            "1h30m",
            "99999999999999999999s",
            "9999999999999999999h",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_whole_numbers_with_a_binary_unit() {
        for (text, bytes) in [
            ("0B", 0),
            ("512B", 512),
            ("64KiB", 65_536),
            ("1MiB", 1_048_576),
            ("1GiB", 1 << 30),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "1",
            "1KB",
            "1MB",
            "1K",
            "1kib",
            "1 MiB",
            "1.5MiB",
            "-1B",
            "18446744073709551615KiB",
        ] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rates_become_intervals_and_a_burst_of_one_second() {
        for (text, interval_us, burst) in [
            ("50/s", 20_000, 50),
            ("600/m", 100_000, 10),
            ("1000/h", 3_600_000, 1),
            ("10/m", 6_000_000, 1),
            ("1000000/s", 1, 1_000_000),
            ("90/m", 666_666, 2),
        ] {
            let quota = rate(text).unwrap();
            assert_eq!(
                (quota.interval.as_micros(), quota.burst.get()),
                (interval_us, burst),
                "{text}"
            );
        }
        for text in [
            "",
            "50",
            "50/",
            "/s",
            "50/d",
            "50 /s",
            "0/s",
            "1.5/s",
            "1000001/s",
            "99999999999/h",
            "50/sec",
        ] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_and_sizes_are_written_as_they_are_read() {
        for text in ["250ms", "10s", "5m", "24h", "0s", "90s", "1500ms"] {
            assert_eq!(duration_text(duration(text).unwrap()), text);
        }
        for text in ["0B", "512B", "64KiB", "1MiB", "1025B", "1024MiB"] {
            assert_eq!(size_text(size(text).unwrap()), text);
        }
    }

    #[test]
    fn variables_are_replaced_anywhere_and_only_once() {
        let environment = |name: &str| match name {
            "HOST" => Some("bot.example".to_owned()),
            "TRICKY" => Some("${HOST}".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        for (text, expanded) in [
            ("plain", "plain"),
            ("https://${HOST}/x", "https://bot.example/x"),
            ("${HOST}${HOST}", "bot.examplebot.example"),
            ("${TRICKY}", "${HOST}"),
            ("a${EMPTY}b", "ab"),
            ("$HOST {HOST} $", "$HOST {HOST} $"),
        ] {
            assert_eq!(
                expand(text, &environment).as_deref(),
                Ok(expanded),
                "{text}"
            );
        }
        assert_eq!(
            expand("${NOPE}", &environment),
            Err(Unexpanded::Unset("NOPE".to_owned()))
        );
        for text in ["${HOST", "${}", "${A B}", "${1A}", "a${"] {
            assert_eq!(
                expand(text, &environment),
                Err(Unexpanded::Malformed),
                "{text}"
            );
        }
    }

    #[test]
    fn the_nearest_word_is_found_whatever_its_case_and_dashes() {
        let words = ["listen", "drain_timeout", "trusted_proxies"];
        assert_eq!(probably("lisen", words), Some("listen"));
        assert_eq!(probably("Drain-Timeout", words), Some("drain_timeout"));
        assert_eq!(probably("drain", words), Some("drain_timeout"));
        assert_eq!(probably("zzz", words), None);
    }
}
