//! Every way a bot can answer wrongly: a clean 502 or 504 with its reason, nothing told to the caller, nothing left open, and the
//! next request is answered as if nothing had been.

use crate::support::raw_bot::{Act, RawBot, Reads, Script, say};
use crate::support::{Gateway, PATIENCE, PROTOCOLS};
use botgate::cli::demo::client::Protocol;
use botgate::judge::Reason;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::time::timeout;

/// What is to come of an answer.
#[derive(Clone, Debug)]
enum Want {
    /// 502 `upstream_broken`.
    Broken,
    /// 504 `upstream_timed_out`.
    Late,
    /// This status and body, as the bot said them; the connection is used again.
    Passed(u16, &'static str),
    /// The same, and the connection is not used again.
    PassedLast(u16, &'static str),
    /// 200, of which the end is missing, for this reason.
    Cut(Reason),
    /// The same, for whichever comes first: it is too long, or not complete in time.
    CutSometime,
}

struct Row {
    name: &'static str,
    script: Script,
    want: Want,
}

fn row(name: &'static str, want: Want, acts: impl Into<Vec<Act>>) -> Row {
    let script = Script::new(acts);
    Row { name, script, want }
}

/// An answer in one piece, after which the bot keeps the connection open.
fn said(name: &'static str, want: Want, bytes: impl AsRef<[u8]>) -> Row {
    row(name, want, [say(bytes)])
}

fn reading(reads: Reads, mut row: Row) -> Row {
    row.script.reads = reads;
    row
}

use Want::{Broken, Cut, CutSometime, Late, Passed, PassedLast};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
/// A head, of which the body is left out.
const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
const CLOSED: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
const HUNDRED: &str = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this";

fn no_answer() -> Vec<Row> {
    vec![
        reading(Reads::Nothing, row("closes at once", Broken, [Act::Close])),
        reading(Reads::Nothing, row("resets at once", Broken, [Act::Reset])),
        reading(Reads::Nothing, row("never reads", Late, [Act::Hang])),
        reading(
            Reads::Head,
            row("closes after the head", Broken, [Act::Close]),
        ),
        reading(
            Reads::Head,
            row("resets after the head", Broken, [Act::Reset]),
        ),
        row("closes after the request", Broken, [Act::Close]),
        row("resets after the request", Broken, [Act::Reset]),
        row("hangs after the request", Late, [Act::Hang]),
        row("half-closes instead of an answer", Broken, [Act::HalfClose]),
        row(
            "announces more than an answer may have",
            Broken,
            [
                say("HTTP/1.1 200 OK\r\ncontent-length: 70000000\r\n\r\n"),
                Act::Flood(vec![b'x'; 10_000]),
            ],
        ),
    ]
}

fn broken_heads() -> Vec<Row> {
    let part = "HTTP/1.1 200 OK\r\ncontent-le";
    let endless = |bytes: &str| Act::Flood(bytes.as_bytes().to_vec());
    let mut rows = vec![
        row(
            "part of a head, then a close",
            Broken,
            [say(part), Act::Close],
        ),
        row(
            "part of a head, then a reset",
            Broken,
            [say(part), Act::Reset],
        ),
        row(
            "part of a head, then a half-close",
            Broken,
            [say(part), Act::HalfClose],
        ),
        row("part of a head, then nothing", Late, [say(part), Act::Hang]),
        row(
            "a first line, then nothing",
            Late,
            [say("HTTP/1.1 200 OK\r\n"), Act::Hang],
        ),
        row(
            "a head without its end, then a close",
            Broken,
            [say("HTTP/1.1 200 OK\r\nx: 1\r\n"), Act::Close],
        ),
        row(
            "a head byte by byte",
            Late,
            [say("HTTP/1.1 200 OK\r\nx: "), Act::Drip(b"y".to_vec())],
        ),
        row(
            "an endless field",
            Broken,
            [say("HTTP/1.1 200 OK\r\nx: "), endless("yyyyyyyyyyyyyyyy")],
        ),
        row(
            "endless fields",
            Broken,
            [say("HTTP/1.1 200 OK\r\n"), endless("x-field: yyyy\r\n")],
        ),
        row(
            "an endless first line",
            Broken,
            [say("HTTP/1.1 200 "), endless("OKOKOKOK")],
        ),
        row("endless empty lines", Broken, [endless("\r\n\r\n\r\n\r\n")]),
        row("endless zeros", Broken, [endless("\0\0\0\0\0\0\0\0")]),
        row(
            "endless interim answers",
            Broken,
            [endless("HTTP/1.1 100 Continue\r\n\r\n")],
        ),
        row(
            "interim answers, then nothing",
            Late,
            [say("HTTP/1.1 100 Continue\r\n\r\n"), Act::Hang],
        ),
        row(
            "an interim answer, then a close",
            Broken,
            [say("HTTP/1.1 103 Early Hints\r\n\r\n"), Act::Close],
        ),
        said(
            "eleven interim answers",
            Broken,
            ["HTTP/1.1 100 Continue\r\n\r\n".repeat(11), OK.to_owned()].concat(),
        ),
        said(
            "a switch of protocols",
            Broken,
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        ),
        said(
            "a field of 70,000 bytes",
            Broken,
            OK.replace("content", &format!("x: {}\r\ncontent", "y".repeat(70_000))),
        ),
        said(
            "65 KiB of fields",
            Broken,
            OK.replace(
                "content",
                &format!(
                    "{}content",
                    format!("x: {}\r\n", "y".repeat(1_000)).repeat(67)
                ),
            ),
        ),
        said(
            "200 fields",
            Broken,
            OK.replace("content", &format!("{}content", "x: y\r\n".repeat(200))),
        ),
    ];
    for (name, line) in [
        ("no HTTP at all", "hello, I am a bot"),
        ("a page without a head, as in HTTP/0.9", "<html>ok</html>"),
        ("HTTP/0.9", "HTTP/0.9 200 OK"),
        ("HTTP/1.2", "HTTP/1.2 200 OK"),
        ("HTTP/2.0", "HTTP/2.0 200 OK"),
        ("a version in small letters", "http/1.1 200 OK"),
        ("no version", "200 OK"),
        ("no status", "HTTP/1.1"),
        ("an empty status", "HTTP/1.1  OK"),
        ("status 99", "HTTP/1.1 099 Low"),
        ("status 600", "HTTP/1.1 600 High"),
        ("status 999", "HTTP/1.1 999 High"),
        ("a status of two digits", "HTTP/1.1 20 OK"),
        ("a status of four digits", "HTTP/1.1 2000 OK"),
        ("a status in words", "HTTP/1.1 two OK"),
        ("a negative status", "HTTP/1.1 -20 OK"),
        ("two spaces before the status", "HTTP/1.1  200 OK"),
        ("a tab before the status", "HTTP/1.1\t200 OK"),
        ("a space before the version", " HTTP/1.1 200 OK"),
        ("a NUL in the reason", "HTTP/1.1 200 O\0K"),
        ("a bare CR in the reason", "HTTP/1.1 200 O\rK"),
        ("a request", "POST /api/messages HTTP/1.1\r\nhost: x"),
    ] {
        rows.push(said(name, Broken, OK.replacen("HTTP/1.1 200 OK", line, 1)));
    }
    let tls_alert = b"\x15\x03\x03\x00\x02\x02\x28\x16\x03\x01\r\n\r\n";
    rows.push(said("TLS", Broken, tls_alert));
    for (name, field) in [
        ("a NUL in a value", "x: a\0b"),
        ("a bare CR in a value", "x: a\rb"),
        ("a control byte in a value", "x: a\x08b"),
        ("a DEL in a value", "x: a\x7fb"),
        ("a folded field", "x: a\r\n b"),
        ("a fold before the first field", " x: a"),
        ("a space before the colon", "x : a"),
        ("a space in a name", "x y: a"),
        ("a field without a colon", "x"),
        ("a field without a name", ": a"),
        ("a NUL in a name", "x\0y: a"),
        ("a name that is not ASCII", "x\u{e9}: a"),
        ("a field that ends in a bare LF", "x: a\ny: b"),
        ("a bare CR for a line's end", "x: a\ry: b"),
    ] {
        rows.push(said(
            name,
            Broken,
            OK.replacen("content", &format!("{field}\r\ncontent"), 1),
        ));
    }
    rows
}

fn lengths() -> Vec<Row> {
    let length = |name, value: &str| {
        said(
            name,
            Broken,
            format!("HTTP/1.1 200 OK\r\ncontent-length: {value}\r\n\r\nok"),
        )
    };
    let coding = |name, value: &str| {
        let chunks = "2\r\nok\r\n0\r\n\r\n";
        said(
            name,
            Broken,
            format!("HTTP/1.1 200 OK\r\ntransfer-encoding: {value}\r\n\r\n{chunks}"),
        )
    };
    vec![
        length("two lengths", "2\r\ncontent-length: 3"),
        length("two lengths in one", "2, 3"),
        length("a negative length", "-2"),
        length("a length with a sign", "+2"),
        length("a length in words", "two"),
        length("a length in hexadecimal", "0x2"),
        length("a length with a space in it", "0 2"),
        length("an empty length", ""),
        length("a length beyond all numbers", "99999999999999999999"),
        length("a length beside chunks", "2\r\ntransfer-encoding: chunked"),
        length("a length that is a fraction", "2.0"),
        coding("gzip, chunked", "gzip, chunked"),
        coding("chunked twice", "chunked, chunked"),
        coding(
            "chunked twice in two fields",
            "chunked\r\ntransfer-encoding: chunked",
        ),
        coding("identity", "identity"),
        coding("a coding nobody knows", "xchunked"),
        coding("chunked in quotes", "\"chunked\""),
        coding("an empty coding", ""),
        said(
            "chunks in HTTP/1.0",
            Broken,
            CHUNKED.replace("1.1", "1.0") + "2\r\nok\r\n0\r\n\r\n",
        ),
        said(
            "204 with a length",
            Broken,
            "HTTP/1.1 204 No Content\r\ncontent-length: 2\r\n\r\nok",
        ),
        said(
            "204 with chunks",
            Broken,
            "HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
    ]
}

fn bodies() -> Vec<Row> {
    let chunks = |name, want, chunks: &str| said(name, want, format!("{CHUNKED}{chunks}"));
    let much = "x".repeat(40_000);
    let long = format!("HTTP/1.1 200 OK\r\ncontent-length: 50000\r\n\r\n{much}");
    let long_chunks = format!("{CHUNKED}9c40\r\n{much}\r\n");
    let endless = format!("2000\r\n{}\r\n", "x".repeat(8192)).into_bytes();
    let (broken, late) = (Reason::UpstreamBroken, Reason::UpstreamTimedOut);
    vec![
        row(
            "fewer than announced, then a close",
            Broken,
            [say(HUNDRED), Act::Close],
        ),
        row(
            "fewer than announced, then a reset",
            Broken,
            [say(HUNDRED), Act::Reset],
        ),
        row(
            "fewer than announced, then a half-close",
            Broken,
            [say(HUNDRED), Act::HalfClose],
        ),
        row(
            "fewer than announced, then nothing",
            Late,
            [say(HUNDRED), Act::Hang],
        ),
        row(
            "an announced body byte by byte",
            Late,
            [
                say(HUNDRED.replace("100", "9999")),
                Act::Drip(b"x".to_vec()),
            ],
        ),
        row(
            "none of what is announced",
            Late,
            [say(HUNDRED.replace("only this", "")), Act::Hang],
        ),
        row(
            "without a length, then a reset",
            Broken,
            [say(CLOSED), say("ok"), Act::Reset],
        ),
        row(
            "without a length, then nothing",
            Late,
            [say(CLOSED), say("ok"), Act::Hang],
        ),
        row(
            "without a length, byte by byte",
            Late,
            [say(CLOSED), Act::Drip(b"x".to_vec())],
        ),
        row(
            "chunks without an end, then a close",
            Broken,
            [say(CHUNKED), say("2\r\nok\r\n"), Act::Close],
        ),
        row(
            "chunks without an end, then a reset",
            Broken,
            [say(CHUNKED), say("2\r\nok\r\n"), Act::Reset],
        ),
        row(
            "chunks without an end, then nothing",
            Late,
            [say(CHUNKED), say("2\r\nok\r\n"), Act::Hang],
        ),
        row(
            "part of a chunk, then a close",
            Broken,
            [say(CHUNKED), say("9\r\nok"), Act::Close],
        ),
        row(
            "part of a chunk's size, then nothing",
            Late,
            [say(CHUNKED), say("9"), Act::Hang],
        ),
        row(
            "no end after the last chunk",
            Late,
            [say(CHUNKED), say("2\r\nok\r\n0\r\n"), Act::Hang],
        ),
        row(
            "chunk by chunk, slowly",
            Late,
            [say(CHUNKED), Act::Drip(b"1\r\nx\r\n".to_vec())],
        ),
        row(
            "an endless chunk size",
            Broken,
            [say(CHUNKED), Act::Flood(b"00000000".to_vec())],
        ),
        row(
            "an endless chunk extension",
            Broken,
            [say(CHUNKED), say("2;x="), Act::Flood(b"yyyyyyyy".to_vec())],
        ),
        row(
            "endless trailers",
            Broken,
            [
                say(CHUNKED),
                say("2\r\nok\r\n0\r\n"),
                Act::Flood(b"x: yyyy\r\n".to_vec()),
            ],
        ),
        chunks("a chunk size in words", Broken, "two\r\nok\r\n0\r\n\r\n"),
        chunks("an empty chunk size", Broken, "\r\nok\r\n0\r\n\r\n"),
        chunks("a negative chunk size", Broken, "-2\r\nok\r\n0\r\n\r\n"),
        chunks("a chunk size with 0x", Broken, "0x2\r\nok\r\n0\r\n\r\n"),
        chunks(
            "a chunk size beyond all numbers",
            Broken,
            "fffffffffffffffff\r\nok\r\n0\r\n\r\n",
        ),
        chunks(
            "a space before a chunk size",
            Broken,
            " 2\r\nok\r\n0\r\n\r\n",
        ),
        chunks(
            "a chunk longer than its size",
            Broken,
            "2\r\nokay\r\n0\r\n\r\n",
        ),
        chunks(
            "a chunk size that ends in a bare LF",
            Broken,
            "2\nok\r\n0\r\n\r\n",
        ),
        chunks(
            "a chunk that ends in a bare LF",
            Broken,
            "2\r\nok\n0\r\n\r\n",
        ),
        chunks("a bare CR in a chunk size", Broken, "2\rok\r\n0\r\n\r\n"),
        chunks(
            "a trailer that is none",
            Broken,
            "2\r\nok\r\n0\r\nx y\r\n\r\n",
        ),
        row(
            "a long answer, then a close",
            Cut(broken),
            [say(&long), Act::Close],
        ),
        row(
            "a long answer, then a reset",
            Cut(broken),
            [say(&long), Act::Reset],
        ),
        row(
            "a long answer, then nothing",
            Cut(late),
            [say(&long), Act::Hang],
        ),
        row(
            "long chunks, then a close",
            Cut(broken),
            [say(&long_chunks), Act::Close],
        ),
        row(
            "long chunks, then garbage",
            Cut(broken),
            [say(&long_chunks), say("zz\r\n")],
        ),
        row(
            "long chunks, then bytes one by one",
            Cut(late),
            [say(&long_chunks), Act::Drip(b"1\r\nx\r\n".to_vec())],
        ),
        row(
            "without a length, long, then a reset",
            Cut(broken),
            [say(CLOSED), say(&much), Act::Reset],
        ),
        row(
            "chunks for ever",
            CutSometime,
            [say(CHUNKED), Act::Flood(endless.clone())],
        ),
        row(
            "without a length for ever",
            CutSometime,
            [say(CLOSED), Act::Flood(endless)],
        ),
    ]
}

fn odd_but_whole() -> Vec<Row> {
    let early = "HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno";
    vec![
        said("a plain answer", Passed(200, "ok"), OK),
        said(
            "an error of the bot's own",
            Passed(500, "no"),
            OK.replace("200 OK", "500 No").replace("\r\nok", "\r\nno"),
        ),
        said("no reason", Passed(200, "ok"), OK.replace("200 OK", "200 ")),
        said("204", Passed(204, ""), "HTTP/1.1 204 No Content\r\n\r\n"),
        said(
            "304 with the length it would have",
            Passed(304, ""),
            "HTTP/1.1 304 Not Modified\r\ncontent-length: 2\r\n\r\n",
        ),
        said(
            "no body",
            Passed(200, ""),
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        ),
        said(
            "chunks",
            Passed(200, "ok"),
            format!("{CHUNKED}1\r\no\r\n1;x=y\r\nk\r\n0\r\n\r\n"),
        ),
        said(
            "trailers, which are left out",
            Passed(200, "ok"),
            format!("{CHUNKED}2\r\nok\r\n0\r\nx-trailer: 1\r\n\r\n"),
        ),
        said(
            "Chunked with a capital",
            Passed(200, "ok"),
            CHUNKED.replace(" chunked", " Chunked") + "2\r\nok\r\n0\r\n\r\n",
        ),
        said(
            "ten interim answers",
            Passed(200, "ok"),
            [
                "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n".repeat(10),
                OK.to_owned(),
            ]
            .concat(),
        ),
        said(
            "12 KiB of fields",
            Passed(200, "ok"),
            OK.replace(
                "content",
                &format!(
                    "{}content",
                    format!("x: {}\r\n", "y".repeat(1_000)).repeat(12)
                ),
            ),
        ),
        said(
            "a gzip that nobody asked for",
            Passed(200, "ok"),
            OK.replace("content", "content-encoding: gzip\r\ncontent"),
        ),
        row(
            "in three pieces",
            Passed(200, "ok"),
            [say(&OK[..7]), say(&OK[7..30]), say(&OK[30..])],
        ),
        row(
            "HTTP/1.0",
            PassedLast(200, "ok"),
            [say(OK.replace("1.1", "1.0")), Act::Close],
        ),
        row(
            "without a length",
            PassedLast(200, "ok"),
            [say(CLOSED), say("ok"), Act::Close],
        ),
        row(
            "without a length, half-closed",
            PassedLast(200, "ok"),
            [say(CLOSED), say("ok"), Act::HalfClose],
        ),
        row(
            "Connection: close",
            PassedLast(200, "ok"),
            [
                say(OK.replace("content", "connection: close\r\ncontent")),
                Act::Hang,
            ],
        ),
        row(
            "closed although kept",
            PassedLast(200, "ok"),
            [say(OK), Act::Close],
        ),
        row(
            "reset although kept",
            PassedLast(200, "ok"),
            [say(OK), Act::Hang],
        )
        .or(Act::Reset),
        said(
            "two answers to one request",
            PassedLast(200, "ok"),
            OK.repeat(2),
        ),
        said(
            "more than announced",
            PassedLast(200, "ok"),
            format!("{OK}ay"),
        ),
        said(
            "a body that was announced as none",
            PassedLast(200, ""),
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nok",
        ),
        said(
            "204 with a body",
            PassedLast(204, ""),
            "HTTP/1.1 204 No Content\r\n\r\nok",
        ),
        said(
            "an answer after the answer",
            PassedLast(200, "ok"),
            format!("{OK}HTTP/1.1 408 Late\r\nconnection: close\r\n\r\n"),
        ),
        reading(
            Reads::Head,
            row(
                "an early answer, then a close",
                PassedLast(413, "no"),
                [say(early), Act::Close],
            ),
        ),
        reading(
            Reads::Head,
            row(
                "an early answer, then a half-close",
                PassedLast(413, "no"),
                [say(early), Act::HalfClose],
            ),
        ),
    ]
}

impl Row {
    /// Ends with this act in place of the last one.
    fn or(mut self, act: Act) -> Self {
        self.script.acts.pop();
        self.script.acts.push(act);
        self
    }

    async fn holds(&self, gateway: &Gateway, bot: &RawBot, protocol: Protocol) {
        let name = format!("{:?}: {}", protocol, self.name);
        let before = bot.seen();
        bot.play(self.script.clone());
        let id = name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        self.is_answered(gateway, bot, protocol, &name, &id).await;
        let during = bot.seen();
        let asked = during.requests.len() - before.requests.len();
        if self.script.reads == Reads::Nothing {
            // What closes before anything was sent may be tried again.
            assert!(asked >= 1, "{name}");
        } else {
            assert_eq!(asked, 1, "{name}: the bot is asked once");
        }
        // Then all is well.
        bot.play(Script::good());
        let good = gateway.teams_message().over(protocol).send().await;
        assert_eq!((good.status, &*good.body), (200, &b"good"[..]), "{name}");
        let after = bot.seen();
        let is_reused = before.connections < during.connections
            && after.connections == during.connections
            || after.requests.last() == during.requests.last();
        let may_be_reused = matches!(self.want, Passed(..));
        assert_eq!(
            is_reused, may_be_reused,
            "{name}: the connection is used again"
        );
        assert!(
            bot.wait_until_closed(1).await,
            "{name}: a connection is left open"
        );
    }

    async fn is_answered(
        &self,
        gateway: &Gateway,
        bot: &RawBot,
        protocol: Protocol,
        name: &str,
        id: &str,
    ) {
        let mut connection = gateway.client().connect(protocol).await.unwrap();
        let mut request = gateway
            .teams_message()
            .header("x-request-id", id)
            .over(protocol);
        if self.script.reads == Reads::Head {
            request = request.with("/text", "x".repeat(900_000));
        }
        let response = timeout(PATIENCE, connection.send(request.into_request())).await;
        let response = response.unwrap_or_else(|_| panic!("{name}: it hangs"));
        let (status, headers, body) = match response {
            Ok(response) => {
                let (head, body) = response.into_parts();
                let body = timeout(PATIENCE, body.collect()).await;
                let body = body.unwrap_or_else(|_| panic!("{name}: it hangs in the body"));
                let body = body.ok().map(http_body_util::Collected::to_bytes);
                (head.status.as_u16(), format!("{:?}", head.headers), body)
            }
            // On a busy machine HTTP/2 resets the stream before the head: no part for the whole, either.
            Err(_) if protocol == Protocol::Http2 => (200, String::new(), None),
            Err(error) => panic!("{name}: {error}"),
        };
        let line = gateway.request_line_for(id).await;
        let said = match &body {
            Some(body) => format!("{headers} {}", String::from_utf8_lossy(body)),
            None => headers,
        };
        let (reason, code) = match (&self.want, &body) {
            (Passed(code, text) | PassedLast(code, text), Some(body)) => {
                assert_eq!(body, text, "{name}");
                (None, *code)
            }
            (Broken, Some(_)) => (Some(Reason::UpstreamBroken), 502),
            (Late, Some(_)) => (Some(Reason::UpstreamTimedOut), 504),
            (Cut(reason), None) => (Some(*reason), 200),
            (CutSometime, None) if line["reason"] == Reason::UpstreamTimedOut.code() => {
                (Some(Reason::UpstreamTimedOut), 200)
            }
            (CutSometime, None) => (Some(Reason::UpstreamBroken), 200),
            (want, body) => panic!("{name}: wanted {want:?}, got {status} {body:?}\n{line}"),
        };
        assert_eq!(status, code, "{name}\n{line}");
        assert_eq!(line["status"], code, "{name}\n{line}");
        let reason = reason.map(Reason::code);
        assert_eq!(line["reason"].as_str(), reason, "{name}\n{line}");
        if code >= 502 {
            let error: Value = serde_json::from_slice(&body.unwrap_or_default()).unwrap();
            assert_eq!(error["error"]["code"].as_str(), reason, "{name}");
            let note = line["note"].as_str().unwrap_or_default();
            assert!(!note.is_empty(), "{name}: the operator is told why");
        }
        let place = bot.url.rsplit(':').nth(1).unwrap_or_default();
        for detail in [place, "hyper", "tcp", "os error", "x-trailer", "link"] {
            assert!(!said.contains(detail), "{name}: {detail:?} in {said}");
        }
    }
}

async fn all_hold(rows: Vec<Row>) {
    let bot = RawBot::start().await;
    let gateway = before(&bot).await;
    for protocol in PROTOCOLS {
        for row in &rows {
            row.holds(&gateway, &bot, protocol).await;
        }
    }
    assert!(gateway.terminate().await.success());
}

/// A gateway with little patience.
async fn before(bot: &RawBot) -> Gateway {
    let url = &bot.url;
    let fragment = format!(
        "[bots]\nbackend = \"{url}\"\n[bots.timeouts]\nresponse = \"1500ms\"\n[server.limits]\nrequests_per_ip = {{ rate = \"1000/s\", burst = 10000 }}"
    );
    Gateway::with(&fragment).start().await
}

#[tokio::test]
async fn a_bot_that_does_not_answer() {
    all_hold(no_answer()).await;
}

#[tokio::test]
async fn an_answer_with_a_broken_head() {
    all_hold(broken_heads()).await;
}

#[tokio::test]
async fn an_answer_of_which_the_length_cannot_be_told() {
    all_hold(lengths()).await;
}

#[tokio::test]
async fn an_answer_with_a_broken_body() {
    all_hold(bodies()).await;
}

#[tokio::test]
async fn an_answer_that_is_odd_but_whole() {
    all_hold(odd_but_whole()).await;
}

#[tokio::test]
async fn the_same_over_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let bot = RawBot::on_socket(&folder.path().join("bot.sock"));
    let gateway = before(&bot).await;
    let rows = [no_answer(), odd_but_whole()].into_iter().flatten();
    // A Unix socket has no reset.
    let is_reset = |row: &Row| row.script.acts.iter().any(|act| matches!(act, Act::Reset));
    for row in rows.filter(|row| !is_reset(row)) {
        row.holds(&gateway, &bot, Protocol::Http1).await;
    }
}
