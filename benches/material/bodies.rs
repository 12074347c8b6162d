//! Activities of every size.

use bytes::Bytes;
use std::fmt::Write as _;

/// 1.2 KB, as Teams sends it for a line of text that mentions the bot.
pub(crate) const TEAMS_MESSAGE: &[u8] = include_bytes!("teams-message.json");

/// What each block of a card says: some of it escaped, some not ASCII.
const BLOCK_TEXT: &str = "The gate is open from eight to five.\\nGr\u{fc}n hei\u{df}t: \\\"bitte eintreten\\\". Whoever comes later rings twice, waits for the \
                          caretaker, and has a badge with a photograph at hand \\ud83d\\udeaa.";

/// 1.2 KB.
pub(crate) const fn teams_message() -> Bytes {
    Bytes::from_static(TEAMS_MESSAGE)
}

/// The same message with an Adaptive Card of so many bytes in its `value`.
pub(crate) fn card(bytes: usize) -> Bytes {
    let mut blocks = String::new();
    let mut number = 0;
    // The loop ends within one block of the size, where the limit of members is far.
    while blocks.len() + TEAMS_MESSAGE.len() < bytes {
        let comma = if number == 0 { "" } else { "," };
        write!(
            blocks,
            "{comma}{{\"type\":\"TextBlock\",\"text\":\"{BLOCK_TEXT}\",\"wrap\":true,\"maxLines\":{number}}}"
        )
        .expect("memory");
        number += 1;
    }
    let card = format!("{{\"type\":\"AdaptiveCard\",\"version\":\"1.5\",\"body\":[{blocks}]}}");
    with("value", &card)
}

/// The same message with one string of so many bytes beside the others.
pub(crate) fn long_text(bytes: usize) -> Bytes {
    let length = bytes - TEAMS_MESSAGE.len() - 12;
    with(
        "speak",
        &format!("{:?}", "a long line ".repeat(length / 12)),
    )
}

fn with(name: &str, value: &str) -> Bytes {
    let message = std::str::from_utf8(TEAMS_MESSAGE).expect("UTF-8");
    let open = message.trim_end().strip_suffix('}').expect("an object");
    Bytes::from(format!("{open},{name:?}:{value}}}"))
}
