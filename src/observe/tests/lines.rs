//! What a request line says.

use super::*;
use crate::config::{Identifiers, TlsVersion};
use crate::judge::{TenantId, TokenKind};
use crate::observe::audit::Entry;
use crate::observe::identifiers::IdentifierWriter;
use crate::observe::json_line;
use crate::observe::texts::Text;
use aws_lc_rs::rand::SystemRandom;
use proptest::prelude::*;
use std::time::Duration;

fn full_line() -> RequestLine {
    let mut line = RequestLine {
        token_kind: Some(TokenKind::Channel),
        tenant: TenantId::parse("3f0c8a5e-7f0b-4f3e-9d55-6f2b1b0a9c11"),
        bytes_in: 1234,
        upstream: Some(Duration::from_micros(12_345)),
        acknowledged: true,
        http_version: Some(http::Version::HTTP_2),
        tls_version: Some(TlsVersion::V1_3),
        ..line()
    };
    for (kind, text) in [
        (Text::TraceId, "0af7651916cd43dd8448eb211c80319c"),
        (Text::Method, "POST"),
        (Text::Path, "/api/messages"),
        (Text::Broker, "site"),
        (Text::TokenIssuer, "https://api.botframework.com"),
        (Text::KeyId, "k1"),
        (Text::CallerAppId, "a1"),
        (Text::Channel, "msteams"),
        (Text::ActivityType, "invoke"),
        (Text::InvokeName, "task/fetch"),
        (Text::ServiceUrlHost, "smba.trafficmanager.net"),
        (Text::Conversation, "a:1"),
        (Text::User, "29:1"),
        (Text::RepeatOf, "r-0"),
    ] {
        line.note(kind, text);
    }
    line
}

/// Those that a client has a hand in.
const TEXTS: [Text; 13] = [
    Text::RequestId,
    Text::TraceId,
    Text::Method,
    Text::Path,
    Text::TokenIssuer,
    Text::KeyId,
    Text::CallerAppId,
    Text::Channel,
    Text::ActivityType,
    Text::InvokeName,
    Text::ServiceUrlHost,
    Text::Conversation,
    Text::User,
];

fn written(identifiers: Identifiers, line: RequestLine, verdict: Verdict) -> Value {
    let mut settings = settings();
    settings.log.identifiers = identifiers;
    let observer = Observer::new(&settings).unwrap();
    let lines = json(|| {
        let mut watch = observer.watch(line, None);
        watch.set_bot("helpdesk");
        watch.add_bytes_out(56);
        watch.conclude(verdict);
    });
    lines.only_line()
}

#[test]
fn a_full_line_says_everything_in_the_words_of_the_contract() {
    let rejection = Rejection::from(Reason::TenantNotAllowed).noting("seen: contoso");
    let mut line = written(
        Identifiers::Plain,
        full_line(),
        Verdict::WouldReject {
            status: 200,
            rejection,
        },
    );
    let duration = line.as_object_mut().unwrap().remove("duration_ms").unwrap();
    assert!(duration.as_f64().is_some_and(|ms| ms >= 0.0), "{duration}");
    let timestamp = line.as_object_mut().unwrap().remove("timestamp").unwrap();
    let shape: String = timestamp
        .as_str()
        .unwrap()
        .replace(|c: char| c.is_ascii_digit(), "0");
    assert_eq!(shape, "0000-00-00T00:00:00.000Z");
    assert_eq!(
        line,
        serde_json::json!({
            "level": "INFO", "target": "botgate::audit", "event": "request",
            "verdict": "would_reject", "status": 200, "reason": "tenant_not_allowed", "note": "seen: contoso",
            "request_id": "r-1", "trace_id": "0af7651916cd43dd8448eb211c80319c", "bot": "helpdesk", "broker": "site", "door": "ingress",
            "client_ip": "192.0.2.1", "method": "POST", "path": "/api/messages",
            "token_kind": "channel", "token_issuer": "https://api.botframework.com", "key_id": "k1", "caller_app_id": "a1",
            "channel": "msteams", "activity_type": "invoke", "invoke_name": "task/fetch",
            "tenant": "3f0c8a5e-7f0b-4f3e-9d55-6f2b1b0a9c11", "service_url_host": "smba.trafficmanager.net",
            "conversation": "a:1", "user": "29:1", "bytes_in": 1234, "bytes_out": 56, "upstream_ms": 12.345,
            "acknowledged": true, "repeat_of": "r-0",
            "http_version": "2", "tls_version": "1.3",
        })
    );
}

#[test]
fn what_is_not_known_is_not_there() {
    let observer = observer();
    let line = json(|| {
        let mut watch = observer.watch(line(), None);
        watch.set_proof(Proof::Given);
    })
    .only_line();
    let fields: Vec<&str> = line
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let mut expected = [
        "timestamp",
        "level",
        "target",
        "event",
        "verdict",
        "request_id",
        "door",
        "client_ip",
        "bytes_in",
        "bytes_out",
        "duration_ms",
    ];
    expected.sort_unstable();
    let mut fields = fields;
    fields.sort_unstable();
    assert_eq!(fields, expected);
    assert_eq!(line["verdict"], "abandoned");
}

#[test]
fn identifiers_are_written_as_the_operator_says() {
    let write = |identifiers| written(identifiers, full_line(), Verdict::Forwarded { status: 200 });
    let omitted = write(Identifiers::Omitted);
    assert!(omitted.get("user").is_none() && omitted.get("conversation").is_none());
    let (one, other) = (write(Identifiers::Hashed), write(Identifiers::Hashed));
    for field in ["user", "conversation"] {
        let hash = one[field].as_str().unwrap();
        assert!(
            hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{hash}"
        );
        assert_ne!(one[field], other[field], "each gateway has its own key");
    }
    let observer = observer();
    let same = json(|| {
        for user in ["29:1", "29:1", "29:2"] {
            let mut line = line();
            line.note(Text::User, user);
            drop(observer.watch(line, None));
        }
    });
    let users: Vec<Value> = same
        .lines()
        .iter()
        .map(|line| line["user"].clone())
        .collect();
    assert!(users[0] == users[1] && users[1] != users[2], "{users:?}");
}

#[test]
fn what_a_client_sends_is_cut_to_length() {
    let long = "x".repeat(100_000);
    let mut flooding = line();
    for kind in TEXTS {
        flooding.note(kind, long.as_str());
    }
    let rejection = Rejection::from(Reason::ActivityMalformed).noting(long.clone());
    let line = written(
        Identifiers::Plain,
        flooding,
        Verdict::Rejected {
            status: 400,
            rejection,
        },
    );
    assert_eq!(line["path"].as_str().map(str::len), Some(512 + "…".len()));
    assert!(
        line.to_string().len() < 6_000,
        "{} bytes",
        line.to_string().len()
    );
}

#[test]
fn the_level_says_who_has_to_act() {
    for (verdict, level) in [
        (Verdict::Forwarded { status: 500 }, "INFO"),
        (Verdict::Abandoned, "INFO"),
        (rejected(Reason::TokenExpired), "INFO"),
        (rejected(Reason::UpstreamTimedOut), "WARN"),
        (rejected(Reason::KeysUnavailable), "ERROR"),
    ] {
        let observer = observer();
        let written = logged(LogFormat::Json, LevelFilter::OFF, || {
            ended(&observer, verdict.clone())
        });
        assert_eq!(written.only_line()["level"], level, "{verdict:?}");
    }
}

#[test]
fn an_answer_that_broke_midway_stays_forwarded_and_says_why() {
    let observer = observer();
    let written = json(|| {
        let mut watch = observer.watch(line(), Some("helpdesk"));
        watch.conclude(Verdict::Forwarded { status: 200 });
        watch.note_broken(Rejection::from(Reason::UpstreamBroken).noting("ended after 3 bytes"));
    });
    let line = written.only_line();
    assert_eq!(
        (&line["verdict"], &line["reason"]),
        (&"forwarded".into(), &"upstream_broken".into())
    );
    assert_eq!(
        (&line["note"], &line["level"]),
        (&"ended after 3 bytes".into(), &"WARN".into())
    );
    assert!(observer.metrics().render().contains(
        "botgate_requests_total{bot=\"helpdesk\",door=\"ingress\",reason=\"upstream_broken\",verdict=\"forwarded\"} 1\n"
    ));
}

/// The line as `tracing` writes it, and as it is written past `tracing`, at the same time.
fn both_ways(entry: &Entry<'_>, identifiers: &IdentifierWriter) -> (String, String) {
    let event = json(|| entry.write_event(identifiers)).text();
    let timestamp = event.split('"').nth(3).unwrap();
    let mut direct = vec![];
    let stamp = timestamp.as_bytes().try_into().unwrap();
    json_line::write(entry, identifiers, stamp, &mut direct);
    (event, String::from_utf8(direct).unwrap())
}

#[derive(Debug)]
struct Any {
    line: RequestLine,
    bot: String,
    verdict: Verdict,
    broken: Option<Rejection>,
    remark: Option<&'static str>,
    bytes_out: u64,
    duration: Duration,
}

impl Any {
    fn is_the_same_both_ways(&self) {
        let kinds = [
            Identifiers::Hashed,
            Identifiers::Plain,
            Identifiers::Omitted,
        ];
        for identifiers in kinds {
            let identifiers = IdentifierWriter::new(identifiers, &SystemRandom::new()).unwrap();
            let entry = Entry {
                line: &self.line,
                bot: &self.bot,
                verdict: &self.verdict,
                rejection: self.verdict.rejection().or(self.broken.as_ref()),
                remark: self.remark,
                bytes_out: self.bytes_out,
                until_verdict: Duration::ZERO,
                duration: self.duration,
            };
            let (event, direct) = both_ways(&entry, &identifiers);
            assert_eq!(event, direct);
        }
    }
}

/// What clients send, and worse: every kind of character, and lengths around those at which it is cut.
fn words() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9:/._-]{0,40}",
        "[ -~]{0,24}",
        any::<String>(),
        "[\\x00-\u{a0}\u{2027}-\u{202a}\u{feff}\"\\\\]{0,20}",
        ("[a\"\\x01ü\u{85}🦀]", 250_usize..260).prop_map(|(one, times)| one.repeat(times)),
        ("[a\"\\x7fü\u{2028}🦀]", 508_usize..516).prop_map(|(one, times)| one.repeat(times)),
    ]
}

fn durations() -> impl Strategy<Value = Duration> {
    prop_oneof![
        (0_u64..3_000_000).prop_map(Duration::from_nanos),
        (0_u64..100_000_000).prop_map(Duration::from_micros),
        any::<u64>().prop_map(Duration::from_nanos),
        (any::<u64>(), 0_u32..1_000_000_000).prop_map(|(s, n)| Duration::new(s, n)),
    ]
}

fn verdicts() -> impl Strategy<Value = Verdict> {
    let rejection = (prop::sample::select(Reason::ALL), prop::option::of(words())).prop_map(
        |(reason, note)| match note {
            Some(note) => Rejection::from(reason).noting(note),
            None => Rejection::from(reason),
        },
    );
    (0..4_u8, any::<u16>(), rejection).prop_map(|(kind, status, rejection)| match kind {
        0 => Verdict::Abandoned,
        1 => Verdict::Forwarded { status },
        2 => Verdict::WouldReject { status, rejection },
        _ => Verdict::Rejected { status, rejection },
    })
}

fn any_line() -> impl Strategy<Value = RequestLine> {
    let doors = [Door::Ingress, Door::DirectLine, Door::Egress, Door::Admin];
    let kinds = [
        TokenKind::Channel,
        TokenKind::Skill,
        TokenKind::Agent,
        TokenKind::Emulator,
    ];
    let versions = [
        http::Version::HTTP_09,
        http::Version::HTTP_10,
        http::Version::HTTP_11,
        http::Version::HTTP_2,
        http::Version::HTTP_3,
    ];
    let texts = prop::collection::vec(prop::option::of(words()), 15);
    let counts = (any::<u64>(), prop::option::of(durations()), any::<bool>());
    let chosen = (
        prop::sample::select(doors.to_vec()),
        prop::option::of(prop::sample::select(kinds.to_vec())),
        prop::option::of(prop::sample::select(versions.to_vec())),
        prop::option::of(prop::sample::select(&[TlsVersion::V1_2, TlsVersion::V1_3])),
        any::<bool>(),
    );
    (texts, counts, chosen, any::<std::net::IpAddr>()).prop_map(
        |(mut texts, counts, chosen, client_ip)| {
            let (bytes_in, upstream, acknowledged) = counts;
            let (door, token_kind, http_version, tls_version, has_tenant) = chosen;
            let mut text = || texts.pop().unwrap();
            let request_id = text().unwrap_or_default();
            let mut line = RequestLine {
                token_kind,
                tenant: full_line().tenant.filter(|_| has_tenant),
                bytes_in,
                upstream,
                acknowledged,
                http_version,
                tls_version,
                ..RequestLine::new(&request_id, door, client_ip)
            };
            for kind in TEXTS.into_iter().skip(1) {
                line.note(kind, text().as_deref());
            }
            line.note(Text::Broker, text().as_deref());
            line.note(Text::RepeatOf, text().as_deref());
            line
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn any_line_is_byte_for_byte_what_tracing_writes(
        line in any_line(),
        bot in prop_oneof![Just(String::new()), words()],
        verdict in verdicts(),
        is_broken: bool,
        remark in prop::option::of(Just("the client left")),
        bytes_out: u64,
        duration in durations(),
    ) {
        let broken = is_broken.then(|| Rejection::from(Reason::UpstreamBroken));
        Any { line, bot, verdict, broken, remark, bytes_out, duration }.is_the_same_both_ways();
    }

    #[test]
    fn any_duration_is_written_as_the_same_number(duration in durations()) {
        let line = RequestLine { upstream: Some(duration), ..line() };
        let (bot, verdict) = (String::new(), Verdict::Abandoned);
        Any { line, bot, verdict, broken: None, remark: None, bytes_out: 0, duration }.is_the_same_both_ways();
    }
}

#[test]
fn request_lines_go_straight_to_the_log_that_is_watched() {
    use crate::observe::log_buffer::{LogBuffer, MOST};
    let written = Written::default();
    let (lines, writing) = LogBuffer::start(written.clone(), MOST).unwrap();
    let observer = observer();
    let guard = crate::observe::LogGuard {
        lines,
        format: LogFormat::Json,
        file: None,
        _writing: writing,
    };
    observer.watch_log(&guard);
    let events = json(|| {
        let mut watch = observer.watch(full_line(), Some("sales"));
        watch.conclude(Verdict::Forwarded { status: 200 });
        drop(watch);
        ended(&observer, rejected(Reason::TokenMissing));
    });
    drop(guard);
    assert_eq!(events.text(), "");
    let lines = written.lines();
    let told =
        |line: &Value| [&line["verdict"], &line["bot"]].map(|it| it.as_str().unwrap().to_owned());
    assert_eq!(
        lines.iter().map(told).collect::<Vec<_>>(),
        [["forwarded", "sales"], ["rejected", "helpdesk"]]
    );
}
