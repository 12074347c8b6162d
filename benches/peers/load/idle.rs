//! Connections that say nothing after the handshake.

use super::super::proc;
use super::Shared;
use super::client::Connection;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Handshakes at once.
const AT_ONCE: usize = 32;
/// Until whatever the proxy still does after a handshake is done.
const SETTLE: Duration = Duration::from_millis(1500);

/// The proxy's memory with none, and with as many connections as each of these.
pub(crate) async fn fill(shared: &Rc<Shared>, steps: &[usize]) {
    let mut open: Vec<Connection> = vec![];
    note(shared, 0).await;
    for &step in steps {
        open_until(shared, &mut open, step).await;
        note(shared, step).await;
    }
    still_open(shared, open).await;
}

/// So many connections, to be held while other things are measured.
pub(crate) async fn hold(shared: &Rc<Shared>, count: usize) -> Vec<Connection> {
    let mut open = vec![];
    if count > 0 {
        open_until(shared, &mut open, count).await;
        sleep(SETTLE).await;
    }
    open
}

async fn open_until(shared: &Rc<Shared>, open: &mut Vec<Connection>, count: usize) {
    while open.len() < count && !shared.stop.get() {
        let mut handshakes = JoinSet::new();
        for _ in 0..AT_ONCE.min(count - open.len()) {
            let shared = Rc::clone(shared);
            handshakes.spawn_local(async move { shared.client.connect().await });
        }
        for done in handshakes.join_all().await {
            match done {
                Ok(connection) => {
                    shared.answered();
                    open.push(connection);
                }
                Err(error) => shared.failed(&format!("no connection: {error}")),
            }
        }
    }
}

/// None of them may have been closed meanwhile.
pub(crate) async fn still_open(shared: &Shared, mut open: Vec<Connection>) {
    let mut closed = 0;
    for connection in &mut open {
        closed += u64::from(connection.was_closed().await);
    }
    if closed > 0 {
        shared.failed(&format!("{closed} idle connections were closed"));
    }
}

async fn note(shared: &Shared, connections: usize) {
    sleep(SETTLE).await;
    let bytes = proc::memory_bytes(&shared.job.proxy);
    shared
        .outcome
        .borrow_mut()
        .memory
        .push((connections, bytes));
}
