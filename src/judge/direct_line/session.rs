//! The session of one conversation: a signed cookie, which holds all there is to know of it, and nothing with which anybody could speak.

use super::ids::{Issuer, UserId};
use super::{Reason, Rejection, UnixSeconds, is_token};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt;

/// What tells sessions apart.
pub type SessionId = [u8; 16];

/// One session.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// Which one.
    pub id: SessionId,
    /// Of which browser: the same in all its sessions.
    pub browser: SessionId,
    /// How many cookies it had before this one.
    pub generation: u32,
    /// When the conversation began.
    pub started: UnixSeconds,
    /// When the token expires, and this with it.
    pub expires: UnixSeconds,
    /// Whose.
    pub user: UserId,
    /// SHA-256 of the last token it was given.
    token: [u8; 32],
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

const VERSION: u8 = 2;
const PAYLOAD: usize = 1 + 16 + 16 + 4 + 8 + 8 + 32 + 32;
const MAC: usize = 32;

impl Session {
    /// A session that was just given its first token.
    pub fn begun(
        (id, browser): (SessionId, SessionId),
        user: UserId,
        token: &str,
        (now, lives): (UnixSeconds, u64),
    ) -> Self {
        Self {
            id,
            browser,
            generation: 0,
            started: now,
            expires: after(now, lives),
            user,
            token: hash(token),
        }
    }

    /// The same session, with another token.
    #[must_use]
    pub fn refreshed(self, token: &str, (now, lives): (UnixSeconds, u64)) -> Self {
        Self {
            generation: self.generation.saturating_add(1),
            expires: after(now, lives),
            token: hash(token),
            ..self
        }
    }

    /// Whether this token is its last one.
    pub(super) fn is_of(&self, token: &str) -> bool {
        verify_slices_are_equal(&hash(token), &self.token).is_ok()
    }

    /// Whether it is alive.
    ///
    /// # Errors
    /// [`Reason::TokenExpired`].
    pub fn check_time(&self, now: UnixSeconds, max_session: Option<u64>) -> Result<(), Rejection> {
        if now >= self.expires {
            let ago = now.0.saturating_sub(self.expires.0);
            return Err(Rejection::from(Reason::TokenExpired)
                .noting(format!("the session expired {ago} s ago")));
        }
        if max_session.is_some_and(|most| now >= after(self.started, most)) {
            return Err(Rejection::from(Reason::TokenExpired)
                .noting("the session has lasted for max_session"));
        }
        Ok(())
    }

    fn payload(&self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(PAYLOAD.saturating_add(MAC));
        payload.push(VERSION);
        payload.extend_from_slice(&self.id);
        payload.extend_from_slice(&self.browser);
        payload.extend_from_slice(&self.generation.to_be_bytes());
        payload.extend_from_slice(&self.started.0.to_be_bytes());
        payload.extend_from_slice(&self.expires.0.to_be_bytes());
        payload.extend_from_slice(&self.user.person);
        payload.extend_from_slice(&self.user.proof);
        payload.extend_from_slice(&self.token);
        payload
    }

    fn of_payload(payload: &[u8]) -> Option<Self> {
        let mut rest = payload;
        let [version] = take(&mut rest)?;
        let session = Self {
            id: take(&mut rest)?,
            browser: take(&mut rest)?,
            generation: u32::from_be_bytes(take(&mut rest)?),
            started: UnixSeconds(u64::from_be_bytes(take(&mut rest)?)),
            expires: UnixSeconds(u64::from_be_bytes(take(&mut rest)?)),
            user: UserId {
                person: take(&mut rest)?,
                proof: take(&mut rest)?,
            },
            token: take(&mut rest)?,
        };
        (version == VERSION && rest.is_empty()).then_some(session)
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(*first)
}

fn after(moment: UnixSeconds, seconds: u64) -> UnixSeconds {
    UnixSeconds(moment.0.saturating_add(seconds))
}

fn hash(token: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    for (to, from) in hash
        .iter_mut()
        .zip(digest(&SHA256, token.as_bytes()).as_ref())
    {
        *to = *from;
    }
    hash
}

impl Issuer {
    /// A session as a cookie's value.
    pub fn sealed(&self, session: &Session) -> String {
        let mut bytes = session.payload();
        let mac = self.mac(self.first_key(), "session", &bytes);
        bytes.extend_from_slice(mac.as_ref());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The session of a cookie's value: of this broker, as it was sealed. Whether it is alive is asked elsewhere.
    ///
    /// # Errors
    /// [`Reason::TokenMalformed`], [`Reason::TokenSignatureInvalid`].
    pub fn opened(&self, cookie: &str) -> Result<Session, Rejection> {
        let malformed = || {
            Rejection::from(Reason::TokenMalformed).noting("the session cookie is not of this form")
        };
        if cookie.len() > MAX_COOKIE_CHARS {
            return Err(malformed());
        }
        let bytes = URL_SAFE_NO_PAD.decode(cookie).map_err(|_| malformed())?;
        let (payload, mac) = bytes.split_at_checked(PAYLOAD).ok_or_else(malformed)?;
        let is_ours = |key| {
            let own = self.mac(key, "session", payload);
            verify_slices_are_equal(own.as_ref(), mac).is_ok()
        };
        // Nothing of it is read before it is known to be ours.
        if !self.keys().any(is_ours) {
            return Err(Rejection::from(Reason::TokenSignatureInvalid)
                .noting("the session cookie was not made here, or not as it is"));
        }
        Session::of_payload(payload).ok_or_else(malformed)
    }
}

/// Of 149 bytes in base64url there are 199.
const MAX_COOKIE_CHARS: usize = 256;

/// A token that a page presents to have another in its place.
///
/// # Errors
/// [`Reason::TokenMalformed`].
pub fn new_token(presented: &str) -> Result<&str, Rejection> {
    if is_token(presented) {
        return Ok(presented);
    }
    Err(Rejection::from(Reason::TokenMalformed)
        .noting("no token of Direct Line: empty, too long, or not visible ASCII"))
}

#[cfg(test)]
mod tests {
    use super::super::ids::tests::issuer;
    use super::*;
    use proptest::prelude::*;

    const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

    fn session(issuer: &Issuer) -> Session {
        let ids = ([3; 16], [5; 16]);
        Session::begun(ids, issuer.id_of("ada"), "token-1", (NOW, 1800))
    }

    fn reason(outcome: Result<impl fmt::Debug, Rejection>) -> Reason {
        outcome.unwrap_err().reason()
    }

    #[test]
    fn a_cookie_opens_as_it_was_sealed_and_for_its_broker_only() {
        let ours = issuer("site", &["one"]);
        let cookie = ours.sealed(&session(&ours));
        assert_eq!(cookie.len(), 199);
        assert!(
            ours.opened(&cookie)
                .is_ok_and(|opened| opened == session(&ours))
        );
        for other in [
            issuer("shop", &["one"]),
            issuer("site", &["two"]),
            issuer("", &["one"]),
        ] {
            assert_eq!(reason(other.opened(&cookie)), Reason::TokenSignatureInvalid);
        }
        assert!(issuer("site", &["two", "one"]).opened(&cookie).is_ok());
    }

    #[test]
    fn a_user_id_is_no_cookie_and_a_cookie_no_user_id() {
        let issuer = issuer("site", &["one"]);
        let id = issuer.id_of("ada").to_string();
        assert_eq!(reason(issuer.opened(&id)), Reason::TokenMalformed);
        assert!(!issuer.has_issued(&issuer.sealed(&session(&issuer))));
    }

    #[test]
    fn the_last_token_is_the_one_that_counts_for_as_long_as_it_lives() {
        let issuer = issuer("site", &["one"]);
        let first = session(&issuer);
        let at = |seconds: u64| UnixSeconds(NOW.0 + seconds);
        assert!(first.is_of("token-1") && !first.is_of("token-2") && !first.is_of(""));
        assert_eq!(first.check_time(at(1799), None), Ok(()));
        let over = first.check_time(at(1800), None);
        assert_eq!(reason(over), Reason::TokenExpired);
        let second = first.refreshed("token-2", (at(900), 1800));
        assert_eq!(
            (second.generation, second.id, second.browser, second.user),
            (1, first.id, first.browser, first.user)
        );
        assert!(second.is_of("token-2") && !second.is_of("token-1"));
        assert_eq!(second.check_time(at(2699), None), Ok(()));
        // However often it is refreshed.
        assert_eq!(second.check_time(at(2399), Some(2400)), Ok(()));
        let over = second.check_time(at(2400), Some(2400));
        assert_eq!(reason(over), Reason::TokenExpired);
        let end = Session {
            generation: u32::MAX,
            ..first
        };
        assert_eq!(
            end.refreshed("x", (UnixSeconds(u64::MAX), 5)).generation,
            u32::MAX
        );
    }

    #[test]
    fn nothing_of_a_session_is_printed() {
        let issuer = issuer("site", &["one"]);
        assert_eq!(
            format!("{:?}", session(&issuer)),
            "Session { generation: 0, .. }"
        );
    }

    #[test]
    fn a_token_is_visible_ascii_of_some_length() {
        assert_eq!(new_token("eyJ.a-_b"), Ok("eyJ.a-_b"));
        for wrong in [
            String::new(),
            "a b".to_owned(),
            "a\tb".to_owned(),
            "\u{e9}".to_owned(),
            "x".repeat(8193),
        ] {
            assert_eq!(reason(new_token(&wrong)), Reason::TokenMalformed);
        }
    }

    proptest! {
        #[test]
        fn a_cookie_with_a_bit_flipped_opens_nothing(id: [u8; 16], generation: u32, bit in 0_usize..149 * 8) {
            let issuer = issuer("site", &["one"]);
            let cookie = issuer.sealed(&Session { id, generation, ..session(&issuer) });
            let mut bytes = URL_SAFE_NO_PAD.decode(&cookie).unwrap();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let forged = URL_SAFE_NO_PAD.encode(&bytes);
            prop_assert_eq!(reason(issuer.opened(&forged)), Reason::TokenSignatureInvalid);
        }

        #[test]
        fn a_cookie_cut_or_lengthened_opens_nothing(end in 0_usize..199, more in "[-_A-Za-z0-9]{1,100}") {
            let issuer = issuer("site", &["one"]);
            let cookie = issuer.sealed(&session(&issuer));
            prop_assert!(issuer.opened(&cookie[..end]).is_err());
            let longer = format!("{cookie}{more}");
            prop_assert!(issuer.opened(&longer).is_err());
        }

        #[test]
        fn halves_of_two_cookies_make_no_third(cut in 1_usize..199) {
            let issuer = issuer("site", &["one"]);
            let a = issuer.sealed(&session(&issuer));
            let b = issuer.sealed(&Session { id: [4; 16], browser: [6; 16], user: issuer.id_of("bob"), ..session(&issuer) });
            let mixed = format!("{}{}", &a[..cut], &b[cut..]);
            let is_one_of_them = mixed == a || mixed == b;
            prop_assert_eq!(issuer.opened(&mixed).is_ok(), is_one_of_them);
        }

        #[test]
        fn no_text_makes_it_panic(text: String) {
            prop_assert!(issuer("site", &["one"]).opened(&text).is_err());
        }
    }
}
