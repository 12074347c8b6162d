//! The tables.

use super::options::Options;
use super::proxies::Kind;
use super::rounds::Results;
use super::scenario::Scenario;

/// The median over the rounds.
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

impl Results {
    pub(crate) fn micros(&self, scenario: Scenario, proxy: Kind) -> Option<f64> {
        self.median_of(scenario, proxy, super::job::Outcome::cpu_micros)
    }

    pub(crate) fn rate(&self, scenario: Scenario, proxy: Kind) -> Option<f64> {
        self.median_of(scenario, proxy, super::job::Outcome::rate)
    }

    fn median_of(
        &self,
        scenario: Scenario,
        proxy: Kind,
        value: fn(&super::job::Outcome) -> f64,
    ) -> Option<f64> {
        let of = self
            .measured
            .iter()
            .filter(|m| m.scenario == scenario && m.proxy == proxy);
        median(of.map(|measured| value(&measured.outcome)).collect())
    }
}

pub(crate) fn print(options: &Options, results: &Results) {
    println!("CPU of the proxy per request, microseconds, and requests per second in brackets:\n");
    let titles: Vec<_> = options
        .scenarios
        .iter()
        .map(|scenario| scenario.title())
        .collect();
    println!("| proxy | {} |", titles.join(" | "));
    println!("| --- |{}", " ---: |".repeat(titles.len()));
    for &proxy in &options.proxies {
        let cells: Vec<_> = options
            .scenarios
            .iter()
            .map(|&scenario| {
                match (
                    results.micros(scenario, proxy),
                    results.rate(scenario, proxy),
                ) {
                    (Some(micros), Some(rate)) => format!("{micros:.1} ({rate:.0}/s)"),
                    _ => "-".to_owned(),
                }
            })
            .collect();
        println!("| {} | {} |", proxy.title(), cells.join(" | "));
    }
}
