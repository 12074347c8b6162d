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
    while let Some(odd) = rest.iter().position(|byte| !is_plain(*byte)) {
        rest = match rest.get(odd..) {
            Some([b'%', high, low, after @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                after
            }
            Some([b'%', ..]) => return Err("the target has a % without two hexadecimal digits"),
            Some([b'#', ..]) => return Err("the target has a fragment"),
            _ => return Err("the target has a character that must be percent-encoded"),
        };
    }
    Ok(())
}

/// Whether a byte stands for itself: `unreserved`, `sub-delims`, `:`, `@`, and what divides path and query.
fn is_plain(byte: u8) -> bool {
    PLAIN.get(usize::from(byte)) == Some(&true)
}

/// A look into a table, since every request is asked this of every byte of its target.
#[expect(
    clippy::indexing_slicing,
    reason = "the compiler runs this, and would refuse a wrong index"
)]
static PLAIN: [bool; 256] = {
    let others = b"/?:@-._~!$&'()*+,;=";
    let mut plain = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        plain[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < others.len() {
        plain[others[at] as usize] = true;
        at += 1;
    }
    plain
};

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
