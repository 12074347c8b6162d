//! The session cookies of one browser. It has several tabs, and each its own conversation; so there are several, each in a place of
//! its own.

use super::ids::Issuer;
use super::session::{Session, SessionId};
use super::{Reason, Rejection, UnixSeconds};
use http::HeaderMap;
use http::header::COOKIE;

/// With what the names of cookies begin; the place and the broker's name follow. Browsers take `__Host-` only over TLS, for this host
/// alone and for all of it, so that no other host of the domain can put one here (RFC 6265bis 4.1.3.2).
const COOKIE_PREFIX: &str = "__Host-botgate-dl";

/// So many conversations of one browser with one broker are renewed; a further one takes the place of the one that ends first.
pub const PLACES: usize = 8;

/// The name of the cookie in one of a broker's places.
pub fn cookie_name(broker: &str, place: usize) -> String {
    format!("{COOKIE_PREFIX}{place}-{broker}")
}

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

#[cfg(test)]
mod tests {
    use super::super::ids::tests::issuer;
    use super::*;

    const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

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
}
