//! How the ids of users and conversations are written (`log.identifiers`).

use super::redact::capped;
use crate::config::Identifiers;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SecureRandom;
use siphasher::sip::SipHasher24;
use std::borrow::Cow;

/// Writes user and conversation ids as `log.identifiers` says.
pub(super) enum IdentifierWriter {
    Hashed(SipHasher24),
    Plain,
    Omitted,
}

impl IdentifierWriter {
    /// The key is random and lives as long as the process: hashes cannot be turned back by trying known ids.
    ///
    /// SipHash-2-4 is made for that: under a secret key of 128 bits it is a pseudorandom function, so that who reads the log and has
    /// no key learns which ids are equal and nothing else, which is what is asked of it; and it is made for short inputs. A longer
    /// output, as of HMAC-SHA256, would be cut to 64 bits anyway: they tell the users of one bot apart.
    pub(super) fn new(
        identifiers: Identifiers,
        random: &dyn SecureRandom,
    ) -> Result<Self, Unspecified> {
        Ok(match identifiers {
            Identifiers::Hashed => {
                let mut key = [0; 16];
                random.fill(&mut key)?;
                Self::Hashed(SipHasher24::new_with_key(&key))
            }
            Identifiers::Plain => Self::Plain,
            Identifiers::Omitted => Self::Omitted,
        })
    }

    pub(super) fn write<'a>(&self, id: Option<&'a str>) -> Option<Written<'a>> {
        let id = id?;
        match self {
            Self::Hashed(keyed) => Some(Written::Hash(hex(keyed.hash(id.as_bytes())))),
            Self::Plain => Some(Written::Plain(capped(id, MAX_CHARS))),
            Self::Omitted => None,
        }
    }
}

/// What is written of an id.
pub(super) enum Written<'a> {
    /// 16 hex digits.
    Hash([u8; 16]),
    /// As the client sent it, cut to length.
    Plain(Cow<'a, str>),
}

impl Written<'_> {
    pub(super) fn as_str(&self) -> &str {
        match self {
            // Digits are text.
            Self::Hash(digits) => std::str::from_utf8(digits).unwrap_or_default(),
            Self::Plain(text) => text,
        }
    }
}

fn hex(hash: u64) -> [u8; 16] {
    let mut digits = [0; 16];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(hash.to_be_bytes()) {
        for (digit, half) in pair.iter_mut().zip([byte >> 4, byte & 0xf]) {
            let first = if half < 10 { b'0' } else { b'W' };
            // 'W' is ten before 'a'.
            *digit = first.wrapping_add(half);
        }
    }
    digits
}

const MAX_CHARS: usize = super::audit::MAX_CHARS;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_written_in_full() {
        assert_eq!(&hex(0x0123_4567_89ab_cdef), b"0123456789abcdef");
        assert_eq!(&hex(0), b"0000000000000000");
        assert_eq!(&hex(u64::MAX), b"ffffffffffffffff");
    }

    #[test]
    fn it_is_siphash_2_4_of_the_paper() {
        let key: Vec<u8> = (0..16).collect();
        let message: Vec<u8> = (0..15).collect();
        let keyed = SipHasher24::new_with_key(&key.try_into().unwrap());
        assert_eq!(keyed.hash(&message), 0xa129_ca61_49be_45e5);
    }
}
