//! `bench/growth`: what a request costs botgate as the work grows. Measured as `bench/peers` measures, with the same load generator and
//! backend, for botgate alone.

mod axis;
mod options;
mod table;

use super::job::Outcome;
use super::numbers::machine;
use super::rounds::{complaint, summary};
use super::runs::Runner;
use super::scenario::Scenario;
use axis::Axis;
use nix::sys::resource::{Resource, getrlimit};
pub(crate) use options::{Options, USAGE};
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;

/// Descriptors that botgate and the load generator need beside those of idle connections.
const OTHER_DESCRIPTORS: usize = 500;

/// One step of one axis, once.
struct Measured {
    axis: Axis,
    step: usize,
    round: usize,
    outcome: Outcome,
}

#[derive(Default)]
struct Results {
    measured: Vec<Measured>,
    /// What did not go as it must.
    wrong: Vec<String>,
    /// What could not be tried here.
    notes: Vec<String>,
}

pub(crate) async fn measure(options: &Options) -> ExitCode {
    let (stage, backend) = super::prepare().await;
    let runner = Runner {
        stage: &stage,
        backend: backend.id(),
        seconds: options.seconds,
    };
    let mut results = Results::default();
    let plan = plan(options, &mut results.notes);
    for round in 0..options.rounds {
        for &(axis, step) in &plan {
            let place = format!("round {}, {} {step}", round + 1, axis.name());
            let growth = axis.growth(step, options.fill_seconds);
            match runner.grown(axis.setup(step), growth).await {
                Ok(outcome) => {
                    eprintln!("{place}: {}", summary(&outcome));
                    let complaint = complaint(Scenario::Repeats, &outcome);
                    let complaint = complaint.map(|what| format!("{place}: {what}"));
                    results.wrong.extend(complaint);
                    results.measured.push(Measured {
                        axis,
                        step,
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
    backend.stop().await;
    // A line for each of millions of requests.
    let _ = std::fs::remove_file(stage.folder.join("botgate/stdout"));
    table::print(&plan, &results);
    let numbers = super::target().join("growth.json");
    write(&numbers, options, &results).expect("a file");
    println!("\nAll numbers: {}", numbers.display());
    super::verdict(&results.wrong)
}

/// All steps, no larger than this machine allows.
fn plan(options: &Options, notes: &mut Vec<String>) -> Vec<(Axis, usize)> {
    let (descriptors, _) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    let most = usize::try_from(descriptors).unwrap_or(usize::MAX);
    let most = most.saturating_sub(OTHER_DESCRIPTORS);
    let mut plan = vec![];
    for &axis in &options.axes {
        for &step in axis.steps() {
            if axis == Axis::Connections && step > most {
                notes.push(format!(
                    "A process may have {descriptors} descriptors here (RLIMIT_NOFILE): {most} idle connections instead of {step}."
                ));
                plan.push((axis, most));
            } else {
                plan.push((axis, step));
            }
        }
    }
    plan
}

fn write(path: &Path, options: &Options, results: &Results) -> std::io::Result<()> {
    let measured = results.measured.iter().map(|one| {
        json!({
            "what": one.axis.name(),
            "step": one.step,
            "round": one.round + 1,
            "cpu_micros": one.outcome.cpu_micros(),
            "per_second": one.outcome.rate(),
            "outcome": one.outcome,
        })
    });
    let all = json!({
        "machine": machine(),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "measured": measured.collect::<Vec<_>>(),
        "notes": results.notes,
        "wrong": results.wrong,
    });
    std::fs::write(path, serde_json::to_string_pretty(&all)?)
}
