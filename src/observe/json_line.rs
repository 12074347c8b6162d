//! The request line as JSON, written without `tracing`: it is nearly every line there is, and its fields are known.
//!
//! Byte for byte what `tracing-subscriber` makes of the event in `audit.rs`, which a test compares.

use super::audit::{
    Entry, MAX_CHARS, MAX_LONG_CHARS, TARGET, http_version, milliseconds, tls_version,
    whole_microseconds,
};
use super::escape::push_json;
use super::identifiers::{IdentifierWriter, Written};
use super::redact::{MORE, cut};
use super::stamp::Stamp;
use crate::judge::{Rejection, TokenKind};
use std::cell::Cell;
use std::fmt::Display;
use std::io::Write as _;
use std::net::IpAddr;
use std::time::Duration;

thread_local! {
    /// Where this thread makes its lines.
    static LINE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Has `write` fill an empty buffer, and `send` take what is in it.
pub(super) fn made(write: impl FnOnce(&mut Vec<u8>), send: impl FnOnce(&[u8])) {
    // A thread that ends has no buffer any more, and perhaps still a request to drop.
    let mut line = LINE.try_with(Cell::take).unwrap_or_default();
    line.clear();
    line.reserve(USUAL);
    write(&mut line);
    send(&line);
    if line.capacity() <= LARGE {
        // It fails only for a thread that ends.
        let _ = LINE.try_with(|kept| kept.set(line));
    }
}

/// A name of a field, as it stands in a line.
macro_rules! name {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
}

/// Writes the line of a request, with its end.
pub(super) fn write(
    entry: &Entry<'_>,
    identifiers: &IdentifierWriter,
    now: Stamp,
    into: &mut Vec<u8>,
) {
    let line = entry.line;
    into.extend_from_slice(b"{\"timestamp\":\"");
    into.extend_from_slice(now.as_bytes());
    into.extend_from_slice(b"\",\"level\":\"");
    into.extend_from_slice(entry.level().as_str().as_bytes());
    into.extend_from_slice(b"\",\"event\":\"request\"");
    let mut fields = Fields(into);

    fields.word(name!("verdict"), Some(entry.verdict.word()));
    fields.number(name!("status"), entry.verdict.status().map(u64::from));
    let reason = entry.rejection.map(|rejection| rejection.reason().code());
    fields.word(name!("reason"), reason);
    fields.long(name!("note"), entry.rejection.and_then(Rejection::note));
    fields.short(name!("request_id"), Some(&line.request_id));
    fields.short(name!("trace_id"), line.trace_id.as_deref());
    fields.text(
        name!("bot"),
        Some(entry.bot).filter(|bot| !bot.is_empty()),
        None,
    );
    fields.word(name!("door"), Some(line.door.word()));
    fields.address(name!("client_ip"), line.client_ip);
    fields.short(name!("method"), line.method.as_deref());
    fields.long(name!("path"), line.path.as_deref());
    fields.word(name!("token_kind"), line.token_kind.map(TokenKind::word));
    fields.short(name!("token_issuer"), line.token_issuer.as_deref());
    fields.short(name!("key_id"), line.key_id.as_deref());
    fields.short(name!("caller_app_id"), line.caller_app_id.as_deref());
    fields.short(name!("channel"), line.channel.as_deref());
    fields.short(name!("activity_type"), line.activity_type.as_deref());
    fields.short(name!("invoke_name"), line.invoke_name.as_deref());
    fields.shown(name!("tenant"), line.tenant);
    fields.short(name!("service_url_host"), line.service_url_host.as_deref());
    let conversation = identifiers.write(line.conversation.as_deref());
    fields.text(
        name!("conversation"),
        conversation.as_ref().map(Written::as_str),
        None,
    );
    let user = identifiers.write(line.user.as_deref());
    fields.text(name!("user"), user.as_ref().map(Written::as_str), None);
    fields.number(name!("bytes_in"), Some(line.bytes_in));
    fields.number(name!("bytes_out"), Some(entry.bytes_out));
    fields.milliseconds(name!("duration_ms"), Some(entry.duration));
    fields.milliseconds(name!("upstream_ms"), line.upstream);
    if line.acknowledged {
        fields.0.extend_from_slice(b",\"acknowledged\":true");
    }
    fields.short(name!("repeat_of"), line.repeat_of.as_deref());
    fields.word(
        name!("http_version"),
        line.http_version.and_then(http_version),
    );
    fields.word(name!("tls_version"), line.tls_version.map(tls_version));
    fields.word(name!("target"), Some(TARGET));
    fields.0.extend_from_slice(b"}\n");
}

/// The fields of a line; one that is not known is left out.
struct Fields<'a>(&'a mut Vec<u8>);

impl Fields<'_> {
    /// A word of our own, in which there is nothing to escape.
    fn word(&mut self, name: &str, word: Option<&str>) {
        if let Some(word) = word {
            self.quoted(name, |into| into.extend_from_slice(word.as_bytes()));
        }
    }

    fn short(&mut self, name: &str, text: Option<&str>) {
        self.text(name, text, Some(MAX_CHARS));
    }

    fn long(&mut self, name: &str, text: Option<&str>) {
        self.text(name, text, Some(MAX_LONG_CHARS));
    }

    fn text(&mut self, name: &str, text: Option<&str>, max_chars: Option<usize>) {
        let Some(text) = text else { return };
        self.quoted(name, |into| {
            match max_chars.and_then(|max_chars| cut(text, max_chars)) {
                None => push_json(text, into),
                Some(kept) => {
                    push_json(kept, into);
                    into.extend_from_slice(MORE.as_bytes());
                }
            }
        });
    }

    fn address(&mut self, name: &str, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.quoted(name, |into| {
                for (place, octet) in address.octets().into_iter().enumerate() {
                    if place > 0 {
                        into.push(b'.');
                    }
                    into.extend_from_slice(itoa::Buffer::new().format(octet).as_bytes());
                }
            }),
            IpAddr::V6(_) => self.shown(name, Some(address)),
        }
    }

    /// What shows as ASCII in which there is nothing to escape.
    fn shown(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.quoted(name, |into| {
                // Memory takes everything.
                let _ = write!(into, "{value}");
            });
        }
    }

    fn number(&mut self, name: &str, number: Option<u64>) {
        if let Some(number) = number {
            self.0.extend_from_slice(name.as_bytes());
            self.digits(number);
        }
    }

    /// As `serde_json` writes the number of [`milliseconds`]: at most three digits after the point, and at least one.
    fn milliseconds(&mut self, name: &str, duration: Option<Duration>) {
        let Some(duration) = duration else { return };
        self.0.extend_from_slice(name.as_bytes());
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number, and none below 0"
        )]
        let microseconds = whole_microseconds(duration) as u64;
        if microseconds >= MANY {
            // Decades. Nobody waits for them, and their digits are not those of a thousandth any more.
            let _ = serde_json::to_writer(&mut *self.0, &milliseconds(duration));
            return;
        }
        self.digits(microseconds / 1000);
        self.0.push(b'.');
        let thousandths = microseconds % 1000;
        let digits = [thousandths / 100, thousandths / 10 % 10, thousandths % 10];
        let used = match digits {
            [_, 0, 0] => 1,
            [_, _, 0] => 2,
            _ => 3,
        };
        let digits = digits.into_iter().take(used);
        let text = digits.map(|digit| b'0'.wrapping_add(u8::try_from(digit).unwrap_or_default()));
        self.0.extend(text);
    }

    fn digits(&mut self, number: u64) {
        let mut digits = itoa::Buffer::new();
        self.0.extend_from_slice(digits.format(number).as_bytes());
    }

    fn quoted(&mut self, name: &str, value: impl FnOnce(&mut Vec<u8>)) {
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(b'"');
        value(self.0);
        self.0.push(b'"');
    }
}

/// Bytes of a line; a longer one costs more than it did before, and comes out as well.
const USUAL: usize = 1024;
/// A buffer of more than this is not kept.
const LARGE: usize = 4096;
/// Up to here, microseconds divided by a thousand are the digits of the nearest `f64`.
const MANY: u64 = 1_000_000_000_000_000;
