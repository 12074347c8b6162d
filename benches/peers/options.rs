//! The command line.

use super::proxies::Kind;
use super::scenario::Scenario;

pub(crate) const USAGE: &str =
    "usage: bench/peers [--only PROXY,...] [--scenarios NAME,...] [--rounds N] [--seconds N]";

pub(crate) struct Options {
    pub(crate) proxies: Vec<Kind>,
    pub(crate) scenarios: Vec<Scenario>,
    pub(crate) rounds: usize,
    /// How long each measurement takes.
    pub(crate) seconds: f64,
}

impl Options {
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            proxies: Kind::ALL.to_vec(),
            scenarios: Scenario::ALL.to_vec(),
            rounds: 3,
            seconds: 4.0,
        };
        // Cargo adds an argument of its own.
        let mut arguments = arguments.filter(|argument| argument != "--bench");
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{name} what?"))?;
            match name.as_str() {
                "--only" => options.proxies = list(&value, &Kind::ALL, Kind::name)?,
                "--scenarios" => options.scenarios = list(&value, &Scenario::ALL, Scenario::name)?,
                "--rounds" => options.rounds = rounds(&value)?,
                "--seconds" => options.seconds = seconds(&value)?,
                _ => return Err(format!("{name} is unknown")),
            }
        }
        Ok(options)
    }
}

pub(crate) fn rounds(value: &str) -> Result<usize, String> {
    match value.parse() {
        Ok(rounds @ 1..=100) => Ok(rounds),
        Ok(_) | Err(_) => Err("--rounds is 1 to 100".to_owned()),
    }
}

pub(crate) fn seconds(value: &str) -> Result<f64, String> {
    match value.parse() {
        Ok(seconds) if (0.5..=60.0).contains(&seconds) => Ok(seconds),
        Ok(_) | Err(_) => Err("--seconds is 0.5 to 60".to_owned()),
    }
}

pub(crate) fn list<T: Copy>(
    text: &str,
    all: &[T],
    name: fn(T) -> &'static str,
) -> Result<Vec<T>, String> {
    let find = |wanted: &str| {
        all.iter()
            .copied()
            .find(|one| name(*one) == wanted)
            .ok_or_else(|| {
                let names: Vec<_> = all.iter().map(|one| name(*one)).collect();
                format!("{wanted:?} is none of {}", names.join(", "))
            })
    };
    text.split(',').map(find).collect()
}
