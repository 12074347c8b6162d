//! Our own bare proxy: see `bare.rs` of the bench.

use super::super::process::{Process, own_program, role_of};
use super::{Setup, Stage};
use std::net::SocketAddr;
use std::path::Path;

pub(super) async fn start(
    setup: Setup,
    stage: &Stage,
    folder: &Path,
) -> Result<(Process, SocketAddr), String> {
    // A copy: pages of a program that load generator and backend run, too, would count for a third only.
    let program = folder.join("bare");
    std::fs::copy(own_program(), &program).map_err(|error| error.to_string())?;
    let mut command = role_of(setup.cores, program, "bare");
    command
        .arg(stage.material.certificate())
        .arg(stage.material.certificate_key())
        .arg(stage.backend.to_string());
    Process::start_role(command, folder).await
}
