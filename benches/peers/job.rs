//! What the orchestrator tells the load generator to do, and what it hears back: one line of JSON each.

use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) target: SocketAddr,
    /// The certificate to be shown; without one, no TLS.
    pub(crate) certificate: Option<PathBuf>,
    /// Where the tokens are.
    pub(crate) material: PathBuf,
    pub(crate) token: Token,
    pub(crate) load: Load,
    pub(crate) connections: usize,
    /// The status of every answer.
    pub(crate) expected: u16,
    /// Whether the proxy may also close a connection without an answer to its first request; then the request is sent again.
    pub(crate) may_close: bool,
    /// The processes of the proxy.
    pub(crate) proxy: Vec<u32>,
    pub(crate) backend: u32,
    pub(crate) warm_up_seconds: f64,
    pub(crate) seconds: f64,
    pub(crate) growth: Growth,
}

/// What `--growth` makes larger. As it is by default, nothing is.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Growth {
    /// Bytes of a body; 0: as the Connector's usually is.
    pub(crate) body_bytes: usize,
    /// Connections that say nothing, beside those that work.
    pub(crate) idle: usize,
    /// Each request is another user's, in another conversation.
    pub(crate) strangers: bool,
    /// So many requests come before anything is measured,
    pub(crate) before: u64,
    /// if they do not take longer than this.
    pub(crate) before_seconds: f64,
}

/// Whose token a request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Token {
    /// One of a few.
    Repeated,
    /// One that was never sent before, once warm.
    New,
    /// Right but for the signature, and never the same; from another address each time, as `X-Forwarded-For` has it.
    Forged,
    None,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Load {
    /// As fast as it is answered, on connections that stay.
    KeepAlive,
    /// A new connection for each request.
    Connections { resume: bool },
    /// So many requests a second, whether answered or not.
    Rate(f64),
    /// Connections that say nothing after the handshake: so many, one after the other.
    Idle(Vec<usize>),
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Requests answered as expected, while it was measured.
    pub(crate) answered: u64,
    /// Requests that became due meanwhile, at a fixed rate.
    pub(crate) due: u64,
    /// How long it was measured.
    pub(crate) seconds: f64,
    /// CPU time meanwhile, seconds.
    pub(crate) proxy_cpu: f64,
    pub(crate) load_cpu: f64,
    pub(crate) backend_cpu: f64,
    /// Of everything else on this machine.
    pub(crate) others_cpu: f64,
    /// Times a connection was made anew because the other side had closed it.
    pub(crate) reconnects: u64,
    /// Handshakes that resumed a session.
    pub(crate) resumed: u64,
    /// Answers other than expected, and none at all.
    pub(crate) failures: u64,
    /// The first few of them.
    pub(crate) notes: Vec<String>,
    /// Microseconds from when a request was due, sorted: median, 99 and 99.9 in a hundred.
    pub(crate) latency: Option<[f64; 3]>,
    /// Memory of the proxy with so many idle connections, bytes.
    pub(crate) memory: Vec<(usize, u64)>,
    /// Memory of the proxy at the end of what was measured, bytes.
    pub(crate) memory_after: u64,
    /// Users that were seen by then, each in a conversation of its own.
    pub(crate) users: u64,
}

impl Outcome {
    /// Microseconds of the proxy per request.
    pub(crate) fn cpu_micros(&self) -> f64 {
        per(self.proxy_cpu * 1e6, self.answered)
    }

    /// Microseconds of load and backend per request.
    pub(crate) fn overhead_micros(&self) -> f64 {
        per((self.load_cpu + self.backend_cpu) * 1e6, self.answered)
    }

    pub(crate) fn rate(&self) -> f64 {
        self.answered as f64 / self.seconds
    }

    /// How much of one core everything else used.
    pub(crate) fn others(&self) -> f64 {
        self.others_cpu / self.seconds
    }

    /// How much of one core the proxy used.
    pub(crate) fn busy(&self) -> f64 {
        self.proxy_cpu / self.seconds
    }
}

fn per(sum: f64, count: u64) -> f64 {
    if count == 0 {
        f64::NAN
    } else {
        sum / count as f64
    }
}
