//! Strings: where they end, and what their escapes stand for (RFC 8259 7).

use super::MAX_NAME_BYTES;
use super::guard::{Word, halves, word_of};
use super::scanner::Scanner;
use std::borrow::Cow;

/// The same byte, eight times.
const fn all(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// Sets the highest bit of the first of eight bytes that no string holds unescaped: a quote, a backslash or a control character.
/// Bits behind it mean nothing; without such a byte there is none.
#[inline]
const fn special(eight: u64) -> u64 {
    let control = eight.wrapping_sub(all(b' '));
    let quote = (eight ^ all(b'"')).wrapping_sub(all(1));
    let backslash = (eight ^ all(b'\\')).wrapping_sub(all(1));
    // Bytes beyond ASCII are none of them.
    (control | quote | backslash) & !eight & all(0x80)
}

/// How many bytes stand before the one that [`special`] found.
#[inline]
fn bytes_before(found: u64) -> usize {
    usize::try_from(found.trailing_zeros() >> 3).unwrap_or_default()
}

/// The bytes that stand before the one that [`special`] found, and zeros.
#[inline]
const fn cut(eight: u64, found: u64) -> u64 {
    let lowest_bit = (found & found.wrapping_neg()) >> 7;
    eight & lowest_bit.wrapping_sub(1)
}

/// A member name, as it stands in the document or, where it was escaped, in [`Scanner::unescaped`].
#[derive(Clone, Copy)]
pub(super) struct Name {
    /// Its first bytes.
    pub(super) word: Word,
    pub(super) length: usize,
    /// In the document, or behind its end by the number of the unescaped name.
    start: usize,
}

impl<'a> Scanner<'a> {
    /// A name, from behind its opening quote to behind its closing one.
    #[inline(always)]
    pub(super) fn rest_of_name(&mut self) -> Option<Name> {
        // Nearly every name ends within one look, and most within its first half.
        let start = self.at;
        if let Some(chunk) = self.rest().first_chunk() {
            let [low, high] = halves(Word::from_le_bytes(*chunk));
            let (mut found, mut length) = (special(low), 0);
            let mut word = Word::from(cut(low, found));
            if found == 0 {
                found = special(high);
                length = 8;
                word = Word::from(low) | (Word::from(cut(high, found)) << u64::BITS);
            }
            length = bytes_before(found).wrapping_add(length);
            if found != 0 && chunk.get(length) == Some(&b'"') {
                self.pass(length.wrapping_add(1));
                return Some(Name {
                    word,
                    length,
                    start,
                });
            }
        }
        self.long_name()
    }

    #[inline(never)]
    fn long_name(&mut self) -> Option<Name> {
        let start = self.at;
        let name = self.string()?;
        let (word, length) = (word_of(&name), name.len());
        if length > MAX_NAME_BYTES {
            return None;
        }
        let start = match name {
            Cow::Borrowed(_) => start,
            Cow::Owned(name) => {
                self.unescaped.push(name);
                self.text.len().checked_add(self.unescaped.len())?
            }
        };
        Some(Name {
            word,
            length,
            start,
        })
    }

    /// The name itself.
    pub(super) fn text_of(&self, name: Name) -> &str {
        let number = name.start.checked_sub(self.text.len().wrapping_add(1));
        let text = match number {
            Some(number) => self.unescaped.get(number).map(String::as_str),
            None => self
                .text
                .get(name.start..name.start.wrapping_add(name.length)),
        };
        text.unwrap_or_default()
    }

    /// A string, from behind its opening quote to behind its closing one.
    pub(super) fn string(&mut self) -> Option<Cow<'a, str>> {
        let length = self.plain_bytes()?;
        if self.byte_after(length) == b'"' {
            return self.borrowed(length).map(Cow::Borrowed);
        }
        self.escaped(true).map(Cow::Owned)
    }

    /// The same, of which nothing is kept.
    pub(super) fn check_string(&mut self) -> Option<()> {
        let length = self.plain_bytes()?;
        if self.byte_after(length) == b'"' {
            self.pass(length.wrapping_add(1));
            return Some(());
        }
        self.escaped(false).map(|_| ())
    }

    /// What stands before a closing quote or a backslash, which is passed.
    #[inline]
    fn borrowed(&mut self, length: usize) -> Option<&'a str> {
        let text = self.text.get(self.at..self.at.wrapping_add(length));
        self.pass(length.wrapping_add(1));
        text
    }

    /// How many bytes follow that stand for themselves; what comes then is a quote or a backslash, or else nothing is returned.
    #[inline]
    fn plain_bytes(&self) -> Option<usize> {
        let mut ahead = self.rest();
        let mut length = 0_usize;
        while let Some((chunk, behind)) = ahead.split_first_chunk() {
            let [low, high] = halves(Word::from_le_bytes(*chunk)).map(special);
            if low | high != 0 {
                let last = if low == 0 {
                    bytes_before(high).wrapping_add(8)
                } else {
                    bytes_before(low)
                };
                length = length.wrapping_add(last);
                return matches!(chunk.get(last), Some(b'"' | b'\\')).then_some(length);
            }
            length = length.wrapping_add(chunk.len());
            ahead = behind;
        }
        let special = |byte: &u8| *byte < b' ' || matches!(byte, b'"' | b'\\');
        let last = ahead.iter().position(special)?;
        matches!(ahead.get(last), Some(b'"' | b'\\')).then_some(length.wrapping_add(last))
    }

    fn escaped(&mut self, keep: bool) -> Option<String> {
        let mut text = String::new();
        loop {
            let length = self.plain_bytes()?;
            let ends = self.byte_after(length) == b'"';
            let plain = self.borrowed(length)?;
            if keep {
                text.push_str(plain);
            }
            if ends {
                return Some(text);
            }
            let character = self.escape()?;
            if keep {
                text.push(character);
            }
        }
    }

    /// The character that an escape stands for, from behind its backslash.
    fn escape(&mut self) -> Option<char> {
        Some(match self.take()? {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.code_point(),
            _ => return None,
        })
    }

    /// `\uXXXX`, or two of them that make one character; a surrogate without its other half is none.
    fn code_point(&mut self) -> Option<char> {
        let unit = self.four_digits()?;
        if !matches!(unit, 0xd800..=0xdbff) {
            // Nothing where it is the second half.
            return char::from_u32(u32::from(unit));
        }
        let is_escape = self.take() == Some(b'\\') && self.take() == Some(b'u');
        let units = [unit, is_escape.then(|| self.four_digits())??];
        let mut characters = char::decode_utf16(units);
        match (characters.next(), characters.next()) {
            (Some(Ok(character)), None) => Some(character),
            _ => None,
        }
    }

    fn four_digits(&mut self) -> Option<u16> {
        let mut unit = 0_u16;
        for _ in 0..4 {
            let digit = char::from(self.take()?).to_digit(16)?;
            unit = unit
                .checked_mul(16)?
                .checked_add(u16::try_from(digit).ok()?)?;
        }
        Some(unit)
    }
}
