//! Looks after certificates while the gateway runs: files that change, certificates that end.

use super::Certificates;
use crate::net::clock;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often the files are read. Reading them, and not asking to be told of changes, also notices what is behind links, mounts and
/// network file systems: Kubernetes replaces a secret by turning a link to its folder.
const EVERY: Duration = Duration::from_secs(2);
const EVERY_DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Loads the files again when they have changed and lie still: found different twice in a row, and equal both times. Whoever
/// copies certificate and key one after the other is given the time for that.
pub(super) async fn files(certificates: Arc<Certificates>, stop: CancellationToken) {
    let mut changed = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        // On a thread of its own: a network file system can make a reader wait.
        let looked = Arc::clone(&certificates);
        let found = tokio::task::spawn_blocking(move || looked.untried()).await;
        let found = found.unwrap_or_default();
        if found.is_some() && found == changed {
            let loading = Arc::clone(&certificates);
            let _told = tokio::task::spawn_blocking(move || loading.reload()).await;
            changed = None;
        } else {
            changed = found;
        }
    }
}

/// Says once a day of each certificate that ends soon: a gateway may run for longer than that.
pub(super) async fn ends(certificates: Arc<Certificates>, stop: CancellationToken) {
    loop {
        let now = clock::now();
        for shown in certificates.in_use() {
            if !shown.is_ending(now) {
                continue;
            }
            let hours = shown.expires.0.saturating_sub(now.0) / 3600;
            tracing::warn!(
                event = "certificate_expiring",
                certificate = shown.origin,
                days = hours / 24,
                hours,
                "the certificate ends soon; put a new one in its place, it is noticed by itself"
            );
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY_DAY) => {}
        }
    }
}
