//! The files of the status page, which are part of the program, and how a browser has to treat them.

use super::typed;
use crate::net::Body;
use http::{HeaderName, HeaderValue, Response};

/// A file of the page.
pub(super) struct Asset {
    /// Where it is served.
    pub(super) path: &'static str,
    media_type: &'static str,
    content: &'static str,
}

/// The page itself. It holds no data: the script fetches them.
pub(super) const PAGE: Asset = Asset {
    path: "/",
    media_type: "text/html; charset=utf-8",
    content: include_str!("page/index.html"),
};
/// How it looks.
pub(super) const STYLE: Asset = Asset {
    path: "/status.css",
    media_type: "text/css; charset=utf-8",
    content: include_str!("page/status.css"),
};
/// What fills it.
pub(super) const SCRIPT: Asset = Asset {
    path: "/status.js",
    media_type: "text/javascript; charset=utf-8",
    content: include_str!("page/status.js"),
};
/// What a browser shows in its tab.
pub(super) const ICON: Asset = Asset {
    path: "/status.svg",
    media_type: "image/svg+xml",
    content: include_str!("page/status.svg"),
};

/// Serves a file.
pub(super) fn answer(asset: &Asset) -> Response<Body> {
    guarded(typed(asset.content, asset.media_type))
}

/// Adds what keeps other sites away from the page and its data, and anything but its own files out of it.
pub(super) fn guarded(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    for (name, value) in GUARDS {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    response
}

/// No inline script or style runs, and `require-trusted-types-for` leaves the script no way to put text as HTML.
const GUARDS: [(&str, &str); 6] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("x-frame-options", "DENY"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];
