//! What the service manager is told: systemd's sd_notify(3), with `Type=notify-reload` and a watchdog.
//!
//! Without a service manager (`NOTIFY_SOCKET` unset) nothing here does anything.

use crate::keyring::Keyring;
use crate::net::clock;
use crate::upstream::Upstreams;
use sd_notify::NotifyState;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long it is waited for keys and bots before the gateway counts as started. Who upgrades stops the old gateway after that;
/// longer, and a machine that starts during an outage would hang in its boot.
const READY_WITHIN: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);
/// What a drain takes beyond its deadline: telling the background to end, writing the last lines.
const AFTER_DRAIN: Duration = Duration::from_secs(5);

/// Says that the gateway has started, as soon as it is ready or [`READY_WITHIN`] has passed.
pub(super) async fn announce(
    keyring: Arc<Keyring>,
    upstreams: Arc<Upstreams>,
    stop: CancellationToken,
) {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    let deadline = clock::deadline(READY_WITHIN);
    let mut told = String::new();
    loop {
        let mut missing = keyring.missing();
        missing.extend(upstreams.unhealthy().map(str::to_owned));
        if missing.is_empty() {
            return tell(&[NotifyState::Ready, NotifyState::Status("ready")]);
        }
        let status = format!("started; not ready yet: {}", missing.join(", "));
        if tokio::time::Instant::now() >= deadline {
            return tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
        }
        if told != status {
            tell(&[NotifyState::Status(&status)]);
            told = status;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// Says that a reload begins; [`reloaded`] has to follow.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(event = "notify_failed", %error, "no monotonic clock"),
    }
}

/// Says that a reload has ended, and how: `outcome` is what `systemctl status` shows.
pub(super) fn reloaded(outcome: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(outcome)]);
}

/// Says that the gateway drains, and asks for the time that it may take.
pub(super) fn stopping(drain_timeout: Duration) {
    let time = drain_timeout.saturating_add(AFTER_DRAIN).as_micros();
    tell(&[
        NotifyState::Stopping,
        NotifyState::Status("draining: no new requests, finishing those in flight"),
        NotifyState::ExtendTimeoutUsec(u32::try_from(time).unwrap_or(u32::MAX)),
    ]);
}

/// Says twice in each `WatchdogSec=` that the runtime still runs tasks.
pub(super) async fn watchdog(stop: CancellationToken) {
    let Some(within) = sd_notify::watchdog_enabled() else {
        return;
    };
    let mut ticks = tokio::time::interval(within.div_f32(2.0).max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => tell(&[NotifyState::Watchdog]),
        }
    }
}

fn tell(what: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(what) {
        tracing::warn!(
            event = "notify_failed",
            %error,
            "the service manager cannot be told: {}",
            what.first().map(ToString::to_string).unwrap_or_default()
        );
    }
}
