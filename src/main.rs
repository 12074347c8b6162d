//! The `botgate` binary: turns the result of a command into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    botgate::cli::main()
}
