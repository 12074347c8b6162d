//! Our own bare proxy: see `bare.rs` of the bench.

use super::super::process::{Process, role};
use super::{Setup, Stage};
use std::net::SocketAddr;
use std::path::Path;

pub(super) async fn start(
    setup: Setup,
    stage: &Stage,
    folder: &Path,
) -> Result<(Process, SocketAddr), String> {
    let mut command = role(setup.cores, "bare");
    command
        .arg(stage.material.certificate())
        .arg(stage.material.certificate_key())
        .arg(stage.backend.to_string());
    Process::start_role(command, folder).await
}
