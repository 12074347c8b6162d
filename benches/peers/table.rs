//! The figures that are computed from what was measured, and the tables.

use super::job::Outcome;
use super::options::Options;
use super::proxies::Kind;
use super::rounds::Results;
use super::runs::{IDLE, Run};
use super::scenario::Scenario;
use super::targets;

/// More than so many hundredths of a core, used by others, spoil the figures.
pub(crate) const QUIET: f64 = 10.0;

/// The middle one.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.retain(|value| value.is_finite());
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    Some(match values.len() {
        0 => return None,
        count if count % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    })
}

/// Microseconds beyond those of the backend alone, at p50, p99 and p99.9.
pub(crate) fn added(run: &Run) -> Option<[f64; 3]> {
    let (proxy, direct) = (run.outcome.latency?, run.beside.as_ref()?.latency?);
    Some([0, 1, 2].map(|part| proxy[part] - direct[part]))
}

fn bytes_with(run: &Run, connections: usize) -> Option<f64> {
    let mut memory = run.outcome.memory.iter();
    let (_, bytes) = memory.find(|(count, _)| *count == connections)?;
    Some(*bytes as f64)
}

pub(crate) fn mebibytes_at_rest(run: &Run) -> Option<f64> {
    Some(bytes_with(run, 0)? / f64::from(1 << 20))
}

/// KiB that each of so many idle connections adds.
pub(crate) fn per_connection(run: &Run, connections: usize) -> Option<f64> {
    let added = bytes_with(run, connections)? - bytes_with(run, 0)?;
    Some(added / connections as f64 / 1024.0)
}

/// How many times the requests of one core two would carry, if the proxy had them to itself.
pub(crate) fn scaling(run: &Run) -> Option<f64> {
    Some(2.0 * run.outcome.cpu_micros() / run.beside.as_ref()?.cpu_micros())
}

pub(crate) fn print(options: &Options, results: &Results) {
    let wanted = |scenario: &Scenario| options.scenarios.contains(scenario);
    let costs: Vec<_> = Scenario::COSTS.into_iter().filter(wanted).collect();
    if !costs.is_empty() {
        print_costs(options, results, &costs);
    }
    if wanted(&Scenario::Latency) {
        print_latency(options, results);
    }
    if wanted(&Scenario::Memory) {
        print_memory(options, results);
    }
    if wanted(&Scenario::Cores) {
        print_cores(options, results);
    }
    print_targets(results);
    print_quality(results);
}

/// How quiet it was, which decides what the figures are worth.
fn print_quality(results: &Results) {
    let all = |value: fn(&Outcome) -> f64| {
        let outcomes = results
            .measured
            .iter()
            .map(|measured| value(&measured.run.outcome));
        median(outcomes.collect()).unwrap_or_default() * 100.0
    };
    let others = all(Outcome::others);
    println!(
        "\nMeanwhile everything else on this machine used {others:.0} % of one core (the median)."
    );
    if others > QUIET {
        println!(
            "**Too much**: a process that is interrupted finds its caches cold, so that all of this is dearer than it would be."
        );
    }
}

/// One row for each proxy; `-` where nothing was measured.
fn rows(
    options: &Options,
    scenario: Option<Scenario>,
    heads: &[String],
    cells: impl Fn(Kind) -> Vec<Option<String>>,
) {
    println!("| proxy | {} |", heads.join(" | "));
    println!("| --- |{}", " ---: |".repeat(heads.len()));
    for &proxy in &options.proxies {
        if scenario.is_none_or(|scenario| scenario.concerns(proxy)) {
            let cells = cells(proxy)
                .into_iter()
                .map(|cell| cell.unwrap_or_else(|| "-".to_owned()));
            println!(
                "| {} | {} |",
                proxy.title(),
                cells.collect::<Vec<_>>().join(" | ")
            );
        }
    }
}

fn print_costs(options: &Options, results: &Results, costs: &[Scenario]) {
    let heads: Vec<_> = costs
        .iter()
        .map(|scenario| scenario.title().to_owned())
        .collect();
    println!("\nCPU time of the proxy per answered request, microseconds:\n");
    rows(options, None, &heads, |proxy| {
        let cell = |scenario: &Scenario| Some(format!("{:.1}", results.micros(*scenario, proxy)?));
        costs.iter().map(cell).collect()
    });
    if let Some(micros) = median(results.verify.clone()) {
        println!("\nOne RSA-2048 verification alone, aws-lc: {micros:.1} µs.");
    }
    println!(
        "\nAnswered per second, with one core for the proxy and one for load generator and backend:\n"
    );
    rows(options, None, &heads, |proxy| {
        let cell = |scenario: &Scenario| Some(format!("{:.0}", results.rate(*scenario, proxy)?));
        costs.iter().map(cell).collect()
    });
    println!(
        "\nThe second table is less than a core can do where load generator and backend need more than the proxy; CPU time is not. \
         Handshakes per second are under \"{}\", rejects of those who check under \"{}\" and \"{}\".",
        Scenario::Connections.title(),
        Scenario::Forged.title(),
        Scenario::Garbage.title(),
    );
}

fn print_latency(options: &Options, results: &Results) {
    println!(
        "\nLatency at half of each one's requests per second, beyond that of the backend alone at the same rate, ms:\n"
    );
    let heads = ["requests/s", "p50", "p99", "p99.9"].map(str::to_owned);
    rows(options, Some(Scenario::Latency), &heads, |proxy| {
        let cell = |part: usize| {
            let value = results.of(Scenario::Latency, proxy, |run| {
                Some(added(run)?[part] / 1e3)
            });
            value.map(|value| format!("{value:.3}"))
        };
        let rate = results
            .rate(Scenario::Latency, proxy)
            .map(|rate| format!("{rate:.0}"));
        vec![rate, cell(0), cell(1), cell(2)]
    });
}

fn print_memory(options: &Options, results: &Results) {
    println!("\nMemory (proportional set size of all its processes):\n");
    let heads = [
        "at rest, MiB",
        "per idle connection of 1,000, KiB",
        "of 10,000, KiB",
    ]
    .map(str::to_owned);
    rows(options, Some(Scenario::Memory), &heads, |proxy| {
        let of = |value: &dyn Fn(&Run) -> Option<f64>| {
            let value = results.of(Scenario::Memory, proxy, value);
            value.map(|value| format!("{value:.1}"))
        };
        vec![
            of(&mebibytes_at_rest),
            of(&|run: &Run| per_connection(run, IDLE[0])),
            of(&|run: &Run| per_connection(run, IDLE[1])),
        ]
    });
}

fn print_cores(options: &Options, results: &Results) {
    println!(
        "\nTwo cores against one, computed from CPU time per request with one worker on one core, and with two on two, while load \
         generator and backend run on both in both cases: 2 × the first / the second. There is no core left for them, so what the \
         proxy would do with two cores of its own is not measured.\n"
    );
    let heads = ["one, µs", "two, µs", "× the requests"].map(str::to_owned);
    rows(options, Some(Scenario::Cores), &heads, |proxy| {
        let of = |value: &dyn Fn(&Run) -> Option<f64>| results.of(Scenario::Cores, proxy, value);
        let one = of(&|run: &Run| Some(run.outcome.cpu_micros()));
        let two = of(&|run: &Run| Some(run.beside.as_ref()?.cpu_micros()));
        vec![
            one.map(|one| format!("{one:.1}")),
            two.map(|two| format!("{two:.1}")),
            of(&scaling).map(|times| format!("{times:.2}")),
        ]
    });
}

fn print_targets(results: &Results) {
    let targets = targets::all(results);
    let targets: Vec<_> = targets.iter().filter_map(|t| Some((t, t.is?))).collect();
    if targets.is_empty() {
        return;
    }
    println!("\n| target of botgate | is | must be | |");
    println!("| --- | ---: | ---: | --- |");
    for (target, is) in targets {
        let unit = target.unit;
        let digits = if unit == "ms" { 3 } else { 2 };
        let limit = match target.limit {
            Some(limit) if target.at_least => format!("≥ {limit:.digits$} {unit}"),
            Some(limit) => format!("≤ {limit:.digits$} {unit}"),
            None => "-".to_owned(),
        };
        let word = match target.is_met() {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "nothing to compare with",
        };
        println!(
            "| {} | {is:.digits$} {unit} | {limit} | {word} |",
            target.what
        );
    }
}
