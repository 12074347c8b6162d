use super::*;

const LIMITS: Limits = Limits {
    head_bytes: 256,
    fields: 5,
};

/// How many whole requests these bytes begin with, and what is wrong with what follows; however they come in pieces.
fn outcome(bytes: &[u8]) -> (usize, Option<Flaw>) {
    let all = read(bytes, bytes.len().max(1));
    for piece in [1, 2, 3, 7] {
        let (count, flaw) = read(bytes, piece);
        assert_eq!(
            (count, flaw.is_some()),
            (all.0, all.1.is_some()),
            "{}",
            bytes.escape_ascii()
        );
    }
    all
}

fn read(bytes: &[u8], piece: usize) -> (usize, Option<Flaw>) {
    let mut reader = RequestReader::new(LIMITS);
    let (mut heads, mut start, mut shown) = (0, 0, 0);
    let whole = |reader: &RequestReader, heads: usize| {
        let is_in_body = reader.body_left() != Some(0);
        heads - usize::from(heads > 0 && is_in_body)
    };
    loop {
        match reader.step(&bytes[start..shown]) {
            Ok(Step::Head(count)) => {
                heads += 1;
                start += count;
            }
            Ok(Step::Body(count) | Step::Drop(count)) => start += count,
            Ok(Step::More) if shown == bytes.len() => return (whole(&reader, heads), None),
            Ok(Step::More) => shown = (shown + piece).min(bytes.len()),
            Err(flaw) => return (whole(&reader, heads), Some(flaw)),
        }
    }
}

#[test]
fn requests_of_rfc_9112_are_read_one_after_the_other() {
    for (bytes, count) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1),
        ("GET / HTTP/1.0\r\n\r\n", 1),
        ("\r\nGET / HTTP/1.1\r\n\r\n", 1),
        ("POST /a?b HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 1),
        (
            "POST / HTTP/1.1\r\nContent-Length: \t3 \r\n\r\nabc\r\nGET / HTTP/1.1\r\n\r\n",
            2,
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding:ChunkeD\t\r\n\r\n1\r\na\r\n0\r\nx: y\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            2,
        ),
        (
            "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\nGET / HTTP/1.1\r\n\r\nM-SEARCH /x HTTP/1.0\r\n\r\n",
            3,
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\n", 0),
        ("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab", 0),
        ("", 0),
        ("\r", 0),
        ("\r\n", 0),
    ] {
        assert_eq!(outcome(bytes.as_bytes()), (count, None), "{bytes:?}");
    }
}

#[test]
fn other_first_lines_are_refused() {
    for line in [
        "",
        "GET",
        "GET /",
        "GET / ",
        "GET /  HTTP/1.1",
        "GET  / HTTP/1.1",
        " GET / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET\t/ HTTP/1.1",
        "GET /\tHTTP/1.1",
        "GET / HTTP/1.1\t",
        "GET /a b HTTP/1.1",
        "G(T / HTTP/1.1",
        "G\u{e9}T / HTTP/1.1",
        "\"GET\" / HTTP/1.1",
        "GET: / HTTP/1.1",
        "/ HTTP/1.1",
        "GET / http/1.1",
        "GET / Http/1.1",
        "GET / HTTP/0.9",
        "GET / HTTP/1.2",
        "GET / HTTP/1.11",
        "GET / HTTP/01.1",
        "GET / HTTP/1.01",
        "GET / HTTP/2.0",
        "GET / HTTP/9.9",
        "GET / HTTP/11",
        "GET / HTTP/1",
        "GET / HTTP/1.",
        "GET / HTTP/.1",
        "GET / HTTP/",
        "GET / HTTP",
        "GET / HTTP 1.1",
        "GET / HTTPS/1.1",
        "GET / ICE/1.0",
        "GET / RTSP/1.0",
        "GET / HTTP/1,1",
        "GET / HTTP/-1.1",
        "GET / HTTP/4294967297.1",
        "GET / XHTTP/1.1",
        "PRI * HTTP/2.0",
        "OPTIONS * HTTP/1.1",
        "CONNECT a:443 HTTP/1.1",
        "GET http://a/ HTTP/1.1",
        "GET a HTTP/1.1",
        "GET ? HTTP/1.1",
        "GET # HTTP/1.1",
        "GET /#a HTTP/1.1",
        "GET /%zz HTTP/1.1",
        "GET /\\ HTTP/1.1",
        "GET /\u{e9} HTTP/1.1",
        "GET /\0 HTTP/1.1",
        "GET /\u{7f} HTTP/1.1",
        "HTTP/1.1 200 OK",
        "\u{feff}GET / HTTP/1.1",
        "GET\0 / HTTP/1.1",
        "\u{16}\u{3}\u{1}\u{0}",
    ] {
        let bytes = format!("{line}\r\nHost: a\r\n\r\n");
        let (count, flaw) = outcome(bytes.as_bytes());
        assert!(count == 0 && flaw.is_some(), "{line:?}");
    }
}

#[test]
fn lines_end_in_crlf_and_in_nothing_else() {
    for bytes in [
        "\n",
        "\r\r\n",
        "\r\n\r\n",
        "\rGET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\n",
        "GET / HTTP/1.1\r\r\n",
        "GET / HTTP/1.1\rHost: a\r\n",
        "GET /\nHTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\rX",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\r\n",
        "GET / HTTP/1.1\r\nHost: a\rb: c\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n b\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\tb\r\n",
        "GET / HTTP/1.1\r\n Host: a\r\n",
        "GET / HTTP/1.1\r\n\tHost: a\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n \r\n",
        "GET / HTTP/1.1\r\nHost\r\n",
        "GET / HTTP/1.1\r\nHost\r\n: a\r\n",
        // Said before the line is there: nobody waits for the rest of what cannot become a request.
        "GET / HTTP/1.1\r\nHost: \0",
        "GET /\rX",
        "GET /\u{1}",
        "GET / HTTP/1.1\r\nx: y\r\r",
        "{",
        " ",
        "GET\t",
        "\u{16}",
        "a=b&c",
    ] {
        let (count, flaw) = outcome(bytes.as_bytes());
        assert!(count == 0 && flaw.is_some(), "{bytes:?}");
    }
}

#[test]
fn a_body_has_one_framing() {
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 0",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 5",
        "Content-Length:",
        "Content-Length: ",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 05",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length: 5;",
        "Content-Length: 99999999999999999999",
        "Content-Length: \u{a0}5",
        "Content-Length : 5",
        "Content_Length: 5",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked,",
        "Transfer-Encoding: ,chunked",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: chunke",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: \u{b}chunked",
        "Transfer-Encoding: chunked\u{b}",
        "Transfer-Encoding: \u{a0}chunked",
        "Transfer-Encoding:",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Transfer_Encoding: chunked",
        "Transfer-Encoding : chunked",
        "x: y\r\n Transfer-Encoding: chunked",
    ] {
        let bytes = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
        let (count, flaw) = outcome(bytes.as_bytes());
        assert!(
            count == 0 && matches!(flaw, Some(Flaw::Malformed(_))),
            "{fields:?}: {flaw:?}"
        );
    }
    let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert!(outcome(old.as_bytes()).1.is_some());
}

#[test]
fn what_follows_a_request_is_judged_as_if_it_came_alone() {
    let first = "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
    for next in [
        "x\r\n\r\n",
        "\0",
        "\r\n\r\n",
        " GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\nx",
        "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
    ] {
        let (count, flaw) = outcome(format!("{first}{next}").as_bytes());
        assert!(count == 1 && flaw.is_some(), "{next:?}");
    }
}

#[test]
fn heads_are_bounded_in_bytes_and_fields() {
    let head = |bytes: usize| {
        let padding = bytes - "GET / HTTP/1.1\r\nx: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(padding))
    };
    let too_large = |(count, flaw)| count == 0 && matches!(flaw, Some(Flaw::TooLarge(_)));
    assert_eq!(outcome(head(256).as_bytes()), (1, None));
    assert!(too_large(outcome(head(257).as_bytes())));
    assert!(
        too_large(outcome("GET /".repeat(60).as_bytes())),
        "also without an end"
    );
    let fields = |count: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(count));
    assert_eq!(outcome(fields(5).as_bytes()), (1, None));
    assert!(too_large(outcome(fields(6).as_bytes())));
}

#[test]
fn only_the_first_of_several_requests_is_asked_about() {
    let limits = LIMITS;
    assert_eq!(check_request(b"GET / HTTP/1.1\r\n\r\n\0", limits), Ok(()));
    assert_eq!(
        check_request(b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc", limits),
        Ok(())
    );
    let in_head =
        check_request(b"GET / HTTP/1.1\n\n", limits).map_err(|(_, is_in_head)| is_in_head);
    assert_eq!(in_head, Err(true));
    let in_body = check_request(
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nz",
        limits,
    );
    assert_eq!(in_body.map_err(|(_, is_in_head)| is_in_head), Err(false));
}

/// What the strict reader says of what [`request_length`] looks at only in passing.
fn length_as_read(start: &[u8]) -> Option<u64> {
    const NO_LIMITS: Limits = Limits {
        head_bytes: usize::MAX,
        fields: usize::MAX,
    };
    let mut head = Head::new(Sender::Bot);
    let length = head.read(start, NO_LIMITS, |_| Ok(()), |_| ()).unwrap()?;
    let length = u64::try_from(length).unwrap();
    match head.declared.framing(Version::V1_1).ok()? {
        Framing::Length(body) => length.checked_add(body),
        Framing::Unsaid => Some(length),
        Framing::Chunked => None,
    }
}

#[test]
fn a_request_of_ours_is_as_long_as_the_strict_reader_says() {
    let fields = [
        "",
        "content-type: application/json\r\n",
        "content-length: 12\r\n",
        "Content-Length:7 \r\n",
        "transfer-encoding: chunked\r\n",
        "x: content-length: 5\r\n",
        "te: trailers\r\n",
        "a_b: 1\r\n",
        "c:\r\n",
    ];
    for first in [
        "POST /a HTTP/1.1",
        "custom /odd|path?content-length: 5 HTTP/1.1",
    ] {
        for (one, two, three) in fields
            .iter()
            .flat_map(|one| fields.iter().map(move |two| (one, two)))
            .flat_map(|(one, two)| fields.iter().map(move |three| (one, two, three)))
        {
            let head = format!("{first}\r\n{one}{two}{three}\r\n");
            // Two lengths are a flaw to the strict reader, and no length to both.
            let is_twice = head.to_lowercase().matches("\r\ncontent-length:").count() > 1
                || head.matches("transfer-encoding: chunked").count() > 1;
            let expected = if is_twice {
                None
            } else {
                length_as_read(head.as_bytes())
            };
            for body in ["", "hello\r\n\r\n"] {
                let start = format!("{head}{body}");
                assert_eq!(request_length(start.as_bytes()), expected, "{start:?}");
            }
            for cut in 1..head.len() {
                assert_eq!(request_length(&head.as_bytes()[..cut]), None, "{head:?}");
            }
        }
    }
}
