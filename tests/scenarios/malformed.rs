//! HTTP/1.1 that has no reading, or two: refused with one line, the connection closed, and the bot none the wiser.
//!
//! Each row spoils one valid, signed message, so that a reader who let it pass would have brought it to the bot. The public
//! vectors are in `vectors`; this table does not need their folder.

use crate::support::Gateway;
use crate::support::hostile::{IMPATIENT, Outcome, sent};

type Named = (String, Vec<u8>);

/// The message, taken apart.
struct Message {
    /// Fields but for the framing, each with its CRLF.
    fields: String,
    body: String,
}

impl Message {
    fn of(gateway: &Gateway) -> Self {
        let [head, body] = gateway.teams_message().into_pieces("x-end: 1");
        let head = String::from_utf8(head).unwrap();
        let (_, fields) = head.split_once("\r\n").unwrap();
        Self {
            fields: fields.strip_suffix("\r\n").unwrap().to_owned(),
            body: String::from_utf8(body).unwrap(),
        }
    }

    fn length(&self) -> String {
        format!("content-length: {}\r\n", self.body.len())
    }

    fn with_first_line(&self, line: &[u8]) -> Vec<u8> {
        let rest = format!("{}{}\r\n{}", self.fields, self.length(), self.body);
        [line, rest.as_bytes()].concat()
    }

    /// These bytes between the first line and the fields; they bring their own line ends.
    fn with_inserted(&self, inserted: &[u8]) -> Vec<u8> {
        let first = b"POST /api/messages HTTP/1.1\r\n";
        self.with_first_line(&[first, inserted].concat())
    }

    /// These fields say how long the body is, and it is this one.
    fn framed(&self, framing: &[u8], body: &[u8]) -> Vec<u8> {
        let head = format!("POST /api/messages HTTP/1.1\r\n{}", self.fields);
        [head.as_bytes(), framing, b"\r\n\r\n", body].concat()
    }

    fn chunk(&self) -> String {
        format!("{:x}\r\n{}\r\n", self.body.len(), self.body)
    }

    fn whole(&self) -> Vec<u8> {
        self.with_first_line(b"POST /api/messages HTTP/1.1\r\n")
    }
}

fn named(kind: &str, row: &[u8], bytes: Vec<u8>) -> Named {
    (format!("{kind} {}", row.escape_ascii()), bytes)
}

async fn all_are_refused(gateway: &Gateway, rows: Vec<Named>, status: u16) {
    let count = rows.len();
    let outcomes = sent(gateway, rows).await;
    assert_eq!(outcomes.len(), count);
    for outcome in &outcomes {
        outcome.is_refused_with(status);
    }
    assert_eq!(gateway.bot().count(), 0, "the bot saw something");
    gateway.teams_message().send().await.forwarded().await;
}

#[tokio::test]
async fn a_first_line_has_one_form() {
    let gateway = Gateway::with(IMPATIENT).start().await;
    let message = Message::of(&gateway);
    let rows: &[&[u8]] = &[
        b"POST /api/messages\r\n",
        b"POST /api/messages \r\n",
        b"/api/messages HTTP/1.1\r\n",
        b"POST HTTP/1.1\r\n",
        b"POST  HTTP/1.1\r\n",
        b" POST /api/messages HTTP/1.1\r\n",
        b"\tPOST /api/messages HTTP/1.1\r\n",
        b"POST  /api/messages HTTP/1.1\r\n",
        b"POST /api/messages  HTTP/1.1\r\n",
        b"POST\t/api/messages HTTP/1.1\r\n",
        b"POST /api/messages\tHTTP/1.1\r\n",
        b"POST /api/messages HTTP/1.1 \r\n",
        b"POST /api/messages HTTP/1.1\t\r\n",
        b"POST /api/messages HTTP/1.1 x\r\n",
        b"POST\x0b/api/messages HTTP/1.1\r\n",
        b"POST\xa0/api/messages HTTP/1.1\r\n",
        b"POST /api/messages HTTP/1.1\n",
        b"POST /api/messages HTTP/1.1\r",
        b"POST /api/messages HTTP/1.1\r\r\n",
        b"POST /api/messages HTTP/1.1\0\r\n",
        b"POST /api/messages\nHTTP/1.1\r\n",
        b"POST /api/messages\r\n HTTP/1.1\r\n",
        b"PO\0ST /api/messages HTTP/1.1\r\n",
        b"PO(ST /api/messages HTTP/1.1\r\n",
        b"\"POST\" /api/messages HTTP/1.1\r\n",
        b"POST: /api/messages HTTP/1.1\r\n",
        b"P\xd6ST /api/messages HTTP/1.1\r\n",
        b"POST /api/messages HTTP/0.9\r\n",
        b"POST /api/messages HTTP/1.2\r\n",
        b"POST /api/messages HTTP/1.9\r\n",
        b"POST /api/messages HTTP/1.10\r\n",
        b"POST /api/messages HTTP/1.01\r\n",
        b"POST /api/messages HTTP/01.1\r\n",
        b"POST /api/messages HTTP/2.0\r\n",
        b"POST /api/messages HTTP/2\r\n",
        b"POST /api/messages HTTP/3.0\r\n",
        b"POST /api/messages HTTP/9.9\r\n",
        b"POST /api/messages HTTP/1\r\n",
        b"POST /api/messages HTTP/1.\r\n",
        b"POST /api/messages HTTP/1.1.1\r\n",
        b"POST /api/messages HTTP/1,1\r\n",
        b"POST /api/messages HTTP/11\r\n",
        b"POST /api/messages HTTP/ 1.1\r\n",
        b"POST /api/messages HTTP 1.1\r\n",
        b"POST /api/messages http/1.1\r\n",
        b"POST /api/messages Http/1.1\r\n",
        b"POST /api/messages HTTPS/1.1\r\n",
        b"POST /api/messages XHTTP/1.1\r\n",
        b"POST /api/messages ICE/1.0\r\n",
        b"POST /api/messages RTSP/1.0\r\n",
        b"POST /api/messages HTTP/4294967297.1\r\n",
        b"POST /api/messages HTTP/-1.1\r\n",
        b"POST http://localhost/api/messages HTTP/1.1\r\n",
        b"POST https://localhost/api/messages HTTP/1.1\r\n",
        b"POST HTTP://localhost/api/messages HTTP/1.1\r\n",
        b"POST localhost/api/messages HTTP/1.1\r\n",
        b"POST localhost:443 HTTP/1.1\r\n",
        b"CONNECT localhost:443 HTTP/1.1\r\n",
        b"CONNECT /api/messages:443 HTTP/9.9\r\n",
        b"OPTIONS * HTTP/1.1\r\n",
        b"POST * HTTP/1.1\r\n",
        b"POST api/messages HTTP/1.1\r\n",
        b"POST \\api\\messages HTTP/1.1\r\n",
        b"POST ?/api/messages HTTP/1.1\r\n",
        b"POST /api/messages# HTTP/1.1\r\n",
        b"POST /api/messages#x HTTP/1.1\r\n",
        b"POST /api/messages?x#y HTTP/1.1\r\n",
        b"POST /api/messages?x y HTTP/1.1\r\n",
        b"POST /api/messages?%zz HTTP/1.1\r\n",
        b"POST /api/messages?% HTTP/1.1\r\n",
        b"POST /api/messages?%4 HTTP/1.1\r\n",
        b"POST /api/messages?\" HTTP/1.1\r\n",
        b"POST /api/messages?<> HTTP/1.1\r\n",
        b"POST /api/messages?a|b HTTP/1.1\r\n",
        b"POST /api/messages?{} HTTP/1.1\r\n",
        b"POST /api/messages?[] HTTP/1.1\r\n",
        b"POST /api/messages?^ HTTP/1.1\r\n",
        b"POST /api/messages?` HTTP/1.1\r\n",
        b"POST /api/messages?\xe9 HTTP/1.1\r\n",
        b"POST /api/messages?\xc3\xa9 HTTP/1.1\r\n",
        b"POST /api/messages?\x7f HTTP/1.1\r\n",
        b"POST /api/messages?\x01 HTTP/1.1\r\n",
        b"POST /api/messages?\0 HTTP/1.1\r\n",
        b"\r\n\r\nPOST /api/messages HTTP/1.1\r\n",
        b"\nPOST /api/messages HTTP/1.1\r\n",
        b"\rPOST /api/messages HTTP/1.1\r\n",
        b"\r\n\nPOST /api/messages HTTP/1.1\r\n",
        b"\0POST /api/messages HTTP/1.1\r\n",
        b"\xef\xbb\xbfPOST /api/messages HTTP/1.1\r\n",
        b"hello\r\nPOST /api/messages HTTP/1.1\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nPOST /api/messages HTTP/1.1\r\n",
    ];
    let rows = rows
        .iter()
        .map(|row| named("first line", row, message.with_first_line(row)));
    all_are_refused(&gateway, rows.collect(), 400).await;
}

#[tokio::test]
async fn a_field_has_one_form() {
    let gateway = Gateway::with(IMPATIENT).start().await;
    let message = Message::of(&gateway);
    let rows: &[&[u8]] = &[
        b"x\r\n",
        b"x y\r\n",
        b": y\r\n",
        b":\r\n",
        b" : y\r\n",
        b" x: y\r\n",
        b"\tx: y\r\n",
        b" \r\n",
        b"x: y\r\n z\r\n",
        b"x: y\r\n\tz\r\n",
        b"x:\r\n y\r\n",
        b"x: y\r\n \r\n",
        b"x : y\r\n",
        b"x\t: y\r\n",
        b"x\x0b: y\r\n",
        b"x\0: y\r\n",
        b"x\xa0: y\r\n",
        b"x\x85: y\r\n",
        b"\xefx: y\r\n",
        b"x y: z\r\n",
        b"x(: y\r\n",
        b"x@y: z\r\n",
        b"x/y: z\r\n",
        b"x=y: z\r\n",
        b"{x}: y\r\n",
        b"[x]: y\r\n",
        b"\"x\": y\r\n",
        b"<x>: y\r\n",
        b"x,y: z\r\n",
        b"x;y: z\r\n",
        b"x\\y: z\r\n",
        b"x\x7f: z\r\n",
        b"x: \0\r\n",
        b"x: y\0z\r\n",
        b"x: y\0\r\n",
        b"x: \x01\r\n",
        b"x: \x08\r\n",
        b"x: \x0b\r\n",
        b"x: \x0c\r\n",
        b"x: \x1b[31m\r\n",
        b"x: \x1f\r\n",
        b"x: \x7f\r\n",
        b"x: y\n",
        b"x: y\r",
        b"x: y\r\r\n",
        b"x: y\rz: a\r\n",
        b"x: y\nz: a\r\n",
        b"x: y\r z\r\n",
        b"x:\n",
        b"x\r: y\r\n",
        b"x\n: y\r\n",
        b"\r\r\n",
        b"\n",
        b"x_y: z\r\n",
        b"_: x\r\n",
        b"content_length: 5\r\n",
        b"content_type: text/plain\r\n",
        b"Transfer_Encoding: chunked\r\n",
        b"transfer-encoding_: chunked\r\n",
        b"authorization_: x\r\n",
        b"host: localhost\r\n",
        b"Host: other.example\r\n",
        b"HOST:\r\n",
        b"host : localhost\r\n",
        b"ho\0st: localhost\r\n",
    ];
    let rows = rows
        .iter()
        .map(|row| named("field", row, message.with_inserted(row)));
    all_are_refused(&gateway, rows.collect(), 400).await;
}

#[tokio::test]
async fn a_host_is_one_name() {
    let gateway = Gateway::with(IMPATIENT).start().await;
    let mut message = Message::of(&gateway);
    let (before, after) = message.fields.split_once("host: ").unwrap();
    let (_, after) = after.split_once("\r\n").unwrap();
    message.fields = format!("{before}{after}");
    let mut rows = vec![named("host", b"none", message.whole())];
    let old = message.with_first_line(b"POST /api/messages HTTP/1.0\r\n");
    rows.push(named("host", b"none in HTTP/1.0", old));
    let hosts: &[&[u8]] = &[
        b"",
        b"user@localhost",
        b"user:password@localhost",
        b"@localhost",
        b"localhost@",
        b"localhost,other",
        b"localhost, other",
        b"localhost other",
        b"localhost:",
        b"localhost:x",
        b"localhost:+443",
        b"localhost:-1",
        b"localhost:99999",
        b"localhost:443:443",
        b"localhost:443/",
        b"localhost/",
        b"/",
        b"http://localhost",
        b"localhost?",
        b"localhost#",
        b"localhost\\",
        b"localhost;x",
        b"localhost\tother",
        b"\"localhost\"",
        b"[::1",
        b"::1]",
        b"[::1]x",
        b"[localhost",
        b"localhost\xff",
        b"loc\xe4lhost",
        b"localhost%00",
        b"localhost%2fx",
        b"localhost\0",
        b"*",
        b"<localhost>",
        b"local(host)",
        b"localhost\x0b",
    ];
    for host in hosts {
        let field = [b"Host: ", *host, b"\r\n"].concat();
        rows.push(named("host", host, message.with_inserted(&field)));
    }
    all_are_refused(&gateway, rows, 400).await;
}

#[tokio::test]
async fn a_body_has_one_end() {
    let gateway = Gateway::with(IMPATIENT).start().await;
    let message = Message::of(&gateway);
    let length = message.body.len();
    let mut rows = vec![];
    let lengths = [
        "N, N",
        "N,N",
        "N,",
        ",N",
        "N N",
        "N;",
        "N;x",
        "+N",
        "-N",
        "-0",
        "0N",
        "00N",
        "N.0",
        "Ne0",
        "0xN",
        "N_",
        "\"N\"",
        "'N'",
        "N\u{b}",
        "\u{b}N",
        "\u{a0}N",
        "N\u{a0}",
        "N\0",
        "(N)",
        "N/*",
        "",
        " ",
        "x",
        "９",
        "99999999999999999999",
        "18446744073709551617",
        "N\r\ncontent-length: N",
        "N\r\ncontent-length: 0",
        "0\r\ncontent-length: N",
        "N\r\ncontent-length:",
        "N\r\nContent-Length: 5",
        "N\r\n content-length: 5",
        "N\r\ntransfer-encoding: chunked",
        "N\r\ntransfer-encoding: identity",
        "N\r\ntransfer-encoding:",
        "N\r\ntransfer-encoding: x",
        "N\r\ntransfer-encoding : chunked",
        "N\r\ntransfer_encoding: chunked",
        "N\r\ntransfer encoding: chunked",
        "N\ntransfer-encoding: chunked",
        "N\rtransfer-encoding: chunked",
        "N\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked",
    ];
    for value in lengths {
        let value = value.replace('N', &length.to_string());
        let framing = format!("content-length: {value}");
        let bytes = message.framed(framing.as_bytes(), message.body.as_bytes());
        rows.push(named("framing", framing.as_bytes(), bytes));
    }
    let chunked = format!("{}0\r\n\r\n", message.chunk());
    let codings: &[&[u8]] = &[
        b"chunked,",
        b",chunked",
        b", chunked",
        b"chunked, chunked",
        b"chunked,chunked",
        b"chunked, identity",
        b"identity, chunked",
        b"identity",
        b"gzip",
        b"gzip, chunked",
        b"chunked, gzip",
        b"x, chunked",
        b"chunked;q=1",
        b"chunked; a=b",
        b"chunked;",
        b"\"chunked\"",
        b"'chunked'",
        b"chunked x",
        b"x chunked",
        b"chunke",
        b"xchunked",
        b"chunkedx",
        b"chunked\0",
        b"\0chunked",
        b"\x0bchunked",
        b"chunked\x0b",
        b"\x0cchunked",
        b"\xa0chunked",
        b"chunked\xa0",
        b"\x85chunked",
        b"chunked\x7f",
        b"chunked\x01",
        b"ch\xc3\xbcnked",
        b"chunk ed",
        b"(chunked)",
        b"",
        b"chunked\r\ntransfer-encoding: chunked",
        b"chunked\r\ntransfer-encoding: identity",
        b"identity\r\ntransfer-encoding: chunked",
        b"\r\n chunked",
        b"\n chunked",
        b"chunked\r\n , gzip",
        b"chunked\r\ncontent-length: 0",
        b"chunked\n",
        b"chunked\r",
    ];
    for coding in codings {
        let framing = [b"transfer-encoding: ", *coding].concat();
        rows.push(named(
            "framing",
            &framing,
            message.framed(&framing, chunked.as_bytes()),
        ));
    }
    for name in [
        &b"transfer-encoding "[..],
        b" transfer-encoding",
        b"\ttransfer-encoding",
        b"transfer-encoding\t",
        b"transfer\0-encoding",
        b"transfer_encoding",
        b"\xefransfer-encoding",
    ] {
        let framing = [name, b": chunked"].concat();
        rows.push(named(
            "framing",
            &framing,
            message.framed(&framing, chunked.as_bytes()),
        ));
    }
    let old = message.framed(b"transfer-encoding: chunked", chunked.as_bytes());
    let old = String::from_utf8(old)
        .unwrap()
        .replacen("HTTP/1.1", "HTTP/1.0", 1);
    rows.push(named("framing", b"chunked in HTTP/1.0", old.into_bytes()));
    all_are_refused(&gateway, rows, 400).await;
}

#[tokio::test]
async fn chunks_have_one_form() {
    let gateway = Gateway::with(IMPATIENT).start().await;
    let message = Message::of(&gateway);
    let mut rows = vec![];
    // In each, N is the size, and what follows it is the data.
    for sizes in [
        "\r\n",
        " N\r\n",
        "\tN\r\n",
        "N \r\n",
        "N\t\r\n",
        "+N\r\n",
        "-N\r\n",
        "0xN\r\n",
        "0XN\r\n",
        "N_\r\n",
        "N.0\r\n",
        "Nh\r\n",
        "N,\r\n",
        "\"N\"\r\n",
        "#N\r\n",
        "N\n",
        "N\r",
        "N\r\r\n",
        "N\0\r\n",
        "N\u{b}\r\n",
        "N\u{a0}\r\n",
        "00000000000000000N\r\n",
        "1000000000000000N\r\n",
        "N;\r\n",
        "N; \r\n",
        "N;a;\r\n",
        "N;;a\r\n",
        "N ;a\r\n",
        "N; a\r\n",
        "N;a =b\r\n",
        "N;a= b\r\n",
        "N;a=\r\n",
        "N;=b\r\n",
        "N;a=b c\r\n",
        "N;a b\r\n",
        "N;a\n",
        "N;a\r",
        "N\r;a\r\n",
        "N;a=\"b\r\n",
        "N;a=\"b\nc\"\r\n",
        "N;a=\"b\r\nc\"\r\n",
        "N;a=\"b\"c\r\n",
        "N;a=\"\0\"\r\n",
        "N;\0\r\n",
        "N;a=(b)\r\n",
        "N;\u{e4}\r\n",
        "N:a\r\n",
        "N&a\r\n",
        "NN NN\r\n",
        "g\r\n",
    ] {
        let start = sizes.replace('N', &format!("{:x}", message.body.len()));
        let body = format!("{start}{}\r\n0\r\n\r\n", message.body);
        rows.push(named("chunk", sizes.as_bytes(), body.into_bytes()));
    }
    let long = format!(
        "{:x};{}\r\n{}\r\n0\r\n\r\n",
        message.body.len(),
        "e".repeat(300),
        message.body
    );
    rows.push(named("chunk", b"a long extension", long.into_bytes()));
    let chunk = message.chunk();
    let data = chunk.strip_suffix("\r\n").unwrap();
    for end in [
        "\n0\r\n\r\n",
        "\r0\r\n\r\n",
        "0\r\n\r\n",
        "x\r\n0\r\n\r\n",
        "\r\n\r\n0\r\n\r\n",
        "\r\r\n0\r\n\r\n",
        " \r\n0\r\n\r\n",
        "\r\n\n0\r\n\r\n",
    ] {
        rows.push(named(
            "data end",
            end.as_bytes(),
            format!("{data}{end}").into_bytes(),
        ));
    }
    for last in [
        "\r\n",
        "0\n\r\n",
        "0\r\r\n",
        "0\r\n\n",
        "0\r\n\rx",
        "0\r\n\r\r\n",
        "-0\r\n\r\n",
        "+0\r\n\r\n",
        "0x0\r\n\r\n",
        " 0\r\n\r\n",
        "0 \r\n\r\n",
        "0\r\nx\r\n\r\n",
        "0\r\n: x\r\n\r\n",
        "0\r\n x: y\r\n\r\n",
        "0\r\nx : y\r\n\r\n",
        "0\r\nx: y\n\r\n",
        "0\r\nx: y\r\n z\r\n\r\n",
        "0\r\nx: \0\r\n\r\n",
        "0\r\nx_y: z\r\n\r\n",
        "0\r\ncontent-length: 5\r\n\r\n",
        "0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "0\r\nhost: x\r\n\r\n",
        "0\r\ntrailer: x\r\n\r\n",
        "0\r\nPOST /api/messages HTTP/1.1\r\n\r\n",
        "0;\r\n\r\n",
        "0; a\r\n\r\n",
    ] {
        rows.push(named(
            "last chunk",
            last.as_bytes(),
            format!("{chunk}{last}").into_bytes(),
        ));
    }
    rows.push(named(
        "trailers",
        b"too many",
        format!("{chunk}0\r\n{}\r\n", "x: y\r\n".repeat(101)).into_bytes(),
    ));
    rows.push(named(
        "trailers",
        b"too large",
        format!("{chunk}0\r\nx: {}\r\n\r\n", "y".repeat(9000)).into_bytes(),
    ));
    let framed = |(name, body): Named| (name, message.framed(b"transfer-encoding: chunked", &body));
    all_are_refused(&gateway, rows.into_iter().map(framed).collect(), 400).await;
}

#[tokio::test]
async fn heads_beyond_the_limits_are_too_large() {
    let gateway = Gateway::with(IMPATIENT).start().await;
    let message = Message::of(&gateway);
    let rows = vec![
        ("fields", "x: y\r\n".repeat(101)),
        ("bytes in one", format!("x: {}\r\n", "y".repeat(33_000))),
        (
            "bytes in many",
            format!("x: {}\r\n", "y".repeat(1000)).repeat(33),
        ),
        ("bytes of names", format!("{}: x\r\n", "y".repeat(33_000))),
        ("bytes without an end", "y".repeat(40_000)),
    ];
    let rows = rows
        .into_iter()
        .map(|(name, inserted)| (name.to_owned(), message.with_inserted(inserted.as_bytes())));
    let mut rows: Vec<_> = rows.collect();
    let target = format!("POST /api/messages?{} HTTP/1.1\r\n", "x".repeat(33_000));
    rows.push((
        "bytes of the target".to_owned(),
        message.with_first_line(target.as_bytes()),
    ));
    all_are_refused(&gateway, rows, 431).await;
}

#[tokio::test]
async fn what_follows_a_request_is_judged_as_strictly() {
    let gateway = Gateway::with(IMPATIENT).start().await;
    let message = Message::of(&gateway);
    let whole = message.whole();
    let length = message.length();
    let chunked = message.framed(
        b"transfer-encoding: chunked",
        format!("{}0\r\n\r\n", message.chunk()).as_bytes(),
    );
    let spoiled: Vec<Vec<u8>> = vec![
        b"x\r\n\r\n".to_vec(),
        b"\0".to_vec(),
        b"\n".to_vec(),
        b"\r\n\r\n".to_vec(),
        b" POST /api/messages HTTP/1.1\r\n".to_vec(),
        message.with_first_line(b"POST /api/messages HTTP/1.1\n"),
        message.with_first_line(b"POST /api/messages HTTP/9.9\r\n"),
        message.with_first_line(b"POST http://localhost/api/messages HTTP/1.1\r\n"),
        message.with_inserted(b"transfer-encoding: chunked\r\n"),
        message.with_inserted(length.as_bytes()),
        message.with_inserted(b"x: y\n"),
        message.with_inserted(b"x : y\r\n"),
        message.with_inserted(b"x_y: z\r\n"),
        message.with_inserted(b" x: y\r\n"),
        message.with_inserted(b"x: \0\r\n"),
        message.framed(b"transfer-encoding: chunked", b"z\r\n"),
        message.framed(b"transfer-encoding: chunked,", b"0\r\n\r\n"),
    ];
    let mut rows = vec![];
    for first in [&whole, &chunked] {
        for next in &spoiled {
            rows.push(named(
                "after a request",
                next,
                [first.as_slice(), next].concat(),
            ));
            // More behind it, that nobody must read any more.
            rows.push(named(
                "and before one",
                next,
                [first.as_slice(), next, &whole].concat(),
            ));
        }
    }
    let count = rows.len();
    for Outcome {
        name,
        statuses,
        text,
    } in sent(&gateway, rows).await
    {
        assert_eq!(statuses, [200, 400], "{name}: {text}");
        assert!(text.contains("\r\nconnection: close\r\n"), "{name}: {text}");
    }
    let seen = gateway.bot().seen();
    assert_eq!(seen.len(), count, "of each, the first request alone");
    for recorded in &seen {
        assert_eq!(recorded.body.as_deref(), Some(message.body.as_bytes()));
        assert_eq!(recorded.header("transfer-encoding"), Vec::<String>::new());
    }
}

#[tokio::test]
async fn requests_that_follow_one_another_are_answered_in_turn() {
    let gateway = Gateway::with(IMPATIENT).start().await;
    let message = Message::of(&gateway);
    let whole = message.whole();
    let chunked = message.framed(
        b"transfer-encoding: chunked",
        format!("{}0\r\n\r\n", message.chunk()).as_bytes(),
    );
    let stranger = b"POST /api/messages HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    let all = [
        &whole[..],
        b"\r\n",
        &chunked,
        stranger,
        &whole,
        stranger,
        &chunked,
    ]
    .concat();
    let outcomes = sent(&gateway, vec![("six".to_owned(), all)]).await;
    assert_eq!(
        outcomes[0].statuses,
        [200, 200, 401, 200, 401, 200],
        "{}",
        outcomes[0].text
    );
    assert_eq!(gateway.bot().count(), 4);
}
