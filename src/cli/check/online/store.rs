//! Whether the shared store is there, and does for this user what the gateways will ask of it.

use super::{Findings, Place, Places};
use crate::config::{Settings, Severity};
use crate::shared;
use tokio::time::Instant;

pub(super) async fn try_out(settings: &Settings, places: &Places, findings: &mut Findings) {
    let Some(store) = &settings.shared_store else {
        return;
    };
    let servers = store.named_servers().iter();
    let servers = servers.map(|(host, port)| format!("{host}:{port}"));
    let servers = servers.collect::<Vec<_>>().join(", ");
    let asked = Instant::now();
    match shared::try_out(store).await {
        Ok(()) => {
            let took = asked.elapsed().as_millis();
            findings.good("shared store", format!("{servers}: counts, in {took} ms"));
        }
        Err(why) => {
            let place = Place {
                key: "state.redis",
                line: places.lines.store,
            };
            let what = format!("{servers}: does not do what it is asked: {why}");
            let hint = "see that it runs, who may use it (docs/fleet.md has the rights), and state.timeout";
            findings.note(Severity::Error, &place, what, hint);
        }
    }
}
