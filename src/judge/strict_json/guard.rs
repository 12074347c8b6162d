//! Guarded names, and what some reader could take for one.

use super::{Keep, Names, Shape};

/// The first bytes of a name, as a number: the first 16, and zeros where it is shorter.
pub(super) type Word = u128;

const WORD_BYTES: usize = 16;

/// Says of most names at a glance that nobody could take them for a guarded one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::judge) struct Guard {
    /// Spreads the names over the places below, no two at one.
    multiplier: u64,
    /// The number of a name, from one.
    places: [u8; PLACES],
    names: [Word; MAX_NAMES],
}

const PLACES: usize = 64;
const MAX_NAMES: usize = 24;

/// What [`misreading`] refuses beside the twins of guarded names, folded; the other ones of its kind hold a `$` or a `_`.
const SUSPECTS: [&str; 3] = ["fromproperty", "constructor", "prototype"];

/// In each byte: letters of either case, and some other characters, become the same.
const FOLD: Word = Word::from_le_bytes([0x20; WORD_BYTES]);

impl Guard {
    /// Made by the compiler, and checked by it: names of at most 16 letters and digits.
    #[expect(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "the compiler runs this, and would refuse a wrong index"
    )]
    pub(super) const fn over(keep: &[(&str, Keep)]) -> Self {
        let mut names = [0; MAX_NAMES];
        let mut at = 0;
        while at < keep.len() {
            names[at] = checked_word(keep[at].0.as_bytes());
            at += 1;
        }
        let mut suspect = 0;
        while suspect < SUSPECTS.len() {
            names[at] = checked_word(SUSPECTS[suspect].as_bytes());
            at += 1;
            suspect += 1;
        }
        let mut multiplier = 0x9e37_79b9_7f4a_7c15_u64;
        loop {
            let mut places = [0_u8; PLACES];
            let mut placed = 0;
            while placed < at {
                let place = place_of(names[placed] | FOLD, multiplier);
                if places[place] != 0 {
                    break;
                }
                placed += 1;
                places[place] = placed as u8;
            }
            if placed == at {
                return Self {
                    multiplier,
                    places,
                    names,
                };
            }
            multiplier = multiplier.wrapping_add(0x2545_f491_4f6c_dd1e);
        }
    }

    /// The number and the word of the only name that this one could be a spelling of, apart from `_` and `-`; it may be none of it.
    #[inline]
    fn candidate(&self, word: Word) -> Option<(usize, Word)> {
        let place = place_of(word | FOLD, self.multiplier);
        let number = usize::from(*self.places.get(place)?).checked_sub(1)?;
        Some((number, *self.names.get(number)?))
    }
}

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "the compiler runs this, and would refuse a wrong index"
)]
const fn checked_word(name: &[u8]) -> Word {
    assert!(name.len() <= WORD_BYTES, "too long for a guarded name");
    let mut bytes = [0; WORD_BYTES];
    let mut at = 0;
    while at < name.len() {
        assert!(name[at].is_ascii_alphanumeric(), "no name to guard");
        bytes[at] = name[at];
        at += 1;
    }
    Word::from_le_bytes(bytes)
}

/// Below [`PLACES`].
const fn place_of(word: Word, multiplier: u64) -> usize {
    (mixed(word).wrapping_mul(multiplier) >> 58) as usize
}

const fn mixed(word: Word) -> u64 {
    let [low, high] = halves(word);
    low ^ high.rotate_left(29)
}

/// One bit of 64, the same for the same name.
pub(super) const fn bit_of(word: Word) -> u64 {
    let number = mixed(word).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58;
    1_u64.rotate_left(number as u32)
}

/// The word of a name.
pub(super) fn word_of(name: &str) -> Word {
    let mut bytes = [0; WORD_BYTES];
    for (to, from) in bytes.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    Word::from_le_bytes(bytes)
}

/// What a word and a length say about a name.
pub(super) enum Glance {
    /// It is this one.
    Known(usize, Keep),
    /// It is none, and nobody could take it for one.
    Other,
    /// Not enough.
    Unclear,
}

impl Shape {
    /// Says of most names what they are.
    #[inline]
    pub(super) fn glance(&self, word: Word, length: usize) -> Glance {
        let Names::Guarded(guard) = &self.names else {
            return Glance::Unclear;
        };
        if let Some((number, candidate)) = guard.candidate(word) {
            // The same word is the same name, unless one has zeros or more letters behind it.
            if candidate == word
                && let Some((known, keep)) = self.keep.get(number)
                && known.len() == length
            {
                return Glance::Known(number, *keep);
            }
            if candidate | FOLD == word | FOLD {
                return Glance::Unclear;
            }
        }
        if length <= WORD_BYTES && is_plain(word) {
            Glance::Other
        } else {
            Glance::Unclear
        }
    }

    /// What is kept of a member, if anything; nothing at all where some reader could take its name for a guarded one.
    #[inline(never)]
    pub(super) fn look(&self, name: &str) -> Option<Option<(usize, Keep)>> {
        let mut keep = self.keep.iter().enumerate();
        let found = keep.find(|(_, (known, _))| *known == name);
        let is_harmless =
            found.is_some() || self.names == Names::Exact || misreading(name, self).is_none();
        is_harmless.then_some(found.map(|(number, (_, keep))| (number, *keep)))
    }
}

/// Whether a short name holds none of the characters that [`misreading`] looks for or past.
#[inline]
fn is_plain(word: Word) -> bool {
    const fn all(byte: u8) -> u64 {
        u64::from_le_bytes([byte; 8])
    }
    // The lowest byte that is zero gets its highest bit set; a higher one may, too, where that one is.
    let zeros = |eight: u64| eight.wrapping_sub(all(1)) & !eight & all(0x80);
    let odd = |eight: u64| {
        zeros(eight ^ all(b'_'))
            | zeros(eight ^ all(b'-'))
            | zeros(eight ^ all(b'$'))
            | (eight & all(0x80))
    };
    let [low, high] = halves(word);
    odd(low) | odd(high) == 0
}

#[expect(clippy::cast_possible_truncation, reason = "each half is what is left")]
pub(super) const fn halves(word: Word) -> [u64; 2] {
    [word as u64, (word >> 64) as u64]
}

/// Why some reader could take `name`, which is no guarded name, for one.
pub(super) fn misreading(name: &str, shape: &Shape) -> Option<String> {
    // Case folding of U+0130, U+0131, U+017F and U+212A differs between runtimes.
    if !name.is_ascii() {
        return Some("a member name that is not ASCII beside guarded names".to_owned());
    }
    // Newtonsoft resolves $ref, System.Text.Json may; __proto__ and friends are special to JavaScript objects.
    if matches!(
        name,
        "$id" | "$ref" | "$type" | "$values" | "__proto__" | "constructor" | "prototype"
    ) {
        return Some(format!("member {name:?} is an instruction to some readers"));
    }
    // Python models of the SDKs call `from` `from_property`, since `from` is a keyword there.
    let twin = |known: &str| folded(name).eq(folded(known));
    if twin("from_property") && shape.keep.iter().any(|(known, _)| *known == "from") {
        return Some(format!(
            "member {:?} is read as \"from\" by some readers",
            shown(name)
        ));
    }
    shape
        .keep
        .iter()
        .find(|(known, _)| twin(known))
        .map(|(known, _)| {
            let name = shown(name);
            format!("member {name:?} is read as {known:?} by some readers")
        })
}

/// A name as it may stand in a note: whoever sends it chose it, and it is not to hold a message.
pub(super) fn shown(name: &str) -> String {
    const MOST: usize = 64;
    name.chars().take(MOST).collect()
}

fn folded(name: &str) -> impl Iterator<Item = u8> {
    name.bytes()
        .filter(|byte| !matches!(byte, b'_' | b'-'))
        .map(|byte| byte.to_ascii_lowercase())
}
