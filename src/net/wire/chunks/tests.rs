use super::*;

const LIMITS: Limits = Limits {
    head_bytes: 1024,
    fields: 10,
};

/// The bytes that are passed on, or the flaw; the body's end must be the end of the bytes.
fn read(body: &[u8], piece: usize) -> Result<Option<Vec<u8>>, Flaw> {
    let mut chunks = Chunks::new(Sender::Client);
    let (mut passed, mut start, mut shown) = (vec![], 0, 0);
    while !chunks.is_over() {
        match chunks.step(&body[start..shown], LIMITS)? {
            Step::Body(count) => {
                passed.extend_from_slice(&body[start..start + count]);
                start += count;
            }
            Step::Drop(count) => start += count,
            Step::More if shown == body.len() => return Ok(None),
            Step::More => shown = (shown + piece).min(body.len()),
            Step::Head(_) => unreachable!("a body has no head"),
        }
    }
    assert_eq!(start, body.len());
    Ok(Some(passed))
}

fn outcome(body: &[u8]) -> Result<Option<Vec<u8>>, Flaw> {
    let whole = read(body, body.len());
    for piece in [1, 2, 3] {
        // What is wrong may be seen before the line is whole, and is called otherwise then.
        assert_eq!(
            read(body, piece).ok(),
            whole.clone().ok(),
            "{}",
            body.escape_ascii()
        );
    }
    whole
}

#[test]
fn what_the_grammar_allows_passes_and_trailers_are_left_out() {
    for body in [
        "0\r\n\r\n",
        "000\r\n\r\n",
        "5\r\nhello\r\n0\r\n\r\n",
        "0000000000000005\r\nhello\r\n0\r\n\r\n",
        "A\r\n0123456789\r\n1\r\na\r\n0\r\n\r\n",
        "5;a\r\nhello\r\n0;b=c\r\n\r\n",
        "5;a=b;c;d=\"e\\\"; \\\\\t\u{e9}\"\r\nhello\r\n0\r\n\r\n",
        "5;a=\"\"\r\n\r\n\r\nx\r\n0\r\n\r\n",
        "2\r\n\r\n\r\n0\r\n\r\n",
    ] {
        let read = outcome(body.as_bytes());
        assert_eq!(read, Ok(Some(body.as_bytes().to_vec())), "{body:?}");
    }
    let with_trailers = outcome(b"1\r\na\r\n0\r\nx-a: b\r\nVary: *\r\n\r\n");
    assert_eq!(with_trailers, Ok(Some(b"1\r\na\r\n0\r\n\r\n".to_vec())));
    for unfinished in [
        "",
        "5",
        "5\r",
        "5\r\nhel",
        "5\r\nhello",
        "5\r\nhello\r",
        "0\r\n",
        "0\r\nx: y\r\n",
        "5;a=\"",
    ] {
        assert_eq!(outcome(unfinished.as_bytes()), Ok(None), "{unfinished:?}");
    }
}

#[test]
fn nothing_stands_around_a_size_and_nothing_beside_its_data() {
    for body in [
        "\r\n",
        "\n",
        "g\r\n",
        " 5\r\n",
        "5 \r\n",
        "\t5\r\n",
        "5\t\r\n",
        "+5\r\n",
        "-5\r\n",
        "0x5\r\n",
        "5x\r\n",
        "0_5\r\n",
        "5.0\r\n",
        "5,5\r\n",
        "\"5\"\r\n",
        "5\n",
        "5\rhello",
        "5\r\r\n",
        "5\r;a\r\n",
        "5\0\r\n",
        "\u{665}\r\n",
        "00000000000000005\r\n",
        "10000000000000000\r\n",
        "5;\r\n",
        "5;;\r\n",
        "5; a\r\n",
        "5 ;a\r\n",
        "5;a =b\r\n",
        "5;a= b\r\n",
        "5;a=\r\n",
        "5;=b\r\n",
        "5;a=b c\r\n",
        "5;a b\r\n",
        "5;a\n",
        "5;a\rb",
        "5;a=\"b\r\n",
        "5;a=\"b\nc\"\r\n",
        "5;a=\"b\"c\r\n",
        "5;a=\"\\\n\"",
        "5;a=\"\0\"",
        "5;a=(b)\r\n",
        "5;a@b\r\n",
        ";a\r\n",
        "5\r\nhello!",
        "5\r\nhello\n",
        "5\r\nhello\r!",
        "5\r\nhello\r\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\r\n\r\n",
        "1\r\nab\r\n",
        "0\r\n\n",
        "0\r\n\r\r\n",
        "0\r\n\rX",
        "0\n\r\n",
        "0\r\nX\r\n",
        "0\r\n: x\r\n",
        "0\r\n x: y\r\n",
        "0\r\nx : y\r\n",
        "0\r\nx: y\n",
        "0\r\nx: \0\r\n",
        "0\r\nx_y: z\r\n",
        "0\r\nx: y\r\n z\r\n",
        "0\r\nGET / HTTP/1.1\r\n",
        "0\r\nContent-Length: 5\r\n",
        "0\r\ntransfer-encoding: chunked\r\n",
        "0\r\nHost: a\r\n",
        "0\r\nTRAILER: x\r\n",
        "0\r\ncontent-type: x\r\n",
    ] {
        let read = outcome(body.as_bytes());
        assert!(read.is_err(), "{body:?}: {read:?}");
    }
}

#[test]
fn extensions_and_trailers_are_bounded() {
    let extension = |bytes: usize| format!("1;{}\r\na\r\n", "e".repeat(bytes - 1));
    let body = |chunks: &[String]| format!("{}0\r\n\r\n", chunks.concat()).into_bytes();
    assert!(read(&body(&[extension(256)]), 64).unwrap().is_some());
    assert!(read(&body(&[extension(257)]), 64).is_err());
    assert!(
        read(format!("1;{}", "e".repeat(300)).as_bytes(), 64).is_err(),
        "also without an end"
    );
    assert!(
        read(&body(&vec![extension(256); 16]), 64)
            .unwrap()
            .is_some()
    );
    assert!(read(&body(&vec![extension(256); 17]), 64).is_err());
    let trailers = |count: usize, bytes: usize| {
        let field = format!("x: {}\r\n", "y".repeat(bytes - 5));
        format!("0\r\n{}\r\n", field.repeat(count)).into_bytes()
    };
    assert!(read(&trailers(8, 1024), 512).unwrap().is_some());
    assert!(read(&trailers(9, 1024), 512).is_err());
    assert!(read(&trailers(10, 16), 512).unwrap().is_some());
    assert!(read(&trailers(11, 16), 512).is_err());
    assert!(read(format!("0\r\nx: {}", "y".repeat(9000)).as_bytes(), 512).is_err());
}
