//! Reads what was saved: a request as a capture shows it, or a token and an activity.
//!
//! A request is judged by the reader of the gateway, and then read by hyper, over a pipe in memory: what the gateway refuses some
//! lenient reader may understand, and the operator is told what else would be said of it.

use super::{Options, parse_token, read_file, token_in};
use crate::config::Limits;
use crate::judge::{Bearer, Reason, Rejection};
use crate::net::RequestBody;
use crate::net::body::{self, ReadError};
use crate::net::client;
use crate::net::wire::{self, check_request};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::request::Parts;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Notify;

/// What was saved, as far as it can be read.
pub(super) struct Saved {
    pub(super) request: Option<SavedRequest>,
    pub(super) token: Result<Bearer, Rejection>,
    /// The token as text, for showing what it says; never printed as it is.
    pub(super) token_text: Option<String>,
    pub(super) body: Result<Bytes, Rejection>,
    pub(super) remarks: Vec<String>,
}

/// The HTTP around token and activity.
pub(super) struct SavedRequest {
    pub(super) head: Result<Parts, Rejection>,
    pub(super) framing: Result<(), Rejection>,
    pub(super) announced: Result<(), Rejection>,
}

impl Saved {
    pub(super) async fn read(options: &Options, limits: &Limits) -> Result<Self, String> {
        if let Some(path) = &options.request {
            return Self::of_request(read_file(path)?, limits)
                .await
                .map_err(|why| format!("{}: {why}", path.display()));
        }
        let (Some(token), Some(activity)) = (&options.token_file, &options.activity) else {
            return Err("give --request, or --token-file and --activity".to_owned());
        };
        let text = String::from_utf8_lossy(&read_file(token)?).into_owned();
        let text = token_in(&text).to_owned();
        Ok(Self {
            request: None,
            token: parse_token(&text),
            token_text: Some(text),
            body: Ok(read_file(activity)?),
            remarks: Vec::new(),
        })
    }

    async fn of_request(saved: Bytes, limits: &Limits) -> Result<Self, String> {
        let mut remarks = Vec::new();
        let Some(head_end) = end_of_head(&saved) else {
            return Err(
                "not a whole HTTP/1.1 request: there is no empty line after the headers".to_owned(),
            );
        };
        let (bytes, head_end) = with_line_ends(&saved, head_end, &mut remarks);
        let wire_limits = wire::Limits {
            head_bytes: limits.header_bytes,
            fields: limits.headers,
        };
        // What hyper can make of it all the same is told, too.
        let (framing, body_flaw) = match check_request(&bytes, wire_limits) {
            Ok(()) => (Ok(()), None),
            Err((flaw, true)) => (Err(Rejection::from(flaw)), None),
            Err((flaw, false)) => (Ok(()), Some(Rejection::from(flaw))),
        };
        let rest = bytes.slice(head_end..);
        let (head, announced, read) = match served(&bytes, limits).await {
            Ok(one) => one,
            Err(rejection) => {
                return Ok(Self {
                    request: Some(SavedRequest {
                        head: Err(framing.clone().err().unwrap_or(rejection)),
                        framing,
                        announced: Ok(()),
                    }),
                    token: Err(Reason::TokenMissing.into()),
                    token_text: None,
                    body: Err(Reason::RequestMalformed.into()),
                    remarks,
                });
            }
        };
        let is_framed = head.headers.contains_key(CONTENT_LENGTH)
            || head.headers.contains_key(TRANSFER_ENCODING);
        let body = if let Some(rejection) = body_flaw {
            Err(rejection)
        } else if is_framed || rest.is_empty() {
            whole(read, &head, &rest, &mut remarks)
        } else {
            remarks.push(format!(
                "the request has neither Content-Length nor Transfer-Encoding; the {} bytes after its head are taken as its body",
                rest.len()
            ));
            Ok(rest)
        };
        let token_text = head
            .headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .map(|value| token_in(value).to_owned());
        Ok(Self {
            token: Bearer::from_headers(&head.headers),
            token_text,
            request: Some(SavedRequest {
                head: Ok(head),
                framing,
                announced,
            }),
            body,
            remarks,
        })
    }
}

/// A saved request, as far as it can be read.
#[derive(Debug)]
pub struct ReadRequest {
    /// Its head.
    pub head: Result<Parts, Rejection>,
    /// Its body.
    pub body: Result<Bytes, Rejection>,
}

/// Reads a saved request as `explain` does.
///
/// # Errors
/// A sentence: the bytes hold no head to its end.
pub async fn read_request(bytes: Bytes, limits: &Limits) -> Result<ReadRequest, String> {
    let saved = Saved::of_request(bytes, limits).await?;
    let head = saved.request.map(|request| request.head);
    Ok(ReadRequest {
        head: head.unwrap_or_else(|| Err(Reason::RequestMalformed.into())),
        body: saved.body,
    })
}

/// The body, and what is odd about how it was saved.
fn whole(
    read: Result<Bytes, ReadError>,
    head: &Parts,
    rest: &Bytes,
    remarks: &mut Vec<String>,
) -> Result<Bytes, Rejection> {
    match read {
        Ok(body) => {
            let is_plain = !head.headers.contains_key(TRANSFER_ENCODING);
            if is_plain && rest.len() > body.len() {
                remarks.push(format!(
                    "{} bytes after the body that Content-Length announces are left out",
                    rest.len().saturating_sub(body.len())
                ));
            }
            Ok(body)
        }
        Err(ReadError::Rejected(rejection)) => Err(rejection),
        // At the gateway this sender would be waited for, and then told so.
        Err(ReadError::ClientLeft) => Err(Rejection::from(Reason::BodyTimedOut).noting(format!(
            "the body was saved in part: {} bytes after the head are fewer than announced (an editor may have changed line ends)",
            rest.len()
        ))),
    }
}

type One = (Parts, Result<(), Rejection>, Result<Bytes, ReadError>);

/// The first request in these bytes, as hyper reads it.
async fn served(bytes: &Bytes, limits: &Limits) -> Result<One, Rejection> {
    const REPLY_BYTES: usize = 64 * 1024;
    /// Nothing is waited for here: all bytes are there.
    const WITHIN: Duration = Duration::from_secs(60);
    let (mut client, server) = tokio::io::duplex(bytes.len().saturating_add(REPLY_BYTES));
    let unreadable = |note: String| Rejection::from(Reason::RequestMalformed).noting(note);
    let written = async {
        client.write_all(bytes).await?;
        client.shutdown().await
    };
    written
        .await
        .map_err(|error| unreadable(error.to_string()))?;
    let slot = Mutex::new(None);
    let done = Notify::new();
    let service = service_fn(|request: Request<Incoming>| async {
        let (head, mut body) = request.map(RequestBody::of_hyper).into_parts();
        let announced = body::check_announced(&body, limits.body_bytes);
        let read = body::read(&mut body, limits.body_bytes, WITHIN, &mut 0, |_| Ok(())).await;
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some((head, announced, read));
        done.notify_one();
        // Nobody reads an answer.
        std::future::pending::<()>().await;
        Ok::<_, Infallible>(Response::new(body::empty()))
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .max_headers(limits.headers)
        .max_header_size(limits.header_bytes)
        .half_close(true)
        .serve_connection(TokioIo::new(server), service);
    let outcome = tokio::select! {
        biased;
        () = done.notified() => Ok(()),
        outcome = connection => outcome,
    };
    let one = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (one, outcome) {
        (Some(one), _) => Ok(one),
        (None, Err(error)) if error.is_parse_too_large() => {
            Err(Rejection::from(Reason::HeadersTooLarge).noting(client::chain(&error)))
        }
        (None, Err(error)) => Err(unreadable(client::chain(&error))),
        (None, Ok(())) => Err(unreadable("there is no request".to_owned())),
    }
}

/// The request, and where its head ends, with CRLF for the line ends of a head that has none: editors and inspectors save it so,
/// and no client sends it. At the gateway it would be refused.
fn with_line_ends(saved: &Bytes, head_end: usize, remarks: &mut Vec<String>) -> (Bytes, usize) {
    let head = saved.slice(..head_end);
    if head.contains(&b'\r') {
        return (saved.clone(), head_end);
    }
    remarks.push(
        "the lines of the head end in LF alone, which the gateway refuses; they are taken as CRLF that was changed when the request was saved"
            .to_owned(),
    );
    let mut bytes = Vec::with_capacity(saved.len().saturating_mul(2));
    for line in head.split_inclusive(|byte| *byte == b'\n') {
        bytes.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
        bytes.extend_from_slice(b"\r\n");
    }
    let head_end = bytes.len();
    bytes.extend_from_slice(saved.get(head.len()..).unwrap_or_default());
    (bytes.into(), head_end)
}

/// Where the head ends: after the first empty line that follows something.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let mut end = 0_usize;
    let mut has_begun = false;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        end = end.saturating_add(line.len());
        let is_empty = matches!(line, b"\n" | b"\r\n");
        if is_empty && has_begun {
            return Some(end);
        }
        has_begun |= !is_empty;
    }
    None
}
