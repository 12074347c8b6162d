//! Which web pages may ask for a Direct Line token.

use crate::judge::{Reason, Rejection, is_on_this_machine};
use http::HeaderMap;
use http::header::{HeaderName, ORIGIN};
use url::Url;

/// The origins of the pages that may ask, each as browsers write it (RFC 6454 6.2): scheme, host, and the port where it is not the
/// scheme's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedOrigins(Vec<String>);

/// Why something is no origin that can be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Neither `https://HOST` nor `http://HOST`.
    NotAnOrigin,
    /// Browsers write it so.
    WrittenOtherwise(String),
    /// Anybody on the way can be a page of plain http, unless that is on this machine.
    PlainHttp,
}

impl TrustedOrigins {
    /// Adds an origin; says whether its pages are on this machine only.
    ///
    /// # Errors
    /// See [`Flaw`].
    pub fn add(&mut self, text: &str) -> Result<bool, Flaw> {
        let url = Url::parse(text).map_err(|_| Flaw::NotAnOrigin)?;
        if !matches!(url.scheme(), "http" | "https") || text.contains('*') {
            return Err(Flaw::NotAnOrigin);
        }
        let is_plain = url.scheme() == "http";
        let is_here = is_on_this_machine(&url);
        let written = url.origin().ascii_serialization();
        if written != text {
            return Err(Flaw::WrittenOtherwise(written));
        }
        if is_plain && !is_here {
            return Err(Flaw::PlainHttp);
        }
        if !self.0.contains(&written) {
            self.0.push(written);
        }
        Ok(is_here)
    }

    /// All of them.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }

    /// The origin of the page that asks. Compared byte for byte: browsers have one way to write it, and `null` is nobody's.
    ///
    /// # Errors
    /// [`Reason::OriginNotAllowed`].
    pub fn of(&self, headers: &HeaderMap) -> Result<&str, Rejection> {
        let refused = |note: String| Rejection::from(Reason::OriginNotAllowed).noting(note);
        let mut values = headers.get_all(ORIGIN).iter();
        let value = values
            .next()
            .ok_or_else(|| refused("no Origin: no script of a web page asks".to_owned()))?;
        if values.next().is_some() {
            return Err(refused("more than one Origin".to_owned()));
        }
        let listed = self
            .0
            .iter()
            .find(|known| known.as_bytes() == value.as_bytes());
        let listed = listed.ok_or_else(|| {
            let shown: String = value
                .to_str()
                .unwrap_or("not ASCII")
                .chars()
                .take(128)
                .collect();
            refused(format!("Origin is {shown:?}"))
        })?;
        // An address that somebody typed, or a bookmark, is no request of a script, whatever its Origin says.
        if headers
            .get_all(SEC_FETCH_SITE)
            .iter()
            .any(|site| site == "none")
        {
            return Err(refused("Sec-Fetch-Site is \"none\"".to_owned()));
        }
        Ok(listed)
    }
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

#[cfg(test)]
mod tests {
    use super::*;

    fn trusted() -> TrustedOrigins {
        let mut origins = TrustedOrigins::default();
        for origin in [
            "https://www.example.com",
            "https://shop.example:8443",
            "http://localhost:3000",
        ] {
            origins.add(origin).unwrap();
        }
        origins
    }

    fn found(values: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(ORIGIN, value.parse().unwrap());
        }
        let trusted = trusted();
        let found = trusted.of(&headers);
        if let Err(rejection) = &found {
            assert_eq!(rejection.reason(), Reason::OriginNotAllowed);
        }
        found.ok().map(str::to_owned)
    }

    #[test]
    fn an_origin_is_on_the_list_byte_for_byte_or_not_at_all() {
        for origin in trusted().as_slice() {
            assert_eq!(found(&[origin]).as_ref(), Some(origin));
        }
        for other in [
            "",
            "null",
            "*",
            "https://www.example.com/",
            "https://www.example.com:443",
            "https://WWW.example.com",
            "HTTPS://www.example.com",
            "http://www.example.com",
            "https://example.com",
            "https://evil.www.example.com",
            "https://www.example.com.evil.example",
            "https://www.example.community",
            "https://www.example.co",
            "https://www.example.com:8443",
            "https://shop.example",
            "http://localhost",
            "http://localhost:30001",
            "https://user@www.example.com",
            "www.example.com",
            "https://www.example.com, https://evil.example",
            "https://www.example.com https://evil.example",
            "https://www.example.com.",
            "https://www\u{2024}example.com",
        ] {
            assert_eq!(found(&[other]), None, "{other}");
        }
        assert_eq!(found(&[]), None);
        assert_eq!(
            found(&["https://www.example.com", "https://www.example.com"]),
            None
        );
        assert_eq!(found(&["https://www.example.com", "null"]), None);
    }

    #[test]
    fn what_no_script_sent_is_refused_whatever_its_origin() {
        for (site, is_good) in [
            ("same-origin", true),
            ("same-site", true),
            ("cross-site", true),
            ("none", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ORIGIN, "https://www.example.com".parse().unwrap());
            headers.insert(SEC_FETCH_SITE, site.parse().unwrap());
            assert_eq!(trusted().of(&headers).is_ok(), is_good, "{site}");
        }
    }

    #[test]
    fn only_what_browsers_write_can_be_trusted() {
        let mut origins = TrustedOrigins::default();
        assert_eq!(origins.add("https://www.example.com"), Ok(false));
        for here in [
            "http://127.0.0.1:8080",
            "http://localhost",
            "http://[::1]:1",
            "https://localhost",
        ] {
            assert_eq!(origins.add(here), Ok(true), "{here}");
        }
        for (text, flaw) in [
            ("", Flaw::NotAnOrigin),
            ("null", Flaw::NotAnOrigin),
            ("*", Flaw::NotAnOrigin),
            ("www.example.com", Flaw::NotAnOrigin),
            ("https://*.example.com", Flaw::NotAnOrigin),
            ("file:///index.html", Flaw::NotAnOrigin),
            ("http://www.example.com", Flaw::PlainHttp),
            ("http://localhost.example.com", Flaw::PlainHttp),
        ] {
            assert_eq!(origins.add(text), Err(flaw), "{text}");
        }
        for text in [
            "https://www.example.com/",
            "https://WWW.example.com",
            "https://www.example.com:443",
            "https://www.example.com/page?x#y",
            "https://user:pass@www.example.com",
            " https://www.example.com",
        ] {
            let flaw = Flaw::WrittenOtherwise("https://www.example.com".to_owned());
            assert_eq!(origins.add(text), Err(flaw), "{text}");
        }
    }
}
