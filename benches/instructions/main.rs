//! `bench/instructions [--renew]`: instructions of the judge under callgrind, beside the baseline in `benches/instructions.txt`.
//!
//! Time belongs to the machine and to what else it does. Instructions belong to the code, the compiler and the C library, so that
//! they can be compared with a figure that was written down elsewhere, and much smaller differences mean something.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a script for people: what cannot be set up ends it"
)]

mod baseline;
mod callgrind;
#[path = "../material/mod.rs"]
#[expect(dead_code, reason = "the other bench takes the steps apart further")]
mod material;
mod steps;

use baseline::Baseline;
use callgrind::Callgrind;
use std::process::ExitCode;
use steps::STEPS;

/// A step may need that much more or less than its baseline.
const TOLERANCE: f64 = 0.10;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        // In callgrind.
        ["--count", name] => {
            steps::named(name).run(steps::ROUNDS);
            ExitCode::SUCCESS
        }
        ["--bench"] => guard(),
        ["--renew", "--bench"] => renew(),
        [.., "--bench"] => {
            eprintln!("usage: bench/instructions [--renew]");
            ExitCode::from(2)
        }
        // `cargo test --all-targets`, with whatever is meant for tests: does each step work?
        _ => {
            STEPS.iter().for_each(|step| step.run(1));
            ExitCode::SUCCESS
        }
    }
}

fn guard() -> ExitCode {
    let Some(callgrind) = Callgrind::find() else {
        return no_valgrind();
    };
    let (baseline, here) = (Baseline::read(), Baseline::here(&callgrind.version()));
    if baseline.made_with != here.made_with {
        println!("baseline made with {}", baseline.made_with);
        println!("this one with      {}", here.made_with);
        println!("What differs may differ for that alone.\n");
    }
    println!("{:<24} {:>12} {:>12}", "instructions", "now", "baseline");
    let (mut is_more, mut is_fewer) = (false, false);
    for step in STEPS {
        let (name, count) = (step.name, callgrind.count(step.name));
        let Some(before) = baseline.count(name) else {
            is_more = true;
            println!("{name:<24} {count:>12} {:>12}", "none");
            continue;
        };
        let change = count as f64 / before as f64 - 1.0;
        is_more |= change > TOLERANCE;
        is_fewer |= change < -TOLERANCE;
        let percent = change * 100.0;
        println!("{name:<24} {count:>12} {before:>12} {percent:>+8.1} %");
    }
    if is_fewer {
        println!(
            "\nA step needs 10 % fewer than before. So that it stays so: bench/instructions --renew"
        );
    }
    if is_more {
        println!(
            "\nWRONG: a step needs 10 % more than its baseline, or has none. If that is as it should be: bench/instructions --renew"
        );
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn renew() -> ExitCode {
    let Some(callgrind) = Callgrind::find() else {
        return no_valgrind();
    };
    let mut baseline = Baseline::here(&callgrind.version());
    for step in STEPS {
        let count = callgrind.count(step.name);
        println!("{:<24} {count:>12}", step.name);
        baseline.add(step.name, count);
    }
    baseline.write();
    ExitCode::SUCCESS
}

fn no_valgrind() -> ExitCode {
    eprintln!("valgrind is not installed: apt-get install valgrind");
    ExitCode::from(2)
}
