//! The commands, dispatched with one `match`. The only room that talks to people.

#![allow(clippy::print_stdout, reason = "commands talk to people")]

pub mod check;
pub mod demo;
pub mod explain;
mod healthcheck;
pub mod reasons;
pub mod rejects;
mod run;
mod schema;

use crate::config::StartFlags;
use clap::{Args, Parser, Subcommand};
use http::Uri;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

/// A reverse-proxy security gateway in front of a Microsoft Bot Framework bot.
#[derive(Debug, Parser)]
#[command(name = "botgate", version, about, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunOptions,
}

#[derive(Debug, Args)]
struct RunOptions {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = "gateway.toml")]
    config: PathBuf,
    /// Use a self-signed certificate although the gateway is reachable from other machines.
    #[arg(long)]
    allow_self_signed: bool,
    /// Accept emulator tokens although other machines can connect: whoever holds any Entra token of the bot can then command it.
    #[arg(long)]
    danger_accept_emulator_in_public: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway (the default command).
    Run(RunOptions),
    /// Say everything that is wrong or weak in a configuration file, and what it enforces.
    Check {
        /// The configuration file; the same as --config.
        #[arg(value_name = "FILE", conflicts_with = "config")]
        file: Option<PathBuf>,
        /// Also try out what it names: keys, the certificate's chain, this clock, the bots.
        #[arg(long)]
        online: bool,
        #[command(flatten)]
        options: RunOptions,
    },
    /// Say what every rule answers to a saved request, or to a token and an activity. Nothing is sent.
    Explain(explain::Options),
    /// Show the gateway at work: everything local, nothing to set up.
    Demo {
        /// Leave everything running and print requests to try.
        #[arg(long)]
        keep_running: bool,
        /// Leave a page with Microsoft's Web Chat running, to be tried in a browser; nothing else is shown.
        #[arg(long, conflicts_with = "keep_running")]
        web: bool,
    },
    /// Print every reason for which a request is refused.
    Reasons {
        /// As a Markdown table.
        #[arg(long)]
        markdown: bool,
    },
    /// Print the JSON Schema of gateway.toml, for editors.
    Schema,
    /// Summarise the refused requests of a log, or suggest tenants to allow.
    Rejects(rejects::Options),
    /// Ask a running gateway whether it is ready; exit 0 if so.
    Healthcheck {
        /// The readiness address of the admin listener.
        #[arg(long, default_value = "http://127.0.0.1:9090/readyz")]
        url: Uri,
    },
}

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0.
    Good,
    /// 1: the thing asked about is not so.
    NotSo,
    /// 2: asked in a way that cannot be answered.
    Usage,
    /// 78, `EX_CONFIG`: the configuration is no good.
    Configuration,
    /// 70, `EX_SOFTWARE`: the gateway cannot do it.
    Internal,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Good => 0,
            Exit::NotSo => 1,
            Exit::Usage => 2,
            Exit::Configuration => 78,
            Exit::Internal => 70,
        })
    }
}

/// Runs the command that the process was started with. Exits 2 on usage errors.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let flags = |options: &RunOptions| StartFlags {
        allow_self_signed: options.allow_self_signed,
        danger_accept_emulator_in_public: options.danger_accept_emulator_in_public,
    };
    match cli.command.unwrap_or(Command::Run(cli.run)) {
        Command::Run(options) => run::run(&options.config, flags(&options)),
        Command::Check {
            file,
            online,
            options,
        } => {
            let path = file.as_ref().unwrap_or(&options.config);
            let reach = if online {
                check::Reach::Online
            } else {
                check::Reach::Offline
            };
            let mut out = io::stdout().lock();
            told(check::run(path, flags(&options), reach, &mut out))
        }
        Command::Explain(options) => told(explain::run(&options, &mut io::stdout().lock())),
        Command::Demo { web: true, .. } => demo::main(demo::Programme::Web),
        Command::Demo { keep_running, .. } => demo::main(if keep_running {
            demo::Programme::ScenesAndStay
        } else {
            demo::Programme::Scenes
        }),
        Command::Reasons { markdown } => {
            let style = if markdown {
                reasons::Style::Markdown
            } else {
                reasons::Style::Text
            };
            told(reasons::run(style, &mut io::stdout().lock()).map(|()| Exit::Good))
        }
        Command::Schema => told(schema::run(&mut io::stdout().lock()).map(|()| Exit::Good)),
        Command::Rejects(options) => told(rejects::main(&options)),
        Command::Healthcheck { url } => healthcheck::run(&url),
    }
    .into()
}

/// A command that only writes: a reader that closed its end early (`botgate reasons | head`) is no mistake.
fn told(outcome: io::Result<Exit>) -> Exit {
    match outcome {
        Ok(exit) => exit,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Good,
        Err(_) => Exit::Internal,
    }
}
