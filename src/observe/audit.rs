//! The one line per request (OPERATIONS section 2).

use super::flood::Suppressed;
use super::identifiers::{IdentifierWriter, Written};
use super::log_buffer::LogBuffer;
use super::recent::Refused;
use super::redact::capped;
use super::texts::{Text, Texts};
use super::{Verdict, json_line, stamp};
use crate::config::TlsVersion;
use crate::judge::{Fault, Reason, Rejection, TenantId, TokenKind};
use http::Version;
use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;
use tracing::Level;

/// The target of request lines: written whatever `log.level` says.
pub(super) const TARGET: &str = "botgate::audit";

/// Where a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Door {
    /// Channel to bot.
    Ingress,
    /// A web page asking for a Direct Line token.
    DirectLine,
    /// Bot to the outside.
    Egress,
    /// Operators.
    Admin,
}

impl Door {
    /// The word in the request line and in `requests_total`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::DirectLine => "directline",
            Self::Egress => "egress",
            Self::Admin => "admin",
        }
    }
}

/// What is known of a request. What is not known leaves its field out of the line.
///
/// Holds what a client sent as it sent it; lengths are capped when the line is written.
#[derive(Clone)]
#[cfg_attr(test, derive(Debug))]
pub struct RequestLine {
    pub(super) texts: Texts,
    /// Where it came in.
    pub door: Door,
    /// Who is at the other end, after trusted proxies were asked.
    pub client_ip: IpAddr,
    /// The kind of token, once its issuer is an accepted one.
    pub token_kind: Option<TokenKind>,
    /// The tenant that [`tenant_of`](crate::judge::tenant_of) found.
    pub tenant: Option<TenantId>,
    /// Bytes of the request body that were read.
    pub bytes_in: u64,
    /// Time spent waiting for the bot.
    pub upstream: Option<Duration>,
    /// Answered 202 while the bot was at work (`bots.timeouts.acknowledge_after`).
    pub acknowledged: bool,
    /// HTTP version of the request.
    pub http_version: Option<Version>,
    /// TLS version of the connection; `None` without TLS.
    pub tls_version: Option<TlsVersion>,
}

impl RequestLine {
    /// A line of which only this is known.
    pub fn new(request_id: &str, door: Door, client_ip: IpAddr) -> Self {
        let mut texts = Texts::new();
        texts.set(Text::RequestId, Some(request_id));
        Self {
            texts,
            door,
            client_ip,
            token_kind: None,
            tenant: None,
            bytes_in: 0,
            upstream: None,
            acknowledged: false,
            http_version: None,
            tls_version: None,
        }
    }

    /// `X-Request-Id`, the client's or our own.
    pub fn request_id(&self) -> &str {
        self.text(Text::RequestId).unwrap_or_default()
    }

    /// One of the texts.
    #[inline]
    pub fn text(&self, kind: Text) -> Option<&str> {
        self.texts.get(kind)
    }

    /// Writes a text down, or that it is not known after all.
    pub fn note<'t>(&mut self, kind: Text, text: impl Into<Option<&'t str>>) {
        self.texts.set(kind, text.into());
    }
}

/// A request that ended: everything its line says.
pub(super) struct Entry<'a> {
    pub(super) line: &'a RequestLine,
    /// Name of the bot, empty if none was found.
    pub(super) bot: &'a str,
    pub(super) verdict: &'a Verdict,
    /// Of the verdict, or of an answer that broke midway.
    pub(super) rejection: Option<&'a Rejection>,
    /// What is to be said where no rejection says it.
    pub(super) remark: Option<&'static str>,
    pub(super) bytes_out: u64,
    pub(super) until_verdict: Duration,
    pub(super) duration: Duration,
}

/// tracing wants a constant level, so each level needs its own event; the fields stand here once.
macro_rules! request_event {
    ($level:ident, $entry:ident, $identifiers:ident) => {{
        let line = $entry.line;
        tracing::event!(
            target: TARGET,
            tracing::Level::$level,
            event = "request",
            verdict = $entry.verdict.word(),
            status = $entry.verdict.status(),
            reason = $entry.rejection.map(|rejection| rejection.reason().code()),
            note = $entry.note().map(|note| capped(note, MAX_LONG_CHARS)).as_deref(),
            request_id = &*capped(line.request_id(), MAX_CHARS),
            trace_id = short(line, Text::TraceId).as_deref(),
            bot = Some($entry.bot).filter(|name| !name.is_empty()),
            broker = line.text(Text::Broker),
            door = line.door.word(),
            client_ip = %line.client_ip,
            method = short(line, Text::Method).as_deref(),
            path = line.text(Text::Path).map(|path| capped(path, MAX_LONG_CHARS)).as_deref(),
            token_kind = line.token_kind.map(TokenKind::word),
            token_issuer = short(line, Text::TokenIssuer).as_deref(),
            key_id = short(line, Text::KeyId).as_deref(),
            caller_app_id = short(line, Text::CallerAppId).as_deref(),
            channel = short(line, Text::Channel).as_deref(),
            activity_type = short(line, Text::ActivityType).as_deref(),
            invoke_name = short(line, Text::InvokeName).as_deref(),
            tenant = line.tenant.map(tracing::field::display),
            service_url_host = short(line, Text::ServiceUrlHost).as_deref(),
            conversation = $identifiers.write(line.text(Text::Conversation)).as_ref().map(Written::as_str),
            user = $identifiers.write(line.text(Text::User)).as_ref().map(Written::as_str),
            bytes_in = line.bytes_in,
            bytes_out = $entry.bytes_out,
            duration_ms = milliseconds($entry.duration),
            upstream_ms = line.upstream.map(milliseconds),
            acknowledged = Some(true).filter(|_| line.acknowledged),
            repeat_of = short(line, Text::RepeatOf).as_deref(),
            http_version = line.http_version.and_then(http_version),
            tls_version = line.tls_version.map(tls_version),
        );
    }};
}

fn short(line: &RequestLine, kind: Text) -> Option<Cow<'_, str>> {
    line.text(kind).map(|text| capped(text, MAX_CHARS))
}

impl Entry<'_> {
    /// For the operator alone.
    pub(super) fn note(&self) -> Option<&str> {
        self.rejection.and_then(Rejection::note).or(self.remark)
    }

    /// Of whoever has to act.
    pub(super) fn level(&self) -> Level {
        match self
            .rejection
            .map_or(Fault::Caller, |rejection| rejection.reason().fault())
        {
            Fault::Caller => Level::INFO,
            Fault::Upstream => Level::WARN,
            Fault::Gateway => Level::ERROR,
        }
    }

    /// Writes the line as an event of `tracing`, which makes text for people of it.
    pub(super) fn write_event(&self, identifiers: &IdentifierWriter) {
        match self.level() {
            Level::WARN => request_event!(WARN, self, identifiers),
            Level::ERROR => request_event!(ERROR, self, identifiers),
            _ => request_event!(INFO, self, identifiers),
        }
    }

    /// Writes the line as JSON, which is the same but for its cost.
    pub(super) fn write_json(&self, identifiers: &IdentifierWriter, lines: &LogBuffer) {
        json_line::made(
            |into| json_line::write(self, identifiers, stamp::now(), into),
            |line| lines.push(line),
        );
    }
}

impl Entry<'_> {
    /// What the status page shows of a refused request: of the line, neither user nor conversation.
    pub(super) fn refused(&self) -> Refused {
        let line = self.line;
        let told = |kind: Text| short(line, kind).map(Cow::into_owned);
        let long = |text: &str| capped(text, MAX_LONG_CHARS).into_owned();
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        Refused {
            at: u64::try_from(now).unwrap_or_default(),
            verdict: self.verdict.word(),
            reason: self.rejection.map_or("", |one| one.reason().code()),
            status: self.verdict.status(),
            note: self.note().map(long),
            request_id: capped(line.request_id(), MAX_CHARS).into_owned(),
            bot: self.bot.to_owned(),
            client_ip: line.client_ip.to_string(),
            method: told(Text::Method),
            path: line.text(Text::Path).map(long),
            token_kind: line.token_kind.map(TokenKind::word),
            token_issuer: told(Text::TokenIssuer),
            caller_app_id: told(Text::CallerAppId),
            channel: told(Text::Channel),
            activity_type: told(Text::ActivityType),
            invoke_name: told(Text::InvokeName),
            tenant: line.tenant.map(|tenant| tenant.to_string()),
            service_url_host: told(Text::ServiceUrlHost),
        }
    }
}

/// Writes the line that stands for request lines left out in a flood.
pub(super) fn write_suppressed(suppressed: &Suppressed) {
    tracing::info!(
        target: TARGET,
        event = "suppressed",
        client_ip = suppressed.client_ip.map(tracing::field::display),
        verdict = suppressed.reason.is_none().then(|| Verdict::Abandoned.word()),
        reason = suppressed.reason.map(Reason::code),
        count = suppressed.count,
    );
}

/// Milliseconds with three digits after the point.
pub(super) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

/// A thousand times [`milliseconds`], without the detour where there is no doubt how it rounds.
pub(super) fn whole_microseconds(duration: Duration) -> u64 {
    let (seconds, nanoseconds) = (duration.as_secs(), u64::from(duration.subsec_nanos()));
    if seconds < A_DAY && nanoseconds % 1000 != 500 {
        let of_seconds = seconds.saturating_mul(1_000_000);
        return of_seconds.saturating_add(nanoseconds.saturating_add(500) / 1000);
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number, and none below 0"
    )]
    let microseconds = (duration.as_secs_f64() * 1_000_000.0).round() as u64;
    microseconds
}

pub(super) fn http_version(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_09 => Some("0.9"),
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        Version::HTTP_3 => Some("3"),
        _ => None,
    }
}

/// The word for a TLS version in the request line and in `tls_handshakes_total`.
pub(super) const fn tls_version(version: TlsVersion) -> &'static str {
    match version {
        TlsVersion::V1_2 => "1.2",
        TlsVersion::V1_3 => "1.3",
    }
}

pub(super) const MAX_CHARS: usize = 256;
pub(super) const MAX_LONG_CHARS: usize = 512;
/// Seconds. Up to here, an `f64` of seconds is far more precise than a nanosecond.
const A_DAY: u64 = 86_400;
