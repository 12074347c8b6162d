//! Keeps lines whole, and terminals calm: what a client sent is escaped.

use std::io::{self, Write};
use tracing_subscriber::fmt::MakeWriter;

/// Escapes what JSON lets stand and a terminal or a line-wise reader obeys; see [`is_obeyed`].
///
/// JSON strings escape the C0 controls anyway (RFC 8259 section 7), and only strings hold other than ASCII.
pub(super) struct Escaping<W>(pub(super) W);

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for Escaping<W> {
    type Writer = Escaping<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Escaping(self.0.make_writer())
    }
}

impl<W: Write> Write for Escaping<W> {
    /// Takes a whole line at a time, as tracing-subscriber writes it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // 0xC2 begins U+0080 to U+00BF, 0xD8 U+0600 to U+063F, 0xE2 U+2000 to U+2FFF; most lines have none of them.
        if line
            .iter()
            .any(|byte| matches!(byte, 0x7f | 0xc2 | 0xd8 | 0xe2))
        {
            let text = String::from_utf8_lossy(line);
            let mut escaped = String::with_capacity(text.len());
            text.chars()
                .for_each(|character| escape(character, &mut escaped));
            self.0.write_all(escaped.as_bytes())?;
        } else {
            self.0.write_all(line)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Whether a terminal or a reader of lines does something about it, where JSON lets it stand: DEL and the C1 controls, the ends of
/// lines and paragraphs, and what turns the direction of writing, so that a line reads otherwise than it is (Unicode TR 36 2.1).
const fn is_obeyed(character: char) -> bool {
    matches!(
        character,
        '\u{7f}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
    )
}

fn escape(character: char, into: &mut String) {
    if is_obeyed(character) {
        into.push_str(&format!("\\u{:04x}", u32::from(character)));
    } else {
        into.push(character);
    }
}

/// For people too, one event is one line, and what a client sent does not move the cursor.
pub(super) fn one_line(text: &str) -> String {
    text.chars()
        .fold(String::with_capacity(text.len()), |mut line, character| {
            if character.is_ascii_control() {
                line.extend(character.escape_default())
            } else {
                escape(character, &mut line)
            }
            line
        })
}

/// Appends text as it stands within a JSON string, with all of the above escaped: byte for byte what serde_json writes into an [`Escaping`].
pub(super) fn push_json(text: &str, into: &mut Vec<u8>) {
    if is_plain(text.as_bytes()) {
        into.extend_from_slice(text.as_bytes());
        return;
    }
    let mut utf8 = [0; 4];
    for character in text.chars() {
        let short = match character {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\u{8}' => "\\b",
            '\t' => "\\t",
            '\n' => "\\n",
            '\u{c}' => "\\f",
            '\r' => "\\r",
            _ if character < ' ' || is_obeyed(character) => {
                let code = format!("\\u{:04x}", u32::from(character));
                into.extend_from_slice(code.as_bytes());
                continue;
            }
            _ => character.encode_utf8(&mut utf8),
        };
        into.extend_from_slice(short.as_bytes());
    }
}

/// Whether text is ASCII that nothing needs to be done about, eight bytes at a time.
fn is_plain(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    // The last bytes once more, together with some before them, are sooner looked at than one by one.
    let last = match (bytes.last_chunk::<8>(), rest) {
        (Some(last), _) => u64::from_le_bytes(*last),
        (None, [a, b, c, d, ..]) => {
            let [.., w, x, y, z] = rest else { return false };
            u64::from_le_bytes([*a, *b, *c, *d, *w, *x, *y, *z])
        }
        (None, [a, b, c]) => u64::from_le_bytes([*a, *b, *c, b' ', b' ', b' ', b' ', b' ']),
        (None, [a, b]) => u64::from_le_bytes([*a, *b, b' ', b' ', b' ', b' ', b' ', b' ']),
        (None, [a]) => u64::from_le_bytes([*a, b' ', b' ', b' ', b' ', b' ', b' ', b' ']),
        (None, []) => return true,
    };
    is_plain_word(last)
        && words
            .iter()
            .all(|word| is_plain_word(u64::from_le_bytes(*word)))
}

/// Eight bytes at once: each `has_` sets the high bit of a byte that it is true of (and perhaps of others above that one).
const fn is_plain_word(word: u64) -> bool {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
    const fn has_zero(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word
    }
    let has_control = word.wrapping_sub(u64::from_le_bytes([b' '; 8])) & !word;
    let has_quote = has_zero(word ^ u64::from_le_bytes([b'"'; 8]));
    let has_backslash = has_zero(word ^ u64::from_le_bytes([b'\\'; 8]));
    let has_del_or_beyond = word.wrapping_add(ONES) | word;
    (has_control | has_quote | has_backslash | has_del_or_beyond) & HIGH == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn as_before(text: &str) -> Vec<u8> {
        let mut written = vec![];
        let json = serde_json::to_vec(text).unwrap();
        Escaping(&mut written).write_all(&json).unwrap();
        let inside = written.strip_prefix(b"\"").unwrap();
        inside.strip_suffix(b"\"").unwrap().to_vec()
    }

    fn now(text: &str) -> Vec<u8> {
        let mut written = vec![];
        push_json(text, &mut written);
        written
    }

    #[test]
    fn each_character_in_each_place_is_escaped_as_ever() {
        let others = ['…', 'ü', '🦀', '\u{feff}'];
        let characters = ('\0'..='\u{100}')
            .chain('\u{61b}'..='\u{61d}')
            .chain('\u{200d}'..='\u{2010}')
            .chain('\u{2027}'..='\u{202f}')
            .chain('\u{2065}'..='\u{206a}');
        for character in characters.chain(others) {
            for length in 0..20 {
                for place in 0..=length {
                    let mut text = "a".repeat(length);
                    text.insert(place, character);
                    assert_eq!(now(&text), as_before(&text), "{text:?}");
                }
            }
        }
    }

    #[test]
    fn nothing_turns_the_direction_of_a_line() {
        for (turner, as_escaped) in [
            ('\u{202e}', "\\u202e"),
            ('\u{2066}', "\\u2066"),
            ('\u{200f}', "\\u200f"),
            ('\u{61c}', "\\u061c"),
        ] {
            assert_eq!(
                now(&format!("a{turner}b")),
                format!("a{as_escaped}b").as_bytes()
            );
            assert_eq!(one_line(&turner.to_string()), as_escaped);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_escaped_as_ever(text: String) {
            assert_eq!(now(&text), as_before(&text));
        }
    }
}
