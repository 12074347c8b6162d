//! The command line of `bench/growth`.

use super::super::options::{list, rounds, seconds};
use super::axis::Axis;

pub(crate) const USAGE: &str =
    "usage: bench/growth [--only NAME,...] [--rounds N] [--seconds N] [--fill-seconds N]";

pub(crate) struct Options {
    pub(super) axes: Vec<Axis>,
    pub(super) rounds: usize,
    /// How long each measurement takes.
    pub(super) seconds: f64,
    /// How long it may take before a measurement until a million users were seen.
    pub(super) fill_seconds: f64,
}

impl Options {
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            axes: Axis::ALL.to_vec(),
            rounds: 2,
            seconds: 3.0,
            fill_seconds: 240.0,
        };
        // Cargo adds an argument of its own.
        let mut arguments = arguments.filter(|argument| argument != "--bench");
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{name} what?"))?;
            match name.as_str() {
                "--only" => options.axes = list(&value, &Axis::ALL, Axis::name)?,
                "--rounds" => options.rounds = rounds(&value)?,
                "--seconds" => options.seconds = seconds(&value)?,
                "--fill-seconds" => match value.parse() {
                    Ok(seconds) if (0.0..=3600.0).contains(&seconds) => {
                        options.fill_seconds = seconds;
                    }
                    Ok(_) | Err(_) => return Err("--fill-seconds is 0 to 3600".to_owned()),
                },
                _ => return Err(format!("{name} is unknown")),
            }
        }
        Ok(options)
    }
}
