//! The one token of a request, before anything of it is read; and the tag by which a token is known again.

use super::bearer::malformed;
use crate::judge::{Reason, Rejection};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use siphasher::sip128::{Hasher128 as _, SipHasher24};
use std::hash::Hasher as _;

const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// A token as it stands in a request. `Debug` prints nothing of it.
#[derive(Clone, Copy)]
pub struct Presented<'t>(&'t str);

impl std::fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Presented({} bytes)", self.0.len())
    }
}

impl<'t> Presented<'t> {
    /// What stands in the one `Authorization` header (AUTHENTICATION 0.1 rule 1).
    ///
    /// # Errors
    /// [`Reason::TokenMissing`], [`Reason::TokenRepeated`], [`Reason::TokenSchemeUnsupported`], [`Reason::TokenMalformed`].
    pub fn in_headers(headers: &'t HeaderMap) -> Result<Self, Rejection> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let value = values.next().ok_or(Reason::TokenMissing)?;
        if values.next().is_some() {
            return Err(Reason::TokenRepeated.into());
        }
        let value = value.to_str().map_err(|_| malformed("not ASCII"))?;
        let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
        if !scheme.eq_ignore_ascii_case("Bearer") {
            return Err(Reason::TokenSchemeUnsupported.into());
        }
        Ok(Self(rest.trim_start_matches(' ')))
    }

    /// The text of it.
    pub const fn text(self) -> &'t str {
        self.0
    }

    /// Before anything is computed over it.
    ///
    /// # Errors
    /// [`Reason::TokenMalformed`].
    pub(super) fn check_length(self) -> Result<(), Rejection> {
        if self.0.len() > MAX_TOKEN_BYTES {
            return Err(malformed("longer than 16 KiB"));
        }
        Ok(())
    }
}

impl<'t> From<&'t str> for Presented<'t> {
    fn from(text: &'t str) -> Self {
        Self(text)
    }
}

/// By which a token is known again, without keeping anything of it: SipHash-2-4 of all its bytes under a [`TagKey`], 128 bits.
///
/// It decides whether a signature counts as verified, so two tokens must not meet in one tag by anybody's doing. SipHash is a
/// pseudo-random function (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012): who does not know the key, and sees
/// no tags, can do no better than guess, and each guess meets one of some thousand remembered tokens with probability 2^-115.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tag(u128);

/// The key of the tags of one process.
pub struct TagKey(SipHasher24);

impl std::fmt::Debug for TagKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TagKey(..)")
    }
}

impl TagKey {
    /// The key made of random bytes that nobody else knows.
    pub fn new(random: &[u8; 16]) -> Self {
        Self(SipHasher24::new_with_key(random))
    }

    pub(super) fn tag(&self, token: Presented<'_>) -> Tag {
        let mut hasher = self.0;
        hasher.write(token.0.as_bytes());
        Tag(hasher.finish128().as_u128())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_of_one_token_and_one_key() {
        let (one, other) = (TagKey::new(&[1; 16]), TagKey::new(&[2; 16]));
        assert_eq!(one.tag("a.b.c".into()), one.tag("a.b.c".into()));
        assert_ne!(one.tag("a.b.c".into()), one.tag("a.b.d".into()));
        assert_ne!(one.tag("a.b.c".into()), one.tag("a.b.c\0".into()));
        assert_ne!(one.tag("a.b.c".into()), other.tag("a.b.c".into()));
    }

    #[test]
    fn neither_a_token_nor_a_key_is_printed() {
        let printed = format!(
            "{:?} {:?}",
            Presented("a.b.c"),
            TagKey::new(b"0123456789abcdef")
        );
        assert_eq!(printed, "Presented(5 bytes) TagKey(..)");
    }
}
