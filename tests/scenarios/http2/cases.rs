//! One connection per row: what is sent on it, and what becomes of it.

use crate::support::Gateway;
use crate::support::frames::{
    BOTH, CONTINUATION, DATA, END_HEADERS, END_STREAM, Fate, Fields, FrameWire, GOAWAY, HEADERS,
    PING, PREFACE, PRIORITY, PUSH_PROMISE, RESET, SETTINGS, WINDOW_UPDATE, block, fields, frame,
    request,
};
use Fate::{Closed, GoAway, Reset, Status};
use bytes::Bytes;

const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE_ERROR: u32 = 6;
const ENHANCE_YOUR_CALM: u32 = 11;

/// Name, bytes after preface and settings, the stream to look at, and its fate.
type Row = (&'static str, Vec<u8>, u32, Fate);

/// A good request, to be spoiled.
struct Good {
    fields: Fields,
    body: Bytes,
}

impl Good {
    fn of(gateway: &Gateway) -> Self {
        let (fields, body) = fields(gateway.teams_message());
        Self { fields, body }
    }

    fn whole(&self, fields: &Fields) -> Vec<u8> {
        request(1, fields, &self.body)
    }

    fn plain(&self) -> Vec<u8> {
        self.whole(&self.fields)
    }

    /// With one more field, after all others.
    fn with(&self, name: &[u8], value: &[u8]) -> Vec<u8> {
        let mut fields = self.fields.clone();
        fields.push((name.to_vec(), value.to_vec()));
        self.whole(&fields)
    }

    /// With one more field before all others.
    fn first(&self, name: &[u8], value: &[u8]) -> Vec<u8> {
        let mut fields = self.fields.clone();
        fields.insert(0, (name.to_vec(), value.to_vec()));
        self.whole(&fields)
    }

    fn without(&self, name: &str) -> Vec<u8> {
        let mut fields = self.fields.clone();
        fields.retain(|(other, _)| other != name.as_bytes());
        self.whole(&fields)
    }

    fn but(&self, name: &str, value: &[u8]) -> Vec<u8> {
        let mut fields = self.fields.clone();
        let field = fields.iter_mut().find(|(n, _)| n == name.as_bytes());
        field.expect("it is there").1 = value.to_vec();
        self.whole(&fields)
    }

    fn head(&self, flags: u8, stream: u32) -> Vec<u8> {
        frame(HEADERS, flags, stream, &block(&self.fields))
    }

    fn data(&self, flags: u8, stream: u32) -> Vec<u8> {
        frame(DATA, flags, stream, &self.body)
    }

    /// The request, whose body ends with a header block of its own.
    fn with_trailers(&self, flags: u8, trailers: &[(&str, &str)]) -> Vec<u8> {
        [
            self.head(END_HEADERS, 1),
            self.data(0, 1),
            frame(HEADERS, flags, 1, &block(trailers)),
        ]
        .concat()
    }
}

#[tokio::test]
async fn what_is_no_field_of_http2_is_malformed() {
    let gateway = Gateway::start().await;
    let good = Good::of(&gateway);
    let length = good.body.len().to_string();
    let rows: Vec<Row> = vec![
        ("a good request", good.plain(), 1, Status(200)),
        (
            "connection",
            good.with(b"connection", b"close"),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            "connection: keep-alive",
            good.with(b"connection", b"keep-alive"),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            "keep-alive",
            good.with(b"keep-alive", b"timeout=5"),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            "proxy-connection",
            good.with(b"proxy-connection", b"keep-alive"),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            "transfer-encoding",
            good.with(b"transfer-encoding", b"chunked"),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            "transfer-encoding: identity",
            good.with(b"transfer-encoding", b"identity"),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            "upgrade",
            good.with(b"upgrade", b"h2c"),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            "upgrade to websocket",
            good.with(b"upgrade", b"websocket"),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            "http2-settings",
            good.with(b"http2-settings", b"AAMAAABkAAQAAP__"),
            1,
            Status(200),
        ),
        (
            "te: trailers",
            good.with(b"te", b"trailers"),
            1,
            Status(200),
        ),
        (
            "te: gzip",
            good.with(b"te", b"gzip"),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            "te: trailers, deflate",
            good.with(b"te", b"trailers, deflate"),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            "an uppercase name",
            good.with(b"X-Upper", b"1"),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "an uppercase letter",
            good.with(b"x-uppeR", b"1"),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "an empty name",
            good.with(b"", b"1"),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "a space in a name",
            good.with(b"x y", b"1"),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "a space after a name",
            good.with(b"content-length ", length.as_bytes()),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "a colon in a name",
            good.with(b"x:y", b"1"),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "a CR in a name",
            good.with(b"x\ry", b"1"),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "an LF in a name",
            good.with(b"x\ny", b"1"),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "a NUL in a name",
            good.with(b"x\0y", b"1"),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "a tab in a name",
            good.with(b"x\ty", b"1"),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "DEL in a name",
            good.with(b"x\x7fy", b"1"),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "a name beyond ASCII",
            good.with(b"x\xe9y", b"1"),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "a slash in a name",
            good.with(b"x/y", b"1"),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "transfer_encoding",
            good.with(b"transfer_encoding", b"chunked"),
            1,
            Status(400),
        ),
        (
            "content_length",
            good.with(b"content_length", b"3"),
            1,
            Status(400),
        ),
        (
            "a CR in a value",
            good.with(b"x-a", b"1\r2"),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "an LF in a value",
            good.with(b"x-a", b"1\n2"),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "a field hidden in a value",
            good.with(b"x-a", b"1\r\ntransfer-encoding: chunked"),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "a request hidden in a value",
            good.with(b"x-a", b"1\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n"),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "a NUL in a value",
            good.with(b"x-a", b"1\x002"),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "a control byte in a value",
            good.with(b"x-a", b"1\x012"),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "DEL in a value",
            good.with(b"x-a", b"1\x7f2"),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "a space before a value",
            good.with(b"x-a", b" 1"),
            1,
            Status(400),
        ),
        (
            "a space after a value",
            good.with(b"x-a", b"1 "),
            1,
            Status(400),
        ),
        (
            "a tab before a value",
            good.with(b"x-a", b"\t1"),
            1,
            Status(400),
        ),
        (
            "a tab after a value",
            good.with(b"x-a", b"1\t"),
            1,
            Status(400),
        ),
        (
            "a space and nothing else",
            good.with(b"x-a", b" "),
            1,
            Status(400),
        ),
        ("an empty value", good.with(b"x-a", b""), 1, Status(200)),
        (
            "a tab in a value",
            good.with(b"x-a", b"1\t2"),
            1,
            Status(200),
        ),
        (
            "a value beyond ASCII",
            good.with(b"x-a", b"caf\xe9"),
            1,
            Status(200),
        ),
        (
            "cookie crumbs",
            [good.with(b"cookie", b"a=1")].concat(),
            1,
            Status(200),
        ),
        (
            "a true content-length",
            good.with(b"content-length", length.as_bytes()),
            1,
            Status(200),
        ),
        (
            "two content-lengths that agree",
            {
                let mut fields = good.fields.clone();
                fields.push((b"content-length".to_vec(), length.clone().into_bytes()));
                fields.push((b"content-length".to_vec(), length.clone().into_bytes()));
                good.whole(&fields)
            },
            1,
            Status(400),
        ),
        (
            "two content-lengths that differ",
            {
                let mut fields = good.fields.clone();
                fields.push((b"content-length".to_vec(), length.clone().into_bytes()));
                fields.push((b"content-length".to_vec(), b"3".to_vec()));
                good.whole(&fields)
            },
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            "a list of content-lengths",
            good.with(b"content-length", format!("{length}, {length}").as_bytes()),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            "a content-length with a sign",
            good.with(b"content-length", format!("+{length}").as_bytes()),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            "a negative content-length",
            good.with(b"content-length", b"-1"),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            "a content-length in hexadecimal",
            good.with(b"content-length", b"0x10"),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            "an empty content-length",
            good.with(b"content-length", b""),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            "a content-length beyond all numbers",
            good.with(b"content-length", b"99999999999999999999999"),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            "a content-length that is too short",
            good.with(b"content-length", b"3"),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            "a content-length that is too long",
            good.with(b"content-length", b"90000"),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            "a content-length without a body",
            {
                let mut fields = good.fields.clone();
                fields.push((b"content-length".to_vec(), b"5".to_vec()));
                frame(HEADERS, BOTH, 1, &block(&fields))
            },
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            "content-length: 0 and a body",
            good.with(b"content-length", b"0"),
            1,
            Reset(PROTOCOL_ERROR),
        ),
    ];
    play(&gateway, rows).await;
}

#[tokio::test]
async fn pseudo_fields_are_there_once_and_first_and_make_sense() {
    let gateway = Gateway::start().await;
    let good = Good::of(&gateway);
    let connect = |fields: &[(&str, &str)]| frame(HEADERS, END_HEADERS, 1, &block(fields));
    let rows: Vec<Row> = vec![
        (
            "no :method",
            good.without(":method"),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            "no :scheme",
            good.without(":scheme"),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        ("no :path", good.without(":path"), 1, Reset(PROTOCOL_ERROR)),
        (
            "no :authority, no host",
            good.without(":authority"),
            1,
            Status(400),
        ),
        (
            "an empty :method",
            good.but(":method", b""),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        ("an empty :scheme", good.but(":scheme", b""), 1, Status(400)),
        (
            "an empty :path",
            good.but(":path", b""),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            "an empty :authority",
            good.but(":authority", b""),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            "two :method",
            good.first(b":method", b"GET"),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            "two :path",
            good.first(b":path", b"/"),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            "two :scheme",
            good.first(b":scheme", b"https"),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            "two :authority",
            good.first(b":authority", b"localhost"),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            "a pseudo field after others",
            good.with(b":path", b"/"),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            "a field before the pseudo fields",
            good.first(b"x-a", b"1"),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            "an unknown pseudo field",
            good.first(b":unknown", b"1"),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "a pseudo field without a name",
            good.first(b":", b"1"),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "an uppercase pseudo field",
            good.first(b":Path", b"/"),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            ":status in a request",
            good.first(b":status", b"200"),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            ":protocol without CONNECT",
            good.first(b":protocol", b"websocket"),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            "a :path without a slash",
            good.but(":path", b"api/messages"),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (":path *", good.but(":path", b"*"), 1, Status(400)),
        // h2 cuts the fragment off before anybody sees it. No fragment reaches the bot, whose path is its own.
        (
            "a :path with a fragment",
            good.but(":path", b"/api/messages#x"),
            1,
            Status(200),
        ),
        (
            "a :path with a space",
            good.but(":path", b"/api/messages x"),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            "a :path with CR and LF",
            good.but(":path", b"/api/messages HTTP/1.1\r\nx: y"),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            "a :path with a NUL",
            good.but(":path", b"/api/messages\0"),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            "a :path beyond ASCII",
            good.but(":path", b"/api/m\xe9ssages"),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "a whole URI as :path",
            good.but(":path", b"https://localhost/api/messages"),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            ":path //",
            good.but(":path", b"//evil.example/api/messages"),
            1,
            Status(404),
        ),
        (
            ":method in lower case",
            good.but(":method", b"post"),
            1,
            Status(405),
        ),
        (
            ":method with a space",
            good.but(":method", b"GET / HTTP/1.1"),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            ":method with CR and LF",
            good.but(":method", b"GET\r\n"),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (":scheme http", good.but(":scheme", b"http"), 1, Status(200)),
        (":scheme ftp", good.but(":scheme", b"ftp"), 1, Status(400)),
        (
            ":scheme with a request in it",
            good.but(":scheme", b"https://localhost/x HTTP/1.1"),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            "user information in :authority",
            good.but(":authority", b"user@localhost"),
            1,
            Status(400),
        ),
        (
            "a port that is none in :authority",
            good.but(":authority", b"localhost:x"),
            1,
            Status(400),
        ),
        (
            "a path in :authority",
            good.but(":authority", b"localhost/x"),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            "a space in :authority",
            good.but(":authority", b"local host"),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            "two names in :authority",
            good.but(":authority", b"localhost,localhost"),
            1,
            Status(400),
        ),
        (
            "CR and LF in :authority",
            good.but(":authority", b"localhost\r\nx: y"),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            "host instead of :authority",
            {
                let mut fields = good.fields.clone();
                fields.retain(|(name, _)| name != b":authority");
                fields.push((b"host".to_vec(), b"localhost".to_vec()));
                good.whole(&fields)
            },
            1,
            Status(200),
        ),
        (
            "host that agrees",
            good.with(b"host", b"localhost"),
            1,
            Status(200),
        ),
        (
            "host that disagrees",
            good.with(b"host", b"other.example"),
            1,
            Status(400),
        ),
        (
            "an empty host beside :authority",
            good.with(b"host", b""),
            1,
            Status(400),
        ),
        (
            "two hosts that agree",
            {
                let mut fields = good.fields.clone();
                fields.push((b"host".to_vec(), b"localhost".to_vec()));
                fields.push((b"host".to_vec(), b"localhost".to_vec()));
                good.whole(&fields)
            },
            1,
            Status(400),
        ),
        (
            "CONNECT",
            connect(&[(":method", "CONNECT"), (":authority", "localhost:443")]),
            1,
            Status(404),
        ),
        (
            "CONNECT with a path",
            good.but(":method", b"CONNECT"),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            "CONNECT without an authority",
            connect(&[(":method", "CONNECT")]),
            1,
            Status(400),
        ),
        (
            "extended CONNECT",
            connect(&[
                (":method", "CONNECT"),
                (":protocol", "websocket"),
                (":scheme", "https"),
                (":authority", "localhost"),
                (":path", "/api/messages"),
            ]),
            1,
            Reset(PROTOCOL_ERROR),
        ),
    ];
    play(&gateway, rows).await;
}

#[tokio::test]
async fn frames_stand_where_they_may() {
    let gateway = Gateway::start().await;
    let good = Good::of(&gateway);
    let whole_block = block(&good.fields);
    let (start, rest) = whole_block.split_at(100);
    let setting = |id: u16, value: u32| {
        let payload = [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
        [frame(SETTINGS, 0, 0, &payload), good.plain()].concat()
    };
    let after = |bytes: Vec<u8>| [bytes, good.plain()].concat();
    let open = |bytes: Vec<u8>| [good.head(END_HEADERS, 1), bytes].concat();
    let done = |bytes: Vec<u8>| [good.plain(), bytes].concat();
    let rows: Vec<Row> = vec![
        (
            "a block in two frames",
            [
                frame(HEADERS, 0, 1, start),
                frame(CONTINUATION, END_HEADERS, 1, rest),
                good.data(END_STREAM, 1),
            ]
            .concat(),
            1,
            Status(200),
        ),
        (
            "a padded block and padded data",
            [
                frame(
                    HEADERS,
                    END_HEADERS | 8,
                    1,
                    &[&[3][..], &whole_block, &[0; 3]].concat(),
                ),
                frame(
                    DATA,
                    END_STREAM | 8,
                    1,
                    &[&[2][..], &good.body, &[0; 2]].concat(),
                ),
            ]
            .concat(),
            1,
            Status(200),
        ),
        (
            "a block with a priority",
            [
                frame(
                    HEADERS,
                    END_HEADERS | 32,
                    1,
                    &[&[0, 0, 0, 0, 7][..], &whole_block].concat(),
                ),
                good.data(END_STREAM, 1),
            ]
            .concat(),
            1,
            Status(200),
        ),
        (
            "a block that depends on itself",
            [
                frame(
                    HEADERS,
                    END_HEADERS | 32,
                    1,
                    &[&[0, 0, 0, 1, 7][..], &whole_block].concat(),
                ),
                good.data(END_STREAM, 1),
            ]
            .concat(),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            "padding longer than the block",
            frame(HEADERS, END_HEADERS | 8, 1, &[200, 1, 2]),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "padding longer than the data",
            open(frame(DATA, 8, 1, &[200, 1, 2])),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "another frame within a block",
            [frame(HEADERS, 0, 1, start), frame(PING, 0, 0, &[0; 8])].concat(),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "another stream within a block",
            [
                frame(HEADERS, 0, 1, start),
                frame(CONTINUATION, END_HEADERS, 3, rest),
            ]
            .concat(),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "another head within a block",
            [frame(HEADERS, 0, 1, start), good.head(BOTH, 3)].concat(),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "an unknown frame within a block",
            [frame(HEADERS, 0, 1, start), frame(0xf0, 0, 1, b"x")].concat(),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "CONTINUATION without a block",
            frame(CONTINUATION, END_HEADERS, 1, &whole_block),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "CONTINUATION after a block",
            open(frame(CONTINUATION, END_HEADERS, 1, rest)),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "DATA on stream 0",
            frame(DATA, END_STREAM, 0, b"x"),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "HEADERS on stream 0",
            good.head(BOTH, 0),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "PRIORITY on stream 0",
            frame(PRIORITY, 0, 0, &[0, 0, 0, 3, 7]),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "RST_STREAM on stream 0",
            frame(RESET, 0, 0, &[0; 4]),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "CONTINUATION on stream 0",
            frame(CONTINUATION, END_HEADERS, 0, &[]),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "SETTINGS on a stream",
            frame(SETTINGS, 0, 1, &[]),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "PING on a stream",
            frame(PING, 0, 1, &[0; 8]),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "GOAWAY on a stream",
            frame(GOAWAY, 0, 1, &[0; 8]),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "PUSH_PROMISE from a client",
            open(frame(
                PUSH_PROMISE,
                END_HEADERS,
                1,
                &[&[0, 0, 0, 2][..], &whole_block].concat(),
            )),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "DATA on an idle stream",
            frame(DATA, END_STREAM, 1, b"x"),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "RST_STREAM on an idle stream",
            frame(RESET, 0, 1, &[0; 4]),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "WINDOW_UPDATE on an idle stream",
            frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "PRIORITY on an idle stream",
            after(frame(PRIORITY, 0, 5, &[0, 0, 0, 3, 7])),
            1,
            Status(200),
        ),
        (
            "PRIORITY on itself",
            frame(PRIORITY, 0, 3, &[0, 0, 0, 3, 7]),
            3,
            Reset(PROTOCOL_ERROR),
        ),
        (
            "HEADERS on an even stream",
            good.head(BOTH, 2),
            2,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "a stream older than the last",
            [request(5, &good.fields, &good.body), good.head(BOTH, 3)].concat(),
            3,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "DATA after the end",
            [good.plain(), good.data(END_STREAM, 1)].concat(),
            3,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "HEADERS after the end",
            done(good.head(BOTH, 1)),
            3,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "DATA after a reset",
            open([frame(RESET, 0, 1, &[0, 0, 0, 8]), good.data(END_STREAM, 1)].concat()),
            1,
            Reset(STREAM_CLOSED),
        ),
        (
            "PING that is short",
            frame(PING, 0, 0, &[0; 7]),
            1,
            GoAway(FRAME_SIZE_ERROR),
        ),
        (
            "PING that is long",
            frame(PING, 0, 0, &[0; 9]),
            1,
            GoAway(FRAME_SIZE_ERROR),
        ),
        (
            "SETTINGS of five bytes",
            frame(SETTINGS, 0, 0, &[0; 5]),
            1,
            GoAway(FRAME_SIZE_ERROR),
        ),
        (
            "SETTINGS that acknowledge with a payload",
            frame(SETTINGS, 1, 0, &[0; 6]),
            1,
            GoAway(FRAME_SIZE_ERROR),
        ),
        (
            "PRIORITY that is short",
            frame(PRIORITY, 0, 1, &[0; 4]),
            1,
            GoAway(FRAME_SIZE_ERROR),
        ),
        (
            "RST_STREAM that is short",
            open(frame(RESET, 0, 1, &[0; 3])),
            1,
            GoAway(FRAME_SIZE_ERROR),
        ),
        (
            "WINDOW_UPDATE that is short",
            frame(WINDOW_UPDATE, 0, 0, &[0; 3]),
            1,
            GoAway(FRAME_SIZE_ERROR),
        ),
        (
            "GOAWAY that is short",
            frame(GOAWAY, 0, 0, &[0; 7]),
            1,
            GoAway(FRAME_SIZE_ERROR),
        ),
        (
            "a frame that is too long",
            frame(DATA, 0, 1, &[0; 16_385]),
            1,
            GoAway(FRAME_SIZE_ERROR),
        ),
        (
            "an unknown frame that is too long",
            frame(0xf0, 0, 0, &[0; 16_385]),
            1,
            GoAway(FRAME_SIZE_ERROR),
        ),
        (
            "an unknown frame",
            after(frame(0xf0, 255, 0, b"hello")),
            1,
            Status(200),
        ),
        (
            "unknown flags",
            after(frame(PING, 0xf0, 0, &[0; 8])),
            1,
            Status(200),
        ),
        (
            "the reserved bit",
            [
                frame(HEADERS, END_HEADERS, 0x8000_0001, &whole_block),
                good.data(END_STREAM, 1),
            ]
            .concat(),
            1,
            Status(200),
        ),
        (
            "a window of more than 2^31",
            after(frame(WINDOW_UPDATE, 0, 0, &[0x7f, 255, 255, 255])),
            1,
            GoAway(FLOW_CONTROL_ERROR),
        ),
        (
            "a stream's window of more than 2^31",
            open(frame(WINDOW_UPDATE, 0, 1, &[0x7f, 255, 255, 255])),
            1,
            Reset(FLOW_CONTROL_ERROR),
        ),
        (
            "a window update of nothing",
            after(frame(WINDOW_UPDATE, 0, 0, &[0; 4])),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "a stream's window update of nothing",
            open(frame(WINDOW_UPDATE, 0, 1, &[0; 4])),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        ("ENABLE_PUSH 2", setting(2, 2), 1, GoAway(PROTOCOL_ERROR)),
        (
            "INITIAL_WINDOW_SIZE 2^31",
            setting(4, 1 << 31),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "MAX_FRAME_SIZE 16383",
            setting(5, 16_383),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "MAX_FRAME_SIZE 2^24",
            setting(5, 1 << 24),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "ENABLE_CONNECT_PROTOCOL 2",
            setting(8, 2),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        ("an unknown setting", setting(0xf0f0, 7), 1, Status(200)),
        ("HEADER_TABLE_SIZE 0", setting(1, 0), 1, Status(200)),
        (
            "HEADER_TABLE_SIZE 2^32-1",
            setting(1, u32::MAX),
            1,
            Status(200),
        ),
        (
            "SETTINGS acknowledged that nobody sent",
            [frame(SETTINGS, 1, 0, &[]).repeat(3), good.plain()].concat(),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "GOAWAY and then a request",
            after(frame(GOAWAY, 0, 0, &[0; 8])),
            1,
            Status(200),
        ),
        (
            "trailers",
            good.with_trailers(BOTH, &[("x-checksum", "1")]),
            1,
            Status(200),
        ),
        (
            "trailers that do not end the stream",
            good.with_trailers(END_HEADERS, &[("x-checksum", "1")]),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            "trailers with a pseudo field",
            good.with_trailers(BOTH, &[(":path", "/")]),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "trailers with content-length",
            good.with_trailers(BOTH, &[("content-length", "3")]),
            1,
            Status(200),
        ),
        (
            "trailers with connection",
            good.with_trailers(BOTH, &[("connection", "close")]),
            1,
            Reset(PROTOCOL_ERROR),
        ),
        (
            "an index of no field",
            frame(HEADERS, BOTH, 1, &[0xff, 0xff, 0x03]),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "index 0",
            frame(HEADERS, BOTH, 1, &[0x80]),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "a number without end",
            frame(HEADERS, BOTH, 1, &[0xff; 20]),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "a text longer than the block",
            frame(HEADERS, BOTH, 1, &[0, 0x7f, 0xff, 0x03, b'a']),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "a code that is none",
            frame(HEADERS, BOTH, 1, &[0, 0x84, 0xff, 0xff, 0xff, 0xff, 0]),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "a table larger than allowed",
            frame(
                HEADERS,
                BOTH,
                1,
                &[&[0x3f, 0xe1, 0xff, 0x03][..], &whole_block].concat(),
            ),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "a table size after a field",
            frame(HEADERS, BOTH, 1, &[&whole_block[..], &[0x20]].concat()),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
    ];
    play(&gateway, rows).await;
}

#[tokio::test]
async fn a_header_block_is_at_most_64_kib() {
    let gateway = Gateway::start().await;
    let good = Good::of(&gateway);
    let in_frames = |block: &[u8]| {
        let mut pieces = block.chunks(16_384).peekable();
        let (mut bytes, mut kind) = (vec![], HEADERS);
        while let Some(piece) = pieces.next() {
            let flags = if pieces.peek().is_none() {
                END_HEADERS
            } else {
                0
            };
            bytes.extend(frame(kind, flags, 1, piece));
            kind = CONTINUATION;
        }
        bytes.extend(good.data(END_STREAM, 1));
        bytes
    };
    let with_fields = |count: usize, size: usize| {
        let mut fields = good.fields.clone();
        for number in 0..count {
            fields.push((format!("x-{number}").into_bytes(), vec![b'a'; size]));
        }
        in_frames(&block(&fields))
    };
    // One entry of 4,000 bytes, remembered once and named again and again.
    let bomb = |count: usize| {
        let mut bomb = block(&good.fields);
        bomb.extend(&[0x40, 3]);
        bomb.extend(b"x-b");
        bomb.extend(&[127, 0xa1, 0x1e]);
        bomb.extend(&[b'a'; 4000]);
        bomb.extend(vec![0xbe; count]);
        in_frames(&bomb)
    };
    let rows: Vec<Row> = vec![
        ("20 KiB", with_fields(20, 1024), 1, Status(200)),
        (
            "more fields than allowed",
            with_fields(120, 10),
            1,
            Status(431),
        ),
        (
            "more bytes than header_bytes",
            with_fields(40, 1000),
            1,
            Status(431),
        ),
        (
            "more than 64 KiB",
            with_fields(66, 1000),
            1,
            GoAway(ENHANCE_YOUR_CALM),
        ),
        (
            "megabytes",
            with_fields(90, 16_000),
            1,
            GoAway(PROTOCOL_ERROR),
        ),
        (
            "one field of 40 KiB",
            with_fields(1, 40_000),
            1,
            Status(431),
        ),
        ("a small bomb", bomb(20), 1, Status(431)),
        ("a bomb", bomb(16_000), 1, GoAway(ENHANCE_YOUR_CALM)),
    ];
    play(&gateway, rows).await;
}

#[tokio::test]
async fn the_preface_is_what_it_has_to_be() {
    let gateway = Gateway::start().await;
    let good = Good::of(&gateway);
    for (name, bytes, fate) in [
        (
            "HTTP/1.1",
            b"POST /api/messages HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec(),
            Closed,
        ),
        (
            "another preface",
            b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n".to_vec(),
            Closed,
        ),
        (
            "no settings",
            [PREFACE, &good.plain()].concat(),
            Status(200),
        ),
    ] {
        let mut wire = FrameWire::silent(&gateway).await;
        wire.write(&bytes).await;
        assert_eq!(wire.fate(1).await, fate, "{name}");
    }
    gateway
        .teams_message()
        .over_http2()
        .send()
        .await
        .forwarded()
        .await;
}

/// Plays every row and tells of all that ended otherwise. Where the connection goes on, a good request on it is served.
async fn play(gateway: &Gateway, rows: Vec<Row>) {
    let good = Good::of(gateway);
    let next = request(1001, &good.fields, &good.body);
    let mut wrong = vec![];
    for (name, bytes, stream, expected) in rows {
        let seen_before = gateway.bot().count();
        let mut wire = FrameWire::open(gateway).await;
        wire.write(&bytes).await;
        let fate = wire.fate(stream).await;
        if fate != expected {
            wrong.push(format!("{name}: {fate:?} instead of {expected:?}"));
        }
        let mut expected_seen = usize::from(fate == Status(200));
        if matches!(fate, Status(_) | Reset(_)) && !name.starts_with("GOAWAY") {
            wire.write(&next).await;
            let fate = wire.fate(1001).await;
            if fate != Status(200) {
                wrong.push(format!("{name}: the next request: {fate:?}"));
            }
            expected_seen += usize::from(fate == Status(200));
        }
        let seen = gateway.bot().count() - seen_before;
        if seen != expected_seen {
            wrong.push(format!(
                "{name}: the bot saw {seen} requests, not {expected_seen}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
