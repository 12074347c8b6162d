//! Finds pseudo fields in trailers, where none may be (RFC 9113 8.1), and which h2 drops in silence.
//!
//! A header block can be walked without the table that it was packed with: fields are told apart by their first bits, and a pseudo
//! field by its place in the static table (RFC 7541 A) or by the first letter of its name. What refers to the dynamic table stays
//! unknown and counts as one: no channel sends trailers at all.

/// Places 1 to 14 of the static table are pseudo fields, and what follows 61 is the dynamic table.
const PSEUDO: std::ops::RangeInclusive<u64> = 1..=14;
const STATIC: u64 = 61;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// The payload of a HEADERS frame without what is not its block; nothing if that is not there (h2 will say so).
pub(super) fn block_of(flags: u8, payload: &[u8]) -> Option<&[u8]> {
    let (padding, rest) = if flags & PADDED == 0 {
        (0, payload)
    } else {
        payload
            .split_first()
            .map(|(padding, rest)| (*padding, rest))?
    };
    let priority = if flags & PRIORITY == 0 { 0 } else { 5 };
    let rest = rest.get(priority..)?;
    rest.get(..rest.len().checked_sub(usize::from(padding))?)
}

/// Whether a whole block has a pseudo field, or what could be one. A block that is broken has none: h2 will say so.
pub(super) fn has_pseudo_fields(block: &[u8]) -> bool {
    let mut rest = block;
    while let Some((first, _)) = rest.split_first() {
        let step = match first {
            0x80.. => field_of_table(rest),
            0x40..0x80 => literal(rest, 6),
            // A change of the table's size.
            0x20..0x40 => number(rest, 5).map(|(_, rest)| (false, rest)),
            0x00..0x20 => literal(rest, 4),
        };
        match step {
            Some((true, _)) => return true,
            Some((false, next)) => rest = next,
            None => return false,
        }
    }
    false
}

type Step<'a> = Option<(bool, &'a [u8])>;

fn is_suspect(place: u64) -> bool {
    PSEUDO.contains(&place) || place > STATIC
}

fn field_of_table(bytes: &[u8]) -> Step<'_> {
    let (place, rest) = number(bytes, 7)?;
    Some((is_suspect(place), rest))
}

/// A field whose value, and perhaps name, is written out.
fn literal(bytes: &[u8], prefix: u32) -> Step<'_> {
    let (place, rest) = number(bytes, prefix)?;
    let (is_pseudo, rest) = if place == 0 {
        let (name, is_packed, rest) = text(rest)?;
        let first = *name.first()?;
        // In the code of RFC 7541 B a colon is 1011100.
        let is_colon = if is_packed {
            first >> 1 == 0b101_1100
        } else {
            first == b':'
        };
        (is_colon, rest)
    } else {
        (is_suspect(place), rest)
    };
    let (_, _, rest) = text(rest)?;
    Some((is_pseudo, rest))
}

/// A text, whether it is packed, and what follows (RFC 7541 5.2).
fn text(bytes: &[u8]) -> Option<(&[u8], bool, &[u8])> {
    let is_packed = bytes.first()? & 0x80 != 0;
    let (length, rest) = number(bytes, 7)?;
    let (text, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some((text, is_packed, rest))
}

/// A number whose first byte has so many bits for it, and what follows (RFC 7541 5.1).
fn number(bytes: &[u8], prefix: u32) -> Option<(u64, &[u8])> {
    let most = u8::MAX.checked_shr(8_u32.checked_sub(prefix)?)?;
    let (first, mut rest) = bytes.split_first()?;
    let mut value = u64::from(first & most);
    if value < u64::from(most) {
        return Some((value, rest));
    }
    let mut shift = 0_u32;
    loop {
        let (byte, next) = rest.split_first()?;
        rest = next;
        // Ten bytes fill 64 bits; h2 reads fewer.
        let part = u64::from(byte & 0x7f)
            .checked_shl(shift)
            .filter(|_| shift < 56)?;
        value = value.checked_add(part)?;
        shift = shift.checked_add(7)?;
        if byte & 0x80 == 0 {
            return Some((value, rest));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pseudo_field_is_found_however_it_is_written() {
        for block in [
            // From the static table: ":path: /", and ":status: 200".
            &[0x84][..],
            &[0x88],
            // Its name from the table, its value written: remembered, not remembered, never to be remembered.
            &[0x44, 2, b'/', b'x'],
            &[0x04, 2, b'/', b'x'],
            &[0x14, 2, b'/', b'x'],
            // All of it written, and its name packed.
            &[0x00, 2, b':', b'x', 1, b'1'],
            &[0x40, 2, b':', b'x', 1, b'1'],
            &[0x00, 0x82, 0b1011_1001, 0b1111_1111, 1, b'1'],
            // From the dynamic table: who knows.
            &[0xbe],
            &[0x7e, 1, b'1'],
            // After others.
            &[0x20, 0x00, 1, b'x', 1, b'1', 0x82],
        ] {
            assert!(has_pseudo_fields(block), "{block:x?}");
        }
    }

    #[test]
    fn other_trailers_are_none() {
        for block in [
            &[][..],
            &[0x00, 1, b'x', 1, b':'],
            // "accept-encoding: gzip, deflate" and a date of the static table.
            &[0x90, 0x0f, 0x12, 1, b'1'],
            &[0x00, 0x81, 0xf3, 1, b'1'],
            // Broken: h2 says so.
            &[0x00, 9, b':'],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert!(!has_pseudo_fields(block), "{block:x?}");
        }
    }

    #[test]
    fn padding_and_priority_are_no_part_of_a_block() {
        assert_eq!(block_of(0, b"block"), Some(&b"block"[..]));
        assert_eq!(block_of(PADDED, b"\x02blockzz"), Some(&b"block"[..]));
        assert_eq!(
            block_of(PADDED | PRIORITY, b"\x01.....blockz"),
            Some(&b"block"[..])
        );
        assert_eq!(block_of(PADDED, b"\x09block"), None);
        assert_eq!(block_of(PRIORITY, b"four"), None);
    }
}
