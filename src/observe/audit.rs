//! The one line per request (OPERATIONS section 2).

use super::flood::Suppressed;
use super::identifiers::{IdentifierWriter, Written};
use super::log_buffer::LogBuffer;
use super::recent::Refused;
use super::redact::capped;
use super::{Verdict, json_line, stamp};
use crate::config::TlsVersion;
use crate::judge::{Fault, Rejection, TenantId, TokenKind};
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

/// What is known of a request. `None` leaves the field out of the line.
///
/// Holds what a client sent as it sent it; lengths are capped when the line is written.
#[derive(Clone)]
#[cfg_attr(test, derive(Debug))]
pub struct RequestLine {
    /// `X-Request-Id`, the client's or our own.
    pub request_id: String,
    /// From `traceparent`.
    pub trace_id: Option<String>,
    /// Name of the Direct Line broker that it is for.
    pub broker: Option<Box<str>>,
    /// Where it came in.
    pub door: Door,
    /// Who is at the other end, after trusted proxies were asked.
    pub client_ip: IpAddr,
    /// HTTP method.
    pub method: Option<String>,
    /// Path without query: a query may hold secrets.
    pub path: Option<String>,
    /// The kind of token, once its issuer is an accepted one.
    pub token_kind: Option<TokenKind>,
    /// `iss` of the token.
    pub token_issuer: Option<String>,
    /// `kid` of the token.
    pub key_id: Option<String>,
    /// App id of the calling bot (skill and agent tokens).
    pub caller_app_id: Option<String>,
    /// `channelId` of the activity.
    pub channel: Option<String>,
    /// `type` of the activity.
    pub activity_type: Option<String>,
    /// `name` of an invoke.
    pub invoke_name: Option<String>,
    /// The tenant that [`tenant_of`](crate::judge::tenant_of) found.
    pub tenant: Option<TenantId>,
    /// Host of the service URL.
    pub service_url_host: Option<String>,
    /// `conversation.id`; written as `log.identifiers` says.
    pub conversation: Option<String>,
    /// `from.id`; written as `log.identifiers` says.
    pub user: Option<String>,
    /// Bytes of the request body that were read.
    pub bytes_in: u64,
    /// Time spent waiting for the bot.
    pub upstream: Option<Duration>,
    /// Answered 202 while the bot was at work (`bots.timeouts.acknowledge_after`).
    pub acknowledged: bool,
    /// The request of the same activity that the bot got, where this one was not forwarded but answered as that one was.
    pub repeat_of: Option<String>,
    /// HTTP version of the request.
    pub http_version: Option<Version>,
    /// TLS version of the connection; `None` without TLS.
    pub tls_version: Option<TlsVersion>,
}

impl RequestLine {
    /// A line of which only this is known.
    pub const fn new(request_id: String, door: Door, client_ip: IpAddr) -> Self {
        Self {
            request_id,
            trace_id: None,
            broker: None,
            door,
            client_ip,
            method: None,
            path: None,
            token_kind: None,
            token_issuer: None,
            key_id: None,
            caller_app_id: None,
            channel: None,
            activity_type: None,
            invoke_name: None,
            tenant: None,
            service_url_host: None,
            conversation: None,
            user: None,
            bytes_in: 0,
            upstream: None,
            acknowledged: false,
            repeat_of: None,
            http_version: None,
            tls_version: None,
        }
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
            note = $entry.rejection.and_then(Rejection::note).map(|note| capped(note, MAX_LONG_CHARS)).as_deref(),
            request_id = &*capped(&line.request_id, MAX_CHARS),
            trace_id = short(&line.trace_id).as_deref(),
            bot = Some($entry.bot).filter(|name| !name.is_empty()),
            broker = line.broker.as_deref(),
            door = line.door.word(),
            client_ip = %line.client_ip,
            method = short(&line.method).as_deref(),
            path = line.path.as_deref().map(|path| capped(path, MAX_LONG_CHARS)).as_deref(),
            token_kind = line.token_kind.map(TokenKind::word),
            token_issuer = short(&line.token_issuer).as_deref(),
            key_id = short(&line.key_id).as_deref(),
            caller_app_id = short(&line.caller_app_id).as_deref(),
            channel = short(&line.channel).as_deref(),
            activity_type = short(&line.activity_type).as_deref(),
            invoke_name = short(&line.invoke_name).as_deref(),
            tenant = line.tenant.map(tracing::field::display),
            service_url_host = short(&line.service_url_host).as_deref(),
            conversation = $identifiers.write(line.conversation.as_deref()).as_ref().map(Written::as_str),
            user = $identifiers.write(line.user.as_deref()).as_ref().map(Written::as_str),
            bytes_in = line.bytes_in,
            bytes_out = $entry.bytes_out,
            duration_ms = milliseconds($entry.duration),
            upstream_ms = line.upstream.map(milliseconds),
            acknowledged = Some(true).filter(|_| line.acknowledged),
            repeat_of = short(&line.repeat_of).as_deref(),
            http_version = line.http_version.and_then(http_version),
            tls_version = line.tls_version.map(tls_version),
        );
    }};
}

fn short(text: &Option<String>) -> Option<Cow<'_, str>> {
    text.as_deref().map(|text| capped(text, MAX_CHARS))
}

impl Entry<'_> {
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
        let short = |text: &Option<String>| short(text).map(Cow::into_owned);
        let long = |text: &str| capped(text, MAX_LONG_CHARS).into_owned();
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        Refused {
            at: u64::try_from(now).unwrap_or_default(),
            verdict: self.verdict.word(),
            reason: self.rejection.map_or("", |one| one.reason().code()),
            status: self.verdict.status(),
            note: self.rejection.and_then(Rejection::note).map(long),
            request_id: capped(&line.request_id, MAX_CHARS).into_owned(),
            bot: self.bot.to_owned(),
            client_ip: line.client_ip.to_string(),
            method: short(&line.method),
            path: line.path.as_deref().map(long),
            token_kind: line.token_kind.map(TokenKind::word),
            token_issuer: short(&line.token_issuer),
            caller_app_id: short(&line.caller_app_id),
            channel: short(&line.channel),
            activity_type: short(&line.activity_type),
            invoke_name: short(&line.invoke_name),
            tenant: line.tenant.map(|tenant| tenant.to_string()),
            service_url_host: short(&line.service_url_host),
        }
    }
}

/// Writes the line that stands for request lines left out in a flood.
pub(super) fn write_suppressed(suppressed: &Suppressed) {
    tracing::info!(
        target: TARGET,
        event = "suppressed",
        client_ip = suppressed.client_ip.map(tracing::field::display),
        reason = suppressed.reason.code(),
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
