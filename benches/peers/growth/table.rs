//! The table: what a request costs at each step, and how many times that of the first.

use super::super::job::Outcome;
use super::super::runs::CONNECTIONS;
use super::super::table::{QUIET, median};
use super::axis::Axis;
use super::{Measured, Results};

pub(super) fn print(plan: &[(Axis, usize)], results: &Results) {
    println!(
        "\nCPU time of botgate per answered request. Tokens repeat, on {CONNECTIONS} connections; everything else is as in `bench/peers`.\n"
    );
    println!("| what grows | is | µs | × the first | requests/s | memory then, MiB |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    for &(axis, step) in plan {
        let of = |value: &dyn Fn(&Outcome) -> f64| results.of(axis, step, value);
        let first = plan.iter().find(|(other, _)| *other == axis);
        let first = first.and_then(|(_, first)| results.of(axis, *first, &Outcome::cpu_micros));
        let micros = of(&Outcome::cpu_micros);
        let times = micros
            .zip(first)
            .map(|(is, was)| format!("{:.2}", is / was));
        let memory = of(&|outcome| outcome.memory_after as f64 / f64::from(1 << 20));
        println!(
            "| {} | {} | {} | {} | {} | {} |",
            axis.title(),
            separated(step),
            fixed(micros, 1),
            times.unwrap_or_else(|| "-".to_owned()),
            fixed(of(&Outcome::rate), 0),
            fixed(memory, 1),
        );
    }
    print_per_kilobyte(plan, results);
    print_users(plan, results);
    for note in &results.notes {
        println!("\n{note}");
    }
    let others = results.measured.iter().map(|one| one.outcome.others());
    let others = median(others.collect()).unwrap_or_default() * 100.0;
    println!(
        "\nMeanwhile everything else on this machine used {others:.0} % of one core (the median)."
    );
    if others > QUIET {
        println!("**Too much**: all of this is dearer than it would be.");
    }
}

fn print_per_kilobyte(plan: &[(Axis, usize)], results: &Results) {
    let bodies: Vec<_> = plan
        .iter()
        .filter(|(axis, _)| *axis == Axis::Body)
        .collect();
    if bodies.is_empty() {
        return;
    }
    println!("\n| KB of body | µs per KB |");
    println!("| ---: | ---: |");
    for &&(axis, step) in &bodies {
        let per = |outcome: &Outcome| outcome.cpu_micros() / step as f64;
        println!(
            "| {} | {} |",
            separated(step),
            fixed(results.of(axis, step, &per), 2)
        );
    }
}

/// Whether all of them came is a question of time.
fn print_users(plan: &[(Axis, usize)], results: &Results) {
    for &(axis, step) in plan {
        if axis == Axis::Keys && step > 1 {
            let users = results.of(axis, step, &|outcome| outcome.users as f64);
            println!(
                "\nOf {} users before: {} were seen when it was measured.",
                separated(step),
                users.map_or_else(|| "-".to_owned(), |users| separated(users as usize)),
            );
        }
    }
}

impl Results {
    /// The median over the rounds.
    fn of(&self, axis: Axis, step: usize, value: &dyn Fn(&Outcome) -> f64) -> Option<f64> {
        let of = |one: &&Measured| one.axis == axis && one.step == step;
        let values = self.measured.iter().filter(of);
        median(values.map(|one| value(&one.outcome)).collect())
    }
}

fn fixed(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

/// 10,000.
fn separated(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
