//! The session of one conversation: a signed cookie, which holds all there is to know of it, and nothing with which anybody could speak.
//!
//! A browser has several tabs, and each its own conversation; so it has several cookies, each in a place of its own.

use super::ids::{Issuer, UserId};
use super::{Reason, Rejection, UnixSeconds, is_token};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::COOKIE;
use std::fmt;

/// With what the names of cookies begin; the place and the broker's name follow. Browsers take `__Host-` only over TLS, for this host
/// alone and for all of it, so that no other host of the domain can put one here (RFC 6265bis 4.1.3.2).
const COOKIE_PREFIX: &str = "__Host-botgate-dl";

/// So many conversations of one browser with one broker are renewed; a further one takes the place of the one that ends first.
pub const PLACES: usize = 8;

/// The name of the cookie in one of a broker's places.
pub fn cookie_name(broker: &str, place: usize) -> String {
    format!("{COOKIE_PREFIX}{place}-{broker}")
}

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
    fn is_of(&self, token: &str) -> bool {
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

/// The cookies that a browser shows of one broker, by their places.
#[derive(Clone, Copy, Debug, Default)]
pub struct Jar<'h>([Option<&'h str>; PLACES]);

impl<'h> Jar<'h> {
    /// Finds them among others, whatever those are made of; over HTTP/2 cookies may come one by one.
    ///
    /// # Errors
    /// [`Reason::TokenRepeated`] where a place is there twice: which one counts would be anybody's guess.
    pub fn of(headers: &'h HeaderMap, broker: &str) -> Result<Self, Rejection> {
        let mut jar = Self::default();
        let fields = headers.get_all(COOKIE).iter();
        for crumb in fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b';')) {
            let Some((place, value)) = ours(crumb, broker) else {
                continue;
            };
            let Some(found) = jar.0.get_mut(place) else {
                continue;
            };
            if found.replace(value).is_some() {
                return Err(Rejection::from(Reason::TokenRepeated)
                    .noting("a session cookie is there twice"));
            }
        }
        Ok(jar)
    }

    /// The session whose last token this is, and its place. Whether it is alive is asked elsewhere.
    ///
    /// # Errors
    /// [`Reason::TokenMissing`] where there is no cookie, [`Reason::TokenClaimsInvalid`] where this is no session's last token, or what
    /// is wrong with the cookies.
    pub fn session_of(self, issuer: &Issuer, token: &str) -> Result<(usize, Session), Rejection> {
        let mut refused =
            Rejection::from(Reason::TokenMissing).noting("there is no session cookie");
        let mut is_ours = false;
        for (place, cookie) in self.shown() {
            match issuer.opened(cookie) {
                Ok(session) if session.is_of(token) => return Ok((place, session)),
                Ok(_) => is_ours = true,
                Err(flaw) => refused = flaw,
            }
        }
        if is_ours {
            refused = Rejection::from(Reason::TokenClaimsInvalid)
                .noting("the token is not the last one of a session of this browser");
        }
        Err(refused)
    }

    /// Which browser this is, if it has a session that is alive, and a place for one more: a free one, by `chance` so that two tabs that
    /// open at once hardly meet, else that of the session which ends first.
    pub fn room(self, issuer: &Issuer, now: UnixSeconds, chance: u8) -> (Option<SessionId>, usize) {
        let mut ends = [UnixSeconds(0); PLACES];
        let mut browser = None;
        for (place, cookie) in self.shown() {
            let alive = issuer.opened(cookie).ok();
            if let (Some(session), Some(end)) =
                (alive.filter(|it| now < it.expires), ends.get_mut(place))
            {
                browser = Some(session.browser);
                *end = session.expires;
            }
        }
        // From a place that chance names, the first of those that are free or end first.
        let turned = (0..PLACES).map(|step| (usize::from(chance).wrapping_add(step)) % PLACES);
        let place = turned.min_by_key(|place| ends.get(*place).copied());
        (browser, place.unwrap_or_default())
    }

    fn shown(self) -> impl Iterator<Item = (usize, &'h str)> {
        let places = self.0.into_iter().enumerate();
        places.filter_map(|(place, cookie)| Some((place, cookie?)))
    }
}

/// The place and the value of a cookie, if it is one of this broker's.
fn ours<'h>(crumb: &'h [u8], broker: &str) -> Option<(usize, &'h str)> {
    let crumb = crumb.trim_ascii().strip_prefix(COOKIE_PREFIX.as_bytes())?;
    let (place, crumb) = crumb.split_first()?;
    let named = crumb.strip_prefix(b"-")?.strip_prefix(broker.as_bytes())?;
    let value = named.strip_prefix(b"=")?;
    let place = place.checked_sub(b'0').map(usize::from)?;
    // What is not ASCII is none of ours, and shall not be taken for one that is not there.
    let value = std::str::from_utf8(value).unwrap_or_default();
    (place < PLACES).then_some((place, value))
}

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

    fn headers(fields: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(COOKIE, http::HeaderValue::from_bytes(field).unwrap());
        }
        headers
    }

    #[test]
    fn cookies_of_the_broker_are_found_among_others() {
        let found = |fields: &[&[u8]]| {
            let headers = headers(fields);
            let jar = Jar::of(&headers, "x").map_err(|r| r.reason())?;
            Ok::<Vec<(usize, String)>, Reason>(
                jar.shown().map(|(at, it)| (at, it.to_owned())).collect(),
            )
        };
        let one = |at, value: &str| Ok(vec![(at, value.to_owned())]);
        assert_eq!(found(&[b"a=b; __Host-botgate-dl0-x=1;c=d"]), one(0, "1"));
        assert_eq!(found(&[b"a=b", b"__Host-botgate-dl7-x=1"]), one(7, "1"));
        assert_eq!(found(&[b"__Host-botgate-dl3-x="]), one(3, ""));
        // Others may be made of what they like; ours are ASCII.
        assert_eq!(
            found(&["n=Jörg; __Host-botgate-dl0-x=1".as_bytes()]),
            one(0, "1")
        );
        assert_eq!(found(&[b"n=\xff; __Host-botgate-dl0-x=1"]), one(0, "1"));
        assert_eq!(found(&[b"__Host-botgate-dl0-x=\xff"]), one(0, ""));
        for none in [
            &[][..],
            &[b"__host-botgate-dl0-x=1".as_slice()],
            &[b"x__Host-botgate-dl0-x=1"],
            &[b"__Host-botgate-dl0-xy=1"],
            &[b"__Host-botgate-dl0-x"],
            &[b"__Host-botgate-dl-x=1"],
            &[b"__Host-botgate-dl8-x=1"],
            &[b"__Host-botgate-dl10-x=1"],
            &[b"__Host-botgate-dl/-x=1"],
            &[b"a=__Host-botgate-dl0-x=1"],
        ] {
            assert_eq!(found(none), Ok(vec![]), "{none:?}");
        }
        for several in [
            &[b"__Host-botgate-dl0-x=1; __Host-botgate-dl0-x=1".as_slice()][..],
            &[b"__Host-botgate-dl0-x=1", b"__Host-botgate-dl0-x=2"],
        ] {
            assert_eq!(found(several), Err(Reason::TokenRepeated));
        }
    }

    #[test]
    fn each_tab_has_its_session_and_a_further_one_takes_the_place_of_what_ends_first() {
        let issuer = issuer("site", &["one"]);
        let mut cookies: Vec<String> = vec![];
        let shown = |cookies: &[String]| headers(&[cookies.join("; ").as_bytes()]);
        let mut taken = vec![];
        for tab in 0..PLACES {
            let headers = shown(&cookies);
            let jar = Jar::of(&headers, "site").unwrap();
            let (browser, place) = jar.room(&issuer, NOW, 200);
            assert_eq!(browser, (tab > 0).then_some([5; 16]));
            assert!(!taken.contains(&place), "{place} of {taken:?}");
            taken.push(place);
            let lives = 1000 + u64::try_from(tab).unwrap();
            let token = format!("token-{tab}");
            let user = issuer.id_of("ada");
            let session = Session::begun(([3; 16], [5; 16]), user, &token, (NOW, lives));
            let sealed = issuer.sealed(&session);
            cookies.push(format!("{}={sealed}", cookie_name("site", place)));
        }
        let headers = shown(&cookies);
        let jar = Jar::of(&headers, "site").unwrap();
        for (tab, place) in taken.iter().enumerate() {
            let (found, session) = jar.session_of(&issuer, &format!("token-{tab}")).unwrap();
            assert_eq!((found, session.browser), (*place, [5; 16]));
        }
        let none = jar.session_of(&issuer, "token-8").unwrap_err();
        assert_eq!(none.reason(), Reason::TokenClaimsInvalid);
        for chance in 0..=u8::MAX {
            assert_eq!(jar.room(&issuer, NOW, chance).1, taken[0], "it ends first");
        }
        // Those that are over have free places.
        let later = UnixSeconds(NOW.0 + 1007);
        let places: std::collections::HashSet<_> = (0..=u8::MAX)
            .map(|chance| jar.room(&issuer, later, chance))
            .collect();
        assert_eq!(places.len(), PLACES);
        assert!(places.iter().all(|(browser, _)| browser.is_none()));
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
