//! What of a client's words may be written.

use std::borrow::Cow;

/// The first `max_chars` characters; what was cut off shows as `…`.
///
/// Control characters are not touched here: the log writer escapes them in every field of every line.
pub(super) fn capped(text: &str, max_chars: usize) -> Cow<'_, str> {
    match cut(text, max_chars) {
        None => Cow::Borrowed(text),
        Some(kept) => Cow::Owned(format!("{kept}{MORE}")),
    }
}

/// What is left of a text with more than so many characters.
pub(super) fn cut(text: &str, max_chars: usize) -> Option<&str> {
    // Characters are at least one byte, so a short text is not counted through.
    if text.len() <= max_chars {
        return None;
    }
    let (end, _) = text.char_indices().nth(max_chars)?;
    text.get(..end)
}

/// Stands for what was cut off.
pub(super) const MORE: &str = "…";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(capped("abc", 3), "abc");
        assert_eq!(capped("abcd", 3), "abc…");
        assert_eq!(capped("äöüß", 3), "äöü…");
        assert_eq!(capped("äöü", 3), "äöü");
        assert_eq!(capped("", 0), "");
    }
}
