//! Runs everything, round after round, each proxy beside the others, and keeps what was measured.

use super::job::Outcome;
use super::options::Options;
use super::process::{Cores, ask, role};
use super::proxies::{Kind, Stage};
use super::runs::{Run, Runner};
use super::scenario::Scenario;
use super::table::median;
use std::time::Duration;

/// A rate that was kept up is at least that part of what was due.
const KEPT_UP: f64 = 0.95;
/// Of handshakes that could resume a session, at least so many do.
const RESUMED: f64 = 0.9;

pub(crate) struct Measured {
    pub(crate) scenario: Scenario,
    pub(crate) proxy: Kind,
    pub(crate) round: usize,
    pub(crate) run: Run,
}

#[derive(Default)]
pub(crate) struct Results {
    pub(crate) measured: Vec<Measured>,
    /// Microseconds that one signature takes to verify, once a round.
    pub(crate) verify: Vec<f64>,
    /// What did not go as it must.
    pub(crate) wrong: Vec<String>,
}

pub(crate) async fn run(options: &Options, stage: &Stage, backend: u32) -> Results {
    let mut results = Results::default();
    let runner = Runner {
        stage,
        backend,
        seconds: options.seconds,
    };
    for round in 0..options.rounds {
        match verify_micros(stage).await {
            Ok(micros) => results.verify.push(micros),
            Err(error) => results.wrong.push(format!("verifying signatures: {error}")),
        }
        for &scenario in &options.scenarios {
            let mut order = options.proxies.clone();
            order.retain(|proxy| scenario.concerns(*proxy));
            let shift = round % order.len().max(1);
            order.rotate_left(shift);
            for proxy in order {
                let place = format!("round {}, {}, {}", round + 1, scenario.name(), proxy.name());
                let capacity = results.rate(Scenario::Repeats, proxy);
                match runner.run(scenario, proxy, capacity).await {
                    Ok(run) => {
                        results.tell(&place, scenario, &run);
                        results.measured.push(Measured {
                            scenario,
                            proxy,
                            round,
                            run,
                        });
                    }
                    Err(error) => {
                        eprintln!("{place}: {error}");
                        results.wrong.push(format!("{place}: {error}"));
                    }
                }
            }
        }
    }
    results
}

async fn verify_micros(stage: &Stage) -> Result<f64, String> {
    let mut command = role(Cores::First, "verify");
    command.arg(&stage.material.folder);
    let answer = ask(command, "", Duration::from_secs(30)).await?;
    answer.trim().parse().map_err(|_| answer)
}

impl Results {
    /// Says at once what was measured, and notes what was wrong with it.
    fn tell(&mut self, place: &str, scenario: Scenario, run: &Run) {
        for (place, outcome) in [
            (place.to_owned(), Some(&run.outcome)),
            (format!("{place}, beside"), run.beside.as_ref()),
        ] {
            let Some(outcome) = outcome else {
                continue;
            };
            eprintln!("{place}: {}", summary(outcome));
            let complaint = complaint(scenario, outcome);
            self.wrong
                .extend(complaint.map(|what| format!("{place}: {what}")));
        }
    }

    /// The median over the rounds.
    pub(crate) fn of(
        &self,
        scenario: Scenario,
        proxy: Kind,
        value: impl Fn(&Run) -> Option<f64>,
    ) -> Option<f64> {
        let of = |measured: &&Measured| measured.scenario == scenario && measured.proxy == proxy;
        let values = self.measured.iter().filter(of);
        median(values.filter_map(|measured| value(&measured.run)).collect())
    }

    pub(crate) fn micros(&self, scenario: Scenario, proxy: Kind) -> Option<f64> {
        self.of(scenario, proxy, |run| Some(run.outcome.cpu_micros()))
    }

    pub(crate) fn rate(&self, scenario: Scenario, proxy: Kind) -> Option<f64> {
        self.of(scenario, proxy, |run| Some(run.outcome.rate()))
    }
}

pub(crate) fn summary(outcome: &Outcome) -> String {
    let mut parts = vec![];
    if outcome.seconds > 0.0 {
        parts.push(format!(
            "{:.1} µs, {:.0}/s, {:.0} % of a core, load and backend {:.1} µs, others {:.0} %",
            outcome.cpu_micros(),
            outcome.rate(),
            outcome.busy() * 100.0,
            outcome.overhead_micros(),
            outcome.others() * 100.0,
        ));
    }
    let counts = [
        (outcome.reconnects, "reconnects"),
        (outcome.resumed, "resumed"),
    ];
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    parts.extend(counts.map(|(count, what)| format!("{count} {what}")));
    if let Some([middle, late, latest]) = outcome.latency {
        parts.push(format!(
            "p50 {middle:.0} µs, p99 {late:.0}, p99.9 {latest:.0}"
        ));
    }
    for (connections, bytes) in &outcome.memory {
        let mebibytes = *bytes as f64 / f64::from(1 << 20);
        parts.push(format!("{connections} idle: {mebibytes:.1} MiB"));
    }
    parts.join(", ")
}

pub(crate) fn complaint(scenario: Scenario, outcome: &Outcome) -> Option<String> {
    if outcome.failures > 0 {
        let (failures, notes) = (outcome.failures, outcome.notes.join("; "));
        return Some(format!("{failures} requests not as expected: {notes}"));
    }
    if outcome.answered == 0 {
        return Some("nothing was answered".to_owned());
    }
    if outcome.due > 0 && (outcome.answered as f64) < outcome.due as f64 * KEPT_UP {
        let (answered, due) = (outcome.answered, outcome.due);
        return Some(format!("{answered} answered of {due} due"));
    }
    let resumed = outcome.resumed as f64 / outcome.answered as f64;
    match scenario {
        Scenario::Resumed if resumed < RESUMED => {
            Some(format!("{:.0} % resumed only", resumed * 100.0))
        }
        Scenario::Connections if outcome.resumed > 0 => Some("sessions were resumed".to_owned()),
        _ => None,
    }
}
