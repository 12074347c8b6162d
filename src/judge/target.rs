//! What a request may ask for: a path and a query, as RFC 3986 writes them.

/// The target is origin-form: a path that begins with `/` and a query, of the characters that may stand there, with whole
/// percent-encodings (RFC 9112 3.2.1, RFC 3986 3.3 and 3.4).
///
/// HTTP/1 and HTTP/2 both hand over more than that (`"`, `<`, `\`, `|`, `%zz`), and servers clean it up each in its own way, so
/// that one rule holds for both. A fragment is to be seen in HTTP/1 only: HTTP/2's reader has cut it off before this is asked.
///
/// # Errors
/// What is wrong, for the operator.
pub fn check_target(target: &[u8]) -> Result<(), &'static str> {
    if target.first() != Some(&b'/') {
        return Err("the target is not a path: absolute-form, authority-form or asterisk-form");
    }
    let mut rest = target;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'%' => match after {
                [high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                    rest = after;
                }
                _ => return Err("the target has a % without two hexadecimal digits"),
            },
            b'#' => return Err("the target has a fragment"),
            b'/' | b'?' | b':' | b'@' | b'-' | b'.' | b'_' | b'~' => {}
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' => {}
            other if other.is_ascii_alphanumeric() => {}
            _ => return Err("the target has a character that must be percent-encoded"),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_target;

    #[test]
    fn paths_and_queries_of_rfc_3986_pass() {
        for target in [
            "/",
            "//",
            "/api/messages",
            "/v3/conversations/a:1~b;c=d@e/activities/x%7Cy",
            "/a?b=c&d=/?&e=%20",
            "/!$&'()*+,;=-._~",
        ] {
            assert_eq!(check_target(target.as_bytes()), Ok(()), "{target}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for target in [
            "",
            "*",
            "a",
            "?",
            "http://a/",
            "//a#b",
            "/#",
            "/a?b#c",
            "/%",
            "/%4",
            "/%4g",
            "/%zz",
            "/a%",
            "/a b",
            "/a\tb",
            "/\"",
            "/<",
            "/>",
            "/\\",
            "/^",
            "/`",
            "/{",
            "/|",
            "/}",
            "/[",
            "/]",
            "/\u{7f}",
            "/\u{e9}",
            "/\0",
        ] {
            assert!(check_target(target.as_bytes()).is_err(), "{target:?}");
        }
    }
}
