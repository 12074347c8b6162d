//! Asks the servers of a bot whether they are well.

use super::fleet::Fleet;
use super::target::Target;
use crate::config::Health;
use crate::net::client::chain;
use bytes::Bytes;
use http::Request;
use http::header::USER_AGENT;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// For the answer, beside the time for the connection.
const ANSWERS_WITHIN: Duration = Duration::from_secs(3);
/// More of an answer is not looked at.
const MOST_BYTES: usize = 64 * 1024;
const MOST_HEAD_BYTES: u32 = 64 * 1024;

/// A task per server, for bots whose health is to be asked for.
pub(super) fn probes(
    fleet: &Arc<Fleet>,
    [stop, ends]: &[&CancellationToken; 2],
) -> Vec<impl Future<Output = ()> + Send + 'static + use<>> {
    let Some(health) = &fleet.bot.backend.health else {
        return Vec::new();
    };
    (0..fleet.targets().len())
        .map(|position| {
            let (fleet, health) = (Arc::clone(fleet), health.clone());
            let (stop, ends) = (
                CancellationToken::clone(stop),
                CancellationToken::clone(ends),
            );
            async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = ends.cancelled() => {}
                    () = watch(&fleet, position, &health) => {}
                }
            }
        })
        .collect()
}

async fn watch(fleet: &Fleet, position: usize, health: &Health) {
    let Some(target) = fleet.targets().get(position) else {
        return;
    };
    let within = fleet
        .bot
        .backend
        .connect_timeout
        .saturating_add(ANSWERS_WITHIN);
    for round in 0_usize.. {
        let outcome = match tokio::time::timeout(within, ask(target, health)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(format!("no answer to its health check within {within:?}")),
        };
        fleet.checked(
            position,
            outcome
                .as_ref()
                .map_or_else(|why| Err(why.as_str()), |()| Ok(())),
        );
        sleep(jittered(health.every, position, round)).await;
    }
}

/// One GET on a connection of its own, so that each finds out whether one can be made. No token: health is nobody's secret.
async fn ask(target: &Target, health: &Health) -> Result<(), String> {
    let client = Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_max_idle_per_host(0)
        .http1_max_buf_size(MOST_BYTES)
        .http2_max_header_list_size(MOST_HEAD_BYTES)
        .build(target.dialer.clone());
    let request = Request::get(target.origin_uri(&health.path_and_query))
        .header(USER_AGENT, concat!("botgate/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let response = client.request(request).await;
    let response = response.map_err(|error| chain(&error))?;
    let status = response.status();
    if !(status.is_success() || status.is_redirection()) {
        return Err(format!("its health check is answered {}", status.as_u16()));
    }
    // To its end, where that is near: some servers log a client that leaves before it.
    let mut body = response.into_body();
    let mut read = 0_usize;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| chain(&error))?;
        read = read.saturating_add(frame.data_ref().map_or(0, Bytes::len));
        if read > MOST_BYTES {
            break;
        }
    }
    Ok(())
}

/// Give or take an eighth, so that several gateways and several servers are not asked in step. It needs no randomness: only that
/// neighbours differ.
fn jittered(every: Duration, position: usize, round: usize) -> Duration {
    let step = position.wrapping_mul(5).wrapping_add(round.wrapping_mul(3)) & 7;
    let eighth = every.checked_div(8).unwrap_or_default();
    let more = eighth.saturating_mul(u32::try_from(step).unwrap_or_default());
    let more = more.checked_div(4).unwrap_or_default();
    every.saturating_sub(eighth).saturating_add(more)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn neighbours_are_asked_at_different_times_and_none_long_before_or_after() {
        let every = Duration::from_secs(8);
        let waits = |position| (0..8).map(move |round| jittered(every, position, round));
        for wait in (0..8).flat_map(waits) {
            assert!((Duration::from_secs(7)..=Duration::from_secs(9)).contains(&wait));
        }
        let firsts: BTreeSet<_> = (0..8).flat_map(|position| waits(position).next()).collect();
        assert_eq!(firsts.len(), 8);
        assert_eq!(waits(3).collect::<BTreeSet<_>>().len(), 8);
    }
}
