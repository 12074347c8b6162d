//! Which bytes may stand where, asked of many bytes at once.

/// May stand in a token (RFC 9110 5.6.2: tchar).
pub(super) const TOKEN: u8 = 1;
/// May stand in the name of a field that a client sends: as above, without `_`.
pub(super) const CLIENT_NAME: u8 = 2;

/// What each byte may be a part of.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut rest: &mut [u8] = &mut classes;
    let mut byte = 0_u8;
    while let Some((class, after)) = rest.split_first_mut() {
        if is_tchar(byte) {
            *class = TOKEN;
            if byte != b'_' {
                *class |= CLIENT_NAME;
            }
        }
        byte = byte.wrapping_add(1);
        rest = after;
    }
    classes
};

const fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// Whether a byte is of this class.
pub(super) fn is_of(class: u8, byte: u8) -> bool {
    CLASSES
        .get(usize::from(byte))
        .is_some_and(|classes| classes & class != 0)
}

/// RFC 9110 5.6.2: tchar.
pub(super) fn is_token(byte: u8) -> bool {
    is_of(TOKEN, byte)
}

/// What a field value is made of: HTAB, SP, VCHAR, obs-text (RFC 9110 5.5).
pub(super) const fn is_value(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// How many of the first bytes are such as a value is made of. The end of a line is none.
pub(super) fn value_length(bytes: &[u8]) -> usize {
    /// As many as a processor looks at in a few instructions: the compiler makes them of this loop.
    const BLOCK: usize = 32;
    let (blocks, _) = bytes.as_chunks::<BLOCK>();
    let is_clean = |block: &&[u8; BLOCK]| {
        let odd = block
            .iter()
            .fold(0_u8, |odd, byte| odd | u8::from(!is_value(*byte)));
        odd == 0
    };
    let clean = blocks.iter().take_while(is_clean).count();
    let clean = clean.saturating_mul(BLOCK);
    let rest = bytes.get(clean..).unwrap_or_default();
    clean.saturating_add(value_length_by_words(rest))
}

/// The same, eight bytes at a time.
fn value_length_by_words(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    loop {
        while let Some((word, after)) = rest.split_first_chunk() {
            if let Some(at) = first_control(u64::from_le_bytes(*word)) {
                rest = rest.get(at..).unwrap_or_default();
                break;
            }
            rest = after;
        }
        match rest {
            // A tab, or one of less than eight.
            [byte, after @ ..] if is_value(*byte) => rest = after,
            _ => return bytes.len().saturating_sub(rest.len()),
        }
    }
}

/// Where the first byte of these is that is DEL or less than a space.
///
/// A byte less than `n` has its highest bit set once `n` is taken from it, and had it not before. Taking from one byte borrows from
/// those above it only if it was less: so what is found above the first one may be wrong, and the first one is right.
fn first_control(word: u64) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHEST: u64 = 0x8080_8080_8080_8080;
    const SPACES: u64 = 0x2020_2020_2020_2020;
    const DELS: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let less_than_space = word.wrapping_sub(SPACES) & !word;
    let apart_from_del = word ^ DELS;
    let is_del = apart_from_del.wrapping_sub(ONES) & !apart_from_del;
    let found = (less_than_space | is_del) & HIGHEST;
    // The first byte is the lowest one.
    usize::try_from(found.trailing_zeros() >> 3)
        .ok()
        .filter(|_| found != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_classes_are_those_of_the_grammar() {
        for byte in 0..=u8::MAX {
            assert_eq!(is_token(byte), is_tchar(byte), "{byte:x}");
            let is_name = is_tchar(byte) && byte != b'_';
            assert_eq!(is_of(CLIENT_NAME, byte), is_name, "{byte:x}");
        }
    }

    #[test]
    fn every_byte_is_found_at_every_place() {
        for byte in (0..=u8::MAX).filter(|byte| !is_value(*byte)) {
            for place in 0..100 {
                let mut bytes = vec![b'a'; 100];
                bytes[place] = byte;
                assert_eq!(value_length(&bytes), place, "{byte:x}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_value_is_as_long_as_when_looked_at_byte_by_byte(bytes: Vec<u8>) {
            let slow = bytes.iter().take_while(|byte| is_value(**byte)).count();
            prop_assert_eq!(value_length(&bytes), slow);
        }
    }
}
