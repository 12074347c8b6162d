//! The raw numbers, for other programs: `target/peers.json`.

use super::options::Options;
use super::rounds::Results;
use super::targets;
use serde_json::{Value, json};
use std::fs::read_to_string;
use std::path::Path;

pub(crate) fn write(path: &Path, options: &Options, results: &Results) -> std::io::Result<()> {
    let measured = results.measured.iter().map(|one| {
        json!({
            "scenario": one.scenario.name(),
            "proxy": one.proxy.name(),
            "round": one.round + 1,
            "cpu_micros": one.run.outcome.cpu_micros(),
            "per_second": one.run.outcome.rate(),
            "outcome": one.run.outcome,
            "beside": one.run.beside,
        })
    });
    let targets = targets::all(results).into_iter().map(|target| {
        json!({
            "what": target.what,
            "unit": target.unit,
            "is": target.is,
            "limit": target.limit,
            "at_least": target.at_least,
            "met": target.is_met(),
        })
    });
    let all = json!({
        "machine": machine(),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "rsa_verify_micros": results.verify,
        "measured": measured.collect::<Vec<_>>(),
        "targets": targets.collect::<Vec<_>>(),
        "wrong": results.wrong,
    });
    std::fs::write(path, serde_json::to_string_pretty(&all)?)
}

/// The processor and the kernel, as they name themselves.
pub(crate) fn machine() -> Value {
    let processors = read_to_string("/proc/cpuinfo").unwrap_or_default();
    let mut names = processors
        .lines()
        .filter_map(|line| line.strip_prefix("model name"));
    let name = names
        .next()
        .unwrap_or_default()
        .trim_start_matches(['\t', ' ', ':']);
    let kernel = read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    json!({ "processor": name, "cores": 1 + names.count(), "kernel": kernel.trim() })
}
