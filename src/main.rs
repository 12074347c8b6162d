//! The `botgate` binary: turns the result of a command into an exit code.

use std::process::ExitCode;

/// A request makes some sixty small allocations, and glibc's cost several times what these do (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    botgate::cli::main()
}
