//! What a request head must say before anything else is looked at (AUTHENTICATION 0.1 rule 1).

use super::{Reason, Rejection, callback};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Method, Version};

/// The request is a POST of plain JSON, and no upgrade.
///
/// # Errors
/// [`Reason::UpgradeRefused`], [`Reason::MethodNotAllowed`], [`Reason::RequestMalformed`],
/// [`Reason::ContentTypeUnsupported`], [`Reason::ContentEncodingUnsupported`].
pub fn check_head(head: &Parts) -> Result<(), Rejection> {
    if is_upgrade(head) {
        return Err(Reason::UpgradeRefused.into());
    }
    if head.method != Method::POST {
        return Err(Rejection::from(Reason::MethodNotAllowed).allowing("POST"));
    }
    check_transfer_encoding(&head.headers)?;
    check_content_type(&head.headers)?;
    check_content_encoding(&head.headers)
}

/// The request is one that a web page's script sends to have a token: POST, or OPTIONS before it, and no upgrade.
///
/// # Errors
/// [`Reason::UpgradeRefused`], [`Reason::MethodNotAllowed`], and what is wrong with a transfer coding.
pub fn check_page_head(head: &Parts) -> Result<(), Rejection> {
    if is_upgrade(head) {
        return Err(Reason::UpgradeRefused.into());
    }
    if head.method != Method::POST && head.method != Method::OPTIONS {
        return Err(Rejection::from(Reason::MethodNotAllowed).allowing("POST, OPTIONS"));
    }
    check_transfer_encoding(&head.headers)
}

/// The request is one that the Connector API has: POST or PUT of plain JSON, GET or DELETE, and no upgrade.
///
/// # Errors
/// As [`check_head`].
pub fn check_callback_head(head: &Parts) -> Result<(), Rejection> {
    if is_upgrade(head) {
        return Err(Reason::UpgradeRefused.into());
    }
    check_transfer_encoding(&head.headers)?;
    check_content_encoding(&head.headers)?;
    if callback::has_body(&head.method) {
        return check_content_type(&head.headers);
    }
    if head.method == Method::GET || head.method == Method::DELETE {
        return Ok(());
    }
    Err(Rejection::from(Reason::MethodNotAllowed).allowing("GET, POST, PUT, DELETE"))
}

/// The head has no more bytes and fields than allowed, counted as HTTP/1 would write it.
///
/// HTTP/1 heads were read with these limits. HTTP/2 heads were not: its own limit counts otherwise, and not the fields.
///
/// # Errors
/// [`Reason::HeadersTooLarge`].
pub fn check_size(head: &Parts, max_bytes: usize, max_fields: usize) -> Result<(), Rejection> {
    const COLON_SPACE_AND_LINE_END: usize = 4;
    let too_large = |what: String| Err(Rejection::from(Reason::HeadersTooLarge).noting(what));
    let fields = head.headers.len();
    if fields > max_fields {
        return too_large(format!("{fields} fields, at most {max_fields}"));
    }
    let sizes = head.headers.iter().map(|(name, value)| {
        name.as_str()
            .len()
            .saturating_add(value.len())
            .saturating_add(COLON_SPACE_AND_LINE_END)
    });
    let target = head
        .uri
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    let bytes = sizes.fold(target, usize::saturating_add);
    if bytes > max_bytes {
        return too_large(format!("{bytes} bytes, at most {max_bytes}"));
    }
    Ok(())
}

/// The head keeps what RFC 9113 asks of a request over HTTP/2 and h2 does not look at, beside what [`check_fields`] says: at most
/// one `content-length` (RFC 9110 8.6 lets a list of equal ones be refused), and a scheme that is HTTP's (8.3.1). Heads of HTTP/1 pass: a strict reader has been over them.
///
/// # Errors
/// [`Reason::RequestMalformed`].
pub fn check_http2(head: &Parts) -> Result<(), Rejection> {
    if head.version != Version::HTTP_2 {
        return Ok(());
    }
    let no = |why: &str| Err(Rejection::from(Reason::RequestMalformed).noting(why));
    if head.headers.get_all(CONTENT_LENGTH).iter().nth(1).is_some() {
        return no("more than one Content-Length");
    }
    // Without an :authority h2 keeps no scheme. http is what a proxy says that took the request without TLS.
    let is_http = head
        .uri
        .scheme()
        .is_some_and(|scheme| *scheme == Scheme::HTTPS || *scheme == Scheme::HTTP);
    if head.uri.authority().is_some() && head.method != Method::CONNECT && !is_http {
        return no("a scheme other than http and https");
    }
    Ok(())
}

/// A GET that asks for another protocol, or anything that asks for a WebSocket. (An `Upgrade: h2c` that rides on a POST may be
/// ignored, RFC 9110 7.8.)
fn is_upgrade(head: &Parts) -> bool {
    let mut upgrades = head.headers.get_all(UPGRADE).iter().peekable();
    if upgrades.peek().is_none() {
        return false;
    }
    let for_websocket = upgrades.any(|value| {
        value
            .as_bytes()
            .to_ascii_lowercase()
            .windows(9)
            .any(|w| w == b"websocket")
    });
    for_websocket || head.method == Method::GET
}

/// No field that the next reader could take for another, or whose value it could cut.
///
/// Asked of both protocols. In HTTP/1 `net::wire` has refused such names already, and white space around a value is no part of
/// it; HTTP/2 carries names and values in frames of their own length, in which both can hide (RFC 9113 8.2.1 calls the white
/// space malformed, and h2 lets it pass).
///
/// # Errors
/// [`Reason::RequestMalformed`].
pub fn check_fields(headers: &HeaderMap) -> Result<(), Rejection> {
    let no = |why: &str| Err(Rejection::from(Reason::RequestMalformed).noting(why));
    for (name, value) in headers {
        // Servers with CGI in their ancestry read `_` as `-`: Transfer_Encoding is Transfer-Encoding to them.
        if name.as_str().as_bytes().contains(&b'_') {
            return no("a field name with _, which some servers read as -");
        }
        let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
        if is_space(value.as_bytes().first()) || is_space(value.as_bytes().last()) {
            return no("a field value with white space around it");
        }
    }
    Ok(())
}

/// Absent, or once and `chunked`: what else may stand there (RFC 9112 6.1) some servers read and some do not.
fn check_transfer_encoding(headers: &HeaderMap) -> Result<(), Rejection> {
    let no = |why: &str| Err(Rejection::from(Reason::RequestMalformed).noting(why));
    let mut values = headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(value) = values.next()
        && (values.next().is_some() || !value.as_bytes().eq_ignore_ascii_case(b"chunked"))
    {
        return no("Transfer-Encoding is something other than chunked, once");
    }
    Ok(())
}

/// Exactly one, `application/json`, with no parameter but `charset=utf-8`: other charsets are honoured by some readers and
/// ignored by others.
fn check_content_type(headers: &HeaderMap) -> Result<(), Rejection> {
    let no = |why: &str| Err(Rejection::from(Reason::ContentTypeUnsupported).noting(why));
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let Some(value) = values.next() else {
        return no("no Content-Type");
    };
    if values.next().is_some() {
        return no("more than one Content-Type");
    }
    // As channels write it.
    if matches!(
        value.as_bytes(),
        b"application/json; charset=utf-8" | b"application/json"
    ) {
        return Ok(());
    }
    let Some(text) = value.to_str().ok() else {
        return no("Content-Type is not ASCII");
    };
    let mut parts = text.split(';').map(str::trim);
    if !parts
        .next()
        .is_some_and(|media| media.eq_ignore_ascii_case("application/json"))
    {
        return no("the media type is not application/json");
    }
    let mut charsets = 0_u32;
    for parameter in parts {
        charsets = charsets.saturating_add(1);
        if !is_utf8_charset(parameter) || charsets > 1 {
            return no("a parameter other than one charset=utf-8");
        }
    }
    Ok(())
}

fn is_utf8_charset(parameter: &str) -> bool {
    parameter.split_once('=').is_some_and(|(name, value)| {
        let bare = value
            .strip_prefix('"')
            .and_then(|v| v.strip_suffix('"'))
            .unwrap_or(value);
        name.eq_ignore_ascii_case("charset") && bare.eq_ignore_ascii_case("utf-8")
    })
}

fn check_content_encoding(headers: &HeaderMap) -> Result<(), Rejection> {
    let is_identity = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if headers.get_all(CONTENT_ENCODING).iter().all(is_identity) {
        return Ok(());
    }
    Err(Rejection::from(Reason::ContentEncodingUnsupported)
        .noting("the body is compressed or otherwise encoded"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(method: &str, headers: &[(&str, &str)]) -> Result<(), Reason> {
        let mut request = http::Request::builder().method(method).uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        check_head(&request.body(()).unwrap().into_parts().0).map_err(|r| r.reason())
    }

    #[test]
    fn one_plain_json_content_type_passes() {
        for value in [
            "application/json",
            "Application/JSON",
            "application/json; charset=utf-8",
            "application/json;charset=UTF-8",
            "application/json ; charset=\"utf-8\"",
        ] {
            assert_eq!(
                outcome("POST", &[("content-type", value)]),
                Ok(()),
                "{value}"
            );
        }
    }

    #[test]
    fn anything_another_reader_could_decode_differently_is_refused() {
        for value in [
            "",
            "text/plain",
            "application/json; charset=utf-16",
            "application/json; charset=utf-7",
            "application/json; charset=utf8x",
            "application/json; charset=utf-8; charset=utf-16",
            "application/json; charset=utf-8; charset=utf-8",
            "application/json; odata=verbose",
            "application/json;",
            "application/jsonp",
            "application/x-www-form-urlencoded",
            "application/json, application/json",
        ] {
            assert_eq!(
                outcome("POST", &[("content-type", value)]),
                Err(Reason::ContentTypeUnsupported),
                "{value}"
            );
        }
        let json = ("content-type", "application/json");
        assert_eq!(outcome("POST", &[]), Err(Reason::ContentTypeUnsupported));
        assert_eq!(
            outcome("POST", &[json, json]),
            Err(Reason::ContentTypeUnsupported)
        );
        for encoding in ["gzip", "deflate", "br", "identity, gzip", ""] {
            assert_eq!(
                outcome("POST", &[json, ("content-encoding", encoding)]),
                Err(Reason::ContentEncodingUnsupported),
                "{encoding}"
            );
        }
        assert_eq!(
            outcome("POST", &[json, ("content-encoding", "Identity")]),
            Ok(())
        );
    }

    #[test]
    fn the_size_of_a_head_is_counted_in_bytes_and_fields() {
        let request = http::Request::post("/api/messages")
            .header("x-a", "1234567890")
            .header("x-b", "");
        let head = request.body(()).unwrap().into_parts().0;
        let exact = "/api/messages".len() + "x-a: 1234567890\r\n".len() + "x-b: \r\n".len();
        let outcome = |bytes, fields| check_size(&head, bytes, fields).map_err(|r| r.reason());
        assert_eq!(outcome(exact, 2), Ok(()));
        assert_eq!(outcome(exact - 1, 2), Err(Reason::HeadersTooLarge));
        assert_eq!(outcome(exact, 1), Err(Reason::HeadersTooLarge));
    }

    #[test]
    fn fields_that_another_reader_could_take_for_others_are_refused() {
        let outcome = |name: &'static str, value: &'static str| {
            let value = HeaderValue::from_static(value);
            check_fields(&HeaderMap::from_iter([(name.parse().unwrap(), value)]))
                .map_err(|r| r.reason())
        };
        for (name, value) in [
            ("x-a", " 1"),
            ("x-a", "1\t"),
            ("x-a", "\t"),
            ("transfer_encoding", "chunked"),
            ("_", ""),
        ] {
            assert_eq!(outcome(name, value), Err(Reason::RequestMalformed));
        }
        for value in ["", "1 2", "1\t2", "a_b"] {
            assert_eq!(outcome("x-a", value), Ok(()));
        }
    }

    #[test]
    fn http2_heads_are_held_to_what_h2_leaves_open() {
        let outcome = |version, uri: &str, headers: &[(&str, &str)]| {
            let mut request = http::Request::post(uri).version(version);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let head = request.body(()).unwrap().into_parts().0;
            check_http2(&head).map_err(|r| r.reason())
        };
        let refused = Err(Reason::RequestMalformed);
        let twice = &[("content-length", "3"), ("content-length", "3")];
        assert_eq!(outcome(Version::HTTP_2, "https://a/", twice), refused);
        assert_eq!(outcome(Version::HTTP_11, "/", twice), Ok(()));
        let clean = &[("x-a", ""), ("x-b", "1 2"), ("content-length", "3")];
        assert_eq!(outcome(Version::HTTP_2, "https://a/", clean), Ok(()));
        assert_eq!(outcome(Version::HTTP_2, "http://a/", &[]), Ok(()));
        assert_eq!(outcome(Version::HTTP_2, "/", &[]), Ok(()));
        assert_eq!(outcome(Version::HTTP_2, "ftp://a/", &[]), refused);
    }

    #[test]
    fn upgrades_and_other_methods_are_told_apart() {
        assert_eq!(
            outcome("GET", &[("upgrade", "websocket")]),
            Err(Reason::UpgradeRefused)
        );
        assert_eq!(
            outcome("POST", &[("upgrade", "h2c, WebSocket")]),
            Err(Reason::UpgradeRefused)
        );
        for method in [
            "GET", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "post", "PRI",
        ] {
            assert_eq!(
                outcome(method, &[]),
                Err(Reason::MethodNotAllowed),
                "{method}"
            );
        }
    }

    #[test]
    fn only_plain_chunked_is_a_transfer_encoding() {
        let json = ("content-type", "application/json");
        assert_eq!(
            outcome("POST", &[json, ("transfer-encoding", "Chunked")]),
            Ok(())
        );
        for value in [
            "gzip, chunked",
            "chunked, chunked",
            "cow",
            "identity",
            "",
            "chunked;x=1",
        ] {
            assert_eq!(
                outcome("POST", &[json, ("transfer-encoding", value)]),
                Err(Reason::RequestMalformed),
                "{value}"
            );
        }
        let twice = [
            json,
            ("transfer-encoding", "chunked"),
            ("transfer-encoding", "chunked"),
        ];
        assert_eq!(outcome("POST", &twice), Err(Reason::RequestMalformed));
    }

    #[test]
    fn no_field_can_be_taken_for_another_or_cut() {
        let outcome = |name: &'static str, value: &[u8]| {
            let mut headers = HeaderMap::new();
            let value = HeaderValue::from_bytes(value).unwrap();
            headers.insert(http::HeaderName::from_static(name), value);
            check_fields(&headers).map_err(|r| r.reason())
        };
        for (name, value) in [("x-a", &b"b c"[..]), ("x-a", b""), ("x.a~", b"\xe9")] {
            assert_eq!(outcome(name, value), Ok(()), "{name}");
        }
        let malformed = Err(Reason::RequestMalformed);
        for name in ["transfer_encoding", "content_length", "x_a", "_", "a_"] {
            assert_eq!(outcome(name, b"x"), malformed, "{name}");
        }
        for value in [&b" a"[..], b"a ", b"\ta", b"a\t", b" "] {
            assert_eq!(outcome("x-a", value), malformed, "{value:?}");
        }
    }
}
