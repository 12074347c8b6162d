//! Target, then `Host` lines: the host and the bot are those that every other reader would find.
//!
//! The first line is `1 TARGET` or `2 TARGET`, by the version of HTTP; in version 2 the target holds scheme and authority, too.

use super::callback::stays_where_it_is;
use super::forwarding::headers;
use super::token::halves;
use botgate::judge::{Place, Route, Routes, host_of};
use http::{Request, Uri, Version};
use std::sync::LazyLock;

static ROUTES: LazyLock<Vec<Route>> = LazyLock::new(|| {
    let route = |host: &str, path: &str, callback: Option<&str>| Route {
        hosts: vec![host.to_owned()],
        path: path.to_owned(),
        callback: callback.map(str::to_owned),
    };
    let mut any = route("", "/api/messages", Some(""));
    any.hosts.clear();
    vec![
        route("a.example", "/api/messages", Some("/api/skills")),
        route("b.example", "/other", None),
        any,
    ]
});

pub fn check(input: &[u8]) -> bool {
    let (line, lines) = halves(input, b'\n');
    let (version, target) = halves(line, b' ');
    let Ok(target) = Uri::try_from(target) else {
        return false;
    };
    let mut request = Request::new(());
    *request.version_mut() = match version {
        b"2" => Version::HTTP_2,
        _ => Version::HTTP_11,
    };
    *request.uri_mut() = target;
    *request.headers_mut() = headers(lines);
    let (head, ()) = request.into_parts();
    let Ok(host) = host_of(&head) else {
        return false;
    };
    let named = head.headers.get_all("host").iter().count();
    assert!(named <= 1 && (named == 1 || head.uri.authority().is_some()));
    assert!(head.version == Version::HTTP_2 || head.uri.authority().is_none());
    let said: Vec<String> = head
        .headers
        .get("host")
        .map(|host| host.to_str().expect("ASCII").to_owned())
        .into_iter()
        .chain(head.uri.authority().map(ToString::to_string))
        .collect();
    for said in said {
        assert!(
            !said.contains(['@', '/', '\\', '?', '#', ' ', ',', '%']),
            "{said}"
        );
        assert_eq!(bare(&said), host);
        // Where a browser reads a name there, too, it is the same one. (It writes numbers in other forms as addresses.)
        if let Ok(url) = url::Url::parse(&format!("http://{said}/"))
            && let Some(url::Host::Domain(domain)) = url.host()
        {
            assert_eq!(domain, host);
        }
    }
    let path = head.uri.path();
    let Ok((bot, place)) = Routes::new(&*ROUTES).find(&host, path) else {
        return false;
    };
    let route = &ROUTES[bot];
    assert!(route.hosts.is_empty() || route.hosts.iter().any(|own| *own == host));
    match place {
        Place::Messages => assert_eq!(path, route.path),
        Place::Callback => {
            let prefix = route.callback.as_deref().expect("a callback path");
            assert!(
                path.strip_prefix(prefix)
                    .is_some_and(|rest| rest.starts_with("/v3/conversations"))
            );
            stays_where_it_is(path);
        }
    }
    true
}

/// The host in front of a port, in lower case.
fn bare(authority: &str) -> String {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        Some(_) | None => authority,
    };
    host.to_ascii_lowercase()
}
