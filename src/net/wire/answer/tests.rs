use super::*;

const LIMITS: Limits = Limits {
    head_bytes: 512,
    fields: 20,
};

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// These bytes are passed on, and the answer is complete.
    Whole(String),
    /// It goes on until the connection ends.
    Open(String),
    Unfinished,
    Flawed(&'static str),
}

fn outcome(bytes: &[u8]) -> Outcome {
    let whole = read(bytes, bytes.len().max(1));
    for piece in [1, 2, 5] {
        let again = read(bytes, piece);
        let agree =
            again == whole || matches!((&again, &whole), (Outcome::Flawed(_), Outcome::Flawed(_)));
        assert!(agree, "{}: {again:?}, {whole:?}", bytes.escape_ascii());
    }
    whole
}

fn read(bytes: &[u8], piece: usize) -> Outcome {
    let mut reader = AnswerReader::new(LIMITS);
    reader.expect();
    let (mut passed, mut start, mut shown) = (vec![], 0, 0);
    loop {
        match reader.step(&bytes[start..shown]) {
            Ok(Step::Head(count) | Step::Body(count)) => {
                passed.extend_from_slice(&bytes[start..start + count]);
                start += count;
            }
            Ok(Step::Drop(count)) => start += count,
            Ok(Step::More) if shown < bytes.len() => shown = (shown + piece).min(bytes.len()),
            Ok(Step::More) => {
                let passed = String::from_utf8_lossy(&passed).into_owned();
                return match (reader.is_between(), reader.ends_with_connection()) {
                    (true, _) => Outcome::Whole(passed),
                    (false, true) => Outcome::Open(passed),
                    (false, false) => Outcome::Unfinished,
                };
            }
            Err(flaw) => return Outcome::Flawed(flaw.what()),
        }
    }
}

#[test]
fn answers_of_rfc_9112_are_read() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 \r\ncontent-length:0\r\n\r\n",
        "HTTP/1.0 404 Not \u{e9}\tfound\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nx_y: z\r\n\r\n2;a=b\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
    ] {
        assert_eq!(
            outcome(answer.as_bytes()),
            Outcome::Whole(answer.to_owned())
        );
    }
    let until_closed = "HTTP/1.1 200 OK\r\nServer: x\r\n\r\nsome bytes\r\n";
    assert_eq!(
        outcome(until_closed.as_bytes()),
        Outcome::Open(until_closed.to_owned())
    );
    for unfinished in [
        "",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no",
        "HTTP/1.1 100 Continue\r\n\r\n",
    ] {
        assert_eq!(
            outcome(unfinished.as_bytes()),
            Outcome::Unfinished,
            "{unfinished}"
        );
    }
}

#[test]
fn interim_answers_are_left_out_and_counted() {
    let last = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let after = |count: usize| {
        format!(
            "{}{last}",
            "HTTP/1.1 103 Early Hints\r\nx:y\r\n\r\n".repeat(count)
        )
    };
    assert_eq!(
        outcome(after(10).as_bytes()),
        Outcome::Whole(last.to_owned())
    );
    assert_eq!(
        outcome(after(11).as_bytes()),
        Outcome::Flawed("more than 10 interim answers")
    );
    let large = format!("HTTP/1.1 103 x\r\nx: {}\r\n\r\n", "y".repeat(200));
    let limit = "more bytes than a head may have";
    assert_eq!(
        outcome(format!("{large}{large}{large}").as_bytes()),
        Outcome::Flawed(limit)
    );
    let many = format!("HTTP/1.1 103 x\r\n{}\r\n", "x:\r\n".repeat(15));
    let limit = "more fields than a head may have";
    assert_eq!(
        outcome(format!("{many}{many}").as_bytes()),
        Outcome::Flawed(limit)
    );
    for bad in [
        "HTTP/1.1 101 Switching\r\n\r\n",
        "HTTP/1.1 100 x\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 100 x\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        assert!(
            matches!(outcome(bad.as_bytes()), Outcome::Flawed(_)),
            "{bad}"
        );
    }
}

#[test]
fn garbage_and_two_readings_are_refused() {
    for head in [
        "garbage",
        "HTTP/1.1",
        "HTTP/1.1 ",
        "HTTP/1.1 20",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 20x OK",
        "HTTP/1.1  200 OK",
        "HTTP/1.1 099 x",
        "HTTP/1.1 600 x",
        "HTTP/1.1 999 x",
        "HTTP/1.1 200OK",
        "HTTP/1.1\t200 OK",
        "HTTP/2.0 200 OK",
        "HTTP/1.2 200 OK",
        "HTTP/0.9 200 OK",
        "http/1.1 200 OK",
        "ICY 200 OK",
        "HTTP/1.1 +20 OK",
        "HTTP/1.1 -20 OK",
        " HTTP/1.1 200 OK",
        "HTTP/1.1 200 O\0K",
        "HTTP/1.1 200 O\u{7f}K",
        "",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1",
        "HTTP/1.1 200 OK\r\nContent-Length: 1, 1",
        "HTTP/1.1 200 OK\r\nContent-Length: x",
        "HTTP/1.1 200 OK\r\nContent-Length: -1",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked",
        "HTTP/1.1 204 No\r\nContent-Length: 1",
        "HTTP/1.1 204 No\r\nTransfer-Encoding: chunked",
        "HTTP/1.1 304 No\r\nTransfer-Encoding: chunked",
        "HTTP/1.1 200 OK\r\nX : y",
        "HTTP/1.1 200 OK\r\nX: y\r\n z",
        "HTTP/1.1 200 OK\r\nX: \0",
        "HTTP/1.1 200 OK\r\nX",
        "HTTP/1.1 200 OK\r\n: y",
        "HTTP/1.1 200 OK\nX: y",
        "HTTP/1.1 200 OK\r\nX: y\rZ: a",
    ] {
        let answer = format!("{head}\r\n\r\n");
        assert!(
            matches!(outcome(answer.as_bytes()), Outcome::Flawed(_)),
            "{head:?}"
        );
    }
    for body in [
        "z\r\n",
        "-1\r\n",
        "5\r\nhello!",
        "5 \r\n",
        "0\r\nContent-Length: 1\r\n",
        "5\n",
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        assert!(
            matches!(outcome(answer.as_bytes()), Outcome::Flawed(_)),
            "{body:?}"
        );
    }
}

#[test]
fn nobody_asked_for_what_comes_without_a_request_or_behind_an_answer() {
    let mut reader = AnswerReader::new(LIMITS);
    assert_eq!(reader.step(b""), Ok(Step::More));
    assert!(reader.step(b"HTTP/1.1 200 OK\r\n").is_err());
    let answer = "HTTP/1.1 204 x\r\n\r\n";
    for surplus in ["\r\n", "x", answer] {
        let bytes = format!("{answer}{surplus}");
        assert_eq!(
            outcome(bytes.as_bytes()),
            Outcome::Flawed("bytes that nobody asked for")
        );
    }
}
