//! `bench/peers`: botgate beside the proxies that people put before a bot, on the same machine, in the same minutes.
//!
//! The proxy has one core, load generator and backend have the other. What counts is the CPU time of the proxy's own processes per
//! answered request: unlike requests per second it does not depend on who else waits for whom.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a script for people: what cannot be set up ends it"
)]

mod backend;
mod bare;
mod growth;
mod job;
mod load;
mod material;
mod numbers;
mod options;
mod proc;
mod process;
mod proxies;
mod rounds;
mod runs;
mod scenario;
mod table;
mod targets;
mod verify;

use botgate::cli::demo::channel::Channel;
use botgate::cli::demo::signing::SigningKey;
use material::Material;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use options::Options;
use process::{Cores, Process, role};
use proxies::Stage;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["role=load"] => load::run(),
        ["role=backend"] => backend::run(),
        ["role=bare", certificate, key, backend] => {
            let backend = backend.parse().expect("an address");
            bare::run(Path::new(certificate), Path::new(key), &backend);
        }
        ["role=verify", material] => verify::run(Path::new(material)),
        // Cargo runs this for `cargo test --all-targets`, too, and then without this argument.
        words if !words.contains(&"--bench") => {}
        words if words.contains(&"--growth") => {
            let arguments = arguments.into_iter().filter(|word| word != "--growth");
            return match growth::Options::parse(arguments) {
                Ok(options) => orchestrate(growth::measure(&options)),
                Err(problem) => misused(&problem, growth::USAGE),
            };
        }
        _ => {
            return match Options::parse(arguments.into_iter()) {
                Ok(options) => orchestrate(compare(&options)),
                Err(problem) => misused(&problem, options::USAGE),
            };
        }
    }
    ExitCode::SUCCESS
}

fn misused(problem: &str, usage: &str) -> ExitCode {
    eprintln!("{problem}\n{usage}");
    ExitCode::from(2)
}

fn orchestrate(what: impl Future<Output = ExitCode>) -> ExitCode {
    allow_descriptors();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        tokio::select! {
            code = what => code,
            // Everything that was started is stopped on the way out.
            () = asked_to_stop() => ExitCode::FAILURE,
        }
    })
}

/// For many idle connections, and inherited by all that is started here.
fn allow_descriptors() {
    const ENOUGH: u64 = 25_000;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    // Only the superuser may, and not everywhere.
    if hard >= ENOUGH || setrlimit(Resource::RLIMIT_NOFILE, ENOUGH, ENOUGH).is_err() {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("a limit");
    }
}

async fn asked_to_stop() {
    let mut terminate = signal(SignalKind::terminate()).expect("a signal");
    let mut interrupt = signal(SignalKind::interrupt()).expect("a signal");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// What every proxy is given, and the backend.
async fn prepare() -> (Stage, Process) {
    let folder = target().join("peers");
    let material = Material::prepare(&folder.join("material"));
    // Its own key is of no use: the tokens are signed with one that is kept.
    let unused = SigningKey::generate("unused").expect("randomness");
    let channel = Channel::start_with(unused).await.expect("a channel");
    channel.withdraw("unused");
    channel.publish_raw(material.jwk());
    let backend = Process::start_role(role(Cores::Second, "backend"), &folder).await;
    let (backend, address) = backend.expect("a backend");
    let stage = Stage {
        material,
        channel,
        backend: address,
        folder,
    };
    (stage, backend)
}

async fn compare(options: &Options) -> ExitCode {
    let (stage, backend) = prepare().await;
    let results = rounds::run(options, &stage, backend.id()).await;
    backend.stop().await;
    table::print(options, &results);
    let numbers = target().join("peers.json");
    numbers::write(&numbers, options, &results).expect("a file");
    println!("\nAll numbers: {}", numbers.display());
    verdict(&results.wrong)
}

fn verdict(wrong: &[String]) -> ExitCode {
    for what in wrong {
        println!("\nWRONG: {what}");
    }
    if wrong.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Cargo's `target/`, in which this program is `release/deps/peers-...`.
fn target() -> PathBuf {
    let program = std::env::current_exe().expect("a path");
    program
        .ancestors()
        .nth(3)
        .expect("three folders")
        .to_owned()
}
