//! Which bot a host and path belong to.

use super::{Place, Reason, Rejection, callback, check_target};
use http::request::Parts;
use http::uri::Authority;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::Ipv6Addr;

/// Where one bot is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Lower-case host names without port; empty serves any host.
    pub hosts: Vec<String>,
    /// The exact path of the messaging endpoint.
    pub path: String,
    /// What precedes `/v3/conversations` where skills call back, without a trailing slash.
    pub callback: Option<String>,
}

/// All routes of a gateway. Lookups cost the same for one bot and for a thousand.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    by_host: BTreeMap<String, Paths>,
    any_host: Paths,
}

/// The paths of one host: exact ones, and what precedes `/v3/conversations`.
#[derive(Clone, Debug, Default)]
struct Paths {
    exact: BTreeMap<String, usize>,
    callback: BTreeMap<String, usize>,
}

impl Paths {
    fn add(&mut self, route: &Route, bot: usize) {
        self.exact.entry(route.path.clone()).or_insert(bot);
        if let Some(prefix) = &route.callback {
            self.callback.entry(prefix.clone()).or_insert(bot);
        }
    }

    fn find(&self, path: &str) -> Option<(usize, Place)> {
        if let Some(bot) = self.exact.get(path) {
            return Some((*bot, Place::Messages));
        }
        if self.callback.is_empty() {
            return None;
        }
        let (prefix, _) = callback::split(path)?;
        let bot = self.callback.get(prefix)?;
        Some((*bot, Place::Callback))
    }

    fn is_empty(&self) -> bool {
        self.exact.is_empty()
    }
}

impl Routes {
    /// Builds the table; the answer of [`find`](Self::find) is the position in `routes`.
    pub fn new<'a>(routes: impl IntoIterator<Item = &'a Route>) -> Self {
        let mut table = Self::default();
        for (bot, route) in routes.into_iter().enumerate() {
            if route.hosts.is_empty() {
                table.any_host.add(route, bot);
            }
            for host in &route.hosts {
                table
                    .by_host
                    .entry(host.clone())
                    .or_default()
                    .add(route, bot);
            }
        }
        table
    }

    /// The bot of a request, and where on it. A bot that names the host wins over one that serves any.
    ///
    /// # Errors
    /// [`Reason::HostNotServed`], [`Reason::PathNotFound`].
    pub fn find(&self, host: &str, path: &str) -> Result<(usize, Place), Rejection> {
        let named = self.by_host.get(host);
        if let Some(found) = named
            .and_then(|paths| paths.find(path))
            .or_else(|| self.any_host.find(path))
        {
            return Ok(found);
        }
        if named.is_none() && self.any_host.is_empty() {
            return Err(Reason::HostNotServed.into());
        }
        Err(Reason::PathNotFound.into())
    }
}

/// The one host a request names, in lower case and without port.
///
/// # Errors
/// [`Reason::RequestMalformed`] when there is none, more than one, user information, or when `Host` and `:authority` differ
/// (RFC 9112 3.2, RFC 9113 8.3.1); also for an absolute-form target in HTTP/1, which only a forward proxy is sent, and for a target
/// that is none (see [`check_target`]).
pub fn host_of(head: &Parts) -> Result<Cow<'_, str>, Rejection> {
    let malformed = |what: &str| Rejection::from(Reason::RequestMalformed).noting(what);
    if let Some(target) = head.uri.path_and_query() {
        check_target(target.as_str().as_bytes()).map_err(malformed)?;
    }
    let mut fields = head.headers.get_all(http::header::HOST).iter();
    let field = fields.next();
    if fields.next().is_some() {
        return Err(malformed("more than one Host"));
    }
    let field = field
        .map(|value| value.to_str().map_err(|_| malformed("Host is not ASCII")))
        .transpose()?;
    let target = head.uri.authority().map(Authority::as_str);
    if target.is_some() && head.version < http::Version::HTTP_2 {
        return Err(malformed("absolute-form or authority-form target"));
    }
    let named = match (target, field) {
        (None, None) => return Err(malformed("no Host")),
        (Some(one), None) | (None, Some(one)) => one,
        (Some(target), Some(field)) if target.eq_ignore_ascii_case(field) => target,
        (Some(_), Some(_)) => return Err(malformed("Host and :authority differ")),
    };
    if let Some(host) = usual_host(named) {
        return Ok(host);
    }
    if named.contains('@') {
        return Err(malformed("user information in Host"));
    }
    let bad = || malformed("Host is not host[:port]");
    let authority: Authority = named.parse().map_err(|_| bad())?;
    let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    let host = authority.host();
    // What stands in brackets, the http crate does not look at (RFC 3986 3.2.2).
    let in_brackets = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let host_is_plain = match in_brackets {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(is_name),
    };
    let port_is_plain = match named.get(host.len()..) {
        None | Some("") => true,
        Some(rest) => rest.strip_prefix(':').is_some_and(|port| {
            port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok()
        }),
    };
    if !host_is_plain || !port_is_plain {
        return Err(bad());
    }
    Ok(Cow::Owned(host.to_ascii_lowercase()))
}

/// The host of what is a lower-case name and perhaps a port, seen in one pass. What it says nothing about may still be one.
fn usual_host(named: &str) -> Option<Cow<'_, str>> {
    const MAX_NAME_BYTES: usize = 253;
    let is_usual = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
    let length = named.bytes().take_while(|byte| is_usual(*byte)).count();
    let (host, rest) = named.split_at_checked(length)?;
    let port_is_plain = rest.is_empty()
        || rest.strip_prefix(':').is_some_and(|port| {
            port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok()
        });
    let is_usual = port_is_plain && (1..=MAX_NAME_BYTES).contains(&length);
    is_usual.then_some(Cow::Borrowed(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(hosts: &[&str], path: &str) -> Route {
        Route {
            hosts: hosts.iter().map(|h| (*h).to_owned()).collect(),
            path: path.to_owned(),
            callback: None,
        }
    }

    fn at(bot: usize) -> Option<(usize, Place)> {
        Some((bot, Place::Messages))
    }

    #[test]
    fn callbacks_are_found_by_what_precedes_the_api() {
        let mut first = route(&["a.example"], "/api/messages");
        first.callback = Some("/api/skills".to_owned());
        let mut any = route(&[], "/api/messages");
        any.callback = Some(String::new());
        let table = Routes::new(&[first, any]);
        let found = |host, path| table.find(host, path).ok();
        let of = |bot| Some((bot, Place::Callback));
        assert_eq!(
            found("a.example", "/api/skills/v3/conversations/x/activities"),
            of(0)
        );
        assert_eq!(found("a.example", "/v3/conversations"), of(1));
        assert_eq!(found("b.example", "/v3/conversations/x"), of(1));
        for path in [
            "/api/skills/v3/conversations/x",
            "/api/skills",
            "/v3/conversations/x/",
            "/v3/conversations/../x",
        ] {
            assert_eq!(found("b.example", path), None, "{path}");
        }
        assert_eq!(found("a.example", "/api/messages"), at(0));
    }

    #[test]
    fn host_and_exact_path_choose_the_bot() {
        let table = Routes::new(&[
            route(&["a.example"], "/api/messages"),
            route(&["b.example", "c.example"], "/api/messages"),
            route(&["a.example"], "/other"),
        ]);
        assert_eq!(table.find("a.example", "/api/messages").ok(), at(0));
        assert_eq!(table.find("c.example", "/api/messages").ok(), at(1));
        assert_eq!(table.find("a.example", "/other").ok(), at(2));
        for path in [
            "/api/messages/",
            "/API/messages",
            "/api//messages",
            "/api/%6dessages",
            "/api/messages/../messages",
            "/",
        ] {
            assert_eq!(
                table.find("a.example", path).unwrap_err().reason(),
                Reason::PathNotFound,
                "{path}"
            );
        }
        assert_eq!(
            table
                .find("evil.example", "/api/messages")
                .unwrap_err()
                .reason(),
            Reason::HostNotServed
        );
        assert_eq!(
            table
                .find("a.example.evil.example", "/api/messages")
                .unwrap_err()
                .reason(),
            Reason::HostNotServed
        );
    }

    #[test]
    fn a_named_host_wins_over_any_host() {
        let table = Routes::new(&[
            route(&[], "/api/messages"),
            route(&["a.example"], "/api/messages"),
        ]);
        assert_eq!(table.find("a.example", "/api/messages").ok(), at(1));
        assert_eq!(table.find("x.example", "/api/messages").ok(), at(0));
        assert_eq!(
            table.find("x.example", "/x").unwrap_err().reason(),
            Reason::PathNotFound
        );
    }

    fn host(target: &str, fields: &[&str], version: http::Version) -> Result<String, Reason> {
        let mut request = http::Request::builder().uri(target).version(version);
        for field in fields {
            request = request.header("host", *field);
        }
        let head = request.body(()).unwrap().into_parts().0;
        host_of(&head).map(Cow::into_owned).map_err(|r| r.reason())
    }

    #[test]
    fn a_usual_host_is_what_an_authority_has() {
        for named in [
            "a",
            "bot.example",
            "bot.example:8443",
            "a:0",
            "a:65535",
            "a:65536",
            "a:",
            "a:1:2",
            ":80",
            "",
            ".",
            "-",
            "_",
            "a..b",
            "a-",
            "1.2.3.4:5",
            "A",
            "a@b",
            "[::1]",
            "[::1]:80",
            "a%41",
            "a:+1",
            "a/b",
            "a b",
            "\u{e9}",
            &"a".repeat(253),
            &"a".repeat(254),
        ] {
            let Some(host) = usual_host(named) else {
                continue;
            };
            let authority: Authority = named.parse().unwrap();
            assert_eq!(host, authority.host());
            assert_eq!(host, host.to_ascii_lowercase());
        }
        assert_eq!(
            usual_host("bot.example:8443").as_deref(),
            Some("bot.example")
        );
        for unusual in [
            "a:65536", "a:", "a:1:2", ":80", "", "A", "a@b", "[::1]", "a:+1",
        ] {
            assert_eq!(usual_host(unusual), None, "{unusual}");
        }
    }

    #[test]
    fn exactly_one_host_is_named() {
        use http::Version;
        assert_eq!(
            host("/x", &["Bot.Example:8443"], Version::HTTP_11).as_deref(),
            Ok("bot.example")
        );
        assert_eq!(
            host("/x", &["[::1]:80"], Version::HTTP_11).as_deref(),
            Ok("[::1]")
        );
        assert_eq!(
            host("https://bot.example/x", &[], Version::HTTP_2).as_deref(),
            Ok("bot.example")
        );
        assert_eq!(
            host("https://bot.example/x", &["BOT.example"], Version::HTTP_2).as_deref(),
            Ok("bot.example")
        );
        let bad = Err(Reason::RequestMalformed);
        assert_eq!(host("/x", &[], Version::HTTP_11), bad);
        assert_eq!(host("/x", &["a", "a"], Version::HTTP_11), bad);
        assert_eq!(host("/x", &["user@a"], Version::HTTP_11), bad);
        assert_eq!(host("/x", &["a b"], Version::HTTP_11), bad);
        for odd in [
            "a:port",
            "a:+80",
            "a:",
            "a:99999",
            "a;proto=http,for=6.6.6.6",
            "a,b",
            "[::1",
            "[::1]x",
            "[]",
            "[:%:eu1]:81",
            "[evil.example]",
            "[127.0.0.1]",
            "[v1.x]",
        ] {
            assert_eq!(host("/x", &[odd], Version::HTTP_11), bad, "{odd}");
        }
        assert_eq!(host("/x", &[""], Version::HTTP_11), bad);
        assert_eq!(host("https://a/x", &["b"], Version::HTTP_2), bad);
        assert_eq!(host("http://a/x", &["a"], Version::HTTP_11), bad);
    }
}
