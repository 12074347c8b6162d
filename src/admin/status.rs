//! The status page's data: what runs, what came in, what was refused.

use super::{Admin, page, policies, readiness, typed};
use crate::config::{Bot, DirectLine};
use crate::net::{Body, clock};
use crate::observe::{Sample, Second, Traffic};
use http::Response;
use http::request::Parts;
use serde_json::{Value, json};
use std::collections::HashMap;

/// `/`: the page, or with `?format=json` its data.
pub(super) fn answer(admin: &Admin, head: &Parts) -> Response<Body> {
    let query = head.uri.query().unwrap_or_default();
    if !query.split('&').any(|part| part == "format=json") {
        return page::answer(&page::PAGE);
    }
    let content = format!("{}\n", document(admin));
    page::guarded(typed(content, "application/json"))
}

fn document(admin: &Admin) -> Value {
    let measured = Measured(admin.observer.metrics().read());
    let missing = readiness::missing(admin);
    let settings = &admin.settings;
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "now": clock::now().0,
        "started": measured.one("process_start_time_seconds"),
        "ready": missing.is_empty(),
        "missing": missing,
        "traffic": traffic(&admin.observer.traffic()),
        "connections": measured.with("botgate_connections", "state", "open"),
        "in_flight": measured.sum("botgate_inflight_requests", |_| true),
        "bots": settings.bots.iter().map(|bot| described(bot, admin, &measured)).collect::<Vec<_>>(),
        "direct_line": settings.direct_lines.iter().map(|broker| told(broker)).collect::<Vec<_>>(),
        "store": readiness::store(admin),
        "keys": keys(admin),
        "certificates": certificates(&measured),
        "configuration": {
            "in_force_since": measured.one("botgate_config_last_reload_success_timestamp_seconds"),
            "reloads": measured.by("botgate_config_reloads_total", "outcome"),
        },
        "log": {
            "lines_lost": measured.one("botgate_log_lines_lost_total"),
            "suppressed": measured.sum("botgate_log_suppressed_total", |_| true),
        },
        "refused": admin.observer.recently_refused(),
    })
}

fn traffic(traffic: &Traffic) -> Value {
    let column = |of: fn(&Second) -> u64| traffic.seconds.iter().map(of).collect::<Vec<_>>();
    let reasons = traffic.reasons.iter().map(|(reason, count)| {
        json!({ "reason": reason.code(), "count": count, "meaning": reason.meaning() })
    });
    json!({
        "seconds": Traffic::SECONDS,
        "forwarded": column(|second| second.forwarded),
        "would_reject": column(|second| second.would_reject),
        "rejected": column(|second| second.rejected),
        "abandoned": column(|second| second.abandoned),
        "reasons": reasons.collect::<Vec<_>>(),
    })
}

fn described(bot: &Bot, admin: &Admin, measured: &Measured) -> Value {
    let ended = |verdict: &str| {
        measured.sum("botgate_requests_total", |sample| {
            sample.label("bot") == bot.name && sample.label("verdict") == verdict
        })
    };
    let backends = bot.backend.endpoints.iter().map(|endpoint| {
        let is_up = measured.sum("botgate_backend_up", |sample| {
            sample.label("bot") == bot.name && sample.label("backend") == endpoint.name
        });
        json!({ "name": endpoint.name, "up": is_up > 0.0 })
    });
    json!({
        "name": bot.name,
        "app_id": bot.expect.app_id,
        "cloud": bot.cloud,
        "hosts": bot.route.hosts,
        "path": bot.route.path,
        "kinds": bot.expect.kinds().map(|kind| kind.word()).collect::<Vec<_>>(),
        "backends": backends.collect::<Vec<_>>(),
        "unhealthy": admin.upstreams.unhealthy().any(|name| name == bot.name),
        "policies": policies::of(bot),
        "requests": {
            "forwarded": ended("forwarded"),
            "would_reject": ended("would_reject"),
            "rejected": ended("rejected"),
            "abandoned": ended("abandoned"),
            "in_flight": measured.with("botgate_inflight_requests", "bot", &bot.name),
        },
    })
}

fn told(broker: &DirectLine) -> Value {
    json!({
        "name": broker.name,
        "hosts": broker.route.hosts,
        "path": broker.route.path,
        "endpoint": broker.endpoint,
        "secrets": broker.secrets.len(),
        "trusted_origins": broker.origins.as_slice(),
        "users": broker.identity.says(),
        "limits": format!("{} per address, {} per session", policies::rate(broker.per_ip), policies::rate(broker.per_session)),
        "max_session_seconds": broker.max_session.map(|max| max.as_secs()),
    })
}

fn keys(admin: &Admin) -> Vec<Value> {
    let told = |source: crate::keyring::SourceState| {
        json!({
            "name": source.name,
            "issuer": source.issuer,
            "keys": source.keys,
            "age_seconds": source.age_seconds,
            "usable": source.is_usable,
            "last_fetch_failed": source.last_fetch_failed,
        })
    };
    admin.keyring.states().into_iter().map(told).collect()
}

fn certificates(measured: &Measured) -> Vec<Value> {
    measured
        .samples("botgate_certificate_expiry_timestamp_seconds")
        .map(|sample| json!({ "name": sample.label("name"), "expires": sample.value }))
        .collect()
}

/// What `/metrics` says, to be asked by name: the page cannot disagree with it.
struct Measured(HashMap<String, Vec<Sample>>);

impl Measured {
    fn samples(&self, family: &str) -> impl Iterator<Item = &Sample> {
        self.0.get(family).into_iter().flatten()
    }

    fn sum(&self, family: &str, wanted: impl Fn(&Sample) -> bool) -> f64 {
        let samples = self.samples(family).filter(|sample| wanted(sample));
        // Not `sum`, which begins with -0 and says so where there is nothing.
        samples.fold(0.0, |all, sample| all + sample.value)
    }

    fn with(&self, family: &str, label: &str, value: &str) -> f64 {
        self.sum(family, |sample| sample.label(label) == value)
    }

    fn one(&self, family: &str) -> Option<f64> {
        self.samples(family).next().map(|sample| sample.value)
    }

    fn by(&self, family: &str, label: &str) -> HashMap<&str, f64> {
        self.samples(family)
            .map(|sample| (sample.label(label), sample.value))
            .collect()
    }
}
