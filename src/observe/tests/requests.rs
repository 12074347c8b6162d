//! One verdict, one line, one count per request.

use super::*;

/// The value of one series; 0 where it is not there.
fn value(observer: &Observer, series: &str) -> f64 {
    let text = observer.metrics().render();
    let found = text
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    found.map_or(0.0, |value| value.parse().unwrap())
}

fn requests(bot: &str, verdict: &str, reason: &str) -> String {
    format!(
        "botgate_requests_total{{bot=\"{bot}\",door=\"ingress\",reason=\"{reason}\",verdict=\"{verdict}\"}}"
    )
}

#[test]
fn a_request_that_nobody_concludes_is_abandoned() {
    let observer = observer();
    let written = json(|| drop(observer.watch(line(), Some("sales"))));
    assert_eq!(written.only_line()["verdict"], "abandoned");
    assert_eq!(value(&observer, &requests("sales", "abandoned", "")), 1.0);
}

#[test]
fn the_first_verdict_stays_and_is_told_once() {
    let observer = observer();
    let written = json(|| {
        let mut watch = observer.watch(line(), Some("helpdesk"));
        watch.conclude(Verdict::Forwarded { status: 201 });
        watch.conclude(rejected(Reason::UpstreamBroken));
        watch.finish();
    });
    assert_eq!(written.only_line()["status"], 201);
    assert_eq!(
        value(&observer, &requests("helpdesk", "forwarded", "")),
        1.0
    );
    assert_eq!(
        value(
            &observer,
            &requests("helpdesk", "rejected", "upstream_broken")
        ),
        0.0
    );
    assert_eq!(
        value(
            &observer,
            "botgate_request_duration_seconds_count{bot=\"helpdesk\"}"
        ),
        1.0
    );
}

#[test]
fn requests_in_flight_are_counted_where_they_belong() {
    let observer = observer();
    let inflight = |bot: &str| {
        value(
            &observer,
            &format!("botgate_inflight_requests{{bot={bot:?}}}"),
        )
    };
    let mut watch = observer.watch(line(), None);
    assert_eq!((inflight(""), inflight("helpdesk")), (1.0, 0.0));
    watch.set_bot("helpdesk");
    assert_eq!((inflight(""), inflight("helpdesk")), (0.0, 1.0));
    drop(watch);
    assert_eq!((inflight(""), inflight("helpdesk")), (0.0, 0.0));
}

#[test]
fn the_wait_for_the_bot_is_not_the_gates_time() {
    let observer = observer();
    let histogram = |name: &str, part: &str| {
        value(
            &observer,
            &format!("botgate_{name}_duration_seconds_{part}{{bot=\"helpdesk\"}}"),
        )
    };
    let mut watch = observer.watch(line(), Some("helpdesk"));
    watch.line_mut().upstream = Some(std::time::Duration::from_secs(9));
    watch.conclude(Verdict::Forwarded { status: 200 });
    watch.finish();
    assert_eq!(histogram("upstream", "sum"), 9.0);
    assert!(histogram("gate", "sum") < 1.0);
    ended(&observer, Verdict::Abandoned);
    ended(&observer, rejected(Reason::UpstreamTimedOut));
    assert_eq!(
        histogram("gate", "count"),
        1.0,
        "what these waited for is not known"
    );
    ended(&observer, rejected(Reason::TokenMissing));
    assert_eq!(histogram("gate", "count"), 2.0);
    assert_eq!(histogram("request", "count"), 4.0);
}

#[test]
fn a_flood_of_refusals_is_told_in_few_lines_and_counted_in_full() {
    let observer = observer();
    let written = json(|| {
        for _ in 0..2000 {
            ended(&observer, rejected(Reason::TokenMissing));
        }
        for _ in 0..300 {
            ended(&observer, Verdict::Forwarded { status: 200 });
        }
        observer.flush();
        observer.flush();
    });
    let lines = written.lines();
    let count = |event: &str, verdict: &str| {
        lines
            .iter()
            .filter(|line| line["event"] == event && line["verdict"] == *verdict)
            .count()
    };
    assert_eq!(
        count("request", "forwarded"),
        300,
        "only refusals are left out"
    );
    let suppressed: Vec<_> = lines
        .iter()
        .filter(|line| line["event"] == "suppressed")
        .collect();
    let told: u64 = suppressed
        .iter()
        .map(|line| line["count"].as_u64().unwrap())
        .sum();
    assert_eq!(
        u64::try_from(count("request", "rejected")).unwrap() + told,
        2000
    );
    assert!(told > 0, "two thousand requests took eight seconds?");
    assert_eq!(
        (&suppressed[0]["client_ip"], &suppressed[0]["reason"]),
        (&"192.0.2.1".into(), &"token_missing".into())
    );
    assert_eq!(
        value(
            &observer,
            "botgate_log_suppressed_total{reason=\"token_missing\"}"
        ),
        told as f64
    );
    assert_eq!(
        value(
            &observer,
            &requests("helpdesk", "rejected", "token_missing")
        ),
        2000.0
    );
}

#[test]
fn strangers_who_do_not_wait_fill_the_log_no_more_than_those_who_do() {
    let observer = observer();
    let left = |proof: Proof| {
        let mut watch = observer.watch(line(), Some("helpdesk"));
        watch.set_proof(proof);
    };
    let written = json(|| {
        (0..1000).for_each(|_| left(Proof::Waiting));
        (0..1000).for_each(|_| left(Proof::Wanting));
        // What the bot may have: every one has its line.
        (0..300).for_each(|_| left(Proof::Given));
        observer.flush();
    });
    let lines = written.lines();
    let noted = |note: Option<&str>| {
        let of = |line: &&Value| {
            line["event"] == "request"
                && line["verdict"] == "abandoned"
                && line["note"].as_str() == note
        };
        lines.iter().filter(of).count()
    };
    assert_eq!(noted(None), 300);
    let (early, waiting) = (
        noted(Proof::Wanting.missing()),
        noted(Proof::Waiting.missing()),
    );
    assert!(waiting > 0);
    let suppressed: Vec<_> = lines
        .iter()
        .filter(|line| line["event"] == "suppressed")
        .collect();
    let counts = suppressed
        .iter()
        .map(|line| line["count"].as_u64().unwrap());
    let told = counts.sum::<u64>();
    assert!(told > 0, "two thousand requests took eight seconds?");
    assert_eq!(u64::try_from(early + waiting).unwrap() + told, 2000);
    let one = suppressed[0];
    assert_eq!(one["client_ip"], "192.0.2.1");
    assert_eq!(one["verdict"], "abandoned");
    assert!(one.get("reason").is_none(), "{one}");
    assert_eq!(
        value(&observer, "botgate_log_suppressed_total{reason=\"\"}"),
        told as f64
    );
    assert_eq!(
        value(&observer, &requests("helpdesk", "abandoned", "")),
        2300.0
    );
}

#[test]
fn every_metric_of_the_contract_is_there() {
    use crate::config::TlsVersion;
    use crate::judge::UnixSeconds;
    let observer = observer();
    let metrics = observer.metrics();
    metrics.connection_opened();
    metrics.connection_refused(Reason::ConnectionLimited.code());
    metrics.handshake_done(TlsVersion::V1_3);
    metrics.handshake_failed(&io::Error::from(io::ErrorKind::TimedOut));
    metrics.keys_age("https://api.botframework.com", 60);
    metrics.token_clock_offset(-2.5);
    metrics.endorsement_missing("msteams");
    metrics.endorsement_missing("made up by a client");
    metrics.config_reloaded(super::super::Reload::Applied, UnixSeconds(1_800_000_000));
    metrics.certificate_expires("certs/server.pem", UnixSeconds(1_900_000_000));
    metrics.acknowledged("helpdesk");
    metrics.repeated("sales", crate::observe::Repeat::InFlight);
    metrics.acknowledged_ended("helpdesk", crate::observe::Ending::TimedOut);
    metrics.backend_is_up("sales", "127.0.0.1:3978", true);
    let text = metrics.render();
    for series in [
        "botgate_requests_total{bot=\"helpdesk\",door=\"ingress\",reason=\"\",verdict=\"forwarded\"} 0",
        "botgate_request_duration_seconds_bucket{bot=\"\",le=\"0.0001\"} 0",
        "botgate_gate_duration_seconds_bucket{bot=\"sales\",le=\"30\"} 0",
        "botgate_upstream_duration_seconds_count{bot=\"helpdesk\"} 0",
        "botgate_connections{state=\"open\"} 1",
        "botgate_connections_refused_total{reason=\"connection_limited\"} 1",
        "botgate_tls_handshakes_total{result=\"ok\",version=\"1.2\"} 0",
        "botgate_tls_handshakes_total{result=\"ok\",version=\"1.3\"} 1",
        "botgate_tls_handshakes_total{result=\"timed_out\",version=\"\"} 1",
        "botgate_keys_age_seconds{issuer=\"https://api.botframework.com\"} 60",
        "botgate_key_fetches_total{issuer=\"https://api.botframework.com\",result=\"failed\"} 0",
        "botgate_token_clock_offset_seconds -2.5",
        "botgate_endorsement_missing_total{channel=\"msteams\"} 1",
        "botgate_endorsement_missing_total{channel=\"other\"} 1",
        "botgate_rate_limit_store_errors_total 0",
        "botgate_config_reloads_total{outcome=\"refused\"} 0",
        "botgate_config_reloads_total{outcome=\"applied\"} 1",
        "botgate_config_last_reload_success_timestamp_seconds 1800000000",
        "botgate_certificate_expiry_timestamp_seconds{name=\"certs/server.pem\"} 1900000000",
        "botgate_backend_up{backend=\"127.0.0.1:3978\",bot=\"sales\"} 1",
        "botgate_inflight_requests{bot=\"helpdesk\"} 0",
        "botgate_acknowledged_total{bot=\"helpdesk\"} 1",
        "botgate_acknowledged_total{bot=\"sales\"} 0",
        "botgate_acknowledged_outcomes_total{bot=\"helpdesk\",outcome=\"timed_out\"} 1",
        "botgate_acknowledged_outcomes_total{bot=\"sales\",outcome=\"cut\"} 0",
        "botgate_redeliveries_total{bot=\"sales\",state=\"in_flight\"} 1",
        "botgate_redeliveries_total{bot=\"helpdesk\",state=\"passed\"} 0",
        "botgate_log_lines_lost_total 0",
        "# TYPE botgate_request_duration_seconds histogram",
        "process_resident_memory_bytes ",
    ] {
        assert!(
            text.contains(&format!("\n{series}")),
            "{series} is missing in\n{text}"
        );
    }
    assert!(text.contains(&format!(
        "botgate_build_info{{revision=\"unknown\",version={:?}}} 1",
        env!("CARGO_PKG_VERSION")
    )));
    assert!(!text.contains("made up"));
}
