//! Which trace a request belongs to: the headers of W3C Trace Context (<https://www.w3.org/TR/trace-context/>).

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
use std::str::FromStr;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The span that sent a request. `None` where no header says so, or it cannot be read in exactly one way: then a trace begins here
/// (Trace Context 3.2.2.5). The SDK's own reader takes fields that are too short, and `+0` for a version.
pub(super) fn parent(headers: &HeaderMap) -> Option<SpanContext> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let (trace_id, span_id, flags) = fields(value.to_str().ok()?)?;
    let context = SpanContext::new(
        TraceId::from_hex(trace_id).ok()?,
        SpanId::from_hex(span_id).ok()?,
        // Other flags than "sampled" mean nothing that may be passed on (3.2.2.3).
        TraceFlags::new(flags) & TraceFlags::SAMPLED,
        true,
        state(headers),
    );
    context.is_valid().then_some(context)
}

/// Trace id, parent id and flags of a `traceparent`. Of a version that is not known, what version 00 has is read (3.2.4).
fn fields(value: &str) -> Option<(&str, &str, u8)> {
    const LENGTH: usize = 55;
    let (known, rest) = value.split_at_checked(LENGTH)?;
    let mut fields = known.split('-');
    let mut hex = |length: usize| {
        let field = fields.next()?;
        let is_hex = field
            .bytes()
            .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        (is_hex && field.len() == length).then_some(field)
    };
    let (version, trace_id, span_id, flags) = (hex(2)?, hex(32)?, hex(16)?, hex(2)?);
    let has_end = rest.is_empty() || (version != "00" && rest.starts_with('-'));
    (version != "ff" && has_end).then_some((trace_id, span_id, u8::from_str_radix(flags, 16).ok()?))
}

/// The one list that all `tracestate` headers are together (3.3.1); one that cannot be read is left out, and the trace goes on (3.3.1.6).
fn state(headers: &HeaderMap) -> TraceState {
    let values = headers.get_all(TRACESTATE).iter();
    let texts: Result<Vec<&str>, _> = values.map(HeaderValue::to_str).collect();
    let entries = texts.unwrap_or_default().join(",");
    let entries: Vec<&str> = entries
        .split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
        .collect();
    if entries.len() > MAX_ENTRIES {
        return TraceState::default();
    }
    TraceState::from_str(&entries.join(",")).unwrap_or_default()
}

/// Tells what names this span as the sender of a request: headers with their values, and nothing for one that is to be taken away.
pub(super) fn name_sender(sender: &SpanContext, mut tell: impl FnMut(&HeaderName, Option<&str>)) {
    let flags = sender.trace_flags() & TraceFlags::SAMPLED;
    let (trace_id, span_id) = (sender.trace_id(), sender.span_id());
    let parent = format!("00-{trace_id}-{span_id}-{:02x}", flags.to_u8());
    tell(&TRACESTATE, None);
    let state = sender.trace_state().header();
    for (name, value) in [(TRACEPARENT, parent), (TRACESTATE, state)] {
        if !value.is_empty() {
            tell(&name, Some(&value));
        }
    }
}

/// Of a list (Trace Context 3.3.1.1).
const MAX_ENTRIES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn name(sender: &SpanContext, headers: &mut HeaderMap) {
        name_sender(sender, |name, value| match value {
            Some(value) => drop(headers.insert(name, value.parse().unwrap())),
            None => drop(headers.remove(name)),
        });
    }

    #[test]
    fn the_sender_is_read_and_named_again() {
        for (sent, passed_on) in [
            (GOOD, GOOD),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-02",
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
            ),
            (
                "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes-later",
                GOOD,
            ),
            (
                "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                GOOD,
            ),
        ] {
            let parent = parent(&headers(&[("traceparent", sent)])).unwrap();
            let mut out = headers(&[("tracestate", "stale=1")]);
            name(&parent, &mut out);
            assert_eq!(out["traceparent"], passed_on, "{sent}");
            assert!(!out.contains_key("tracestate"), "{sent}");
        }
    }

    #[test]
    fn what_is_no_traceparent_begins_a_new_trace() {
        for sent in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "+0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e47361-0f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.more",
            "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
        ] {
            assert_eq!(parent(&headers(&[("traceparent", sent)])), None, "{sent}");
        }
        let twice = headers(&[("traceparent", GOOD), ("traceparent", GOOD)]);
        assert_eq!(parent(&twice), None);
    }

    #[test]
    fn tracestate_goes_on_in_one_list_or_not_at_all() {
        let many = vec!["a=1"; MAX_ENTRIES + 1].join(",");
        for (sent, expected) in [
            (vec!["a=1,b=2"], "a=1,b=2"),
            (vec!["a=1", "b=2"], "a=1,b=2"),
            (vec!["a=1, b=2 ,,"], "a=1,b=2"),
            (vec!["no list"], ""),
            (vec![many.as_str()], ""),
            (vec![], ""),
        ] {
            let mut lines = vec![("traceparent", GOOD)];
            lines.extend(sent.iter().map(|value| ("tracestate", *value)));
            let mut out = HeaderMap::new();
            name(&parent(&headers(&lines)).unwrap(), &mut out);
            let state = out.get("tracestate").map_or("", |v| v.to_str().unwrap());
            assert_eq!(state, expected, "{sent:?}");
        }
    }
}
