//! `run`: loads settings, starts the app, waits for a signal.

use super::Exit;
use super::check::counted;
use crate::app::{self, ConfigFile, StartProblem, descriptors};
use crate::config::{self, Attempt, Loaded, StartFlags};
use crate::observe::{self, LogGuard};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

const DROP_WITHIN: Duration = Duration::from_millis(500);

/// Runs the gateway until SIGTERM or SIGINT.
pub(super) fn run(path: &Path, flags: StartFlags) -> Exit {
    let Attempt { outcome, files } = config::attempt(path, flags);
    let Loaded {
        settings,
        warnings,
        written,
        ..
    } = match outcome {
        Ok(loaded) => loaded,
        Err(problems) => {
            let mut out = io::stderr().lock();
            for problem in &problems {
                let _ = writeln!(out, "{}", problem.in_file(&path.display().to_string()));
            }
            let _ = writeln!(
                out,
                "{}: {}; not started",
                path.display(),
                counted(&problems)
            );
            return Exit::Configuration;
        }
    };
    descriptors::raise_limit();
    let log = match observe::start(&settings.log) {
        Ok(log) => log,
        Err(error) => {
            return fail(
                &format!("log.file cannot be opened: {error}"),
                Exit::Configuration,
            );
        }
    };
    for warning in warnings.iter().chain(&descriptors::too_few(&settings)) {
        tracing::warn!(
            event = "config_warning",
            line = warning.line,
            hint = warning.hint,
            "{} {}",
            warning.at,
            warning.what
        );
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error, Exit::Internal),
    };
    let exit = runtime.block_on(async {
        // Before anything says that the gateway runs: a SIGTERM in between would kill it.
        let signals = match Signals::listen() {
            Ok(signals) => signals,
            Err(error) => return fail(&error, Exit::Internal),
        };
        match app::start(settings, Some(&log)).await {
            Err(problem) => {
                let exit = match problem {
                    StartProblem::Configuration(_) => Exit::Configuration,
                    StartProblem::Machine(_) => Exit::Internal,
                };
                fail(&problem, exit)
            }
            Ok(running) => {
                running.follow(ConfigFile {
                    path: path.to_owned(),
                    flags,
                    written,
                    files,
                });
                wait_and_drain(running, signals, &log).await;
                Exit::Good
            }
        }
    });
    // A second signal, or a drain cut off: what is left is dropped with the runtime, and each request writes its line as it is.
    // Only a blocked name lookup could make this wait.
    runtime.shutdown_timeout(DROP_WITHIN);
    exit
}

fn fail(problem: &dyn std::fmt::Display, exit: Exit) -> Exit {
    tracing::error!(event = "start_failed", "{problem}");
    let _ = writeln!(io::stderr(), "botgate: {problem}");
    exit
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    reopen: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            reopen: signal(SignalKind::user_defined1())?,
        })
    }
}

async fn wait_and_drain(running: app::Running, mut signals: Signals, log: &LogGuard) {
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => break,
            _ = signals.interrupt.recv() => break,
            _ = signals.hangup.recv() => tokio::select! {
                () = running.reload() => {}
                _ = signals.terminate.recv() => break,
                _ = signals.interrupt.recv() => break,
            },
            _ = signals.reopen.recv() => log.reopen(),
        }
    }
    let cut_off = running.cutting_off();
    tokio::select! {
        _ = running.drain() => return,
        _ = signals.terminate.recv() => {}
        _ = signals.interrupt.recv() => {}
    }
    cut_off();
    tracing::warn!(event = "ended_at_once", "second signal: ending at once");
}
