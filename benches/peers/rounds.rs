//! Runs everything, round after round, and keeps what was measured.

use super::job::{Job, Outcome};
use super::options::Options;
use super::process::{Cores, ask, role};
use super::proxies::{Kind, Proxy, Setup, Stage};
use super::scenario::Scenario;
use std::time::Duration;

/// As many connections as one busy channel keeps open.
const CONNECTIONS: usize = 32;
const WARM_UP_SECONDS: f64 = 0.7;
/// Beyond warm-up and measurement: to make connections and to end them.
const MORE: Duration = Duration::from_secs(60);

pub(crate) struct Measured {
    pub(crate) scenario: Scenario,
    pub(crate) proxy: Kind,
    pub(crate) round: usize,
    pub(crate) outcome: Outcome,
}

#[derive(Default)]
pub(crate) struct Results {
    pub(crate) measured: Vec<Measured>,
    /// What did not go as it must.
    pub(crate) wrong: Vec<String>,
}

pub(crate) async fn run(options: &Options, stage: &Stage, backend: u32) -> Results {
    let mut results = Results::default();
    for round in 0..options.rounds {
        for &scenario in &options.scenarios {
            let mut order = options.proxies.clone();
            let shift = round % order.len();
            order.rotate_left(shift);
            for proxy in order {
                let place = format!("{}, {}, round {}", scenario.name(), proxy.name(), round + 1);
                match measure(options, stage, backend, scenario, proxy).await {
                    Ok(outcome) => {
                        eprintln!(
                            "{place}: {:.1} µs, {:.0}/s, {:.0} % of its core, {:.1} µs of load and backend, {} reconnects, {} resumed",
                            outcome.cpu_micros(),
                            outcome.rate(),
                            outcome.busy() * 100.0,
                            outcome.overhead_micros(),
                            outcome.reconnects,
                            outcome.resumed,
                        );
                        results.wrong.extend(complaint(&place, &outcome));
                        results.measured.push(Measured {
                            scenario,
                            proxy,
                            round,
                            outcome,
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

fn complaint(place: &str, outcome: &Outcome) -> Option<String> {
    if outcome.failures > 0 {
        let (failures, notes) = (outcome.failures, outcome.notes.join("; "));
        return Some(format!(
            "{place}: {failures} requests not as expected: {notes}"
        ));
    }
    (outcome.answered == 0).then(|| format!("{place}: nothing was answered"))
}

/// Each on a proxy of its own: what an earlier scenario left in its memory is gone.
async fn measure(
    options: &Options,
    stage: &Stage,
    backend: u32,
    scenario: Scenario,
    kind: Kind,
) -> Result<Outcome, String> {
    let setup = Setup {
        cores: Cores::First,
        many_addresses: scenario == Scenario::Forged,
    };
    let proxy = Proxy::start(kind, setup, stage).await?;
    let job = Job {
        target: proxy.address,
        certificate: Some(stage.material.certificate()),
        material: stage.material.folder.clone(),
        token: scenario.token(),
        load: scenario.load(),
        connections: CONNECTIONS,
        expected: scenario.expected(kind),
        proxy: proxy.processes(),
        backend,
        warm_up_seconds: WARM_UP_SECONDS,
        seconds: options.seconds,
    };
    let outcome = load(&job, Cores::Second).await;
    proxy.stop().await;
    outcome
}

async fn load(job: &Job, cores: Cores) -> Result<Outcome, String> {
    let text = serde_json::to_string(job).map_err(|error| error.to_string())?;
    let within = MORE + Duration::from_secs_f64(job.warm_up_seconds + job.seconds);
    let answer = ask(role(cores, "load"), &text, within).await?;
    serde_json::from_str(&answer).map_err(|error| format!("the load generator: {error}"))
}
