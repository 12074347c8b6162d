//! Load that sends the next request when the one before is answered.

use super::client::{Client, Connection, NoAnswer, is_close};
use super::{Shared, wrong_status};
use std::rc::Rc;
use std::time::Duration;
use tokio::time::sleep;

/// A pause after what should not happen, so that it does not happen a million times.
const PAUSE: Duration = Duration::from_millis(50);

/// Request after request on one connection. One that the other side closed is made anew.
pub(crate) async fn keep_alive(shared: Rc<Shared>) {
    let mut request = Vec::new();
    let mut connection: Option<Connection> = None;
    while !shared.stop.get() {
        if !shared.requests.write_next(&mut request) {
            return shared.end();
        }
        connection = ask(&shared, connection, &request).await;
    }
    if let Some(connection) = connection {
        connection.close().await;
    }
}

/// Sends a request, again if the connection turns out to have ended, and gives back the connection if it goes on.
pub(crate) async fn ask(
    shared: &Shared,
    mut connection: Option<Connection>,
    request: &[u8],
) -> Option<Connection> {
    while !shared.stop.get() {
        let is_used = connection.is_some();
        let mut open = match connection.take() {
            Some(open) => open,
            None => connect(shared, &shared.client).await?,
        };
        match open.ask(request).await {
            Ok(answer) => {
                judge(shared, answer.status);
                if answer.closes {
                    shared.outcome.borrow_mut().reconnects += 1;
                    open.close().await;
                    return None;
                }
                return Some(open);
            }
            Err(NoAnswer::Closed) if is_used || shared.job.may_close => {
                shared.outcome.borrow_mut().reconnects += 1
            }
            Err(NoAnswer::Closed) => {
                shared.failed("a new connection was closed without an answer");
                sleep(PAUSE).await;
                return None;
            }
            Err(NoAnswer::Broken(error)) => {
                shared.failed(&format!("no answer: {error}"));
                sleep(PAUSE).await;
                return None;
            }
        }
    }
    None
}

fn judge(shared: &Shared, status: u16) {
    if status == shared.job.expected {
        shared.answered();
    } else {
        shared.failed(&wrong_status(status, &shared.job));
    }
}

async fn connect(shared: &Shared, client: &Client) -> Option<Connection> {
    match client.connect().await {
        Ok(connection) => Some(connection),
        Err(error) if shared.job.may_close && is_close(&error) => {
            shared.outcome.borrow_mut().reconnects += 1;
            None
        }
        Err(error) => {
            shared.failed(&format!("no connection: {error}"));
            sleep(PAUSE).await;
            None
        }
    }
}

/// One request on each connection, with or without a session to resume.
pub(crate) async fn connections(shared: Rc<Shared>, resume: bool) {
    let own = resume.then(|| shared.client.with_its_own_sessions());
    let client = own.as_ref().unwrap_or(&shared.client);
    let mut request = Vec::new();
    while !shared.stop.get() {
        if !shared.requests.write_next(&mut request) {
            return shared.end();
        }
        let Some(mut connection) = connect(&shared, client).await else {
            continue;
        };
        if connection.has_resumed() && shared.requests.is_warm() {
            shared.outcome.borrow_mut().resumed += 1;
        }
        match connection.ask(&request).await {
            Ok(answer) => judge(&shared, answer.status),
            Err(NoAnswer::Closed) => shared.failed("closed without an answer"),
            Err(NoAnswer::Broken(error)) => shared.failed(&format!("no answer: {error}")),
        }
        connection.close().await;
    }
}
