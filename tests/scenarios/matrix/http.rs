//! What is refused by its head alone, before anyone looks at a token.

use super::World;
use crate::support::table::Expected::{Forwarded, Stranger};
use crate::support::table::{Row, row};
use botgate::judge::Reason;
use http::Method;

/// `server.limits.body_bytes` as it comes.
const MAX_BODY_BYTES: usize = 1024 * 1024;

pub(super) fn rows(world: &World) -> Vec<Row> {
    let teams = || world.teams();
    let mut rows = vec![
        row("as it comes", teams(), Forwarded),
        row("over HTTP/2", teams().over_http2(), Forwarded),
        row(
            "without a token over HTTP/2",
            teams().over_http2().without_token(),
            Stranger(Reason::TokenMissing),
        ),
        row(
            "a WebSocket upgrade",
            teams()
                .method(Method::GET)
                .header("connection", "upgrade")
                .header("upgrade", "websocket")
                .header("sec-websocket-version", "13")
                .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            Stranger(Reason::UpgradeRefused),
        ),
        row(
            "no Content-Type",
            teams().without_header("content-type"),
            Stranger(Reason::ContentTypeUnsupported),
        ),
        row(
            "two Content-Types",
            teams().also_header("content-type", "application/json"),
            Stranger(Reason::ContentTypeUnsupported),
        ),
        row(
            "Content-Encoding: identity",
            teams().header("content-encoding", "identity"),
            Forwarded,
        ),
        row(
            "a body of exactly the limit",
            teams().text(|text| padded(text, MAX_BODY_BYTES)),
            Forwarded,
        ),
        row(
            "a body of one byte more",
            teams().text(|text| padded(text, MAX_BODY_BYTES + 1)),
            Stranger(Reason::BodyTooLarge),
        ),
        row(
            "a wrong Content-Type and no token",
            teams().header("content-type", "text/plain").without_token(),
            Stranger(Reason::ContentTypeUnsupported),
        ),
        row(
            "GET and no token",
            teams().method(Method::GET).without_token(),
            Stranger(Reason::MethodNotAllowed),
        ),
    ];
    for method in [
        "GET",
        "PUT",
        "PATCH",
        "DELETE",
        "OPTIONS",
        "post",
        "FROBNICATE",
    ] {
        rows.push(row(
            format!("{method} instead of POST"),
            teams().method(method.parse().unwrap()),
            Stranger(Reason::MethodNotAllowed),
        ));
    }
    for value in [
        "application/json",
        "application/json; charset=UTF-8",
        "Application/JSON;charset=\"utf-8\"",
    ] {
        rows.push(row(
            format!("Content-Type: {value}"),
            teams().header("content-type", value),
            Forwarded,
        ));
    }
    for value in [
        "text/plain",
        "application/json; charset=utf-16",
        "application/json; charset=utf-7",
        "application/json; charset=latin1",
        "application/json; charset=utf-8; charset=utf-8",
        "application/json; boundary=x",
        "application/x-www-form-urlencoded",
    ] {
        rows.push(row(
            format!("Content-Type: {value}"),
            teams().header("content-type", value),
            Stranger(Reason::ContentTypeUnsupported),
        ));
    }
    for value in ["gzip", "deflate", "br", "identity, gzip"] {
        rows.push(row(
            format!("Content-Encoding: {value}"),
            teams().header("content-encoding", value),
            Stranger(Reason::ContentEncodingUnsupported),
        ));
    }
    rows
}

fn padded(text: String, bytes: usize) -> String {
    let blanks = " ".repeat(bytes - text.len());
    text + &blanks
}
