//! The `botgate` binary: turns the result of a command into an exit code.

use mimalloc::MiMalloc;
use std::process::ExitCode;

/// Gives back to the system what thousands of slow connections took, once they are gone; glibc's own keeps nearly all of it.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    botgate::cli::main()
}
