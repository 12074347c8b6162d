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
use super::texts::Text;
use crate::judge::TokenKind;
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

/// The name of a field, as it stands in a line before a number.
macro_rules! name {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
}

/// The name of a field, as it stands in a line before a string, with the string's quote.
macro_rules! quoted {
    ($name:literal) => {
        concat!(",\"", $name, "\":\"")
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

    fields.word(quoted!("verdict"), Some(entry.verdict.word()));
    fields.number(name!("status"), entry.verdict.status().map(u64::from));
    let reason = entry.rejection.map(|rejection| rejection.reason().code());
    fields.word(quoted!("reason"), reason);
    fields.long(quoted!("note"), entry.note());
    fields.short(quoted!("request_id"), Some(line.request_id()));
    fields.short(quoted!("trace_id"), line.text(Text::TraceId));
    fields.text(
        quoted!("bot"),
        Some(entry.bot).filter(|bot| !bot.is_empty()),
        None,
    );
    fields.text(quoted!("broker"), line.text(Text::Broker), None);
    fields.word(quoted!("door"), Some(line.door.word()));
    fields.address(quoted!("client_ip"), line.client_ip);
    fields.short(quoted!("method"), line.text(Text::Method));
    fields.long(quoted!("path"), line.text(Text::Path));
    fields.word(quoted!("token_kind"), line.token_kind.map(TokenKind::word));
    fields.short(quoted!("token_issuer"), line.text(Text::TokenIssuer));
    fields.short(quoted!("key_id"), line.text(Text::KeyId));
    fields.short(quoted!("caller_app_id"), line.text(Text::CallerAppId));
    fields.short(quoted!("channel"), line.text(Text::Channel));
    fields.short(quoted!("activity_type"), line.text(Text::ActivityType));
    fields.short(quoted!("invoke_name"), line.text(Text::InvokeName));
    fields.shown(quoted!("tenant"), line.tenant);
    fields.short(quoted!("service_url_host"), line.text(Text::ServiceUrlHost));
    let conversation = identifiers.write(line.text(Text::Conversation));
    fields.identifier(quoted!("conversation"), conversation.as_ref());
    let user = identifiers.write(line.text(Text::User));
    fields.identifier(quoted!("user"), user.as_ref());
    fields.number(name!("bytes_in"), Some(line.bytes_in));
    fields.number(name!("bytes_out"), Some(entry.bytes_out));
    fields.milliseconds(name!("duration_ms"), Some(entry.duration));
    fields.milliseconds(name!("upstream_ms"), line.upstream);
    if line.acknowledged {
        fields.0.extend_from_slice(b",\"acknowledged\":true");
    }
    fields.short(quoted!("repeat_of"), line.text(Text::RepeatOf));
    fields.word(
        quoted!("http_version"),
        line.http_version.and_then(http_version),
    );
    fields.word(quoted!("tls_version"), line.tls_version.map(tls_version));
    fields.word(quoted!("target"), Some(TARGET));
    fields.0.extend_from_slice(b"}\n");
}

/// The fields of a line; one that is not known is left out.
struct Fields<'a>(&'a mut Vec<u8>);

impl Fields<'_> {
    /// A word of our own, in which there is nothing to escape.
    #[inline(always)]
    fn word(&mut self, name: &str, word: Option<&str>) {
        if let Some(word) = word {
            self.quoted(name, |into| into.extend_from_slice(word.as_bytes()));
        }
    }

    #[inline(always)]
    fn short(&mut self, name: &str, text: Option<&str>) {
        self.text(name, text, Some(MAX_CHARS));
    }

    #[inline(always)]
    fn long(&mut self, name: &str, text: Option<&str>) {
        self.text(name, text, Some(MAX_LONG_CHARS));
    }

    #[inline(always)]
    fn text(&mut self, name: &str, text: Option<&str>, max_chars: Option<usize>) {
        if let Some(text) = text {
            self.quoted(name, |into| push_cut(text, max_chars, into));
        }
    }

    #[inline(always)]
    fn identifier(&mut self, name: &str, id: Option<&Written<'_>>) {
        match id {
            None => {}
            Some(Written::Hash(digits)) => {
                self.quoted(name, |into| into.extend_from_slice(digits));
            }
            Some(Written::Plain(text)) => self.text(name, Some(text), None),
        }
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

    #[inline(always)]
    fn number(&mut self, name: &str, number: Option<u64>) {
        if let Some(number) = number {
            self.0.extend_from_slice(name.as_bytes());
            self.digits(number);
        }
    }

    /// As `serde_json` writes the number of [`milliseconds`]: at most three digits after the point, and at least one.
    #[inline(always)]
    fn milliseconds(&mut self, name: &str, duration: Option<Duration>) {
        if let Some(duration) = duration {
            self.0.extend_from_slice(name.as_bytes());
            self.thousandths(duration);
        }
    }

    fn thousandths(&mut self, duration: Duration) {
        let microseconds = whole_microseconds(duration);
        let (whole, thousandths) = (microseconds / 1000, microseconds % 1000);
        if microseconds >= MANY {
            // Decades. Nobody waits for them, and their digits are not those of a thousandth any more.
            let _ = serde_json::to_writer(&mut *self.0, &milliseconds(duration));
            return;
        }
        self.digits(whole);
        let digit = |number: u64| b'0'.wrapping_add(u8::try_from(number % 10).unwrap_or_default());
        let digits = [
            b'.',
            digit(thousandths / 100),
            digit(thousandths / 10),
            digit(thousandths),
        ];
        let used = match digits {
            [_, _, b'0', b'0'] => digits.get(..2),
            [_, _, _, b'0'] => digits.get(..3),
            _ => None,
        };
        self.0.extend_from_slice(used.unwrap_or(&digits));
    }

    fn digits(&mut self, number: u64) {
        let mut digits = itoa::Buffer::new();
        self.0.extend_from_slice(digits.format(number).as_bytes());
    }

    /// In place, where the name is known: then writing it is a few stores.
    #[inline(always)]
    fn quoted(&mut self, name: &str, value: impl FnOnce(&mut Vec<u8>)) {
        self.0.extend_from_slice(name.as_bytes());
        value(self.0);
        self.0.push(b'"');
    }
}

fn push_cut(text: &str, max_chars: Option<usize>, into: &mut Vec<u8>) {
    match max_chars.and_then(|max_chars| cut(text, max_chars)) {
        None => push_json(text, into),
        Some(kept) => {
            push_json(kept, into);
            into.extend_from_slice(MORE.as_bytes());
        }
    }
}

/// Bytes of a line; a longer one costs more than it did before, and comes out as well.
const USUAL: usize = 1024;
/// A buffer of more than this is not kept.
const LARGE: usize = 4096;
/// Up to here, microseconds divided by a thousand are the digits of the nearest `f64`.
const MANY: u64 = 1_000_000_000_000_000;
