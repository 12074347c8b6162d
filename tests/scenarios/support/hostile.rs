//! Many connections at once, on each of which some bytes are written and everything is read.

use super::wire::Wire;
use super::{Gateway, eventually};
use tokio::task::JoinSet;

/// A gateway that waits for nobody long, and counts nobody's requests.
pub(crate) const IMPATIENT: &str = r#"
    [server.limits]
    header_timeout = "1s"
    body_timeout = "1s"
    keep_alive_timeout = "1s"
    connections_per_ip = 10_000
    requests_per_ip = { rate = "100000/s", burst = 100_000 }
"#;

/// Connections open at once.
const AT_ONCE: usize = 32;

/// What came back for some bytes, until the gateway closed the connection.
pub(crate) struct Outcome {
    pub(crate) name: String,
    /// The statuses of all answers but interim ones.
    pub(crate) statuses: Vec<u16>,
    /// All that came.
    pub(crate) text: String,
}

/// Writes each of these on a connection of its own, and reads until the gateway closes it: it never hangs, and it writes one line
/// for each answer.
pub(crate) async fn sent(gateway: &Gateway, vectors: Vec<(String, Vec<u8>)>) -> Vec<Outcome> {
    let before = told(gateway);
    let mut outcomes = vec![];
    let mut running = JoinSet::new();
    for (name, bytes) in vectors {
        if running.len() == AT_ONCE {
            outcomes.extend(running.join_next().await.transpose().unwrap());
        }
        let gateway = gateway.clone();
        running.spawn(async move {
            let mut wire = Wire::open(&gateway).await;
            wire.write(&bytes).await;
            let text = String::from_utf8_lossy(&wire.until_closed().await).into_owned();
            let statuses = statuses(&text);
            Outcome {
                name,
                statuses,
                text,
            }
        });
    }
    while let Some(outcome) = running.join_next().await {
        outcomes.push(outcome.unwrap());
    }
    let answers: usize = outcomes.iter().map(|outcome| outcome.statuses.len()).sum();
    eventually("every answer has its line", async || {
        told(gateway) >= before + answers
    })
    .await;
    assert_eq!(told(gateway), before + answers, "one line for each answer");
    outcomes
}

impl Outcome {
    /// Refused once and closed, with nothing after it.
    pub(crate) fn is_refused_with(&self, status: u16) {
        let Self { name, text, .. } = self;
        assert_eq!(self.statuses, [status], "{name}: {text}");
        assert!(text.contains("\r\nconnection: close\r\n"), "{name}: {text}");
        assert!(text.contains("\r\nx-request-id: "), "{name}: {text}");
    }
}

/// How many requests the log tells of: by a line of their own, or in the line that stands for those left out in a flood.
fn told(gateway: &Gateway) -> usize {
    gateway.process().look(|output| {
        let left_out = output
            .log
            .iter()
            .filter(|line| line["event"] == "suppressed");
        let left_out: u64 = left_out.filter_map(|line| line["count"].as_u64()).sum();
        output.request_lines().count() + usize::try_from(left_out).expect("few")
    })
}

fn statuses(text: &str) -> Vec<u16> {
    let heads = text.split("HTTP/1.").skip(1);
    // A 426 names HTTP/1.1 in a field, too.
    let statuses = heads.filter_map(|head| head.get(2..5)?.parse().ok());
    statuses.filter(|status| *status >= 200).collect()
}
